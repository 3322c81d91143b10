//! The connections that the configuration makes.

use serde_json::Value;

use crate::engine::definitions::CompiledSensor;
use crate::load::Configuration;
use crate::query::GraphConfig;
use crate::query::graph::{GraphDependency, GraphSensor, GraphSource, GraphTrigger};

/// The connections that a configuration makes.
pub fn config(configuration: &Configuration) -> GraphConfig {
    let sources = configuration.events().into_iter();
    let sources = sources.map(|event| GraphSource {
        key: event.key,
        kind: event.kind.to_owned(),
        upstream: None,
        trouble: None,
    });
    let sensors = configuration.sensors.iter().map(|(name, loaded)| GraphSensor {
        name: name.clone(),
        dependencies: dependencies(&loaded.compiled),
        triggers: triggers(&loaded.compiled),
    });
    GraphConfig { sources: sources.collect(), sensors: sensors.collect() }
}

fn dependencies(compiled: &CompiledSensor) -> Vec<GraphDependency> {
    let dependencies = compiled.sensor.dependencies.iter().map(|dependency| GraphDependency {
        name: dependency.name.as_ref().to_owned(),
        source: dependency.key.source.clone(),
        event: dependency.key.name.clone(),
    });
    dependencies.collect()
}

/// The triggers of a sensor, each with where it acts.
fn triggers(compiled: &CompiledSensor) -> Vec<GraphTrigger> {
    let triggers = compiled.sensor.triggers.iter().filter_map(|trigger| {
        let rendering = compiled.triggers.get(&trigger.name.trigger)?;
        Some(GraphTrigger {
            name: trigger.name.trigger.clone(),
            kind: rendering.kind.to_owned(),
            conditions: (!trigger.conditions.is_empty()).then(|| trigger.conditions.to_string()),
            target: target(rendering.kind, &rendering.config()),
        })
    });
    triggers.collect()
}

/// What a message is sent to, as an outcome says it.
fn named(what: &str, config: &Value, field: &str) -> String {
    format!("{what} {}", config.get(field).and_then(Value::as_str).unwrap_or_default())
}

/// Where a trigger acts: the local target, a host, or what a message is sent to.
fn target(kind: &str, config: &Value) -> String {
    match kind {
        "http" => {
            let url = config.get("url").and_then(Value::as_str).unwrap_or_default();
            let after = url.split_once("://").map_or(url, |(_, rest)| rest);
            let authority = after.split(['/', '?', '#']).next().unwrap_or_default();
            // Whatever stands before an `@` may be a password.
            authority.rsplit('@').next().unwrap_or_default().to_owned()
        }
        "log" => "log".to_owned(),
        "nats" => named("subject", config, "subject"),
        "kafka" => named("topic", config, "topic"),
        "pubSub" => named("topic", config, "topic"),
        "sns" => named("topic", config, "topicArn"),
        "sqs" => named("queue", config, "queue"),
        _ => crate::daemon::LOCAL_TARGET.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::target;

    #[test]
    fn a_trigger_acts_on_a_host_on_what_it_sends_to_or_on_the_local_target() {
        for (kind, config, expected) in [
            ("http", json!({"url": "https://user:secret@chat.example.com/x"}), "chat.example.com"),
            (
                "nats",
                json!({"url": "nats://nats", "subject": "builds.done"}),
                "subject builds.done",
            ),
            ("kafka", json!({"topic": "builds"}), "topic builds"),
            ("sqs", json!({"queue": "builds"}), "queue builds"),
            ("argoWorkflow", json!({}), "local"),
        ] {
            assert_eq!(target(kind, &config), expected);
        }
    }
}
