//! What an operation changes of a workflow that is there.
//!
//! The rules are those of the program `argo` (3.7), which changes the object in the same way
//! when it talks to the API server itself.

use serde_json::{Map, Value, json};
use tripline_event::Timestamp;

use super::Operation;
use super::arguments::{Arguments, mapping, set_parameters};

/// What becomes of the object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// It is as it should be.
    Nothing,
    /// It is to be replaced by this.
    Replace {
        /// The whole object.
        object: Value,
        /// Nodes whose pods are to be deleted before, by their ids.
        pods: Vec<String>,
    },
}

/// Nodes that only hold others together.
const GROUPS: [&str; 3] = ["DAG", "TaskGroup", "StepGroup"];

/// What `operation` changes of `workflow`, at `now`.
///
/// # Errors
/// The workflow is in no state for it.
pub(crate) fn change(
    operation: Operation,
    workflow: &Value,
    arguments: &Arguments,
    now: Timestamp,
) -> Result<Change, String> {
    match operation {
        Operation::Suspend => suspend(workflow),
        Operation::Resume => resume(workflow, now),
        Operation::Stop => shut_down(workflow, "Stop", arguments),
        Operation::Terminate => shut_down(workflow, "Terminate", arguments),
        Operation::Retry => retry(workflow, arguments, now),
        Operation::Submit | Operation::SubmitFrom | Operation::Resubmit => {
            Err(format!("`{}` changes no workflow", operation.as_str()))
        }
    }
}

fn phase(workflow: &Value) -> &str {
    workflow["status"]["phase"].as_str().unwrap_or_default()
}

fn has_ended(workflow: &Value) -> bool {
    matches!(phase(workflow), "Succeeded" | "Failed" | "Error")
}

fn replace(object: Value) -> Result<Change, String> {
    Ok(Change::Replace { object, pods: Vec::new() })
}

fn suspend(workflow: &Value) -> Result<Change, String> {
    if has_ended(workflow) {
        return Err(format!("it has ended ({}) and cannot be suspended", phase(workflow)));
    }
    if workflow["spec"]["suspend"] == json!(true) {
        return Ok(Change::Nothing);
    }
    let mut object = workflow.clone();
    if let Some(spec) = mapping(&mut object, &["spec"]) {
        spec.insert("suspend".to_owned(), json!(true));
    }
    replace(object)
}

/// One that is suspended goes on, and so do its nodes that wait.
fn resume(workflow: &Value, now: Timestamp) -> Result<Change, String> {
    let mut object = workflow.clone();
    let mut changed = false;
    if object["spec"]["suspend"] == json!(true)
        && let Some(spec) = mapping(&mut object, &["spec"])
    {
        changed = spec.remove("suspend").is_some();
    }
    let waits = |node: &Value| node["type"] == "Suspend" && node["phase"] == "Running";
    for node in nodes(&mut object)?.values_mut().filter(|node| waits(node)) {
        supply(node)?;
        let before = node["message"].as_str().filter(|text| !text.is_empty());
        let message = match before {
            Some(before) => format!("{before}; resumed by Tripline"),
            None => "resumed by Tripline".to_owned(),
        };
        node["phase"] = json!("Succeeded");
        node["message"] = json!(message);
        node["finishedAt"] = json!(seconds(now));
        changed = true;
    }
    if changed { replace(object) } else { Ok(Change::Nothing) }
}

/// Outputs that somebody should have supplied get their defaults.
fn supply(node: &mut Value) -> Result<(), String> {
    let id = node["id"].as_str().unwrap_or_default().to_owned();
    let parameters = node.pointer_mut("/outputs/parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        let Some(from) = parameter.get("valueFrom").filter(|from| from.get("supplied").is_some())
        else {
            continue;
        };
        let Some(default) = from.get("default").cloned() else {
            let name = parameter["name"].as_str().unwrap_or_default();
            return Err(format!(
                "its node `{id}` waits for the output `{name}`, which nobody has supplied and \
                 which has no default"
            ));
        };
        if let Some(parameter) = parameter.as_object_mut() {
            parameter.insert("value".to_owned(), default);
            parameter.remove("valueFrom");
        }
    }
    Ok(())
}

fn shut_down(workflow: &Value, how: &str, arguments: &Arguments) -> Result<Change, String> {
    if has_ended(workflow) {
        return Err(format!("it has ended already ({})", phase(workflow)));
    }
    if workflow["spec"]["shutdown"] == how {
        return Ok(Change::Nothing);
    }
    let mut object = workflow.clone();
    if let Some(spec) = mapping(&mut object, &["spec"]) {
        spec.insert("shutdown".to_owned(), json!(how));
    }
    if let Some(message) = &arguments.message
        && let Some(status) = mapping(&mut object, &["status"])
    {
        status.insert("message".to_owned(), json!(message));
    }
    replace(object)
}

/// Forgets the nodes that failed, so that they are made again.
fn retry(workflow: &Value, arguments: &Arguments, now: Timestamp) -> Result<Change, String> {
    if !matches!(phase(workflow), "Failed" | "Error") {
        let phase = if phase(workflow).is_empty() { "not started" } else { phase(workflow) };
        return Err(format!("it is {phase}: only one that has failed can be retried"));
    }
    let mut object = workflow.clone();
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let mut pods = Vec::new();
    let all = nodes(&mut object)?;
    for (id, mut node) in std::mem::take(all) {
        let of_exit =
            node["name"].as_str().is_some_and(|of| of.starts_with(&format!("{name}.onExit")));
        let group = node["type"].as_str().is_some_and(|kind| GROUPS.contains(&kind));
        match node["phase"].as_str().unwrap_or_default() {
            "Succeeded" | "Skipped" if !of_exit => {
                all.insert(id, node);
                continue;
            }
            "Failed" | "Error" | "Omitted" if !of_exit && group => {
                reset(&mut node, now);
                all.insert(id, node);
                continue;
            }
            "Succeeded" | "Skipped" | "Failed" | "Error" | "Omitted" => {}
            phase => return Err(format!("its node `{id}` is {phase}: the workflow has not ended")),
        }
        if node["type"] == "Pod" {
            pods.push(id);
        } else if node["name"] == name.as_str() {
            reset(&mut node, now);
            all.insert(id, node);
        }
    }
    begin_again(&mut object, now);
    set_parameters(&mut object, &arguments.parameters);
    Ok(Change::Replace { object, pods })
}

fn reset(node: &mut Value, now: Timestamp) {
    node["phase"] = json!("Running");
    node["startedAt"] = json!(seconds(now));
    if let Some(node) = node.as_object_mut() {
        node.remove("message");
        node.insert("finishedAt".to_owned(), Value::Null);
    }
}

/// The workflow itself runs again.
fn begin_again(object: &mut Value, now: Timestamp) {
    if let Some(labels) = mapping(object, &["metadata", "labels"]) {
        labels.remove("workflows.argoproj.io/workflow-archiving-status");
        labels.insert("workflows.argoproj.io/completed".to_owned(), json!("false"));
        labels.insert("workflows.argoproj.io/phase".to_owned(), json!("Running"));
    }
    for spec in [&["spec"][..], &["status", "storedWorkflowTemplateSpec"]] {
        if object.pointer(&format!("/{}", spec.join("/"))).is_some_and(Value::is_object)
            && let Some(spec) = mapping(object, spec)
        {
            spec.remove("shutdown");
            if spec.get("activeDeadlineSeconds") == Some(&json!(0)) {
                spec.remove("activeDeadlineSeconds");
            }
        }
    }
    let Some(status) = mapping(object, &["status"]) else { return };
    status.insert("phase".to_owned(), json!("Running"));
    status.insert("startedAt".to_owned(), json!(seconds(now)));
    status.insert("finishedAt".to_owned(), Value::Null);
    status.remove("message");
    status.remove("persistentVolumeClaims");
    if let Some(Value::Array(conditions)) = status.get_mut("conditions") {
        for condition in conditions.iter_mut().filter(|of| of["type"] == "Completed") {
            condition["status"] = json!("False");
        }
    }
}

/// The nodes of a workflow.
///
/// # Errors
/// They are kept elsewhere: in Argo's database, or packed.
fn nodes(workflow: &mut Value) -> Result<&mut Map<String, Value>, String> {
    let status = &workflow["status"];
    let filled = |field: &str| status[field].as_str().is_some_and(|text| !text.is_empty());
    if filled("offloadNodeStatusVersion") || filled("compressedNodes") {
        return Err("its nodes are not in the object but offloaded or compressed, where only \
                    Argo can change them: use `argo`"
            .to_owned());
    }
    mapping(workflow, &["status", "nodes"])
        .ok_or_else(|| "its `status.nodes` is no mapping".to_owned())
}

/// As Kubernetes writes a time: whole seconds.
fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-21T03:00:00Z";

    fn done(operation: Operation, workflow: &Value) -> Result<Change, String> {
        change(operation, workflow, &Arguments::default(), NOW.parse().unwrap())
    }

    fn replaced(operation: Operation, workflow: &Value) -> (Value, Vec<String>) {
        match done(operation, workflow).unwrap() {
            Change::Replace { object, pods } => (object, pods),
            Change::Nothing => panic!("nothing was changed"),
        }
    }

    #[test]
    fn what_runs_is_suspended_stopped_and_terminated_and_what_ended_is_not() {
        for (operation, spec) in [
            (Operation::Suspend, json!({"suspend": true})),
            (Operation::Stop, json!({"shutdown": "Stop"})),
            (Operation::Terminate, json!({"shutdown": "Terminate"})),
        ] {
            for workflow in [json!({"spec": {}}), json!({"status": {"phase": "Running"}})] {
                let (object, pods) = replaced(operation, &workflow);
                assert_eq!(object["spec"], spec);
                assert_eq!(pods, Vec::<String>::new());
                assert_eq!(done(operation, &object), Ok(Change::Nothing), "{operation:?} twice");
            }
            for phase in ["Succeeded", "Failed", "Error"] {
                let error = done(operation, &json!({"status": {"phase": phase}})).unwrap_err();
                assert!(error.contains("it has ended") && error.contains(phase), "{error}");
            }
        }
        // A workflow that is stopped can still be terminated.
        let stopped = json!({"spec": {"shutdown": "Stop"}});
        assert_eq!(replaced(Operation::Terminate, &stopped).0["spec"]["shutdown"], "Terminate");
    }

    #[test]
    fn a_message_of_stop_is_that_of_the_workflow() {
        let arguments = Arguments { message: Some("rolled back".into()), ..Arguments::default() };
        let changed = change(Operation::Stop, &json!({}), &arguments, NOW.parse().unwrap());
        let Ok(Change::Replace { object, .. }) = changed else { panic!("{changed:?}") };
        assert_eq!(object["status"]["message"], "rolled back");
    }

    #[test]
    fn to_resume_ends_the_nodes_that_wait() {
        let node = |kind: &str, phase: &str| json!({"id": "n", "type": kind, "phase": phase});
        let workflow = json!({
            "spec": {"suspend": true, "entrypoint": "main"},
            "status": {"nodes": {
                "a": node("Suspend", "Running"), "b": node("Pod", "Running"),
                "c": node("Suspend", "Failed"),
            }},
        });
        let (object, _) = replaced(Operation::Resume, &workflow);
        assert_eq!(object["spec"], json!({"entrypoint": "main"}));
        let expected = json!({"id": "n", "type": "Suspend", "phase": "Succeeded",
                              "message": "resumed by Tripline", "finishedAt": NOW});
        assert_eq!(object["status"]["nodes"]["a"], expected);
        assert_eq!(object["status"]["nodes"]["b"], node("Pod", "Running"));
        assert_eq!(object["status"]["nodes"]["c"], node("Suspend", "Failed"));
        assert_eq!(done(Operation::Resume, &object), Ok(Change::Nothing));
    }

    #[test]
    fn an_output_that_was_to_be_supplied_gets_its_default_or_keeps_the_node_waiting() {
        let waiting = |from: Value| {
            json!({"status": {"nodes": {"a": {
                "id": "a", "type": "Suspend", "phase": "Running",
                "outputs": {"parameters": [{"name": "go", "valueFrom": from}]},
            }}}})
        };
        let (object, _) =
            replaced(Operation::Resume, &waiting(json!({"supplied": {}, "default": "yes"})));
        let outputs = &object["status"]["nodes"]["a"]["outputs"]["parameters"];
        assert_eq!(*outputs, json!([{"name": "go", "value": "yes"}]));
        let error = done(Operation::Resume, &waiting(json!({"supplied": {}}))).unwrap_err();
        assert!(error.contains("`go`"), "{error}");
    }

    #[test]
    fn to_retry_keeps_what_succeeded_and_forgets_what_failed() {
        let node = |name: &str, kind: &str, phase: &str| json!({"name": name, "type": kind, "phase": phase, "message": "m", "finishedAt": "t"});
        let workflow = json!({
            "metadata": {"name": "wf", "labels": {"workflows.argoproj.io/completed": "true"}},
            "spec": {"shutdown": "Stop"},
            "status": {
                "phase": "Failed", "message": "child failed", "finishedAt": "t",
                "conditions": [{"type": "Completed", "status": "True"}],
                "nodes": {
                    "wf": node("wf", "Steps", "Failed"),
                    "good": node("wf[0].good", "Pod", "Succeeded"),
                    "bad": node("wf[1].bad", "Pod", "Failed"),
                    "group": node("wf[1]", "StepGroup", "Failed"),
                    "again": node("wf[1].r", "Retry", "Error"),
                    "exit": node("wf.onExit", "Pod", "Succeeded"),
                },
            },
        });
        let (object, mut pods) = replaced(Operation::Retry, &workflow);
        pods.sort();
        assert_eq!(pods, ["bad", "exit"]);
        let nodes = object["status"]["nodes"].as_object().unwrap();
        assert_eq!(nodes.keys().collect::<Vec<_>>(), ["good", "group", "wf"]);
        assert_eq!(nodes["good"], node("wf[0].good", "Pod", "Succeeded"));
        for again in ["group", "wf"] {
            assert_eq!(nodes[again]["phase"], "Running");
            assert_eq!(nodes[again]["startedAt"], NOW);
            assert_eq!(
                (&nodes[again]["finishedAt"], nodes[again].get("message")),
                (&Value::Null, None)
            );
        }
        assert_eq!(object["spec"], json!({}));
        let status = &object["status"];
        assert_eq!((&status["phase"], status.get("message")), (&json!("Running"), None));
        assert_eq!(status["conditions"][0]["status"], "False");
        let labels = json!({"workflows.argoproj.io/completed": "false",
                            "workflows.argoproj.io/phase": "Running"});
        assert_eq!(object["metadata"]["labels"], labels);
    }

    #[test]
    fn what_cannot_be_retried_is_said() {
        for (workflow, why) in [
            (json!({}), "it is not started"),
            (json!({"status": {"phase": "Running"}}), "it is Running"),
            (json!({"status": {"phase": "Succeeded"}}), "it is Succeeded"),
            (
                json!({"status": {"phase": "Failed", "nodes": {"a": {"phase": "Running"}}}}),
                "`a` is Running",
            ),
            (json!({"status": {"phase": "Failed", "compressedNodes": "H4sI"}}), "use `argo`"),
            (json!({"status": {"phase": "Failed", "offloadNodeStatusVersion": "v"}}), "use `argo`"),
        ] {
            let error = done(Operation::Retry, &workflow).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
