//! Reads an object as it is.

use serde_json::Value;

use super::Cluster;
use super::call::{Call, Failure};
use super::refusal::Doing;
use super::resource::Resource;
use crate::TriggerError;

/// The whole object `name`, read as `user`; none where it is not there.
///
/// # Errors
/// See [`super::refusal`]. Nothing was done, whatever the answer would have been.
pub(crate) async fn live(
    cluster: &Cluster,
    resource: &Resource,
    namespace: Option<&str>,
    name: &str,
    user: Option<&str>,
) -> Result<Option<Value>, TriggerError> {
    let call = Call::get(resource.object_path(namespace, name)).by(user);
    let answer = cluster.call(&call).await;
    match answer.and_then(|answer| answer.read::<Value>()) {
        Ok(object) => Ok(Some(object)),
        Err(Failure::Status(status)) if status.is_not_found(name) => Ok(None),
        Err(failure) => {
            let doing = Doing { cluster: cluster.name(), verb: "get", resource, namespace, user };
            Err(match doing.failed(&failure) {
                TriggerError::Retry { reason, after } => TriggerError::NotDone { reason, after },
                other => other,
            })
        }
    }
}
