//! The tests of backtests.

use std::sync::Arc;

use serde_json::{Value, json};
use tripline_bus::embedded::{EmbeddedBus, OpenOptions};
use tripline_bus::{Append, Bus, Log};
use tripline_config::Input;
use tripline_event::event::{JSON, Links};
use tripline_event::{CorrelationId, Event, EventId, EventKey, EventsRecord, Timestamp};

use super::*;
use crate::control::Backend;
use crate::engine::definitions::Definitions;
use crate::engine::plans::{self, Listing};

/// A sensor on `builds/completed` and `builds/approved`, with these fields.
fn sensor(name: &str, filters: &str, conditions: &str, value: &str) -> String {
    format!(
        r#"
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {{name: {name}, namespace: ci}}
spec:
  dependencies:
    - {{name: build, eventSourceName: builds, eventName: completed{filters}}}
    - {{name: approval, eventSourceName: builds, eventName: approved}}
  triggers:
    - template:
        name: submit
        conditions: {conditions}
        argoWorkflow:
          source:
            resource:
              apiVersion: argoproj.io/v1alpha1
              kind: Workflow
              metadata: {{generateName: deploy-}}
              spec: {{arguments: {{parameters: [{{name: sha, value: x}}, {{name: by, value: x}}]}}}}
          parameters:
            - {{src: {{dependencyName: build, dataKey: {value}, value: none}}, dest: spec.arguments.parameters.0.value}}
            - {{src: {{dependencyName: approval, dataKey: body.by, value: nobody}}, dest: spec.arguments.parameters.1.value}}
"#
    )
}

fn only(action: &str) -> String {
    format!(", filters: {{data: [{{path: body.action, type: string, value: [{action}]}}]}}")
}

/// A log in which a sensor is in force.
struct Past {
    folder: tempfile::TempDir,
    bus: Arc<EmbeddedBus>,
    events: u64,
}

impl Past {
    async fn of(present: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bus = EmbeddedBus::open(folder.path(), &OpenOptions::default()).unwrap();
        let inputs = [Input::text("present.yaml", present)];
        let loaded = crate::load::load(&inputs, &Definitions::default());
        assert_eq!(loaded.diagnostics, []);
        let definitions = loaded.definitions();
        plans::publish(&bus, &definitions, &mut Listing::default()).await.unwrap();
        Self { folder, bus: Arc::new(bus), events: 0 }
    }

    async fn event(&mut self, name: &str, body: Value) {
        self.events += 1;
        let id = EventId(format!("e-{}", self.events));
        let at = Timestamp::from_second(1_800_000_000 + 60 * self.events as i64).unwrap();
        let event = Event {
            key: EventKey::new("ci", "builds", name),
            links: Links::first(CorrelationId(format!("c-{}", self.events))),
            id,
            kind: "webhook".to_owned(),
            time: at,
            content_type: JSON.to_owned(),
            data: Some(json!({"body": body}).to_string().into()),
            cloud_event: None,
        };
        let record = EventsRecord::Event(event).encode();
        self.bus.append(Log::Events, vec![Append { dedup: None, record }]).await.unwrap();
    }

    fn backend(&self) -> Backend {
        Backend::Directory { path: self.folder.path().to_owned(), bus: Arc::clone(&self.bus) }
    }

    async fn compared(&self, changed: &str, since: Option<Timestamp>) -> Report {
        let backend = self.backend();
        let inputs = [Input::text("new.yaml", changed)];
        let changes = Changes::load(&inputs, None, &backend).await.unwrap().unwrap();
        let events = backend.history(since).await.unwrap();
        run(&changes, events, since, EXAMPLES).await.unwrap()
    }
}

fn counts(report: &Report) -> [u64; 4] {
    let [of] = report.sensors.as_slice() else { panic!("{report:#?}") };
    [of.same, of.fired, of.lost, of.changed]
}

#[tokio::test]
async fn what_would_fire_and_what_would_no_longer_fire_is_told_with_the_reason() {
    let mut past = Past::of(&sensor("deploy", &only("completed"), "build", "body.sha")).await;
    for action in ["completed", "done", "completed", "failed"] {
        past.event("completed", json!({"action": action, "sha": "s"})).await;
    }
    let changed = sensor("deploy", &only("done"), "build", "body.sha");
    let report = past.compared(&changed, None).await;
    assert_eq!(counts(&report), [0, 1, 2, 0]);
    let lost = &report.sensors[0].examples_lost[0];
    assert_eq!(lost.events[0].id, "e-1");
    assert!(lost.because.iter().any(|line| line.contains("body.action is completed")), "{lost:#?}");
    let fired = &report.sensors[0].examples_fired[0];
    assert_eq!((fired.events[0].id.as_str(), fired.trigger.as_str()), ("e-2", "ci/deploy/submit"));
    assert!(fired.because.iter().any(|line| line.contains("body.action is done")), "{fired:#?}");
    let text = report.text();
    for line in ["would fire            1", "would no longer fire  2", "events    4 of 4 records"] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let budget = |text: &str| text.parse::<Budget>().unwrap().exceeded(&report).len();
    assert_eq!(
        (budget("3"), budget("2"), budget("lost=2,fired=0"), budget("changed=0")),
        (0, 1, 1, 0)
    );
}

#[tokio::test]
async fn other_parameters_are_shown_value_by_value() {
    let mut past = Past::of(&sensor("deploy", "", "build", "body.sha")).await;
    past.event("completed", json!({"sha": "s1", "commit": "c1"})).await;
    past.event("completed", json!({"sha": "same", "commit": "same"})).await;
    let report = past.compared(&sensor("deploy", "", "build", "body.commit"), None).await;
    assert_eq!(counts(&report), [1, 0, 0, 1]);
    let differences = &report.sensors[0].examples_changed[0].differences;
    let [only] = differences.as_slice() else { panic!("{differences:#?}") };
    assert_eq!(only.path, "spec.arguments.parameters.0.value");
    assert_eq!((only.now.as_str(), only.then.as_str()), (r#""s1""#, r#""c1""#));
}

#[tokio::test]
async fn conditions_join_events_of_the_log() {
    let mut past = Past::of(&sensor("deploy", "", "build", "body.sha")).await;
    past.event("completed", json!({"sha": "s1"})).await;
    past.event("approved", json!({"by": "ann"})).await;
    past.event("completed", json!({"sha": "s2"})).await;
    let report = past.compared(&sensor("deploy", "", "build && approval", "body.sha"), None).await;
    // Each build alone is gone; the first one fires with its approval.
    assert_eq!(counts(&report), [0, 1, 2, 0]);
    let lost = &report.sensors[0].examples_lost[0];
    assert!(lost.because[0].contains("waits for approval"), "{lost:#?}");
    assert_eq!(report.sensors[0].examples_fired[0].events.len(), 2);
    assert!(report.remarks.iter().any(|remark| remark.contains("half-met")), "{report:#?}");
    // The event that was held is rendered with.
    let joined = |value: &str| sensor("deploy", "", "build && approval", value);
    let mut past = Past::of(&joined("body.sha")).await;
    past.event("completed", json!({"sha": "s1", "commit": "c1"})).await;
    past.event("approved", json!({"by": "ann"})).await;
    let report = past.compared(&joined("body.commit"), None).await;
    assert_eq!(counts(&report), [0, 0, 0, 1]);
    assert_eq!(report.sensors[0].examples_changed[0].differences[0].then, r#""c1""#);
}

#[tokio::test]
async fn the_same_sensor_differs_in_nothing_and_a_new_one_in_all() {
    let present = sensor("deploy", &only("completed"), "build", "body.sha");
    let mut past = Past::of(&present).await;
    past.event("completed", json!({"action": "completed", "sha": "s"})).await;
    past.event("other", json!({"action": "completed"})).await;
    let report = past.compared(&present, None).await;
    assert_eq!(counts(&report), [1, 0, 0, 0]);
    assert!(!report.differs());
    let report = past.compared(&sensor("new", "", "build", "body.sha"), None).await;
    assert_eq!(counts(&report), [0, 1, 0, 0]);
    assert!(report.sensors[0].is_new);
    assert_eq!(report.sensors[0].examples_fired[0].because, ["the sensor is new"]);
}

#[tokio::test]
async fn the_range_is_the_one_that_was_asked_for_as_far_as_the_log_has_it() {
    let mut past = Past::of(&sensor("deploy", "", "build", "body.sha")).await;
    for n in 0..30 {
        past.event("completed", json!({"sha": n})).await;
    }
    let changed = sensor("deploy", &only("none"), "build", "body.sha");
    let since = |minutes: i64| Timestamp::from_second(1_800_000_000 + 60 * minutes).unwrap();
    let report = past.compared(&changed, Some(since(21))).await;
    assert_eq!(counts(&report), [0, 0, 10, 0]);
    assert!(report.records < 20, "what is long before is not read: {}", report.records);
    let report = past.compared(&changed, Some(since(-1000))).await;
    assert_eq!(counts(&report), [0, 0, 30, 0]);
    assert!(report.remarks[0].contains("the log begins at"), "{:?}", report.remarks);
    assert_eq!(report.sensors[0].examples_lost.len(), EXAMPLES, "the rest is a number");
    assert!(report.text().contains("… and 27 more"), "{}", report.text());
}

#[tokio::test]
async fn nothing_is_written() {
    let mut past = Past::of(&sensor("deploy", "", "build", "body.sha")).await;
    past.event("completed", json!({"sha": "s"})).await;
    let ends = async || {
        let mut ends = Vec::new();
        for log in Log::ALL {
            ends.push(past.bus.extent(log).await.unwrap());
        }
        ends
    };
    let before = ends().await;
    past.compared(&sensor("deploy", &only("none"), "build", "body.sha"), None).await;
    assert_eq!(ends().await, before);
    assert_eq!(plans::newest(past.bus.as_ref()).await.unwrap().number, 1);
}

#[tokio::test]
async fn what_is_wrong_or_not_there_is_told() {
    let past = Past::of(&sensor("deploy", "", "build", "body.sha")).await;
    let load = async |text: &str, only| {
        Changes::load(&[Input::text("new.yaml", text)], only, &past.backend()).await
    };
    let wrong = sensor("deploy", "", "build && nobody", "body.sha");
    assert!(!load(&wrong, None).await.unwrap().err().unwrap().is_empty());
    let right = sensor("deploy", "", "build", "body.sha");
    let error = load(&right, Some("other")).await.err().unwrap().to_string();
    assert!(error.contains("no sensor `other`"), "{error}");
    assert_eq!(load(&right, Some("ci/deploy")).await.unwrap().unwrap().sensors.len(), 1);
}

/// What a daemon streams is what the log holds, wherever the pieces are cut.
#[tokio::test]
async fn frames_hold_what_the_log_holds() {
    let mut past = Past::of(&sensor("deploy", "", "build", "body.sha")).await;
    for n in 0..5 {
        past.event("completed", json!({"sha": n})).await;
    }
    let bus: Arc<dyn Bus> = past.bus.clone();
    let mut history = history::History::new(bus, None).await.unwrap();
    let page = history.page().await.unwrap();
    assert_eq!(page.len(), 5);
    let bytes = history::frames(&page);
    let sizes: usize = page.iter().map(|stored| 12 + stored.record.len()).sum();
    assert_eq!(bytes.len(), sizes);
    assert!(history.page().await.unwrap().is_empty());
}
