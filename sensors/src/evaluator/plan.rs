//! A plan: the sensors that decide from one record of the log on.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tripline_event::{DefinitionHash, EventKey, ObjectName, TriggerName};

use crate::condition::Condition;
use crate::definition::SensorSpec;
use crate::filter::Filter;

/// Times that repeat: a cron expression in a zone. Given to the evaluator from outside,
/// which has no calendar of its own.
pub trait Recurrence: fmt::Debug + Send + Sync {
    /// The first time after `after`; none if there is no more.
    fn next_after(&self, after: Timestamp) -> Option<Timestamp>;
}

/// The sensors that are in force, and who of them wants which event.
#[derive(Debug, Default)]
pub struct Plan {
    /// The number under which the plan was published; it only grows. 0 is the plan of
    /// no sensors that every log begins with.
    pub number: u64,
    sensors: Vec<Arc<Sensor>>,
    by_name: HashMap<ObjectName, usize>,
    by_event: HashMap<EventKey, Vec<Interest>>,
}

/// A sensor's dependencies on one event.
#[derive(Debug)]
pub struct Interest {
    /// The sensor, by its place in the plan.
    pub sensor: usize,
    /// Those of its dependencies that name the event, by their places.
    pub dependencies: Vec<usize>,
}

/// A sensor that can decide. There is no other way to make one than to compile a
/// definition without mistakes.
#[derive(Debug)]
pub struct Sensor {
    /// Namespace and name.
    pub name: ObjectName,
    /// The definition that this was compiled from.
    pub definition: DefinitionHash,
    /// What the definition says.
    pub spec: SensorSpec,
    /// Its dependencies, in the order of the definition.
    pub dependencies: Vec<Dependency>,
    /// Its triggers, in the order of the definition.
    pub triggers: Vec<Trigger>,
    /// An action with more hops than this is not carried out.
    pub max_hops: u16,
}

/// A dependency that can be matched.
#[derive(Debug)]
pub struct Dependency {
    /// Its name.
    pub name: String,
    /// The event that it names.
    pub key: EventKey,
    /// What the event must look like.
    pub filter: Filter,
    /// Differs when anything in the definition of the dependency differs.
    pub fingerprint: u64,
}

/// A trigger that can fire.
#[derive(Debug)]
pub struct Trigger {
    /// Its name.
    pub name: TriggerName,
    /// When it fires.
    pub condition: Condition,
    /// How long after the decision an action may still be started.
    pub expires_after: SignedDuration,
    /// When everything that is held for it is forgotten.
    pub resets: Vec<Arc<dyn Recurrence>>,
}

impl Sensor {
    /// The trigger of that name.
    pub fn trigger(&self, name: &str) -> Option<&Trigger> {
        self.triggers.iter().find(|trigger| trigger.name.trigger == name)
    }

    /// The dependency of that name, and its place.
    pub fn dependency(&self, name: &str) -> Option<(usize, &Dependency)> {
        self.dependencies.iter().enumerate().find(|(_, dependency)| dependency.name == name)
    }
}

impl Plan {
    /// The plan of these sensors. They are put in the order of their names, so that the
    /// same sensors always decide in the same order.
    pub fn new(number: u64, mut sensors: Vec<Arc<Sensor>>) -> Self {
        sensors.sort_by(|a, b| a.name.cmp(&b.name));
        sensors.dedup_by(|a, b| a.name == b.name);
        let mut by_event: HashMap<EventKey, Vec<Interest>> = HashMap::new();
        for (place, sensor) in sensors.iter().enumerate() {
            for (index, dependency) in sensor.dependencies.iter().enumerate() {
                let interests = by_event.entry(dependency.key.clone()).or_default();
                match interests.last_mut().filter(|last| last.sensor == place) {
                    Some(last) => last.dependencies.push(index),
                    None => interests.push(Interest { sensor: place, dependencies: vec![index] }),
                }
            }
        }
        let by_name =
            sensors.iter().enumerate().map(|(at, sensor)| (sensor.name.clone(), at)).collect();
        Self { number, sensors, by_name, by_event }
    }

    /// All sensors, in the order of their names.
    pub fn sensors(&self) -> &[Arc<Sensor>] {
        &self.sensors
    }

    /// The sensor of that name.
    pub fn sensor(&self, name: &ObjectName) -> Option<&Arc<Sensor>> {
        self.by_name.get(name).map(|&at| &self.sensors[at])
    }

    /// Who wants this event.
    pub fn interests(&self, key: &EventKey) -> &[Interest] {
        self.by_event.get(key).map_or(&[], Vec::as_slice)
    }
}
