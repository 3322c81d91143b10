//! When a schedule occurs, whatever it was written in.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::exclusion::Exclusions;
use crate::reading::LAST_YEAR;
use crate::robfig::Cron;
use crate::spec::{Compiled, Tick};
use crate::whole_second;

/// Specs, cron schedules and single instants together, without what is left out. An
/// instant that several of them name is one tick.
#[derive(Clone, Debug, Default)]
pub struct Timetable {
    parts: Vec<Part>,
    exclusions: Exclusions,
}

/// One of the things that a timetable is made of.
#[derive(Clone, Debug)]
pub enum Part {
    /// In Temporal's terms.
    Spec(Box<Compiled>),
    /// In robfig's. The delay of `@every` becomes multiples since 1970-01-01T00:00:00Z, so that
    /// a restart does not move the ticks; robfig counts from when it was loaded.
    Cron(Box<Cron>),
    /// Single instants.
    At(At),
}

/// Instants, the earliest first.
#[derive(Clone, Debug)]
pub struct At {
    instants: Vec<Timestamp>,
    zone: TimeZone,
}

impl At {
    /// These instants. `zone` is the one in which days are left out.
    pub fn new(mut instants: Vec<Timestamp>, zone: TimeZone) -> Self {
        instants.sort_unstable();
        Self { instants, zone }
    }

    fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let passed = self.instants.partition_point(|instant| *instant <= after);
        self.instants.get(passed).copied()
    }
}

impl From<Compiled> for Timetable {
    fn from(spec: Compiled) -> Self {
        Self::new(vec![Part::Spec(Box::new(spec))], Exclusions::default())
    }
}

impl Part {
    /// The zone whose clocks count.
    pub fn zone(&self) -> &TimeZone {
        match self {
            Self::Spec(spec) => spec.zone(),
            Self::Cron(cron) => cron.zone(),
            Self::At(at) => &at.zone,
        }
    }

    fn next_after(&self, after: Timestamp, seed: &str) -> Option<Tick> {
        match self {
            Self::Spec(spec) => spec.next_jittered_after(after, seed),
            Self::Cron(cron) => {
                let nominal = next_of_cron(cron, after)?;
                Some(Tick { nominal, at: nominal })
            }
            Self::At(at) => {
                let nominal = at.next_after(after)?;
                Some(Tick { nominal, at: nominal })
            }
        }
    }

    fn nominal_after(&self, after: Timestamp) -> Box<dyn Iterator<Item = Timestamp> + '_> {
        match self {
            Self::Spec(spec) => Box::new(spec.ticks_after(after)),
            Self::Cron(cron) if cron.every().is_some() => {
                Box::new(std::iter::successors(next_of_cron(cron, after), |tick| {
                    next_of_cron(cron, *tick)
                }))
            }
            Self::Cron(cron) => Box::new(cron.ticks_after(after)),
            Self::At(at) => {
                let passed = at.instants.partition_point(|instant| *instant <= after);
                Box::new(at.instants[passed..].iter().copied())
            }
        }
    }
}

fn next_of_cron(cron: &Cron, after: Timestamp) -> Option<Timestamp> {
    let Some(every) = cron.every() else { return cron.next_after(after) };
    let (every, after) = (every.as_secs(), whole_second(after));
    let next = after.div_euclid(every).checked_add(1)?.checked_mul(every)?;
    Timestamp::from_second(next).ok()
}

impl Timetable {
    /// These parts, without what is left out.
    pub fn new(parts: Vec<Part>, exclusions: Exclusions) -> Self {
        Self { parts, exclusions }
    }

    /// What it is made of.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The first zone that is not UTC, to show times in.
    pub fn zone(&self) -> TimeZone {
        let mut zones = self.parts.iter().map(Part::zone);
        zones.find(|zone| **zone != TimeZone::UTC).cloned().unwrap_or(TimeZone::UTC)
    }

    /// The first tick whose nominal time is after `after`, with the jitter that `seed` gives
    /// it; `None` if there is none.
    pub fn next_after(&self, after: Timestamp, seed: &str) -> Option<Tick> {
        let ticks = self.parts.iter().filter_map(|part| self.next_of(part, after, seed));
        ticks.min_by_key(|tick| (tick.nominal, tick.at))
    }

    /// Each step passes the end of an exclusion, and calendars end: the work is bounded.
    fn next_of(&self, part: &Part, mut after: Timestamp, seed: &str) -> Option<Tick> {
        loop {
            let tick = part.next_after(after, seed)?;
            match self.end_of_exclusion(tick.nominal, part.zone()) {
                None => return Some(tick),
                Some(end) if in_calendar(end) => after = end,
                Some(_) => return None,
            }
        }
    }

    fn end_of_exclusion(&self, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        if self.exclusions.is_empty() {
            return None;
        }
        self.exclusions.end_of(at, zone)
    }

    /// The nominal times after `after`: the same as repeated calls of [`Self::next_after`],
    /// and faster.
    pub fn ticks_after(&self, after: Timestamp) -> Ticks<'_> {
        let mut parts: Vec<_> = self
            .parts
            .iter()
            .map(|part| {
                let zone = part.zone();
                let kept = move |at: &Timestamp| self.end_of_exclusion(*at, zone).is_none();
                let bounded = part.nominal_after(after).take_while(|at| in_calendar(*at));
                Box::new(bounded.filter(kept)) as Box<dyn Iterator<Item = Timestamp>>
            })
            .collect();
        let next = parts.iter_mut().enumerate();
        let next = next.filter_map(|(index, part)| Some(Reverse((part.next()?, index)))).collect();
        Ticks { parts, next }
    }
}

/// Whether calendars still name this time.
fn in_calendar(at: Timestamp) -> bool {
    crate::reading::year_of(at.as_second()) <= LAST_YEAR + 1
}

/// The nominal times of a timetable.
pub struct Ticks<'t> {
    parts: Vec<Box<dyn Iterator<Item = Timestamp> + 't>>,
    next: BinaryHeap<Reverse<(Timestamp, usize)>>,
}

impl Iterator for Ticks<'_> {
    type Item = Timestamp;

    fn next(&mut self) -> Option<Timestamp> {
        let Reverse((tick, _)) = *self.next.peek()?;
        while let Some(Reverse((same, part))) = self.next.peek().copied()
            && same == tick
        {
            self.next.pop();
            self.next.extend(self.parts[part].next().map(|next| Reverse((next, part))));
        }
        Some(tick)
    }
}

#[cfg(test)]
mod tests {
    use tripline_config::FieldPath;

    use super::*;
    use crate::exclusion::HolidayCalendar;
    use crate::spec::ScheduleSpec;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn cron(text: &str) -> Part {
        Part::Cron(Box::new(Cron::parse(text, &TimeZone::UTC).unwrap()))
    }

    fn spec(text: &str) -> Part {
        let spec = ScheduleSpec { cron_string: vec![text.to_owned()], ..Default::default() };
        Part::Spec(Box::new(Compiled::compile(&spec).unwrap()))
    }

    fn without(days: &[&str]) -> Exclusions {
        let days = days.iter().map(|day| (*day).to_owned()).collect();
        let calendar = HolidayCalendar { days, periods: Vec::new() };
        Exclusions::compile([(FieldPath::root(), &calendar)], &mut Vec::new())
    }

    #[test]
    fn an_instant_that_several_parts_name_is_one_tick() {
        let parts = vec![cron("0 * * * *"), spec("*/30 * * * *"), cron("@every 20m")];
        let table = Timetable::new(parts, Exclusions::default());
        let ticks: Vec<String> = table
            .ticks_after(at("2026-01-01T00:00:00Z"))
            .take(6)
            .map(|tick| tick.strftime("%H:%M").to_string())
            .collect();
        assert_eq!(ticks, ["00:20", "00:30", "00:40", "01:00", "01:20", "01:30"]);
    }

    #[test]
    fn ticks_one_by_one_are_the_same_as_in_a_row() {
        let instants = At::new(vec![at("2026-01-03T10:00:00Z")], TimeZone::UTC);
        let parts = vec![spec("7 */5 * * *"), cron("0 10 * * 1-5"), Part::At(instants)];
        let table = Timetable::new(parts, without(&["2026-01-02", "01-05"]));
        let after = at("2026-01-01T00:00:00Z");
        let row: Vec<Timestamp> = table.ticks_after(after).take(40).collect();
        let mut last = after;
        for tick in row {
            assert_eq!(table.next_after(last, "").unwrap().nominal, tick);
            assert_ne!(tick.strftime("%F").to_string(), "2026-01-02");
            last = tick;
        }
    }

    #[test]
    fn a_schedule_that_occurs_on_excluded_days_alone_never_does() {
        let table = Timetable::new(vec![spec("0 12 25 12 *")], without(&["12-25"]));
        assert_eq!(table.next_after(at("2026-01-01T00:00:00Z"), ""), None);
        assert_eq!(table.ticks_after(at("2026-01-01T00:00:00Z")).next(), None);
    }
}
