//! The index decides as the filters do that it spares.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;
use tripline_event::{Action, EventsRecord, Position};
use tripline_sensors::evaluator::{
    Dependency, Evaluator, Held, Off, Plan, Recorder, Sensor, State, Trigger, Verdicts,
};
use tripline_sensors::filter::{Trace, Verdict};

use super::world::{self, at, event, sensor};

/// Asks every filter for its trace, so that the index is not used.
struct Naive;

impl Recorder for Naive {
    const ON: bool = true;

    fn filtered(&mut self, _: &Sensor, _: &Dependency, _: &Verdict, trace: Option<Trace>) {
        assert!(trace.is_some());
    }

    fn waits(&mut self, _: &Sensor, _: &Trigger, _: &str, _: Option<&BTreeMap<Arc<str>, Held>>) {}

    fn fired(&mut self, _: &Sensor, _: &Trigger, _: &Action) {}
}

/// Counts how often a filter was asked.
#[derive(Default)]
struct Asked(usize);

impl Recorder for Asked {
    const ON: bool = false;

    fn filtered(&mut self, _: &Sensor, _: &Dependency, _: &Verdict, _: Option<Trace>) {
        self.0 += 1;
    }

    fn waits(&mut self, _: &Sensor, _: &Trigger, _: &str, _: Option<&BTreeMap<Arc<str>, Held>>) {}

    fn fired(&mut self, _: &Sensor, _: &Trigger, _: &Action) {}
}

fn evaluator(sensors: &[Arc<Sensor>]) -> Evaluator {
    let state = State { log_time: at(0), ..State::new(Position::new(1, 0)) };
    Evaluator::new(Arc::new(Plan::new(1, sensors.to_vec())), state)
}

/// What was decided, what is held, and what was counted.
type Seen = (Vec<Vec<Action>>, String, Vec<(String, Verdicts)>);

fn run(sensors: &[Arc<Sensor>], records: &[EventsRecord], recorder: &mut impl Recorder) -> Seen {
    let mut evaluator = evaluator(sensors);
    let mut position = Position::new(1, 0);
    let mut actions = Vec::new();
    for record in records {
        position = position.next();
        actions.push(evaluator.apply(position, record, recorder).actions);
    }
    let tally = evaluator.tally().each().map(|(sensor, dependency, verdicts)| {
        (format!("{}/{}", sensor.name, dependency.name), verdicts)
    });
    (actions, format!("{:?}", evaluator.state().conditions), tally.collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_index_changes_no_decision_and_no_count(
        specs in prop::collection::vec(world::spec(), 1..12),
        records in world::records(12),
    ) {
        let sensors: Vec<_> = specs
            .iter()
            .enumerate()
            .filter_map(|(index, spec)| sensor(&format!("s{index}"), spec))
            .collect();
        prop_assert_eq!(run(&sensors, &records, &mut Off), run(&sensors, &records, &mut Naive));
    }
}

fn equality(n: usize, filters: &serde_json::Value) -> Arc<Sensor> {
    let spec = json!({
        "dependencies": [{
            "name": "d", "eventSourceName": "s", "eventName": "one", "filters": filters,
        }],
        "triggers": [{"template": {"name": "t", "log": {}}}],
    });
    sensor(&format!("s{n}"), &spec).unwrap()
}

/// Of sensors that differ in what they compare with, only those are asked that match.
#[test]
fn only_the_filters_of_those_that_match_are_asked() {
    let one = |kind: &str, value: String| json!({"path": "body.a", "type": kind, "value": [value]});
    let two = |value: String| {
        json!({"data": [
            {"path": "body.b", "type": "string", "value": ["^push$"]},
            {"path": "body.a", "type": "string", "value": [value]},
        ]})
    };
    for (what, filters, data, expected) in [
        (
            "whole texts",
            (0..200)
                .map(|n| json!({"data": [one("string", format!("^v-{n}$"))]}))
                .collect::<Vec<_>>(),
            r#"{"body":{"a":"v-7"}}"#,
            1,
        ),
        (
            "parts",
            (0..200).map(|n| json!({"data": [one("string", format!("v-{n}-"))]})).collect(),
            r#"{"body":{"a":"the v-7- and the v-8- of it"}}"#,
            2,
        ),
        (
            "beginnings",
            (0..200).map(|n| json!({"data": [one("string", format!("^v-{n}-"))]})).collect(),
            r#"{"body":{"a":"v-7-v-8-"}}"#,
            1,
        ),
        (
            "numbers",
            (0..200).map(|n| json!({"data": [one("number", n.to_string())]})).collect(),
            r#"{"body":{"a":7.0}}"#,
            1,
        ),
        (
            "the second filter",
            (0..200).map(|n| two(format!("^v-{n}$"))).collect(),
            r#"{"body":{"a":"v-7","b":"push"}}"#,
            1,
        ),
        (
            "nothing there",
            (0..200).map(|n| two(format!("^v-{n}$"))).collect(),
            r#"{"body":{"b":"push"}}"#,
            0,
        ),
        ("no JSON", (0..200).map(|n| two(format!("^v-{n}$"))).collect(), "{", 0),
        (
            "no equality",
            (0..200).map(|n| json!({"data": [one("string", format!("v-.*{n}"))]})).collect(),
            r#"{"body":{"a":"v-7"}}"#,
            200,
        ),
    ] {
        let sensors: Vec<_> =
            filters.iter().enumerate().map(|(n, filters)| equality(n, filters)).collect();
        let mut asked = Asked::default();
        let record = EventsRecord::Event(event("s", "one", "e", at(0), Some(data)));
        let seen = run(&sensors, std::slice::from_ref(&record), &mut asked);
        assert_eq!(asked.0, expected, "{what}");
        assert_eq!(seen, run(&sensors, &[record], &mut Naive), "{what}");
    }
}

/// What an index decides is counted for each sensor all the same, over changes of plan too.
#[test]
fn a_sensor_that_is_never_asked_counts_what_it_did_not_let_through() {
    let filters = |n: usize| json!({"data": [{"path": "body.a", "type": "string", "value": [format!("^{n}$")]}]});
    let sensors: Vec<_> = (0..3).map(|n| equality(n, &filters(n))).collect();
    let mut evaluator = evaluator(&sensors);
    let mut position = Position::new(1, 0);
    let mut apply = |evaluator: &mut Evaluator, data: &str| {
        position = position.next();
        let id = position.to_string();
        let record = EventsRecord::Event(event("s", "one", &id, at(0), Some(data)));
        evaluator.apply(position, &record, &mut Off);
        position
    };
    for data in [r#"{"body":{"a":"0"}}"#, r#"{"body":{"a":"1"}}"#, r#"{"body":{}}"#, "{"] {
        apply(&mut evaluator, data);
    }
    let verdicts = |evaluator: &Evaluator, n: usize| evaluator.tally().of_sensor(&sensors[n].name);
    let counts = |passed, filtered, errors| Verdicts { passed, filtered, errors };
    assert_eq!(verdicts(&evaluator, 0), counts(1, 3, 2));
    assert_eq!(verdicts(&evaluator, 2), counts(0, 4, 2));
    let next = Arc::new(Plan::new(2, vec![sensors[0].clone(), sensors[2].clone()]));
    evaluator.switch(Position::new(1, 5), at(0), next);
    assert_eq!(verdicts(&evaluator, 0), counts(1, 3, 2), "a change of plan forgets nothing");
    assert_eq!(verdicts(&evaluator, 1), Verdicts::default(), "but what is gone");
    position = Position::new(1, 5);
    let record =
        EventsRecord::Event(event("s", "one", "last", at(0), Some(r#"{"body":{"a":"2"}}"#)));
    evaluator.apply(position.next(), &record, &mut Off);
    assert_eq!(verdicts(&evaluator, 0), counts(1, 4, 2));
    assert_eq!(verdicts(&evaluator, 2), counts(1, 4, 2));
}
