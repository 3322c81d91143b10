//! The three logs and the key-value state that everything durable in Tripline is kept in.
//!
//! A bus can append a batch, read from a position, trim below one, and compare-and-swap
//! a key. That is all: acknowledgement, queues, retries and subscriptions are the daemon's.
//!
//! Promises, the same for each backend and held by [`conformance`]: what `append` or `put`
//! returned is durable; records keep the order of their batch, and batches the order in
//! which their futures completed or later; a record whose dedup id is known is stored once
//! and answered with the first one's position; a reader sees each record once, in order,
//! and without gaps but for what was trimmed.
//!
//! Not here: what the records mean.

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
}

/// A record to append.
#[derive(Clone, Debug)]
pub struct Append {
    /// Where this is known in the same log already, the record is not stored again. At
    /// most [`MAX_DEDUP_BYTES`].
    pub dedup: Option<Bytes>,
    /// The record.
    pub record: Bytes,
}

/// The longest dedup id, in bytes.
pub const MAX_DEDUP_BYTES: usize = 64;
/// The longest key, in bytes. Keys are made of `A-Z a-z 0-9 - _ . / =`.
pub const MAX_KEY_BYTES: usize = 256;
/// The largest record and the largest value of a key that every backend takes, in bytes.
pub const MAX_RECORD_BYTES: usize = 8 * 1024 * 1024;

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
    /// What its records take, in bytes.
    pub bytes: u64,
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
pub trait Bus: Send + Sync + 'static {
    /// Appends the batch, in order and as a whole. Durable when it returns `Ok`; on
    /// [`WriteError::Unavailable`] it may be durable too.
    fn append(
        &self,
        log: Log,
        batch: Vec<Append>,
    ) -> BoxFuture<'_, Result<Vec<Appended>, WriteError>>;

    /// The records from `from` on, `from` included; at most `max` of them, and about
    /// `MAX_RECORD_BYTES` of bytes, but one at least where there is one. Returns at once;
    /// an empty answer means that the end is reached.
    fn read(
        &self,
        log: Log,
        from: Position,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Stored>, ReadError>>;

    /// Returns when there is a record at `from` or after it. May be dropped at any time.
    fn wait(&self, log: Log, from: Position) -> BoxFuture<'_, Result<(), ReadError>>;

    /// How far the log reaches now.
    fn extent(&self, log: Log) -> BoxFuture<'_, Result<Extent, ReadError>>;

    /// Removes all records before `below`. Their dedup ids may be forgotten with them.
    fn trim(&self, log: Log, below: Position) -> BoxFuture<'_, Result<(), WriteError>>;

    /// The value of a key; `None` where it does not exist.
    fn get(&self, key: &str) -> BoxFuture<'_, Result<Option<Entry>, ReadError>>;

    /// Sets a key if its revision is still `expected`; [`Revision::ABSENT`] makes it.
    /// Durable when it returns `Ok`.
    fn put(
        &self,
        key: &str,
        value: Bytes,
        expected: Revision,
    ) -> BoxFuture<'_, Result<Revision, WriteError>>;

    /// Removes a key if its revision is still `expected`.
    fn delete(&self, key: &str, expected: Revision) -> BoxFuture<'_, Result<(), WriteError>>;

    /// The keys that begin with `prefix` and come after `after` in byte order; at most `max`.
    fn keys(
        &self,
        prefix: &str,
        after: Option<&str>,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<String>, ReadError>>;
}
