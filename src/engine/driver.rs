//! Reads the EVENTS log and drives the evaluator: record by record, actions before the
//! watermark, a checkpoint now and then.
//!
//! Promises: the watermark passes a record only when its actions are durable; a checkpoint
//! never holds what is not; while the bus fails, everything is tried again, in order.
//!
//! Not here: deciding, and carrying out.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tripline_bus::{Append, Bus, Log, ReadError, Stored, WriteError};
use tripline_event::{
    Action, ActionId, Clock, DropCause, Event, EventsRecord, ObjectName, Outcome, OutcomeKind,
    Position, RecordError, Timestamp,
};
use tripline_sensors::evaluator::{
    Dependency, Duplicate, Evaluator, Held, Plan, Recorder, Sensor, SensorState, Shared, Trigger,
};
use tripline_sensors::filter::{Trace, Verdict};
use tripline_triggers::executor::{Decided, Executor};

use super::catch_up::CatchUp;
use super::checkpoint::{CheckpointError, Checkpoints, Marks};
use super::definitions::{DefinitionError, Definitions};
use super::kept;
use super::mistakes::Mistakes;
use super::observer::EngineObserver;
use super::park;
use super::plans;
use super::retry::Retry;
use super::schedules::events::COMMAND;
use super::schedules::{self, CompiledSchedule, SharedSchedules, ends};
use super::{retention, trim};

/// The most records that are evaluated before their actions are written.
const BATCH: usize = 512;
/// How often it is looked whether the logs can be trimmed.
const TRIM_EVERY: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);
/// How often it is looked whether a sensor holds back too much.
const PARK_EVERY: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);
/// The most actions that are appended at once.
const ACTIONS_AT_ONCE: usize = 1024;

/// When a checkpoint is written.
#[derive(Clone, Copy, Debug)]
pub struct CheckpointEvery {
    /// After so many records.
    pub records: u64,
    /// After this time, if there was a record.
    pub time: Duration,
}

impl Default for CheckpointEvery {
    fn default() -> Self {
        Self { records: 50_000, time: Duration::from_secs(30) }
    }
}

/// The daemon cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// A record of the log is not understood.
    #[error("record {0} of the event log cannot be read")]
    Record(Position, #[source] RecordError),
    /// A position is not in its log.
    #[error("log cannot be read")]
    Log(#[source] ReadError),
    /// A plan that the log names cannot be used.
    #[error("plan {0} cannot be used")]
    Plan(u64, #[source] DefinitionError),
    /// A checkpoint can never be written.
    #[error("checkpoint cannot be written")]
    Checkpoint(#[source] CheckpointError),
    /// The bus refuses an action for good.
    #[error("actions cannot be written")]
    Actions(#[source] WriteError),
}

/// Drives the evaluator.
pub struct Driver {
    pub(super) bus: Arc<dyn Bus>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) evaluator: Evaluator,
    pub(super) schedules: SharedSchedules,
    /// Where the log ended when the engine was started: what is decided before that may be in
    /// the log already.
    pub(super) replay_to: Position,
    pub(super) checkpoints: Checkpoints,
    pub(super) definitions: Arc<Definitions>,
    pub(super) executor: Executor,
    pub(super) observer: Arc<dyn EngineObserver>,
    pub(super) every: CheckpointEvery,
    pub(super) mistakes: Mistakes,
    /// Actions in the log that the replay will decide again.
    pub(super) decided: HashSet<ActionId>,
    /// Where the next action will stand, as far as this process knows.
    pub(super) actions_next: Position,
    /// Ends of ACTIONS and OUTCOMES at the same moment, the oldest first.
    pub(super) ends: VecDeque<(Position, Position)>,
    pub(super) progress: watch::Sender<Progress>,
    /// Questions about what is held, each with where the answer goes.
    pub(super) questions: mpsc::Receiver<oneshot::Sender<HeldBySensor>>,
    /// Held by whoever appends actions, until they are offered: they are offered in the order of
    /// the log, and no checkpoint comes in between.
    pub(super) appending: Arc<tokio::sync::Mutex<()>>,
    /// The oldest event that half-met conditions hold in the newest checkpoint: a restart begins
    /// there, whatever came of it since.
    pub(super) held: Option<Position>,
    /// The oldest event of actions that are decided and not durable yet.
    pub(super) deciding: Option<Position>,
    pub(super) since_checkpoint: u64,
    pub(super) checkpoint_at: Timestamp,
    pub(super) trimmed_at: Timestamp,
    pub(super) trimming: Option<tokio::task::JoinHandle<()>>,
    /// Held while the logs are trimmed: who looks back holds it, too.
    pub(super) may_trim: Arc<tokio::sync::Mutex<()>>,
    pub(super) parked_at: Timestamp,
    pub(super) parking: Option<tokio::task::JoinHandle<()>>,
}

/// What half-met conditions hold, by sensor.
pub type HeldBySensor = BTreeMap<ObjectName, SensorState>;

/// How far the evaluator is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Everything up to here is evaluated, and its actions are durable.
    pub evaluated: Position,
    /// The number of the plan in force.
    pub plan: u64,
    /// Records that are not evaluated yet.
    pub behind: u64,
}

/// What a batch of records led to.
#[derive(Default)]
struct Batch {
    actions: Vec<(Action, Option<Arc<Event>>)>,
    duplicates: Vec<(Duplicate, Timestamp)>,
}

impl Driver {
    /// Evaluates what is in the log and what is appended to it, until `stop`; then writes
    /// a checkpoint.
    ///
    /// # Errors
    /// What trying again cannot mend.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), DriverError> {
        self.observer.on_tally(self.evaluator.tally());
        while !stop.is_cancelled() {
            self.answer();
            let from = self.evaluator.state().watermark.next();
            let Some(records) = self.read(from, &stop).await? else { break };
            if records.is_empty() {
                self.idle(from, &stop).await?;
                continue;
            }
            if !self.evaluate(&records, &stop).await? {
                // What was decided is not durable: no checkpoint. It is decided again.
                return Ok(());
            }
            self.tell_progress(records.len() == BATCH).await;
            self.checkpoints.write_ahead(self.evaluator.state(), self.clock.now()).await;
            if self.mistakes.forget_ticks() {
                self.checkpoint().await?;
            }
            self.send_ticks().await;
            if self.since_checkpoint >= self.every.records {
                self.checkpoint().await?;
            }
        }
        if self.since_checkpoint > 0 {
            self.checkpoint().await?;
        }
        Ok(())
    }

    /// None where it was stopped while the bus was failing.
    async fn read(
        &self,
        from: Position,
        stop: &CancellationToken,
    ) -> Result<Option<Vec<Stored>>, DriverError> {
        let mut retry = Retry::new(&self.observer, "events cannot be read");
        loop {
            match self.bus.read(Log::Events, from, BATCH).await {
                Ok(records) => return Ok(Some(records)),
                Err(error @ ReadError::Unavailable(_)) => {
                    if !retry.pause(&error, stop).await {
                        return Ok(None);
                    }
                }
                Err(error) => return Err(DriverError::Log(error)),
            }
        }
    }

    /// The end of the log is reached: waits for a record, for time, or for the next checkpoint.
    async fn idle(&mut self, from: Position, stop: &CancellationToken) -> Result<(), DriverError> {
        self.decided = HashSet::new();
        self.tell_progress(false).await;
        let all_sent = self.send_ticks().await;
        let of_schedules = schedules::lock(&self.schedules).next_deadline();
        let deadline = self.evaluator.next_deadline().into_iter().chain(of_schedules).min();
        let until_deadline = self.until(deadline.unwrap_or(Timestamp::MAX));
        // Where nothing more is taken in, nothing comes: what is open is closed all the same,
        // and a checkpoint that knows of it lets the logs be trimmed.
        let crowded = retention::is_crowded(&*self.bus);
        let every = if crowded { retention::LOOK_EVERY.unsigned_abs() } else { self.every.time };
        let checkpoint_due = self.checkpoint_at.saturating_add(every).unwrap_or(Timestamp::MAX);
        let until_checkpoint = self.until(checkpoint_due);
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            Some(question) = self.questions.recv() => {
                self.tell_held(question);
            }
            waited = self.bus.wait(Log::Events, from) => {
                // The next read says it again if it is for good.
                if let Err(ReadError::Unavailable(_)) = waited {
                    tokio::time::sleep(Retry::FIRST).await;
                }
            }
            () = tokio::time::sleep(until_deadline), if deadline.is_some() => {
                self.append_time(deadline.unwrap_or(Timestamp::MAX), stop).await;
            }
            () = tokio::time::sleep(until_checkpoint), if self.since_checkpoint > 0 || crowded => {
                self.checkpoint().await?;
            }
            () = tokio::time::sleep(Retry::FIRST), if !all_sent => {}
        }
        Ok(())
    }

    fn answer(&mut self) {
        while let Ok(question) = self.questions.try_recv() {
            self.tell_held(question);
        }
    }

    fn tell_held(&self, question: oneshot::Sender<HeldBySensor>) {
        // Who does not wait for the answer any more does not need it.
        let held = self.evaluator.state().conditions.iter();
        let _ = question.send(held.map(|(name, held)| (name.clone(), held.clone())).collect());
    }

    /// A clock that is set back or forth is noticed within a minute.
    fn until(&self, at: Timestamp) -> Duration {
        let wait = at.duration_since(self.clock.now());
        Duration::try_from(wait).unwrap_or_default().min(Duration::from_secs(60))
    }

    /// The time that something is due at has come, unless the clock says otherwise. The record
    /// says how late it is by now: what was missed is told from what is due by that.
    async fn append_time(&mut self, due: Timestamp, stop: &CancellationToken) {
        let now = self.clock.now();
        if now < due {
            return;
        }
        // Two who come to the same place of the log append it once.
        let watermark = self.evaluator.state().watermark;
        let mut retry = Retry::new(&self.observer, "time cannot be appended");
        loop {
            let dedup = Some(format!("time/{}/{watermark}", due.as_nanosecond()).into());
            let record = EventsRecord::Time(now).encode();
            match self.bus.append(Log::Events, vec![Append { dedup, record }]).await {
                Ok(_) => return,
                Err(error) => {
                    self.make_room(&error);
                    if !retry.pause(&error, stop).await {
                        return;
                    }
                }
            }
        }
    }

    /// False where it was stopped before everything that was decided is durable.
    async fn evaluate(
        &mut self,
        records: &[Stored],
        stop: &CancellationToken,
    ) -> Result<bool, DriverError> {
        let mut batch = Batch::default();
        for stored in records {
            let record = EventsRecord::decode(&stored.record)
                .map_err(|error| DriverError::Record(stored.position, error))?;
            self.apply(stored.position, record, &mut batch).await?;
        }
        self.since_checkpoint += records.len() as u64;
        if self.mistakes.checkpoint_before_actions() {
            self.checkpoint().await?;
        }
        self.append_duplicates(batch.duplicates).await;
        let events = batch.actions.iter().flat_map(|(action, _)| &action.events);
        self.deciding = events.map(|event| event.position).min();
        let mut actions = batch.actions.into_iter();
        loop {
            // As many as the bus takes at once, whatever a batch of events leads to.
            let part: Vec<_> = actions.by_ref().take(ACTIONS_AT_ONCE).collect();
            if part.is_empty() {
                self.deciding = None;
                return Ok(true);
            }
            if !self.append_actions(part, stop).await? {
                return Ok(false);
            }
        }
    }

    async fn apply(
        &mut self,
        position: Position,
        record: EventsRecord,
        batch: &mut Batch,
    ) -> Result<(), DriverError> {
        if self.mistakes.no_dedup() {
            self.evaluator.state_mut().window = Default::default();
        }
        match record {
            EventsRecord::Plan { number, at } => {
                let plan = if number > self.evaluator.plan().number {
                    self.load_plan(number).await?
                } else {
                    Arc::clone(self.evaluator.plan())
                };
                let changes = number > self.evaluator.plan().number;
                let catch_up = CatchUp::new(self.evaluator.plan(), &plan, position, at);
                self.evaluator.switch(position, at, plan);
                if let Some(catch_up) = catch_up.filter(|_| changes) {
                    self.trimmed().await;
                    let actions = self.catch_up(&catch_up).await?;
                    batch.actions.extend(actions.into_iter().map(|action| (action, None)));
                }
                self.switch_schedules(changes);
                if changes {
                    self.switch_policies();
                }
                self.observer.on_tally(self.evaluator.tally());
            }
            record @ (EventsRecord::Time(_) | EventsRecord::Clear { .. }) => {
                self.evaluator.apply(position, &record, &mut Told(&*self.observer));
                let now = self.evaluator.state().log_time;
                schedules::lock(&self.schedules).pass_time(now);
            }
            EventsRecord::Event(event) => self.apply_event(position, event, batch),
        }
        Ok(())
    }

    fn apply_event(&mut self, position: Position, event: Event, batch: &mut Batch) {
        let record = EventsRecord::Event(event);
        let decisions = self.evaluator.apply(position, &record, &mut Told(&*self.observer));
        let EventsRecord::Event(event) = record else { return };
        self.apply_to_schedules(&event, decisions.duplicate.is_some());
        if let Some(duplicate) = decisions.duplicate {
            self.observer.on_duplicate(&duplicate);
            batch.duplicates.push((duplicate, event.time));
            return;
        }
        self.observer.on_evaluated(&event, decisions.actions.len());
        let event = Arc::new(event);
        for action in decisions.actions {
            if self.decided.contains(&action.id) {
                continue;
            }
            // Another event of a join is read from the log when it is needed.
            let at_hand = (action.events.len() == 1).then(|| Arc::clone(&event));
            batch.actions.push((action, at_hand));
        }
    }

    fn apply_to_schedules(&self, event: &Event, duplicate: bool) {
        let mut schedules = schedules::lock(&self.schedules);
        schedules.pass_time(self.evaluator.state().log_time);
        let passed_over = self.mistakes.ignore_commands() && event.key.name == COMMAND;
        if duplicate || passed_over {
            schedules.seen(event);
        } else {
            schedules.apply(event);
        }
    }

    /// How actions that wait are started follows from the sensors in force.
    fn switch_policies(&self) {
        let plan = self.evaluator.plan();
        let sensors = plan.sensors().iter();
        let by_sensor =
            sensors.map(|sensor| (sensor.name.clone(), sensor.definition.clone())).collect();
        self.definitions.in_force.set(plan.number, by_sensor);
        self.executor.policies_changed();
    }

    /// The schedules of the plan in force.
    fn switch_schedules(&self, changes: bool) {
        let now = self.evaluator.state().log_time;
        let mut schedules = schedules::lock(&self.schedules);
        if changes {
            schedules.switch(now, schedules_of(self.evaluator.plan(), &self.definitions));
        } else {
            schedules.pass_time(now);
        }
    }

    /// Appends what schedules decided, once the log was read to where it ended at the start;
    /// false where the bus did not take it: then it is tried again.
    async fn send_ticks(&self) -> bool {
        if self.evaluator.state().watermark.next() < self.replay_to {
            return true;
        }
        for (action, why) in schedules::lock(&self.schedules).take_unwanted() {
            let filter: tripline_triggers::executor::ActionFilter =
                Arc::new(move |waiting: &Action| waiting.id == action);
            self.executor.drop_waiting(&filter, DropCause::Schedule, why);
        }
        while schedules::lock(&self.schedules).has_unsent() {
            let mut events = schedules::lock(&self.schedules).unsent();
            events.truncate(ACTIONS_AT_ONCE);
            let batch = events.iter().map(ends::append_of).collect();
            if let Err(error) = self.bus.append(Log::Events, batch).await {
                self.observer.on_bus_trouble("ticks cannot be appended", Some(&error.to_string()));
                return false;
            }
            self.observer.on_ticks(&events);
            schedules::lock(&self.schedules).sent(&events);
        }
        true
    }

    async fn load_plan(&self, number: u64) -> Result<Arc<Plan>, DriverError> {
        let mut retry = Retry::new(&self.observer, "plan cannot be loaded");
        loop {
            let known = self.evaluator.plan();
            match load_plan(&*self.bus, &self.definitions, number, known).await {
                Ok(plan) => return Ok(plan),
                Err(DefinitionError::Plan(plans::PlanError::Read(error))) => {
                    retry.pause(&error, &CancellationToken::new()).await;
                }
                Err(error) => return Err(DriverError::Plan(number, error)),
            }
        }
    }

    /// Appended until the bus has them, so that no repeated event is dropped without a trace.
    async fn append_duplicates(&self, duplicates: Vec<(Duplicate, Timestamp)>) {
        if duplicates.is_empty() {
            return;
        }
        let batch: Vec<Append> = duplicates.into_iter().map(duplicate_record).collect();
        let mut retry = Retry::new(&self.observer, "outcomes cannot be appended");
        while let Err(error) = self.bus.append(Log::Outcomes, batch.clone()).await {
            retry.pause(&error, &CancellationToken::new()).await;
        }
    }

    /// Appends what was decided, each action once; false where it was stopped before that. When the bus does not answer, what it
    /// has is found out by reading, since it may have taken the actions all the same.
    async fn append_actions(
        &mut self,
        mut actions: Vec<(Action, Option<Arc<Event>>)>,
        stop: &CancellationToken,
    ) -> Result<bool, DriverError> {
        actions.iter_mut().for_each(|(action, _)| self.definitions.bind(action));
        self.mark_attempted(&mut actions);
        let appending = Arc::clone(&self.appending);
        let _in_order = appending.lock().await;
        let mut retry = Retry::new(&self.observer, "actions cannot be appended");
        let mut found: HashMap<ActionId, Position> = HashMap::new();
        loop {
            let missing: Vec<&Action> = actions
                .iter()
                .map(|(action, _)| action)
                .filter(|action| !found.contains_key(&action.id))
                .collect();
            let batch = missing.iter().map(|action| action_record(action)).collect();
            match self.bus.append(Log::Actions, batch).await {
                Ok(appended) => {
                    for (action, appended) in missing.iter().zip(appended) {
                        found.insert(action.id.clone(), appended.position);
                        self.actions_next = self.actions_next.max(appended.position.next());
                    }
                    break;
                }
                Err(error @ (WriteError::TooLarge { .. } | WriteError::Conflict { .. })) => {
                    return Err(DriverError::Actions(error));
                }
                Err(error) => {
                    self.make_room(&error);
                    if !retry.pause(&error, stop).await {
                        return Ok(false);
                    }
                    if !self.look_for(&mut found, stop).await? {
                        return Ok(false);
                    }
                }
            }
        }
        for (action, event) in actions {
            if let Some(&position) = found.get(&action.id) {
                self.offer(position, action, event);
            }
        }
        Ok(true)
    }

    /// An action that will be started as soon as it is durable says so itself, and needs no
    /// record before its first attempt.
    fn mark_attempted(&self, actions: &mut [(Action, Option<Arc<Event>>)]) {
        let mut taken: HashMap<tripline_event::TriggerName, usize> = HashMap::new();
        for (action, _) in actions {
            let taken = taken.entry(action.trigger.clone()).or_default();
            if *taken < self.executor.room(action) {
                *taken += 1;
                action.attempted = true;
            }
        }
    }

    fn offer(&self, position: Position, action: Action, event: Option<Arc<Event>>) {
        self.observer.on_decided(position, &action);
        let events = event.map(|event| vec![event]);
        self.executor.offer(Decided {
            position,
            action: Arc::new(action),
            events,
            recovered: None,
        });
    }

    /// Finds the actions that the bus has taken; false where it was stopped before that.
    async fn look_for(
        &mut self,
        found: &mut HashMap<ActionId, Position>,
        stop: &CancellationToken,
    ) -> Result<bool, DriverError> {
        let mut retry = Retry::new(&self.observer, "actions cannot be read");
        loop {
            let page = match self.bus.read(Log::Actions, self.actions_next, BATCH).await {
                Ok(page) => page,
                Err(error @ ReadError::Unavailable(_)) => {
                    if !retry.pause(&error, stop).await {
                        return Ok(false);
                    }
                    continue;
                }
                Err(error) => return Err(DriverError::Log(error)),
            };
            let Some(last) = page.last() else { return Ok(true) };
            self.actions_next = last.position.next();
            for stored in &page {
                if let Ok(action) = Action::decode(&stored.record)
                    && action.round == 0
                {
                    found.entry(action.id).or_insert(stored.position);
                }
            }
        }
    }

    async fn tell_progress(&self, more: bool) {
        let evaluated = self.evaluator.state().watermark;
        let behind = match more {
            true => match self.bus.extent(Log::Events).await {
                Ok(extent) => extent.next.sequence.saturating_sub(evaluated.sequence + 1),
                Err(_) => BATCH as u64,
            },
            false => 0,
        };
        self.observer.on_progress(evaluated, behind);
        let plan = self.evaluator.plan().number;
        self.progress.send_modify(|progress| {
            progress.evaluated = evaluated;
            progress.plan = plan;
            progress.behind = behind;
        });
    }

    /// Written until the bus has it or it is known that it never will.
    async fn checkpoint(&mut self) -> Result<(), DriverError> {
        let mut retry = Retry::new(&self.observer, "checkpoint cannot be written");
        loop {
            let now = self.clock.now();
            let written = match self.marks().await {
                Ok(marks) => {
                    let plan = self.evaluator.plan().number;
                    let schedules = &self.schedules;
                    self.checkpoints
                        .write(self.evaluator.state_mut(), schedules, plan, marks, now)
                        .await
                }
                Err(error) => Err(error.into()),
            };
            match written {
                Ok(()) => {
                    self.held = self.evaluator.state().conditions.lowest_held();
                    self.since_checkpoint = 0;
                    self.checkpoint_at = now;
                    self.observer.on_checkpoint(self.evaluator.state().watermark);
                    self.trim(now);
                    self.park(now);
                    return Ok(());
                }
                Err(CheckpointError::Write(error @ WriteError::Full(_))) => {
                    self.make_room(&error);
                    retry.pause(&error, &CancellationToken::new()).await;
                }
                Err(
                    CheckpointError::Write(WriteError::Unavailable(reason))
                    | CheckpointError::Read(ReadError::Unavailable(reason)),
                ) => {
                    retry.pause(&reason, &CancellationToken::new()).await;
                }
                Err(error) => return Err(DriverError::Checkpoint(error)),
            }
        }
    }

    /// Now and then, behind a checkpoint that is durable, and beside the evaluator: what is
    /// not needed by that checkpoint is never needed again.
    fn trim(&mut self, now: Timestamp) {
        let runs = self.trimming.as_ref().is_some_and(|trimming| !trimming.is_finished());
        let since = now.duration_since(self.trimmed_at);
        let crowded = || since >= retention::LOOK_EVERY && retention::is_crowded(&*self.bus);
        if runs || (since < TRIM_EVERY && !crowded()) {
            return;
        }
        self.trimmed_at = now;
        let Some(manifest) = self.checkpoints.last() else { return };
        let (watermark, mut marks) = (manifest.watermark, manifest.marks);
        // Ends of runs that are not on the bus yet are looked for there.
        marks.outcomes_from = manifest
            .relayed
            .map_or(marks.outcomes_from, |relayed| relayed.min(marks.outcomes_from));
        let held_now = self.evaluator.state().conditions.lowest_held();
        let mut held = [self.held, held_now, self.deciding].into_iter().flatten().min();
        if self.mistakes.trim_needed() {
            (held, marks.open_from) = (None, self.actions_next);
        }
        let (bus, may_trim) = (Arc::clone(&self.bus), Arc::clone(&self.may_trim));
        self.trimming = Some(tokio::spawn(async move {
            let _nobody_looks_back = may_trim.lock().await;
            let trimmed = match trim::needed(&*bus, watermark, held, marks).await {
                Ok(needed) => trim::trim(&bus, needed, now).await,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = trimmed {
                tracing::warn!(%error, "logs could not be trimmed; it is tried again later");
            }
            if let Err(error) = kept::trim_with_log(&*bus).await {
                tracing::debug!(%error, "checkpoints of before the log stay");
            }
        }));
    }

    /// Returns when nothing is being trimmed. Nothing will be before what is decided now is either
    /// durable or known to [`Self::trim`].
    async fn trimmed(&mut self) {
        if let Some(trimming) = self.trimming.take()
            && let Err(error) = trimming.await
        {
            tracing::error!(%error, "trimming the logs has failed");
        }
    }

    /// What holds back the log for too long is parked, beside the evaluator: the record that
    /// forgets it comes by the log.
    fn park(&mut self, now: Timestamp) {
        let runs = self.parking.as_ref().is_some_and(|parking| !parking.is_finished());
        if runs || now.duration_since(self.parked_at) < PARK_EVERY {
            return;
        }
        self.parked_at = now;
        let held: Vec<_> = self
            .evaluator
            .state()
            .conditions
            .iter()
            .map(|(name, state)| (name.clone(), state.clone()))
            .collect();
        if held.is_empty() {
            return;
        }
        let (bus, observer) = (Arc::clone(&self.bus), Arc::clone(&self.observer));
        let mistakes = self.mistakes;
        self.parking = Some(tokio::spawn(async move {
            let parked = async {
                let (extent, fill) = (bus.extent(Log::Events).await?, bus.fill());
                let held = held.iter().map(|(name, state)| (name, state));
                let overdue = park::overdue(held, now, extent, fill);
                park::park(&bus, overdue, now, &*observer, mistakes).await
            };
            if let Err(error) = parked.await {
                tracing::warn!(%error, "events that were waited with for too long could not be parked; it is tried again later");
            }
        }));
    }

    /// What waits for room must not keep the logs from being trimmed. What the newest
    /// checkpoint does not need is given up; there may be no room for another one.
    fn make_room(&mut self, error: &WriteError) {
        if matches!(error, WriteError::Full(_)) {
            self.trim(self.clock.now());
        }
    }

    /// Outcomes of an action come after it. So those of the oldest open action come after
    /// the end that OUTCOMES had when ACTIONS ended before it. That end is the log's own: not
    /// all actions are appended here.
    async fn marks(&mut self) -> Result<Marks, ReadError> {
        let _nobody_appends = self.appending.lock().await;
        let outcomes = self.bus.extent(Log::Outcomes).await?.next;
        let actions = self.bus.extent(Log::Actions).await?.next;
        let actions = if self.mistakes.stale_marks() { self.actions_next } else { actions };
        self.actions_next = actions;
        let open_from = self.executor.low_water(actions);
        while self.ends.len() > 1 && self.ends[1].0 <= open_from {
            self.ends.pop_front();
        }
        let outcomes_from = self.ends.front().map_or(outcomes, |(_, outcomes)| *outcomes);
        self.ends.push_back((actions, outcomes));
        Ok(Marks { actions, open_from, outcomes_from })
    }
}

/// The plan of that number, with its sensors compiled. Of a plan that is not much other than
/// `known` only what is other is read.
pub async fn load_plan(
    bus: &dyn Bus,
    definitions: &Definitions,
    number: u64,
    known: &Plan,
) -> Result<Arc<Plan>, DefinitionError> {
    let mut sensors = Vec::new();
    match plans::contents(bus, number, known.number).await? {
        plans::Contents::Whole(listing) => {
            sensors.reserve_exact(listing.sensors.len());
            for (name, hash) in &listing.sensors {
                sensors.push(Arc::clone(&definitions.load(bus, name, hash).await?.sensor));
            }
        }
        plans::Contents::Since(changes) => {
            let same = known.sensors().iter().filter(|it| !changes.contains_key(&it.name));
            sensors.extend(same.map(Arc::clone));
            for (name, hash) in &changes {
                if let Some(hash) = hash {
                    sensors.push(Arc::clone(&definitions.load(bus, name, hash).await?.sensor));
                }
            }
        }
    }
    Ok(Arc::new(Plan::new(number, sensors)))
}

/// The schedules among the sensors of a plan whose definitions are compiled.
pub fn schedules_of(plan: &Plan, definitions: &Definitions) -> Vec<Arc<CompiledSchedule>> {
    let compiled = plan.sensors().iter().filter_map(|sensor| definitions.get(&sensor.definition));
    compiled.filter_map(|compiled| compiled.schedule.clone()).collect()
}

/// An action is appended once for each of its rounds.
pub(super) fn action_record(action: &Action) -> Append {
    Append {
        dedup: Some(format!("{}/{}", action.id, action.round).into()),
        record: action.encode(),
    }
}

fn duplicate_record((duplicate, at): (Duplicate, Timestamp)) -> Append {
    let Duplicate { key, id, position, first } = duplicate;
    let kind = OutcomeKind::Duplicate { key, id, position, first };
    let record = Outcome { at, correlation: None, kind }.encode();
    Append { dedup: Some(format!("duplicate/{position}").into()), record }
}

/// Tells the observer what filters could not evaluate.
struct Told<'a>(&'a dyn EngineObserver);

impl Recorder for Told<'_> {
    const ON: bool = false;

    fn filtered(
        &mut self,
        sensor: &Sensor,
        dependency: &Dependency,
        verdict: &Verdict,
        _: Option<Trace>,
    ) {
        if let Some(error) = &verdict.error {
            self.0.on_filter_error(&sensor.name, &dependency.name, 0, error);
        }
    }

    fn shared(&mut self, Shared { error, count, sensor, dependency }: &Shared<'_>) {
        self.0.on_filter_error(&sensor.name, &dependency.name, count - 1, error);
    }

    fn waits(&mut self, _: &Sensor, _: &Trigger, _: &str, _: Option<&BTreeMap<Arc<str>, Held>>) {}

    fn fired(&mut self, _: &Sensor, _: &Trigger, _: &Action) {}
}
