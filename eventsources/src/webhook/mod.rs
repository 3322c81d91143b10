//! `webhook`: HTTP requests as events.
//!
//! All event sources of all namespaces share one server for each port. A request is
//! answered 200 only after its event is durable.
//!
//! Not here: registering hooks at the services that call them, and the signatures of
//! these services.

mod answer;
mod body;
mod clash;
mod config;
#[cfg_attr(not(feature = "sns"), expect(dead_code, reason = "of kinds that are left out"))]
mod context;
mod data;
mod endpoint;
mod idempotency;
mod limits;
mod listeners;
mod ports;
#[cfg_attr(not(feature = "sns"), expect(dead_code, reason = "of kinds that are left out"))]
mod receiver;
mod request;
mod server;
mod table;
#[cfg(test)]
mod tests;
mod tls;

#[cfg(feature = "sns")]
pub(crate) use answer::{Answer, Refusal};
pub(crate) use clash::clashes;
pub use config::{IdempotencyKeyConfig, Webhook, WebhookConfig};
pub use context::WebhookContext;
#[cfg(feature = "sns")]
pub(crate) use data::event_data as header_data;
pub use listeners::Listeners;
pub(crate) use ports::Ports;
#[cfg(feature = "sns")]
pub(crate) use receiver::{Posted, Receiver};
pub(crate) use table::Route;

/// The key of this kind, and the type of its events.
pub(crate) const KIND: &str = "webhook";
/// A complete event source.
pub(crate) const EXAMPLE: &str = include_str!("example.yaml");
