//! The client that sends messages.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::future_producer::Delivery;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use tripline_kafka::{Credentials, Security, because, brokers, tells_more, tidy};

use super::config::KafkaConfig;

/// How long a message may take to be acknowledged; after that it is another attempt.
pub const ATTEMPT: Duration = Duration::from_secs(20);
/// How long one question may take.
const CALL: Duration = Duration::from_secs(5);
/// For such a part of an attempt a topic that is new may be unknown to a broker.
const NEW_TOPIC: u32 = 4;
/// The longest pause before a connection is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How many messages wait in one producer at most, and how many KiB.
const QUEUE_MESSAGES: usize = 100_000;
const QUEUE_KIB: usize = 64 * 1024;
/// The largest message, in bytes: more than any payload has. The broker has a limit of its own.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// A producer, and the credentials that it was made with.
pub struct Producer {
    pub credentials: Credentials,
    client: FutureProducer<Words>,
    words: Words,
}

/// What the client has said last of what went wrong.
#[derive(Clone, Default)]
struct Words(Arc<Mutex<Option<String>>>);

/// Why a message was not acknowledged.
pub struct Failure {
    pub code: RDKafkaErrorCode,
    /// In words, with what to do where that is known.
    pub reason: String,
}

impl Producer {
    /// Makes the client. Nothing is sent yet.
    ///
    /// # Errors
    /// What is wrong with its settings; never a secret.
    pub fn new(
        config: &KafkaConfig,
        security: &Security,
        credentials: Credentials,
        attempt: Duration,
    ) -> Result<Self, String> {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", brokers(&config.url)?)
            .set("client.id", "tripline")
            .set("acks", if config.needs_all() { "all" } else { "1" })
            // What the client sends again after a lost answer is written once.
            .set("enable.idempotence", config.needs_all().to_string())
            // The partition that Argo Events' client takes for a key.
            .set("partitioner", "fnv1a_random")
            .set("compression.type", if config.compress == Some(true) { "snappy" } else { "none" })
            .set("message.timeout.ms", milliseconds(attempt))
            .set("topic.metadata.propagation.max.ms", milliseconds(attempt / NEW_TOPIC))
            .set("reconnect.backoff.max.ms", milliseconds(LONGEST_PAUSE))
            .set("queue.buffering.max.messages", QUEUE_MESSAGES.to_string())
            .set("queue.buffering.max.kbytes", QUEUE_KIB.to_string())
            .set("message.max.bytes", MAX_MESSAGE_BYTES.to_string());
        if let Some(linger) = config.linger() {
            client.set("linger.ms", milliseconds(linger));
        }
        security.apply(&credentials, &mut client);
        client.set_log_level(RDKafkaLogLevel::Warning);
        let words = Words::default();
        let made = client.create_with_context(words.clone());
        let client = made.map_err(|error| format!("no client can be made: {error}"))?;
        Ok(Self { credentials, client, words })
    }

    /// Sends a message; returns when it is acknowledged.
    pub async fn send(
        &self,
        topic: &str,
        key: Option<&str>,
        headers: OwnedHeaders,
        value: &[u8],
    ) -> Result<Delivery, Failure> {
        let mut record = FutureRecord::<str, [u8]>::to(topic).payload(value).headers(headers);
        record.key = key;
        let sent = self.client.send_result(record);
        let sent = sent.map_err(|(error, _)| self.failure(topic, &error))?;
        match sent.await {
            Ok(Ok(delivery)) => {
                self.words.set(None);
                Ok(delivery)
            }
            Ok(Err((error, _))) => Err(self.failure(topic, &error)),
            Err(_) => {
                let error = KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut);
                Err(self.failure(topic, &error))
            }
        }
    }

    /// Asks for the topic. It blocks.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub fn ask(&self, topic: &str) -> Result<usize, Failure> {
        let metadata = self.client.client().fetch_metadata(Some(topic), CALL);
        let metadata = metadata.map_err(|error| self.failure(topic, &error))?;
        let found = metadata.topics().first();
        if let Some(error) = found.and_then(|found| found.error()) {
            return Err(self.failure(topic, &KafkaError::MetadataFetch(error.into())));
        }
        Ok(found.map_or(0, |found| found.partitions().len()))
    }

    fn failure(&self, topic: &str, error: &KafkaError) -> Failure {
        use RDKafkaErrorCode as Code;
        let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
        let reason = match code {
            Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
                format!("topic `{topic}` does not exist: check `topic` and `url`")
            }
            Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => {
                format!("topic `{topic}` may not be written: grant WRITE on it")
            }
            Code::MessageSizeTooLarge => {
                format!("the message is larger than topic `{topic}` takes (`max.message.bytes`)")
            }
            Code::MessageTimedOut
            | Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::OperationTimedOut => because(self.words.get().as_deref()),
            _ => format!("topic `{topic}` does not take the message: {code}"),
        };
        Failure { code, reason }
    }

    /// Whether the broker refuses user and password: nothing was written then.
    pub fn is_stranger(&self) -> bool {
        self.words.get().is_some_and(|said| said.to_lowercase().contains("authentication"))
    }
}

impl Words {
    fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn say(&self, text: &str) {
        let text = tidy(text);
        if tells_more(self.get().as_deref(), &text) {
            self.set(Some(text));
        }
    }

    fn set(&self, said: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = said;
    }
}

impl ClientContext for Words {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, text: &str) {
        if matches!(level, RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error) {
            self.say(text);
        }
        tracing::debug!(target: "tripline::trigger::kafka", "librdkafka: {fac}: {text}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // That all brokers are down says less than why.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            self.say(reason);
        }
    }
}

fn milliseconds(duration: Duration) -> String {
    duration.as_millis().to_string()
}
