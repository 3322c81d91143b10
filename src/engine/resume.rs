//! What the executor is told before it begins: which sensors are in force, and which attempts
//! the processes before this one made.

use std::collections::{BTreeMap, HashMap};

use tripline_bus::{Bus, Log};
use tripline_event::{ActionId, Outcome, OutcomeKind, Position, Timestamp, TriggerName};
use tripline_triggers::executor::Executor;

use super::definitions::{DefinitionError, Definitions};
use super::plans::{self, Listing};
use super::recovery::RecoveryError;
use super::{recovery, trim};

/// The longest unit of a rate.
const LONGEST_UNIT: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);
/// So much earlier an attempt of the latest unit may have been on record.
const LONGEST_CALL: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);
/// The most outcomes that are read back for rates.
const MOST_OUTCOMES: u64 = 200_000;

/// The newest plan says how actions that wait are started, also while events of before it
/// are evaluated.
///
/// # Errors
/// The bus cannot be read.
pub async fn newest_in_force(
    bus: &dyn Bus,
    definitions: &Definitions,
) -> Result<(), DefinitionError> {
    let newest = plans::newest(bus).await?;
    for (name, hash) in &newest.sensors {
        let loaded = definitions.load(bus, name, hash).await;
        // Where another error keeps it from being used, the one that decided says how.
        if let Err(error @ DefinitionError::Plan(plans::PlanError::Read(_))) = loaded {
            return Err(error);
        }
    }
    put_in_force(definitions, &newest);
    Ok(())
}

/// From now on the policies of these definitions count.
pub fn put_in_force(definitions: &Definitions, plan: &Listing) {
    let by_sensor: HashMap<_, _> = plan.sensors.iter().cloned().collect();
    definitions.in_force.set(plan.number, by_sensor);
}

/// Tells the executor which attempts count for a rate: those of the latest hour, as far as
/// the newest outcomes say. An attempt is on record before the target is called, and the bus may
/// have taken its time: it counts from when its end is on record, which is after the call; one
/// that has no end, from now. Where the outcomes do not reach back so far, since they were trimmed
/// or are too many, each rate counts as used up at the first of them.
///
/// # Errors
/// The bus cannot be read.
pub async fn starts(
    bus: &dyn Bus,
    definitions: &Definitions,
    executor: &Executor,
    now: Timestamp,
) -> Result<(), RecoveryError> {
    let limited = definitions.limited();
    if limited.is_empty() {
        return Ok(());
    }
    let since = now.saturating_sub(LONGEST_UNIT + LONGEST_CALL).unwrap_or(Timestamp::MIN);
    let extent = bus.extent(Log::Outcomes).await?;
    let first = trim::first_not_before(bus, Log::Outcomes, since).await?;
    let newest = extent.next.sequence.saturating_sub(MOST_OUTCOMES).max(first.sequence);
    let from = Position { sequence: newest, ..extent.next };
    let begins_here = first.sequence == extent.first.sequence || newest > first.sequence;
    let mut unknown = (from.sequence > 1 && begins_here).then_some(&limited);
    let used_up = |limited: &HashMap<TriggerName, u32>, at| {
        for (trigger, requests) in limited {
            (0..*requests).for_each(|_| executor.note_start(trigger, at));
        }
    };
    let mut begun: BTreeMap<ActionId, TriggerName> = BTreeMap::new();
    recovery::each(bus, Log::Outcomes, from, |stored| {
        let Ok(Outcome { at, kind, .. }) = Outcome::decode(&stored.record) else { return Ok(()) };
        if let Some(limited) = unknown.take() {
            used_up(limited, at);
        }
        let ended = match &kind {
            OutcomeKind::Attempted { action, .. } | OutcomeKind::Retrying { action, .. } => {
                Some(action)
            }
            other => other.closes().map(|(action, _)| action),
        };
        if let Some(trigger) = ended.and_then(|action| begun.remove(action)) {
            executor.note_start(&trigger, at);
        }
        if let OutcomeKind::Attempted { action, trigger: Some(trigger), .. } = kind
            && limited.contains_key(&trigger)
        {
            begun.insert(action, trigger);
        }
        Ok(())
    })
    .await?;
    if let Some(limited) = unknown {
        used_up(limited, now);
    }
    begun.into_values().for_each(|trigger| executor.note_start(&trigger, now));
    Ok(())
}
