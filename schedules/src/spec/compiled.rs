//! A schedule whose every part is known to be right.

use base64::Engine as _;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tripline_config::FieldPath;

use super::calendar::{Purpose, readings_of_numbers, readings_of_text};
use super::cron_string::{CronString, Occurs};
use super::interval::{Multiples, parse_duration};
use super::{ScheduleSpec, SpecError, jitter};
use crate::reading::{LAST_YEAR, Readings, start_of_year};
use crate::search::{EXCLUDED_MAX, Search, end_of_excluded};
use crate::span::Span;
use crate::{ClockChange, whole_second, zone};

/// A [`ScheduleSpec`] whose every part is known to be right.
#[derive(Clone, Debug)]
pub struct Compiled {
    included: Vec<Occurs>,
    excluded: Vec<Readings>,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    jitter: SignedDuration,
    zone: TimeZone,
    clock_change: ClockChange,
}

/// An occurrence of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// What the schedule says.
    pub nominal: Timestamp,
    /// When it is acted on: later by the jitter.
    pub at: Timestamp,
}

impl Compiled {
    /// Reads a schedule.
    ///
    /// # Errors
    /// Everything that is wrong with it, at least one mistake.
    pub fn compile(spec: &ScheduleSpec) -> Result<Self, Vec<SpecError>> {
        let mut errors = Vec::new();
        let root = FieldPath::root();
        let mut included = Vec::new();
        for (index, calendar) in spec.structured_calendar.iter().enumerate() {
            let path = root.key("structuredCalendar").index(index);
            let readings = readings_of_numbers(calendar, Purpose::Include, &path, &mut errors);
            included.push(Occurs::Readings(readings));
        }
        for (index, calendar) in spec.calendar.iter().enumerate() {
            let path = root.key("calendar").index(index);
            let readings = readings_of_text(calendar, Purpose::Include, &path, &mut errors);
            included.push(Occurs::Readings(readings));
        }
        for (index, interval) in spec.interval.iter().enumerate() {
            let path = root.key("interval").index(index);
            included.extend(Multiples::parse(interval, &path, &mut errors).map(Occurs::Multiples));
        }
        let cron_zone = cron_strings(spec, &mut included, &mut errors);
        let mut excluded = Vec::new();
        for (index, calendar) in spec.exclude_structured_calendar.iter().enumerate() {
            let path = root.key("excludeStructuredCalendar").index(index);
            excluded.push(readings_of_numbers(calendar, Purpose::Exclude, &path, &mut errors));
        }
        for (index, calendar) in spec.exclude_calendar.iter().enumerate() {
            let path = root.key("excludeCalendar").index(index);
            excluded.push(readings_of_text(calendar, Purpose::Exclude, &path, &mut errors));
        }
        let jitter = spec
            .jitter
            .as_ref()
            .and_then(|text| parse_duration(text, &root.key("jitter"), &mut errors));
        let zone = zone_of(spec, cron_zone.as_deref(), &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            included,
            excluded,
            start: spec.start_time,
            end: spec.end_time,
            jitter: jitter.unwrap_or_default(),
            zone: zone.unwrap_or(TimeZone::UTC),
            clock_change: ClockChange::default(),
        })
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

    /// The first nominal time after `after`, a whole second; `None` if there is none. No
    /// time before 1970 is named unless the schedule starts before, and none after the year
    /// 2100, neither of UTC nor, by a calendar, of its zone.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        self.ticks_after(after).next()
    }

    /// The nominal times after `after`, the same as repeated calls of
    /// [`Compiled::next_after`] and faster.
    pub fn ticks_after(&self, after: Timestamp) -> Ticks<'_> {
        Ticks::new(self, &self.excluded, after)
    }

    /// The first occurrence whose nominal time is after `after`, with the jitter that `seed`
    /// gives it: the same for the same seed and time, as Temporal computes it, and less than
    /// the distance to the nominal time that follows.
    pub fn next_jittered_after(&self, after: Timestamp, seed: &str) -> Option<Tick> {
        let nominal = self.next_after(after)?;
        let mut most = self.jitter;
        // Excluded times count here, as they do in Temporal.
        if most.is_positive()
            && let Some(following) = Ticks::new(self, &[], nominal).unbounded().next()
        {
            most = most.min(following.duration_since(nominal));
        }
        Some(Tick { nominal, at: jitter::delay(nominal, seed, most) })
    }
}

/// Reads the cron strings. They must agree on a zone, which is returned if it has a name.
fn cron_strings(
    spec: &ScheduleSpec,
    included: &mut Vec<Occurs>,
    errors: &mut Vec<SpecError>,
) -> Option<String> {
    let mut zone: Option<String> = None;
    for (index, text) in spec.cron_string.iter().enumerate() {
        let path = FieldPath::root().key("cronString").index(index);
        let Some(cron) = CronString::parse(text, &path, errors) else { continue };
        included.push(cron.occurs);
        match &zone {
            Some(first) if *first != cron.zone => errors.push(conflict(path, &cron.zone, first)),
            _ => zone = Some(cron.zone),
        }
    }
    let zone = zone.filter(|zone| !zone.is_empty())?;
    let path = FieldPath::root().key("timezoneName");
    match spec.timezone_name.as_deref() {
        _ if spec.timezone_data.is_some() => {
            errors.push(conflict(FieldPath::root().key("timezoneData"), "timezoneData", &zone));
        }
        Some(name) if !name.is_empty() && name != zone => errors.push(conflict(path, name, &zone)),
        _ => {}
    }
    Some(zone)
}

fn conflict(path: FieldPath, zone: &str, other: &str) -> SpecError {
    let named = |zone: &str| match zone {
        "" => "no time zone".to_owned(),
        zone => format!("the time zone `{zone}`"),
    };
    let message = format!("{} here, and {} in a cron string", named(zone), named(other));
    SpecError::new(path, message).help(
        "a schedule has one time zone: leave it out of the cron strings, and set `timezoneName`",
    )
}

fn zone_of(
    spec: &ScheduleSpec,
    cron_zone: Option<&str>,
    errors: &mut Vec<SpecError>,
) -> Option<TimeZone> {
    let name = cron_zone.or(spec.timezone_name.as_deref()).unwrap_or_default();
    if let Some(data) = &spec.timezone_data {
        let decoded = base64::engine::general_purpose::STANDARD.decode(data).ok();
        let zone = decoded.and_then(|data| TimeZone::tzif(name, &data).ok());
        if zone.is_none() {
            errors.push(
                SpecError::new(
                    FieldPath::root().key("timezoneData"),
                    "this is not a compiled time zone in base64",
                )
                .help("name the zone in `timezoneName` instead"),
            );
        }
        return zone;
    }
    if name == "Local" {
        return Some(TimeZone::UTC);
    }
    let path =
        FieldPath::root().key(if cron_zone.is_some() { "cronString" } else { "timezoneName" });
    let zone = zone::load(name);
    zone.map_err(|error| errors.push(SpecError::new(path, error.to_string()).help(error.help())))
        .ok()
}

/// The nominal times of a schedule.
#[derive(Clone, Debug)]
pub struct Ticks<'c> {
    compiled: &'c Compiled,
    excluded: &'c [Readings],
    end: Option<Timestamp>,
    /// The first second that the next one may be.
    from: i64,
    parts: Vec<Part<'c>>,
}

/// A part of a schedule, and its next time: before [`Ticks::from`] if it is not yet
/// looked up, `None` if there is none.
#[derive(Clone, Debug)]
struct Part<'c> {
    occurs: &'c Occurs,
    next: Option<i64>,
    span: Option<Span>,
}

impl<'c> Ticks<'c> {
    fn new(compiled: &'c Compiled, excluded: &'c [Readings], after: Timestamp) -> Self {
        // A start within a second lets the whole second in, as Temporal does. A schedule that
        // does not say when it starts does with 1970.
        let start = compiled.start.map_or(0, whole_second);
        let last = Timestamp::from_second(start_of_year(LAST_YEAR + 1) - 1).ok();
        let part = |occurs| Part { occurs, next: Some(i64::MIN), span: None };
        Self {
            compiled,
            excluded,
            end: compiled.end.into_iter().chain(last).min(),
            from: (whole_second(after) + 1).max(start),
            parts: compiled.included.iter().map(part).collect(),
        }
    }

    /// The same beyond the end of the schedule.
    fn unbounded(self) -> Self {
        Self { end: None, ..self }
    }
}

impl Part<'_> {
    fn first(&mut self, compiled: &Compiled, excluded: &[Readings], from: i64) -> Option<i64> {
        match self.occurs {
            Occurs::Readings(readings) => {
                let clock_change = compiled.clock_change;
                let search = Search { readings, excluded, zone: &compiled.zone, clock_change };
                search.first(from, start_of_year(LAST_YEAR + 1), &mut self.span)
            }
            Occurs::Multiples(multiples) => {
                let mut from = from;
                for _ in 0..EXCLUDED_MAX {
                    let found = multiples.first(from)?;
                    if excluded.is_empty() {
                        return Some(found);
                    }
                    let span = Span::cached(&compiled.zone, found, &mut self.span)?;
                    let Some(end) = end_of_excluded(excluded, found + span.offset) else {
                        return Some(found);
                    };
                    // Beyond the change of clocks the readings are others.
                    let end = end - span.offset;
                    from = span.end.map_or(end, |change| end.min(change.at));
                }
                None
            }
        }
    }
}

impl Iterator for Ticks<'_> {
    type Item = Timestamp;

    fn next(&mut self) -> Option<Timestamp> {
        let (compiled, from) = (self.compiled, self.from);
        for part in &mut self.parts {
            if part.next.is_some_and(|next| next < from) {
                part.next = part.first(compiled, self.excluded, from);
            }
        }
        let next = self.parts.iter().filter_map(|part| part.next).min()?;
        let tick = Timestamp::from_second(next).ok()?;
        if self.end.is_some_and(|end| end < tick) {
            return None;
        }
        self.from = next + 1;
        Some(tick)
    }
}
