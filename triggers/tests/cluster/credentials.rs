//! Whom Tripline is in a cluster: kubeconfigs, plugins, rotation.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tripline_testbed::{Credentials, KubeApi, Kubeconfig, Subject};
use tripline_triggers::TriggerError;

use crate::world::{SOON, World};

/// A kubeconfig whose user comes from a script.
fn plugin(kube: &KubeApi, path: &Path, script: &str) -> Kubeconfig {
    std::fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
    kube.admin().with(Credentials::Exec(path.display().to_string(), Vec::new()))
}

/// A token of an account that may do everything with workflows in its namespace.
fn token(kube: &KubeApi, namespace: &str) -> String {
    kube.create_namespace(namespace).unwrap();
    kube.service_account(namespace, "tripline").unwrap();
    let all = json!([{"apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["*"]}]);
    kube.grant(namespace, Subject::ServiceAccount(namespace, "tripline"), &all).unwrap();
    kube.token(namespace, "tripline", 3600).unwrap()
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[tokio::test]
async fn a_plugin_is_asked_again_when_its_token_ends() {
    let kube = KubeApi::shared().unwrap();
    let token = token(kube, "plugin");
    let folder = folder("plugin");
    let calls = folder.join("calls");
    let script = format!(
        r#"echo x >> {calls}
echo '{{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {{"token": "{token}", "expirationTimestamp": "2020-01-01T00:00:00Z"}}}}'"#,
        calls = calls.display()
    );
    let kubeconfig = plugin(kube, &folder.join("plugin"), &script);
    let world = World::of(kube, "plugin", &kubeconfig, json!({"impersonate": false}));
    let called = || std::fs::read_to_string(&calls).unwrap().lines().count();
    // Not for each request.
    let attempts = (0..10).map(|number| {
        let rendered = world.rendered(&format!("f{number}"), json!({"generateName": "x-"}));
        let world = &world;
        async move { world.submit(&rendered).await.unwrap() }
    });
    futures_util::future::join_all(attempts).await;
    assert_eq!(called(), 1);
    let deadline = tokio::time::Instant::now() + SOON;
    for number in 0.. {
        let rendered = world.rendered(&format!("e{number}"), json!({"generateName": "x-"}));
        world.submit(&rendered).await.unwrap();
        if called() > 1 {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "the plugin was asked once");
    }
}

#[tokio::test]
async fn a_plugin_that_hangs_holds_nothing_up_for_longer_than_its_time() {
    let kube = KubeApi::shared().unwrap();
    kube.create_namespace("hangs").unwrap();
    let folder = folder("hangs");
    let calls = folder.join("calls");
    let script = format!("echo x >> {}\nsleep 1000", calls.display());
    let kubeconfig = plugin(kube, &folder.join("plugin"), &script);
    let short = json!({"execTimeoutSeconds": 1, "impersonate": false});
    let world = World::of(kube, "hangs", &kubeconfig, short);
    let begin = tokio::time::Instant::now();
    let attempts = (0..20).map(|number| {
        let rendered = world.rendered(&format!("e{number}"), json!({"generateName": "x-"}));
        let world = &world;
        async move { world.submit(&rendered).await }
    });
    for attempt in futures_util::future::join_all(attempts).await {
        let error = attempt.unwrap_err();
        let TriggerError::NotDone { reason, .. } = &error else { panic!("{error:?}") };
        assert!(reason.contains("did not end within 1 s"), "{reason}");
    }
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    // One run answers all who wait for it.
    assert_eq!(std::fs::read_to_string(&calls).unwrap().lines().count(), 1);
}

#[tokio::test]
async fn a_kubeconfig_that_was_replaced_is_taken_up() {
    let kube = KubeApi::shared().unwrap();
    let good = token(kube, "rotated");
    let bad = kube.admin().with(Credentials::Token("no-such-token".into()));
    let world = World::of(kube, "rotated", &bad, json!({"impersonate": false}));
    let rendered = world.rendered("e1", json!({"name": "x"}));
    let error = world.submit(&rendered).await.unwrap_err();
    let TriggerError::NotDone { reason, .. } = &error else { panic!("{error:?}") };
    assert!(reason.contains("401") && !reason.contains("no-such-token"), "{reason}");

    let good = kube.admin().with(Credentials::Token(good));
    world.secrets.set("prod", &good.text());
    let deadline = tokio::time::Instant::now() + SOON;
    while let Err(error) = world.submit(&rendered).await {
        assert!(matches!(error, TriggerError::NotDone { .. }), "{error:?}");
        assert!(tokio::time::Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // A Secret that is away for a moment ends nothing.
    world.secrets.set("prod", "not a kubeconfig");
    world.submit(&world.rendered("e2", json!({"name": "y"}))).await.unwrap();
}

#[tokio::test]
async fn a_context_that_is_not_there_is_said_with_those_that_are() {
    let kube = KubeApi::shared().unwrap();
    let world = World::of(kube, "default", &kube.admin(), json!({"context": "prod-eu"}));
    let error = world.submit(&world.rendered("e1", json!({"name": "x"}))).await.unwrap_err();
    let TriggerError::NotDone { reason, .. } = &error else { panic!("{error:?}") };
    assert!(reason.contains("no context `prod-eu`, there are: testbed"), "{reason}");
}
