//! Replaying past events: what is asked and answered.

use serde::{Deserialize, Serialize};
use tripline_event::{ActionId, EventId, ObjectName, Position, Timestamp, TriggerName};

use super::{Backend, ControlError};
use crate::query::LogExtent;

/// The most actions of one replay.
pub const MOST_ACTIONS: usize = 10_000;

/// Which events are to be shown to a sensor again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplayRequest {
    /// The sensor, as it is in force.
    pub sensor: ObjectName,
    /// Events from this time on; from the beginning of the log where it is not given.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// Events before this time; up to now where it is not given.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// This event alone.
    #[serde(default)]
    pub event: Option<EventId>,
    /// What was done already is done again.
    #[serde(default)]
    pub again: bool,
    /// Only say what would be done.
    #[serde(default)]
    pub dry_run: bool,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What a replay did, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplayReport {
    /// What the replay is called in records; empty where nothing was done.
    pub id: String,
    /// Whether nothing was done yet.
    pub dry_run: bool,
    /// How many events were looked at.
    pub events: u64,
    /// The actions that the sensor decides for them, in order.
    pub actions: Vec<ReplayedAction>,
    /// How far the log of events reaches.
    pub log: LogExtent,
}

/// An action of a replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplayedAction {
    /// Its id.
    pub id: ActionId,
    /// Its trigger.
    pub trigger: TriggerName,
    /// The ids of its events.
    pub events: Vec<EventId>,
    /// Its generation: 0, unless it was to be done again.
    pub generation: u32,
    /// Where it stands in ACTIONS; none where nothing was appended.
    pub position: Option<Position>,
    /// It was decided before, and is not done again.
    pub known: bool,
}

impl Backend {
    /// Shows past events to a sensor again.
    ///
    /// # Errors
    /// No daemon runs, there is no such sensor, or there are more actions than one replay
    /// may have.
    pub async fn replay(&self, request: &ReplayRequest) -> Result<ReplayReport, ControlError> {
        self.daemon("a replay")?.post("/v1/replay", request).await
    }
}
