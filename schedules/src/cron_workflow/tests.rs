use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::policy::{Decision, Input, Origin, RunEnd, SkipReason, State};

fn metadata() -> Metadata {
    Metadata { namespace: "ci".into(), name: "nightly".into(), ..Metadata::default() }
}

fn compiled(spec: Value) -> Result<Definition, Vec<String>> {
    let mut spec: CronWorkflowSpec = serde_json::from_value(spec).unwrap();
    if spec.workflow_spec.is_null() {
        spec.workflow_spec = json!({});
    }
    let shown = |errors: Vec<SpecError>| errors.iter().map(ToString::to_string).collect();
    compile(&metadata(), &spec).map_err(shown)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn the_singular_and_the_plural_mean_the_same() {
    let after = at("2026-11-21T00:00:00Z");
    for spec in [
        json!({"schedule": "0 */4 * * *", "timezone": "Europe/Zurich"}),
        json!({"schedules": ["0 */4 * * *"], "timezone": "Europe/Zurich"}),
        json!({"schedules": ["CRON_TZ=Europe/Zurich 0 */4 * * *"]}),
        json!({"schedules": ["0 */4 * * *", "0 */8 * * *"], "timezone": "Europe/Zurich"}),
    ] {
        let ticks: Vec<String> = compiled(spec)
            .unwrap()
            .times
            .ticks_after(after)
            .take(3)
            .map(|tick| tick.to_string())
            .collect();
        let expected = ["2026-11-21T03:00:00Z", "2026-11-21T07:00:00Z", "2026-11-21T11:00:00Z"];
        assert_eq!(ticks, expected);
    }
}

#[test]
fn every_mistake_is_found_at_its_place() {
    let spec = json!({
        "schedules": ["0 0 * * 7", "@dayly", "TZ=UTC 0 0 * * *"],
        "timezone": "Europe/Zurch",
        "concurrencyPolicy": "Never",
        "startingDeadlineSeconds": -1,
        "when": "{{= cronworkflow.failed",
        "stopStrategy": {"expression": "failed >= 3"},
        "workflowSpec": [],
    });
    let errors = compiled(spec).unwrap_err();
    let places: Vec<&str> = errors.iter().map(|error| error.split(':').next().unwrap()).collect();
    assert_eq!(
        places,
        [
            "spec.timezone",
            "spec.schedules[0]",
            "spec.schedules[1]",
            "spec.schedules[2]",
            "spec.workflowSpec",
            "spec.concurrencyPolicy",
            "spec.startingDeadlineSeconds",
            "spec.when",
            "spec.stopStrategy.expression",
        ],
        "{errors:#?}"
    );
    assert_eq!(
        compiled(json!({})).unwrap_err(),
        ["spec.schedules: a CronWorkflow needs `schedules`"]
    );
}

/// The decisions of one call, in short.
fn decided(definition: &Definition, state: &mut State, input: Input) -> Vec<String> {
    let decisions = state.apply(&definition.schedule("ci/nightly"), input);
    let short = |decision: Decision| match decision {
        Decision::Start { run, watched, .. } => format!("start {} {watched}", run.nominal),
        Decision::Terminate(run) => format!("terminate {}", run.nominal),
        Decision::Skipped { reason, count, .. } => format!("skip {count} {reason:?}"),
        other => format!("{other:?}"),
    };
    decisions.into_iter().map(short).collect()
}

#[test]
fn replace_terminates_the_earlier_run_and_does_not_wait_for_its_end() {
    let definition =
        compiled(json!({"schedules": ["0 * * * *"], "concurrencyPolicy": "Replace"})).unwrap();
    let mut state = State::new(at("2026-11-21T00:30:00Z"));
    let mut time = |text: &str| decided(&definition, &mut state, Input::Time(at(text)));
    assert_eq!(time("2026-11-21T01:00:00Z"), ["start 2026-11-21T01:00:00Z true"]);
    assert_eq!(
        time("2026-11-21T02:00:00Z"),
        ["terminate 2026-11-21T01:00:00Z", "start 2026-11-21T02:00:00Z true"]
    );
}

#[test]
fn a_missed_time_is_made_up_for_within_the_deadline_alone() {
    let missed = |deadline: i64, now: &str| {
        let spec = json!({"schedules": ["0 * * * *"], "startingDeadlineSeconds": deadline});
        let definition = compiled(spec).unwrap();
        let mut state = State::new(at("2026-11-21T00:30:00Z"));
        decided(&definition, &mut state, Input::Time(at(now)))
    };
    assert_eq!(missed(0, "2026-11-21T03:00:20Z"), ["skip 3 CatchUpWindow"]);
    assert_eq!(
        missed(60, "2026-11-21T03:00:20Z"),
        ["skip 2 CatchUpWindow", "start 2026-11-21T03:00:00Z false"]
    );
    assert_eq!(missed(60, "2026-11-21T03:01:01Z"), ["skip 3 CatchUpWindow"]);
    assert_eq!(
        missed(7200, "2026-11-21T03:01:01Z"),
        ["skip 1 CatchUpWindow", "skip 1 CatchUpLimit", "start 2026-11-21T03:00:00Z false"]
    );
}

#[test]
fn when_keeps_a_distance_over_a_change_of_clocks() {
    // 02:30 is there twice on 2026-10-25.
    let spec = json!({
        "schedules": ["30 2 * * *"],
        "timezone": "Europe/Zurich",
        "when": "{{= cronworkflow.lastScheduledTime == nil || (now() - cronworkflow.lastScheduledTime).Seconds() > 7200 }}",
    });
    let definition = compiled(spec).unwrap();
    let mut state = State::new(at("2026-10-24T12:00:00Z"));
    let mut time = |text: &str| decided(&definition, &mut state, Input::Time(at(text)));
    assert_eq!(time("2026-10-25T00:30:00Z"), ["start 2026-10-25T00:30:00Z true"]);
    assert_eq!(time("2026-10-25T01:30:00Z"), ["skip 1 When"]);
    assert_eq!(time("2026-10-26T01:30:00Z"), ["start 2026-10-26T01:30:00Z true"]);
}

#[test]
fn the_stop_strategy_ends_the_schedule_for_good() {
    let spec = json!({
        "schedules": ["0 * * * *"],
        "stopStrategy": {"expression": "cronworkflow.failed >= 2"},
    });
    let definition = compiled(spec).unwrap();
    let mut state = State::new(at("2026-11-21T00:30:00Z"));
    for hour in 1..=2 {
        let now = at(&format!("2026-11-21T0{hour}:00:00Z"));
        decided(&definition, &mut state, Input::Time(now));
        let run = crate::policy::RunId { nominal: now, origin: Origin::Tick };
        decided(&definition, &mut state, Input::Ended { run, end: RunEnd::Failed, at: now });
    }
    let third = decided(&definition, &mut state, Input::Time(at("2026-11-21T03:00:00Z")));
    assert_eq!(third, ["Stopped", "skip 1 Stopped"]);
    assert!(state.is_stopped() && state.is_finished(&definition.schedule("ci/nightly")));
    let _ = SkipReason::Stopped;
}
