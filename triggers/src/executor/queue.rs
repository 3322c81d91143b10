//! The open actions of one trigger that are in memory. No I/O, no clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use tripline_event::{
    Action, ActionId, DropCause, Event, Origin, Position, Timestamp, TriggerName,
};

use super::hold::{Hold, HoldCause};
use super::lane::{Ending, Lane, Lanes};
use super::rate::RateWindow;
use super::{ActionFilter, Decided, TriggerPolicy};

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
    /// It was given up before a restart, and is to become a dead letter.
    pub(super) given_up: bool,
    pub(super) last_error: Option<String>,
    /// The target that it is for, once that was asked.
    pub(super) target: Option<Arc<str>>,
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
            given_up: recovered.given_up,
            last_error: None,
            target: None,
            action: decided.action,
        }
    }
}

impl Waiting {
    fn payload_bytes(&self) -> usize {
        let events = self.events.iter().flatten();
        events.map(|event| event.data.as_ref().map_or(0, bytes::Bytes::len)).sum()
    }

    /// Something may have been begun, so that it has to be gone on with.
    pub(super) fn was_begun(&self) -> bool {
        self.attempts > 0 || self.uncertain
    }

    pub(super) fn is_replayed(&self) -> bool {
        matches!(self.action.origin, Origin::Replay { .. })
    }
}

/// Actions that were offered and stand in the ACTIONS log alone: which records they are, the
/// [`super::unread::Unread`] of all triggers knows.
#[derive(Debug)]
pub(super) struct Beyond {
    /// The first record that may be one of them.
    pub(super) from: Position,
    /// The last one that was offered.
    pub(super) through: Position,
    pub(super) count: u64,
    /// They are being read.
    pub(super) reading: bool,
}

/// Waiting actions are to be dropped, those that will be read back included.
#[derive(Clone)]
pub(super) struct DropOrder {
    pub(super) through: Position,
    pub(super) filter: ActionFilter,
    pub(super) dropping: Dropping,
}

/// Why an action is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dropping {
    pub(super) cause: DropCause,
    pub(super) reason: Arc<str>,
    pub(super) by: Option<ActionId>,
}

/// What is to be done with an action that was taken from the queue.
#[derive(Debug)]
pub(super) enum Step {
    /// Make an attempt.
    Start(Waiting),
    /// It was given up before a restart: its dead letter is to be written.
    Bury(Waiting),
    /// It expired.
    Expire(Waiting),
    /// It is not to wait.
    Drop(Waiting, Dropping),
    /// What an earlier one has started makes room for it.
    End(Arc<Action>, Ending),
}

/// An attempt that runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) decided_at: Timestamp,
    pub(super) target: Arc<str>,
}

/// The open actions of one trigger.
pub(super) struct Queue {
    pub(super) trigger: TriggerName,
    pub(super) ready: BTreeMap<Position, Waiting>,
    /// Those in `ready` that were given up before a restart.
    pub(super) given_up: Vec<Position>,
    /// When those in `ready` expire.
    pub(super) expiries: BTreeSet<(Timestamp, Position)>,
    pub(super) retrying: BTreeMap<(Timestamp, Position), Waiting>,
    pub(super) in_flight: BTreeMap<Position, Running>,
    pub(super) lanes: Lanes,
    /// Ended, but the outcome is not durable.
    recording: usize,
    payload_bytes: usize,
    pub(super) beyond: Option<Beyond>,
    pub(super) orders: Vec<DropOrder>,
    /// Of the actions up to here, only the newest of each lane is carried out.
    pub(super) latest_through: Option<Position>,
    pub(super) rate: RateWindow,
    /// When targets were called: what is between a start and the call takes its time.
    pub(super) calls: RateWindow,
    pub(super) replay_rate: RateWindow,
    pub(super) last_error: Option<String>,
    /// Why its next action is not started.
    pub(super) hold: Option<Hold>,
    /// The freeze window that was told last.
    pub(super) frozen_until: Option<Timestamp>,
    pub(super) wake_at: Option<Timestamp>,
    pub(super) dirty: bool,
}

impl Queue {
    pub(super) fn new(trigger: TriggerName) -> Self {
        Self {
            trigger,
            ready: BTreeMap::new(),
            given_up: Vec::new(),
            expiries: BTreeSet::new(),
            retrying: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            lanes: Lanes::default(),
            recording: 0,
            payload_bytes: 0,
            beyond: None,
            orders: Vec::new(),
            latest_through: None,
            rate: RateWindow::default(),
            calls: RateWindow::default(),
            replay_rate: RateWindow::default(),
            last_error: None,
            hold: None,
            frozen_until: None,
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
        let ruled = policy.rate.is_some() || policy.exclusive() || policy.freeze.is_some();
        if waits || ruled || policy.suspended.is_some() {
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
        let running = self.in_flight.values().map(|running| running.decided_at);
        ready.into_iter().chain(retrying).chain(running).min()
    }

    /// The next action, of those that wait and those that wait for a retry: its policy is
    /// that of the trigger.
    pub(super) fn head(&self) -> Option<Arc<Action>> {
        let ready = self.ready.first_key_value().map(|(_, waiting)| waiting);
        let waiting = ready.or_else(|| self.retrying.first_key_value().map(|(_, waiting)| waiting));
        waiting.map(|waiting| Arc::clone(&waiting.action))
    }

    /// Adds an action. Its payload is kept where it is the only one, or there is room.
    pub(super) fn push(&mut self, mut waiting: Waiting, payload_limit: usize) {
        let bytes = waiting.payload_bytes();
        if self.payload_bytes > 0 && self.payload_bytes + bytes > payload_limit {
            waiting.events = None;
        } else {
            self.payload_bytes += bytes;
        }
        self.make_ready(waiting);
    }

    fn make_ready(&mut self, waiting: Waiting) {
        if waiting.given_up {
            self.given_up.push(waiting.position);
        }
        self.expiries.insert((waiting.action.expires_at, waiting.position));
        self.ready.insert(waiting.position, waiting);
    }

    /// Those whose retry is due wait from now on.
    pub(super) fn retries_due(&mut self, now: Timestamp) {
        while let Some(due) = self.retrying.first_entry()
            && due.key().0 <= now
        {
            let waiting = due.remove();
            self.make_ready(waiting);
        }
    }

    /// Takes a waiting action out; its outcome will be recorded.
    pub(super) fn remove(&mut self, position: Position) -> Option<Waiting> {
        let waiting = self.ready.remove(&position)?;
        self.expiries.remove(&(waiting.action.expires_at, position));
        self.payload_bytes -= waiting.payload_bytes();
        Some(waiting)
    }

    /// Takes an action that is not started any more.
    pub(super) fn give_up(&mut self, position: Position) -> Option<Waiting> {
        let taken = self.remove(position).or_else(|| {
            let key = self.retrying.keys().find(|(_, at)| *at == position).copied()?;
            self.retrying.remove(&key)
        })?;
        self.recording += 1;
        Some(taken)
    }

    /// Takes an action whose attempt is made now.
    pub(super) fn start(&mut self, position: Position, target: Arc<str>) -> Option<Waiting> {
        let waiting = self.remove(position)?;
        let running = Running { decided_at: waiting.action.decided_at, target };
        self.in_flight.insert(position, running);
        self.lanes.begin(position, &waiting.action);
        Some(waiting)
    }

    /// An attempt ended for good; its outcome is to become durable. Returns where it ran.
    pub(super) fn ended(&mut self, position: Position) -> Option<Arc<str>> {
        // One that expired was never in flight.
        let running = self.in_flight.remove(&position)?;
        self.recording += 1;
        Some(running.target)
    }

    /// An attempt failed and is made again at `next`. Returns where it ran.
    pub(super) fn retry(&mut self, waiting: Waiting, next: Timestamp) -> Option<Arc<str>> {
        let running = self.in_flight.remove(&waiting.position);
        self.retrying.insert((next, waiting.position), waiting);
        running.map(|running| running.target)
    }

    /// An attempt ended before it called its target: the action waits again. Its payload is read
    /// back. Returns where it ran.
    pub(super) fn put_back(&mut self, waiting: Waiting) -> Option<Arc<str>> {
        let running = self.in_flight.remove(&waiting.position);
        self.make_ready(Waiting { events: None, ..waiting });
        running.map(|running| running.target)
    }

    /// An action was read back only to be dropped.
    pub(super) fn dropped_on_reading(&mut self) {
        self.recording += 1;
    }

    /// The outcome of an action is durable.
    pub(super) fn recorded(&mut self, position: Position) {
        self.recording -= 1;
        self.lanes.close(position);
    }

    /// Takes the actions that match, whether they wait for their first attempt or for
    /// another.
    pub(super) fn take_matching(&mut self, filter: &ActionFilter) -> Vec<Waiting> {
        let all = self.ready.values().chain(self.retrying.values());
        let matching = all.filter(|waiting| !waiting.given_up && filter(&waiting.action));
        let positions: Vec<Position> = matching.map(|waiting| waiting.position).collect();
        positions.into_iter().filter_map(|position| self.give_up(position)).collect()
    }

    /// How many would be taken.
    pub(super) fn matching(&self, filter: &ActionFilter) -> (u64, Option<Timestamp>) {
        let all = self.ready.values().chain(self.retrying.values());
        let matching = all.filter(|waiting| filter(&waiting.action));
        matching.fold((0, None), |(count, oldest), waiting| {
            let at = waiting.action.decided_at;
            (count + 1, Some(oldest.map_or(at, |oldest: Timestamp| oldest.min(at))))
        })
    }

    /// Of the waiting actions of each lane all but the newest, each with the newest: of those
    /// that `counts`. The newest is the one whose event is.
    pub(super) fn superseded(
        &self,
        counts: impl Fn(&Waiting) -> bool,
    ) -> Vec<(Position, ActionId)> {
        let all = || {
            let all = self.ready.values().chain(self.retrying.values());
            all.filter(|waiting| counts(waiting))
        };
        let rank = |waiting: &Waiting| (waiting.action.cause, waiting.position);
        let mut newest: HashMap<Lane, &Waiting> = HashMap::new();
        for waiting in all() {
            let known = newest.entry(Lane::of(&waiting.action)).or_insert(waiting);
            if rank(known) < rank(waiting) {
                *known = waiting;
            }
        }
        let older = all().filter_map(|waiting| {
            let newest = newest.get(&Lane::of(&waiting.action))?;
            (newest.position != waiting.position)
                .then(|| (waiting.position, newest.action.id.clone()))
        });
        older.collect()
    }

    /// Whether actions that are in the log alone are to be read before any is started.
    pub(super) fn is_sorting(&self, limit: usize) -> bool {
        let Some(through) = self.latest_through else { return false };
        let more = self.beyond.as_ref().is_some_and(|beyond| beyond.from <= through);
        // Those that were dropped count no more, though their outcomes are still written.
        more && self.ready.len() + self.retrying.len() + self.in_flight.len() < limit
    }

    /// Whether actions that are in the log alone are to be read now; if so, it is noted
    /// that they are.
    pub(super) fn begins_to_read(&mut self, limit: usize) -> Option<Position> {
        let wanted =
            (self.is_sorting(limit) || self.ready.len() <= limit / 8) && self.held() < limit;
        let beyond = self.beyond.as_mut().filter(|beyond| wanted && !beyond.reading)?;
        beyond.reading = true;
        Some(beyond.from)
    }

    /// Why it is paused by its target, where it is.
    pub(super) fn paused_by_target(&self) -> Option<String> {
        let hold = self.hold.as_ref().filter(|hold| hold.cause == HoldCause::Paused)?;
        Some(hold.reason.clone())
    }
}
