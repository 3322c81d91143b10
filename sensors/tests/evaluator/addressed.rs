//! Events that are for certain triggers alone.

use std::sync::Arc;

use crate::world::{START, at, event, sensor};
use serde_json::json;
use tripline_event::{Addressee, CloudEvent, Event, EventsRecord, ObjectName, Position, Transfer};
use tripline_sensors::evaluator::{Evaluator, Off, Plan, State};

fn evaluator() -> Evaluator {
    let spec = |filter: &str| {
        json!({
            "dependencies": [
                {"name": "a", "eventSourceName": "s", "eventName": "a",
                 "filters": {"data": [{"path": "n", "type": "string", "value": [filter]}]}},
                {"name": "b", "eventSourceName": "s", "eventName": "b"},
            ],
            "triggers": [
                {"template": {"name": "each", "conditions": "a", "log": {}}},
                {"template": {"name": "both", "conditions": "a && b", "log": {}}},
            ],
        })
    };
    let sensors = ["one", "other"].map(|name| sensor(name, &spec("yes")).unwrap());
    let plan = Plan::new(1, sensors.to_vec());
    Evaluator::new(Arc::new(plan), State::new(Position::new(1, 0)))
}

fn to(sensor: &str, trigger: &str, dependency: &str, held: bool) -> Addressee {
    let [sensor, trigger, dependency] = [sensor, trigger, dependency].map(str::to_owned);
    Addressee { sensor, trigger, dependency, held }
}

fn addressed(event: Event, to: Vec<Addressee>) -> Event {
    let transfer = Some(Box::new(Transfer { to, ..Transfer::default() }));
    let said = CloudEvent {
        id: event.id.to_string(),
        source: event.key.source.clone(),
        kind: event.kind.clone(),
        subject: Some(event.key.name.clone()),
        transfer,
        ..CloudEvent::default()
    };
    Event { cloud_event: Some(Box::new(said)), ..event }
}

/// The triggers that fire, with the ids of their events.
fn show(evaluator: &mut Evaluator, sequence: u64, event: Event) -> Vec<String> {
    let record = EventsRecord::Event(event);
    let decided = evaluator.apply(Position::new(1, sequence), &record, &mut Off);
    assert!(decided.duplicate.is_none());
    let one = |action: &tripline_event::Action| {
        let ids: Vec<&str> = action.events.iter().map(|event| event.id.as_str()).collect();
        format!("{}/{} {}", action.trigger.sensor, action.trigger.trigger, ids.join(" "))
    };
    decided.actions.iter().map(one).collect()
}

#[test]
fn an_addressed_event_is_seen_by_whom_it_is_for_and_by_nobody_else() {
    let mut evaluator = evaluator();
    let a = |id: &str, n: &str| event("s", "a", id, START, Some(&format!(r#"{{"n":"{n}"}}"#)));
    let each = vec![to("one", "each", "a", false)];
    let gone = vec![to("gone", "each", "a", false), to("one", "gone", "a", false)];
    assert_eq!(show(&mut evaluator, 1, addressed(a("e1", "yes"), each.clone())), ["one/each e1"]);
    assert!(
        show(&mut evaluator, 2, addressed(a("e2", "no"), each)).is_empty(),
        "filters are asked"
    );
    assert!(show(&mut evaluator, 3, addressed(a("e3", "yes"), gone)).is_empty());
    assert!(evaluator.state().held(&ObjectName::new("ci", "one"), "both").is_none());
    // The window of ids has not learned it: for everybody it is a new event.
    assert_eq!(show(&mut evaluator, 4, a("e1", "yes")), ["one/each e1", "other/each e1"]);
    // Nor does the window know what everybody has seen.
    let held = vec![to("one", "both", "a", true)];
    assert!(show(&mut evaluator, 5, addressed(a("e4", "no"), held)).is_empty());
    let b = event("s", "b", "e5", at(1), None);
    assert_eq!(show(&mut evaluator, 6, b), ["one/both e4 e5", "other/both e1 e5"]);
}

#[test]
fn what_is_held_for_a_trigger_that_holds_nothing_is_nothing() {
    let mut evaluator = evaluator();
    let held = vec![to("one", "each", "a", true), to("one", "both", "x", true)];
    let a = event("s", "a", "e1", START, Some(r#"{"n":"yes"}"#));
    assert!(show(&mut evaluator, 1, addressed(a, held)).is_empty());
    assert!(evaluator.state().conditions.iter().next().is_none());
}
