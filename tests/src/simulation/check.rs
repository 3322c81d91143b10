//! What must be true when a run has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use tripline::engine::definitions::Definitions;
use tripline::engine::driver::{load_plan, schedules_of};
use tripline::engine::schedules::{self, Schedules};
use tripline_bus::memory::MemoryStore;
use tripline_bus::{Bus, Log, Stored};
use tripline_event::{
    Action, ActionId, DropCause, Event, EventId, EventKey, EventsRecord, ObjectName, Outcome,
    OutcomeKind, Position,
};
use tripline_eventsources::Accepted;
use tripline_sensors::evaluator::{Evaluator, Off, Plan, State};

use super::orders::Taken;
use super::target::Deeds;
use super::world::Growth;
use super::{Summary, controls, rules};

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Violation(pub String);

/// What a run left behind.
pub struct Evidence<'a> {
    /// The logs.
    pub bus: &'a dyn Bus,
    /// What was trimmed from them.
    pub store: &'a MemoryStore,
    /// What operators did.
    pub taken: &'a [Taken],
    /// What producers were told.
    pub acknowledged: &'a [(EventKey, Accepted)],
    /// What targets did.
    pub deeds: &'a Deeds,
    /// How positions went.
    pub growth: &'a Growth,
}

/// What the evaluator decides about the whole log, in one go.
#[derive(Default)]
struct Expected {
    actions: Vec<ActionId>,
    duplicates: BTreeSet<Position>,
    /// What schedules decide, each with whether it stands in the log.
    ticks: BTreeMap<(EventKey, EventId), bool>,
    /// Events of schedules in the log that nobody decided.
    unexplained: Vec<EventId>,
    schedules: Schedules,
    /// Those of which somebody has asked something.
    ordered: BTreeSet<ObjectName>,
}

/// Checks all of it.
///
/// # Errors
/// The first thing that is wrong.
pub async fn check(evidence: &Evidence<'_>) -> Result<Summary, Violation> {
    let events = all(evidence, Log::Events).await?;
    let actions = all(evidence, Log::Actions).await?;
    let outcomes = all(evidence, Log::Outcomes).await?;
    accepted_events_are_there(evidence.acknowledged, &events)?;
    let expected = expected(evidence.bus, &events).await?;
    let actions = decode_actions(&actions)?;
    actions_are_those_expected(&expected.actions, &actions)?;
    ticks_are_those_expected(&expected)?;
    each_tick_is_accounted_for_once(&expected, &events)?;
    let outcomes = decode_outcomes(&outcomes)?;
    duplicates_are_visible(&expected.duplicates, &outcomes)?;
    let dead_letters = every_action_is_closed_once(&actions, &outcomes)?;
    what_succeeded_was_done(&actions, &outcomes, evidence.deeds)?;
    let written = rules::Written::read(evidence.bus).await?;
    let rules = rules::check(&written, evidence, &actions, &outcomes)?;
    let controls = controls::check(&written, evidence, &events, &actions, &outcomes)?;
    workflows_are_there_once(evidence.bus, &actions, evidence.deeds).await?;
    match evidence.growth.violation() {
        Some(violation) => Err(Violation(violation)),
        None => Ok(Summary {
            records: events.len(),
            actions: actions.len(),
            duplicates: expected.duplicates.len(),
            dead_letters,
            ticks: of_schedules(&events, schedules::events::TICK)?,
            skipped: of_schedules(&events, schedules::events::SKIPPED)?,
            ended: of_schedules(&events, schedules::events::ENDED)?,
            rules,
            controls,
            fingerprint: fingerprint(&events, &actions, &outcomes),
            ..Summary::default()
        }),
    }
}

pub(super) fn violated<T>(text: String) -> Result<T, Violation> {
    Err(Violation(text))
}

/// All records that were ever in a log.
async fn all(evidence: &Evidence<'_>, log: Log) -> Result<Vec<Stored>, Violation> {
    let bus = evidence.bus;
    let read = |error: tripline_bus::ReadError| {
        Violation(format!("{} cannot be read: {error}", log.as_str()))
    };
    let mut from = bus.extent(log).await.map_err(read)?.first;
    let mut records = evidence.store.trimmed(log);
    loop {
        let page = bus.read(log, from, 1000).await.map_err(read)?;
        let Some(last) = page.last() else { return Ok(records) };
        from = last.position.next();
        records.extend(page);
    }
}

pub(super) fn decode(stored: &Stored) -> Result<EventsRecord, Violation> {
    EventsRecord::decode(&stored.record)
        .map_err(|error| Violation(format!("{}: {error}", stored.position)))
}

fn accepted_events_are_there(
    acknowledged: &[(EventKey, Accepted)],
    events: &[Stored],
) -> Result<(), Violation> {
    let mut there: BTreeSet<(EventKey, EventId)> = BTreeSet::new();
    for stored in events {
        if let EventsRecord::Event(event) = decode(stored)? {
            there.insert((event.key, event.id));
        }
    }
    for (key, accepted) in acknowledged {
        if !there.contains(&(key.clone(), accepted.id.clone())) {
            return violated(format!(
                "event {} of {key} was accepted and is not in the log",
                accepted.id
            ));
        }
    }
    Ok(())
}

/// The same evaluator, straight over the log: it has no crash, no checkpoint, no retry.
async fn expected(bus: &dyn Bus, events: &[Stored]) -> Result<Expected, Violation> {
    let definitions = Definitions::default();
    let Some(first) = events.first() else {
        return Ok(Expected::default());
    };
    let mut evaluator = Evaluator::new(Plan::default().into(), State::new(first.position.origin()));
    let mut expected = Expected::default();
    for stored in events {
        let record = decode(stored)?;
        if let EventsRecord::Plan { number, at } = record {
            // Whole, and not from the one before, as the engine does.
            let plan = load_plan(bus, &definitions, number, &Plan::default())
                .await
                .map_err(|error| Violation(format!("plan {number}: {error}")))?;
            let changes = plan.number > evaluator.plan().number;
            evaluator.switch(stored.position, at, plan);
            let now = evaluator.state().log_time;
            if changes {
                let compiled = schedules_of(evaluator.plan(), &definitions);
                expected.schedules.switch(now, compiled);
            } else {
                expected.schedules.pass_time(now);
            }
            expected.take_decided();
            continue;
        }
        let decisions = evaluator.apply(stored.position, &record, &mut Off);
        expected.schedules.pass_time(evaluator.state().log_time);
        expected.take_decided();
        if let EventsRecord::Event(event) = &record
            && event.kind == schedules::events::KIND
        {
            expected.see(event, decisions.duplicate.is_some());
        }
        expected.duplicates.extend(decisions.duplicate.map(|duplicate| duplicate.position));
        expected.actions.extend(decisions.actions.into_iter().map(|action| action.id));
    }
    Ok(expected)
}

impl Expected {
    fn take_decided(&mut self) {
        let decided = self.schedules.unsent();
        self.schedules.sent(&decided);
        self.ticks.extend(decided.into_iter().map(|event| ((event.key, event.id), false)));
    }

    fn see(&mut self, event: &Event, duplicate: bool) {
        if duplicate {
            self.schedules.seen(event);
        } else {
            self.schedules.apply(event);
        }
        self.take_decided();
        match self.ticks.get_mut(&(event.key.clone(), event.id.clone())) {
            Some(stands) => *stands = true,
            None if event.key.name == schedules::events::ENDED => {}
            None if event.key.name == schedules::events::COMMAND => {
                self.ordered.insert(ObjectName::new(&event.key.namespace, &event.key.source));
            }
            None => self.unexplained.push(event.id.clone()),
        }
    }
}

/// How many events of this name schedules have in the log.
fn of_schedules(events: &[Stored], name: &str) -> Result<usize, Violation> {
    let mut count = 0;
    for stored in events {
        if let EventsRecord::Event(event) = decode(stored)? {
            count += usize::from(event.kind == schedules::events::KIND && event.key.name == name);
        }
    }
    Ok(count)
}

fn ticks_are_those_expected(expected: &Expected) -> Result<(), Violation> {
    if let Some(id) = expected.unexplained.first() {
        return violated(format!("tick {id} was decided and should not have been"));
    }
    match expected.ticks.iter().find(|(_, stands)| !**stands) {
        Some(((key, id), _)) => violated(format!("tick {id} of {key} is missing")),
        None => Ok(()),
    }
}

/// Every nominal time of a schedule that was in force all along was started once, or
/// skipped once with a reason, or waits.
fn each_tick_is_accounted_for_once(
    expected: &Expected,
    events: &[Stored],
) -> Result<(), Violation> {
    let mut started: BTreeMap<EventKey, u64> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for stored in events {
        let EventsRecord::Event(event) = decode(stored)? else { continue };
        if event.kind != schedules::events::KIND
            || !seen.insert((event.key.clone(), event.id.clone()))
        {
            continue;
        }
        let data: serde_json::Value =
            serde_json::from_slice(event.data.as_deref().unwrap_or_default()).unwrap_or_default();
        let ticks = match event.key.name.as_str() {
            schedules::events::TICK => 1,
            schedules::events::SKIPPED => data["count"].as_u64().unwrap_or_default(),
            _ => continue,
        };
        let source = EventKey { name: String::new(), ..event.key };
        *started.entry(source).or_default() += ticks;
    }
    for (name, entry) in expected.schedules.entries() {
        // What somebody asks for is beside the nominal times, or passes over them.
        if entry.changes > 0 || expected.ordered.contains(name) {
            continue;
        }
        let state = &entry.stored.state;
        let times = &entry.compiled.definition.times;
        let nominal = times.ticks_after(entry.stored.created_at);
        let nominal = nominal.take_while(|tick| *tick <= state.watermark()).count() as u64;
        let source = EventKey::new(&name.namespace, &name.name, "");
        let found = started.get(&source).copied().unwrap_or_default();
        let waiting = state.gate().waiting() as u64;
        if nominal != found + waiting {
            return violated(format!(
                "{name}: {nominal} ticks were due, {found} are accounted for, {waiting} wait"
            ));
        }
    }
    Ok(())
}

fn decode_actions(stored: &[Stored]) -> Result<Vec<Action>, Violation> {
    let decode = |stored: &Stored| {
        Action::decode(&stored.record).map_err(|error| Violation(error.to_string()))
    };
    stored.iter().map(decode).collect()
}

/// An outcome whose append was not answered is appended again with the same dedup id. Where
/// the bus has forgotten that by then, it stands there twice, the same to the byte: that
/// is one outcome.
fn decode_outcomes(stored: &[Stored]) -> Result<Vec<Outcome>, Violation> {
    let mut seen = BTreeSet::new();
    let decode = |stored: &Stored| {
        Outcome::decode(&stored.record).map_err(|error| Violation(error.to_string()))
    };
    stored.iter().filter(|stored| seen.insert(stored.record.clone())).map(decode).collect()
}

fn actions_are_those_expected(expected: &[ActionId], found: &[Action]) -> Result<(), Violation> {
    // What follows from dead letters was decided by no event, and what was sent back or is replayed
    // by one that was evaluated before.
    let decided = |action: &&Action| action.origin.is_decided() && action.round == 0;
    let found: Vec<&Action> = found.iter().filter(decided).collect();
    for (place, expected_id) in expected.iter().enumerate() {
        match found.get(place) {
            Some(action) if action.id == *expected_id => {}
            Some(action) => {
                return violated(format!(
                    "action {place} is {} and should be {expected_id}",
                    action.id
                ));
            }
            None => return violated(format!("action {place}, {expected_id}, is missing")),
        }
    }
    match found.get(expected.len()) {
        Some(action) => {
            violated(format!("action {} was decided and should not have been", action.id))
        }
        None => Ok(()),
    }
}

fn duplicates_are_visible(
    expected: &BTreeSet<Position>,
    outcomes: &[Outcome],
) -> Result<(), Violation> {
    let visible: BTreeSet<Position> = outcomes
        .iter()
        .filter_map(|outcome| match &outcome.kind {
            OutcomeKind::Duplicate { position, .. } => Some(*position),
            _ => None,
        })
        .collect();
    if visible == *expected {
        return Ok(());
    }
    violated(format!("duplicates are {expected:?}, visible are {visible:?}"))
}

/// Each round of an action stands there once, and is closed once; a letter may be given up after
/// that. Returns how many are dead letters.
fn every_action_is_closed_once(
    actions: &[Action],
    outcomes: &[Outcome],
) -> Result<usize, Violation> {
    let mut closed: BTreeMap<(&ActionId, u32), Vec<&OutcomeKind>> = BTreeMap::new();
    let mut dead_letters = 0;
    for outcome in outcomes {
        if let Some(round) = outcome.kind.closes() {
            closed.entry(round).or_default().push(&outcome.kind);
            dead_letters += usize::from(matches!(outcome.kind, OutcomeKind::DeadLettered(_)));
        }
    }
    for Action { id, round, .. } in actions {
        use OutcomeKind::{DeadLettered, Dropped};
        match closed.remove(&(id, *round)).as_deref() {
            Some([_] | [DeadLettered(_), Dropped { cause: Some(DropCause::Operator), .. }]) => {}
            Some(ends) => {
                return violated(format!(
                    "round {round} of action {id} was closed {} times: {ends:?}",
                    ends.len()
                ));
            }
            // It may stand there twice: once it was found, it is gone.
            None => {
                return violated(format!(
                    "round {round} of action {id} was never closed, or stands there twice"
                ));
            }
        }
    }
    match closed.first_key_value() {
        Some(((action, round), _)) => violated(format!(
            "an outcome closes round {round} of action {action}, which was never decided"
        )),
        None => Ok(dead_letters),
    }
}

fn what_succeeded_was_done(
    actions: &[Action],
    outcomes: &[Outcome],
    deeds: &Deeds,
) -> Result<(), Violation> {
    for outcome in outcomes {
        if let OutcomeKind::Succeeded { action, .. } = &outcome.kind
            && deeds.of(action) == 0
        {
            return violated(format!("action {action} succeeded and nothing was done"));
        }
    }
    if deeds.actions() > actions.len() {
        return violated(format!(
            "{} actions were carried out, {} were decided",
            deeds.actions(),
            actions.len()
        ));
    }
    Ok(())
}

/// Each workflow belongs to one action, and no action has two.
async fn workflows_are_there_once(
    bus: &dyn Bus,
    actions: &[Action],
    deeds: &Deeds,
) -> Result<(), Violation> {
    let known: BTreeSet<&str> = actions.iter().map(|action| action.id.as_str()).collect();
    let keys = bus
        .keys("workflows/", None, usize::MAX)
        .await
        .map_err(|error| Violation(error.to_string()))?;
    let mut owners: BTreeSet<String> = BTreeSet::new();
    for key in keys {
        let entry = bus.get(&key).await.map_err(|error| Violation(error.to_string()))?;
        let Some(entry) = entry else { return violated(format!("{key} is gone")) };
        let workflow: serde_json::Value = serde_json::from_slice(&entry.value)
            .map_err(|error| Violation(format!("{key}: {error}")))?;
        let owner = workflow["action"].as_str().unwrap_or_default().to_owned();
        if !known.contains(owner.as_str()) {
            return violated(format!("{key} belongs to action `{owner}`, which was never decided"));
        }
        if !deeds.may_have_done(&ActionId(owner.clone())) {
            return violated(format!("{key} is there and nobody made it"));
        }
        if !owners.insert(owner.clone()) {
            return violated(format!("action {owner} has two workflows"));
        }
    }
    Ok(())
}

fn fingerprint(events: &[Stored], actions: &[Action], outcomes: &[Outcome]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for stored in events {
        (stored.position, &stored.record).hash(&mut hasher);
    }
    for action in actions {
        action.encode().hash(&mut hasher);
    }
    for outcome in outcomes {
        outcome.encode().hash(&mut hasher);
    }
    hasher.finish()
}
