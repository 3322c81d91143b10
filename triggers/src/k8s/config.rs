//! What can be configured for a trigger that acts on objects of a cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tripline_config::{FieldPath, Problem};

use crate::codes;
use crate::source::{self, Source};

/// Creates an object of any kind in a cluster, once for each firing.
///
/// Names, labels and annotations are as with `argoWorkflow`. The local target has no
/// objects: the trigger needs a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct K8sConfig {
    /// The object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// What is done: `create`, also if not given. `update`, `patch` and `delete` are not
    /// supported yet, and refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Values of the events that are put into the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Vec<Value>>,
    /// How an object is patched. Has no effect on `create`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch_strategy: Option<String>,
    /// For `update`: parameters are applied to the object as it is in the cluster. Has no
    /// effect on `create`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live_object: Option<bool>,
}

/// What is done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// It is created.
    Create,
}

/// Those of Argo Events that are not there yet.
const NOT_YET: &[&str] = &["update", "patch", "delete"];

impl Operation {
    /// The operation that stands in a trigger's configuration.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn of(operation: Option<&str>, at: &FieldPath) -> Result<Self, Problem> {
        match operation {
            None | Some("" | "create") => Ok(Self::Create),
            Some(operation) if NOT_YET.contains(&operation) => {
                let message = format!("operation `{operation}` is not supported yet");
                Err(Problem::error(codes::OPERATION_NOT_SUPPORTED, at.clone(), message))
            }
            Some(operation) => {
                let message =
                    format!("`{operation}` is no operation on an object: expected `create`");
                Err(Problem::error(codes::OPERATION, at.clone(), message))
            }
        }
    }
}

impl K8sConfig {
    pub(crate) fn problems(&self, at: &FieldPath) -> Vec<Problem> {
        let operation = Operation::of(self.operation.as_deref(), &at.key("operation")).err();
        operation.into_iter().chain(self.source_problem(&at.key("source"))).collect()
    }

    fn source_problem(&self, at: &FieldPath) -> Option<Problem> {
        let source = serde_json::to_value(&self.source).unwrap_or_default();
        let object = match source::object(&source, at) {
            Ok(object) => object,
            Err(problem) => return Some(problem),
        };
        let missing = |field: &&str| object[*field].as_str().is_none_or(str::is_empty);
        let field = ["apiVersion", "kind"].into_iter().find(missing)?;
        let message = format!("the object to create needs `{field}`");
        Some(Problem::error(codes::SOURCE, at.key("resource").key(field), message))
    }
}
