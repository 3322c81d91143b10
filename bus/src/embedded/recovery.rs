//! What a start does with the journal: it brings LMDB up to date, or makes a new one.

use std::io;

use heed::{Env, WithoutTls};
use rand::{Rng, SeedableRng};

use super::OpenError;
use super::applier::apply;
use super::changes::{Batch, Change};
use super::directory::{Directory, JOURNAL_FILE};
use super::environment::Environment;
use super::journal::{self, Journal, JournalFile, Mark, Next};
use super::tables::{Ledger, Tables};

/// How much is brought into LMDB in one transaction, about.
const APPLY_BYTES: u64 = 4 * 1024 * 1024;

/// The journal of an environment that is up to date with it, and its ledger then. There is
/// none where the disk has no room to make one: then each write goes into LMDB at once.
pub(super) fn recover(
    directory: &Directory,
    environment: &Environment,
    capacity: u64,
) -> Result<(Option<Journal>, Ledger), OpenError> {
    let Environment { env, tables, ledger } = environment;
    let mark = env.read_txn().and_then(|txn| tables.mark(&txn));
    let mark = mark.map_err(|error| directory.damaged(error.to_string()))?;
    let Some(mark) = mark else {
        return Ok((begin(directory, env, tables, capacity)?, *ledger));
    };
    let path = directory.path.join(JOURNAL_FILE);
    let file = match journal::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(directory.damaged(
                "its file `journal` is missing, which may hold what was acknowledged last: put it back, or restore a backup",
            ));
        }
        Err(source) => return Err(OpenError::Io { path, source }),
    };
    let found = file.metadata().map_err(|source| OpenError::Io { path, source })?.len();
    if found != mark.capacity {
        return Err(directory.damaged(format!(
            "`journal` has {found} bytes of {}: it was cut off, or is another one",
            mark.capacity
        )));
    }
    let mut journal = Journal::new(file, mark);
    let ledger = replay(directory, env, tables, *ledger, &mut journal)?;
    Ok((Some(journal), ledger))
}

/// Makes a journal, and this a store with one. An earlier one that no mark tells of is of another
/// store, or was not finished.
fn begin(
    directory: &Directory,
    env: &Env<WithoutTls>,
    tables: &Tables,
    capacity: u64,
) -> Result<Option<Journal>, OpenError> {
    let path = directory.path.join(JOURNAL_FILE);
    let create = || {
        let file = journal::create(&path, capacity)?;
        directory.sync()?;
        Ok(file)
    };
    let file = match create() {
        Ok(file) => file,
        Err(error) if is_full(&error) => {
            // Of what could not be finished nothing is needed.
            drop(std::fs::remove_file(&path));
            tracing::warn!(
                path = %directory.path.display(),
                mib = capacity >> 20,
                "the disk has no room for the store's journal: writes take longer; it is made at the next start for which there is room"
            );
            return Ok(None);
        }
        Err(source) => return Err(OpenError::Io { path, source }),
    };
    let mark = Mark {
        journal: rand::rngs::StdRng::from_os_rng().random(),
        capacity,
        number: 0,
        offset: 0,
    };
    let write = || {
        let mut txn = env.write_txn()?;
        tables.put_version(&mut txn)?;
        tables.put_mark(&mut txn, &mark)?;
        txn.commit()
    };
    write().map_err(|error: heed::Error| directory.damaged(error.to_string()))?;
    directory.write_format().map_err(|source| OpenError::Io { path, source })?;
    Ok(Some(Journal::new(file, mark)))
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Brings LMDB, whose ledger is `ledger`, up to date with the journal. Returns its ledger then.
pub(super) fn replay<F: JournalFile>(
    directory: &Directory,
    env: &Env<WithoutTls>,
    tables: &Tables,
    mut ledger: Ledger,
    journal: &mut Journal<F>,
) -> Result<Ledger, OpenError> {
    let path = directory.path.display();
    let first = journal.mark().number;
    loop {
        let mut batches = Vec::new();
        let (mut end, mut weight, mut ahead) = (None, 0, ledger);
        while weight < APPLY_BYTES && end.is_none() {
            match journal.next().map_err(|error| directory.damaged(error.to_string()))? {
                Next::Frame(payload) => {
                    let batch = Batch::decode(payload)
                        .map_err(|error| directory.damaged(error.to_string()))?;
                    if !follows(&batch, &ahead) {
                        return Err(directory.damaged(
                            "its journal does not go on where `data.mdb` ends: one of them is of another store, or of another day",
                        ));
                    }
                    ahead = batch.ledger;
                    weight += batch.weight();
                    batches.push(batch);
                }
                other => end = Some(other),
            }
        }
        if !batches.is_empty() {
            ledger =
                apply(env, tables, &ledger, &batches, Some(&journal.mark())).map_err(|error| {
                    directory.damaged(format!("its journal cannot be applied: {error}"))
                })?;
        }
        let Some(end) = end else { continue };
        if end == Next::Torn {
            tracing::warn!(
                %path,
                "the last write before the store was stopped was incomplete and is left out: nobody was told that it was durable"
            );
        }
        let frames = journal.mark().number - first;
        if frames > 0 {
            tracing::info!(%path, frames, "the store was brought up to date from its journal");
        }
        return Ok(ledger);
    }
}

/// Whether a batch begins where a store with this ledger ends.
fn follows(batch: &Batch, ledger: &Ledger) -> bool {
    let same = |(before, after): (&super::tables::LogMeta, &super::tables::LogMeta)| {
        before.incarnation == after.incarnation
    };
    let mut next = ledger.logs.map(|log| log.next);
    let in_order = batch.changes.iter().all(|change| match change {
        Change::Append { log, first, records } => {
            let next = &mut next[log.index()];
            let follows = *first == *next;
            *next += records.len() as u64;
            follows
        }
        Change::Put { revision, .. } | Change::Delete { revision, .. } => {
            revision.0 > ledger.last_revision
        }
        Change::Trim { .. } => true,
    });
    ledger.logs.iter().zip(&batch.ledger.logs).all(same)
        && in_order
        && next == batch.ledger.logs.map(|log| log.next)
}
