//! Who Tripline is to Amazon and to Google, for event sources and triggers alike: where
//! credentials come from, how a call is made, and what an error means.
//!
//! Promises: a secret is in no `Debug` and no error; changed secrets are taken up.
//!
//! Not here: any kind of event source or trigger.

pub mod account;
#[cfg(feature = "aws")]
pub mod aws;
#[cfg(feature = "google")]
pub mod google;
mod secrets;

pub use account::{Accounts, GoogleIdentity, ServiceAccount, Token};
pub use secrets::{Caller, Lookup};

use std::future::Future;
use std::pin::Pin;

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
