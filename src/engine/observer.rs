//! What the engine tells whoever watches it: metrics, logs, the demo.

use std::sync::Arc;

use tripline_bus::WriteError;
use tripline_event::{Action, DeadLetter, Event, EventKey, ObjectName, Position};
use tripline_sensors::evaluator::{Duplicate, Tally};

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

    /// The filter of an event source left out what came in, or, with an error, could not be
    /// evaluated on it, which leaves it out as well.
    fn on_left_out(&self, key: &EventKey, error: Option<&str>) {
        let _ = (key, error);
    }

    /// What came in will never be an event, and is a dead letter.
    fn on_unreadable(&self, key: &EventKey, reason: &str) {
        let _ = (key, reason);
    }

    /// A sensor waited with an event for too long; it is a dead letter, which is not durable
    /// yet.
    fn on_parked(&self, sensor: &ObjectName, letter: &DeadLetter) {
        let _ = (sensor, letter);
    }

    /// Ticks were passed over, and are an outcome.
    fn on_missed(&self, key: &EventKey, count: u64) {
        let _ = (key, count);
    }

    /// What became of events at each dependency is counted here from now on: at the start,
    /// and after each change of plan.
    fn on_tally(&self, tally: &Arc<Tally>) {
        let _ = tally;
    }

    /// The filter of a dependency could not be evaluated; `others` of other dependencies
    /// could not for the same reason.
    fn on_filter_error(&self, sensor: &ObjectName, dependency: &str, others: usize, error: &str) {
        let _ = (sensor, dependency, others, error);
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

    /// What schedules decided is durable: ticks, and what became of others.
    fn on_ticks(&self, events: &[Event]) {
        let _ = events;
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
