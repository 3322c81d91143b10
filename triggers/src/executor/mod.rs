//! Carries actions out: order, concurrency, retries, expiry, dead letters.
//!
//! Each trigger has a queue of its own, and each attempt is a task of its own: a target
//! that hangs or fails delays its own trigger alone. The actions of one trigger are
//! started in the order of their positions; one that waits for its next attempt holds up
//! none behind it, unless its policy wants one at a time in each lane.
//!
//! Promises: an action counts as open until the outcome that closes it is durable; an
//! outcome is appended until the bus has it, and stored once; before the first attempt
//! of an action, a record that it may have been attempted is durable.
//!
//! Not here: deciding, rendering, and how a target is called.

mod attempt;
mod circuit;
mod core;
mod ending;
mod follow_up;
mod history;
mod hold;
mod lane;
mod letter;
mod policy;
mod queue;
mod rate;
mod recorder;
mod renderer;
mod run;
mod scope;
mod state;
mod take;
#[cfg(test)]
mod tests;
mod unread;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tripline_bus::Bus;
use tripline_event::{Action, ActionId, Clock, DropCause, Event, Position, Timestamp, TriggerName};

pub use circuit::{CircuitChange, CircuitSnapshot};
pub use hold::{Hold, HoldCause};
pub use policy::{Freeze, Frozen, Overlap, RateLimit, RetryPolicy, Suspended, TriggerPolicy};
pub use renderer::{Observer, RenderError, Renderer, Success, Unobserved};
pub use run::{Run, Started};
pub use scope::Scope;

use core::Core;
use queue::Dropping;

use crate::Trigger;

/// The kinds of triggers that actions can be carried out by, by the key under `template`.
pub type Kinds = BTreeMap<String, Arc<dyn Trigger>>;

/// An action that is durable, for [`Executor::offer`].
#[derive(Clone, Debug)]
pub struct Decided {
    /// Where it stands in the ACTIONS log.
    pub position: Position,
    /// The action.
    pub action: Arc<Action>,
    /// Its events in the order of `action.events`, where they are at hand; else they are
    /// read from the EVENTS log when they are needed.
    pub events: Option<Vec<Arc<Event>>>,
    /// None for an action that was just decided; for one that was read back at a start,
    /// what its earlier outcomes say.
    pub recovered: Option<Recovered>,
}

/// What is known of an open action that was read back at a start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The highest `attempt` in its `Attempted` and `Retrying` outcomes of this round; 0
    /// where there are none.
    pub prior_attempts: u32,
    /// The latest of them says that nothing was done at the target.
    pub untouched: bool,
    /// It was given up: what follows from its dead letter is there, the letter is not.
    pub given_up: bool,
}

/// What an executor is made of.
pub struct ExecutorParts {
    /// Where ACTIONS and EVENTS are read, and OUTCOMES appended.
    pub bus: Arc<dyn Bus>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What fills templates.
    pub renderer: Arc<dyn Renderer>,
    /// What carries out.
    pub kinds: Kinds,
    /// What is told.
    pub observer: Arc<dyn Observer>,
    /// Decides the jitter of retries, together with the action's id and the attempt.
    pub seed: u64,
    /// What is held in memory, and for how long a stop may take.
    pub limits: Limits,
    /// Held by whoever appends actions, until they are offered: they are offered in the order of
    /// the log, and who holds it knows that all in the log were.
    pub appending: Arc<tokio::sync::Mutex<()>>,
}

/// What an executor holds in memory, and how long it takes to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most open actions of one trigger in memory: waiting, running, waiting for a
    /// retry, and waiting for their outcome to be durable. Those beyond stay in the
    /// ACTIONS log and are read back when there is room.
    pub actions_per_trigger: usize,
    /// The most bytes of payloads that wait in memory for one trigger; those of further
    /// actions are read back from the EVENTS log.
    pub payload_bytes_per_trigger: usize,
    /// How long attempts and outcomes may take after a stop.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            actions_per_trigger: 1024,
            payload_bytes_per_trigger: 1 << 20,
            grace: Duration::from_secs(20),
        }
    }
}

/// One trigger, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerSnapshot {
    /// The trigger.
    pub trigger: TriggerName,
    /// Actions that were not started yet, those that are only in the log included.
    pub waiting: u64,
    /// Actions whose attempt is running.
    pub in_flight: u64,
    /// Actions that wait for their next attempt.
    pub retrying: u64,
    /// When the oldest of all these was decided.
    pub oldest_decided_at: Option<Timestamp>,
    /// The error of the latest attempt that failed; none after one that succeeded.
    pub last_error: Option<String>,
    /// Why it is paused, where it is.
    pub paused: Option<String>,
    /// Why its next action is not started, where one waits.
    pub hold: Option<Hold>,
}

/// What [`Executor::drop_waiting`] dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DroppedCount {
    /// Actions that were dropped.
    pub dropped: u64,
    /// Actions that wait in the log alone; those of them that match are dropped when
    /// they are read back.
    pub to_examine: u64,
}

/// The waiting actions of one trigger that match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingCount {
    /// The trigger.
    pub trigger: TriggerName,
    /// How many match, of those in memory.
    pub waiting: u64,
    /// When the oldest of them was decided.
    pub oldest: Option<Timestamp>,
    /// How many wait in the log alone: whether they match is known when they are read back.
    pub to_examine: u64,
}

/// Chooses actions.
pub type ActionFilter = Arc<dyn Fn(&Action) -> bool + Send + Sync>;

/// Carries actions out. Clones are the same executor.
#[derive(Clone)]
pub struct Executor {
    core: Arc<Core>,
}

impl Executor {
    /// An executor that carries nothing out before [`Self::run`].
    pub fn new(parts: ExecutorParts) -> Self {
        Self { core: Arc::new(Core::new(parts)) }
    }

    /// Takes over an action that is durable. Never waits. Actions of one trigger are
    /// offered in the order of their positions; at a start, first all that are open.
    /// Offering one that is open already changes nothing.
    pub fn offer(&self, decided: Decided) {
        self.core.state().offer(decided);
        self.core.changed.notify_one();
    }

    /// Carries out what was and is offered until `stop`; then starts nothing more, waits
    /// for attempts and outcomes as long as [`Limits::grace`], and returns whether all
    /// have ended. What has not is open still and is offered again at the next start.
    /// Where the future is dropped, everything ends at once. To be called once.
    pub async fn run(&self, stop: CancellationToken) -> bool {
        Arc::clone(&self.core).run(stop).await
    }

    /// How many actions of the trigger of `action` would be started as soon as they are
    /// offered. Such an action may say itself that it was attempted
    /// ([`Action::attempted`]); any other gets a record before its first attempt.
    pub fn room(&self, action: &Action) -> usize {
        let policy = self.core.parts.renderer.policy(action);
        self.core.state().room(&action.trigger, &policy)
    }

    /// The lowest position of an action that was offered and is not closed; `next` where
    /// there is none. `next` must not be beyond what was offered.
    pub fn low_water(&self, next: Position) -> Position {
        self.core.state().low_water(next)
    }

    /// Starts nothing more in `scope` until it is resumed; attempts that run go on. It is
    /// remembered in this process alone.
    pub fn pause(&self, scope: Scope, reason: &str) {
        self.core.state().pause(scope, reason);
    }

    /// Takes back [`Self::pause`] of the same scope; false where there was none.
    pub fn resume(&self, scope: &Scope) -> bool {
        let was = self.core.state().resume(scope);
        self.core.changed.notify_one();
        was
    }

    /// What is paused, and why.
    pub fn paused(&self) -> Vec<(Scope, String)> {
        self.core.state().paused()
    }

    /// Drops the actions that match, but for those whose attempt is running, each with an
    /// outcome that gives `reason`. `filter` must not call the executor.
    pub fn drop_waiting(
        &self,
        filter: &ActionFilter,
        cause: DropCause,
        reason: &str,
    ) -> DroppedCount {
        let dropping = Dropping { cause, reason: reason.into(), by: None };
        let (taken, to_examine) = self.core.state().take_matching(filter, &dropping);
        for (queue, waiting) in &taken {
            self.core.drop_action(*queue, waiting, &dropping);
        }
        self.core.changed.notify_one();
        DroppedCount { dropped: taken.len() as u64, to_examine }
    }

    /// How many actions [`Self::drop_waiting`] would drop of each trigger that has some.
    pub fn count_waiting(&self, filter: &ActionFilter) -> Vec<WaitingCount> {
        let counts = self.core.state().count_matching(filter);
        let counts = counts.into_iter().map(|(trigger, waiting, oldest, to_examine)| {
            WaitingCount { trigger, waiting, oldest, to_examine }
        });
        counts.filter(|count| count.waiting > 0 || count.to_examine > 0).collect()
    }

    /// Of the actions in the scope that wait now, carries out only the newest of each trigger,
    /// target and key; the others are dropped, each with an outcome. A target stands for all
    /// triggers.
    pub fn keep_latest(&self, scope: &Scope) {
        self.core.state().keep_latest(scope);
        self.core.changed.notify_one();
    }

    /// The circuits that are open, in the order of their targets.
    pub fn circuits(&self) -> Vec<CircuitSnapshot> {
        self.core.state().circuits()
    }

    /// What an action of an earlier process has started goes on. To be told before
    /// [`Self::run`].
    pub fn restore_run(&self, run: &Run) {
        self.core.state().run_begun(run);
    }

    /// Whether the end of what an action has started is waited for; and from where outcomes
    /// may tell of one that began to be waited for since this was asked.
    pub fn awaited_runs(&self) -> (bool, Option<Position>) {
        self.core.state().awaited_runs()
    }

    /// Returns when an end is waited for that was not before.
    pub async fn run_begun(&self) {
        self.core.run_begun.notified().await;
    }

    /// What an action has started has ended; whether anything waited for that, so that
    /// [`Run::forget`] is to be called.
    pub fn run_ended(&self, action: &ActionId) -> bool {
        let known = self.core.state().run_ended(action);
        self.core.changed.notify_one();
        known
    }

    /// An attempt of the trigger was made at `at` by an earlier process. To be told before
    /// [`Self::run`].
    pub fn note_start(&self, trigger: &TriggerName, at: Timestamp) {
        self.core.state().note_start(trigger, at);
    }

    /// The action of a `dlqTrigger` is in the log already. To be told before [`Self::run`].
    pub fn note_follow_up(&self, id: ActionId) {
        self.core.state().note_follow_up(id);
    }

    /// Tells that [`Renderer::policy`] may answer otherwise than before.
    pub fn policies_changed(&self) {
        self.core.state().touch_all();
        self.core.changed.notify_one();
    }

    /// Each trigger that was ever offered an action, as it stands, in the order of names.
    pub fn snapshot(&self) -> Vec<TriggerSnapshot> {
        self.core.state().snapshot()
    }
}
