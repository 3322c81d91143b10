//! Whether triggers can send their messages, with their credentials.

use std::sync::Arc;

use serde_json::Value;
use tripline_eventsources::BoxFuture;
use tripline_triggers::{Accounts, Identities};

use super::identity::accounts;
use super::{Finding, Probe, World};
use crate::daemon::messages::identities;
use crate::load::LoadedSensor;

/// Asks for what one configuration names.
type Ask = fn(Identities, Value, String, Option<String>) -> BoxFuture<'static, Answer>;
type Answer = Result<String, String>;

/// The kinds that can be asked.
const KINDS: &[(&str, Ask)] = &[
    #[cfg(feature = "kafka")]
    ("kafka", |identities, config, namespace, _| {
        Box::pin(async move {
            use tripline_triggers::kafka::KafkaTrigger;
            let config = read(config)?;
            KafkaTrigger::new(identities.secrets).probe(&config, &namespace).await
        })
    }),
    #[cfg(feature = "nats")]
    ("nats", |identities, config, namespace, _| {
        Box::pin(async move {
            use tripline_triggers::nats::NatsTrigger;
            let config = read(config)?;
            NatsTrigger::new(identities.secrets).probe(&config, &namespace).await
        })
    }),
    #[cfg(feature = "sqs")]
    ("sqs", |identities, config, namespace, account| {
        Box::pin(async move {
            use tripline_triggers::sqs::SqsTrigger;
            let config = read(config)?;
            SqsTrigger::new(identities).probe(&config, &namespace, account.as_deref()).await
        })
    }),
    #[cfg(feature = "sns")]
    ("sns", |identities, config, namespace, account| {
        Box::pin(async move {
            use tripline_triggers::sns::SnsTrigger;
            let config = read(config)?;
            SnsTrigger::new(identities).probe(&config, &namespace, account.as_deref()).await
        })
    }),
    #[cfg(feature = "pubsub")]
    ("pubSub", |identities, config, namespace, account| {
        Box::pin(async move {
            use tripline_triggers::pubsub::PubSubTrigger;
            let config = read(config)?;
            PubSubTrigger::new(identities).probe(&config, &namespace, account.as_deref()).await
        })
    }),
];

#[cfg(any(
    feature = "kafka",
    feature = "nats",
    feature = "sqs",
    feature = "sns",
    feature = "pubsub"
))]
fn read<T: serde::de::DeserializeOwned>(config: Value) -> Result<T, String> {
    serde_json::from_value(config).map_err(|error| error.to_string())
}

/// One for each trigger that sends messages.
pub fn probes(world: &World) -> Vec<Probe> {
    let sensors = world.configuration.sensors.values();
    let accounts = accounts(world);
    sensors.flat_map(|sensor| of_sensor(world, accounts.as_ref(), sensor)).collect()
}

fn of_sensor(
    world: &World,
    accounts: Option<&Arc<dyn Accounts>>,
    sensor: &LoadedSensor,
) -> Vec<Probe> {
    let object: Value = serde_json::from_str(&sensor.definition.json).unwrap_or_default();
    let account = object.pointer("/spec/template/serviceAccountName").and_then(Value::as_str);
    let triggers = object.pointer("/spec/triggers").and_then(Value::as_array);
    let mut probes = Vec::new();
    for template in triggers.into_iter().flatten().filter_map(|one| one.get("template")) {
        let name = template.get("name").and_then(Value::as_str).unwrap_or_default();
        let kinds = KINDS.iter().filter_map(|(kind, ask)| Some((ask, template.get(*kind)?)));
        for (ask, config) in kinds {
            let namespace = sensor.definition.name.namespace.clone();
            let subject = format!("{}/{name}", sensor.definition.name);
            let identities = identities(&world.secrets, accounts.cloned());
            let answer = ask(identities, config.clone(), namespace, account.map(str::to_owned));
            probes.push(Probe::new("trigger", subject, async move {
                vec![match answer.await {
                    Ok(said) => Finding::good(said),
                    Err(said) => Finding::wrong(said),
                }]
            }));
        }
    }
    probes
}
