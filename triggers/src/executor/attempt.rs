//! One attempt to carry an action out, and what follows from how it ended.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tripline_bus::Log;
use tripline_event::outcome::TargetResult;
use tripline_event::{Action, Cause, Event, Outcome, OutcomeKind, Position, Timestamp};

use super::core::Core;
use super::queue::{Dropping, Waiting};
use super::recorder::Closing;
use super::run::{Run, Started};
use super::state::{Answered, QueueId};
use super::{Overlap, RateLimit, RenderError, Success, TriggerPolicy, history, letter};
use crate::workflow::local;
use crate::{Attempt, RenderedAction, Trigger, TriggerError};

/// The wait after the bus did not answer.
const RUN_WAIT: Duration = Duration::from_secs(1);

impl Core {
    /// Makes one attempt.
    pub(super) async fn attempt(&self, queue: QueueId, mut waiting: Waiting) {
        let action = Arc::clone(&waiting.action);
        let events = match self.events_of(&mut waiting).await {
            Ok(events) => events,
            Err(gone) => return self.bury(queue, &waiting, Cause::Render, &gone, Err(&gone)).await,
        };
        let (rendered, kind) = match self.render(&action, &events) {
            Ok(rendered) => rendered,
            Err(RenderError { cause, reason }) => {
                return self.bury(queue, &waiting, cause, &reason, Ok(&events)).await;
            }
        };
        waiting.attempts += 1;
        let policy = self.parts.renderer.policy(&action);
        // A rate holds over restarts: every attempt that counts is on record.
        let counted = policy.rate.is_some();
        if counted || (!waiting.on_record && kind.asks_for_earlier_attempts()) {
            self.recorder.record(&self.attempted(&waiting)).await;
            waiting.on_record = true;
        }
        let outcomes_from = match creates_workflow(&rendered) {
            true => self.outcomes_from(&policy).await,
            false => None,
        };
        if let Some(limit) = policy.rate {
            self.wait_for_rate(queue, limit).await;
        }
        if self.is_held(queue, &waiting) {
            waiting.attempts -= 1;
            return self.put_back(queue, waiting);
        }
        self.parts.observer.on_started(&action, waiting.attempts);
        let started = self.parts.clock.now();
        let attempt = Attempt {
            rendered: &rendered,
            events: &events,
            number: waiting.attempts,
            uncertain: waiting.uncertain,
        };
        // What the trigger holds is not used again after it has panicked.
        let answer = AssertUnwindSafe(async { kind.carry_out(attempt).await }).catch_unwind().await;
        let answer = answer.unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
        match answer {
            Ok(result) => {
                self.answered(queue, waiting.position, Answered::Yes);
                let run = outcomes_from.zip(goes_on(&rendered, &result));
                self.succeeded(queue, &waiting, run, result, started).await;
            }
            Err(TriggerError::Refused { cause, reason }) => {
                self.answered(queue, waiting.position, Answered::Yes);
                self.bury(queue, &waiting, cause, &reason, Ok(&events)).await;
            }
            Err(TriggerError::Retry { reason, after }) => {
                waiting.uncertain = true;
                self.answered(queue, waiting.position, Answered::No(&reason));
                self.failed(queue, waiting, &policy, reason, after, &events).await;
            }
            Err(TriggerError::NotDone { reason, after }) => {
                self.answered(queue, waiting.position, Answered::No(&reason));
                self.failed(queue, waiting, &policy, reason, after, &events).await;
            }
        }
    }

    /// Writes the dead letter of an action that was given up before a restart.
    pub(super) async fn bury_given_up(&self, queue: QueueId, mut waiting: Waiting) {
        const WHY: &str = "given up before a restart: its `dlqTrigger` was fired already, and the last error is not known any more";
        let events = self.events_of(&mut waiting).await;
        let events = events.as_deref().map_err(String::as_str);
        self.bury(queue, &waiting, Cause::Exhausted, WHY, events).await;
    }

    /// Makes a dead letter of an action that expired before it was started.
    pub(super) async fn expire(&self, queue: QueueId, mut waiting: Waiting) {
        let error = match &waiting.last_error {
            Some(error) => {
                let number = waiting.attempts + 1;
                format!("expired before attempt {number} could be made; the last error: {error}")
            }
            None if waiting.uncertain => format!(
                "expired at {}; it was attempted before a restart, and what became of that is not known",
                waiting.action.expires_at
            ),
            None => format!("expired at {} before it was started", waiting.action.expires_at),
        };
        let events = self.events_of(&mut waiting).await;
        let events = events.as_deref().map_err(String::as_str);
        self.bury(queue, &waiting, Cause::Expired, &error, events).await;
    }

    /// Drops an action.
    pub(super) fn drop_action(&self, queue: QueueId, waiting: &Waiting, dropping: &Dropping) {
        let action = &waiting.action;
        let Dropping { cause, reason, by } = dropping;
        self.parts.observer.on_dropped(action, *cause, reason);
        let kind = OutcomeKind::Dropped {
            action: action.id.clone(),
            trigger: action.trigger.clone(),
            round: action.round,
            reason: reason.to_string(),
            cause: Some(*cause),
            by: by.clone(),
        };
        self.recorder.push(&self.outcome(action, kind), Some(closing(queue, waiting)));
    }

    async fn events_of(&self, waiting: &mut Waiting) -> Result<Vec<Arc<Event>>, String> {
        match waiting.events.take() {
            Some(events) => Ok(events),
            None => history::events(self.parts.bus.as_ref(), &waiting.action).await,
        }
    }

    fn render(
        &self,
        action: &Arc<Action>,
        events: &[Arc<Event>],
    ) -> Result<(RenderedAction, &Arc<dyn Trigger>), RenderError> {
        let renderer = &self.parts.renderer;
        let rendered = catch_unwind(AssertUnwindSafe(|| renderer.render(action, events)))
            .unwrap_or_else(|panic| {
                let reason = format!("rendering panicked: {}", message(panic.as_ref()));
                Err(RenderError { cause: Cause::Render, reason })
            })?;
        let kind = self.parts.kinds.get(&rendered.kind).ok_or_else(|| RenderError {
            cause: Cause::Refused,
            reason: format!("trigger kind `{}` is not there in this build", rendered.kind),
        })?;
        Ok((rendered, kind))
    }

    async fn succeeded(
        &self,
        queue: QueueId,
        waiting: &Waiting,
        run: Option<(Position, Started)>,
        result: TargetResult,
        started: Timestamp,
    ) {
        let action = &waiting.action;
        let now = self.parts.clock.now();
        let since_decided = between(action.decided_at, now);
        let success = Success {
            attempt: waiting.attempts,
            result: &result,
            attempt_took: between(started, now),
            since_decided,
        };
        self.parts.observer.on_succeeded(action, &success);
        let kind = OutcomeKind::Succeeded {
            action: action.id.clone(),
            trigger: action.trigger.clone(),
            round: action.round,
            attempt: waiting.attempts,
            took_ms: u64::try_from(since_decided.as_millis()).unwrap_or(u64::MAX),
            hops: action.links.hops,
            result,
        };
        if let Some((outcomes_from, workflow)) = run {
            self.remember_run(action, workflow, outcomes_from).await;
        }
        self.close(queue, waiting, kind, None);
    }

    /// What was started goes on when its action is closed: that is durable before.
    async fn remember_run(&self, action: &Action, workflow: Started, outcomes_from: Position) {
        let run = Run::new(action, workflow, self.parts.clock.now(), outcomes_from);
        while let Err(error) = run.put(self.parts.bus.as_ref()).await {
            tracing::warn!(
                target: "tripline::executor", trigger = %action.trigger, %error,
                "what was started cannot be remembered; it is tried again"
            );
            tokio::time::sleep(RUN_WAIT).await;
        }
        self.state().run_begun(&run);
        self.run_begun.notify_one();
    }

    /// Returns when the target may be called: what was done since the start was not always as
    /// quick.
    async fn wait_for_rate(&self, queue: QueueId, limit: RateLimit) {
        loop {
            let now = self.parts.clock.now();
            let Some(free) = self.state().call(queue, limit, now) else { return };
            tokio::time::sleep(between(now, free)).await;
        }
    }

    /// Whether the action was paused, frozen or suspended after its attempt began, and the target
    /// was not called yet: the bus may have taken its time, and a rate.
    fn is_held(&self, queue: QueueId, waiting: &Waiting) -> bool {
        let policy = self.parts.renderer.policy(&waiting.action);
        let now = self.parts.clock.now();
        self.state().is_held(queue, waiting.position, &policy, now)
    }

    /// Where outcomes will tell of the end of what an attempt of `policy` starts, if anybody
    /// waits for that.
    async fn outcomes_from(&self, policy: &TriggerPolicy) -> Option<Position> {
        if policy.overlap == Overlap::AllowAll {
            return None;
        }
        loop {
            match self.parts.bus.extent(Log::Outcomes).await {
                Ok(extent) => return Some(extent.next),
                Err(_) => tokio::time::sleep(RUN_WAIT).await,
            }
        }
    }

    async fn failed(
        &self,
        queue: QueueId,
        mut waiting: Waiting,
        policy: &TriggerPolicy,
        reason: String,
        after: Option<Duration>,
        events: &[Arc<Event>],
    ) {
        let action = Arc::clone(&waiting.action);
        let policy = policy.retry;
        let attempt = waiting.attempts;
        if policy.steps.is_some_and(|steps| attempt >= steps) {
            let error = format!("attempt {attempt}, the last one, failed: {reason}");
            return self.bury(queue, &waiting, Cause::Exhausted, &error, Ok(events)).await;
        }
        let wait = policy.delay(attempt, &action, self.parts.seed);
        let wait = after.map_or(wait, |asked| asked.max(wait));
        let next = self.parts.clock.now().checked_add(wait).unwrap_or(Timestamp::MAX);
        if next >= action.expires_at {
            let error = format!(
                "attempt {attempt} failed and it expires at {} before the next one: {reason}",
                action.expires_at
            );
            return self.bury(queue, &waiting, Cause::Expired, &error, Ok(events)).await;
        }
        let error = letter::cut(reason);
        self.parts.observer.on_retry(&action, attempt, &error, next);
        let kind = OutcomeKind::Retrying {
            action: action.id.clone(),
            trigger: action.trigger.clone(),
            round: action.round,
            attempt,
            error: error.clone(),
            next,
            untouched: !waiting.uncertain,
        };
        self.recorder.push(&self.outcome(&action, kind), None);
        // The record that says so takes back the one that an attempt may have been made: the
        // next attempt needs one of its own.
        waiting.on_record = waiting.uncertain;
        waiting.last_error = Some(error.clone());
        self.retry(queue, waiting, next, error);
    }

    async fn bury(
        &self,
        queue: QueueId,
        waiting: &Waiting,
        cause: Cause,
        error: &str,
        events: Result<&[Arc<Event>], &str>,
    ) {
        self.parts.observer.on_dead_letter(&waiting.action, cause, error);
        let letter = letter::dead_letter(&waiting.action, waiting.attempts, cause, error, events);
        let last_error = Some(letter.error.clone());
        self.follow_up(&waiting.action, &letter).await;
        let kind = OutcomeKind::DeadLettered(Box::new(letter));
        self.close(queue, waiting, kind, last_error);
    }

    fn close(
        &self,
        queue: QueueId,
        waiting: &Waiting,
        kind: OutcomeKind,
        last_error: Option<String>,
    ) {
        let outcome = self.outcome(&waiting.action, kind);
        self.ended(queue, waiting.position, last_error);
        self.recorder.push(&outcome, Some(closing(queue, waiting)));
    }

    fn attempted(&self, waiting: &Waiting) -> Outcome {
        let Action { id, round, .. } = waiting.action.as_ref();
        let kind = OutcomeKind::Attempted {
            action: id.clone(),
            round: *round,
            attempt: waiting.attempts,
            trigger: Some(waiting.action.trigger.clone()),
        };
        self.outcome(&waiting.action, kind)
    }

    fn outcome(&self, action: &Action, kind: OutcomeKind) -> Outcome {
        Outcome { at: self.parts.clock.now(), correlation: Some(action.links.root().clone()), kind }
    }
}

fn closing(queue: QueueId, waiting: &Waiting) -> Closing {
    Closing { queue, position: waiting.position, action: Arc::clone(&waiting.action) }
}

/// Whether the action makes a workflow, whose phases will be told, and does not change one.
fn creates_workflow(rendered: &RenderedAction) -> bool {
    let operation = rendered.config["operation"].as_str().unwrap_or_default();
    ["", "submit", "submit-from", "resubmit"].contains(&operation)
}

/// What the target was given to do, where that is not over when the target has taken it.
fn goes_on(rendered: &RenderedAction, result: &TargetResult) -> Option<Started> {
    match result {
        TargetResult::Workflow { target, namespace, name, .. } if target != local::NAME => {
            Some(Started {
                namespace: namespace.clone(),
                name: name.clone(),
                service_account: rendered.service_account.clone(),
            })
        }
        _ => None,
    }
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

fn panicked(panic: &(dyn Any + Send)) -> TriggerError {
    TriggerError::Retry { reason: format!("the attempt panicked: {}", message(panic)), after: None }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
