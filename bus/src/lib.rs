//! The three logs and the key-value state that everything durable in Tripline is kept in.
//!
//! A bus can append a batch, read from a position, trim below one, and compare-and-swap
//! a key. That is all: acknowledgement, queues, retries and subscriptions are the daemon's.
//!
//! Promises, the same for each backend and held by the suite in `conformance` (a cargo
//! feature): what `append` or `put` returned is durable; a batch is stored as a whole or
//! not at all; records keep the order of their batch, and a batch that was answered stands
//! before one that was begun afterwards; a record whose dedup id is known is stored once and
//! answered with the first one's position; a reader sees each record once, in order, and
//! without gaps but for what was trimmed.
//!
//! Not here: what the records mean.

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod copy;
pub mod embedded;
#[cfg(feature = "jetstream")]
pub mod jetstream;
mod limits;
pub mod memory;

#[cfg(feature = "jetstream")]
pub use jetstream::argo;
pub use limits::{MAX_BATCH_BYTES, MAX_DEDUP_BYTES, MAX_KEY_BYTES, MAX_RECORD_BYTES};

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use tripline_event::Position;

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Which of the three logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Log {
    /// What was taken in, time, and plans.
    Events,
    /// What was decided.
    Actions,
    /// What became of it.
    Outcomes,
}

impl Log {
    /// The three logs.
    pub const ALL: [Self; 3] = [Self::Events, Self::Actions, Self::Outcomes];

    /// The log's name in keys, streams, metrics and commands.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Actions => "actions",
            Self::Outcomes => "outcomes",
        }
    }

    /// Its place in [`Log::ALL`].
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

/// A record to append.
#[derive(Clone, Debug)]
pub struct Append {
    /// Where this is known in the same log already, the record is not stored again. A
    /// backend may forget the ids of old records, and says when. At most
    /// [`MAX_DEDUP_BYTES`].
    pub dedup: Option<Bytes>,
    /// The record.
    pub record: Bytes,
}

/// What became of a record that was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Where it stands, or where the first one with its dedup id stands.
    pub position: Position,
    /// Its dedup id was known: nothing was stored.
    pub duplicate: bool,
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Where it stands.
    pub position: Position,
    /// The record.
    pub record: Bytes,
}

/// How far a log reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The first record that is kept; equal to `next` where there is none.
    pub first: Position,
    /// Where the next record will stand.
    pub next: Position,
    /// What its records and their dedup ids take, in bytes, without the backend's own overhead.
    pub bytes: u64,
}

/// How full a bus is, in bytes, with its own overhead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// What is taken.
    pub used: u64,
    /// How much may be taken before new events are refused.
    pub limit: u64,
}

impl Fill {
    /// How full it is, in hundredths; a bus without room is full.
    pub fn hundredths(self) -> u64 {
        self.used.saturating_mul(100).checked_div(self.limit).unwrap_or(100)
    }
}

/// The version of a key's value. It grows with each change; [`Revision::ABSENT`] is that
/// of a key that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision of a key that does not exist.
    pub const ABSENT: Self = Self(0);
}

/// The value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its version.
    pub revision: Revision,
    /// The value.
    pub value: Bytes,
}

/// Why something was not appended or put.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The bus cannot be reached, or did not answer. Whether the write is durable is not
    /// known: try again with the same dedup ids.
    #[error("bus is unavailable: {0}")]
    Unavailable(String),
    /// There is no room. Nothing was stored; it may be tried again when there is.
    #[error("bus is full: {0}")]
    Full(String),
    /// It is too large. It will never be taken.
    #[error("{size} bytes are too large, the bus takes at most {limit}")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The key's revision was another one than expected. Nothing was stored.
    #[error("key `{key}` was changed by somebody else (revision {found}, expected {expected})", found = found.0, expected = expected.0)]
    Conflict {
        /// The key.
        key: String,
        /// Its revision.
        found: Revision,
        /// The revision that was expected.
        expected: Revision,
    },
    /// The text is no key: it is empty, or has a character that keys cannot have.
    #[error("`{0}` is no key: keys are made of `A-Z a-z 0-9 - _ . / =`")]
    InvalidKey(String),
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bus cannot be reached, or did not answer.
    #[error("bus is unavailable: {0}")]
    Unavailable(String),
    /// The position is in another incarnation of the log: the log was removed and made again.
    #[error(
        "position {asked} is not in this log, whose incarnation is {incarnation:08x}: it was made again, and what it held is gone"
    )]
    OtherIncarnation {
        /// The position asked for.
        asked: Position,
        /// The log's incarnation.
        incarnation: u32,
    },
    /// The records were trimmed.
    #[error("position {asked} was trimmed: the log begins at {first}")]
    Trimmed {
        /// The position asked for.
        asked: Position,
        /// The first that is kept.
        first: Position,
    },
    /// What is stored cannot be read.
    #[error("stored data is damaged: {0}")]
    Damaged(String),
}

/// The three logs and the key-value state.
///
/// Any future here may be dropped at any time. Dropping that of a write leaves open whether
/// the write is stored, as [`WriteError::Unavailable`] does.
pub trait Bus: Send + Sync + 'static {
    /// Appends the batch, in order and as a whole. Durable when it returns `Ok`; on
    /// [`WriteError::Unavailable`] it may be durable too. An empty batch is `Ok` and stores
    /// nothing. A batch with a record over [`MAX_RECORD_BYTES`], a dedup id over
    /// [`MAX_DEDUP_BYTES`], or more than [`MAX_BATCH_BYTES`] in all is refused as
    /// [`WriteError::TooLarge`].
    fn append(
        &self,
        log: Log,
        batch: Vec<Append>,
    ) -> BoxFuture<'_, Result<Vec<Appended>, WriteError>>;

    /// The records from `from` on, `from` included (sequence 0 means the log's very first
    /// record); at most `max` of them, and about [`MAX_RECORD_BYTES`] of bytes, but one at
    /// least where there is one. Returns at once; an empty answer means that the end is
    /// reached. The records of one answer may share one allocation: keep a copy of what is
    /// kept for long.
    fn read(
        &self,
        log: Log,
        from: Position,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Stored>, ReadError>>;

    /// Returns when there is a record at `from` or after it. Fails where [`Bus::read`] would
    /// fail.
    fn wait(&self, log: Log, from: Position) -> BoxFuture<'_, Result<(), ReadError>>;

    /// How far the log reaches now.
    fn extent(&self, log: Log) -> BoxFuture<'_, Result<Extent, ReadError>>;

    /// How full the bus is; `None` where nobody knows, or it has no limit of its own. Returns
    /// at once.
    fn fill(&self) -> Option<Fill> {
        None
    }

    /// Removes all records before `below`, and at most those that are there. Their dedup ids
    /// may be forgotten with them; sequences are never used again. A position of another
    /// incarnation removes nothing, and is no error: what stood before it is gone.
    fn trim(&self, log: Log, below: Position) -> BoxFuture<'_, Result<(), WriteError>>;

    /// The value of a key; `None` where it does not exist.
    fn get(&self, key: &str) -> BoxFuture<'_, Result<Option<Entry>, ReadError>>;

    /// Sets a key if its revision is still `expected`; [`Revision::ABSENT`] makes it.
    /// Durable when it returns `Ok`. A key's revision is never used again, even when the key
    /// is removed and made anew.
    fn put(
        &self,
        key: &str,
        value: Bytes,
        expected: Revision,
    ) -> BoxFuture<'_, Result<Revision, WriteError>>;

    /// Removes a key if its revision is still `expected`. Removing a key that does not
    /// exist, as [`Revision::ABSENT`], is `Ok`.
    fn delete(&self, key: &str, expected: Revision) -> BoxFuture<'_, Result<(), WriteError>>;

    /// The keys that begin with `prefix` and come after `after`, in byte order; at most `max`.
    fn keys(
        &self,
        prefix: &str,
        after: Option<&str>,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<String>, ReadError>>;
}
