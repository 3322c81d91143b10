//! The handles of a record: every text by which somebody may look for it.

use std::borrow::Cow;
use std::collections::HashSet;

use bytes::Bytes;
use serde::Deserialize;
use tripline_bus::Log;
use tripline_event::outcome::TargetResult;
use tripline_event::{
    Action, EventKey, EventsRecord, ObjectName, Outcome, OutcomeKind, Timestamp, TriggerName,
};

/// How much of an action's id stands for the whole: what is looked for by less is not found.
pub const PREFIX: usize = 8;

/// The hash of a handle. It is in the data of every installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(pub(super) u64);

impl Handle {
    /// An id of any kind: of an event, a chain, an action, the name of a workflow.
    pub fn id(text: &str) -> Self {
        Self::new(b'i', [text])
    }

    /// The beginning of an action's id; none where `text` is too short to mean one.
    pub fn prefix(text: &str) -> Option<Self> {
        text.get(..PREFIX).map(|prefix| Self::new(b'p', [prefix]))
    }

    /// Events of this event source.
    pub fn source(namespace: &str, source: &str) -> Self {
        Self::new(b's', [namespace, source])
    }

    /// Actions of this sensor, what became of them, and that it was cleared.
    pub fn sensor(sensor: &ObjectName) -> Self {
        Self::new(b't', [&sensor.namespace, &sensor.name])
    }

    /// Changes of plan.
    pub fn plans() -> Self {
        Self::new(b'n', [""; 1])
    }

    /// Repeated events.
    pub fn duplicates() -> Self {
        Self::new(b'd', [""; 1])
    }

    /// What event sources refused, and what they could not read.
    pub fn refusals() -> Self {
        Self::new(b'r', [""; 1])
    }

    /// FNV-1a over the sort and the parts, with an end after each.
    fn new<const N: usize>(sort: u8, parts: [&str; N]) -> Self {
        let bytes = parts.iter().flat_map(|part| part.bytes().chain([0xff]));
        let hash = std::iter::once(sort).chain(bytes).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3_u64)
        });
        let hash = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        Self(hash ^ (hash >> 32))
    }
}

/// Adds the handles of a record, and tells its time; none where it cannot be read: then it
/// may be anybody's.
pub(super) fn of(log: Log, record: &Bytes, into: &mut HashSet<Handle>) -> Option<Timestamp> {
    match log {
        Log::Events => of_event(record, into),
        Log::Actions => {
            let action = Action::decode(record).ok()?;
            of_action(&action, into);
            Some(action.decided_at)
        }
        Log::Outcomes => {
            let outcome = Outcome::decode(record).ok()?;
            of_outcome(&outcome, into);
            Some(outcome.at)
        }
    }
}

/// What of an event is a handle; its payload is passed over.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    record: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    source: Cow<'a, str>,
    #[serde(borrow, default)]
    namespace: Cow<'a, str>,
    time: Timestamp,
    #[serde(borrow, default)]
    links: Links<'a>,
}

#[derive(Default, Deserialize)]
struct Links<'a> {
    #[serde(borrow, default)]
    correlation: Cow<'a, str>,
    #[serde(borrow, default)]
    chain: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    causation: Option<Cow<'a, str>>,
}

fn of_event(record: &Bytes, into: &mut HashSet<Handle>) -> Option<Timestamp> {
    let head: Head<'_> = serde_json::from_slice(record).ok()?;
    match head.record.as_ref() {
        "event" => {
            into.insert(Handle::source(&head.namespace, &head.source));
            let Links { correlation, chain, causation } = &head.links;
            let linked = [Some(&head.id), Some(correlation), chain.as_ref(), causation.as_ref()];
            into.extend(linked.into_iter().flatten().map(|text| Handle::id(text)));
        }
        "time" => {}
        "plan" => drop(into.insert(Handle::plans())),
        "clear" => match EventsRecord::decode(record).ok()? {
            EventsRecord::Clear { sensor, .. } => drop(into.insert(Handle::sensor(&sensor))),
            _ => return None,
        },
        _ => return None,
    }
    Some(head.time)
}

fn of_action(action: &Action, into: &mut HashSet<Handle>) {
    let links = &action.links;
    into.insert(Handle::id(action.id.as_str()));
    into.extend(Handle::prefix(action.id.as_str()));
    into.insert(Handle::sensor(&action.trigger.sensor_name()));
    into.insert(Handle::id(links.correlation.as_str()));
    into.insert(Handle::id(links.root().as_str()));
    into.extend(links.causation.as_deref().map(Handle::id));
    for event in &action.events {
        into.insert(Handle::id(event.id.as_str()));
        into.insert(Handle::id(event.correlation.as_str()));
    }
}

fn of_outcome(outcome: &Outcome, into: &mut HashSet<Handle>) {
    into.extend(outcome.correlation.iter().map(|id| Handle::id(id.as_str())));
    let mut action = |id: &tripline_event::ActionId, trigger: Option<&TriggerName>| {
        into.insert(Handle::id(id.as_str()));
        into.extend(Handle::prefix(id.as_str()));
        into.extend(trigger.map(|trigger| Handle::sensor(&trigger.sensor_name())));
    };
    match &outcome.kind {
        OutcomeKind::Attempted { action: id, trigger, .. } => action(id, trigger.as_ref()),
        OutcomeKind::Retrying { action: id, trigger, .. }
        | OutcomeKind::Dropped { action: id, trigger, .. } => action(id, Some(trigger)),
        OutcomeKind::Succeeded { action: id, trigger, result, .. } => {
            action(id, Some(trigger));
            if let TargetResult::Workflow { name, .. } | TargetResult::Object { name, .. } = result
            {
                into.insert(Handle::id(name));
            }
        }
        OutcomeKind::DeadLettered(letter) => {
            match &letter.action {
                Some(id) => action(id, letter.trigger.as_ref()),
                None => drop(into.insert(Handle::refusals())),
            }
            into.extend(letter.events.iter().map(|event| Handle::id(event.id.as_str())));
            into.extend(letter.events.iter().map(|event| of_key(&event.key)));
        }
        OutcomeKind::Duplicate { key, id, .. } => {
            into.extend([Handle::duplicates(), Handle::id(id.as_str()), of_key(key)]);
        }
        OutcomeKind::Refused { key, .. } | OutcomeKind::Missed { key, .. } => {
            into.extend([Handle::refusals(), of_key(key)]);
        }
        OutcomeKind::Workflow { name, action: id, .. } => {
            action(id, None);
            into.insert(Handle::id(name));
        }
        OutcomeKind::Circuit { target, .. } => drop(into.insert(Handle::id(target))),
        OutcomeKind::Frozen { trigger, .. } => {
            into.insert(Handle::sensor(&trigger.sensor_name()));
        }
        OutcomeKind::Operator { subject, .. } => drop(into.insert(Handle::id(subject))),
    }
}

fn of_key(key: &EventKey) -> Handle {
    Handle::source(&key.namespace, &key.source)
}
