//! The objects of a cluster, as they are there.

use std::sync::Arc;

use serde_json::Value;
use tripline_config::{ConfigMapRef, Input, Secret, SecretRef};
use tripline_event::SystemClock;
use tripline_triggers::SecretLookup;
use tripline_triggers::cluster::{Cluster, ClusterDefinition, Clusters};

/// The resources that are read: group and version, plural, and kind.
const RESOURCES: [(&str, &str, &str); 4] = [
    ("argoproj.io/v1alpha1", "eventsources", "EventSource"),
    ("argoproj.io/v1alpha1", "sensors", "Sensor"),
    ("argoproj.io/v1alpha1", "eventbus", "EventBus"),
    ("argoproj.io/v1alpha1", "cronworkflows", "CronWorkflow"),
];

/// What the cluster of the kubeconfig's current context is called.
const CURRENT: &str = "the current context";

/// Knows no secret: none is needed for a context of a kubeconfig, and none is read.
struct NoSecrets;

impl SecretLookup for NoSecrets {
    fn secret(&self, _: &str, _: &SecretRef) -> Result<Secret, String> {
        Err("no secrets are read to look at a cluster".to_owned())
    }

    fn config_map(&self, _: &str, _: &ConfigMapRef) -> Result<String, String> {
        Err("no ConfigMaps are read to look at a cluster".to_owned())
    }
}

/// The objects of a namespace of the cluster that a context of the user's kubeconfig leads
/// to. Nothing is changed there.
///
/// # Errors
/// It cannot be reached, or may not be read.
pub async fn objects(context: &str, namespace: &str) -> anyhow::Result<Vec<Input>> {
    objects_of(&*cluster(Some(context))?, namespace).await
}

/// The cluster that a context of the user's kubeconfig leads to; its current one, where none is
/// named. It is not asked anything yet.
///
/// # Errors
/// Never, but for a context without a name.
pub fn cluster(context: Option<&str>) -> anyhow::Result<Arc<Cluster>> {
    let mut definition = ClusterDefinition::of_context(context.unwrap_or(CURRENT));
    if context.is_none() {
        definition.spec.context = None;
    }
    let name = definition.name.clone();
    let fixed = vec![definition];
    let clusters = Clusters::new(Arc::new(NoSecrets), Arc::new(SystemClock), None, false, fixed);
    clusters.get(&name).ok_or_else(|| anyhow::anyhow!("there is no context `{name}`"))
}

/// The objects of a namespace of a cluster. Nothing is changed there.
///
/// # Errors
/// It cannot be reached, or may not be read.
pub async fn objects_of(cluster: &Cluster, namespace: &str) -> anyhow::Result<Vec<Input>> {
    let context = cluster.name();
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
