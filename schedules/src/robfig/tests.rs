use super::*;

fn ticks(text: &str, after: &str, count: usize) -> String {
    let cron = Cron::parse(text, &TimeZone::UTC).unwrap();
    let ticks: Vec<String> =
        cron.ticks_after(after.parse().unwrap()).take(count).map(|tick| tick.to_string()).collect();
    ticks.join(" ")
}

#[test]
fn a_restricted_day_of_month_and_day_of_week_are_alternatives() {
    assert_eq!(
        ticks("0 0 13 * FRI", "2024-09-01T00:00:00Z", 3),
        "2024-09-06T00:00:00Z 2024-09-13T00:00:00Z 2024-09-20T00:00:00Z"
    );
    // A star with a step of 1 is a star, one with a step of 2 is not.
    assert_eq!(ticks("0 0 10 * */1", "2024-09-01T00:00:00Z", 1), "2024-09-10T00:00:00Z");
    assert_eq!(ticks("0 0 10 * */2", "2024-09-01T00:00:00Z", 1), "2024-09-03T00:00:00Z");
}

#[test]
fn the_next_tick_is_strictly_later() {
    assert_eq!(ticks("* * * * *", "2024-01-01T00:00:00Z", 1), "2024-01-01T00:01:00Z");
    assert_eq!(ticks("* * * * *", "2023-12-31T23:59:59.999Z", 1), "2024-01-01T00:00:00Z");
    assert_eq!(ticks("* * * * *", "1969-12-31T23:59:59.5Z", 1), "1970-01-01T00:00:00Z");
}

#[test]
fn every_counts_whole_seconds_from_the_last_tick() {
    assert_eq!(ticks("@every 90s", "2024-01-01T00:00:00.9Z", 1), "2024-01-01T00:01:30Z");
    assert_eq!(ticks("@every -1h", "2024-01-01T00:00:00Z", 1), "2024-01-01T00:00:01Z");
}

#[test]
fn zones_in_the_text_come_first() {
    assert_eq!(
        ticks("CRON_TZ=Europe/Berlin 0 9 * * *", "2024-07-01T00:00:00Z", 1),
        "2024-07-01T07:00:00Z"
    );
    assert_eq!(ticks("TZ= 0 9 * * *", "2024-07-01T00:00:00Z", 1), "2024-07-01T09:00:00Z");
    let berlin = zone::load("Europe/Berlin").unwrap();
    let cron = Cron::parse("TZ=Local 0 9 * * *", &berlin).unwrap();
    let next = cron.next_after("2024-07-01T00:00:00Z".parse().unwrap()).unwrap();
    assert_eq!(next.to_string(), "2024-07-01T07:00:00Z");
}

#[test]
fn errors_name_the_field_and_what_is_allowed() {
    let check = |text: &str, message: &str, help: &str| {
        let error = Cron::parse(text, &TimeZone::UTC).unwrap_err();
        assert_eq!(error.message, message, "{text}");
        let found = error.help.unwrap_or_default();
        assert!(found.contains(help), "{text}: {found}");
    };
    check("61 * * * *", "minute: `61` is not in the range 0 to 59", "0 to 59");
    check("* * 1-40 * *", "day of month: 40 in `1-40` is not in the range 1 to 31", "1 to 31");
    check("* * * * 7", "day of week: `7` is not in the range 0 to 6", "Sunday is 0");
    check("* * * january *", "month: `january` is not a number or a three-letter name", "`JAN`");
    check("* * * * FRI-SUN", "day of week: `FRI-SUN` ends before it begins", "`SAT`");
    check("*/0 * * * *", "minute: `*/0` has a step of 0; steps are 1 or more", "");
    check("* * * *", "`* * * *` has 4 fields instead of 5", "five fields");
    check("0 0 * * * *", "`0 0 * * * *` has 6 fields instead of 5", "no seconds");
    check("TZ=UTC", "`TZ=UTC` has a time zone and no schedule", "space");
    check("@reboot", "there is no descriptor `@reboot`", "@hourly");
    check("", "`` has 0 fields instead of 5", "five fields");
    let zone = Cron::parse("TZ=Europe/Berln * * * * *", &TimeZone::UTC).unwrap_err();
    assert_eq!(zone.field, Some("time zone"));
    assert_eq!(zone.help.as_deref(), Some("did you mean `Europe/Berlin`?"));
}

#[test]
fn descriptors_are_refused_where_only_fields_are_allowed() {
    let error = Cron::parse_fields_only("CRON_TZ=UTC @daily", &TimeZone::UTC).unwrap_err();
    assert!(error.message.contains("@daily"), "{error}");
    assert_eq!(error.help.as_deref(), Some("write `0 0 * * *` instead"));
    assert!(Cron::parse_fields_only("CRON_TZ=UTC 0 0 * * *", &TimeZone::UTC).is_ok());
}
