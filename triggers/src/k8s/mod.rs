//! `k8s`: creates an object of any kind in a cluster, once for each firing.
//!
//! Promises: those of [`crate::workflow`] about names, labels and attempts.
//!
//! Not here: how a cluster is reached ([`crate::cluster`]); `update`, `patch` and `delete`.

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
