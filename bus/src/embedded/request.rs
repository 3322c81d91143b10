//! What the writer is asked to do, and how it is done in a transaction.
//!
//! A request is either refused before it has changed anything, or applied as a whole, or
//! the transaction is given up with all that is in it. So one request's conflict or lack of
//! room never touches its neighbours.

use std::ops::Bound;

use bytes::Bytes;
use heed::{PutFlags, RwTxn};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tripline_event::Position;

use super::dedup::Dedup;
use super::room::{Claim, Room, on_pages};
use super::tables::{Ledger, LogMeta, Tables, damaged, encode_entry_into};
use crate::{Append, Appended, Log, Revision, WriteError};

/// How many records one transaction trims, while others wait for it.
const TRIM_RECORDS: u64 = 1024;

/// Something asked for, and whom to answer.
pub(super) struct Request {
    pub(super) task: Task,
    /// The place in the queue, given back when it is answered.
    pub(super) _permit: OwnedSemaphorePermit,
}

pub(super) enum Task {
    Append { log: Log, batch: Vec<Append>, bytes: usize, reply: Reply<Vec<Appended>> },
    Put { key: String, value: Bytes, expected: Revision, reply: Reply<Revision> },
    Delete { key: String, expected: Revision, reply: Reply<()> },
    Trim { log: Log, below: Position, reply: Reply<()> },
}

/// An answer, which is kept back until it is durable.
pub(super) struct Reply<T> {
    result: Option<Result<T, WriteError>>,
    sender: oneshot::Sender<Result<T, WriteError>>,
}

impl<T> Reply<T> {
    pub(super) fn new() -> (Self, oneshot::Receiver<Result<T, WriteError>>) {
        let (sender, receiver) = oneshot::channel();
        (Self { result: None, sender }, receiver)
    }

    /// Sends the answer. One who no longer waits for it does not need it.
    fn send(self, failure: Option<WriteError>) {
        if let Some(result) = failure.map(Err).or(self.result) {
            drop(self.sender.send(result));
        }
    }
}

/// What the tasks of one transaction change.
pub(super) struct Work<'a, 'e> {
    pub(super) tables: &'a Tables,
    pub(super) txn: &'a mut RwTxn<'e>,
    pub(super) ledger: &'a mut Ledger,
    pub(super) room: Room,
    pub(super) dedup: &'a mut Dedup,
    pub(super) scratch: &'a mut Vec<u8>,
}

impl Task {
    /// About how many bytes it will write.
    pub(super) fn wanted(&self) -> u64 {
        match self {
            Self::Append { bytes, .. } => on_pages(*bytes),
            Self::Put { value, .. } => on_pages(value.len()),
            Self::Delete { .. } | Self::Trim { .. } => 0,
        }
    }

    /// Does it, or keeps back the reason why not. After an error the transaction must be
    /// given up.
    pub(super) fn apply(&mut self, work: &mut Work<'_, '_>) -> heed::Result<()> {
        match self {
            Self::Append { log, batch, bytes, reply } => {
                reply.result = Some(match work.room.take(Claim::of(*log), *bytes) {
                    Ok(()) => Ok(work.append(*log, batch)?),
                    Err(full) => Err(full),
                });
            }
            Self::Put { key, value, expected, reply } => {
                reply.result = Some(work.put(key, value, *expected)?);
            }
            Self::Delete { key, expected, reply } => {
                reply.result = Some(work.delete(key, *expected)?);
            }
            Self::Trim { log, below, reply } => {
                reply.result = work.trim(*log, *below)?.then_some(Ok(()));
            }
        }
        Ok(())
    }

    /// Whether the next transaction must go on with it.
    pub(super) fn is_unfinished(&self) -> bool {
        matches!(self, Self::Trim { reply: Reply { result: None, .. }, .. })
    }

    /// Answers: with the failure, or else with what became of it.
    pub(super) fn answer(self, failure: Option<WriteError>) {
        match self {
            Self::Append { reply, .. } => reply.send(failure),
            Self::Put { reply, .. } => reply.send(failure),
            Self::Delete { reply, .. } | Self::Trim { reply, .. } => reply.send(failure),
        }
    }

    /// What it was refused for, for want of room.
    pub(super) fn refused_as_full(&self) -> Option<&WriteError> {
        let error = match self {
            Self::Append { reply, .. } => reply.result.as_ref()?.as_ref().err(),
            Self::Put { reply, .. } => reply.result.as_ref()?.as_ref().err(),
            Self::Delete { .. } | Self::Trim { .. } => None,
        };
        error.filter(|error| matches!(error, WriteError::Full(_)))
    }

    /// Whether it took in something new, for which room is refused first.
    pub(super) fn took_events(&self) -> bool {
        matches!(
            self,
            Self::Append { log: Log::Events, reply: Reply { result: Some(Ok(_)), .. }, .. }
        )
    }
}

impl Work<'_, '_> {
    fn append(&mut self, log: Log, batch: &[Append]) -> heed::Result<Vec<Appended>> {
        let (table, ids) = (&self.tables.logs[log.index()], &self.tables.ids[log.index()]);
        let meta = &mut self.ledger.logs[log.index()];
        let mut appended = Vec::with_capacity(batch.len());
        for Append { dedup, record } in batch {
            let sequence = meta.next.to_be_bytes();
            if let Some(id) = dedup {
                if let Some(known) = self.dedup.find(self.txn, ids, log, id)? {
                    appended.push(Appended { position: meta.position(known), duplicate: true });
                    continue;
                }
                ids.put_with_flags(self.txn, PutFlags::APPEND, &sequence, id)?;
                self.dedup.learn(log, id, meta.next);
                meta.bytes += id.len() as u64;
            }
            table.put_with_flags(self.txn, PutFlags::APPEND, &sequence, record)?;
            appended.push(Appended { position: meta.position(meta.next), duplicate: false });
            meta.next += 1;
            meta.bytes += record.len() as u64;
        }
        Ok(appended)
    }

    /// Trims some records; whether all is done.
    fn trim(&mut self, log: Log, below: Position) -> heed::Result<bool> {
        let (table, ids) = (&self.tables.logs[log.index()], &self.tables.ids[log.index()]);
        let meta = &mut self.ledger.logs[log.index()];
        let Some(to_trim) = to_trim(meta, below) else { return Ok(true) };
        let (start, end) = (meta.first, meta.first + to_trim.min(TRIM_RECORDS));
        let (first, below) = (start.to_be_bytes(), end.to_be_bytes());
        let range = (Bound::Included(first.as_slice()), Bound::Excluded(below.as_slice()));
        for entry in table.range(self.txn, &range)?.chain(ids.range(self.txn, &range)?) {
            let (_, stored) = entry?;
            meta.bytes = meta.bytes.saturating_sub(stored.len() as u64);
        }
        ids.delete_range(self.txn, &range)?;
        let trimmed = table.delete_range(self.txn, &range)?;
        if trimmed as u64 != end - start {
            return Err(damaged("a log has a gap"));
        }
        meta.first = end;
        Ok(to_trim <= TRIM_RECORDS)
    }

    fn put(
        &mut self,
        key: &str,
        value: &[u8],
        expected: Revision,
    ) -> heed::Result<Result<Revision, WriteError>> {
        let found = self.tables.revision(self.txn, key)?;
        if found != expected {
            return Ok(Err(WriteError::Conflict { key: key.to_owned(), found, expected }));
        }
        if let Err(full) = self.room.take(Claim::Consequence, value.len()) {
            return Ok(Err(full));
        }
        self.ledger.last_revision += 1;
        let revision = Revision(self.ledger.last_revision);
        encode_entry_into(self.scratch, revision, value);
        self.tables.keys.put(self.txn, key.as_bytes(), self.scratch)?;
        Ok(Ok(revision))
    }

    fn delete(&mut self, key: &str, expected: Revision) -> heed::Result<Result<(), WriteError>> {
        let found = self.tables.revision(self.txn, key)?;
        if found != expected {
            return Ok(Err(WriteError::Conflict { key: key.to_owned(), found, expected }));
        }
        if found != Revision::ABSENT {
            self.tables.keys.delete(self.txn, key.as_bytes())?;
            // A removal is a change as any other: without it there would be nothing to commit.
            self.ledger.last_revision += 1;
        }
        Ok(Ok(()))
    }
}

/// How many records are to be trimmed, if any.
fn to_trim(meta: &LogMeta, below: Position) -> Option<u64> {
    if below.incarnation != meta.incarnation {
        return None;
    }
    below.sequence.min(meta.next).checked_sub(meta.first).filter(|count| *count > 0)
}
