//! Finds the instants at which the clocks of a zone show one of a set of readings.

use jiff::tz::TimeZone;

use crate::reading::{LocalSecond, Readings};
use crate::span::Span;
use crate::{ClockChange, Gap, Overlap};

/// A search gives up after passing over so many stretches of excluded readings: two weeks
/// of seconds, as Temporal does with seconds.
pub(crate) const EXCLUDED_MAX: u32 = 1_209_600;

/// The instants at which the clocks of a zone show one of a set of readings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Search<'s> {
    pub readings: &'s Readings,
    /// Readings that do not count.
    pub excluded: &'s [Readings],
    pub zone: &'s TimeZone,
    pub clock_change: ClockChange,
}

impl Search<'_> {
    /// The first instant from `from` on, in seconds since 1970-01-01T00:00:00Z, whose
    /// reading is in the set and before `until`. Walks from one change of clocks to the
    /// next: in between, time on the clock is time. `span` keeps the stretch that was
    /// looked at last, so that a run of calls looks each up once.
    pub fn first(&self, from: i64, until: LocalSecond, span: &mut Option<Span>) -> Option<i64> {
        let mut patience = EXCLUDED_MAX;
        let mut at = from;
        loop {
            let current = *Span::cached(self.zone, at, span)?;
            let found = self.first_in(&current, at, until, &mut patience);
            if found.is_some() || patience == 0 {
                return found;
            }
            let end = current.end?;
            if end.at + end.offset >= until {
                return None;
            }
            at = end.at;
        }
    }

    fn first_in(
        &self,
        span: &Span,
        from: i64,
        until: LocalSecond,
        patience: &mut u32,
    ) -> Option<i64> {
        let mut low = from + span.offset;
        let mut high = span.end.map_or(until, |end| until.min(end.at + span.offset));
        if !self.readings.names_every_hour() {
            if let Some(start) = span.start {
                // What clocks would have shown at the change. Up to what they do show is left
                // out when they go forward; when they go back, it is what is shown again.
                let expected = start.at + start.offset;
                if self.clock_change.gap == Gap::After
                    && from == start.at
                    && self.first_reading(expected, low, patience).is_some()
                {
                    return Some(start.at);
                }
                if self.clock_change.overlap == Overlap::First {
                    low = low.max(expected);
                }
            }
            if let Some(end) = span.end
                && self.clock_change.overlap == Overlap::Last
            {
                high = high.min(end.at + end.offset);
            }
        }
        self.first_reading(low, high, patience).map(|local| local - span.offset)
    }

    /// The first reading that counts from `low` on and before `high`.
    fn first_reading(
        &self,
        mut low: LocalSecond,
        high: LocalSecond,
        patience: &mut u32,
    ) -> Option<LocalSecond> {
        loop {
            let found = self.readings.next(low, high)?;
            let Some(end) = end_of_excluded(self.excluded, found) else { return Some(found) };
            *patience = patience.saturating_sub(1);
            if *patience == 0 {
                return None;
            }
            low = end;
        }
    }
}

/// A reading up to which all are excluded from `local` on; `None` if `local` is not.
pub(crate) fn end_of_excluded(excluded: &[Readings], local: LocalSecond) -> Option<LocalSecond> {
    let covering = excluded.iter().filter(|readings| readings.contains(local));
    covering.map(|readings| readings.end_of_run(local)).max()
}
