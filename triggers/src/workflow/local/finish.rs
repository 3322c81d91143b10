//! Saying that a workflow of the local target has ended.

use bytes::Bytes;
use tripline_bus::{Append, Log, ReadError, WriteError};
use tripline_event::{Outcome, OutcomeKind};

use super::{LocalTarget, LocalWorkflow, NAME, Phase, key};

/// The phases in which a workflow has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// It has ended well.
    Succeeded,
    /// It has failed.
    Failed,
    /// It could not be run.
    Error,
}

impl From<Finished> for Phase {
    fn from(finished: Finished) -> Self {
        match finished {
            Finished::Succeeded => Self::Succeeded,
            Finished::Failed => Self::Failed,
            Finished::Error => Self::Error,
        }
    }
}

/// Why a workflow was not finished.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    /// There is none of that name.
    #[error("there is no workflow {namespace}/{name}")]
    NotFound {
        /// The namespace.
        namespace: String,
        /// The name.
        name: String,
    },
    /// It had ended otherwise.
    #[error("the workflow has ended already: {}", .0.as_str())]
    Ended(Phase),
    /// The bus cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The bus has not stored it; on [`WriteError::Unavailable`] perhaps it has. Try again.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl LocalTarget {
    /// Notes that a workflow has ended, and appends the outcome. Saying the same again
    /// changes nothing but completes what a crash has cut off.
    ///
    /// # Errors
    /// Where there is no such workflow, it has ended otherwise, or the bus fails.
    pub async fn finish(
        &self,
        namespace: &str,
        name: &str,
        finished: Finished,
    ) -> Result<LocalWorkflow, FinishError> {
        let key = key(namespace, name);
        let not_found =
            || FinishError::NotFound { namespace: namespace.to_owned(), name: name.to_owned() };
        let entry = self.bus.get(&key).await?.ok_or_else(not_found)?;
        let mut workflow = LocalWorkflow::decode(&key, &entry.value)?;
        let phase = Phase::from(finished);
        if workflow.phase == Phase::Recorded {
            workflow.phase = phase;
            workflow.finished_at = Some(self.clock.now());
            self.bus.put(&key, workflow.encode(), entry.revision).await?;
        } else if workflow.phase != phase {
            return Err(FinishError::Ended(workflow.phase));
        }
        self.bus.append(Log::Outcomes, vec![self.outcome(&workflow)]).await?;
        Ok(workflow)
    }

    fn outcome(&self, workflow: &LocalWorkflow) -> Append {
        let phase = workflow.phase.as_str();
        let outcome = Outcome {
            at: workflow.finished_at.unwrap_or_else(|| self.clock.now()),
            correlation: Some(workflow.correlation.clone()),
            kind: OutcomeKind::Workflow {
                target: NAME.to_owned(),
                namespace: workflow.namespace().to_owned(),
                name: workflow.name().to_owned(),
                phase: phase.to_owned(),
                action: workflow.action.clone(),
                message: None,
            },
        };
        let dedup = Bytes::from(format!("{}-workflow-{phase}", workflow.action));
        Append { dedup: Some(dedup), record: outcome.encode() }
    }
}
