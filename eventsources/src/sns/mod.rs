//! `sns`: the messages of a topic of Amazon SNS, which SNS posts to an HTTP endpoint.
//!
//! A message is answered 200 after its event is durable; SNS tries again until then. Its id is
//! SNS's message id, so that a message that is delivered twice, or replayed by somebody else, is
//! one event.
//!
//! Not here: topics that deliver to a queue; that is `sqs` with `unwrap: sns`.

mod certificates;
mod config;
mod content;
mod receive;
mod signature;
mod subscribe;
#[cfg(test)]
mod tests;

pub use config::{Sns, SnsConfig};
pub use subscribe::probe;

/// The key of this kind, and the type of its events.
pub(crate) const KIND: &str = "sns";
/// A complete event source.
pub(crate) const EXAMPLE: &str = include_str!("example.yaml");
