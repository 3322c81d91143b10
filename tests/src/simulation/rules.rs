//! The executor's rules, as a run shows them: lanes, order, rates, what was dropped and why,
//! and what follows from dead letters.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use tripline::engine::plans;
use tripline_bus::Bus;
use tripline_event::{
    Action, ActionId, Cause, DefinitionHash, DropCause, ObjectName, Origin, Outcome, OutcomeKind,
    TriggerName,
};

use super::check::{Evidence, violated};
use super::orders::Taken;
use super::target::Call;
use super::{Violation, controls};

/// How often each rule was at work in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AtWork {
    /// Actions that were dropped for a newer one.
    pub superseded: usize,
    /// Actions that were dropped since another one ran.
    pub overlapped: usize,
    /// Actions of `dlqTrigger`s.
    pub follow_ups: usize,
    /// Calls of triggers with a rate.
    pub limited: usize,
    /// Calls in lanes in which one comes after the other.
    pub in_lanes: usize,
}

/// The actions of a lane: trigger, target and key.
type Lane<'a> = (&'a TriggerName, Option<&'a str>, Option<&'a str>);

fn lane(action: &Action) -> Lane<'_> {
    (&action.trigger, action.target.as_deref(), action.key.as_deref())
}

/// What had one definition all along, as it is written.
pub struct Written {
    triggers: BTreeMap<TriggerName, Value>,
    /// Sensors of which there was one definition.
    sensors: BTreeMap<ObjectName, Value>,
    /// Those that were in every plan.
    always: BTreeSet<ObjectName>,
}

impl Written {
    /// Reads the plans of a bus.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn read(bus: &dyn Bus) -> Result<Self, Violation> {
        let failed = |error: &dyn std::fmt::Display| Violation(format!("plans: {error}"));
        let newest = plans::newest(bus).await.map_err(|error| failed(&error))?;
        let mut hashes: BTreeMap<ObjectName, BTreeSet<DefinitionHash>> = BTreeMap::new();
        let mut plans: BTreeMap<ObjectName, u64> = BTreeMap::new();
        for number in 1..=newest.number {
            let plan = plans::load(bus, number).await.map_err(|error| failed(&error))?;
            for (name, hash) in plan.sensors {
                *plans.entry(name.clone()).or_default() += 1;
                hashes.entry(name).or_default().insert(hash);
            }
        }
        let (mut triggers, mut sensors) = (BTreeMap::new(), BTreeMap::new());
        for (name, hashes) in hashes {
            let [hash] = hashes.iter().collect::<Vec<_>>()[..] else { continue };
            let json = plans::definition(bus, hash).await.map_err(|error| failed(&error))?;
            let sensor: Value = serde_json::from_str(&json).map_err(|error| failed(&error))?;
            for trigger in sensor["spec"]["triggers"].as_array().into_iter().flatten() {
                let own = trigger["template"]["name"].as_str().unwrap_or_default();
                triggers.insert(TriggerName::new(&name, own), trigger.clone());
            }
            sensors.insert(name, sensor);
        }
        let always = plans.into_iter().filter(|(_, count)| *count == newest.number);
        Ok(Self { triggers, sensors, always: always.map(|(name, _)| name).collect() })
    }

    /// A trigger as it is written.
    pub fn trigger(&self, trigger: &TriggerName) -> Option<&Value> {
        self.triggers.get(trigger)
    }

    /// Whether a sensor or schedule was in force all along.
    pub fn is_always(&self, sensor: &ObjectName) -> bool {
        self.always.contains(sensor)
    }

    /// A sensor or schedule as it is written, by the name of its events' source.
    pub fn sensor(&self, sensor: &ObjectName) -> Option<&Value> {
        self.sensors.get(sensor)
    }

    fn word(&self, trigger: &TriggerName, field: &str) -> Option<&str> {
        self.triggers.get(trigger)?[field].as_str()
    }

    fn is_strict(&self, trigger: &TriggerName) -> bool {
        self.word(trigger, "ordering") == Some("strict")
    }

    fn is_latest(&self, trigger: &TriggerName) -> bool {
        self.word(trigger, "whenQueued") == Some("latest")
    }

    fn overlap(&self, trigger: &TriggerName) -> &str {
        self.word(trigger, "overlap").unwrap_or("AllowAll")
    }

    /// One action of a lane at a time.
    fn is_exclusive(&self, trigger: &TriggerName) -> bool {
        self.is_strict(trigger) || self.is_latest(trigger) || self.overlap(trigger) != "AllowAll"
    }

    fn rate(&self, trigger: &TriggerName) -> Option<(usize, Duration)> {
        let limit = &self.triggers.get(trigger)?["rateLimit"];
        let requests = usize::try_from(limit["requestsPerUnit"].as_u64()?).ok()?;
        let seconds = if limit["unit"] == "Minute" { 60 } else { 1 };
        Some((requests, Duration::from_secs(seconds)))
    }
}

/// Where each round of an action stands in ACTIONS.
pub type Places<'a> = BTreeMap<(&'a ActionId, u32), usize>;

/// Where each round of an action stands in ACTIONS.
pub fn places(actions: &[Action]) -> Places<'_> {
    let rounds = actions.iter().map(|action| (&action.id, action.round));
    rounds.enumerate().map(|(place, round)| (round, place)).collect()
}

/// Checks all of it.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(
    written: &Written,
    evidence: &Evidence<'_>,
    actions: &[Action],
    outcomes: &[Outcome],
) -> Result<AtWork, Violation> {
    let places = places(actions);
    let calls = evidence.deeds.calls();
    let mut at_work = AtWork::default();
    lanes(written, actions, &places, &calls, &mut at_work)?;
    rates(written, actions, &places, &calls, &mut at_work)?;
    drops(written, evidence.taken, actions, &places, outcomes, &mut at_work)?;
    follow_ups(written, actions, outcomes, &mut at_work)?;
    Ok(at_work)
}

fn lanes(
    written: &Written,
    actions: &[Action],
    places: &Places<'_>,
    calls: &[Call],
    at_work: &mut AtWork,
) -> Result<(), Violation> {
    let mut latest: BTreeMap<Lane<'_>, (&Call, usize)> = BTreeMap::new();
    let mut sorted: Vec<&Call> = calls.iter().collect();
    sorted.sort_by_key(|call| call.begun);
    for call in sorted {
        let Some(&place) = places.get(&(&call.action, call.round)) else { continue };
        let action = &actions[place];
        if !written.is_exclusive(&action.trigger) {
            continue;
        }
        at_work.in_lanes += 1;
        let before = latest.insert(lane(action), (call, place));
        let Some((other, other_place)) = before else { continue };
        if other.ended.is_none_or(|ended| ended > call.begun) {
            return violated(format!(
                "actions {} and {} of {} ran at the same time",
                other.action, call.action, action.trigger
            ));
        }
        let in_order = written.is_strict(&action.trigger)
            && !written.is_latest(&action.trigger)
            && written.overlap(&action.trigger) != "Skip";
        if in_order && place < other_place {
            return violated(format!(
                "action {} of {} ran after {}, which comes after it",
                call.action, action.trigger, other.action
            ));
        }
    }
    Ok(())
}

fn rates(
    written: &Written,
    actions: &[Action],
    places: &Places<'_>,
    calls: &[Call],
    at_work: &mut AtWork,
) -> Result<(), Violation> {
    let mut begun: BTreeMap<&TriggerName, Vec<Duration>> = BTreeMap::new();
    for call in calls {
        let Some(&place) = places.get(&(&call.action, call.round)) else { continue };
        begun.entry(&actions[place].trigger).or_default().push(call.begun);
    }
    for (trigger, mut begun) in begun {
        let Some((most, per)) = written.rate(trigger) else { continue };
        at_work.limited += begun.len();
        begun.sort();
        for window in begun.windows(most + 1) {
            let spent = window[most] - window[0];
            if spent < per {
                return violated(format!(
                    "{trigger} was called {} times in {spent:?}, at most {most} in {per:?}",
                    most + 1
                ));
            }
        }
    }
    Ok(())
}

fn drops(
    written: &Written,
    taken: &[Taken],
    actions: &[Action],
    places: &Places<'_>,
    outcomes: &[Outcome],
    at_work: &mut AtWork,
) -> Result<(), Violation> {
    for outcome in outcomes {
        let OutcomeKind::Dropped { action: id, trigger, cause: Some(cause), by, round, reason } =
            &outcome.kind
        else {
            continue;
        };
        let Some(&place) = places.get(&(id, *round)) else { continue };
        let action = &actions[place];
        let known = written.triggers.contains_key(trigger);
        let right = match cause {
            DropCause::Superseded => {
                at_work.superseded += 1;
                // Whichever round of it that was.
                let of_it = |other: &usize| Some(&actions[*other].id) == by.as_ref();
                // One event may complete a condition twice.
                let newer_in_lane = (0..actions.len()).filter(of_it).any(|newer| {
                    let other = &actions[newer];
                    lane(other) == lane(action) && (other.cause, newer) > (action.cause, place)
                });
                let asked = || controls::kept_latest(taken, trigger, outcome.at);
                newer_in_lane && (!known || written.is_latest(trigger) || asked())
            }
            DropCause::Overlap => {
                at_work.overlapped += 1;
                !known || ["Skip", "BufferOne"].contains(&written.overlap(trigger))
            }
            DropCause::Schedule => trigger.sensor.starts_with("schedule."),
            DropCause::Operator => controls::was_to_be_dropped(taken, action, reason),
            DropCause::Suspended => false,
        };
        if !right {
            return violated(format!(
                "action {id} of {trigger} was dropped: {cause}, by {by:?}: {reason}"
            ));
        }
    }
    Ok(())
}

/// Each dead letter of a trigger with a `dlqTrigger` has one action that follows, and no other
/// action says that it follows from one.
fn follow_ups(
    written: &Written,
    actions: &[Action],
    outcomes: &[Outcome],
    at_work: &mut AtWork,
) -> Result<(), Violation> {
    let mut following: BTreeMap<&ActionId, usize> = BTreeMap::new();
    for action in actions {
        if let (Origin::DeadLetter { of }, 0) = (&action.origin, action.round) {
            *following.entry(of).or_default() += 1;
            at_work.follow_ups += 1;
        }
    }
    // The letters of each action, one for each round that became one.
    let mut letters: BTreeMap<&ActionId, (&TriggerName, usize)> = BTreeMap::new();
    for outcome in outcomes {
        let OutcomeKind::DeadLettered(letter) = &outcome.kind else { continue };
        let (Some(id), Some(trigger)) = (&letter.action, &letter.trigger) else { continue };
        let wanted = written.trigger(trigger).is_none_or(|it| it["dlqTrigger"].is_object())
            && letter.cause != Cause::Loop;
        letters.entry(id).or_insert((trigger, 0)).1 += usize::from(wanted);
    }
    for (id, (trigger, wanted)) in &letters {
        let found = following.get(id).copied().unwrap_or_default();
        let known = written.trigger(trigger).is_some();
        if found > *wanted || (known && found != *wanted) {
            return violated(format!(
                "{found} actions follow from {wanted} dead letters of {id} of {trigger}"
            ));
        }
    }
    match following.keys().find(|id| !letters.contains_key(*id)) {
        Some(id) => violated(format!("an action follows from {id}, which is no dead letter")),
        None => Ok(()),
    }
}
