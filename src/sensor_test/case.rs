//! A case that can be run, and what came of it.

use std::collections::HashMap;

use bytes::Bytes;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tripline_config::Place;
use tripline_event::{EventKey, ObjectName};
use tripline_sensors::expr::SourceFilter;

use super::expect::Expected;

/// The name of the step that checks what is left at the end of a case.
pub const AT_THE_END: &str = "at the end";

/// What happens, and what is to come of it.
#[derive(Debug)]
pub struct Case {
    /// The name of the object and that of the case: `ci/deploy: a build is deployed`.
    pub title: String,
    /// The name of the case.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// Where the clock begins.
    pub start: Timestamp,
    /// How long the runs of schedules take.
    pub runs_take: SignedDuration,
    /// What happens, in this order.
    pub steps: Vec<Step>,
    /// What is to fire besides what the steps say.
    pub expect: Option<Expected>,
}

/// Time passes, and an event comes in.
#[derive(Debug)]
pub struct Step {
    /// Where it stands.
    pub place: Place,
    /// How far time goes.
    pub passing: Option<Passing>,
    /// The event.
    pub given: Option<Given>,
    /// What is to have fired since the last step that says so.
    pub expect: Option<Expected>,
}

/// How far time goes.
#[derive(Clone, Debug)]
pub enum Passing {
    /// To this time.
    To(Timestamp),
    /// To this time, unless it is over.
    Atleast(Timestamp),
    /// To the next time that clocks show this.
    Clock(Time, TimeZone),
    /// By this much.
    By(SignedDuration),
}

/// A message as it comes in.
#[derive(Clone, Debug)]
pub struct Given {
    /// Which event it is.
    pub key: EventKey,
    /// The CloudEvents type.
    pub kind: String,
    /// Its id; one is made where there is none.
    pub id: Option<String>,
    /// Its data.
    pub data: Bytes,
    /// What it was sent with.
    pub headers: Vec<(String, String)>,
    /// Its correlation id, where it is not to be found.
    pub correlation: Option<String>,
    /// How many actions led to it.
    pub hops: Option<u16>,
}

/// What is known of an event source, by event.
#[derive(Debug, Default)]
pub struct Sources(pub HashMap<EventKey, Source>);

/// One event of an event source.
#[derive(Debug)]
pub struct Source {
    /// The CloudEvents type.
    pub kind: &'static str,
    /// Where its correlation id is, if the configuration says so.
    pub correlation: Option<String>,
    /// What is taken in.
    pub filter: Option<SourceFilter>,
}

/// What came of a case.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CaseResult {
    /// The object.
    pub suite: ObjectName,
    /// The name of the case.
    pub case: String,
    /// Where it stands, `file:line:column`.
    pub place: String,
    /// Everything was as it was expected.
    pub passed: bool,
    /// What was not.
    pub failures: Vec<Failure>,
    /// How long it took, in microseconds.
    pub took_us: u64,
}

/// What was not as it was expected.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// At which step: what happened there.
    pub step: String,
    /// Where that stands.
    pub place: String,
    /// What was expected.
    pub expected: String,
    /// What came.
    pub got: String,
    /// Values that differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// What filters and conditions said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
}

/// A value that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// Where, from the object on.
    pub path: String,
    /// What was expected there, as JSON.
    pub expected: String,
    /// What is there, as JSON; `nothing`.
    pub got: String,
}
