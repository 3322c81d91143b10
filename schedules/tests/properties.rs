//! The arithmetic against a slow enumeration of every minute or second, in random zones and
//! years, most of it around changes of clocks.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use tripline_schedules::robfig::Cron;
use tripline_schedules::spec::{Calendar, Compiled, ScheduleSpec};
use tripline_schedules::{ClockChange, Gap, Overlap, zone};

/// A field of a schedule: as it is written, and the numbers that it means.
#[derive(Clone, Debug)]
struct Field {
    text: String,
    values: BTreeSet<i8>,
    star: bool,
}

fn star(min: i8, max: i8) -> Field {
    Field { text: "*".to_owned(), values: (min..=max).collect(), star: true }
}

fn item(min: i8, max: i8) -> impl Strategy<Value = Field> {
    (min..=max, min..=max, 1..=max, 0..5).prop_map(move |(a, b, step, kind)| {
        let (start, end) = (a.min(b), a.max(b));
        let (text, last, by) = match kind {
            0 => (format!("{start}"), start, 1),
            1 => (format!("{start}-{end}"), end, 1),
            2 => (format!("{start}-{end}/{step}"), end, step),
            3 => (format!("{start}/{step}"), max, step),
            _ => (format!("*/{step}"), max, step),
        };
        let first = if kind == 4 { min } else { start };
        let values = (first..=last).step_by(by as usize).collect();
        Field { text, values, star: kind == 4 && step == 1 }
    })
}

fn field(min: i8, max: i8) -> impl Strategy<Value = Field> {
    let list = prop::collection::vec(item(min, max), 1..3).prop_map(|items| Field {
        text: items.iter().map(|item| item.text.as_str()).collect::<Vec<_>>().join(","),
        values: items.iter().flat_map(|item| item.values.iter().copied()).collect(),
        star: items.iter().any(|item| item.star),
    });
    prop_oneof![2 => Just(star(min, max)), 3 => list]
}

/// Second, minute, hour, day of month, month and day of week.
#[derive(Clone, Debug)]
struct Fields([Field; 6]);

fn fields() -> impl Strategy<Value = Fields> {
    // Mostly every day, so that there is something to find near a change of clocks.
    let days = prop_oneof![
        2 => Just((star(1, 31), star(1, 12), star(0, 6))),
        1 => (field(1, 31), field(1, 12), field(0, 6)),
    ];
    // With every hour the rule for changes of clocks does not matter.
    let hour = prop_oneof![1 => field(0, 23), 2 => item(0, 23)];
    (field(0, 59), field(0, 59), hour, days).prop_map(
        |(second, minute, hour, (day, month, weekday))| {
            Fields([second, minute, hour, day, month, weekday])
        },
    )
}

impl Fields {
    fn cron_text(&self) -> String {
        let texts: Vec<&str> = self.0[1..].iter().map(|field| field.text.as_str()).collect();
        texts.join(" ")
    }

    fn calendar(&self) -> Calendar {
        let [second, minute, hour, day, month, _] = self.0.clone().map(|field| field.text);
        // In a calendar steps may reach 7, which is Sunday again; cron ends with 6.
        let weekday: Vec<String> = self.0[5].values.iter().map(ToString::to_string).collect();
        Calendar {
            second,
            minute,
            hour,
            day_of_month: day,
            month,
            day_of_week: weekday.join(","),
            ..Calendar::default()
        }
    }

    /// Whether the clock reading matches; `either` of the days suffices, or both must.
    fn matches(&self, local: DateTime, either: bool) -> bool {
        let [second, minute, hour, day, month, weekday] = &self.0;
        let day_matches = day.values.contains(&local.day());
        let weekday_matches = weekday.values.contains(&local.weekday().to_sunday_zero_offset());
        second.values.contains(&local.second())
            && minute.values.contains(&local.minute())
            && hour.values.contains(&local.hour())
            && month.values.contains(&local.month())
            && if either { day_matches || weekday_matches } else { day_matches && weekday_matches }
    }

    fn either_day(&self) -> bool {
        !self.0[3].star && !self.0[5].star
    }
}

/// Where a moment is looked for.
#[derive(Clone, Copy, Debug)]
enum Near {
    Anything,
    ClocksForward,
    ClocksBack,
}

/// Zones with changes of clocks of every kind: by half an hour and two hours, at midnight,
/// across the date line, negative in winter, announced year by year.
const LIVELY: [&str; 12] = [
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/Caracas",
    "America/New_York",
    "America/Santiago",
    "Antarctica/Troll",
    "Asia/Pyongyang",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Europe/Dublin",
    "Pacific/Apia",
    "Pacific/Kwajalein",
];

/// A zone and a moment in it, most of them at most 25 hours before a change of its clocks.
fn place() -> impl Strategy<Value = (TimeZone, Timestamp)> {
    let names: Vec<&'static str> = zone::names().collect();
    let names = prop_oneof![prop::sample::select(names), prop::sample::select(LIVELY.to_vec())];
    // From 1973 on, when the last zone had come to offsets of whole minutes.
    let second = 100_000_000..4_000_000_000_i64;
    let near = prop::sample::select(vec![Near::Anything, Near::ClocksForward, Near::ClocksBack]);
    (names, second, near, 0..90_000_i64).prop_map(|(name, second, near, before)| {
        let zone = zone::load(name).unwrap();
        let mut at = Timestamp::from_second(second).unwrap();
        let mut offset = zone.to_offset(at);
        for change in zone.following(at).take(4) {
            let forward = change.offset() > offset;
            offset = change.offset();
            match near {
                Near::ClocksForward if forward => {}
                Near::ClocksBack if !forward => {}
                _ => continue,
            }
            at = change.timestamp() - SignedDuration::from_secs(before);
            break;
        }
        (zone, at)
    })
}

fn clock_change() -> impl Strategy<Value = ClockChange> {
    let gap = prop::sample::select(vec![Gap::Skip, Gap::After]);
    let overlap = prop::sample::select(vec![Overlap::Both, Overlap::First, Overlap::Last]);
    (gap, overlap).prop_map(|(gap, overlap)| ClockChange { gap, overlap })
}

/// No change of clocks is larger, and no two are closer.
const LARGEST_CHANGE: SignedDuration = SignedDuration::from_hours(25);

/// The instants after `after` and up to `until`, each a multiple of `step`, that the rule for
/// changes of clocks lets match: by looking at every one of them.
fn enumerate(
    fields: &Fields,
    either: bool,
    zone: &TimeZone,
    rule: ClockChange,
    (after, until): (Timestamp, Timestamp),
    step: SignedDuration,
) -> Vec<Timestamp> {
    let step_s = step.as_secs();
    let align =
        |at: Timestamp| Timestamp::from_second(at.as_second().div_euclid(step_s) * step_s).unwrap();
    let real_time = fields.0[2].values.len() == 24;
    let widely = !real_time && rule != ClockChange::default();
    let margin = if widely { LARGEST_CHANGE } else { step };
    let mut instants: BTreeMap<DateTime, Vec<Timestamp>> = BTreeMap::new();
    let mut ticks = BTreeSet::new();
    let mut at = align(after - margin);
    let mut previous: Option<DateTime> = None;
    while at <= until + margin {
        let local = zone.to_datetime(at);
        // Readings that are left out between the last step and this one.
        let mut left_out = previous.map(|previous| previous + step);
        while let Some(missing) = left_out.filter(|&missing| missing < local) {
            if widely && rule.gap == Gap::After && fields.matches(missing, either) {
                ticks.insert(at);
            }
            left_out = Some(missing + step);
        }
        if fields.matches(local, either) {
            instants.entry(local).or_default().push(at);
        }
        previous = Some(local);
        at += step;
    }
    for same_reading in instants.values() {
        match rule.overlap {
            Overlap::First if !real_time => ticks.extend(same_reading.first()),
            Overlap::Last if !real_time => ticks.extend(same_reading.last()),
            _ => ticks.extend(same_reading),
        }
    }
    ticks.into_iter().filter(|&tick| after < tick && tick <= until).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn cron_names_the_minutes_whose_reading_matches(
        fields in fields(), (zone, after) in place(), rule in clock_change(),
    ) {
        let mut fields = fields;
        fields.0[0] = Field { text: "0".to_owned(), values: [0].into(), star: false };
        let until = after + SignedDuration::from_hours(30);
        let cron = Cron::parse(&fields.cron_text(), &zone).unwrap().with_clock_change(rule);
        let found: Vec<Timestamp> =
            cron.ticks_after(after).take_while(|&tick| tick <= until).collect();
        let minute = SignedDuration::from_mins(1);
        let expected =
            enumerate(&fields, fields.either_day(), &zone, rule, (after, until), minute);
        prop_assert_eq!(&found, &expected, "{}", fields.cron_text());
        // Asked one by one, the ticks are the same.
        let mut last = after;
        for &tick in found.iter().take(50) {
            prop_assert_eq!(cron.next_after(last), Some(tick));
            last = tick;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..Default::default() })]

    #[test]
    fn calendars_name_the_seconds_whose_reading_matches(
        included in fields(), excluded in fields(), (zone, after) in place(),
    ) {
        let until = after + SignedDuration::from_hours(4);
        let spec = ScheduleSpec {
            calendar: vec![included.calendar()],
            exclude_calendar: vec![excluded.calendar()],
            timezone_name: zone.iana_name().map(str::to_owned),
            ..ScheduleSpec::default()
        };
        let compiled = Compiled::compile(&spec).unwrap();
        let found: Vec<Timestamp> =
            compiled.ticks_after(after).take_while(|&tick| tick <= until).collect();
        let second = SignedDuration::from_secs(1);
        let rule = ClockChange::default();
        let mut expected = enumerate(&included, false, &zone, rule, (after, until), second);
        expected.retain(|&tick| !excluded.matches(zone.to_datetime(tick), false));
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn intervals_name_multiples_that_are_not_excluded(
        interval in 1..100_000_i64, phase in 0..100_000_i64,
        excluded in fields(), (zone, after) in place(),
    ) {
        let phase = phase % interval;
        let spec = ScheduleSpec {
            interval: vec![tripline_schedules::spec::Interval {
                interval: format!("{interval}s"),
                phase: Some(format!("{phase}s")),
            }],
            exclude_calendar: vec![excluded.calendar()],
            timezone_name: zone.iana_name().map(str::to_owned),
            ..ScheduleSpec::default()
        };
        let compiled = Compiled::compile(&spec).unwrap();
        let until = after + SignedDuration::from_secs(interval.max(100) * 40);
        let found: Vec<Timestamp> =
            compiled.ticks_after(after).take_while(|&tick| tick <= until).collect();
        let first = after.as_second() - (after.as_second() - phase).rem_euclid(interval);
        let expected: Vec<Timestamp> = (1_i64..)
            .map(|n| Timestamp::from_second(first + n * interval).unwrap())
            .take_while(|&tick| tick <= until)
            .filter(|&tick| !excluded.matches(zone.to_datetime(tick), false))
            .collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn ticks_strictly_increase_over_years(
        fields in fields(), (zone, after) in place(), rule in clock_change(),
    ) {
        let cron = Cron::parse(&fields.cron_text(), &zone).unwrap().with_clock_change(rule);
        let mut last = after;
        for tick in cron.ticks_after(after).take(2_000) {
            prop_assert!(last < tick, "{} after {}", tick, last);
            last = tick;
        }
    }
}
