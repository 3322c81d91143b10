//! When, and one after the other or not, actions are started: fields of Tripline's own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::nullable;

/// Whether actions of a key follow each other strictly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ordering {
    /// They start in their order; a retry holds up none.
    None,
    /// The next starts after the one before it is closed.
    Strict,
}

/// Which of the actions that wait are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WhenQueued {
    /// All of them.
    All,
    /// The newest of each key.
    Latest,
}

/// What happens to an action while an earlier one still runs: the words of a Schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Overlap {
    /// Both run.
    AllowAll,
    /// It is dropped.
    Skip,
    /// It waits, and those after it are dropped until it has started.
    BufferOne,
    /// It waits, however many do.
    BufferAll,
    /// The workflow of the earlier one is stopped as `argo stop` does; it waits for its end, and
    /// of those that wait only the newest is carried out.
    CancelOther,
    /// As `CancelOther`, but the workflow is stopped as `argo terminate` does.
    TerminateOther,
}

/// A window in which no action is started: `schedule` and `duration`, or `from` and `to`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FreezeWindow {
    /// What it is called where it holds something up.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// When it begins, again and again: a cron expression of five fields.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub schedule: String,
    /// How long it is each time: `60h`, `90m`. 31 days at most.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub duration: String,
    /// When it begins, once: `2026-12-20T18:00`, by the clocks of `timezone`, or with an offset
    /// of its own: `2026-12-20T18:00:00Z`.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// When it ends, written as `from`.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub to: String,
    /// The IANA time zone; UTC where it is empty.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub timezone: String,
}
