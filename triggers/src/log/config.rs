//! What can be configured for a log trigger.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Writes the events to Tripline's own log, at level `info`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogConfig {
    /// The least number of seconds between two firings that are written; those between
    /// are left out. 0, also if not given: each is written. (Argo Events has the field,
    /// but always writes each.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<u64>,
}
