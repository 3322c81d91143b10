//! What can be configured for a calendar.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tripline_config::{FieldPath, Problem};
use tripline_schedules::robfig::Cron;
use tripline_schedules::{duration, zone};

use super::exclusion::excluded_dates;
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
    /// Not supported yet, and refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<Persistence>,
    /// Not supported yet, and refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<EventFilter>,
}

/// Catching up on ticks that were missed. Not supported yet, and refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Persistence {
    /// Whether and how far back to catch up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catchup: Option<Value>,
    /// Where Argo Events keeps the time of the last tick.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<Value>,
}

/// A calendar whose configuration is right.
#[derive(Clone, Debug)]
pub struct Calendar {
    pub(super) ticks: Ticks,
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
        let filter = take(EventFilter::refuse(self.filter.as_ref(), at), &mut problems);
        let persistence = take(self.refuse_persistence(at), &mut problems);
        let calendar = (|| {
            filter?;
            persistence?;
            let ticks = Ticks { rhythm: rhythm?, zone: zone?, excluded: excluded? };
            Some(Calendar { ticks, data_end: data_end(self.metadata.as_ref()) })
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

    fn refuse_persistence(&self, at: &FieldPath) -> Result<(), Problem> {
        if self.persistence.is_none() {
            return Ok(());
        }
        Err(Problem::error(
            codes::PERSISTENCE_NOT_SUPPORTED,
            at.key("persistence"),
            "`persistence` of a calendar is not supported yet",
        )
        .help("without it, ticks that were missed by less than a minute are made up"))
    }
}

fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}
