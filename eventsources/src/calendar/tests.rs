use std::time::Duration;

use serde_json::{Value, json};
use tripline_event::{ObjectName, Timestamp};

use crate::testing::World;
use crate::{SinkError, codes};

const NOW: &str = "2026-03-04T05:06:07.5Z";

fn calendar(config: Value) -> (&'static str, Value) {
    ("times", json!({"calendar": {"tick": config}}))
}

fn every(interval: &str) -> (&'static str, Value) {
    calendar(json!({"interval": interval}))
}

fn tick(text: &str) -> Timestamp {
    text.parse().unwrap()
}

impl World {
    /// Lets so many seconds pass, one at a time.
    async fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_tick_is_taken_at_its_time_and_its_nominal_time_is_its_id() {
    let world = World::new(NOW);
    let config =
        json!({"schedule": "* * * * *", "timezone": "Europe/Berlin", "metadata": {"a": "b"}});
    world.apply(&[calendar(config)]);
    let ids = world.sink.first_ids(3).await;
    assert_eq!(ids, ["2026-03-04T05:06:00Z", "2026-03-04T05:07:00Z", "2026-03-04T05:08:00Z"]);
    let taken = world.sink.taken();
    assert_eq!(
        taken[1].data,
        r#"{"eventTime":"2026-03-04 06:07:00 +0100 CET","metadata":{"a":"b"}}"#
    );
    assert_eq!(taken[1].kind, "calendar");
    // What is late says so.
    assert_eq!(taken[0].time, tick(NOW));
    let late = taken[1].time.duration_since(tick("2026-03-04T05:07:00Z"));
    assert!((0..50).contains(&late.as_millis()), "{late:?}");
    assert_eq!(world.sources.status()[0].detail, "next tick at 2026-03-04T05:09:00Z");
    world.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn ticks_of_the_minute_before_a_start_are_made_up_and_are_no_new_events_after_a_restart() {
    let world = World::new(NOW);
    world.apply(&[every("25s")]);
    // 05:05:10 is more than a minute before, 05:05:35 is not.
    let expected = ["2026-03-04T05:05:25Z", "2026-03-04T05:05:50Z"];
    assert_eq!(world.sink.first_ids(2).await, expected);
    world.apply(&[]);
    world.apply(&[every("25s")]);
    let ids = world.sink.first_ids(3).await;
    assert_eq!(ids[..2], expected);
    assert_eq!(ids[2], "2026-03-04T05:06:15Z");
    assert_eq!(ids.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_interval_keeps_its_phase_whenever_it_is_started() {
    let world = World::new("2026-03-04T00:00:59Z");
    world.apply(&[every("1h")]);
    assert_eq!(world.sink.first_ids(2).await, ["2026-03-04T00:00:00Z", "2026-03-04T01:00:00Z"]);
}

#[tokio::test(start_paused = true)]
async fn no_tick_is_lost_while_the_event_bus_is_unavailable() {
    let world = World::new(NOW);
    let tries = 200;
    world.sink.fail((0..tries).map(|_| SinkError::Unavailable("no".into())));
    world.apply(&[every("30s")]);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let status = world.sources.status().remove(0);
    assert!(!status.ready);
    assert_eq!(status.detail, "tick of 2026-03-04T05:05:30Z waits: event bus is unavailable: no");
    // 200 tries last for more than fifteen minutes.
    let ids = world.sink.first_ids(34).await;
    let first = tick("2026-03-04T05:05:30Z");
    let expected: Vec<String> =
        (0..34).map(|n| (first + Duration::from_secs(30 * n)).to_string()).collect();
    assert_eq!(ids[..34], expected);
    assert!(world.sources.status()[0].ready);
    assert!(world.sink.missed.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_tick_that_is_too_large_for_the_event_bus_does_not_stop_those_after_it() {
    let world = World::new(NOW);
    world.sink.fail([SinkError::TooLarge { size: 9, limit: 8 }]);
    world.apply(&[every("1h")]);
    assert_eq!(world.sink.first_ids(1).await, ["2026-03-04T07:00:00Z"]);
    assert_eq!(world.sink.reasons(), ["event is 9 bytes, the event bus takes at most 8"]);
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_forward_by_a_minute_loses_nothing_and_by_more_tells_what_was_missed() {
    let world = World::new(NOW);
    world.apply(&[every("20s")]);
    world.sink.first_ids(3).await;
    world.clock.jump(50);
    assert_eq!(
        world.sink.first_ids(7).await[3..7],
        [
            "2026-03-04T05:06:20Z",
            "2026-03-04T05:06:40Z",
            "2026-03-04T05:07:00Z",
            "2026-03-04T05:07:20Z",
        ]
    );
    assert!(world.sink.missed.lock().unwrap().is_empty());

    // Twenty past seven; then the clock is ten minutes ahead.
    world.clock.jump(600);
    world.pass(21).await;
    let ids = world.sink.ids();
    let last_three: Vec<&str> = ids.iter().rev().take(3).rev().map(String::as_str).collect();
    let missed = world.sink.missed.lock().unwrap().clone();
    assert_eq!(missed.len(), 1);
    let (from, to, count) = missed[0];
    assert_eq!(from, tick(&ids[6]) + Duration::from_secs(20));
    let made_up = ids.iter().position(|id| tick(id) > to).unwrap();
    assert_eq!(tick(&ids[made_up]), to + Duration::from_secs(20), "{last_three:?}");
    assert_eq!(to.duration_since(from).as_secs(), 20 * (count as i64 - 1));
    assert!((27..=28).contains(&count), "{count}");
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_while_nothing_ran_is_made_up_for_as_far_back_as_is_configured() {
    for (catchup, taken, missed) in [
        (json!({"enabled": true}), "05:30 05:40 05:50 06:00 06:10 06:20", 0),
        (json!({"enabled": true, "maxDuration": "35m"}), "05:50 06:00 06:10 06:20", 2),
        (json!({"enabled": true, "maxDuration": "1s"}), "06:20", 5),
        (json!({"enabled": false, "maxDuration": "35m"}), "06:20", 5),
    ] {
        let config = json!({"schedule": "*/10 * * * *", "persistence": {"catchup": catchup}});
        let world = World::new(NOW);
        world.apply(&[calendar(config.clone())]);
        world.sink.first_ids(2).await;
        world.apply(&[]);
        world.clock.jump(3600);
        world.apply(&[calendar(config)]);
        world.pass(2).await;
        let ids = world.sink.ids();
        let times: Vec<&str> = ids[2..].iter().map(|id| &id[11..16]).collect();
        assert_eq!(times.join(" "), taken, "{catchup}");
        let counts =
            world.sink.missed.lock().unwrap().iter().map(|(_, _, count)| count).sum::<u64>();
        assert_eq!(counts, missed, "{catchup}");
        world.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_does_not_silence_a_calendar_until_it_has_caught_up() {
    let world = World::new(NOW);
    world.apply(&[every("20s")]);
    world.sink.first_ids(4).await;
    world.clock.jump(-7200);
    world.pass(90).await;
    let ids = world.sink.ids();
    assert!(ids.iter().any(|id| id.starts_with("2026-03-04T03:0")), "{ids:?}");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_is_started_again() {
    let world = World::new(NOW);
    *world.sink.panics.lock().unwrap() = 2;
    world.apply(&[every("1h")]);
    world.clock.jump(3250);
    assert_eq!(world.sink.first_ids(1).await[0], "2026-03-04T06:00:00Z");
    assert!(world.sources.status()[0].ready);
}

#[tokio::test(start_paused = true)]
async fn a_changed_calendar_stops_before_it_starts_again_and_an_unchanged_one_goes_on() {
    let world = World::new(NOW);
    world.apply(&[every("1h")]);
    world.pass(5).await;
    let since = world.sources.status()[0].since;
    world.apply(&[every("1h")]);
    assert_eq!(world.sources.status()[0].since, since);
    world.apply(&[every("2h")]);
    world.pass(1).await;
    let status = world.sources.status().remove(0);
    assert_eq!(status.detail, "next tick at 2026-03-04T06:00:00Z");
    assert!(status.since > since);
    world.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_calendar_waits_for_the_tick_that_is_being_taken() {
    let world = World::new("2026-03-04T05:00:30Z");
    world.sink.open.send_replace(false);
    world.apply(&[every("1h")]);
    world.pass(1).await;
    world.apply(&[every("30m")]);
    world.pass(10).await;
    assert_eq!(*world.sink.waiting.borrow(), 1);
    world.sink.open.send_replace(true);
    assert_eq!(world.sink.first_ids(2).await, ["2026-03-04T05:00:00Z", "2026-03-04T05:30:00Z"]);
}

#[test]
fn ticks_skip_the_days_that_are_excluded_by_the_clocks_of_the_zone() {
    for (config, after, expected) in [
        (json!({"schedule": "0 12 * * *"}), "2026-12-24T12:00:00Z", "2026-12-25T12:00:00Z"),
        (
            json!({"schedule": "0 12 * * *", "exclusionDates": ["EXDATE:20261225T000000Z,20261226T130000Z"]}),
            "2026-12-24T12:00:00Z",
            "2026-12-27T12:00:00Z",
        ),
        (
            // 23:30 of the 24th in UTC is half past midnight of the 25th in Berlin.
            json!({"schedule": "*/30 * * * *", "timezone": "Europe/Berlin",
                   "exclusionDates": ["EXDATE:20261225T000000Z"]}),
            "2026-12-24T22:30:00Z",
            "2026-12-25T23:00:00Z",
        ),
        (
            json!({"interval": "1s", "exclusionDates": ["EXDATE:20261225T000000Z", "EXDATE:20261226T000000Z"]}),
            "2026-12-24T23:59:59Z",
            "2026-12-27T00:00:00Z",
        ),
        (
            json!({"schedule": "CRON_TZ=Asia/Tokyo 0 9 * * *"}),
            "2026-12-24T12:00:00Z",
            "2026-12-25T00:00:00Z",
        ),
        (json!({"interval": "7s"}), "1969-12-31T23:59:52.5Z", "1969-12-31T23:59:53Z"),
        (json!({"interval": "1.9s"}), "2026-12-24T00:00:00Z", "2026-12-24T00:00:01Z"),
        (
            json!({"schedule": "0 12 * * *", "interval": "1s"}),
            "2026-12-24T00:00:00Z",
            "2026-12-24T12:00:00Z",
        ),
    ] {
        let decoded: super::CalendarConfig = serde_json::from_value(config.clone()).unwrap();
        let (calendar, problems) = decoded.resolve(&tripline_config::FieldPath::root());
        assert_eq!(problems, []);
        let next = calendar.unwrap().ticks.next_after(tick(after)).unwrap();
        assert_eq!(next, tick(expected), "{config}");
    }
}

#[test]
fn what_is_wrong_is_an_error_at_its_place() {
    for (config, code, path) in [
        (json!({}), codes::NO_SCHEDULE, ""),
        (json!({"schedule": ""}), codes::NO_SCHEDULE, ""),
        (json!({"schedule": "* * * *"}), codes::SCHEDULE, ".schedule"),
        (json!({"schedule": "@daily"}), codes::SCHEDULE, ".schedule"),
        (json!({"interval": "10"}), codes::INTERVAL, ".interval"),
        (json!({"interval": "0s"}), codes::INTERVAL, ".interval"),
        (json!({"interval": "900ms"}), codes::INTERVAL, ".interval"),
        (json!({"interval": "-5m"}), codes::INTERVAL, ".interval"),
        (json!({"interval": "1h", "timezone": "Mars/Base"}), codes::TIMEZONE, ".timezone"),
        (
            json!({"interval": "1h", "exclusionDates": ["EXDATE:20261225T000000Z", "x"]}),
            codes::EXCLUSION_DATE,
            ".exclusionDates[1]",
        ),
        (
            json!({"interval": "1h", "persistence": {"catchup": {"enabled": true, "maxDuration": "1d"}}}),
            codes::INTERVAL,
            ".persistence.catchup.maxDuration",
        ),
    ] {
        let (_, spec) = calendar(config.clone());
        let (events, problems) = crate::events(&ObjectName::new("ci", "times"), &spec);
        assert!(events.is_empty(), "{config}");
        let found: Vec<(String, String)> =
            problems.iter().map(|p| (p.code.clone(), p.path.to_string())).collect();
        assert_eq!(found, [(code.to_owned(), format!("spec.calendar.tick{path}"))], "{config}");
    }
}
