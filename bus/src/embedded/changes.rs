//! What requests change, once it is decided: a batch of changes, as it stands in a frame of
//! the journal, and how LMDB gets it.
//!
//! | change | as bytes |
//! | --- | --- |
//! | append | 1, log, first sequence, number of records; of each the length of its dedup id (255: it has none), the id, its length, the record |
//! | put | 2, length of the key, key, revision, length of the value, value |
//! | delete | 3, length of the key, key, revision |
//! | trim | 4, log, the first sequence that goes, the first that stays |
//!
//! A batch begins with the ledger as it is after it. Logs and tags are one byte, lengths of
//! keys two, other lengths and numbers of records four, sequences and revisions eight;
//! big-endian.

use std::ops::Bound;

use bytes::{Buf, BufMut, Bytes, TryGetError};
use heed::{PutFlags, RwTxn};

use super::tables::{Ledger, Tables, encode_entry_into};
use crate::{Append, Log, Revision};

const APPEND: u8 = 1;
const PUT: u8 = 2;
const DELETE: u8 = 3;
const TRIM: u8 = 4;
const NO_ID: u8 = 255;

/// One change, which nothing can refuse any more.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// Records behind the last one; none of them is known.
    Append { log: Log, first: u64, records: Vec<Append> },
    /// A key's new value.
    Put { key: String, revision: Revision, value: Bytes },
    /// A key that is there no more. The revision is that of the removal.
    Delete { key: String, revision: Revision },
    /// Records that go: from `first` on, those before `below`.
    Trim { log: Log, first: u64, below: u64 },
}

/// What one group of requests changes: durable as a whole or not at all.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) changes: Vec<Change>,
    /// As it is with these changes.
    pub(super) ledger: Ledger,
    /// How many bytes it adds to the store.
    pub(super) added: u64,
    /// How many bytes it removes.
    pub(super) removed: u64,
}

/// What is in a frame is no batch.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("its journal has a frame that is no batch of changes")]
pub(super) struct Malformed;

impl From<TryGetError> for Malformed {
    fn from(_: TryGetError) -> Self {
        Self
    }
}

impl Batch {
    /// How much work it is for LMDB, in bytes.
    pub(super) fn weight(&self) -> u64 {
        self.added + self.removed
    }

    pub(super) fn encode_into(&self, bytes: &mut Vec<u8>) {
        bytes.put_slice(&self.ledger.encode());
        for change in &self.changes {
            change.encode_into(bytes);
        }
    }

    pub(super) fn decode(mut bytes: Bytes) -> Result<Self, Malformed> {
        let added = bytes.len() as u64;
        let ledger = Ledger::decode(&take(&mut bytes, Ledger::BYTES)?).map_err(|_| Malformed)?;
        let mut changes = Vec::new();
        while bytes.has_remaining() {
            changes.push(Change::decode(&mut bytes)?);
        }
        Ok(Self { changes, ledger, added, removed: 0 })
    }

    /// Brings it into LMDB's tables, but for the ledger.
    pub(super) fn apply(&self, tables: &Tables, txn: &mut RwTxn) -> heed::Result<()> {
        let mut scratch = Vec::new();
        self.changes.iter().try_for_each(|change| change.apply(tables, txn, &mut scratch))
    }
}

impl Change {
    fn apply(&self, tables: &Tables, txn: &mut RwTxn, scratch: &mut Vec<u8>) -> heed::Result<()> {
        match self {
            Self::Append { log, first, records } => {
                let (table, ids) = (&tables.logs[log.index()], &tables.ids[log.index()]);
                for (append, sequence) in records.iter().zip(*first..) {
                    let sequence = sequence.to_be_bytes();
                    if let Some(id) = &append.dedup {
                        ids.put_with_flags(txn, PutFlags::APPEND, &sequence, id)?;
                    }
                    table.put_with_flags(txn, PutFlags::APPEND, &sequence, &append.record)?;
                }
            }
            Self::Put { key, revision, value } => {
                encode_entry_into(scratch, *revision, value);
                tables.keys.put(txn, key.as_bytes(), scratch)?;
            }
            Self::Delete { key, .. } => {
                tables.keys.delete(txn, key.as_bytes())?;
            }
            Self::Trim { log, first, below } => {
                let (first, below) = (first.to_be_bytes(), below.to_be_bytes());
                let range = (Bound::Included(first.as_slice()), Bound::Excluded(below.as_slice()));
                tables.ids[log.index()].delete_range(txn, &range)?;
                tables.logs[log.index()].delete_range(txn, &range)?;
            }
        }
        Ok(())
    }

    fn encode_into(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Append { log, first, records } => {
                bytes.put_slice(&[APPEND, log.index() as u8]);
                bytes.put_u64(*first);
                bytes.put_u32(records.len() as u32);
                for Append { dedup, record } in records {
                    match dedup {
                        Some(id) => {
                            bytes.put_u8(id.len() as u8);
                            bytes.put_slice(id);
                        }
                        None => bytes.put_u8(NO_ID),
                    }
                    bytes.put_u32(record.len() as u32);
                    bytes.put_slice(record);
                }
            }
            Self::Put { key, revision, value } => {
                bytes.put_u8(PUT);
                encode_key_into(bytes, key, *revision);
                bytes.put_u32(value.len() as u32);
                bytes.put_slice(value);
            }
            Self::Delete { key, revision } => {
                bytes.put_u8(DELETE);
                encode_key_into(bytes, key, *revision);
            }
            Self::Trim { log, first, below } => {
                bytes.put_slice(&[TRIM, log.index() as u8]);
                bytes.put_u64(*first);
                bytes.put_u64(*below);
            }
        }
    }

    fn decode(bytes: &mut Bytes) -> Result<Self, Malformed> {
        match bytes.try_get_u8()? {
            APPEND => {
                let (log, first) = (decode_log(bytes)?, bytes.try_get_u64()?);
                let count = bytes.try_get_u32()?;
                let records = (0..count).map(|_| decode_record(bytes)).collect::<Result<_, _>>()?;
                Ok(Self::Append { log, first, records })
            }
            PUT => {
                let (key, revision) = decode_key(bytes)?;
                let len = bytes.try_get_u32()? as usize;
                Ok(Self::Put { key, revision, value: take(bytes, len)? })
            }
            DELETE => {
                let (key, revision) = decode_key(bytes)?;
                Ok(Self::Delete { key, revision })
            }
            TRIM => {
                let log = decode_log(bytes)?;
                Ok(Self::Trim { log, first: bytes.try_get_u64()?, below: bytes.try_get_u64()? })
            }
            _ => Err(Malformed),
        }
    }
}

fn encode_key_into(bytes: &mut Vec<u8>, key: &str, revision: Revision) {
    bytes.put_u16(key.len() as u16);
    bytes.put_slice(key.as_bytes());
    bytes.put_u64(revision.0);
}

fn decode_key(bytes: &mut Bytes) -> Result<(String, Revision), Malformed> {
    let len = usize::from(bytes.try_get_u16()?);
    let key = String::from_utf8(take(bytes, len)?.into()).map_err(|_| Malformed)?;
    Ok((key, Revision(bytes.try_get_u64()?)))
}

fn decode_log(bytes: &mut Bytes) -> Result<Log, Malformed> {
    Log::ALL.get(usize::from(bytes.try_get_u8()?)).copied().ok_or(Malformed)
}

fn decode_record(bytes: &mut Bytes) -> Result<Append, Malformed> {
    let dedup = match bytes.try_get_u8()? {
        NO_ID => None,
        len => Some(take(bytes, usize::from(len))?),
    };
    let len = bytes.try_get_u32()? as usize;
    Ok(Append { dedup, record: take(bytes, len)? })
}

fn take(bytes: &mut Bytes, len: usize) -> Result<Bytes, Malformed> {
    if bytes.remaining() < len {
        return Err(Malformed);
    }
    Ok(bytes.split_to(len))
}
