//! Looks whether an object that was created has got the labels that the trigger asks for.

use serde_json::Value;
use tripline_event::outcome::TargetResult;

use super::Cluster;
use super::call::Call;
use super::refusal::Doing;
use super::resource::Resource;
use crate::label_policy::LabelPolicy;
use crate::{Attempt, TriggerError};

/// Looks, where the trigger has such a policy.
///
/// # Errors
/// The object has not got them (yet), or cannot be looked at.
pub(crate) async fn check(
    cluster: &Cluster,
    attempt: &Attempt<'_>,
    resource: &Resource,
    done: &TargetResult,
) -> Result<(), TriggerError> {
    let Some(policy) = LabelPolicy::of(attempt.rendered.policy.as_ref()) else { return Ok(()) };
    let TargetResult::Object { namespace, name, .. } = done else { return Ok(()) };
    let namespace = namespace.as_deref();
    let user = cluster.account_of(attempt.rendered);
    let call = Call::get(resource.object_path(namespace, name)).by(user.as_deref()).metadata();
    let answer = cluster.call(&call).await.and_then(|answer| answer.read::<Value>());
    let doing =
        Doing { cluster: cluster.name(), verb: "get", resource, namespace, user: user.as_deref() };
    let object = answer.map_err(|failure| doing.failed(&failure))?;
    policy.check(object.pointer("/metadata/labels"), attempt.number)
}
