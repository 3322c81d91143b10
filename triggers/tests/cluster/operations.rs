//! What a trigger does with workflows that are there, and makes of templates.

use serde_json::{Value, json};
use tripline_event::Cause;
use tripline_testbed::Subject;
use tripline_triggers::RenderedAction;

use crate::world::World;

/// Tripline acts as `default`, which may do all of this.
fn world(namespace: &str) -> World {
    let world = World::new(namespace);
    world.allow_default(&["create", "get", "update"]);
    world
}

fn allow(world: &World, namespace: &str, group: &str, resource: &str, verbs: &[&str]) {
    let account = Subject::ServiceAccount(&world.namespace, "default");
    let rules = json!([{"apiGroups": [group], "resources": [resource], "verbs": verbs}]);
    world.kube.grant(namespace, account, &rules).unwrap();
}

/// The action of `event`, which does `operation` with the object of this kind and name.
fn named(world: &World, event: &str, operation: &str, kind: &str, name: &str) -> RenderedAction {
    let rendered = world.rendered(event, json!({}));
    let resource = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": kind, "metadata": {"name": name},
    });
    RenderedAction { config: json!({"operation": operation}), resource: Some(resource), ..rendered }
}

fn with_args(rendered: RenderedAction, args: &[&str]) -> RenderedAction {
    let mut config = rendered.config.clone();
    config["args"] = json!(args);
    RenderedAction { config, ..rendered }
}

fn create(world: &World, plural: &str, object: &Value) {
    let namespace = &world.namespace;
    let path = format!("/apis/argoproj.io/v1alpha1/namespaces/{namespace}/{plural}");
    world.kube.create(&path, object).unwrap();
}

fn workflow(world: &World, name: &str, spec: Value, status: Value) {
    let object = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow",
        "metadata": {"name": name, "labels": {"team": "a"}}, "spec": spec, "status": status,
    });
    create(world, "workflows", &object);
}

fn there(world: &World, name: &str) -> Value {
    world.kube.get(&world.path(name)).unwrap().unwrap()
}

#[tokio::test]
async fn a_workflow_is_suspended_resumed_stopped_and_terminated_once() {
    let world = world("operations");
    let waiting = json!({"phase": "Running", "nodes": {
        "wf-1": {"id": "wf-1", "name": "wf[0]", "type": "Suspend", "phase": "Running"},
    }});
    workflow(&world, "wf", json!({"entrypoint": "main"}), waiting);
    for (event, operation, path, expected) in [
        ("e1", "suspend", "/spec/suspend", json!(true)),
        ("e2", "resume", "/status/nodes/wf-1/phase", json!("Succeeded")),
        ("e3", "stop", "/spec/shutdown", json!("Stop")),
        ("e4", "terminate", "/spec/shutdown", json!("Terminate")),
    ] {
        let rendered = named(&world, event, operation, "Workflow", "wf");
        assert_eq!(
            world.submit(&rendered).await.unwrap(),
            world.result("wf", false),
            "{operation}"
        );
        let object = there(&world, "wf");
        assert_eq!(object.pointer(path), Some(&expected), "{operation}");
        let by = &object["metadata"]["annotations"]["tripline.dev/changed-by"];
        assert_eq!(*by, json!(rendered.action.id));
        // An attempt whose answer was lost is made again, and does nothing new.
        assert_eq!(world.attempt(&rendered, true).await.unwrap(), world.result("wf", true));
        assert_eq!(there(&world, "wf"), object, "{operation} twice");
    }
    assert_eq!(there(&world, "wf")["spec"].get("suspend"), None, "resume");
}

#[tokio::test]
async fn what_failed_is_retried_and_its_pods_go_first() {
    let world = world("retries");
    let status = json!({"phase": "Failed", "finishedAt": "2026-11-21T02:00:00Z", "nodes": {
        "wf": {"id": "wf", "name": "wf", "type": "Steps", "phase": "Failed"},
        "good": {"id": "good", "name": "wf[0].a", "type": "Pod", "phase": "Succeeded"},
        "bad": {"id": "bad", "name": "wf[1].b", "type": "Pod", "phase": "Failed"},
    }});
    workflow(&world, "wf", json!({}), status);
    for (pod, node) in [("wf-a", "good"), ("wf-b", "bad")] {
        let object = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": pod, "labels": {"workflows.argoproj.io/workflow": "wf"},
                         "annotations": {"workflows.argoproj.io/node-id": node}},
            "spec": {"containers": [{"name": "main", "image": "none"}],
                     "terminationGracePeriodSeconds": 0},
        });
        world.kube.create("/api/v1/namespaces/retries/pods", &object).unwrap();
    }
    let rendered = named(&world, "e1", "retry", "Workflow", "wf");
    let (cause, reason) = world.refused(&rendered).await;
    assert_eq!(cause, Cause::Forbidden);
    assert!(reason.contains("resources: [pods], verbs: [list]"), "{reason}");
    assert_eq!(there(&world, "wf")["status"]["phase"], "Failed");

    allow(&world, "retries", "", "pods", &["list", "delete"]);
    assert_eq!(world.submit(&rendered).await.unwrap(), world.result("wf", false));
    let pods = world.kube.list("/api/v1/namespaces/retries/pods").unwrap();
    let names: Vec<&str> = pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str()).collect();
    assert_eq!(names, ["wf-a"]);
    let object = there(&world, "wf");
    assert_eq!(object["status"]["phase"], "Running");
    let nodes: Vec<&String> = object["status"]["nodes"].as_object().unwrap().keys().collect();
    assert_eq!(nodes, ["good", "wf"]);

    let again = named(&world, "e2", "retry", "Workflow", "wf");
    let (cause, reason) = world.refused(&again).await;
    assert_eq!(cause, Cause::Refused);
    assert!(reason.contains("it is Running: only one that has failed"), "{reason}");
}

#[tokio::test]
async fn a_workflow_is_resubmitted_as_a_new_one_of_its_action() {
    let world = world("resubmits");
    let parameters = json!({"arguments": {"parameters": [{"name": "image", "value": "old"}]}});
    workflow(&world, "wf", parameters, json!({"phase": "Failed"}));
    let rendered = named(&world, "e1", "resubmit", "Workflow", "wf");
    let rendered = with_args(rendered, &["-p", "image=new"]);
    let name = format!("wf-{}", rendered.action.id.suffix());
    for already in [false, true] {
        assert_eq!(world.attempt(&rendered, already).await.unwrap(), world.result(&name, already));
    }
    let object = there(&world, &name);
    let labels = &object["metadata"]["labels"];
    assert_eq!(labels["team"], "a");
    assert_eq!(labels["workflows.argoproj.io/resubmitted-from-workflow"], "wf");
    assert_eq!(labels["tripline.dev/action-id"], json!(rendered.action.id));
    let parameters = json!([{"name": "image", "value": "new"}]);
    assert_eq!(object["spec"]["arguments"]["parameters"], parameters);
    assert_eq!(object.get("status"), None);
    assert_eq!(world.workflows().len(), 2);
}

#[tokio::test]
async fn workflows_are_made_of_templates_and_cron_workflows_that_are_there() {
    let world = world("templates");
    let template = |kind: &str, name: &str, spec: Value| {
        json!({"apiVersion": "argoproj.io/v1alpha1", "kind": kind,
               "metadata": {"name": name}, "spec": spec})
    };
    let submit = named(&world, "e0", "submit-from", "WorkflowTemplate", "build");
    let (cause, reason) = world.refused(&submit).await;
    assert_eq!(cause, Cause::Forbidden);
    assert!(reason.contains("resources: [workflowtemplates], verbs: [get]"), "{reason}");
    for (namespace, plural) in [
        ("templates", "workflowtemplates"),
        ("templates", "cronworkflows"),
        ("", "clusterworkflowtemplates"),
    ] {
        allow(&world, namespace, "argoproj.io", plural, &["get"]);
    }
    let (cause, reason) = world.refused(&submit).await;
    assert_eq!(cause, Cause::NotFound);
    assert!(reason.contains("has no WorkflowTemplate templates/build"), "{reason}");

    let spec = json!({"entrypoint": "main", "templates": []});
    create(&world, "workflowtemplates", &template("WorkflowTemplate", "build", spec.clone()));
    let cron = json!({"schedules": ["0 3 * * *"], "workflowSpec": {"entrypoint": "nightly"}});
    create(&world, "cronworkflows", &template("CronWorkflow", "nightly", cron));
    let of_cluster = template("ClusterWorkflowTemplate", "templates-shared", spec);
    let path = "/apis/argoproj.io/v1alpha1/clusterworkflowtemplates";
    world.kube.create(path, &of_cluster).unwrap();
    for (event, kind, name, expected) in [
        ("e1", "WorkflowTemplate", "build", json!({"workflowTemplateRef": {"name": "build"}})),
        (
            "e2",
            "ClusterWorkflowTemplate",
            "templates-shared",
            json!({"workflowTemplateRef": {"name": "templates-shared", "clusterScope": true}}),
        ),
        ("e3", "CronWorkflow", "nightly", json!({"entrypoint": "nightly"})),
    ] {
        let rendered = named(&world, event, "submit-from", kind, name);
        let rendered = with_args(rendered, &["-p", "sha=4f2a"]);
        let made = format!("{name}-{}", rendered.action.id.suffix());
        assert_eq!(world.submit(&rendered).await.unwrap(), world.result(&made, false));
        let mut spec = there(&world, &made)["spec"].clone();
        let arguments = spec.as_object_mut().unwrap().remove("arguments").unwrap();
        assert_eq!(arguments, json!({"parameters": [{"name": "sha", "value": "4f2a"}]}));
        assert_eq!(spec, expected);
    }
}

#[tokio::test]
async fn one_that_is_not_there_or_has_changed_meanwhile_is_not_changed() {
    let world = world("absent");
    let (cause, reason) = world.refused(&named(&world, "e1", "stop", "Workflow", "gone")).await;
    assert_eq!(cause, Cause::NotFound);
    assert_eq!(reason, "cluster `prod` has no Workflow absent/gone");
    let ended = json!({"phase": "Succeeded"});
    workflow(&world, "wf", json!({}), ended);
    let (cause, reason) = world.refused(&named(&world, "e2", "stop", "Workflow", "wf")).await;
    assert_eq!(cause, Cause::Refused);
    assert_eq!(reason, "cannot stop Workflow absent/wf: it has ended already (Succeeded)");
}
