//! Half-met conditions that hold back the log longer than their share: what they hold is
//! parked as dead letters, with payloads, and forgotten.
//!
//! The letter is durable before the record that forgets, so that a crash in between parks the
//! event once more, and nothing is lost. What is forgotten follows from that record alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use tripline_bus::{Append, Bus, Extent, Fill, Log, ReadError, WriteError};
use tripline_event::{
    Cause, DeadLetter, Envelope, Event, EventsRecord, LetterEvent, ObjectName, Outcome,
    OutcomeKind, Position, Timestamp,
};
use tripline_sensors::evaluator::{Held, SensorState};

use super::mistakes::Mistakes;
use super::observer::EngineObserver;
use super::trim::RETENTION;

/// The share of what the bus may take that one waiting event may hold back.
const SHARE: u64 = 10;
/// The most events that are parked at once; others wait for the next time.
const MOST_AT_ONCE: usize = 256;

/// An event that is waited with for too long.
#[derive(Clone, Debug)]
pub struct Overdue {
    sensor: ObjectName,
    held: Held,
    /// What its trigger still waited for.
    missing: String,
    why: String,
}

/// An event could not be parked. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum ParkError {
    /// The bus cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The bus did not take the letter, or the record that forgets.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// What of the half-met conditions is to be parked at `now`, the oldest first.
pub fn overdue<'a>(
    held: impl Iterator<Item = (&'a ObjectName, &'a SensorState)>,
    now: Timestamp,
    events: Extent,
    fill: Option<Fill>,
) -> Vec<Overdue> {
    let mut found: BTreeMap<(Position, ObjectName, Arc<str>), Overdue> = BTreeMap::new();
    for (sensor, state) in held {
        for (trigger, state) in &state.triggers {
            for held in state.held.values() {
                let Some(why) = too_long(held, now, events, fill) else { continue };
                let key = (held.event.position, sensor.clone(), Arc::clone(&held.name));
                found.entry(key).or_insert_with(|| Overdue {
                    sensor: sensor.clone(),
                    held: held.clone(),
                    missing: trigger.clone(),
                    why,
                });
            }
        }
    }
    found.into_values().take(MOST_AT_ONCE).collect()
}

fn too_long(held: &Held, now: Timestamp, events: Extent, fill: Option<Fill>) -> Option<String> {
    if now.duration_since(held.since) > RETENTION {
        return Some("for 7 days".to_owned());
    }
    let records = events.next.sequence.saturating_sub(events.first.sequence).max(1);
    let behind = events.next.sequence.saturating_sub(held.event.position.sequence).min(records);
    let bytes = u128::from(events.bytes) * u128::from(behind) / u128::from(records);
    let limit = fill?.limit / SHARE;
    (bytes > u128::from(limit)).then(|| {
        format!("while {bytes} bytes of later events came in; one event may hold back {limit}")
    })
}

/// Parks the events: each becomes a dead letter with its payload, then a record of EVENTS
/// forgets it.
///
/// # Errors
/// The bus does not answer; those that were parked until then are.
pub async fn park(
    bus: &Arc<dyn Bus>,
    overdue: Vec<Overdue>,
    now: Timestamp,
    observer: &dyn EngineObserver,
    mistakes: Mistakes,
) -> Result<(), ParkError> {
    for one in overdue {
        let event = event_at(&**bus, one.held.event.position).await?;
        let letter = one.letter(event.as_ref());
        let Overdue { sensor, held, .. } = one;
        let position = held.event.position;
        let id = format!("park/{sensor}/{}/{position}", held.name);
        observer.on_parked(&sensor, &letter);
        let correlation = event.as_ref().map(|event| event.links.root().clone());
        let kind = OutcomeKind::DeadLettered(Box::new(letter));
        let record = Outcome { at: now, correlation, kind }.encode();
        let dedup = Some(id.clone().into());
        if !mistakes.park_without_letter() {
            bus.append(Log::Outcomes, vec![Append { dedup, record }]).await?;
        }
        let forgets = EventsRecord::Clear {
            sensor,
            dependency: Some(held.name.to_string()),
            at: now,
            through: Some(position),
        };
        let append = Append { dedup: Some(id.into()), record: forgets.encode() };
        bus.append(Log::Events, vec![append]).await?;
    }
    Ok(())
}

async fn event_at(bus: &dyn Bus, position: Position) -> Result<Option<Event>, ReadError> {
    let page = match bus.read(Log::Events, position, 1).await {
        Err(ReadError::Trimmed { .. }) => return Ok(None),
        page => page?,
    };
    let stored = page.first().filter(|stored| stored.position == position);
    Ok(stored.and_then(|stored| match EventsRecord::decode(&stored.record) {
        Ok(EventsRecord::Event(event)) => Some(event),
        _ => None,
    }))
}

impl Overdue {
    fn letter(&self, event: Option<&Event>) -> DeadLetter {
        let Self { sensor, held, missing, why } = self;
        let data = event.and_then(|event| event.data.as_ref()).map_or(Value::Null, |data| {
            serde_json::from_slice(data).unwrap_or_else(|_| Value::String(BASE64.encode(data)))
        });
        let of = LetterEvent {
            dependency: Some(held.name.to_string()),
            key: held.event.key.clone(),
            id: held.event.id.clone(),
            position: held.event.position,
            data,
            raw: None,
            envelope: event.map(|event| Box::new(Envelope::of(event))),
        };
        DeadLetter {
            action: None,
            trigger: None,
            round: 0,
            attempts: 0,
            cause: Cause::Parked,
            error: format!(
                "sensor {sensor} waited with it {why}: trigger {missing} needs other events, too, and they did not come"
            ),
            events: vec![of],
            record: None,
            sensor: Some(sensor.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tripline_bus::memory::{MemoryBus, MemoryStore};
    use tripline_event::event::Links;
    use tripline_event::{CorrelationId, EventId, EventKey};
    use tripline_sensors::evaluator::{HeldEvent, TriggerState};

    use super::*;

    #[derive(Default)]
    struct Parked(Mutex<Vec<String>>);

    impl EngineObserver for Parked {
        fn on_parked(&self, sensor: &ObjectName, letter: &DeadLetter) {
            let text = format!("{sensor}: {}", letter.error);
            self.0.lock().unwrap().push(text);
        }
    }

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_795_000_000 + hours * 3600).unwrap()
    }

    fn event(id: &str) -> Event {
        Event {
            key: EventKey::new("ci", "builds", "completed"),
            id: EventId(id.into()),
            kind: "webhook".into(),
            time: at(0),
            content_type: tripline_event::event::JSON.into(),
            data: Some(bytes::Bytes::from_static(br#"{"body":{"sha":"4f2a"}}"#)),
            links: Links::first(CorrelationId(id.into())),
            cloud_event: None,
        }
    }

    fn holding(position: Position, since: Timestamp) -> SensorState {
        let event = event("e-1");
        let held = Held {
            name: "build".into(),
            event: Arc::new(HeldEvent {
                key: event.key,
                id: event.id,
                position,
                correlation: event.links.correlation.clone(),
                links: event.links,
            }),
            dependency: 1,
            since,
        };
        let trigger = TriggerState { held: BTreeMap::from([("build".into(), held)]) };
        SensorState { triggers: BTreeMap::from([("submit".into(), trigger)]), removed_at: None }
    }

    #[test]
    fn what_holds_back_longer_than_its_share_is_overdue() {
        let position = |sequence| Position::new(1, sequence);
        let events = |bytes| Extent { first: position(1), next: position(101), bytes };
        let fill = Some(Fill { used: 0, limit: 10_000 });
        let sensor = ObjectName::new("ci", "deploy");
        for (place, since, now, bytes, fill, expected) in [
            (1, 0, 7 * 24, 100, fill, 0),
            (1, 0, 7 * 24 + 1, 100, fill, 1),
            (1, 0, 7 * 24 + 1, 100, None, 1),
            (1, 0, 1, 1000, fill, 0),
            (1, 0, 1, 1011, fill, 1),
            (51, 0, 1, 1999, fill, 0),
            (51, 0, 1, 2030, fill, 1),
            (51, 0, 1, 2030, None, 0),
        ] {
            let state = holding(position(place), at(since));
            let found = overdue([(&sensor, &state)].into_iter(), at(now), events(bytes), fill);
            assert_eq!(found.len(), expected, "{place} {since} {now} {bytes} {fill:?}");
        }
    }

    #[tokio::test]
    async fn a_parked_event_is_a_letter_with_its_payload_and_is_forgotten_once() {
        let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new(MemoryStore::new(1)));
        let record = EventsRecord::Event(event("e-1")).encode();
        let appended = bus.append(Log::Events, vec![Append { dedup: None, record }]).await.unwrap();
        let position = appended[0].position;
        let sensor = ObjectName::new("ci", "deploy");
        let parked = Parked::default();
        for _ in 0..2 {
            let state = holding(position, at(0));
            let extent = bus.extent(Log::Events).await.unwrap();
            let found = overdue([(&sensor, &state)].into_iter(), at(200), extent, None);
            park(&bus, found, at(200), &parked, Mistakes::default()).await.unwrap();
        }
        let outcomes = bus.extent(Log::Outcomes).await.unwrap();
        assert_eq!(outcomes.next.sequence - outcomes.first.sequence, 1);
        let page = bus.read(Log::Outcomes, outcomes.first, 1).await.unwrap();
        let OutcomeKind::DeadLettered(letter) = Outcome::decode(&page[0].record).unwrap().kind
        else {
            panic!()
        };
        assert_eq!(letter.cause, Cause::Parked);
        assert_eq!(letter.events[0].event(), Some(event("e-1")));
        let page = bus.read(Log::Events, position.next(), 9).await.unwrap();
        assert_eq!(page.len(), 1);
        let expected = EventsRecord::Clear {
            sensor,
            dependency: Some("build".into()),
            at: at(200),
            through: Some(position),
        };
        assert_eq!(EventsRecord::decode(&page[0].record).unwrap(), expected);
        assert!(parked.0.lock().unwrap()[0].contains("for 7 days: trigger submit needs"));
    }
}
