//! Workflows and objects in a real API server.

#[cfg(feature = "kubernetes")]
mod changing;
#[cfg(feature = "kubernetes")]
mod credentials;
#[cfg(feature = "kubernetes")]
mod following;
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
