//! The client of a topic.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};

use super::config::{Kafka, Part};
use super::limits::{
    ANSWER, COMMIT_EVERY, FETCH_AGAIN, FETCHED_KIB, FETCHED_MESSAGES, HEARTBEAT, SESSION,
};
use tripline_kafka::Credentials;

/// The group that a client must have that joins none.
const NO_GROUP: &str = "tripline";

/// Makes the client. Nothing is sent yet.
///
/// # Errors
/// What is wrong with its settings; never a secret.
pub fn client<C: ConsumerContext>(
    kafka: &Arc<Kafka>,
    credentials: &Credentials,
    context: C,
) -> Result<BaseConsumer<C>, String> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &kafka.brokers)
        .set("client.id", "tripline")
        // A message counts as read when it is durable, and is said to be so by this source.
        .set("enable.auto.offset.store", "false")
        .set("auto.commit.interval.ms", milliseconds(COMMIT_EVERY))
        // Where a group has read nothing yet is decided before; this is for places that are no
        // longer there: what is left is read, and nothing is passed over.
        .set("auto.offset.reset", "earliest")
        .set("allow.auto.create.topics", "false")
        .set("queued.min.messages", FETCHED_MESSAGES.to_string())
        .set("queued.max.messages.kbytes", FETCHED_KIB.to_string())
        .set("fetch.queue.backoff.ms", milliseconds(FETCH_AGAIN))
        .set("socket.timeout.ms", milliseconds(ANSWER))
        .set("reconnect.backoff.ms", milliseconds(kafka.pauses.0))
        .set("reconnect.backoff.max.ms", milliseconds(kafka.pauses.1))
        .set("session.timeout.ms", milliseconds(SESSION));
    match &kafka.part {
        Part::Group { name, strategy, .. } => config
            .set("group.id", name)
            .set("partition.assignment.strategy", *strategy)
            .set("enable.auto.commit", "true"),
        Part::Partition(_) => config.set("group.id", NO_GROUP).set("enable.auto.commit", "false"),
    };
    kafka.security.apply(credentials, &mut config);
    for (property, value) in &kafka.properties {
        config.set(*property, value);
    }
    if config.get("heartbeat.interval.ms").is_none() {
        let session = config.get("session.timeout.ms").and_then(|text| text.parse().ok());
        let third = session.map_or(HEARTBEAT, Duration::from_millis) / 3;
        config.set("heartbeat.interval.ms", milliseconds(third.min(HEARTBEAT)));
    }
    config.set_log_level(RDKafkaLogLevel::Warning);
    // The error may quote a value: of a property that is no secret, and it is named.
    config.create_with_context(context).map_err(|error| format!("no client can be made: {error}"))
}

fn milliseconds(duration: Duration) -> String {
    duration.as_millis().max(1).to_string()
}
