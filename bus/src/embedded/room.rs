//! How much room there is, and for whom.
//!
//! A store that is full to the last page could not even be trimmed, since LMDB writes new
//! pages before it frees old ones. So there are reserves: when new events are refused,
//! actions, outcomes and keys are still taken, for they are what lets events be trimmed;
//! and when these are refused too, trimming still works. The reserves are allocated on the
//! disk ahead of time, so that they are there when the disk is full.

use std::fs::File;
use std::io;

use heed::{Env, RoTxn, WithoutTls};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::current::Opened;
use crate::{Log, WriteError};

/// What is left to trimming, and to removing keys.
const TRIM_RESERVE_BYTES: u64 = 8 * 1024 * 1024;
/// What is left to actions, outcomes and keys besides.
const CONSEQUENCE_RESERVE_BYTES: u64 = 8 * 1024 * 1024;
/// By how much the file grows when it does.
const GROW_BYTES: u64 = 16 * 1024 * 1024;

/// What LMDB's map must be larger than what events may fill.
pub(super) const RESERVE_BYTES: u64 = TRIM_RESERVE_BYTES + CONSEQUENCE_RESERVE_BYTES;

/// The file that the room is in.
pub(super) struct Volume {
    file: File,
    page_bytes: u64,
    /// How large the file may become.
    limit: u64,
    /// How much of it is on the disk for certain.
    allocated: u64,
}

/// What is free when a group is drafted, and not yet promised.
pub(super) struct Room {
    free: u64,
    limit: u64,
}

/// Who wants room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Something new.
    Event,
    /// What follows from it: an action, an outcome, a key.
    Consequence,
}

impl Claim {
    pub(super) fn of(log: Log) -> Self {
        match log {
            Log::Events => Self::Event,
            Log::Actions | Log::Outcomes => Self::Consequence,
        }
    }

    const fn reserve(self) -> u64 {
        match self {
            Self::Event => RESERVE_BYTES,
            Self::Consequence => TRIM_RESERVE_BYTES,
        }
    }
}

impl Volume {
    pub(super) fn new(env: &Env<WithoutTls>) -> heed::Result<Self> {
        let limit = env.info().map_size as u64;
        let page_bytes = u64::from(env.stat().page_size);
        let file = env.try_clone_inner_file()?;
        Ok(Self { file, page_bytes, limit, allocated: 0 })
    }

    /// The room for a group that needs about `wanted` bytes, when what waits to be brought into LMDB
    /// needs about `pending`.
    pub(super) fn room(
        &mut self,
        opened: &Opened,
        txn: &RoTxn,
        pending: u64,
        wanted: u64,
    ) -> heed::Result<Room> {
        let end = (opened.env.info().last_page_number as u64 + 1) * self.page_bytes;
        self.grow(end + pending + wanted + RESERVE_BYTES)?;
        let used = opened.tables.pages(txn)? as u64 * self.page_bytes + pending;
        Ok(Room { free: self.allocated.saturating_sub(used), limit: self.limit })
    }

    /// Has this much on the disk, if there is so much.
    fn grow(&mut self, wanted: u64) -> io::Result<()> {
        let wanted = wanted.min(self.limit);
        if wanted <= self.allocated {
            return Ok(());
        }
        for target in [wanted.next_multiple_of(GROW_BYTES).min(self.limit), wanted] {
            match fallocate(&self.file, FallocateFlags::empty(), 0, target) {
                Ok(()) => {
                    self.allocated = target;
                    return Ok(());
                }
                Err(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => {}
                // It cannot be asked for here: a full disk shows when it is written to.
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                    self.allocated = self.limit;
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
        // What the file has already is still there.
        self.allocated = self.allocated.max(self.file.metadata()?.len().min(self.limit));
        Ok(())
    }
}

impl Room {
    /// Takes some of it, or says that there is not enough.
    pub(super) fn take(&mut self, claim: Claim, bytes: usize) -> Result<(), WriteError> {
        let wanted = on_pages(bytes as u64);
        let Some(free) = self.free.checked_sub(wanted) else { return Err(self.refuse()) };
        if free < claim.reserve() {
            return Err(self.refuse());
        }
        self.free = free;
        Ok(())
    }

    fn refuse(&self) -> WriteError {
        let (free, limit) = (self.free >> 20, self.limit >> 20);
        WriteError::Full(format!(
            "{free} MiB are free, which are kept for trimming and for what follows from earlier \
             events; the store may take {limit} MiB, if the disk has them"
        ))
    }
}

/// What `bytes` take at most: a value that just does not fit on a page takes two.
pub(super) const fn on_pages(bytes: u64) -> u64 {
    2 * bytes
}
