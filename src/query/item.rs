//! A record of any log, and how a listing shows it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use tripline_bus::{Log, Stored};
use tripline_event::outcome::TargetResult;
use tripline_event::{
    Action, ActionId, CorrelationId, Event, EventKey, EventsRecord, Outcome, OutcomeKind, Position,
    RecordError, Timestamp, TriggerName,
};

/// A record of one of the three logs.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// Of EVENTS: an event.
    Event(Event),
    /// Of EVENTS: time has reached this moment.
    Time(Timestamp),
    /// Of EVENTS: a plan holds from here on.
    Plan {
        /// Its number.
        number: u64,
        /// When it was published.
        at: Timestamp,
    },
    /// Of EVENTS: an operator forgets what a sensor holds.
    Clear {
        /// The sensor, and of which of its dependencies, if not of all.
        what: String,
        /// When it was asked for.
        at: Timestamp,
    },
    /// Of ACTIONS.
    Action(Action),
    /// Of OUTCOMES.
    Outcome(Outcome),
}

impl Record {
    /// Reads a record of `log`.
    pub fn decode(log: Log, bytes: &Bytes) -> Result<Self, RecordError> {
        Ok(match log {
            Log::Events => match EventsRecord::decode(bytes)? {
                EventsRecord::Event(event) => Self::Event(event),
                EventsRecord::Time(at) => Self::Time(at),
                EventsRecord::Plan { number, at } => Self::Plan { number, at },
                EventsRecord::Clear { sensor, dependency, at, .. } => {
                    let of = dependency.map(|name| format!(" of dependency {name}"));
                    Self::Clear { what: format!("{sensor}{}", of.unwrap_or_default()), at }
                }
            },
            Log::Actions => Self::Action(Action::decode(bytes)?),
            Log::Outcomes => Self::Outcome(Outcome::decode(bytes)?),
        })
    }

    /// The record's own time.
    pub fn time(&self) -> Timestamp {
        match self {
            Self::Event(event) => event.time,
            Self::Time(at) | Self::Plan { at, .. } | Self::Clear { at, .. } => *at,
            Self::Action(action) => action.decided_at,
            Self::Outcome(outcome) => outcome.at,
        }
    }
}

/// What a listing shows of a record.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// Where it stands.
    pub position: Position,
    /// Its own time; none where it cannot be read.
    pub time: Option<Timestamp>,
    /// What it is: the event's kind, `action`, or the outcome's kind.
    pub kind: String,
    /// What it is about: an event's key, a trigger, a workflow.
    pub name: String,
    /// The event's or the action's id.
    pub id: Option<String>,
    /// The correlation id.
    pub correlation: Option<CorrelationId>,
    /// The rest, in one line.
    pub summary: String,
    /// The record as it stands in the log; a string where it is no JSON.
    pub record: Box<RawValue>,
}

/// The most characters of an event's data in a summary.
const EXCERPT: usize = 80;

impl Item {
    /// What a listing shows of this record.
    pub fn new(position: Position, record: &Record, bytes: &[u8]) -> Self {
        let (kind, name, id, correlation, summary) = match record {
            Record::Event(event) => (
                event.kind.clone(),
                event.key.to_string(),
                Some(event.id.0.clone()),
                Some(event.links.correlation.clone()),
                excerpt(event),
            ),
            Record::Time(_) => marker("time", "time has reached this moment".to_owned()),
            Record::Plan { number, .. } => marker("plan", format!("plan {number} holds from here")),
            Record::Clear { what, .. } => marker("clear", format!("{what} holds nothing any more")),
            Record::Action(action) => (
                "action".to_owned(),
                action.trigger.to_string(),
                Some(action.id.0.clone()),
                Some(action.links.root().clone()),
                summary_of_action(action),
            ),
            Record::Outcome(outcome) => {
                let facts = facts(&outcome.kind);
                (
                    facts.kind.to_owned(),
                    facts.name,
                    facts.id,
                    outcome.correlation.clone(),
                    facts.summary,
                )
            }
        };
        let time = Some(record.time());
        Self { position, time, kind, name, id, correlation, summary, record: raw(bytes) }
    }

    /// What a listing shows of a record that cannot be read.
    pub fn unreadable(stored: &Stored, error: &RecordError) -> Self {
        let mut summary = error.to_string();
        if let Some(source) = std::error::Error::source(error) {
            summary = format!("{summary}: {source}");
        }
        Self {
            position: stored.position,
            time: None,
            kind: "unreadable".to_owned(),
            name: String::new(),
            id: None,
            correlation: None,
            summary,
            record: raw(&stored.record),
        }
    }

    /// The record itself, with its position first: one line of JSON.
    pub fn json_line(&self) -> String {
        let position = self.position;
        match self.record.get().strip_prefix('{') {
            Some("}") => format!(r#"{{"position":"{position}"}}"#),
            Some(fields) => format!(r#"{{"position":"{position}",{fields}"#),
            None => format!(r#"{{"position":"{position}","record":{}}}"#, self.record),
        }
    }
}

type Shown = (String, String, Option<String>, Option<CorrelationId>, String);

fn marker(kind: &str, summary: String) -> Shown {
    (kind.to_owned(), String::new(), None, None, summary)
}

fn raw(bytes: &[u8]) -> Box<RawValue> {
    serde_json::from_slice(bytes).unwrap_or_else(|_| {
        let text = Value::from(String::from_utf8_lossy(bytes)).to_string();
        RawValue::from_string(text).unwrap_or_default()
    })
}

/// The body of what came in where there is one, since that is what its producer wrote.
fn excerpt(event: &Event) -> String {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        body: Option<&'a RawValue>,
    }
    let Some(data) = event.data.as_deref() else { return "no data".to_owned() };
    let Ok(text) = std::str::from_utf8(data) else { return format!("{} bytes", data.len()) };
    let body = serde_json::from_str::<Envelope<'_>>(text).ok().and_then(|envelope| envelope.body);
    shortened(body.map_or(text, RawValue::get), EXCERPT)
}

/// `text` on one line, and `max` characters of it at most.
pub(crate) fn shortened(text: &str, max: usize) -> String {
    let mut line: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(max + 1).collect();
    if let Some((cut, _)) = line.char_indices().nth(max) {
        line.truncate(cut);
        line.push('…');
    }
    line
}

fn summary_of_action(action: &Action) -> String {
    let events: Vec<String> =
        action.events.iter().map(|event| format!("{}={}", event.dependency, event.id)).collect();
    let round = match action.round {
        0 => String::new(),
        round => format!(" round {round}"),
    };
    format!("on {}{round}", events.join(", "))
}

/// What an outcome is about.
pub(crate) struct Facts<'a> {
    pub kind: &'static str,
    pub name: String,
    pub id: Option<String>,
    pub summary: String,
    pub action: Option<&'a ActionId>,
    pub trigger: Option<&'a TriggerName>,
    pub namespace: Option<&'a str>,
    pub keys: Vec<&'a EventKey>,
}

impl<'a> Facts<'a> {
    fn of_action(kind: &'static str, id: &'a ActionId, summary: String) -> Self {
        Self {
            kind,
            name: String::new(),
            id: Some(id.0.clone()),
            summary,
            action: Some(id),
            trigger: None,
            namespace: None,
            keys: Vec::new(),
        }
    }

    fn by(mut self, trigger: &'a TriggerName) -> Self {
        self.name = trigger.to_string();
        self.namespace = Some(&trigger.namespace);
        self.trigger = Some(trigger);
        self
    }

    fn of_event(
        kind: &'static str,
        key: &'a EventKey,
        id: Option<String>,
        summary: String,
    ) -> Self {
        Self {
            kind,
            name: key.to_string(),
            id,
            summary,
            action: None,
            trigger: None,
            namespace: Some(&key.namespace),
            keys: vec![key],
        }
    }
}

/// What the outcome is about.
pub(crate) fn facts(kind: &OutcomeKind) -> Facts<'_> {
    match kind {
        OutcomeKind::Attempted { action, attempt, .. } => {
            Facts::of_action("attempted", action, format!("attempt {attempt}"))
        }
        OutcomeKind::Retrying { action, trigger, attempt, error, next, .. } => Facts::of_action(
            "retrying",
            action,
            format!("attempt {attempt} failed: {error}; next at {next:.3}"),
        )
        .by(trigger),
        OutcomeKind::Succeeded { action, trigger, attempt, took_ms, result, .. } => {
            let tries = if *attempt == 1 { String::new() } else { format!(", attempt {attempt}") };
            let summary = format!("{} after {took_ms} ms{tries}", answer(result));
            Facts::of_action("succeeded", action, summary).by(trigger)
        }
        OutcomeKind::DeadLettered(letter) => {
            let summary = format!("{}: {}", letter.cause, letter.error);
            let mut facts = match (&letter.action, letter.events.first()) {
                (Some(action), _) => Facts::of_action("deadLettered", action, summary),
                (None, Some(event)) => {
                    let id = Some(event.id.0.clone());
                    Facts::of_event("deadLettered", &event.key, id, summary)
                }
                (None, None) => Facts { summary, ..Facts::nothing("deadLettered") },
            };
            if let Some(trigger) = &letter.trigger {
                facts = facts.by(trigger);
            }
            facts.keys = letter.events.iter().map(|event| &event.key).collect();
            facts
        }
        OutcomeKind::Dropped { action, trigger, reason, .. } => {
            Facts::of_action("dropped", action, reason.clone()).by(trigger)
        }
        OutcomeKind::Duplicate { key, id, first, .. } => {
            let summary = format!("seen before at {first}: not evaluated");
            Facts::of_event("duplicate", key, Some(id.0.clone()), summary)
        }
        OutcomeKind::Refused { key, reason, count } => {
            Facts::of_event("refused", key, None, format!("{count} refused: {reason}"))
        }
        OutcomeKind::Missed { key, from, to, count } => {
            let when =
                if from == to { format!("at {from}") } else { format!("from {from} to {to}") };
            Facts::of_event("missed", key, None, format!("{count} missed, {when}"))
        }
        OutcomeKind::Workflow { target, namespace, name, phase, action, message } => {
            let why = message.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
            Facts {
                name: format!("{namespace}/{name}"),
                namespace: Some(namespace),
                ..Facts::of_action("workflow", action, format!("{phase} on {target}{why}"))
            }
        }
        OutcomeKind::Circuit { target, open: true, failures, error } => {
            let summary = format!("opened after {failures} failures in a row: {error}");
            Facts { name: format!("target/{target}"), summary, ..Facts::nothing("circuit") }
        }
        OutcomeKind::Circuit { target, .. } => {
            let summary = "closed: an attempt succeeded".to_owned();
            Facts { name: format!("target/{target}"), summary, ..Facts::nothing("circuit") }
        }
        OutcomeKind::Frozen { trigger, until, window } => {
            let summary = format!("frozen until {until:.0}: {window}");
            Facts { summary, ..Facts::nothing("frozen") }.by(trigger)
        }
        OutcomeKind::Operator { who, did, subject, reason, count } => {
            let why = reason.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
            let of = count.map(|count| format!(" ({count})")).unwrap_or_default();
            let summary = format!("{did}{of} by {who}{why}");
            Facts { name: subject.clone(), summary, ..Facts::nothing("operator") }
        }
    }
}

impl Facts<'_> {
    fn nothing(kind: &'static str) -> Self {
        Self {
            kind,
            name: String::new(),
            id: None,
            summary: String::new(),
            action: None,
            trigger: None,
            namespace: None,
            keys: Vec::new(),
        }
    }
}

/// What a target answered, in words.
pub(super) fn answer(result: &TargetResult) -> String {
    match result {
        TargetResult::Workflow { target, namespace, name, already } => {
            let already = if *already { " (was there already)" } else { "" };
            format!("workflow {namespace}/{name} on {target}{already}")
        }
        TargetResult::Object { target, kind, namespace, name, already, .. } => {
            let already = if *already { " (was there already)" } else { "" };
            let namespace = namespace.as_ref().map(|name| format!("{name}/")).unwrap_or_default();
            format!("{kind} {namespace}{name} on {target}{already}")
        }
        TargetResult::Http { status } => format!("HTTP {status}"),
        TargetResult::Message { to, id } => format!("message {id} to {to}"),
        TargetResult::Logged => "logged".to_owned(),
    }
}
