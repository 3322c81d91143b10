//! The tests of the verdicts: messages and workflows as they would be, without servers.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};
use tripline_bus::argo::{Consumer, Message};
use tripline_config::Input;
use tripline_event::{EventKey, ObjectName, Timestamp, TriggerName};

use super::firings::Firings;
use super::listeners::Listeners;
use super::report::{Covered, TriggerReport};
use super::run::{Order, Past, compare};
use super::workflows::Made;
use crate::engine::definitions::{CompiledSensor, Definitions};

const SENSOR: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {name: deploy, namespace: ci}
spec:
  dependencies:
    - {name: build, eventSourceName: builds, eventName: completed}
    - {name: approval, eventSourceName: builds, eventName: approved}
  triggers:
    - template:
        name: submit
        conditions: CONDITIONS
        argoWorkflow:
          operation: submit
          source:
            resource:
              apiVersion: argoproj.io/v1alpha1
              kind: Workflow
              metadata: {generateName: deploy-}
              spec: {arguments: {parameters: [{name: sha, value: none}]}TTL}
          parameters:
            - {src: {dependencyName: build, dataKey: body.sha}, dest: spec.arguments.parameters.0.value}
"#;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// A message at a second: its event, its id, and the commit that it names.
type Sent = (i64, &'static str, &'static str, &'static str);

fn message(sequence: u64, (second, event, id, sha): Sent) -> Message {
    let data = if sha.is_empty() { json!({}) } else { json!({"body": {"sha": sha}}) };
    let body = json!({
        "specversion": "1.0", "id": id, "source": "builds", "subject": event, "type": "webhook",
        "datacontenttype": "application/json", "time": at(second).to_string(), "data": data,
    });
    let (subject, body) = (format!("default.builds.{event}"), body.to_string());
    Message::decode("ci", sequence, at(second), &subject, None, body.as_bytes()).unwrap()
}

fn workflow(second: i64, name: &str, sha: &str) -> Made {
    let workflow = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow",
        "metadata": {
            "name": name, "generateName": "deploy-", "namespace": "ci",
            "labels": {
                "events.argoproj.io/sensor": "deploy",
                "events.argoproj.io/trigger": "submit",
                "events.argoproj.io/action-timestamp": at(second).as_millisecond().to_string(),
            },
        },
        "spec": {"arguments": {"parameters": [{"name": "sha", "value": sha}]}},
    });
    Made::of(&workflow).unwrap()
}

/// What a comparison depends on besides messages and workflows.
struct World {
    conditions: &'static str,
    ttl: &'static str,
    first: u64,
    acknowledged: u64,
    listens_since: i64,
    kept: Option<SignedDuration>,
    since: i64,
}

impl Default for World {
    fn default() -> Self {
        let (first, acknowledged, listens_since, since) = (1, u64::MAX, 0, 0);
        Self { conditions: "build", ttl: "", first, acknowledged, listens_since, kept: None, since }
    }
}

impl World {
    fn compared(&self, sent: &[Sent], workflows: &[Made]) -> TriggerReport {
        let yaml = SENSOR.replace("CONDITIONS", self.conditions).replace("TTL", self.ttl);
        let definitions = Definitions::default();
        let loaded = crate::load::load(&[Input::text("sensor.yaml", yaml)], &definitions);
        let errors: Vec<_> = loaded.diagnostics.iter().filter(|of| of.is_error()).collect();
        assert!(errors.is_empty(), "{errors:?}");
        let sensors: BTreeMap<ObjectName, Arc<CompiledSensor>> =
            loaded.sensors.into_iter().map(|(name, of)| (name, of.compiled)).collect();
        let mut firings = Firings::new(&definitions, &sensors);
        for (number, sent) in sent.iter().enumerate() {
            firings.apply(message(self.first + number as u64, *sent));
        }
        let trigger = TriggerName::new(&ObjectName::new("ci", "deploy"), "submit");
        let mut listeners = Listeners::default();
        for event in ["completed", "approved"] {
            let consumer = Consumer {
                created: at(self.listens_since),
                acknowledged: self.acknowledged,
                is_asked: true,
                unacknowledged: 0,
            };
            listeners.add(trigger.clone(), EventKey::new("ci", "builds", event), consumer);
        }
        let covered = Covered {
            first: self.first,
            begins: sent.first().map(|sent| at(sent.0)),
            ..Covered::default()
        };
        let past = Past { covered, firings, listeners, held: BTreeMap::new() };
        let order = Order {
            definitions: &definitions,
            sensors: &sensors,
            since: at(self.since),
            now: at(10_000),
            settles: SignedDuration::from_secs(10),
            kept: self.kept,
            examples: 3,
        };
        let mut report = compare(&order, &past, workflows);
        report.sensors.remove(0).triggers.remove(0)
    }
}

const BUILD: &str = "completed";

fn counts(of: &TriggerReport) -> [u64; 5] {
    [of.equal, of.lost, of.different, of.only_argo, of.not_compared.values().sum()]
}

fn reason(of: &TriggerReport) -> &'static str {
    of.not_compared.keys().next().copied().unwrap_or_default()
}

#[test]
fn a_firing_with_its_workflow_is_equal() {
    let sent = [(1, BUILD, "a", "4f2a"), (2, BUILD, "b", "77aa")];
    let made = [workflow(1, "deploy-1", "4f2a"), workflow(3, "deploy-2", "77aa")];
    let found = World::default().compared(&sent, &made);
    assert_eq!(counts(&found), [2, 0, 0, 0, 0], "{found:?}");
}

#[test]
fn a_firing_without_a_workflow_is_lost() {
    let sent = [(1, BUILD, "a", "4f2a"), (2, BUILD, "b", "77aa")];
    let found = World::default().compared(&sent, &[workflow(1, "deploy-1", "4f2a")]);
    assert_eq!(counts(&found), [1, 1, 0, 0, 0], "{found:?}");
    let lost = &found.examples_lost[0];
    assert_eq!((lost.sequence, lost.events[0].id.as_str()), (Some(2), "b"));
    assert_eq!(lost.because, "it was acknowledged, and no workflow of it is there");
    let alone = World::default().compared(&sent, &[]);
    assert!(alone.examples_lost[0].because.contains("no workflow of this trigger at all"));
    let newer = World::default().compared(&sent, &[workflow(2, "deploy-2", "77aa")]);
    assert!(newer.examples_lost[0].because.contains("say --kept"), "{newer:?}");
}

#[test]
fn a_workflow_with_another_parameter_is_different() {
    let found =
        World::default().compared(&[(1, BUILD, "a", "4f2a")], &[workflow(2, "deploy-1", "x")]);
    assert_eq!(counts(&found), [0, 0, 1, 0, 0], "{found:?}");
    let example = &found.examples_different[0];
    assert_eq!(example.workflow.as_deref(), Some("deploy-1"));
    assert_eq!(example.differences[0].path, "spec.arguments.parameters.0.value");
}

/// Each workflow that nothing fires here, and why that is likely so.
#[test]
fn a_workflow_without_a_firing_is_argo_events_alone() {
    let one = (1, BUILD, "a", "4f2a");
    let first = || workflow(1, "deploy-1", "4f2a");
    for (sent, more, because) in [
        (vec![one], workflow(5, "deploy-2", "4f2a"), "acted twice"),
        (vec![one], workflow(5, "deploy-2", "x"), "the sensor was another one then"),
        (
            vec![one, (4, BUILD, "a", "4f2a")],
            workflow(5, "deploy-2", "4f2a"),
            "repeats the event a of message 1",
        ),
    ] {
        let found = World::default().compared(&sent, &[first(), more]);
        assert_eq!(counts(&found), [1, 0, 0, 1, 0], "{found:?}");
        let example = &found.examples_only_argo[0];
        assert!(example.because.contains(because), "{example:?}");
    }
    let both = World { conditions: "build && approval", ..World::default() };
    let found = both.compared(&[one], &[first()]);
    assert_eq!(counts(&found), [0, 0, 0, 1, 0], "{found:?}");
    assert!(found.examples_only_argo[0].because.contains("an event that was held"), "{found:?}");
}

/// What cannot be compared is neither equal nor different.
#[test]
fn what_cannot_be_compared_is_counted_with_its_reason() {
    let one = (100, BUILD, "a", "4f2a");
    let of = |world: World, sent: Sent, made: &[Made], wanted: &str| {
        let found = world.compared(&[sent], made);
        assert_eq!(counts(&found), [0, 0, 0, 0, 1], "{wanted}: {found:?}");
        assert!(reason(&found).contains(wanted), "{wanted}: {found:?}");
    };
    let world = World::default;
    of(World { listens_since: 101, ..world() }, one, &[], "before Argo Events' sensor listened");
    of(World { acknowledged: 0, ..world() }, one, &[], "has not come to yet");
    of(world(), (9_995, BUILD, "a", "4f2a"), &[], "has not come to yet");
    of(world(), (100, BUILD, "a", ""), &[], "would be dead letters here");
    let day = Some(SignedDuration::from_hours(1));
    of(World { kept: day, ..world() }, one, &[], "may be deleted by now");
    let ttl = ", ttlStrategy: {secondsAfterCompletion: 600}";
    of(World { ttl, ..world() }, one, &[], "may be deleted by now");
}

#[test]
fn a_workflow_of_an_event_that_the_stream_no_longer_has_is_not_compared() {
    let sent = [(100, BUILD, "b", "77aa")];
    let made = [workflow(101, "deploy-1", "4f2a"), workflow(102, "deploy-2", "77aa")];
    let found = World { first: 41, ..World::default() }.compared(&sent, &made);
    assert_eq!(counts(&found), [1, 0, 0, 0, 1], "{found:?}");
    let whole = World::default().compared(&sent, &made);
    assert_eq!(counts(&whole), [1, 0, 0, 1, 0], "nothing is gone from it: {whole:?}");
}

#[test]
fn what_was_before_the_range_is_no_verdict_but_decides() {
    let world = World { conditions: "build && approval", since: 50, ..World::default() };
    let sent = [(1, BUILD, "a", "4f2a"), (60, "approved", "b", "")];
    let found = world.compared(&sent, &[workflow(60, "deploy-1", "4f2a")]);
    assert_eq!(counts(&found), [1, 0, 0, 0, 0], "{found:?}");
    let later = World { since: 70, ..world };
    let found = later.compared(&sent, &[]);
    assert_eq!(counts(&found), [0, 0, 0, 0, 0], "{found:?}");
}

#[test]
fn a_dead_letter_here_and_a_workflow_there_are_different() {
    let found = World::default().compared(&[(1, BUILD, "a", "")], &[workflow(1, "deploy-1", "x")]);
    assert_eq!(counts(&found), [0, 0, 1, 0, 0], "{found:?}");
    let difference = &found.examples_different[0].differences[0];
    assert!(difference.tripline.starts_with("a dead letter: "), "{difference:?}");
    let _: Value = serde_json::to_value(&found).unwrap();
}
