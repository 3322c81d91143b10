//! What is stored where in the LMDB environment.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `events`, `actions`, `outcomes` | sequence | the record |
//! | `events.ids`, `actions.ids`, `outcomes.ids` | sequence | the record's dedup id, where it has one |
//! | `keys` | key | revision, value |
//! | `meta` | `format` | version |
//! | `meta` | `revision` | the last revision given to a key |
//! | `meta` | `log/` and the log's name | incarnation, first and next sequence, bytes |
//! | `meta` | `journal` | how far this is with which journal: its number and length, and number and end of the last frame |
//!
//! Numbers are big-endian, so that their order is that of their bytes.

use bytes::{Bytes, BytesMut};
use heed::types::{Bytes as Raw, DecodeIgnore};
use heed::{Database, Env, RoTxn, RwTxn, WithoutTls};
use rand::{Rng, SeedableRng};
use tripline_event::Position;

use super::FORMAT_VERSION;
use super::journal::Mark;
use crate::{Entry, Extent, Log, Revision};

pub(super) type Table = Database<Raw, Raw>;

/// The tables of an environment, how many they are.
pub(super) const TABLES: u32 = 8;

const FORMAT: &[u8] = b"format";
const LAST_REVISION: &[u8] = b"revision";
const JOURNAL: &[u8] = b"journal";
const LOG_KEYS: [&[u8]; 3] = [b"log/events", b"log/actions", b"log/outcomes"];

/// The tables.
#[derive(Clone, Copy)]
pub(super) struct Tables {
    pub(super) logs: [Table; 3],
    pub(super) ids: [Table; 3],
    pub(super) keys: Table,
    pub(super) meta: Table,
}

/// What is known of a log besides its records. It outlives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogMeta {
    pub(super) incarnation: u32,
    pub(super) first: u64,
    pub(super) next: u64,
    pub(super) bytes: u64,
}

/// What changes with almost every commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ledger {
    pub(super) logs: [LogMeta; 3],
    pub(super) last_revision: u64,
}

impl LogMeta {
    const BYTES: usize = 4 + 3 * 8;

    pub(super) fn position(&self, sequence: u64) -> Position {
        Position::new(self.incarnation, sequence)
    }

    pub(super) fn extent(&self) -> Extent {
        Extent {
            first: self.position(self.first),
            next: self.position(self.next),
            bytes: self.bytes,
        }
    }

    fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.incarnation.to_be_bytes());
        bytes[4..12].copy_from_slice(&self.first.to_be_bytes());
        bytes[12..20].copy_from_slice(&self.next.to_be_bytes());
        bytes[20..].copy_from_slice(&self.bytes.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> heed::Result<Self> {
        if bytes.len() != Self::BYTES {
            return Err(damaged("the description of a log has another length"));
        }
        Ok(Self {
            incarnation: u32::from_be_bytes(fixed(&bytes[..4])?),
            first: decode_u64(&bytes[4..12])?,
            next: decode_u64(&bytes[12..20])?,
            bytes: decode_u64(&bytes[20..])?,
        })
    }
}

impl Ledger {
    pub(super) const BYTES: usize = 3 * LogMeta::BYTES + 8;

    pub(super) fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (logs, revision) = bytes.split_at_mut(3 * LogMeta::BYTES);
        for (bytes, log) in logs.chunks_mut(LogMeta::BYTES).zip(&self.logs) {
            bytes.copy_from_slice(&log.encode());
        }
        revision.copy_from_slice(&self.last_revision.to_be_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> heed::Result<Self> {
        if bytes.len() != Self::BYTES {
            return Err(damaged("the description of the logs has another length"));
        }
        let log = |log: usize| LogMeta::decode(&bytes[log * LogMeta::BYTES..][..LogMeta::BYTES]);
        let last_revision = decode_u64(&bytes[3 * LogMeta::BYTES..])?;
        Ok(Self { logs: [log(0)?, log(1)?, log(2)?], last_revision })
    }
}

impl Tables {
    /// Opens the tables; makes them, with empty logs, in a new environment.
    pub(super) fn create(env: &Env<WithoutTls>, txn: &mut RwTxn) -> heed::Result<Self> {
        let mut table = |name| env.create_database::<Raw, Raw>(txn, Some(name));
        let tables = Self {
            logs: [table("events")?, table("actions")?, table("outcomes")?],
            ids: [table("events.ids")?, table("actions.ids")?, table("outcomes.ids")?],
            keys: table("keys")?,
            meta: table("meta")?,
        };
        if tables.meta.is_empty(txn)? {
            tables.meta.put(txn, FORMAT, &FORMAT_VERSION.to_be_bytes())?;
            tables.meta.put(txn, LAST_REVISION, &Revision::ABSENT.0.to_be_bytes())?;
            let mut random = rand::rngs::StdRng::from_os_rng();
            for key in LOG_KEYS {
                // 0 is left to `Position::default()`, which is in no log.
                let incarnation = random.random_range(1..=u32::MAX);
                let log = LogMeta { incarnation, first: 1, next: 1, bytes: 0 };
                tables.meta.put(txn, key, &log.encode())?;
            }
        }
        Ok(tables)
    }

    /// The format's version; `None` in an environment that has no table `meta`.
    pub(super) fn version(env: &Env<WithoutTls>, txn: &RoTxn) -> heed::Result<Option<u32>> {
        let Some(meta) = env.open_database::<Raw, Raw>(txn, Some("meta"))? else { return Ok(None) };
        let Some(version) = meta.get(txn, FORMAT)? else { return Ok(None) };
        Ok(Some(u32::from_be_bytes(fixed(version)?)))
    }

    /// Marks the store as one of this build's format.
    pub(super) fn put_version(&self, txn: &mut RwTxn) -> heed::Result<()> {
        self.meta.put(txn, FORMAT, &FORMAT_VERSION.to_be_bytes())
    }

    /// How far the store is with its journal; `None` if it has none.
    pub(super) fn mark(&self, txn: &RoTxn) -> heed::Result<Option<Mark>> {
        let Some(mark) = self.meta.get(txn, JOURNAL)? else { return Ok(None) };
        let fields: [u8; 32] = fixed(mark)?;
        let field = |at: usize| decode_u64(&fields[8 * at..][..8]);
        let (journal, capacity) = (field(0)?, field(1)?);
        Ok(Some(Mark { journal, capacity, number: field(2)?, offset: field(3)? }))
    }

    pub(super) fn put_mark(&self, txn: &mut RwTxn, mark: &Mark) -> heed::Result<()> {
        let fields = [mark.journal, mark.capacity, mark.number, mark.offset];
        self.meta.put(txn, JOURNAL, fields.map(u64::to_be_bytes).as_flattened())
    }

    /// Forgets the journal: everything is in the store.
    pub(super) fn delete_mark(&self, txn: &mut RwTxn) -> heed::Result<()> {
        self.meta.delete(txn, JOURNAL).map(drop)
    }

    pub(super) fn ledger(&self, txn: &RoTxn) -> heed::Result<Ledger> {
        let revision = self.meta.get(txn, LAST_REVISION)?;
        Ok(Ledger {
            logs: [
                self.log(txn, Log::Events)?,
                self.log(txn, Log::Actions)?,
                self.log(txn, Log::Outcomes)?,
            ],
            last_revision: decode_u64(revision.ok_or_else(|| damaged("no last revision"))?)?,
        })
    }

    /// Writes what differs from `before`.
    pub(super) fn put_ledger(
        &self,
        txn: &mut RwTxn,
        before: &Ledger,
        ledger: &Ledger,
    ) -> heed::Result<()> {
        for ((key, before), log) in LOG_KEYS.iter().zip(&before.logs).zip(&ledger.logs) {
            if before != log {
                self.meta.put(txn, key, &log.encode())?;
            }
        }
        if before.last_revision != ledger.last_revision {
            self.meta.put(txn, LAST_REVISION, &ledger.last_revision.to_be_bytes())?;
        }
        Ok(())
    }

    pub(super) fn log(&self, txn: &RoTxn, log: Log) -> heed::Result<LogMeta> {
        let meta = self.meta.get(txn, LOG_KEYS[log.index()])?;
        LogMeta::decode(meta.ok_or_else(|| damaged("a log without description"))?)
    }

    pub(super) fn entry(&self, txn: &RoTxn, key: &str) -> heed::Result<Option<Entry>> {
        let Some(stored) = self.keys.get(txn, key.as_bytes())? else { return Ok(None) };
        let (revision, value) = decode_entry(stored)?;
        Ok(Some(Entry { revision, value: Bytes::copy_from_slice(value) }))
    }

    pub(super) fn revision(&self, txn: &RoTxn, key: &str) -> heed::Result<Revision> {
        let stored = self.keys.get(txn, key.as_bytes())?;
        stored.map_or(Ok(Revision::ABSENT), |stored| Ok(decode_entry(stored)?.0))
    }

    /// What the tables take, in pages.
    pub(super) fn pages(&self, txn: &RoTxn) -> heed::Result<usize> {
        let mut pages = 0;
        for table in self.logs.iter().chain(&self.ids).chain([&self.keys, &self.meta]) {
            let stat = table.remap_data_type::<DecodeIgnore>().stat(txn)?;
            pages += stat.branch_pages + stat.leaf_pages + stat.overflow_pages;
        }
        Ok(pages)
    }
}

/// The same bytes in one allocation, which they share.
pub(super) fn copy_together(slices: &[&[u8]]) -> impl Iterator<Item = Bytes> {
    let mut copy = BytesMut::with_capacity(slices.iter().map(|slice| slice.len()).sum());
    for slice in slices {
        copy.extend_from_slice(slice);
    }
    let mut copy = copy.freeze();
    slices.iter().map(move |slice| copy.split_to(slice.len()))
}

pub(super) fn encode_entry_into(buffer: &mut Vec<u8>, revision: Revision, value: &[u8]) {
    buffer.clear();
    buffer.extend_from_slice(&revision.0.to_be_bytes());
    buffer.extend_from_slice(value);
}

fn decode_entry(stored: &[u8]) -> heed::Result<(Revision, &[u8])> {
    match stored.split_at_checked(8) {
        Some((revision, value)) => Ok((Revision(decode_u64(revision)?), value)),
        None => Err(damaged("a key's value is too short")),
    }
}

pub(super) fn decode_u64(bytes: &[u8]) -> heed::Result<u64> {
    Ok(u64::from_be_bytes(fixed(bytes)?))
}

fn fixed<const N: usize>(bytes: &[u8]) -> heed::Result<[u8; N]> {
    bytes.try_into().map_err(|_| damaged("a number has another length"))
}

/// What is stored is not what this build stores.
pub(super) fn damaged(what: &'static str) -> heed::Error {
    heed::Error::Decoding(what.into())
}
