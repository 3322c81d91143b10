//! The workflows that Argo Events has created, as far as they can be compared.

use serde_json::{Map, Value};
use tripline_event::Timestamp;

/// The label with the sensor.
const SENSOR: &str = "events.argoproj.io/sensor";
/// The label with the trigger.
const TRIGGER: &str = "events.argoproj.io/trigger";
/// The label with the time at which the trigger acted, in milliseconds.
const ACTED_AT: &str = "events.argoproj.io/action-timestamp";
/// What labels and annotations begin with that Argo Events, Argo Workflows, kubectl and Tripline
/// set by themselves.
const SET_BY_OTHERS: [&str; 4] =
    ["events.argoproj.io/", "workflows.argoproj.io/", "kubectl.kubernetes.io/", "tripline.dev/"];
/// What of `metadata` is compared.
const METADATA: [&str; 5] = ["name", "generateName", "namespace", "labels", "annotations"];
/// What is set on a workflow that is suspended, resumed or stopped.
const STEERED: [&str; 2] = ["suspend", "shutdown"];

/// A workflow of Argo Events.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// Its sensor.
    pub sensor: String,
    /// Its trigger.
    pub trigger: String,
    /// Its name.
    pub name: String,
    /// When the trigger acted, by the clock of its pod.
    pub at: Timestamp,
    /// What is compared of it: see [`comparable`].
    pub object: Value,
}

impl Made {
    /// The workflow of a cluster; none where it has not the labels of Argo Events.
    pub fn of(workflow: &Value) -> Option<Self> {
        let metadata = workflow.get("metadata")?;
        let label = |name: &str| metadata.get("labels")?.get(name)?.as_str();
        let acted_at = || Timestamp::from_millisecond(label(ACTED_AT)?.parse().ok()?).ok();
        let created_at = || metadata.get("creationTimestamp")?.as_str()?.parse().ok();
        Some(Self {
            sensor: label(SENSOR)?.to_owned(),
            trigger: label(TRIGGER)?.to_owned(),
            name: metadata.get("name")?.as_str()?.to_owned(),
            at: acted_at().or_else(created_at)?,
            object: comparable(workflow, ""),
        })
    }
}

/// What of a workflow is compared: not what the cluster and controllers add to it, not the part
/// of its name that was generated, and nothing that says as much as its absence: Argo's command
/// line writes empty fields, and the values of parameters as texts.
pub fn comparable(workflow: &Value, namespace: &str) -> Value {
    let mut object = workflow.clone();
    let Some(fields) = object.as_object_mut() else { return object };
    fields.remove("status");
    if let Some(spec) = fields.get_mut("spec").and_then(Value::as_object_mut) {
        spec.retain(|name, _| !STEERED.contains(&name.as_str()));
    }
    let metadata = fields.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.retain(|name, _| METADATA.contains(&name.as_str()));
        let has = |name: &str| {
            let text = metadata.get(name).and_then(Value::as_str);
            text.is_some_and(|text| !text.is_empty())
        };
        let (generated, placed) = (has("generateName"), has("namespace"));
        if generated {
            metadata.remove("name");
        }
        if !placed {
            metadata.insert("namespace".to_owned(), namespace.into());
        }
        for name in ["labels", "annotations"] {
            if let Some(entries) = metadata.get_mut(name).and_then(Value::as_object_mut) {
                let by_others = |key: &str| SET_BY_OTHERS.iter().any(|set| key.starts_with(set));
                entries.retain(|key, _| !by_others(key));
            }
        }
    }
    simplify(&mut object);
    object
}

/// Removes what says as much as its absence, and makes texts of the values of parameters.
fn simplify(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some(parameters) = fields.get_mut("parameters").and_then(Value::as_array_mut) {
                parameters.iter_mut().for_each(textual);
            }
            fields.values_mut().for_each(simplify);
            fields.retain(|_, value| !is_void(value));
        }
        Value::Array(items) => items.iter_mut().for_each(simplify),
        _ => {}
    }
}

fn is_void(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn textual(parameter: &mut Value) {
    for name in ["value", "default"] {
        if let Some(value @ (Value::Number(_) | Value::Bool(_))) = parameter.get_mut(name) {
            *value = value.to_string().into();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_workflow_of_argo_events_is_known_by_its_labels() {
        let mut workflow = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow",
            "metadata": {
                "name": "deploy-x7k2p", "generateName": "deploy-", "namespace": "ci",
                "uid": "1", "resourceVersion": "2", "creationTimestamp": "2026-11-21T10:00:02Z",
                "labels": {SENSOR: "deploy", TRIGGER: "submit", ACTED_AT: "1795255201500", "team": "a"},
            },
            "spec": {"entrypoint": "main"}, "status": {"phase": "Running"},
        });
        let made = Made::of(&workflow).unwrap();
        assert_eq!((made.sensor.as_str(), made.trigger.as_str()), ("deploy", "submit"));
        assert_eq!(made.name, "deploy-x7k2p");
        assert_eq!(made.at, Timestamp::from_millisecond(1_795_255_201_500).unwrap());
        let expected = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow",
            "metadata": {"generateName": "deploy-", "namespace": "ci", "labels": {"team": "a"}},
            "spec": {"entrypoint": "main"},
        });
        assert_eq!(made.object, expected);
        workflow["metadata"]["labels"][ACTED_AT] = Value::Null;
        assert_eq!(Made::of(&workflow).unwrap().at, "2026-11-21T10:00:02Z".parse().unwrap());
        workflow["metadata"]["labels"][TRIGGER] = Value::Null;
        assert_eq!(Made::of(&workflow), None);
        assert_eq!(Made::of(&json!([])), None);
    }

    /// What is rendered and what is in the cluster are the same where nothing but this differs.
    #[test]
    fn what_others_add_makes_no_difference() {
        let of = |metadata: Value, spec: Value| {
            comparable(&json!({"kind": "Workflow", "metadata": metadata, "spec": spec}), "ci")
        };
        let meta = || json!({"generateName": "a-"});
        let spec = || json!({"arguments": {"parameters": [{"name": "n", "value": 5}]}});
        let plain = of(meta(), spec());
        for (metadata, spec) in [
            (
                json!({"generateName": "a-", "name": "a-x7k2p", "namespace": "ci", "uid": "1"}),
                spec(),
            ),
            (json!({"generateName": "a-", "labels": {}, "annotations": null}), spec()),
            (
                json!({"generateName": "a-", "labels": {"workflows.argoproj.io/phase": "Failed"}}),
                spec(),
            ),
            (meta(), json!({"arguments": {"parameters": [{"name": "n", "value": "5"}]}})),
            (
                meta(),
                json!({"suspend": true, "templates": [], "arguments": {"parameters": [{"name": "n", "value": 5, "enum": null}]}}),
            ),
        ] {
            assert_eq!(of(metadata.clone(), spec.clone()), plain, "{metadata} {spec}");
        }
        for (metadata, spec) in [
            (json!({"generateName": "b-"}), spec()),
            (json!({"name": "a-x7k2p"}), spec()),
            (json!({"generateName": "a-", "namespace": "other"}), spec()),
            (json!({"generateName": "a-", "labels": {"team": "a"}}), spec()),
            (meta(), json!({"arguments": {"parameters": [{"name": "n", "value": "6"}]}})),
            (meta(), json!({"arguments": {"parameters": [{"name": "n", "value": ""}]}})),
            (meta(), json!({})),
        ] {
            assert_ne!(of(metadata.clone(), spec.clone()), plain, "{metadata} {spec}");
        }
    }
}
