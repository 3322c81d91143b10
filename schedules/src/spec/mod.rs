//! Schedules in the terms of Temporal's `ScheduleSpec`.
//!
//! The union of calendars, structured calendars, intervals and cron strings, without what
//! the exclusions match, between a start and an end. The day of the month and the day of the
//! week must both match, unlike in cron. [`ScheduleSpec`] is what is written, [`Compiled`]
//! what it means; between the two every mistake is found, each at its field.

mod calendar;
mod compiled;
mod cron_string;
mod error;
mod interval;
mod jitter;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use compiled::{Compiled, Tick, Ticks};
pub use error::SpecError;

/// The longest comment, in bytes.
pub const COMMENT_MAX: usize = 200;

/// When a schedule occurs: whenever one of the calendars, intervals or cron strings says so
/// and none of the exclusions does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ScheduleSpec {
    /// Clock readings, each part a set of numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub structured_calendar: Vec<StructuredCalendar>,
    /// Clock readings, each part a text such as `*`, `9`, `mon-fri`, `8-18/2` or `0,30`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calendar: Vec<Calendar>,
    /// Cron strings: minute, hour, day of month, month and day of week; a sixth field is the
    /// year; of seven the first is the second. A descriptor such as `@daily`, or `@every`
    /// with a duration and maybe a phase (`@every 1d/2h`). `CRON_TZ=` and a zone may come first,
    /// a comment after `#`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cron_string: Vec<String>,
    /// Multiples of a duration since 1970-01-01T00:00:00Z, whatever the zone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interval: Vec<Interval>,
    /// What is left out, in the same zone. A reading is left out if it matches to the second:
    /// `hour: 9` alone leaves out 09:00:00, and not 09:30:00.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude_calendar: Vec<Calendar>,
    /// What is left out, as sets of numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude_structured_calendar: Vec<StructuredCalendar>,
    /// Nothing occurs before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Timestamp>,
    /// Nothing occurs after this time, but at it something may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_time: Option<Timestamp>,
    /// The most by which a tick is late, such as `30s`. How much is drawn from the schedule
    /// and the tick, and never reaches the next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<String>,
    /// The IANA name of the zone whose clocks count. UTC if there is none, and for `Local`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone_name: Option<String>,
    /// The zone as a compiled TZif file in base64, instead of what the program knows of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone_data: Option<String>,
}

/// Clock readings as texts. A part is `*`, a value, a range `1-5`, either with a step (`*/2`,
/// `1-5/2`, and `1/2` for 1 to the greatest), or a comma list of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Calendar {
    /// 0 to 59; 0 if not given.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub second: String,
    /// 0 to 59; 0 if not given.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub minute: String,
    /// 0 to 23; 0 if not given.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hour: String,
    /// 1 to 31; all if not given.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub day_of_month: String,
    /// 1 to 12, or the first three letters or more of an English name; all if not given.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub month: String,
    /// 2000 to 2100; all if not given.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub year: String,
    /// 0 (Sunday) to 7 (Sunday again), or the first two letters or more of an English name;
    /// all if not given.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub day_of_week: String,
    /// What it is for, at most 200 bytes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub comment: String,
}

/// Clock readings as sets of numbers. A part without ranges matches nothing, but for `year`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StructuredCalendar {
    /// 0 to 59.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub second: Vec<Range>,
    /// 0 to 59.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub minute: Vec<Range>,
    /// 0 to 23.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hour: Vec<Range>,
    /// 1 to 31.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub day_of_month: Vec<Range>,
    /// 1 to 12.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub month: Vec<Range>,
    /// 2000 to 2100; all if there are no ranges.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub year: Vec<Range>,
    /// 0 (Sunday) to 6.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub day_of_week: Vec<Range>,
    /// What it is for, at most 200 bytes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub comment: String,
}

/// The numbers from `start` to `end`, each a multiple of `step` after `start`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Range {
    /// The first number.
    pub start: i32,
    /// The last number; 0 means just `start`.
    pub end: i32,
    /// The distance of the numbers; 0 means 1.
    pub step: i32,
}

/// Every multiple of `interval` since 1970-01-01T00:00:00Z, later by `phase`. Fractions of
/// a second are cut off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Interval {
    /// At least a second, such as `90m`.
    pub interval: String,
    /// Less than the interval; none if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
}

#[cfg(test)]
mod tests;
