//! Dead letters: what is not carried out, whether somebody has seen to it, and seeing to it.
//!
//! A letter is open until its action is appended again with a greater round (retried), or
//! an outcome says that it was dropped. Nothing is ever removed: both are appends.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tripline_bus::{Append, BoxFuture, Bus, Log, WriteError};
use tripline_event::{
    Action, ActionId, Cause, Clock, CorrelationId, DeadLetter, DefinitionHash, DropCause,
    LetterEvent, ObjectName, Outcome, OutcomeKind, Position, Timestamp, TriggerName,
};

use super::item::Record;
use super::scan::{Needles, extent, forwards, read};
use super::trace::abbreviates;
use super::{Filter, QueryError};
use crate::engine::plans;

/// The most letters that are looked at, the newest: older ones are as if they were not there.
pub const MAX_LETTERS: usize = 200_000;
/// The most letters that one retry or drop takes.
pub const MAX_IDS: usize = 10_000;
/// What `did` says in the outcome of an operator who dropped a letter or an action.
pub const DROP: &str = "drop";
/// What `did` says in the outcome of an operator who retried a letter.
pub const RETRY: &str = "retry";

/// A dead letter and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterItem {
    /// What it is called in commands: its action's id; of an event that never became an
    /// action, the letter's position.
    pub id: String,
    /// Where it stands in OUTCOMES.
    pub position: Position,
    /// When it became one.
    pub at: Timestamp,
    /// The correlation id of its chain.
    pub correlation: Option<CorrelationId>,
    /// Whether it is still open.
    pub state: LetterState,
    /// The letter itself.
    pub letter: DeadLetter,
}

/// Whether a dead letter is still open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum LetterState {
    /// Nobody has seen to it.
    Open,
    /// It was sent back.
    Retried {
        /// As this round of its action.
        round: u32,
        /// When.
        at: Timestamp,
    },
    /// It was given up.
    Dropped {
        /// When.
        at: Timestamp,
        /// By whom and why.
        reason: String,
    },
}

/// Which dead letters are asked for.
#[derive(Clone, Debug, Default)]
pub struct LetterFilter {
    /// What their outcomes must fit. `matches` is about the copies of their events.
    pub filter: Filter,
    /// Only those of this cause.
    pub cause: Option<Cause>,
    /// Those that were retried or dropped too.
    pub closed: bool,
}

/// What became of the wish to retry or drop a letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The id that was asked for.
    pub id: String,
    /// What was done.
    pub done: Done,
}

/// What was done about a letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Done {
    /// It was sent back.
    Retried {
        /// As this round of its action.
        round: u32,
        /// Where the action stands now, in ACTIONS.
        position: Position,
    },
    /// It was given up.
    Dropped,
    /// Nothing, and why.
    Nothing(String),
    /// There is no such letter.
    Unknown,
}

/// What an action is remembered by in ACTIONS: deciding it twice, or retrying a letter
/// twice, appends it once.
pub fn dedup_id(id: &ActionId, round: u32) -> Bytes {
    Bytes::from(format!("{id}/{round}"))
}

/// The last `limit` dead letters that fit, oldest first.
pub async fn list(
    bus: &dyn Bus,
    wanted: &LetterFilter,
    limit: usize,
) -> Result<Vec<DeadLetterItem>, QueryError> {
    let notes = notes(bus, wanted).await?;
    let shown = notes.iter().filter(|note| wanted.closed || note.state == LetterState::Open);
    let mut last: Vec<&Note> = shown.rev().take(limit).collect();
    last.reverse();
    full(bus, last).await
}

/// Every letter of that id, one for each round, oldest first; empty where there is none.
pub async fn show(bus: &dyn Bus, id: &str) -> Result<Vec<DeadLetterItem>, QueryError> {
    let notes = notes(bus, &LetterFilter::default()).await?;
    let Some(note) = resolve(&notes, id)? else { return Ok(Vec::new()) };
    let rounds: Vec<&Note> = notes.iter().filter(|other| other.id == note.id).collect();
    full(bus, rounds).await
}

/// How many open letters there are of each cause.
pub async fn open_by_cause(bus: &dyn Bus) -> Result<BTreeMap<Cause, u64>, QueryError> {
    let mut counts = BTreeMap::new();
    for note in notes(bus, &LetterFilter::default()).await? {
        if note.state == LetterState::Open {
            *counts.entry(note.cause).or_default() += 1;
        }
    }
    Ok(counts)
}

/// Sends dead letters back: each one's action is appended again as its next round, with
/// as much time as it had at first; with `current`, to be rendered with the definition of its
/// sensor that is in force now. `who` is written down.
pub async fn retry(
    bus: &dyn Bus,
    clock: &dyn Clock,
    who: &str,
    ids: &[String],
    current: bool,
) -> Result<Vec<Answer>, QueryError> {
    retry_by(bus, clock, who, ids, current, &AtRest(bus)).await
}

/// Takes the next round of the action of a dead letter.
pub trait Taker: Send + Sync {
    /// Appends it, and returns where it stands.
    ///
    /// # Errors
    /// The bus did not take it.
    fn take(&self, action: Action) -> BoxFuture<'_, Result<Position, WriteError>>;
}

/// A bus on which no daemon runs: the next one that is started carries out what is appended.
struct AtRest<'a>(&'a dyn Bus);

impl Taker for AtRest<'_> {
    fn take(&self, action: Action) -> BoxFuture<'_, Result<Position, WriteError>> {
        Box::pin(async move {
            let dedup = Some(dedup_id(&action.id, action.round));
            let append = Append { dedup, record: action.encode() };
            let appended = self.0.append(Log::Actions, vec![append]).await?;
            Ok(appended.first().map(|appended| appended.position).unwrap_or_default())
        })
    }
}

/// As [`retry`], with what carries the actions out.
///
/// # Errors
/// The bus cannot be read or written, or an id names several letters.
pub async fn retry_by(
    bus: &dyn Bus,
    clock: &dyn Clock,
    who: &str,
    ids: &[String],
    current: bool,
    taker: &dyn Taker,
) -> Result<Vec<Answer>, QueryError> {
    bounded(ids)?;
    let notes = notes(bus, &LetterFilter::default()).await?;
    let mut wanted: Vec<(&String, Result<&Note, Done>)> = Vec::new();
    for id in ids {
        wanted.push((id, open(&notes, id)?));
    }
    let actions = latest(bus, wanted.iter().filter_map(|(_, note)| note.as_ref().ok())).await?;
    let in_force = if current { Some(in_force(bus).await?) } else { None };
    let now = clock.now();
    let mut answers = Vec::with_capacity(ids.len());
    // Who names a letter twice means it once.
    let mut begun = HashSet::new();
    for (id, note) in wanted {
        let done = match note.map(|note| (note, note.action.as_ref())) {
            Err(done) => done,
            Ok((note, _)) if !begun.insert(&note.id) => {
                Done::Nothing("it was named before".to_owned())
            }
            Ok((_, None)) => Done::Nothing(format!(
                "it has no action to carry out: `tripline dlq show {id}` has what came in; send that again, corrected, and drop this letter"
            )),
            Ok((note, Some(action))) => {
                match whole(bus, note, actions.get(action), in_force.as_ref()).await? {
                    Err(why) => Done::Nothing(why),
                    Ok(action) => again(taker, &action, note.round, now).await?,
                }
            }
        };
        if let Done::Retried { .. } = done {
            note_operator(bus, now, who, RETRY, &notes, id).await?;
        }
        answers.push(Answer { id: id.clone(), done });
    }
    Ok(answers)
}

type InForce = HashMap<ObjectName, DefinitionHash>;

/// The definitions of the newest plan.
async fn in_force(bus: &dyn Bus) -> Result<InForce, QueryError> {
    let newest = plans::newest(bus).await;
    let newest = newest.map_err(|error| QueryError::Invalid(format!("the plan: {error}")))?;
    Ok(newest.sensors.into_iter().collect())
}

/// The action of a letter with everything that it needs: from ACTIONS, or, where that was
/// trimmed, from the letter; and copies of its events where EVENTS has them no more.
async fn whole(
    bus: &dyn Bus,
    note: &Note,
    known: Option<&Action>,
    in_force: Option<&InForce>,
) -> Result<Result<Action, String>, QueryError> {
    let id = &note.id;
    let gone = |what: &str| {
        Ok(Err(format!("{what}: publish its events again (`tripline dlq show {id}` has copies)")))
    };
    let page = read(bus, Log::Outcomes, note.position, 1).await?;
    let stored = page.first().filter(|stored| stored.position == note.position);
    let letter = match stored.map(|stored| Outcome::decode(&stored.record)) {
        Some(Ok(Outcome { kind: OutcomeKind::DeadLettered(letter), .. })) => *letter,
        _ => return gone("the letter was trimmed"),
    };
    let Some(mut action) = known.cloned().or_else(|| letter.record.map(|record| *record)) else {
        return gone("the record of its action was trimmed");
    };
    let first = extent(bus, Log::Events).await?.first;
    let is_kept = |at: Position| at.incarnation == first.incarnation && at >= first;
    if !action.events.iter().all(|event| is_kept(event.position)) {
        let mut copies = letter.events.iter().map(LetterEvent::event);
        if copies.all(|event| event.is_some_and(|event| event.data.is_some())) {
            action.copies = letter.events;
        } else if action
            .events
            .iter()
            .any(|event| event.position.incarnation == first.incarnation && event.position < first)
        {
            return gone("its events were trimmed, and the letter has no whole copies");
        }
    }
    if let Some(in_force) = in_force {
        let sensor = action.trigger.sensor_name();
        let Some(definition) = in_force.get(&sensor) else {
            return Ok(Err(format!("there is no sensor {sensor} now")));
        };
        action.definition = definition.clone();
    }
    Ok(Ok(action))
}

/// Gives dead letters up. `who` and `reason` are written down.
pub async fn drop(
    bus: &dyn Bus,
    clock: &dyn Clock,
    who: &str,
    reason: Option<&str>,
    ids: &[String],
) -> Result<Vec<Answer>, QueryError> {
    bounded(ids)?;
    let notes = notes(bus, &LetterFilter::default()).await?;
    let at = clock.now();
    let mut answers = Vec::with_capacity(ids.len());
    for id in ids {
        let done = match open(&notes, id)? {
            Err(done) => done,
            Ok(note) => {
                let why = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                let kind = match (&note.action, &note.trigger) {
                    (Some(action), Some(trigger)) => OutcomeKind::Dropped {
                        action: action.clone(),
                        trigger: trigger.clone(),
                        round: note.round,
                        reason: format!("dropped by {who}{why}"),
                        cause: Some(DropCause::Operator),
                        by: None,
                    },
                    _ => OutcomeKind::Operator {
                        who: who.to_owned(),
                        did: DROP.to_owned(),
                        subject: note.id.clone(),
                        reason: reason.map(str::to_owned),
                        count: None,
                    },
                };
                append_outcome(bus, Outcome { at, correlation: note.correlation.clone(), kind })
                    .await?;
                Done::Dropped
            }
        };
        answers.push(Answer { id: id.clone(), done });
    }
    Ok(answers)
}

fn bounded(ids: &[String]) -> Result<(), QueryError> {
    if ids.len() > MAX_IDS {
        let message = format!("{} dead letters at once, at most {MAX_IDS} are taken", ids.len());
        return Err(QueryError::Invalid(message));
    }
    Ok(())
}

/// What is kept in memory of a letter while the logs are read: its events may be large.
struct Note {
    id: String,
    position: Position,
    action: Option<ActionId>,
    trigger: Option<TriggerName>,
    round: u32,
    cause: Cause,
    correlation: Option<CorrelationId>,
    state: LetterState,
}

/// The letters that fit, oldest first, with their state.
async fn notes(bus: &dyn Bus, wanted: &LetterFilter) -> Result<Vec<Note>, QueryError> {
    let mut notes: VecDeque<Note> = VecDeque::new();
    let mut dropped: HashMap<String, (u32, Timestamp, String)> = HashMap::new();
    let kinds = ["deadLettered", "dropped", "operator"].map(|kind| format!(r#""{kind}""#));
    let needles = Needles::bytes(kinds.into_iter().chain(later_rounds()))?;
    let mut rounds = Rounds::new();
    forwards(bus, Log::Outcomes, |stored| {
        if !needles.are_in(&stored.record) {
            return true;
        }
        let Ok(record) = Record::decode(Log::Outcomes, &stored.record) else { return true };
        let fits = wanted.filter.fits(&record);
        let Record::Outcome(outcome) = record else { return true };
        if let Some((id, round)) = outcome.kind.closes() {
            note_round(&mut rounds, id, round, outcome.at);
        }
        match outcome.kind {
            OutcomeKind::DeadLettered(letter) if fits && fits_letter(wanted, &letter) => {
                if notes.len() == MAX_LETTERS {
                    notes.pop_front();
                }
                notes.push_back(note(stored.position, outcome.correlation, *letter));
            }
            OutcomeKind::Dropped { action, round, reason, .. } => {
                dropped.insert(action.0, (round, outcome.at, reason));
            }
            OutcomeKind::Operator { who, did, subject, reason, .. } if did == DROP => {
                let why = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                dropped.insert(subject, (0, outcome.at, format!("dropped by {who}{why}")));
            }
            _ => {}
        }
        true
    })
    .await?;
    if !notes.is_empty() {
        retried(bus, &mut rounds).await?;
    }
    for note in &mut notes {
        let again = note.action.as_ref().and_then(|id| rounds.get(id));
        if let Some((round, at)) = again.filter(|(round, _)| *round > note.round) {
            note.state = LetterState::Retried { round: *round, at: *at };
        } else if let Some((_, at, reason)) =
            dropped.get(&note.id).filter(|(round, ..)| *round >= note.round)
        {
            note.state = LetterState::Dropped { at: *at, reason: reason.clone() };
        }
    }
    Ok(notes.into())
}

fn note(position: Position, correlation: Option<CorrelationId>, letter: DeadLetter) -> Note {
    Note {
        id: id(position, &letter),
        position,
        action: letter.action,
        trigger: letter.trigger,
        round: letter.round,
        cause: letter.cause,
        correlation,
        state: LetterState::Open,
    }
}

fn id(position: Position, letter: &DeadLetter) -> String {
    letter.action.as_ref().map_or_else(|| position.to_string(), |id| id.0.clone())
}

fn fits_letter(wanted: &LetterFilter, letter: &DeadLetter) -> bool {
    let matches = &wanted.filter.matches;
    wanted.cause.is_none_or(|cause| letter.cause == cause)
        && (matches.is_empty()
            || letter.events.iter().any(|event| {
                let data = event.data.to_string();
                matches.iter().all(|each| each.fits(&data))
            }))
}

/// The greatest round of each action that has more than one, and when it began or ended.
type Rounds = HashMap<ActionId, (u32, Timestamp)>;

/// Every round but the first is a number that begins with one of these digits.
fn later_rounds() -> impl Iterator<Item = String> {
    (1..=9).map(|digit| format!(r#""round":{digit}"#))
}

fn note_round(rounds: &mut Rounds, id: &ActionId, round: u32, at: Timestamp) {
    if round > 0 && rounds.get(id).is_none_or(|(known, _)| *known <= round) {
        rounds.insert(id.clone(), (round, at));
    }
}

/// Adds the rounds that stand in ACTIONS. Those that were trimmed there have ended, and their
/// ends stand in OUTCOMES, behind the letters that they were sent back from.
async fn retried(bus: &dyn Bus, rounds: &mut Rounds) -> Result<(), QueryError> {
    let needles = Needles::bytes(later_rounds())?;
    forwards(bus, Log::Actions, |stored| {
        if needles.are_in(&stored.record)
            && let Ok(action) = Action::decode(&stored.record)
        {
            note_round(rounds, &action.id, action.round, action.decided_at);
        }
        true
    })
    .await
}

/// The newest letter that `id` names: an action's id, or its beginning, or a position.
fn resolve<'a>(notes: &'a [Note], id: &str) -> Result<Option<&'a Note>, QueryError> {
    if let Some(note) = notes.iter().rev().find(|note| note.id == id) {
        return Ok(Some(note));
    }
    if let Some(note) = notes.iter().find(|note| note.position.to_string() == id) {
        return Ok(Some(note));
    }
    let mut like = notes.iter().rev().filter(|note| abbreviates(id, &note.id));
    let Some(first) = like.next() else { return Ok(None) };
    if like.any(|note| note.id != first.id) {
        return Err(QueryError::Invalid(format!("`{id}` is the beginning of several ids")));
    }
    Ok(Some(first))
}

/// The letter that `id` names, if it is open; else what there is to say.
fn open<'a>(notes: &'a [Note], id: &str) -> Result<Result<&'a Note, Done>, QueryError> {
    Ok(match resolve(notes, id)? {
        None => Err(Done::Unknown),
        Some(note) => match &note.state {
            LetterState::Open => Ok(note),
            LetterState::Retried { round, at } => {
                Err(Done::Nothing(format!("it was sent back at {at:.0} already, as round {round}")))
            }
            LetterState::Dropped { at, reason } => {
                Err(Done::Nothing(format!("it was given up at {at:.0} already: {reason}")))
            }
        },
    })
}

/// The newest record of each letter's action, as far as they are kept.
async fn latest<'a>(
    bus: &dyn Bus,
    notes: impl Iterator<Item = &'a &'a Note>,
) -> Result<HashMap<ActionId, Action>, QueryError> {
    let ids: Vec<&ActionId> = notes.filter_map(|note| note.action.as_ref()).collect();
    let mut actions: HashMap<ActionId, Action> = HashMap::new();
    if ids.is_empty() {
        return Ok(actions);
    }
    let needles = Needles::texts(ids.iter().map(|id| id.as_str()))?;
    forwards(bus, Log::Actions, |stored| {
        if needles.are_in(&stored.record)
            && let Ok(action) = Action::decode(&stored.record)
            && actions.get(&action.id).is_none_or(|known| known.round <= action.round)
        {
            actions.insert(action.id.clone(), action);
        }
        true
    })
    .await?;
    Ok(actions)
}

async fn again(
    taker: &dyn Taker,
    action: &Action,
    round: u32,
    now: Timestamp,
) -> Result<Done, QueryError> {
    let allowed = action.expires_at.duration_since(action.decided_at);
    let round = round.max(action.round).saturating_add(1);
    let next = Action {
        round,
        attempted: false,
        decided_at: now,
        expires_at: now.checked_add(allowed).unwrap_or(Timestamp::MAX),
        ..action.clone()
    };
    let position = taker.take(next).await?;
    Ok(Done::Retried { round, position })
}

async fn note_operator(
    bus: &dyn Bus,
    at: Timestamp,
    who: &str,
    did: &str,
    notes: &[Note],
    id: &str,
) -> Result<(), QueryError> {
    let subject = resolve(notes, id)?.map_or_else(|| id.to_owned(), |note| note.id.clone());
    let (who, did) = (who.to_owned(), did.to_owned());
    let kind = OutcomeKind::Operator { who, did, subject, reason: None, count: None };
    append_outcome(bus, Outcome { at, correlation: None, kind }).await
}

async fn append_outcome(bus: &dyn Bus, outcome: Outcome) -> Result<(), QueryError> {
    bus.append(Log::Outcomes, vec![Append { dedup: None, record: outcome.encode() }]).await?;
    Ok(())
}

async fn full(bus: &dyn Bus, notes: Vec<&Note>) -> Result<Vec<DeadLetterItem>, QueryError> {
    let mut items = Vec::new();
    for note in notes {
        let page = read(bus, Log::Outcomes, note.position, 1).await?;
        let stored = page.first().filter(|stored| stored.position == note.position);
        let Some(Ok(Outcome { at, correlation, kind: OutcomeKind::DeadLettered(letter) })) =
            stored.map(|stored| Outcome::decode(&stored.record))
        else {
            // It was trimmed since it was noted.
            continue;
        };
        items.push(DeadLetterItem {
            id: note.id.clone(),
            position: note.position,
            at,
            correlation,
            state: note.state.clone(),
            letter: *letter,
        });
    }
    Ok(items)
}
