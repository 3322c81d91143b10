//! What a daemon that starts reads back: the actions that are open, and those that were
//! decided after the checkpoint.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tripline_bus::{Bus, Log, ReadError, Stored};
use tripline_event::{Action, ActionId, Origin, Outcome, OutcomeKind, Position, RecordError};
use tripline_triggers::executor::{Decided, Recovered};

use super::chains::{self, Chains, Submitter};
use super::checkpoint::Marks;

/// How many records are read at once.
const PAGE: usize = 1024;

/// What was read back.
#[derive(Debug, Default)]
pub struct Recovery {
    /// Actions that no outcome closes, in the order of their positions.
    pub open: Vec<Decided>,
    /// Actions that were decided after the checkpoint: deciding them again changes nothing.
    pub decided: HashSet<ActionId>,
    /// Actions of `dlqTrigger`s: they follow from actions that may still be open.
    pub follow_ups: HashSet<ActionId>,
    /// The actions that these follow from.
    pub followed: HashSet<ActionId>,
}

/// A log could not be read back.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The bus did not give it.
    #[error("log cannot be read back")]
    Read(#[from] ReadError),
    /// A record cannot be read.
    #[error("record {1} of {log} cannot be read", log = .0.as_str())]
    Record(Log, Position, #[source] RecordError),
}

/// Reads back what is to be gone on with, from `marks` on.
pub async fn recover(
    bus: &dyn Bus,
    marks: Marks,
    chains: &Chains,
) -> Result<Recovery, RecoveryError> {
    let outcomes = outcomes(bus, marks.outcomes_from, chains).await?;
    let mut recovery = Recovery::default();
    each(bus, Log::Actions, marks.open_from.min(marks.actions), |stored| {
        let action = Action::decode(&stored.record)
            .map_err(|error| RecoveryError::Record(Log::Actions, stored.position, error))?;
        if stored.position >= marks.actions {
            recovery.decided.insert(action.id.clone());
        }
        if let Origin::DeadLetter { of } = &action.origin {
            recovery.follow_ups.insert(action.id.clone());
            recovery.followed.insert(of.clone());
        }
        let round = (action.id.clone(), action.round);
        if !outcomes.closed.contains(&round) {
            let recovered = outcomes.attempts.get(&round).copied().unwrap_or_default();
            recovery.open.push(Decided {
                position: stored.position,
                action: Arc::new(action),
                events: None,
                recovered: Some(recovered),
            });
        }
        Ok(())
    })
    .await?;
    Ok(recovery)
}

#[derive(Default)]
struct Outcomes {
    closed: HashSet<(ActionId, u32)>,
    attempts: HashMap<(ActionId, u32), Recovered>,
}

async fn outcomes(
    bus: &dyn Bus,
    from: Position,
    chains: &Chains,
) -> Result<Outcomes, RecoveryError> {
    let mut found = Outcomes::default();
    let extent = bus.extent(Log::Outcomes).await?;
    let latest =
        extent.next.sequence.saturating_sub(chains::REMEMBERED as u64).max(extent.first.sequence);
    let begin = Position { sequence: latest.min(from.sequence), ..extent.next };
    each(bus, Log::Outcomes, begin, |stored| {
        let outcome = Outcome::decode(&stored.record)
            .map_err(|error| RecoveryError::Record(Log::Outcomes, stored.position, error))?;
        if let OutcomeKind::Succeeded { action, trigger, hops, result, .. } = &outcome.kind
            && let Some(root) = &outcome.correlation
        {
            let (action, root) = (action.clone(), root.clone());
            // Of the triggers before it only the number is known any more.
            let path = vec![trigger.to_string()];
            chains.learn(result, Submitter { action, root, hops: *hops, path });
        }
        if stored.position < from {
            return Ok(());
        }
        if let Some((action, round)) = outcome.kind.closes() {
            found.attempts.remove(&(action.clone(), round));
            found.closed.insert((action.clone(), round));
        }
        if let OutcomeKind::Attempted { action, round, attempt, .. }
        | OutcomeKind::Retrying { action, round, attempt, .. } = &outcome.kind
        {
            let latest = found.attempts.entry((action.clone(), *round)).or_default();
            latest.prior_attempts = latest.prior_attempts.max(*attempt);
            latest.untouched =
                matches!(&outcome.kind, OutcomeKind::Retrying { untouched: true, .. });
        }
        Ok(())
    })
    .await?;
    Ok(found)
}

/// Shows each record of a log from a position to the end.
pub async fn each(
    bus: &dyn Bus,
    log: Log,
    from: Position,
    mut show: impl FnMut(&Stored) -> Result<(), RecoveryError>,
) -> Result<(), RecoveryError> {
    let mut from = from;
    loop {
        let page = match bus.read(log, from, PAGE).await {
            // What is wanted is what is there: trimming never takes what is needed.
            Err(ReadError::Trimmed { first, .. }) => bus.read(log, first, PAGE).await?,
            other => other?,
        };
        let Some(last) = page.last() else { return Ok(()) };
        from = last.position.next();
        for stored in &page {
            show(stored)?;
        }
    }
}
