//! What this process knows of a log: where it begins and ends, and its newest blocks.
//!
//! It is changed by the log's writer alone, and by trimming; readers look at it, and
//! remember where they found what.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;
use tripline_event::Position;

use super::block::{Block, Record};
use crate::limits::check_position;
use crate::{Extent, Log, MAX_RECORD_BYTES, ReadError, Stored};

/// How many bytes of the newest blocks of a log are kept in memory.
const TAIL_BYTES: u64 = 16 * 1024 * 1024;
/// How many of them, so that small ones do not take more than they hold.
const TAIL_BLOCKS: usize = 16 * 1024;
/// How many places of blocks are remembered.
const PLACES: usize = 8 * 1024;
/// How many runs of blocks that were read lately are kept, besides the newest ones.
const RUNS: usize = 4;
/// For how long a log is said to be full after it was.
const FULL_FOR: Duration = Duration::from_secs(30);
/// Trouble that lasts as long is told at once to whoever asks.
const PATIENCE: Duration = Duration::from_secs(2);

/// A log as this process knows it.
pub(super) struct View {
    pub(super) log: Log,
    pub(super) stream: String,
    pub(super) subject: String,
    state: Mutex<State>,
    /// Grows with each change that somebody may wait for.
    changes: watch::Sender<u64>,
}

/// What is known.
pub(super) struct State {
    /// When the stream was made.
    pub(super) created: String,
    pub(super) incarnation: u32,
    /// The first record that is kept, and what all before it took.
    pub(super) first: u64,
    pub(super) bytes_before_first: u64,
    pub(super) next: u64,
    /// What all records took that there ever were.
    pub(super) bytes: u64,
    /// The stream's own sequences.
    pub(super) first_message: u64,
    pub(super) last_message: u64,
    tail: VecDeque<Arc<Block>>,
    tail_bytes: u64,
    /// Where blocks begin: sequence of the first record, that of the message.
    places: BTreeMap<u64, u64>,
    runs: VecDeque<Vec<Arc<Block>>>,
    trouble: Option<(Instant, String)>,
    /// What was refused for want of room lately.
    full: Option<(Instant, String)>,
    /// Somebody else is the owner: that does not pass.
    taken_over: Option<String>,
}

impl State {
    pub(super) fn new(created: String, incarnation: u32) -> Self {
        Self {
            created,
            incarnation,
            first: 1,
            bytes_before_first: 0,
            next: 1,
            bytes: 0,
            first_message: 1,
            last_message: 0,
            tail: VecDeque::new(),
            tail_bytes: 0,
            places: BTreeMap::new(),
            runs: VecDeque::new(),
            trouble: None,
            full: None,
            taken_over: None,
        }
    }

    pub(super) fn position(&self, sequence: u64) -> Position {
        Position::new(self.incarnation, sequence)
    }

    pub(super) fn extent(&self) -> Extent {
        Extent {
            first: self.position(self.first),
            next: self.position(self.next),
            bytes: self.bytes.saturating_sub(self.bytes_before_first),
        }
    }

    /// The records that there were, for messages.
    pub(super) fn range(&self) -> String {
        if self.first == self.next {
            return "it held no record".to_owned();
        }
        let (first, last) = (self.position(self.first), self.position(self.next - 1));
        format!("it held {first} to {last}")
    }

    /// The block stands in the stream. False where it does not count.
    pub(super) fn add(&mut self, block: &Arc<Block>) -> bool {
        self.last_message = self.last_message.max(block.last_message);
        if block.header.first != self.next {
            return false;
        }
        self.next = block.next();
        self.bytes += block.header.bytes;
        self.full = None;
        self.push(block);
        true
    }

    /// The block is the newest one that is kept in memory.
    pub(super) fn push(&mut self, block: &Arc<Block>) {
        if self.tail.back().is_some_and(|before| before.next() != block.header.first) {
            self.tail.clear();
            self.tail_bytes = 0;
        }
        self.remember(block.header.first, block.message);
        self.tail_bytes += block.header.bytes;
        self.tail.push_back(Arc::clone(block));
        while self.tail.len() > 1
            && (self.tail_bytes > TAIL_BYTES || self.tail.len() > TAIL_BLOCKS)
            && let Some(oldest) = self.tail.pop_front()
        {
            self.tail_bytes -= oldest.header.bytes;
        }
    }

    /// The newest block.
    pub(super) fn newest(&self) -> Option<&Arc<Block>> {
        self.tail.back()
    }

    /// The log begins here now.
    pub(super) fn trimmed(&mut self, first: u64, bytes_before: u64, first_message: u64) {
        self.full = None;
        self.first = self.first.max(first);
        self.bytes_before_first = self.bytes_before_first.max(bytes_before);
        self.first_message = self.first_message.max(first_message);
        while self.tail.len() > 1
            && let Some(oldest) = self.tail.front()
            && oldest.next() <= self.first
        {
            self.tail_bytes -= oldest.header.bytes;
            self.tail.pop_front();
        }
        self.places.retain(|_, message| *message >= self.first_message);
        self.runs.clear();
    }

    /// A block begins here.
    pub(super) fn remember(&mut self, first: u64, message: u64) {
        if self.places.len() >= PLACES {
            // Every other one: what is between two is found by halving.
            let mut keep = false;
            self.places.retain(|_, _| {
                keep = !keep;
                keep
            });
        }
        self.places.insert(first, message);
    }

    /// The nearest known places around a record: of a message whose block begins at it or
    /// before, and of one that begins after it.
    pub(super) fn around(&self, sequence: u64) -> (u64, u64) {
        let before = self.places.range(..=sequence).next_back();
        let after = self.places.range(sequence + 1..).next();
        (
            before.map_or(self.first_message, |(_, message)| *message).max(self.first_message),
            after.map_or(self.last_message + 1, |(_, message)| *message),
        )
    }

    pub(super) fn keep_run(&mut self, run: Vec<Arc<Block>>) {
        for block in &run {
            self.remember(block.header.first, block.message);
        }
        if self.runs.len() >= RUNS {
            self.runs.pop_front();
        }
        self.runs.push_back(run);
    }

    /// Records from `from` on, if they are in memory.
    pub(super) fn records(&self, from: u64, max: usize) -> Option<Vec<Stored>> {
        if self.tail.front().is_some_and(|block| block.header.first <= from) {
            return Some(self.gather(self.tail.iter(), from, max));
        }
        let has = |run: &&Vec<Arc<Block>>| {
            run.first().is_some_and(|block| block.header.first <= from)
                && run.last().is_some_and(|block| block.next() > from)
        };
        let run = self.runs.iter().rev().find(has)?;
        Some(self.gather(run.iter(), from, max))
    }

    fn gather<'a>(
        &self,
        blocks: impl DoubleEndedIterator<Item = &'a Arc<Block>> + ExactSizeIterator,
        from: u64,
        max: usize,
    ) -> Vec<Stored> {
        let mut found = Vec::new();
        let mut room = MAX_RECORD_BYTES;
        // The wanted ones are most often the newest: from the end back to where they begin.
        let mut wanted: Vec<&Arc<Block>> =
            blocks.rev().take_while(|block| block.next() > from).collect();
        wanted.reverse();
        for block in wanted {
            let skip = usize::try_from(from.saturating_sub(block.header.first)).unwrap_or(0);
            for (Record { record, .. }, sequence) in
                block.records.iter().zip(block.header.first..).skip(skip)
            {
                if found.len() == max || (!found.is_empty() && record.len() > room) {
                    return found;
                }
                room = room.saturating_sub(record.len());
                let record: Bytes = record.clone();
                found.push(Stored { position: self.position(sequence), record });
            }
        }
        found
    }

    /// The block that has this record, if it is in memory.
    pub(super) fn block(&self, sequence: u64) -> Option<Arc<Block>> {
        let has = |block: &&Arc<Block>| block.header.first <= sequence && sequence < block.next();
        let runs = self.runs.iter().flatten();
        self.tail.iter().chain(runs).find(has).cloned()
    }
}

impl View {
    pub(super) fn new(log: Log, stream: String, subject: String, state: State) -> Self {
        let changes = watch::Sender::new(0);
        Self { log, stream, subject, state: Mutex::new(state), changes }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // No change panics halfway: what is there is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(super) fn tell_change(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Checks that a position may be read.
    pub(super) fn check(&self, asked: Position) -> Result<Extent, ReadError> {
        let extent = self.state().extent();
        check_position(asked, extent)?;
        Ok(extent)
    }

    /// The log cannot be written to, or it cannot be told how far it reaches.
    pub(super) fn set_trouble(&self, trouble: String) {
        let mut state = self.state();
        let since = match &state.trouble {
            Some((_, before)) if *before == trouble => return,
            Some((since, _)) => *since,
            None => Instant::now(),
        };
        tracing::error!(log = self.log.as_str(), "event bus: {trouble}");
        state.trouble = Some((since, trouble));
        drop(state);
        self.tell_change();
    }

    pub(super) fn clear_trouble(&self) {
        if self.state().trouble.take().is_some() {
            tracing::info!(log = self.log.as_str(), "event bus: it works again");
            self.tell_change();
        }
    }

    /// A block was refused for want of room.
    pub(super) fn set_full(&self, text: String) {
        self.state().full = Some((Instant::now(), text));
    }

    /// What was refused for want of room, and nothing was taken since.
    pub(super) fn is_full(&self) -> Option<String> {
        let state = self.state();
        let (at, text) = state.full.as_ref()?;
        // Whether there is room again shows only when somebody tries.
        (at.elapsed() < FULL_FOR).then(|| text.clone())
    }

    /// From now on nothing is written or waited for: somebody else is the owner.
    pub(super) fn take_over(&self, trouble: String) {
        tracing::error!(log = self.log.as_str(), "event bus: {trouble}");
        self.state().taken_over = Some(trouble);
        self.tell_change();
    }

    pub(super) fn trouble(&self) -> Option<String> {
        let state = self.state();
        let passing = || state.trouble.as_ref().map(|(_, trouble)| trouble.clone());
        state.taken_over.clone().or_else(passing)
    }

    /// Trouble that will not be over at once.
    pub(super) fn lasting_trouble(&self) -> Option<String> {
        let state = self.state();
        if state.taken_over.is_some() {
            return state.taken_over.clone();
        }
        let (since, trouble) = state.trouble.as_ref()?;
        (since.elapsed() >= PATIENCE).then(|| trouble.clone())
    }
}
