//! Objects that are in a cluster already: found, and replaced.

use std::collections::BTreeMap;

use http::Method;
use serde::Deserialize;
use serde_json::Value;
use tripline_event::Cause;

use super::super::Named;
use super::ClusterTarget;
use crate::TriggerError;
use crate::cluster::call::Call;
use crate::cluster::live::live;
use crate::cluster::refusal::Doing;
use crate::cluster::resource::Resource;

/// The label of a pod that names its workflow, and the annotation that names its node.
const WORKFLOW: &str = "workflows.argoproj.io/workflow";
const NODE: &str = "workflows.argoproj.io/node-id";

#[derive(Deserialize)]
struct Pods {
    items: Vec<Pod>,
}

#[derive(Deserialize)]
struct Pod {
    metadata: PodMetadata,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodMetadata {
    name: String,
    annotations: BTreeMap<String, String>,
}

impl ClusterTarget {
    fn user_of(&self, named: &Named) -> Option<String> {
        self.cluster.account(&named.sensor_namespace, named.service_account.as_deref())
    }

    pub(super) async fn find_object(&self, named: &Named) -> Result<Value, TriggerError> {
        let resource = resource_of(&named.kind)?;
        let namespace = resource.namespaced.then_some(named.namespace.as_str());
        self.cluster.allows(Some(&named.namespace))?;
        let user = self.user_of(named);
        let found = live(&self.cluster, &resource, namespace, &named.name, user.as_deref()).await?;
        found.ok_or_else(|| {
            let reason = format!("cluster `{}` has no {named}", self.cluster.name());
            TriggerError::Refused { cause: Cause::NotFound, reason }
        })
    }

    pub(super) async fn replace_object(
        &self,
        named: &Named,
        object: &Value,
        nodes: &[String],
    ) -> Result<(), TriggerError> {
        let resource = resource_of(&named.kind)?;
        let user = self.user_of(named);
        if !nodes.is_empty() {
            self.delete_pods(named, nodes, user.as_deref()).await?;
        }
        let path = resource.object_path(Some(&named.namespace), &named.name);
        let call = Call { method: Method::PUT, ..Call::post(path, object) };
        let answer = self.cluster.call(&call.by(user.as_deref()).metadata()).await;
        let doing = Doing {
            cluster: self.cluster.name(),
            verb: "update",
            resource: &resource,
            namespace: Some(&named.namespace),
            user: user.as_deref(),
        };
        answer.map(drop).map_err(|failure| doing.failed(&failure))
    }

    /// Deletes the pods of these nodes: they would be taken for those of the next try.
    async fn delete_pods(
        &self,
        named: &Named,
        nodes: &[String],
        user: Option<&str>,
    ) -> Result<(), TriggerError> {
        let resource = Resource {
            group: String::new(),
            version: "v1".to_owned(),
            plural: "pods".to_owned(),
            kind: "Pod".to_owned(),
            namespaced: true,
        };
        let namespace = Some(named.namespace.as_str());
        let doing = |verb| Doing {
            cluster: self.cluster.name(),
            verb,
            resource: &resource,
            namespace,
            user,
        };
        let selector = format!("{WORKFLOW}={}", named.name);
        let selector =
            percent_encoding::utf8_percent_encode(&selector, percent_encoding::NON_ALPHANUMERIC);
        let path = format!("{}?labelSelector={selector}", resource.path(namespace));
        let listed = self.cluster.call(&Call::get(path).by(user).list_metadata()).await;
        let listed = listed.and_then(|answer| answer.read::<Pods>());
        let pods = listed.map_err(|failure| doing("list").failed(&failure))?;
        for pod in pods.items {
            let of = pod.metadata.annotations.get(NODE);
            if !of.is_some_and(|node| nodes.contains(node)) {
                continue;
            }
            let path = resource.object_path(namespace, &pod.metadata.name);
            let call = Call { method: Method::DELETE, ..Call::get(path) };
            match self.cluster.call(&call.by(user)).await {
                Ok(_) => {}
                Err(failure) if failure.code() == Some(404) => {}
                Err(failure) => return Err(doing("delete").failed(&failure)),
            }
        }
        Ok(())
    }
}

fn resource_of(kind: &str) -> Result<Resource, TriggerError> {
    let (plural, namespaced) = match kind {
        "Workflow" => ("workflows", true),
        "WorkflowTemplate" => ("workflowtemplates", true),
        "ClusterWorkflowTemplate" => ("clusterworkflowtemplates", false),
        "CronWorkflow" => ("cronworkflows", true),
        other => {
            let reason = format!("`{other}` is no kind of Argo Workflows");
            return Err(TriggerError::Refused { cause: Cause::Render, reason });
        }
    };
    Ok(Resource {
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        namespaced,
        ..Resource::workflows()
    })
}
