//! The file that a journal is in, and the few operations that its promises rest on.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::embedded::directory::private_file;

/// What is written at once when a journal is made.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// What a journal needs of a file. Tests put a disk in its place that loses its power.
pub(in crate::embedded) trait JournalFile {
    /// Reads what is at `offset`.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes within the file's length. Until the next sync it may be lost, in any part and
    /// any order.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// What was written before is durable when it returns `Ok`.
    fn sync_data(&self) -> io::Result<()>;
}

impl JournalFile for File {
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, bytes, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        Self::sync_data(self)
    }
}

/// Makes the file of a new journal, allocated, written and synced to its last byte, so that
/// no later sync has lengths or blocks to write. Its name is durable when its directory is synced.
pub(in crate::embedded) fn create(path: &Path, capacity: u64) -> io::Result<File> {
    let file = private_file().read(true).truncate(true).open(path)?;
    match fallocate(&file, FallocateFlags::empty(), 0, capacity) {
        // It cannot be asked for here: whether there is room shows when it is written.
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
        Err(error) => return Err(error.into()),
    }
    let mut offset = 0;
    while offset < capacity {
        let len = (ZEROS.len() as u64).min(capacity - offset);
        FileExt::write_all_at(&file, &ZEROS[..len as usize], offset)?;
        offset += len;
    }
    file.sync_all()?;
    Ok(file)
}

/// Opens the file of a journal that is there.
pub(in crate::embedded) fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).open(path)
}
