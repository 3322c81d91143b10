//! The `time` filter: the time of day at which the event was taken in.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use tripline_config::{FieldPath, Problem};

use super::Answer;
use super::trace::Trace;
use crate::codes;
use crate::definition::TimeFilter;
use crate::go_time::time_of_day;
use crate::view::EventView;

/// A span of the day in a time zone.
#[derive(Clone, Debug)]
pub(super) struct TimeOfDay {
    span: Result<Span, Arc<str>>,
    wanted: Box<str>,
}

#[derive(Clone, Debug)]
struct Span {
    start: Time,
    stop: Time,
    zone: TimeZone,
}

impl TimeOfDay {
    pub(super) fn compile(
        filter: &TimeFilter,
        at: &FieldPath,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut error = None;
        let mut fail = |field: &str, message: String, help: &str| {
            problems.push(Problem::error(codes::BAD_TIME, at.key(field), &*message).help(help));
            error.get_or_insert(message);
        };
        let zone = zone(&filter.timezone);
        if zone.is_none() {
            let message = format!("`{}` is no time zone", filter.timezone);
            fail("timezone", message, "give a name like `Europe/Berlin`, with its capitals");
        }
        let mut time = |field: &str, text: &str| {
            let time = time_of_day(text);
            if time.is_none() {
                let message = format!("`{text}` is no time of the day");
                fail(field, message, "write `HH:MM:SS`, up to 23:59:59");
            }
            time
        };
        let (start, stop) = (time("start", &filter.start), time("stop", &filter.stop));
        if start.is_some() && start == stop {
            let message = "`start` and `stop` are equal: every event passes";
            problems.push(Problem::error(codes::BAD_TIME, at.key("stop"), message));
        }
        let span = match (start, stop, zone) {
            (Some(start), Some(stop), Some(zone)) => Ok(Span { start, stop, zone }),
            _ => Err(error.unwrap_or_default().into()),
        };
        let zone = if filter.timezone.is_empty() { "UTC" } else { &filter.timezone };
        let wanted = format!("from {} until {} {zone}", filter.start, filter.stop).into();
        Self { span, wanted }
    }

    pub(super) fn evaluate(&self, event: &EventView<'_>, trace: Option<&mut Trace>) -> Answer {
        let time = event.context_time().unwrap_or(ZERO_TIME);
        let answer = self.span.as_ref().map_err(Arc::clone).and_then(|span| {
            span.contains(time).ok_or_else(|| "the event's time is out of range".into())
        });
        if let Some(trace) = trace {
            let found = match &self.span {
                Ok(span) => time.to_zoned(span.zone.clone()).to_string(),
                Err(_) => time.to_string(),
            };
            trace.push("filters.time".to_owned(), "time", Some(&found), &self.wanted, &answer);
        }
        answer
    }
}

/// Go's zero time, 0001-01-01T00:00:00Z: that of an event without one.
const ZERO_TIME: Timestamp = Timestamp::constant(-62_135_596_800, 0);

/// The zone of a name as Go finds it: with exactly these capitals.
fn zone(name: &str) -> Option<TimeZone> {
    if matches!(name, "" | "UTC" | "Local") {
        return Some(TimeZone::UTC);
    }
    let zone = TimeZone::get(name).ok()?;
    (zone.iana_name() == Some(name)).then_some(zone)
}

impl Span {
    /// Compared are moments: those of `start` and `stop` on the event's date in the zone.
    fn contains(&self, time: Timestamp) -> Option<bool> {
        let date = self.zone.to_datetime(time).date();
        let moment = |of_day: Time| moment(date.to_datetime(of_day), &self.zone);
        let (start, stop) = (moment(self.start)?, moment(self.stop)?);
        Some(if start < stop { start <= time && time < stop } else { start <= time || time < stop })
    }
}

/// The moment of a local time as Go's `time.Date` finds it: by the offset of the moment
/// that the offset at the same reading of UTC leads to. So of two moments the first is
/// meant, and a time that the clock skips is read with the offset behind the change where
/// the zone is west of Greenwich, and with the one before where it is east.
fn moment(local: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let reading = local.to_zoned(TimeZone::UTC).ok()?.timestamp();
    let near = zone.to_offset(reading);
    if near.is_zero() {
        return Some(reading);
    }
    let offset = zone.to_offset(near.to_timestamp(local).ok()?);
    offset.to_timestamp(local).ok()
}
