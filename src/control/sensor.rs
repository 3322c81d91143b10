//! One sensor over the control API: what it waits for and holds, and forgetting that.

use serde::{Deserialize, Serialize};
use tripline_event::{CorrelationId, EventId, ObjectName, Position, Timestamp};

use super::client::segment;
use super::{Backend, ControlError};

/// A sensor, looked at closely.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SensorView {
    /// Its namespace and name.
    pub name: ObjectName,
    /// The hash of its definition.
    pub definition: String,
    /// What it waits for.
    pub dependencies: Vec<DependencyView>,
    /// What it does.
    pub triggers: Vec<TriggerView>,
    /// How often its triggers fired since the daemon was started.
    pub fired: u64,
    /// When one of them fired last, since then.
    pub last_fired: Option<Timestamp>,
}

/// What a sensor waits for, and what became of these events since the daemon was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DependencyView {
    /// Its name.
    pub name: String,
    /// The event source.
    pub source: String,
    /// The event.
    pub event: String,
    /// How many events its filters let through.
    pub passed: u64,
    /// How many they did not.
    pub filtered: u64,
    /// Of those, for how many a filter could not be evaluated.
    pub errors: u64,
}

/// A trigger, and what it holds of the events that it waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TriggerView {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Its condition, as it is written; none where it is all dependencies.
    pub conditions: Option<String>,
    /// What its half-met condition holds.
    pub held: Vec<HeldView>,
}

/// An event that waits for others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldView {
    /// The dependency that it satisfies.
    pub dependency: String,
    /// Its id.
    pub id: EventId,
    /// Its correlation id.
    pub correlation: CorrelationId,
    /// Where it stands.
    pub position: Position,
    /// Since when it waits.
    pub since: Timestamp,
}

/// What is to be forgotten of what a sensor holds, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClearRequest {
    /// The sensor.
    pub sensor: ObjectName,
    /// Of one dependency alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dependency: Option<String>,
    /// Why, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What was forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClearReport {
    /// The record that says so; events after it begin anew.
    pub position: Position,
    /// What was held just before that, for each trigger's dependency.
    pub held: Vec<HeldView>,
}

impl Backend {
    /// One sensor, looked at closely.
    pub async fn sensor(&self, name: &ObjectName) -> Result<SensorView, ControlError> {
        let path = format!("/v1/sensors/{}/{}", segment(&name.namespace), segment(&name.name));
        self.daemon("looking at a sensor")?.get(&path, &[]).await
    }

    /// Forgets what a sensor holds.
    pub async fn clear(&self, request: &ClearRequest) -> Result<ClearReport, ControlError> {
        self.daemon("clearing a sensor")?.post("/v1/sensors/clear", request).await
    }
}
