//! What the comparison found, and how people read it.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;
use tripline_event::{ObjectName, Position, Timestamp};

use super::changes::Changes;
use super::history::Covered;
use crate::query::item::shortened;
use crate::render::Rendered;

/// The most values that an example shows.
const MAX_DIFFERENCES: usize = 20;
/// The most characters of a value.
const MAX_SHOWN: usize = 200;
/// A label that is another one for each action.
const OF_ACTION: &str = "tripline.dev/action-id";

/// What the comparison found.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Since when events were asked for; none is all.
    pub since: Option<Timestamp>,
    /// When the log begins.
    pub log_begins: Option<Timestamp>,
    /// When it ends.
    pub log_ends: Option<Timestamp>,
    /// The first record that was read.
    pub from: Option<Position>,
    /// How many records were read.
    pub records: u64,
    /// Of these, the events that the sensors may have waited for.
    pub events: u64,
    /// Records that could not be read.
    pub unreadable: u64,
    /// Each sensor.
    pub sensors: Vec<SensorReport>,
    /// What is to be known besides.
    pub remarks: Vec<String>,
}

/// What was found for one sensor.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SensorReport {
    /// The sensor.
    pub sensor: ObjectName,
    /// It is not in force yet.
    pub is_new: bool,
    /// Firings that stay as they are.
    pub same: u64,
    /// Firings that are new.
    pub fired: u64,
    /// Firings that are gone.
    pub lost: u64,
    /// Firings with other parameters.
    pub changed: u64,
    /// The first of those that are new.
    pub examples_fired: Vec<Example>,
    /// The first of those that are gone.
    pub examples_lost: Vec<Example>,
    /// The first of those with other parameters.
    pub examples_changed: Vec<Example>,
}

/// One firing that differs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Example {
    /// The trigger, `namespace/sensor/trigger`.
    pub trigger: String,
    /// When the event that completes it came in.
    pub at: Timestamp,
    /// Where that stands.
    pub position: Position,
    /// The events.
    pub events: Vec<ExampleEvent>,
    /// Why the other one does not fire.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
    /// What is rendered otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
}

/// An event of a firing.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExampleEvent {
    /// The dependency.
    pub dependency: String,
    /// `namespace/source/event`.
    pub key: String,
    /// Its id.
    pub id: String,
    /// Its correlation id.
    pub correlation: String,
}

/// A value that is rendered otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// Where.
    pub path: String,
    /// As it is now.
    pub now: String,
    /// As it would be.
    pub then: String,
}

impl Report {
    pub(super) fn new(changes: &Changes) -> Self {
        let sensors = changes.sensors.iter().map(|change| SensorReport {
            sensor: change.name.clone(),
            is_new: change.old.is_none(),
            same: 0,
            fired: 0,
            lost: 0,
            changed: 0,
            examples_fired: Vec::new(),
            examples_lost: Vec::new(),
            examples_changed: Vec::new(),
        });
        let mut remarks = changes.remarks.clone();
        if changes.hold_events() {
            let text = "what half-met conditions held before the first event is not known";
            remarks.push(text.to_owned());
        }
        Self { sensors: sensors.collect(), remarks, ..Self::default() }
    }

    pub(super) fn covers(&mut self, covered: &Covered, since: Option<Timestamp>) {
        self.since = since;
        self.log_begins = covered.log.oldest;
        self.log_ends = covered.log.newest;
        self.from = Some(covered.from);
        if let (Some(since), Some(begins)) = (since, self.log_begins)
            && since < begins
        {
            self.remarks.push(format!(
                "events were asked for since {since:.0}, and the log begins at {begins:.0}"
            ));
        }
    }

    /// Whether anything differs.
    pub fn differs(&self) -> bool {
        self.sensors.iter().any(|sensor| sensor.fired + sensor.lost + sensor.changed > 0)
    }

    /// The report for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let time = |at: Option<Timestamp>| {
            at.map_or_else(|| "nothing".to_owned(), |at| format!("{at:.0}"))
        };
        let from = self.since.max(self.log_begins);
        line(&mut text, 0, &format!("events    {} of {} records", self.events, self.records));
        line(&mut text, 0, &format!("from      {}", time(from)));
        line(&mut text, 0, &format!("to        {}", time(self.log_ends)));
        if self.unreadable > 0 {
            line(&mut text, 0, &format!("{} records could not be read", self.unreadable));
        }
        for remark in &self.remarks {
            line(&mut text, 0, &format!("note      {remark}"));
        }
        for sensor in &self.sensors {
            sensor.write(&mut text);
        }
        text
    }
}

impl SensorReport {
    fn write(&self, text: &mut String) {
        let new = if self.is_new { " (new)" } else { "" };
        line(text, 0, "");
        line(text, 0, &format!("sensor {}{new}", self.sensor));
        line(text, 2, &format!("as now                {}", self.same));
        let kinds = [
            ("would fire            ", self.fired, &self.examples_fired),
            ("would no longer fire  ", self.lost, &self.examples_lost),
            ("parameters differ     ", self.changed, &self.examples_changed),
        ];
        for (what, count, examples) in kinds {
            line(text, 2, &format!("{what}{count}"));
            examples.iter().for_each(|example| example.write(text));
            let more = count.saturating_sub(examples.len() as u64);
            if more > 0 && !examples.is_empty() {
                line(text, 4, &format!("… and {more} more"));
            }
        }
    }
}

impl Example {
    fn write(&self, text: &mut String) {
        let events: Vec<String> = self
            .events
            .iter()
            .map(|of| format!("{} {} ({})", of.dependency, of.id, of.correlation))
            .collect();
        let events = events.join(", ");
        line(text, 4, &format!("{}  {:.0}  {events}", self.trigger, self.at));
        for because in &self.because {
            let indent = 6 + because.len() - because.trim_start().len();
            line(text, indent, because.trim_start());
        }
        for Difference { path, now, then } in &self.differences {
            line(text, 6, path);
            line(text, 8, &format!("now   {now}"));
            line(text, 8, &format!("then  {then}"));
        }
    }
}

/// Ids and values are data from outside: they must not control the terminal.
fn line(text: &mut String, indent: usize, content: &str) {
    let content = shortened(content, 600);
    #[expect(clippy::expect_used, reason = "a String takes everything that is written to it")]
    writeln!(text, "{:indent$}{content}", "").expect("a String can be written to");
}

/// The values that differ. Where the ids of the actions do, since a dependency was renamed,
/// what is made from them says nothing.
pub(super) fn differences(now: &Rendered, then: &Rendered, ids_differ: bool) -> Vec<Difference> {
    let mut found = Vec::new();
    let text = |value: &Option<String>| value.clone().map_or(Value::Null, Value::from);
    compare("target", Some(&text(&now.target)), Some(&text(&then.target)), &mut found);
    let kinds = (Value::from(now.kind.as_str()), Value::from(then.kind.as_str()));
    compare("kind", Some(&kinds.0), Some(&kinds.1), &mut found);
    let of_action = |object: &Value| {
        let mut object = object.clone();
        if let Some(metadata) =
            object.get_mut("metadata").and_then(Value::as_object_mut).filter(|_| ids_differ)
        {
            metadata.remove("name");
            if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
                labels.remove(OF_ACTION);
            }
        }
        object
    };
    compare("", Some(&of_action(&now.object)), Some(&of_action(&then.object)), &mut found);
    found
}

/// The values of one object that are others in another one: `MAX_DIFFERENCES` at most.
pub fn compared(now: &Value, then: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", Some(now), Some(then), &mut found);
    found
}

fn compare(path: &str, now: Option<&Value>, then: Option<&Value>, found: &mut Vec<Difference>) {
    if now == then || found.len() >= MAX_DIFFERENCES {
        return;
    }
    let at = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match (now, then) {
        (Some(Value::Object(now)), Some(Value::Object(then))) => {
            for (key, value) in now {
                compare(&at(key), Some(value), then.get(key), found);
            }
            for (key, value) in then.iter().filter(|(key, _)| !now.contains_key(*key)) {
                compare(&at(key), None, Some(value), found);
            }
        }
        (Some(Value::Array(now)), Some(Value::Array(then))) => {
            for index in 0..now.len().max(then.len()) {
                compare(&at(&index.to_string()), now.get(index), then.get(index), found);
            }
        }
        (now, then) => {
            let shown = |value: Option<&Value>| {
                value.map_or_else(
                    || "nothing".to_owned(),
                    |value| shortened(&value.to_string(), MAX_SHOWN),
                )
            };
            found.push(Difference { path: path.to_owned(), now: shown(now), then: shown(then) });
        }
    }
}
