use tripline_config::Input;

use super::{Code, assert_sentence};
use crate::explain::offline::{Order, explain};

const SENSORS: &str = r"
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {name: deploy, namespace: ci}
spec:
  dependencies:
    - name: build
      eventSourceName: builds
      eventName: completed
      filters: {data: [{path: action, type: string, value: [completed]}]}
    - {name: approval, eventSourceName: approvals, eventName: given}
  triggers:
    - template: {name: submit, log: {}}
";

fn order(events: &[(Option<&str>, &str)]) -> Order {
    let own = |(dependency, text): &(Option<&str>, &str)| {
        (dependency.map(str::to_owned), (*text).to_owned())
    };
    Order {
        inputs: vec![Input::text("s.yaml", SENSORS)],
        events: events.iter().map(own).collect(),
        ..Order::default()
    }
}

#[test]
fn files_are_explained_as_the_log_is() {
    let wrong = order(&[(Some("build"), r#"{"body":{"action":"completed"}}"#)]);
    let explanation = explain(&wrong).unwrap();
    assert!(!explanation.fires());
    let cause = &explanation.events[0].sensors[0].cause;
    assert_eq!(cause.code, Code::WrongPath);
    assert_sentence(&cause.sentence, &["write `path: body.action`"]);
    let both = order(&[(Some("build"), r#"{"action":"completed"}"#), (Some("approval"), "{}")]);
    let explanation = explain(&both).unwrap();
    assert_eq!(explanation.events[0].sensors[0].cause.code, Code::HalfMet);
    assert!(explanation.fires());
    assert_eq!(explanation.events[1].sensors[0].triggers[0].held.len(), 1);
}

#[test]
fn a_record_of_the_log_says_itself_what_it_is() {
    let line = r#"{"position":"00000001:7","v":1,"record":"event","specversion":"1.0","id":"b-1","source":"build","type":"webhook","subject":"completed","time":"2026-11-21T03:00:00Z","namespace":"ci","links":{"correlation":"build-1"},"data":{}}"#;
    let explanation = explain(&order(&[(None, line)])).unwrap();
    let cause = explanation.events[0].cause.as_ref().unwrap();
    assert_eq!(cause.code, Code::NoSensor);
    assert_sentence(
        &cause.sentence,
        &["build/completed", "ci/deploy waits for ci/builds/completed"],
    );
}

#[test]
fn what_cannot_be_used_is_said() {
    for (change, expected) in [
        (order(&[]), "an event is needed"),
        (Order { sensor: Some("x".into()), ..order(&[(None, "{}")]) }, "there is no valid sensor"),
        (order(&[(None, "{}")]), "several dependencies"),
    ] {
        let error = explain(&change).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
