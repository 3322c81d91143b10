//! Calendars, as texts and as numbers, become sets of clock readings.

use tripline_config::FieldPath;

use super::{COMMENT_MAX, Calendar, Range, SpecError, StructuredCalendar};
use crate::reading::{DayRule, FIRST_YEAR, LAST_YEAR, Readings, Years};

/// What a calendar is for. Of what is left out, Temporal checks neither the ranges of numbers
/// nor the comments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Include,
    Exclude,
}

/// A part of a clock reading.
#[derive(Debug)]
struct Part {
    /// The key of its field.
    key: &'static str,
    min: i64,
    /// The greatest number in a structured calendar.
    max: i64,
    /// The greatest number in a text.
    text_max: i64,
    /// English names of the values from `names_from` on.
    names: &'static [&'static str],
    names_from: i64,
    /// The fewest letters of a name that are enough.
    letters: usize,
    /// What it is if nothing is given in a text.
    default: &'static str,
}

const NUMBERS: Part = Part {
    key: "",
    min: 0,
    max: 59,
    text_max: 59,
    names: &[],
    names_from: 0,
    letters: 0,
    default: "0",
};
const SECOND: Part = Part { key: "second", ..NUMBERS };
const MINUTE: Part = Part { key: "minute", ..NUMBERS };
const HOUR: Part = Part { key: "hour", max: 23, text_max: 23, ..NUMBERS };
const DAY_OF_MONTH: Part =
    Part { key: "dayOfMonth", min: 1, max: 31, text_max: 31, default: "*", ..NUMBERS };
const MONTH: Part = Part {
    key: "month",
    min: 1,
    max: 12,
    text_max: 12,
    names: &[
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ],
    names_from: 1,
    letters: 3,
    default: "*",
};
const YEAR: Part = Part {
    key: "year",
    min: FIRST_YEAR,
    max: LAST_YEAR,
    text_max: LAST_YEAR,
    default: "*",
    ..NUMBERS
};
const DAY_OF_WEEK: Part = Part {
    key: "dayOfWeek",
    max: 6,
    // Sunday, once more.
    text_max: 7,
    names: &["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"],
    letters: 2,
    default: "*",
    ..NUMBERS
};

/// Reads a calendar of texts. What is wrong is added to `errors`, below `path`.
pub(super) fn readings_of_text(
    calendar: &Calendar,
    purpose: Purpose,
    path: &FieldPath,
    errors: &mut Vec<SpecError>,
) -> Readings {
    check_comment(&calendar.comment, purpose, path, errors);
    let mut set = |part: &Part, text: &str| {
        part.parse(text).unwrap_or_else(|(message, help)| {
            errors.push(SpecError::new(path.key(part.key), message).help(help));
            0
        })
    };
    let days_of_week = set(&DAY_OF_WEEK, &calendar.day_of_week);
    Readings {
        seconds: set(&SECOND, &calendar.second) as u64,
        minutes: set(&MINUTE, &calendar.minute) as u64,
        hours: set(&HOUR, &calendar.hour) as u32,
        days_of_month: set(&DAY_OF_MONTH, &calendar.day_of_month) as u32,
        months: set(&MONTH, &calendar.month) as u16,
        // Day 7 is day 0.
        days_of_week: (days_of_week & 0x7f | days_of_week >> 7) as u8,
        days: DayRule::Both,
        years: match calendar.year.trim() {
            "" | "*" => Years::All,
            text => Years::Of(set(&YEAR, text)),
        },
    }
}

/// Reads a calendar of numbers. What is wrong is added to `errors`, below `path`.
pub(super) fn readings_of_numbers(
    calendar: &StructuredCalendar,
    purpose: Purpose,
    path: &FieldPath,
    errors: &mut Vec<SpecError>,
) -> Readings {
    check_comment(&calendar.comment, purpose, path, errors);
    let mut set = |part: &Part, ranges: &[Range]| {
        let ranges = ranges.iter().enumerate();
        ranges.fold(0, |set, (index, range)| {
            let path = path.key(part.key).index(index);
            let numbers = match purpose {
                Purpose::Include => part.numbers(*range, &path, errors),
                Purpose::Exclude => part.excluded_numbers(*range, &path, errors),
            };
            set | numbers.unwrap_or_default()
        })
    };
    Readings {
        seconds: set(&SECOND, &calendar.second) as u64,
        minutes: set(&MINUTE, &calendar.minute) as u64,
        hours: set(&HOUR, &calendar.hour) as u32,
        days_of_month: set(&DAY_OF_MONTH, &calendar.day_of_month) as u32,
        months: set(&MONTH, &calendar.month) as u16,
        days_of_week: set(&DAY_OF_WEEK, &calendar.day_of_week) as u8,
        days: DayRule::Both,
        years: match calendar.year.as_slice() {
            [] => Years::All,
            ranges => Years::Of(set(&YEAR, ranges)),
        },
    }
}

fn check_comment(comment: &str, purpose: Purpose, path: &FieldPath, errors: &mut Vec<SpecError>) {
    if purpose == Purpose::Include && comment.len() > COMMENT_MAX {
        let message = format!("the comment is {} bytes long", comment.len());
        errors.push(
            SpecError::new(path.key("comment"), message)
                .help(format!("it is at most {COMMENT_MAX} bytes long")),
        );
    }
}

/// What is wrong with a text, and what to do about it.
type Wrong = (String, String);

impl Part {
    /// The mask of a range of numbers; bit 0 is the value 0, for years [`FIRST_YEAR`].
    fn mask(&self, start: i64, end: i64, step: usize) -> u128 {
        let zero = if self.min == FIRST_YEAR { FIRST_YEAR } else { 0 };
        (start..=end).step_by(step).fold(0, |mask, value| mask | 1 << (value - zero))
    }

    fn numbers(&self, range: Range, path: &FieldPath, errors: &mut Vec<SpecError>) -> Option<u128> {
        let (start, end) = (i64::from(range.start), i64::from(range.end));
        let allowed = format!("in the range {} to {}", self.min, self.max);
        let mut wrong = |key: &str, message: String| {
            errors.push(SpecError::new(path.key(key), message));
            None
        };
        if start < self.min || start > self.max {
            return wrong("start", format!("{start} is not {allowed}"));
        }
        if end != 0 && (end < start || end > self.max) {
            return wrong("end", format!("{end} is before the start {start} or not {allowed}"));
        }
        let Ok(step) = usize::try_from(range.step) else {
            return wrong("step", format!("the step {} is negative", range.step));
        };
        Some(self.mask(start, end.max(start), step.max(1)))
    }

    /// The mask of a range that is left out: what is beyond the part leaves nothing out. Where
    /// Temporal would crash or never end, the range is refused.
    fn excluded_numbers(
        &self,
        range: Range,
        path: &FieldPath,
        errors: &mut Vec<SpecError>,
    ) -> Option<u128> {
        let (start, end) = (i64::from(range.start), i64::from(range.end.max(range.start)));
        for (key, number) in [("start", range.start), ("step", range.step)] {
            if number < 0 {
                errors.push(SpecError::new(path.key(key), format!("{number} is negative")));
                return None;
            }
        }
        let step = i64::from(range.step.max(1));
        // The first number of the range that the part has.
        let skipped = (self.min - start).max(0);
        let first = start + (skipped + step - 1) / step * step;
        Some(self.mask(first, end.min(self.max), usize::try_from(step).unwrap_or(1)))
    }

    /// The mask of a text.
    fn parse(&self, text: &str) -> Result<u128, Wrong> {
        let text = match text.trim() {
            "" => self.default,
            text => text,
        };
        text.split(',').try_fold(0, |mask, item| Ok(mask | self.parse_item(item)?))
    }

    fn parse_item(&self, item: &str) -> Result<u128, Wrong> {
        let (range, step) = match item.split_once('/') {
            None => (item, None),
            Some((_, step)) if step.contains('/') => {
                return Err(self.wrong(format!("`{item}` has more than one `/`")));
            }
            Some((range, step)) => {
                let number = integer(step).and_then(|step| usize::try_from(step).ok());
                let Some(number) = number.filter(|&step| step > 0) else {
                    return Err(
                        self.wrong(format!("`{item}` has a step that is not a number from 1 on"))
                    );
                };
                (range, Some(number))
            }
        };
        let (start, end) = match range.split_once('-') {
            _ if range == "*" => (self.min, self.text_max),
            None => {
                let start = self.value(range)?;
                (start, if step.is_some() { self.text_max } else { start })
            }
            Some((_, end)) if end.contains('-') => {
                return Err(self.wrong(format!("`{range}` has more than one `-`")));
            }
            Some((start, end)) => (self.value(start)?, self.value(end)?),
        };
        if end < start {
            return Err(self.wrong(format!("`{range}` ends before it begins")));
        }
        Ok(self.mask(start, end, step.unwrap_or(1)))
    }

    fn value(&self, text: &str) -> Result<i64, Wrong> {
        let lower = text.to_lowercase();
        let named = self.names.iter().position(|name| name.starts_with(&lower));
        let value = match named {
            Some(index) if self.letters <= text.len() => Some(self.names_from + index as i64),
            _ => integer(text),
        };
        match value {
            Some(value) if (self.min..=self.text_max).contains(&value) => Ok(value),
            Some(_) => Err(self
                .wrong(format!("`{text}` is not in the range {} to {}", self.min, self.text_max))),
            None if text.is_empty() => Err(self.wrong("a value is missing".to_owned())),
            None => {
                let name = if self.names.is_empty() { "" } else { " or a name" };
                Err(self.wrong(format!("`{text}` is not a number{name}")))
            }
        }
    }

    fn wrong(&self, message: String) -> Wrong {
        let names = match self.names {
            [first, .., last] => format!(" or `{first}` to `{last}`"),
            _ => String::new(),
        };
        let (min, max) = (self.min, self.text_max);
        let help = format!(
            "it is `*`, or a comma list of {min} to {max}{names}, ranges such as `{}-{}` and steps such as `*/2`",
            min + 1,
            min + 5
        );
        (message, help)
    }
}

/// A number as Go's `Atoi` reads it: maybe a sign, and decimal digits.
fn integer(text: &str) -> Option<i64> {
    text.parse().ok()
}
