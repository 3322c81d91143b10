//! What the comparison found, and how people read it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use tripline_event::{ObjectName, Timestamp};

use super::firings::FiringEvent;
use super::matching::Difference;
use crate::query::item::shortened;

/// The most characters of a line.
const MAX_LINE: usize = 600;

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// How far the stream reaches.
    pub stream: Covered,
    /// What was done since then is compared.
    pub since: Option<Timestamp>,
    /// How many workflows of the cluster carry the labels of Argo Events.
    pub workflows: u64,
    /// What each sensor does, and has done.
    pub sensors: Vec<SensorReport>,
    /// Sensors that cannot be used here, each with the first reason.
    pub refused: BTreeMap<String, String>,
    /// What is to be known besides.
    pub remarks: Vec<String>,
}

/// What of the stream there is.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Covered {
    /// How many messages were read.
    pub messages: u64,
    /// The sequence of the first that is kept.
    pub first: u64,
    /// The sequence of the last.
    pub last: u64,
    /// When the first that is kept came; none where there is none.
    pub begins: Option<Timestamp>,
    /// When the last came.
    pub ends: Option<Timestamp>,
    /// How many of them are no events of Argo Events.
    pub unreadable: u64,
    /// The first of these, with what is wrong.
    pub examples_unreadable: Vec<String>,
}

/// What was found for one sensor.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SensorReport {
    /// The sensor.
    pub sensor: ObjectName,
    /// Each of its triggers.
    pub triggers: Vec<TriggerReport>,
    /// What half-met conditions hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<HeldReport>,
}

/// What was found for one trigger.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TriggerReport {
    /// The trigger.
    pub trigger: String,
    /// Workflows that Tripline would have created too, just so.
    pub equal: u64,
    /// Firings of which Argo Events has no workflow, though it has taken the events.
    pub lost: u64,
    /// Workflows that Tripline would have created otherwise.
    pub different: u64,
    /// Workflows that Tripline would not have created.
    pub only_argo: u64,
    /// What cannot be compared, by the reason.
    pub not_compared: BTreeMap<&'static str, u64>,
    /// The first of those that are lost.
    pub examples_lost: Vec<Example>,
    /// The first of those that are different.
    pub examples_different: Vec<Example>,
    /// The first of those that only Argo Events has.
    pub examples_only_argo: Vec<Example>,
}

/// One firing or workflow.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Example {
    /// When the message came that completes the condition; of a workflow alone, when its trigger
    /// acted.
    pub at: Timestamp,
    /// The sequence of that message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// The events.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<FiringEvent>,
    /// The workflow of Argo Events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// What the likely reason is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub because: String,
    /// What is otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
}

/// An event that a half-met condition holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldReport {
    /// The trigger.
    pub trigger: String,
    /// The dependency.
    pub dependency: String,
    /// The id of the event that Argo Events holds.
    pub argo_events: Option<String>,
    /// The id of the event that Tripline would hold.
    pub tripline: Option<String>,
}

impl Report {
    /// Whether anything is otherwise than it would be here.
    pub fn differs(&self) -> bool {
        let triggers = self.sensors.iter().flat_map(|sensor| &sensor.triggers);
        let found = triggers.map(|of| of.lost + of.different + of.only_argo).sum::<u64>();
        found > 0 || !self.refused.is_empty()
    }

    /// The report for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let Covered { messages, first, last, begins, ends, unreadable, .. } = &self.stream;
        let time = |at: &Option<Timestamp>| {
            at.map_or_else(|| "nothing".to_owned(), |at| format!("{at:.0}"))
        };
        line(&mut text, 0, &format!("stream    {messages} messages, {first} to {last}"));
        line(&mut text, 0, &format!("from      {}", time(begins)));
        line(&mut text, 0, &format!("to        {}", time(ends)));
        line(&mut text, 0, &format!("compared  since {}", time(&self.since)));
        let workflows = self.workflows;
        line(&mut text, 0, &format!("workflows {workflows} with the labels of Argo Events"));
        if *unreadable > 0 {
            line(&mut text, 0, &format!("{unreadable} messages cannot be read:"));
            self.stream.examples_unreadable.iter().for_each(|one| line(&mut text, 2, one));
        }
        for remark in &self.remarks {
            line(&mut text, 0, &format!("note      {remark}"));
        }
        for (sensor, why) in &self.refused {
            line(&mut text, 0, &format!("refused   {sensor}: {why}"));
        }
        for sensor in &self.sensors {
            line(&mut text, 0, "");
            line(&mut text, 0, &format!("sensor {}", sensor.sensor));
            sensor.triggers.iter().for_each(|trigger| trigger.write(&mut text));
            sensor.held.iter().for_each(|held| held.write(&mut text));
        }
        text
    }
}

impl TriggerReport {
    fn write(&self, text: &mut String) {
        line(text, 2, &format!("trigger {}", self.trigger));
        line(text, 4, &format!("equal               {}", self.equal));
        let kinds = [
            ("Argo lost this one  ", self.lost, &self.examples_lost),
            ("parameters differ   ", self.different, &self.examples_different),
            ("only Argo           ", self.only_argo, &self.examples_only_argo),
        ];
        for (what, count, examples) in kinds {
            line(text, 4, &format!("{what}{count}"));
            examples.iter().for_each(|example| example.write(text));
            let more = count.saturating_sub(examples.len() as u64);
            if more > 0 && !examples.is_empty() {
                line(text, 6, &format!("… and {more} more"));
            }
        }
        let not_compared: u64 = self.not_compared.values().sum();
        line(text, 4, &format!("not compared        {not_compared}"));
        for (reason, count) in &self.not_compared {
            line(text, 6, &format!("{count} {reason}"));
        }
    }
}

impl Example {
    fn write(&self, text: &mut String) {
        let mut parts = vec![format!("{:.0}", self.at)];
        parts.extend(self.workflow.iter().map(|name| format!("workflow {name}")));
        parts.extend(self.sequence.iter().map(|sequence| format!("message {sequence}")));
        let events = self.events.iter().map(|of| format!("{} {}", of.dependency, of.id));
        let events = events.collect::<Vec<_>>().join(", ");
        parts.extend((!events.is_empty()).then_some(events));
        line(text, 6, &parts.join("  "));
        if !self.because.is_empty() {
            line(text, 8, &self.because);
        }
        for Difference { path, argo_events, tripline } in &self.differences {
            line(text, 8, path);
            line(text, 10, &format!("Argo Events  {argo_events}"));
            line(text, 10, &format!("Tripline     {tripline}"));
        }
    }
}

impl HeldReport {
    fn write(&self, text: &mut String) {
        let Self { trigger, dependency, argo_events, tripline } = self;
        let of = |id: &Option<String>| id.clone().unwrap_or_else(|| "nothing".to_owned());
        let who = match argo_events == tripline {
            true => format!("both hold {}", of(tripline)),
            false => format!("Argo Events holds {}, Tripline {}", of(argo_events), of(tripline)),
        };
        line(text, 2, &format!("half met: {trigger}, {dependency}: {who}"));
    }
}

/// Ids, names and values are data from outside: they must not control the terminal.
fn line(text: &mut String, indent: usize, content: &str) {
    let content = shortened(content, MAX_LINE);
    #[expect(clippy::expect_used, reason = "a String takes everything that is written to it")]
    writeln!(text, "{:indent$}{content}", "").expect("a String can be written to");
}
