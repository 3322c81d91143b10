//! Workflows and objects in a real API server.

#![cfg_attr(
    feature = "kubernetes",
    expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")
)]

#[cfg(feature = "kubernetes")]
mod accounts;
#[cfg(feature = "kubernetes")]
mod changing;
#[cfg(feature = "kubernetes")]
mod credentials;
#[cfg(feature = "kubernetes")]
mod dry_run;
#[cfg(feature = "kubernetes")]
mod following;
#[cfg(all(feature = "kubernetes", feature = "pubsub"))]
mod google;
#[cfg(feature = "kubernetes")]
mod objects;
#[cfg(feature = "kubernetes")]
mod operations;
#[cfg(feature = "kubernetes")]
mod reviewing;
#[cfg(feature = "kubernetes")]
mod submitting;
#[cfg(feature = "kubernetes")]
mod trouble;
#[cfg(feature = "kubernetes")]
mod world;
