//! Objects of any kind.

use std::sync::Arc;

use serde_json::{Value, json};
use tripline_event::Cause;
use tripline_event::outcome::TargetResult;
use tripline_testbed::Subject;
use tripline_triggers::k8s::K8sTrigger;
use tripline_triggers::{Attempt, RenderedAction, Trigger as _, TriggerError};

use crate::world::{World, tripline};

async fn create(world: &World, rendered: &RenderedAction) -> Result<TargetResult, TriggerError> {
    let trigger = K8sTrigger::new(Arc::clone(&world.clusters));
    trigger.carry_out(Attempt { rendered, events: &[], number: 1, uncertain: false }).await
}

fn rendered(world: &World, event: &str, resource: Value) -> RenderedAction {
    let rendered = world.rendered(event, json!({}));
    RenderedAction { kind: "k8s".into(), resource: Some(resource), ..rendered }
}

#[tokio::test]
async fn an_object_of_any_kind_is_created_once_in_a_namespace_or_outside_of_all() {
    let world = World::bare("objects", json!({"impersonate": false}));
    let user = tripline("objects");
    let all = json!([{"apiGroups": [""], "resources": ["*"], "verbs": ["*"]}]);
    world.kube.grant("", Subject::User(&user), &all).unwrap();

    let config_map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "made-"},
        "data": {"a": "b"},
    });
    let map = rendered(&world, "e1", config_map);
    let name = format!("made-{}", map.action.id.suffix());
    for expected in [false, true] {
        let TargetResult::Object { target, api_version, kind, namespace, name: made, already } =
            create(&world, &map).await.unwrap()
        else {
            panic!()
        };
        assert_eq!(
            (target.as_str(), api_version.as_str(), kind.as_str()),
            ("prod", "v1", "ConfigMap")
        );
        assert_eq!((namespace.as_deref(), &made, already), (Some("objects"), &name, expected));
    }
    let path = format!("/api/v1/namespaces/objects/configmaps/{name}");
    let there = world.kube.get(&path).unwrap().unwrap();
    assert_eq!(there["data"], json!({"a": "b"}));
    assert_eq!(there["metadata"]["labels"]["tripline.dev/action-id"], json!(map.action.id));

    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "objects-made"},
    });
    let outside = rendered(&world, "e2", namespace);
    let made = create(&world, &outside).await.unwrap();
    assert!(matches!(made, TargetResult::Object { namespace: None, .. }), "{made:?}");
    assert!(world.kube.get("/api/v1/namespaces/objects-made").unwrap().is_some());
    // Not where namespaces are listed.
    world.define(json!({"impersonate": false, "namespaces": ["objects"]}));
    let error = create(&world, &outside).await.unwrap_err();
    assert!(matches!(error, TriggerError::Refused { cause: Cause::Forbidden, .. }), "{error:?}");
}

#[tokio::test]
async fn a_kind_that_the_cluster_does_not_have_is_refused_with_what_is_near() {
    let world = World::new("unknown-kinds");
    for (api_version, kind, near) in [
        ("v1", "ConfgMap", "`v1` has `ConfigMap`, "),
        ("argoproj.io/v1alpha1", "WorkFlow", "`Workflow`"),
        ("example.com/v1", "Thing", "it has no `example.com/v1`"),
    ] {
        let resource = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}});
        let error = create(&world, &rendered(&world, kind, resource)).await.unwrap_err();
        let TriggerError::Refused { cause: Cause::NotFound, reason } = error else {
            panic!("{error:?}")
        };
        assert!(reason.contains(near), "{reason}");
    }
}

#[tokio::test]
async fn there_are_no_objects_in_the_local_target() {
    let world = World::bare("no-objects", json!({}));
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}});
    let mut local = rendered(&world, "e1", map);
    Arc::get_mut(&mut local.action).unwrap().target = None;
    let error = create(&world, &local).await.unwrap_err();
    assert!(error.to_string().contains("local target has no objects"), "{error}");
}
