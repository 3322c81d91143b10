//! A folder for what a server keeps, removed when it is no longer used.

use std::fs::File;
use std::path::Path;
use std::sync::Once;

use tempfile::TempDir;

/// The lock in a folder, held for as long as the folder is used.
const LOCK: &str = "in-use";
const PREFIX: &str = "tripline-testbed-";

/// A folder in the system's folder for temporary files.
///
/// A test that is killed, and a server that is shared until the process ends, leave theirs
/// behind: the next test removes it.
pub struct Folder {
    folder: TempDir,
    _lock: File,
}

impl Folder {
    /// A new one.
    pub fn new(server: &str) -> anyhow::Result<Self> {
        static SWEPT: Once = Once::new();
        let parent = std::env::temp_dir();
        // Whoever makes a folder and whoever removes old ones take turns: a folder is never
        // seen before it is locked.
        let turn = File::create(parent.join("tripline-testbed.lock"))?;
        turn.lock()?;
        SWEPT.call_once(|| sweep(&parent));
        let folder = tempfile::Builder::new().prefix(&format!("{PREFIX}{server}-")).tempdir()?;
        let lock = File::create(folder.path().join(LOCK))?;
        lock.lock()?;
        Ok(Self { folder, _lock: lock })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes what nobody uses. What cannot be removed stays: it may be another user's.
fn sweep(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        let lock = ours.then(|| File::open(entry.path().join(LOCK)).ok()).flatten();
        if lock.is_some_and(|lock| lock.try_lock().is_ok()) {
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
}
