//! Which dedup ids are known.
//!
//! The ids are stored in the order of their records, which costs next to nothing. They are
//! found through a table in memory, made from them when the store is opened. An index of
//! them on the disk would have each record change a page of its own somewhere in it: that
//! was measured to take five times the processor time of all the rest.
//!
//! The table holds hashes; whether an id is the same is looked up. So an entry that was
//! made in a draft that was given up does no harm: its sequence has no id, or another.
//!
//! Promises: the ids of the newest `window` records of EVENTS are known, and of a quarter as
//! many of the other logs, unless they were trimmed. Some older ones are, too, up to twice as many.

use std::hash::{BuildHasher, RandomState};
use std::ops::Bound;

use hashbrown::HashTable;
use heed::RoTxn;

use super::tables::{LogMeta, Tables, decode_u64};
use crate::Log;

/// The known ids of the three logs.
pub(super) struct Dedup {
    /// Seeded at random, so that nobody can choose ids that collide.
    hashes: RandomState,
    /// Of EVENTS; see [`Self::window_of`].
    window: usize,
    logs: [Generations; 3],
}

/// The newer ids, and those before them. When the newer ones are as many as the window,
/// they become the older ones: nothing has to be forgotten one by one. The tables are as
/// large as they will be from the beginning: to make one larger would hold up a commit.
#[derive(Default)]
struct Generations {
    newer: HashTable<Known>,
    older: HashTable<Known>,
}

#[derive(Clone, Copy)]
struct Known {
    hash: u64,
    sequence: u64,
}

impl Dedup {
    /// The ids of the newest records of each log.
    pub(super) fn load(
        txn: &RoTxn,
        tables: &Tables,
        logs: &[LogMeta; 3],
        window: usize,
    ) -> heed::Result<Self> {
        let logs_of = [(); 3].map(|()| Generations::default());
        let mut dedup = Self { hashes: RandomState::new(), window, logs: logs_of };
        for log in Log::ALL {
            dedup.logs[log.index()].newer = HashTable::with_capacity(dedup.window_of(log));
        }
        for log in Log::ALL {
            let window = dedup.window_of(log) as u64;
            let newest = logs[log.index()].next.saturating_sub(window).to_be_bytes();
            let range = (Bound::Included(newest.as_slice()), Bound::Unbounded);
            for entry in tables.ids[log.index()].range(txn, &range)? {
                let (sequence, id) = entry?;
                dedup.learn(log, id, decode_u64(sequence)?);
            }
        }
        Ok(dedup)
    }

    /// Upstreams repeat an event after hours; what the daemon itself writes is repeated, if
    /// at all, at once.
    fn window_of(&self, log: Log) -> usize {
        match log {
            Log::Events => self.window,
            Log::Actions | Log::Outcomes => (self.window / 4).max(1),
        }
    }

    /// The sequence of the record that has this id, if one is known of which `is_of` says so.
    pub(super) fn find(
        &self,
        log: Log,
        id: &[u8],
        is_of: impl Fn(u64) -> heed::Result<bool>,
    ) -> heed::Result<Option<u64>> {
        let hash = self.hashes.hash_one(id);
        let Generations { newer, older } = &self.logs[log.index()];
        for known in newer.iter_hash(hash).chain(older.iter_hash(hash)) {
            if known.hash == hash && is_of(known.sequence)? {
                return Ok(Some(known.sequence));
            }
        }
        Ok(None)
    }

    /// The record at `sequence` has this id.
    pub(super) fn learn(&mut self, log: Log, id: &[u8], sequence: u64) {
        let hash = self.hashes.hash_one(id);
        let window = self.window_of(log);
        let generations = &mut self.logs[log.index()];
        if generations.newer.len() >= window {
            let empty = HashTable::with_capacity(window);
            generations.older = std::mem::replace(&mut generations.newer, empty);
        }
        generations.newer.insert_unique(hash, Known { hash, sequence }, |known| known.hash);
    }
}
