//! What is durable in the journal and not yet, for certain, in LMDB: the newest records, and
//! the newest changes of keys. Readers look here first, and then into LMDB.
//!
//! Only the writer changes it. It takes a batch in before LMDB can get that batch, and lets
//! go what LMDB has had when the next batch comes. So a state of LMDB that was opened while
//! the tail was held is never ahead of it, and what is in neither does not exist. (A batch
//! that goes by the journal is in LMDB first. It is durable there, and what readers
//! see of it early is true.)

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use bytes::Bytes;

use super::tables::Ledger;
use crate::{Append, Entry, Log, Revision};

/// The newest records and changes of keys.
pub(super) struct Tail {
    /// As it is with all of them.
    pub(super) ledger: Ledger,
    /// The last records of each log, up to its end.
    logs: [VecDeque<Append>; 3],
    keys: BTreeMap<String, Changed>,
}

/// What became of a key.
struct Changed {
    revision: Revision,
    /// `None`: it was removed.
    value: Option<Bytes>,
}

impl Tail {
    /// An empty one behind a store with this ledger.
    pub(super) fn behind(ledger: Ledger) -> Self {
        Self { ledger, logs: Default::default(), keys: BTreeMap::new() }
    }

    /// Takes a record in, behind the last one. Returns where it stands.
    pub(super) fn append(&mut self, log: Log, append: Append) -> u64 {
        let meta = &mut self.ledger.logs[log.index()];
        let sequence = meta.next;
        meta.next += 1;
        meta.bytes += stored_bytes(&append);
        self.logs[log.index()].push_back(append);
        sequence
    }

    /// Takes a key's new value in, or its removal. Returns the revision of the change.
    pub(super) fn change_key(&mut self, key: String, value: Option<Bytes>) -> Revision {
        self.ledger.last_revision += 1;
        let revision = Revision(self.ledger.last_revision);
        self.keys.insert(key, Changed { revision, value });
        revision
    }

    /// Takes over what was drafted behind this one.
    pub(super) fn absorb(&mut self, mut draft: Self) {
        self.ledger = draft.ledger;
        for (log, drafted) in self.logs.iter_mut().zip(&mut draft.logs) {
            log.append(drafted);
        }
        self.keys.append(&mut draft.keys);
    }

    /// Lets go what LMDB has when its ledger is `settled`. Returns the records, so that they can be
    /// dropped when nobody waits.
    pub(super) fn settle(&mut self, settled: &Ledger) -> Vec<Append> {
        let mut gone = Vec::new();
        for log in Log::ALL {
            let left = self.next(log).saturating_sub(settled.logs[log.index()].next);
            let records = &mut self.logs[log.index()];
            let left = usize::try_from(left).unwrap_or(usize::MAX);
            gone.extend(records.drain(..records.len().saturating_sub(left)));
        }
        self.keys.retain(|_, changed| changed.revision.0 > settled.last_revision);
        gone
    }

    fn next(&self, log: Log) -> u64 {
        self.ledger.logs[log.index()].next
    }

    /// The sequence of the first record of a log that is here: the log's end if there is none.
    pub(super) fn first(&self, log: Log) -> u64 {
        self.next(log) - self.logs[log.index()].len() as u64
    }

    /// The record at `sequence`, if it is here.
    pub(super) fn record(&self, log: Log, sequence: u64) -> Option<&Append> {
        let at = sequence.checked_sub(self.first(log))?;
        self.logs[log.index()].get(usize::try_from(at).ok()?)
    }

    /// The records that are here, from `sequence` on.
    pub(super) fn records(&self, log: Log, sequence: u64) -> impl Iterator<Item = &Append> {
        let skipped = sequence.saturating_sub(self.first(log));
        self.logs[log.index()].iter().skip(usize::try_from(skipped).unwrap_or(usize::MAX))
    }

    /// The key as it was changed last; `None` if it is not here.
    pub(super) fn entry(&self, key: &str) -> Option<Option<Entry>> {
        let Changed { revision, value } = self.keys.get(key)?;
        Some(value.clone().map(|value| Entry { revision: *revision, value }))
    }

    /// The key's revision; `None` if it is not here.
    pub(super) fn revision(&self, key: &str) -> Option<Revision> {
        let Changed { revision, value } = self.keys.get(key)?;
        Some(if value.is_some() { *revision } else { Revision::ABSENT })
    }

    /// Which keys with this prefix, from `start` on, were changed, and whether they are there.
    pub(super) fn keys(&self, prefix: &str, start: Bound<&str>) -> BTreeMap<String, bool> {
        let range = self.keys.range::<str, _>((start, Bound::Unbounded));
        range
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, changed)| (key.clone(), changed.value.is_some()))
            .collect()
    }
}

/// What a record counts in [`Extent::bytes`](crate::Extent::bytes).
pub(super) fn stored_bytes(append: &Append) -> u64 {
    (append.record.len() + append.dedup.as_ref().map_or(0, Bytes::len)) as u64
}
