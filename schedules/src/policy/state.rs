//! A schedule as time goes by.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    BUFFER_MAX, CatchUp, Conditions, Facts, Gate, ON_TIME, Origin, OverlapPolicy, Policies, RunEnd,
    RunId, SkipReason, Verdict,
};
use crate::spec::Tick;
use crate::timetable::Timetable;

/// The most ticks that one call takes. If more are due, [`State::next_due`] is not later
/// than the time that was shown, and time is to be shown again.
pub const TICKS_MAX: usize = 10_000;

/// The most starts of a backfill in one call.
const BACKFILL_STEP: usize = 10;

/// Backfills leave this part of the buffer to the ticks of the schedule.
const BACKFILL_WAITING_MAX: usize = BUFFER_MAX / 2;

/// The most backfills that are under way or wait.
const BACKFILLS_MAX: usize = 100;

/// The most runs beside the one that others wait for whose ends are waited for. Of more, the
/// oldest are not counted when they end.
pub const FOLLOWED_MAX: usize = 1000;

const NANOSECOND: SignedDuration = SignedDuration::from_nanos(1);

/// A schedule: what does not change as time goes by.
#[derive(Clone, Copy, Debug)]
pub struct Schedule<'s> {
    /// When it occurs.
    pub times: &'s Timetable,
    /// How it treats its ticks.
    pub policies: &'s Policies,
    /// What its jitter is drawn from: its namespace and name.
    pub seed: &'s str,
    /// Its definition says that it is not to start anything.
    pub suspended: bool,
    /// Conditions of its own.
    pub conditions: Option<&'s dyn Conditions>,
}

/// A schedule as time goes by. It is stored together with what was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The nominal time of the last tick that was taken.
    watermark: Timestamp,
    /// Ticks that were to be acted on before the schedule was made or changed are not its own.
    since: Timestamp,
    /// Missed ticks that may be made up for.
    late: VecDeque<Timestamp>,
    gate: Gate<RunId>,
    backfills: VecDeque<Backfilling>,
    /// Why it is paused.
    paused: Option<String>,
    remaining_actions: Option<u64>,
    /// Numbers triggers and backfills.
    requests: u64,
    last_completion: Option<RunId>,
    last_failure: Option<RunId>,
    counters: Counters,
    /// Runs that stand in no other's way, whose ends are waited for.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    beside: VecDeque<RunId>,
    /// The nominal time of the latest tick that started a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_scheduled: Option<Timestamp>,
    /// When the latest run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    /// Its own condition has ended it.
    #[serde(default, skip_serializing_if = "is_false")]
    stopped: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// How often what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    /// Runs that were started.
    pub actions: u64,
    /// Starts that did not happen because of an earlier run.
    pub overlap_skipped: u64,
    /// Missed ticks that were not made up for.
    pub missed_catch_up: u64,
    /// Starts that did not happen because too many waited.
    pub buffer_dropped: u64,
    /// Ticks that a condition of the schedule's own did not let start a run.
    #[serde(default)]
    pub condition_skipped: u64,
    /// Runs that succeeded, of those whose ends are waited for.
    #[serde(default)]
    pub succeeded: u64,
    /// Runs that failed, of those whose ends are waited for.
    #[serde(default)]
    pub failed: u64,
}

/// A request to act on the ticks of a period, whatever became of them then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backfill {
    /// The first nominal time.
    pub start: Timestamp,
    /// The last time, with jitter.
    pub end: Timestamp,
    /// Instead of the schedule's own policy.
    pub overlap: Option<OverlapPolicy>,
    /// The most runs. With more ticks in the period, the first ones count.
    pub max: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Backfilling {
    number: u64,
    backfill: Backfill,
    /// Ticks after this are still to be taken.
    after: Timestamp,
    taken: u64,
}

/// What a schedule is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// It is now this late.
    Time(Timestamp),
    /// Somebody wants a run now.
    Trigger {
        /// The time of the request.
        at: Timestamp,
        /// Instead of the schedule's own policy.
        overlap: Option<OverlapPolicy>,
    },
    /// Somebody wants the runs of a period.
    Backfill(Backfill),
    /// Ticks are to be passed over from now on.
    Pause {
        /// Why.
        note: String,
    },
    /// Ticks count again. Those in between do not come back, and are told as skipped now.
    Resume {
        /// The time of the request.
        now: Timestamp,
    },
    /// The spec or the policies were changed.
    Changed {
        /// When they were.
        now: Timestamp,
    },
    /// From now on so many ticks may start a run; `None` for any number.
    LimitActions(Option<u64>),
    /// A run has ended.
    Ended {
        /// The run.
        run: RunId,
        /// How.
        end: RunEnd,
        /// When.
        at: Timestamp,
    },
}

/// What should be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A run starts.
    Start {
        /// The run.
        run: RunId,
        /// Whether its end must be told. Otherwise nothing waits for it.
        watched: bool,
        /// The last run that completed.
        last_completion: Option<RunId>,
        /// The last run that failed, if none has completed since.
        last_failure: Option<RunId>,
    },
    /// A run is asked to stop.
    Cancel(RunId),
    /// A run is stopped.
    Terminate(RunId),
    /// Ticks or requests that start no run; neighbours of one origin with the same reason are one
    /// decision.
    Skipped {
        /// Why.
        reason: SkipReason,
        /// What they would have been started by. One tick may be skipped for itself, and for each
        /// backfill that it is in.
        origin: Origin,
        /// The nominal time of the first.
        first: Timestamp,
        /// The nominal time of the last.
        last: Timestamp,
        /// How many.
        count: u64,
    },
    /// A run failed, which pauses the schedule.
    PausedByFailure(RunId),
    /// The schedule's own condition has ended it.
    Stopped,
    /// A condition could not be evaluated, and why.
    ConditionFailed(String),
    /// Every tick of a backfill was taken.
    BackfillDone {
        /// Its number.
        number: u64,
        /// How many ticks were taken.
        taken: u64,
        /// Whether there were more than it was allowed.
        cut: bool,
    },
    /// A backfill is refused because too many are under way.
    BackfillRefused,
}

impl State {
    /// A schedule that begins at `now`: its ticks are those after it.
    pub fn new(now: Timestamp) -> Self {
        Self {
            watermark: now,
            since: now,
            late: VecDeque::new(),
            gate: Gate::default(),
            backfills: VecDeque::new(),
            paused: None,
            remaining_actions: None,
            requests: 0,
            last_completion: None,
            last_failure: None,
            counters: Counters::default(),
            beside: VecDeque::new(),
            last_scheduled: None,
            ended_at: None,
            stopped: false,
        }
    }

    /// Why the schedule is paused; `None` if it is not.
    pub fn paused(&self) -> Option<&str> {
        self.paused.as_deref()
    }

    /// How many more ticks may start a run; `None` for any number.
    pub fn remaining_actions(&self) -> Option<u64> {
        self.remaining_actions
    }

    /// How often what happened.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Whether the schedule's own condition has ended it.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// The nominal time of the latest tick that was taken.
    pub fn watermark(&self) -> Timestamp {
        self.watermark
    }

    /// The nominal time of the latest tick that started a run.
    pub fn last_scheduled(&self) -> Option<Timestamp> {
        self.last_scheduled
    }

    /// The last run that completed.
    pub fn last_completion(&self) -> Option<RunId> {
        self.last_completion
    }

    /// The last run that failed, if none has completed since.
    pub fn last_failure(&self) -> Option<RunId> {
        self.last_failure
    }

    /// The runs whose ends are waited for: the one that others wait for, and those beside it.
    pub fn running(&self) -> impl Iterator<Item = RunId> + '_ {
        self.gate.running().copied().into_iter().chain(self.beside.iter().copied())
    }

    /// Whether the end of this run is waited for.
    pub fn is_running(&self, run: RunId) -> bool {
        self.running().any(|other| other == run)
    }

    /// How many missed ticks are still to be made up for, and how many backfills are under way.
    pub fn backlog(&self) -> (usize, usize) {
        (self.late.len(), self.backfills.len())
    }

    /// The run that is going, and the starts that wait for its end.
    pub fn gate(&self) -> &Gate<RunId> {
        &self.gate
    }

    /// When time is to be shown next: the next tick, or a time that has passed if there is
    /// more to do at once. `None` if there is nothing to wait for.
    pub fn next_due(&self, schedule: &Schedule<'_>) -> Option<Timestamp> {
        let backfill = !self.backfills.is_empty() && self.gate.waiting() < BACKFILL_WAITING_MAX;
        if backfill || !self.late.is_empty() {
            return Some(self.watermark);
        }
        if self.is_idle(schedule) {
            // What is passed over meanwhile is told when the schedule goes on.
            return None;
        }
        self.next_tick(schedule).map(|tick| tick.at)
    }

    /// The ticks after `after` that would be acted on, the nearest first, as far as is known
    /// now.
    pub fn upcoming<'s>(
        &self,
        schedule: &Schedule<'s>,
        after: Timestamp,
    ) -> impl Iterator<Item = Tick> + use<'s> {
        let (times, seed) = (schedule.times, schedule.seed);
        let first = times.next_after(self.watermark.max(after), seed);
        std::iter::successors(first, move |tick| times.next_after(tick.nominal, seed))
    }

    /// No tick would start a run, whatever else happens, until somebody asks for it.
    fn is_idle(&self, schedule: &Schedule<'_>) -> bool {
        self.paused.is_some() || schedule.suspended || self.stopped
    }

    /// Whether nothing will happen any more unless somebody asks for it.
    pub fn is_finished(&self, schedule: &Schedule<'_>) -> bool {
        self.gate.running().is_none()
            && self.gate.waiting() == 0
            && self.backfills.is_empty()
            && self.late.is_empty()
            && self.beside.is_empty()
            && (self.stopped
                || self.remaining_actions == Some(0)
                || self.next_tick(schedule).is_none())
    }

    /// Takes an input, and returns what should be done, in this order.
    pub fn apply(&mut self, schedule: &Schedule<'_>, input: Input) -> Vec<Decision> {
        let mut decisions = Decisions(Vec::new());
        match input {
            Input::Time(now) => self.take_ticks(schedule, now, &mut decisions),
            Input::Trigger { at, overlap } => {
                self.requests += 1;
                let origin = Origin::Trigger(self.requests);
                self.ask(RunId { nominal: at, origin }, overlap, &mut decisions);
            }
            Input::Backfill(_) if self.backfills.len() >= BACKFILLS_MAX => {
                decisions.0.push(Decision::BackfillRefused);
            }
            Input::Backfill(backfill) => {
                self.requests += 1;
                self.backfills.push_back(Backfilling {
                    number: self.requests,
                    backfill,
                    // The start itself counts.
                    after: backfill.start.checked_sub(NANOSECOND).unwrap_or(Timestamp::MIN),
                    taken: 0,
                });
            }
            Input::Pause { note } => self.paused = Some(note),
            Input::Resume { now } => {
                // What was passed over is told now, as one.
                self.take_ticks(schedule, now, &mut decisions);
                self.paused = None;
                self.since = self.since.max(now);
            }
            Input::Changed { now } => self.since = self.since.max(now),
            Input::LimitActions(limit) => self.remaining_actions = limit,
            Input::Ended { run, end, at } => self.end(schedule, run, end, at, &mut decisions),
        }
        self.take_backfill(schedule, &mut decisions);
        self.settle(schedule, &mut decisions);
        decisions.0
    }

    fn next_tick(&self, schedule: &Schedule<'_>) -> Option<Tick> {
        let planned = schedule.times.next_after(self.watermark, schedule.seed);
        let after_end = schedule.policies.after_end.and_then(|delay| self.after_end(delay));
        planned.into_iter().chain(after_end).min_by_key(|tick| tick.nominal)
    }

    /// The tick after the end of the last run, or, where it did not happen, after itself.
    fn after_end(&self, delay: SignedDuration) -> Option<Tick> {
        if self.gate.running().is_some() {
            return None;
        }
        let last = self.ended_at.map_or(self.watermark, |ended| ended.max(self.watermark));
        let at = Timestamp::from_second(crate::whole_second(last.checked_add(delay).ok()?)).ok()?;
        let least = self.watermark.checked_add(SignedDuration::from_secs(1)).ok()?;
        let at = at.max(least);
        Some(Tick { nominal: at, at })
    }

    /// Takes the ticks that are due at `now`.
    fn take_ticks(&mut self, schedule: &Schedule<'_>, now: Timestamp, decisions: &mut Decisions) {
        let policies = schedule.policies;
        let window = policies.catch_up_window.max(ON_TIME);
        for _ in 0..TICKS_MAX {
            let Some(tick) = self.next_tick(schedule).filter(|tick| tick.at <= now) else {
                self.make_up(schedule, now, decisions);
                return;
            };
            self.watermark = tick.nominal;
            let late = now.duration_since(tick.at);
            if tick.at < self.since {
                // It belongs to the time before, when it was taken or did not exist.
            } else if let Err(reason) = self.may_act(schedule) {
                decisions.skipped(reason, of_tick(tick.nominal));
            } else if late <= ON_TIME {
                self.make_up(schedule, now, decisions);
                self.take_tick(schedule, tick.nominal, now, decisions);
            } else if late > window {
                self.miss(SkipReason::CatchUpWindow, tick.nominal, decisions);
            } else {
                self.late.push_back(tick.nominal);
                let keep = match policies.catch_up {
                    CatchUp::None => 0,
                    CatchUp::Latest => 1,
                    CatchUp::All(max) => BUFFER_MAX.min(max as usize),
                };
                while self.late.len() > keep {
                    let Some(oldest) = self.late.pop_front() else { break };
                    self.miss(SkipReason::CatchUpLimit, oldest, decisions);
                }
            }
        }
    }

    /// Asks for the runs of ticks that were missed.
    fn make_up(&mut self, schedule: &Schedule<'_>, now: Timestamp, decisions: &mut Decisions) {
        for nominal in std::mem::take(&mut self.late) {
            self.take_tick(schedule, nominal, now, decisions);
        }
    }

    /// Asks for the run of a tick, if the schedule's own conditions let it.
    fn take_tick(
        &mut self,
        schedule: &Schedule<'_>,
        nominal: Timestamp,
        now: Timestamp,
        decisions: &mut Decisions,
    ) {
        if let Some(conditions) = schedule.conditions
            && let Err(reason) = self.conditions_hold(conditions, now, decisions)
        {
            self.counters.condition_skipped += 1;
            return decisions.skipped(reason, of_tick(nominal));
        }
        self.ask(of_tick(nominal), None, decisions);
        self.settle(schedule, decisions);
    }

    fn conditions_hold(
        &mut self,
        conditions: &dyn Conditions,
        now: Timestamp,
        decisions: &mut Decisions,
    ) -> Result<(), SkipReason> {
        let facts = Facts {
            now,
            last_scheduled: self.last_scheduled,
            succeeded: self.counters.succeeded,
            failed: self.counters.failed,
        };
        match conditions.stop(&facts) {
            Ok(true) if !self.stopped => {
                self.stopped = true;
                decisions.0.push(Decision::Stopped);
            }
            Ok(_) => {}
            Err(why) => decisions.0.push(Decision::ConditionFailed(why)),
        }
        if self.stopped {
            return Err(SkipReason::Stopped);
        }
        match conditions.when(&facts) {
            Ok(true) => Ok(()),
            Ok(false) => Err(SkipReason::When),
            Err(why) => {
                decisions.0.push(Decision::ConditionFailed(why));
                Err(SkipReason::BadCondition)
            }
        }
    }

    fn miss(&mut self, reason: SkipReason, nominal: Timestamp, decisions: &mut Decisions) {
        self.counters.missed_catch_up += 1;
        decisions.skipped(reason, of_tick(nominal));
    }

    /// Asks for the next few runs of the first backfill.
    fn take_backfill(&mut self, schedule: &Schedule<'_>, decisions: &mut Decisions) {
        for _ in 0..BACKFILL_STEP {
            if self.gate.waiting() >= BACKFILL_WAITING_MAX {
                return;
            }
            let Some(current) = self.backfills.front_mut() else { return };
            let Backfilling { number, backfill, taken, .. } = *current;
            let tick = schedule.times.next_after(current.after, schedule.seed);
            let tick = tick.filter(|tick| tick.at <= backfill.end);
            let Some(tick) = tick.filter(|_| taken < backfill.max) else {
                let cut = tick.is_some();
                decisions.0.push(Decision::BackfillDone { number, taken, cut });
                self.backfills.pop_front();
                continue;
            };
            current.after = tick.nominal;
            current.taken += 1;
            let run = RunId { nominal: tick.nominal, origin: Origin::Backfill(number) };
            self.ask(run, backfill.overlap, decisions);
            self.settle(schedule, decisions);
        }
    }

    fn end(
        &mut self,
        schedule: &Schedule<'_>,
        run: RunId,
        end: RunEnd,
        at: Timestamp,
        decisions: &mut Decisions,
    ) {
        let beside = self.beside.iter().position(|other| *other == run);
        let beside = beside.and_then(|index| self.beside.remove(index)).is_some();
        if !self.gate.ended(&run) && !beside {
            return;
        }
        self.ended_at = self.ended_at.max(Some(at));
        match end {
            RunEnd::Completed => self.counters.succeeded += 1,
            RunEnd::Failed | RunEnd::TimedOut => self.counters.failed += 1,
            RunEnd::Cancelled | RunEnd::Terminated => {}
        }
        if end == RunEnd::Completed {
            self.last_completion = Some(run);
            self.last_failure = None;
        }
        if end.is_failure() {
            self.last_failure = Some(run);
            if schedule.policies.pause_on_failure && self.paused.is_none() {
                self.paused = Some(format!("the run {run} failed"));
                decisions.0.push(Decision::PausedByFailure(run));
            }
        }
    }

    fn ask(&mut self, run: RunId, overlap: Option<OverlapPolicy>, decisions: &mut Decisions) {
        if let Err(refused) = self.gate.ask(run, overlap) {
            self.note(refused, false, decisions);
        }
    }

    /// Whether a tick of the schedule may start a run.
    fn may_act(&self, schedule: &Schedule<'_>) -> Result<(), SkipReason> {
        if self.stopped {
            return Err(SkipReason::Stopped);
        }
        may_act(self.paused.is_some() || schedule.suspended, self.remaining_actions)
    }

    fn settle(&mut self, schedule: &Schedule<'_>, decisions: &mut Decisions) {
        let paused = self.paused.is_some() || schedule.suspended;
        let remaining = &mut self.remaining_actions;
        let verdicts = self.gate.settle(schedule.policies.overlap, |run| {
            if run.origin == Origin::Tick {
                may_act(paused, *remaining)?;
                *remaining = remaining.map(|left| left - 1);
            }
            Ok(())
        });
        for verdict in verdicts {
            self.note(verdict, schedule.policies.follow_all, decisions);
        }
    }

    /// Counts a verdict, and makes it a decision.
    fn note(&mut self, verdict: Verdict<RunId>, follow_all: bool, decisions: &mut Decisions) {
        match verdict {
            Verdict::Start { run, watched } => {
                self.counters.actions += 1;
                if run.origin == Origin::Tick {
                    self.last_scheduled = self.last_scheduled.max(Some(run.nominal));
                }
                if follow_all && !watched {
                    self.beside.truncate(FOLLOWED_MAX - 1);
                    self.beside.push_front(run);
                }
                let watched = watched || follow_all;
                let (last_completion, last_failure) = (self.last_completion, self.last_failure);
                decisions.0.push(Decision::Start { run, watched, last_completion, last_failure });
            }
            Verdict::Skip { run, reason } => {
                match reason {
                    SkipReason::Overlap => self.counters.overlap_skipped += 1,
                    SkipReason::BufferFull => self.counters.buffer_dropped += 1,
                    _ => {}
                }
                decisions.skipped(reason, run);
            }
            Verdict::Cancel(run) => decisions.0.push(Decision::Cancel(run)),
            Verdict::Terminate(run) => decisions.0.push(Decision::Terminate(run)),
        }
    }
}

fn may_act(paused: bool, remaining: Option<u64>) -> Result<(), SkipReason> {
    match (paused, remaining) {
        (true, _) => Err(SkipReason::Paused),
        (false, Some(0)) => Err(SkipReason::NoActionsLeft),
        (false, _) => Ok(()),
    }
}

/// Decisions in the making.
struct Decisions(Vec<Decision>);

impl Decisions {
    fn skipped(&mut self, reason: SkipReason, run: RunId) {
        let RunId { nominal, origin } = run;
        if let Some(Decision::Skipped { reason: same, origin: of, last, count, .. }) =
            self.0.last_mut()
            && (*same, *of) == (reason, origin)
        {
            (*last, *count) = (nominal, *count + 1);
            return;
        }
        self.0.push(Decision::Skipped { reason, origin, first: nominal, last: nominal, count: 1 });
    }
}

fn of_tick(nominal: Timestamp) -> RunId {
    RunId { nominal, origin: Origin::Tick }
}
