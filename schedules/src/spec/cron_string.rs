//! Cron strings of 5, 6 and 7 fields, descriptors and `@every`.

use tripline_config::FieldPath;

use super::calendar::{Purpose, readings_of_text};
use super::interval::Multiples;
use super::{Calendar, Interval, SpecError};
use crate::duration::{self, Units};
use crate::reading::Readings;

/// What a cron string says.
#[derive(Debug)]
pub(super) struct CronString {
    pub occurs: Occurs,
    /// The zone in front of it; empty if there is none, and for `@every`.
    pub zone: String,
}

/// When a cron string occurs.
#[derive(Clone, Debug)]
pub(super) enum Occurs {
    Readings(Readings),
    Multiples(Multiples),
}

impl CronString {
    /// Reads a cron string. What is wrong is added to `errors`, at `path`.
    pub fn parse(text: &str, path: &FieldPath, errors: &mut Vec<SpecError>) -> Option<Self> {
        let mut wrong = |message: String, help: &str| {
            errors.push(SpecError::new(path.clone(), message).help(help));
            None
        };
        let text = text.trim();
        let (zone, rest) = if text.starts_with("TZ=") || text.starts_with("CRON_TZ=") {
            let Some((zone, rest)) = text.split_once(' ') else {
                return wrong(
                    format!("`{text}` has a time zone and no schedule"),
                    "write a space and five fields after the name of the zone",
                );
            };
            (zone.split_once('=').unwrap_or_default().1, rest)
        } else {
            ("", text)
        };
        let (rest, comment) = rest.split_once('#').unwrap_or((rest, ""));
        let rest = rest.trim();
        if rest.starts_with("@every") {
            // An interval has no zone: one in front is dropped.
            let multiples = every(rest, path, errors)?;
            return Some(Self { occurs: Occurs::Multiples(multiples), zone: String::new() });
        }
        let fields: Vec<&str> = expand(rest).split_whitespace().collect();
        let (second, [minute, hour, day_of_month, month, day_of_week], year) = match *fields {
            [a, b, c, d, e] => ("", [a, b, c, d, e], ""),
            [a, b, c, d, e, year] => ("", [a, b, c, d, e], year),
            [second, a, b, c, d, e, year] => (second, [a, b, c, d, e], year),
            _ if rest.starts_with('@') => {
                return wrong(
                    format!("there is no descriptor `{rest}`"),
                    "the descriptors are `@yearly`, `@annually`, `@monthly`, `@weekly`, `@daily`, \
                     `@midnight`, `@hourly` and `@every` with a duration, in lower case",
                );
            }
            _ => {
                return wrong(
                    format!("`{rest}` has {} fields instead of 5 to 7", fields.len()),
                    "the fields are minute, hour, day of month, month and day of week; a sixth is \
                     the year, and of seven the first is the second",
                );
            }
        };
        let calendar = Calendar {
            second: second.to_owned(),
            minute: minute.to_owned(),
            hour: hour.to_owned(),
            day_of_month: day_of_month.to_owned(),
            month: month.to_owned(),
            year: year.to_owned(),
            day_of_week: day_of_week.to_owned(),
            comment: comment.trim().to_owned(),
        };
        let readings = readings_at(&calendar, path, errors)?;
        Some(Self { occurs: Occurs::Readings(readings), zone: zone.to_owned() })
    }
}

/// Reads the calendar that a cron string stands for. Its fields have no paths of their
/// own, and are named in the message.
fn readings_at(
    calendar: &Calendar,
    path: &FieldPath,
    errors: &mut Vec<SpecError>,
) -> Option<Readings> {
    let mut found = Vec::new();
    let readings = readings_of_text(calendar, Purpose::Include, &FieldPath::root(), &mut found);
    if found.is_empty() {
        return Some(readings);
    }
    errors.extend(found.into_iter().map(|error| SpecError {
        path: path.clone(),
        message: format!("{}: {}", error.path, error.message),
        help: error.help,
    }));
    None
}

/// Reads `@every` with a duration and maybe a phase.
fn every(text: &str, path: &FieldPath, errors: &mut Vec<SpecError>) -> Option<Multiples> {
    let Some((_, text)) = text.split_once(' ') else {
        let error = SpecError::new(path.clone(), "`@every` has no duration");
        errors.push(error.help("write `@every 90s`, or `@every 1d/2h` with a phase"));
        return None;
    };
    let (interval, phase) = text.split_once('/').unwrap_or((text, ""));
    for text in [interval, phase].into_iter().filter(|text| !text.is_empty()) {
        // Seconds that are too many for Go are refused here, unlike in an `interval`.
        if let Err(error) = duration::parse(text, Units::GoAndDays) {
            errors.push(SpecError::new(path.clone(), error.to_string()));
            return None;
        }
    }
    let interval = Interval {
        interval: interval.to_owned(),
        phase: (!phase.is_empty()).then(|| phase.to_owned()),
    };
    let mut found = Vec::new();
    let multiples = Multiples::parse(&interval, &FieldPath::root(), &mut found);
    errors.extend(found.into_iter().map(|error| SpecError { path: path.clone(), ..error }));
    multiples
}

/// The fields that a descriptor stands for, or the text itself.
fn expand(text: &str) -> &str {
    match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => text,
    }
}
