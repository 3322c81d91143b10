//! The queues of all triggers, and what is common to them. No I/O, no clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use tripline_event::{Action, Position, Timestamp, TriggerName};

use super::queue::{Beyond, DropOrder, Next, Queue, Step, Waiting};
use super::recovered::RecoveredSet;
use super::{Decided, Limits, Scope, TriggerPolicy, TriggerSnapshot};

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
    recovered: RecoveredSet,
    paused: BTreeMap<Scope, String>,
    stopping: bool,
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
            recovered: RecoveredSet::default(),
            paused: BTreeMap::new(),
            stopping: false,
        }
    }

    pub(super) fn offer(&mut self, decided: Decided) {
        let id = self.queue_of(&decided.action.trigger);
        let position = decided.position;
        let queue = &mut self.queues[id];
        let full = queue.held() >= self.limits.actions_per_trigger;
        let known = match &queue.beyond {
            Some(beyond) if position >= beyond.from => position <= beyond.through,
            _ => self.open.contains(&position),
        };
        if known {
            return;
        }
        if full || queue.beyond.as_ref().is_some_and(|beyond| position > beyond.through) {
            let live_from = decided.recovered.is_none().then_some(position);
            let beyond = queue.beyond.get_or_insert(Beyond {
                from: position,
                through: position,
                live_from: None,
                count: 0,
                reading: false,
            });
            beyond.from = beyond.from.min(position);
            beyond.through = beyond.through.max(position);
            // An operator's retry may be offered late: all from it on are live, too.
            beyond.live_from = beyond.live_from.into_iter().chain(live_from).min();
            beyond.count += 1;
            if let Some(recovered) = decided.recovered {
                self.recovered.insert(position, recovered);
            }
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
        if paused || self.stopping {
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

    /// The next queue to look at, and the action in it that would be started next.
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
        let head = self.queues[id].head(now);
        if head.is_none() {
            let next = self.queues[id].wake(None);
            self.settle(id, next);
        }
        Some((id, head))
    }

    /// When the next queue becomes dirty by itself.
    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Whether [`super::Renderer::target`] must be asked.
    pub(super) fn any_target_paused(&self) -> bool {
        self.paused.keys().any(|scope| matches!(scope, Scope::Target(_)))
    }

    /// Takes what is to be done now in a queue whose first action is `head`.
    pub(super) fn take(
        &mut self,
        id: QueueId,
        now: Timestamp,
        head: &Action,
        policy: &TriggerPolicy,
        target: Option<String>,
    ) -> Vec<Step> {
        let held_by_target =
            target.and_then(|target| self.paused.get(&Scope::Target(target))).cloned();
        let paused = held_by_target.is_some() || self.paused_by_name(id).is_some();
        let queue = &mut self.queues[id];
        queue.held_by_target = held_by_target;
        let (steps, next) = queue.take(now, &head.definition, policy, paused);
        self.settle(id, next);
        steps
    }

    fn settle(&mut self, id: QueueId, next: Next) {
        let queue = &mut self.queues[id];
        match next {
            Next::Again => self.touch(id),
            // A timer that is too early is harmless: the queue is looked at once more.
            Next::At(Some(at)) if queue.wake_at.is_none_or(|earlier| at < earlier) => {
                if let Some(later) = queue.wake_at.replace(at) {
                    self.timers.remove(&(later, id));
                }
                self.timers.insert((at, id));
            }
            Next::At(_) => {}
        }
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
    /// to the queue's trigger. Returns what was dropped on the way, and where to read on;
    /// none where there is no room, or nothing more.
    pub(super) fn read_back(
        &mut self,
        id: QueueId,
        records: Vec<(Position, Option<Arc<Action>>)>,
    ) -> (Vec<(Waiting, Arc<str>)>, Option<Position>) {
        let mut dropped = Vec::new();
        let queue = &mut self.queues[id];
        let Some(mut beyond) = queue.beyond.take() else { return (dropped, None) };
        for (position, action) in records {
            if queue.held() >= self.limits.actions_per_trigger {
                break;
            }
            if position > beyond.through {
                beyond.from = position;
                break;
            }
            beyond.from = position.next();
            let Some(action) = action else { continue };
            let live = beyond.live_from.is_some_and(|from| position >= from);
            let recovered = self.recovered.take(position);
            if !live && recovered.is_none() {
                continue; // Closed before the start.
            }
            beyond.count = beyond.count.saturating_sub(1);
            self.open.insert(position);
            let waiting = Waiting::from(Decided { position, action, events: None, recovered });
            match order_for(&queue.orders, &waiting) {
                Some(reason) => {
                    queue.dropped_on_reading();
                    dropped.push((waiting, reason));
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
        self.queues[id].recorded();
        if self.queues[id].beyond.is_some() {
            self.touch(id);
        }
    }

    pub(super) fn low_water(&self, next: Position) -> Position {
        let beyond = self.queues.iter().filter_map(|queue| queue.beyond.as_ref());
        let lowest = beyond.map(|beyond| beyond.from).chain(self.open.first().copied()).min();
        lowest.unwrap_or(next)
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
        filter: &super::ActionFilter,
        reason: &Arc<str>,
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
                    reason: Arc::clone(reason),
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
                paused: self.paused_by_name(*id).or(queue.held_by_target.as_ref()).cloned(),
            }
        };
        self.by_trigger.values().map(one).collect()
    }
}

fn order_for(orders: &[DropOrder], waiting: &Waiting) -> Option<Arc<str>> {
    let order = orders
        .iter()
        .find(|order| waiting.position <= order.through && (order.filter)(&waiting.action))?;
    Some(Arc::clone(&order.reason))
}
