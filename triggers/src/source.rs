//! Where the object that a trigger creates comes from.

use std::borrow::Cow;

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
    /// The object as a text of YAML or JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<String>,
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
pub(crate) fn object<'v>(source: &'v Value, at: &FieldPath) -> Result<Cow<'v, Value>, Problem> {
    let not_yet = ["s3", "file", "url", "git", "configmap"];
    let inline = source.get("inline").and_then(Value::as_str);
    // Argo Events asks `s3` first, `inline` next.
    for key in if inline.is_some() { &not_yet[..1] } else { &not_yet[..] } {
        if source.get(*key).is_some_and(|value| !value.is_null()) {
            let message = format!("`source.{key}` is not supported yet");
            let problem = Problem::error(codes::SOURCE_NOT_SUPPORTED, at.key(*key), message);
            return Err(problem.help("write the object under `source.resource`"));
        }
    }
    if let Some(text) = inline {
        let at = at.key("inline");
        return match tripline_config::parse_value(text) {
            Ok(object) if object.is_object() => Ok(Cow::Owned(object)),
            Ok(_) => Err(Problem::error(codes::SOURCE, at, "the text holds no object")),
            Err(why) => Err(Problem::error(codes::SOURCE, at, format!("line {why}"))),
        };
    }
    match source.get("resource") {
        Some(object) if object.is_object() => Ok(Cow::Borrowed(object)),
        _ => {
            let message = "`source.resource`, the object to create, is missing";
            Err(Problem::error(codes::SOURCE, at.clone(), message))
        }
    }
}
