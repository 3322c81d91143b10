//! What can be configured for a workflow trigger.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tripline_config::{FieldPath, Problem};

use crate::codes;
use crate::source::{self, Source};

/// Submits a workflow, once for each firing.
///
/// With `generateName` the workflow's name is that prefix and a part of the action's id;
/// with `name` it is that, and a second firing finds the name taken. Labels and annotations
/// name the sensor, the trigger, the event and its correlation id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowConfig {
    /// The workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// What is done: `submit`, also if not given. The other operations of Argo Events are
    /// not supported yet, and refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Values of the events that are put into the workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Vec<Value>>,
    /// Not supported yet, and refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,
}

const NOT_YET: &[&str] =
    &["submit-from", "suspend", "resubmit", "retry", "resume", "terminate", "stop"];

impl WorkflowConfig {
    pub(crate) fn problems(&self, at: &FieldPath) -> Vec<Problem> {
        let operation = self.operation_problem(&at.key("operation"));
        let args = self.args.as_ref().filter(|args| !args.is_empty()).map(|_| {
            let message = "`args` are not supported yet";
            Problem::error(codes::ARGS_NOT_SUPPORTED, at.key("args"), message)
                .help("set `spec.arguments.parameters` of the workflow")
        });
        let source = self.source_problem(&at.key("source"));
        operation.into_iter().chain(args).chain(source).collect()
    }

    fn operation_problem(&self, at: &FieldPath) -> Option<Problem> {
        let operation = self.operation.as_deref().filter(|operation| *operation != "submit")?;
        if NOT_YET.contains(&operation) {
            let message = format!("operation `{operation}` is not supported yet");
            return Some(Problem::error(codes::OPERATION_NOT_SUPPORTED, at.clone(), message));
        }
        let message = format!("`{operation}` is no operation on a workflow: expected `submit`");
        Some(Problem::error(codes::OPERATION, at.clone(), message))
    }

    fn source_problem(&self, at: &FieldPath) -> Option<Problem> {
        let source = serde_json::to_value(&self.source).unwrap_or_default();
        let object = match source::object(&source, at) {
            Ok(object) => object,
            Err(problem) => return Some(problem),
        };
        let expected = [("kind", "Workflow"), ("apiVersion", "argoproj.io/v1alpha1")];
        let (field, expected) =
            expected.into_iter().find(|(field, expected)| object[*field] != *expected)?;
        let message = format!("expected {field} `{expected}`, found {}", object[field]);
        Some(Problem::error(codes::SOURCE, at.key("resource").key(field), message))
    }
}
