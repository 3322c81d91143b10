//! The environment of a store that is in use, which is closed and opened again where LMDB has
//! given it up.
//!
//! When LMDB cannot write the page by which a commit comes into force, it answers everything
//! from then on, reads too, with `MDB_PANIC`, until the environment is closed. Nothing is lost by
//! that: the commit is in force or it is not, and the environment that is opened next says
//! which. (<http://www.lmdb.tech/doc/group__errors.html>)
//!
//! Promises: who reads holds the environment, so that it is never closed under a transaction;
//! nobody waits for its being opened again, but is told that it is not there now.

use std::io;
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};
use std::time::Duration;

use heed::{Env, MdbError, WithoutTls};

use super::OpenError;
use super::environment::Environment;
use super::tables::{Ledger, Tables};

/// How often it is looked whether the last one who reads has finished.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// The environment that is open now.
pub(super) struct Current {
    path: PathBuf,
    max_bytes: u64,
    /// `None` while it cannot be opened again. Who waits for the tail's lock and for this one
    /// takes the tail's first.
    open: RwLock<Option<Opened>>,
}

/// An open environment and its tables.
pub(super) struct Opened {
    pub(super) env: Env<WithoutTls>,
    pub(super) tables: Tables,
}

/// Keeps the environment open.
pub(super) struct Held<'a>(RwLockReadGuard<'a, Option<Opened>>);

impl Held<'_> {
    /// The environment.
    ///
    /// # Errors
    ///
    /// It could not be opened again.
    pub(super) fn opened(&self) -> heed::Result<&Opened> {
        self.0.as_ref().ok_or_else(|| io::Error::other("the store cannot be opened again").into())
    }
}

impl Current {
    pub(super) fn new(path: PathBuf, max_bytes: u64, environment: Environment) -> Self {
        let Environment { env, tables, .. } = environment;
        Self { path, max_bytes, open: RwLock::new(Some(Opened { env, tables })) }
    }

    /// Keeps the environment open for as long as what is returned lives: moments, but for a
    /// backup.
    pub(super) fn hold(&self) -> Held<'_> {
        Held(self.open.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether nothing can be done with the environment any more.
    pub(super) fn is_given_up(&self) -> bool {
        let held = self.hold();
        let Ok(opened) = held.opened() else { return true };
        matches!(opened.env.read_txn(), Err(heed::Error::Mdb(MdbError::Panic)))
    }

    /// Closes the environment, when nobody holds it, and opens it again. Returns what it has.
    ///
    /// # Errors
    ///
    /// It cannot be opened: until it is tried again there is none.
    pub(super) fn reopen(&self) -> Result<Ledger, OpenError> {
        let mut open = self.alone();
        // LMDB must not have one file open twice.
        *open = None;
        let environment = Environment::open_existing(&self.path, self.max_bytes)?;
        // What LMDB has put back where the page could not be written must be on the disk before
        // pages are written over that the lost commit had used.
        let synced = environment.env.force_sync();
        synced.map_err(|error| OpenError::Damaged {
            path: self.path.clone(),
            reason: error.to_string(),
        })?;
        let Environment { env, tables, ledger } = environment;
        *open = Some(Opened { env, tables });
        Ok(ledger)
    }

    /// Closes the environment for good: only another start finds out what it has.
    pub(super) fn close(&self) {
        *self.alone() = None;
    }

    /// Waits until nobody holds it. Those who come meanwhile do not wait: what they ask for
    /// would fail, and they must not stand behind a backup.
    fn alone(&self) -> RwLockWriteGuard<'_, Option<Opened>> {
        loop {
            match self.open.try_write() {
                Ok(open) => return open,
                Err(TryLockError::Poisoned(open)) => return open.into_inner(),
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK_EVERY),
            }
        }
    }
}
