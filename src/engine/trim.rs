//! Trimming: what is older than the retention, or does not fit any more, and is not needed goes.
//!
//! Needed is: what was not evaluated up to the newest checkpoint, what half-met conditions
//! hold, there and now, what open actions were decided from, and the actions and outcomes from
//! the oldest open action on. The bus never trims by itself.

use std::sync::Arc;

use bytes::Bytes;
use jiff::SignedDuration;
use tripline_bus::{Bus, Log, ReadError, WriteError};
use tripline_event::{Action, EventsRecord, Outcome, Position, Timestamp};

use super::checkpoint::Marks;
use super::retention;

/// How long records are kept, where nothing needs them longer.
pub const RETENTION: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Up to where each log may be trimmed, whatever the age of its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needed {
    /// The first record of EVENTS that is needed.
    pub events: Position,
    /// The first record of ACTIONS that is needed.
    pub actions: Position,
    /// The first record of OUTCOMES that is needed.
    pub outcomes: Position,
}

/// A log could not be trimmed. It is tried again at the next checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum TrimError {
    /// The bus cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The bus did not trim.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// What is needed by a checkpoint at `watermark` with these `marks`.
///
/// # Errors
/// The bus cannot be read.
pub async fn needed(
    bus: &dyn Bus,
    watermark: Position,
    lowest_held: Option<Position>,
    marks: Marks,
) -> Result<Needed, ReadError> {
    let oldest_open = oldest_event_of(bus, marks.open_from).await?;
    let events = [Some(watermark.next()), lowest_held, oldest_open].into_iter().flatten().min();
    Ok(Needed {
        events: events.unwrap_or(watermark.next()),
        actions: marks.open_from.min(marks.actions),
        outcomes: marks.outcomes_from,
    })
}

/// The oldest event that the oldest open action was decided from. Later actions may join
/// older events: those were held until then, and are not older than the retention of the
/// log by which they are trimmed, unless their sensor waited that long.
async fn oldest_event_of(
    bus: &dyn Bus,
    open_from: Position,
) -> Result<Option<Position>, ReadError> {
    let mut oldest: Option<Position> = None;
    let mut from = open_from;
    loop {
        let page = bus.read(Log::Actions, from, 1024).await?;
        let Some(last) = page.last() else { return Ok(oldest) };
        from = last.position.next();
        for stored in &page {
            let Ok(action) = Action::decode(&stored.record) else { continue };
            if action.has_copies() {
                continue;
            }
            let of_action = action.events.iter().map(|event| event.position).min();
            oldest = [oldest, of_action].into_iter().flatten().min();
        }
    }
}

/// Trims all three logs of what is older than `RETENTION` at `now` and, where the bus is nearly
/// full, of their oldest records; never of what is `needed`.
///
/// # Errors
/// The bus fails; what was trimmed until then stays trimmed.
pub async fn trim(bus: &Arc<dyn Bus>, needed: Needed, now: Timestamp) -> Result<(), TrimError> {
    let before = now.saturating_sub(RETENTION).unwrap_or(Timestamp::MIN);
    let surplus = retention::surplus(&**bus).await?;
    for (log, limit) in [
        (Log::Events, needed.events),
        (Log::Actions, needed.actions),
        (Log::Outcomes, needed.outcomes),
    ] {
        let extent = bus.extent(log).await?;
        let old = first_not_before(&**bus, log, before).await?;
        let below = old.max(retention::first_without(extent, surplus)).min(limit);
        if below > extent.first {
            bus.trim(log, below).await?;
            let why = if below > old { "they did not fit any more" } else { "they were too old" };
            tracing::info!(log = log.as_str(), first = %extent.first, %below, why, "records were trimmed");
        }
    }
    Ok(())
}

/// The first record that is not older than `time`, by halving: times grow with positions,
/// nearly; a record that is a little out of order is kept a little longer or less.
pub(crate) async fn first_not_before(
    bus: &dyn Bus,
    log: Log,
    time: Timestamp,
) -> Result<Position, ReadError> {
    let extent = bus.extent(log).await?;
    let (mut low, mut high) = (extent.first.sequence, extent.next.sequence);
    while low < high {
        let middle = low + (high - low) / 2;
        let at = Position { sequence: middle, ..extent.next };
        let page = bus.read(log, at, 1).await?;
        let older = page
            .first()
            .and_then(|stored| time_of(log, &stored.record))
            .is_some_and(|at| at < time);
        if older {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(Position { sequence: low, ..extent.next })
}

fn time_of(log: Log, record: &Bytes) -> Option<Timestamp> {
    match log {
        Log::Events => EventsRecord::decode(record).ok().map(|record| record.time()),
        Log::Actions => Action::decode(record).ok().map(|action| action.decided_at),
        Log::Outcomes => Outcome::decode(record).ok().map(|outcome| outcome.at),
    }
}

#[cfg(test)]
mod tests {
    use tripline_bus::Append;
    use tripline_bus::memory::{MemoryBus, MemoryStore};

    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_795_000_000 + hours * 3600).unwrap()
    }

    /// A bus whose EVENTS have a record every hour, from hour 0 on.
    async fn hourly(count: i64) -> Arc<dyn Bus> {
        let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new(MemoryStore::new(1)));
        let record = |hour| Append { dedup: None, record: EventsRecord::Time(at(hour)).encode() };
        bus.append(Log::Events, (0..count).map(record).collect()).await.unwrap();
        bus
    }

    async fn first_kept(bus: &Arc<dyn Bus>, needed_from: u64, now: Timestamp) -> u64 {
        let extent = bus.extent(Log::Events).await.unwrap();
        let origin = bus.extent(Log::Actions).await.unwrap().first;
        let outcomes = bus.extent(Log::Outcomes).await.unwrap().first;
        let events = Position { sequence: needed_from, ..extent.first };
        trim(bus, Needed { events, actions: origin, outcomes }, now).await.unwrap();
        bus.extent(Log::Events).await.unwrap().first.sequence
    }

    #[tokio::test]
    async fn what_is_older_than_the_retention_goes() {
        let bus = hourly(300).await;
        assert_eq!(first_kept(&bus, 300, at(7 * 24)).await, 1, "the first is as old as it may be");
        assert_eq!(first_kept(&bus, 300, at(7 * 24 + 10)).await, 11);
        assert_eq!(first_kept(&bus, 300, at(7 * 24 + 5)).await, 11, "nothing comes back");
    }

    #[tokio::test]
    async fn what_is_needed_stays_however_old_it_is() {
        let bus = hourly(300).await;
        assert_eq!(first_kept(&bus, 5, at(1000)).await, 5);
        assert_eq!(first_kept(&bus, 301, at(1000)).await, 301);
    }

    #[tokio::test]
    async fn an_open_action_needs_its_events_and_a_half_met_condition_what_it_holds() {
        let bus = hourly(20).await;
        let position = |sequence| Position::new(0, sequence);
        let marks =
            Marks { actions: position(9), open_from: position(7), outcomes_from: position(3) };
        let origin = bus.extent(Log::Events).await.unwrap().first;
        let watermark = Position { sequence: 15, ..origin };
        let held = Position { sequence: 4, ..origin };
        let marks_here = |marks: Marks, incarnation| Marks {
            open_from: Position { incarnation, ..marks.open_from },
            ..marks
        };
        let actions = bus.extent(Log::Actions).await.unwrap().first.incarnation;
        let marks = marks_here(marks, actions);
        assert_eq!(needed(&*bus, watermark, Some(held), marks).await.unwrap().events, held);
        assert_eq!(needed(&*bus, watermark, None, marks).await.unwrap().events, watermark.next());
        let action = action_on(Position { sequence: 2, ..origin });
        bus.append(Log::Actions, vec![Append { dedup: None, record: action.encode() }])
            .await
            .unwrap();
        let first = bus.extent(Log::Actions).await.unwrap().first;
        let open = Marks { open_from: first, ..marks };
        let found = needed(&*bus, watermark, Some(held), open).await.unwrap();
        assert_eq!(found.events.sequence, 2);
        let whole = Action { copies: vec![copy_of(&action)], ..action };
        bus.trim(Log::Actions, bus.extent(Log::Actions).await.unwrap().next).await.unwrap();
        bus.append(Log::Actions, vec![Append { dedup: None, record: whole.encode() }])
            .await
            .unwrap();
        let open = Marks { open_from: bus.extent(Log::Actions).await.unwrap().first, ..marks };
        let found = needed(&*bus, watermark, Some(held), open).await.unwrap();
        assert_eq!(found.events, held, "it has copies");
    }

    fn copy_of(action: &Action) -> tripline_event::LetterEvent {
        let of = &action.events[0];
        tripline_event::LetterEvent {
            dependency: Some(of.dependency.clone()),
            key: of.key.clone(),
            id: of.id.clone(),
            position: of.position,
            data: serde_json::json!({}),
            raw: None,
            envelope: None,
        }
    }

    fn action_on(event: Position) -> Action {
        use tripline_event::event::Links;
        use tripline_event::*;
        let trigger = TriggerName::new(&ObjectName::new("ci", "s"), "t");
        let key = EventKey::new("ci", "builds", "completed");
        let id = EventId("e".into());
        Action {
            id: ActionId::new(&trigger, [("d", &key, &id)], 0),
            trigger,
            definition: DefinitionHash::of("{}"),
            events: vec![ActionEvent {
                dependency: "d".into(),
                key,
                id,
                position: event,
                correlation: CorrelationId("c".into()),
            }],
            cause: event,
            links: Links::first(CorrelationId("c".into())),
            decided_at: at(0),
            expires_at: at(24),
            generation: 0,
            round: 0,
            attempted: false,
            target: None,
            key: None,
            origin: tripline_event::Origin::default(),
            copies: Vec::new(),
        }
    }
}
