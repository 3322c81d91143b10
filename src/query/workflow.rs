//! The workflows that the local target has recorded.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tripline_bus::Bus;

use super::QueryError;
use super::scan::PAGE;

/// Where the local target keeps them: `workflows/NAMESPACE/NAME`.
const PREFIX: &str = "workflows/";

/// A recorded workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowItem {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `Recorded`, `Running`, `Succeeded`, `Failed`, `Error`.
    pub phase: String,
    /// What the local target keeps of it.
    pub record: Value,
}

/// The last `limit` workflows by namespace and name; of one namespace, if it is given.
pub async fn list(
    bus: &dyn Bus,
    namespace: Option<&str>,
    limit: usize,
) -> Result<Vec<WorkflowItem>, QueryError> {
    let prefix = namespace.map_or_else(|| PREFIX.to_owned(), |ns| format!("{PREFIX}{ns}/"));
    let mut keys: Vec<String> = Vec::new();
    loop {
        let page = bus.keys(&prefix, keys.last().map(String::as_str), PAGE).await?;
        if page.is_empty() {
            break;
        }
        keys.extend(page);
        tokio::task::yield_now().await;
    }
    let mut items = Vec::new();
    for key in keys.iter().skip(keys.len().saturating_sub(limit)) {
        items.extend(read(bus, key).await?);
    }
    Ok(items)
}

/// One workflow; none where none of that name is recorded.
pub async fn get(
    bus: &dyn Bus,
    namespace: &str,
    name: &str,
) -> Result<Option<WorkflowItem>, QueryError> {
    read(bus, &format!("{PREFIX}{namespace}/{name}")).await
}

async fn read(bus: &dyn Bus, key: &str) -> Result<Option<WorkflowItem>, QueryError> {
    let Some(entry) = bus.get(key).await? else { return Ok(None) };
    let parts = key.strip_prefix(PREFIX).and_then(|rest| rest.split_once('/'));
    let Some((namespace, name)) = parts else { return Ok(None) };
    let record: Value = serde_json::from_slice(&entry.value).unwrap_or(Value::Null);
    let phase = record.get("phase").and_then(Value::as_str).unwrap_or("unreadable").to_owned();
    Ok(Some(WorkflowItem { namespace: namespace.to_owned(), name: name.to_owned(), phase, record }))
}
