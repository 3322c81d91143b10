//! One schedule as time goes by.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tripline_event::event::Links;
use tripline_event::{CorrelationId, Event, EventId, Timestamp};
use tripline_schedules::policy::{Backfill, Decision, Input, Origin, RunEnd, RunId, State};

use super::compiled::{CompiledSchedule, Does, Kind};
use super::events::{self, Changed, Command, Of, Request, RunResult, Skipped, Stop, Tick};

/// How many of the latest runs are remembered for whoever looks.
const RECENT: usize = 10;
/// How long a schedule that was removed is remembered, in case it comes back.
pub(super) const KEPT_AFTER_REMOVAL: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What is stored of a schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stored {
    /// What its policies remember.
    pub state: State,
    /// The times that it was in force with.
    pub times: String,
    /// How many actions its definition allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited_actions: Option<u64>,
    /// When it was first put in force.
    pub created_at: Timestamp,
    /// The latest runs, the newest last.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub recent: VecDeque<Recent>,
    /// What the last run that completed came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_completion: Option<RunResult>,
    /// What the last run that failed came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<RunResult>,
    /// Nothing will happen any more, and that was told.
    #[serde(default)]
    pub completed: bool,
    /// How often it was told that it has come to a halt or an end, or a backfill is done.
    #[serde(default)]
    pub told: u64,
    /// When the definition was removed, if it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<Timestamp>,
}

/// A run that was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recent {
    /// Which.
    pub run: RunId,
    /// Log time of the decision.
    pub started_at: Timestamp,
    /// How it ended; none while it goes on, and where nobody waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<RunEnd>,
}

/// A schedule, and what was decided for it so far.
#[derive(Debug)]
pub struct Entry {
    /// The definition in force, or the last one.
    pub compiled: Arc<CompiledSchedule>,
    /// What is stored.
    pub stored: Stored,
    /// How often it was changed or came back, as far as this process has seen.
    pub changes: u64,
    /// When it stands in the queue.
    pub(super) due: Option<Timestamp>,
}

/// What follows from one input.
#[derive(Debug, Default)]
pub(super) struct Effects {
    pub events: Vec<Event>,
    /// Runs whose ends are waited for from now on.
    pub awaited: Vec<RunId>,
    /// Runs whose ends are not waited for any more.
    pub over: Vec<RunId>,
    /// Runs whose actions are to be given up, if they wait still.
    pub unwanted: Vec<(RunId, &'static str)>,
}

/// What tells one definition of times from another, in few bytes.
fn times_of(compiled: &CompiledSchedule) -> String {
    let hash = tripline_event::DefinitionHash::of(&compiled.definition.fingerprint);
    hash.0.get(..16).unwrap_or_default().to_owned()
}

impl Entry {
    /// A schedule that begins at `now`.
    pub fn new(compiled: Arc<CompiledSchedule>, now: Timestamp) -> Self {
        let stored = Stored {
            state: State::new(now),
            times: times_of(&compiled),
            limited_actions: None,
            created_at: now,
            recent: VecDeque::new(),
            last_completion: None,
            last_failure: None,
            completed: false,
            told: 0,
            removed_at: None,
        };
        let mut entry = Self { compiled, stored, changes: 0, due: None };
        entry.limit_actions();
        entry
    }

    /// A schedule as it was stored.
    pub fn restored(compiled: Arc<CompiledSchedule>, stored: Stored) -> Self {
        Self { compiled, stored, changes: 0, due: None }
    }

    /// A schedule that was gone for a while. The runs that were going then were not followed,
    /// and stand in no other's way any more.
    pub(super) fn back(
        compiled: Arc<CompiledSchedule>,
        stored: Stored,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Self {
        let mut entry = Self { compiled, stored, changes: 1, due: None };
        entry.stored.removed_at = None;
        entry.apply(Input::Changed { now }, now, effects);
        let running: Vec<RunId> = entry.stored.state.running().collect();
        for run in running {
            let input = Input::Ended { run, end: RunEnd::Cancelled, at: now };
            entry.apply(input, now, effects);
        }
        entry.stored.times = times_of(&entry.compiled);
        entry.stored.completed = false;
        entry.limit_actions();
        entry
    }

    pub(super) fn is_in_force(&self, compiled: &CompiledSchedule) -> bool {
        self.compiled.hash == compiled.hash
    }

    /// Goes on with another definition.
    pub(super) fn change(
        &mut self,
        compiled: Arc<CompiledSchedule>,
        now: Timestamp,
        effects: &mut Effects,
    ) {
        let was_suspended = self.compiled.definition.suspended.is_some();
        // What was due under the old definition was its own.
        self.apply(Input::Time(now), now, effects);
        self.compiled = compiled;
        self.changes += 1;
        let times = times_of(&self.compiled);
        if was_suspended || times != self.stored.times {
            self.stored.times = times;
            self.apply(Input::Changed { now }, now, effects);
        }
        if !self.waits_for_ends() {
            self.follow_none(now, effects);
        }
        self.stored.completed = false;
        self.limit_actions();
    }

    /// Whether its runs have ends of their own.
    pub(super) fn waits_for_ends(&self) -> bool {
        self.compiled.does == Does::Trigger
    }

    /// Where the event is the run, no run goes on: one that was started when there was a
    /// trigger may never be carried out any more.
    fn follow_none(&mut self, now: Timestamp, effects: &mut Effects) {
        effects.over.extend(effects.awaited.iter().copied());
        let running: Vec<RunId> = self.stored.state.running().collect();
        for run in running {
            effects.over.push(run);
            self.apply(Input::Ended { run, end: RunEnd::Completed, at: now }, now, effects);
        }
    }

    fn limit_actions(&mut self) {
        let limited = self.compiled.definition.limited_actions;
        if limited != self.stored.limited_actions {
            self.stored.limited_actions = limited;
            let compiled = Arc::clone(&self.compiled);
            let schedule = compiled.definition.schedule(&compiled.seed);
            self.stored.state.apply(&schedule, Input::LimitActions(limited));
        }
    }

    /// When time is to be shown next.
    pub fn next_due(&self) -> Option<Timestamp> {
        let schedule = self.compiled.definition.schedule(&self.compiled.seed);
        self.stored.state.next_due(&schedule)
    }

    /// Shows an input to the policies.
    pub(super) fn apply(&mut self, input: Input, now: Timestamp, effects: &mut Effects) {
        let compiled = Arc::clone(&self.compiled);
        let schedule = compiled.definition.schedule(&compiled.seed);
        let before = self.stored.state.last_scheduled();
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for decision in self.stored.state.apply(&schedule, input) {
                let instant = matches!(compiled.does, Does::Event { .. });
                if let Decision::Start { run, watched: true, .. } = decision
                    && instant
                {
                    // The event is the run.
                    inputs.push_back(Input::Ended { run, end: RunEnd::Completed, at: now });
                }
                self.carry_out(decision, before, now, effects);
            }
        }
        if !self.stored.completed
            && compiled.definition.delete_after_completion
            && self.stored.state.is_finished(&schedule)
        {
            self.stored.completed = true;
            self.tell("completed", "nothing will happen any more", now, effects);
        }
    }

    fn carry_out(
        &mut self,
        decision: Decision,
        before: Option<Timestamp>,
        now: Timestamp,
        effects: &mut Effects,
    ) {
        match decision {
            Decision::Start { run, watched, .. } => {
                let with_end = watched && self.compiled.does == Does::Trigger;
                if with_end {
                    effects.awaited.push(run);
                }
                if self.stored.recent.len() == RECENT {
                    self.stored.recent.pop_front();
                }
                let end = (watched && !with_end).then_some(RunEnd::Completed);
                self.stored.recent.push_back(Recent { run, started_at: now, end });
                effects.events.push(self.tick(run, before, now));
            }
            Decision::Cancel(run) => self.stop(run, false, now, effects),
            Decision::Terminate(run) => self.stop(run, true, now, effects),
            Decision::Skipped { reason, origin, first, last, count } => {
                let of = RunId { nominal: first, origin };
                let id = format!("{reason:?}/{of}/{last}");
                let schedule = self.of();
                let data = Skipped { schedule, reason, first, last, count };
                effects.events.push(self.event(events::SKIPPED, id, &data, now));
            }
            Decision::PausedByFailure(run) => {
                let message = format!("the run {run} failed, which pauses the schedule");
                self.tell("pausedByFailure", &message, now, effects);
            }
            Decision::Stopped => {
                self.tell("stopped", "its stop strategy has come true", now, effects);
            }
            Decision::ConditionFailed(why) => self.tell("conditionFailed", &why, now, effects),
            Decision::BackfillDone { number, taken, cut } => {
                let more = if cut { ", and there were more ticks than it was allowed" } else { "" };
                let message = format!("backfill {number} is done: {taken} runs{more}");
                self.tell("backfillDone", &message, now, effects);
            }
            Decision::BackfillRefused => {
                self.tell("backfillRefused", "too many backfills are under way", now, effects);
            }
        }
    }

    fn of(&self) -> Of {
        Of::new(self.compiled.kind, &self.compiled.object)
    }

    fn stop(&mut self, run: RunId, terminate: bool, now: Timestamp, effects: &mut Effects) {
        let why =
            if terminate { "terminated by its schedule" } else { "cancelled by its schedule" };
        effects.unwanted.push((run, why));
        if !self.stored.state.is_running(run) {
            effects.over.push(run);
        }
        let id = format!("{run}/{}", if terminate { "terminate" } else { "cancel" });
        let data = Stop {
            schedule: self.of(),
            run: run.to_string(),
            terminate,
            workflow_name: self.compiled.workflow_of(run),
        };
        effects.events.push(self.event(events::STOP, id, &data, now));
    }

    fn workflow_name(&self, run: RunId) -> Option<String> {
        (self.compiled.kind == Kind::CronWorkflow).then(|| self.compiled.workflow_name(run))
    }

    fn tick(&self, run: RunId, before: Option<Timestamp>, now: Timestamp) -> Event {
        let zone = self.compiled.definition.times.zone();
        let local = run.nominal.to_zoned(zone);
        let data = Tick {
            schedule: self.of(),
            run: run.to_string(),
            origin: match run.origin {
                Origin::Tick => "tick",
                Origin::Trigger(_) => "trigger",
                Origin::Backfill(_) => "backfill",
            }
            .to_owned(),
            scheduled_time: seconds(run.nominal),
            local_time: local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            decided_time: now,
            last_scheduled_time: before.map(seconds),
            workflow_name: self.workflow_name(run),
            last_completion: self.stored.last_completion.clone(),
            last_failure: self.stored.last_failure.clone(),
            data: match &self.compiled.does {
                Does::Event { data, .. } => data.clone(),
                Does::Trigger => Value::Null,
            },
        };
        self.event(self.compiled.tick_name(), run.to_string(), &data, now)
    }

    fn tell(&mut self, what: &str, message: &str, now: Timestamp, effects: &mut Effects) {
        let (what, message) = (what.to_owned(), message.to_owned());
        // Log time may stand still between two records.
        let id = format!("{what}/{now}/{}", self.stored.told);
        self.stored.told += 1;
        let data = Changed { schedule: self.of(), what, message };
        effects.events.push(self.event(events::CHANGED, id, &data, now));
    }

    fn event(&self, name: &str, id: String, data: &impl Serialize, now: Timestamp) -> Event {
        let id = EventId::from_upstream(&id);
        let object = &self.compiled.object;
        let nominal: String = id.as_str().chars().filter(|c| !"-:".contains(*c)).collect();
        let correlation = format!("{}.{}.{nominal}", object.namespace, object.name);
        Event {
            key: self.compiled.key(name),
            id,
            kind: events::KIND.to_owned(),
            time: now,
            content_type: tripline_event::event::JSON.to_owned(),
            // Keys are texts: it cannot fail.
            data: serde_json::to_vec(data).ok().map(Bytes::from),
            links: Links::first(CorrelationId(correlation)),
            cloud_event: None,
        }
    }

    /// An event of its own that stands in the log: an end, or a command.
    pub(super) fn take(&mut self, event: &Event, now: Timestamp, effects: &mut Effects) {
        let data = event.data.as_deref().unwrap_or_default();
        match event.key.name.as_str() {
            events::ENDED => {
                let Ok(result) = serde_json::from_slice::<RunResult>(data) else { return };
                self.ended(result, now, effects);
            }
            events::COMMAND => {
                let Ok(command) = serde_json::from_slice::<Command>(data) else { return };
                self.command(command, now, effects);
            }
            _ => {}
        }
    }

    fn ended(&mut self, result: RunResult, now: Timestamp, effects: &mut Effects) {
        let (run, end) = (result.id, result.end);
        effects.over.push(run);
        if !self.stored.state.is_running(run) {
            return;
        }
        if let Some(recent) = self.stored.recent.iter_mut().find(|recent| recent.run == run) {
            recent.end = Some(end);
        }
        if end == RunEnd::Completed {
            self.stored.last_completion = Some(result);
            self.stored.last_failure = None;
        } else if end.is_failure() {
            self.stored.last_failure = Some(result);
        }
        self.apply(Input::Ended { run, end, at: now }, now, effects);
    }

    fn command(&mut self, command: Command, now: Timestamp, effects: &mut Effects) {
        let input = match command.does {
            Request::Pause { note } => Input::Pause { note },
            Request::Resume => Input::Resume { now },
            Request::Trigger { overlap } => Input::Trigger { at: command.at, overlap },
            Request::Backfill { start, end, overlap, max } => {
                Input::Backfill(Backfill { start, end, overlap, max })
            }
        };
        self.apply(input, now, effects);
    }
}

fn seconds(at: Timestamp) -> String {
    format!("{at:.0}")
}
