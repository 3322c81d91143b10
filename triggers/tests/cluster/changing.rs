//! Objects of any kind that are changed or deleted, and objects that must get labels.

use std::sync::Arc;

use serde_json::{Value, json};
use tripline_event::Cause;
use tripline_event::outcome::TargetResult;
use tripline_testbed::Subject;
use tripline_triggers::k8s::K8sTrigger;
use tripline_triggers::{Attempt, LiveParameters, RenderedAction, Trigger as _, TriggerError};

use crate::world::{World, tripline};

/// Tripline acts as itself, and may do anything with ConfigMaps and Deployments.
fn world(namespace: &str) -> World {
    let world = World::bare(namespace, json!({"impersonate": false}));
    let user = tripline(namespace);
    let rules = json!([
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["*"]},
    ]);
    world.kube.grant(namespace, Subject::User(&user), &rules).unwrap();
    world
}

/// The action of `event`, with this configuration and object.
fn rendered(world: &World, event: &str, config: Value, resource: Value) -> RenderedAction {
    let rendered = world.rendered(event, json!({}));
    RenderedAction { kind: "k8s".into(), config, resource: Some(resource), ..rendered }
}

async fn attempt(
    world: &World,
    rendered: &RenderedAction,
    number: u32,
) -> Result<TargetResult, TriggerError> {
    let trigger = K8sTrigger::new(Arc::clone(&world.clusters));
    trigger.carry_out(Attempt { rendered, events: &[], number, uncertain: number > 1 }).await
}

/// Whether it was done already.
async fn already(world: &World, rendered: &RenderedAction) -> bool {
    match attempt(world, rendered, 1).await.unwrap() {
        TargetResult::Object { already, .. } => already,
        other => panic!("{other:?}"),
    }
}

fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

fn path(world: &World, name: &str) -> String {
    format!("/api/v1/namespaces/{}/configmaps/{name}", world.namespace)
}

fn there(world: &World, name: &str) -> Value {
    world.kube.get(&path(world, name)).unwrap().unwrap()
}

#[tokio::test]
async fn an_object_is_updated_or_patched_once_and_created_where_it_is_not_there() {
    let world = world("changing");
    let of = |strategy: &str| json!({"operation": "patch", "patchStrategy": strategy});
    let mut expected = json!({});
    for (event, config, data) in [
        ("created", json!({"operation": "update"}), json!({"a": "1", "b": "1"})),
        ("updated", json!({"operation": "update"}), json!({"b": "2", "c": "2"})),
        ("patched", json!({"operation": "patch"}), json!({"c": "3"})),
        ("merged", of("application/merge-patch+json"), json!({"d": "4"})),
        ("strategic", of("application/strategic-merge-patch+json"), json!({"a": "5"})),
        ("applied", of("application/apply-patch+yaml"), json!({"e": "6"})),
    ] {
        expected.as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
        let rendered = rendered(&world, event, config, config_map("state", data));
        assert!(!already(&world, &rendered).await, "{event}");
        let object = there(&world, "state");
        assert_eq!(object["data"], expected, "{event}");
        // An attempt whose answer was lost is made again, and does nothing new.
        assert!(already(&world, &rendered).await, "{event} twice");
        assert_eq!(there(&world, "state"), object, "{event} twice");
    }
}

#[tokio::test]
async fn the_operations_of_a_json_patch_are_done_once() {
    let world = world("json-patches");
    let config = json!({"operation": "patch", "patchStrategy": "application/json-patch+json"});
    let mut resource = config_map("state", Value::Null);
    resource["patch"] = json!([{"op": "add", "path": "/data/new", "value": "1"},
                               {"op": "remove", "path": "/data/old"}]);
    let rendered = rendered(&world, "e1", config, resource);
    let answer = attempt(&world, &rendered, 1).await;
    assert!(
        matches!(answer, Err(TriggerError::Refused { cause: Cause::NotFound, .. })),
        "{answer:?}"
    );
    let namespace = format!("/api/v1/namespaces/{}/configmaps", world.namespace);
    world.kube.create(&namespace, &config_map("state", json!({"old": "0"}))).unwrap();
    assert!(!already(&world, &rendered).await);
    assert_eq!(there(&world, "state")["data"], json!({"new": "1"}));
    assert!(already(&world, &rendered).await);
}

#[tokio::test]
async fn parameters_are_applied_to_the_object_as_it_is() {
    let world = world("live");
    let namespace = format!("/api/v1/namespaces/{}/configmaps", world.namespace);
    let config = json!({"operation": "update", "liveObject": true});
    let mut rendered = rendered(&world, "e1", config, config_map("state", Value::Null));
    rendered.live = Some(LiveParameters::new(|object| {
        let mut object = object.clone();
        let before = object["data"]["count"].as_str().unwrap_or_default();
        object["data"]["count"] = format!("{before}+1").into();
        Ok(object)
    }));
    let answer = attempt(&world, &rendered, 1).await;
    assert!(
        matches!(answer, Err(TriggerError::Refused { cause: Cause::NotFound, .. })),
        "{answer:?}"
    );
    world.kube.create(&namespace, &config_map("state", json!({"count": "1", "k": "v"}))).unwrap();
    for expected in [false, true] {
        assert_eq!(already(&world, &rendered).await, expected);
        assert_eq!(there(&world, "state")["data"], json!({"count": "1+1", "k": "v"}));
    }
}

#[tokio::test]
async fn an_object_is_deleted_and_one_that_is_not_there_is_as_it_should_be() {
    let world = world("deleting");
    let namespace = format!("/api/v1/namespaces/{}/configmaps", world.namespace);
    world.kube.create(&namespace, &config_map("state", json!({}))).unwrap();
    let config = json!({"operation": "delete"});
    let rendered = rendered(&world, "e1", config, config_map("state", Value::Null));
    assert!(!already(&world, &rendered).await);
    assert_eq!(world.kube.get(&path(&world, "state")).unwrap(), None);
    assert!(already(&world, &rendered).await);
}

#[tokio::test]
async fn an_object_counts_when_it_has_got_its_labels() {
    let world = world("labels");
    let policy = json!({"k8s": {"labels": {"state": "ready"}, "errorOnBackoffTimeout": true,
                                "backoff": {"duration": "10ms", "steps": 3}}});
    let object = config_map("state", json!({}));
    let mut rendered = rendered(&world, "e1", json!({"operation": "create"}), object);
    rendered.policy = Some(policy);
    for number in [1, 2] {
        let answer = attempt(&world, &rendered, number).await;
        let Err(TriggerError::Retry { reason, .. }) = answer else { panic!("{answer:?}") };
        assert!(reason.contains("has not got `state: ready` yet"), "{reason}");
    }
    let answer = attempt(&world, &rendered, 3).await;
    let Err(TriggerError::Refused { reason, .. }) = answer else { panic!("{answer:?}") };
    assert!(reason.contains("in 3 looks"), "{reason}");

    let mut labelled = there(&world, "state");
    labelled["metadata"]["labels"]["state"] = "ready".into();
    world.kube.request("PUT", &path(&world, "state"), Some(&labelled)).unwrap();
    let done = attempt(&world, &rendered, 2).await.unwrap();
    assert!(matches!(done, TargetResult::Object { already: true, .. }), "{done:?}");
}
