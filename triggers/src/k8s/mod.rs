//! `k8s`: creates, updates, patches or deletes an object of any kind in a cluster, once for
//! each firing.
//!
//! Promises: those of [`crate::workflow`] about names, labels and attempts; an object is
//! changed once by an action, which leaves its mark on it.
//!
//! Not here: how a cluster is reached ([`crate::cluster`]).

#[cfg(feature = "kubernetes")]
mod change;
mod config;
#[cfg(feature = "kubernetes")]
mod create;

pub use config::K8sConfig;
#[cfg(feature = "kubernetes")]
pub use create::K8sTrigger;

/// The key under `template`.
pub const KIND: &str = "k8s";

/// A complete sensor with such a trigger.
pub const EXAMPLE: &str = include_str!("example.yaml");
