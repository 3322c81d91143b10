use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tripline_bus::memory::{Faults, MemoryBus, MemoryStore};
use tripline_bus::{Bus, Log};
use tripline_event::event::Links;
use tripline_event::outcome::TargetResult;
use tripline_event::{
    Action, ActionEvent, ActionId, Cause, Clock, CorrelationId, DefinitionHash, EventId, EventKey,
    ObjectName, Outcome, OutcomeKind, Position, Timestamp, TriggerName,
};

use super::local::{FinishError, Finished, LocalTarget, Phase, WorkflowFilter};
use super::{Submission, WorkflowTrigger};
use crate::{Attempt, RenderedAction, Trigger as _, TriggerError};

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        "2026-11-21T03:00:01Z".parse().unwrap()
    }
}

fn rendered(event: &str, metadata: Value) -> RenderedAction {
    let trigger = TriggerName::new(&ObjectName::new("ci", "Deploy!"), "submit");
    let key = EventKey::new("ci", "builds", "completed");
    let id = EventId(event.into());
    let action = Action {
        id: ActionId::new(&trigger, [("build", &key, &id)], 0),
        trigger,
        definition: DefinitionHash::of("{}"),
        events: vec![ActionEvent {
            dependency: "build".into(),
            key,
            id,
            position: Position::new(1, 1),
            correlation: CorrelationId("build-4711".into()),
        }],
        cause: Position::new(1, 1),
        links: Links { hops: 1, ..Links::first(CorrelationId("build-4711".into())) },
        decided_at: "2026-11-21T03:00:00.123Z".parse().unwrap(),
        expires_at: "2026-11-22T03:00:00Z".parse().unwrap(),
        generation: 0,
        round: 0,
        attempted: false,
        target: None,
        key: None,
        origin: tripline_event::Origin::default(),
        copies: Vec::new(),
    };
    RenderedAction {
        action: Arc::new(action),
        kind: "argoWorkflow".into(),
        config: json!({}),
        resource: Some(
            json!({"kind": "Workflow", "metadata": metadata, "spec": {"entrypoint": "a"}}),
        ),
        payload: None,
        policy: None,
        service_account: None,
        live: None,
    }
}

fn submission(metadata: Value) -> Result<Submission, String> {
    Submission::new(&rendered("e0", metadata)).map_err(|error| error.to_string())
}

#[test]
fn the_name_is_that_of_the_resource_or_a_prefix_and_a_part_of_the_action_id() {
    let id = rendered("e0", Value::Null).action.id.clone();
    let suffix = id.suffix();
    for (metadata, expected) in [
        (json!({"name": "nightly"}), "nightly".to_owned()),
        (json!({"name": "nightly", "generateName": "x-"}), "nightly".to_owned()),
        (json!({"generateName": "deploy-"}), format!("deploy-{suffix}")),
        (json!({"generateName": "Deploy_To."}), format!("deploy-to.{suffix}")),
        (json!({"generateName": "a..b.-c.d-"}), format!("a--b--c.d-{suffix}")),
        (json!({"generateName": "--ü"}), suffix.to_owned()),
        (json!({"generateName": "x".repeat(200)}), format!("{}{suffix}", "x".repeat(42))),
        (json!({}), format!("deploy--submit-{suffix}")),
        (Value::Null, format!("deploy--submit-{suffix}")),
    ] {
        let submission = submission(metadata.clone()).unwrap();
        assert_eq!(submission.name, expected, "{metadata}");
        assert!(submission.name.len() <= 63);
        assert_eq!(submission.object["metadata"]["name"], expected);
        assert_eq!(submission.object["metadata"].get("generateName"), None);
    }
}

#[test]
fn a_name_or_namespace_that_is_none_is_refused() {
    for metadata in [
        json!({"name": "a/b"}),
        json!({"name": "../x"}),
        json!({"name": "A"}),
        json!({"name": "x".repeat(64)}),
        json!({"name": 5}),
        json!({"name": "a", "namespace": "a.b"}),
        json!({"name": "a", "namespace": "a/b"}),
        json!({"name": "a", "labels": ["b"]}),
        json!([]),
    ] {
        assert!(submission(metadata.clone()).is_err(), "{metadata}");
    }
}

#[test]
fn the_namespace_is_that_of_the_resource_or_of_the_sensor() {
    assert_eq!(submission(json!({"namespace": "prod"})).unwrap().namespace, "prod");
    let submission = submission(json!({})).unwrap();
    assert_eq!(submission.namespace, "ci");
    assert_eq!(submission.object["metadata"]["namespace"], "ci");
}

#[test]
fn labels_and_annotations_say_where_the_workflow_comes_from() {
    let mut rendered = rendered("arn:aws:1 2", json!({"labels": {"team": "a"}}));
    let action = Arc::get_mut(&mut rendered.action).unwrap();
    action.links.chain = Some(CorrelationId("root 🚀".into()));
    action.links.traceparent = Some("00-aa-bb-01".into());
    let object = Submission::new(&rendered).unwrap().object;
    let label = |text: &str| CorrelationId(text.into()).label_value().into_owned();
    assert_eq!(
        object["metadata"]["labels"],
        json!({
            "team": "a",
            "events.argoproj.io/sensor": label("Deploy!"),
            "events.argoproj.io/trigger": "submit",
            "events.argoproj.io/action-timestamp": "1795230000123",
            "tripline.dev/action-id": rendered.action.id,
            "tripline.dev/correlation-id": label("root 🚀"),
            "tripline.dev/event-id": label("arn:aws:1 2"),
        })
    );
    assert_eq!(
        object["metadata"]["annotations"],
        json!({
            "tripline.dev/correlation-id": "root 🚀",
            "tripline.dev/event-id": "arn:aws:1 2",
            "tripline.dev/source": "ci/builds/completed",
            "tripline.dev/traceparent": "00-aa-bb-01",
        })
    );
    assert_eq!(object["spec"], json!({"entrypoint": "a"}));
}

struct World {
    bus: Arc<MemoryBus>,
    target: LocalTarget,
    trigger: WorkflowTrigger,
}

impl World {
    fn new() -> Self {
        let bus = Arc::new(MemoryBus::new(MemoryStore::new(1)));
        let target = LocalTarget::new(Arc::clone(&bus) as _, Arc::new(Stopped));
        let trigger = WorkflowTrigger::new(Arc::new(target.clone()));
        Self { bus, target, trigger }
    }

    async fn submit(&self, rendered: &RenderedAction) -> Result<TargetResult, TriggerError> {
        let attempt = Attempt { rendered, events: &[], number: 1, uncertain: false };
        self.trigger.carry_out(attempt).await
    }
}

fn result(name: &str, already: bool) -> TargetResult {
    let (target, namespace) = ("local".into(), "ci".into());
    TargetResult::Workflow { target, namespace, name: name.into(), already }
}

#[tokio::test]
async fn the_same_action_creates_one_workflow_however_often_it_is_attempted() {
    let world = World::new();
    let rendered = rendered("e0", json!({"name": "x"}));
    assert_eq!(world.submit(&rendered).await.unwrap(), result("x", false));
    assert_eq!(world.submit(&rendered).await.unwrap(), result("x", true));
    let workflow = world.target.get("ci", "x").await.unwrap().unwrap();
    assert_eq!((workflow.namespace(), workflow.name()), ("ci", "x"));
    assert_eq!(workflow.phase, Phase::Recorded);
    assert_eq!(workflow.action, rendered.action.id);
    assert_eq!(workflow.object, Submission::new(&rendered).unwrap().object);
}

#[tokio::test]
async fn a_name_that_another_action_has_taken_is_refused() {
    let world = World::new();
    let first = rendered("e0", json!({"name": "x"}));
    world.submit(&first).await.unwrap();
    let error = world.submit(&rendered("e1", json!({"name": "x"}))).await.unwrap_err();
    let TriggerError::Refused { cause, reason } = error else { panic!("{error:?}") };
    assert_eq!(cause, Cause::NameTaken);
    let id = &first.action.id;
    assert_eq!(reason, format!("workflow ci/x exists and belongs to action {id}"));
    // In another namespace it is another workflow.
    let elsewhere = rendered("e1", json!({"name": "x", "namespace": "prod"}));
    world.submit(&elsewhere).await.unwrap();
}

#[tokio::test]
async fn an_attempt_whose_acknowledgement_was_lost_finds_its_workflow() {
    let world = World::new();
    let rendered = rendered("e0", json!({"generateName": "x-"}));
    world.bus.set_faults(Faults { lose_acknowledgement: 1.0, ..Faults::none() });
    let error = world.submit(&rendered).await.unwrap_err();
    assert!(matches!(error, TriggerError::Retry { .. }), "{error:?}");
    world.bus.set_faults(Faults::none());
    let TargetResult::Workflow { already: true, .. } = world.submit(&rendered).await.unwrap()
    else {
        panic!()
    };
}

#[tokio::test]
async fn a_workflow_that_is_too_large_is_refused() {
    let world = World::new();
    let mut rendered = rendered("e0", json!({"name": "x"}));
    let huge = "x".repeat(tripline_bus::MAX_RECORD_BYTES);
    rendered.resource.as_mut().unwrap()["spec"]["huge"] = huge.into();
    let error = world.submit(&rendered).await.unwrap_err();
    assert!(matches!(error, TriggerError::Refused { cause: Cause::Refused, .. }), "{error:?}");
}

#[tokio::test]
async fn a_list_is_read_by_pages_and_filtered() {
    let world = World::new();
    for number in 0..5 {
        for namespace in ["ci", "prod"] {
            let name = format!("w{number}");
            let metadata = json!({"name": name, "namespace": namespace});
            world.submit(&rendered(&format!("{namespace}{number}"), metadata)).await.unwrap();
        }
    }
    world.target.finish("ci", "w3", Finished::Failed).await.unwrap();
    let mut pages = Vec::new();
    let (filter, mut after) = (WorkflowFilter::default(), None);
    loop {
        let page = world.target.list(&filter, after.as_deref(), 4).await.unwrap();
        pages.push(page.workflows.len());
        let Some(next) = page.next else { break };
        after = Some(next);
    }
    assert_eq!(pages.iter().sum::<usize>(), 10, "{pages:?}");
    assert!(pages.iter().all(|length| *length <= 4));
    for (filter, expected) in [
        (WorkflowFilter { namespace: Some("prod".into()), ..filter.clone() }, 5),
        (WorkflowFilter { namespace: Some("pro".into()), ..filter.clone() }, 0),
        (WorkflowFilter { phase: Some(Phase::Failed), ..filter.clone() }, 1),
        (
            WorkflowFilter {
                correlation: Some(CorrelationId("build-4711".into())),
                ..filter.clone()
            },
            10,
        ),
        (WorkflowFilter { correlation: Some(CorrelationId("other".into())), ..filter.clone() }, 0),
    ] {
        let page = world.target.list(&filter, None, 100).await.unwrap();
        assert_eq!((page.workflows.len(), page.next), (expected, None), "{filter:?}");
    }
}

#[tokio::test]
async fn a_workflow_that_ends_is_noted_once_with_an_outcome() {
    let world = World::new();
    world.submit(&rendered("e0", json!({"name": "x"}))).await.unwrap();
    for _ in 0..2 {
        let workflow = world.target.finish("ci", "x", Finished::Succeeded).await.unwrap();
        assert_eq!(workflow.phase, Phase::Succeeded);
        assert_eq!(workflow.finished_at, Some(Stopped.now()));
    }
    let error = world.target.finish("ci", "x", Finished::Failed).await.unwrap_err();
    assert!(matches!(error, FinishError::Ended(Phase::Succeeded)), "{error}");
    let error = world.target.finish("ci", "y", Finished::Failed).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no workflow ci/y");
    let from = world.bus.extent(Log::Outcomes).await.unwrap().first;
    let records = world.bus.read(Log::Outcomes, from, 10).await.unwrap();
    assert_eq!(records.len(), 1);
    let outcome = Outcome::decode(&records[0].record).unwrap();
    assert_eq!(outcome.correlation, Some(CorrelationId("build-4711".into())));
    let OutcomeKind::Workflow { name, phase, .. } = outcome.kind else { panic!() };
    assert_eq!((name.as_str(), phase.as_str()), ("x", "Succeeded"));
}

/// The value is a format: it must be readable for ever.
#[tokio::test]
async fn the_first_format_of_a_workflow_is_this_one() {
    let world = World::new();
    let rendered = rendered("e0", json!({"name": "x"}));
    world.submit(&rendered).await.unwrap();
    let entry = world.bus.get("workflows/ci/x").await.unwrap().unwrap();
    let value: BTreeMap<String, Value> = serde_json::from_slice(&entry.value).unwrap();
    let object = Submission::new(&rendered).unwrap().object;
    assert_eq!(
        serde_json::to_value(value).unwrap(),
        json!({
            "v": 1,
            "object": object,
            "phase": "Recorded",
            "action": rendered.action.id,
            "correlation": "build-4711",
            "createdAt": "2026-11-21T03:00:01Z",
        })
    );
    // A newer one is refused by name.
    let newer = bytes::Bytes::from_static(br#"{"v":2}"#);
    world.bus.put("workflows/ci/x", newer, entry.revision).await.unwrap();
    let error = world.target.get("ci", "x").await.unwrap_err();
    assert!(error.to_string().contains("format 2"), "{error}");
}
