//! From a handle to the events, actions and outcomes that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tripline_bus::{Bus, Log};
use tripline_event::{
    Action, ActionId, Cause as LetterCause, Event, EventsRecord, Outcome, OutcomeKind, Position,
};

use super::model::{Cause, Code};
use crate::index::handles::Handle;
use crate::index::holding;
use crate::query::QueryError;
use crate::query::item::{Record, facts, shortened};
use crate::query::scan::Needles;
use crate::query::trace::{abbreviates, at};

/// The most records of each log that are taken in.
const MAX_RECORDS: usize = 2_000;

/// What a handle names.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Events, by position.
    pub events: BTreeMap<Position, Arc<Event>>,
    /// Every action that one of them took part in, or that the handle names.
    pub actions: BTreeMap<Position, Action>,
    /// What became of these actions, and of these events.
    pub outcomes: BTreeMap<Position, Outcome>,
}

impl Found {
    /// Nothing is known.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.refused().is_empty()
    }

    /// Where the first one stands, if the event repeats another.
    pub fn repeats(&self, event: &Event, position: Position) -> Option<Position> {
        self.outcomes.values().find_map(|outcome| match &outcome.kind {
            OutcomeKind::Duplicate { key, id, position: at, first } => {
                (*at == position && *id == event.id && *key == event.key).then_some(*first)
            }
            _ => None,
        })
    }

    /// What never became an event.
    pub fn refused(&self) -> Vec<Cause> {
        let causes = self.outcomes.values().filter_map(|outcome| match &outcome.kind {
            OutcomeKind::DeadLettered(letter) if letter.cause == LetterCause::Malformed => {
                let event = letter.events.first()?;
                let sentence = format!(
                    "{} could not take in what {} brought: {}; `tripline dlq show {}` has what came in: \
                     send it again, corrected",
                    event.key,
                    shortened(event.id.as_str(), 80),
                    shortened(&letter.error, 300),
                    shortened(event.id.as_str(), 80),
                );
                Some(Cause::new(Code::Malformed, sentence))
            }
            _ => None,
        });
        causes.collect()
    }

    /// The ids of all actions.
    fn action_ids(&self) -> BTreeSet<ActionId> {
        let of_outcomes =
            self.outcomes.values().filter_map(|outcome| facts(&outcome.kind).action.cloned());
        self.actions.values().map(|action| action.id.clone()).chain(of_outcomes).collect()
    }

    /// What became of an action's round, in order.
    pub fn of_action<'a>(&'a self, action: &'a Action) -> impl Iterator<Item = &'a Outcome> {
        self.outcomes.values().filter(move |outcome| {
            let round = match &outcome.kind {
                OutcomeKind::Attempted { round, .. }
                | OutcomeKind::Retrying { round, .. }
                | OutcomeKind::Succeeded { round, .. }
                | OutcomeKind::Dropped { round, .. } => Some(*round),
                OutcomeKind::DeadLettered(letter) => Some(letter.round),
                _ => None,
            };
            facts(&outcome.kind).action == Some(&action.id)
                && round.is_none_or(|round| round == action.round)
        })
    }
}

/// Everything that `handle` names.
pub(super) async fn find(bus: &dyn Bus, handle: &str) -> Result<Found, QueryError> {
    let mut found = Found::default();
    if handle.is_empty() {
        return Ok(found);
    }
    match handle.parse::<Position>() {
        Ok(position) => at_position(bus, position, &mut found).await?,
        Err(_) => named(bus, handle, &mut found).await?,
    }
    close(bus, handle, &mut found).await?;
    Ok(found)
}

async fn at_position(
    bus: &dyn Bus,
    position: Position,
    found: &mut Found,
) -> Result<(), QueryError> {
    for log in Log::ALL {
        if let Some(stored) = at(bus, log, position).await?
            && let Ok(record) = Record::decode(log, &stored.record)
        {
            found.take(position, record);
        }
    }
    Ok(())
}

/// What has the handle among its own ids.
async fn named(bus: &dyn Bus, handle: &str, found: &mut Found) -> Result<(), QueryError> {
    // A workflow's name may come with its namespace, which stands elsewhere in the record.
    let name = handle.split_once('/').map_or(handle, |(_, name)| name);
    let handles: Vec<Handle> = [Some(Handle::id(handle)), Some(Handle::id(name))]
        .into_iter()
        .chain([Handle::prefix(handle)])
        .flatten()
        .collect();
    let needles = Needles::texts([handle, name].into_iter().filter(|text| !text.is_empty()))?;
    let mut by_prefix = Found::default();
    for log in Log::ALL {
        holding(bus, log, handles.clone(), |stored| {
            if needles.are_in(&stored.record)
                && let Ok(record) = Record::decode(log, &stored.record)
            {
                match is_named(&record, handle) {
                    Named::Wholly => found.take(stored.position, record),
                    Named::ByPrefix => by_prefix.take(stored.position, record),
                    Named::Not => {}
                }
            }
            true
        })
        .await?;
    }
    let nothing = found.actions.is_empty() && found.outcomes.is_empty();
    if found.events.is_empty() && nothing && by_prefix.action_ids().len() == 1 {
        *found = by_prefix;
    }
    Ok(())
}

enum Named {
    Wholly,
    /// It is the beginning of its action's id.
    ByPrefix,
    Not,
}

fn is_named(record: &Record, handle: &str) -> Named {
    let mut whole = false;
    crate::query::trace::ids(record, |id| whole |= id == handle);
    let submitted = match record {
        Record::Outcome(outcome) => crate::query::trace::workflow(&outcome.kind),
        _ => None,
    };
    let workflow = submitted.is_some_and(|(space, name)| format!("{space}/{name}") == handle);
    if whole || workflow {
        return Named::Wholly;
    }
    let action = match record {
        Record::Action(action) => Some(&action.id),
        Record::Outcome(outcome) => facts(&outcome.kind).action,
        _ => None,
    };
    match action {
        Some(id) if abbreviates(handle, id.as_str()) => Named::ByPrefix,
        _ => Named::Not,
    }
}

impl Found {
    fn take(&mut self, position: Position, record: Record) {
        match record {
            Record::Event(event) if self.events.len() < MAX_RECORDS => {
                self.events.insert(position, Arc::new(event));
            }
            Record::Action(action) if self.actions.len() < MAX_RECORDS => {
                self.actions.insert(position, action);
            }
            Record::Outcome(outcome) if self.outcomes.len() < MAX_RECORDS => {
                self.outcomes.insert(position, outcome);
            }
            _ => {}
        }
    }
}

/// Adds the actions of outcomes, the events of actions, the actions of these events, and what
/// became of all of them.
async fn close(bus: &dyn Bus, handle: &str, found: &mut Found) -> Result<(), QueryError> {
    let known: BTreeSet<ActionId> = found.actions.values().map(|it| it.id.clone()).collect();
    let unknown: BTreeSet<ActionId> = found.action_ids().difference(&known).cloned().collect();
    actions(bus, found, |action| unknown.contains(&action.id), &unknown).await?;
    // An event's own id names that event alone, and not those that an action joined to it. What
    // names an action, or the workflow that it submitted, names all of its events.
    let nothing = found.events.is_empty();
    let named = found.actions.values().filter(|action| {
        nothing || unknown.contains(&action.id) || abbreviates(handle, action.id.as_str())
    });
    for of in named.flat_map(|action| action.events.clone()).collect::<Vec<_>>() {
        if found.events.len() < MAX_RECORDS
            && !found.events.contains_key(&of.position)
            && let Some(event) = super::event_at(bus, of.position).await?
        {
            found.events.insert(of.position, event);
        }
    }
    let newest: Vec<_> = found.events.iter().rev().take(super::MAX_EVENTS).collect();
    let places: BTreeSet<Position> = newest.iter().map(|(position, _)| **position).collect();
    // What has the handle itself was found with it.
    let others = newest.iter().filter(|(_, event)| {
        event.id.as_str() != handle && event.links.correlation.as_str() != handle
    });
    let ids: BTreeSet<ActionId> = others.map(|(_, event)| ActionId(event.id.0.clone())).collect();
    actions(
        bus,
        found,
        |action| action.events.iter().any(|event| places.contains(&event.position)),
        &ids,
    )
    .await?;
    let wanted: BTreeSet<ActionId> = found.action_ids().union(&ids).cloned().collect();
    outcomes(bus, found, &wanted).await
}

/// Takes in the actions that fit and have one of the ids, of whatever kind these are.
async fn actions(
    bus: &dyn Bus,
    found: &mut Found,
    fits: impl Fn(&Action) -> bool + Send + Sync,
    ids: &BTreeSet<ActionId>,
) -> Result<(), QueryError> {
    if ids.is_empty() {
        return Ok(());
    }
    let (handles, needles) = look_for(ids)?;
    holding(bus, Log::Actions, handles, |stored| {
        if needles.are_in(&stored.record)
            && let Ok(action) = Action::decode(&stored.record)
            && fits(&action)
        {
            found.take(stored.position, Record::Action(action));
        }
        true
    })
    .await
}

async fn outcomes(
    bus: &dyn Bus,
    found: &mut Found,
    ids: &BTreeSet<ActionId>,
) -> Result<(), QueryError> {
    if ids.is_empty() {
        return Ok(());
    }
    let (handles, needles) = look_for(ids)?;
    holding(bus, Log::Outcomes, handles, |stored| {
        if needles.are_in(&stored.record)
            && let Ok(outcome) = Outcome::decode(&stored.record)
        {
            found.take(stored.position, Record::Outcome(outcome));
        }
        true
    })
    .await
}

fn look_for(ids: &BTreeSet<ActionId>) -> Result<(Vec<Handle>, Needles), QueryError> {
    let handles = ids.iter().map(|id| Handle::id(id.as_str())).collect();
    Ok((handles, Needles::texts(ids.iter().map(ActionId::as_str))?))
}

/// The newest event among the last records of the log whose body is this one.
pub(super) async fn by_body(
    bus: &dyn Bus,
    body: &serde_json::Value,
) -> Result<Option<(Position, Arc<Event>)>, QueryError> {
    let mut backwards = crate::query::scan::Backwards::new(bus, Log::Events).await?;
    for _ in 0..super::arrival::LOOK_BACK / crate::query::PAGE {
        let Some(page) = backwards.page(bus).await? else { return Ok(None) };
        for stored in page.iter().rev() {
            if let Ok(EventsRecord::Event(event)) = EventsRecord::decode(&stored.record)
                && super::arrival::has_body(&event, body)
            {
                return Ok(Some((stored.position, Arc::new(event))));
            }
        }
    }
    Ok(None)
}
