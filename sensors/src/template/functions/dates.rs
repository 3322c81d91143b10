//! Dates and durations. The local zone is UTC.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

use super::Parameter::{Any, Text, Time};
use super::{Call, Function, new};
use crate::template::layout;
use crate::template::value::Value;

const DATE: &str = "2006-01-02";

pub(super) const FUNCTIONS: &[Function] = &[
    new("now", &[], |call, _| Ok(time(call.now()?.to_zoned(TimeZone::UTC)))),
    new("date", &[Text, Any], |call, values| in_zone(call, values[0].text(), &values[1], "Local")),
    new("dateInZone", &[Text, Any, Text], |call, values| {
        in_zone(call, values[0].text(), &values[1], values[2].text())
    }),
    new("date_in_zone", &[Text, Any, Text], |call, values| {
        in_zone(call, values[0].text(), &values[1], values[2].text())
    }),
    new("htmlDate", &[Any], |call, values| in_zone(call, DATE, &values[0], "Local")),
    new("htmlDateInZone", &[Any, Text], |call, values| {
        in_zone(call, DATE, &values[0], values[1].text())
    }),
    new("dateModify", &[Text, Time], |_, values| {
        Ok(modify(values).unwrap_or_else(|_| values[1].clone()))
    }),
    new("date_modify", &[Text, Time], |_, values| {
        Ok(modify(values).unwrap_or_else(|_| values[1].clone()))
    }),
    new("mustDateModify", &[Text, Time], |_, values| modify(values)),
    new("must_date_modify", &[Text, Time], |_, values| modify(values)),
    new("toDate", &[Text, Text], |_, values| {
        let read = layout::parse(values[0].text(), values[1].text());
        Ok(time(read.unwrap_or_else(|_| layout::zero())))
    }),
    new("mustToDate", &[Text, Text], |_, values| {
        layout::parse(values[0].text(), values[1].text()).map(time)
    }),
    new("unixEpoch", &[Time], |_, values| match &values[0] {
        Value::Time(time) => Ok(layout::seconds(time.timestamp()).to_string().into()),
        _ => Err("a time is wanted".to_owned()),
    }),
    new("ago", &[Any], |call, values| ago(call, &values[0])),
    new("duration", &[Any], |_, values| {
        let seconds = match &values[0] {
            Value::Text(text) => text.parse().unwrap_or(0),
            Value::Int64(seconds) => *seconds,
            _ => 0,
        };
        Ok(write_duration(seconds.wrapping_mul(1_000_000_000)).into())
    }),
    new("durationRound", &[Any], |call, values| {
        let nanoseconds = match &values[0] {
            Value::Text(text) => read_duration(text).unwrap_or(0),
            Value::Int64(nanoseconds) => *nanoseconds,
            Value::Time(time) => since(call, time.timestamp())?,
            _ => 0,
        };
        Ok(round_duration(nanoseconds).into())
    }),
];

fn time(time: Zoned) -> Value {
    Value::Time(time.into())
}

/// A date in a zone; of what is none, now.
fn in_zone(call: &Call<'_>, layout: &str, date: &Value, zone: &str) -> Result<Value, String> {
    let timestamp = match date {
        Value::Time(time) => time.timestamp(),
        Value::Int(seconds) | Value::Int64(seconds) => from_seconds(*seconds)?,
        _ => call.now()?,
    };
    let zone = match zone {
        "Local" | "" | "UTC" => TimeZone::UTC,
        name => TimeZone::get(name).unwrap_or(TimeZone::UTC),
    };
    Ok(layout::format(&timestamp.to_zoned(zone), layout).into())
}

fn from_seconds(seconds: i64) -> Result<Timestamp, String> {
    Timestamp::from_second(seconds).map_err(|_| format!("{seconds} is no time"))
}

fn modify(values: &[Value]) -> Result<Value, String> {
    let text = values[0].text();
    let nanoseconds = read_duration(text).ok_or_else(|| format!("`{text}` is no duration"))?;
    let Value::Time(date) = &values[1] else { return Err("a time is wanted".to_owned()) };
    let moved = date.checked_add(SignedDuration::from_nanos(nanoseconds));
    moved.map(time).map_err(|_| "the time is out of range".to_owned())
}

fn since(call: &Call<'_>, then: Timestamp) -> Result<i64, String> {
    let nanoseconds = call.now()?.as_nanosecond() - then.as_nanosecond();
    Ok(i64::try_from(nanoseconds).unwrap_or(if nanoseconds < 0 { i64::MIN } else { i64::MAX }))
}

/// How long ago, in whole seconds; of what is no date, nothing.
fn ago(call: &Call<'_>, date: &Value) -> Result<Value, String> {
    let nanoseconds = match date {
        Value::Time(time) => since(call, time.timestamp())?,
        Value::Int(seconds) | Value::Int64(seconds) => since(call, from_seconds(*seconds)?)?,
        _ => 0,
    };
    let size = i128::from(nanoseconds).abs();
    let rounded = (size + 500_000_000) / 1_000_000_000 * 1_000_000_000;
    let rounded = i64::try_from(rounded).unwrap_or(i64::MAX);
    Ok(write_duration(if nanoseconds < 0 { -rounded } else { rounded }).into())
}

const UNITS: [(&str, i64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads `1h30m`, `-1.5s`, as Go does; in nanoseconds.
pub(in crate::template) fn read_duration(text: &str) -> Option<i64> {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    let mut total: i128 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let number = &rest[..end];
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        let unit = &rest[end..];
        let size = unit.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(unit.len());
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == &unit[..size])?;
        rest = &unit[size..];
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let digits: String = fraction.chars().take(18).collect();
        let part: i128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
        let parts = 10_i128.pow(u32::try_from(digits.len()).ok()?);
        let scale = i128::from(*scale);
        total = total.checked_add(whole.checked_mul(scale)? + part * scale / parts)?;
    }
    i64::try_from(if text.starts_with('-') { -total } else { total }).ok()
}

/// Writes `1h30m0s`, `1.5s`, `3ms`.
fn write_duration(nanoseconds: i64) -> String {
    let size = nanoseconds.unsigned_abs();
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let with_fraction = |value: u64, scale: u64, unit: &str| {
        let digits = scale.ilog10() as usize;
        let fraction = format!("{:0digits$}", value % scale);
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        format!("{}{point}{}{unit}", value / scale, if scale == 1 { "" } else { fraction })
    };
    match size {
        0 => return "0s".to_owned(),
        1..1_000 => return format!("{sign}{size}ns"),
        1_000..1_000_000 => return format!("{sign}{}", with_fraction(size, 1_000, "µs")),
        1_000_000..1_000_000_000 => {
            return format!("{sign}{}", with_fraction(size, 1_000_000, "ms"));
        }
        _ => {}
    }
    let (hours, minutes) = (size / 3_600_000_000_000, size / 60_000_000_000 % 60);
    let seconds = with_fraction(size % 60_000_000_000, 1_000_000_000, "s");
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}"),
    }
}

/// The largest unit of which there is more than one: `3mo`.
fn round_duration(nanoseconds: i64) -> String {
    const HOUR: u64 = 3_600_000_000_000;
    let size = nanoseconds.unsigned_abs();
    let units = [
        (HOUR * 24 * 365, "y"),
        (HOUR * 24 * 30, "mo"),
        (HOUR * 24, "d"),
        (HOUR, "h"),
        (HOUR / 60, "m"),
        (HOUR / 3600, "s"),
    ];
    match units.iter().find(|(unit, _)| size > *unit) {
        Some((unit, name)) => format!("{}{name}", size / unit),
        None => "0s".to_owned(),
    }
}
