//! A cluster that is away, slow, or has too much to do.

use std::time::Duration;

use serde_json::json;
use tripline_testbed::{KubeApi, Subject, Toxiproxy};
use tripline_triggers::TriggerError;

use crate::world::{SOON, World, tripline};

#[tokio::test]
async fn an_answer_that_comes_too_late_leaves_open_whether_it_was_done() {
    let kube = KubeApi::shared().unwrap();
    kube.create_namespace("too-late").unwrap();
    let toxiproxy = Toxiproxy::start().unwrap();
    let proxy = toxiproxy.proxy(kube.address()).unwrap();
    let kubeconfig = kube.admin().at(proxy.address());
    let short = json!({"requestTimeoutSeconds": 1, "impersonate": false});
    let world = World::of(kube, "too-late", &kubeconfig, short);
    // A connection is there already: the request goes out, the answer does not come back.
    world.submit(&world.rendered("e0", json!({"name": "first"}))).await.unwrap();
    proxy.swallow_answers().unwrap();
    let rendered = world.rendered("e1", json!({"name": "x"}));
    let error = world.submit(&rendered).await.unwrap_err();
    let TriggerError::Retry { reason, .. } = &error else { panic!("{error:?}") };
    assert!(reason.contains("no answer within 1 s"), "{reason}");
    proxy.restore().unwrap();
    // It was created all the same, and is found.
    assert_eq!(world.attempt(&rendered, true).await.unwrap(), world.result("x", true));

    // Nobody listens: nothing was done, for certain, but perhaps by a request that was on its
    // way when the connection ended.
    proxy.cut().unwrap();
    let error = world.submit(&world.rendered("e2", json!({"name": "y"}))).await.unwrap_err();
    assert!(!matches!(error, TriggerError::Refused { .. }), "{error:?}");
    let error = world.submit(&world.rendered("e3", json!({"name": "z"}))).await.unwrap_err();
    assert!(matches!(error, TriggerError::NotDone { .. }), "{error:?}");
    // Of an attempt before that it is as little known as before.
    let error = world.attempt(&rendered, true).await.unwrap_err();
    assert!(matches!(error, TriggerError::Retry { .. }), "{error:?}");
    proxy.restore().unwrap();
    assert_eq!(world.workflows().len(), 2);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_connected_to() {
    let kube: &'static KubeApi = Box::leak(Box::new(KubeApi::start().unwrap()));
    kube.create_namespace("silent").unwrap();
    let short = json!({"connectTimeoutSeconds": 1, "impersonate": false});
    let world = World::of(kube, "silent", &kube.admin(), short);
    kube.pause().unwrap();
    let rendered = world.rendered("e1", json!({"name": "x"}));
    let error = world.submit(&rendered).await.unwrap_err();
    assert!(matches!(error, TriggerError::NotDone { .. }), "{error:?}");
    kube.unpause().unwrap();
    assert_eq!(world.submit(&rendered).await.unwrap(), world.result("x", false));
    kube.kill().unwrap();
    let other = world.rendered("e2", json!({"name": "y"}));
    let error = world.submit(&other).await.unwrap_err();
    let TriggerError::NotDone { reason, .. } = &error else { panic!("{error:?}") };
    assert!(reason.contains("cluster `prod`"), "{reason}");
    kube.restart().unwrap();
    assert_eq!(world.submit(&other).await.unwrap(), world.result("y", false));
    kube.kill().unwrap();
}

#[tokio::test]
async fn too_many_requests_are_tried_again_when_the_server_says() {
    let world = World::bare("too-many", json!({"impersonate": false}));
    let user = tripline("too-many");
    let all = json!([{"apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["*"]}]);
    world.kube.grant("too-many", Subject::User(&user), &all).unwrap();
    let flow = "/apis/flowcontrol.apiserver.k8s.io/v1";
    let level = json!({
        "metadata": {"name": "none"},
        "spec": {"type": "Limited", "limited": {
            "nominalConcurrencyShares": 0, "lendablePercent": 0, "borrowingLimitPercent": 0,
            "limitResponse": {"type": "Reject"},
        }},
    });
    world.kube.create(&format!("{flow}/prioritylevelconfigurations"), &level).unwrap();
    let schema = json!({
        "metadata": {"name": "none"},
        "spec": {
            "priorityLevelConfiguration": {"name": "none"}, "matchingPrecedence": 2,
            "rules": [{
                "subjects": [{"kind": "User", "user": {"name": user}}],
                "resourceRules": [{
                    "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"],
                    "clusterScope": true,
                }],
            }],
        },
    });
    world.kube.create(&format!("{flow}/flowschemas"), &schema).unwrap();
    let deadline = tokio::time::Instant::now() + SOON;
    // One at a time is let through, as long as the limit is in force.
    let refused = 'refused: loop {
        let attempts = (0..20).map(|number| {
            let rendered = world.rendered(&format!("e{number}"), json!({"generateName": "x-"}));
            let world = &world;
            async move { world.attempt(&rendered, false).await }
        });
        for attempt in futures_util::future::join_all(attempts).await {
            match attempt {
                Ok(_) => {}
                Err(TriggerError::NotDone { reason, after }) => break 'refused (reason, after),
                Err(other) => panic!("{other:?}"),
            }
        }
        assert!(tokio::time::Instant::now() < deadline, "there is no limit");
    };
    assert!(refused.0.contains("429"), "{}", refused.0);
    assert_eq!(refused.1, Some(Duration::from_secs(1)), "{}", refused.0);
    world.kube.delete(&format!("{flow}/flowschemas/none")).unwrap();
    world.kube.delete(&format!("{flow}/prioritylevelconfigurations/none")).unwrap();
}

#[tokio::test]
async fn an_action_of_a_cluster_that_is_not_known_waits() {
    let world = World::bare("unknown-cluster", json!({}));
    world.clusters.apply(Vec::new());
    let error = world.submit(&world.rendered("e1", json!({"name": "x"}))).await.unwrap_err();
    let TriggerError::NotDone { reason, .. } = &error else { panic!("{error:?}") };
    assert!(reason.contains("cluster `prod`") && reason.contains("known: none"), "{reason}");
}
