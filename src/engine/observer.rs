//! What the engine tells whoever watches it: metrics, logs, the demo.

use tripline_bus::WriteError;
use tripline_event::{Action, Event, EventKey, ObjectName, Position};
use tripline_sensors::evaluator::Duplicate;

/// Is told what the engine does. Called on the paths that everything goes through: it
/// must return at once.
pub trait EngineObserver: Send + Sync + 'static {
    /// An event is durable, or was there already.
    fn on_accepted(&self, key: &EventKey, bytes: usize, duplicate: bool) {
        let _ = (key, bytes, duplicate);
    }

    /// The bus did not take an event; upstream was told so.
    fn on_not_accepted(&self, key: &EventKey, error: &WriteError) {
        let _ = (key, error);
    }

    /// An event source refused what came in.
    fn on_refused(&self, key: &EventKey, reason: &str) {
        let _ = (key, reason);
    }

    /// A filter looked at an event.
    fn on_filtered(
        &self,
        sensor: &ObjectName,
        dependency: &str,
        passed: bool,
        error: Option<&str>,
    ) {
        let _ = (sensor, dependency, passed, error);
    }

    /// An event was evaluated, and led to so many actions.
    fn on_evaluated(&self, event: &Event, actions: usize) {
        let _ = (event, actions);
    }

    /// An event repeated another and was not evaluated.
    fn on_duplicate(&self, duplicate: &Duplicate) {
        let _ = duplicate;
    }

    /// An action is durable.
    fn on_decided(&self, position: Position, action: &Action) {
        let _ = (position, action);
    }

    /// Everything up to this position is evaluated, and its actions are durable.
    fn on_progress(&self, evaluated: Position, behind: u64) {
        let _ = (evaluated, behind);
    }

    /// A checkpoint is durable.
    fn on_checkpoint(&self, watermark: Position) {
        let _ = watermark;
    }

    /// The bus failed in a way that is tried again; told once for each change.
    fn on_bus_trouble(&self, what: &str, error: Option<&str>) {
        let _ = (what, error);
    }
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl EngineObserver for Unwatched {}
