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

use super::Violation;
use super::check::violated;
use super::target::{Call, Deeds};

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

/// The triggers of sensors that had one definition all along, as they are written.
struct Written(BTreeMap<TriggerName, Value>);

impl Written {
    async fn read(bus: &dyn Bus) -> Result<Self, Violation> {
        let failed = |error: &dyn std::fmt::Display| Violation(format!("plans: {error}"));
        let newest = plans::newest(bus).await.map_err(|error| failed(&error))?;
        let mut hashes: BTreeMap<ObjectName, BTreeSet<DefinitionHash>> = BTreeMap::new();
        for number in 1..=newest.number {
            let plan = plans::load(bus, number).await.map_err(|error| failed(&error))?;
            for (name, hash) in plan.sensors {
                hashes.entry(name).or_default().insert(hash);
            }
        }
        let mut triggers = BTreeMap::new();
        for (name, hashes) in hashes {
            let [hash] = hashes.iter().collect::<Vec<_>>()[..] else { continue };
            let json = plans::definition(bus, hash).await.map_err(|error| failed(&error))?;
            let sensor: Value = serde_json::from_str(&json).map_err(|error| failed(&error))?;
            for trigger in sensor["spec"]["triggers"].as_array().into_iter().flatten() {
                let own = trigger["template"]["name"].as_str().unwrap_or_default();
                triggers.insert(TriggerName::new(&name, own), trigger.clone());
            }
        }
        Ok(Self(triggers))
    }

    fn word(&self, trigger: &TriggerName, field: &str) -> Option<&str> {
        self.0.get(trigger)?[field].as_str()
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
        let limit = &self.0.get(trigger)?["rateLimit"];
        let requests = usize::try_from(limit["requestsPerUnit"].as_u64()?).ok()?;
        let seconds = if limit["unit"] == "Minute" { 60 } else { 1 };
        Some((requests, Duration::from_secs(seconds)))
    }
}

/// Checks all of it.
///
/// # Errors
/// The first thing that is wrong.
pub async fn check(
    bus: &dyn Bus,
    actions: &[Action],
    outcomes: &[Outcome],
    deeds: &Deeds,
) -> Result<AtWork, Violation> {
    let written = Written::read(bus).await?;
    let places: BTreeMap<&ActionId, usize> =
        actions.iter().enumerate().map(|(place, action)| (&action.id, place)).collect();
    let calls = deeds.calls();
    let mut at_work = AtWork::default();
    lanes(&written, actions, &places, &calls, &mut at_work)?;
    rates(&written, actions, &places, &calls, &mut at_work)?;
    drops(&written, actions, &places, outcomes, &mut at_work)?;
    follow_ups(&written, actions, outcomes, &mut at_work)?;
    Ok(at_work)
}

fn lanes(
    written: &Written,
    actions: &[Action],
    places: &BTreeMap<&ActionId, usize>,
    calls: &[Call],
    at_work: &mut AtWork,
) -> Result<(), Violation> {
    let mut latest: BTreeMap<Lane<'_>, (&Call, usize)> = BTreeMap::new();
    let mut sorted: Vec<&Call> = calls.iter().collect();
    sorted.sort_by_key(|call| call.begun);
    for call in sorted {
        let Some(&place) = places.get(&call.action) else { continue };
        let action = &actions[place];
        if !written.is_exclusive(&action.trigger) {
            continue;
        }
        at_work.in_lanes += 1;
        let before = latest.insert(lane(action), (call, place));
        let Some((other, other_place)) = before else { continue };
        // A call that a crash has left at the target may go on while it is made again.
        let again = other.action == call.action;
        if !again && other.ended.is_none_or(|ended| ended > call.begun) {
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
    places: &BTreeMap<&ActionId, usize>,
    calls: &[Call],
    at_work: &mut AtWork,
) -> Result<(), Violation> {
    let mut begun: BTreeMap<&TriggerName, Vec<Duration>> = BTreeMap::new();
    for call in calls {
        let Some(&place) = places.get(&call.action) else { continue };
        begun.entry(&actions[place].trigger).or_default().push(call.begun);
    }
    for (trigger, mut begun) in begun {
        let Some((most, per)) = written.rate(trigger) else { continue };
        at_work.limited += begun.len();
        begun.sort();
        // A call is on record a little before it is made, and after a restart it counts from
        // there. How long the bus took to take the record is forgiven: some delays, where
        // answers are lost.
        let forgiven = 5 * super::scenario::LONGEST_DELAY;
        for window in begun.windows(most + 1) {
            let spent = window[most] - window[0];
            if spent + forgiven < per {
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
    actions: &[Action],
    places: &BTreeMap<&ActionId, usize>,
    outcomes: &[Outcome],
    at_work: &mut AtWork,
) -> Result<(), Violation> {
    for outcome in outcomes {
        let OutcomeKind::Dropped { action: id, trigger, cause: Some(cause), by, .. } =
            &outcome.kind
        else {
            continue;
        };
        let Some(&place) = places.get(id) else { continue };
        let known = written.0.contains_key(trigger);
        let right = match cause {
            DropCause::Superseded => {
                at_work.superseded += 1;
                let newer = by.as_ref().and_then(|by| places.get(by)).copied();
                let action = &actions[place];
                // One event may complete a condition twice.
                let newer_in_lane = newer.is_some_and(|newer| {
                    let other = &actions[newer];
                    lane(other) == lane(action) && (other.cause, newer) > (action.cause, place)
                });
                newer_in_lane && (!known || written.is_latest(trigger))
            }
            DropCause::Overlap => {
                at_work.overlapped += 1;
                !known || ["Skip", "BufferOne"].contains(&written.overlap(trigger))
            }
            DropCause::Schedule => true,
            // One that a schedule gave up while it waited in the log alone: by whom is not kept.
            DropCause::Operator => trigger.sensor.starts_with("schedule."),
            DropCause::Suspended => false,
        };
        if !right {
            return violated(format!("action {id} of {trigger} was dropped: {cause}, by {by:?}"));
        }
    }
    Ok(())
}

/// A dead letter of a trigger with a `dlqTrigger` has one action that follows, and no other
/// action says that it follows from one.
fn follow_ups(
    written: &Written,
    actions: &[Action],
    outcomes: &[Outcome],
    at_work: &mut AtWork,
) -> Result<(), Violation> {
    let mut following: BTreeMap<&ActionId, usize> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for action in actions {
        if let Origin::DeadLetter { of } = &action.origin {
            // Its append may have been repeated.
            if !seen.insert(&action.id) {
                continue;
            }
            *following.entry(of).or_default() += 1;
            at_work.follow_ups += 1;
        }
    }
    let mut letters = BTreeSet::new();
    for outcome in outcomes {
        // What was given up, and dropped after a crash that came before the letter.
        if let OutcomeKind::Dropped { action, .. } = &outcome.kind {
            letters.insert(action);
        }
        let OutcomeKind::DeadLettered(letter) = &outcome.kind else { continue };
        let (Some(id), Some(trigger)) = (&letter.action, &letter.trigger) else { continue };
        letters.insert(id);
        let found = following.get(id).copied().unwrap_or_default();
        if let Some(trigger) = written.0.get(trigger) {
            let wanted = trigger["dlqTrigger"].is_object() && letter.cause != Cause::Loop;
            if found != usize::from(wanted) {
                return violated(format!("{found} actions follow from the dead letter of {id}"));
            }
        }
    }
    match following.keys().find(|id| !letters.contains(*id)) {
        Some(id) => violated(format!("an action follows from {id}, which is no dead letter")),
        None => Ok(()),
    }
}
