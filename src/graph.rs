//! The connections that the configuration makes.

use std::collections::BTreeSet;

use serde_json::Value;
use tripline_event::EventKey;

use crate::engine::definitions::CompiledSensor;
use crate::load::Configuration;
use crate::load::interop::InteropBus;
use crate::query::GraphConfig;
use crate::query::graph::{GraphDependency, GraphSensor, GraphSource, GraphTrigger};

/// The connections that a configuration makes.
pub fn config(configuration: &Configuration) -> GraphConfig {
    let sources = configuration.sources.values().flat_map(|source| {
        let bus = configuration.interop.get(&source.bus());
        source.events.iter().map(move |event| GraphSource {
            key: event.key.clone(),
            kind: event.kind.to_owned(),
            upstream: bus.map(|bus| format!("also sent to {}", argo_events(bus))),
            trouble: None,
        })
    });
    let mut sources: Vec<GraphSource> = sources.collect();
    add_argo_events(configuration, &mut sources);
    let sensors = configuration.sensors.iter().map(|(name, loaded)| GraphSensor {
        name: name.clone(),
        dependencies: dependencies(&loaded.compiled),
        triggers: triggers(&loaded.compiled),
    });
    GraphConfig { sources, sensors: sensors.collect() }
}

fn argo_events(bus: &InteropBus) -> String {
    let url = without_password(&bus.server.url);
    format!("Argo Events' bus {} at {url}", bus.object)
}

/// The addresses, without what stands before an `@`: that may be a password.
fn without_password(url: &str) -> String {
    let plain = |address: &str| match (address.find("://"), address.rfind('@')) {
        (Some(scheme), Some(at)) => format!("{}{}", &address[..scheme + 3], &address[at + 1..]),
        (None, Some(at)) => address[at + 1..].to_owned(),
        _ => address.to_owned(),
    };
    url.split(',').map(plain).collect::<Vec<_>>().join(",")
}

/// Argo Events' event sources, as far as sensors here wait for their events.
fn add_argo_events(configuration: &Configuration, sources: &mut Vec<GraphSource>) {
    if configuration.interop.is_empty() {
        return;
    }
    let mut known: BTreeSet<EventKey> = sources.iter().map(|source| source.key.clone()).collect();
    for sensor in configuration.sensors.values() {
        let Some(bus) = configuration.interop.get(&sensor.bus()) else { continue };
        if sensor.compiled.schedule.is_some() {
            continue;
        }
        for dependency in &sensor.compiled.sensor.dependencies {
            if known.insert(dependency.key.clone()) {
                sources.push(GraphSource {
                    key: dependency.key.clone(),
                    kind: crate::interop::KIND.to_owned(),
                    upstream: Some(argo_events(bus)),
                    trouble: None,
                });
            }
        }
    }
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
