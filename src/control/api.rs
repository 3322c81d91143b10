//! What is asked and answered: plain data, written as JSON in camel case.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tripline_event::{
    ActionId, Cause, CorrelationId, EventId, EventKey, ObjectName, Position, Timestamp, TriggerName,
};
use tripline_triggers::workflow::local;

use super::steering::OpenCircuit;
use crate::query::LogExtent;

/// One look at a daemon, or at a data directory that none runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// Whether a daemon runs. If not, only `logs` and `dead_letters` say anything.
    pub running: bool,
    /// Its version.
    pub version: String,
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// For how long it has been running, in milliseconds, by its own clock.
    pub uptime_ms: u64,
    /// Why it is not ready; empty where it is.
    pub not_ready: Vec<String>,
    /// Where workflows go: `local`, or the name of a cluster.
    pub target: String,
    /// The number of its plan.
    pub plan: u64,
    /// Why changed files wait for `reload --confirm`.
    pub held_reload: Option<String>,
    /// Its event sources, an entry for each event.
    pub sources: Vec<SourceStatus>,
    /// How many sensors there are.
    pub sensors: usize,
    /// Objects that were left out, or stay at their last good version.
    pub invalid: Vec<InvalidObject>,
    /// How many records of EVENTS have not been evaluated yet.
    pub lag: u64,
    /// The queue of every trigger that has one.
    pub triggers: Vec<QueueStatus>,
    /// What is paused.
    pub paused: Vec<Paused>,
    /// Targets that do not answer: one attempt at a time is made there.
    pub circuits: Vec<OpenCircuit>,
    /// Open dead letters by cause.
    pub dead_letters: BTreeMap<Cause, u64>,
    /// How far the logs reach.
    pub logs: Vec<LogExtent>,
}

/// One event of an event source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// Namespace, event source and event name.
    pub key: EventKey,
    /// The event source's kind.
    pub kind: String,
    /// Whether it takes events in.
    pub ready: bool,
    /// What it listens on, or why it is not ready.
    pub detail: String,
    /// How many events it took in since the daemon was started.
    pub received: u64,
}

/// An object that is not in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InvalidObject {
    /// Its kind, where it can be told.
    pub kind: String,
    /// Its namespace and name, or the place of the document.
    pub name: String,
    /// Where, as `file:line:column`.
    pub place: String,
    /// What is wrong.
    pub message: String,
    /// An older version of it is still in force.
    pub older_in_force: bool,
}

/// The queue of one trigger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueStatus {
    /// The trigger.
    pub trigger: TriggerName,
    /// Actions that were not started yet.
    pub waiting: u64,
    /// Actions whose attempt is running.
    pub in_flight: u64,
    /// Actions that wait for their next attempt.
    pub retrying: u64,
    /// When the oldest of them was decided.
    pub oldest: Option<Timestamp>,
    /// The error of the latest attempt, if it failed.
    pub last_error: Option<String>,
    /// Why it is paused, if it is.
    pub paused: Option<String>,
    /// Why its next action is not started, where one waits.
    #[serde(default)]
    pub hold: Option<Held>,
}

/// Why an action is not started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// As a word: `paused`, `suspended`, `frozen`, `rateLimited`, `inFlight`, `ordering`,
    /// `overlap`, `circuitOpen`, `sorting`.
    pub cause: String,
    /// When it ends by itself, where that is known.
    pub until: Option<Timestamp>,
    /// In full.
    pub reason: String,
    /// The action that it waits for, where it waits for one.
    pub by: Option<ActionId>,
}

/// Something that is paused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Paused {
    /// What, as [`super::scope`] writes it.
    pub scope: String,
    /// Until when; none until it is resumed.
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: Option<String>,
    /// By whom.
    pub who: String,
    /// Since when.
    pub since: Timestamp,
}

/// A sensor as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SensorStatus {
    /// Its identity.
    pub name: ObjectName,
    /// What it waits for.
    pub dependencies: Vec<SensorDependency>,
    /// The names of its triggers.
    pub triggers: Vec<String>,
    /// When one of them fired last.
    pub last_fired: Option<Timestamp>,
    /// How many events passed the filters of its dependencies since the daemon was started.
    pub passed: u64,
    /// How many did not.
    pub filtered: u64,
    /// How often its triggers fired since then.
    pub fired: u64,
}

/// A dependency of a sensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SensorDependency {
    /// Its name.
    pub name: String,
    /// The event source that it waits for.
    pub source: String,
    /// The event.
    pub event: String,
    /// The event that it holds while others are waited for.
    pub held: Option<HeldEvent>,
}

/// An event that waits for others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldEvent {
    /// Its id.
    pub id: EventId,
    /// Where it stands.
    pub position: Position,
    /// Since when it waits.
    pub since: Timestamp,
}

/// An event to take in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishRequest {
    /// The event source's namespace.
    pub namespace: String,
    /// The event source.
    pub source: String,
    /// The event.
    pub event: String,
    /// The payload, as a producer would send it.
    pub data: Box<RawValue>,
    /// Headers, as a producer would send them.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The event's id; one is made where there is none.
    #[serde(default)]
    pub id: Option<String>,
}

/// The event is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// Its id.
    pub id: EventId,
    /// Its correlation id.
    pub correlation: CorrelationId,
    /// Where it stands.
    pub position: Position,
    /// An event with its id was there already: nothing was stored.
    pub duplicate: bool,
}

/// What is to be paused, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PauseRequest {
    /// What, as [`super::scope`] reads it, with namespaces.
    pub scope: String,
    /// Until when.
    pub until: Option<Timestamp>,
    /// Why, in the operator's words.
    pub reason: Option<String>,
}

/// Which dead letters are to be retried or dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LettersRequest {
    /// Their ids.
    pub ids: Vec<String>,
    /// Why they are dropped.
    pub reason: Option<String>,
    /// Of a retry: render with the definitions that are in force now.
    pub current: bool,
}

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReloadReport {
    /// The plan that is in force now.
    pub plan: u64,
    /// How many objects are new, changed, and gone.
    pub added: usize,
    /// How many are other than before.
    pub changed: usize,
    /// How many are gone.
    pub removed: usize,
    /// Why it waits to be confirmed; none where it is in force.
    pub held: Option<String>,
    /// What is not in force.
    pub invalid: Vec<InvalidObject>,
}

/// What the daemon will be in a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeReport {
    /// The version that runs.
    pub from: String,
    /// The version that takes its place.
    pub to: String,
    /// When the one that runs was started.
    pub started_at: Option<Timestamp>,
    /// The process that it is, which stays the same.
    #[serde(default)]
    pub process: Option<u32>,
}

/// Where a backup is to be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupRequest {
    /// The file, on the daemon's machine.
    pub path: std::path::PathBuf,
}

/// The backup is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupReport {
    /// Its size.
    pub bytes: u64,
}

/// How a recorded workflow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishRequest {
    /// How.
    pub phase: Finished,
}

/// The phases in which a workflow has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum Finished {
    /// It has ended well.
    Succeeded,
    /// It has failed.
    Failed,
    /// It could not be run.
    Error,
}

impl From<Finished> for local::Finished {
    fn from(finished: Finished) -> Self {
        match finished {
            Finished::Succeeded => Self::Succeeded,
            Finished::Failed => Self::Failed,
            Finished::Error => Self::Error,
        }
    }
}
