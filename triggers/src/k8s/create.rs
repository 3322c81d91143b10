//! What is done in the cluster that an action is bound to, and creating an object.

use std::sync::Arc;

use serde::Deserialize as _;
use serde_json::Value;
use tripline_event::Cause;
use tripline_event::outcome::TargetResult;

use super::change::Target;
use super::config::{K8sConfig, Operation, Strategy};
use crate::cluster::discovery::NoKind;
use crate::cluster::once::NewObject;
use crate::cluster::policy;
use crate::cluster::resource::Resource;
use crate::cluster::{Cluster, Clusters};
use crate::workflow::local;
use crate::workflow::submission::Made;
use crate::{Attempt, BoxFuture, RenderedAction, Trigger, TriggerError};

/// The most kinds that a message lists.
const LISTED: usize = 12;

/// The kind `k8s`.
pub struct K8sTrigger {
    clusters: Arc<Clusters>,
}

impl K8sTrigger {
    /// Acts in the cluster that an action is bound to.
    pub fn new(clusters: Arc<Clusters>) -> Self {
        Self { clusters }
    }

    async fn act(&self, attempt: Attempt<'_>) -> Result<TargetResult, TriggerError> {
        let rendered = attempt.rendered;
        let bound = rendered.action.target.as_deref().unwrap_or(local::NAME);
        if bound == local::NAME {
            return Err(refused(
                "the local target has no objects but workflows: name a cluster by `clusters` of \
                 the trigger, `for` of a Cluster, or --context",
            ));
        }
        let cluster = self.clusters.bound(bound)?;
        let config = K8sConfig::deserialize(&rendered.config)
            .map_err(|error| refused(format!("`k8s` is not valid: {error}")))?;
        let operation = config
            .operation()
            .map_err(|(field, message)| refused(format!("`{field}`: {message}")))?;
        let resource = resource(&cluster, rendered).await?;
        let done = perform(&cluster, &attempt, &resource, operation).await?;
        if operation != Operation::Delete {
            policy::check(&cluster, &attempt, &resource, &done).await?;
        }
        Ok(done)
    }
}

impl Trigger for K8sTrigger {
    fn carry_out<'a>(
        &'a self,
        attempt: Attempt<'a>,
    ) -> BoxFuture<'a, Result<TargetResult, TriggerError>> {
        Box::pin(self.act(attempt))
    }
}

async fn perform(
    cluster: &Cluster,
    attempt: &Attempt<'_>,
    resource: &Resource,
    operation: Operation,
) -> Result<TargetResult, TriggerError> {
    let rendered = attempt.rendered;
    if operation == Operation::Create {
        return create(cluster, rendered, resource, attempt.uncertain).await;
    }
    let target = Target::new(cluster, rendered, resource)?;
    if operation == Operation::Delete {
        return target.delete().await;
    }
    match (target.live().await?, operation) {
        (Some(live), Operation::Patch(strategy)) => target.patch(&live, strategy).await,
        (Some(live), _) => target.update(live).await,
        (None, Operation::Patch(Strategy::Json)) => {
            Err(TriggerError::Refused { cause: Cause::NotFound, reason: target.not_there() })
        }
        // As Argo Events does it. With `liveObject` there is nothing to make it of.
        (None, _) if rendered.live.is_none() => {
            create(cluster, rendered, resource, attempt.uncertain).await
        }
        (None, _) => {
            Err(TriggerError::Refused { cause: Cause::NotFound, reason: target.not_there() })
        }
    }
}

async fn create(
    cluster: &Cluster,
    rendered: &RenderedAction,
    resource: &Resource,
    uncertain: bool,
) -> Result<TargetResult, TriggerError> {
    let made = Made::new(rendered, resource.namespaced)?;
    cluster.allows(made.namespace.as_deref())?;
    let user = cluster.account_of(rendered);
    let new = NewObject {
        resource,
        namespace: made.namespace.as_deref(),
        name: &made.name,
        object: &made.object,
        action: &rendered.action.id,
        cause: rendered.action.cause,
        user: user.as_deref(),
    };
    let created = new.create(cluster, uncertain).await?;
    Ok(TargetResult::Object {
        target: cluster.name().to_owned(),
        api_version: resource.api_version(),
        kind: resource.kind.clone(),
        namespace: made.namespace,
        name: made.name,
        already: created.already,
    })
}

/// The kind of the object that is to be created, as the cluster has it.
async fn resource(cluster: &Cluster, rendered: &RenderedAction) -> Result<Resource, TriggerError> {
    let field = |name: &str| {
        let value = rendered.resource.as_ref().and_then(|object| object.get(name));
        value.and_then(Value::as_str).unwrap_or_default()
    };
    let (api_version, kind) = (field("apiVersion"), field("kind"));
    let name = cluster.name();
    match cluster.resource(api_version, kind).await {
        Ok(resource) => Ok(resource),
        // Nothing was asked for that could have been done.
        Err(NoKind::Unasked(failure)) => Err(TriggerError::NotDone {
            reason: format!("cluster `{name}`: cannot ask which kinds there are: {failure}"),
            after: None,
        }),
        Err(NoKind::Unknown(kinds)) => {
            let near = if kinds.is_empty() {
                format!("it has no `{api_version}`")
            } else {
                format!("`{api_version}` has {}", listed(&kinds, kind))
            };
            let reason =
                format!("cluster `{name}` has no kind `{kind}` of `{api_version}`: {near}");
            Err(TriggerError::Refused { cause: Cause::NotFound, reason })
        }
    }
}

/// Some kinds, those that look like `wanted` first.
fn listed(kinds: &[String], wanted: &str) -> String {
    let wanted = wanted.to_lowercase();
    let far = |kind: &&String| {
        let kind = kind.to_lowercase();
        let common = kind.chars().zip(wanted.chars()).take_while(|(a, b)| a == b).count();
        std::cmp::Reverse(common)
    };
    let mut kinds: Vec<&String> = kinds.iter().collect();
    kinds.sort_by_key(far);
    let more = if kinds.len() > LISTED { ", …" } else { "" };
    let some: Vec<String> = kinds.iter().take(LISTED).map(|kind| format!("`{kind}`")).collect();
    some.join(", ") + more
}

fn refused(reason: impl Into<String>) -> TriggerError {
    TriggerError::Refused { cause: Cause::Refused, reason: reason.into() }
}
