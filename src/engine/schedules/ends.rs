//! Ends of runs come back to the schedules that started them.
//!
//! What became of an action stands in OUTCOMES, which the evaluator does not read: it decides
//! from EVENTS alone. So OUTCOMES is read beside it, and the end of each run that a schedule
//! waits for is appended to EVENTS. A checkpoint names the place up to which that is done;
//! from there it is done again after a crash, and what is there already is recognised.
//!
//! Where a workflow runs in a cluster, its end is what its phase says. The local target does
//! not run workflows: a recorded one counts as finished. Everything else has ended when it
//! was carried out.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tripline_bus::{Append, Bus, Log, ReadError, Stored};
use tripline_event::event::Links;
use tripline_event::outcome::TargetResult;
use tripline_event::{
    ActionId, Clock, CorrelationId, Event, EventId, EventKey, EventsRecord, ObjectName, Outcome,
    OutcomeKind, Position,
};
use tripline_schedules::policy::{RunEnd, RunId};
use tripline_triggers::workflow::local;

use super::events::{self, RunResult};
use super::{SharedSchedules, lock};
use crate::engine::driver::Progress;
use crate::engine::observer::EngineObserver;
use crate::engine::retry::Retry;

/// How many outcomes are read at once.
const PAGE: usize = 512;
/// The longest error that is kept with the end of a run, in bytes.
const ERROR_MAX: usize = 1024;

/// Brings ends of runs onto the bus.
pub struct Ends {
    /// The logs.
    pub bus: Arc<dyn Bus>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who waits for which end.
    pub schedules: SharedSchedules,
    /// Who watches.
    pub observer: Arc<dyn EngineObserver>,
    /// How far the evaluator is.
    pub progress: watch::Receiver<Progress>,
    /// What the log held when the engine was started: before it is evaluated again, nobody
    /// knows which ends are waited for.
    pub replay_to: Position,
    /// Outcomes from here on.
    pub from: Position,
}

impl Ends {
    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let replay_to = self.replay_to;
        let replayed = async {
            let mut progress = self.progress.clone();
            // Where the driver has ended there is nothing to wait for.
            progress.wait_for(|progress| progress.evaluated >= replay_to).await.is_ok()
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            replayed = replayed => if !replayed { return },
        }
        let mut retry = Retry::new(&self.observer, "outcomes cannot be read");
        while !stop.is_cancelled() {
            match self.next_page().await {
                Ok(Some(page)) => {
                    retry = Retry::new(&self.observer, "outcomes cannot be read");
                    if !self.relay(&page, &stop).await {
                        return;
                    }
                }
                Ok(None) => tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    waited = self.bus.wait(Log::Outcomes, self.from) => {
                        if waited.is_err() && !retry.pause(&"outcomes cannot be waited for", &stop).await {
                            return;
                        }
                    }
                },
                Err(error) => {
                    if let ReadError::Trimmed { first, .. } = &error {
                        self.from = *first;
                    } else if !retry.pause(&error, &stop).await {
                        return;
                    }
                }
            }
        }
    }

    /// The next outcomes; none at the end of the log. What nobody waits for is passed over.
    async fn next_page(&mut self) -> Result<Option<Vec<Stored>>, ReadError> {
        // The end first: a run that is decided after this look has its outcome after it.
        let end = self.bus.extent(Log::Outcomes).await?.next;
        if lock(&self.schedules).awaits_nothing() {
            self.pass(end);
            return Ok(None);
        }
        let page = self.bus.read(Log::Outcomes, self.from, PAGE).await?;
        Ok((!page.is_empty()).then_some(page))
    }

    fn pass(&mut self, to: Position) {
        self.from = self.from.max(to);
        lock(&self.schedules).relayed = Some(self.from);
    }

    /// Appends the ends among the outcomes; false where it was stopped before that.
    async fn relay(&mut self, page: &[Stored], stop: &CancellationToken) -> bool {
        let events: Vec<Event> = page.iter().filter_map(|stored| self.end_in(stored)).collect();
        let mut retry = Retry::new(&self.observer, "ends of runs cannot be appended");
        while !events.is_empty() {
            let batch = events.iter().map(append_of).collect();
            match self.bus.append(Log::Events, batch).await {
                Ok(_) => break,
                Err(error) => {
                    if !retry.pause(&error, stop).await {
                        return false;
                    }
                }
            }
        }
        if let Some(last) = page.last() {
            self.pass(last.position.next());
        }
        true
    }

    fn end_in(&self, stored: &Stored) -> Option<Event> {
        let outcome = Outcome::decode(&stored.record).ok()?;
        let (action, end, workflow, error) = end_of(&outcome.kind)?;
        let schedules = lock(&self.schedules);
        let (source, run) = schedules.awaited(action)?;
        let ended = Ended { source, run, end, action, workflow, error };
        Some(ended.event(outcome.correlation, self.clock.now()))
    }
}

/// What is appended for an event, so that it stands there once.
pub fn append_of(event: &Event) -> Append {
    let dedup = Some(Bytes::copy_from_slice(&event.id.identity(&event.key)));
    Append { dedup, record: EventsRecord::Event(event.clone()).encode() }
}

/// The end that an outcome means: of which action, how, of which workflow, and the error.
fn end_of(outcome: &OutcomeKind) -> Option<(&ActionId, RunEnd, Option<String>, Option<String>)> {
    match outcome {
        OutcomeKind::Succeeded { action, result, .. } => match result {
            TargetResult::Workflow { target, .. } if target != local::NAME => None,
            TargetResult::Workflow { namespace, name, .. } => {
                Some((action, RunEnd::Completed, Some(format!("{namespace}/{name}")), None))
            }
            _ => Some((action, RunEnd::Completed, None, None)),
        },
        OutcomeKind::DeadLettered(letter) => {
            let error = format!("{}: {}", letter.cause, letter.error);
            Some((letter.action.as_ref()?, RunEnd::Failed, None, Some(error)))
        }
        OutcomeKind::Dropped { action, reason, .. } => {
            let terminated = reason.starts_with("terminated");
            let end = if terminated { RunEnd::Terminated } else { RunEnd::Cancelled };
            Some((action, end, None, Some(reason.clone())))
        }
        OutcomeKind::Workflow { action, phase, namespace, name, .. } => {
            let end = match phase.as_str() {
                "Succeeded" => RunEnd::Completed,
                "Failed" | "Error" => RunEnd::Failed,
                _ => return None,
            };
            let error = (end == RunEnd::Failed).then(|| format!("the workflow has ended: {phase}"));
            Some((action, end, Some(format!("{namespace}/{name}")), error))
        }
        _ => None,
    }
}

/// The event by which the end of a run comes back to its schedule.
pub fn event(
    source: &ObjectName,
    run: RunId,
    action: &ActionId,
    end: RunEnd,
    now: tripline_event::Timestamp,
) -> Event {
    Ended { source, run, end, action, workflow: None, error: None }.event(None, now)
}

struct Ended<'a> {
    source: &'a ObjectName,
    run: RunId,
    end: RunEnd,
    action: &'a ActionId,
    workflow: Option<String>,
    error: Option<String>,
}

impl Ended<'_> {
    fn event(self, correlation: Option<CorrelationId>, now: tripline_event::Timestamp) -> Event {
        let error = self.error.map(|mut error| {
            error.truncate(error.floor_char_boundary(ERROR_MAX));
            error
        });
        let result = RunResult {
            run: self.run.to_string(),
            id: self.run,
            end: self.end,
            action: Some(self.action.clone()),
            workflow: self.workflow,
            error,
        };
        let id = EventId::from_upstream(&self.run.to_string());
        let correlation = correlation.unwrap_or_else(|| CorrelationId(id.to_string()));
        let links = Links {
            causation: Some(self.action.to_string()),
            hops: 1,
            ..Links::first(correlation)
        };
        Event {
            key: EventKey::new(&self.source.namespace, &self.source.name, events::ENDED),
            id,
            kind: events::KIND.to_owned(),
            time: now,
            content_type: tripline_event::event::JSON.to_owned(),
            data: serde_json::to_vec(&result).ok().map(Bytes::from),
            links,
            cloud_event: None,
        }
    }
}
