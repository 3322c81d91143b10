//! What the executor asks of the daemon.

use std::sync::Arc;
use std::time::Duration;

use tripline_bus::WriteError;
use tripline_event::outcome::TargetResult;
use tripline_event::{
    Action, Cause, DeadLetter, DropCause, Event, Position, Timestamp, TriggerName,
};

use super::{CircuitChange, Frozen, TriggerPolicy};
use crate::RenderedAction;

/// Knows the sensors that decided the actions.
pub trait Renderer: Send + Sync + 'static {
    /// Fills the trigger of the definition that decided `action`. `events` are in the
    /// order of `action.events`. Pure: it is called again for each attempt.
    fn render(
        &self,
        action: &Arc<Action>,
        events: &[Arc<Event>],
    ) -> Result<RenderedAction, RenderError>;

    /// How the actions of this trigger are started and tried again: those of one trigger all
    /// in the same way, the way of the sensor as it is now.
    fn policy(&self, action: &Action) -> TriggerPolicy;

    /// The name of the target that `action` is for: for [`super::Scope::Target`], and for the
    /// circuit. None where there is no name, so that the trigger has a circuit of its own.
    /// Pure; must not call the executor.
    fn target(&self, action: &Action) -> Option<String> {
        let _ = action;
        None
    }

    /// The action of the `dlqTrigger` of the trigger of `action`, which has become `letter`
    /// at `now`; the same id for the same action and round.
    fn follow_up(&self, action: &Action, letter: &DeadLetter, now: Timestamp) -> Option<Action> {
        let _ = (action, letter, now);
        None
    }
}

/// An action cannot be rendered: it becomes a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct RenderError {
    /// The word to group by: [`Cause::Render`], or [`Cause::Loop`].
    pub cause: Cause,
    /// What went wrong, and where.
    pub reason: String,
}

/// Is told what the executor does, for metrics, logs and whoever watches. Called from
/// within attempts: it must return at once.
pub trait Observer: Send + Sync + 'static {
    /// An attempt begins.
    fn on_started(&self, action: &Action, attempt: u32) {
        let _ = (action, attempt);
    }

    /// An attempt succeeded; its outcome is not durable yet.
    fn on_succeeded(&self, action: &Action, success: &Success<'_>) {
        let _ = (action, success);
    }

    /// An attempt failed and the next one is made at `next`.
    fn on_retry(&self, action: &Action, attempt: u32, error: &str, next: Timestamp) {
        let _ = (action, attempt, error, next);
    }

    /// The action is a dead letter; that is not durable yet.
    fn on_dead_letter(&self, action: &Action, cause: Cause, error: &str) {
        let _ = (action, cause, error);
    }

    /// The action was dropped; that is not durable yet.
    fn on_dropped(&self, action: &Action, cause: DropCause, reason: &str) {
        let _ = (action, cause, reason);
    }

    /// The circuit of a target was opened or closed; that is not durable yet.
    fn on_circuit(&self, change: &CircuitChange) {
        let _ = change;
    }

    /// Actions of the trigger wait for the end of a freeze window: told once for each.
    fn on_frozen(&self, trigger: &TriggerName, frozen: &Frozen) {
        let _ = (trigger, frozen);
    }

    /// The action of a `dlqTrigger` is durable.
    fn on_follow_up(&self, position: Position, action: &Action) {
        let _ = (position, action);
    }

    /// The closing outcome of the action at `position` is durable.
    fn on_closed(&self, position: Position, action: &Action) {
        let _ = (position, action);
    }

    /// `waiting` outcomes could not be appended; they are tried again until they are.
    fn on_outcomes_held(&self, error: &WriteError, waiting: usize) {
        let _ = (error, waiting);
    }
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {}

/// An attempt that succeeded.
#[derive(Clone, Copy, Debug)]
pub struct Success<'a> {
    /// Which attempt, from 1.
    pub attempt: u32,
    /// What the target answered.
    pub result: &'a TargetResult,
    /// How long the target took.
    pub attempt_took: Duration,
    /// From the decision to here.
    pub since_decided: Duration,
}
