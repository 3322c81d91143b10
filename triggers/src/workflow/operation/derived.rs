//! Workflows that are made of other objects: of templates, of cron workflows, and of workflows
//! that ran before.

use serde_json::{Map, Value, json};

use super::arguments::{Arguments, mapping};

const API_VERSION: &str = "argoproj.io/v1alpha1";

/// Labels that say how a run went: they are not those of the next one (Argo's resubmit).
const OF_ONE_RUN: [&str; 6] = [
    "workflows.argoproj.io/completed",
    "workflows.argoproj.io/phase",
    "workflows.argoproj.io/workflow-archiving-status",
    "workflows.argoproj.io/creator",
    "workflows.argoproj.io/creator-email",
    "workflows.argoproj.io/creator-preferred-username",
];

/// The workflow that `argo submit --from` makes of a template.
pub(crate) fn from_template(template: &str, of_cluster: bool, arguments: &Arguments) -> Value {
    let (label, reference) = if of_cluster {
        let reference = json!({"name": template, "clusterScope": true});
        ("workflows.argoproj.io/cluster-workflow-template", reference)
    } else {
        ("workflows.argoproj.io/workflow-template", json!({"name": template}))
    };
    let mut workflow = json!({
        "apiVersion": API_VERSION,
        "kind": "Workflow",
        "metadata": {"generateName": format!("{template}-"), "labels": {label: template}},
        "spec": {"workflowTemplateRef": reference},
    });
    arguments.apply(&mut workflow);
    workflow
}

/// The workflow that `argo submit --from cronwf/NAME` makes of a cron workflow, outside of its
/// schedule.
///
/// # Errors
/// It has no `spec.workflowSpec`.
pub(crate) fn from_cron_workflow(cron: &Value, arguments: &Arguments) -> Result<Value, String> {
    let name = cron["metadata"]["name"].as_str().unwrap_or_default();
    let Some(spec) = cron["spec"].get("workflowSpec").filter(|spec| spec.is_object()) else {
        return Err(format!("CronWorkflow `{name}` has no `spec.workflowSpec`"));
    };
    let of = |field: &str| match &cron["spec"]["workflowMetadata"][field] {
        Value::Object(fields) => fields.clone(),
        _ => Map::new(),
    };
    let mut labels = of("labels");
    labels.insert("workflows.argoproj.io/cron-workflow".to_owned(), json!(name));
    let mut workflow = json!({
        "apiVersion": API_VERSION,
        "kind": "Workflow",
        "metadata": {
            "generateName": format!("{name}-"),
            "labels": labels,
            "annotations": of("annotations"),
        },
        "spec": spec,
    });
    if let Some(finalizers) = cron["spec"]["workflowMetadata"].get("finalizers") {
        workflow["metadata"]["finalizers"] = finalizers.clone();
    }
    arguments.apply(&mut workflow);
    Ok(workflow)
}

/// The workflow that `argo resubmit` makes of one that was submitted before.
pub(crate) fn resubmitted(before: &Value, arguments: &Arguments) -> Value {
    let metadata = &before["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    let prefix = metadata["generateName"].as_str().filter(|prefix| !prefix.is_empty());
    let of = |field: &str| match &metadata[field] {
        Value::Object(fields) => fields.clone(),
        _ => Map::new(),
    };
    let mut labels = of("labels");
    labels.retain(|label, _| !OF_ONE_RUN.contains(&label.as_str()));
    labels.insert("workflows.argoproj.io/resubmitted-from-workflow".to_owned(), json!(name));
    let mut workflow = json!({
        "apiVersion": API_VERSION,
        "kind": "Workflow",
        "metadata": {
            "generateName": prefix.map_or_else(|| format!("{name}-"), str::to_owned),
            "labels": labels,
            "annotations": of("annotations"),
        },
        "spec": before["spec"],
    });
    if let Some(owners) = metadata.get("ownerReferences") {
        workflow["metadata"]["ownerReferences"] = owners.clone();
    }
    if let Some(spec) = mapping(&mut workflow, &["spec"]) {
        spec.remove("shutdown");
        // That is how a workflow was ended in former times.
        if spec.get("activeDeadlineSeconds") == Some(&json!(0)) {
            spec.remove("activeDeadlineSeconds");
        }
    }
    arguments.apply(&mut workflow);
    workflow
}

#[cfg(test)]
mod tests {
    use super::super::Operation;
    use super::*;

    fn arguments(operation: Operation, args: &[&str]) -> Arguments {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        operation.arguments(&args).unwrap()
    }

    #[test]
    fn a_template_is_referred_to_and_given_its_parameters() {
        let args = arguments(Operation::SubmitFrom, &["-p", "image=i"]);
        let made = from_template("build", false, &args);
        let expected = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow",
            "metadata": {"generateName": "build-",
                         "labels": {"workflows.argoproj.io/workflow-template": "build"}},
            "spec": {"workflowTemplateRef": {"name": "build"},
                     "arguments": {"parameters": [{"name": "image", "value": "i"}]}},
        });
        assert_eq!(made, expected);
        let made = from_template("build", true, &Arguments::default());
        assert_eq!(
            made["spec"],
            json!({"workflowTemplateRef": {"name": "build", "clusterScope": true}})
        );
        assert_eq!(
            made["metadata"]["labels"],
            json!({"workflows.argoproj.io/cluster-workflow-template": "build"})
        );
    }

    #[test]
    fn a_cron_workflow_gives_its_workflow_with_its_metadata() {
        let cron = json!({
            "metadata": {"name": "nightly"},
            "spec": {"schedule": "0 3 * * *", "workflowSpec": {"entrypoint": "main"},
                     "workflowMetadata": {"labels": {"team": "a"}, "annotations": {"b": "c"},
                                          "finalizers": ["x/y"]}},
        });
        let made = from_cron_workflow(&cron, &Arguments::default()).unwrap();
        let metadata = json!({
            "generateName": "nightly-", "finalizers": ["x/y"],
            "labels": {"team": "a", "workflows.argoproj.io/cron-workflow": "nightly"},
            "annotations": {"b": "c"},
        });
        assert_eq!(made["metadata"], metadata);
        assert_eq!(made["spec"], json!({"entrypoint": "main"}));
        let without = json!({"metadata": {"name": "n"}, "spec": {}});
        let error = from_cron_workflow(&without, &Arguments::default()).unwrap_err();
        assert_eq!(error, "CronWorkflow `n` has no `spec.workflowSpec`");
    }

    #[test]
    fn a_resubmitted_workflow_is_a_new_one_with_the_same_spec() {
        let before = json!({
            "metadata": {
                "name": "build-abc", "generateName": "build-", "uid": "1", "resourceVersion": "2",
                "labels": {"team": "a", "workflows.argoproj.io/completed": "true",
                           "workflows.argoproj.io/phase": "Failed"},
                "annotations": {"x": "y"},
            },
            "spec": {"entrypoint": "main", "shutdown": "Stop", "activeDeadlineSeconds": 0},
            "status": {"phase": "Failed"},
        });
        let made = resubmitted(&before, &arguments(Operation::Resubmit, &["--priority", "3"]));
        let expected = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow",
            "metadata": {
                "generateName": "build-", "annotations": {"x": "y"},
                "labels": {"team": "a",
                           "workflows.argoproj.io/resubmitted-from-workflow": "build-abc"},
            },
            "spec": {"entrypoint": "main", "priority": 3},
        });
        assert_eq!(made, expected);
        let named = json!({"metadata": {"name": "fixed"}, "spec": {}});
        let made = resubmitted(&named, &Arguments::default());
        assert_eq!(made["metadata"]["generateName"], "fixed-");
    }
}
