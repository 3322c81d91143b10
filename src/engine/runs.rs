//! Ends of runs come back to the triggers that wait for them.
//!
//! Where a trigger's `overlap` is against two runs at a time, a workflow in a cluster is in
//! the way of others until it has ended. Its end stands in OUTCOMES, which is read beside the
//! executor. What goes on is remembered in the bus; after a restart the outcomes since it was
//! started are read again.

use std::sync::Arc;

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;
use tripline_bus::{Bus, Log, ReadError};
use tripline_event::{ActionId, Clock, Outcome, OutcomeKind, Position};
use tripline_triggers::executor::{Executor, Run};

use super::observer::EngineObserver;
use super::retry::Retry;

/// How many outcomes are read at once.
const PAGE: usize = 512;
/// A run whose end was not told within this time is forgotten at a start: outcomes of that
/// time are trimmed.
const LONGEST: SignedDuration = super::trim::RETENTION;

/// Tells the executor of ends of runs.
pub struct Runs {
    bus: Arc<dyn Bus>,
    executor: Executor,
    observer: Arc<dyn EngineObserver>,
}

impl Runs {
    /// Tells the executor what went on when the process before this one ended.
    ///
    /// # Errors
    /// The bus cannot be read.
    pub async fn restore(
        bus: &Arc<dyn Bus>,
        clock: &dyn Clock,
        executor: &Executor,
        observer: &Arc<dyn EngineObserver>,
    ) -> Result<Self, ReadError> {
        for run in Run::all(&**bus).await? {
            if clock.now().duration_since(run.at) > LONGEST {
                tracing::warn!(action_id = %run.action, trigger = %run.trigger, "what the action has started is waited for no more: its end was not told in 7 days");
                if let Err(error) = Run::forget(&**bus, &run.action).await {
                    tracing::warn!(%error, "that could not be written down");
                }
                continue;
            }
            executor.restore_run(&run);
        }
        let (bus, executor, observer) = (Arc::clone(bus), executor.clone(), Arc::clone(observer));
        Ok(Self { bus, executor, observer })
    }

    /// Runs until `stop`. While nothing is waited for, nothing is read.
    pub async fn run(self, stop: CancellationToken) {
        let mut from: Option<Position> = None;
        let mut retry = Retry::new(&self.observer, "outcomes cannot be read");
        while !stop.is_cancelled() {
            let (awaited, begun) = self.executor.awaited_runs();
            from = from.filter(|_| awaited).into_iter().chain(begun).min();
            let Some(at) = from.filter(|_| awaited) else {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    () = self.executor.run_begun() => continue,
                }
            };
            match self.bus.read(Log::Outcomes, at, PAGE).await {
                Ok(page) => {
                    retry = Retry::new(&self.observer, "outcomes cannot be read");
                    for stored in &page {
                        from = Some(stored.position.next());
                        if let Some(action) = ended(&stored.record) {
                            self.tell(&action, &stop).await;
                        }
                    }
                    if page.is_empty() && !self.wait(at, &mut retry, &stop).await {
                        return;
                    }
                }
                Err(ReadError::Trimmed { first, .. }) => from = Some(first),
                Err(error) => {
                    if !retry.pause(&error, &stop).await {
                        return;
                    }
                }
            }
        }
    }

    /// False where it was stopped.
    async fn wait(&self, at: Position, retry: &mut Retry, stop: &CancellationToken) -> bool {
        tokio::select! {
            biased;
            () = stop.cancelled() => false,
            () = self.executor.run_begun() => true,
            waited = self.bus.wait(Log::Outcomes, at) => match waited {
                Ok(()) => true,
                Err(error) => retry.pause(&error, stop).await,
            },
        }
    }

    async fn tell(&self, action: &ActionId, stop: &CancellationToken) {
        if !self.executor.run_ended(action) {
            return;
        }
        let mut retry = Retry::new(&self.observer, "the end of a run cannot be written down");
        while let Err(error) = Run::forget(&*self.bus, action).await {
            if !retry.pause(&error, stop).await {
                return;
            }
        }
    }
}

/// The action whose workflow has ended, as far as anybody will ever know.
fn ended(record: &[u8]) -> Option<ActionId> {
    // Nearly all outcomes are of another kind.
    if !record.windows(NEEDLE.len()).any(|part| part == NEEDLE) {
        return None;
    }
    match Outcome::decode(record).ok()?.kind {
        OutcomeKind::Workflow { action, phase, .. } => {
            let over = ["Succeeded", "Failed", "Error", "Deleted", "Unknown"];
            over.contains(&phase.as_str()).then_some(action)
        }
        _ => None,
    }
}

const NEEDLE: &[u8] = br#""outcome":"workflow""#;
