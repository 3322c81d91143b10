//! Which clusters the actions of a trigger are for.

use std::sync::Arc;

use serde_json::{Value, json};
use tripline_event::{Action, EventsRecord, Position};
use tripline_sensors::evaluator::{Evaluator, Off, Plan, State};

use crate::world::{at, event, sensor};

fn spec(trigger: Value) -> Value {
    let mut trigger = trigger;
    trigger["template"]["name"] = "t".into();
    json!({
        "dependencies": [
            {"name": "a", "eventSourceName": "s", "eventName": "one"},
            {"name": "b", "eventSourceName": "s", "eventName": "two"},
        ],
        "triggers": [trigger],
    })
}

fn fired(trigger: Value, data: &str) -> Vec<Action> {
    let sensor = sensor("deploy", &spec(trigger)).unwrap();
    let state = State::new(Position::new(1, 0));
    let mut evaluator = Evaluator::new(Arc::new(Plan::new(1, vec![sensor])), state);
    let record = EventsRecord::Event(event("s", "one", "e1", at(1), Some(data)));
    evaluator.apply(Position::new(1, 1), &record, &mut Off).actions
}

fn targets(actions: &[Action]) -> Vec<Option<&str>> {
    actions.iter().map(|action| action.target.as_deref()).collect()
}

#[test]
fn a_trigger_fires_once_for_each_cluster_that_it_names() {
    let unnamed = fired(json!({"template": {"conditions": "a"}}), "{}");
    assert_eq!(targets(&unnamed), [None]);
    let one = fired(json!({"clusters": ["prod"], "template": {"conditions": "a"}}), "{}");
    assert_eq!(targets(&one), [Some("prod")]);
    // To say where it goes makes it no other action.
    assert_eq!(one[0].id, unnamed[0].id);
    let clusters = json!({"clusters": ["eu", "us"], "template": {"conditions": "a"}});
    let two = fired(clusters.clone(), "{}");
    assert_eq!(targets(&two), [Some("eu"), Some("us")]);
    assert!(two[0].id != two[1].id && two[0].id != unnamed[0].id);
    let again: Vec<_> = fired(clusters, "{}").into_iter().map(|action| action.id).collect();
    assert_eq!(again, [two[0].id.clone(), two[1].id.clone()]);
}

#[test]
fn an_event_names_the_cluster_where_the_trigger_says_so() {
    let from = json!({
        "clusterFrom": {"path": "body.cluster", "allow": ["eu"]},
        "template": {"conditions": "a"},
    });
    for (data, expected) in [
        (r#"{"body": {"cluster": "eu"}}"#, "eu"),
        // Whether it is allowed is found out when it is carried out: it is a dead letter then.
        (r#"{"body": {"cluster": "elsewhere"}}"#, "elsewhere"),
        (r#"{"body": {"cluster": 5}}"#, "5"),
        (r#"{"body": {}}"#, ""),
        ("no json", ""),
    ] {
        assert_eq!(targets(&fired(from.clone(), data)), [Some(expected)], "{data}");
    }
    let long = format!(r#"{{"body": {{"cluster": "{}"}}}}"#, "é".repeat(500));
    assert!(fired(from, &long)[0].target.as_ref().unwrap().len() <= 253);
}

#[test]
fn what_leaves_open_which_cluster_is_meant_is_refused() {
    let from = |path: &str, allow: Value| json!({"path": path, "allow": allow});
    for (trigger, sound) in [
        (json!({"clusters": ["a", "b"], "template": {}}), true),
        (json!({"clusters": ["a", "a"], "template": {}}), false),
        (json!({"clusters": [""], "template": {}}), false),
        (json!({"clusterFrom": from("x", json!(["a"])), "template": {"conditions": "a"}}), true),
        (
            json!({"clusterFrom": from("x", json!(["a"])), "template": {"conditions": "a || b"}}),
            true,
        ),
        (
            json!({"clusterFrom": from("x", json!(["a"])), "template": {"conditions": "a && b"}}),
            false,
        ),
        (json!({"clusterFrom": from("", json!(["a"])), "template": {"conditions": "a"}}), false),
        (json!({"clusterFrom": from("$[", json!(["a"])), "template": {"conditions": "a"}}), false),
        (json!({"clusterFrom": from("x", json!([])), "template": {"conditions": "a"}}), false),
        (
            json!({
                "clusters": ["a"], "clusterFrom": from("x", json!(["a"])),
                "template": {"conditions": "a"},
            }),
            false,
        ),
    ] {
        assert_eq!(sensor("deploy", &spec(trigger.clone())).is_some(), sound, "{trigger}");
    }
}
