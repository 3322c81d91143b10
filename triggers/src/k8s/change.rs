//! Changing and deleting objects that are there.

use http::Method;
use serde_json::{Map, Value, json};
use tripline_event::Cause;
use tripline_event::outcome::TargetResult;

use super::config::Strategy;
use crate::cluster::Cluster;
use crate::cluster::call::{Call, Failure};
use crate::cluster::live::live;
use crate::cluster::refusal::Doing;
use crate::cluster::resource::Resource;
use crate::workflow::submission::{ACTION_ID, CHANGED_BY};
use crate::{RenderedAction, TriggerError};

/// Who owns the fields that a server-side apply sets.
const FIELD_MANAGER: &str = "tripline";
/// The field of `source.resource` that holds the operations of a JSON patch.
const OPERATIONS: &str = "patch";

/// An object that a trigger names, in the cluster that its action is bound to.
pub(super) struct Target<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) rendered: &'a RenderedAction,
    pub(super) resource: &'a Resource,
    /// What `source` holds, parameters applied.
    source: &'a Value,
    namespace: Option<String>,
    name: String,
    user: Option<String>,
}

impl<'a> Target<'a> {
    /// The object that `rendered` names.
    ///
    /// # Errors
    /// It has no name, or is in a namespace that is not allowed.
    pub(super) fn new(
        cluster: &'a Cluster,
        rendered: &'a RenderedAction,
        resource: &'a Resource,
    ) -> Result<Self, TriggerError> {
        let Some(source) = rendered.resource.as_ref() else {
            return Err(render("there is no object: `source.resource` is missing"));
        };
        let text = |field: &str| {
            let value = source["metadata"][field].as_str();
            value.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let name = text("name").ok_or_else(|| {
            render("`source.resource` has no `metadata.name`: which object is meant?")
        })?;
        let of_sensor = || rendered.action.trigger.namespace.clone();
        let namespace = resource.namespaced.then(|| text("namespace").unwrap_or_else(of_sensor));
        cluster.allows(namespace.as_deref())?;
        let user = cluster.account_of(rendered);
        Ok(Self { cluster, rendered, resource, source, namespace, name, user })
    }

    fn path(&self) -> String {
        self.resource.object_path(self.namespace.as_deref(), &self.name)
    }

    fn doing<'d>(&'d self, verb: &'d str) -> Doing<'d> {
        Doing {
            cluster: self.cluster.name(),
            verb,
            resource: self.resource,
            namespace: self.namespace.as_deref(),
            user: self.user.as_deref(),
        }
    }

    pub(super) fn result(&self, already: bool) -> TargetResult {
        TargetResult::Object {
            target: self.cluster.name().to_owned(),
            api_version: self.resource.api_version(),
            kind: self.resource.kind.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            already,
        }
    }

    /// The object as it is; none where it is not there.
    pub(super) async fn live(&self) -> Result<Option<Value>, TriggerError> {
        let (namespace, user) = (self.namespace.as_deref(), self.user.as_deref());
        live(self.cluster, self.resource, namespace, &self.name, user).await
    }

    /// Why nothing can be done with an object that is not there.
    pub(super) fn not_there(&self) -> String {
        let within = self.namespace.as_ref().map(|of| format!("{of}/")).unwrap_or_default();
        let (cluster, kind, name) = (self.cluster.name(), &self.resource.kind, &self.name);
        format!("cluster `{cluster}` has no {kind} {within}{name}")
    }

    /// This action has changed the object already, or created it: the answer was lost.
    fn is_marked(&self, live: &Value) -> bool {
        let action = Some(json!(self.rendered.action.id));
        let by =
            |of: &str, key: &str| live["metadata"].get(of).and_then(|all| all.get(key).cloned());
        by("annotations", CHANGED_BY) == action || by("labels", ACTION_ID) == action
    }

    fn mark(&self, object: &mut Value) {
        let action = json!(self.rendered.action.id);
        merge(object, &json!({"metadata": {"annotations": {CHANGED_BY: action}}}));
    }

    /// Puts what `source` says into the object; with `liveObject`, only what the parameters
    /// say. Lists are replaced as a whole, as Argo Events does it.
    pub(super) async fn update(&self, mut live: Value) -> Result<TargetResult, TriggerError> {
        if self.is_marked(&live) {
            return Ok(self.result(true));
        }
        match &self.rendered.live {
            Some(parameters) => live = parameters.apply(&live).map_err(render)?,
            None => merge(&mut live, self.source),
        }
        self.mark(&mut live);
        let call = Call { method: Method::PUT, ..Call::post(self.path(), &live) };
        self.send("update", call).await
    }

    /// Patches the object with what `source` holds.
    pub(super) async fn patch(
        &self,
        live: &Value,
        strategy: Strategy,
    ) -> Result<TargetResult, TriggerError> {
        if self.is_marked(live) {
            return Ok(self.result(true));
        }
        let body = match strategy {
            Strategy::Json => self.operations(live)?,
            Strategy::Merge | Strategy::StrategicMerge | Strategy::Apply => {
                let mut body = self.source.clone();
                self.mark(&mut body);
                body
            }
        };
        let path = match strategy {
            Strategy::Apply => {
                format!("{}?fieldManager={FIELD_MANAGER}&force=true", self.path())
            }
            _ => self.path(),
        };
        let call = Call {
            method: Method::PATCH,
            content_type: strategy.content_type(),
            ..Call::post(path, &body)
        };
        self.send("patch", call).await
    }

    /// The operations of a JSON patch, and what makes it be done once: the mark, on the
    /// condition that the object is still the one that was looked at.
    fn operations(&self, live: &Value) -> Result<Value, TriggerError> {
        let Some(Value::Array(operations)) = self.source.get(OPERATIONS) else {
            return Err(render(
                "with `application/json-patch+json` the operations stand as a list under `patch` \
                 of `source.resource`",
            ));
        };
        let mut annotations = match live.pointer("/metadata/annotations") {
            Some(Value::Object(annotations)) => annotations.clone(),
            _ => Map::new(),
        };
        annotations.insert(CHANGED_BY.to_owned(), json!(self.rendered.action.id));
        let mut all = vec![
            json!({"op": "test", "path": "/metadata/resourceVersion",
                   "value": live["metadata"]["resourceVersion"]}),
            json!({"op": "add", "path": "/metadata/annotations", "value": annotations}),
        ];
        all.extend(operations.iter().cloned());
        Ok(Value::Array(all))
    }

    /// Deletes the object. One that is not there is as it should be.
    pub(super) async fn delete(&self) -> Result<TargetResult, TriggerError> {
        let call = Call { method: Method::DELETE, ..Call::get(self.path()) };
        match self.cluster.call(&call.by(self.user.as_deref())).await {
            Ok(_) => Ok(self.result(false)),
            Err(Failure::Status(status)) if status.is_not_found(&self.name) => {
                Ok(self.result(true))
            }
            Err(failure) => Err(self.doing("delete").failed(&failure)),
        }
    }

    async fn send(&self, verb: &str, call: Call<'_>) -> Result<TargetResult, TriggerError> {
        let call = call.by(self.user.as_deref()).metadata();
        match self.cluster.call(&call).await {
            Ok(_) => Ok(self.result(false)),
            Err(failure) => Err(self.doing(verb).failed(&failure)),
        }
    }
}

/// Mappings are merged, everything else is replaced.
fn merge(into: &mut Value, from: &Value) {
    let Value::Object(from) = from else {
        *into = from.clone();
        return;
    };
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    let Some(into) = into.as_object_mut() else { return };
    for (key, value) in from {
        merge(into.entry(key.clone()).or_insert(Value::Null), value);
    }
}

fn render(reason: impl Into<String>) -> TriggerError {
    TriggerError::Refused { cause: Cause::Render, reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_merged_and_lists_replaced() {
        let mut live = json!({"a": {"b": 1, "c": [1, 2]}, "d": "e", "f": {"g": 1}});
        merge(&mut live, &json!({"a": {"c": [3]}, "d": {"x": null}, "f": null}));
        assert_eq!(live, json!({"a": {"b": 1, "c": [3]}, "d": {"x": null}, "f": null}));
    }
}
