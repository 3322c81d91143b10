//! What the evaluator remembers between two records, and how it is written.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tripline_event::event::Links;
use tripline_event::{ActionEvent, CorrelationId, EventId, EventKey, ObjectName, Position};

use super::conditions::{Conditions, Part};
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
    pub conditions: Conditions,
    /// The events of the last 24 hours, by identity.
    pub window: Window,
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
    pub held: BTreeMap<Arc<str>, Held>,
}

/// An event that waits for others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "HeldWire", into = "HeldWire")]
pub struct Held {
    /// The dependency's name.
    pub name: Arc<str>,
    /// The event, as a reference into the log. Who holds the same event shares it.
    pub event: Arc<HeldEvent>,
    /// What the dependency was when it let the event through: an event is kept over a
    /// change of the plan only while this stays the same.
    pub dependency: u64,
    /// Log time at which it was held.
    pub since: Timestamp,
}

/// What is remembered of an event that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldEvent {
    /// Its namespace, event source and name.
    pub key: EventKey,
    /// Its id.
    pub id: EventId,
    /// Where it stands in the EVENTS log.
    pub position: Position,
    /// Its correlation id.
    pub correlation: CorrelationId,
    /// Its links, for the action that it may take part in.
    pub links: Links,
}

/// How [`Held`] is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeldWire {
    event: ActionEvent,
    links: Links,
    dependency: u64,
    since: Timestamp,
}

impl From<HeldWire> for Held {
    fn from(wire: HeldWire) -> Self {
        let ActionEvent { dependency: name, key, id, position, correlation } = wire.event;
        let event = HeldEvent { key, id, position, correlation, links: wire.links };
        Self {
            name: name.into(),
            event: event.into(),
            dependency: wire.dependency,
            since: wire.since,
        }
    }
}

impl From<Held> for HeldWire {
    fn from(held: Held) -> Self {
        Self {
            event: held.action_event(),
            links: held.event.links.clone(),
            dependency: held.dependency,
            since: held.since,
        }
    }
}

impl Held {
    /// The event, as an action names it.
    pub fn action_event(&self) -> ActionEvent {
        let HeldEvent { key, id, position, correlation, .. } = &*self.event;
        ActionEvent {
            dependency: self.name.as_ref().to_owned(),
            key: key.clone(),
            id: id.clone(),
            position: *position,
            correlation: correlation.clone(),
        }
    }
}

impl State {
    /// The state before any record of the log that `origin` is the beginning of.
    pub fn new(origin: Position) -> Self {
        Self {
            watermark: origin,
            log_time: Timestamp::UNIX_EPOCH,
            conditions: Conditions::default(),
            window: Window::default(),
        }
    }

    /// Log time after a record of time `at`.
    pub fn advance(&mut self, at: Timestamp) {
        self.log_time = self.log_time.max(at);
    }

    /// Puts conditions that were written back into their place. Events that several
    /// conditions hold are in memory once, as they were.
    pub fn restore(&mut self, parts: impl IntoIterator<Item = Part>) {
        let mut events: HashMap<Position, Arc<HeldEvent>> = HashMap::new();
        for mut part in parts {
            let triggers = part.values_mut().flat_map(|sensor| sensor.triggers.values_mut());
            for held in triggers.flat_map(|trigger| trigger.held.values_mut()) {
                let event = events.entry(held.event.position).or_insert_with(|| held.event.clone());
                if *event == held.event {
                    held.event = Arc::clone(event);
                }
            }
            self.conditions.restore(part);
        }
    }

    /// Holds `held` for a dependency of a trigger, in place of an older event of it.
    pub fn hold(&mut self, sensor: &Sensor, trigger: &str, held: Held) {
        self.conditions.change(&sensor.name, |state| {
            let state = match state.triggers.get_mut(trigger) {
                Some(state) => state,
                None => state.triggers.entry(trigger.to_owned()).or_default(),
            };
            state.held.insert(Arc::clone(&held.name), held);
        });
    }

    /// The events that are held for a trigger.
    pub fn held(&self, sensor: &ObjectName, trigger: &str) -> Option<&BTreeMap<Arc<str>, Held>> {
        self.conditions.get(sensor)?.triggers.get(trigger).map(|state| &state.held)
    }

    /// Takes all that is held for a trigger.
    pub fn release(&mut self, sensor: &ObjectName, trigger: &str) -> BTreeMap<Arc<str>, Held> {
        if self.held(sensor, trigger).is_none() {
            return BTreeMap::new();
        }
        let taken = self.conditions.change(sensor, |state| state.triggers.remove(trigger));
        taken.map(|taken| taken.held).unwrap_or_default()
    }

    /// Forgets what a sensor holds: of one dependency, or all; of events that stand no later
    /// than `through`, or all. Where it holds nothing of that, nothing changes.
    pub fn clear(
        &mut self,
        sensor: &ObjectName,
        dependency: Option<&str>,
        through: Option<Position>,
    ) {
        let Some(state) = self.conditions.get(sensor) else { return };
        let meant = |name: &str, held: &Held| {
            dependency.is_none_or(|dependency| dependency == name)
                && through.is_none_or(|through| held.event.position <= through)
        };
        let mut triggers = state.triggers.values();
        if !triggers.any(|trigger| trigger.held.iter().any(|(name, held)| meant(name, held))) {
            return;
        }
        self.conditions.change(sensor, |state| {
            state.triggers.retain(|_, trigger| {
                trigger.held.retain(|name, held| !meant(name, held));
                !trigger.held.is_empty()
            });
        });
    }

    /// Adapts what is held to another plan. An event stays held where its dependency is
    /// the same and its trigger's condition still names it; what a removed sensor held
    /// stays for [`KEPT_AFTER_REMOVAL`].
    pub fn adapt(&mut self, plan: &Plan) {
        let log_time = self.log_time;
        self.conditions.retain(|name, state| {
            match plan.sensor(name) {
                Some(sensor) => {
                    state.removed_at = None;
                    retain_unchanged(state, sensor);
                }
                None if state.removed_at.is_none() => state.removed_at = Some(log_time),
                None => {}
            }
            state.removed_at.is_none_or(|at| log_time.duration_since(at) <= KEPT_AFTER_REMOVAL)
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
