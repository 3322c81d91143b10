//! Moves everything from one bus to another: the logs with their positions and dedup ids,
//! and the keys.
//!
//! Positions stay the same, incarnations included, since checkpoints and records name them.
//! So the target's logs must have been made with [`starts`] of the source:
//! [`crate::embedded::prepare`], or `starts` of JetStream's options. Nobody else may use
//! either bus meanwhile.
//!
//! A copy that broke off is gone on with when it is begun again. Until it is done, the target
//! has the key [`UNFINISHED`], and is not to be used.
//!
//! Not kept: revisions of keys, which say nothing beyond the process that asked for them.

use std::collections::HashSet;

use bytes::Bytes;
use tripline_event::Position;

use crate::embedded::EmbeddedBus;
use crate::{Append, Bus, Log, ReadError, Revision, WriteError};

/// The key that a target has until everything is there.
pub const UNFINISHED: &str = "copy/unfinished";

/// How many records are copied at once.
const RECORDS: usize = 1024;
/// How many keys.
const KEYS: usize = 1024;

/// Where a log begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The incarnation that it has.
    pub incarnation: u32,
    /// The sequence of its first record.
    pub first: u64,
}

/// A bus that can be copied.
#[derive(Clone, Copy)]
pub enum Place<'a> {
    /// A data directory.
    Embedded(&'a EmbeddedBus),
    /// Streams.
    #[cfg(feature = "jetstream")]
    JetStream(&'a crate::jetstream::JetStreamBus),
}

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Records, of each log.
    pub records: [u64; 3],
    /// Keys.
    pub keys: u64,
}

/// Why it was not copied. What was copied stays, and is gone on from.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The target holds something else.
    #[error("the target is not empty: {0}; use an empty data directory, or another prefix")]
    NotEmpty(String),
    /// The source is itself a copy that broke off.
    #[error("the source is a copy that broke off: finish it first")]
    Unfinished,
    /// One of the two cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The target does not take it.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The target did not store a record where it belongs.
    #[error(
        "the target has stored a record at {found}, which belongs at {wanted}: somebody else writes to it"
    )]
    Elsewhere {
        /// Where it is.
        found: Position,
        /// Where it should be.
        wanted: Position,
    },
}

impl Place<'_> {
    fn bus(&self) -> &dyn Bus {
        match self {
            Self::Embedded(bus) => *bus,
            #[cfg(feature = "jetstream")]
            Self::JetStream(bus) => *bus,
        }
    }

    async fn appends(&self, log: Log, from: Position) -> Result<Vec<Append>, ReadError> {
        match self {
            Self::Embedded(bus) => bus.read_appends(log, from, RECORDS),
            #[cfg(feature = "jetstream")]
            Self::JetStream(bus) => bus.read_appends(log, from, RECORDS).await,
        }
    }
}

/// Where the logs of a bus begin: so must those of its copy.
///
/// # Errors
///
/// The bus cannot be read.
pub async fn starts(bus: &dyn Bus) -> Result<[Start; 3], ReadError> {
    let mut starts = [Start { incarnation: 0, first: 0 }; 3];
    for log in Log::ALL {
        let first = bus.extent(log).await?.first;
        starts[log.index()] = Start { incarnation: first.incarnation, first: first.sequence };
    }
    Ok(starts)
}

/// Copies everything that `to` does not have yet.
///
/// # Errors
///
/// When `to` holds something else, or one of the two fails. It may be begun again.
pub async fn copy(from: Place<'_>, to: Place<'_>) -> Result<Copied, CopyError> {
    if from.bus().get(UNFINISHED).await?.is_some() {
        return Err(CopyError::Unfinished);
    }
    check_target(from, to).await?;
    let mut copied = Copied::default();
    for log in Log::ALL {
        copied.records[log.index()] = copy_log(from, to, log).await?;
    }
    copied.keys = copy_keys(from.bus(), to.bus()).await?;
    if let Some(entry) = to.bus().get(UNFINISHED).await? {
        to.bus().delete(UNFINISHED, entry.revision).await?;
    }
    Ok(copied)
}

/// The target is empty, or what an earlier copy of the same logs has left.
async fn check_target(from: Place<'_>, to: Place<'_>) -> Result<(), CopyError> {
    let begun = to.bus().get(UNFINISHED).await?.is_some();
    for log in Log::ALL {
        let (source, target) = (from.bus().extent(log).await?, to.bus().extent(log).await?);
        let name = log.as_str();
        if source.first.incarnation != target.first.incarnation {
            return Err(CopyError::NotEmpty(format!("its log `{name}` is another one")));
        }
        if target.first != source.first || target.next > source.next {
            return Err(CopyError::NotEmpty(format!("its log `{name}` begins or ends elsewhere")));
        }
        if !begun && target.next > target.first {
            return Err(CopyError::NotEmpty(format!("its log `{name}` has records")));
        }
    }
    if !begun {
        if !to.bus().keys("", None, 1).await?.is_empty() {
            return Err(CopyError::NotEmpty("it has keys".to_owned()));
        }
        to.bus().put(UNFINISHED, Bytes::new(), Revision::ABSENT).await?;
    }
    Ok(())
}

async fn copy_log(from: Place<'_>, to: Place<'_>, log: Log) -> Result<u64, CopyError> {
    let goal = to.bus().extent(log).await?.next;
    // An id that the source had forgotten when it came again stands there twice. The target
    // may still know it, and would not store the second record: that one goes without.
    let mut ids: HashSet<Bytes> = HashSet::new();
    let mut at = from.bus().extent(log).await?.first;
    let mut copied = 0;
    loop {
        let mut batch = from.appends(log, at).await?;
        if batch.is_empty() {
            return Ok(copied);
        }
        for append in &mut batch {
            if let Some(id) = &append.dedup
                && !ids.insert(Bytes::copy_from_slice(id))
            {
                append.dedup = None;
            }
        }
        let (begin, count) = (at, batch.len() as u64);
        at.sequence += count;
        // What an earlier copy has left is read for its ids only.
        let there = usize::try_from(goal.sequence.saturating_sub(begin.sequence));
        batch.drain(..there.unwrap_or(usize::MAX).min(batch.len()));
        let mut wanted = Position { sequence: at.sequence - batch.len() as u64, ..at };
        for stored in to.bus().append(log, batch).await? {
            if stored.position != wanted || stored.duplicate {
                return Err(CopyError::Elsewhere { found: stored.position, wanted });
            }
            wanted = wanted.next();
            copied += 1;
        }
    }
}

async fn copy_keys(from: &dyn Bus, to: &dyn Bus) -> Result<u64, CopyError> {
    let mut copied = 0;
    let mut after: Option<String> = None;
    loop {
        let keys = from.keys("", after.as_deref(), KEYS).await?;
        let Some(last) = keys.last().cloned() else { return Ok(copied) };
        for key in keys {
            let Some(entry) = from.get(&key).await? else { continue };
            match to.put(&key, entry.value.clone(), Revision::ABSENT).await {
                Ok(_) => copied += 1,
                Err(WriteError::Conflict { found, .. }) => {
                    to.put(&key, entry.value, found).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        after = Some(last);
    }
}
