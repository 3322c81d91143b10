//! What an explanation says: plain data, written as JSON in camel case. The shape is in
//! docs/explain.md.

use serde::{Deserialize, Serialize};
use tripline_event::{
    ActionId, CorrelationId, DefinitionHash, Event, EventId, EventKey, ObjectName, Position,
    Timestamp, TriggerName,
};

use crate::query::Unknown;

/// The answer to a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// What is known.
    Found(Explanation),
    /// No record has the handle.
    Unknown(Unknown),
}

/// Why it went as it did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// What was asked for.
    pub handle: String,
    /// The events that it names, the oldest first.
    pub events: Vec<EventView>,
    /// How many older events are not shown.
    pub omitted: usize,
    /// What was no event: an event source could not read it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Cause>,
    /// The sensor that was asked about never saw an event of this chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub never: Option<Cause>,
}

impl Explanation {
    /// A trigger fires, or did.
    pub fn fires(&self) -> bool {
        let sensors = self.events.iter().flat_map(|event| &event.sensors);
        sensors.flat_map(|sensor| &sensor.triggers).any(|trigger| trigger.fired)
    }
}

/// One event, and what each sensor made of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventView {
    /// Where it stands in EVENTS; none where it is not in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Namespace, event source and event name.
    pub key: EventKey,
    /// Its id.
    pub id: EventId,
    /// The correlation id that it came with.
    pub correlation: CorrelationId,
    /// When it was taken in.
    pub time: Timestamp,
    /// The number of the plan that was in force there.
    pub plan: u64,
    /// Everything that was held then is known. If not, the log does not reach back far enough.
    pub complete: bool,
    /// Why no sensor decided about it, where none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Every sensor that could have seen it.
    pub sensors: Vec<SensorView>,
}

impl EventView {
    /// An event of which nothing else is known yet.
    pub fn new(position: Position, event: &Event) -> Self {
        Self {
            position: Some(position),
            key: event.key.clone(),
            id: event.id.clone(),
            correlation: event.links.correlation.clone(),
            time: event.time,
            plan: 0,
            complete: true,
            cause: None,
            sensors: Vec::new(),
        }
    }
}

/// What a sensor made of an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SensorView {
    /// Its identity.
    pub name: ObjectName,
    /// The definition that decided.
    pub definition: DefinitionHash,
    /// Its dependencies that name the event.
    pub dependencies: Vec<DependencyView>,
    /// Its triggers.
    pub triggers: Vec<TriggerView>,
    /// What decided, in one sentence: of several triggers, of the first that was not carried
    /// out.
    pub cause: Cause,
}

/// A dependency that names the event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DependencyView {
    /// Its name.
    pub name: String,
    /// Its filters let the event through.
    pub pass: bool,
    /// What could not be evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Each filter that was looked at, in order; the first that decides ends it.
    pub filters: Vec<FilterView>,
    /// Why it did not let the event through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
}

/// What one filter saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FilterView {
    /// Its field: `filters.data[0]`.
    pub field: String,
    /// The path, attribute or expression that was looked at.
    pub path: String,
    /// The value that was found, as text; none where nothing is there.
    pub found: Option<String>,
    /// What type it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found_type: Option<String>,
    /// What was wanted.
    pub wanted: String,
    /// Whether it fits.
    pub pass: bool,
    /// What could not be evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What a trigger made of an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TriggerView {
    /// Its name.
    pub name: TriggerName,
    /// Its condition, as it is written; empty: all dependencies.
    pub condition: String,
    /// The condition held when the event came in.
    pub fired: bool,
    /// What was held when the event came in, before it.
    pub held: Vec<HeldView>,
    /// What the condition waited for then.
    pub missing: Vec<String>,
    /// The actions that the event took part in, at once or later.
    pub actions: Vec<ActionView>,
    /// What decided, in one sentence.
    pub cause: Cause,
}

/// An event that was held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldView {
    /// For which dependency.
    pub dependency: String,
    /// Its id.
    pub id: EventId,
    /// Where it stands.
    pub position: Position,
    /// Since when; none of one that the event completed the condition with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// An action, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionView {
    /// Its id.
    pub id: ActionId,
    /// Which round: 0, and one more each time it was sent back.
    pub round: u32,
    /// Where it stands in ACTIONS.
    pub position: Position,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// Where it is carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// How many attempts are known to have been begun.
    pub attempts: u32,
    /// What became of it, in order.
    pub outcomes: Vec<Step>,
    /// It is closed: carried out, dropped, or a dead letter.
    pub closed: bool,
    /// What decided, in one sentence.
    pub cause: Cause,
}

/// One thing that became of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// When.
    pub at: Timestamp,
    /// What: the outcome's kind.
    pub outcome: String,
    /// The rest, in one line.
    pub detail: String,
}

/// Why, as a word and in one sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cause {
    /// The word.
    pub code: Code,
    /// The sentence.
    pub sentence: String,
}

/// Why something happened or did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Code {
    /// It was carried out.
    Succeeded,
    /// It would fire: nothing was carried out.
    WouldFire,
    /// It fired, and is being carried out.
    Fired,
    /// A filter looks at a path where nothing is; the value is elsewhere.
    WrongPath,
    /// The event has no such key.
    MissingKey,
    /// The value is of a type that the filter does not compare.
    WrongType,
    /// The body is text in base64, and the filter looks into it.
    Base64Body,
    /// The data is no JSON.
    NotJson,
    /// The value is another one than the filter wants.
    OtherValue,
    /// The event came in outside the window of the `time` filter.
    OutsideTime,
    /// An attribute is another one than the `context` filter wants.
    OtherAttribute,
    /// An expression did not hold.
    Expression,
    /// A script did not answer true.
    Script,
    /// The transform failed.
    Transform,
    /// The trigger's condition does not name the dependency.
    NotNamed,
    /// The condition is half met, and waits.
    HalfMet,
    /// It waited, and a newer event took its place.
    Replaced,
    /// It waited, and `conditionsReset` had it forgotten.
    Reset,
    /// It waited, and an operator had it forgotten.
    Cleared,
    /// It waited for so long that it was parked as a dead letter.
    Parked,
    /// It waited, and the sensor was changed or removed.
    PlanChanged,
    /// It repeats an event that was seen before.
    Duplicate,
    /// It was not evaluated yet.
    Lag,
    /// No event of the chain came in that the sensor waits for.
    NeverArrived,
    /// No sensor waits for this event.
    NoSensor,
    /// The sensor waits for other events.
    OtherEvent,
    /// The sensor was not there yet.
    NotInForce,
    /// The event source could not read it.
    Malformed,
    /// The action waits for its turn.
    Waiting,
    /// The action waits for its trigger's rate limit.
    RateLimited,
    /// The action waits because somebody paused it, or its sensor is suspended.
    Paused,
    /// The action waits for the end of a freeze window.
    Frozen,
    /// The action waits because attempts at its target fail.
    CircuitOpen,
    /// An attempt failed, and another follows.
    Retrying,
    /// It was not started, or did not succeed, in time.
    Expired,
    /// It is a dead letter.
    DeadLettered,
    /// A newer action of its key took its place.
    Superseded,
    /// An earlier action of its key was running.
    Overlap,
    /// It was dropped.
    Dropped,
    /// The chain has too many hops.
    Loop,
    /// The template that it names is not there.
    TemplateMissing,
    /// The target does not allow it.
    Forbidden,
}

impl Code {
    /// The word, as it stands in JSON.
    pub fn word(self) -> String {
        let json = serde_json::to_string(&self).unwrap_or_default();
        json.trim_matches('"').to_owned()
    }

    /// It went as it was to go.
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Succeeded | Self::Fired | Self::WouldFire)
    }
}

impl Cause {
    /// A cause.
    pub fn new(code: Code, sentence: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into() }
    }
}
