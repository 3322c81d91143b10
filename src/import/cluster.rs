//! The objects of a cluster, as they are there.

use std::sync::Arc;

use serde_json::Value;
use tripline_config::{ConfigMapRef, Input, Secret, SecretRef};
use tripline_event::SystemClock;
use tripline_triggers::SecretLookup;
use tripline_triggers::cluster::{ClusterDefinition, Clusters};

/// The resources that are read: group and version, plural, and kind.
const RESOURCES: [(&str, &str, &str); 4] = [
    ("argoproj.io/v1alpha1", "eventsources", "EventSource"),
    ("argoproj.io/v1alpha1", "sensors", "Sensor"),
    ("argoproj.io/v1alpha1", "eventbus", "EventBus"),
    ("argoproj.io/v1alpha1", "cronworkflows", "CronWorkflow"),
];

/// Knows no secret: none is needed for a context of a kubeconfig, and none is read.
struct NoSecrets;

impl SecretLookup for NoSecrets {
    fn secret(&self, _: &str, _: &SecretRef) -> Result<Secret, String> {
        Err("`tripline import` reads no secrets".to_owned())
    }

    fn config_map(&self, _: &str, _: &ConfigMapRef) -> Result<String, String> {
        Err("`tripline import` reads no ConfigMaps".to_owned())
    }
}

/// The objects of a namespace of the cluster that a context of the user's kubeconfig leads
/// to. Nothing is changed there.
///
/// # Errors
/// It cannot be reached, or may not be read.
pub async fn objects(context: &str, namespace: &str) -> anyhow::Result<Vec<Input>> {
    let fixed = vec![ClusterDefinition::of_context(context)];
    let clusters = Clusters::new(Arc::new(NoSecrets), Arc::new(SystemClock), None, false, fixed);
    let cluster = clusters.get(context);
    let cluster = cluster.ok_or_else(|| anyhow::anyhow!("there is no context `{context}`"))?;
    let mut inputs = Vec::new();
    for (version, plural, kind) in RESOURCES {
        let found = cluster.objects(version, plural, namespace).await;
        let found = found.map_err(|error| anyhow::anyhow!("{plural} of `{namespace}`: {error}"))?;
        for mut object in found {
            let name = object.pointer("/metadata/name").and_then(Value::as_str);
            let name = format!("{context}/{namespace}/{plural}/{}", name.unwrap_or_default());
            if let Some(fields) = object.as_object_mut() {
                fields.insert("apiVersion".to_owned(), version.into());
                fields.insert("kind".to_owned(), kind.into());
                fields.remove("status");
            }
            if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.remove("managedFields");
            }
            inputs.push(Input::text(&name, object.to_string()));
        }
    }
    Ok(inputs)
}
