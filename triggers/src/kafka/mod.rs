//! `kafka`: produces a message to a topic of Apache Kafka.
//!
//! It is a success when the broker has acknowledged the message, and not before. An attempt
//! without an answer may have been written, and is made again: Kafka does not recognise a message
//! that another producer has sent. Whoever reads both sees the same `x-causation-id`.

mod config;
mod producer;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Header, OwnedHeaders};
use serde::Deserialize as _;
use sha2::{Digest as _, Sha256};
use tripline_config::{FieldPath, Severity};
use tripline_event::Cause;
use tripline_event::outcome::TargetResult;
use tripline_kafka::Security;

pub use config::KafkaConfig;
use producer::{ATTEMPT, Failure, Producer};

use crate::http::Kept;
use crate::message_headers::{HeaderRules, headers};
use crate::pool::Pool;
use crate::{Attempt, BoxFuture, RenderedAction, SecretLookup, Trigger, TriggerError};

/// The key under `template`.
pub const KIND: &str = "kafka";

/// A complete sensor with such a trigger.
pub const EXAMPLE: &str = include_str!("example.yaml");

/// What makes one producer differ from another: a hash of where it sends, and as whom.
type Target = [u8; 32];

/// The kind `kafka`.
pub struct KafkaTrigger {
    secrets: Arc<dyn SecretLookup>,
    producers: Pool<Target, Producer>,
    /// See [`ATTEMPT`].
    attempt: Duration,
}

impl KafkaTrigger {
    /// Takes secrets from `secrets`.
    pub fn new(secrets: Arc<dyn SecretLookup>) -> Self {
        Self { secrets, producers: Pool::default(), attempt: ATTEMPT }
    }

    async fn send(&self, rendered: &RenderedAction) -> Result<TargetResult, TriggerError> {
        let config = KafkaConfig::deserialize(&rendered.config)
            .map_err(|error| invalid(format!("`kafka` is not valid: {error}")))?;
        let namespace = &rendered.action.trigger.namespace;
        let Some(payload) = rendered.payload.as_deref().filter(|payload| !payload.is_empty())
        else {
            return Err(invalid("the payload is empty: `payload` says what the message holds"));
        };
        let headers = self.headers(rendered, &config)?;
        let (target, producer) = self.producer(&config, namespace).await?;
        match producer.send(&config.topic, config.key(), headers, payload).await {
            Ok(delivery) => Ok(TargetResult::Message {
                to: format!("topic {}", config.topic),
                id: format!("{}:{}", delivery.partition, delivery.offset),
            }),
            Err(failure) => {
                if failure.code == RDKafkaErrorCode::Fatal {
                    self.producers.forget(&target);
                }
                Err(error(failure, &producer))
            }
        }
    }

    /// The producer for this configuration, with the credentials that there are now.
    async fn producer(
        &self,
        config: &KafkaConfig,
        namespace: &str,
    ) -> Result<(Target, Arc<Producer>), TriggerError> {
        let wrong = config.mistakes(&FieldPath::root());
        if let Some(problem) = wrong.iter().find(|problem| problem.severity == Severity::Error) {
            return Err(invalid(format!("`kafka`: {}: {}", problem.path, problem.message)));
        }
        let (security, _) = Security::resolve(config.tls.as_ref(), config.sasl.as_ref());
        let read = |secret: &_| Ok(self.secrets.secret(namespace, secret)?.expose().to_vec());
        // It may be made yet.
        let credentials = security.read(read).map_err(not_done)?;
        let target = target(config, namespace);
        let make = async || Producer::new(config, &security, credentials.clone(), self.attempt);
        let producer = self.producers.get(&target, make).await.map_err(invalid)?;
        if producer.credentials == credentials {
            return Ok((target, producer));
        }
        self.producers.forget(&target);
        let producer = self.producers.get(&target, make).await.map_err(invalid)?;
        Ok((target, producer))
    }

    /// What the sensor says, and what tells of the action where it does not say otherwise.
    fn headers(
        &self,
        rendered: &RenderedAction,
        config: &KafkaConfig,
    ) -> Result<OwnedHeaders, TriggerError> {
        let mut all: Vec<(String, Vec<u8>)> = Vec::new();
        let own = headers(&rendered.action, HeaderRules::KAFKA);
        all.extend(own.into_iter().map(|(name, value)| (name, value.into_bytes())));
        for (name, value) in config.headers.iter().flatten() {
            replace(&mut all, name, value.as_bytes().to_vec());
        }
        let namespace = &rendered.action.trigger.namespace;
        for secure in config.secure_headers.iter().flatten() {
            let found = match secure.kept() {
                Some(Kept::Secret(of)) => {
                    let secret = self.secrets.secret(namespace, of);
                    (secret.map(|secret| secret.expose().to_vec()), of.optional)
                }
                Some(Kept::ConfigMap(of)) => {
                    let text = self.secrets.config_map(namespace, of);
                    (text.map(String::into_bytes), of.optional)
                }
                None => return Err(invalid("a secure header names no secret")),
            };
            match found {
                (Ok(value), _) => replace(&mut all, &secure.name, value),
                (Err(_), Some(true)) => {}
                (Err(reason), _) => return Err(not_done(reason)),
            }
        }
        let headers = OwnedHeaders::new_with_capacity(all.len());
        Ok(all.iter().fold(headers, |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        }))
    }

    /// Asks for the topic of `config`, as a sensor of `namespace` would. Nothing is sent.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub async fn probe(&self, config: &KafkaConfig, namespace: &str) -> Result<String, String> {
        let (_, producer) =
            self.producer(config, namespace).await.map_err(|error| error.to_string())?;
        let topic = config.topic.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let partitions = producer.ask(&topic).map_err(|failure| failure.reason)?;
            Ok(format!("topic `{topic}` is there with {partitions} partitions"))
        });
        asked.await.map_err(|error| format!("asking failed: {error}"))?
    }
}

impl Trigger for KafkaTrigger {
    /// There is nothing to look at before: a topic is not searched for a message.
    fn asks_for_earlier_attempts(&self) -> bool {
        false
    }

    fn carry_out<'a>(
        &'a self,
        attempt: Attempt<'a>,
    ) -> BoxFuture<'a, Result<TargetResult, TriggerError>> {
        Box::pin(self.send(attempt.rendered))
    }
}

/// What is sent has no part in it, nor has what a secret holds.
fn target(config: &KafkaConfig, namespace: &str) -> Target {
    let of = serde_json::json!([
        namespace,
        config.url,
        config.tls,
        config.sasl,
        config.needs_all(),
        config.compress,
        config.flush_frequency,
    ]);
    Sha256::digest(of.to_string()).into()
}

/// A header takes the place of those with its name, in any case.
fn replace(all: &mut Vec<(String, Vec<u8>)>, name: &str, value: Vec<u8>) {
    all.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    all.push((name.to_owned(), value));
}

fn error(failure: Failure, producer: &Producer) -> TriggerError {
    use RDKafkaErrorCode as Code;
    let Failure { code, reason } = failure;
    let refused = |cause, reason| TriggerError::Refused { cause, reason };
    match code {
        Code::MessageSizeTooLarge
        | Code::InvalidMessage
        | Code::InvalidMessageSize
        | Code::InvalidRecord
        | Code::InvalidTopic => refused(Cause::Invalid, reason),
        Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => {
            refused(Cause::Forbidden, reason)
        }
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
            refused(Cause::NotFound, reason)
        }
        Code::QueueFull => not_done("too many messages wait for the broker".to_owned()),
        _ if producer.is_stranger() => not_done(reason),
        _ => TriggerError::Retry { reason, after: None },
    }
}

fn not_done(reason: String) -> TriggerError {
    TriggerError::NotDone { reason, after: None }
}

/// What is configured will never work.
fn invalid(reason: impl Into<String>) -> TriggerError {
    TriggerError::Refused { cause: Cause::Render, reason: reason.into() }
}
