//! Which actions of a queue are started now, which are dropped, and why the others wait. No
//! I/O, no clock.

use std::collections::HashSet;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use tripline_event::{Action, ActionId, DropCause, Position, Timestamp};

use super::circuit::{Circuits, Permit};
use super::hold::{Hold, HoldCause};
use super::lane::Lane;
use super::queue::{Dropping, Queue, Step, Waiting};
use super::state::QueueId;
use super::{Overlap, RateLimit, Suspended, TriggerPolicy};

/// How fast replayed actions of one trigger are started, whatever its own rate.
const REPLAY: RateLimit = RateLimit { requests: 20, per: Duration::from_secs(1) };

/// What the queue asks of those around it.
pub(super) struct Surroundings<'a> {
    pub(super) id: QueueId,
    pub(super) now: Timestamp,
    pub(super) policy: &'a TriggerPolicy,
    /// Why the trigger is paused by its name.
    pub(super) paused: Option<&'a String>,
    /// Why a target is paused.
    pub(super) target_paused: &'a dyn Fn(&str) -> Option<String>,
    /// The target of an action.
    pub(super) target_of: &'a dyn Fn(&Waiting) -> Arc<str>,
    pub(super) circuits: &'a mut Circuits,
    /// The most actions in memory.
    pub(super) limit: usize,
}

/// What was taken.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) steps: Vec<Step>,
    /// When there is more to be done, if nothing else happens before.
    pub(super) wake: Option<Timestamp>,
    /// Actions wait for the end of a freeze window that was not told yet.
    pub(super) frozen: Option<super::Frozen>,
}

/// What becomes of one action that waits.
enum Verdict {
    Start(Arc<str>),
    Drop(Dropping),
    /// It waits; so do those after it in its lane.
    Pass(Hold),
    /// All wait.
    Stop(Hold),
}

impl Queue {
    /// Takes what is to be done now.
    pub(super) fn take(&mut self, around: Surroundings<'_>) -> Taken {
        let mut taken = Taken::default();
        let Surroundings { now, policy, .. } = around;
        self.retries_due(now);
        self.bury_what_was_given_up(&mut taken);
        while let Some((expires_at, position)) = self.expiries.first().copied()
            && expires_at <= now
        {
            let Some(waiting) = self.give_up(position) else { break };
            taken.steps.push(Step::Expire(waiting));
        }
        if policy.suspended == Some(Suspended::Drop) {
            let all: Vec<Position> = self.ready.keys().copied().collect();
            let reason = "its trigger is suspended and drops what waits";
            for position in all {
                self.drop_one(position, DropCause::Suspended, reason, None, &mut taken);
            }
        }
        self.drop_superseded(policy, &mut taken);
        self.hold = None;
        if self.ready.is_empty() {
            self.frozen_until = None;
        } else if let Some(hold) = self.held_whole(&around, &mut taken) {
            taken.wake = hold.until;
            self.hold = Some(hold);
        } else {
            self.start_what_may(around, &mut taken);
        }
        let expiry = self.expiries.first().map(|(at, _)| *at);
        let retry = self.retrying.first_key_value().map(|((at, _), _)| *at);
        taken.wake = [taken.wake, expiry, retry].into_iter().flatten().min();
        taken
    }

    /// Nothing holds up a dead letter: its target is not called.
    fn bury_what_was_given_up(&mut self, taken: &mut Taken) {
        for position in std::mem::take(&mut self.given_up) {
            taken.steps.extend(self.give_up(position).map(Step::Bury));
        }
    }

    fn drop_one(
        &mut self,
        position: Position,
        cause: DropCause,
        reason: &str,
        by: Option<ActionId>,
        taken: &mut Taken,
    ) {
        if let Some(waiting) = self.give_up(position) {
            let dropping = Dropping { cause, reason: reason.into(), by };
            taken.steps.push(Step::Drop(waiting, dropping));
        }
    }

    fn drop_superseded(&mut self, policy: &TriggerPolicy, taken: &mut Taken) {
        let mut older = Vec::new();
        if policy.overlap.operation().is_some() {
            // What one that was begun has started must be known, or it cannot make room.
            older = self.superseded(|waiting| !waiting.was_begun());
        } else if policy.latest {
            older = self.superseded(|_| true);
        } else if let Some(through) = self.latest_through {
            older = self.superseded(|waiting| waiting.position <= through);
        }
        for (position, newest) in older {
            let reason = format!("a newer action of its key waits: {newest}");
            self.drop_one(position, DropCause::Superseded, &reason, Some(newest), taken);
        }
    }

    /// Why none of them is started, whichever it is.
    fn held_whole(&mut self, around: &Surroundings<'_>, taken: &mut Taken) -> Option<Hold> {
        if self.is_sorting(around.limit) {
            let reason = "the newest of each key are looked for".to_owned();
            return Some(Hold::new(HoldCause::Sorting, None, reason));
        }
        if self.beyond.as_ref().is_none_or(|beyond| Some(beyond.from) > self.latest_through) {
            self.latest_through = None;
        }
        if let Some(reason) = around.paused {
            return Some(Hold::new(HoldCause::Paused, None, reason.clone()));
        }
        if around.policy.suspended.is_some() {
            let reason = "suspended by its definition".to_owned();
            return Some(Hold::new(HoldCause::Suspended, None, reason));
        }
        let frozen = around.policy.freeze.as_ref().and_then(|freeze| freeze.frozen(around.now));
        let Some(frozen) = frozen else {
            self.frozen_until = None;
            return None;
        };
        if self.frozen_until.replace(frozen.until) != Some(frozen.until) {
            taken.frozen = Some(frozen.clone());
        }
        let reason = format!("frozen: {}", frozen.window);
        Some(Hold::new(HoldCause::Frozen, Some(frozen.until), reason))
    }

    fn start_what_may(&mut self, mut around: Surroundings<'_>, taken: &mut Taken) {
        let mut passed: HashSet<Lane> = HashSet::new();
        let mut after = None;
        loop {
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            let next = self.ready.range_mut((from, Bound::Unbounded)).next();
            let Some((&position, waiting)) = next else { return };
            after = Some(position);
            if waiting.target.is_none() {
                waiting.target = Some((around.target_of)(waiting));
            }
            let Some(waiting) = self.ready.get(&position) else { return };
            let verdict = self.judge(waiting, &mut around, &passed);
            match verdict {
                Verdict::Start(target) => {
                    if let Some(limit) = around.policy.rate {
                        self.rate.start(limit, around.now);
                    }
                    if waiting_is_replayed(self, position) {
                        self.replay_rate.start(REPLAY, around.now);
                    }
                    around.circuits.begin(&target, around.id);
                    taken.steps.extend(self.start(position, target).map(Step::Start));
                }
                Verdict::Drop(Dropping { cause, reason, by }) => {
                    self.drop_one(position, cause, &reason, by, taken);
                }
                Verdict::Pass(hold) => {
                    if around.policy.exclusive()
                        && let Some(waiting) = self.ready.get(&position)
                    {
                        let action = Arc::clone(&waiting.action);
                        let target = waiting.target.clone().unwrap_or_default();
                        passed.insert(Lane::of(&action));
                        // Nothing is stopped for what could not be started then.
                        if hold.cause == HoldCause::Overlap
                            && (around.target_paused)(&target).is_none()
                        {
                            self.make_room(&action, &around, taken);
                        }
                    }
                    taken.wake = taken.wake.into_iter().chain(hold.until).min();
                    self.hold.get_or_insert(hold);
                }
                Verdict::Stop(hold) => {
                    taken.wake = taken.wake.into_iter().chain(hold.until).min();
                    self.hold.get_or_insert(hold);
                    return;
                }
            }
        }
    }

    /// What goes on in the way of `action` is asked to end, where its policy wants that.
    fn make_room(&mut self, action: &Arc<Action>, around: &Surroundings<'_>, taken: &mut Taken) {
        let Some(operation) = around.policy.overlap.operation() else { return };
        let (endings, again) = self.lanes.ask_to_end(&Lane::of(action), operation, around.now);
        taken.wake = taken.wake.into_iter().chain(again).min();
        taken.steps.extend(endings.into_iter().map(|of| Step::End(Arc::clone(action), of)));
    }

    fn judge(
        &self,
        waiting: &Waiting,
        around: &mut Surroundings<'_>,
        passed: &HashSet<Lane>,
    ) -> Verdict {
        let (policy, now) = (around.policy, around.now);
        if self.in_flight.len() >= policy.max_in_flight.max(1) as usize {
            let reason = format!("{} are running", self.in_flight.len());
            return Verdict::Stop(Hold::new(HoldCause::InFlight, None, reason));
        }
        if policy.exclusive()
            && let Some(verdict) = self.judge_by_lane(waiting, policy, passed)
        {
            return verdict;
        }
        let target = waiting.target.clone().unwrap_or_else(|| (around.target_of)(waiting));
        if let Some(reason) = (around.target_paused)(&target) {
            return Verdict::Pass(Hold::new(HoldCause::Paused, None, reason));
        }
        if let Some(limit) = policy.rate {
            let free = self.rate.free_at(limit, now);
            if free > now {
                let reason = format!("{} in {:?} were started", limit.requests, limit.per);
                return Verdict::Stop(Hold::new(HoldCause::RateLimited, Some(free), reason));
            }
        }
        if waiting.is_replayed() {
            let free = self.replay_rate.free_at(REPLAY, now);
            if free > now {
                let reason = "a replay goes slowly".to_owned();
                return Verdict::Pass(Hold::new(HoldCause::RateLimited, Some(free), reason));
            }
        }
        match around.circuits.permit(&target, around.id, waiting.attempts > 0, now) {
            Permit::Go => Verdict::Start(target),
            Permit::Wait(until) => {
                let reason = format!("the circuit of {target} is open");
                Verdict::Pass(Hold::new(HoldCause::CircuitOpen, until, reason))
            }
        }
    }

    /// What another action of its lane makes of it; nothing where none is in its way.
    fn judge_by_lane(
        &self,
        waiting: &Waiting,
        policy: &TriggerPolicy,
        passed: &HashSet<Lane>,
    ) -> Option<Verdict> {
        let lane = Lane::of(&waiting.action);
        let overlaps = policy.overlap != Overlap::AllowAll && !waiting.was_begun();
        let run = if overlaps { self.lanes.running(&lane) } else { None };
        let by = self.lanes.before(&lane, waiting.position).or(run).cloned();
        let waits_behind = passed.contains(&lane);
        if by.is_none() && !waits_behind {
            return None;
        }
        let skipped = match policy.overlap {
            _ if !overlaps => false,
            Overlap::Skip => by.is_some(),
            Overlap::BufferOne => waits_behind,
            _ => false,
        };
        if skipped {
            let what = by.as_ref().map_or_else(|| "another".to_owned(), ToString::to_string);
            let reason = format!("it would overlap with {what}, which has not ended").into();
            return Some(Verdict::Drop(Dropping { cause: DropCause::Overlap, reason, by }));
        }
        let (cause, what) = match policy.overlap {
            Overlap::AllowAll => (HoldCause::Ordering, "closed"),
            _ => (HoldCause::Overlap, "over"),
        };
        let reason = match &by {
            Some(by) => format!("the one before it is not {what}: {by}"),
            None => "the one before it waits".to_owned(),
        };
        Some(Verdict::Pass(Hold { by, ..Hold::new(cause, None, reason) }))
    }
}

fn waiting_is_replayed(queue: &Queue, position: Position) -> bool {
    queue.ready.get(&position).is_some_and(Waiting::is_replayed)
}
