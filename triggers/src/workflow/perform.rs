//! Does what a trigger's operation says, in the target that its action is bound to.

use serde::Deserialize as _;
use serde_json::{Value, json};
use tripline_event::Cause;
use tripline_event::outcome::TargetResult;

use super::operation::Operation;
use super::operation::arguments::{Arguments, mapping};
use super::operation::change::{Change, change};
use super::operation::derived;
use super::submission::CHANGED_BY;
use super::{Submission, WorkflowConfig, WorkflowTarget, local};
use crate::label_policy::LabelPolicy;
use crate::{Attempt, RenderedAction, TriggerError};

/// An object that a trigger names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// `Workflow`, `WorkflowTemplate`, `ClusterWorkflowTemplate` or `CronWorkflow`.
    pub kind: String,
    /// Its namespace, or that of the sensor.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The namespace of the sensor.
    pub sensor_namespace: String,
    /// The service account that the sensor names.
    pub service_account: Option<String>,
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

impl Named {
    fn of(submission: &Submission) -> Self {
        Self {
            kind: "Workflow".to_owned(),
            namespace: submission.namespace.clone(),
            name: submission.name.clone(),
            sensor_namespace: submission.sensor_namespace.clone(),
            service_account: submission.service_account.clone(),
        }
    }

    fn new(rendered: &RenderedAction) -> Result<Self, TriggerError> {
        let object = rendered.resource.as_ref();
        let text = |path: &str| {
            let value = object.and_then(|object| object.pointer(path)).and_then(Value::as_str);
            value.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let sensor_namespace = rendered.action.trigger.namespace.clone();
        Ok(Self {
            kind: text("/kind").unwrap_or_default(),
            namespace: text("/metadata/namespace").unwrap_or_else(|| sensor_namespace.clone()),
            name: text("/metadata/name").ok_or_else(|| {
                refused("`source.resource` has no `metadata.name`: which object is meant?")
            })?,
            sensor_namespace,
            service_account: rendered.service_account.clone(),
        })
    }
}

/// Does it.
pub(super) async fn perform(
    target: &dyn WorkflowTarget,
    attempt: &Attempt<'_>,
) -> Result<TargetResult, TriggerError> {
    let rendered = attempt.rendered;
    let config = WorkflowConfig::deserialize(&rendered.config)
        .map_err(|error| refused(format!("`argoWorkflow` is not valid: {error}")))?;
    let operation = Operation::of(config.operation.as_deref()).map_err(refused)?;
    let arguments = operation
        .arguments(config.args.as_deref().unwrap_or_default())
        .map_err(|(index, why)| refused(format!("`args[{index}]`: {why}")))?;
    if operation == Operation::Submit && arguments == Arguments::default() {
        return create(target, attempt, rendered).await;
    }
    let made = match operation {
        Operation::Submit => {
            let mut made = rendered.resource.clone().unwrap_or_default();
            arguments.apply(&mut made);
            made
        }
        Operation::SubmitFrom => submit_from(target, &Named::new(rendered)?, &arguments).await?,
        Operation::Resubmit => {
            let named = Named::new(rendered)?;
            let before = there(target, &named).await?;
            within(derived::resubmitted(&before, &arguments), &named)
        }
        _ => {
            let altered = alter(target, rendered, operation, &arguments).await;
            return if config.if_there {
                or_as_it_should_be(altered, target, attempt, operation)
            } else {
                altered
            };
        }
    };
    let rendered = RenderedAction { resource: Some(made), ..rendered.clone() };
    create(target, attempt, &rendered).await
}

async fn create(
    target: &dyn WorkflowTarget,
    attempt: &Attempt<'_>,
    rendered: &RenderedAction,
) -> Result<TargetResult, TriggerError> {
    let submission = Submission::new(rendered)?;
    let created = target.create(&submission, attempt.uncertain).await?;
    // In the local target nobody gives a workflow labels.
    if let Some(policy) = LabelPolicy::of(rendered.policy.as_ref())
        && target.name() != local::NAME
    {
        let named = Named::of(&submission);
        let object = there(target, &named).await?;
        policy.check(object.pointer("/metadata/labels"), attempt.number)?;
    }
    Ok(TargetResult::Workflow {
        target: target.name().to_owned(),
        namespace: submission.namespace,
        name: submission.name,
        already: created.already,
    })
}

async fn submit_from(
    target: &dyn WorkflowTarget,
    named: &Named,
    arguments: &Arguments,
) -> Result<Value, TriggerError> {
    let made = match named.kind.as_str() {
        "CronWorkflow" => {
            let cron = there(target, named).await?;
            derived::from_cron_workflow(&cron, arguments).map_err(refused)?
        }
        kind => {
            // A target that keeps no templates is not asked for one.
            target.find(named).await?;
            derived::from_template(&named.name, kind == "ClusterWorkflowTemplate", arguments)
        }
    };
    Ok(within(made, named))
}

/// In the namespace of what it was made of.
fn within(mut made: Value, named: &Named) -> Value {
    if let Some(metadata) = mapping(&mut made, &["metadata"]) {
        metadata.insert("namespace".to_owned(), json!(named.namespace));
    }
    made
}

async fn there(target: &dyn WorkflowTarget, named: &Named) -> Result<Value, TriggerError> {
    target.find(named).await?.ok_or_else(|| TriggerError::Refused {
        cause: Cause::NotFound,
        reason: format!("target `{}` keeps no {}", target.name(), named.kind),
    })
}

/// Changes a workflow that is there. An attempt whose answer was lost has left its mark.
async fn alter(
    target: &dyn WorkflowTarget,
    rendered: &RenderedAction,
    operation: Operation,
    arguments: &Arguments,
) -> Result<TargetResult, TriggerError> {
    let named = Named::new(rendered)?;
    let action = rendered.action.id.as_str();
    let before = there(target, &named).await?;
    let marked = before.pointer("/metadata/annotations").and_then(|all| all.get(CHANGED_BY));
    // The time is the record's: each attempt changes the same.
    let changed = match marked == Some(&json!(action)) {
        true => Ok(Change::Nothing),
        false => change(operation, &before, arguments, rendered.action.decided_at),
    };
    let changed = changed.map_err(|why| TriggerError::Refused {
        cause: Cause::Refused,
        reason: format!("cannot {} {named}: {why}", operation.as_str()),
    })?;
    let already = changed == Change::Nothing;
    if let Change::Replace { mut object, pods } = changed {
        if let Some(annotations) = mapping(&mut object, &["metadata", "annotations"]) {
            annotations.insert(CHANGED_BY.to_owned(), json!(action));
        }
        target.replace(&named, &object, &pods).await?;
    }
    let Named { namespace, name, .. } = named;
    Ok(TargetResult::Workflow { target: target.name().to_owned(), namespace, name, already })
}

/// So often it is looked for a workflow that is not there: it may be on its way.
const LOOKS: u32 = 3;

/// What came of altering a workflow that need not be there.
fn or_as_it_should_be(
    altered: Result<TargetResult, TriggerError>,
    target: &dyn WorkflowTarget,
    attempt: &Attempt<'_>,
    operation: Operation,
) -> Result<TargetResult, TriggerError> {
    let Err(TriggerError::Refused { cause, reason }) = altered else { return altered };
    let local = target.name() == local::NAME;
    match cause {
        Cause::NotFound if !local && attempt.number < LOOKS => {
            Err(TriggerError::Retry { reason, after: None })
        }
        Cause::NotFound | Cause::Refused => {
            let Named { namespace, name, .. } = Named::new(attempt.rendered)?;
            tracing::debug!(target: "tripline::workflows", reason, "nothing to {}", operation.as_str());
            let target = target.name().to_owned();
            Ok(TargetResult::Workflow { target, namespace, name, already: true })
        }
        _ => Err(TriggerError::Refused { cause, reason }),
    }
}

fn refused(reason: impl Into<String>) -> TriggerError {
    TriggerError::Refused { cause: Cause::Render, reason: reason.into() }
}
