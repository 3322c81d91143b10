//! `argoWorkflow`: submits a workflow, once for each firing; or does something with one that
//! is there.
//!
//! Promises: however often an action is attempted, one workflow is created; an object of
//! the same name that belongs to another action is never taken for this one's.
//!
//! Not here: how a cluster is reached. A [`WorkflowTarget`] is handed in.

#[cfg(feature = "kubernetes")]
pub mod cluster;
mod config;
pub mod local;
pub mod operation;
mod perform;
pub mod retention;
pub(crate) mod submission;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::Value;
use tripline_event::outcome::TargetResult;

pub use config::WorkflowConfig;
pub use perform::Named;
pub use submission::{Submission, made_name};

use crate::{Attempt, BoxFuture, Trigger, TriggerError};

/// The key under `template`.
pub const KIND: &str = "argoWorkflow";

/// A complete sensor with such a trigger.
pub const EXAMPLE: &str = include_str!("example.yaml");

/// Where workflows are created.
pub trait WorkflowTarget: Send + Sync + 'static {
    /// The target's name, in outcomes, metrics and commands: `local`, or a cluster's.
    fn name(&self) -> &str;

    /// See [`Trigger::asks_for_earlier_attempts`].
    fn asks_for_earlier_attempts(&self) -> bool {
        true
    }

    /// Creates the workflow, or finds that it is there with the same action id.
    ///
    /// `uncertain`: an earlier attempt may have created it. Where it is not there and may
    /// have been removed since, that is [`tripline_event::Cause::Unknown`], and no second
    /// create.
    fn create<'a>(
        &'a self,
        submission: &'a Submission,
        uncertain: bool,
    ) -> BoxFuture<'a, Result<Created, TriggerError>>;

    /// The object that a trigger names; none where this target keeps no objects of its kind.
    ///
    /// # Errors
    /// [`tripline_event::Cause::NotFound`] where it is not there; why it could not be read.
    fn find<'a>(&'a self, named: &'a Named) -> BoxFuture<'a, Result<Option<Value>, TriggerError>>;

    /// Puts `object` in the place of the workflow that [`Self::find`] has found, unless that
    /// has changed since. Before, the pods of `nodes` are deleted.
    fn replace<'a>(
        &'a self,
        named: &'a Named,
        object: &'a Value,
        nodes: &'a [String],
    ) -> BoxFuture<'a, Result<(), TriggerError>>;
}

/// The workflow is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Created {
    /// It was there already, created for the same action.
    pub already: bool,
}

/// Finds the target that an action is bound to.
pub trait WorkflowTargets: Send + Sync + 'static {
    /// The target of that name.
    ///
    /// # Errors
    /// It is not there.
    fn target(&self, name: &str) -> Result<Arc<dyn WorkflowTarget>, TriggerError>;

    /// Whether one of the targets does; see [`Trigger::asks_for_earlier_attempts`].
    fn asks_for_earlier_attempts(&self) -> bool;
}

/// The kind `argoWorkflow`.
pub struct WorkflowTrigger {
    targets: Arc<dyn WorkflowTargets>,
}

impl WorkflowTrigger {
    /// Creates all workflows in `target`.
    pub fn new(target: Arc<dyn WorkflowTarget>) -> Self {
        Self::routed(Arc::new(Only(target)))
    }

    /// Creates each workflow in the target that its action is bound to.
    pub fn routed(targets: Arc<dyn WorkflowTargets>) -> Self {
        Self { targets }
    }
}

/// One target for all.
struct Only(Arc<dyn WorkflowTarget>);

impl WorkflowTargets for Only {
    fn target(&self, _: &str) -> Result<Arc<dyn WorkflowTarget>, TriggerError> {
        Ok(Arc::clone(&self.0))
    }

    fn asks_for_earlier_attempts(&self) -> bool {
        self.0.asks_for_earlier_attempts()
    }
}

impl Trigger for WorkflowTrigger {
    fn asks_for_earlier_attempts(&self) -> bool {
        self.targets.asks_for_earlier_attempts()
    }

    fn carry_out<'a>(
        &'a self,
        attempt: Attempt<'a>,
    ) -> BoxFuture<'a, Result<TargetResult, TriggerError>> {
        Box::pin(async move {
            let bound = attempt.rendered.action.target.as_deref().unwrap_or(local::NAME);
            let target = self.targets.target(bound)?;
            perform::perform(target.as_ref(), &attempt).await
        })
    }
}
