//! What is created, as whom, and how often.

use std::sync::Arc;

use serde_json::json;
use tripline_event::{Cause, CorrelationId};
use tripline_testbed::{KubeApi, Subject};
use tripline_triggers::TriggerError;

use crate::world::{World, tripline};

#[tokio::test]
async fn a_workflow_is_created_once_and_says_where_it_comes_from() {
    let world = World::new("submit-once");
    let rendered = world.rendered("e1", json!({"generateName": "deploy-"}));
    let id = rendered.action.id.clone();
    let name = format!("deploy-{}", id.suffix());
    assert_eq!(world.submit(&rendered).await.unwrap(), world.result(&name, false));
    // Again, as after a lost answer and as after a restart.
    assert_eq!(world.submit(&rendered).await.unwrap(), world.result(&name, true));
    assert_eq!(world.attempt(&rendered, true).await.unwrap(), world.result(&name, true));

    let workflows = world.workflows();
    assert_eq!(workflows.len(), 1);
    let metadata = &workflows[0]["metadata"];
    let label = |text: &str| CorrelationId(text.into()).label_value().into_owned();
    assert_eq!(
        metadata["labels"],
        json!({
            "events.argoproj.io/sensor": "deploy",
            "events.argoproj.io/trigger": "submit",
            "events.argoproj.io/action-timestamp": "1795230000123",
            "tripline.dev/action-id": id,
            "tripline.dev/correlation-id": label("build e1"),
            "tripline.dev/event-id": "e1",
        })
    );
    assert_eq!(metadata["annotations"]["tripline.dev/correlation-id"], "build e1");
    // The account that runs the workflow is not the one that submits it.
    assert_eq!(workflows[0]["spec"]["serviceAccountName"], "runner");
}

#[tokio::test]
async fn an_object_of_the_name_that_is_not_this_action_s_is_never_taken_for_its() {
    let world = World::new("name-taken");
    let first = world.rendered("e1", json!({"name": "nightly"}));
    world.submit(&first).await.unwrap();
    let (cause, reason) = world.refused(&world.rendered("e2", json!({"name": "nightly"}))).await;
    assert_eq!(cause, Cause::NameTaken);
    let id = &first.action.id;
    let expected =
        format!("Workflow name-taken/nightly in cluster `prod` exists and belongs to action {id}");
    assert_eq!(reason, expected);

    let foreign = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "by-hand"},
        "spec": {},
    });
    world.kube.create(&KubeApi::workflows_path("name-taken"), &foreign).unwrap();
    let by_hand = world.rendered("e3", json!({"name": "by-hand"}));
    for uncertain in [false, true] {
        let error = world.attempt(&by_hand, uncertain).await.unwrap_err();
        let TriggerError::Refused { cause: Cause::NameTaken, reason } = error else {
            panic!("{error:?}")
        };
        assert!(reason.ends_with("was not created by Tripline"), "{reason}");
    }
    assert_eq!(world.workflows().len(), 2);
}

#[tokio::test]
async fn an_action_acts_as_the_service_account_of_its_sensor() {
    let world = World::bare("acts-as", json!({}));
    let user = tripline("acts-as");
    let rendered = world.rendered("e1", json!({"name": "x"}));
    // Tripline itself may do it, but may not act as the account.
    let all = json!([{"apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["*"]}]);
    world.kube.grant("acts-as", Subject::User(&user), &all).unwrap();
    let (cause, reason) = world.refused(&rendered).await;
    assert_eq!(cause, Cause::Forbidden);
    let rule = r#"{apiGroups: [""], resources: [serviceaccounts], verbs: [impersonate], resourceNames: [default]}"#;
    assert!(reason.contains(rule) && reason.contains("--no-impersonation"), "{reason}");

    // It may act as the account, which may not do it.
    let act = json!([{
        "apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["impersonate"],
        "resourceNames": ["default", "deployer"],
    }]);
    world.kube.grant("acts-as", Subject::User(&user), &act).unwrap();
    let (cause, reason) = world.refused(&rendered).await;
    assert_eq!(cause, Cause::Forbidden);
    let advice = r#"Add {apiGroups: ["argoproj.io"], resources: [workflows], verbs: [create]} to a Role in namespace `acts-as` that is bound to `system:serviceaccount:acts-as:default`"#;
    assert!(reason.contains(advice), "{reason}");

    // Another account of the sensor's may.
    let create = json!([{
        "apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["create", "get"],
    }]);
    let deployer = Subject::ServiceAccount("acts-as", "deployer");
    world.kube.grant("acts-as", deployer, &create).unwrap();
    let mut by_deployer = world.rendered("e1", json!({"name": "x"}));
    by_deployer.service_account = Some("deployer".into());
    assert_eq!(world.submit(&by_deployer).await.unwrap(), world.result("x", false));

    // Without impersonation it is Tripline itself.
    world.define(json!({"impersonate": false}));
    let own = world.rendered("e2", json!({"name": "y"}));
    assert_eq!(world.submit(&own).await.unwrap(), world.result("y", false));
}

#[tokio::test]
async fn what_the_api_server_refuses_is_a_dead_letter_of_its_own_cause() {
    let world = World::new("refusals");
    let nowhere = world.rendered("e1", json!({"name": "x", "namespace": "nowhere"}));
    // Whether a namespace exists is said to those alone who may create there.
    let (cause, reason) = world.refused(&nowhere).await;
    assert_eq!(cause, Cause::Forbidden, "{reason}");
    let rules =
        json!([{"apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["create"]}]);
    let account = Subject::ServiceAccount("refusals", "default");
    world.kube.grant("", account, &rules).unwrap();
    let (cause, reason) = world.refused(&nowhere).await;
    assert_eq!(cause, Cause::NotFound, "{reason}");
    assert!(reason.contains("Create the namespace"), "{reason}");

    let mut invalid = world.rendered("e2", json!({"name": "x"}));
    invalid.resource.as_mut().unwrap()["spec"] = json!(5);
    let (cause, reason) = world.refused(&invalid).await;
    assert_eq!(cause, Cause::Invalid, "{reason}");
    let mut other = world.rendered("e3", json!({"name": "x"}));
    other.resource.as_mut().unwrap()["kind"] = json!("Pod");
    let (cause, reason) = world.refused(&other).await;
    assert_eq!(cause, Cause::Invalid, "{reason}");
}

#[tokio::test]
async fn objects_are_created_in_the_namespaces_of_the_cluster_alone() {
    let world = World::new("allowed-namespaces");
    world.define(json!({"namespaces": ["allowed-namespaces", "b"]}));
    let elsewhere = world.rendered("e1", json!({"name": "x", "namespace": "default"}));
    let (cause, reason) = world.refused(&elsewhere).await;
    assert_eq!(cause, Cause::Forbidden);
    assert!(reason.contains("namespace `default` is not among"), "{reason}");
    world.submit(&world.rendered("e2", json!({"name": "x"}))).await.unwrap();
}

#[tokio::test]
async fn a_workflow_that_may_have_been_removed_is_not_submitted_again() {
    let world = World::new("removed");
    let rendered = world.rendered("e1", json!({"generateName": "x-"}));
    world.submit(&rendered).await.unwrap();
    let name = format!("x-{}", rendered.action.id.suffix());
    world.kube.delete(&world.path(&name)).unwrap();
    let error = world.attempt(&rendered, true).await.unwrap_err();
    let TriggerError::Refused { cause: Cause::Unknown, reason } = error else {
        panic!("{error:?}")
    };
    // Tripline may not look into the past here.
    assert!(reason.contains("may have been, and been removed since"), "{reason}");
    assert!(world.workflows().is_empty());
}

#[tokio::test]
async fn the_past_says_whether_a_workflow_was_removed_or_never_there() {
    let mut world = World::new("past");
    world.allow_tripline(&["list", "watch"]);
    // Something was created here before, and so the version of then was noted.
    world.submit(&world.rendered("e0", json!({"name": "before"}))).await.unwrap();
    let gone = world.rendered("e1", json!({"name": "gone"}));
    world.submit(&gone).await.unwrap();
    world.kube.delete(&world.path("gone")).unwrap();
    world.event().await;
    for restart in [false, true] {
        if restart {
            world.restart(json!({}));
        }
        // Crashed before the first request was sent.
        let number = u8::from(restart);
        let never = world.rendered(&format!("n{number}"), json!({"generateName": "never-"}));
        let name = format!("never-{}", never.action.id.suffix());
        assert_eq!(world.attempt(&never, true).await.unwrap(), world.result(&name, false));
        let error = world.attempt(&gone, true).await.unwrap_err();
        let TriggerError::Refused { cause: Cause::Unknown, reason } = error else {
            panic!("{error:?}")
        };
        assert!(reason.contains("it was, and was removed since"), "{reason}");
        // An action of before the first note: nobody can say.
        let mut old = world.rendered("e2", json!({"name": "old"}));
        Arc::get_mut(&mut old.action).unwrap().cause.sequence = 0;
        let error = world.attempt(&old, true).await.unwrap_err();
        assert!(error.to_string().contains("nothing was noted"), "{error}");
    }
    assert_eq!(world.workflows().len(), 3);
}

#[tokio::test]
async fn who_may_not_look_cannot_tell_and_does_not_submit_again() {
    let world = World::bare("cannot-look", json!({"impersonate": false}));
    let create = json!([{
        "apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["create"],
    }]);
    let user = tripline("cannot-look");
    world.kube.grant("cannot-look", Subject::User(&user), &create).unwrap();
    let rendered = world.rendered("e1", json!({"name": "x"}));
    world.submit(&rendered).await.unwrap();
    for uncertain in [false, true] {
        let error = world.attempt(&rendered, uncertain).await.unwrap_err();
        let TriggerError::Refused { cause: Cause::Unknown, reason } = error else {
            panic!("{error:?}")
        };
        assert!(reason.contains("verbs: [get]"), "{reason}");
    }
    assert_eq!(world.workflows().len(), 1);
}
