//! The timeline of a chain, and its text.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde::{Deserialize, Serialize};
use tripline_bus::Log;
use tripline_event::outcome::TargetResult;
use tripline_event::{
    Action, ActionId, Event, EventId, EventKey, Origin, Outcome, OutcomeKind, Position, Timestamp,
};

use super::chain::Chain;
use super::item::{Record, answer, facts, shortened};
use super::relative;

/// Everything that happened in a chain, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    /// What was asked for.
    pub handle: String,
    /// The correlation ids at the roots of the chain; more than one where an action
    /// joined events of several.
    pub roots: Vec<String>,
    /// What happened, ordered by time, then log, then position.
    pub entries: Vec<Entry>,
    /// There is more than is shown: the chain is too long.
    pub truncated: bool,
    /// How many records that may have belonged here could not be read.
    pub unreadable: usize,
    /// What led to what.
    #[serde(default)]
    pub chain: Chain,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// When, by the record.
    pub at: Timestamp,
    /// What.
    pub step: Step,
    /// Which log holds it.
    pub log: String,
    /// Where it stands there: it is durable.
    pub position: Position,
    /// How many actions lie between the first event of the chain and this.
    pub depth: u16,
    /// To what: an event's key, a trigger, a workflow.
    pub subject: String,
    /// The event's or the action's id.
    pub id: Option<String>,
    /// The correlation id that the record carries.
    pub correlation: Option<String>,
    /// The rest, in one line.
    pub detail: String,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// An event was taken in, and is durable at the entry's position.
    Received,
    /// It was a repetition, and was not evaluated.
    Duplicate,
    /// A trigger is to be carried out.
    Decided,
    /// An attempt was begun.
    Attempted,
    /// An attempt failed; another follows.
    Retrying,
    /// The trigger was carried out.
    Succeeded,
    /// It will not be carried out.
    DeadLettered,
    /// Somebody dropped it.
    Dropped,
    /// A workflow reached a phase.
    Workflow,
    /// Somebody did something about it.
    Operator,
}

impl Step {
    /// The step as it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Duplicate => "duplicate",
            Self::Decided => "decided",
            Self::Attempted => "attempted",
            Self::Retrying => "retrying",
            Self::Succeeded => "succeeded",
            Self::DeadLettered => "deadLettered",
            Self::Dropped => "dropped",
            Self::Workflow => "workflow",
            Self::Operator => "operator",
        }
    }

    const fn style(self) -> Style {
        let plain = Style::new();
        match self {
            Self::Received => plain.fg_color(Some(anstyle::Color::Ansi(AnsiColor::Cyan))),
            Self::Succeeded => plain.fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green))),
            Self::DeadLettered | Self::Dropped => {
                plain.fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red))).bold()
            }
            Self::Retrying | Self::Duplicate => {
                plain.fg_color(Some(anstyle::Color::Ansi(AnsiColor::Yellow)))
            }
            Self::Decided => plain.bold(),
            Self::Attempted | Self::Workflow | Self::Operator => plain,
        }
    }
}

impl Timeline {
    pub(super) fn new(
        handle: &str,
        roots: BTreeSet<String>,
        found: &BTreeMap<(Log, Position), Record>,
        truncated: bool,
        unreadable: usize,
    ) -> Self {
        let mut records: Vec<(Log, Position, &Record)> =
            found.iter().map(|((log, position), record)| (*log, *position, record)).collect();
        records.sort_by_key(|(log, position, record)| (record.time(), *log, *position));
        let mut depths = Depths::default();
        let mut entries = Vec::with_capacity(records.len());
        for (log, position, record) in records {
            entries.extend(entry(log, position, record, &mut depths));
        }
        let workflows = depths.workflows;
        let roots = roots.into_iter().filter(|root| !workflows.contains_key(root)).collect();
        let chain = Chain::new(found);
        Self { handle: handle.to_owned(), roots, entries, truncated, unreadable, chain }
    }

    /// From the first entry to the last.
    fn lasted(&self) -> jiff::SignedDuration {
        match (self.entries.first(), self.entries.last()) {
            (Some(first), Some(last)) => last.at.duration_since(first.at),
            _ => jiff::SignedDuration::ZERO,
        }
    }

    /// The timeline as text for people: an entry a line, indented by how far down the
    /// chain it is, with the time since the first. `colour` adds ANSI styles.
    pub fn text(&self, colour: bool) -> String {
        let count = |step| self.entries.iter().filter(|entry| entry.step == step).count();
        let mut text = String::new();
        let roots: Vec<String> = self.roots.iter().map(|root| shortened(root, 80)).collect();
        line(&mut text, format_args!("chain     {}", roots.join(", ")));
        line(
            &mut text,
            format_args!(
                "in all    {}, {}, {} in {}",
                several(count(Step::Received), "event"),
                several(count(Step::Decided), "action"),
                several(count(Step::Succeeded), "success"),
                relative::span(self.lasted()),
            ),
        );
        if let Some(first) = self.entries.first() {
            line(&mut text, format_args!("began     {:.3}", first.at));
            for entry in &self.entries {
                let offset = entry.at.duration_since(first.at);
                line(&mut text, format_args!("{}", entry.line(offset, colour)));
            }
        }
        if self.truncated {
            line(&mut text, format_args!("…the chain goes on: it is too long to be shown whole"));
        }
        if self.unreadable > 0 {
            let records = several(self.unreadable, "record");
            line(&mut text, format_args!("{records} could not be read, and may be missing here"));
        }
        text
    }
}

fn line(text: &mut String, args: std::fmt::Arguments<'_>) {
    #[expect(clippy::expect_used, reason = "a String takes everything that is written to it")]
    writeln!(text, "{args}").expect("a String can be written to");
}

/// `1 event`, `2 events`.
pub(crate) fn several(count: usize, what: &str) -> String {
    match (count, what.ends_with('s')) {
        (1, _) => format!("1 {what}"),
        (_, true) => format!("{count} {what}es"),
        (_, false) => format!("{count} {what}s"),
    }
}

impl Entry {
    fn line(&self, offset: jiff::SignedDuration, colour: bool) -> String {
        let style = if colour { self.step.style() } else { Style::new() };
        let dim = if colour { Style::new().dimmed() } else { Style::new() };
        let offset = format!("+{}", relative::span(offset));
        let indent = 2 * usize::from(self.depth);
        let step = self.step.as_str();
        // Ids and names are data from outside: they must not control the terminal.
        let (subject, detail) = (shortened(&self.subject, 200), shortened(&self.detail, 400));
        let gap = if subject.is_empty() || detail.is_empty() { "" } else { "  " };
        format!(
            "{dim}{offset:>10}{dim:#}  {:indent$}{style}{step:<12}{style:#} {subject}{gap}{detail}",
            ""
        )
    }
}

/// How far down the chain things are. Records count their hops where their producers
/// passed the count on; a workflow that only passed its name on is followed by that name.
#[derive(Default)]
struct Depths {
    events: HashMap<(EventKey, EventId), u16>,
    actions: HashMap<ActionId, u16>,
    workflows: HashMap<String, u16>,
}

impl Depths {
    fn event(&mut self, event: &Event) -> u16 {
        let named = [Some(event.links.correlation.as_str()), event.links.causation.as_deref()];
        let after = named.into_iter().flatten().filter_map(|name| self.workflows.get(name)).max();
        let depth = after.copied().unwrap_or(0).max(event.links.hops);
        self.events.insert((event.key.clone(), event.id.clone()), depth);
        depth
    }

    fn action(&mut self, action: &Action) -> u16 {
        let events = action.events.iter();
        let causes = events.filter_map(|e| self.events.get(&(e.key.clone(), e.id.clone())));
        let after = causes.max().map_or(0, |depth| depth.saturating_add(1));
        let depth = after.max(action.links.hops);
        self.actions.insert(action.id.clone(), depth);
        depth
    }

    fn outcome(&mut self, outcome: &Outcome) -> u16 {
        let facts = facts(&outcome.kind);
        let action = match &outcome.kind {
            OutcomeKind::Operator { subject, .. } => Some(ActionId(subject.clone())),
            _ => facts.action.cloned(),
        };
        let depth = match &outcome.kind {
            OutcomeKind::Duplicate { key, id, .. } => {
                self.events.get(&(key.clone(), id.clone())).copied()
            }
            _ => action.and_then(|id| self.actions.get(&id).copied()),
        };
        let depth = depth.unwrap_or(0);
        if let OutcomeKind::Succeeded { result: TargetResult::Workflow { name, .. }, .. } =
            &outcome.kind
        {
            self.workflows.insert(name.clone(), depth);
        }
        depth
    }
}

fn entry(log: Log, position: Position, record: &Record, depths: &mut Depths) -> Option<Entry> {
    let entry = |step, depth, subject, id, correlation: Option<&str>, detail| Entry {
        at: record.time(),
        step,
        log: log.as_str().to_owned(),
        position,
        depth,
        subject,
        id,
        correlation: correlation.map(str::to_owned),
        detail,
    };
    Some(match record {
        Record::Event(event) => {
            let detail = format!(
                "{} {}; durable at {} {position}",
                event.kind,
                shortened(event.id.as_str(), 80),
                log.as_str()
            );
            let correlation = Some(event.links.correlation.as_str());
            let id = Some(event.id.0.clone());
            let depth = depths.event(event);
            entry(Step::Received, depth, event.key.to_string(), id, correlation, detail)
        }
        Record::Action(action) => {
            let events: Vec<&str> = action.events.iter().map(|e| e.dependency.as_str()).collect();
            let round =
                if action.round > 0 { format!(", round {}", action.round) } else { String::new() };
            let origin = match &action.origin {
                Origin::Decided => String::new(),
                Origin::Replay { id } => format!("; replay {id}"),
                Origin::DeadLetter { of } => format!("; since {of} became a dead letter"),
            };
            let detail =
                format!("on {}{round}{origin}; action {}", events.join(" and "), action.id);
            let correlation = Some(action.links.root().as_str());
            let id = Some(action.id.0.clone());
            let depth = depths.action(action);
            entry(Step::Decided, depth, action.trigger.to_string(), id, correlation, detail)
        }
        Record::Outcome(outcome) => {
            let step = step_of(&outcome.kind)?;
            let depth = depths.outcome(outcome);
            let facts = facts(&outcome.kind);
            let detail = match &outcome.kind {
                OutcomeKind::Succeeded { attempt, took_ms, result, .. } => {
                    format!("{} after {took_ms} ms, attempt {attempt}", answer(result))
                }
                _ => facts.summary,
            };
            let correlation = outcome.correlation.as_ref().map(|id| id.as_str());
            entry(step, depth, facts.name, facts.id, correlation, detail)
        }
        Record::Time(_) | Record::Plan { .. } | Record::Clear { .. } => return None,
    })
}

/// None for what happened to no event and no action.
fn step_of(kind: &OutcomeKind) -> Option<Step> {
    Some(match kind {
        OutcomeKind::Attempted { .. } => Step::Attempted,
        OutcomeKind::Retrying { .. } => Step::Retrying,
        OutcomeKind::Succeeded { .. } => Step::Succeeded,
        OutcomeKind::DeadLettered(_) => Step::DeadLettered,
        OutcomeKind::Dropped { .. } => Step::Dropped,
        OutcomeKind::Duplicate { .. } => Step::Duplicate,
        OutcomeKind::Workflow { .. } => Step::Workflow,
        OutcomeKind::Operator { .. } => Step::Operator,
        OutcomeKind::Refused { .. }
        | OutcomeKind::Missed { .. }
        | OutcomeKind::Circuit { .. }
        | OutcomeKind::Frozen { .. } => return None,
    })
}
