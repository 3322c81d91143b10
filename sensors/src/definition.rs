//! `spec` of a Sensor, as it is written: the field names of Argo Events, and a few of
//! Tripline's own. Nothing is checked or compiled here.
//!
//! A field that Go would leave at its zero value for `null` takes `null` here too.
//! Tripline's own fields carry `x-tripline: true` in the JSON Schema; under
//! `argoproj.io/v1alpha1` they are refused by the loader.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

mod number_or_text;
mod steering;
mod trigger;

pub use number_or_text::NumberOrText;
pub use steering::{FreezeWindow, Ordering, Overlap, WhenQueued};
pub use trigger::{
    Backoff, ClusterFrom, ConditionsReset, ConditionsResetByTime, K8sPolicy, ParameterSource,
    RateLimit, RateLimitUnit, StatusPolicy, Trigger, TriggerParameter, TriggerPolicy,
    TriggerTemplate,
};

/// `null` is the same as absent, as it is to Go.
pub(crate) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// What a Sensor waits for and what it then does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SensorSpec {
    /// The events that the sensor waits for. At least one; names are unique.
    #[serde(deserialize_with = "nullable")]
    pub dependencies: Vec<EventDependency>,
    /// What is done when the conditions hold. At least one; template names are unique.
    #[serde(deserialize_with = "nullable")]
    pub triggers: Vec<Trigger>,
    /// The pod that Argo Events would run. Of its fields Tripline uses
    /// `serviceAccountName`: the account that an action acts as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Value>,
    /// The EventBus to read from; `default` where it is empty.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub event_bus_name: String,
    /// How many pods Argo Events would run. Tripline runs sensors in its own process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// A field of the Deployment that Argo Events would make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision_history_limit: Option<i32>,
    /// Fields that are added to the sensor's log lines.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub logging_fields: BTreeMap<String, String>,
    /// Has no effect in Argo Events either.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "is_false")]
    pub error_on_failed_round: bool,
    /// How many actions may lie between the first event of a chain and an action of this
    /// sensor. Beyond that the action is a dead letter: the chain is a loop. 16 where it
    /// is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub max_hops: Option<u16>,
    /// Which events a sensor that is new decides about: `now`, those that come after it
    /// (also if not given); `beginning`, all that the log still has; or those since a time,
    /// `2026-11-21T03:00:00Z`. It has no effect on a sensor that is there already.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    #[schemars(extend("x-tripline" = true))]
    pub start_from: String,
    /// Suspends the sensor as long as it is given: `queue` keeps what would have been
    /// done for later, `drop` does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub suspend: Option<Suspend>,
    /// Times at which no action of the sensor is started. What is decided then waits.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-tripline" = true))]
    pub freeze: Vec<FreezeWindow>,
}

/// What a suspended sensor does with what it would have done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Suspend {
    /// Actions are decided and wait.
    Queue,
    /// Actions are decided and closed as dropped.
    Drop,
}

/// An event that a sensor waits for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventDependency {
    /// The name by which conditions and parameters refer to the dependency.
    #[serde(default, deserialize_with = "nullable")]
    pub name: String,
    /// The `metadata.name` of the EventSource, in the sensor's own namespace.
    #[serde(default, deserialize_with = "nullable")]
    pub event_source_name: String,
    /// The event's name: the key under the event source's kind.
    #[serde(default, deserialize_with = "nullable")]
    pub event_name: String,
    /// Which of these events count. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<EventDependencyFilter>,
    /// Changes the payload before the filters see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<EventDependencyTransformer>,
    /// `or`: one kind of filter that passes is enough, but none may fail to be evaluated (a
    /// path that finds nothing). `and` or empty: all must pass.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub filters_logical_operator: String,
}

/// A change to an event's payload. `jq` goes before `script`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventDependencyTransformer {
    /// A jq program; its first output must be an object.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub jq: String,
    /// A Lua program; it returns the new payload, a table.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub script: String,
}

/// The kinds of filters of a dependency. Which are given matters: under `or` an absent
/// kind does not count, an empty list does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventDependencyFilter {
    /// The time of day at which the event was taken in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<TimeFilter>,
    /// Attributes of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextFilter>,
    /// Values in the payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Vec<DataFilter>>,
    /// Expressions over values in the payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exprs: Option<Vec<ExprFilter>>,
    /// `or`: one data filter that passes is enough. `and` or empty: all must pass.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub data_logical_operator: String,
    /// `or`: one expression that is true is enough. `and` or empty: all must be.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub expr_logical_operator: String,
    /// A Lua program that returns true for the events that count.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub script: String,
}

/// A span of the day. The event's time, not the clock, is compared. A span whose start
/// is after its stop goes over midnight.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimeFilter {
    /// The first moment, `HH:MM:SS`.
    #[serde(default, deserialize_with = "nullable")]
    pub start: String,
    /// The moment after the last one, `HH:MM:SS`.
    #[serde(default, deserialize_with = "nullable")]
    pub stop: String,
    /// The IANA time zone; UTC where it is empty.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub timezone: String,
}

/// Attributes that the event must have, exactly. An empty one is not compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContextFilter {
    /// Not compared, as in Argo Events.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The event source's name.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Not compared, as in Argo Events.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub specversion: String,
    /// The kind of the event source.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub r#type: String,
    /// The content type of the payload.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub datacontenttype: String,
    /// The event's name.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// Not compared, as in Argo Events.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub time: String,
}

/// A value in the payload and what it must be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataFilter {
    /// The place of the value: a gjson path, or a JSONPath (`$.…`).
    #[serde(default, deserialize_with = "nullable")]
    pub path: String,
    /// `string`, `number` or `bool`: how the value is compared.
    #[serde(default, deserialize_with = "nullable")]
    pub r#type: String,
    /// What the value may be; one that fits is enough. For `string`, regular expressions
    /// that need not match the whole value.
    #[serde(default, deserialize_with = "nullable")]
    pub value: Vec<String>,
    /// `=` (also empty), `!=`, `>`, `>=`, `<`, `<=`. For `string` only the first two; for
    /// `bool` it has no effect.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub comparator: String,
    /// A Go template that is applied to the value first.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub template: String,
}

/// An expression over values in the payload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExprFilter {
    /// The expression, in the language of govaluate.
    #[serde(default, deserialize_with = "nullable")]
    pub expr: String,
    /// The values that the expression names.
    #[serde(default, deserialize_with = "nullable")]
    pub fields: Vec<PayloadField>,
}

/// A value in the payload, with a name for expressions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PayloadField {
    /// The place of the value.
    #[serde(default, deserialize_with = "nullable")]
    pub path: String,
    /// Its name in the expression.
    #[serde(default, deserialize_with = "nullable")]
    pub name: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests;
