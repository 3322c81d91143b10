//! The workflow that an action creates, exactly: its name, labels and annotations.

use serde_json::{Map, Value};
use tripline_event::{Action, ActionEvent, ActionId, Cause, CorrelationId, Position};

use crate::{RenderedAction, TriggerError};

/// The most characters of a name that was made: Kubernetes allows 63, and pods, which take
/// their name from the workflow, need some.
const MADE_NAME_CHARS: usize = 58;
/// The most characters of any name: it becomes the value of a label of the pods.
const NAME_CHARS: usize = 63;
/// The most characters of the name of any object.
const LONGEST_NAME_CHARS: usize = 253;

/// The label that says which action an object was created for.
pub(crate) const ACTION_ID: &str = "tripline.dev/action-id";
/// The annotation that says which action changed an object last.
pub(crate) const CHANGED_BY: &str = "tripline.dev/changed-by";
/// The label and the annotation that say which chain it belongs to.
pub(crate) const CORRELATION_ID: &str = "tripline.dev/correlation-id";

/// A workflow that is to be created.
#[derive(Clone, Debug, PartialEq)]
pub struct Submission {
    /// The namespace to create it in.
    pub namespace: String,
    /// Its name; the same for each attempt at the same action.
    pub name: String,
    /// The whole object.
    pub object: Value,
    /// The action that it is created for.
    pub action: ActionId,
    /// The correlation id of the whole chain.
    pub correlation: CorrelationId,
    /// Where the event that completed the condition stands.
    pub cause: Position,
    /// The namespace of the sensor.
    pub sensor_namespace: String,
    /// The service account that the sensor names.
    pub service_account: Option<String>,
}

impl Submission {
    /// The workflow that `rendered` creates.
    ///
    /// # Errors
    /// [`TriggerError::Refused`] where its name, namespace or metadata are none.
    pub fn new(rendered: &RenderedAction) -> Result<Self, TriggerError> {
        let Made { namespace, name, object } = Made::new(rendered, true)?;
        let action = &rendered.action;
        if !is_name(&name, true) {
            return Err(refused(format!(
                "`{name}` is no valid name of a workflow: lower-case letters, digits, `-` and `.`, \
                 a letter or digit at both ends, at most {NAME_CHARS} characters"
            )));
        }
        Ok(Self {
            namespace: namespace.unwrap_or_default(),
            name,
            object,
            action: action.id.clone(),
            correlation: action.links.root().clone(),
            cause: action.cause,
            sensor_namespace: action.trigger.namespace.clone(),
            service_account: rendered.service_account.clone(),
        })
    }
}

/// An object that an action creates.
pub(crate) struct Made {
    /// None where its kind has no namespaces.
    pub(crate) namespace: Option<String>,
    /// The same for each attempt at the same action.
    pub(crate) name: String,
    /// The whole object, with the labels of its action.
    pub(crate) object: Value,
}

impl Made {
    /// The object that `rendered` creates. Its name is one that a path can hold; what else
    /// its kind asks of names is for the API server to say.
    pub(crate) fn new(rendered: &RenderedAction, namespaced: bool) -> Result<Self, TriggerError> {
        let Some(mut object) = rendered.resource.clone() else {
            return Err(refused("there is nothing to create: `source.resource` is missing"));
        };
        let action = &rendered.action;
        let metadata = mapping(&mut object, "metadata")?;
        let namespace = match text(metadata, "namespace")? {
            Some(namespace) => namespace.to_owned(),
            None => action.trigger.namespace.clone(),
        };
        let name = name(metadata, action)?;
        if !is_name(&namespace, false) {
            return Err(refused(format!("`{namespace}` is no valid name of a namespace")));
        }
        let in_a_path = !["", ".", ".."].contains(&name.as_str()) && !name.contains(['/', '%']);
        if name.len() > LONGEST_NAME_CHARS || !in_a_path {
            return Err(refused(format!("`{name}` is no valid name of an object")));
        }
        metadata.remove("generateName");
        metadata.insert("name".into(), name.clone().into());
        metadata.remove("namespace");
        let namespace = namespaced.then_some(namespace);
        if let Some(namespace) = &namespace {
            metadata.insert("namespace".into(), namespace.clone().into());
        }
        extend(metadata, "labels", labels(action))?;
        extend(metadata, "annotations", annotations(action))?;
        Ok(Self { namespace, name, object })
    }
}

fn refused(reason: impl Into<String>) -> TriggerError {
    TriggerError::Refused { cause: Cause::Render, reason: reason.into() }
}

/// The mapping `key` of `object`, made where it is missing.
fn mapping<'v>(
    object: &'v mut Value,
    key: &str,
) -> Result<&'v mut Map<String, Value>, TriggerError> {
    let wrong = || refused(format!("the object's `{key}` is no mapping"));
    let fields = object.as_object_mut().ok_or_else(|| refused("the object is no mapping"))?;
    let value = fields.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().ok_or_else(wrong)
}

/// The text under `key`; empty is the same as missing.
fn text<'m>(metadata: &'m Map<String, Value>, key: &str) -> Result<Option<&'m str>, TriggerError> {
    match metadata.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(refused(format!("the object's `metadata.{key}` is no text"))),
    }
}

fn name(metadata: &Map<String, Value>, action: &Action) -> Result<String, TriggerError> {
    if let Some(name) = text(metadata, "name")? {
        return Ok(name.to_owned());
    }
    let prefix = match text(metadata, "generateName")? {
        Some(prefix) => prefix.to_owned(),
        None => format!("{}-{}-", action.trigger.sensor, action.trigger.trigger),
    };
    Ok(made_name(&prefix, &action.id))
}

/// The name that an object with this `generateName` gets from its action.
pub fn made_name(prefix: &str, action: &ActionId) -> String {
    let suffix = action.suffix().to_ascii_lowercase();
    let mut prefix = sanitized(prefix);
    prefix.truncate(MADE_NAME_CHARS - suffix.len().min(MADE_NAME_CHARS));
    prefix + &suffix
}

/// The prefix with what a name may not hold replaced by `-`; a letter or digit follows.
fn sanitized(prefix: &str) -> String {
    let lower: Vec<char> = prefix.to_lowercase().chars().collect();
    let alphanumeric = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let one = |(at, c): (usize, &char)| {
        let before = at.checked_sub(1).is_some_and(|before| alphanumeric(&lower[before]));
        let dot = *c == '.' && before && lower.get(at + 1).is_none_or(alphanumeric);
        if dot || alphanumeric(c) { *c } else { '-' }
    };
    let name: String = lower.iter().enumerate().map(one).collect();
    name.trim_start_matches('-').to_owned()
}

/// Whether this is a name as Kubernetes has them, with dots or without.
fn is_name(name: &str, dots: bool) -> bool {
    let label = |label: &str| {
        let bytes = label.as_bytes();
        let end = |c: Option<&u8>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let inner = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == b'-';
        end(bytes.first()) && end(bytes.last()) && bytes.iter().all(inner)
    };
    name.len() <= NAME_CHARS && if dots { name.split('.').all(label) } else { label(name) }
}

fn extend(
    metadata: &mut Map<String, Value>,
    key: &str,
    entries: impl IntoIterator<Item = (&'static str, String)>,
) -> Result<(), TriggerError> {
    let value = metadata.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    let Some(fields) = value.as_object_mut() else {
        return Err(refused(format!("the object's `metadata.{key}` is no mapping")));
    };
    for (name, value) in entries {
        fields.insert(name.to_owned(), Value::String(value));
    }
    Ok(())
}

/// The event that completed the condition.
fn completing(action: &Action) -> Option<&ActionEvent> {
    let completing = action.events.iter().find(|event| event.position == action.cause);
    completing.or(action.events.first())
}

fn labels(action: &Action) -> Vec<(&'static str, String)> {
    let label = |text: &str| CorrelationId(text.to_owned()).label_value().into_owned();
    let mut labels = vec![
        ("events.argoproj.io/sensor", label(&action.trigger.sensor)),
        ("events.argoproj.io/trigger", label(&action.trigger.trigger)),
        ("events.argoproj.io/action-timestamp", action.decided_at.as_millisecond().to_string()),
        (ACTION_ID, label(action.id.as_str())),
        (CORRELATION_ID, action.links.root().label_value().into_owned()),
    ];
    labels.extend(completing(action).map(|of| ("tripline.dev/event-id", label(of.id.as_str()))));
    labels
}

fn annotations(action: &Action) -> Vec<(&'static str, String)> {
    let correlation = action.links.root().annotation_value().to_owned();
    let mut annotations = vec![(CORRELATION_ID, correlation)];
    if let Some(of) = completing(action) {
        annotations.push(("tripline.dev/event-id", of.id.to_string()));
        annotations.push(("tripline.dev/source", of.key.to_string()));
    }
    let traceparent = action.links.traceparent.clone();
    annotations.extend(traceparent.map(|traceparent| ("tripline.dev/traceparent", traceparent)));
    annotations
}
