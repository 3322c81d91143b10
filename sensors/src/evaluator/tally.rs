//! How often each dependency's filter let an event through, did not, or failed.
//!
//! No decision depends on these counts, and they are not part of the state. An event costs
//! them what it costs the index: what happens to many dependencies at once is one count,
//! from which the count of each follows when somebody asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tripline_event::ObjectName;

use super::index::{DependencyId, Slot};
use super::plan::{Dependency, Plan, Sensor};
use crate::filter::Verdict;

/// Counts since the evaluator was made, for the sensors of one plan. May be read while the
/// evaluator goes on; then a count may be one event behind another.
#[derive(Debug)]
pub struct Tally {
    plan: Arc<Plan>,
    slots: Box<[AtomicU64]>,
    own: Box<[Own]>,
    /// What was counted under earlier plans.
    before: Box<[Verdicts]>,
}

/// What was found by asking a dependency's own filter.
#[derive(Debug, Default)]
struct Own {
    passed: AtomicU64,
    errors: AtomicU64,
}

/// What became of the events that a dependency names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// Its filter let them through.
    pub passed: u64,
    /// It did not.
    pub filtered: u64,
    /// Of those, it could not be evaluated.
    pub errors: u64,
}

impl std::ops::AddAssign for Verdicts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.filtered += other.filtered;
        self.errors += other.errors;
    }
}

impl Tally {
    /// Nothing is counted yet.
    pub(super) fn new(plan: Arc<Plan>) -> Self {
        let dependencies = plan.dependency_count();
        Self {
            slots: std::iter::repeat_with(AtomicU64::default).take(plan.slots()).collect(),
            own: std::iter::repeat_with(Own::default).take(dependencies).collect(),
            before: vec![Verdicts::default(); dependencies].into(),
            plan,
        }
    }

    /// Goes on counting under another plan. What is not in it is forgotten.
    pub(super) fn next(&self, plan: Arc<Plan>) -> Self {
        let mut next = Self::new(plan);
        let mut before = self.plan.sensors().iter().enumerate().peekable();
        for (at, sensor) in next.plan.sensors().iter().enumerate() {
            // Both plans are in the order of the names.
            while before.next_if(|(_, other)| other.name < sensor.name).is_some() {}
            let Some((was, old)) = before.next_if(|(_, other)| other.name == sensor.name) else {
                continue;
            };
            for (place, dependency) in next.plan.dependencies_at(at).zip(&sensor.dependencies) {
                if let Some((index, found)) = old.dependency(&dependency.name) {
                    let counts = self.at(self.plan.dependencies_at(was).start + id(index), found);
                    next.before[place as usize] = counts;
                }
            }
        }
        next
    }

    pub(super) fn count(&self, slot: Slot) {
        self.slots[slot as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn asked(&self, dependency: DependencyId, verdict: &Verdict) {
        let own = &self.own[dependency as usize];
        if verdict.pass {
            own.passed.fetch_add(1, Ordering::Relaxed);
        } else if verdict.error.is_some() {
            own.errors.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counts of a dependency of a sensor; none of one that is not there.
    pub fn of(&self, sensor: &ObjectName, dependency: &str) -> Verdicts {
        let Some(index) = self.plan.sensor(sensor).and_then(|it| it.dependency(dependency)) else {
            return Verdicts::default();
        };
        let (place, of_it) = index;
        self.at(self.plan.dependencies(sensor).start + id(place), of_it)
    }

    /// The counts of all dependencies of a sensor together.
    pub fn of_sensor(&self, sensor: &ObjectName) -> Verdicts {
        let mut all = Verdicts::default();
        if let Some(found) = self.plan.sensor(sensor) {
            for (place, dependency) in self.plan.dependencies(sensor).zip(&found.dependencies) {
                all += self.at(place, dependency);
            }
        }
        all
    }

    /// The counts of every dependency, in the order of the sensors' names.
    pub fn each(&self) -> impl Iterator<Item = (&Sensor, &Dependency, Verdicts)> {
        self.plan.sensors().iter().flat_map(move |sensor| {
            let places = self.plan.dependencies(&sensor.name);
            places
                .zip(&sensor.dependencies)
                .map(move |(place, dependency)| (&**sensor, dependency, self.at(place, dependency)))
        })
    }

    fn at(&self, place: DependencyId, dependency: &Dependency) -> Verdicts {
        let own = &self.own[place as usize];
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let slot = |slot: Slot| read(&self.slots[slot as usize]);
        // Passed first: it is counted last.
        let passed = read(&own.passed);
        let seen = self.plan.routes(&dependency.key).map_or(0, |routes| slot(routes.evaluated));
        let mut all = self.before[place as usize];
        all += Verdicts {
            passed,
            filtered: seen.saturating_sub(passed),
            errors: read(&own.errors) + self.plan.shared(place).map(slot).sum::<u64>(),
        };
        all
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a plan has far fewer than 2^32 dependencies")]
fn id(place: usize) -> DependencyId {
    place as DependencyId
}
