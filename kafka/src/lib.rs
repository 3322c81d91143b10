//! Connecting to Kafka: who Tripline is to a broker, and whom it trusts.
//!
//! What event sources and triggers have in common.
//!
//! Not here: when to connect, what is read, and what is sent.

mod brokers;
mod security;
mod words;

pub use brokers::{brokers, is_topic};
pub use security::{Credentials, Mistake, SaslConfig, Security, TlsConfig};
pub use words::{because, tells_more, tidy};
