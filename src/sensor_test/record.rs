//! Writes a test from what happened: the events of a chain, what they fired, and what was
//! rendered.
//!
//! Promise: what looks like a secret is not written, neither where it came in nor where it
//! was rendered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tripline_bus::{Bus, Log, ReadError};
use tripline_event::{Action, Event, EventsRecord, ObjectName, Position};
use tripline_triggers::executor::Renderer as _;

use super::spec::{CaseSpec, FiringSpec, SensorTestSpec, StepSpec};
use crate::control::ControlError;
use crate::engine::definitions::Definitions;
use crate::engine::{plans, schedules};
use crate::query::{self, QueryError, Step, Timeline, Trace, Unknown};
use crate::render;

/// What is written in the place of a secret.
const MASK: &str = "***";
/// Parts of names of fields and headers whose values are not written.
const SECRETS: [&str; 11] = [
    "authorization",
    "password",
    "passwd",
    "secret",
    "token",
    "cookie",
    "signature",
    "apikey",
    "api-key",
    "api_key",
    "credential",
];
/// The most events of a recording.
const MAX_EVENTS: usize = 200;

/// A test that was written from what happened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// The namespace of its sensors, and a name for it.
    pub name: Option<ObjectName>,
    /// The test.
    pub spec: SensorTestSpec,
    /// What is not in it, and why.
    pub remarks: Vec<String>,
}

/// The object, to be written into a file.
pub fn object(recording: &Recording) -> Value {
    let name = recording.name.clone().unwrap_or_else(|| ObjectName::new("default", "recorded"));
    json!({
        "apiVersion": "tripline.dev/v1",
        "kind": "SensorTest",
        "metadata": {"name": name.name, "namespace": name.namespace},
        "spec": recording.spec,
    })
}

/// Writes a test of what happened to `handle`.
///
/// # Errors
/// No record holds it, nothing waits for its events, or the logs cannot be read.
pub async fn record(bus: &dyn Bus, handle: &str) -> Result<Recording, ControlError> {
    let timeline = match query::trace(bus, handle).await? {
        Trace::Found(timeline) => timeline,
        Trace::Unknown(unknown) => return Err(ControlError::NotFound(not_found(&unknown))),
    };
    let mut recorder = Recorder {
        bus,
        definitions: Definitions::default(),
        masked: BTreeSet::new(),
        remarks: Vec::new(),
    };
    recorder.record(handle, &timeline).await
}

fn not_found(unknown: &Unknown) -> String {
    let oldest = unknown.looked.iter().filter_map(|log| log.oldest).min();
    let looked = oldest.map_or_else(
        || "the logs are empty".to_owned(),
        |oldest| format!("looked back to {oldest:.0}"),
    );
    let similar = match unknown.similar.as_slice() {
        [] => String::new(),
        similar => format!("; like it are {}", similar.join(", ")),
    };
    format!("no record holds `{}`: {looked}{similar}", unknown.handle)
}

struct Recorder<'a> {
    bus: &'a dyn Bus,
    definitions: Definitions,
    masked: BTreeSet<String>,
    remarks: Vec<String>,
}

impl Recorder<'_> {
    async fn record(
        &mut self,
        handle: &str,
        timeline: &Timeline,
    ) -> Result<Recording, ControlError> {
        let (mut events, mut actions) = (BTreeMap::new(), Vec::new());
        for entry in &timeline.entries {
            match entry.step {
                Step::Received => drop(self.event(entry.position, &mut events).await?),
                Step::Decided => actions.extend(self.action(entry.position).await?),
                _ => {}
            }
        }
        // A dead letter that was retried is the same decision.
        actions.retain(|action| action.round == 0);
        for action in &actions {
            for of in &action.events {
                if !self.event(of.position, &mut events).await? {
                    self.remarks.push(format!("event {} {} is not kept any more", of.key, of.id));
                }
            }
        }
        let sensors = self.sensors(&events, &actions).await?;
        let Some(namespace) = sensors.first().map(|name| name.namespace.clone()) else {
            let text = format!("no sensor waits for the events of `{handle}`");
            return Err(ControlError::NotFound(text));
        };
        let (own, other): (Vec<_>, Vec<_>) =
            sensors.into_iter().partition(|name| name.namespace == namespace);
        for name in other {
            self.remarks.push(format!("sensor {name} is in another namespace, and left out"));
        }
        let spec = self.spec(handle, &own, &events, &actions).await?;
        let name = Some(ObjectName::new(namespace, name_of(handle)));
        Ok(Recording { name, spec, remarks: std::mem::take(&mut self.remarks) })
    }

    async fn spec(
        &mut self,
        handle: &str,
        sensors: &[ObjectName],
        events: &BTreeMap<Position, Arc<Event>>,
        actions: &[Action],
    ) -> Result<SensorTestSpec, ControlError> {
        let names: Vec<&str> = sensors.iter().map(|name| name.name.as_str()).collect();
        let mut given = Vec::new();
        for (position, event) in events.iter().take(MAX_EVENTS) {
            let mut firings = Vec::new();
            let caused = actions.iter().filter(|action| action.cause == *position);
            for action in caused.filter(|action| names.contains(&action.trigger.sensor.as_str())) {
                firings.push(self.firing(action, events, names.len() > 1).await?);
            }
            let expect = match firings.len() {
                0 => json!("nothing"),
                1 => firings.remove(0),
                _ => Value::Array(firings),
            };
            given.push(StepSpec { expect: Some(expect), ..self.step(event, &names) });
        }
        if events.len() > MAX_EVENTS {
            self.remarks.push(format!("only the first {MAX_EVENTS} of {} events", events.len()));
        }
        if !self.masked.is_empty() {
            self.remarks.push(format!("what looks like a secret is written as {MASK}"));
        }
        let start = events.values().next().map(|event| event.time);
        let start = start.and_then(|start| start.checked_sub(SignedDuration::from_secs(1)).ok());
        let case =
            CaseSpec { name: format!("what happened to {handle}"), given, ..CaseSpec::default() };
        let mut names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let only = if names.len() == 1 { names.pop() } else { None };
        Ok(SensorTestSpec {
            sensor: only,
            sensors: names,
            start: start.map(|start| start.to_string()),
            cases: vec![case],
            ..SensorTestSpec::default()
        })
    }

    /// The sensors that decided; where nothing fired, those that the events could have reached.
    async fn sensors(
        &self,
        events: &BTreeMap<Position, Arc<Event>>,
        actions: &[Action],
    ) -> Result<Vec<ObjectName>, ControlError> {
        let decided: BTreeSet<ObjectName> = actions
            .iter()
            .map(|action| ObjectName::new(&action.trigger.namespace, &action.trigger.sensor))
            .collect();
        if !decided.is_empty() {
            return Ok(decided.into_iter().collect());
        }
        let failed = |error: &dyn std::fmt::Display| ControlError::Failed(error.to_string());
        let plan = plans::newest(self.bus).await.map_err(|error| failed(&error))?;
        let mut found = Vec::new();
        for (name, hash) in &plan.sensors {
            let compiled = self.definitions.load(self.bus, name, hash).await;
            let compiled = compiled.map_err(|error| failed(&error))?;
            let mut dependencies = compiled.sensor.dependencies.iter();
            if dependencies.any(|one| events.values().any(|event| event.key == one.key)) {
                found.push(name.clone());
            }
        }
        Ok(found)
    }

    fn step(&mut self, event: &Event, sensors: &[&str]) -> StepSpec {
        let at = Some(event.time.to_string());
        if event.kind == schedules::events::KIND && sensors.contains(&event.key.source.as_str()) {
            // The schedule is under test, and decides this itself.
            return StepSpec { at, ..StepSpec::default() };
        }
        let json = event.data.as_deref().map(serde_json::from_slice::<Value>);
        let (data, data_base64) = match json {
            Some(Ok(mut data)) => {
                self.mask(&mut data, false);
                (Some(data), None)
            }
            Some(Err(_)) => {
                self.remarks.push(format!("the data of event {} are no JSON", event.id));
                (None, None)
            }
            None => (None, None),
        };
        StepSpec {
            at,
            event: Some(event.key.to_string()),
            id: Some(event.id.to_string()),
            correlation: Some(event.links.correlation.to_string()),
            hops: Some(event.links.hops).filter(|hops| *hops > 0),
            kind: Some(event.kind.clone()).filter(|kind| kind != "webhook"),
            data,
            data_base64,
            ..StepSpec::default()
        }
    }

    /// Replaces values below names that promise a secret.
    fn mask(&mut self, value: &mut Value, secret: bool) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let name = name.to_ascii_lowercase();
                    let named = SECRETS.iter().any(|part| name.contains(part));
                    self.mask(value, secret || named);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.mask(item, secret)),
            Value::String(text) if secret && !text.is_empty() => {
                self.masked.insert(std::mem::replace(text, MASK.to_owned()));
            }
            _ => {}
        }
    }

    /// Replaces in what was rendered the secrets that came in.
    fn mask_rendered(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.values_mut().for_each(|value| self.mask_rendered(value))
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.mask_rendered(item)),
            Value::String(text) => {
                for secret in &self.masked {
                    if text.contains(secret.as_str()) {
                        *text = text.replace(secret.as_str(), MASK);
                    }
                }
            }
            _ => {}
        }
    }

    async fn firing(
        &mut self,
        action: &Action,
        events: &BTreeMap<Position, Arc<Event>>,
        several: bool,
    ) -> Result<Value, ControlError> {
        let mut firing = FiringSpec {
            trigger: Some(action.trigger.trigger.clone()),
            sensor: several.then(|| action.trigger.sensor.clone()),
            ..FiringSpec::default()
        };
        // Events that come in later than this step must not tell their secrets either.
        for of in &action.events {
            let data = events.get(&of.position).and_then(|event| event.data.as_deref());
            if let Some(Ok(mut data)) = data.map(serde_json::from_slice::<Value>) {
                self.mask(&mut data, false);
            }
        }
        match self.rendered(action, events).await {
            Ok(mut object) => {
                self.mask_rendered(&mut object);
                expect_rendered(&mut firing, &object);
            }
            Err(why) => self
                .remarks
                .push(format!("{}: what was rendered is not known: {why}", action.trigger)),
        }
        serde_json::to_value(firing).map_err(|error| ControlError::Failed(error.to_string()))
    }

    async fn rendered(
        &self,
        action: &Action,
        events: &BTreeMap<Position, Arc<Event>>,
    ) -> Result<Value, String> {
        let name = ObjectName::new(&action.trigger.namespace, &action.trigger.sensor);
        let loaded = self.definitions.load(self.bus, &name, &action.definition).await;
        loaded.map_err(|error| error.to_string())?;
        let of_action: Option<Vec<Arc<Event>>> =
            action.events.iter().map(|of| events.get(&of.position).cloned()).collect();
        let of_action = of_action.ok_or("an event is not kept any more")?;
        let rendered = self.definitions.render(&Arc::new(action.clone()), &of_action);
        let rendered = rendered.map_err(|error| error.reason)?;
        Ok(render::shown(&rendered).map_err(|error| error.to_string())?.object)
    }

    /// Reads an event into `events`; false where it is not kept.
    async fn event(
        &self,
        position: Position,
        events: &mut BTreeMap<Position, Arc<Event>>,
    ) -> Result<bool, ControlError> {
        if events.contains_key(&position) {
            return Ok(true);
        }
        let Some(record) = self.read(Log::Events, position).await? else { return Ok(false) };
        if let Ok(EventsRecord::Event(event)) = EventsRecord::decode(&record) {
            events.insert(position, Arc::new(event));
        }
        Ok(true)
    }

    async fn action(&self, position: Position) -> Result<Option<Action>, ControlError> {
        let record = self.read(Log::Actions, position).await?;
        Ok(record.and_then(|record| Action::decode(&record).ok()))
    }

    async fn read(&self, log: Log, at: Position) -> Result<Option<bytes::Bytes>, ControlError> {
        let page = match self.bus.read(log, at, 1).await {
            Err(ReadError::Trimmed { .. } | ReadError::OtherIncarnation { .. }) => return Ok(None),
            page => page.map_err(|source| QueryError::Read { log, source })?,
        };
        let found = page.into_iter().find(|stored| stored.position == at);
        Ok(found.map(|stored| stored.record))
    }
}

/// Of a workflow its parameters; of anything else what is sent, or the object without what is
/// another one for each firing.
fn expect_rendered(firing: &mut FiringSpec, object: &Value) {
    let parameters = object.pointer("/spec/arguments/parameters").and_then(Value::as_array);
    for parameter in parameters.into_iter().flatten() {
        if let (Some(Value::String(name)), Some(value)) =
            (parameter.get("name"), parameter.get("value"))
        {
            firing.parameters.insert(name.clone(), value.clone());
        }
    }
    if parameters.is_some() {
        return;
    }
    let Some(fields) = object.as_object() else { return };
    if let Some(payload) = fields.get("payload") {
        firing.object.insert("payload".to_owned(), payload.clone());
        return;
    }
    let rest = fields.iter().filter(|(name, value)| {
        !["metadata", "status", "apiVersion"].contains(&name.as_str()) && !value.is_null()
    });
    firing.object = rest.map(|(name, value)| (name.clone(), value.clone())).collect();
    let namespace = object.pointer("/metadata/namespace").cloned();
    if let Some(namespace) = namespace {
        let metadata = Map::from_iter([("namespace".to_owned(), namespace)]);
        firing.object.insert("metadata".to_owned(), metadata.into());
    }
}

/// A name of an object, made from an id of any form.
fn name_of(handle: &str) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = handle.chars().map(word).take(60).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "recorded".to_owned() } else { format!("recorded-{name}") }
}
