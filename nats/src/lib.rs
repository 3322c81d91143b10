//! Connecting to NATS: who Tripline is to a server, and whom it trusts.
//!
//! What the event bus, event sources and triggers have in common. The feature `config` brings
//! what event sources and triggers configure.
//!
//! Not here: when to connect, and what is sent.

mod address;
mod auth;
#[cfg(feature = "config")]
mod config;
mod error;
mod tls;

pub use address::{servers, without_password};
pub use auth::Auth;
#[cfg(feature = "config")]
pub use config::{AuthConfig, BasicAuth, Lookup, TlsConfig, auth, tls};
pub use error::{chain, is_refusal};
pub use tls::Tls;

/// Options of a connection as this `auth`, over this `tls`.
///
/// # Errors
/// A certificate or a key is none. Never what it holds.
pub fn options(auth: &Auth, tls: &Tls) -> Result<async_nats::ConnectOptions, String> {
    let options = tls.applied_to(async_nats::ConnectOptions::new())?;
    auth.applied_to(options).map_err(|error| error.to_string())
}
