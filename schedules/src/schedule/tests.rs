use serde_json::json;

use super::*;
use crate::policy::{Decision, Input, RunEnd, State};

fn compiled(resource: Value) -> Result<Definition, Vec<String>> {
    let resource: ScheduleResource = serde_json::from_value(resource).unwrap();
    let shown = |errors: Vec<SpecError>| errors.iter().map(ToString::to_string).collect();
    compile(&resource).map_err(shown)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn ticks(resource: Value, after: &str, count: usize) -> Vec<String> {
    let definition = compiled(resource).unwrap();
    let ticks = definition.times.ticks_after(at(after)).take(count);
    ticks.map(|tick| tick.to_string()).collect()
}

#[test]
fn several_specs_and_single_times_are_one_schedule() {
    let resource = json!({
        "timezone": "Europe/Zurich",
        "specs": [
            {"cronString": ["0 12 * * 1-5"]},
            {"calendar": [{"hour": "9", "dayOfWeek": "sat"}], "timezoneName": "UTC"},
        ],
        "at": ["2026-11-22T08:00:00", "2026-11-22T08:00:00+02:00"],
    });
    assert_eq!(
        ticks(resource, "2026-11-20T12:00:00Z", 4),
        [
            "2026-11-21T09:00:00Z",
            "2026-11-22T06:00:00Z",
            "2026-11-22T07:00:00Z",
            "2026-11-23T11:00:00Z",
        ]
    );
}

#[test]
fn the_rule_for_changes_of_clocks_is_the_schedule_s_own() {
    let resource = |gap: &str, overlap: &str| {
        json!({
            "timezone": "Europe/Zurich",
            "specs": [{"cronString": ["30 2 * * *"]}],
            "clockChange": {"gap": gap, "overlap": overlap},
        })
    };
    let spring = "2027-03-27T12:00:00Z";
    assert_eq!(ticks(resource("skip", "both"), spring, 1), ["2027-03-29T00:30:00Z"]);
    assert_eq!(ticks(resource("after", "both"), spring, 1), ["2027-03-28T01:00:00Z"]);
    let autumn = "2026-10-24T12:00:00Z";
    let both = ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"];
    assert_eq!(ticks(resource("skip", "both"), autumn, 2), both);
    assert_eq!(ticks(resource("skip", "first"), autumn, 1), both[..1]);
    assert_eq!(ticks(resource("skip", "last"), autumn, 1), both[1..]);
}

#[test]
fn holidays_are_left_out_by_name() {
    let resource = json!({
        "timezone": "Europe/Zurich",
        "specs": [{"cronString": ["0 6 * * *"]}],
        "excludeHolidays": ["swiss"],
        "holidays": {"swiss": {"days": ["12-25", "2026-12-26"], "periods": [
            {"from": "2026-12-28T00:00:00Z", "to": "2026-12-29T00:00:00Z"},
        ]}},
    });
    let days: Vec<String> = ticks(resource, "2026-12-24T06:00:00Z", 3)
        .iter()
        .map(|tick| tick[..10].to_owned())
        .collect();
    assert_eq!(days, ["2026-12-27", "2026-12-29", "2026-12-30"]);
}

#[test]
fn every_mistake_is_found_at_its_place() {
    let resource = json!({
        "timezone": "Europe/Zurch",
        "specs": [{"cronString": ["* * *"]}, {"interval": [{"interval": "0s"}]}, {}],
        "at": ["tomorrow"],
        "afterEnd": "-5m",
        "excludeHolidays": ["swiss"],
        "policies": {"catchUpWindow": "soon", "max": 7, "overlap": "AllowAll"},
        "state": {"note": "x".repeat(1001)},
    });
    let errors = compiled(resource).unwrap_err();
    let places: Vec<&str> = errors.iter().map(|error| error.split(':').next().unwrap()).collect();
    assert_eq!(
        places,
        [
            "spec.timezone",
            "spec.specs[0].cronString[0]",
            "spec.specs[1].interval[0].interval",
            "spec.specs[2]",
            "spec.at[0]",
            "spec.excludeHolidays[0]",
            "spec.policies.catchUpWindow",
            "spec.afterEnd",
            "spec.policies.max",
            "spec.afterEnd",
            "spec.state.note",
        ],
        "{errors:#?}"
    );
    let nothing = compiled(json!({})).unwrap_err();
    assert!(nothing[0].contains("`specs`, `at` or `afterEnd`"), "{nothing:?}");
}

#[test]
fn a_run_follows_the_end_of_the_last_one_by_the_delay() {
    let definition = compiled(json!({"afterEnd": "10m"})).unwrap();
    let schedule = definition.schedule("ci/poll");
    let mut state = State::new(at("2026-11-21T00:00:00Z"));
    assert_eq!(state.next_due(&schedule), Some(at("2026-11-21T00:10:00Z")));
    let decisions = state.apply(&schedule, Input::Time(at("2026-11-21T00:10:00Z")));
    let [Decision::Start { run, watched: true, .. }] = decisions[..] else {
        panic!("{decisions:?}");
    };
    assert_eq!(state.next_due(&schedule), None, "while it is going there is no next");
    let ended = at("2026-11-21T00:25:30.5Z");
    state.apply(&schedule, Input::Ended { run, end: RunEnd::Completed, at: ended });
    assert_eq!(state.next_due(&schedule), Some(at("2026-11-21T00:35:30Z")));
}

#[test]
fn an_import_keeps_the_values_and_says_what_differs() {
    let described = json!({"schedule": {
        "spec": {"structuredCalendar": [], "cronString": ["0 4 * * *"], "jitter": "30s", "timezoneName": "UTC"},
        "action": {"startWorkflow": {"workflowType": {"name": "report"}}},
        "policies": {"overlapPolicy": "SCHEDULE_OVERLAP_POLICY_BUFFER_ONE", "catchupWindow": "31536000s", "pauseOnFailure": true},
        "state": {"paused": true, "notes": "moving", "limitedActions": true, "remainingActions": "7"},
    }});
    let imported = temporal::import(&described).unwrap();
    let resource: ScheduleResource = serde_json::from_value(imported.spec).unwrap();
    let definition = compile(&resource).unwrap();
    assert_eq!(definition.policies.overlap, OverlapPolicy::BufferOne);
    assert_eq!(definition.policies.catch_up_window, SignedDuration::from_hours(365 * 24));
    assert_eq!(definition.limited_actions, Some(7));
    assert_eq!(definition.suspended.as_deref(), Some("moving"));
    assert_eq!(resource.specs[0].jitter.as_deref(), Some("30s"));
    assert!(imported.warnings.iter().any(|warning| warning.contains("`report`")));
    assert!(temporal::import(&json!({"kind": "Schedule"})).is_err());
}
