//! The bridges to Argo Events' buses, in numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::BridgeStatus;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfBus {
    namespace: String,
    event_bus: String,
}

/// What is counted of each bridge.
#[derive(Default)]
pub struct BridgeMetrics {
    ready: Family<OfBus, Gauge>,
    taken: Family<OfBus, Counter>,
    sent: Family<OfBus, Counter>,
    lost: Family<OfBus, Counter>,
    behind: Family<OfBus, Gauge>,
    waiting: Family<OfBus, Gauge>,
}

impl BridgeMetrics {
    /// Puts them into the registry.
    pub fn register(&self, registry: &mut Registry) {
        let ready = "1 while Argo Events' bus is read, and nothing of it was lost";
        registry.register("interop_ready", ready, self.ready.clone());
        let taken = "Messages of Argo Events' bus that were taken in";
        registry.register("interop_taken", taken, self.taken.clone());
        let sent = "Events of Tripline's own event sources that Argo Events' bus has";
        registry.register("interop_sent", sent, self.sent.clone());
        let lost = "Messages and records that were dropped before they were bridged";
        registry.register("interop_lost", lost, self.lost.clone());
        let behind = "Messages of Argo Events' bus that were not taken in yet";
        registry.register("interop_behind", behind, self.behind.clone());
        let waiting = "Sensors that are not taken over yet: Argo Events' still run, or its bus cannot be asked";
        registry.register("interop_sensors_waiting", waiting, self.waiting.clone());
    }

    /// How they are now.
    pub fn set(&self, bridges: &[Arc<BridgeStatus>]) {
        let (counters, gauges) =
            ([&self.taken, &self.sent, &self.lost], [&self.ready, &self.behind, &self.waiting]);
        counters.into_iter().for_each(Family::clear);
        gauges.into_iter().for_each(Family::clear);
        for bridge in bridges {
            let of = OfBus {
                namespace: bridge.bus.namespace.clone(),
                event_bus: bridge.bus.name.clone(),
            };
            let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
            let gauge = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
            self.taken.get_or_create(&of).inc_by(read(&bridge.taken));
            self.sent.get_or_create(&of).inc_by(read(&bridge.sent));
            self.lost.get_or_create(&of).inc_by(read(&bridge.lost));
            self.behind.get_or_create(&of).set(gauge(read(&bridge.behind)));
            self.ready.get_or_create(&of).set(i64::from(bridge.source_status().ready));
            self.waiting.get_or_create(&of).set(gauge(bridge.waiting().len() as u64));
        }
    }
}
