//! What can be configured for a trigger that acts on objects of a cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tripline_config::{FieldPath, Problem};

use crate::codes;
use crate::source::{self, Source};

/// Creates, updates, patches or deletes an object of any kind in a cluster, once for each
/// firing.
///
/// Names, labels and annotations of a new one are as with `argoWorkflow`. The local target has
/// no objects: the trigger needs a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct K8sConfig {
    /// The object, or what of it is to be changed. To `delete`, its kind and name are enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// What is done: `create`, also if not given; `update` and `patch`, which create the object
    /// where it is not there; `delete`, for which an object that is not there is success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Values of the events that are put into the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Vec<Value>>,
    /// How an object is patched: `application/merge-patch+json`, also if not given;
    /// `application/strategic-merge-patch+json`, `application/apply-patch+yaml`, or
    /// `application/json-patch+json`, whose operations stand as a list under `patch` of the
    /// object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch_strategy: Option<String>,
    /// For `update`: the parameters are applied to the object as it is in the cluster, of which
    /// `source` gives kind and name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live_object: Option<bool>,
}

/// What is done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// It is created.
    Create,
    /// What `source` says is put into it.
    Update,
    /// It is patched.
    Patch(Strategy),
    /// It is deleted.
    Delete,
}

/// How an object is patched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// JSON merge patch (RFC 7386).
    Merge,
    /// Kubernetes' own, which knows the lists of built-in kinds.
    StrategicMerge,
    /// Server-side apply.
    Apply,
    /// A list of operations (RFC 6902).
    Json,
}

const STRATEGIES: [(&str, Strategy); 4] = [
    ("application/merge-patch+json", Strategy::Merge),
    ("application/strategic-merge-patch+json", Strategy::StrategicMerge),
    ("application/apply-patch+yaml", Strategy::Apply),
    ("application/json-patch+json", Strategy::Json),
];

impl Strategy {
    /// The media type of the patch.
    #[cfg(feature = "kubernetes")]
    pub(super) fn content_type(self) -> &'static str {
        let found = STRATEGIES.iter().find(|(_, strategy)| *strategy == self);
        found.map_or("application/json", |(content_type, _)| content_type)
    }

    fn of(text: Option<&str>) -> Result<Self, String> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Self::Merge) };
        let found = STRATEGIES.iter().find(|(content_type, _)| *content_type == text);
        found.map(|(_, strategy)| *strategy).ok_or_else(|| {
            let known: Vec<String> =
                STRATEGIES.iter().map(|(text, _)| format!("`{text}`")).collect();
            format!("`{text}` is no way to patch: expected one of {}", known.join(", "))
        })
    }
}

impl Operation {
    /// The operation that stands in a trigger's configuration.
    ///
    /// # Errors
    /// The field that is wrong, and why.
    pub(super) fn of(
        operation: Option<&str>,
        strategy: Option<&str>,
    ) -> Result<Self, (&'static str, String)> {
        match operation.unwrap_or_default() {
            "" | "create" => Ok(Self::Create),
            "update" => Ok(Self::Update),
            "patch" => Ok(Self::Patch(
                Strategy::of(strategy).map_err(|message| ("patchStrategy", message))?,
            )),
            "delete" => Ok(Self::Delete),
            other => {
                let message = format!(
                    "`{other}` is no operation on an object: expected `create`, `update`, `patch` \
                     or `delete`"
                );
                Err(("operation", message))
            }
        }
    }
}

impl K8sConfig {
    pub(super) fn operation(&self) -> Result<Operation, (&'static str, String)> {
        Operation::of(self.operation.as_deref(), self.patch_strategy.as_deref())
    }

    pub(crate) fn problems(&self, at: &FieldPath) -> Vec<Problem> {
        let operation = match self.operation() {
            Ok(operation) => operation,
            Err((field, message)) => {
                return vec![Problem::error(codes::OPERATION, at.key(field), message)];
            }
        };
        self.source_problem(operation, &at.key("source")).into_iter().collect()
    }

    fn source_problem(&self, operation: Operation, at: &FieldPath) -> Option<Problem> {
        let source = serde_json::to_value(&self.source).unwrap_or_default();
        let object = match source::object(&source, at) {
            Ok(object) => object,
            Err(problem) => return Some(problem),
        };
        let at = at.key("resource");
        let missing = |field: &&str| object[*field].as_str().is_none_or(str::is_empty);
        if let Some(field) = ["apiVersion", "kind"].into_iter().find(missing) {
            let message = format!("the object needs `{field}`");
            return Some(Problem::error(codes::SOURCE, at.key(field), message));
        }
        if operation == Operation::Patch(Strategy::Json) && !object["patch"].is_array() {
            let message = "the operations of a JSON patch stand as a list under `patch`";
            return Some(Problem::error(codes::SOURCE, at.key("patch"), message));
        }
        let named = object["metadata"]["name"].as_str().is_some_and(|name| !name.is_empty());
        // A parameter may give the name yet.
        let is_set = self.parameters.as_ref().is_some_and(|parameters| !parameters.is_empty());
        if operation != Operation::Create && !named && !is_set {
            let message = "which object is meant? It needs `metadata.name`";
            return Some(Problem::error(codes::SOURCE, at.key("metadata"), message));
        }
        None
    }
}
