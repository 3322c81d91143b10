//! Counters, gauges and histograms, in Prometheus' text format.
//!
//! The names that Argo Events has are kept (`argo_events_…`), so that dashboards go on;
//! what Argo Events does not count is there as `tripline_…`. Labels are names from the
//! configuration and fixed words, never what comes in with an event: the number of series
//! is bounded by the configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tripline_bus::{Fill, WriteError};
use tripline_event::{
    Action, Cause, DeadLetter, DropCause, Event, EventKey, ObjectName, Position, Timestamp,
};
use tripline_sensors::evaluator::{Duplicate, Tally};
use tripline_triggers::executor::{Observer, Success};

use crate::engine::observer::EngineObserver;
use crate::interop::BridgeStatus;
use crate::interop::metrics::BridgeMetrics;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfEvent {
    namespace: String,
    eventsource_name: String,
    event_name: String,
}

impl From<&EventKey> for OfEvent {
    fn from(key: &EventKey) -> Self {
        Self {
            namespace: key.namespace.clone(),
            eventsource_name: key.source.clone(),
            event_name: key.name.clone(),
        }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfTrigger {
    namespace: String,
    sensor_name: String,
    trigger_name: String,
}

impl From<&Action> for OfTrigger {
    fn from(action: &Action) -> Self {
        Self {
            namespace: action.trigger.namespace.clone(),
            sensor_name: action.trigger.sensor.clone(),
            trigger_name: action.trigger.trigger.clone(),
        }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfDependency {
    namespace: String,
    sensor_name: String,
    dependency_name: String,
}

impl OfDependency {
    /// Those that are more than are told apart.
    fn others() -> Self {
        let none = String::new;
        Self { namespace: none(), sensor_name: "(others)".to_owned(), dependency_name: none() }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfCause {
    namespace: String,
    sensor_name: String,
    trigger_name: String,
    cause: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfLetters {
    cause: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfSource {
    namespace: String,
    eventsource_name: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfBuild {
    version: &'static str,
    target: String,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

fn milliseconds() -> Histogram {
    Histogram::new([1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 1e4, 6e4])
}

fn seconds() -> Histogram {
    Histogram::new([
        0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0,
    ])
}

/// So many dependencies have a series of their own; those beyond have one together.
const MOST_DEPENDENCIES: usize = 2_000;

/// All metrics of the daemon.
pub struct Metrics {
    registry: Registry,
    running: Family<OfSource, Gauge>,
    sent: Family<OfEvent, Counter>,
    sent_failed: Family<OfEvent, Counter>,
    processing_failed: Family<OfEvent, Counter>,
    triggered: Family<OfTrigger, Counter>,
    action_failed: Family<OfTrigger, Counter>,
    retries_failed: Family<OfTrigger, Counter>,
    action_duration: Histograms<OfTrigger>,
    accepted_bytes: Counter,
    duplicates: Family<OfEvent, Counter>,
    left_out: Family<OfEvent, Counter>,
    source_filter_errors: Family<OfEvent, Counter>,
    unreadable: Family<OfEvent, Counter>,
    missed: Family<OfEvent, Counter>,
    filtered: Family<OfDependency, Counter>,
    filter_errors: Family<OfDependency, Counter>,
    evaluated: Counter,
    unmatched: Counter,
    decided: Family<OfTrigger, Counter>,
    dead_letters: Family<OfCause, Counter>,
    letters_open: Family<OfLetters, Gauge>,
    circuits: Family<OfTarget, Gauge>,
    dropped: Family<OfCause, Counter>,
    latency: Histograms<OfTrigger>,
    lag: Gauge,
    oldest_waiting: Gauge<f64, AtomicU64>,
    waiting: Gauge,
    checkpoints: Counter,
    bus_trouble: Counter,
    bus_used: Gauge,
    bus_limit: Gauge,
    outcomes_held: Gauge,
    objects: Family<OfState, Gauge>,
    targets: Family<OfTarget, Gauge>,
    build: Family<OfBuild, Gauge>,
    behind: AtomicI64,
    bridges: BridgeMetrics,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfTarget {
    target: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfState {
    state: &'static str,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// What is looked up when metrics are asked for, and not kept.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Actions that wait, run or wait for a retry.
    pub open_actions: u64,
    /// How long the oldest of them has been open.
    pub oldest: Option<Duration>,
    /// How many objects are in use, and how many are refused.
    pub objects: (usize, usize),
    /// Where actions can go.
    pub targets: Vec<String>,
    /// Each event source, and how many of its events can come in.
    pub sources: Vec<(ObjectName, u64)>,
    /// Open dead letters, by cause.
    pub letters: BTreeMap<Cause, u64>,
    /// Targets whose circuit is open.
    pub circuits: Vec<String>,
    /// What became of events at each dependency.
    pub tally: Option<Arc<Tally>>,
    /// How full the event bus is, where that is known.
    pub fill: Option<Fill>,
    /// How the bridges to buses of Argo Events are.
    pub bridges: Vec<Arc<BridgeStatus>>,
}

impl Metrics {
    /// Metrics of a daemon whose workflows go to `target`.
    pub fn new(target: &str) -> Self {
        let metrics = Self {
            registry: Registry::default(),
            running: Family::default(),
            sent: Family::default(),
            sent_failed: Family::default(),
            processing_failed: Family::default(),
            triggered: Family::default(),
            action_failed: Family::default(),
            retries_failed: Family::default(),
            action_duration: Family::new_with_constructor(milliseconds),
            accepted_bytes: Counter::default(),
            duplicates: Family::default(),
            left_out: Family::default(),
            source_filter_errors: Family::default(),
            unreadable: Family::default(),
            missed: Family::default(),
            filtered: Family::default(),
            filter_errors: Family::default(),
            evaluated: Counter::default(),
            unmatched: Counter::default(),
            decided: Family::default(),
            dead_letters: Family::default(),
            letters_open: Family::default(),
            circuits: Family::default(),
            dropped: Family::default(),
            latency: Family::new_with_constructor(seconds),
            lag: Gauge::default(),
            oldest_waiting: Gauge::default(),
            waiting: Gauge::default(),
            checkpoints: Counter::default(),
            bus_trouble: Counter::default(),
            bus_used: Gauge::default(),
            bus_limit: Gauge::default(),
            outcomes_held: Gauge::default(),
            objects: Family::default(),
            targets: Family::default(),
            build: Family::default(),
            behind: AtomicI64::new(0),
            bridges: BridgeMetrics::default(),
        };
        let build = OfBuild { version: env!("CARGO_PKG_VERSION"), target: target.to_owned() };
        metrics.build.get_or_create(&build).set(1);
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let mut registry = Registry::default();
        let argo = registry.sub_registry_with_prefix("argo_events");
        argo.register(
            "event_service_running_total",
            "Events of the event source that can come in",
            self.running.clone(),
        );
        argo.register("events_sent", "Events that are durable", self.sent.clone());
        argo.register(
            "events_sent_failed",
            "Events that the bus did not take; upstream was told",
            self.sent_failed.clone(),
        );
        argo.register(
            "events_processing_failed",
            "What came in and was refused",
            self.processing_failed.clone(),
        );
        argo.register("action_triggered", "Actions that were carried out", self.triggered.clone());
        argo.register("action_failed", "Attempts that failed", self.action_failed.clone());
        argo.register(
            "action_retries_failed",
            "Actions that became dead letters",
            self.retries_failed.clone(),
        );
        argo.register(
            "action_duration_milliseconds",
            "How long the target took",
            self.action_duration.clone(),
        );
        let own = registry.sub_registry_with_prefix("tripline");
        self.bridges.register(own);
        own.register_with_unit(
            "events_accepted",
            "Size of the events that are durable",
            Unit::Bytes,
            self.accepted_bytes.clone(),
        );
        own.register("events_duplicate", "Events whose id was known", self.duplicates.clone());
        own.register(
            "events_left_out",
            "What the filter of its event source left out",
            self.left_out.clone(),
        );
        own.register(
            "source_filter_errors",
            "Of what was left out, where the filter could not be evaluated",
            self.source_filter_errors.clone(),
        );
        own.register(
            "events_unreadable",
            "What came in, will never be an event and is a dead letter",
            self.unreadable.clone(),
        );
        own.register(
            "ticks_missed",
            "Ticks that were passed over and are not made up",
            self.missed.clone(),
        );
        own.register(
            "events_filtered",
            "Events that a dependency's filters did not let through",
            self.filtered.clone(),
        );
        own.register(
            "filter_errors",
            "Filters that could not be evaluated",
            self.filter_errors.clone(),
        );
        own.register("events_evaluated", "Events that were evaluated", self.evaluated.clone());
        own.register(
            "events_without_action",
            "Events that completed no condition",
            self.unmatched.clone(),
        );
        own.register("actions_decided", "Actions that are durable", self.decided.clone());
        own.register("dead_letters", "Dead letters", self.dead_letters.clone());
        own.register(
            "dead_letters_open",
            "Dead letters that nobody has retried or dropped",
            self.letters_open.clone(),
        );
        own.register(
            "circuit_open",
            "1 for each target that does not answer: one attempt at a time is made there",
            self.circuits.clone(),
        );
        own.register("actions_dropped", "Actions that were dropped", self.dropped.clone());
        own.register_with_unit(
            "decision_to_success",
            "From the decision to the success",
            Unit::Seconds,
            self.latency.clone(),
        );
        own.register("lag_events", "Events that are not evaluated yet", self.lag.clone());
        own.register(
            "actions_open",
            "Actions that wait, run or wait for a retry",
            self.waiting.clone(),
        );
        own.register_with_unit(
            "oldest_action_age",
            "Since when the oldest open action was decided",
            Unit::Seconds,
            self.oldest_waiting.clone(),
        );
        own.register("checkpoints", "Checkpoints that were written", self.checkpoints.clone());
        own.register(
            "bus_trouble",
            "Times the bus failed in a way that is tried again",
            self.bus_trouble.clone(),
        );
        own.register_with_unit(
            "bus_used",
            "What is kept on the event bus, with its overhead; 0 where it is not known",
            Unit::Bytes,
            self.bus_used.clone(),
        );
        own.register_with_unit(
            "bus_limit",
            "How much that may be before new events are refused; 0 where it is not known",
            Unit::Bytes,
            self.bus_limit.clone(),
        );
        own.register(
            "outcomes_held",
            "Outcomes that the bus did not take yet",
            self.outcomes_held.clone(),
        );
        own.register("target", "1 for each target that actions can go to", self.targets.clone());
        own.register("objects", "Objects of the configuration", self.objects.clone());
        own.register("build_info", "Always 1", self.build.clone());
        self.registry = registry;
        self
    }

    /// The text that a Prometheus server reads.
    ///
    /// # Errors
    /// None that can happen when writing to a text.
    pub fn render(&self, sample: &Sample) -> Result<String, fmt::Error> {
        self.waiting.set(i64::try_from(sample.open_actions).unwrap_or(i64::MAX));
        self.oldest_waiting.set(sample.oldest.unwrap_or_default().as_secs_f64());
        let (valid, invalid) = sample.objects;
        for (state, count) in [("valid", valid), ("invalid", invalid)] {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.objects.get_or_create(&OfState { state }).set(count);
        }
        self.targets.clear();
        for target in &sample.targets {
            self.targets.get_or_create(&OfTarget { target: target.clone() }).set(1);
        }
        self.letters_open.clear();
        for (cause, count) in &sample.letters {
            let labels = OfLetters { cause: cause.as_str() };
            self.letters_open.get_or_create(&labels).set(i64::try_from(*count).unwrap_or(i64::MAX));
        }
        self.circuits.clear();
        for target in &sample.circuits {
            self.circuits.get_or_create(&OfTarget { target: target.clone() }).set(1);
        }
        self.running.clear();
        for (name, ready) in &sample.sources {
            let labels =
                OfSource { namespace: name.namespace.clone(), eventsource_name: name.name.clone() };
            self.running.get_or_create(&labels).set(i64::try_from(*ready).unwrap_or(i64::MAX));
        }
        self.lag.set(self.behind.load(Ordering::Relaxed));
        let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.bus_used.set(sample.fill.map_or(0, |fill| bytes(fill.used)));
        self.bus_limit.set(sample.fill.map_or(0, |fill| bytes(fill.limit)));
        self.bridges.set(&sample.bridges);
        if let Some(tally) = &sample.tally {
            self.count_filtered(tally);
        }
        let mut text = String::new();
        let encoded = encode(&mut text, &self.registry);
        // The tally has them; twice ten thousand of them are not kept twice.
        self.filtered.clear();
        self.filter_errors.clear();
        encoded.map(|()| text)
    }
}

impl Metrics {
    fn count_filtered(&self, tally: &Tally) {
        let not_passed = tally.each().filter(|(_, _, verdicts)| verdicts.filtered > 0);
        for (place, (sensor, dependency, verdicts)) in not_passed.enumerate() {
            let labels = match place < MOST_DEPENDENCIES {
                true => OfDependency {
                    namespace: sensor.name.namespace.clone(),
                    sensor_name: sensor.name.name.clone(),
                    dependency_name: dependency.name.as_ref().to_owned(),
                },
                false => OfDependency::others(),
            };
            self.filtered.get_or_create(&labels).inc_by(verdicts.filtered);
            if verdicts.errors > 0 {
                self.filter_errors.get_or_create(&labels).inc_by(verdicts.errors);
            }
        }
    }
}

impl EngineObserver for Metrics {
    fn on_accepted(&self, key: &EventKey, bytes: usize, duplicate: bool) {
        let labels = OfEvent::from(key);
        if duplicate {
            self.duplicates.get_or_create(&labels).inc();
        } else {
            self.sent.get_or_create(&labels).inc();
            self.accepted_bytes.inc_by(bytes as u64);
        }
    }

    fn on_not_accepted(&self, key: &EventKey, _: &WriteError) {
        self.sent_failed.get_or_create(&key.into()).inc();
    }

    fn on_left_out(&self, key: &EventKey, error: Option<&str>) {
        let labels = OfEvent::from(key);
        if error.is_some() {
            self.source_filter_errors.get_or_create(&labels).inc();
        }
        self.left_out.get_or_create(&labels).inc();
    }

    fn on_refused(&self, key: &EventKey, _: &str) {
        self.processing_failed.get_or_create(&key.into()).inc();
    }

    fn on_unreadable(&self, key: &EventKey, _: &str) {
        self.unreadable.get_or_create(&key.into()).inc();
        self.processing_failed.get_or_create(&key.into()).inc();
        let labels = OfCause {
            namespace: key.namespace.clone(),
            sensor_name: String::new(),
            trigger_name: String::new(),
            cause: Cause::Malformed.as_str(),
        };
        self.dead_letters.get_or_create(&labels).inc();
    }

    fn on_parked(&self, sensor: &ObjectName, letter: &DeadLetter) {
        let labels = OfCause {
            namespace: sensor.namespace.clone(),
            sensor_name: sensor.name.clone(),
            trigger_name: String::new(),
            cause: letter.cause.as_str(),
        };
        self.dead_letters.get_or_create(&labels).inc();
    }

    fn on_missed(&self, key: &EventKey, count: u64) {
        self.missed.get_or_create(&key.into()).inc_by(count);
    }

    fn on_evaluated(&self, _: &Event, actions: usize) {
        self.evaluated.inc();
        if actions == 0 {
            self.unmatched.inc();
        }
    }

    fn on_duplicate(&self, duplicate: &Duplicate) {
        self.duplicates.get_or_create(&(&duplicate.key).into()).inc();
    }

    fn on_decided(&self, _: Position, action: &Action) {
        self.decided.get_or_create(&action.into()).inc();
    }

    fn on_progress(&self, _: Position, behind: u64) {
        self.behind.store(i64::try_from(behind).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    fn on_checkpoint(&self, _: Position) {
        self.checkpoints.inc();
    }

    fn on_bus_trouble(&self, _: &str, error: Option<&str>) {
        if error.is_some() {
            self.bus_trouble.inc();
        }
    }
}

impl Observer for Metrics {
    fn on_succeeded(&self, action: &Action, success: &Success<'_>) {
        let labels = OfTrigger::from(action);
        self.triggered.get_or_create(&labels).inc();
        self.action_duration
            .get_or_create(&labels)
            .observe(success.attempt_took.as_secs_f64() * 1e3);
        self.latency.get_or_create(&labels).observe(success.since_decided.as_secs_f64());
        self.outcomes_held.set(0);
    }

    fn on_retry(&self, action: &Action, _: u32, _: &str, _: Timestamp) {
        self.action_failed.get_or_create(&action.into()).inc();
    }

    fn on_dead_letter(&self, action: &Action, cause: Cause, _: &str) {
        self.retries_failed.get_or_create(&action.into()).inc();
        let OfTrigger { namespace, sensor_name, trigger_name } = action.into();
        let labels = OfCause { namespace, sensor_name, trigger_name, cause: cause.as_str() };
        self.dead_letters.get_or_create(&labels).inc();
    }

    fn on_dropped(&self, action: &Action, cause: DropCause, _: &str) {
        let OfTrigger { namespace, sensor_name, trigger_name } = action.into();
        let labels = OfCause { namespace, sensor_name, trigger_name, cause: cause.as_str() };
        self.dropped.get_or_create(&labels).inc();
    }

    fn on_outcomes_held(&self, _: &WriteError, waiting: usize) {
        self.outcomes_held.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }
}
