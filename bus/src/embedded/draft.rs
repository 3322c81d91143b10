//! Deciding what a group of requests changes, before any of it is durable.
//!
//! It is decided on what LMDB has, what the tail has, and what the same group has changed so
//! far. A request is either refused before it has changed anything, or drafted as a whole,
//! or the draft is given up with all that is in it. So one request's conflict or lack of
//! room never touches its neighbours.

use std::ops::Bound;

use bytes::Bytes;
use heed::RoTxn;
use tripline_event::Position;

use super::changes::{Batch, Change};
use super::dedup::Dedup;
use super::room::{Claim, Room};
use super::tables::{LogMeta, Tables, damaged};
use super::tail::{Tail, stored_bytes};
use crate::{Append, Appended, Log, Revision, WriteError};

/// How many records one request trims at a time, while others wait for it.
const TRIM_RECORDS: u64 = 1024;
/// What trimming a record costs besides its bytes.
const TRIM_OVERHEAD_BYTES: u64 = 64;

/// What a group changes.
pub(super) struct Draft<'a> {
    tables: &'a Tables,
    txn: &'a RoTxn<'a>,
    tail: &'a Tail,
    room: Room,
    dedup: &'a mut Dedup,
    /// What the group has changed, behind the tail.
    fresh: Tail,
    changes: Vec<Change>,
    added: u64,
    removed: u64,
}

impl<'a> Draft<'a> {
    /// An empty one on a state of LMDB that is not ahead of `tail`.
    pub(super) fn new(
        tables: &'a Tables,
        txn: &'a RoTxn<'a>,
        tail: &'a Tail,
        room: Room,
        dedup: &'a mut Dedup,
    ) -> Self {
        let fresh = Tail::behind(tail.ledger);
        Self { tables, txn, tail, room, dedup, fresh, changes: Vec::new(), added: 0, removed: 0 }
    }

    /// What it comes to: for the disk, and for the tail. `None` if nothing changes, since there was
    /// nothing but duplicates and refusals: what they tell of is durable already.
    pub(super) fn finish(self) -> Option<(Batch, Tail)> {
        let Self { fresh, changes, added, removed, .. } = self;
        let batch = Batch { changes, ledger: fresh.ledger, added, removed };
        (!batch.changes.is_empty()).then_some((batch, fresh))
    }

    /// Appends what is not known; `bytes` is what it counts.
    pub(super) fn append(
        &mut self,
        log: Log,
        batch: &[Append],
        bytes: usize,
    ) -> heed::Result<Result<Vec<Appended>, WriteError>> {
        if let Err(full) = self.room.take(Claim::of(log), bytes) {
            return Ok(Err(full));
        }
        let first = self.meta(log).next;
        let mut appended = Vec::with_capacity(batch.len());
        let mut records = Vec::with_capacity(batch.len());
        for append in batch {
            if let Some(id) = &append.dedup {
                if let Some(known) = self.find(log, id)? {
                    let position = self.meta(log).position(known);
                    appended.push(Appended { position, duplicate: true });
                    continue;
                }
                self.dedup.learn(log, id, self.meta(log).next);
            }
            let sequence = self.fresh.append(log, append.clone());
            let position = self.meta(log).position(sequence);
            appended.push(Appended { position, duplicate: false });
            records.push(append.clone());
        }
        if !records.is_empty() {
            self.added += bytes as u64;
            self.changes.push(Change::Append { log, first, records });
        }
        Ok(Ok(appended))
    }

    /// Trims some records; whether all is done.
    pub(super) fn trim(&mut self, log: Log, below: Position) -> heed::Result<bool> {
        let meta = *self.meta(log);
        let Some(count) = to_trim(&meta, below) else { return Ok(true) };
        let (first, below) = (meta.first, meta.first + count.min(TRIM_RECORDS));
        let bytes = self.bytes_between(log, first, below)?;
        let meta = &mut self.fresh.ledger.logs[log.index()];
        meta.first = below;
        meta.bytes = meta.bytes.saturating_sub(bytes);
        self.removed += bytes + TRIM_OVERHEAD_BYTES * (below - first);
        self.changes.push(Change::Trim { log, first, below });
        Ok(count <= TRIM_RECORDS)
    }

    pub(super) fn put(
        &mut self,
        key: &str,
        value: &Bytes,
        expected: Revision,
    ) -> heed::Result<Result<Revision, WriteError>> {
        if let Err(conflict) = self.check_revision(key, expected)? {
            return Ok(Err(conflict));
        }
        if let Err(full) = self.room.take(Claim::Consequence, value.len()) {
            return Ok(Err(full));
        }
        let revision = self.fresh.change_key(key.to_owned(), Some(value.clone()));
        self.added += (key.len() + value.len()) as u64;
        self.changes.push(Change::Put { key: key.to_owned(), revision, value: value.clone() });
        Ok(Ok(revision))
    }

    pub(super) fn delete(
        &mut self,
        key: &str,
        expected: Revision,
    ) -> heed::Result<Result<(), WriteError>> {
        if let Err(conflict) = self.check_revision(key, expected)? {
            return Ok(Err(conflict));
        }
        if expected != Revision::ABSENT {
            let revision = self.fresh.change_key(key.to_owned(), None);
            self.changes.push(Change::Delete { key: key.to_owned(), revision });
        }
        Ok(Ok(()))
    }

    fn meta(&self, log: Log) -> &LogMeta {
        &self.fresh.ledger.logs[log.index()]
    }

    fn check_revision(
        &self,
        key: &str,
        expected: Revision,
    ) -> heed::Result<Result<(), WriteError>> {
        let found = match self.fresh.revision(key).or_else(|| self.tail.revision(key)) {
            Some(found) => found,
            None => self.tables.revision(self.txn, key)?,
        };
        if found == expected {
            return Ok(Ok(()));
        }
        Ok(Err(WriteError::Conflict { key: key.to_owned(), found, expected }))
    }

    /// The sequence of the record that has this id, if it is known and was not trimmed.
    fn find(&self, log: Log, id: &[u8]) -> heed::Result<Option<u64>> {
        let meta = self.meta(log);
        self.dedup.find(log, id, |sequence| {
            if !(meta.first..meta.next).contains(&sequence) {
                return Ok(false);
            }
            if let Some(append) = self.recent(log, sequence) {
                return Ok(append.dedup.as_deref() == Some(id));
            }
            let ids = &self.tables.ids[log.index()];
            Ok(ids.get(self.txn, &sequence.to_be_bytes())? == Some(id))
        })
    }

    fn recent(&self, log: Log, sequence: u64) -> Option<&Append> {
        self.fresh.record(log, sequence).or_else(|| self.tail.record(log, sequence))
    }

    /// What the records from `first` on, below `below`, count.
    fn bytes_between(&self, log: Log, first: u64, below: u64) -> heed::Result<u64> {
        let settled = self.tail.first(log).clamp(first, below);
        let mut bytes = 0;
        if first < settled {
            let (start, end) = (first.to_be_bytes(), settled.to_be_bytes());
            let range = (Bound::Included(start.as_slice()), Bound::Excluded(end.as_slice()));
            let mut found = 0;
            for entry in self.tables.logs[log.index()].range(self.txn, &range)? {
                bytes += entry?.1.len() as u64;
                found += 1;
            }
            if found != settled - first {
                return Err(damaged("a log has a gap"));
            }
            for entry in self.tables.ids[log.index()].range(self.txn, &range)? {
                bytes += entry?.1.len() as u64;
            }
        }
        for sequence in settled..below {
            let append = self.recent(log, sequence);
            bytes += append.map(stored_bytes).ok_or_else(|| damaged("a log has a gap"))?;
        }
        Ok(bytes)
    }
}

/// How many records are to be trimmed, if any.
fn to_trim(meta: &LogMeta, below: Position) -> Option<u64> {
    if below.incarnation != meta.incarnation {
        return None;
    }
    below.sequence.min(meta.next).checked_sub(meta.first).filter(|count| *count > 0)
}
