//! What can be configured for a workflow trigger.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tripline_config::{FieldPath, Problem};

use super::operation::Operation;
use crate::codes;
use crate::source::{self, Source};

const API_VERSION: &str = "argoproj.io/v1alpha1";

/// Submits a workflow, once for each firing; or does something with one that is there.
///
/// With `generateName` the workflow's name is that prefix and a part of the action's id;
/// with `name` it is that, and a second firing finds the name taken. Labels and annotations
/// name the sensor, the trigger, the event and its correlation id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowConfig {
    /// The workflow. For other operations than `submit` its kind, namespace and name are
    /// enough: they say which object is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// What is done: `submit`, also if not given; `submit-from` a WorkflowTemplate,
    /// ClusterWorkflowTemplate or CronWorkflow; `resubmit`, `retry`, `suspend`, `resume`, `stop`
    /// or `terminate` a workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Values of the events that are put into the workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Vec<Value>>,
    /// Parameters of the workflow by name, as paths into the event's data or as sources:
    /// `{image: "$.body.image"}`. Checked against what the workflow declares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub arguments: Option<std::collections::BTreeMap<String, Value>>,
    /// Options of the program `argo`, as far as they have a meaning for the object:
    /// `--parameter`, `--labels`, `--name`, `--generate-name`, `--serviceaccount`,
    /// `--entrypoint`, `--priority` and, of `stop`, `--message`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,
    /// Of `suspend`, `resume`, `stop` and `terminate`: a workflow that is not there, or has
    /// ended, is as it should be, and so is one that the local target has recorded, where
    /// nothing runs. Otherwise it is a dead letter.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("x-tripline" = true))]
    pub if_there: bool,
}

impl WorkflowConfig {
    pub(crate) fn problems(&self, at: &FieldPath) -> Vec<Problem> {
        let operation = match Operation::of(self.operation.as_deref()) {
            Ok(operation) => operation,
            Err(message) => {
                return vec![Problem::error(codes::OPERATION, at.key("operation"), message)];
            }
        };
        let args = operation.arguments(self.args.as_deref().unwrap_or_default());
        let args = args.err().map(|(index, message)| {
            Problem::error(codes::ARGS, at.key("args").index(index), message)
        });
        let source = self.source_problem(operation, &at.key("source"));
        args.into_iter().chain(source).collect()
    }

    fn source_problem(&self, operation: Operation, at: &FieldPath) -> Option<Problem> {
        let source = serde_json::to_value(&self.source).unwrap_or_default();
        let object = match source::object(&source, at) {
            Ok(object) => object,
            Err(problem) => return Some(problem),
        };
        let at = at.key("resource");
        let wrong = |field: &str, expected: &str| {
            let message = format!("expected {field} {expected}, found {}", object[field]);
            Some(Problem::error(codes::SOURCE, at.key(field), message))
        };
        if !operation.kinds().iter().any(|kind| object["kind"] == *kind) {
            let kinds: Vec<String> =
                operation.kinds().iter().map(|kind| format!("`{kind}`")).collect();
            return wrong("kind", &kinds.join(", "));
        }
        if object["apiVersion"] != API_VERSION {
            return wrong("apiVersion", &format!("`{API_VERSION}`"));
        }
        let named = object["metadata"]["name"].as_str().is_some_and(|name| !name.is_empty());
        // A parameter may give the name yet.
        let is_set = self.parameters.as_ref().is_some_and(|parameters| !parameters.is_empty());
        if operation.names_its_source() && !named && !is_set {
            let message = format!("`{}` needs the name of the object", operation.as_str());
            return Some(Problem::error(codes::SOURCE, at.key("metadata"), message));
        }
        None
    }
}
