//! What every backend takes, and what it refuses before it does anything.

use tripline_event::Position;

use crate::{Append, Extent, ReadError, WriteError};

/// The longest dedup id, in bytes.
pub const MAX_DEDUP_BYTES: usize = 64;
/// The longest key, in bytes. Keys are made of `A-Z a-z 0-9 - _ . / =`.
pub const MAX_KEY_BYTES: usize = 256;
/// The largest record and the largest value of a key that every backend takes, in bytes.
pub const MAX_RECORD_BYTES: usize = 8 * 1024 * 1024;
/// The largest batch, in bytes; each record counts with its dedup id and 64 bytes more, so
/// that the number of records is bounded too.
pub const MAX_BATCH_BYTES: usize = 32 * 1024 * 1024;

/// What a record counts besides its bytes.
const RECORD_OVERHEAD_BYTES: usize = 64;

/// Refuses a batch that is too large in any way, and says what it counts otherwise.
pub(crate) fn batch_bytes(batch: &[Append]) -> Result<usize, WriteError> {
    let mut total = 0;
    for append in batch {
        let dedup = append.dedup.as_ref().map_or(0, |dedup| dedup.len());
        at_most(dedup, MAX_DEDUP_BYTES)?;
        at_most(append.record.len(), MAX_RECORD_BYTES)?;
        total += append.record.len() + dedup + RECORD_OVERHEAD_BYTES;
    }
    at_most(total, MAX_BATCH_BYTES)?;
    Ok(total)
}

/// Refuses a value that is too large.
pub(crate) fn check_value(value: &[u8]) -> Result<(), WriteError> {
    at_most(value.len(), MAX_RECORD_BYTES)
}

/// Refuses what is no key.
pub(crate) fn check_key(key: &str) -> Result<(), WriteError> {
    at_most(key.len(), MAX_KEY_BYTES)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=".contains(&byte);
    if key.is_empty() || !key.bytes().all(allowed) {
        return Err(WriteError::InvalidKey(key.to_owned()));
    }
    Ok(())
}

fn at_most(size: usize, limit: usize) -> Result<(), WriteError> {
    if size > limit { Err(WriteError::TooLarge { size, limit }) } else { Ok(()) }
}

/// Refuses a position that is not in a log of this extent, or is no longer.
pub(crate) fn check_position(asked: Position, extent: Extent) -> Result<(), ReadError> {
    if asked.incarnation != extent.first.incarnation {
        return Err(ReadError::OtherIncarnation { asked, incarnation: extent.first.incarnation });
    }
    // Sequence 0 stands for the very first record, which is 1.
    if asked.sequence.max(1) < extent.first.sequence {
        return Err(ReadError::Trimmed { asked, first: extent.first });
    }
    Ok(())
}
