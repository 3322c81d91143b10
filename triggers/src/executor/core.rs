//! What runs: the loop that starts attempts, and the end of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tripline_event::{Outcome, OutcomeKind, Position, Timestamp, TriggerName};

use super::circuit::CircuitChange;
use super::queue::{Step, Waiting};
use super::recorder::{Closing, Recorder};
use super::state::{Answered, QueueId, State};
use super::{ExecutorParts, Frozen, history};

/// The longest sleep: the clock may be set while it lasts.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// The most queues that are looked at before outcomes are written.
const QUEUES_AT_ONCE: usize = 64;

/// What the clones of an executor share.
pub(super) struct Core {
    pub(super) parts: ExecutorParts,
    state: Mutex<State>,
    pub(super) recorder: Recorder,
    /// Something may be done in a queue.
    pub(super) changed: Notify,
    /// An end is waited for that was not before.
    pub(super) run_begun: Notify,
    tasks: TaskTracker,
    /// Ends all tasks at once.
    kill: CancellationToken,
}

impl Core {
    pub(super) fn new(parts: ExecutorParts) -> Self {
        Self {
            state: Mutex::new(State::new(parts.limits)),
            parts,
            recorder: Recorder::default(),
            changed: Notify::new(),
            run_begun: Notify::new(),
            tasks: TaskTracker::new(),
            kill: CancellationToken::new(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs until `stop`, and returns whether everything that ran has ended.
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) -> bool {
        // Where this future is dropped, the attempts end, too.
        let _kill = self.kill.clone().drop_guard();
        let closed = |closings: Vec<Closing>| self.closed(&closings);
        let held = |error: &_, waiting| self.parts.observer.on_outcomes_held(error, waiting);
        let work = async {
            self.dispatch(&stop).await;
            self.wind_down().await
        };
        tokio::select! {
            biased;
            ended = work => ended,
            never = self.recorder.write(self.parts.bus.as_ref(), held, closed) => match never {},
        }
    }

    async fn dispatch(self: &Arc<Self>, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            if self.start_what_is_due() {
                // Outcomes are written by the same task: they get their turn.
                tokio::task::yield_now().await;
                continue;
            }
            let sleep = self.until_next_timer();
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = self.changed.notified() => {}
                () = tokio::time::sleep(sleep.unwrap_or_default()), if sleep.is_some() => {}
            }
        }
    }

    fn until_next_timer(&self) -> Option<Duration> {
        let at = self.state().next_timer()?;
        let wait = at.duration_since(self.parts.clock.now());
        Some(Duration::try_from(wait).unwrap_or_default().min(LONGEST_SLEEP))
    }

    /// Looks at some queues in which something may be done; whether there are more.
    fn start_what_is_due(self: &Arc<Self>) -> bool {
        let now = self.parts.clock.now();
        for _ in 0..QUEUES_AT_ONCE {
            // Its own statement: the lock is not held below.
            let next = self.state().next_dirty(now);
            let Some((queue, head)) = next else { return false };
            if let Some(head) = head {
                let policy = self.parts.renderer.policy(&head);
                let renderer = self.parts.renderer.as_ref();
                let taken = self.state().take(queue, now, &policy, renderer);
                taken.steps.into_iter().for_each(|step| self.act(queue, step));
                if let Some(frozen) = taken.frozen {
                    self.tell_frozen(&head.trigger, frozen, now);
                }
            }
            let reads = self.state().begins_to_read(queue);
            if let Some(from) = reads {
                let core = Arc::clone(self);
                self.spawn(async move { core.read_back(queue, from).await });
            }
        }
        true
    }

    fn act(self: &Arc<Self>, queue: QueueId, step: Step) {
        let core = Arc::clone(self);
        match step {
            Step::Start(waiting) => self.spawn(async move { core.attempt(queue, waiting).await }),
            Step::Bury(waiting) => {
                self.spawn(async move { core.bury_given_up(queue, waiting).await });
            }
            Step::Expire(waiting) => self.spawn(async move { core.expire(queue, waiting).await }),
            Step::Drop(waiting, dropping) => self.drop_action(queue, &waiting, &dropping),
            Step::End(newer, ending) => {
                self.spawn(async move { core.end_run(&newer, &ending).await });
            }
        }
    }

    fn tell_frozen(&self, trigger: &TriggerName, frozen: Frozen, at: Timestamp) {
        self.parts.observer.on_frozen(trigger, &frozen);
        let (trigger, until) = (trigger.clone(), frozen.until);
        let kind = OutcomeKind::Frozen { trigger, until, window: frozen.window.to_string() };
        self.recorder.push(&Outcome { at, correlation: None, kind }, None);
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let kill = self.kill.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = kill.cancelled() => {}
                () = work => {}
            }
        });
    }

    async fn read_back(&self, queue: QueueId, from: Position) {
        let trigger = self.state().queue(queue).trigger.clone();
        // More than have room would be read in vain.
        let max = self.parts.limits.actions_per_trigger.clamp(1, history::READ_RECORDS);
        let mut from = Some(from);
        while let Some(position) = from {
            let records = history::actions(self.parts.bus.as_ref(), position, &trigger, max).await;
            let (dropped, more) = self.state().read_back(queue, position, records);
            for (waiting, dropping) in dropped {
                self.drop_action(queue, &waiting, &dropping);
            }
            self.changed.notify_one();
            from = more;
        }
    }

    /// What an attempt says about its target.
    pub(super) fn answered(&self, queue: QueueId, position: Position, answered: Answered<'_>) {
        let now = self.parts.clock.now();
        // Its own statement: the lock is not held below.
        let change = self.state().answered(queue, position, answered, now);
        let Some(change) = change else { return };
        self.parts.observer.on_circuit(&change);
        let CircuitChange { target, open, failures, error } = change;
        let kind = OutcomeKind::Circuit { target: target.to_string(), open, failures, error };
        self.recorder.push(&Outcome { at: now, correlation: None, kind }, None);
        self.changed.notify_one();
    }

    /// An attempt ended for good. Its outcome is pushed after this.
    pub(super) fn ended(&self, queue: QueueId, position: Position, last_error: Option<String>) {
        self.state().ended(queue, position, last_error);
        self.changed.notify_one();
    }

    /// An attempt failed and is made again at `next`.
    pub(super) fn retry(&self, queue: QueueId, waiting: Waiting, next: Timestamp, error: String) {
        self.state().retry(queue, waiting, next, error);
        self.changed.notify_one();
    }

    /// The target was not called: the action waits again.
    pub(super) fn put_back(&self, queue: QueueId, waiting: Waiting) {
        self.state().put_back(queue, waiting);
        self.changed.notify_one();
    }

    fn closed(&self, closings: &[Closing]) {
        let mut state = self.state();
        for closing in closings {
            state.closed(closing.queue, closing.position);
        }
        drop(state);
        self.changed.notify_one();
        for closing in closings {
            self.parts.observer.on_closed(closing.position, &closing.action);
        }
    }

    /// Waits for attempts, which may take three quarters of the grace period so that
    /// outcomes have the rest.
    async fn wind_down(&self) -> bool {
        self.state().stop();
        self.tasks.close();
        let grace = self.parts.limits.grace;
        let ended = timeout(grace * 3 / 4, self.tasks.wait()).await.is_ok();
        self.kill.cancel();
        let recorded = timeout(grace / 4, self.recorder.emptied()).await.is_ok();
        ended && recorded
    }
}
