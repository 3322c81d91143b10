//! Appends outcomes: what has gathered is one batch, and a batch is tried until the bus
//! has it.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};
use tripline_bus::{Append, Bus, Log, WriteError};
use tripline_event::{Action, Outcome, OutcomeKind, Position};

use super::letter;
use super::state::QueueId;

/// The most outcomes of a batch.
const BATCH_RECORDS: usize = 1024;
/// A batch is closed when it has this many bytes.
const BATCH_BYTES: usize = 4 << 20;
/// The wait after an append that failed; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait between two appends.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Collects outcomes and appends them.
#[derive(Default)]
pub(super) struct Recorder {
    inbox: Mutex<Inbox>,
    arrived: Notify,
    emptied: Notify,
}

#[derive(Default)]
struct Inbox {
    waiting: Vec<Pending>,
    /// How many are being appended.
    writing: usize,
}

struct Pending {
    append: Append,
    closes: Option<Closing>,
    durable: Option<oneshot::Sender<()>>,
}

/// An action whose closing outcome became durable.
pub(super) struct Closing {
    pub(super) queue: QueueId,
    pub(super) position: Position,
    pub(super) action: Arc<Action>,
}

impl Recorder {
    /// Appends an outcome, some time.
    pub(super) fn push(&self, outcome: &Outcome, closes: Option<Closing>) {
        self.add(Pending { append: append(outcome), closes, durable: None });
    }

    /// Appends an outcome and returns when it is durable.
    pub(super) async fn record(&self, outcome: &Outcome) {
        let (sender, durable) = oneshot::channel();
        self.add(Pending { append: append(outcome), closes: None, durable: Some(sender) });
        if durable.await.is_err() {
            // The recorder has ended with the executor: nothing may follow this record.
            std::future::pending::<()>().await;
        }
    }

    fn add(&self, pending: Pending) {
        self.inbox().waiting.push(pending);
        self.arrived.notify_one();
    }

    fn inbox(&self) -> std::sync::MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when all outcomes are durable.
    pub(super) async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            {
                let inbox = self.inbox();
                if inbox.waiting.is_empty() && inbox.writing == 0 {
                    return;
                }
            }
            emptied.await;
        }
    }

    /// Appends what arrives. `held` is told of failures, `closed` of actions whose
    /// closing outcome is durable.
    pub(super) async fn write(
        &self,
        bus: &dyn Bus,
        held: impl Fn(&WriteError, usize),
        closed: impl Fn(Vec<Closing>),
    ) -> Infallible {
        loop {
            let mut batch = self.next_batch().await;
            let report = |error: &WriteError| held(error, self.waiting());
            append_batch(bus, &mut batch, &report).await;
            let mut closings = Vec::new();
            for pending in batch {
                closings.extend(pending.closes);
                if let Some(durable) = pending.durable {
                    // Nobody waits any more: the attempt was cut off by a stop.
                    let _ = durable.send(());
                }
            }
            if !closings.is_empty() {
                closed(closings);
            }
            self.inbox().writing = 0;
            self.emptied.notify_waiters();
        }
    }

    fn waiting(&self) -> usize {
        let inbox = self.inbox();
        inbox.waiting.len() + inbox.writing
    }

    async fn next_batch(&self) -> Vec<Pending> {
        loop {
            let batch = self.inbox().take();
            if !batch.is_empty() {
                return batch;
            }
            self.arrived.notified().await;
        }
    }
}

impl Inbox {
    fn take(&mut self) -> Vec<Pending> {
        let mut bytes = 0;
        let fits = |pending: &&Pending| {
            bytes += pending.append.record.len();
            bytes <= BATCH_BYTES
        };
        let fitting = self.waiting.iter().take(BATCH_RECORDS).take_while(fits).count();
        let end = fitting.max(1).min(self.waiting.len());
        self.writing = end;
        if end == self.waiting.len() {
            return std::mem::take(&mut self.waiting);
        }
        self.waiting.drain(..end).collect()
    }
}

async fn append_batch(bus: &dyn Bus, batch: &mut [Pending], held: &impl Fn(&WriteError)) {
    let too_large = try_until_stored(bus, batch, held).await;
    if too_large.is_none() {
        return;
    }
    for pending in batch {
        let one = std::slice::from_mut(pending);
        if let Some(limit) = try_until_stored(bus, one, held).await {
            letter::shrink(&mut one[0].append.record, limit);
            while try_until_stored(bus, one, held).await.is_some() {
                // Nothing is left to leave out; the bus's limit may be raised.
                tokio::time::sleep(LONGEST_WAIT).await;
            }
        }
    }
}

/// Tries until the batch is stored. Returns the bus's limit where it is too large as it is.
async fn try_until_stored(
    bus: &dyn Bus,
    batch: &[Pending],
    held: &impl Fn(&WriteError),
) -> Option<usize> {
    let mut wait = FIRST_WAIT;
    loop {
        let appends = batch.iter().map(|pending| pending.append.clone()).collect();
        match bus.append(Log::Outcomes, appends).await {
            Ok(_) => return None,
            Err(error) => {
                held(&error);
                if let WriteError::TooLarge { limit, .. } = error {
                    return Some(limit);
                }
            }
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

fn append(outcome: &Outcome) -> Append {
    Append { dedup: dedup(&outcome.kind), record: outcome.encode() }
}

/// The id under which an outcome is stored once: an append may be made again because its
/// answer was lost. A round of an action is closed once, whatever closes it.
fn dedup(kind: &OutcomeKind) -> Option<Bytes> {
    let text = match kind {
        OutcomeKind::Attempted { action, round, attempt, .. } => {
            format!("{action}-{round}-a{attempt}")
        }
        OutcomeKind::Frozen { trigger, until, .. } => format!("frozen/{trigger}/{until}"),
        OutcomeKind::Retrying { action, round, attempt, .. } => {
            format!("{action}-{round}-r{attempt}")
        }
        other => {
            let (action, round) = other.closes()?;
            format!("{action}-{round}-end")
        }
    };
    Some(Bytes::from(text))
}
