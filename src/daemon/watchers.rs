//! Everybody who watches the engine: metrics, notes, and the log.

use std::sync::Arc;

use tripline_bus::WriteError;
use tripline_event::{
    Action, Cause, DeadLetter, DropCause, Event, EventKey, ObjectName, Position, Timestamp,
    TriggerName,
};
use tripline_sensors::evaluator::{Duplicate, Tally};
use tripline_triggers::executor::{CircuitChange, Frozen, Observer, Success};

use super::counts::Counts;
use super::metrics::Metrics;
use super::notes::Notes;
use super::trouble::Trouble;
use crate::engine::observer::EngineObserver;

/// Passes everything on to those who want it.
pub struct Watchers {
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Counts for a glance.
    pub counts: Arc<Counts>,
    /// Writes outcomes of what never became an event.
    pub notes: Arc<Notes>,
    /// Says the same thing once.
    pub trouble: Trouble,
    /// Wants everything: the demo.
    pub guest: Option<Arc<dyn Guest>>,
}

/// Somebody who wants to see everything as it happens.
pub trait Guest: EngineObserver + Observer {}

impl<T: EngineObserver + Observer> Guest for T {}

impl EngineObserver for Watchers {
    fn on_accepted(&self, key: &EventKey, bytes: usize, duplicate: bool) {
        self.metrics.on_accepted(key, bytes, duplicate);
        if duplicate {
            self.notes.refused(key, "its id was known: nothing was stored");
        } else {
            self.counts.received(key);
        }
        if let Some(guest) = &self.guest {
            guest.on_accepted(key, bytes, duplicate);
        }
    }

    fn on_not_accepted(&self, key: &EventKey, error: &WriteError) {
        self.metrics.on_not_accepted(key, error);
        self.trouble.tell(&format!("event source {key}"), &error.to_string());
    }

    fn on_left_out(&self, key: &EventKey, error: Option<&str>) {
        self.metrics.on_left_out(key, error);
    }

    fn on_refused(&self, key: &EventKey, reason: &str) {
        self.metrics.on_refused(key, reason);
        self.notes.refused(key, reason);
    }

    fn on_unreadable(&self, key: &EventKey, reason: &str) {
        self.metrics.on_unreadable(key, reason);
        self.trouble.tell(&format!("event source {key}: dead letter (malformed)"), reason);
        if let Some(guest) = &self.guest {
            guest.on_unreadable(key, reason);
        }
    }

    fn on_parked(&self, sensor: &ObjectName, letter: &DeadLetter) {
        self.metrics.on_parked(sensor, letter);
        tracing::error!(%sensor, error = letter.error, "an event was waited with for too long: it is a dead letter now (see `tripline dlq list --cause parked`)");
    }

    fn on_ticks(&self, events: &[Event]) {
        for (key, count) in crate::engine::schedules::events::missed(events) {
            self.on_missed(&key, count);
        }
    }

    fn on_missed(&self, key: &EventKey, count: u64) {
        self.metrics.on_missed(key, count);
        self.trouble.tell(&format!("event source {key}"), &format!("{count} ticks were missed"));
    }

    fn on_tally(&self, tally: &Arc<Tally>) {
        self.counts.tally(Arc::clone(tally));
    }

    fn on_filter_error(&self, sensor: &ObjectName, dependency: &str, others: usize, error: &str) {
        let who = format!("filter of dependency {dependency} of sensor {sensor}");
        match others {
            0 => self.trouble.tell(&who, error),
            _ => self.trouble.tell(&format!("{who}, and of {others} others"), error),
        }
    }

    fn on_evaluated(&self, event: &Event, actions: usize) {
        self.metrics.on_evaluated(event, actions);
        tracing::debug!(event_id = %event.id, event = %event.key, correlation_id = %event.links.correlation, actions, "event was evaluated");
        if let Some(guest) = &self.guest {
            guest.on_evaluated(event, actions);
        }
    }

    fn on_duplicate(&self, duplicate: &Duplicate) {
        self.metrics.on_duplicate(duplicate);
        tracing::debug!(event_id = %duplicate.id, event = %duplicate.key, first = %duplicate.first, "event repeats another");
    }

    fn on_decided(&self, position: Position, action: &Action) {
        self.metrics.on_decided(position, action);
        self.counts.fired(action);
        tracing::debug!(action_id = %action.id, trigger = %action.trigger, correlation_id = %action.links.correlation, "action was decided");
        if let Some(guest) = &self.guest {
            guest.on_decided(position, action);
        }
    }

    fn on_progress(&self, evaluated: Position, behind: u64) {
        self.metrics.on_progress(evaluated, behind);
    }

    fn on_checkpoint(&self, watermark: Position) {
        self.metrics.on_checkpoint(watermark);
        tracing::debug!(%watermark, "checkpoint was written");
    }

    fn on_bus_trouble(&self, what: &str, error: Option<&str>) {
        self.metrics.on_bus_trouble(what, error);
        match error {
            Some(error) => tracing::warn!(error, "{what}; it is tried again until it works"),
            None => tracing::info!("{what}: it works again"),
        }
    }
}

impl Observer for Watchers {
    fn on_started(&self, action: &Action, attempt: u32) {
        if let Some(guest) = &self.guest {
            guest.on_started(action, attempt);
        }
    }

    fn on_succeeded(&self, action: &Action, success: &Success<'_>) {
        Observer::on_succeeded(&*self.metrics, action, success);
        if self.trouble.is_known() {
            self.trouble.over(&format!("trigger {}", action.trigger));
        }
        tracing::debug!(action_id = %action.id, trigger = %action.trigger, correlation_id = %action.links.correlation, attempt = success.attempt, "action was carried out");
        if let Some(guest) = &self.guest {
            guest.on_succeeded(action, success);
        }
    }

    fn on_retry(&self, action: &Action, attempt: u32, error: &str, next: Timestamp) {
        self.metrics.on_retry(action, attempt, error, next);
        self.trouble.tell(&format!("trigger {}", action.trigger), error);
        tracing::debug!(action_id = %action.id, trigger = %action.trigger, attempt, error, %next, "attempt failed");
        if let Some(guest) = &self.guest {
            guest.on_retry(action, attempt, error, next);
        }
    }

    fn on_dead_letter(&self, action: &Action, cause: Cause, error: &str) {
        self.metrics.on_dead_letter(action, cause, error);
        self.trouble.tell(&format!("trigger {}: dead letter ({cause})", action.trigger), error);
        if let Some(guest) = &self.guest {
            guest.on_dead_letter(action, cause, error);
        }
    }

    fn on_dropped(&self, action: &Action, cause: DropCause, reason: &str) {
        self.metrics.on_dropped(action, cause, reason);
        tracing::info!(action_id = %action.id, trigger = %action.trigger, reason, "action was dropped");
    }

    fn on_circuit(&self, change: &CircuitChange) {
        let CircuitChange { target, failures, error, .. } = change;
        if change.open {
            tracing::warn!(%target, failures, error, "circuit is open: one attempt at a time is made until one is answered");
        } else {
            tracing::info!(%target, "circuit is closed: the target has answered");
        }
    }

    fn on_frozen(&self, trigger: &TriggerName, frozen: &Frozen) {
        let Frozen { until, window } = frozen;
        tracing::info!(%trigger, %until, %window, "actions wait for the end of a freeze window");
    }

    fn on_follow_up(&self, position: Position, action: &Action) {
        EngineObserver::on_decided(self, position, action);
    }

    fn on_closed(&self, position: Position, action: &Action) {
        if let Some(guest) = &self.guest {
            guest.on_closed(position, action);
        }
    }

    fn on_outcomes_held(&self, error: &WriteError, waiting: usize) {
        self.metrics.on_outcomes_held(error, waiting);
        self.trouble.tell("outcomes", &format!("{error}; {waiting} wait"));
    }
}
