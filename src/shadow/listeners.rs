//! What the sensors of Argo Events have seen: where their consumers stand.

use std::collections::HashMap;
use std::sync::Arc;

use tripline_bus::argo::{Argo, ArgoError, Consumer, consumer_name};
use tripline_event::{EventKey, TriggerName};
use tripline_sensors::evaluator::Sensor;

use super::firings::{Firing, FiringEvent};

/// Where the consumers of some triggers stand.
#[derive(Debug, Default)]
pub struct Listeners {
    /// By the trigger and what it depends on: two dependencies of a trigger on the same event
    /// have one consumer, which is called after the last of them.
    consumers: HashMap<(TriggerName, EventKey), Consumer>,
}

/// What a sensor of Argo Events has made of a firing's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It has acknowledged the last of them.
    All,
    /// It did not listen yet when one of them came.
    NotYetThere,
    /// It has not come so far.
    NotReached,
}

impl Listeners {
    /// Those of the triggers of `sensors`, as they are now.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn read(
        argo: &Argo,
        sensors: impl IntoIterator<Item = Arc<Sensor>>,
    ) -> Result<Self, ArgoError> {
        let mut listeners = Self::default();
        for sensor in sensors {
            for trigger in &sensor.triggers {
                for &place in trigger.condition.dependencies() {
                    let Some(dependency) = sensor.dependencies.get(place) else { continue };
                    let name = &trigger.name;
                    let name = consumer_name(&name.sensor, &name.trigger, &dependency.name);
                    if let Some(consumer) = argo.consumer(&name).await? {
                        listeners.add(trigger.name.clone(), dependency.key.clone(), consumer);
                    }
                }
            }
        }
        Ok(listeners)
    }

    pub(super) fn add(&mut self, trigger: TriggerName, key: EventKey, consumer: Consumer) {
        self.consumers.insert((trigger, key), consumer);
    }

    /// What became of a firing's events there.
    pub fn seen(&self, firing: &Firing) -> Seen {
        let consumer =
            |of: &FiringEvent| self.consumers.get(&(firing.trigger.clone(), of.key.clone()));
        let mut seen = Seen::All;
        for event in &firing.events {
            match consumer(event) {
                None => return Seen::NotYetThere,
                Some(consumer) if event.at < consumer.created => return Seen::NotYetThere,
                Some(consumer) if event.sequence > consumer.acknowledged => {
                    seen = Seen::NotReached;
                }
                Some(_) => {}
            }
        }
        seen
    }
}
