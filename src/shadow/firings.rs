//! What Tripline decides about the messages of the stream.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use tripline_bus::argo::Message;
use tripline_event::{
    Action, EventKey, EventsRecord, ObjectName, Position, Timestamp, TriggerName,
};
use tripline_sensors::evaluator::{Plan, Sensor, State};
use tripline_triggers::RenderedAction;

use super::workflows::comparable;
use crate::backtest::{Decided, Decider};
use crate::engine::definitions::{CompiledSensor, Definitions};

/// The incarnation of a stream of Argo Events, which has none.
const STREAM: u32 = 1;

/// A firing.
#[derive(Clone, Debug)]
pub struct Firing {
    /// The trigger.
    pub trigger: TriggerName,
    /// The sequence of the message that completes its condition.
    pub sequence: u64,
    /// When the server stored that message.
    pub at: Timestamp,
    /// Its events.
    pub events: Vec<FiringEvent>,
    /// What it would create.
    pub wanted: Wanted,
}

/// An event of a firing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FiringEvent {
    /// The dependency.
    pub dependency: String,
    /// `namespace/source/event`.
    #[serde(serialize_with = "text")]
    pub key: EventKey,
    /// Its id.
    pub id: String,
    /// The sequence of its message.
    pub sequence: u64,
    /// When the server stored that.
    pub at: Timestamp,
}

fn text<S: serde::Serializer>(key: &EventKey, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(key)
}

/// What a firing would create.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// This workflow, as far as it is compared.
    Workflow {
        /// What is compared.
        object: Value,
        /// It may be deleted so many seconds after its end.
        kept: Option<u64>,
    },
    /// Nothing: it would be a dead letter.
    Fails(String),
    /// Something that carries no labels of Argo Events, or that is not known here.
    Other(Other),
}

/// Why what a firing would create cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Other {
    /// It is no workflow.
    Kind,
    /// The object does not stand in the sensor.
    Source,
}

/// A message whose event repeats another one's.
#[derive(Clone, Debug)]
pub struct Repeat {
    /// The event.
    pub key: EventKey,
    /// Its id.
    pub id: String,
    /// When the server stored the message.
    pub at: Timestamp,
    /// Its sequence.
    pub sequence: u64,
    /// The sequence of the first.
    pub first: u64,
}

/// Decides about messages, one after the other.
pub struct Firings<'d> {
    decider: Decider<'d, 1>,
    sensors: &'d BTreeMap<ObjectName, Arc<CompiledSensor>>,
    /// When the messages came that fire something or are held.
    times: HashMap<u64, Timestamp>,
    /// What fired, in the order of the stream.
    pub fired: Vec<Firing>,
    /// What repeats something, in the order of the stream.
    pub repeats: Vec<Repeat>,
}

impl<'d> Firings<'d> {
    /// Of these sensors, from the stream's first message on.
    pub fn new(
        definitions: &'d Definitions,
        sensors: &'d BTreeMap<ObjectName, Arc<CompiledSensor>>,
    ) -> Self {
        let compiled = sensors.values().map(|of| Arc::clone(&of.sensor));
        let plan: Arc<Plan> = Arc::new(Plan::new(1, compiled.collect::<Vec<Arc<Sensor>>>()));
        let decider = Decider::new(definitions, &[plan], Position::new(STREAM, 0));
        let (fired, repeats) = (Vec::new(), Vec::new());
        Self { decider, sensors, times: HashMap::new(), fired, repeats }
    }

    /// Decides about the next message.
    pub fn apply(&mut self, message: Message) {
        let Message { sequence, time, event, .. } = message;
        let position = Position::new(STREAM, sequence);
        let Some(decided) = self.decider.apply(position, EventsRecord::Event(event)) else {
            return;
        };
        let Decided { event, actions: [actions], repeats } = decided;
        if let Some(first) = repeats {
            let (key, id) = (event.key.clone(), event.id.to_string());
            self.repeats.push(Repeat { key, id, at: time, sequence, first: first.sequence });
        }
        self.times.insert(sequence, time);
        for action in actions {
            let firing = self.firing(sequence, time, &action);
            self.fired.push(firing);
        }
    }

    /// What half-met conditions hold after the last message.
    pub fn state(&self) -> &State {
        let [state] = self.decider.states();
        state
    }

    fn firing(&self, sequence: u64, at: Timestamp, action: &Action) -> Firing {
        let events = action.events.iter().map(|of| FiringEvent {
            dependency: of.dependency.clone(),
            key: of.key.clone(),
            id: of.id.to_string(),
            sequence: of.position.sequence,
            at: self.times.get(&of.position.sequence).copied().unwrap_or(at),
        });
        let (trigger, events) = (action.trigger.clone(), events.collect());
        Firing { trigger, sequence, at, events, wanted: self.wanted(action) }
    }

    fn wanted(&self, action: &Action) -> Wanted {
        let sensor = self.sensors.get(&action.trigger.sensor_name());
        let kind = sensor.and_then(|of| of.triggers.get(&action.trigger.trigger)).map(|of| of.kind);
        if !kind.is_some_and(|kind| ["argoWorkflow", "k8s"].contains(&kind)) {
            return Wanted::Other(Other::Kind);
        }
        match self.decider.render(action) {
            Ok(rendered) => wanted(&rendered),
            Err(reason) => Wanted::Fails(reason),
        }
    }
}

/// What an action creates.
fn wanted(rendered: &RenderedAction) -> Wanted {
    let operation = rendered.config.get("operation").and_then(Value::as_str).unwrap_or_default();
    if !["", "submit", "create"].contains(&operation) {
        return Wanted::Other(Other::Kind);
    }
    let Some(object) = &rendered.resource else { return Wanted::Other(Other::Source) };
    if object.get("kind").and_then(Value::as_str) != Some("Workflow") {
        return Wanted::Other(Other::Kind);
    }
    let lives = object.pointer("/spec/ttlStrategy").and_then(Value::as_object);
    let kept = lives.into_iter().flat_map(|lives| lives.values()).filter_map(Value::as_u64).min();
    Wanted::Workflow { object: comparable(object, &rendered.action.trigger.namespace), kept }
}
