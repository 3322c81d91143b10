//! What operators and definitions ask for, as a run shows it: pauses, freeze windows, replays,
//! dead letters that are sent back or given up, parking, retention, and commands to schedules.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use tripline::engine::schedules::events as of_schedules;
use tripline_bus::{Log, Stored};
use tripline_event::{
    Action, Cause, DropCause, Event, EventsRecord, ObjectName, Origin, Outcome, OutcomeKind,
    Timestamp, TriggerName,
};
use tripline_triggers::executor::Scope;

use super::Violation;
use super::check::{Evidence, decode, violated};
use super::orders::{Choice, Does, Taken, scope};
use super::rules::{Written, places};
use super::scenario::BEGAN;
use super::target::Call;

/// How often each was at work in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AtWork {
    /// Times in which a scope was paused.
    pub pauses: usize,
    /// Times in which actions waited for the end of a freeze window.
    pub frozen: usize,
    /// Actions of replays.
    pub replayed: usize,
    /// Rounds of actions after the first.
    pub rounds: usize,
    /// Actions and dead letters that operators gave up.
    pub given_up: usize,
    /// Events that were parked.
    pub parked: usize,
    /// Records that were trimmed.
    pub trimmed: usize,
    /// What was asked of schedules.
    pub commands: usize,
}

impl AtWork {
    /// Adds what was at work in another run.
    pub fn add(&mut self, other: &Self) {
        self.pauses += other.pauses;
        self.frozen += other.frozen;
        self.replayed += other.replayed;
        self.rounds += other.rounds;
        self.given_up += other.given_up;
        self.parked += other.parked;
        self.trimmed += other.trimmed;
        self.commands += other.commands;
    }
}

/// Checks all of it.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(
    written: &Written,
    evidence: &Evidence<'_>,
    events: &[Stored],
    actions: &[Action],
    outcomes: &[Outcome],
) -> Result<AtWork, Violation> {
    let calls = evidence.deeds.calls();
    let trimmed = Log::ALL.map(|log| evidence.store.trimmed(log).len()).iter().sum();
    let mut at_work = AtWork { trimmed, ..AtWork::default() };
    let known: BTreeMap<_, &Action> =
        actions.iter().map(|action| ((&action.id, action.round), action)).collect();
    let called = |call: &Call| known.get(&(&call.action, call.round)).copied();
    let calls: Vec<_> = calls.iter().filter_map(|call| Some((call, called(call)?))).collect();
    what_is_paused_is_not_called(written, evidence.taken, &calls, &mut at_work)?;
    what_is_frozen_is_not_called(written, &calls)?;
    what_is_done_again_was_not_done(evidence.taken, actions, outcomes, &mut at_work)?;
    what_is_parked_is_kept(events, outcomes, &mut at_work)?;
    what_is_needed_was_not_trimmed(outcomes)?;
    schedules_obey(written, events, &mut at_work)?;
    for outcome in outcomes {
        match &outcome.kind {
            OutcomeKind::Frozen { .. } => at_work.frozen += 1,
            OutcomeKind::Dropped { cause: Some(DropCause::Operator), .. } => at_work.given_up += 1,
            _ => {}
        }
    }
    Ok(at_work)
}

/// A time of the run, since it began.
fn since_begin(at: Timestamp) -> Duration {
    let began = Timestamp::constant(BEGAN, 0);
    Duration::try_from(at.duration_since(began)).unwrap_or_default()
}

/// When a scope was paused for certain: from the answer to the pause to its end, or to where
/// somebody began to take it back.
fn paused(taken: &[Taken]) -> Vec<(Scope, Duration, Duration)> {
    let end_of = |pause: &Taken, text: &str, until: Option<Duration>| {
        let resumed = taken.iter().filter(|other| {
            other.ended >= pause.begun
                && matches!(&other.does, Does::Resume(scope, _) if scope == text)
        });
        resumed.map(|resume| resume.begun).chain(until).min().unwrap_or(Duration::MAX)
    };
    let interval = |pause: &Taken| {
        let Does::Pause(text, until) = &pause.does else { return None };
        let end = end_of(pause, text, *until);
        (end > pause.ended).then_some((scope(text)?, pause.ended, end))
    };
    taken.iter().filter_map(interval).collect()
}

/// Whether an action is one of a scope, as far as that is known.
fn covers(written: &Written, scope: &Scope, action: &Action) -> bool {
    let Scope::Target(target) = scope else { return scope.names(&action.trigger) };
    let Some(trigger) = written.trigger(&action.trigger) else { return false };
    let own = match trigger["template"]["http"].is_object() {
        true => "http://target.example",
        false => "local",
    };
    own == target
}

fn what_is_paused_is_not_called(
    written: &Written,
    taken: &[Taken],
    calls: &[(&Call, &Action)],
    at_work: &mut AtWork,
) -> Result<(), Violation> {
    for (scope, from, to) in paused(taken) {
        at_work.pauses += 1;
        let within = |call: &Call| call.begun > from && call.begun < to;
        let wrong =
            calls.iter().find(|(call, action)| within(call) && covers(written, &scope, action));
        if let Some((call, action)) = wrong {
            return violated(format!(
                "action {} of {} was called at {:?}, though {scope} was paused from {from:?} to {to:?}",
                call.action, action.trigger, call.begun
            ));
        }
    }
    Ok(())
}

fn is_frozen(window: &Value, at: Timestamp) -> bool {
    let time = |field: &str| window[field].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    if let (Some(from), Some(to)) = (time("from"), time("to")) {
        return from <= at && at < to;
    }
    // One that comes each minute.
    let seconds = window["duration"].as_str().and_then(|text| text.strip_suffix('s'));
    let seconds = seconds.and_then(|text| text.parse::<i64>().ok()).unwrap_or_default();
    at.as_second().rem_euclid(60) < seconds
}

fn what_is_frozen_is_not_called(
    written: &Written,
    calls: &[(&Call, &Action)],
) -> Result<(), Violation> {
    for (call, action) in calls {
        let Some(sensor) = written.sensor(&action.trigger.sensor_name()) else { continue };
        let at = Timestamp::constant(BEGAN, 0).saturating_add(call.begun).unwrap_or(Timestamp::MAX);
        let mut windows = sensor["spec"]["freeze"].as_array().into_iter().flatten();
        if let Some(window) = windows.find(|window| is_frozen(window, at)) {
            return violated(format!(
                "action {} of {} was called at {at}, in {window}",
                call.action, action.trigger
            ));
        }
    }
    Ok(())
}

/// A round follows one that failed, and what an operator was told of is there.
fn what_is_done_again_was_not_done(
    taken: &[Taken],
    actions: &[Action],
    outcomes: &[Outcome],
    at_work: &mut AtWork,
) -> Result<(), Violation> {
    let places = places(actions);
    let done: BTreeSet<_> = outcomes
        .iter()
        .filter(|outcome| matches!(outcome.kind, OutcomeKind::Succeeded { .. }))
        .filter_map(|outcome| outcome.kind.closes())
        .collect();
    for (place, action) in actions.iter().enumerate() {
        at_work.replayed += usize::from(matches!(action.origin, Origin::Replay { .. }));
        let Some(before) = action.round.checked_sub(1) else { continue };
        at_work.rounds += 1;
        let before = (&action.id, before);
        if places.get(&before).is_none_or(|at| *at >= place) || done.contains(&before) {
            return violated(format!(
                "round {} of {} of {} follows none that failed",
                action.round, action.id, action.trigger
            ));
        }
    }
    for order in taken {
        let missing = order.rounds.iter().find(|(id, round)| !places.contains_key(&(id, *round)));
        if let Some((id, round)) = missing {
            return violated(format!(
                "{:?} was done, and round {round} of {id} is not there",
                order.does
            ));
        }
    }
    Ok(())
}

/// What is forgotten since it waited for too long is a dead letter, with all that came in.
fn what_is_parked_is_kept(
    events: &[Stored],
    outcomes: &[Outcome],
    at_work: &mut AtWork,
) -> Result<(), Violation> {
    let mut letters = BTreeSet::new();
    for outcome in outcomes {
        if let OutcomeKind::DeadLettered(letter) = &outcome.kind
            && letter.cause == Cause::Parked
        {
            for event in &letter.events {
                if event.event().is_none_or(|event| event.data.is_none()) {
                    return violated(format!("the letter of {} has not all of it", event.position));
                }
                letters.insert((letter.sensor.clone(), event.dependency.clone(), event.position));
            }
        }
    }
    for stored in events {
        if let EventsRecord::Clear { sensor, dependency, through: Some(through), .. } =
            decode(stored)?
        {
            at_work.parked += 1;
            if !letters.contains(&(Some(sensor.clone()), dependency.clone(), through)) {
                return violated(format!(
                    "{sensor} forgot {through} at {dependency:?}, and there is no dead letter"
                ));
            }
        }
    }
    Ok(())
}

fn what_is_needed_was_not_trimmed(outcomes: &[Outcome]) -> Result<(), Violation> {
    for outcome in outcomes {
        if let OutcomeKind::DeadLettered(letter) = &outcome.kind
            && (letter.error.contains("cannot be read") || letter.error.contains("no copy of"))
        {
            return violated(format!("{:?} lost what it needs: {}", letter.action, letter.error));
        }
    }
    Ok(())
}

/// Whether an operator's choice of the newest may have dropped an action of the trigger by then.
pub fn kept_latest(taken: &[Taken], trigger: &TriggerName, at: Timestamp) -> bool {
    taken.iter().any(|order| match &order.does {
        Does::Resume(text, Choice::Latest) => {
            order.begun <= since_begin(at)
                && scope(text)
                    .is_some_and(|scope| matches!(scope, Scope::Target(_)) || scope.names(trigger))
        }
        _ => false,
    })
}

/// Whether an operator wanted the action to be dropped, which says so in `reason`.
pub fn was_to_be_dropped(taken: &[Taken], action: &Action, reason: &str) -> bool {
    let who = reason.strip_prefix("dropped by ").unwrap_or(reason);
    let number = who.strip_prefix("operator ").and_then(|number| number.parse::<usize>().ok());
    let covers = |text: &str| {
        let scope = scope(text);
        scope.is_some_and(|it| matches!(it, Scope::Target(_)) || it.names(&action.trigger))
    };
    let mut own = taken.iter().filter(|order| Some(order.operator) == number);
    own.any(|order| {
        let wanted = match &order.does {
            Does::Drop(text) | Does::Resume(text, Choice::Drop) => covers(text),
            Does::GiveUp => true,
            _ => false,
        };
        wanted && since_begin(action.decided_at) <= order.ended
    })
}

/// What is known of a schedule that was in force all along.
#[derive(Default)]
struct Told {
    paused: bool,
    /// When it was paused, in log time: not before, and before.
    pauses: Vec<(Timestamp, Timestamp)>,
    /// When ticks of its own times were decided to start a run.
    ticks: Vec<Timestamp>,
}

/// A schedule that is paused starts no tick, and one that is limited no more than it may.
fn schedules_obey(
    written: &Written,
    events: &[Stored],
    at_work: &mut AtWork,
) -> Result<(), Violation> {
    let mut schedules: BTreeMap<ObjectName, Told> = BTreeMap::new();
    let (mut log_time, mut seen) = (Timestamp::UNIX_EPOCH, BTreeSet::new());
    for stored in events {
        let record = decode(stored)?;
        log_time = log_time.max(record.time());
        let EventsRecord::Event(event) = record else { continue };
        let first = seen.insert((event.key.clone(), event.id.clone()));
        if event.kind == of_schedules::KIND && first {
            at_work.commands += usize::from(event.key.name == of_schedules::COMMAND);
            let name = ObjectName::new(&event.key.namespace, &event.key.source);
            schedules.entry(name).or_default().see(&event, log_time);
        }
    }
    for (name, told) in schedules.into_iter().filter(|(name, _)| written.is_always(name)) {
        let Some(schedule) = written.sensor(&name) else { continue };
        let paused = |at: &&Timestamp| told.pauses.iter().any(|(from, to)| from < *at && *at < to);
        if let Some(at) = told.ticks.iter().find(paused) {
            return violated(format!("{name} started a tick at {at}, though it was paused"));
        }
        let limited = schedule["spec"]["state"]["limitedActions"].as_u64();
        if limited.is_some_and(|limited| told.ticks.len() as u64 > limited) {
            return violated(format!("{name} started {} ticks of {limited:?}", told.ticks.len()));
        }
    }
    Ok(())
}

impl Told {
    fn see(&mut self, event: &Event, log_time: Timestamp) {
        let data = event.data.as_deref().unwrap_or_default();
        let data: Value = serde_json::from_slice(data).unwrap_or_default();
        if event.key.name == of_schedules::COMMAND {
            let does = &data["does"];
            if does.get("pause").is_some() && !self.paused {
                self.paused = true;
                self.pauses.push((log_time, Timestamp::MAX));
            } else if does == "resume"
                && std::mem::take(&mut self.paused)
                && let Some(pause) = self.pauses.last_mut()
            {
                pause.1 = log_time;
            }
        } else if data["origin"] == "tick"
            && let Some(at) = data["decidedTime"].as_str().and_then(|text| text.parse().ok())
        {
            self.ticks.push(at);
        }
    }
}
