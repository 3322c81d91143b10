//! The kinds of event sources: those of Argo Events. A kind that is not there yet is
//! refused, never ignored.

use std::sync::Arc;

use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tripline_config::{Dialect, FieldPath, Problem, decode};

use crate::calendar::{self, CalendarConfig};
use crate::codes;
use crate::definition::SourceConfig;
#[cfg(feature = "kafka")]
use crate::kafka::{self, KafkaConfig};
#[cfg(feature = "nats")]
use crate::nats::{self, NatsConfig};
#[cfg(feature = "pubsub")]
use crate::pubsub::{self, PubSubConfig};
#[cfg(feature = "sns")]
use crate::sns::{self, SnsConfig};
#[cfg(feature = "sqs")]
use crate::sqs::{self, SqsConfig};
use crate::webhook::{self, WebhookConfig};

/// A kind of event source.
pub struct Kind {
    /// Its key in `spec`.
    pub key: &'static str,
    /// The CloudEvents type of its events.
    pub event_type: &'static str,
    state: State,
}

/// Whether a kind can be used.
enum State {
    Here(Implementation),
    NotYet,
    /// This program was built without it.
    #[cfg(not(all(
        feature = "kafka",
        feature = "nats",
        feature = "pubsub",
        feature = "sns",
        feature = "sqs"
    )))]
    LeftOut {
        /// The cargo feature that brings it.
        feature: &'static str,
    },
}

struct Implementation {
    schema: fn() -> Schema,
    compile: fn(&Value, &FieldPath, Dialect) -> Compiled,
    example: &'static str,
}

/// What the configuration of one event has become.
pub(crate) struct Compiled {
    /// The source and the path of its correlation id, if the configuration is right.
    pub(crate) source: Option<(SourceConfig, Option<String>)>,
    pub(crate) problems: Vec<Problem>,
}

/// All kinds.
pub static KINDS: &[Kind] = &[
    here::<WebhookConfig>(webhook::KIND, webhook::KIND, compile_webhook, webhook::EXAMPLE),
    here::<CalendarConfig>(calendar::KIND, calendar::KIND, compile_calendar, calendar::EXAMPLE),
    not_yet("minio", "minio"),
    not_yet("file", "file"),
    not_yet("resource", "resource"),
    not_yet("amqp", "amqp"),
    #[cfg(feature = "kafka")]
    here::<KafkaConfig>(kafka::KIND, kafka::KIND, compile_kafka, kafka::EXAMPLE),
    #[cfg(not(feature = "kafka"))]
    left_out("kafka", "kafka", "kafka"),
    not_yet("mqtt", "mqtt"),
    #[cfg(feature = "nats")]
    here::<NatsConfig>(nats::KIND, nats::KIND, compile_nats, nats::EXAMPLE),
    #[cfg(not(feature = "nats"))]
    left_out("nats", "nats", "nats"),
    #[cfg(feature = "sns")]
    here::<SnsConfig>(sns::KIND, sns::KIND, compile_sns, sns::EXAMPLE),
    #[cfg(not(feature = "sns"))]
    left_out("sns", "sns", "sns"),
    #[cfg(feature = "sqs")]
    here::<SqsConfig>(sqs::KIND, sqs::KIND, compile_sqs, sqs::EXAMPLE),
    #[cfg(not(feature = "sqs"))]
    left_out("sqs", "sqs", "sqs"),
    #[cfg(feature = "pubsub")]
    here::<PubSubConfig>(pubsub::KEY, pubsub::KIND, compile_pubsub, pubsub::EXAMPLE),
    #[cfg(not(feature = "pubsub"))]
    left_out("pubSub", "pubsub", "pubsub"),
    not_yet("github", "github"),
    not_yet("gitlab", "gitlab"),
    not_yet("hdfs", "hdfs"),
    not_yet("slack", "slack"),
    not_yet("storageGrid", "storagegrid"),
    not_yet("azureEventsHub", "azureEventsHub"),
    not_yet("stripe", "stripe"),
    not_yet("emitter", "emitter"),
    not_yet("redis", "redis"),
    not_yet("nsq", "nsq"),
    not_yet("pulsar", "pulsar"),
    not_yet("generic", "generic"),
    not_yet("bitbucketserver", "bitbucketserver"),
    not_yet("bitbucket", "bitbucket"),
    not_yet("redisStream", "redisStream"),
    not_yet("azureServiceBus", "azureServiceBus"),
    not_yet("azureQueueStorage", "azureQueueStorage"),
    not_yet("sftp", "sftp"),
    not_yet("gerrit", "gerrit"),
    not_yet("mns", "mns"),
];

const fn here<C: JsonSchema>(
    key: &'static str,
    event_type: &'static str,
    compile: fn(&Value, &FieldPath, Dialect) -> Compiled,
    example: &'static str,
) -> Kind {
    let schema = || schemars::schema_for!(C);
    Kind { key, event_type, state: State::Here(Implementation { schema, compile, example }) }
}

const fn not_yet(key: &'static str, event_type: &'static str) -> Kind {
    Kind { key, event_type, state: State::NotYet }
}

#[cfg(not(all(
    feature = "kafka",
    feature = "nats",
    feature = "pubsub",
    feature = "sns",
    feature = "sqs"
)))]
const fn left_out(key: &'static str, event_type: &'static str, feature: &'static str) -> Kind {
    Kind { key, event_type, state: State::LeftOut { feature } }
}

/// The kind with this key.
pub fn kind(key: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.key == key)
}

impl Kind {
    /// Whether this program has this kind.
    pub fn is_implemented(&self) -> bool {
        self.implementation().is_some()
    }

    fn implementation(&self) -> Option<&Implementation> {
        match &self.state {
            State::Here(implementation) => Some(implementation),
            _ => None,
        }
    }

    /// The JSON schema of one event's configuration.
    pub fn schema(&self) -> Option<Schema> {
        self.implementation().map(|implementation| (implementation.schema)())
    }

    /// A complete event source in YAML.
    pub fn example(&self) -> Option<&'static str> {
        self.implementation().map(|implementation| implementation.example)
    }

    /// What is wrong with the configuration of one event, which is at `at`.
    pub fn check(&self, config: &Value, at: &FieldPath, dialect: Dialect) -> Vec<Problem> {
        self.compile(config, at, dialect).problems
    }

    pub(crate) fn compile(&self, config: &Value, at: &FieldPath, dialect: Dialect) -> Compiled {
        let key = self.key;
        let problem = match &self.state {
            State::Here(implementation) => return (implementation.compile)(config, at, dialect),
            State::NotYet => {
                let message = format!("event source kind `{key}` is not supported yet");
                Problem::error(codes::KIND_NOT_SUPPORTED, at.clone(), message)
            }
            #[cfg(not(all(
                feature = "kafka",
                feature = "nats",
                feature = "pubsub",
                feature = "sns",
                feature = "sqs"
            )))]
            State::LeftOut { feature } => {
                let message = format!("event source kind `{key}` is not in this program");
                Problem::error(codes::KIND_LEFT_OUT, at.clone(), message)
                    .help(format!("build it with the cargo feature `{feature}`"))
            }
        };
        Compiled { source: None, problems: vec![problem] }
    }
}

fn compile_webhook(config: &Value, at: &FieldPath, dialect: Dialect) -> Compiled {
    compile(config, at, dialect, |config: WebhookConfig| {
        let (webhook, problems) = config.resolve(at);
        let correlation = config.correlation.map(|correlation| correlation.path);
        (webhook.map(|webhook| (SourceConfig::Webhook(Arc::new(webhook)), correlation)), problems)
    })
}

fn compile_calendar(config: &Value, at: &FieldPath, dialect: Dialect) -> Compiled {
    compile(config, at, dialect, |config: CalendarConfig| {
        let (calendar, problems) = config.resolve(at);
        (calendar.map(|calendar| (SourceConfig::Calendar(Arc::new(calendar)), None)), problems)
    })
}

#[cfg(feature = "kafka")]
fn compile_kafka(config: &Value, at: &FieldPath, dialect: Dialect) -> Compiled {
    compile(config, at, dialect, |config: KafkaConfig| {
        let (kafka, problems) = config.resolve(at);
        let correlation = config.correlation.map(|correlation| correlation.path);
        (kafka.map(|kafka| (SourceConfig::Kafka(Arc::new(kafka)), correlation)), problems)
    })
}

#[cfg(feature = "nats")]
fn compile_nats(config: &Value, at: &FieldPath, dialect: Dialect) -> Compiled {
    compile(config, at, dialect, |config: NatsConfig| {
        let (nats, problems) = config.resolve(at);
        let correlation = config.correlation.map(|correlation| correlation.path);
        (nats.map(|nats| (SourceConfig::Nats(Arc::new(nats)), correlation)), problems)
    })
}

#[cfg(feature = "pubsub")]
fn compile_pubsub(config: &Value, at: &FieldPath, dialect: Dialect) -> Compiled {
    compile(config, at, dialect, |config: PubSubConfig| {
        let (pubsub, problems) = config.resolve(at, dialect);
        let correlation = config.correlation.map(|correlation| correlation.path);
        (pubsub.map(|pubsub| (SourceConfig::PubSub(Arc::new(pubsub)), correlation)), problems)
    })
}

#[cfg(feature = "sns")]
fn compile_sns(config: &Value, at: &FieldPath, dialect: Dialect) -> Compiled {
    compile(config, at, dialect, |config: SnsConfig| {
        let (sns, problems) = config.resolve(at);
        let correlation = config.correlation.map(|correlation| correlation.path);
        (sns.map(|sns| (SourceConfig::Sns(Arc::new(sns)), correlation)), problems)
    })
}

#[cfg(feature = "sqs")]
fn compile_sqs(config: &Value, at: &FieldPath, dialect: Dialect) -> Compiled {
    compile(config, at, dialect, |config: SqsConfig| {
        let (sqs, problems) = config.resolve(at);
        let correlation = config.correlation.map(|correlation| correlation.path);
        (sqs.map(|sqs| (SourceConfig::Sqs(Arc::new(sqs)), correlation)), problems)
    })
}

fn compile<T: DeserializeOwned + JsonSchema + 'static>(
    config: &Value,
    at: &FieldPath,
    dialect: Dialect,
    resolve: impl FnOnce(T) -> (Option<(SourceConfig, Option<String>)>, Vec<Problem>),
) -> Compiled {
    match decode::<T>(config, at, dialect) {
        Ok((config, mut problems)) => {
            let (source, found) = resolve(config);
            problems.extend(found);
            Compiled { source, problems }
        }
        Err(problems) => Compiled { source: None, problems },
    }
}
