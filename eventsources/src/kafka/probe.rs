//! Whether the topic can be read, asked without taking anything from it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use tripline_event::EventKey;
use tripline_kafka::tidy;

use super::config::{Kafka, Part};
use super::limits::CALL;
use super::puller::explain_topic;
use super::session::client;
use crate::SecretLookup;

/// Reaches a broker with the credentials of the event `key`, asks for the topic and how far the
/// group is. Nothing is taken, and the group is not joined.
///
/// # Errors
/// What is wrong, and what to do.
pub async fn probe(
    config: &Arc<Kafka>,
    key: &EventKey,
    secrets: &dyn SecretLookup,
) -> Result<String, String> {
    let credentials = config.credentials(&key.namespace, secrets)?;
    let kafka = Arc::clone(config);
    let asked = tokio::task::spawn_blocking(move || {
        let words = Words::default();
        let consumer = client(&kafka, &credentials, words)?;
        ask(&kafka, &consumer).map_err(|error| explain(&kafka, &consumer, &error))
    });
    asked.await.map_err(|error| format!("asking failed: {error}"))?
}

fn ask(kafka: &Kafka, consumer: &BaseConsumer<Words>) -> Result<String, KafkaError> {
    let topic = &kafka.topic;
    let metadata = consumer.fetch_metadata(Some(topic), CALL)?;
    let found = metadata.topics().first();
    let missing = KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition);
    let found = found.ok_or_else(|| missing.clone())?;
    if let Some(error) = found.error() {
        return Err(KafkaError::MetadataFetch(error.into()));
    }
    let all = found.partitions().iter().map(|partition| partition.id());
    let partitions: Vec<i32> = match kafka.part {
        Part::Group { .. } => all.collect(),
        Part::Partition(one) => all.filter(|partition| *partition == one).collect(),
    };
    if partitions.is_empty() {
        return Err(missing);
    }
    let Part::Group { name, .. } = &kafka.part else {
        let (first, end) = consumer.fetch_watermarks(topic, partitions[0], CALL)?;
        return Ok(format!(
            "partition {} of topic `{topic}` is there with {} messages",
            partitions[0],
            end - first
        ));
    };
    let mut list = TopicPartitionList::new();
    for partition in &partitions {
        list.add_partition(topic, *partition);
    }
    let mut waiting = 0;
    let mut read = false;
    for element in consumer.committed_offsets(list, CALL)?.elements() {
        element.error()?;
        if let Offset::Offset(next) = element.offset() {
            let (_, end) = consumer.fetch_watermarks(topic, element.partition(), CALL)?;
            waiting += (end - next).max(0);
            read = true;
        }
    }
    let count = partitions.len();
    let there = format!("topic `{topic}` is there with {count} partitions");
    Ok(match read {
        true => format!("{there}, about {waiting} messages wait for group `{name}`"),
        false => format!("{there}, group `{name}` has read nothing yet"),
    })
}

fn explain(kafka: &Kafka, consumer: &BaseConsumer<Words>, error: &KafkaError) -> String {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(Code::GroupAuthorizationFailed) => {
            "the group may not be joined: grant READ on it".to_owned()
        }
        Some(
            code @ (Code::UnknownPartition
            | Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::TopicAuthorizationFailed),
        ) => explain_topic(&kafka.topic, code),
        _ => {
            // What the client has said about it waits to be heard.
            for _ in 0..8 {
                drop(consumer.poll(Duration::from_millis(1)));
            }
            let words = consumer.context().0.lock().unwrap_or_else(PoisonError::into_inner);
            let because = words.as_ref().map_or_else(|| error.to_string(), String::clone);
            format!("{} cannot be used: {because}", kafka.brokers)
        }
    }
}

/// What the client has said last of what went wrong.
#[derive(Default)]
struct Words(Mutex<Option<String>>);

impl ClientContext for Words {
    fn log(&self, level: RDKafkaLogLevel, _: &str, text: &str) {
        if matches!(level, RDKafkaLogLevel::Error | RDKafkaLogLevel::Critical) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(tidy(text));
        }
    }

    fn error(&self, _: KafkaError, _: &str) {}
}

impl ConsumerContext for Words {}
