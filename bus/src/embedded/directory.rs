//! The data directory: who may use it, and what format it has.
//!
//! | file | what it is |
//! | --- | --- |
//! | `lock` | locked by the daemon that uses the directory; holds its process id |
//! | `format` | the version of the directory's format, as a decimal number |
//! | `journal` | what is durable and not yet in `data.mdb` |
//! | `data.mdb`, `lock.mdb` | LMDB's |

use std::fs::{DirBuilder, File};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use super::filesystem::network_file_system;
use super::{OpenError, OpenOptions};

/// The format that this build writes, and the newest that it reads.
///
/// | version | since |
/// | --- | --- |
/// | 1 | LMDB alone |
/// | 2 | a journal in front of it; a store of version 1 gets one when it is opened |
pub const FORMAT_VERSION: u32 = 2;

pub(super) const DATA_FILE: &str = "data.mdb";
pub(super) const LMDB_LOCK_FILE: &str = "lock.mdb";
pub(super) const JOURNAL_FILE: &str = "journal";
const LOCK_FILE: &str = "lock";
const FORMAT_FILE: &str = "format";
const FORMAT_FILE_INCOMPLETE: &str = "format.incomplete";

/// How often a lock that somebody else holds is tried again.
const LOCK_POLL: Duration = Duration::from_millis(50);

/// A data directory that this process, and no other one, uses as long as this lives.
pub(super) struct Directory {
    pub(super) path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Makes the directory if there is none, and locks it.
    pub(super) fn lock(path: &Path, options: &OpenOptions) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Io { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        if !options.allow_network_fs
            && let Some(kind) = network_file_system(path).map_err(failed)?
        {
            return Err(OpenError::NetworkFileSystem { path: path.to_owned(), kind });
        }
        let lock = path.join(LOCK_FILE);
        let mut file = private_file().read(true).open(&lock).map_err(failed)?;
        if !lock_within(&file, options.lock_wait).map_err(failed)? {
            let mut holder = String::new();
            // Only makes the message better: who holds the lock may just be writing it.
            drop(file.read_to_string(&mut holder));
            let pid = holder.trim().parse().ok();
            return Err(OpenError::InUse { path: path.to_owned(), pid });
        }
        let write_pid = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write_pid(&mut file).map_err(failed)?;
        Ok(Self { path: path.to_owned(), _lock: file })
    }

    /// Checks the directory's format; gives it this build's if it is new.
    pub(super) fn check_format(&self) -> Result<(), OpenError> {
        let path = self.path.join(FORMAT_FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => match text.trim().parse() {
                Ok(found) => check_version(&self.path, found),
                Err(_) => Err(self.damaged("its file `format` holds no number")),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // The format is written before the data: without it these are not ours.
                if self.has_data() {
                    return Err(self.damaged("it has `data.mdb`, but no file `format`"));
                }
                self.write_format().map_err(|source| OpenError::Io { path, source })
            }
            Err(source) => Err(OpenError::Io { path, source }),
        }
    }

    pub(super) fn write_format(&self) -> io::Result<()> {
        let incomplete = self.path.join(FORMAT_FILE_INCOMPLETE);
        let mut file = private_file().truncate(true).open(&incomplete)?;
        writeln!(file, "{FORMAT_VERSION}")?;
        file.sync_all()?;
        std::fs::rename(&incomplete, self.path.join(FORMAT_FILE))?;
        self.sync()
    }

    pub(super) fn has_data(&self) -> bool {
        self.path.join(DATA_FILE).exists()
    }

    /// Whether there is nothing in it but the lock, and what a new file system has.
    pub(super) fn is_empty(&self) -> io::Result<bool> {
        for entry in self.path.read_dir()? {
            let name = entry?.file_name();
            if name != LOCK_FILE && name != "lost+found" {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes the names of new files durable, and that of the directory.
    pub(super) fn sync(&self) -> io::Result<()> {
        sync_directory(&self.path)?;
        self.path.canonicalize()?.parent().map_or(Ok(()), sync_directory)
    }

    pub(super) fn damaged(&self, reason: impl Into<String>) -> OpenError {
        OpenError::Damaged { path: self.path.clone(), reason: reason.into() }
    }
}

pub(super) fn check_version(path: &Path, found: u32) -> Result<(), OpenError> {
    match found {
        1..=FORMAT_VERSION => Ok(()),
        // There was never an older one.
        0 => Err(OpenError::Damaged { path: path.to_owned(), reason: "its format is 0".into() }),
        _ => Err(OpenError::NewerFormat { path: path.to_owned(), found, known: FORMAT_VERSION }),
    }
}

/// Opens, or makes, a file that only the daemon's user may read.
pub(super) fn private_file() -> std::fs::OpenOptions {
    let mut options = File::options();
    options.write(true).create(true).truncate(false).mode(0o600);
    options
}

pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Whether the lock was got. The kernel frees it when its holder dies.
fn lock_within(file: &File, wait: Option<Duration>) -> io::Result<bool> {
    let deadline = wait.map(|wait| Instant::now() + wait);
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                if deadline.is_none_or(|deadline| Instant::now() >= deadline) {
                    return Ok(false);
                }
                std::thread::sleep(LOCK_POLL);
            }
            Err(error) => return Err(error.into()),
        }
    }
}
