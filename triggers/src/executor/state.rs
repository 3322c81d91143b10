//! The queues of all triggers, and what is common to them. No I/O, no clock.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use tripline_event::{Action, ActionId, Position, Timestamp, TriggerName};

use super::circuit::{CircuitChange, Circuits};
use super::queue::{Beyond, DropOrder, Dropping, Queue, Waiting};
use super::run::Run;
use super::take::{Surroundings, Taken};
use super::unread::Unread;
use super::{
    ActionFilter, CircuitSnapshot, Decided, Limits, RateLimit, Renderer, Scope, TriggerPolicy,
    TriggerSnapshot,
};

/// A queue, by its place in [`State::queues`].
pub(super) type QueueId = usize;

/// The queues of all triggers.
pub(super) struct State {
    limits: Limits,
    queues: Vec<Queue>,
    by_trigger: BTreeMap<TriggerName, QueueId>,
    /// Queues in which something may be done now.
    dirty: VecDeque<QueueId>,
    /// When queues become dirty by themselves; one entry at most for each.
    timers: BTreeSet<(Timestamp, QueueId)>,
    /// Where the open actions in memory stand.
    open: BTreeSet<Position>,
    /// Where those stand that are in the log alone.
    unread: Unread,
    paused: BTreeMap<Scope, String>,
    circuits: Circuits,
    /// Actions of `dlqTrigger`s that were in the log at the start, or were appended since.
    follow_ups: HashSet<ActionId>,
    /// What goes on though its action is closed.
    runs: HashMap<ActionId, (QueueId, Run)>,
    /// From where outcomes may tell of the end of one that was begun since this was asked.
    runs_from: Option<Position>,
    stopping: bool,
}

/// How an attempt went, for the circuit of its target.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answered<'a> {
    /// The target answered, be it with a refusal.
    Yes,
    /// It failed in a way that is worth another attempt.
    No(&'a str),
}

impl State {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            queues: Vec::new(),
            by_trigger: BTreeMap::new(),
            dirty: VecDeque::new(),
            timers: BTreeSet::new(),
            open: BTreeSet::new(),
            unread: Unread::default(),
            paused: BTreeMap::new(),
            circuits: Circuits::default(),
            follow_ups: HashSet::new(),
            runs: HashMap::new(),
            runs_from: None,
            stopping: false,
        }
    }

    pub(super) fn offer(&mut self, decided: Decided) {
        let id = self.queue_of(&decided.action.trigger);
        let position = decided.position;
        if self.open.contains(&position) || self.unread.contains(position) {
            return;
        }
        let queue = &mut self.queues[id];
        let full = queue.held() >= self.limits.actions_per_trigger;
        // One that is offered late may stand before others that were offered already.
        if full || queue.beyond.as_ref().is_some_and(|beyond| position >= beyond.from) {
            let beyond = queue.beyond.get_or_insert(Beyond {
                from: position,
                through: position,
                count: 0,
                reading: false,
            });
            beyond.from = beyond.from.min(position);
            beyond.through = beyond.through.max(position);
            beyond.count += 1;
            self.unread.insert(position, decided.recovered);
        } else {
            self.open.insert(position);
            queue.push(Waiting::from(decided), self.limits.payload_bytes_per_trigger);
        }
        self.touch(id);
    }

    pub(super) fn room(&self, trigger: &TriggerName, policy: &TriggerPolicy) -> usize {
        let paused = self.paused.keys().any(|scope| {
            // Whether a target is paused is found out only when the action is started.
            matches!(scope, Scope::Target(_)) || scope.names(trigger)
        });
        if paused || self.stopping || self.circuits.any_open() {
            return 0;
        }
        let most = self.limits.actions_per_trigger;
        match self.by_trigger.get(trigger) {
            Some(id) => {
                self.queues[*id].room(policy).min(most.saturating_sub(self.queues[*id].held()))
            }
            None => Queue::new(trigger.clone()).room(policy).min(most),
        }
    }

    fn queue_of(&mut self, trigger: &TriggerName) -> QueueId {
        if let Some(id) = self.by_trigger.get(trigger) {
            return *id;
        }
        let id = self.queues.len();
        self.queues.push(Queue::new(trigger.clone()));
        self.by_trigger.insert(trigger.clone(), id);
        id
    }

    pub(super) fn queue(&mut self, id: QueueId) -> &mut Queue {
        &mut self.queues[id]
    }

    /// Notes that something may be done in a queue.
    pub(super) fn touch(&mut self, id: QueueId) {
        let queue = &mut self.queues[id];
        if !queue.dirty {
            queue.dirty = true;
            self.dirty.push_back(id);
        }
    }

    pub(super) fn touch_all(&mut self) {
        (0..self.queues.len()).for_each(|id| self.touch(id));
    }

    pub(super) fn stop(&mut self) {
        self.stopping = true;
    }

    /// The next queue to look at, and an action of it, whose policy is the queue's.
    pub(super) fn next_dirty(&mut self, now: Timestamp) -> Option<(QueueId, Option<Arc<Action>>)> {
        while let Some((at, id)) = self.timers.first().copied()
            && at <= now
        {
            self.timers.pop_first();
            self.queues[id].wake_at = None;
            self.touch(id);
        }
        if self.stopping {
            return None;
        }
        let id = self.dirty.pop_front()?;
        self.queues[id].dirty = false;
        Some((id, self.queues[id].head()))
    }

    /// When the next queue becomes dirty by itself.
    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Takes what is to be done now in a queue.
    pub(super) fn take(
        &mut self,
        id: QueueId,
        now: Timestamp,
        policy: &TriggerPolicy,
        renderer: &dyn Renderer,
    ) -> Taken {
        let Self { queues, paused, circuits, limits, .. } = self;
        let queue = &mut queues[id];
        let trigger = queue.trigger.clone();
        let by_name =
            paused.iter().find_map(|(scope, reason)| scope.names(&trigger).then_some(reason));
        let any_target = paused.keys().any(|scope| matches!(scope, Scope::Target(_)));
        let taken = queue.take(Surroundings {
            id,
            now,
            policy,
            paused: by_name,
            target_paused: &|target| {
                any_target.then(|| paused.get(&Scope::Target(target.to_owned())))?.cloned()
            },
            target_of: &|waiting| match renderer.target(&waiting.action) {
                Some(target) => target.into(),
                None => format!("trigger {trigger}").into(),
            },
            circuits,
            limit: limits.actions_per_trigger,
        });
        self.settle(id, taken.wake);
        taken
    }

    fn settle(&mut self, id: QueueId, wake: Option<Timestamp>) {
        let queue = &mut self.queues[id];
        // A timer that is too early is harmless: the queue is looked at once more.
        if let Some(at) = wake
            && queue.wake_at.is_none_or(|earlier| at < earlier)
        {
            if let Some(later) = queue.wake_at.replace(at) {
                self.timers.remove(&(later, id));
            }
            self.timers.insert((at, id));
        }
    }

    /// What an attempt says about its target.
    pub(super) fn answered(
        &mut self,
        id: QueueId,
        position: Position,
        answered: Answered<'_>,
        now: Timestamp,
    ) -> Option<CircuitChange> {
        let target = Arc::clone(&self.queues[id].in_flight.get(&position)?.target);
        let change = match answered {
            Answered::Yes => self.circuits.answered(&target),
            Answered::No(error) => self.circuits.failed(&target, id, error, now),
        };
        if change.as_ref().is_some_and(|change| !change.open) {
            self.touch_all();
        }
        change
    }

    /// An attempt ended for good. Its outcome is pushed after this.
    pub(super) fn ended(&mut self, id: QueueId, position: Position, last_error: Option<String>) {
        let queue = &mut self.queues[id];
        let target = queue.ended(position);
        queue.last_error = last_error;
        self.left(id, target);
    }

    /// An attempt failed and is made again at `next`.
    pub(super) fn retry(&mut self, id: QueueId, waiting: Waiting, next: Timestamp, error: String) {
        let queue = &mut self.queues[id];
        let target = queue.retry(waiting, next);
        queue.last_error = Some(error);
        self.left(id, target);
    }

    /// Whether nothing of the queue is to be started at the target of an attempt that runs.
    pub(super) fn is_held(
        &self,
        id: QueueId,
        position: Position,
        policy: &TriggerPolicy,
        now: Timestamp,
    ) -> bool {
        let running = self.queues[id].in_flight.get(&position);
        let target = || running.map(|running| Scope::Target(running.target.to_string()));
        let paused = !self.paused.is_empty()
            && (self.paused_by_name(id).is_some()
                || target().is_some_and(|target| self.paused.contains_key(&target)));
        let frozen = policy.freeze.as_ref().is_some_and(|freeze| freeze.frozen(now).is_some());
        paused || frozen || policy.suspended.is_some()
    }

    /// An attempt ends before the target was called.
    pub(super) fn put_back(&mut self, id: QueueId, waiting: Waiting) {
        let target = self.queues[id].put_back(waiting);
        self.left(id, target);
    }

    fn left(&mut self, id: QueueId, target: Option<Arc<str>>) {
        if let Some(target) = target {
            self.circuits.end(&target, id);
        }
        self.touch(id);
    }

    /// The action of a `dlqTrigger` is in the log already.
    pub(super) fn knows_follow_up(&self, id: &ActionId) -> bool {
        self.follow_ups.contains(id)
    }

    pub(super) fn note_follow_up(&mut self, id: ActionId) {
        self.follow_ups.insert(id);
    }

    /// The circuits that are open.
    pub(super) fn circuits(&self) -> Vec<CircuitSnapshot> {
        self.circuits.snapshot()
    }

    /// What an action has started goes on.
    pub(super) fn run_begun(&mut self, run: &Run) {
        self.runs_from = self.runs_from.into_iter().chain([run.outcomes_from]).min();
        let id = self.queue_of(&run.trigger);
        self.queues[id].lanes.run(run.lane(), run.action.clone());
        self.runs.insert(run.action.clone(), (id, run.clone()));
        // It may be in the way of one that waits.
        self.touch(id);
    }

    /// What the action has started, while it goes on.
    pub(super) fn run(&self, action: &ActionId) -> Option<Run> {
        self.runs.get(action).map(|(_, run)| run.clone())
    }

    /// It could not be asked to end, and is asked again at `again`.
    pub(super) fn not_ended(&mut self, run: &Run, again: Timestamp, error: String) {
        let Some((id, _)) = self.runs.get(&run.action) else { return };
        let (id, queue) = (*id, &mut self.queues[*id]);
        queue.lanes.not_asked(&run.lane(), &run.action, again);
        queue.last_error = Some(error);
        self.touch(id);
    }

    /// What an action has started has ended; whether anybody waited for that.
    pub(super) fn run_ended(&mut self, action: &ActionId) -> bool {
        let Some((id, run)) = self.runs.remove(action) else { return false };
        self.queues[id].lanes.run_ended(&run.lane(), action);
        self.touch(id);
        true
    }

    /// Whether an end is waited for; and from where outcomes may tell of one that began to be
    /// waited for since this was asked.
    pub(super) fn awaited_runs(&mut self) -> (bool, Option<Position>) {
        (!self.runs.is_empty(), self.runs_from.take())
    }

    /// An attempt was made by an earlier process.
    pub(super) fn note_start(&mut self, trigger: &TriggerName, at: Timestamp) {
        let id = self.queue_of(trigger);
        self.queues[id].rate.note(at);
        self.queues[id].calls.note(at);
    }

    /// Whether the target may be called now within the rate; if not, when it may.
    pub(super) fn call(
        &mut self,
        id: QueueId,
        limit: RateLimit,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let calls = &mut self.queues[id].calls;
        let free = calls.window_free_at(limit, now);
        if free > now {
            return Some(free);
        }
        calls.start(limit, now);
        None
    }

    /// Of the actions in the scope that wait now only the newest of each lane are carried out.
    pub(super) fn keep_latest(&mut self, scope: &Scope) {
        for queue in &mut self.queues {
            if !matches!(scope, Scope::Target(_)) && !scope.names(&queue.trigger) {
                continue;
            }
            let in_memory = queue.ready.keys().chain(queue.retrying.keys().map(|(_, at)| at));
            let beyond = queue.beyond.as_ref().map(|beyond| &beyond.through);
            let last = in_memory.chain(beyond).max().copied();
            queue.latest_through = queue.latest_through.max(last);
        }
        self.touch_all();
    }

    /// How many waiting actions match, since when the oldest of them waits, and how many are
    /// in the log alone.
    pub(super) fn count_matching(
        &self,
        filter: &ActionFilter,
    ) -> Vec<(TriggerName, u64, Option<Timestamp>, u64)> {
        let one = |id: &QueueId| {
            let queue = &self.queues[*id];
            let (count, oldest) = queue.matching(filter);
            let beyond = queue.beyond.as_ref().map_or(0, |beyond| beyond.count);
            (queue.trigger.clone(), count, oldest, beyond)
        };
        self.by_trigger.values().map(one).collect()
    }

    fn paused_by_name(&self, id: QueueId) -> Option<&String> {
        let trigger = &self.queues[id].trigger;
        self.paused.iter().find_map(|(scope, reason)| scope.names(trigger).then_some(reason))
    }

    /// From where actions are to be read back for a queue now.
    pub(super) fn begins_to_read(&mut self, id: QueueId) -> Option<Position> {
        self.queues[id].begins_to_read(self.limits.actions_per_trigger)
    }

    /// Takes in the records from `Beyond::from` on, with the actions in them that belong
    /// to the queue's trigger; `from` is where they were read. Returns what was dropped on the
    /// way, and where to read on; none where there is no room, or nothing more.
    pub(super) fn read_back(
        &mut self,
        id: QueueId,
        from: Position,
        records: Vec<(Position, Option<Arc<Action>>)>,
    ) -> (Vec<(Waiting, Dropping)>, Option<Position>) {
        let mut dropped = Vec::new();
        if let Some((first, _)) = records.first().filter(|(first, _)| *first > from) {
            self.unread.forget_before(*first);
        }
        let queue = &mut self.queues[id];
        let Some(mut beyond) = queue.beyond.take() else { return (dropped, None) };
        if beyond.from < from {
            // One that stands before was offered while these were read.
            let more = beyond.from;
            queue.beyond = Some(beyond);
            return (dropped, Some(more));
        }
        for (position, action) in records {
            if queue.held() >= self.limits.actions_per_trigger {
                break;
            }
            if position > beyond.through {
                beyond.from = position;
                break;
            }
            beyond.from = position.next();
            // Of the trigger's actions there those that are closed, or in memory, are no more.
            let Some(action) = action.filter(|_| self.unread.contains(position)) else { continue };
            let recovered = self.unread.take(position);
            beyond.count = beyond.count.saturating_sub(1);
            self.open.insert(position);
            let waiting = Waiting::from(Decided { position, action, events: None, recovered });
            match order_for(&queue.orders, &waiting) {
                Some(dropping) => {
                    queue.dropped_on_reading();
                    dropped.push((waiting, dropping));
                }
                None => queue.push(waiting, 0),
            }
        }
        let room = queue.held() < self.limits.actions_per_trigger;
        let more = (beyond.from <= beyond.through).then_some(beyond.from).filter(|_| room);
        queue.orders.retain(|order| order.through >= beyond.from);
        if beyond.from <= beyond.through {
            beyond.reading = more.is_some();
            queue.beyond = Some(beyond);
        } else {
            queue.orders.clear();
        }
        self.touch(id);
        (dropped, more)
    }

    /// The outcome that closes an action is durable.
    pub(super) fn closed(&mut self, id: QueueId, position: Position) {
        self.open.remove(&position);
        self.queues[id].recorded(position);
        // Others may have waited for it, or there is room for more.
        self.touch(id);
    }

    pub(super) fn low_water(&self, next: Position) -> Position {
        self.open.first().copied().into_iter().chain(self.unread.first()).min().unwrap_or(next)
    }

    pub(super) fn pause(&mut self, scope: Scope, reason: &str) {
        self.paused.insert(scope, reason.to_owned());
    }

    pub(super) fn resume(&mut self, scope: &Scope) -> bool {
        let was = self.paused.remove(scope).is_some();
        self.touch_all();
        was
    }

    pub(super) fn paused(&self) -> Vec<(Scope, String)> {
        self.paused.iter().map(|(scope, reason)| (scope.clone(), reason.clone())).collect()
    }

    /// Takes the waiting actions that match. Those that are in the log alone are taken
    /// when they are read; the second number is how many there are.
    pub(super) fn take_matching(
        &mut self,
        filter: &ActionFilter,
        dropping: &Dropping,
    ) -> (Vec<(QueueId, Waiting)>, u64) {
        let mut taken = Vec::new();
        let mut to_examine = 0;
        for (id, queue) in self.queues.iter_mut().enumerate() {
            taken.extend(queue.take_matching(filter).into_iter().map(|waiting| (id, waiting)));
            if let Some(beyond) = &queue.beyond {
                to_examine += beyond.count;
                queue.orders.push(DropOrder {
                    through: beyond.through,
                    filter: Arc::clone(filter),
                    dropping: dropping.clone(),
                });
            }
        }
        self.touch_all();
        (taken, to_examine)
    }

    pub(super) fn snapshot(&self) -> Vec<TriggerSnapshot> {
        let one = |id: &QueueId| {
            let queue = &self.queues[*id];
            let (waiting, in_flight, retrying) = queue.counts();
            TriggerSnapshot {
                trigger: queue.trigger.clone(),
                waiting,
                in_flight,
                retrying,
                oldest_decided_at: queue.oldest_decided_at(),
                last_error: queue.last_error.clone(),
                paused: self.paused_by_name(*id).cloned().or_else(|| queue.paused_by_target()),
                hold: queue.hold.clone(),
            }
        };
        self.by_trigger.values().map(one).collect()
    }
}

/// Why an action that is read back is dropped, where somebody asked for that meanwhile.
fn order_for(orders: &[DropOrder], waiting: &Waiting) -> Option<Dropping> {
    let asked =
        |order: &&DropOrder| waiting.position <= order.through && (order.filter)(&waiting.action);
    let order = orders.iter().find(asked).filter(|_| !waiting.given_up)?;
    Some(order.dropping.clone())
}
