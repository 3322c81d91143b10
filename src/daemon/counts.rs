//! Counts since the start, for `tripline sensors` and `tripline status`. What is durable is
//! in the logs; these are only for a glance.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use tripline_event::{Action, EventKey, ObjectName, Timestamp};
use tripline_sensors::evaluator::Tally;

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Counts {
    inner: Mutex<Inner>,
    tally: ArcSwapOption<Tally>,
}

#[derive(Debug, Default)]
struct Inner {
    received: BTreeMap<EventKey, u64>,
    sensors: BTreeMap<ObjectName, SensorCounts>,
}

/// Counts of one sensor since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SensorCounts {
    /// How often a trigger fired.
    pub fired: u64,
    /// When one did last.
    pub last_fired: Option<Timestamp>,
}

impl Counts {
    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// An event is durable.
    pub fn received(&self, key: &EventKey) {
        self.with(|inner| match inner.received.get_mut(key) {
            Some(count) => *count += 1,
            None => {
                inner.received.insert(key.clone(), 1);
            }
        });
    }

    /// What became of events at each dependency is counted there from now on.
    pub fn tally(&self, tally: Arc<Tally>) {
        self.tally.store(Some(tally));
    }

    /// What became of events at each dependency; none before the evaluator runs.
    pub fn verdicts(&self) -> Option<Arc<Tally>> {
        self.tally.load_full()
    }

    /// A trigger fired.
    pub fn fired(&self, action: &Action) {
        self.of_sensor(&action.trigger.sensor_name(), |counts| {
            counts.fired += 1;
            counts.last_fired = Some(action.decided_at);
        });
    }

    fn of_sensor(&self, sensor: &ObjectName, act: impl FnOnce(&mut SensorCounts)) {
        self.with(|inner| match inner.sensors.get_mut(sensor) {
            Some(counts) => act(counts),
            None => act(inner.sensors.entry(sensor.clone()).or_default()),
        });
    }

    /// How many events of this key were received.
    pub fn of_event(&self, key: &EventKey) -> u64 {
        self.with(|inner| inner.received.get(key).copied().unwrap_or_default())
    }

    /// The counts of a sensor.
    pub fn sensor(&self, sensor: &ObjectName) -> SensorCounts {
        self.with(|inner| inner.sensors.get(sensor).copied().unwrap_or_default())
    }
}
