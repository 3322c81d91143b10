//! A CronWorkflow or Schedule becomes a sensor on its own ticks.
//!
//! The sensor is never written anywhere: it is made again from the object, which is what the
//! bus keeps. It depends on the event `tick`, and has the trigger that the object describes.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tripline_config::{Dialect, FieldPath, Problem, Step, decode};
use tripline_event::{DefinitionHash, ObjectName};
use tripline_schedules::cron_workflow::{self, CronWorkflowSpec, Metadata};
use tripline_schedules::definition::Definition;
use tripline_schedules::policy::OverlapPolicy;
use tripline_schedules::schedule::{self, ScheduleResource};
use tripline_schedules::spec::SpecError;

use super::compiled::{CompiledSchedule, Does, Kind};
use super::events;
use crate::codes;

/// The name of the sensor's dependency on the tick.
pub const DEPENDENCY: &str = "tick";
/// Where a definition has the calendars of holidays that it names, beside `spec`.
pub const HOLIDAYS: &str = "holidays";
/// The name of its trigger.
pub const TRIGGER: &str = "run";

/// The annotation of a workflow with the time that it was scheduled for.
const SCHEDULED_TIME: &str = "workflows.argoproj.io/scheduled-time";
/// Labels of a CronWorkflow that its workflows have too.
const HANDED_ON: [&str; 4] = [
    "workflows.argoproj.io/controller-instanceid",
    "workflows.argoproj.io/creator",
    "workflows.argoproj.io/creator-email",
    "workflows.argoproj.io/creator-preferred-username",
];
/// Fields of an action that are the trigger's, and not its template's.
const OF_TRIGGER: [&str; 10] = [
    "parameters",
    "policy",
    "retryStrategy",
    "rateLimit",
    "atLeastOnce",
    "dlqTrigger",
    "maxInFlight",
    "expiresAfter",
    "clusters",
    "clusterFrom",
];

/// What an object was lowered to.
#[derive(Debug)]
pub struct Lowered {
    /// What decides when.
    pub schedule: CompiledSchedule,
    /// `spec` of the sensor that is its action; none where a tick is an event and no more.
    pub sensor: Option<Value>,
    /// What is worth saying, though the object can be used.
    pub warnings: Vec<Problem>,
}

/// Lowers an object of one of the two kinds. The paths of problems are those from the object
/// on.
///
/// # Errors
/// Everything that is wrong with it; what is wrong with its action is found when the sensor
/// is compiled.
pub fn lower(kind: Kind, hash: &DefinitionHash, json: &Value) -> Result<Lowered, Vec<Problem>> {
    let dialect = Dialect::of(json.get("apiVersion").and_then(Value::as_str).unwrap_or_default());
    let metadata = metadata(json);
    let object = ObjectName::new(&metadata.namespace, &metadata.name);
    let at = FieldPath::root().key("spec");
    let null = Value::Null;
    let spec = json.get("spec").unwrap_or(&null);
    let (definition, does, sensor, warnings) = match kind {
        Kind::CronWorkflow => {
            let (spec, warnings) = decode::<CronWorkflowSpec>(spec, &at, dialect)?;
            let definition = cron_workflow::compile(&metadata, &spec).map_err(problems)?;
            let sensor = of_cron_workflow(&metadata, &spec, &definition);
            (definition, Does::Trigger, Some(sensor), warnings)
        }
        Kind::Schedule => {
            let (mut resource, warnings) = decode::<ScheduleResource>(spec, &at, dialect)?;
            let holidays = json.get(HOLIDAYS).cloned().unwrap_or_default();
            resource.holidays = serde_json::from_value(holidays).unwrap_or_default();
            let definition = schedule::compile(&resource).map_err(problems);
            let action = of_action(&resource.action, &kind.source_of(&object));
            let (definition, (does, sensor)) = match (definition, action) {
                (Ok(definition), Ok(action)) => (definition, action),
                (definition, action) => {
                    let mut all = definition.err().unwrap_or_default();
                    all.extend(action.err());
                    return Err(all);
                }
            };
            (definition, does, sensor, warnings)
        }
    };
    let schedule = CompiledSchedule {
        kind,
        name: kind.source_of(&object),
        seed: object.to_string(),
        object,
        definition,
        hash: hash.clone(),
        does,
    };
    Ok(Lowered { schedule, sensor, warnings })
}

fn problems(errors: Vec<SpecError>) -> Vec<Problem> {
    let problem = |error: SpecError| {
        let problem = Problem::error(codes::SCHEDULE, error.path, error.message);
        match error.help {
            Some(help) => problem.help(help),
            None => problem,
        }
    };
    errors.into_iter().map(problem).collect()
}

fn metadata(json: &Value) -> Metadata {
    let metadata = json.get("metadata").cloned().unwrap_or_default();
    let text = |key: &str| metadata.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let texts = |key: &str| {
        let map = metadata.get(key).and_then(Value::as_object);
        let texts = map
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        texts.collect::<BTreeMap<_, _>>()
    };
    let namespace = match text("namespace") {
        namespace if namespace.is_empty() => tripline_event::name::DEFAULT_NAMESPACE.to_owned(),
        namespace => namespace,
    };
    Metadata {
        namespace,
        name: text("name"),
        labels: texts("labels"),
        annotations: texts("annotations"),
    }
}

fn dependencies(source: &ObjectName) -> Value {
    json!([{"name": DEPENDENCY, "eventSourceName": source.name, "eventName": events::TICK}])
}

/// A parameter that takes a text of the tick's data.
fn parameter(data_key: &str, dest: &str) -> Value {
    json!({"src": {"dependencyName": DEPENDENCY, "dataKey": data_key}, "dest": dest})
}

/// The workflow has the name, the labels and the annotations that Argo Workflows gives it.
fn of_cron_workflow(
    metadata: &Metadata,
    spec: &CronWorkflowSpec,
    definition: &Definition,
) -> Value {
    let mut labels: BTreeMap<&str, &str> = HANDED_ON
        .iter()
        .filter_map(|label| Some((*label, metadata.labels.get(*label)?.as_str())))
        .collect();
    labels.insert("workflows.argoproj.io/cron-workflow", &metadata.name);
    let own = spec.workflow_metadata.clone().unwrap_or_default();
    labels.extend(own.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    let mut parameters = vec![parameter("workflowName", "metadata.name")];
    if !own.annotations.contains_key(SCHEDULED_TIME) {
        let dest = format!("metadata.annotations.{}", SCHEDULED_TIME.replace('.', "\\."));
        parameters.push(parameter("scheduledTime", &dest));
    }
    let mut workflow = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {
            "namespace": metadata.namespace,
            "labels": labels,
            "annotations": own.annotations,
        },
        "spec": spec.workflow_spec,
    });
    if !own.finalizers.is_empty() {
        workflow["metadata"]["finalizers"] = json!(own.finalizers);
    }
    let object = ObjectName::new(&metadata.namespace, &metadata.name);
    let deadline = definition.policies.catch_up_window.as_secs();
    let mut trigger = json!({"template": {"name": TRIGGER, "argoWorkflow": {
        "operation": "submit",
        "source": {"resource": workflow},
        "parameters": parameters,
    }}});
    if deadline > 0 {
        // A submission that fails is tried again as long as it may be late.
        trigger["expiresAfter"] = json!(format!("{}s", deadline.max(60)));
    }
    let source = Kind::CronWorkflow.source_of(&object);
    let mut dependencies = dependencies(&source);
    let mut triggers = vec![trigger];
    if definition.policies.overlap == OverlapPolicy::Replace {
        // With a second dependency each trigger says which one it waits for.
        triggers[0]["template"]["conditions"] = json!(DEPENDENCY);
        triggers.push(stop(&metadata.namespace));
        if let Some(dependencies) = dependencies.as_array_mut() {
            let stop = json!({
                "name": events::STOP,
                "eventSourceName": source.name,
                "eventName": events::STOP,
            });
            dependencies.push(stop);
        }
    }
    json!({"dependencies": dependencies, "triggers": triggers})
}

/// Terminates the workflow of a run that another one replaces.
fn stop(namespace: &str) -> Value {
    let name = json!({"dependencyName": events::STOP, "dataKey": "workflowName"});
    json!({"template": {"name": events::STOP, "conditions": events::STOP, "argoWorkflow": {
        "operation": "terminate",
        "source": {"resource": {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"namespace": namespace, "name": ""},
        }},
        "parameters": [{"src": name, "dest": "metadata.name"}],
    }}})
}

/// What a tick of a Schedule does, and `spec` of the sensor, if there is one.
fn of_action(action: &Value, source: &ObjectName) -> Result<(Does, Option<Value>), Problem> {
    let at = FieldPath::root().key("spec").key("action");
    let help =
        "write `action: {argoWorkflow: {…}}`, another kind of trigger, or `action: {event: {}}`";
    let Some(action) = action.as_object() else {
        let message = "a Schedule needs `action`: what a tick does";
        return Err(Problem::error(codes::SCHEDULE, at, message).help(help));
    };
    if let Some(event) = action.get("event") {
        if let Some(other) = action.keys().find(|key| *key != "event") {
            let message = format!("`{other}` has no place beside `event`");
            return Err(Problem::error(codes::SCHEDULE, at.key(other), message));
        }
        return Ok((own_event(event, &at.key("event"))?, None));
    }
    let (of_trigger, of_template): (Map<_, _>, Map<_, _>) = action
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .partition(|(key, _)| OF_TRIGGER.contains(&key.as_str()));
    if of_template.is_empty() {
        let message = "the action names nothing that is done";
        return Err(Problem::error(codes::SCHEDULE, at, message).help(help));
    }
    let mut trigger = of_trigger;
    let mut template = of_template;
    template.insert("name".to_owned(), TRIGGER.into());
    trigger.insert("template".to_owned(), template.into());
    let spec = json!({"dependencies": dependencies(source), "triggers": [trigger]});
    Ok((Does::Trigger, Some(spec)))
}

fn own_event(event: &Value, at: &FieldPath) -> Result<Does, Problem> {
    let null = Value::Null;
    let fields = event.as_object();
    if fields.is_none() && !event.is_null() {
        let message = "`event` is a mapping with `name` and `data`";
        return Err(Problem::error(codes::SCHEDULE, at.clone(), message));
    }
    let unknown =
        fields.into_iter().flatten().find(|(key, _)| !["name", "data"].contains(&key.as_str()));
    if let Some((key, _)) = unknown {
        let message = format!("unknown field `{key}`");
        return Err(Problem::error(codes::SCHEDULE, at.key(key), message)
            .help("an event has `name` and `data`"));
    }
    let name = match event.get("name").unwrap_or(&null) {
        Value::Null => events::TICK,
        Value::String(name) if is_event_name(name) => name,
        other => {
            let message = format!("{other} is no name of an event of its own");
            return Err(Problem::error(codes::SCHEDULE, at.key("name"), message).help(
                "letters, digits, `-`, `_` and `.`; not a name that schedules use themselves",
            ));
        }
    };
    let data = event.get("data").cloned().unwrap_or_default();
    Ok(Does::Event { name: name.to_owned(), data })
}

fn is_event_name(name: &str) -> bool {
    let taken = [events::SKIPPED, events::ENDED, events::STOP, events::CHANGED, events::COMMAND];
    !name.is_empty()
        && name.len() <= 63
        && !taken.contains(&name)
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// The place in the object of what was found at a place in the sensor.
pub fn original(kind: Kind, path: &FieldPath) -> FieldPath {
    let spec = FieldPath::root().key("spec");
    let in_trigger = path.0.get(3..).unwrap_or_default();
    let rest = match in_trigger {
        [Step::Key(template), rest @ ..] if template == "template" => rest,
        rest => rest,
    };
    match kind {
        Kind::Schedule => {
            let mut original = spec.key("action");
            original.0.extend(rest.iter().cloned());
            original
        }
        Kind::CronWorkflow => {
            let steps = ["argoWorkflow", "source", "resource", "spec"];
            let in_workflow = steps
                .iter()
                .zip(rest)
                .all(|(expected, step)| matches!(step, Step::Key(key) if key == expected));
            let mut original = spec.key("workflowSpec");
            if in_workflow {
                original.0.extend(rest.iter().skip(steps.len()).cloned());
            }
            original
        }
    }
}
