//! What Argo Events gives to the pod that it runs for an object, and one process of Tripline
//! has otherwise: an identity, an environment, volumes.

use serde_json::Value;

use super::report::{Finding, Topic};

/// What of the pod of an object matters here. `kind` is that of the object.
pub fn findings(kind: &str, object: &Value) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(template) = object.pointer("/spec/template") {
        identity(kind, template, &mut found);
        environment(template, &mut found);
        volumes(template, &mut found);
    }
    if kind == "EventSource" {
        of_upstreams(object, &mut found);
    }
    found
}

fn finding(topic: Topic, field: &str, what: String, advice: &str) -> Finding {
    Finding { topic, field: field.to_owned(), what, advice: Some(advice.to_owned()), code: None }
}

fn identity(kind: &str, template: &Value, found: &mut Vec<Finding>) {
    let account = template.get("serviceAccountName").and_then(Value::as_str);
    if let Some(account) = account.filter(|account| !account.is_empty()) {
        let field = "spec.template.serviceAccountName";
        let (what, advice) = match kind {
            "Sensor" => (
                format!("actions act as the service account `{account}`, by impersonation"),
                "Tripline's own account needs the right to impersonate it: `tripline doctor --context NAME` prints what to grant",
            ),
            _ => (
                format!(
                    "its pod has the service account `{account}`, and the rights of that in the cloud or the cluster"
                ),
                "towards Amazon and Google Tripline acts as it, where it runs against the cluster and may ask for its tokens (docs/credentials.md); else give the event source keys of its own",
            ),
        };
        found.push(finding(Topic::Identity, field, what, advice));
    }
    let annotations = template.pointer("/metadata/annotations").and_then(Value::as_object);
    let of_cloud = |name: &&String| {
        ["iam.amazonaws.com/", "eks.amazonaws.com/", "iam.gke.io/", "azure.workload.identity/"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
    };
    for name in annotations.into_iter().flat_map(|all| all.keys()).filter(of_cloud) {
        let field = "spec.template.metadata.annotations";
        let what = format!("its pod gets an identity of the cloud by the annotation `{name}`");
        let advice = "give the daemon's own pod that identity, or the object keys of its own";
        found.push(finding(Topic::Identity, field, what, advice));
    }
}

fn environment(template: &Value, found: &mut Vec<Finding>) {
    let variables = template.pointer("/container/env").and_then(Value::as_array);
    let names: Vec<&str> =
        variables.into_iter().flatten().filter_map(|one| one.get("name")?.as_str()).collect();
    if !names.is_empty() {
        let what = format!("its container has the environment variables {}", names.join(", "));
        let advice = "one process has one environment: clients of clouds read the daemon's own; templates and scripts see none, so write values into the object or read them from a Secret";
        found.push(finding(Topic::Environment, "spec.template.container.env", what, advice));
    }
    let from = template.pointer("/container/envFrom").and_then(Value::as_array);
    if from.is_some_and(|from| !from.is_empty()) {
        let what =
            "its container takes environment variables from Secrets or ConfigMaps".to_owned();
        let advice = "name the Secret or ConfigMap where the value is needed (`secretKeyRef`-like fields of the object), or set it for the daemon";
        found.push(finding(Topic::Environment, "spec.template.container.envFrom", what, advice));
    }
}

fn volumes(template: &Value, found: &mut Vec<Finding>) {
    let all = template.get("volumes").and_then(Value::as_array);
    let names: Vec<&str> =
        all.into_iter().flatten().filter_map(|one| one.get("name")?.as_str()).collect();
    if !names.is_empty() {
        let what = format!("its pod has the volumes {}", names.join(", "));
        let advice = "mount into the daemon's pod what the object reads as files, at the same paths; Secrets that its fields name need no volume";
        found.push(finding(Topic::Volumes, "spec.template.volumes", what, advice));
    }
}

/// Kinds of event sources that take the identity of the pod where they are given no keys:
/// the kind, and the fields one of which is the key.
const BY_IDENTITY: &[(&str, &[&str])] = &[
    ("sqs", &["accessKey", "endpoint"]),
    ("sns", &["accessKey", "endpoint"]),
    ("pubSub", &["credentialSecret"]),
    ("azureEventsHub", &["sharedAccessKey"]),
    ("azureServiceBus", &["connectionString"]),
    ("azureQueueStorage", &["connectionString"]),
];

fn of_upstreams(object: &Value, found: &mut Vec<Finding>) {
    for (kind, keys) in BY_IDENTITY {
        let events = object.pointer(&format!("/spec/{kind}")).and_then(Value::as_object);
        for (name, config) in events.into_iter().flatten() {
            if keys.iter().any(|key| config.get(*key).is_some_and(|key| !key.is_null())) {
                continue;
            }
            let what = format!("it has no `{}`: it is what its pod is", keys[0]);
            let advice = "the daemon uses its own identity (environment, files of the cloud's tools, workload identity) for all of them; give keys where they need different ones";
            found.push(finding(Topic::Identity, &format!("spec.{kind}.{name}"), what, advice));
        }
    }
}
