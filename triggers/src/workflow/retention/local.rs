//! History limits in the local target.

use tripline_bus::{ReadError, WriteError};

use super::{Ended, Kept, Retention, surplus};
use crate::workflow::local::{LocalTarget, Phase, WorkflowFilter};

/// How many workflows are read at once.
const PAGE: usize = 256;

/// Why workflows were not removed.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// The bus cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The bus does not remove them.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl Retention {
    /// The CronWorkflow whose workflow this is, by its labels; none where it is of none.
    ///
    /// # Errors
    /// The bus cannot be read.
    pub async fn owner_in(
        target: &LocalTarget,
        namespace: &str,
        name: &str,
    ) -> Result<Option<String>, ReadError> {
        let workflow = target.get(namespace, name).await?;
        Ok(workflow.and_then(|it| super::cron_workflow_of(it.object.pointer("/metadata/labels"))))
    }

    /// Removes what is beyond the limits that the CronWorkflow itself has: nothing runs in
    /// the local target, and what is recorded there is looked at, so none are removed unless
    /// somebody has said so. A recorded workflow counts as one that succeeded. Returns the
    /// names of what was removed.
    ///
    /// # Errors
    /// The bus fails; the others are removed the next time.
    pub async fn apply_in(&self, target: &LocalTarget) -> Result<Vec<String>, RetentionError> {
        if self.successful.is_none() && self.failed.is_none() {
            return Ok(Vec::new());
        }
        let kept = Kept {
            successful: self.successful.unwrap_or(usize::MAX),
            failed: self.failed.unwrap_or(usize::MAX),
        };
        let filter = WorkflowFilter {
            namespace: Some(self.object.namespace.clone()),
            ..WorkflowFilter::default()
        };
        let (mut ended, mut after) = (Vec::new(), None);
        loop {
            let page = target.list(&filter, after.as_deref(), PAGE).await?;
            let own = page.workflows.iter();
            let own = own.filter(|it| self.owns(it.object.pointer("/metadata/labels")));
            ended.extend(own.map(|it| Ended {
                name: it.name().to_owned(),
                version: it.action.to_string(),
                succeeded: matches!(it.phase, Phase::Recorded | Phase::Succeeded),
                at: it.finished_at.unwrap_or(it.created_at),
            }));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let mut removed = Vec::new();
        for workflow in surplus(ended, kept) {
            if target.remove(&self.object.namespace, &workflow.name, &workflow.version).await? {
                removed.push(workflow.name);
            }
        }
        Ok(removed)
    }
}
