//! What is durable and waits to be brought into LMDB: between the writer and the applier.
//!
//! It is bounded by the journal, and by [`MAX_WEIGHT_BYTES`] of work: beyond that the writer
//! waits, and with it who wants to write.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::changes::Batch;
use super::journal::Mark;
use super::tables::Ledger;
use super::writer::write_error;
use crate::WriteError;

/// How much work is one transaction, about.
const DUE_BYTES: u64 = 1024 * 1024;
/// How long less than that waits for more. Each commit of LMDB has a price of its own.
const DUE_AFTER: Duration = Duration::from_millis(250);
/// How long to wait when LMDB did not take it.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// With how much work waiting the writer takes no more, in bytes added and removed.
pub(super) const MAX_WEIGHT_BYTES: u64 = 32 * 1024 * 1024;

/// A batch that waits.
#[derive(Clone)]
pub(super) struct Pending {
    pub(super) batch: Arc<Batch>,
    /// How far LMDB is with the journal when it has the batch; `None` where there is no journal.
    pub(super) mark: Option<Mark>,
    /// Whether it is durable already. If not, somebody waits for it.
    pub(super) in_journal: bool,
}

/// How far LMDB is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// How many batches were ever pushed.
    pub(super) pushed: u64,
    /// How many of them LMDB has.
    pub(super) settled: u64,
    /// LMDB's ledger.
    pub(super) ledger: Ledger,
    /// Up to where the journal may be written over.
    pub(super) offset: u64,
    /// How many bytes wait to be added.
    pub(super) added: u64,
    /// How much work waits.
    pub(super) weight: u64,
}

pub(super) struct Backlog {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    pending: VecDeque<Pending>,
    progress: Progress,
    /// Somebody waits for it all.
    urgent: bool,
    /// Nothing will be pushed any more.
    closed: bool,
    /// Why LMDB did not take what waits.
    trouble: Option<Arc<heed::Error>>,
    /// Why it did not take what was pushed through.
    refused: Option<Arc<heed::Error>>,
}

impl Backlog {
    /// An empty one before a store with this ledger.
    pub(super) fn new(ledger: Ledger, mark: Option<Mark>) -> Self {
        let offset = mark.map_or(0, |mark| mark.offset);
        let progress = Progress { pushed: 0, settled: 0, ledger, offset, added: 0, weight: 0 };
        let state = State {
            pending: VecDeque::new(),
            progress,
            urgent: false,
            closed: false,
            trouble: None,
            refused: None,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Adds a batch that is durable behind the others.
    pub(super) fn push(&self, pending: Pending) {
        let mut state = self.lock();
        let (before, was_empty) = (state.progress.weight, state.pending.is_empty());
        state.push(pending);
        // Who waits looks for the first one, and for as much as is due.
        if was_empty || (before < DUE_BYTES && state.progress.weight >= DUE_BYTES) {
            self.changed.notify_all();
        }
    }

    /// Adds a batch that is not durable, and waits until LMDB has it.
    ///
    /// # Errors
    ///
    /// LMDB does not take it. It never will.
    pub(super) fn push_through(&self, pending: Pending) -> Result<Progress, WriteError> {
        let mut state = self.lock();
        if let Some(trouble) = &state.trouble {
            return Err(write_error(trouble));
        }
        state.push(pending);
        state.urgent = true;
        let number = state.progress.pushed;
        self.changed.notify_all();
        loop {
            if let Some(refused) = state.refused.take() {
                return Err(write_error(&refused));
            }
            if state.progress.settled >= number {
                return Ok(state.progress);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn progress(&self) -> Progress {
        self.lock().progress
    }

    /// What keeps LMDB from taking what waits.
    pub(super) fn trouble(&self) -> Option<String> {
        self.lock().trouble.as_ref().map(|trouble| trouble.to_string())
    }

    /// Waits until it has come so far, and hurries the applier.
    ///
    /// # Errors
    ///
    /// LMDB does not take what waits.
    pub(super) fn wait(&self, until: impl Fn(&Progress) -> bool) -> Result<Progress, WriteError> {
        let mut state = self.lock();
        while !until(&state.progress) {
            if let Some(trouble) = &state.trouble {
                return Err(write_error(trouble));
            }
            state.urgent = true;
            self.changed.notify_all();
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(state.progress)
    }

    /// Nothing will be pushed any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Waits until something is due, and returns it: the first batches. `None` when
    /// nothing will come any more, or what is there cannot be taken.
    pub(super) fn due(&self) -> Option<Vec<Pending>> {
        let mut state = self.lock();
        if state.trouble.is_some() {
            if state.closed {
                return None;
            }
            let again = self.changed.wait_timeout_while(state, RETRY_AFTER, |state| !state.closed);
            state = again.unwrap_or_else(PoisonError::into_inner).0;
        }
        let nothing = |state: &mut State| state.pending.is_empty() && !state.closed;
        state = self.changed.wait_while(state, nothing).unwrap_or_else(PoisonError::into_inner);
        let early = |state: &mut State| !state.is_due();
        let waited = self.changed.wait_timeout_while(state, DUE_AFTER, early);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
        let due = state.first();
        (!due.is_empty()).then_some(due)
    }

    /// What is there now, without waiting.
    #[cfg(test)]
    pub(super) fn first(&self) -> Vec<Pending> {
        self.lock().first()
    }

    /// LMDB has the first `count` batches, and its ledger is this.
    pub(super) fn settled(&self, count: usize, ledger: Ledger) {
        let mut state = self.lock();
        let settled: Vec<_> = state.pending.drain(..count).collect();
        let progress = &mut state.progress;
        for pending in &settled {
            progress.added -= pending.batch.added;
            progress.weight -= pending.batch.weight();
            progress.offset = pending.mark.map_or(progress.offset, |mark| mark.offset);
        }
        progress.settled += count as u64;
        progress.ledger = ledger;
        state.trouble = None;
        state.urgent &= !state.pending.is_empty();
        self.changed.notify_all();
        drop(state);
        // Large ones are dropped while nobody waits for the lock.
        drop(settled);
    }

    /// LMDB did not take what was due, and whether it has it is to be found out. What is not
    /// durable is not given up yet.
    pub(super) fn in_doubt(&self, error: heed::Error) -> Arc<heed::Error> {
        let error = Arc::new(error);
        self.lock().trouble = Some(Arc::clone(&error));
        self.changed.notify_all();
        error
    }

    /// LMDB did not take what was due. What is not durable is given up, and who waits for it
    /// is told; all else is tried again.
    pub(super) fn failed(&self, error: Arc<heed::Error>) {
        let mut state = self.lock();
        state.give_up(&error);
        state.trouble = (!state.pending.is_empty()).then_some(error);
        self.changed.notify_all();
    }

    /// As [`Self::failed`], and nobody will try again.
    pub(super) fn abandon(&self, error: Arc<heed::Error>) {
        let mut state = self.lock();
        state.give_up(&error);
        state.trouble = Some(error);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What is done under the lock cannot fail halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, pending: Pending) {
        self.progress.added += pending.batch.added;
        self.progress.weight += pending.batch.weight();
        self.progress.pushed += 1;
        self.pending.push_back(pending);
    }

    /// Drops what is not durable. Its writer waits, so there is nothing behind it.
    fn give_up(&mut self, error: &Arc<heed::Error>) {
        if let Some(last) = self.pending.pop_back_if(|pending| !pending.in_journal) {
            self.progress.added -= last.batch.added;
            self.progress.weight -= last.batch.weight();
            self.progress.pushed -= 1;
            self.refused = Some(Arc::clone(error));
        }
        self.urgent = false;
    }

    fn is_due(&self) -> bool {
        self.urgent || self.closed || self.progress.weight >= DUE_BYTES
    }

    /// As much as is one transaction.
    fn first(&self) -> Vec<Pending> {
        let mut weight = 0;
        let fits = |pending: &&Pending| {
            let fits = weight < DUE_BYTES;
            weight += pending.batch.weight();
            fits
        };
        self.pending.iter().take_while(fits).cloned().collect()
    }
}
