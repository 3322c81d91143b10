//! The kinds of triggers, and the executor that carries actions out.
//!
//! A [`Trigger`] makes one attempt and says what to do about an error. It never sleeps
//! and never tries again: order, concurrency, retries and dead letters are the
//! executor's, once for all kinds.
//!
//! Not here: event sources, sensors. How an action is rendered is handed in.

#[cfg(any(feature = "sqs", feature = "sns"))]
mod amazon;
#[cfg(feature = "kubernetes")]
pub mod cluster;
pub mod codes;
pub mod executor;
pub mod http;
mod identity;
pub mod k8s;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod kinds;
mod label_policy;
pub mod log;
pub mod message_headers;
#[cfg(test)]
#[cfg_attr(
    not(all(
        feature = "kafka",
        feature = "nats",
        feature = "sqs",
        feature = "sns",
        feature = "pubsub"
    )),
    allow(dead_code, reason = "each kind needs a part of it")
)]
mod messages_testing;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(any(
    feature = "kafka",
    feature = "nats",
    feature = "sqs",
    feature = "sns",
    feature = "pubsub"
))]
mod payload;
#[cfg(any(
    feature = "kafka",
    feature = "nats",
    feature = "sqs",
    feature = "sns",
    feature = "pubsub"
))]
mod pool;
#[cfg(feature = "pubsub")]
pub mod pubsub;
mod secret;
#[cfg(feature = "sns")]
pub mod sns;
mod source;
#[cfg(feature = "sqs")]
pub mod sqs;
pub mod workflow;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tripline_event::outcome::TargetResult;
use tripline_event::{Action, Cause, Event};

pub use identity::Identities;
pub use secret::SecretLookup;
pub use tripline_cloud::Accounts;

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An action with everything that its target needs.
#[derive(Clone, Debug)]
pub struct RenderedAction {
    /// What was decided.
    pub action: Arc<Action>,
    /// The kind: the key under the trigger's `template` (`argoWorkflow`, `http`, …).
    pub kind: String,
    /// What stands under that key, parameters applied.
    pub config: Value,
    /// The object that the kind's `source` names, parameters applied.
    pub resource: Option<Value>,
    /// The body that the kind's `payload` builds.
    pub payload: Option<Bytes>,
    /// `policy` of the trigger, as it stands there.
    pub policy: Option<Value>,
    /// `template.serviceAccountName` of the sensor: the account that the action acts as,
    /// where the target has accounts; none is `default`.
    pub service_account: Option<String>,
    /// Where an object is to be changed as it is in the cluster: what is put into it.
    /// `resource` says which object then.
    pub live: Option<LiveParameters>,
}

/// Parameters that are applied to an object as it is in the cluster, and not to the one that
/// `source` names.
#[derive(Clone)]
pub struct LiveParameters(Arc<Apply>);

type Apply = dyn Fn(&Value) -> Result<Value, String> + Send + Sync;

impl LiveParameters {
    /// What `apply` makes of an object.
    pub fn new(apply: impl Fn(&Value) -> Result<Value, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(apply))
    }

    /// The object with the parameters applied.
    ///
    /// # Errors
    /// The parameter that cannot be resolved or set.
    pub fn apply(&self, object: &Value) -> Result<Value, String> {
        (self.0)(object)
    }
}

impl std::fmt::Debug for LiveParameters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LiveParameters")
    }
}

/// One attempt to carry an action out.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// What to carry out.
    pub rendered: &'a RenderedAction,
    /// The events that fired it, in the order of `action.events`.
    pub events: &'a [Arc<Event>],
    /// Which attempt, from 1.
    pub number: u32,
    /// An earlier attempt may have reached the target without an answer: look before acting.
    pub uncertain: bool,
}

/// A kind of trigger, with the clients that its actions share.
pub trait Trigger: Send + Sync + 'static {
    /// Whether [`Attempt::uncertain`] changes what it does. If so, a record that an attempt
    /// may have been made is durable before each action's first one, which costs a write;
    /// a target that recognises a repeated action by itself does without.
    fn asks_for_earlier_attempts(&self) -> bool {
        true
    }

    /// Makes one attempt. May be called again with the same action id; must then do
    /// nothing new where the target can be asked.
    fn carry_out<'a>(
        &'a self,
        attempt: Attempt<'a>,
    ) -> BoxFuture<'a, Result<TargetResult, TriggerError>>;
}

/// What to do about an attempt that failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TriggerError {
    /// Worth another attempt; whether this one has done something is not known: timeout, 5xx,
    /// connection lost.
    #[error("{reason}")]
    Retry {
        /// What went wrong.
        reason: String,
        /// How long the target asked to wait.
        after: Option<Duration>,
    },
    /// Worth another attempt, and nothing was done for certain: connection refused, 429. The
    /// next attempt is as the first.
    #[error("{reason}")]
    NotDone {
        /// What went wrong.
        reason: String,
        /// How long the target asked to wait.
        after: Option<Duration>,
    },
    /// Never going to work: a dead letter.
    #[error("{reason}")]
    Refused {
        /// The word to group by.
        cause: Cause,
        /// What went wrong.
        reason: String,
    },
}
