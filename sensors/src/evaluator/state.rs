//! What the evaluator remembers between two records, and how it is written.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tripline_event::event::Links;
use tripline_event::{ActionEvent, ObjectName, Position};

use super::plan::{Plan, Sensor};
use super::window::Window;

/// How long the state of a sensor that was removed is kept, in case it comes back.
pub const KEPT_AFTER_REMOVAL: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Everything that a decision depends on besides the plan and the record.
#[derive(Debug)]
pub struct State {
    /// The last record that was applied.
    pub watermark: Position,
    /// The greatest time of all records up to the watermark.
    pub log_time: Timestamp,
    /// Half-met conditions.
    pub sensors: BTreeMap<ObjectName, SensorState>,
    /// The events of the last 24 hours, by identity.
    pub window: Window,
    /// The sensors whose state changed since this was last emptied.
    pub dirty: BTreeSet<ObjectName>,
}

/// What is remembered of one sensor. A sensor of which nothing is remembered has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SensorState {
    /// Half-met conditions by the trigger's name.
    pub triggers: BTreeMap<String, TriggerState>,
    /// When the sensor was removed, if it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<Timestamp>,
}

/// A half-met condition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TriggerState {
    /// The latest event of each dependency that was seen since the condition last held.
    pub held: BTreeMap<String, Held>,
}

/// An event that waits for others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// The event, as a reference into the log.
    pub event: ActionEvent,
    /// Its links, for the action that it may take part in.
    pub links: Links,
    /// What the dependency was when it let the event through: an event is kept over a
    /// change of the plan only while this stays the same.
    pub dependency: u64,
    /// Log time at which it was held.
    pub since: Timestamp,
}

impl State {
    /// The state before any record of the log that `origin` is the beginning of.
    pub fn new(origin: Position) -> Self {
        Self {
            watermark: origin,
            log_time: Timestamp::UNIX_EPOCH,
            sensors: BTreeMap::new(),
            window: Window::default(),
            dirty: BTreeSet::new(),
        }
    }

    /// Log time after a record of time `at`.
    pub fn advance(&mut self, at: Timestamp) {
        self.log_time = self.log_time.max(at);
    }

    /// The lowest position that a half-met condition still needs.
    pub fn lowest_held(&self) -> Option<Position> {
        self.sensors
            .values()
            .flat_map(|sensor| sensor.triggers.values())
            .flat_map(|trigger| trigger.held.values())
            .map(|held| held.event.position)
            .min()
    }

    /// Holds `held` for a dependency of a trigger, in place of an older event of it.
    pub fn hold(&mut self, sensor: &Sensor, trigger: &str, held: Held) {
        let state = self.sensors.entry(sensor.name.clone()).or_default();
        let state = state.triggers.entry(trigger.to_owned()).or_default();
        state.held.insert(held.event.dependency.clone(), held);
        self.dirty.insert(sensor.name.clone());
    }

    /// The events that are held for a trigger.
    pub fn held(&self, sensor: &ObjectName, trigger: &str) -> Option<&BTreeMap<String, Held>> {
        self.sensors.get(sensor)?.triggers.get(trigger).map(|state| &state.held)
    }

    /// Takes all that is held for a trigger.
    pub fn release(&mut self, sensor: &ObjectName, trigger: &str) -> BTreeMap<String, Held> {
        let Some(state) = self.sensors.get_mut(sensor) else { return BTreeMap::new() };
        let Some(taken) = state.triggers.remove(trigger) else { return BTreeMap::new() };
        if state.triggers.is_empty() {
            self.sensors.remove(sensor);
        }
        self.dirty.insert(sensor.clone());
        taken.held
    }

    /// Adapts what is held to another plan. An event stays held where its dependency is
    /// the same and its trigger's condition still names it; what a removed sensor held
    /// stays for [`KEPT_AFTER_REMOVAL`].
    pub fn adapt(&mut self, plan: &Plan) {
        let Self { sensors, dirty, log_time, .. } = self;
        sensors.retain(|name, state| {
            let before = state.clone();
            match plan.sensor(name) {
                Some(sensor) => {
                    state.removed_at = None;
                    retain_unchanged(state, sensor);
                }
                None if state.removed_at.is_none() => state.removed_at = Some(*log_time),
                None => {}
            }
            let kept = !state.triggers.is_empty()
                && state
                    .removed_at
                    .is_none_or(|at| log_time.duration_since(at) <= KEPT_AFTER_REMOVAL);
            if !kept || *state != before {
                dirty.insert(name.clone());
            }
            kept
        });
    }
}

fn retain_unchanged(state: &mut SensorState, sensor: &Sensor) {
    state.triggers.retain(|trigger, state| {
        let Some(trigger) = sensor.trigger(trigger) else { return false };
        state.held.retain(|dependency, held| {
            sensor.dependency(dependency).is_some_and(|(index, dependency)| {
                dependency.fingerprint == held.dependency
                    && trigger.condition.dependencies().contains(&index)
            })
        });
        !state.held.is_empty()
    });
}
