//! A copy of a store: taken while it is used, and put back.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use heed::CompactionOption;

use super::backlog::Progress;
use super::directory::{
    DATA_FILE, Directory, JOURNAL_FILE, LMDB_LOCK_FILE, private_file, sync_directory,
};
use super::environment::Environment;
use super::room::RESERVE_BYTES;
use super::{EmbeddedBus, OpenError, OpenOptions, Store};

/// Where a backup is checked before it takes the store's place.
const INCOMING: &str = "incoming";

/// Why a backup was not taken, or not put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is something already where the backup should go.
    #[error("{} is there already: backups are not written over", .0.display())]
    Exists(PathBuf),
    /// The data directory has something in it.
    #[error("data directory {} is not empty: what it holds would be lost", .0.display())]
    NotEmpty(PathBuf),
    /// The data directory, or the backup, cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The backup could not be written.
    #[error("cannot write {}: {reason}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

impl EmbeddedBus {
    /// Writes a copy of the store, as it is now, to the file `to`, and returns its size in
    /// bytes. Reading and writing go on meanwhile; what is trimmed meanwhile keeps its
    /// room until the copy is done. The copy is complete and synced when `to` is there.
    ///
    /// # Errors
    ///
    /// When there is such a file already, or it cannot be written.
    pub async fn backup(&self, to: &Path) -> Result<u64, BackupError> {
        let (store, path) = (Arc::clone(&self.store), to.to_owned());
        let copied = tokio::task::spawn_blocking(move || copy(&store, &path)).await;
        copied.unwrap_or_else(|error| Err(unwritten(to, error)))
    }
}

fn copy(store: &Store, to: &Path) -> Result<u64, BackupError> {
    if to.exists() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    // What is in the journal alone would not be in the copy.
    let Progress { pushed, .. } = store.backlog.progress();
    let waited = store.backlog.wait(|progress| progress.settled >= pushed);
    waited.map_err(|error| unwritten(to, error))?;
    let mut name = to.as_os_str().to_owned();
    name.push(".incomplete");
    let incomplete = PathBuf::from(name);
    let write = || -> heed::Result<u64> {
        let mut file = private_file().truncate(true).open(&incomplete)?;
        let held = store.current.hold();
        held.opened()?.env.copy_to_file(&mut file, CompactionOption::Enabled)?;
        drop(held);
        file.sync_all()?;
        std::fs::rename(&incomplete, to)?;
        sync_directory(&parent(to))?;
        Ok(file.metadata()?.len())
    };
    write().map_err(|error| {
        // It may not even have been made.
        drop(std::fs::remove_file(&incomplete));
        unwritten(to, error)
    })
}

/// Puts the backup `from` into the data directory `path`, which must be empty unless
/// `force` is given: then what it holds is lost. The store goes on from the backup's state,
/// as the same incarnation of its logs. No daemon may be using the directory. Blocks.
///
/// # Errors
///
/// When the directory is in use or not empty, or the backup is no store, damaged, or of a
/// newer format. The directory's store is left as it was.
pub fn restore(
    from: &Path,
    path: &Path,
    options: &OpenOptions,
    force: bool,
) -> Result<(), BackupError> {
    let directory = Directory::lock(path, options)?;
    let failed = |source| OpenError::Io { path: path.to_owned(), source };
    if !force && !directory.is_empty().map_err(failed)? {
        return Err(BackupError::NotEmpty(path.to_owned()));
    }
    let incoming = path.join(INCOMING);
    remove_if_there(std::fs::remove_dir_all(&incoming)).map_err(failed)?;
    let restored = receive(from, &incoming, options).and_then(|()| {
        directory.write_format().map_err(failed)?;
        remove_if_there(std::fs::remove_file(path.join(LMDB_LOCK_FILE))).map_err(failed)?;
        std::fs::rename(incoming.join(DATA_FILE), path.join(DATA_FILE)).map_err(failed)?;
        // Of the store that was here. The one that is here now gets its own.
        remove_if_there(std::fs::remove_file(path.join(JOURNAL_FILE))).map_err(failed)?;
        directory.sync().map_err(failed)?;
        Ok(())
    });
    remove_if_there(std::fs::remove_dir_all(&incoming)).map_err(failed)?;
    restored
}

/// Copies a backup into the new folder `incoming`, and checks that it is a store.
fn receive(from: &Path, incoming: &Path, options: &OpenOptions) -> Result<(), BackupError> {
    let write = || {
        let mut source = File::open(from)?;
        std::fs::create_dir(incoming)?;
        let mut target = private_file().open(incoming.join(DATA_FILE))?;
        let bytes = io::copy(&mut source, &mut target)?;
        target.sync_all()?;
        Ok(bytes)
    };
    let failed = |source| OpenError::Io { path: from.to_owned(), source };
    let bytes: u64 = write().map_err(failed)?;
    if bytes == 0 {
        // LMDB would take an empty file for a new store.
        let reason = "the file is empty".to_owned();
        return Err(OpenError::Damaged { path: from.to_owned(), reason }.into());
    }
    // Opening gives a store that has no tables new ones: only what has a version is a backup.
    let max_bytes = options.max_bytes.max(bytes).saturating_add(RESERVE_BYTES);
    let environment = Environment::open_existing(incoming, max_bytes);
    let Environment { env, tables, .. } = environment.map_err(|error| error.about(from))?;
    let forget = || {
        let mut txn = env.write_txn()?;
        tables.delete_mark(&mut txn)?;
        txn.commit()
    };
    forget().map_err(|error: heed::Error| unwritten(from, error))
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn remove_if_there(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn unwritten(path: &Path, reason: impl ToString) -> BackupError {
    BackupError::Write { path: path.to_owned(), reason: reason.to_string() }
}
