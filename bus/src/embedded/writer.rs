//! The one thread that writes.
//!
//! It takes all requests that have gathered, applies them in one transaction, commits it
//! with one sync, and answers. While the disk syncs, the next requests gather: the more load
//! there is, the larger the groups. A request that comes alone is committed at once.

use std::io::ErrorKind;
use std::sync::Arc;

use heed::MdbError;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, watch};

use super::Store;
use super::dedup::Dedup;
use super::request::{Request, Work};
use super::room::Volume;
use super::tables::Ledger;
use crate::{MAX_BATCH_BYTES, WriteError};

/// How many requests one transaction takes, and how many may wait.
pub(super) const MAX_REQUESTS: usize = 1024;

/// Where each log's next record will stand.
pub(super) type Ends = [watch::Sender<u64>; 3];

/// The writing half of a store.
pub(super) struct Writer {
    store: Arc<Store>,
    ends: Arc<Ends>,
    volume: Volume,
    /// As it was committed.
    ledger: Ledger,
    dedup: Dedup,
    scratch: Vec<u8>,
    condition: Condition,
}

/// What the log was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Well,
    Full,
    Failing,
}

impl Writer {
    /// A writer that knows the dedup ids of the newest `dedup_records` records of each log.
    pub(super) fn new(
        store: Arc<Store>,
        ends: Arc<Ends>,
        ledger: Ledger,
        dedup_records: usize,
    ) -> heed::Result<Self> {
        let volume = Volume::new(&store.env)?;
        let txn = store.env.read_txn()?;
        let dedup = Dedup::load(&txn, &store.tables, &ledger.logs, dedup_records)?;
        drop(txn);
        let condition = Condition::Well;
        Ok(Self { store, ends, volume, ledger, dedup, scratch: Vec::new(), condition })
    }

    /// Writes until nobody can ask any more. What was asked for by then is written.
    pub(super) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut group = Vec::new();
        loop {
            if group.is_empty() {
                if requests.blocking_recv_many(&mut group, MAX_REQUESTS) == 0 {
                    return;
                }
            } else if !gather(&mut requests, &mut group) {
                // Only trims that nobody waits for are left: the next daemon goes on.
                return;
            }
            group = self.write(group);
        }
    }

    /// Writes a group and answers it; returns what is not finished.
    pub(super) fn write(&mut self, mut group: Vec<Request>) -> Vec<Request> {
        let Err(error) = self.commit(&mut group) else {
            self.notice_group(&group);
            let (unfinished, done): (Vec<_>, _) =
                group.into_iter().partition(|request| request.task.is_unfinished());
            done.into_iter().for_each(|request| request.task.answer(None));
            return unfinished;
        };
        if group.len() > 1 {
            // One that is too large, or meets what is damaged, must not spoil the others.
            return group.into_iter().flat_map(|request| self.write(vec![request])).collect();
        }
        for request in group {
            let error = write_error(&error);
            self.notice(condition_of(&error), &error.to_string());
            request.task.answer(Some(error));
        }
        Vec::new()
    }

    /// One transaction. On an error nothing of it is stored.
    fn commit(&mut self, group: &mut [Request]) -> heed::Result<()> {
        let mut ledger = self.ledger;
        let mut txn = self.store.env.write_txn()?;
        let wanted = group.iter().map(|request| request.task.wanted()).sum();
        let tables = &self.store.tables;
        let mut work = Work {
            room: self.volume.room(&txn, tables, wanted)?,
            tables,
            txn: &mut txn,
            ledger: &mut ledger,
            dedup: &mut self.dedup,
            scratch: &mut self.scratch,
        };
        for request in group {
            request.task.apply(&mut work)?;
        }
        self.scratch.shrink_to(MAX_BATCH_BYTES / 256);
        if ledger == self.ledger {
            // Nothing but duplicates and refusals: what they tell of is durable already.
            txn.abort();
            return Ok(());
        }
        tables.put_ledger(&mut txn, &self.ledger, &ledger)?;
        txn.commit()?;
        self.ledger = ledger;
        for (end, log) in self.ends.iter().zip(&ledger.logs) {
            end.send_if_modified(|end| std::mem::replace(end, log.next) != log.next);
        }
        Ok(())
    }

    fn notice_group(&mut self, group: &[Request]) {
        if let Some(full) = group.iter().find_map(|request| request.task.refused_as_full()) {
            self.notice(Condition::Full, &full.to_string());
        } else if self.condition != Condition::Full
            || group.iter().any(|request| request.task.took_events())
        {
            // What follows from events is taken longer than these: it says nothing of them.
            self.notice(Condition::Well, "");
        }
    }

    /// Tells of a change, once.
    fn notice(&mut self, condition: Condition, error: &str) {
        if std::mem::replace(&mut self.condition, condition) == condition {
            return;
        }
        let path = self.store.directory.path.display();
        match condition {
            Condition::Well => tracing::info!(%path, "the store takes everything again"),
            Condition::Full => tracing::error!(
                %path,
                error,
                "the store is full: it takes nothing new until records are trimmed or there is more room"
            ),
            Condition::Failing => {
                tracing::error!(%path, error, "the store cannot be written to");
            }
        }
    }
}

/// Adds what has come meanwhile; `false` if nothing will come any more.
fn gather(requests: &mut mpsc::Receiver<Request>, group: &mut Vec<Request>) -> bool {
    let unfinished = group.len();
    while group.len() < MAX_REQUESTS {
        match requests.try_recv() {
            Ok(request) => group.push(request),
            Err(TryRecvError::Empty) => return true,
            Err(TryRecvError::Disconnected) => return group.len() > unfinished,
        }
    }
    true
}

fn condition_of(error: &WriteError) -> Condition {
    match error {
        WriteError::Full(_) => Condition::Full,
        _ => Condition::Failing,
    }
}

fn write_error(error: &heed::Error) -> WriteError {
    match error {
        heed::Error::Mdb(MdbError::MapFull) => {
            WriteError::Full("the store has no room for so much at once".to_owned())
        }
        heed::Error::Mdb(MdbError::Other(code)) => {
            io_error(&std::io::Error::from_raw_os_error(*code))
        }
        heed::Error::Io(error) => io_error(error),
        other => WriteError::Unavailable(format!("the store cannot be written to: {other}")),
    }
}

fn io_error(error: &std::io::Error) -> WriteError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            WriteError::Full(format!("the disk is full: {error}"))
        }
        _ => WriteError::Unavailable(format!("the disk cannot be written to: {error}")),
    }
}
