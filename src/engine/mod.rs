//! Joins the bus, the evaluator and the executor: the part of the daemon that simulation
//! runs as it is.
//!
//! Promises: an event is acknowledged when it is durable; an action is carried out when it
//! is durable; a crash at any moment loses nothing, and decides nothing twice.
//!
//! Not here: files, sockets, event sources, the command line.

pub mod again;
mod arguments;
pub(crate) mod catch_up;
pub mod chains;
pub mod checkpoint;
pub mod correlation;
pub mod definitions;
pub mod driver;
pub mod freeze;
pub mod ingest;
mod ingest_all;
mod json_text;
pub mod kept;
mod last_tick;
pub mod mistakes;
pub mod observer;
pub mod park;
mod places;
pub mod plans;
pub mod recovery;
pub mod replay;
pub mod resume;
pub mod retention;
pub mod retry;
pub mod routes;
pub mod runs;
pub mod schedules;
pub mod source_filters;
pub mod steering;
#[cfg(feature = "jetstream")]
pub(crate) mod take_over;
pub mod trim;
mod unreadable;

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tripline_bus::{Append, Bus, Log, ReadError, WriteError};
use tripline_event::{Action, Clock, DropCause, EventsRecord, Position, Timestamp, TriggerName};
use tripline_sensors::evaluator::{Evaluator, Plan, State};
use tripline_triggers::executor::{
    CircuitChange, Executor, ExecutorParts, Frozen, Kinds, Limits, Observer, Scope, Success,
};

use again::Again;
use chains::{Chains, Submitter};
use checkpoint::{CheckpointError, Checkpoints, Marks};
use definitions::{DefinitionError, Definitions};
use driver::{CheckpointEvery, Driver, DriverError, HeldBySensor, Progress};
use ingest::{IdSource, Ingest};
use mistakes::Mistakes;
use observer::EngineObserver;
use plans::{Definition, Listing, PlanError};
use recovery::RecoveryError;
use runs::Runs;
use schedules::ends::Ends;
use schedules::{Schedules, SharedSchedules};

/// How many questions may wait for the evaluator.
const MOST_QUESTIONS: usize = 64;

/// What an engine is made of.
pub struct EngineParts {
    /// Where everything durable is.
    pub bus: Arc<dyn Bus>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids for events that have none.
    pub ids: Arc<dyn IdSource>,
    /// Compiled sensors.
    pub definitions: Arc<Definitions>,
    /// What carries out.
    pub kinds: Kinds,
    /// Who watches the engine.
    pub observer: Arc<dyn EngineObserver>,
    /// Who watches the executor.
    pub executor_observer: Arc<dyn Observer>,
    /// Decides the jitter of retries.
    pub seed: u64,
    /// What the executor holds in memory.
    pub limits: Limits,
    /// When checkpoints are written.
    pub checkpoint_every: CheckpointEvery,
    /// What is paused from the start, and why.
    pub paused: Vec<(Scope, String)>,
    /// For simulation.
    pub mistakes: Mistakes,
}

/// The engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The bus does not answer.
    #[error("bus cannot be read")]
    Bus(#[from] ReadError),
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The plan of the checkpoint cannot be used.
    #[error("plan {0} of the checkpoint cannot be used")]
    Plan(u64, #[source] DefinitionError),
    /// A plan cannot be stored.
    #[error(transparent)]
    Publish(#[from] PlanError),
    /// The plan's record cannot be appended.
    #[error("plan cannot be put in force")]
    Append(#[from] WriteError),
    /// The other two logs cannot be read back.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
}

impl StartError {
    /// Whether trying again may help.
    pub fn is_transient(&self) -> bool {
        let read = |error: &ReadError| matches!(error, ReadError::Unavailable(_));
        let write =
            |error: &WriteError| matches!(error, WriteError::Unavailable(_) | WriteError::Full(_));
        let plan = |error: &PlanError| match error {
            PlanError::Read(error) => read(error),
            PlanError::Write(error) => write(error),
            PlanError::Missing(_) | PlanError::Malformed(_) => false,
        };
        match self {
            Self::Bus(error) | Self::Recovery(RecoveryError::Read(error)) => read(error),
            Self::Checkpoint(CheckpointError::Read(error)) => read(error),
            Self::Checkpoint(CheckpointError::Write(error)) | Self::Append(error) => write(error),
            Self::Plan(_, DefinitionError::Plan(error)) | Self::Publish(error) => plan(error),
            _ => false,
        }
    }
}

/// The engine did not stop well. What is open is gone on with at the next start.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// Attempts run, or their outcomes are not durable.
    #[error("attempts did not end in time")]
    Executor,
    /// The last checkpoint is not written.
    #[error("the evaluator did not end in time")]
    Evaluator,
    /// The driver had failed.
    #[error("the evaluator had failed")]
    Driver(#[source] DriverError),
}

/// A running engine.
pub struct Engine {
    /// Where events go in.
    pub ingest: Arc<Ingest>,
    /// What carries actions out.
    pub executor: Executor,
    /// How far the evaluator is.
    pub progress: watch::Receiver<Progress>,
    /// Asks the evaluator what half-met conditions hold.
    pub questions: mpsc::Sender<oneshot::Sender<HeldBySensor>>,
    /// Compiled sensors.
    pub definitions: Arc<Definitions>,
    /// Schedules as they stand.
    pub schedules: SharedSchedules,
    /// What appends actions other than by the evaluator.
    pub again: Again,
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    stop_driver: CancellationToken,
    stop_executor: CancellationToken,
    driver: JoinHandle<Result<(), DriverError>>,
    ending: JoinHandle<()>,
    following: JoinHandle<()>,
    executing: JoinHandle<bool>,
}

impl Engine {
    /// Reads back where it was, offers what is open to the executor, and begins to
    /// evaluate. No event source may run before the first plan is published.
    pub async fn start(parts: EngineParts) -> Result<Self, StartError> {
        let bus = Arc::clone(&parts.bus);
        let mut checkpoints = Checkpoints::open(Arc::clone(&bus)).await?;
        let restored = checkpoints.restore().await?;
        let (plan, marks) = match checkpoints.last() {
            Some(manifest) => (manifest.plan, manifest.marks),
            None => (0, marks_of_a_new_bus(&*bus).await?),
        };
        let state = match restored {
            Some(state) => state,
            None => State::new(bus.extent(Log::Events).await?.first.origin()),
        };
        let plan =
            if parts.mistakes.wrong_plan() { plans::newest(&*bus).await?.number } else { plan };
        let plan = driver::load_plan(&*bus, &parts.definitions, plan, &Plan::default())
            .await
            .map_err(|error| StartError::Plan(plan, error))?;
        let compiled = driver::schedules_of(&plan, &parts.definitions);
        let mut restored = checkpoints.restore_schedules().await?;
        if parts.mistakes.forget_ticks() {
            restored.forget_outbox();
        }
        let schedules = Schedules::restore(restored, state.log_time, compiled);
        let schedules: SharedSchedules = Arc::new(Mutex::new(schedules));
        let replay_to = bus.extent(Log::Events).await?.next;
        let relayed = match checkpoints.last().map(|manifest| manifest.relayed) {
            Some(Some(relayed)) if !parts.mistakes.forget_ends() => relayed,
            // Of before there were schedules: no end was waited for.
            Some(_) => bus.extent(Log::Outcomes).await?.next,
            None => bus.extent(Log::Outcomes).await?.first,
        };
        schedules::lock(&schedules).relayed = Some(relayed);
        let chains = Arc::new(Chains::default());
        let mut recovery = recovery::recover(&*bus, marks, &chains).await?;
        for decided in &mut recovery.open {
            let action = &decided.action;
            let loaded = parts
                .definitions
                .load(&*bus, &action.trigger.sensor_name(), &action.definition)
                .await;
            // Without its definition it becomes a dead letter that says so.
            if let Err(error @ DefinitionError::Plan(PlanError::Read(_))) = loaded {
                return Err(StartError::Plan(plan.number, error));
            }
            // What follows from its dead letter is there, and the letter is not.
            if recovery.followed.contains(&action.id)
                && let Some(follows) = parts.definitions.follow_up_id(action)
                && let Some(recovered) = &mut decided.recovered
            {
                recovered.given_up = recovery.follow_ups.contains(&follows);
            }
        }
        let actions_next = bus.extent(Log::Actions).await?.next;
        let in_force = resume::newest_in_force(&*bus, &parts.definitions).await;
        in_force.map_err(|error| StartError::Plan(plan.number, error))?;
        let appending: Arc<tokio::sync::Mutex<()>> = Arc::default();
        let trimming: Arc<tokio::sync::Mutex<()>> = Arc::default();
        let executor = Executor::new(ExecutorParts {
            bus: Arc::clone(&bus),
            clock: Arc::clone(&parts.clock),
            renderer: match parts.mistakes.ignore_freeze() {
                true => Arc::new(mistakes::Thawed(Arc::clone(&parts.definitions))),
                false => Arc::clone(&parts.definitions) as _,
            },
            kinds: parts.kinds,
            observer: Arc::new(Learns {
                chains: Arc::clone(&chains),
                next: parts.executor_observer,
            }),
            seed: parts.seed,
            limits: parts.limits,
            appending: Arc::clone(&appending),
        });
        for (scope, reason) in parts.paused {
            if parts.mistakes.forget_pauses() {
                break;
            }
            executor.pause(scope, &reason);
        }
        recovery.follow_ups.into_iter().for_each(|id| executor.note_follow_up(id));
        let now = parts.clock.now();
        resume::starts(&*bus, &parts.definitions, &executor, now).await?;
        let runs = Runs::restore(&bus, &*parts.clock, &executor, &parts.observer).await?;
        for decided in recovery.open {
            executor.offer(decided);
        }
        let again = Again {
            bus: Arc::clone(&bus),
            definitions: Arc::clone(&parts.definitions),
            executor: executor.clone(),
            observer: Arc::clone(&parts.observer),
            appending: Arc::clone(&appending),
            one_at_a_time: Arc::default(),
            trimming: Arc::clone(&trimming),
            mistakes: parts.mistakes,
        };
        let (questions, questions_receiver) = mpsc::channel(MOST_QUESTIONS);
        let (progress_sender, progress) = watch::channel(Progress::default());
        let held = state.conditions.lowest_held();
        let driver = Driver {
            bus: Arc::clone(&bus),
            clock: Arc::clone(&parts.clock),
            evaluator: Evaluator::new(plan, state),
            schedules: Arc::clone(&schedules),
            replay_to,
            checkpoints,
            definitions: Arc::clone(&parts.definitions),
            executor: executor.clone(),
            observer: Arc::clone(&parts.observer),
            every: parts.checkpoint_every,
            mistakes: parts.mistakes,
            decided: recovery.decided,
            actions_next,
            ends: VecDeque::from([(marks.open_from, marks.outcomes_from)]),
            progress: progress_sender,
            questions: questions_receiver,
            appending,
            held,
            deciding: None,
            since_checkpoint: 0,
            checkpoint_at: parts.clock.now(),
            trimmed_at: Timestamp::UNIX_EPOCH,
            trimming: None,
            may_trim: trimming,
            parked_at: Timestamp::UNIX_EPOCH,
            parking: None,
        };
        let ends = Ends {
            bus: Arc::clone(&bus),
            clock: Arc::clone(&parts.clock),
            schedules: Arc::clone(&schedules),
            observer: Arc::clone(&parts.observer),
            progress: progress.clone(),
            replay_to: Position { sequence: replay_to.sequence.saturating_sub(1), ..replay_to },
            from: relayed,
        };
        let ingest = Ingest {
            bus: Arc::clone(&bus),
            clock: Arc::clone(&parts.clock),
            ids: parts.ids,
            chains,
            observer: parts.observer,
            finder: correlation::Finder::default(),
            mistakes: parts.mistakes,
            healthy: AtomicBool::new(true),
            filters: source_filters::SourceFilters::default(),
        };
        let (stop_driver, stop_executor) = (CancellationToken::new(), CancellationToken::new());
        let executing = {
            let (executor, stop) = (executor.clone(), stop_executor.clone());
            tokio::spawn(async move { executor.run(stop).await })
        };
        Ok(Self {
            ingest: Arc::new(ingest),
            questions,
            executor,
            progress,
            definitions: parts.definitions,
            again,
            bus,
            clock: parts.clock,
            schedules,
            ending: tokio::spawn(ends.run(stop_driver.clone())),
            following: tokio::spawn(runs.run(stop_driver.clone())),
            driver: tokio::spawn(driver.run(stop_driver.clone())),
            stop_driver,
            stop_executor,
            executing,
        })
    }

    /// What puts sensors in force, for whoever does.
    pub fn publisher(&self) -> Publisher {
        Publisher {
            bus: Arc::clone(&self.bus),
            clock: Arc::clone(&self.clock),
            newest: Arc::default(),
        }
    }

    /// Returns when everything up to `position` is evaluated and its actions are durable;
    /// false where the driver has ended before.
    pub async fn evaluated(&self, position: Position) -> bool {
        self.progress.clone().wait_for(|progress| progress.evaluated >= position).await.is_ok()
    }

    /// The driver has ended by itself: the daemon cannot go on.
    pub fn has_failed(&self) -> bool {
        self.driver.is_finished()
    }

    /// Returns when the driver has ended by itself: the daemon cannot go on.
    ///
    /// # Errors
    /// Why it ended.
    pub async fn failed(&mut self) -> Result<(), DriverError> {
        match (&mut self.driver).await {
            Ok(ended) => ended,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    /// Evaluates no more, writes a checkpoint, lets attempts end. Event sources must have
    /// stopped before.
    ///
    /// # Errors
    /// What did not end within `grace`, or not well. Nothing is lost by that.
    pub async fn stop(self, grace: Duration) -> Result<(), StopError> {
        self.stop_executor.cancel();
        let executed = tokio::time::timeout(grace, self.executing).await;
        self.stop_driver.cancel();
        let driven = tokio::time::timeout(grace, self.driver).await;
        // It holds nothing that is not done again.
        self.ending.abort();
        self.following.abort();
        match (executed, driven) {
            (Ok(Ok(true)), Ok(Ok(Ok(())))) => Ok(()),
            (_, Ok(Ok(Err(error)))) => Err(StopError::Driver(error)),
            (Ok(Ok(true)), _) => Err(StopError::Evaluator),
            _ => Err(StopError::Executor),
        }
    }

    /// Ends at once, as if the process were killed.
    pub fn kill(self) {
        self.driver.abort();
        self.ending.abort();
        self.following.abort();
        self.executing.abort();
    }
}

/// Puts sensors in force.
#[derive(Clone)]
pub struct Publisher {
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    /// The newest plan that is known; also held while one is published.
    newest: Arc<tokio::sync::Mutex<Listing>>,
}

impl Publisher {
    /// Puts these sensors in force. When it returns, the record that does so is durable:
    /// every event that is accepted from now on is theirs. If they are in force already,
    /// nothing changes. Returns the number of their plan.
    ///
    /// # Errors
    /// The bus did not take it; it may be tried again.
    pub async fn publish(&self, definitions: &[Definition]) -> Result<u64, StartError> {
        let mut newest = self.newest.lock().await;
        plans::publish(&*self.bus, definitions, &mut newest).await?;
        let number = newest.number;
        if number > 0 {
            let record = EventsRecord::Plan { number, at: self.clock.now() }.encode();
            let dedup = Some(format!("plan/{number}").into());
            self.bus.append(Log::Events, vec![Append { dedup, record }]).await?;
        }
        Ok(number)
    }
}

async fn marks_of_a_new_bus(bus: &dyn Bus) -> Result<Marks, ReadError> {
    let actions = bus.extent(Log::Actions).await?.first;
    let outcomes_from = bus.extent(Log::Outcomes).await?.first;
    Ok(Marks { actions, open_from: actions, outcomes_from })
}

/// Remembers which workflow belongs to which chain, and passes everything on.
struct Learns {
    chains: Arc<Chains>,
    next: Arc<dyn Observer>,
}

impl Observer for Learns {
    fn on_started(&self, action: &Action, attempt: u32) {
        self.next.on_started(action, attempt);
    }

    fn on_succeeded(&self, action: &Action, success: &Success<'_>) {
        let submitter = Submitter {
            action: action.id.clone(),
            root: action.links.root().clone(),
            hops: action.links.hops,
            path: action.links.path_through(&action.trigger),
        };
        self.chains.learn(success.result, submitter);
        self.next.on_succeeded(action, success);
    }

    fn on_retry(
        &self,
        action: &Action,
        attempt: u32,
        error: &str,
        next: tripline_event::Timestamp,
    ) {
        self.next.on_retry(action, attempt, error, next);
    }

    fn on_dead_letter(&self, action: &Action, cause: tripline_event::Cause, error: &str) {
        self.next.on_dead_letter(action, cause, error);
    }

    fn on_dropped(&self, action: &Action, cause: DropCause, reason: &str) {
        self.next.on_dropped(action, cause, reason);
    }

    fn on_circuit(&self, change: &CircuitChange) {
        self.next.on_circuit(change);
    }

    fn on_frozen(&self, trigger: &TriggerName, frozen: &Frozen) {
        self.next.on_frozen(trigger, frozen);
    }

    fn on_follow_up(&self, position: Position, action: &Action) {
        self.next.on_follow_up(position, action);
    }

    fn on_closed(&self, position: Position, action: &Action) {
        self.next.on_closed(position, action);
    }

    fn on_outcomes_held(&self, error: &WriteError, waiting: usize) {
        self.next.on_outcomes_held(error, waiting);
    }
}
