//! Finds the instants at which the clocks of a zone show one of a set of readings.

use jiff::tz::TimeZone;

use crate::reading::Readings;
use crate::span::Span;
use crate::{ClockChange, Gap, Overlap};

/// The instants at which the clocks of a zone show one of a set of readings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Search<'s> {
    pub readings: &'s Readings,
    pub zone: &'s TimeZone,
    pub clock_change: ClockChange,
}

impl Search<'_> {
    /// The first instant from `from` on, in seconds since 1970-01-01T00:00:00Z, whose
    /// reading is in the set and before `until`. Walks from one change of clocks to the
    /// next: in between, time on the clock is time. `span` keeps the stretch that was
    /// looked at last, so that a run of calls looks each up once.
    pub fn first(&self, from: i64, until: i64, span: &mut Option<Span>) -> Option<i64> {
        let mut at = from;
        loop {
            let current = match span {
                Some(span) if span.contains(at) => *span,
                _ => *span.insert(Span::around(self.zone, at)?),
            };
            if let Some(found) = self.first_in(&current, at, until) {
                return Some(found);
            }
            let end = current.end?;
            if end.at + end.offset >= until {
                return None;
            }
            at = end.at;
        }
    }

    fn first_in(&self, span: &Span, from: i64, until: i64) -> Option<i64> {
        let real_time = self.readings.names_every_hour();
        let mut low = from + span.offset;
        let mut high = span.end.map_or(until, |end| until.min(end.at + span.offset));
        if let Some(start) = span.start
            && !real_time
        {
            // What clocks showed just before the change; up to here is left out when they
            // went forward, and shown again when they went back.
            let left_out = start.at + start.offset..start.at + span.offset;
            if self.clock_change.gap == Gap::After
                && from == start.at
                && self.readings.next(left_out.start, left_out.end).is_some()
            {
                return Some(start.at);
            }
            if self.clock_change.overlap == Overlap::First {
                low = low.max(start.at + start.offset);
            }
        }
        if let Some(end) = span.end
            && !real_time
            && self.clock_change.overlap == Overlap::Last
        {
            high = high.min(end.at + end.offset);
        }
        self.readings.next(low, high).map(|local| local - span.offset)
    }
}
