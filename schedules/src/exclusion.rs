//! What is left out of a timetable: whole days, and stretches of time.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tripline_config::FieldPath;

use crate::spec::SpecError;

/// `spec` of a `HolidayCalendar`: days and stretches of time without ticks, which schedules
/// refer to by the calendar's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct HolidayCalendar {
    /// Whole days, in the zone of the schedule that leaves them out: `2026-12-25`, or `12-25`
    /// for this day of every year.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<String>,
    /// Stretches of time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub periods: Vec<Period>,
}

/// A stretch of time in which nothing occurs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Period {
    /// The first instant that is left out.
    pub from: Timestamp,
    /// The first instant that is not left out any more.
    pub to: Timestamp,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
}

/// Days and stretches of time that are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exclusions {
    days: BTreeSet<Date>,
    /// Month and day, every year.
    yearly: BTreeSet<(i8, i8)>,
    /// Sorted by their starts.
    periods: Vec<(Timestamp, Timestamp)>,
}

impl Exclusions {
    /// What the calendars leave out together. What is wrong is added to `errors`, at the
    /// path of the calendar.
    pub fn compile<'c>(
        calendars: impl IntoIterator<Item = (FieldPath, &'c HolidayCalendar)>,
        errors: &mut Vec<SpecError>,
    ) -> Self {
        let mut all = Self::default();
        for (path, calendar) in calendars {
            for (index, text) in calendar.days.iter().enumerate() {
                if !all.add_day(text) {
                    let message = format!("{text:?} is no day");
                    errors.push(
                        SpecError::new(path.key("days").index(index), message)
                            .help("write `2026-12-25`, or `12-25` for every year"),
                    );
                }
            }
            for (index, period) in calendar.periods.iter().enumerate() {
                if period.to <= period.from {
                    let message = format!("the period ends at {}, before it begins", period.to);
                    errors
                        .push(SpecError::new(path.key("periods").index(index).key("to"), message));
                }
                all.periods.push((period.from, period.to));
            }
        }
        all.periods.sort_unstable();
        all
    }

    fn add_day(&mut self, text: &str) -> bool {
        if text.len() == 5 {
            // February 29 is a day of every year: 2000 had it.
            let Ok(date) = format!("2000-{text}").parse::<Date>() else { return false };
            self.yearly.insert((date.month(), date.day()));
            return true;
        }
        let Some(date) = (text.len() == 10).then(|| text.parse().ok()).flatten() else {
            return false;
        };
        self.days.insert(date);
        true
    }

    /// Nothing is left out.
    pub fn is_empty(&self) -> bool {
        self.days.is_empty() && self.yearly.is_empty() && self.periods.is_empty()
    }

    /// The last instant of the exclusion that `at` is in; `None` if it is in none.
    pub fn end_of(&self, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let before = |end: Timestamp| end.checked_sub(jiff::SignedDuration::from_secs(1)).ok();
        let started = self.periods.iter().take_while(|(from, _)| *from <= at);
        let period = started.filter(|(_, to)| at < *to).filter_map(|(_, to)| before(*to)).max();
        if self.days.is_empty() && self.yearly.is_empty() {
            return period;
        }
        let date = zone.to_datetime(at).date();
        let named = self.days.contains(&date) || self.yearly.contains(&(date.month(), date.day()));
        // Where midnight is missing the next day begins at the change of clocks.
        let tomorrow = named
            .then(|| date.tomorrow().ok()?.to_zoned(zone.clone()).ok())
            .flatten()
            .and_then(|tomorrow| before(tomorrow.timestamp()));
        // A day that begins twice has not ended at its first end.
        let tomorrow = tomorrow.map(|end| end.max(at));
        period.max(tomorrow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exclusions(days: &[&str]) -> (Exclusions, Vec<String>) {
        let days = days.iter().map(|day| (*day).to_owned()).collect();
        let calendar = HolidayCalendar { days, periods: Vec::new() };
        let mut errors = Vec::new();
        let found = Exclusions::compile([(FieldPath::root(), &calendar)], &mut errors);
        (found, errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_day_is_left_out_as_the_zone_has_it() {
        let (exclusions, errors) = exclusions(&["2026-12-25", "01-01"]);
        assert_eq!(errors, [""; 0]);
        let zurich = crate::zone::load("Europe/Zurich").unwrap();
        let end = |at: &str| exclusions.end_of(at.parse().unwrap(), &zurich);
        assert_eq!(end("2026-12-24T22:59:59Z"), None);
        assert_eq!(end("2026-12-24T23:00:00Z"), "2026-12-25T22:59:59Z".parse().ok());
        assert_eq!(end("2026-12-25T23:00:00Z"), None);
        for year in [2027, 2031] {
            assert!(end(&format!("{year}-01-01T12:00:00Z")).is_some());
        }
    }

    #[test]
    fn what_is_no_day_is_refused_at_its_place() {
        let (_, errors) = exclusions(&["2026-12-32", "13-01", "Christmas", "02-29"]);
        assert_eq!(
            errors,
            [
                "days[0]: \"2026-12-32\" is no day",
                "days[1]: \"13-01\" is no day",
                "days[2]: \"Christmas\" is no day",
            ]
        );
    }
}
