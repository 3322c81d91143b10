//! The workflows that the local target has recorded, newest last.

use std::collections::BTreeMap;
use std::sync::Arc;

use tripline_bus::Bus;
use tripline_event::{SystemClock, Timestamp};
use tripline_triggers::workflow::local::{LocalTarget, LocalWorkflow, WorkflowFilter};

use super::QueryError;
use super::scan::PAGE;

/// The last `limit` workflows that fit, by the time when they were submitted.
pub async fn list(
    bus: Arc<dyn Bus>,
    filter: &WorkflowFilter,
    limit: usize,
) -> Result<Vec<LocalWorkflow>, QueryError> {
    let target = target(bus);
    let mut newest: BTreeMap<(Timestamp, String, String), LocalWorkflow> = BTreeMap::new();
    let mut after: Option<String> = None;
    loop {
        let page = target.list(filter, after.as_deref(), PAGE).await?;
        for workflow in page.workflows {
            let names = (workflow.namespace().to_owned(), workflow.name().to_owned());
            newest.insert((workflow.created_at, names.0, names.1), workflow);
            if newest.len() > limit {
                newest.pop_first();
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(newest.into_values().collect());
        }
        tokio::task::yield_now().await;
    }
}

/// One workflow; none where none of that name is recorded.
pub async fn get(
    bus: Arc<dyn Bus>,
    namespace: &str,
    name: &str,
) -> Result<Option<LocalWorkflow>, QueryError> {
    Ok(target(bus).get(namespace, name).await?)
}

/// A target that is only asked: its clock is not looked at.
fn target(bus: Arc<dyn Bus>) -> LocalTarget {
    LocalTarget::new(bus, Arc::new(SystemClock))
}
