//! `tripline schema`: JSON Schemas for editors, and sample events.

use serde_json::{Map, Value, json};
use tripline_config::schema_of;
use tripline_sensors::definition::SensorSpec;

/// The kinds of objects that have a schema.
pub const KINDS: &[&str] = &["Sensor", "EventSource", "EventBus", "SensorTest"];

/// The schema of every object that has one, as one that fits any of them.
pub fn all() -> Value {
    let each: Vec<Value> = KINDS.iter().filter_map(|kind| of(kind)).collect();
    json!({"$schema": DRAFT, "title": "Tripline", "oneOf": each})
}

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The names of everything that has a schema.
pub fn names() -> Vec<&'static str> {
    let sources = tripline_eventsources::kinds::KINDS.iter();
    let sources = sources.filter(|kind| kind.is_implemented()).map(|kind| kind.key);
    let triggers = tripline_triggers::kinds::KINDS.iter();
    let triggers = triggers.filter(|kind| kind.is_implemented()).map(|kind| kind.key);
    KINDS.iter().copied().chain(sources).chain(triggers).collect()
}

/// The schema of a kind of objects, of a kind of event sources (`webhook`) or of triggers
/// (`argoWorkflow`); none where there is none of that name.
pub fn of(kind: &str) -> Option<Value> {
    let wanted = |name: &&&str| name.eq_ignore_ascii_case(kind);
    match KINDS.iter().find(wanted).copied() {
        Some("Sensor") => Some(object("Sensor", sensor_spec())),
        Some("EventSource") => Some(object("EventSource", event_source_spec())),
        Some("EventBus") => {
            let spec = schema_of::<crate::load::event_bus::EventBusSpec>();
            Some(object("EventBus", spec.as_ref().clone()))
        }
        Some("SensorTest") => {
            let spec = schema_of::<crate::sensor_test::spec::SensorTestSpec>();
            let mut schema = object("SensorTest", spec.as_ref().clone());
            schema["properties"]["apiVersion"] = json!({"const": "tripline.dev/v1"});
            Some(schema)
        }
        _ => {
            let source = tripline_eventsources::kinds::kind(kind).and_then(|kind| kind.schema());
            let trigger = || tripline_triggers::kinds::kind(kind).and_then(|kind| kind.schema());
            source.or_else(trigger).map(|schema| schema.to_value())
        }
    }
}

/// An object of this kind, with the schema of its `spec`.
fn object(kind: &str, mut spec: Value) -> Value {
    let definitions = spec.as_object_mut().and_then(|spec| spec.remove("$defs"));
    let versions = ["argoproj.io/v1alpha1", "tripline.dev/v1"];
    json!({
        "$schema": DRAFT,
        "title": kind,
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {"enum": versions},
            "kind": {"const": kind},
            "metadata": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string"},
                    "namespace": {"type": "string", "description": "`default` where it is not given."},
                },
            },
            "spec": spec,
        },
        "$defs": definitions.unwrap_or_else(|| json!({})),
    })
}

/// `spec` of a sensor, with the schemas of the kinds of triggers in their places.
fn sensor_spec() -> Value {
    let mut spec = schema_of::<SensorSpec>().as_ref().clone();
    let mut definitions = Map::new();
    let mut kinds = Vec::new();
    for kind in tripline_triggers::kinds::KINDS {
        if let Some(schema) = kind.schema() {
            kinds.push((kind.key, placed(kind.key, schema.to_value(), &mut definitions)));
        }
    }
    let Some(all) = spec.get_mut("$defs").and_then(Value::as_object_mut) else { return spec };
    if let Some(fields) =
        all.get_mut("TriggerTemplate").and_then(|template| template.get_mut("properties"))
    {
        for (key, schema) in kinds {
            fields[key] = schema;
        }
    }
    all.extend(definitions);
    spec
}

/// `spec` of an event source: events by name, below their kinds.
fn event_source_spec() -> Value {
    let mut definitions = Map::new();
    let mut fields = Map::new();
    for kind in tripline_eventsources::kinds::KINDS {
        if let Some(schema) = kind.schema() {
            let event = placed(kind.key, schema.to_value(), &mut definitions);
            let events = json!({"type": "object", "additionalProperties": event});
            fields.insert(kind.key.to_owned(), events);
        }
    }
    json!({"type": "object", "properties": fields, "$defs": definitions})
}

/// A schema whose definitions are put among those of others, under names of its own.
fn placed(key: &str, mut schema: Value, definitions: &mut Map<String, Value>) -> Value {
    rename(&mut schema, key);
    let Some(fields) = schema.as_object_mut() else { return schema };
    fields.remove("$schema");
    if let Some(Value::Object(own)) = fields.remove("$defs") {
        definitions.extend(own.into_iter().map(|(name, value)| (format!("{key}.{name}"), value)));
    }
    schema
}

fn rename(schema: &mut Value, key: &str) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(target)) = fields.get_mut("$ref")
                && let Some(name) = target.strip_prefix("#/$defs/")
            {
                *target = format!("#/$defs/{key}.{name}");
            }
            fields.values_mut().for_each(|field| rename(field, key));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, key)),
        _ => {}
    }
}

/// A sample of an event's data, as filters and parameters see it; none where there is none
/// for that kind of event source.
pub fn sample_event(kind: &str) -> Option<Value> {
    Some(match kind {
        "webhook" => json!({
            "header": {"Content-Type": ["application/json"], "User-Agent": ["curl/8.5.0"]},
            "body": {"action": "completed", "correlation_id": "build-4711"},
        }),
        "calendar" => json!({
            "eventTime": "2026-11-21 03:00:00 +0000 UTC",
            "userPayload": {"report": "nightly"},
            "metadata": {},
        }),
        "sqs" => json!({
            "messageId": "5fea7756-0ea4-451a-a703-a558b933e274",
            "messageAttributes": {"correlation-id": {
                "BinaryListValues": null, "BinaryValue": null, "DataType": "String",
                "StringListValues": null, "StringValue": "build-4711",
            }},
            "body": {"action": "completed"},
        }),
        "sns" => json!({
            "header": {
                "Content-Type": ["text/plain; charset=UTF-8"],
                "X-Amz-Sns-Message-Type": ["Notification"],
            },
            "body": {
                "Type": "Notification",
                "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
                "TopicArn": "arn:aws:sns:eu-central-1:123456789012:builds",
                "Message": "{\"action\": \"completed\"}",
                "Timestamp": "2026-11-21T03:00:00.000Z",
                "SignatureVersion": "1",
                "Signature": "EXAMPLEpH+DcEwjAPg8O9mY8dReBSwksfg2S7WKQcikcNKWLQjwu6A4VbeS0QHVCkhRS7fUQvi2egU3N858fiTDN6bkkOxYDVrY0Ad8L10Hs3zH81mtnPk5uvvolIC1CXGu43obcgFxeL3khZl8IKvO61GWB6jI9b5+gLPoBc1Q=",
                "SigningCertURL": "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0000.pem",
                "UnsubscribeURL": "https://sns.eu-central-1.amazonaws.com/?Action=Unsubscribe",
            },
        }),
        "kafka" => json!({
            "topic": "builds",
            "key": "shop",
            "partition": 0,
            "body": {"action": "completed"},
            "timestamp": "2026-11-21 03:00:00 +0000 UTC",
            "headers": {"x-correlation-id": "build-4711"},
        }),
        "nats" => json!({
            "subject": "builds.completed",
            "body": {"action": "completed"},
            "header": {"x-correlation-id": ["build-4711"]},
        }),
        "pubSub" => json!({
            "id": "11471",
            "body": {"action": "completed"},
            "attributes": {"correlation-id": "build-4711"},
            "publishTime": "2026-11-21 03:00:00 +0000 UTC",
        }),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each reference of a schema leads somewhere.
    fn dangling(schema: &Value, root: &Value, found: &mut Vec<String>) {
        match schema {
            Value::Object(fields) => {
                if let Some(Value::String(target)) = fields.get("$ref")
                    && root.pointer(target.trim_start_matches('#')).is_none()
                {
                    found.push(target.clone());
                }
                fields.values().for_each(|field| dangling(field, root, found));
            }
            Value::Array(items) => items.iter().for_each(|item| dangling(item, root, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_of_a_schema_leads_somewhere() {
        for kind in ["sensor", "EventSource", "EventBus", "SensorTest", "webhook", "argoWorkflow"] {
            let schema = of(kind).unwrap();
            let mut found = Vec::new();
            dangling(&schema, &schema, &mut found);
            assert_eq!(found, [""; 0], "{kind}");
        }
        assert_eq!(of("Pigeon"), None);
    }

    /// What Tripline itself loads is valid by the schema that it prints.
    #[test]
    fn the_examples_of_all_kinds_are_valid_by_the_printed_schemas() {
        let sources = tripline_eventsources::kinds::KINDS.iter().filter_map(|kind| kind.example());
        let triggers = tripline_triggers::kinds::KINDS.iter().filter_map(|kind| kind.example());
        for example in sources.chain(triggers) {
            let input = tripline_config::Input::text("example.yaml", example);
            for object in tripline_config::load(&[input], crate::load::KINDS).objects {
                let Some(schema) = of(&object.kind) else { continue };
                let dialect = tripline_config::Dialect::Tripline;
                let problems = tripline_config::validate(&schema, &object.value, dialect);
                let errors: Vec<_> = problems
                    .iter()
                    .filter(|problem| !problem.path.to_string().starts_with("metadata"))
                    .collect();
                assert!(errors.is_empty(), "{}: {errors:?}", object.title());
            }
        }
    }

    #[test]
    fn each_kind_of_event_source_has_a_sample_event() {
        for kind in tripline_eventsources::kinds::KINDS.iter().filter(|kind| kind.is_implemented())
        {
            assert!(sample_event(kind.key).is_some(), "{}", kind.key);
        }
    }
}
