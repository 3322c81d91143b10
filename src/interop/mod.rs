//! Argo Events' own bus, beside Tripline's: sensors and event sources move one at a time.
//!
//! Tripline's logs stay what the engine works on. A *bridge* for each bus of Argo Events (an
//! `EventBus` with `interop: argoEvents`) takes each message of its stream into EVENTS, once and
//! in order (`inward`), and sends the events of Tripline's own event sources there
//! (`outward`). A sensor that names such a bus is *taken over* (`handover`) before it comes
//! into force: from where Argo Events' consumers of it stand, and with what its half-met
//! conditions hold.
//!
//! Promises: a message is taken in once, also over a crash at any moment; what came from there
//! is never sent back, and what was sent there is never taken in again; a sensor that is taken
//! over decides about each event that Argo Events' had not decided about, and no other; nothing
//! of Argo Events' but its stream is written.
//!
//! Not here: deciding, and what a message looks like (`tripline_bus::jetstream::argo`).

#[cfg(feature = "jetstream")]
mod bridge;
#[cfg(feature = "jetstream")]
mod handover;
#[cfg(feature = "jetstream")]
mod inward;
pub mod metrics;
#[cfg(feature = "jetstream")]
mod outward;
#[cfg_attr(
    not(feature = "jetstream"),
    expect(dead_code, reason = "without JetStream there is no such bus")
)]
mod places;
#[cfg(feature = "jetstream")]
pub mod probe;
mod status;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tripline_bus::{Bus, Log};
use tripline_event::ObjectName;
use tripline_eventsources::SourceStatus;

#[cfg(feature = "jetstream")]
pub(crate) use bridge::run;
pub use status::{BridgeStatus, KIND};

use crate::engine::plans::{self, Definition, PlanError};
use crate::load::{Configuration, LoadedSensor};
use places::{Places, Sent};

/// The bridges of a daemon.
#[derive(Default)]
pub struct Interop {
    bridges: Mutex<BTreeMap<ObjectName, Arc<BridgeStatus>>>,
    /// Something else is in force.
    pub(crate) changed: Notify,
}

impl Interop {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectName, Arc<BridgeStatus>>> {
        self.bridges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What of the sensors comes into force: all but those that are still to be taken over.
    /// Before it returns, it is kept from where on events are sent to Argo Events.
    ///
    /// # Errors
    /// The bus does not answer.
    pub async fn in_force(
        &self,
        bus: &dyn Bus,
        configuration: &Configuration,
    ) -> Result<Vec<Definition>, PlanError> {
        if configuration.interop.is_empty() && configuration.interop_refused.is_empty() {
            return Ok(configuration.definitions());
        }
        for of in configuration.interop.keys() {
            let places = Places { of: of.clone() };
            if places.sent(bus).await?.is_none() {
                let next = bus.extent(Log::Events).await?.next;
                places.keep_sent(bus, Sent { next }).await?;
            }
        }
        let admitted = admitted(bus, configuration).await?;
        let sensors = configuration.sensors.values();
        let comes = |sensor: &&LoadedSensor| {
            !is_taken_over(configuration, sensor) || admitted.contains(&sensor.definition.name)
        };
        Ok(sensors.filter(comes).map(|sensor| sensor.definition.clone()).collect())
    }

    /// How the bridges are, as event sources.
    pub fn source_statuses(&self) -> Vec<SourceStatus> {
        self.lock().values().map(|status| status.source_status()).collect()
    }

    /// How each bridge is.
    pub fn statuses(&self) -> Vec<Arc<BridgeStatus>> {
        self.lock().values().cloned().collect()
    }
}

/// Whether the sensor is one that is taken over before it comes into force. What schedules do
/// waits for nobody.
fn is_taken_over(configuration: &Configuration, sensor: &LoadedSensor) -> bool {
    sensor.compiled.schedule.is_none() && configuration.is_interop(&sensor.bus())
}

/// The sensors that were taken over: they are in the newest plan, or on their way there.
async fn admitted(
    bus: &dyn Bus,
    configuration: &Configuration,
) -> Result<BTreeSet<ObjectName>, PlanError> {
    let newest = plans::newest(bus).await?;
    let mut admitted: BTreeSet<ObjectName> =
        newest.sensors.into_iter().map(|(name, _)| name).collect();
    for of in configuration.interop.keys() {
        let places = Places { of: of.clone() };
        admitted.extend(places.taken(bus).await?.into_iter().map(|taken| taken.sensor));
    }
    Ok(admitted)
}
