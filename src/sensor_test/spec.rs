//! `spec` of a SensorTest, as it is written.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Events, and what is to come of them.
///
/// Without `sensor` and `sensors`, all sensors and schedules of the namespace that are in the
/// same files are under test.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SensorTestSpec {
    /// The sensor under test, of the same namespace: nothing else decides. A schedule has the
    /// name of its events' source: `schedule.nightly`, `cronworkflow.report`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensor: Option<String>,
    /// Several of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sensors: Vec<String>,
    /// Where the clock of each case begins: `2026-11-21T03:00:00Z`. A Thursday at midnight,
    /// 2026-01-01T00:00:00Z, where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// The time zone of times of day in `at`; UTC where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// How long the runs of schedules take, such as `20m`. Where it is not given they end at
    /// once, as recorded workflows do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_take: Option<String>,
    /// Events that several cases have in common, by a name that `event` may say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub events: BTreeMap<String, StepSpec>,
    /// What is tested. Cases know nothing of each other.
    pub cases: Vec<CaseSpec>,
}

/// What happens, and what is to come of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CaseSpec {
    /// What is shown, in words: a sentence that says what is so.
    pub name: String,
    /// Where the clock begins, if elsewhere than the other cases'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// How long the runs of schedules take, if another time than in the other cases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_take: Option<String>,
    /// What happens, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given: Vec<StepSpec>,
    /// What fires, all of it: of the steps behind the last one that has an `expect` of its own.
    /// `nothing`, the name of a trigger, a number of firings, a firing, or a list of firings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "expectation")]
    pub expect: Option<Value>,
}

/// An event comes in, time passes, or both: time first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepSpec {
    /// Time goes forward to then: a time (`2026-11-21T03:00:00Z`), or the next time that
    /// clocks show this (`09:30`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Time goes forward by this: `90s`, `2h`, `1d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advance: Option<String>,
    /// Which event comes in: `source/event`, `namespace/source/event`, the name of a
    /// dependency or of its event, or a name of `events`. It may be left out where the sensors wait for
    /// one event alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The data of the event, as filters see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// What the producer sent: short for `data: {body: …}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// Headers or attributes that it was sent with. A correlation id is looked for there; of a
    /// webhook they are in the data, too.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// A file with the data, or with an event as `tripline events --output json` prints it;
    /// beside the file that this stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The data, where they are no JSON: base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_base64: Option<String>,
    /// What is other in the data than in the rest: values by path, `body.action: failed`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, Value>,
    /// The event's id. Each event has one of its own where it is not given; the same id again
    /// is a duplicate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The correlation id. Where it is not given, it is found as the daemon finds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<String>,
    /// How many actions led to the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hops: Option<u16>,
    /// The kind of its event source, where that is not in the files: `webhook` otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What fires because of this step and those before it that have no `expect`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "expectation")]
    pub expect: Option<Value>,
}

/// What a trigger is to do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FiringSpec {
    /// The trigger. Any, where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// The sensor, where two have a trigger of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensor: Option<String>,
    /// How often: once where it is not given; 0 is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// Of what does not fire: words of the explanation, such as the filter that stopped the
    /// event (`filters.data[0]`), what it saw, `waits for approval`, or `duplicate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// The parameters of the workflow, by name: those that matter.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Value>,
    /// What is created or sent, as `tripline render` prints it: values by path
    /// (`metadata.namespace`), or parts of the object. What is not given may be anything.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub object: BTreeMap<String, Value>,
    /// The cluster that it goes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The correlation id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<String>,
    /// It becomes a dead letter, whose error has these words: a parameter that cannot be
    /// resolved, a chain in a loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter: Option<String>,
}

fn expectation(generator: &mut SchemaGenerator) -> Schema {
    let firing = generator.subschema_for::<FiringSpec>();
    json_schema!({
        "description": "`nothing`, the name of a trigger, a number of firings, a firing, or a list of firings.",
        "type": ["string", "integer", "object", "array", "null"],
        "anyOf": [
            {"type": "string"},
            {"type": "integer", "minimum": 0},
            firing,
            {"type": "array", "items": {"anyOf": [{"type": "string"}, firing]}},
        ],
    })
}
