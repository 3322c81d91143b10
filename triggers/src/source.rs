//! Where the object that a trigger creates comes from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tripline_config::{FieldPath, Problem};

use crate::codes;

/// Where an object comes from. Where there are several, Argo Events takes the first of
/// `s3`, `inline`, `file`, `url`, `git`, `configmap` and `resource`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// The object itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Value>,
    /// Not supported yet, and refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<Value>,
    /// Not supported yet, and refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<Value>,
    /// Not supported yet, and refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Value>,
    /// Not supported yet, and refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Value>,
    /// Not supported yet, and refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<Value>,
    /// Not supported yet, and refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configmap: Option<Value>,
}

/// The object in `source`, which stands at `at`.
pub(crate) fn object<'v>(source: &'v Value, at: &FieldPath) -> Result<&'v Value, Problem> {
    for key in ["s3", "inline", "file", "url", "git", "configmap"] {
        if source.get(key).is_some_and(|value| !value.is_null()) {
            let message = format!("`source.{key}` is not supported yet");
            let problem = Problem::error(codes::SOURCE_NOT_SUPPORTED, at.key(key), message);
            return Err(problem.help("write the object under `source.resource`"));
        }
    }
    match source.get("resource") {
        Some(object) if object.is_object() => Ok(object),
        _ => {
            let message = "`source.resource`, the object to create, is missing";
            Err(Problem::error(codes::SOURCE, at.clone(), message))
        }
    }
}
