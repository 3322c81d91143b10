//! Workflows in a cluster.

mod objects;

use std::sync::Arc;

use serde_json::Value;

use super::{Created, Named, Submission, WorkflowTarget};
use crate::cluster::Cluster;
use crate::cluster::follow::Followers;
use crate::cluster::once::NewObject;
use crate::cluster::resource::Resource;
use crate::{BoxFuture, TriggerError};

/// Creates workflows in a cluster, each as the service account of its sensor.
#[derive(Clone)]
pub struct ClusterTarget {
    cluster: Arc<Cluster>,
    followers: Option<Arc<Followers>>,
}

impl ClusterTarget {
    /// Creates workflows in `cluster`.
    pub fn new(cluster: Arc<Cluster>) -> Self {
        Self { cluster, followers: None }
    }

    /// Creates workflows in `cluster`, which `followers` then follow to their end.
    pub fn followed(cluster: Arc<Cluster>, followers: Arc<Followers>) -> Self {
        Self { cluster, followers: Some(followers) }
    }

    async fn submit(
        &self,
        submission: &Submission,
        uncertain: bool,
    ) -> Result<Created, TriggerError> {
        let Submission { namespace, name, object, action, .. } = submission;
        self.cluster.allows(Some(namespace))?;
        let user = self
            .cluster
            .account(&submission.sensor_namespace, submission.service_account.as_deref());
        let new = NewObject {
            resource: &Resource::workflows(),
            namespace: Some(namespace),
            name,
            object,
            action,
            cause: submission.cause,
            user: user.as_deref(),
        };
        let created = new.create(&self.cluster, uncertain).await?;
        if let Some(followers) = &self.followers {
            followers.submitted(self.cluster.name(), submission);
        }
        Ok(created)
    }
}

impl WorkflowTarget for ClusterTarget {
    fn name(&self) -> &str {
        self.cluster.name()
    }

    fn create<'a>(
        &'a self,
        submission: &'a Submission,
        uncertain: bool,
    ) -> BoxFuture<'a, Result<Created, TriggerError>> {
        Box::pin(self.submit(submission, uncertain))
    }

    fn find<'a>(&'a self, named: &'a Named) -> BoxFuture<'a, Result<Option<Value>, TriggerError>> {
        Box::pin(async move { self.find_object(named).await.map(Some) })
    }

    fn replace<'a>(
        &'a self,
        named: &'a Named,
        object: &'a Value,
        nodes: &'a [String],
    ) -> BoxFuture<'a, Result<(), TriggerError>> {
        Box::pin(self.replace_object(named, object, nodes))
    }
}
