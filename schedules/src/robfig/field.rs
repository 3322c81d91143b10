//! One field of a cron schedule.

use super::CronError;

/// What a field is called and may hold.
#[derive(Debug)]
pub(super) struct Field {
    name: &'static str,
    min: u64,
    max: u64,
    /// Names of the values from `min` on.
    names: &'static [&'static str],
}

const NO_NAMES: &[&str] = &[];
const MONTHS: &[&str] =
    &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

pub(super) const MINUTE: Field = Field { name: "minute", min: 0, max: 59, names: NO_NAMES };
pub(super) const HOUR: Field = Field { name: "hour", min: 0, max: 23, names: NO_NAMES };
pub(super) const DAY_OF_MONTH: Field =
    Field { name: "day of month", min: 1, max: 31, names: NO_NAMES };
pub(super) const MONTH: Field = Field { name: "month", min: 1, max: 12, names: MONTHS };
pub(super) const DAY_OF_WEEK: Field = Field { name: "day of week", min: 0, max: 6, names: DAYS };

/// The values that a field allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FieldSet {
    /// A mask, with bit 0 for the value 0.
    pub values: u64,
    /// Whether it is unrestricted by a star: `*`, `?` or either with step 1.
    pub star: bool,
}

impl FieldSet {
    /// Reads a comma list. Stray commas are dropped, as robfig/cron does; of commas alone
    /// nothing is left, and the schedule never occurs.
    pub fn parse(text: &str, field: &Field) -> Result<Self, CronError> {
        let mut set = Self { values: 0, star: false };
        for item in text.split(',').filter(|item| !item.is_empty()) {
            let item = parse_item(item, field)?;
            set.values |= item.values;
            set.star |= item.star;
        }
        Ok(set)
    }
}

fn parse_item(item: &str, field: &Field) -> Result<FieldSet, CronError> {
    let mut parts = item.split('/');
    let range = parts.next().unwrap_or_default();
    let step = parts.next();
    if parts.next().is_some() {
        return Err(field.error(format!("`{item}` has more than one `/`")));
    }
    let mut ends = range.split('-');
    let first = ends.next().unwrap_or_default();
    let (start, mut end, star) = if first == "*" || first == "?" {
        // Whatever follows a `-` here is ignored, as robfig/cron does.
        (field.min, field.max, true)
    } else {
        let start = field.value(first, item)?;
        let end = ends.next().map(|end| field.value(end, item)).transpose()?;
        if ends.next().is_some() {
            return Err(field.error(format!("`{item}` has more than one `-`")));
        }
        (start, end.unwrap_or(start), false)
    };
    let step = match step {
        None => 1,
        Some(step) => {
            if !range.contains('-') {
                end = field.max;
            }
            field.number(step, item)?
        }
    };
    if start < field.min || end > field.max {
        let outside = if start < field.min { start } else { end };
        return Err(field.outside(item, outside));
    }
    if start > end {
        return Err(field.error(format!("`{item}` ends before it begins")).with_help(field));
    }
    if step == 0 {
        return Err(field.error(format!("`{item}` has a step of 0; steps are 1 or more")));
    }
    let step = usize::try_from(step).unwrap_or(usize::MAX);
    let values = (start..=end).step_by(step).fold(0, |values, value| values | 1 << value);
    Ok(FieldSet { values, star: star && step == 1 })
}

impl Field {
    fn value(&self, text: &str, item: &str) -> Result<u64, CronError> {
        let lower = text.to_lowercase();
        match self.names.iter().position(|&name| name == lower) {
            Some(index) => Ok(self.min + index as u64),
            None => self.number(text, item),
        }
    }

    fn number(&self, text: &str, item: &str) -> Result<u64, CronError> {
        // A plus sign and leading zeros are allowed, as in Go's Atoi.
        let digits = text.strip_prefix('+').unwrap_or(text);
        let number = if digits.bytes().all(|c| c.is_ascii_digit()) { digits } else { "" };
        let number: Option<i64> = number.parse().ok();
        number.and_then(|number| u64::try_from(number).ok()).ok_or_else(|| {
            let found = if text == item {
                format!("`{item}` is")
            } else {
                format!("`{text}` in `{item}` is")
            };
            let name = if self.names.is_empty() { "" } else { " or a three-letter name" };
            self.error(format!("{found} not a number{name}")).with_help(self)
        })
    }

    fn outside(&self, item: &str, value: u64) -> CronError {
        let found = if item == value.to_string() {
            format!("`{item}` is")
        } else {
            format!("{value} in `{item}` is")
        };
        let error = self.error(format!("{found} not in the range {} to {}", self.min, self.max));
        match (self.name, value) {
            ("day of week", 7) => CronError { help: Some("Sunday is 0".to_owned()), ..error },
            _ => error.with_help(self),
        }
    }

    fn error(&self, what: String) -> CronError {
        CronError { field: Some(self.name), message: format!("{}: {what}", self.name), help: None }
    }

    fn help(&self) -> String {
        let names = match self.names {
            [first, .., last] => {
                format!(" or `{}` to `{}`", first.to_uppercase(), last.to_uppercase())
            }
            _ => String::new(),
        };
        format!(
            "{} is `*`, or a list of {} to {}{names}, ranges such as `{}-{}` and steps such as `*/2`",
            self.name,
            self.min,
            self.max,
            self.min + 1,
            self.min + 5
        )
    }
}

impl CronError {
    fn with_help(mut self, field: &Field) -> Self {
        self.help = Some(field.help());
        self
    }
}
