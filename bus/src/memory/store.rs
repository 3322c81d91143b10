//! What outlives a handle: the logs, their dedup ids, and the keys.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hashbrown::HashMap;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;
use tripline_event::Position;

use crate::{
    Append, Appended, Entry, Extent, Fill, Log, MAX_RECORD_BYTES, ReadError, Revision, Stored,
    WriteError,
};

/// What a [`MemoryBus`](super::MemoryBus) keeps. It outlives its handles, as a disk outlives
/// a process.
pub struct MemoryStore {
    state: Mutex<State>,
    /// Where each log's next record will stand.
    ends: [watch::Sender<Position>; 3],
    /// What the logs may take, in bytes, if it has a limit.
    limit: Option<u64>,
}

pub(super) struct State {
    logs: [MemoryLog; 3],
    keys: BTreeMap<String, Entry>,
    last_revision: u64,
    random: SmallRng,
}

struct MemoryLog {
    incarnation: u32,
    /// The sequence of the first of `records`.
    first: u64,
    records: VecDeque<Append>,
    /// Only looked up, never iterated: its order cannot reach anybody.
    sequence_of: HashMap<Bytes, u64>,
    bytes: u64,
    /// What stood before `first`, where it is kept.
    trimmed: Option<Vec<Bytes>>,
}

impl MemoryStore {
    /// An empty store. The incarnations of its logs come from `seed`.
    pub fn new(seed: u64) -> Arc<Self> {
        Self::make(seed, None)
    }

    /// As [`Self::new`], with so many bytes for the logs: they are told how full it is, and
    /// nothing is refused for that. What is trimmed is kept for [`Self::trimmed`].
    pub fn with_limit(seed: u64, bytes: u64) -> Arc<Self> {
        Self::make(seed, Some(bytes))
    }

    fn make(seed: u64, limit: Option<u64>) -> Arc<Self> {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut logs = Log::ALL.map(|_| MemoryLog::new(&mut random));
        if limit.is_some() {
            logs.iter_mut().for_each(|log| log.trimmed = Some(Vec::new()));
        }
        let ends = [&logs[0], &logs[1], &logs[2]].map(|log| watch::Sender::new(log.extent().next));
        let state = State { logs, keys: BTreeMap::new(), last_revision: 0, random };
        Arc::new(Self { state: Mutex::new(state), ends, limit })
    }

    /// The records that were trimmed from a log, the oldest first; none where there is no limit.
    pub fn trimmed(&self, log: Log) -> Vec<Stored> {
        self.read(|state| {
            let log = &state.logs[log.index()];
            let records = log.trimmed.iter().flatten().cloned().zip(1..);
            let stored = records.map(|(record, sequence)| Stored {
                position: Position::new(log.incarnation, sequence),
                record,
            });
            stored.collect()
        })
    }

    pub(super) fn fill(&self) -> Option<Fill> {
        let limit = self.limit?;
        let used = self.read(|state| state.logs.iter().map(|log| log.bytes).sum());
        Some(Fill { used, limit })
    }

    /// Removes a log and makes it again: it is empty, and another incarnation.
    pub fn remake(&self, log: Log) {
        self.change(|state| state.logs[log.index()] = MemoryLog::new(&mut state.random));
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    /// Applies a change as a whole, and wakes who waits for it.
    pub(super) fn change<T>(&self, apply: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = apply(&mut state);
        for (log, end) in state.logs.iter().zip(&self.ends) {
            let next = log.extent().next;
            end.send_if_modified(|end| std::mem::replace(end, next) != next);
        }
        result
    }

    pub(super) fn end_of(&self, log: Log) -> watch::Receiver<Position> {
        self.ends[log.index()].subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A change either is done or was refused before it began: what a thread that
        // panicked has left is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(super) fn append(&mut self, log: Log, batch: Vec<Append>, window: u64) -> Vec<Appended> {
        let log = &mut self.logs[log.index()];
        batch.into_iter().map(|append| log.append(append, window)).collect()
    }

    pub(super) fn records(
        &self,
        log: Log,
        from: Position,
        max: usize,
    ) -> Result<Vec<Stored>, ReadError> {
        let log = &self.logs[log.index()];
        let skip = log.offset_of(from)?;
        let mut room = MAX_RECORD_BYTES;
        let mut found = Vec::new();
        for (append, sequence) in log.records.iter().skip(skip).zip(log.first + skip as u64..) {
            if found.len() == max || (!found.is_empty() && append.record.len() > room) {
                break;
            }
            room = room.saturating_sub(append.record.len());
            let position = Position::new(log.incarnation, sequence);
            found.push(Stored { position, record: append.record.clone() });
        }
        Ok(found)
    }

    /// Whether there is a record at `from` or after it.
    pub(super) fn reaches(&self, log: Log, from: Position) -> Result<bool, ReadError> {
        let log = &self.logs[log.index()];
        Ok(log.offset_of(from)? < log.records.len())
    }

    pub(super) fn extent(&self, log: Log) -> Extent {
        self.logs[log.index()].extent()
    }

    pub(super) fn trim(&mut self, log: Log, below: Position) {
        self.logs[log.index()].trim(below);
    }

    pub(super) fn get(&self, key: &str) -> Option<Entry> {
        self.keys.get(key).cloned()
    }

    pub(super) fn put(
        &mut self,
        key: &str,
        value: Bytes,
        expected: Revision,
    ) -> Result<Revision, WriteError> {
        self.check_revision(key, expected)?;
        self.last_revision += 1;
        let revision = Revision(self.last_revision);
        self.keys.insert(key.to_owned(), Entry { revision, value });
        Ok(revision)
    }

    pub(super) fn delete(&mut self, key: &str, expected: Revision) -> Result<(), WriteError> {
        self.check_revision(key, expected)?;
        if self.keys.remove(key).is_some() {
            self.last_revision += 1;
        }
        Ok(())
    }

    pub(super) fn keys(&self, prefix: &str, after: Option<&str>, max: usize) -> Vec<String> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        self.keys
            .range::<str, _>((start, Bound::Unbounded))
            .map(|(key, _)| key)
            .take_while(|key| key.starts_with(prefix))
            .take(max)
            .cloned()
            .collect()
    }

    fn check_revision(&self, key: &str, expected: Revision) -> Result<(), WriteError> {
        let found = self.keys.get(key).map_or(Revision::ABSENT, |entry| entry.revision);
        if found == expected {
            return Ok(());
        }
        Err(WriteError::Conflict { key: key.to_owned(), found, expected })
    }
}

impl MemoryLog {
    fn new(random: &mut SmallRng) -> Self {
        Self {
            // 0 is left to `Position::default()`, which is in no log.
            incarnation: random.random_range(1..=u32::MAX),
            first: 1,
            records: VecDeque::new(),
            sequence_of: HashMap::new(),
            bytes: 0,
            trimmed: None,
        }
    }

    fn next(&self) -> u64 {
        self.first + self.records.len() as u64
    }

    fn extent(&self) -> Extent {
        Extent {
            first: Position::new(self.incarnation, self.first),
            next: Position::new(self.incarnation, self.next()),
            bytes: self.bytes,
        }
    }

    fn append(&mut self, append: Append, window: u64) -> Appended {
        let next = self.next();
        if let Some(dedup) = &append.dedup {
            let known = self.sequence_of.get(dedup).filter(|known| next - *known <= window);
            if let Some(&sequence) = known {
                let position = Position::new(self.incarnation, sequence);
                return Appended { position, duplicate: true };
            }
            self.sequence_of.insert(dedup.clone(), next);
        }
        self.bytes += size_of(&append);
        self.records.push_back(append);
        Appended { position: Position::new(self.incarnation, next), duplicate: false }
    }

    fn trim(&mut self, below: Position) {
        if below.incarnation != self.incarnation {
            return;
        }
        while self.first < below.sequence
            && let Some(append) = self.records.pop_front()
        {
            self.bytes -= size_of(&append);
            // A later record may have the id, where it had been forgotten.
            if let Some(dedup) = &append.dedup
                && self.sequence_of.get(dedup) == Some(&self.first)
            {
                self.sequence_of.remove(dedup);
            }
            if let Some(trimmed) = &mut self.trimmed {
                trimmed.push(append.record);
            }
            self.first += 1;
        }
    }

    /// How many of the kept records stand before `from`, or would if there were so many.
    fn offset_of(&self, from: Position) -> Result<usize, ReadError> {
        crate::limits::check_position(from, self.extent())?;
        let offset = from.sequence.max(1) - self.first;
        Ok(usize::try_from(offset).unwrap_or(usize::MAX))
    }
}

fn size_of(append: &Append) -> u64 {
    (append.record.len() + append.dedup.as_ref().map_or(0, |dedup| dedup.len())) as u64
}
