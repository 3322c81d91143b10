//! How the bridge to a bus of Argo Events is.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tripline_event::{Clock, EventKey, ObjectName, Timestamp};
use tripline_eventsources::SourceStatus;

/// The kind under which it stands among event sources.
pub const KIND: &str = "argoEvents";

/// How many gaps are told of, the latest.
const MOST_GAPS: usize = 16;

/// How a bridge is, for readiness, `status` and metrics.
pub struct BridgeStatus {
    /// The object that describes the bus.
    pub bus: ObjectName,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Messages that were taken in.
    pub taken: AtomicU64,
    /// Events that were sent.
    pub sent: AtomicU64,
    /// Messages that were lost to it: the stream had dropped them before they were read.
    pub lost: AtomicU64,
    /// Messages of the stream that were not taken in yet.
    pub behind: AtomicU64,
}

impl fmt::Debug for BridgeStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgeStatus").field("bus", &self.bus).finish_non_exhaustive()
    }
}

struct State {
    trouble: Option<String>,
    outward: Option<String>,
    since: Timestamp,
    detail: String,
    gaps: Vec<String>,
    waiting: BTreeMap<ObjectName, String>,
}

impl BridgeStatus {
    /// It has not begun.
    pub fn new(bus: ObjectName, clock: Arc<dyn Clock>) -> Self {
        let state = State {
            trouble: Some("starting".to_owned()),
            outward: None,
            since: clock.now(),
            detail: String::new(),
            gaps: Vec::new(),
            waiting: BTreeMap::new(),
        };
        let [taken, sent, lost, behind] = [0; 4].map(AtomicU64::new);
        Self { bus, clock, state: Mutex::new(state), taken, sent, lost, behind }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It works; `detail` says where.
    pub fn works(&self, detail: &str) {
        let mut state = self.lock();
        if state.trouble.take().is_some() {
            state.since = self.clock.now();
            tracing::info!(bus = %self.bus, "Argo Events' bus: {detail}");
        }
        detail.clone_into(&mut state.detail);
    }

    /// It does not work.
    pub fn fails(&self, why: &str) {
        let mut state = self.lock();
        if state.trouble.as_deref() != Some(why) {
            tracing::warn!(bus = %self.bus, "Argo Events' bus: {why}");
        }
        if state.trouble.is_none() {
            state.since = self.clock.now();
        }
        state.trouble = Some(why.to_owned());
    }

    /// Sending works, or why not.
    pub fn sending(&self, trouble: Option<&str>) {
        let mut state = self.lock();
        if let Some(why) = trouble.filter(|why| state.outward.as_deref() != Some(why)) {
            tracing::warn!(bus = %self.bus, "Argo Events' bus takes nothing: {why}");
        }
        state.outward = trouble.map(str::to_owned);
    }

    /// Something is gone: said until the daemon is started again. Where nobody knows how much,
    /// it counts as one.
    pub fn lost(&self, messages: u64, text: &str) {
        self.lost.fetch_add(messages.max(1), Ordering::Relaxed);
        tracing::error!(bus = %self.bus, "{text}");
        let mut state = self.lock();
        if !state.gaps.iter().any(|gap| gap == text) {
            state.gaps.push(text.to_owned());
        }
        let more = state.gaps.len().saturating_sub(MOST_GAPS);
        state.gaps.drain(..more);
    }

    /// A sensor is not taken over yet, and why.
    pub fn waits(&self, sensor: &ObjectName, why: &str) {
        let before = self.lock().waiting.insert(sensor.clone(), why.to_owned());
        if before.as_deref() != Some(why) {
            tracing::warn!("sensor {sensor} is not taken over from Argo Events yet: {why}");
        }
    }

    /// These alone wait.
    pub fn wait_only(&self, sensors: &[ObjectName]) {
        self.lock().waiting.retain(|name, _| sensors.contains(name));
    }

    /// The sensors that are not taken over yet, and why.
    pub fn waiting(&self) -> Vec<(ObjectName, String)> {
        self.lock().waiting.iter().map(|(name, why)| (name.clone(), why.clone())).collect()
    }

    /// As what it stands among event sources.
    pub fn source_status(&self) -> SourceStatus {
        let state = self.lock();
        let mut wrong: Vec<&str> = Vec::new();
        wrong.extend(state.trouble.as_deref());
        wrong.extend(state.outward.as_deref());
        wrong.extend(state.gaps.iter().map(String::as_str));
        let ready = wrong.is_empty();
        let mut detail = if ready { state.detail.clone() } else { wrong.join("; ") };
        for (sensor, why) in &state.waiting {
            // Writing to a string cannot fail.
            let _ = write!(detail, "; sensor {} waits: {why}", sensor.name);
        }
        SourceStatus {
            key: EventKey::new(&self.bus.namespace, format!("eventbus-{}", self.bus.name), KIND),
            kind: KIND,
            ready,
            detail,
            since: state.since,
            address: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use tripline_event::SystemClock;

    use super::*;

    #[test]
    fn what_is_gone_is_said_and_what_waits_keeps_nobody_from_being_ready() {
        let bus = ObjectName::new("ci", "default");
        let status = BridgeStatus::new(bus, Arc::new(SystemClock));
        assert!(!status.source_status().ready);
        status.works("reads");
        let sensor = ObjectName::new("ci", "deploy");
        status.waits(&sensor, "it still runs");
        let said = status.source_status();
        assert!(said.ready && said.detail == "reads; sensor deploy waits: it still runs");
        status.wait_only(&[]);
        status.lost(3, "messages 1 to 3 are gone");
        status.lost(3, "messages 1 to 3 are gone");
        let said = status.source_status();
        assert!(!said.ready && said.detail == "messages 1 to 3 are gone", "{}", said.detail);
        status.works("reads");
        assert!(!status.source_status().ready, "it stays");
    }
}
