//! `kafka`: the messages of a topic of Apache Kafka.
//!
//! Messages of a partition become events in their order, many in one append. A message's offset
//! is stored after its event is durable, and not before. When a partition is taken away, what of
//! it is not durable is dropped, and what is about to be is waited for: its next owner begins
//! behind the last durable event. A message's id is made of topic, partition and offset, so that
//! one that comes twice is one event.
//!
//! Without a consumer group one partition is read, and how far is kept on the event bus.
//!
//! Not here: schema registries, and what producers do.

mod batch;
mod condition;
mod config;
mod context;
mod data;
mod held;
mod limits;
mod message;
mod probe;
mod puller;
mod run;
mod sarama;
mod session;
#[cfg(test)]
mod tests;

pub use config::{ConsumerGroup, Kafka, KafkaConfig};
pub use probe::probe;
pub use tripline_kafka::{SaslConfig, TlsConfig};

/// The key of this kind, and the type of its events.
pub(crate) const KIND: &str = "kafka";
/// A complete event source.
pub(crate) const EXAMPLE: &str = include_str!("example.yaml");
