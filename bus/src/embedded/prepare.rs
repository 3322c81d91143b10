//! A new store whose logs begin where others do.

use std::path::Path;

use super::directory::Directory;
use super::environment::Environment;
use super::room::RESERVE_BYTES;
use super::tables::LogMeta;
use super::{OpenError, OpenOptions};
use crate::copy::Start;

/// Makes a store in the directory `path` whose three logs are empty and begin as `starts`
/// says. One that was made so before, and may hold records meanwhile, is left as it is.
/// Blocks.
///
/// # Errors
///
/// When the directory is in use or cannot be used, or holds a store of other logs.
pub fn prepare(path: &Path, options: &OpenOptions, starts: [Start; 3]) -> Result<(), OpenError> {
    let directory = Directory::lock(path, options)?;
    let is_new = !directory.has_data();
    directory.check_format()?;
    let max_bytes = options.max_bytes.saturating_add(RESERVE_BYTES);
    let Environment { env, tables, ledger } = Environment::open(path, max_bytes)?;
    let failed = |source| OpenError::Io { path: path.to_owned(), source };
    let same = ledger
        .logs
        .iter()
        .zip(&starts)
        .all(|(log, start)| log.incarnation == start.incarnation && log.first >= start.first);
    if same {
        return Ok(());
    }
    if !is_new {
        return Err(directory.damaged("it holds a store with logs of its own: use an empty one"));
    }
    let mut changed = ledger;
    for (log, start) in changed.logs.iter_mut().zip(starts) {
        let Start { incarnation, first } = start;
        *log = LogMeta { incarnation, first, next: first, bytes: 0 };
    }
    let write = || {
        let mut txn = env.write_txn()?;
        tables.put_ledger(&mut txn, &ledger, &changed)?;
        txn.commit()
    };
    write().map_err(|error: heed::Error| directory.damaged(error.to_string()))?;
    directory.sync().map_err(failed)
}
