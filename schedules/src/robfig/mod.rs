//! Cron in the dialect of robfig/cron v3 (`ParseStandard`), which CronWorkflows and calendar
//! event sources are written in.
//!
//! Five fields or a descriptor, an optional `TZ=` or `CRON_TZ=` in front. Where both the
//! day of the month and the day of the week are restricted, one of them suffices. What
//! the library does at a change of clocks by accident is not followed: the search
//! names every instant whose reading matches.

mod field;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::reading::{DayRule, Readings, Years, start_of_year, year_of};
use crate::search::Search;
use crate::span::Span;
use crate::{ClockChange, duration, whole_second, zone};
use field::{DAY_OF_MONTH, DAY_OF_WEEK, FieldSet, HOUR, MINUTE, MONTH};

/// A schedule that does not occur within so many years after a time never does.
const YEARS_AHEAD: i64 = 5;

/// A schedule of robfig/cron.
#[derive(Clone, Debug)]
pub struct Cron {
    kind: Kind,
    zone: TimeZone,
    clock_change: ClockChange,
}

#[derive(Clone, Debug)]
enum Kind {
    /// Whenever a clock shows one of these.
    Readings(Readings),
    /// So many seconds after the last time.
    Every(i64),
}

/// A text that is not a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CronError {
    /// The field that is wrong (`minute`, `hour`, `day of month`, `month`, `day of week`,
    /// `time zone`); `None` if the text as a whole is.
    pub field: Option<&'static str>,
    /// What is wrong: the field, what was found and what is allowed.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl CronError {
    fn whole(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { field: None, message: message.into(), help: Some(help.into()) }
    }
}

const FIELDS_HELP: &str =
    "a schedule has five fields: minute, hour, day of month, month and day of week";
const DESCRIPTORS_HELP: &str = "the descriptors are `@yearly`, `@annually`, `@monthly`, `@weekly`, \
    `@daily`, `@midnight`, `@hourly` and `@every` with a duration, in lower case";

impl Cron {
    /// Reads a schedule: five fields or a descriptor. `zone` holds unless the text begins
    /// with `TZ=` or `CRON_TZ=`; it also is what the zone name `Local` stands for.
    ///
    /// # Errors
    /// If robfig/cron v3.0.1 refuses the text, or crashes on it.
    pub fn parse(text: &str, zone: &TimeZone) -> Result<Self, CronError> {
        let (zone, text) = take_zone(text, zone)?;
        let kind = match text.strip_prefix('@') {
            Some(_) => descriptor(text)?,
            None => Kind::Readings(fields(text)?),
        };
        Ok(Self { kind, zone, clock_change: ClockChange::default() })
    }

    /// Reads a schedule of five fields, as [`Cron::parse`] does. Descriptors are refused,
    /// as calendar event sources do.
    ///
    /// # Errors
    /// As [`Cron::parse`], and for descriptors.
    pub fn parse_fields_only(text: &str, zone: &TimeZone) -> Result<Self, CronError> {
        let (zone, text) = take_zone(text, zone)?;
        if text.starts_with('@') {
            return Err(CronError::whole(
                format!("`{text}` is a descriptor, and only five fields are allowed here"),
                fields_of_descriptor(text).map_or_else(
                    || FIELDS_HELP.to_owned(),
                    |fields| format!("write `{fields}` instead"),
                ),
            ));
        }
        let kind = Kind::Readings(fields(text)?);
        Ok(Self { kind, zone, clock_change: ClockChange::default() })
    }

    /// The same schedule with another rule for changes of clocks.
    #[must_use]
    pub fn with_clock_change(mut self, clock_change: ClockChange) -> Self {
        self.clock_change = clock_change;
        self
    }

    /// The zone whose clocks count.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The delay of `@every`, which counts from the last tick; `None` for schedules that
    /// name clock readings.
    pub fn every(&self) -> Option<SignedDuration> {
        match self.kind {
            Kind::Readings(_) => None,
            Kind::Every(delay_s) => Some(SignedDuration::from_secs(delay_s)),
        }
    }

    /// The first tick after `after`, a whole second; `None` if there is none up to the end
    /// of the fifth year after it. For `@every`, `after` is the last tick.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        self.next_after_in(after, &mut None)
    }

    /// The ticks after `after`, the same as repeated calls of [`Cron::next_after`] and
    /// faster.
    pub fn ticks_after(&self, after: Timestamp) -> impl Iterator<Item = Timestamp> + use<'_> {
        let mut span = None;
        std::iter::successors(self.next_after_in(after, &mut span), move |&tick| {
            self.next_after_in(tick, &mut span)
        })
    }

    fn next_after_in(&self, after: Timestamp, span: &mut Option<Span>) -> Option<Timestamp> {
        let after = whole_second(after);
        let next = match &self.kind {
            Kind::Every(delay_s) => after.checked_add(*delay_s)?,
            Kind::Readings(readings) => {
                let search = Search {
                    readings,
                    excluded: &[],
                    zone: &self.zone,
                    clock_change: self.clock_change,
                };
                let from = after + 1;
                let offset = self.zone.to_offset(Timestamp::from_second(from).ok()?).seconds();
                let last_year = year_of(from + i64::from(offset)) + YEARS_AHEAD;
                search.first(from, start_of_year(last_year + 1), span)?
            }
        };
        Timestamp::from_second(next).ok()
    }
}

/// Takes a zone off the front of a schedule.
fn take_zone<'t>(text: &'t str, default: &TimeZone) -> Result<(TimeZone, &'t str), CronError> {
    let Some(rest) = text.strip_prefix("TZ=").or_else(|| text.strip_prefix("CRON_TZ=")) else {
        return Ok((default.clone(), text));
    };
    let Some((name, rest)) = rest.split_once(' ') else {
        return Err(CronError::whole(
            format!("`{text}` has a time zone and no schedule"),
            "write a space and five fields after the name of the zone",
        ));
    };
    if name == "Local" {
        return Ok((default.clone(), rest.trim()));
    }
    let zone = zone::load(name).map_err(|error| CronError {
        field: Some("time zone"),
        message: format!("time zone: {error}"),
        help: Some(error.help()),
    })?;
    Ok((zone, rest.trim()))
}

fn fields(text: &str) -> Result<Readings, CronError> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let &[minute, hour, day_of_month, month, day_of_week] = fields.as_slice() else {
        return Err(CronError::whole(
            format!("`{text}` has {} fields instead of 5", fields.len()),
            match fields.len() {
                6 | 7 => format!("{FIELDS_HELP}; there are no seconds, years or comments"),
                _ => FIELDS_HELP.to_owned(),
            },
        ));
    };
    let minute = FieldSet::parse(minute, &MINUTE)?;
    let hour = FieldSet::parse(hour, &HOUR)?;
    let day_of_month = FieldSet::parse(day_of_month, &DAY_OF_MONTH)?;
    let month = FieldSet::parse(month, &MONTH)?;
    let day_of_week = FieldSet::parse(day_of_week, &DAY_OF_WEEK)?;
    Ok(Readings {
        seconds: 1,
        minutes: minute.values,
        hours: hour.values as u32,
        days_of_month: day_of_month.values as u32,
        months: month.values as u16,
        days_of_week: day_of_week.values as u8,
        days: if day_of_month.star || day_of_week.star { DayRule::Both } else { DayRule::Either },
        years: Years::All,
    })
}

fn descriptor(text: &str) -> Result<Kind, CronError> {
    if let Some(delay) = text.strip_prefix("@every ") {
        let delay = duration::parse_go(delay).map_err(|error| CronError {
            field: None,
            message: format!("`@every`: {error}"),
            help: Some("write `@every 90s` or `@every 1h30m`, with one space".to_owned()),
        })?;
        // Fractions of a second are cut off, and less than a second is one.
        return Ok(Kind::Every(delay.as_secs().max(1)));
    }
    match fields_of_descriptor(text) {
        Some(text) => Ok(Kind::Readings(fields(text)?)),
        None => Err(CronError::whole(format!("there is no descriptor `{text}`"), DESCRIPTORS_HELP)),
    }
}

/// The five fields that a descriptor stands for.
fn fields_of_descriptor(text: &str) -> Option<&'static str> {
    Some(match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
