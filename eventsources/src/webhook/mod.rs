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
mod data;
mod endpoint;
mod idempotency;
mod limits;
mod ports;
mod request;
mod server;
mod table;
#[cfg(test)]
mod tests;
mod tls;

use tripline_config::FieldPath;
use tripline_event::EventKey;

pub(crate) use clash::clashes;
pub use config::{IdempotencyKeyConfig, Webhook, WebhookConfig};
pub(crate) use ports::Ports;
pub(crate) use table::Route;

/// The key of this kind, and the type of its events.
pub(crate) const KIND: &str = "webhook";
/// A complete event source.
pub(crate) const EXAMPLE: &str = include_str!("example.yaml");

/// Where the field `name` of an event is in its object.
fn field(key: &EventKey, name: &str) -> FieldPath {
    FieldPath::root().key("spec").key(KIND).key(&key.name).key(name)
}
