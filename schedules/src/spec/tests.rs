use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::{ClockChange, Gap, Overlap};

fn compile(spec: Value) -> Compiled {
    Compiled::compile(&serde_json::from_value(spec).unwrap()).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn ticks(compiled: &Compiled, after: &str, until: &str) -> Vec<String> {
    let until = at(until);
    let ticks = compiled.ticks_after(at(after)).take_while(|&tick| tick < until);
    ticks.map(|tick| tick.to_string()).collect()
}

#[test]
fn all_mistakes_are_found_each_at_its_field() {
    let check = |spec: Value, expected: &[&str]| {
        let errors = Compiled::compile(&serde_json::from_value(spec).unwrap()).unwrap_err();
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, expected);
    };
    check(
        json!({
            "calendar": [{"hour": "25", "month": "Foo"}, {"minute": "1,"}],
            "structuredCalendar": [{"dayOfWeek": [{"start": 0}, {"start": 7}], "hour": [{"start": 10, "end": 5}]}],
            "interval": [{"interval": "1m", "phase": "1m"}],
            "excludeCalendar": [{"second": "5-1"}],
            "jitter": "soon",
            "timezoneName": "Europe/Berln",
        }),
        &[
            "structuredCalendar[0].hour[0].end: 5 is before the start 10 or not in the range 0 to 23",
            "structuredCalendar[0].dayOfWeek[1].start: 7 is not in the range 0 to 6",
            "calendar[0].hour: `25` is not in the range 0 to 23",
            "calendar[0].month: `Foo` is not a number or a name",
            "calendar[1].minute: a value is missing",
            "interval[0].phase: the phase 1m0s is not between 0 and the interval 1m0s",
            "excludeCalendar[0].second: `5-1` ends before it begins",
            "jitter: `soon` is not a duration; durations are written like `90s`, `1h30m` or `250ms`",
            &format!(
                "timezoneName: there is no time zone `Europe/Berln` in the time zone data {}",
                crate::zone::database_version()
            ),
        ],
    );
    check(
        json!({"cronString": ["CRON_TZ=Europe/Paris 0 0 * * *", "0 1 * * *", "0 99 * * * 1999"]}),
        &[
            "cronString[1]: no time zone here, and the time zone `Europe/Paris` in a cron string",
            "cronString[2]: hour: `99` is not in the range 0 to 23",
            "cronString[2]: year: `1999` is not in the range 2000 to 2100",
        ],
    );
    check(
        json!({"cronString": ["TZ=UTC 0 0 * * *"], "timezoneName": "Europe/Rome"}),
        &[
            "timezoneName: the time zone `Europe/Rome` here, and the time zone `UTC` in a cron string",
        ],
    );
    check(
        json!({"calendar": [{"comment": "x".repeat(201)}]}),
        &["calendar[0].comment: the comment is 201 bytes long"],
    );
}

#[test]
fn a_specification_survives_being_written() {
    let text = json!({
        "calendar": [{"hour": "9", "comment": "work"}],
        "interval": [{"interval": "1d", "phase": "2h"}],
        "structuredCalendar": [{"year": [{"start": 2030, "end": 2040, "step": 2}]}],
        "startTime": "2024-01-01T00:00:00Z",
        "timezoneName": "Europe/Berlin",
    });
    let spec: ScheduleSpec = serde_json::from_value(text).unwrap();
    let written = serde_json::to_value(&spec).unwrap();
    assert_eq!(serde_json::from_value::<ScheduleSpec>(written).unwrap(), spec);
    assert!(serde_json::from_value::<ScheduleSpec>(json!({"calender": []})).is_err());
}

#[test]
fn both_bounds_are_included() {
    let compiled = compile(json!({
        "interval": [{"interval": "10m"}],
        "startTime": "2024-01-01T00:00:00Z",
        "endTime": "2024-01-01T00:20:00Z",
    }));
    assert_eq!(
        ticks(&compiled, "2000-01-01T00:00:00Z", "2030-01-01T00:00:00Z"),
        ["2024-01-01T00:00:00Z", "2024-01-01T00:10:00Z", "2024-01-01T00:20:00Z"]
    );
}

#[test]
fn clock_changes_follow_the_rule_of_the_schedule() {
    // Berlin goes from 02:00 to 03:00 on 2026-03-29 at 01:00Z, back on 2026-10-25 at 01:00Z.
    let check = |cron: &str, gap, overlap, spring: &[&str], autumn: &[&str]| {
        let compiled = compile(json!({"cronString": [cron], "timezoneName": "Europe/Berlin"}))
            .with_clock_change(ClockChange { gap, overlap });
        let spring_ticks = ticks(&compiled, "2026-03-29T00:00:00Z", "2026-03-29T02:00:00Z");
        assert_eq!(spring_ticks, spring, "{cron} {gap:?}");
        let autumn_ticks = ticks(&compiled, "2026-10-24T23:30:00Z", "2026-10-25T02:00:00Z");
        assert_eq!(autumn_ticks, autumn, "{cron} {overlap:?}");
    };
    let (first, second) = ("2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z");
    check("30 2 * * *", Gap::Skip, Overlap::Both, &[], &[first, second]);
    check("30 2 * * *", Gap::After, Overlap::First, &["2026-03-29T01:00:00Z"], &[first]);
    check("30 2 * * *", Gap::After, Overlap::Last, &["2026-03-29T01:00:00Z"], &[second]);
    // Several readings in the gap are one tick, which a reading right after it is too.
    check(
        "*/30 2,3 * * *",
        Gap::After,
        Overlap::First,
        &["2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"],
        &["2026-10-25T00:00:00Z", first],
    );
    // Every hour follows real time.
    check(
        "30 * * * *",
        Gap::After,
        Overlap::First,
        &["2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"],
        &[first, second],
    );
}

#[test]
fn what_is_excluded_is_not_made_up_for_after_a_gap() {
    let compiled = compile(json!({
        "cronString": ["30 2 * * *"],
        "excludeCalendar": [{"dayOfMonth": "29", "month": "3", "hour": "2", "minute": "30"}],
        "timezoneName": "Europe/Berlin",
    }))
    .with_clock_change(ClockChange { gap: Gap::After, overlap: Overlap::Both });
    assert_eq!(
        ticks(&compiled, "2026-03-28T12:00:00Z", "2026-03-31T00:00:00Z"),
        ["2026-03-30T00:30:00Z"]
    );
}

#[test]
fn long_exclusions_are_passed_over_at_once() {
    let years = compile(json!({
        "calendar": [{"second": "*", "minute": "*", "hour": "*"}],
        "interval": [{"interval": "1s"}],
        "excludeCalendar": [{"second": "*", "minute": "*", "hour": "*", "year": "2024-2040"}],
    }));
    let next = years.next_after(at("2024-01-01T00:00:00Z"));
    assert_eq!(next, Some(at("2041-01-01T00:00:00Z")));
}

#[test]
fn a_schedule_that_excludes_itself_ends() {
    let never = compile(json!({
        "calendar": [{"second": "*", "minute": "*", "hour": "*"}],
        "interval": [{"interval": "1s"}],
        "excludeCalendar": [
            {"second": "*/2", "minute": "*", "hour": "*"},
            {"second": "1/2", "minute": "*", "hour": "*"},
        ],
    }));
    assert_eq!(never.next_after(at("2024-01-01T00:00:00Z")), None);
}

#[test]
fn jitter_is_drawn_from_the_seed_and_stays_before_the_next_time() {
    let compiled = compile(json!({"cronString": ["*/5 * * * *"], "jitter": "1h"}));
    let mut after = at("2024-01-01T00:00:00Z");
    let mut delays = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let tick = compiled.next_jittered_after(after, "a-seed").unwrap();
        assert_eq!(compiled.next_jittered_after(after, "a-seed"), Some(tick));
        assert_ne!(compiled.next_jittered_after(after, "another seed"), Some(tick));
        let delay_s = tick.at.duration_since(tick.nominal).as_secs();
        assert!((0..300).contains(&delay_s), "{delay_s}");
        delays.insert(delay_s);
        after = tick.nominal;
    }
    assert!(delays.len() > 50, "{delays:?}");
}

#[test]
fn what_is_left_out_is_not_checked_unless_temporal_would_not_survive_it() {
    let spec = |range: Value| {
        json!({
            "interval": [{"interval": "1h"}],
            "excludeStructuredCalendar": [{
                "comment": "x".repeat(201),
                "second": [{}], "minute": [{}], "hour": [range],
                "dayOfMonth": [{"start": 0, "end": 99}], "month": [{"end": 12}],
                "dayOfWeek": [{"end": 7}],
            }],
            "excludeCalendar": [{"comment": "x".repeat(201), "hour": "3"}],
        })
    };
    for (range, left) in [
        (json!({"start": 1, "end": 100}), vec!["2024-01-02T00:00:00Z"]),
        (
            json!({"start": 4, "end": 1, "step": 2}),
            vec!["2024-01-01T01:00:00Z", "2024-01-01T02:00:00Z"],
        ),
        (json!({"start": 24}), vec!["2024-01-01T01:00:00Z", "2024-01-01T02:00:00Z"]),
    ] {
        let found = ticks(&compile(spec(range)), "2024-01-01T00:00:00Z", "2024-01-02T01:00:00Z");
        assert_eq!(found[..left.len()], left);
    }
    for range in [json!({"start": -1}), json!({"start": 1, "step": -1})] {
        assert!(Compiled::compile(&serde_json::from_value(spec(range)).unwrap()).is_err());
    }
}

#[test]
fn times_are_named_from_the_start_or_1970_on_until_2100() {
    let daily = json!([{"interval": "24h"}]);
    let first =
        |spec: Value, after: &str| compile(spec).next_after(at(after)).map(|t| t.to_string());
    let early = "1960-01-01T00:00:00Z";
    assert_eq!(first(json!({"interval": daily}), early).as_deref(), Some("1970-01-01T00:00:00Z"));
    let spec = json!({"interval": daily, "startTime": "1965-03-04T00:00:00Z"});
    assert_eq!(first(spec, early).as_deref(), Some("1965-03-04T00:00:00Z"));
    assert_eq!(first(json!({"interval": daily}), "2100-12-31T00:00:00Z"), None);
}

#[test]
fn an_interval_that_is_too_long_is_the_longest_but_not_in_a_cron_string() {
    for text in ["9223372037s", "315576000000s"] {
        let spec = compile(json!({"interval": [{"interval": text, "phase": "60s"}]}));
        let first = spec.next_after(at("1970-01-01T00:00:00Z"));
        assert_eq!(first, Some(at("1970-01-01T00:01:00Z")));
    }
    for spec in [
        json!({"interval": [{"interval": "315576000001s"}]}),
        json!({"cronString": ["@every 9223372037s"]}),
        json!({"cronString": ["@every 1h/"], "interval": [{"interval": "1s", "phase": "9223372037s"}]}),
    ] {
        assert!(Compiled::compile(&serde_json::from_value(spec).unwrap()).is_err());
    }
}

#[test]
fn white_space_may_stand_around_a_cron_string_with_a_zone() {
    let spec = compile(json!({"cronString": ["\tCRON_TZ=Europe/Paris \t0 9 * * * "]}));
    assert_eq!(spec.next_after(at("2024-01-01T00:00:00Z")), Some(at("2024-01-01T08:00:00Z")));
    let none = json!({"cronString": ["CRON_TZ=Europe/Paris "]});
    assert!(Compiled::compile(&serde_json::from_value(none).unwrap()).is_err());
}
