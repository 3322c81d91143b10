//! Sequences of events at a condition, as the released Argo Events answered them, put
//! through the evaluator: `kind: sequence` of `conditions.json`.
//!
//! Where Tripline answers otherwise on purpose, it is a rule (see [`deviation`]), and what
//! Tripline answers is checked against a model of its own rules.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tripline_event::event::Links;
use tripline_event::{
    CorrelationId, DefinitionHash, Event, EventId, EventKey, EventsRecord, ObjectName, Position,
};
use tripline_sensors::definition::SensorSpec;
use tripline_sensors::evaluator::{Calendar, Evaluator, Off, Plan, Recurrence, Sensor, State};

use crate::report::{Verdict, compare};

/// What fired: at which arrival, and with which event of each dependency.
type Fires = Vec<(usize, BTreeMap<String, String>)>;

/// A vector, and where its arrivals are in time: one a second.
struct Case(Value);

const START: Timestamp = Timestamp::constant(1_795_000_000, 0);

fn at(index: usize) -> Timestamp {
    START + SignedDuration::from_secs(index as i64)
}

/// Resets at the arrivals that say so.
#[derive(Debug)]
struct ResetsAt(Vec<Timestamp>);

impl Recurrence for ResetsAt {
    fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        self.0.iter().copied().find(|at| *at > after)
    }
}

impl Calendar for Case {
    fn recurrence(&self, _: &str, _: &str) -> Result<Arc<dyn Recurrence>, String> {
        let is_reset =
            |arrival: &Value| arrival["op"] == "reset" || arrival["lastResetTimeNow"] == true;
        let resets = self.arrivals().iter().enumerate().filter(|(_, arrival)| is_reset(arrival));
        Ok(Arc::new(ResetsAt(resets.map(|(index, _)| at(index)).collect())))
    }

    fn duration(&self, _: &str) -> Result<SignedDuration, String> {
        Ok(SignedDuration::from_hours(24))
    }
}

impl Case {
    fn arrivals(&self) -> &Vec<Value> {
        self.0["arrivals"].as_array().unwrap()
    }

    fn dependencies(&self) -> &Vec<Value> {
        self.0["deps"].as_array().unwrap()
    }

    /// The sensor, with a filter that lets an event through unless it says otherwise.
    fn sensor(&self, conditions: &Value, changed: &BTreeSet<String>) -> Sensor {
        let dependencies: Vec<Value> = self.dependencies().iter().map(|dependency| {
            let name = dependency["name"].as_str().unwrap();
            // Another list of values is another definition that decides the same.
            let value = if changed.contains(name) { json!(["true", "true"]) } else { json!(["true"]) };
            json!({
                "name": name,
                "eventSourceName": dependency["eventSourceName"],
                "eventName": dependency["eventName"],
                "filters": {"data": [{"path": format!("passes.{name}"), "type": "bool", "value": value}]},
            })
        }).collect();
        let spec: SensorSpec = serde_json::from_value(json!({
            "dependencies": dependencies,
            "triggers": [{"template": {
                "name": "t",
                "conditions": conditions,
                "conditionsReset": [{"byTime": {"cron": "given by the case"}}],
                "log": {},
            }}],
        }))
        .unwrap();
        let name = ObjectName::new("ci", "s");
        let (sensor, problems) = Sensor::compile(name, DefinitionHash::of("s"), &spec, self);
        sensor.unwrap_or_else(|| panic!("{}: {problems:?}", self.0["id"]))
    }

    fn key(&self, arrival: &Value) -> EventKey {
        let of = |dependency: &Value| {
            let text = |field: &str| dependency[field].as_str().unwrap().to_owned();
            EventKey::new("ci", text("eventSourceName"), text("eventName"))
        };
        match arrival["dep"].as_str() {
            Some(name) => of(self
                .dependencies()
                .iter()
                .find(|dependency| dependency["name"] == name)
                .unwrap()),
            None => of(arrival),
        }
    }

    fn rejected(arrival: &Value) -> BTreeSet<&str> {
        arrival["rejectedByFilterOf"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }

    fn event(&self, index: usize, arrival: &Value) -> Event {
        let rejected = Self::rejected(arrival);
        let passes: BTreeMap<&str, bool> = self
            .dependencies()
            .iter()
            .filter_map(|dependency| dependency["name"].as_str())
            .map(|name| (name, !rejected.contains(name)))
            .collect();
        Event {
            key: self.key(arrival),
            id: EventId(arrival["id"].as_str().unwrap().to_owned()),
            kind: "webhook".to_owned(),
            time: at(index),
            content_type: "application/json".to_owned(),
            data: Some(Bytes::from(json!({"passes": passes}).to_string())),
            links: Links::first(CorrelationId("c".to_owned())),
            cloud_event: None,
        }
    }

    /// What the evaluator fires, and what it holds in the end. Events that arrive while the
    /// sensor is stopped are in the log when it starts.
    fn run(&self) -> (Fires, Vec<String>) {
        let mut changed = BTreeSet::new();
        let mut conditions = self.0["conditions"].clone();
        let plan = |number, sensor| Arc::new(Plan::new(number, vec![Arc::new(sensor)]));
        let mut evaluator =
            Evaluator::new(Arc::new(Plan::default()), State::new(Position::new(1, 0)));
        let mut position = Position::new(1, 1);
        evaluator.switch(
            position,
            START - SignedDuration::from_secs(1),
            plan(1, self.sensor(&conditions, &changed)),
        );
        let (mut fires, mut waiting, mut stopped, mut number) =
            (Fires::new(), Vec::new(), false, 1);
        for (index, arrival) in self.arrivals().iter().enumerate() {
            let records = match arrival["op"].as_str().unwrap() {
                "event" if stopped => {
                    waiting.push(EventsRecord::Event(self.event(index, arrival)));
                    Vec::new()
                }
                "event" => vec![EventsRecord::Event(self.event(index, arrival))],
                "stop" => {
                    stopped = true;
                    Vec::new()
                }
                "start" => {
                    stopped = false;
                    std::mem::take(&mut waiting)
                }
                _ => vec![EventsRecord::Time(at(index))],
            };
            for record in records {
                position = position.next();
                for action in evaluator.apply(position, &record, &mut Off).actions {
                    let events = action
                        .events
                        .iter()
                        .map(|event| (event.dependency.clone(), event.id.to_string()));
                    fires.push((index, events.collect()));
                }
            }
            if arrival["op"] == "start" {
                changed.extend(arrival["changedDependency"].as_str().map(str::to_owned));
                if !arrival["conditions"].is_null() {
                    conditions = arrival["conditions"].clone();
                }
                number += 1;
                position = position.next();
                evaluator.switch(
                    position,
                    at(index),
                    plan(number, self.sensor(&conditions, &changed)),
                );
            }
        }
        let held = evaluator.state().held(&ObjectName::new("ci", "s"), "t");
        (
            fires,
            held.into_iter()
                .flat_map(|held| held.keys().map(|name| name.as_ref().to_owned()))
                .collect(),
        )
    }

    fn expected(&self) -> (Fires, Vec<String>) {
        let fires = self.0["fires"].as_array().unwrap().iter().map(|fire| {
            let events: BTreeMap<String, String> =
                serde_json::from_value(fire["events"].clone()).unwrap();
            (usize::try_from(fire["at"].as_u64().unwrap()).unwrap(), events)
        });
        (fires.collect(), serde_json::from_value(self.0["savedAtEnd"].clone()).unwrap())
    }

    /// Why Tripline answers otherwise than Argo Events, where it does.
    fn deviation(&self) -> Option<&'static str> {
        let mut by_id: BTreeMap<&str, BTreeSet<EventKey>> = BTreeMap::new();
        for arrival in self.arrivals().iter().filter(|arrival| arrival["op"] == "event") {
            by_id.entry(arrival["id"].as_str().unwrap()).or_default().insert(self.key(arrival));
        }
        if by_id.values().any(|keys| keys.len() > 1) {
            return Some("an equal id of another event is not a duplicate");
        }
        let is_start = |arrival: &&Value| arrival["op"] == "start";
        if self.arrivals().iter().filter(is_start).any(|arrival| !arrival["conditions"].is_null()) {
            return Some(
                "a changed condition forgets nothing that it still names, and loses no event",
            );
        }
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut before_stop: BTreeSet<&str> = BTreeSet::new();
        for arrival in self.arrivals() {
            match arrival["op"].as_str().unwrap() {
                "stop" => before_stop = seen.clone(),
                "event" if before_stop.contains(arrival["id"].as_str().unwrap()) => {
                    return Some("a restart does not forget which events were seen");
                }
                "event" => {
                    seen.insert(arrival["id"].as_str().unwrap());
                }
                _ => {}
            }
        }
        None
    }

    /// Tripline's own rules, said again as plainly as can be.
    fn model(&self) -> (Fires, Vec<String>) {
        let mut conditions = self.0["conditions"].as_str().unwrap().to_owned();
        let mut definition: BTreeMap<String, u32> = BTreeMap::new();
        let (mut seen, mut held): (BTreeSet<(EventKey, String)>, BTreeMap<String, String>) =
            Default::default();
        let (mut fires, mut waiting, mut stopped) = (Fires::new(), Vec::new(), false);
        for (index, arrival) in self.arrivals().iter().enumerate() {
            let now: Vec<&Value> = match arrival["op"].as_str().unwrap() {
                "event" if stopped => {
                    waiting.push(arrival);
                    Vec::new()
                }
                "event" => vec![arrival],
                "stop" => {
                    stopped = true;
                    Vec::new()
                }
                "start" => {
                    stopped = false;
                    std::mem::take(&mut waiting)
                }
                _ => {
                    held.clear();
                    Vec::new()
                }
            };
            for event in now {
                let id = event["id"].as_str().unwrap().to_owned();
                if !seen.insert((self.key(event), id.clone())) {
                    continue;
                }
                for name in names(&conditions, self.dependencies()) {
                    let dependency = self
                        .dependencies()
                        .iter()
                        .find(|dependency| dependency["name"] == *name)
                        .unwrap();
                    if self.key(event) != self.key(dependency)
                        || Self::rejected(event).contains(name.as_str())
                    {
                        continue;
                    }
                    if !joins(&conditions, self.dependencies()) {
                        fires.push((index, BTreeMap::from([(name, id.clone())])));
                        continue;
                    }
                    held.insert(name, id.clone());
                    if holds(&conditions, &held, self.dependencies()) {
                        fires.push((index, std::mem::take(&mut held)));
                    }
                }
            }
            if let Some(changed) = arrival["changedDependency"].as_str() {
                *definition.entry(changed.to_owned()).or_default() += 1;
                held.remove(changed);
            }
            if let Some(new) = arrival["conditions"].as_str() {
                conditions = new.to_owned();
                let named = names(&conditions, self.dependencies());
                held.retain(|name, _| named.contains(name));
            }
            if arrival["lastResetTimeNow"] == true {
                held.clear();
            }
        }
        (fires, held.into_keys().collect())
    }
}

/// Whether events are held until the condition is met.
fn joins(conditions: &str, dependencies: &[Value]) -> bool {
    conditions.contains('&') || conditions.is_empty() && dependencies.len() > 1
}

fn names(conditions: &str, dependencies: &[Value]) -> Vec<String> {
    if conditions.is_empty() {
        return dependencies
            .iter()
            .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
            .collect();
    }
    let mut names = Vec::new();
    for name in
        conditions.split(|c: char| !c.is_alphanumeric() && c != '-').filter(|name| !name.is_empty())
    {
        if !names.contains(&name.to_owned()) {
            names.push(name.to_owned());
        }
    }
    names
}

/// One-letter names, so that the expression can be worked out by replacing text.
fn holds(conditions: &str, held: &BTreeMap<String, String>, dependencies: &[Value]) -> bool {
    if conditions.is_empty() {
        return dependencies
            .iter()
            .all(|dependency| held.contains_key(dependency["name"].as_str().unwrap()));
    }
    let mut text: String = conditions.chars().filter(|c| !c.is_whitespace()).collect();
    for name in names(conditions, dependencies) {
        text = text.replace(&name, if held.contains_key(&name) { "1" } else { "0" });
    }
    loop {
        let before = text.clone();
        for bit in ["0", "1"] {
            text = text.replace(&format!("({bit})"), bit);
        }
        for (from, to) in [("0&&0", "0"), ("0&&1", "0"), ("1&&0", "0"), ("1&&1", "1")] {
            text = text.replace(from, to);
        }
        if text == before {
            // What is left to be joined by `||` is not beside an `&&`, or in other parentheses.
            for (from, to) in [("0||0", "0"), ("0||1", "1"), ("1||0", "1"), ("1||1", "1")] {
                if let Some(place) = text.find(from) {
                    let after = &text[place + from.len()..];
                    if !after.starts_with("&&") && !text[..place].ends_with("&&") {
                        text.replace_range(place..place + from.len(), to);
                        break;
                    }
                }
            }
        }
        if text == before {
            return match text.as_str() {
                "1" => true,
                "0" => false,
                other => panic!("{conditions} came to {other}"),
            };
        }
    }
}

/// A deviation is a rule of [`Case::deviation`]; what Tripline answers instead is that of its
/// own model, which it has to agree with in every case.
pub fn run(case: &Value) -> Verdict {
    let case = Case(case.clone());
    let (found, model) = (case.run(), case.model());
    if found != model {
        return Verdict::Different(format!("  the model says {model:?}\n  found  {found:?}"));
    }
    match (compare(&found, &case.expected()), case.deviation()) {
        (Verdict::Different(_), Some(rule)) => Verdict::Deviation(rule),
        (verdict, _) => verdict,
    }
}
