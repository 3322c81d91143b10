//! Shows past events to one sensor again: what it decides about them today.
//!
//! Not here: what was done already, and doing it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tripline_bus::{Bus, Log, ReadError};
use tripline_event::{
    Action, ActionId, EventId, EventsRecord, Origin, Outcome, OutcomeKind, Position, Timestamp,
};
use tripline_sensors::evaluator::{Evaluator, Off, Plan, Sensor, State};

use super::recovery::{self, RecoveryError};
use super::trim;

/// How many records are read at once.
const PAGE: usize = 1024;
/// The sequence of the first record of a log of which nothing was trimmed.
const FIRST_EVER: u64 = 1;

/// Which events are shown.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// This one alone.
    pub event: Option<EventId>,
    /// Nothing after this record: it is not evaluated yet.
    pub through: Position,
}

/// What the sensor decides.
#[derive(Debug, Default)]
pub struct Decided {
    /// How many events were shown.
    pub events: u64,
    /// The actions, in order, as they were decided.
    pub actions: Vec<Action>,
}

/// What `sensor` decides about the events of the log that are wanted. It holds nothing when
/// it begins. Stops after `most` actions and one.
///
/// # Errors
/// The log cannot be read.
pub async fn decide(
    bus: &dyn Bus,
    sensor: &Arc<Sensor>,
    wanted: &Wanted,
    most: usize,
) -> Result<Decided, RecoveryError> {
    let mut from = match wanted.since {
        Some(since) => trim::first_not_before(bus, Log::Events, since).await?,
        None => bus.extent(Log::Events).await?.first,
    };
    let mut decided = Decided::default();
    let mut evaluator: Option<Evaluator> = None;
    while from <= wanted.through {
        let page = match bus.read(Log::Events, from, PAGE).await {
            Err(ReadError::Trimmed { first, .. }) => bus.read(Log::Events, first, PAGE).await?,
            other => other?,
        };
        let Some(last) = page.last() else { break };
        from = last.position.next();
        for stored in page.iter().take_while(|stored| stored.position <= wanted.through) {
            let record = EventsRecord::decode(&stored.record)
                .map_err(|error| RecoveryError::Record(Log::Events, stored.position, error))?;
            if !wanted.shows(&record) {
                continue;
            }
            decided.events += u64::from(matches!(record, EventsRecord::Event(_)));
            let evaluator = evaluator.get_or_insert_with(|| {
                let plan = Arc::new(Plan::new(1, vec![Arc::clone(sensor)]));
                let before = stored.position.origin();
                let state = State { log_time: record.time(), ..State::new(before) };
                Evaluator::new(plan, state)
            });
            let actions = evaluator.apply(stored.position, &record, &mut Off).actions;
            decided.actions.extend(actions);
            if decided.actions.len() > most {
                return Ok(decided);
            }
        }
    }
    Ok(decided)
}

/// What a replay leads to.
#[derive(Debug, Default)]
pub struct Following {
    /// How many events were shown.
    pub events: u64,
    /// Each action that the sensor decides, in order, and what is appended for it; none where it
    /// is open, or was done and is not to be done again.
    pub actions: Vec<(Action, Option<Action>)>,
}

/// What actions of a replay say of themselves.
#[derive(Clone, Copy, Debug)]
pub struct AsWhat<'a> {
    /// The replay's name.
    pub id: &'a str,
    /// What was done is done again.
    pub again: bool,
    /// When they are decided.
    pub now: Timestamp,
}

impl Wanted {
    fn shows(&self, record: &EventsRecord) -> bool {
        let time = record.time();
        let early = self.since.is_some_and(|since| time < since);
        if early || self.until.is_some_and(|until| time >= until) {
            return false;
        }
        match record {
            EventsRecord::Event(event) => {
                self.event.as_ref().is_none_or(|wanted| *wanted == event.id)
            }
            EventsRecord::Time(_) | EventsRecord::Clear { .. } => self.event.is_none(),
            EventsRecord::Plan { .. } => false,
        }
    }
}

/// What is known of actions of a sensor, by what they were decided from.
#[derive(Debug, Default)]
pub struct Known {
    rounds: HashMap<ActionId, (u32, Action)>,
    generations: HashMap<Vec<String>, u32>,
    /// The rounds that were closed without success.
    failed: HashMap<ActionId, u32>,
    /// Of events up to here the log of actions has not everything any more.
    forgotten_through: Option<Position>,
    /// Events that repeat others: what those led to stands elsewhere in the log of actions, or
    /// does not any more.
    repeats: HashSet<Position>,
    /// Which events until then repeat others is not known any more.
    repeats_since: Option<Timestamp>,
}

impl Known {
    /// Reads what was decided for `sensor` and what became of it.
    ///
    /// # Errors
    /// A log cannot be read.
    pub async fn read(bus: &dyn Bus, sensor: &Sensor) -> Result<Self, RecoveryError> {
        let mut known = Self::default();
        let first = bus.extent(Log::Actions).await?.first;
        let mut oldest: Option<Position> = None;
        recovery::each(bus, Log::Actions, first, |stored| {
            let Ok(action) = Action::decode(&stored.record) else { return Ok(()) };
            if action.origin.is_decided() && action.round == 0 {
                oldest.get_or_insert(action.cause);
            }
            if action.trigger.sensor_name() == sensor.name {
                known.note(action);
            }
            Ok(())
        })
        .await?;
        if first.sequence > FIRST_EVER {
            // Actions stand in the order of the events that completed them.
            let nothing_known = Position { sequence: u64::MAX, ..first };
            known.forgotten_through = Some(oldest.unwrap_or(nothing_known));
        }
        let first = bus.extent(Log::Outcomes).await?.first;
        recovery::each(bus, Log::Outcomes, first, |stored| {
            let Ok(Outcome { at, kind, .. }) = Outcome::decode(&stored.record) else {
                return Ok(());
            };
            if stored.position.sequence > FIRST_EVER {
                known.repeats_since.get_or_insert(at);
            }
            if let OutcomeKind::Duplicate { position, .. } = &kind {
                known.repeats.insert(*position);
            }
            if !matches!(kind, OutcomeKind::Succeeded { .. })
                && let Some((id, round)) = kind.closes()
                && known.rounds.contains_key(id)
            {
                known.failed.insert(id.clone(), round);
            }
            Ok(())
        })
        .await?;
        Ok(known)
    }

    fn note(&mut self, action: Action) {
        let generation = self.generations.entry(from(&action)).or_default();
        *generation = (*generation).max(action.generation);
        let known = self.rounds.entry(action.id.clone());
        let known = known.or_insert_with(|| (action.round, action.clone()));
        if known.0 < action.round {
            *known = (action.round, action);
        }
    }

    /// Whether it may have been done and that was trimmed. An event that repeats one from before
    /// the replay is not told from others there, and leads to what that one led to.
    fn may_be_forgotten(&self, decided: &Action) -> bool {
        let Some(through) = self.forgotten_through else { return false };
        decided.cause.sequence <= through.sequence
            || self.repeats_since.is_some_and(|since| decided.decided_at <= since)
            || decided.events.iter().any(|event| self.repeats.contains(&event.position))
    }

    /// The action that a replay appends for `decided`; none where it is open, or was
    /// done and is not to be done again; also where what was done then is not known any more.
    pub fn next(&self, decided: &Action, as_what: &AsWhat<'_>) -> Option<Action> {
        let AsWhat { id, again, now } = *as_what;
        let lives = decided.expires_at.duration_since(decided.decided_at);
        let next = Action {
            decided_at: now,
            expires_at: now.saturating_add(lives).unwrap_or(Timestamp::MAX),
            origin: Origin::Replay { id: id.to_owned() },
            attempted: false,
            ..decided.clone()
        };
        let forgotten = self.may_be_forgotten(decided);
        if again && let Some(generation) = self.generations.get(&from(decided)) {
            return Some(of_generation(next, generation + 1));
        }
        if again && forgotten {
            return Some(of_generation(next, unheard_of(now)));
        }
        let Some((round, _)) = self.rounds.get(&decided.id) else {
            return (!forgotten).then_some(next);
        };
        // What was dropped or is a dead letter is not done.
        let failed = self.failed.get(&decided.id).is_some_and(|failed| failed >= round);
        failed.then_some(Action { round: round + 1, ..next })
    }
}

/// What an action was decided from, and where it goes.
fn from(action: &Action) -> Vec<String> {
    let mut from = vec![action.trigger.trigger.clone(), action.target.clone().unwrap_or_default()];
    for event in &action.events {
        from.extend([event.dependency.clone(), event.key.to_string(), event.id.to_string()]);
    }
    from
}

/// A generation that no action had whose record was trimmed: each takes the next, and there were
/// not as many as seconds.
fn unheard_of(now: Timestamp) -> u32 {
    u32::try_from(now.as_second()).unwrap_or(u32::MAX)
}

fn of_generation(action: Action, generation: u32) -> Action {
    let id = |generation| {
        let events = action.events.iter();
        let identities = events.map(|event| (event.dependency.as_str(), &event.key, &event.id));
        ActionId::new(&action.trigger, identities, generation)
    };
    // One of several targets has an id of its own.
    let id = match (&action.target, id(0) == action.id) {
        (Some(target), false) => id(generation).at(target),
        _ => id(generation),
    };
    Action { id, generation, round: 0, ..action }
}

#[cfg(test)]
mod tests {
    use tripline_event::event::Links;
    use tripline_event::{
        ActionEvent, CorrelationId, DefinitionHash, EventKey, ObjectName, TriggerName,
    };

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_795_000_000 + seconds).unwrap()
    }

    fn decided(cause: u64) -> Action {
        let trigger = TriggerName::new(&ObjectName::new("ci", "s"), "t");
        let key = EventKey::new("ci", "builds", "completed");
        let id = EventId(format!("e-{cause}"));
        let position = Position::new(1, cause);
        Action {
            id: ActionId::new(&trigger, [("d", &key, &id)], 0),
            trigger,
            definition: DefinitionHash::of("{}"),
            events: vec![ActionEvent {
                dependency: "d".into(),
                key,
                id,
                position,
                correlation: CorrelationId("c".into()),
            }],
            cause: position,
            links: Links::first(CorrelationId("c".into())),
            decided_at: at(0),
            expires_at: at(60),
            generation: 0,
            round: 0,
            attempted: false,
            target: None,
            key: None,
            origin: Origin::Decided,
            copies: Vec::new(),
        }
    }

    /// What a replay appends for the event at a position: generation and round.
    fn next(known: &Known, cause: u64, again: bool) -> Option<(u32, u32)> {
        let as_what = AsWhat { id: "r", again, now: at(100) };
        let next = known.next(&decided(cause), &as_what)?;
        let first = next.id == decided(cause).id;
        assert_eq!(first, next.generation == 0, "each generation has an id of its own");
        Some((next.generation, next.round))
    }

    #[test]
    fn what_was_done_is_done_again_as_another_generation_also_where_nothing_is_known_of_it() {
        let mut known = Known { forgotten_through: Some(Position::new(1, 10)), ..Known::default() };
        known.note(decided(11));
        known.note(decided(12));
        known.failed.insert(decided(12).id, 0);
        known.repeats.insert(decided(14).cause);
        for (cause, again, expected) in [
            (9, false, None),
            (9, true, Some((1_795_000_100, 0))),
            (11, false, None),
            (11, true, Some((1, 0))),
            (12, false, Some((0, 1))),
            (13, false, Some((0, 0))),
            (13, true, Some((0, 0))),
            (14, false, None),
            (14, true, Some((1_795_000_100, 0))),
        ] {
            assert_eq!(next(&known, cause, again), expected, "{cause} {again}");
        }
        known.repeats_since = Some(decided(13).decided_at);
        assert_eq!(next(&known, 13, false), None, "it may repeat another");
    }
}
