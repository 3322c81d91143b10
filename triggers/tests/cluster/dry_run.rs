//! Whatever a trigger does, in a dry run the API server says what would come of it, and nothing
//! is created, changed or deleted.

use std::sync::Arc;

use serde_json::{Value, json};
use tripline_event::Cause;
use tripline_event::outcome::TargetResult;
use tripline_testbed::Subject;
use tripline_triggers::k8s::K8sTrigger;
use tripline_triggers::{Attempt, RenderedAction, Trigger as _, TriggerError};

use crate::world::{World, tripline};

/// Tripline acts as itself, and may do anything with these objects.
fn world(namespace: &str) -> World {
    let itself = json!({"impersonate": false});
    let mut world = World::bare(namespace, itself.clone());
    let user = tripline(namespace);
    let rules = json!([
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["*"]},
        {"apiGroups": ["argoproj.io"], "resources": ["*"], "verbs": ["*"]},
    ]);
    world.kube.grant(namespace, Subject::User(&user), &rules).unwrap();
    world.only_try(itself);
    world
}

fn of_kind(world: &World, kind: &str, config: Value, resource: Value) -> RenderedAction {
    let rendered = world.rendered("e1", json!({}));
    RenderedAction { kind: kind.into(), config, resource: Some(resource), ..rendered }
}

/// Everything that the namespace holds of the kinds that are acted on, as it is.
fn all(world: &World) -> Vec<Value> {
    let core = format!("/api/v1/namespaces/{}", world.namespace);
    let of = |plural: &str| world.kube.list(&format!("{core}/{plural}")).unwrap();
    let mut all = [of("configmaps"), of("pods"), world.workflows()].concat();
    all.sort_by_key(|object| object["metadata"]["uid"].to_string());
    all
}

async fn object(world: &World, rendered: &RenderedAction) -> Result<TargetResult, TriggerError> {
    let trigger = K8sTrigger::new(Arc::clone(&world.clusters));
    trigger.carry_out(Attempt { rendered, events: &[], number: 1, uncertain: false }).await
}

#[tokio::test]
async fn an_object_is_not_created_changed_or_deleted() {
    let world = world("dry-objects");
    let config_map = |name: &str, data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data});
    let path = "/api/v1/namespaces/dry-objects/configmaps";
    world.kube.create(path, &config_map("there", json!({"a": "1"}))).unwrap();
    let before = all(&world);
    let patch = |kind: &str| json!({"operation": "patch", "patchStrategy": kind});
    let mut operations = config_map("there", Value::Null);
    operations["patch"] = json!([{"op": "add", "path": "/data/b", "value": "2"}]);
    let change = || config_map("there", json!({"a": "2"}));
    for (config, resource) in [
        (json!({}), config_map("new", json!({}))),
        (json!({"operation": "update"}), config_map("new", json!({}))),
        (json!({"operation": "update"}), change()),
        (patch("application/merge-patch+json"), change()),
        (patch("application/strategic-merge-patch+json"), change()),
        (patch("application/apply-patch+yaml"), change()),
        (patch("application/json-patch+json"), operations),
        (json!({"operation": "delete"}), change()),
    ] {
        let done = object(&world, &of_kind(&world, "k8s", config.clone(), resource)).await;
        let done = done.unwrap_or_else(|error| panic!("{config}: {error}"));
        assert!(matches!(done, TargetResult::Object { already: false, .. }), "{config}: {done:?}");
        assert_eq!(all(&world), before, "{config}");
    }
    // What is wrong is said as it would be, and as much of it as there is.
    let keys: Vec<String> = (0..200).map(|n| format!("no good key {n}!")).collect();
    let data = keys.iter().map(|key| (key.clone(), json!(""))).collect();
    let wrong = of_kind(&world, "k8s", json!({}), config_map("new", Value::Object(data)));
    let error = object(&world, &wrong).await.unwrap_err();
    let TriggerError::Refused { cause: Cause::Invalid, reason } = error else {
        panic!("{error:?}")
    };
    for key in keys {
        assert!(reason.contains(&format!("data[{key}]")), "{key}: {reason}");
    }
    assert_eq!(all(&world), before);
}

#[tokio::test]
async fn a_workflow_is_not_submitted_or_changed_and_no_pod_is_deleted() {
    let world = world("dry-workflows");
    let status = json!({"phase": "Failed", "finishedAt": "2026-11-21T02:00:00Z", "nodes": {
        "wf": {"id": "wf", "name": "wf", "type": "Steps", "phase": "Failed"},
        "bad": {"id": "bad", "name": "wf[0].b", "type": "Pod", "phase": "Failed"},
    }});
    let workflow = |name: &str, status: Value| json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": name}, "spec": {"entrypoint": "main"}, "status": status});
    let workflows = "/apis/argoproj.io/v1alpha1/namespaces/dry-workflows/workflows";
    world.kube.create(workflows, &workflow("failed", status)).unwrap();
    world.kube.create(workflows, &workflow("runs", json!({"phase": "Running"}))).unwrap();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "failed-b", "labels": {"workflows.argoproj.io/workflow": "failed"},
                     "annotations": {"workflows.argoproj.io/node-id": "bad"}},
        "spec": {"containers": [{"name": "main", "image": "none"}],
                 "terminationGracePeriodSeconds": 0},
    });
    world.kube.create("/api/v1/namespaces/dry-workflows/pods", &pod).unwrap();
    let before = all(&world);
    for (operation, name) in [
        ("submit", "new"),
        ("resubmit", "failed"),
        ("retry", "failed"),
        ("suspend", "runs"),
        ("stop", "runs"),
        ("terminate", "runs"),
    ] {
        let config = json!({"operation": operation});
        let resource = workflow(name, Value::Null);
        let rendered = of_kind(&world, "argoWorkflow", config, resource);
        let done = world.submit(&rendered).await;
        let done = done.unwrap_or_else(|error| panic!("{operation}: {error}"));
        let new = matches!(done, TargetResult::Workflow { already: false, .. });
        assert!(new, "{operation}: {done:?}");
        assert_eq!(all(&world), before, "{operation}");
    }
}
