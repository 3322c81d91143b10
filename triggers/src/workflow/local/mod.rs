//! The local target: workflows are kept durably, as they were submitted, and are not run.
//!
//! Each is a key of the bus, `workflows/<namespace>/<name>`, made by compare-and-swap:
//! there is one workflow of a name, whoever submits it and however often.

mod finish;
mod list;

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tripline_bus::{Bus, Entry, ReadError, Revision, WriteError};
use tripline_event::{ActionId, Cause, Clock, CorrelationId, FORMAT, Timestamp};

pub use finish::{FinishError, Finished};
pub use list::{Page, WorkflowFilter};

use super::{Created, Named, Submission, WorkflowTarget};
use crate::{BoxFuture, TriggerError};

/// The target's name.
pub const NAME: &str = "local";

/// Keeps workflows in the bus.
#[derive(Clone)]
pub struct LocalTarget {
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
}

/// A workflow that was submitted into the local target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LocalWorkflow {
    /// The format's version.
    v: u32,
    /// The whole object, as it was submitted.
    pub object: Value,
    /// Where it stands.
    pub phase: Phase,
    /// The action that it was submitted for.
    pub action: ActionId,
    /// The correlation id of the whole chain.
    pub correlation: CorrelationId,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// When somebody said that it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
}

/// Where a workflow stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// It was submitted.
    Recorded,
    /// It has ended well.
    Succeeded,
    /// It has failed.
    Failed,
    /// It could not be run.
    Error,
}

impl Phase {
    /// The phase as it stands in records and commands.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recorded => "Recorded",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Error => "Error",
        }
    }
}

impl LocalWorkflow {
    /// Its namespace.
    pub fn namespace(&self) -> &str {
        self.metadata("namespace")
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.metadata("name")
    }

    fn metadata(&self, field: &str) -> &str {
        self.object["metadata"][field].as_str().unwrap_or_default()
    }

    fn encode(&self) -> Bytes {
        // Keys are texts and no value is a float that JSON lacks: it cannot fail.
        Bytes::from(serde_json::to_vec(self).unwrap_or_default())
    }

    fn decode(key: &str, value: &[u8]) -> Result<Self, ReadError> {
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        let damaged = |error| ReadError::Damaged(format!("key `{key}`: {error}"));
        let Version { v } = serde_json::from_slice(value).map_err(damaged)?;
        if v > FORMAT {
            return Err(ReadError::Damaged(format!(
                "key `{key}` has format {v}, this build reads up to {FORMAT}: run a newer Tripline"
            )));
        }
        serde_json::from_slice(value).map_err(damaged)
    }
}

impl LocalTarget {
    /// A target that keeps workflows in `bus`.
    pub fn new(bus: Arc<dyn Bus>, clock: Arc<dyn Clock>) -> Self {
        Self { bus, clock }
    }

    /// The workflow `name`; none where there is none.
    ///
    /// # Errors
    /// Where the bus cannot be read.
    pub async fn get(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<LocalWorkflow>, ReadError> {
        let key = key(namespace, name);
        let entry = self.bus.get(&key).await?;
        entry.map(|entry| LocalWorkflow::decode(&key, &entry.value)).transpose()
    }

    /// Removes the workflow `name`, if it is still that of this action; false where it is not.
    ///
    /// # Errors
    /// Where the bus cannot be read, or does not remove it.
    pub(crate) async fn remove(
        &self,
        namespace: &str,
        name: &str,
        action: &str,
    ) -> Result<bool, super::retention::RetentionError> {
        let key = key(namespace, name);
        let Some(entry) = self.bus.get(&key).await? else { return Ok(false) };
        if LocalWorkflow::decode(&key, &entry.value)?.action.as_str() != action {
            return Ok(false);
        }
        match self.bus.delete(&key, entry.revision).await {
            Ok(()) => Ok(true),
            Err(WriteError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn submit(&self, submission: &Submission) -> Result<Created, TriggerError> {
        let key = key(&submission.namespace, &submission.name);
        let workflow = LocalWorkflow {
            v: FORMAT,
            object: submission.object.clone(),
            phase: Phase::Recorded,
            action: submission.action.clone(),
            correlation: submission.correlation.clone(),
            created_at: self.clock.now(),
            finished_at: None,
        };
        match self.bus.put(&key, workflow.encode(), Revision::ABSENT).await {
            Ok(_) => Ok(Created { already: false }),
            Err(WriteError::Conflict { .. }) => match self.bus.get(&key).await {
                Ok(Some(entry)) => same_action(&key, &entry, submission),
                Ok(None) => Err(retry(format!("key `{key}` was removed just now"))),
                Err(error) => Err(retry(error.to_string())),
            },
            Err(error @ (WriteError::TooLarge { .. } | WriteError::InvalidKey(_))) => {
                Err(TriggerError::Refused { cause: Cause::Refused, reason: error.to_string() })
            }
            Err(error) => Err(retry(error.to_string())),
        }
    }
}

impl LocalTarget {
    async fn recorded(&self, named: &Named) -> Result<Option<Value>, TriggerError> {
        if named.kind != "Workflow" {
            return Ok(None);
        }
        match self.get(&named.namespace, &named.name).await {
            Ok(Some(workflow)) => Ok(Some(workflow.object)),
            Ok(None) => {
                let reason = format!("the local target has no {named}");
                Err(TriggerError::Refused { cause: Cause::NotFound, reason })
            }
            Err(error) => Err(TriggerError::NotDone { reason: error.to_string(), after: None }),
        }
    }
}

impl WorkflowTarget for LocalTarget {
    /// A workflow that is there is found by compare-and-swap, whoever created it.
    fn asks_for_earlier_attempts(&self) -> bool {
        false
    }

    fn name(&self) -> &str {
        NAME
    }

    fn create<'a>(
        &'a self,
        submission: &'a Submission,
        _uncertain: bool,
    ) -> BoxFuture<'a, Result<Created, TriggerError>> {
        // Nothing removes a workflow from here: one that is not there was never created.
        Box::pin(self.submit(submission))
    }

    fn find<'a>(&'a self, named: &'a Named) -> BoxFuture<'a, Result<Option<Value>, TriggerError>> {
        Box::pin(self.recorded(named))
    }

    fn replace<'a>(
        &'a self,
        named: &'a Named,
        _object: &'a Value,
        _nodes: &'a [String],
    ) -> BoxFuture<'a, Result<(), TriggerError>> {
        let reason = format!(
            "the local target records workflows and does not run them: {named} cannot be changed \
             there. Name a cluster by `clusters` of the trigger, `for` of a Cluster, or --context"
        );
        Box::pin(async move { Err(TriggerError::Refused { cause: Cause::Refused, reason }) })
    }
}

fn same_action(key: &str, entry: &Entry, submission: &Submission) -> Result<Created, TriggerError> {
    let there =
        LocalWorkflow::decode(key, &entry.value).map_err(|error| retry(error.to_string()))?;
    if there.action == submission.action {
        return Ok(Created { already: true });
    }
    let Submission { namespace, name, .. } = submission;
    let reason =
        format!("workflow {namespace}/{name} exists and belongs to action {}", there.action);
    Err(TriggerError::Refused { cause: Cause::NameTaken, reason })
}

fn retry(reason: String) -> TriggerError {
    TriggerError::Retry { reason, after: None }
}

const PREFIX: &str = "workflows/";

fn key(namespace: &str, name: &str) -> String {
    format!("{PREFIX}{namespace}/{name}")
}
