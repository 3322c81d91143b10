//! Fields that events of several kinds have.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tripline_config::Problem;

/// Where an event has its correlation id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Correlation {
    /// A path into the event's data: `body.build.id`.
    pub path: String,
}

/// A filter on an event's data, before it is taken in: what it leaves out is no event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventFilter {
    /// An expression that must be true, in the language of `expr` (as in Argo Events).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
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

/// What the fields of a service of Amazon's mean, or `None` and their problems among `problems`:
/// with one code for the address, and one for the credentials.
#[cfg(any(feature = "sqs", feature = "sns"))]
pub(crate) fn access(
    fields: tripline_cloud::aws::Fields<'_>,
    at: &tripline_config::FieldPath,
    endpoint: &str,
    credentials: &str,
    problems: &mut Vec<Problem>,
) -> Option<tripline_cloud::aws::Access> {
    let mistakes = match fields.resolve() {
        Ok(access) => return Some(access),
        Err(mistakes) => mistakes,
    };
    problems.extend(mistakes.into_iter().map(|mistake| {
        let code = if mistake.is_of_endpoint() { endpoint } else { credentials };
        let problem = Problem::error(code, at.key(mistake.field), mistake.message);
        match mistake.help {
            Some(help) => problem.help(help),
            None => problem,
        }
    }));
    None
}
