//! What can be configured for a calendar.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tripline_config::{FieldPath, Problem};
use tripline_schedules::robfig::Cron;
use tripline_schedules::{duration, zone};

use super::exclusion::excluded_dates;
use super::run::MAKE_UP;
use super::ticks::{Rhythm, Ticks};
use crate::codes;
use crate::fields::{EventFilter, data_end, take};

/// Ticks at the times of a schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CalendarConfig {
    /// Five fields (minute, hour, day of month, month, day of week), as robfig/cron reads
    /// them: `30 6 * * 1-5`. It wins over `interval`; one of the two is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// A duration of at least a second, such as `10s` or `1h30m`. Ticks are at its
    /// multiples since 1970-01-01T00:00:00Z, so that a restart does not move them (in Argo
    /// Events they are counted from the start of the process).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// Days without ticks: `EXDATE:20261225T000000Z,20261226T000000Z`. Year, month and day
    /// count, as days of `timezone`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclusion_dates: Option<Vec<String>>,
    /// The zone whose clocks `schedule` means, such as `Europe/Berlin`; UTC if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Copied into each event's data, under `metadata`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    /// Which ticks are made up for after a restart: without it those of the last minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<Persistence>,
    /// Not supported yet, and refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<EventFilter>,
}

/// Catching up on ticks that were missed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Persistence {
    /// Whether and how far back to catch up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catchup: Option<CatchUp>,
    /// Where Argo Events keeps the time of the last tick. It has no effect: Tripline keeps it on
    /// the event bus, for every calendar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<Value>,
}

/// How far back to catch up: every tick that was missed is taken, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CatchUp {
    /// Whether to.
    #[serde(default)]
    pub enabled: bool,
    /// A duration such as `12h`: ticks that were missed by more are not made up for. Without it
    /// all since the last tick are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration: Option<String>,
}

/// A calendar whose configuration is right.
#[derive(Clone, Debug)]
pub struct Calendar {
    pub(super) ticks: Ticks,
    /// How late a tick may be and still be taken, at least [`MAKE_UP`].
    pub(super) make_up: SignedDuration,
    /// The end of each event's data: `,"metadata":{…}}` or `}`.
    pub(super) data_end: String,
}

impl CalendarConfig {
    /// The calendar, or what is wrong with its configuration, which is at `at`.
    pub fn resolve(&self, at: &FieldPath) -> (Option<Calendar>, Vec<Problem>) {
        let mut problems = Vec::new();
        let zone = take(self.zone(at), &mut problems);
        let excluded = self.excluded(at, &mut problems);
        // Without its zone a schedule can still be read, so that its mistakes are told too.
        let reading_zone = zone.clone().unwrap_or(TimeZone::UTC);
        let rhythm = take(self.rhythm(&reading_zone, at), &mut problems);
        let make_up = take(self.make_up(at), &mut problems);
        let calendar = (|| {
            let make_up = make_up?;
            let ticks = Ticks { rhythm: rhythm?, zone: zone?, excluded: excluded? };
            Some(Calendar { ticks, make_up, data_end: data_end(self.metadata.as_ref()) })
        })();
        (calendar, problems)
    }

    fn zone(&self, at: &FieldPath) -> Result<TimeZone, Problem> {
        let Some(name) = given(self.timezone.as_ref()) else { return Ok(TimeZone::UTC) };
        zone::load(name).map_err(|error| {
            let problem = Problem::error(codes::TIMEZONE, at.key("timezone"), error.to_string());
            problem.help(error.help())
        })
    }

    fn rhythm(&self, zone: &TimeZone, at: &FieldPath) -> Result<Rhythm, Problem> {
        if let Some(schedule) = given(self.schedule.as_ref()) {
            return Cron::parse_fields_only(schedule, zone).map(Rhythm::Cron).map_err(|error| {
                Problem::error(codes::SCHEDULE, at.key("schedule"), error.to_string())
            });
        }
        let Some(interval) = given(self.interval.as_ref()) else {
            let problem = Problem::error(
                codes::NO_SCHEDULE,
                at.clone(),
                "neither `schedule` nor `interval` is given",
            );
            return Err(problem.help("add `schedule: \"0 * * * *\"` or `interval: 1h`"));
        };
        let error = |message| Problem::error(codes::INTERVAL, at.key("interval"), message);
        let duration = duration::parse_go(interval).map_err(|e| error(e.to_string()))?;
        if duration.as_secs() < 1 {
            return Err(error(format!("interval is {interval:?}, expected a second or more")));
        }
        Ok(Rhythm::Every { seconds: duration.as_secs() })
    }

    fn excluded(&self, at: &FieldPath, problems: &mut Vec<Problem>) -> Option<Vec<Date>> {
        let at = at.key("exclusionDates");
        let mut dates = Vec::new();
        let before = problems.len();
        for (index, entry) in self.exclusion_dates.iter().flatten().enumerate() {
            match excluded_dates(entry) {
                Ok(found) => dates.extend(found),
                Err(message) => {
                    let problem = Problem::error(codes::EXCLUSION_DATE, at.index(index), message);
                    problems.push(problem.help("write `EXDATE:20261225T000000Z`"));
                }
            }
        }
        dates.sort_unstable();
        dates.dedup();
        (problems.len() == before).then_some(dates)
    }

    fn make_up(&self, at: &FieldPath) -> Result<SignedDuration, Problem> {
        let catchup =
            self.persistence.as_ref().and_then(|persistence| persistence.catchup.as_ref());
        let Some(catchup) = catchup.filter(|catchup| catchup.enabled) else { return Ok(MAKE_UP) };
        let Some(text) = given(catchup.max_duration.as_ref()) else {
            return Ok(SignedDuration::MAX);
        };
        let at = at.key("persistence").key("catchup").key("maxDuration");
        let duration = duration::parse_go(text)
            .map_err(|error| Problem::error(codes::INTERVAL, at.clone(), error.to_string()))?;
        if !duration.is_positive() {
            let message = format!("maxDuration is {text:?}, expected more than 0");
            return Err(Problem::error(codes::INTERVAL, at, message));
        }
        Ok(duration.max(MAKE_UP))
    }
}

fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}
