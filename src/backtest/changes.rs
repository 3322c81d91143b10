//! The sensors that are compared: as they are now, and as they would be.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use tripline_config::{Diagnostic, Input, Severity};
use tripline_event::{DefinitionHash, EventKey, ObjectName};
use tripline_sensors::evaluator::{Plan, Sensor};

use super::history::DefinitionInForce;
use crate::control::{Backend, ControlError};
use crate::engine::definitions::{CompiledSensor, Definitions};
use crate::load;

/// The sensors that are compared.
pub struct Changes {
    /// What renders both.
    pub definitions: Definitions,
    /// Each sensor.
    pub sensors: Vec<Change>,
    /// What is not compared, and why.
    pub remarks: Vec<String>,
}

/// A sensor as it is now and as it would be.
pub struct Change {
    /// Its name.
    pub name: ObjectName,
    /// As it is now; none where it is new.
    pub old: Option<Arc<CompiledSensor>>,
    /// As it would be.
    pub new: Arc<CompiledSensor>,
    /// Triggers whose firings are rendered alike by both, since nothing that is rendered with
    /// differs.
    pub same_rendering: BTreeSet<String>,
}

impl Changes {
    /// The sensors of `inputs`, held against those of `backend`: all, or `only` one.
    ///
    /// # Errors
    /// The files are wrong: each mistake is in the diagnostics. There is no such sensor, or the
    /// present ones cannot be read.
    pub async fn load(
        inputs: &[Input],
        only: Option<&str>,
        backend: &Backend,
    ) -> Result<Result<Self, Vec<Diagnostic>>, ControlError> {
        let definitions = Definitions::default();
        let loaded = load::load(inputs, &definitions);
        if loaded.has_errors() {
            let errors = loaded.diagnostics.into_iter().filter(Diagnostic::is_error);
            return Ok(Err(errors.collect()));
        }
        let mut changes = Self { definitions, sensors: Vec::new(), remarks: Vec::new() };
        let wanted = |name: &ObjectName| {
            only.is_none_or(|only| only == name.name || only == name.to_string())
        };
        for (name, sensor) in loaded.sensors.into_iter().filter(|(name, _)| wanted(name)) {
            if sensor.compiled.schedule.is_some() {
                let text =
                    format!("{name} is a schedule: `tripline schedule next` shows its ticks");
                changes.remarks.push(text);
                continue;
            }
            let old = backend.definition(&name).await?;
            changes.add(name, old, &sensor.definition.json, sensor.compiled)?;
        }
        if changes.sensors.is_empty() && changes.remarks.is_empty() {
            let which = only.map(|only| format!(" `{only}`")).unwrap_or_default();
            return Err(ControlError::NotFound(format!("the files have no sensor{which}")));
        }
        Ok(Ok(changes))
    }

    fn add(
        &mut self,
        name: ObjectName,
        old: Option<DefinitionInForce>,
        new_json: &str,
        new: Arc<CompiledSensor>,
    ) -> Result<(), ControlError> {
        let mut same_rendering = BTreeSet::new();
        let old = match old {
            None => None,
            Some(definition) => {
                let compiled = self.old(&name, &definition.json)?;
                same_rendering = rendered_alike(&definition.json, new_json);
                Some(compiled)
            }
        };
        self.sensors.push(Change { name, old, new, same_rendering });
        Ok(())
    }

    fn old(&self, name: &ObjectName, json: &str) -> Result<Arc<CompiledSensor>, ControlError> {
        let value: Value = serde_json::from_str(json)
            .map_err(|error| ControlError::Failed(format!("sensor {name}: {error}")))?;
        let hash = DefinitionHash::of(json);
        let (compiled, problems) = self.definitions.compile(name, &hash, &value);
        compiled.ok_or_else(|| {
            let error = problems.into_iter().find(|problem| problem.severity == Severity::Error);
            let why = error.map(|error| error.message).unwrap_or_default();
            let text = format!("sensor {name} is in force, and this program refuses it: {why}");
            ControlError::Failed(text)
        })
    }

    /// The sensors as they are now, and as they would be.
    pub fn plans(&self) -> [Arc<Plan>; 2] {
        let plan = |sensors: Vec<Arc<Sensor>>| Arc::new(Plan::new(1, sensors));
        let old = self.sensors.iter().filter_map(|change| change.old.as_ref());
        let new = self.sensors.iter().map(|change| &change.new);
        [
            plan(old.map(|of| Arc::clone(&of.sensor)).collect()),
            plan(new.map(|of| Arc::clone(&of.sensor)).collect()),
        ]
    }

    fn all(&self) -> impl Iterator<Item = &Arc<CompiledSensor>> {
        self.sensors.iter().flat_map(|change| change.old.iter().chain([&change.new]))
    }

    /// The events that any of them waits for.
    pub fn keys(&self) -> BTreeSet<&EventKey> {
        let dependencies = self.all().flat_map(|of| &of.sensor.dependencies);
        dependencies.map(|dependency| &dependency.key).collect()
    }

    /// Whether something happens because time passes alone.
    pub fn depend_on_time(&self) -> bool {
        self.all().flat_map(|of| &of.sensor.triggers).any(|trigger| !trigger.resets.is_empty())
    }

    /// Whether any holds events until others have come.
    pub fn hold_events(&self) -> bool {
        self.all().flat_map(|of| &of.sensor.triggers).any(|one| one.condition.requires_and())
    }
}

/// The triggers that are rendered by the same text, of events that are transformed alike.
fn rendered_alike(old: &str, new: &str) -> BTreeSet<String> {
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let (old, new) = (read(old), read(new));
    let transforms = |object: &Value| -> Vec<(Value, Value)> {
        let all = object.pointer("/spec/dependencies").and_then(Value::as_array);
        let all = all.into_iter().flatten();
        all.map(|one| (one["name"].clone(), one["transform"].clone())).collect()
    };
    let shared = |object: &Value| {
        (
            object["apiVersion"].clone(),
            object["spec"]["template"].clone(),
            object["spec"]["maxHops"].clone(),
        )
    };
    if transforms(&old) != transforms(&new) || shared(&old) != shared(&new) {
        return BTreeSet::new();
    }
    let triggers = |object: &Value| -> Vec<Value> {
        let all = object.pointer("/spec/triggers").and_then(Value::as_array);
        let mut all = all.cloned().unwrap_or_default();
        for trigger in &mut all {
            // These say when it fires, and not what it does.
            if let Some(template) = trigger.get_mut("template").and_then(Value::as_object_mut) {
                template.remove("conditions");
                template.remove("conditionsReset");
            }
        }
        all
    };
    let old = triggers(&old);
    let same = triggers(&new).into_iter().filter(|trigger| old.contains(trigger));
    let name = |trigger: Value| Some(trigger.pointer("/template/name")?.as_str()?.to_owned());
    same.filter_map(name).collect()
}
