//! Finds everything that belongs to one chain of work, from any of its ids.
//!
//! A chain is held together by correlation ids, by the actions that join several of them,
//! and by workflows: an event whose correlation id is the name of a workflow that Tripline
//! submitted belongs to that workflow's chain. The logs are searched for all known ids,
//! what is found makes more ids known, and so on until nothing new is.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tripline_bus::{Bus, Log};
use tripline_event::event::Links;
use tripline_event::outcome::TargetResult;
use tripline_event::{Action, Event, Outcome, OutcomeKind, Position};

use super::item::{Record, facts};
use super::scan::{Backwards, LogExtent, Needles, PAGE, extents};
use super::{QueryError, Timeline};
use crate::index::handles::Handle;
use crate::index::holding;

/// The most ids that a chain is followed along.
const MAX_IDS: usize = 10_000;
/// The most records of a chain.
const MAX_RECORDS: usize = 10_000;
/// How often the logs are searched again for ids that have been found; each workflow that
/// publishes an event takes one more.
const MAX_PASSES: usize = 64;
/// The shortest beginning of an action's id that stands for the whole.
const MIN_PREFIX: usize = 8;
/// How many of the last records of each log are looked at for similar ids.
const SUGGEST_FROM: usize = 5 * PAGE;
/// How many similar ids are suggested.
const SUGGESTIONS: usize = 5;
/// How similar an id must be to be suggested, from 0 to 1.
const SIMILAR: f64 = 0.75;

/// What is known about a handle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Trace {
    /// Its chain.
    Found(Timeline),
    /// Nothing.
    Unknown(Unknown),
}

/// No record holds the handle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unknown {
    /// What was asked for.
    pub handle: String,
    /// Where it was looked for.
    pub looked: Vec<LogExtent>,
    /// Ids that are like it, the likeliest first.
    pub similar: Vec<String>,
}

/// Everything that belongs to the chain of `handle`: a correlation id, the id of an event
/// (which is the upstream message's id), the id of an action or its first eight digits or
/// more, the name of a workflow, with its namespace or without, or a position.
pub async fn trace(bus: &dyn Bus, handle: &str) -> Result<Trace, QueryError> {
    let mut chain = Chain::default();
    seed(bus, handle, &mut chain).await?;
    if chain.ids.is_empty() {
        let looked = extents(bus).await?;
        let similar = similar(bus, handle).await?;
        return Ok(Trace::Unknown(Unknown { handle: handle.to_owned(), looked, similar }));
    }
    let complete = follow(bus, &mut chain).await?;
    let truncated = !complete || chain.is_full();
    let unreadable = chain.unreadable.len();
    Ok(Trace::Found(Timeline::new(handle, chain.roots, &chain.found, truncated, unreadable)))
}

/// What is known of a chain so far.
#[derive(Default)]
struct Chain {
    /// Correlation ids, names of workflows, and ids of actions.
    ids: BTreeSet<String>,
    /// Those of `ids` that are correlation ids.
    roots: BTreeSet<String>,
    found: BTreeMap<(Log, Position), Record>,
    unreadable: BTreeSet<(Log, Position)>,
}

impl Chain {
    fn is_full(&self) -> bool {
        self.ids.len() >= MAX_IDS || self.found.len() >= MAX_RECORDS
    }

    fn learn(&mut self, id: &str) {
        if !id.is_empty() && !self.is_full() {
            self.ids.insert(id.to_owned());
        }
    }

    fn learn_root(&mut self, id: &str) {
        if !id.is_empty() && !self.is_full() {
            self.roots.insert(id.to_owned());
            self.learn(id);
        }
    }

    fn learn_links(&mut self, links: &Links) {
        self.learn_root(links.root().as_str());
        self.learn(links.correlation.as_str());
    }

    /// Whether a record belongs here by what is known so far.
    fn admits(&self, record: &Record) -> bool {
        let knows = |id: &str| self.ids.contains(id);
        let linked = |links: &Links| {
            knows(links.correlation.as_str())
                || knows(links.root().as_str())
                || links.causation.as_deref().is_some_and(knows)
        };
        match record {
            Record::Event(event) => linked(&event.links),
            Record::Action(action) => {
                knows(action.id.as_str())
                    || linked(&action.links)
                    || action.events.iter().any(|event| knows(event.correlation.as_str()))
            }
            Record::Outcome(outcome) => {
                outcome.correlation.as_ref().is_some_and(|id| knows(id.as_str()))
                    || facts(&outcome.kind).action.is_some_and(|id| knows(id.as_str()))
                    || workflow(&outcome.kind).is_some_and(|(_, name)| knows(name))
                    || matches!(&outcome.kind, OutcomeKind::Operator { subject, .. } if knows(subject))
            }
            Record::Time(_) | Record::Plan { .. } | Record::Clear { .. } => false,
        }
    }

    /// Takes the record in, and learns its ids.
    fn absorb(&mut self, log: Log, position: Position, record: Record) {
        if self.is_full() {
            return;
        }
        match &record {
            Record::Event(event) => self.learn_links(&event.links),
            Record::Action(action) => {
                self.learn(action.id.as_str());
                self.learn_links(&action.links);
                for event in &action.events {
                    self.learn_root(event.correlation.as_str());
                }
            }
            Record::Outcome(outcome) => {
                if let Some(correlation) = &outcome.correlation {
                    self.learn_root(correlation.as_str());
                }
                if let Some(action) = facts(&outcome.kind).action {
                    self.learn(action.as_str());
                }
                if let Some((_, name)) = workflow(&outcome.kind) {
                    self.learn(name);
                }
            }
            Record::Time(_) | Record::Plan { .. } | Record::Clear { .. } => {}
        }
        self.found.insert((log, position), record);
    }
}

/// Namespace and name of the workflow that the outcome is about.
pub(crate) fn workflow(kind: &OutcomeKind) -> Option<(&str, &str)> {
    match kind {
        OutcomeKind::Succeeded {
            result: TargetResult::Workflow { namespace, name, .. }, ..
        }
        | OutcomeKind::Workflow { namespace, name, .. } => Some((namespace, name)),
        _ => None,
    }
}

/// Takes in the records that the handle names.
async fn seed(bus: &dyn Bus, handle: &str, chain: &mut Chain) -> Result<(), QueryError> {
    if let Ok(position) = handle.parse::<Position>() {
        for log in Log::ALL {
            if let Some(stored) = at(bus, log, position).await? {
                absorb_readable(log, &stored, chain);
            }
        }
        return Ok(());
    }
    if handle.is_empty() {
        return Ok(());
    }
    // A workflow's name may come with its namespace, which stands elsewhere in the record.
    let name = handle.split_once('/').map_or(handle, |(_, name)| name);
    let needles = Needles::texts([handle, name].into_iter().filter(|text| !text.is_empty()))?;
    let handles = [Some(Handle::id(handle)), Some(Handle::id(name)), Handle::prefix(handle)];
    let handles: Vec<Handle> = handles.into_iter().flatten().collect();
    let mut by_prefix: BTreeSet<String> = BTreeSet::new();
    for log in Log::ALL {
        holding(bus, log, handles.clone(), |stored| {
            if !needles.are_in(&stored.record) {
                return true;
            }
            let Ok(record) = Record::decode(log, &stored.record) else {
                chain.unreadable.insert((log, stored.position));
                return true;
            };
            if names(&record, handle) {
                chain.absorb(log, stored.position, record);
            } else if let Some(id) = action_of(&record).filter(|id| abbreviates(handle, id)) {
                by_prefix.insert(id.to_owned());
            }
            !chain.is_full()
        })
        .await?;
    }
    if chain.ids.is_empty()
        && by_prefix.len() == 1
        && let Some(id) = by_prefix.first()
    {
        chain.learn(id);
    }
    Ok(())
}

pub(crate) async fn at(
    bus: &dyn Bus,
    log: Log,
    position: Position,
) -> Result<Option<tripline_bus::Stored>, QueryError> {
    use tripline_bus::ReadError::{OtherIncarnation, Trimmed};
    let page = match bus.read(log, position, 1).await {
        Err(OtherIncarnation { .. } | Trimmed { .. }) => return Ok(None),
        page => page.map_err(|source| QueryError::Read { log, source })?,
    };
    Ok(page.into_iter().next().filter(|stored| stored.position == position))
}

fn absorb_readable(log: Log, stored: &tripline_bus::Stored, chain: &mut Chain) {
    match Record::decode(log, &stored.record) {
        Ok(record) => chain.absorb(log, stored.position, record),
        Err(_) => {
            chain.unreadable.insert((log, stored.position));
        }
    }
}

/// Whether `handle` is the beginning of the action's id, and long enough to mean it.
pub(crate) fn abbreviates(handle: &str, id: &str) -> bool {
    handle.len() >= MIN_PREFIX && id.starts_with(handle)
}

fn action_of(record: &Record) -> Option<&str> {
    match record {
        Record::Action(action) => Some(action.id.as_str()),
        Record::Outcome(outcome) => facts(&outcome.kind).action.map(|id| id.as_str()),
        _ => None,
    }
}

/// Whether one of the record's ids is the handle.
fn names(record: &Record, handle: &str) -> bool {
    let mut found = false;
    ids(record, |id| found |= id == handle);
    found || workflow_of(record).is_some_and(|(ns, name)| format!("{ns}/{name}") == handle)
}

fn workflow_of(record: &Record) -> Option<(&str, &str)> {
    match record {
        Record::Outcome(outcome) => workflow(&outcome.kind),
        _ => None,
    }
}

/// Every id by which the record may be known.
pub(crate) fn ids(record: &Record, mut see: impl FnMut(&str)) {
    match record {
        Record::Event(Event { id, links, .. }) => {
            see(id.as_str());
            see(links.correlation.as_str());
            see(links.root().as_str());
        }
        Record::Action(Action { id, links, events, .. }) => {
            see(id.as_str());
            see(links.correlation.as_str());
            see(links.root().as_str());
            for event in events {
                see(event.id.as_str());
                see(event.correlation.as_str());
            }
        }
        Record::Outcome(Outcome { correlation, kind, .. }) => {
            if let Some(correlation) = correlation {
                see(correlation.as_str());
            }
            match kind {
                OutcomeKind::Duplicate { id, .. } => see(id.as_str()),
                OutcomeKind::DeadLettered(letter) => {
                    letter.events.iter().for_each(|event| see(event.id.as_str()));
                }
                _ => {}
            }
            if let Some(action) = facts(kind).action {
                see(action.as_str());
            }
            if let Some((_, name)) = workflow(kind) {
                see(name);
            }
        }
        Record::Time(_) | Record::Plan { .. } | Record::Clear { .. } => {}
    }
}

/// Searches the logs until nothing new is known. Gives up, and answers `false`, where the
/// chain goes on for longer than anybody can read.
async fn follow(bus: &dyn Bus, chain: &mut Chain) -> Result<bool, QueryError> {
    let mut sought: [BTreeSet<String>; 3] = Default::default();
    for _ in 0..MAX_PASSES {
        let mut done = true;
        for (log, sought) in Log::ALL.into_iter().zip(&mut sought) {
            let fresh: Vec<String> = chain.ids.difference(sought).cloned().collect();
            if fresh.is_empty() {
                continue;
            }
            done = false;
            let needles = Needles::texts(fresh.iter().map(String::as_str))?;
            let handles = fresh.iter().map(|id| Handle::id(id)).collect();
            holding(bus, log, handles, |stored| {
                if !needles.are_in(&stored.record)
                    || chain.found.contains_key(&(log, stored.position))
                {
                    return true;
                }
                match Record::decode(log, &stored.record) {
                    Ok(record) if chain.admits(&record) => {
                        chain.absorb(log, stored.position, record);
                    }
                    Ok(_) => {}
                    Err(_) => {
                        chain.unreadable.insert((log, stored.position));
                    }
                }
                !chain.is_full()
            })
            .await?;
            sought.extend(fresh);
        }
        if done || chain.is_full() {
            return Ok(done);
        }
    }
    Ok(false)
}

/// Ids among the last records that are like `handle`.
pub(crate) async fn similar(bus: &dyn Bus, handle: &str) -> Result<Vec<String>, QueryError> {
    let mut scores: BTreeMap<String, f64> = BTreeMap::new();
    for log in Log::ALL {
        let mut backwards = Backwards::new(bus, log).await?;
        for _ in 0..SUGGEST_FROM / PAGE {
            let Some(page) = backwards.page(bus).await? else { break };
            let records = page.iter().filter_map(|s| Record::decode(log, &s.record).ok());
            for record in records {
                ids(&record, |id| {
                    if let Some(score) = likeness(handle, id) {
                        scores.insert(id.to_owned(), score);
                    }
                });
            }
        }
    }
    let mut scores: Vec<(String, f64)> = scores.into_iter().collect();
    scores.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(scores.into_iter().take(SUGGESTIONS).map(|(id, _)| id).collect())
}

/// How like `handle` the id is; none where it is not worth a mention.
fn likeness(handle: &str, id: &str) -> Option<f64> {
    /// Longer ids are not compared letter by letter: that takes length × length steps.
    const LONGEST: usize = 256;
    if handle.len() >= 3 && id.contains(handle) {
        return Some(2.0);
    }
    if handle.len() > LONGEST || id.len() > LONGEST {
        return None;
    }
    let score = strsim::normalized_damerau_levenshtein(handle, id);
    (score >= SIMILAR).then_some(score)
}
