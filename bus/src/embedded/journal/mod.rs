//! The journal in front of the store: what makes a write durable.
//!
//! What a group of requests changes is one *frame*: one write into a file whose length and
//! blocks never change, and one sync that has nothing but these bytes to sync. With that it
//! is durable and answered. LMDB, whose commit costs several times as much, is brought up to date
//! later, in larger transactions ([`Applier`](super::applier::Applier)); what it has is free
//! to be written over.
//!
//! The file is a ring of frames. LMDB keeps the [`Mark`]: the number of the last frame that
//! it has, and where the next one is. From there a start reads frames in the order of their
//! numbers and hands them to LMDB.
//!
//! Promises: a frame that was synced is read back, whole and once, until LMDB has it; a
//! frame that was torn is never taken for one, ends the reading, and is reported; where a
//! damaged frame has newer ones behind it, which a crash cannot bring about, the store is
//! refused instead of losing them in silence.

mod file;
mod frame;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;

use bytes::Bytes;

pub(super) use self::file::{JournalFile, create, open};
pub(super) use self::frame::Frame;
use self::frame::{HEADER_BYTES, Header, SECTOR_BYTES};

/// How much of the journal is looked through at once.
const SCAN_BYTES: usize = 64 * 1024;

/// How far LMDB is with the journal. It is stored in the transaction that brings it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Which journal, as a random number: frames of another one are none.
    pub(super) journal: u64,
    /// How long the journal is, in bytes.
    pub(super) capacity: u64,
    /// The number of the last frame.
    pub(super) number: u64,
    /// Where it ends. The next one begins here or, if it has no room here, at 0.
    pub(super) offset: u64,
}

/// What was found where the next frame should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The frame's payload.
    Frame(Bytes),
    /// Nothing: this is the end.
    End,
    /// A frame that was not written as a whole, and so was never answered: this is the end.
    Torn,
}

/// Why the journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplayError {
    /// The operating system refused.
    #[error("its journal cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A frame is missing between others.
    #[error(
        "its journal is damaged: frame {missing} cannot be read, but a newer one, {newer}, is there; what was acknowledged may be lost: restore a backup, or the file `journal`"
    )]
    Gap {
        /// The frame that should be next.
        missing: u64,
        /// The one that was found instead.
        newer: u64,
    },
    /// A newer build has written a frame.
    #[error("its journal has frames of format {found}, this build knows {known}: use a newer build", known = frame::VERSION)]
    NewerFormat {
        /// The frame's format.
        found: u32,
    },
}

/// A ring of frames in a file.
pub(super) struct Journal<F = File> {
    file: F,
    /// Of the newest frame.
    mark: Mark,
    /// Where a write failed: what is there now may or may not be a frame.
    uncertain: Option<u64>,
}

impl<F: JournalFile> Journal<F> {
    /// The journal in `file`, which LMDB has up to `mark`.
    pub(super) fn new(file: F, mark: Mark) -> Self {
        Self { file, mark, uncertain: None }
    }

    /// Of the newest frame: where the next one goes.
    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    /// Whether it can ever have room for a frame of this length. With half of the ring there
    /// is always a place when all frames before are settled.
    pub(super) fn takes(&self, frame: &Frame) -> bool {
        frame.len() <= self.mark.capacity / 2
    }

    /// Where a frame of `len` bytes may be written now, when LMDB has all frames up to the
    /// offset `settled`. Two frames never touch in a ring that is full: equal offsets
    /// always mean that it is empty.
    pub(super) fn place(&self, len: u64, settled: u64) -> Option<u64> {
        let head = self.mark.offset;
        if head < settled {
            return (head + len < settled).then_some(head);
        }
        if head + len <= self.mark.capacity {
            return Some(head);
        }
        (len < settled).then_some(0)
    }

    /// Writes a frame at `at`, which [`Self::place`] has named. Durable when it returns
    /// `Ok`; after an error it may be there after a crash, or not.
    pub(super) fn write(&mut self, frame: &mut Frame, at: u64) -> io::Result<Mark> {
        self.make_certain()?;
        let number = self.mark.number + 1;
        let sealed = frame.seal(self.mark.journal, number);
        self.uncertain = Some(at);
        self.file.write_all_at(sealed, at)?;
        self.file.sync_data()?;
        self.uncertain = None;
        self.mark = Mark { number, offset: at + sealed.len() as u64, ..self.mark };
        Ok(self.mark)
    }

    /// A frame whose write failed could come to light after a crash, behind writes that were
    /// made without it. It is wiped out before any of these.
    pub(super) fn make_certain(&mut self) -> io::Result<()> {
        let Some(at) = self.uncertain else { return Ok(()) };
        self.file.write_all_at(&[0; SECTOR_BYTES], at)?;
        self.file.sync_data()?;
        self.uncertain = None;
        Ok(())
    }

    /// Reads the next frame, at a start.
    pub(super) fn next(&mut self) -> Result<Next, ReplayError> {
        let number = self.mark.number + 1;
        let mut torn = false;
        for at in [self.mark.offset, 0] {
            let Some(header) = self.header(at)? else { continue };
            if header.number != number {
                continue;
            }
            if let Some(payload) = self.payload(at, &header)? {
                check_version(&header)?;
                self.mark = Mark { number, offset: at + header.frame_len(), ..self.mark };
                return Ok(Next::Frame(payload));
            }
            torn = true;
        }
        match self.newer_than(number)? {
            Some(newer) => Err(ReplayError::Gap { missing: number, newer }),
            None => Ok(if torn { Next::Torn } else { Next::End }),
        }
    }

    /// The header at `at`, if there is one of this journal's that fits.
    fn header(&self, at: u64) -> io::Result<Option<Header>> {
        if at + HEADER_BYTES as u64 > self.mark.capacity {
            return Ok(None);
        }
        let mut bytes = [0; HEADER_BYTES];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(self.fitting(&bytes, at))
    }

    fn fitting(&self, bytes: &[u8], at: u64) -> Option<Header> {
        let header = Header::decode(bytes)?;
        let fits = at + header.frame_len() <= self.mark.capacity;
        (header.journal == self.mark.journal && fits).then_some(header)
    }

    /// The payload that belongs to a header; `None` if it is not as it was written.
    fn payload(&self, at: u64, header: &Header) -> io::Result<Option<Bytes>> {
        let mut payload = vec![0; header.length as usize];
        self.file.read_exact_at(&mut payload, at + HEADER_BYTES as u64)?;
        Ok(header.is_of(&payload).then(|| payload.into()))
    }

    /// A whole frame with a greater number, wherever it is.
    fn newer_than(&self, number: u64) -> io::Result<Option<u64>> {
        let mut buffer = vec![0; SCAN_BYTES];
        let mut start = 0;
        while start < self.mark.capacity {
            let len = SCAN_BYTES.min((self.mark.capacity - start) as usize);
            self.file.read_exact_at(&mut buffer[..len], start)?;
            for (sector, at) in
                buffer[..len].chunks(SECTOR_BYTES).zip((start..).step_by(SECTOR_BYTES))
            {
                if let Some(header) = self.fitting(sector, at)
                    && header.number > number
                    && self.payload(at, &header)?.is_some()
                {
                    return Ok(Some(header.number));
                }
            }
            start += len as u64;
        }
        Ok(None)
    }
}

fn check_version(header: &Header) -> Result<(), ReplayError> {
    if header.version == frame::VERSION {
        return Ok(());
    }
    Err(ReplayError::NewerFormat { found: header.version })
}
