//! The open actions of one trigger that are in memory. No I/O, no clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tripline_event::{Action, DefinitionHash, Event, Position, Timestamp, TriggerName};

use super::{ActionFilter, Decided, Suspended, TriggerPolicy};

/// An action whose attempt is not running.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) position: Position,
    pub(super) action: Arc<Action>,
    pub(super) events: Option<Vec<Arc<Event>>>,
    /// Attempts that were made, by earlier processes too.
    pub(super) attempts: u32,
    /// An earlier attempt may have reached the target without an answer.
    pub(super) uncertain: bool,
    /// That it may have been attempted is durable.
    pub(super) on_record: bool,
    pub(super) last_error: Option<String>,
}

impl From<Decided> for Waiting {
    fn from(decided: Decided) -> Self {
        let recovered = decided.recovered.unwrap_or_default();
        let attempts = recovered.prior_attempts;
        let on_record = (decided.action.attempted || attempts > 0) && !recovered.untouched;
        Self {
            position: decided.position,
            events: decided.events,
            attempts,
            uncertain: decided.recovered.is_some() && on_record,
            on_record,
            last_error: None,
            action: decided.action,
        }
    }
}

impl Waiting {
    fn payload_bytes(&self) -> usize {
        let events = self.events.iter().flatten();
        events.map(|event| event.data.as_ref().map_or(0, bytes::Bytes::len)).sum()
    }
}

/// Actions that were offered and stand in the ACTIONS log alone.
#[derive(Debug)]
pub(super) struct Beyond {
    /// The first record that may be one of them.
    pub(super) from: Position,
    /// The last one that was offered.
    pub(super) through: Position,
    /// The first one that was decided since the start. All from here on are open; of
    /// those before it, those in the [`super::recovered::RecoveredSet`].
    pub(super) live_from: Option<Position>,
    pub(super) count: u64,
    /// They are being read.
    pub(super) reading: bool,
}

/// Waiting actions are to be dropped, those that will be read back included.
#[derive(Clone)]
pub(super) struct DropOrder {
    pub(super) through: Position,
    pub(super) filter: ActionFilter,
    pub(super) reason: Arc<str>,
}

/// What is to be done with an action that was taken from the queue.
#[derive(Debug)]
pub(super) enum Step {
    /// Make an attempt.
    Start(Waiting),
    /// It expired.
    Expire(Waiting),
    /// Its definition says that it is not to wait.
    Drop(Waiting),
}

/// When there is more to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// At once: the next action has another definition, hence perhaps another policy.
    Again,
    /// At this time, if nothing else happens before.
    At(Option<Timestamp>),
}

/// A rate is kept to even if a wake-up comes this late.
const RATE_SLACK: Duration = Duration::from_millis(10);

/// The open actions of one trigger.
pub(super) struct Queue {
    pub(super) trigger: TriggerName,
    ready: BTreeMap<Position, Waiting>,
    retrying: BTreeMap<(Timestamp, Position), Waiting>,
    /// When those that run were decided.
    in_flight: BTreeMap<Position, Timestamp>,
    /// Ended, but the outcome is not durable.
    recording: usize,
    payload_bytes: usize,
    pub(super) beyond: Option<Beyond>,
    pub(super) orders: Vec<DropOrder>,
    next_start: Option<Timestamp>,
    pub(super) last_error: Option<String>,
    /// Why the paused target of its first action is paused.
    pub(super) held_by_target: Option<String>,
    pub(super) wake_at: Option<Timestamp>,
    pub(super) dirty: bool,
}

impl Queue {
    pub(super) fn new(trigger: TriggerName) -> Self {
        Self {
            trigger,
            ready: BTreeMap::new(),
            retrying: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            recording: 0,
            payload_bytes: 0,
            beyond: None,
            orders: Vec::new(),
            next_start: None,
            last_error: None,
            held_by_target: None,
            wake_at: None,
            dirty: false,
        }
    }

    /// How many of its actions are in memory.
    pub(super) fn held(&self) -> usize {
        self.ready.len() + self.retrying.len() + self.in_flight.len() + self.recording
    }

    /// How many more actions would be started as soon as they are offered.
    pub(super) fn room(&self, policy: &TriggerPolicy) -> usize {
        let waits = !self.ready.is_empty() || self.beyond.is_some();
        if waits || policy.rate.is_some() || policy.suspended.is_some() {
            return 0;
        }
        (policy.max_in_flight.max(1) as usize).saturating_sub(self.in_flight.len())
    }

    pub(super) fn counts(&self) -> (u64, u64, u64) {
        let beyond = self.beyond.as_ref().map_or(0, |beyond| beyond.count);
        (self.ready.len() as u64 + beyond, self.in_flight.len() as u64, self.retrying.len() as u64)
    }

    pub(super) fn oldest_decided_at(&self) -> Option<Timestamp> {
        let ready = self.ready.first_key_value().map(|(_, waiting)| waiting.action.decided_at);
        let retrying = self.retrying.values().map(|waiting| waiting.action.decided_at);
        let running = self.in_flight.values().copied();
        ready.into_iter().chain(retrying).chain(running).min()
    }

    /// Adds an action. Its payload is kept where it is the only one, or there is room.
    pub(super) fn push(&mut self, mut waiting: Waiting, payload_limit: usize) {
        let bytes = waiting.payload_bytes();
        if self.payload_bytes > 0 && self.payload_bytes + bytes > payload_limit {
            waiting.events = None;
        } else {
            self.payload_bytes += bytes;
        }
        self.ready.insert(waiting.position, waiting);
    }

    /// The action to start next, of those that wait and those whose retry is due.
    pub(super) fn head(&mut self, now: Timestamp) -> Option<Arc<Action>> {
        while let Some(due) = self.retrying.first_entry()
            && due.key().0 <= now
        {
            let waiting = due.remove();
            self.ready.insert(waiting.position, waiting);
        }
        self.ready.first_key_value().map(|(_, waiting)| Arc::clone(&waiting.action))
    }

    /// Takes what is to be done now from the actions of `definition`, whose policy this
    /// is; nothing is started while it is `paused`.
    pub(super) fn take(
        &mut self,
        now: Timestamp,
        definition: &DefinitionHash,
        policy: &TriggerPolicy,
        paused: bool,
    ) -> (Vec<Step>, Next) {
        let mut steps = Vec::new();
        while let Some((_, first)) = self.ready.first_key_value() {
            let expires_at = first.action.expires_at;
            let step: fn(Waiting) -> Step = if expires_at <= now {
                Step::Expire
            } else if first.action.definition != *definition {
                return (steps, Next::Again);
            } else if policy.suspended == Some(Suspended::Drop) {
                Step::Drop
            } else if paused
                || policy.suspended.is_some()
                || self.in_flight.len() >= policy.max_in_flight.max(1) as usize
            {
                return (steps, self.wake(Some(expires_at)));
            } else if let Some(at) = self.next_start.filter(|at| policy.rate.is_some() && *at > now)
            {
                return (steps, self.wake(Some(expires_at.min(at))));
            } else {
                self.count_start(now, policy);
                Step::Start
            };
            let Some((_, waiting)) = self.ready.pop_first() else { break };
            steps.push(self.taken(step(waiting)));
        }
        (steps, self.wake(None))
    }

    fn taken(&mut self, step: Step) -> Step {
        let (Step::Start(waiting) | Step::Expire(waiting) | Step::Drop(waiting)) = &step;
        self.payload_bytes -= waiting.payload_bytes();
        if let Step::Start(waiting) = &step {
            self.in_flight.insert(waiting.position, waiting.action.decided_at);
        } else {
            self.recording += 1;
        }
        step
    }

    fn count_start(&mut self, now: Timestamp, policy: &TriggerPolicy) {
        self.next_start = policy.rate.map(|rate| {
            let late = now.checked_sub(RATE_SLACK).unwrap_or(now);
            let from = self.next_start.map_or(now, |at| at.max(late));
            from.checked_add(rate.per / rate.requests.max(1)).unwrap_or(Timestamp::MAX)
        });
    }

    /// When there is more to be done, at `other` or earlier.
    pub(super) fn wake(&self, other: Option<Timestamp>) -> Next {
        let retry = self.retrying.first_key_value().map(|((at, _), _)| *at);
        Next::At(retry.into_iter().chain(other).min())
    }

    /// An attempt ended for good; its outcome is to become durable.
    pub(super) fn ended(&mut self, position: Position) {
        // One that expired was never in flight.
        if self.in_flight.remove(&position).is_some() {
            self.recording += 1;
        }
    }

    /// An attempt failed and is made again at `next`.
    pub(super) fn retry(&mut self, waiting: Waiting, next: Timestamp) {
        self.in_flight.remove(&waiting.position);
        self.retrying.insert((next, waiting.position), waiting);
    }

    /// An action was read back only to be dropped.
    pub(super) fn dropped_on_reading(&mut self) {
        self.recording += 1;
    }

    /// An outcome is durable.
    pub(super) fn recorded(&mut self) {
        self.recording -= 1;
    }

    /// Takes the actions that match, whether they wait for their first attempt or for
    /// another.
    pub(super) fn take_matching(&mut self, filter: &ActionFilter) -> Vec<Waiting> {
        let ready = self.ready.extract_if(.., |_, waiting| filter(&waiting.action));
        let mut taken: Vec<_> = ready.map(|(_, waiting)| waiting).collect();
        let bytes: usize = taken.iter().map(Waiting::payload_bytes).sum();
        self.payload_bytes -= bytes;
        let retrying = self.retrying.extract_if(.., |_, waiting| filter(&waiting.action));
        taken.extend(retrying.map(|(_, waiting)| waiting));
        self.recording += taken.len();
        taken
    }

    /// Whether actions that are in the log alone are to be read now; if so, it is noted
    /// that they are.
    pub(super) fn begins_to_read(&mut self, limit: usize) -> Option<Position> {
        let wanted = self.ready.len() <= limit / 8 && self.held() < limit;
        let beyond = self.beyond.as_mut().filter(|beyond| wanted && !beyond.reading)?;
        beyond.reading = true;
        Some(beyond.from)
    }
}
