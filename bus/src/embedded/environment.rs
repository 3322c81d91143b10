//! The LMDB environment: opened once, and checked before anything is read from it.

use std::path::Path;

use heed::{Env, EnvOpenOptions, MdbError, WithoutTls};

use super::OpenError;
use super::directory::{DATA_FILE, check_version};
use super::tables::{Ledger, TABLES, Tables};

/// How many reads may be going on at once. Each takes microseconds and one thread.
const MAX_READERS: u32 = 1024;
/// Map sizes are multiples of this, which is one of every page size.
const MAP_STEP_BYTES: u64 = 1024 * 1024;

/// An environment, its tables, and what they say.
pub(super) struct Environment {
    pub(super) env: Env<WithoutTls>,
    pub(super) tables: Tables,
    pub(super) ledger: Ledger,
}

impl Environment {
    /// Opens the environment in the folder `path`; makes it if there is none.
    pub(super) fn open(path: &Path, max_bytes: u64) -> Result<Self, OpenError> {
        let env = open_checked(path, max_bytes)?;
        version(&env, path)?;
        let create = || {
            let mut txn = env.write_txn()?;
            let tables = Tables::create(&env, &mut txn)?;
            let ledger = tables.ledger(&txn)?;
            txn.commit()?;
            Ok((tables, ledger))
        };
        let (tables, ledger) = create().map_err(|error| open_error(path, error))?;
        Ok(Self { env, tables, ledger })
    }

    /// Opens an environment that must be a store already.
    pub(super) fn open_existing(path: &Path, max_bytes: u64) -> Result<Self, OpenError> {
        let env = open_checked(path, max_bytes)?;
        if version(&env, path)?.is_none() {
            let reason = format!("`{DATA_FILE}` is no store of Tripline's");
            return Err(OpenError::Damaged { path: path.to_owned(), reason });
        }
        drop(env);
        Self::open(path, max_bytes)
    }
}

fn open_checked(path: &Path, max_bytes: u64) -> Result<Env<WithoutTls>, OpenError> {
    let env = open_env(path, max_bytes).map_err(|error| open_error(path, error))?;
    check_length(&env, path)?;
    Ok(env)
}

/// The format's version, which this build knows; `None` in a new environment.
fn version(env: &Env<WithoutTls>, path: &Path) -> Result<Option<u32>, OpenError> {
    let read = || {
        let txn = env.read_txn()?;
        Tables::version(env, &txn)
    };
    let version = read().map_err(|error| open_error(path, error))?;
    if let Some(version) = version {
        check_version(path, version)?;
    }
    Ok(version)
}

#[expect(unsafe_code, reason = "whoever opens a memory map must know that nobody else changes it")]
fn open_env(path: &Path, max_bytes: u64) -> heed::Result<Env<WithoutTls>> {
    let map_bytes = usize::try_from(max_bytes.next_multiple_of(MAP_STEP_BYTES)).map_err(|_| {
        std::io::Error::other("the store's limit is more than this machine can map")
    })?;
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.map_size(map_bytes).max_dbs(TABLES).max_readers(MAX_READERS);
    // SAFETY: the map is of a file that only LMDB changes: the directory is locked for this
    // process, readable by its user alone, and not on a network file system (unless the
    // operator says that it may be). The file is not shorter than what the map is read for:
    // `check_length` sees to that before the first transaction. No flag that weakens LMDB's
    // own locking or syncing is set.
    unsafe { options.open(path) }
}

/// Refuses a file that was cut off: reading beyond its end would end the process.
fn check_length(env: &Env<WithoutTls>, path: &Path) -> Result<(), OpenError> {
    let page_bytes = u64::from(env.stat().page_size);
    let expected = (env.info().last_page_number as u64 + 1) * page_bytes;
    let found = env.real_disk_size().map_err(|error| open_error(path, error))?;
    if found >= expected {
        return Ok(());
    }
    let reason = format!("`{DATA_FILE}` has {found} bytes of {expected}: it was cut off");
    Err(OpenError::Damaged { path: path.to_owned(), reason })
}

fn open_error(path: &Path, error: heed::Error) -> OpenError {
    let path = path.to_owned();
    match error {
        heed::Error::Io(source) => OpenError::Io { path, source },
        heed::Error::Mdb(MdbError::Other(code)) => {
            OpenError::Io { path, source: std::io::Error::from_raw_os_error(code) }
        }
        heed::Error::Mdb(MdbError::Invalid | MdbError::VersionMismatch) => {
            OpenError::Damaged { path, reason: format!("`{DATA_FILE}` is no store") }
        }
        error => OpenError::Damaged { path, reason: error.to_string() },
    }
}
