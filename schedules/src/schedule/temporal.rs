//! A schedule in Temporal's JSON becomes a `Schedule`, with its values kept.

use serde_json::{Map, Value, json};

/// What came of an import.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// `spec` of a Schedule.
    pub spec: Value,
    /// What is other than it was, or must be completed by hand.
    pub warnings: Vec<String>,
}

/// Reads what `temporal schedule describe --output json` or the API gives: an object with
/// `schedule`, or what stands under it. Defaults that Temporal has and Tripline has not are
/// written out.
///
/// # Errors
/// It is no such object.
pub fn import(value: &Value) -> Result<Imported, String> {
    let schedule = value.get("schedule").unwrap_or(value);
    let Some(spec) = schedule.get("spec").and_then(Value::as_object) else {
        return Err("this is no schedule of Temporal: it has no `spec`".to_owned());
    };
    let mut warnings = Vec::new();
    let mut imported = Map::new();
    imported.insert("specs".to_owned(), json!([spec_of(spec)]));
    imported.insert("policies".to_owned(), policies(schedule, &mut warnings));
    if let Some(state) = state(schedule) {
        imported.insert("state".to_owned(), state);
    }
    imported.insert("action".to_owned(), action(schedule, &mut warnings));
    Ok(Imported { spec: imported.into(), warnings })
}

/// The same fields; durations as protobuf writes them (`3600s`) are durations here too.
fn spec_of(spec: &Map<String, Value>) -> Value {
    let mut spec = spec.clone();
    // What is at its zero value says nothing.
    spec.retain(|_, value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty() && text != "0s",
        Value::Array(items) => !items.is_empty(),
        _ => true,
    });
    spec.into()
}

fn policies(schedule: &Value, warnings: &mut Vec<String>) -> Value {
    let policies = schedule.get("policies").cloned().unwrap_or_default();
    let text = |key: &str| policies.get(key).and_then(Value::as_str).unwrap_or_default();
    let overlap = text("overlapPolicy").trim_start_matches("SCHEDULE_OVERLAP_POLICY_");
    let overlap = match overlap.to_ascii_lowercase().replace('_', "").as_str() {
        "" | "unspecified" | "skip" => "Skip",
        "bufferone" => "BufferOne",
        "bufferall" => "BufferAll",
        "cancelother" => "CancelOther",
        "terminateother" => "TerminateOther",
        "allowall" => "AllowAll",
        other => {
            warnings.push(format!("overlap policy `{other}` is not known: `Skip` is written"));
            "Skip"
        }
    };
    let window = match text("catchupWindow") {
        "" | "0s" => {
            warnings.push(
                "no catch-up window is given: Temporal's default of 365 days is written out, \
                 Tripline's own is 1h"
                    .to_owned(),
            );
            "365d"
        }
        window => window,
    };
    warnings.push(
        "Temporal makes up for every missed tick: `catchUp: all` with its largest `max` is \
         written; Tripline's own default is `latest`"
            .to_owned(),
    );
    if policies.get("keepOriginalWorkflowId").and_then(Value::as_bool) == Some(true) {
        warnings.push("`keepOriginalWorkflowId` has no effect in Temporal, and is left out".into());
    }
    json!({
        "overlap": overlap,
        "catchUp": "all",
        "max": crate::policy::BUFFER_MAX,
        "catchUpWindow": window,
        "pauseOnFailure": policies.get("pauseOnFailure").and_then(Value::as_bool).unwrap_or(false),
    })
}

fn state(schedule: &Value) -> Option<Value> {
    let state = schedule.get("state")?.as_object()?;
    let mut imported = Map::new();
    let is = |key: &str| state.get(key).and_then(Value::as_bool) == Some(true);
    if is("paused") {
        imported.insert("paused".to_owned(), true.into());
    }
    if let Some(notes) = state.get("notes").and_then(Value::as_str).filter(|text| !text.is_empty())
    {
        imported.insert("note".to_owned(), notes.into());
    }
    if is("limitedActions") {
        // Protobuf writes 64-bit numbers as texts.
        let remaining = state.get("remainingActions").and_then(|value| {
            value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok()))
        });
        imported.insert("limitedActions".to_owned(), remaining.unwrap_or(0).into());
    }
    (!imported.is_empty()).then(|| imported.into())
}

/// Temporal starts workflows of its own: what is to be started here, nobody can tell.
fn action(schedule: &Value, warnings: &mut Vec<String>) -> Value {
    let started = schedule.pointer("/action/startWorkflow");
    let kind = started.and_then(|workflow| {
        let kind = workflow.get("workflowType")?;
        kind.get("name").unwrap_or(kind).as_str()
    });
    let kind = kind.unwrap_or("unknown");
    warnings.push(format!(
        "the action starts the Temporal workflow `{kind}`: it is written as an event; replace \
         `action` by a trigger"
    ));
    json!({"event": {"data": {"workflowType": kind}}})
}
