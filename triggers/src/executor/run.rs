//! What an action has started and has not ended, where its trigger's `overlap` asks for that:
//! a workflow in a cluster. It stands in the bus, so that a restart knows of it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tripline_bus::{Bus, ReadError, Revision, WriteError};
use tripline_event::{Action, ActionId, FORMAT, Position, Timestamp, TriggerName};

use super::lane::Lane;

/// Keys of runs begin with this.
const PREFIX: &str = "run/";
/// How many keys are read at once.
const KEYS: usize = 256;

/// A run that goes on though its action is closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    v: u32,
    /// The action that started it.
    pub action: ActionId,
    /// Its trigger.
    pub trigger: TriggerName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// When it was started.
    pub at: Timestamp,
    /// Outcomes that tell of its end stand from here on.
    pub outcomes_from: Position,
    /// What it is; none where an older version has remembered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<Started>,
}

/// A workflow that an action has started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The service account that it was started as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
}

impl Run {
    /// What `action` has started.
    pub fn new(action: &Action, workflow: Started, at: Timestamp, outcomes_from: Position) -> Self {
        Self {
            v: FORMAT,
            action: action.id.clone(),
            trigger: action.trigger.clone(),
            target: action.target.clone(),
            key: action.key.clone(),
            at,
            outcomes_from,
            workflow: Some(workflow),
        }
    }

    pub(super) fn lane(&self) -> Lane {
        Lane::new(self.target.clone(), self.key.clone())
    }

    /// Remembers it; that it is remembered already is as good.
    ///
    /// # Errors
    /// The bus does not take it.
    pub async fn put(&self, bus: &dyn Bus) -> Result<(), WriteError> {
        let json =
            serde_json::to_vec(self).map_err(|error| WriteError::Unavailable(error.to_string()))?;
        match bus.put(&name(&self.action), Bytes::from(json), Revision::ABSENT).await {
            Ok(_) | Err(WriteError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Forgets what `action` has started.
    ///
    /// # Errors
    /// The bus cannot be read, or does not take it: it is forgotten after the next start.
    pub async fn forget(bus: &dyn Bus, action: &ActionId) -> Result<(), WriteError> {
        let entry = bus.get(&name(action)).await;
        let entry = entry.map_err(|error| WriteError::Unavailable(error.to_string()))?;
        match entry {
            Some(entry) => bus.delete(&name(action), entry.revision).await,
            None => Ok(()),
        }
    }

    /// All that are remembered.
    ///
    /// # Errors
    /// The bus cannot be read.
    pub async fn all(bus: &dyn Bus) -> Result<Vec<Self>, ReadError> {
        let (mut after, mut runs): (Option<String>, _) = (None, Vec::new());
        loop {
            let keys = bus.keys(PREFIX, after.as_deref(), KEYS).await?;
            let Some(last) = keys.last() else { return Ok(runs) };
            after = Some(last.clone());
            for key in &keys {
                let Some(entry) = bus.get(key).await? else { continue };
                match serde_json::from_slice::<Self>(&entry.value) {
                    Ok(run) if run.v <= FORMAT => runs.push(run),
                    Ok(_) | Err(_) => tracing::error!(key, "a run cannot be read and is left out"),
                }
            }
        }
    }
}

fn name(action: &ActionId) -> String {
    format!("{PREFIX}{action}")
}
