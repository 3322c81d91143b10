//! What can be configured for a topic.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tripline_config::{FieldPath, Problem};
use tripline_kafka::{Credentials, Mistake, SaslConfig, Security, TlsConfig, brokers, is_topic};
use tripline_schedules::duration;

use super::limits::MAX_PER_SECOND;
use super::sarama;
use crate::again::{FIRST_PAUSE, LONGEST_PAUSE};
use crate::fields::{Correlation, EventFilter, data_end, take};
use crate::{SecretLookup, codes};

/// The longest pause that `connectionBackoff` may lead to.
const LONGEST_BACKOFF: f64 = 300.0;

/// The messages of a topic of Apache Kafka.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaConfig {
    /// Brokers to begin with, `host:port` with commas between them.
    pub url: String,
    /// The topic.
    pub topic: String,
    /// The one partition that is read, where there is no `consumerGroup`: a number, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// The group that divides the topic's partitions among its members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer_group: Option<ConsumerGroup>,
    /// The version of Kafka, as in Argo Events. It is agreed with the broker by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The pauses before connecting is tried again: the first, and by `factor` and `steps` the
    /// longest. It is never given up. If not given: 100 ms to 5 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_backoff: Option<Backoff>,
    /// TLS, in programs that were built with the feature `kafka-tls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
    /// User and password. SCRAM only in programs that were built with the feature `kafka-tls`.
    /// A changed secret is taken up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sasl: Option<SaslConfig>,
    /// Not supported, and refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_msk_iam_auth: Option<Value>,
    /// Messages are JSON and stand in the data as they are; one that is not becomes a dead
    /// letter. Otherwise the data has them in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_body: Option<bool>,
    /// How many events a second are taken in at most; as many as come if not given or 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_events_per_second: Option<i64>,
    /// Settings of Argo Events' client (sarama), as a text of YAML: those that this client has
    /// are obeyed, others are a warning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// Not supported, and refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_registry: Option<Value>,
    /// Copied into each event's data, under `metadata`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    /// What must be true of the event's data. A message for which it is not is no event, and
    /// counts as taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<EventFilter>,
    /// Where an event has its correlation id, if not in one of the usual places (headers and
    /// body).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub correlation: Option<Correlation>,
    /// Messages are CloudEvents, in binary or structured mode: what they say of themselves is
    /// kept, and the data's `body` is their data. What is none becomes a dead letter. Then
    /// `jsonBody` means nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub cloud_events: Option<bool>,
}

/// A group of consumers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerGroup {
    /// Its name. All event sources with the same name are its members.
    pub group_name: String,
    /// A partition of which the group has read nothing is read from its oldest message; from
    /// the time at which the group comes to it if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<bool>,
    /// How partitions are divided: `range` (if not given), `roundrobin`, or `sticky`, which is
    /// the client's cooperative one. All members must have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebalance_strategy: Option<String>,
}

/// Pauses (Argo Events' `Backoff`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Backoff {
    /// The first pause: `1s`, or a number of nanoseconds; one second if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Value>,
    /// By how much each pause is longer than the one before; 1 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<Value>,
    /// Pauses are spread in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Value>,
    /// After so many tries pauses do not get longer; 5 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<i64>,
}

/// What is read of the topic.
#[derive(Clone, Debug)]
pub enum Part {
    /// Partitions that a group gives to this member.
    Group {
        name: String,
        oldest: bool,
        /// The client's name of it.
        strategy: &'static str,
    },
    /// This partition alone.
    Partition(i32),
}

/// A topic whose configuration is right.
#[derive(Clone, Debug)]
pub struct Kafka {
    /// `host:port`, with commas.
    pub(super) brokers: String,
    pub(super) topic: String,
    pub(super) part: Part,
    pub(super) security: Security,
    /// The first and the longest pause before a connection is tried again.
    pub(super) pauses: (Duration, Duration),
    pub(super) json_body: bool,
    pub(super) cloud_events: bool,
    pub(super) per_second: Option<u32>,
    /// Settings of the client.
    pub(super) properties: Vec<(&'static str, String)>,
    /// The end of each event's data: `,"metadata":{…}}` or `}`.
    pub(super) data_end: String,
}

impl Kafka {
    /// The present values of its secrets.
    pub(super) fn credentials(
        &self,
        namespace: &str,
        secrets: &dyn SecretLookup,
    ) -> Result<Credentials, String> {
        self.security.read(|secret| Ok(secrets.secret(namespace, secret)?.to_vec()))
    }

    /// The first broker, which is a part of the ids of events.
    pub(super) fn first_broker(&self) -> &str {
        self.brokers.split(',').next().unwrap_or_default()
    }

    /// Whether its messages may be waited for by others: its brokers are not on this machine.
    pub fn is_real(&self) -> bool {
        self.brokers.split(',').any(|broker| {
            let host = broker.rsplit_once(':').map_or(broker, |(host, _)| host);
            let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
            host != "localhost" && !address.is_ok_and(|address| address.is_loopback())
        })
    }
}

impl KafkaConfig {
    /// The topic, or what is wrong with its configuration, which is at `at`.
    pub fn resolve(&self, at: &FieldPath) -> (Option<Kafka>, Vec<Problem>) {
        let mut problems = Vec::new();
        let found = &mut problems;
        for (given, field) in
            [(&self.aws_msk_iam_auth, "awsMskIamAuth"), (&self.schema_registry, "schemaRegistry")]
        {
            if given.as_ref().is_some_and(|value| !value.is_null()) {
                let message = format!("`{field}` is not supported");
                found.push(Problem::error(codes::KAFKA_NOT_SUPPORTED, at.key(field), message));
            }
        }
        let (security, mistakes) = Security::resolve(self.tls.as_ref(), self.sasl.as_ref());
        found.extend(mistakes.into_iter().map(|mistake| problem(mistake, at)));
        let properties = self.config.as_deref().filter(|text| !text.trim().is_empty());
        let properties = properties
            .map(|text| sarama::properties(text, &at.key("config"), found))
            .unwrap_or_default();
        let brokers = take(self.brokers(at), found);
        let topic = take(self.topic(at), found);
        let part = take(self.part(at), found);
        let pauses = take(self.pauses(&at.key("connectionBackoff")), found);
        let per_second = take(self.per_second(at), found);
        found.extend(self.version_problem(at));
        let kafka = (|| {
            Some(Kafka {
                brokers: brokers?,
                topic: topic?,
                part: part?,
                security,
                pauses: pauses?,
                json_body: self.json_body == Some(true),
                cloud_events: self.cloud_events == Some(true),
                per_second: per_second?,
                properties,
                data_end: data_end(self.metadata.as_ref()),
            })
        })();
        let wrong = |p: &Problem| p.severity == tripline_config::Severity::Error;
        (kafka.filter(|_| !problems.iter().any(wrong)), problems)
    }

    fn brokers(&self, at: &FieldPath) -> Result<String, Problem> {
        brokers(&self.url)
            .map_err(|message| Problem::error(codes::KAFKA_TOPIC, at.key("url"), message))
    }

    fn topic(&self, at: &FieldPath) -> Result<String, Problem> {
        if is_topic(&self.topic) {
            return Ok(self.topic.clone());
        }
        let message = format!(
            "topic is {:?}, expected up to 249 letters, digits, `.`, `_` and `-`",
            self.topic
        );
        Err(Problem::error(codes::KAFKA_TOPIC, at.key("topic"), message))
    }

    /// As in Argo Events, `partition` means nothing beside a group.
    fn part(&self, at: &FieldPath) -> Result<Part, Problem> {
        let error = |at, message: String| Problem::error(codes::KAFKA_TOPIC, at, message);
        if let Some(group) = &self.consumer_group {
            let at = at.key("consumerGroup");
            if group.group_name.is_empty() || group.group_name.contains('\0') {
                return Err(error(at.key("groupName"), "the group has no name".to_owned()));
            }
            let strategy = match group.rebalance_strategy.as_deref().unwrap_or_default() {
                "" | "range" => "range",
                "roundrobin" => "roundrobin",
                "sticky" => "cooperative-sticky",
                other => {
                    let message = format!(
                        "rebalanceStrategy is {other:?}, expected range, sticky or roundrobin"
                    );
                    return Err(error(at.key("rebalanceStrategy"), message));
                }
            };
            let oldest = group.oldest == Some(true);
            return Ok(Part::Group { name: group.group_name.clone(), oldest, strategy });
        }
        let Some(text) = self.partition.as_deref().filter(|text| !text.is_empty()) else {
            let problem =
                error(at.clone(), "neither `consumerGroup` nor `partition` is given".to_owned());
            return Err(problem.help("name a group: `consumerGroup: {groupName: tripline}`"));
        };
        match text.parse::<i32>().ok().filter(|partition| *partition >= 0) {
            Some(partition) => Ok(Part::Partition(partition)),
            None => {
                let message = format!("partition is {text:?}, expected a number from 0");
                Err(error(at.key("partition"), message))
            }
        }
    }

    fn pauses(&self, at: &FieldPath) -> Result<(Duration, Duration), Problem> {
        let Some(backoff) = &self.connection_backoff else {
            return Ok((FIRST_PAUSE, LONGEST_PAUSE));
        };
        let error = |field: &str, value: &Value, expected: &str| {
            let message = format!("{field} is {value}, expected {expected}");
            Problem::error(codes::KAFKA_CONFIG, at.key(field), message)
        };
        let first = match &backoff.duration {
            None | Some(Value::Null) => 1.0,
            Some(value) => match value {
                Value::String(text) => duration::parse_go(text).ok().map(|d| d.as_secs_f64()),
                value => value.as_f64().map(|nanoseconds| nanoseconds / 1e9),
            }
            .filter(|seconds| (0.0..=LONGEST_BACKOFF).contains(seconds))
            .ok_or_else(|| error("duration", value, "a duration up to 5 minutes, such as 1s"))?,
        };
        let factor = match &backoff.factor {
            None | Some(Value::Null) => 1.0,
            Some(value) => match value {
                Value::String(text) => text.parse::<f64>().ok(),
                value => value.as_f64(),
            }
            .filter(|factor| (1.0..=1000.0).contains(factor))
            .ok_or_else(|| error("factor", value, "a number from 1"))?,
        };
        let steps = backoff.steps.filter(|steps| *steps > 0).unwrap_or(5).min(1000);
        let longest = first * factor.powi(i32::try_from(steps - 1).unwrap_or(0));
        let pause = |seconds: f64| {
            Duration::from_secs_f64(seconds.min(LONGEST_BACKOFF)).max(Duration::from_millis(10))
        };
        Ok((pause(first), pause(longest)))
    }

    fn per_second(&self, at: &FieldPath) -> Result<Option<u32>, Problem> {
        match self.limit_events_per_second.unwrap_or(0) {
            // Argo Events takes what is not positive as "not given".
            ..=0 => Ok(None),
            limit @ 1..=MAX_PER_SECOND => Ok(u32::try_from(limit).ok()),
            limit => {
                let message = format!(
                    "limitEventsPerSecond is {limit}, expected a number up to {MAX_PER_SECOND}"
                );
                let at = at.key("limitEventsPerSecond");
                Err(Problem::error(codes::KAFKA_CONFIG, at, message))
            }
        }
    }

    fn version_problem(&self, at: &FieldPath) -> Option<Problem> {
        let version = self.version.as_deref().filter(|version| !version.is_empty())?;
        let parts: Vec<&str> = version.split('.').collect();
        let is_version =
            (3..=4).contains(&parts.len()) && parts.iter().all(|part| part.parse::<u16>().is_ok());
        (!is_version).then(|| {
            let message = format!("version is {version:?}, expected one such as 2.8.0");
            Problem::error(codes::KAFKA_CONFIG, at.key("version"), message)
        })
    }
}

fn problem(mistake: Mistake, at: &FieldPath) -> Problem {
    let Mistake { path, message, help, left_out } = mistake;
    let at = path.into_iter().fold(at.clone(), |at, key| at.key(key));
    let code = if left_out { codes::KIND_LEFT_OUT } else { codes::KAFKA_AUTH };
    let problem = Problem::error(code, at, message);
    match help {
        Some(help) => problem.help(help),
        None => problem,
    }
}
