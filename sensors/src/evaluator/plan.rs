//! A plan: the sensors that decide from one record of the log on.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tripline_event::{DefinitionHash, EventKey, ObjectName, TriggerName};

use super::index::{Builder, DependencyId, Routes, Slot};
use super::key::Key;
use super::targets::Targets;
use crate::condition::Condition;
use crate::filter::{Filter, Step};

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
    routes: HashMap<EventKey, Routes>,
    /// Of each sensor, the number of its first dependency; dependencies are numbered
    /// through, in the order of the sensors. At the end, how many there are.
    first: Vec<DependencyId>,
    /// The counters that several dependencies share, by dependency.
    shared: Vec<(DependencyId, Slot)>,
    slots: Slot,
}

/// A sensor that can decide. There is no other way to make one than to compile a
/// definition without mistakes.
#[derive(Debug)]
pub struct Sensor {
    /// Namespace and name.
    pub name: ObjectName,
    /// The definition that this was compiled from.
    pub definition: DefinitionHash,
    /// Its dependencies, in the order of the definition.
    pub dependencies: Vec<Dependency>,
    /// Its triggers, in the order of the definition.
    pub triggers: Vec<Trigger>,
    /// An action with more hops than this is not carried out.
    pub max_hops: u16,
    /// Which events it decides about when it is new.
    pub start_from: StartFrom,
}

/// Which events a sensor that is new decides about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartFrom {
    /// Those that come after it.
    #[default]
    Now,
    /// All that the log still has.
    Beginning,
    /// Those since this time.
    At(Timestamp),
}

/// A dependency that can be matched.
#[derive(Debug)]
pub struct Dependency {
    /// Its name.
    pub name: Arc<str>,
    /// The event that it names.
    pub key: EventKey,
    /// What the event must look like.
    pub filter: Filter,
    /// The filter sees the payload as it is, and not what a transform makes of it.
    pub untransformed: bool,
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
    /// The condition as it is written; empty: all dependencies.
    pub conditions: Box<str>,
    /// How long after the decision an action may still be started.
    pub expires_after: SignedDuration,
    /// When everything that is held for it is forgotten.
    pub resets: Vec<Arc<dyn Recurrence>>,
    /// Where its actions are carried out.
    pub targets: Targets,
    /// What tells its actions apart where one waits for another.
    pub key: Option<Key>,
}

impl Sensor {
    /// The trigger of that name.
    pub fn trigger(&self, name: &str) -> Option<&Trigger> {
        self.triggers.iter().find(|trigger| trigger.name.trigger == name)
    }

    /// The dependency of that name, and its place.
    pub fn dependency(&self, name: &str) -> Option<(usize, &Dependency)> {
        self.dependencies.iter().enumerate().find(|(_, dependency)| &*dependency.name == name)
    }
}

impl Dependency {
    /// The filters that an index can decide.
    fn steps(&self) -> Vec<Step<'_>> {
        if self.untransformed { self.filter.steps() } else { Vec::new() }
    }
}

impl Plan {
    /// The plan of these sensors. They are put in the order of their names, so that the
    /// same sensors always decide in the same order.
    pub fn new(number: u64, mut sensors: Vec<Arc<Sensor>>) -> Self {
        sensors.sort_by(|a, b| a.name.cmp(&b.name));
        sensors.dedup_by(|a, b| a.name == b.name);
        let mut first = Vec::with_capacity(sensors.len() + 1);
        let mut next: DependencyId = 0;
        let mut by_event: HashMap<&EventKey, Vec<_>> = HashMap::new();
        for sensor in &sensors {
            first.push(next);
            for dependency in &sensor.dependencies {
                let steps = dependency.steps();
                by_event.entry(&dependency.key).or_default().push((next, steps));
                next += 1;
            }
        }
        first.push(next);
        let mut builder = Builder::default();
        let routes = by_event
            .into_iter()
            .map(|(key, dependencies)| (key.clone(), builder.routes(dependencies)))
            .collect();
        let Builder { slots, mut shared } = builder;
        shared.sort_unstable();
        shared.shrink_to_fit();
        Self { number, sensors, routes, first, shared, slots }
    }

    /// All sensors, in the order of their names.
    pub fn sensors(&self) -> &[Arc<Sensor>] {
        &self.sensors
    }

    /// The sensor of that name.
    pub fn sensor(&self, name: &ObjectName) -> Option<&Arc<Sensor>> {
        self.place(name).map(|at| &self.sensors[at])
    }

    fn place(&self, name: &ObjectName) -> Option<usize> {
        self.sensors.binary_search_by(|sensor| sensor.name.cmp(name)).ok()
    }

    /// Who wants this event.
    pub(super) fn routes(&self, key: &EventKey) -> Option<&Routes> {
        self.routes.get(key)
    }

    /// Whose dependency that is, and which of them.
    pub(super) fn owner(&self, dependency: DependencyId) -> (&Sensor, usize) {
        let place = self.first.partition_point(|first| *first <= dependency) - 1;
        (&self.sensors[place], (dependency - self.first[place]) as usize)
    }

    /// The dependencies of a sensor.
    pub(super) fn dependencies(&self, sensor: &ObjectName) -> Range<DependencyId> {
        self.place(sensor).map_or(0..0, |at| self.dependencies_at(at))
    }

    /// The dependencies of the sensor at that place.
    pub(super) fn dependencies_at(&self, place: usize) -> Range<DependencyId> {
        self.first[place]..self.first[place + 1]
    }

    /// How many dependencies there are.
    pub(super) fn dependency_count(&self) -> usize {
        self.first.last().map_or(0, |count| *count as usize)
    }

    /// How many counters its routes have.
    pub(super) fn slots(&self) -> usize {
        self.slots as usize
    }

    /// The counters of errors that this dependency shares with others.
    pub(super) fn shared(&self, dependency: DependencyId) -> impl Iterator<Item = Slot> {
        let from = self.shared.partition_point(|(other, _)| *other < dependency);
        let of_it = self.shared[from..].iter().take_while(move |(other, _)| *other == dependency);
        of_it.map(|(_, slot)| *slot)
    }
}
