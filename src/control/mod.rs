//! The control API: what the commands ask a running daemon for.
//!
//! HTTP/1 with JSON, over a Unix socket in the data directory, where whoever may open the
//! socket may do everything; or over TCP, where a token says who may read and who may
//! operate. Lists are streams of JSON lines.
//!
//! [`Backend`] answers the same questions from a data directory that no daemon runs on.
//!
//! Not here: what a daemon is ([`Daemon`] is implemented elsewhere), printing.

pub mod access;
pub mod api;
pub mod backend;
pub mod client;
pub mod daemon;
pub mod error;
mod explain;
pub mod record;
pub mod replay;
pub mod routes;
pub mod schedules;
pub mod scope;
pub mod sensor;
pub mod server;
pub mod socket;
pub mod steering;

#[cfg(test)]
mod tests;

pub use access::{Caller, Right, Tokens};
pub use api::{
    Accepted, HeldEvent, InvalidObject, PauseRequest, Paused, PublishRequest, QueueStatus,
    ReloadReport, SensorDependency, SensorStatus, SourceStatus, Status, UpgradeReport,
};
pub use backend::{Backend, Items};
pub use client::{Address, Client};
pub use daemon::Daemon;
pub use error::ControlError;
pub use server::{Listener, serve};

/// The largest body that a request may have, in bytes: an event of the largest size, and
/// what is said about it.
pub const MAX_BODY_BYTES: usize = 12 * 1024 * 1024;
/// The most connections at a time; further ones wait.
pub const MAX_CONNECTIONS: usize = 64;
/// The socket's name in the data directory.
pub const SOCKET: &str = "control.sock";
