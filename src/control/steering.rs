//! Pausing, resuming and dropping: what is asked and answered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tripline_event::{Timestamp, TriggerName};
use tripline_triggers::executor::CircuitSnapshot;

use super::{Backend, ControlError, PauseRequest};
use crate::query::audit::{self, AuditEntry};
use crate::query::{Filter, LogExtent, extents};

/// With more waiting actions than this, whoever resumes has to say what becomes of them.
pub const UNASKED: u64 = 20;

/// What becomes of the actions that wait where something is resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "camelCase")]
pub enum Choice {
    /// All are carried out.
    All,
    /// Of each trigger, target and key the newest; the others are dropped.
    Latest,
    /// All are dropped.
    Drop,
}

/// What is to be resumed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResumeRequest {
    /// What, as [`super::scope`] reads it, with namespaces.
    pub scope: String,
    /// What becomes of the actions that wait; needed where there are more than [`UNASKED`].
    pub waiting: Option<Choice>,
    /// Why.
    pub reason: Option<String>,
}

/// What was resumed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResumeReport {
    /// What, as [`super::scope`] writes it.
    pub scope: String,
    /// What waited.
    pub waiting: Vec<WaitingOf>,
    /// What becomes of it.
    pub choice: Option<Choice>,
}

/// The waiting actions of one trigger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WaitingOf {
    /// The trigger.
    pub trigger: TriggerName,
    /// How many.
    pub waiting: u64,
    /// When the oldest of them was decided.
    pub oldest: Option<Timestamp>,
    /// How many more wait in the log alone. Where only some are asked for, whether they are
    /// among these is known when they are read back.
    pub unread: u64,
}

/// Which waiting actions are to be dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DropRequest {
    /// Whose, as [`super::scope`] reads it, with namespaces; all where it is empty.
    pub scope: String,
    /// What they must fit: names and values of [`crate::query::Filter`].
    pub filter: BTreeMap<String, String>,
    /// Only those that were decided longer ago than this, in milliseconds.
    pub older_ms: Option<u64>,
    /// Why.
    pub reason: Option<String>,
    /// Only say what would be dropped.
    pub dry_run: bool,
}

/// What was dropped, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DropReport {
    /// Whether nothing was done yet.
    pub dry_run: bool,
    /// The waiting actions.
    pub waiting: Vec<WaitingOf>,
}

/// A circuit that is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenCircuit {
    /// The target, as it is named to pause it.
    pub target: String,
    /// Since when.
    pub since: Timestamp,
    /// How many attempts in a row have failed.
    pub failures: u32,
    /// The error of the latest of them.
    pub error: String,
}

impl From<CircuitSnapshot> for OpenCircuit {
    fn from(circuit: CircuitSnapshot) -> Self {
        let CircuitSnapshot { target, since, failures, error, .. } = circuit;
        Self { target, since, failures, error }
    }
}

impl Backend {
    /// Starts nothing more in a scope.
    ///
    /// # Errors
    /// No daemon runs, or it refuses.
    pub async fn pause(&self, request: &PauseRequest) -> Result<(), ControlError> {
        self.daemon("pausing")?.post("/v1/pause", request).await
    }

    /// Takes a pause back.
    ///
    /// # Errors
    /// No daemon runs, nothing is paused there, or more wait than is decided about unasked.
    pub async fn resume(&self, request: &ResumeRequest) -> Result<ResumeReport, ControlError> {
        self.daemon("resuming")?.post("/v1/resume", request).await
    }

    /// Drops waiting actions.
    ///
    /// # Errors
    /// No daemon runs, or it refuses.
    pub async fn drop_waiting(&self, request: &DropRequest) -> Result<DropReport, ControlError> {
        self.daemon("dropping waiting actions")?.post("/v1/drop", request).await
    }

    /// What operators did.
    ///
    /// # Errors
    /// OUTCOMES cannot be read.
    pub async fn audit(
        &self,
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, ControlError> {
        match self {
            Self::Daemon(client) => {
                let mut pairs = filter.to_pairs();
                pairs.push(("limit", limit.to_string()));
                client.get("/v1/audit", &pairs).await
            }
            Self::Directory { bus, .. } => Ok(audit::list(bus.as_ref(), filter, limit).await?),
        }
    }

    /// How far the logs reach.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn extents(&self) -> Result<Vec<LogExtent>, ControlError> {
        match self {
            Self::Daemon(client) => client.get("/v1/extents", &[]).await,
            Self::Directory { bus, .. } => Ok(extents(bus.as_ref()).await?),
        }
    }
}
