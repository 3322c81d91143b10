//! `nats`: messages of NATS as events.
//!
//! Core NATS delivers at most once: what is published while nobody listens is gone, and so is
//! what comes faster than the event bus takes it. With `jetStream` messages are taken by a
//! durable pull consumer, and each is acknowledged after its event is durable: at least once,
//! and what comes twice is recognised.
//!
//! Each connection is a session: when it breaks, what was received is put on the event bus
//! first, and then another session begins, so that messages stay in order.

mod config;
mod connection;
mod consumer;
mod data;
mod deliver;
mod limits;
mod names;
mod offer;
mod probe;
mod pull;
mod run;
#[cfg(test)]
mod tests;

pub use config::{JetStreamConfig, Nats, NatsConfig};
pub(crate) use probe::probe;

/// The key of this kind, and the type of its events.
pub(crate) const KIND: &str = "nats";
/// A complete event source.
pub(crate) const EXAMPLE: &str = include_str!("example.yaml");
