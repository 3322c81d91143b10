//! `sqs`: the messages of a queue of Amazon SQS.
//!
//! A message is deleted after its event is durable. Until then it is kept hidden from other
//! receivers, however long the event bus takes; what was not taken when the source stops is
//! visible again at once. Its id is SQS's message id, so that a message that is delivered
//! twice is one event.
//!
//! Not here: what producers do, and the settings of the queue (retention, redrive policy).

mod attributes;
mod batch;
mod condition;
mod config;
mod content;
mod data;
mod limits;
mod poller;
mod probe;
mod queue;
mod run;
#[cfg(test)]
mod tests;

pub use config::{Sqs, SqsConfig};
pub use probe::probe;

/// The key of this kind, and the type of its events.
pub(crate) const KIND: &str = "sqs";
/// A complete event source.
pub(crate) const EXAMPLE: &str = include_str!("example.yaml");
