//! What can be configured for a message to Kafka.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tripline_config::{FieldPath, Problem};
use tripline_kafka::{SaslConfig, Security, TlsConfig, brokers, is_topic};

use crate::http::SecureHeader;
use crate::{codes, payload};

/// The longest that messages may be gathered, in milliseconds.
const LONGEST_FLUSH: i32 = 10_000;

/// Produces a message to a topic of Apache Kafka.
///
/// It is a success when the broker has acknowledged the message. Lost connections and timeouts
/// are tried again; no right, no such topic and a message that is too large are a dead letter.
/// Each message carries the headers `x-correlation-id`, `x-causation-id`, `x-tripline-hops`,
/// `x-tripline-path` and `traceparent`, and those of a CloudEvent in binary mode (`ce_id`,
/// `ce_source`, `ce_type`, …), unless `headers` say otherwise. Within an attempt the producer
/// writes a message once; an attempt without an answer may have written it, and is made again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaConfig {
    /// Brokers to begin with, `host:port` with commas between them.
    pub url: String,
    /// The topic.
    pub topic: String,
    /// What of the events makes up the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Vec<Value>>,
    /// Values of the events that are put into this configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Vec<Value>>,
    /// The message's key: messages with the same key go to the same partition, the one that
    /// Argo Events' client takes, too. Without a key a partition is chosen at random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitioning_key: Option<String>,
    /// It means nothing, as in Argo Events, and is a warning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<i32>,
    /// The version of Kafka, as in Argo Events. It is agreed with the broker by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Who must have the message before it counts as taken: -1, also if not given or 0, all
    /// replicas that are in sync; 1, the leader alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_acks: Option<i32>,
    /// Compresses messages with Snappy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compress: Option<bool>,
    /// How many milliseconds messages are gathered before they are sent, up to 10000; those of
    /// a moment if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flush_frequency: Option<i32>,
    /// TLS, in programs that were built with the feature `kafka-tls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
    /// User and password. SCRAM only in programs that were built with the feature `kafka-tls`.
    /// A changed secret is taken up at the next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sasl: Option<SaslConfig>,
    /// Not supported, and refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_registry: Option<Value>,
    /// Headers of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<BTreeMap<String, String>>,
    /// Headers whose values are kept in Secrets or ConfigMaps; they replace `headers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure_headers: Option<Vec<SecureHeader>>,
}

impl KafkaConfig {
    /// What is wrong with what stands under the key.
    pub(crate) fn problems(&self, at: &FieldPath) -> Vec<Problem> {
        let mut problems = self.mistakes(at);
        if self.partition.is_some() {
            let message = "`partition` means nothing: `partitioningKey` chooses the partition";
            let problem = Problem::warning(codes::KAFKA_CONFIG, at.key("partition"), message);
            problems.push(problem.help("remove it"));
        }
        problems.extend(payload::missing(self.payload.as_ref(), at));
        problems
    }

    /// What is wrong with what is left of it when the payload is rendered.
    pub(super) fn mistakes(&self, at: &FieldPath) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut say = |code, field: &str, message: String| {
            problems.push(Problem::error(code, at.key(field), message));
        };
        if let Err(message) = brokers(&self.url) {
            say(codes::KAFKA_TOPIC, "url", message);
        }
        if !is_topic(&self.topic) {
            let message = format!(
                "topic is {:?}, expected up to 249 letters, digits, `.`, `_` and `-`",
                self.topic
            );
            say(codes::KAFKA_TOPIC, "topic", message);
        }
        if let acks @ (..-1 | 2..) = self.required_acks.unwrap_or(-1) {
            let message = format!("requiredAcks is {acks}, expected -1 (all replicas) or 1");
            say(codes::KAFKA_CONFIG, "requiredAcks", message);
        }
        if let flush @ (..0 | 10_001..) = self.flush_frequency.unwrap_or(0) {
            let message = format!("flushFrequency is {flush} ms, expected 0 to {LONGEST_FLUSH}");
            say(codes::KAFKA_CONFIG, "flushFrequency", message);
        }
        if self.schema_registry.as_ref().is_some_and(|value| !value.is_null()) {
            let message = "`schemaRegistry` is not supported".to_owned();
            say(codes::KAFKA_NOT_SUPPORTED, "schemaRegistry", message);
        }
        for (index, secure) in self.secure_headers.iter().flatten().enumerate() {
            if secure.kept().is_none() {
                let message = "expected one of `secretKeyRef` and `configMapKeyRef`";
                let at = at.key("secureHeaders").index(index).key("valueFrom");
                problems.push(Problem::error(codes::SECURE_HEADER, at, message));
            }
        }
        for mistake in Security::resolve(self.tls.as_ref(), self.sasl.as_ref()).1 {
            let at = mistake.path.into_iter().fold(at.clone(), |at, key| at.key(key));
            let code = if mistake.left_out { codes::KIND_NOT_SUPPORTED } else { codes::KAFKA_AUTH };
            let problem = Problem::error(code, at, mistake.message);
            problems.push(match mistake.help {
                Some(help) => problem.help(help),
                None => problem,
            });
        }
        problems
    }

    /// Whether all replicas must have the message.
    pub(super) fn needs_all(&self) -> bool {
        // Argo Events takes 0 as "not given".
        self.required_acks != Some(1)
    }

    pub(super) fn linger(&self) -> Option<Duration> {
        let flush = self.flush_frequency.filter(|flush| *flush > 0)?;
        Some(Duration::from_millis(u64::from(flush.unsigned_abs())))
    }

    pub(super) fn key(&self) -> Option<&str> {
        self.partitioning_key.as_deref().filter(|key| !key.is_empty())
    }
}
