//! History limits in a cluster.

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tripline_event::Timestamp;

use super::{CRON_WORKFLOW, Ended, Retention, SENSOR, cron_workflow_of, surplus};
use crate::cluster::Cluster;
use crate::cluster::call::{Call, Failure};
use crate::cluster::resource::Resource;

/// How many workflows are listed at once: each may be a megabyte.
const LISTED: u32 = 20;

#[derive(Default, Deserialize)]
#[serde(default)]
struct List {
    metadata: ListMetadata,
    items: Vec<Item>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ListMetadata {
    r#continue: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Item {
    metadata: Metadata,
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    name: String,
    uid: String,
    labels: Value,
    creation_timestamp: Option<Timestamp>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    phase: String,
    finished_at: Option<Timestamp>,
}

impl Item {
    fn ended(self) -> Option<Ended> {
        let succeeded = match self.status.phase.as_str() {
            "Succeeded" => true,
            "Failed" | "Error" => false,
            _ => return None,
        };
        let at = self.status.finished_at.or(self.metadata.creation_timestamp)?;
        Some(Ended { name: self.metadata.name, version: self.metadata.uid, succeeded, at })
    }
}

impl Retention {
    /// The CronWorkflow whose workflow this is, by its labels; none where it is of none, or not
    /// there any more.
    ///
    /// # Errors
    /// Why the cluster does not say, for the operator.
    pub async fn owner_in_cluster(
        cluster: &Cluster,
        namespace: &str,
        name: &str,
    ) -> Result<Option<String>, String> {
        let path = Resource::workflows().object_path(Some(namespace), name);
        match cluster.call(&Call::get(path).metadata()).await {
            Ok(answer) => {
                let item: Item = answer.read().map_err(|error| said(cluster, "get", &error))?;
                Ok(cron_workflow_of(Some(&item.metadata.labels)))
            }
            Err(failure) if failure.code() == Some(404) => Ok(None),
            Err(failure) => Err(said(cluster, "get", &failure)),
        }
    }

    /// Removes what is beyond the limits, as the account that submits the workflows. Returns
    /// the names of what was removed.
    ///
    /// # Errors
    /// Why not all of it was removed, for the operator.
    pub async fn apply_in_cluster(
        &self,
        cluster: &Cluster,
        service_account: Option<&str>,
    ) -> Result<Vec<String>, String> {
        let namespace = self.object.namespace.as_str();
        cluster.allows(Some(namespace)).map_err(|error| error.to_string())?;
        let ended = self.ended(cluster).await.map_err(|error| said(cluster, "list", &error))?;
        let user = cluster.account(namespace, service_account);
        let mut removed = Vec::new();
        for workflow in surplus(ended, self.kept()) {
            let path = Resource::workflows().object_path(Some(namespace), &workflow.name);
            // Not another one, which took the name since.
            let options = json!({
                "apiVersion": "v1",
                "kind": "DeleteOptions",
                "propagationPolicy": "Background",
                "preconditions": {"uid": workflow.version},
            });
            let call = Call { method: Method::DELETE, ..Call::post(path, &options) };
            match cluster.call(&call.by(user.as_deref())).await {
                Ok(_) => removed.push(workflow.name),
                Err(failure) if matches!(failure.code(), Some(404 | 409)) => {}
                Err(failure) => return Err(said(cluster, "delete", &failure)),
            }
        }
        Ok(removed)
    }

    async fn ended(&self, cluster: &Cluster) -> Result<Vec<Ended>, Failure> {
        let path = Resource::workflows().path(Some(&self.object.namespace));
        let (mut ended, mut next) = (Vec::new(), String::new());
        loop {
            let query = format!(
                "?labelSelector={CRON_WORKFLOW}%3D{},{SENSOR}%3D{}&limit={LISTED}&continue={next}",
                self.object.name, self.sensor
            );
            let list: List = cluster.call(&Call::get(path.clone() + &query)).await?.read()?;
            let own = list.items.into_iter().filter(|item| self.owns(Some(&item.metadata.labels)));
            ended.extend(own.filter_map(Item::ended));
            if list.metadata.r#continue.is_empty() {
                return Ok(ended);
            }
            next = list.metadata.r#continue;
        }
    }
}

fn said(cluster: &Cluster, verb: &str, failure: &Failure) -> String {
    format!(
        "cluster `{}`: workflows beyond the history limits stay, since Tripline cannot {verb} \
         workflows there: {failure}",
        cluster.name()
    )
}
