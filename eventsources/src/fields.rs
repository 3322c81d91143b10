//! Fields that events of several kinds have.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tripline_config::{FieldPath, Problem};

use crate::codes;

/// Where an event has its correlation id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Correlation {
    /// A path into the event's data: `body.build.id`.
    pub path: String,
}

/// A filter on an event's data, before it is taken in. Not supported yet, and refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventFilter {
    /// An expression that must be true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
}

impl EventFilter {
    /// A filter that was not obeyed would let through what was to be kept out.
    pub(crate) fn refuse(filter: Option<&Self>, at: &FieldPath) -> Result<(), Problem> {
        if filter.is_none_or(|filter| filter.expression.as_ref().is_none_or(String::is_empty)) {
            return Ok(());
        }
        Err(Problem::error(
            codes::FILTER_NOT_SUPPORTED,
            at.key("filter").key("expression"),
            "`filter` of an event source is not supported yet",
        )
        .help("filter in the sensors that depend on this event: `filters.data`"))
    }
}

/// The end of an event's data: its metadata, if there is any, and the closing brace.
pub(crate) fn data_end(metadata: Option<&BTreeMap<String, String>>) -> String {
    match metadata.filter(|metadata| !metadata.is_empty()) {
        Some(metadata) => format!(",\"metadata\":{}}}", serde_json::json!(metadata)),
        None => "}".to_owned(),
    }
}

/// The value, or `None` and its problem among `problems`.
pub(crate) fn take<T>(result: Result<T, Problem>, problems: &mut Vec<Problem>) -> Option<T> {
    result.map_err(|problem| problems.push(problem)).ok()
}
