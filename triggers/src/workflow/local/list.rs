//! Listing the workflows of the local target.

use tripline_bus::ReadError;
use tripline_event::CorrelationId;

use super::{LocalTarget, LocalWorkflow, PREFIX, Phase};

/// How many keys are read at once.
const KEYS: usize = 256;

/// Which workflows; those that match all that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkflowFilter {
    /// Those of this namespace.
    pub namespace: Option<String>,
    /// Those of this chain.
    pub correlation: Option<CorrelationId>,
    /// Those in this phase.
    pub phase: Option<Phase>,
}

/// A part of a list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The workflows, by namespace and name.
    pub workflows: Vec<LocalWorkflow>,
    /// Where the next part begins; none after the last one.
    pub next: Option<String>,
}

impl LocalTarget {
    /// At most `max` workflows that match, after what an earlier page gave as `next`.
    ///
    /// # Errors
    /// Where the bus cannot be read.
    pub async fn list(
        &self,
        filter: &WorkflowFilter,
        after: Option<&str>,
        max: usize,
    ) -> Result<Page, ReadError> {
        let prefix = filter
            .namespace
            .as_ref()
            .map_or_else(|| PREFIX.to_owned(), |namespace| format!("{PREFIX}{namespace}/"));
        let mut page = Page { workflows: Vec::new(), next: after.map(str::to_owned) };
        loop {
            let keys = self.bus.keys(&prefix, page.next.as_deref(), KEYS).await?;
            if keys.is_empty() {
                page.next = None;
                return Ok(page);
            }
            for key in keys {
                if page.workflows.len() >= max {
                    return Ok(page);
                }
                if let Some(entry) = self.bus.get(&key).await? {
                    let workflow = LocalWorkflow::decode(&key, &entry.value)?;
                    page.workflows.extend(Some(workflow).filter(|found| filter.takes(found)));
                }
                page.next = Some(key);
            }
        }
    }
}

impl WorkflowFilter {
    fn takes(&self, workflow: &LocalWorkflow) -> bool {
        self.correlation.as_ref().is_none_or(|correlation| workflow.correlation == *correlation)
            && self.phase.is_none_or(|phase| workflow.phase == phase)
    }
}
