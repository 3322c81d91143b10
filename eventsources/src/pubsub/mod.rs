//! `pubSub`: the messages of a subscription of Google Cloud Pub/Sub.
//!
//! A message is acknowledged after the event bus has it, and not before; what was not taken
//! when the source stops is given back at once. Its id is the event's id, so that a message
//! that is delivered again is one event.
//!
//! Of messages with an ordering key the next one is appended after the one before it. One that
//! the event bus does not take holds up those of its key, and no others.
//!
//! Not here: filters of a subscription, dead-letter topics, retry policies. They are settings
//! of the subscription and work as they are.

mod admin;
mod argo;
mod config;
mod connection;
mod data;
mod delivery;
mod keys;
mod limits;
mod metadata;
mod names;
mod probe;
mod run;
mod subscription;
#[cfg(test)]
mod tests;
mod trouble;

pub use config::{PubSub, PubSubConfig};
pub use probe::probe;

/// The key of this kind.
pub(crate) const KEY: &str = "pubSub";
/// The type of its events: Argo Events writes it in lower case.
pub(crate) const KIND: &str = "pubsub";
/// A complete event source.
pub(crate) const EXAMPLE: &str = include_str!("example.yaml");
