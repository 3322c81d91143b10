//! One circuit for each target: when a target is down, a thousand waiting actions are not a
//! thousand timeouts. No I/O, no clock.
//!
//! A circuit opens after [`FAILURES`] attempts in a row that failed in a way that is worth
//! another attempt, whichever triggers made them. While it is open, a trigger has one attempt
//! at a time there: one whose retry is due at once, one that was never tried after a wait
//! that doubles up to [`LONGEST_WAIT`]. The first attempt that is answered closes it. A
//! trigger whose own attempts have not failed since it opened need not wait: what fails for
//! one trigger delays no other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tripline_event::Timestamp;

use super::state::QueueId;

/// So many failures in a row open a circuit.
pub(super) const FAILURES: u32 = 5;
/// The first wait for a probe by an action that was never tried; it doubles.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait for a probe.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The most targets that are remembered while nothing runs there and nothing has failed.
const MOST_IDLE: usize = 1024;

/// A circuit that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CircuitSnapshot {
    /// The target, as it is named to pause it; of a trigger whose kind has no targets,
    /// `trigger NAMESPACE/SENSOR/NAME`.
    pub target: String,
    /// Since when.
    pub since: Timestamp,
    /// How many attempts in a row have failed.
    pub failures: u32,
    /// The error of the latest of them.
    pub error: String,
    /// When an action that was never tried may be the next probe.
    pub probe_at: Timestamp,
}

/// A circuit was opened or closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CircuitChange {
    /// The target.
    pub target: Arc<str>,
    /// Whether it is open now.
    pub open: bool,
    /// How many attempts in a row had failed.
    pub failures: u32,
    /// The error of the latest of them.
    pub error: String,
}

/// Whether an attempt may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permit {
    Go,
    /// Not before this time; none: not before the attempt that is running has ended.
    Wait(Option<Timestamp>),
}

#[derive(Debug, Default)]
pub(super) struct Circuits {
    by_target: BTreeMap<Arc<str>, Circuit>,
    open: usize,
}

#[derive(Debug, Default)]
struct Circuit {
    failures: u32,
    error: String,
    in_flight: BTreeMap<QueueId, u32>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    since: Timestamp,
    probe_at: Timestamp,
    probes: u32,
    /// Triggers that had a failure there since.
    failed: BTreeSet<QueueId>,
}

impl Circuits {
    /// Whether any is open.
    pub(super) fn any_open(&self) -> bool {
        self.open > 0
    }

    /// Whether an action of `queue` may be attempted; `retried` says that it was before.
    pub(super) fn permit(
        &self,
        target: &str,
        queue: QueueId,
        retried: bool,
        now: Timestamp,
    ) -> Permit {
        let Some(circuit) = self.by_target.get(target) else { return Permit::Go };
        let Some(open) = &circuit.open else { return Permit::Go };
        if circuit.in_flight.contains_key(&queue) {
            Permit::Wait(None)
        } else if retried || !open.failed.contains(&queue) || open.probe_at <= now {
            Permit::Go
        } else {
            Permit::Wait(Some(open.probe_at))
        }
    }

    /// An attempt begins.
    pub(super) fn begin(&mut self, target: &Arc<str>, queue: QueueId) {
        if self.by_target.len() > MOST_IDLE {
            self.by_target
                .retain(|_, circuit| circuit.failures > 0 || !circuit.in_flight.is_empty());
        }
        let circuit = self.by_target.entry(Arc::clone(target)).or_default();
        *circuit.in_flight.entry(queue).or_default() += 1;
    }

    /// An attempt has ended, whatever became of it.
    pub(super) fn end(&mut self, target: &str, queue: QueueId) {
        let Some(circuit) = self.by_target.get_mut(target) else { return };
        if let Some(count) = circuit.in_flight.get_mut(&queue) {
            *count -= 1;
            if *count == 0 {
                circuit.in_flight.remove(&queue);
            }
        }
    }

    /// The target has answered, be it with a refusal.
    pub(super) fn answered(&mut self, target: &Arc<str>) -> Option<CircuitChange> {
        let circuit = self.by_target.get_mut(target)?;
        let failures = std::mem::take(&mut circuit.failures);
        let error = std::mem::take(&mut circuit.error);
        circuit.open.take()?;
        self.open -= 1;
        Some(CircuitChange { target: Arc::clone(target), open: false, failures, error })
    }

    /// An attempt failed in a way that is worth another one.
    pub(super) fn failed(
        &mut self,
        target: &Arc<str>,
        queue: QueueId,
        error: &str,
        now: Timestamp,
    ) -> Option<CircuitChange> {
        let circuit = self.by_target.entry(Arc::clone(target)).or_default();
        circuit.failures = circuit.failures.saturating_add(1);
        error.clone_into(&mut circuit.error);
        if circuit.failures < FAILURES {
            return None;
        }
        let was_open = circuit.open.is_some();
        let open = circuit.open.get_or_insert_with(|| Open {
            since: now,
            probe_at: now,
            probes: 0,
            failed: BTreeSet::new(),
        });
        open.failed.insert(queue);
        // Of those that were on their way when it opened, none is a probe.
        if !was_open || circuit.in_flight.values().sum::<u32>() <= 1 {
            let wait = FIRST_WAIT * 2u32.saturating_pow(open.probes.min(16));
            open.probe_at = now.checked_add(wait.min(LONGEST_WAIT)).unwrap_or(Timestamp::MAX);
            open.probes += 1;
        }
        if was_open {
            return None;
        }
        self.open += 1;
        let (target, failures) = (Arc::clone(target), circuit.failures);
        Some(CircuitChange { target, open: true, failures, error: error.to_owned() })
    }

    /// Those that are open.
    pub(super) fn snapshot(&self) -> Vec<CircuitSnapshot> {
        let one = |(target, circuit): (&Arc<str>, &Circuit)| {
            let open = circuit.open.as_ref()?;
            Some(CircuitSnapshot {
                target: target.to_string(),
                since: open.since,
                failures: circuit.failures,
                error: circuit.error.clone(),
                probe_at: open.probe_at,
            })
        };
        self.by_target.iter().filter_map(one).collect()
    }
}
