//! The one thread that decides what is written, and makes it durable.
//!
//! It takes all requests that have gathered, drafts what they change, writes that into the
//! journal with one sync, and answers. While the disk syncs, the next requests gather: the
//! more load there is, the larger the groups. A request that comes alone is written at once.
//!
//! A group that is too large for the journal, and every one where there is none, goes past
//! it: it is answered when LMDB has it.

use std::fs::File;
use std::io::ErrorKind;
use std::sync::Arc;

use heed::MdbError;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, watch};

use super::Store;
use super::backlog::{MAX_WEIGHT_BYTES, Pending, Progress};
use super::changes::Batch;
use super::current::Opened;
use super::dedup::Dedup;
use super::draft::Draft;
use super::journal::{Frame, Journal, JournalFile};
use super::request::Request;
use super::room::{Volume, on_pages};
use super::tail::Tail;
use crate::WriteError;

/// How many requests one group has, and how many may wait.
pub(super) const MAX_REQUESTS: usize = 1024;

/// Where each log's next record will stand.
pub(super) type Ends = [watch::Sender<u64>; 3];

/// The writing half of a store.
pub(super) struct Writer<F = File> {
    store: Arc<Store>,
    ends: Arc<Ends>,
    volume: Volume,
    dedup: Dedup,
    journal: Option<Journal<F>>,
    frame: Frame,
    condition: Condition,
}

/// What the log was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Well,
    Full,
    Failing,
}

impl<F: JournalFile> Writer<F> {
    /// A writer that knows the dedup ids of the newest `dedup_records` records of each log.
    pub(super) fn new(
        store: Arc<Store>,
        ends: Arc<Ends>,
        journal: Option<Journal<F>>,
        dedup_records: usize,
    ) -> heed::Result<Self> {
        let logs = store.tail().ledger.logs;
        let held = store.current.hold();
        let Opened { env, tables } = held.opened()?;
        let volume = Volume::new(env)?;
        let txn = env.read_txn()?;
        let dedup = Dedup::load(&txn, tables, &logs, dedup_records)?;
        drop(txn);
        drop(held);
        let (frame, condition) = (Frame::default(), Condition::Well);
        Ok(Self { store, ends, volume, dedup, journal, frame, condition })
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
        self.notice(condition_of(&error), &error.to_string());
        if let Some(request) = group.pop() {
            request.task.answer(Some(error));
        }
        Vec::new()
    }

    /// Makes a group durable. On an error nothing of it is in force.
    fn commit(&mut self, group: &mut [Request]) -> Result<(), WriteError> {
        let mut draft = self.draft(group)?;
        let refused = group.iter().any(|request| request.task.refused_as_full().is_some());
        // Room is estimated as long as something waits to be brought into LMDB. Before
        // anybody is refused, it is known.
        if refused && self.bring_up_to_date()? {
            draft = self.draft(group)?;
        }
        match draft {
            Some((batch, fresh)) => self.make_durable(batch, fresh),
            None => Ok(()),
        }
    }

    /// Waits until nothing waits to be brought into LMDB; `false` if nothing did.
    fn bring_up_to_date(&self) -> Result<bool, WriteError> {
        let Progress { pushed, settled, .. } = self.store.backlog.progress();
        self.store.backlog.wait(|progress| progress.settled == progress.pushed)?;
        Ok(settled < pushed)
    }

    fn draft(&mut self, group: &mut [Request]) -> Result<Option<(Batch, Tail)>, WriteError> {
        let wanted = group.iter().map(|request| request.task.wanted()).sum();
        let pending = on_pages(self.store.backlog.progress().added);
        let (tail, held) = (self.store.tail(), self.store.current.hold());
        let decide = || {
            let opened = held.opened()?;
            let txn = opened.env.read_txn()?;
            let room = self.volume.room(opened, &txn, pending, wanted)?;
            let mut draft = Draft::new(&opened.tables, &txn, &tail, room, &mut self.dedup);
            for request in group {
                request.task.draft(&mut draft)?;
            }
            Ok(draft.finish())
        };
        decide().map_err(|error: heed::Error| write_error(&error))
    }

    fn make_durable(&mut self, batch: Batch, fresh: Tail) -> Result<(), WriteError> {
        let (batch, backlog) = (Arc::new(batch), &self.store.backlog);
        if let Some(journal) = &mut self.journal {
            // What a batch adds is more than its encoding takes.
            if batch.added <= journal.mark().capacity / 2 {
                self.frame.fill(|bytes| batch.encode_into(bytes));
            }
            if batch.added <= journal.mark().capacity / 2 && journal.takes(&self.frame) {
                let place = |progress: &Progress| journal.place(self.frame.len(), progress.offset);
                let progress = backlog.wait(|progress| {
                    progress.weight <= MAX_WEIGHT_BYTES && place(progress).is_some()
                })?;
                let Some(at) = place(&progress) else {
                    return Err(WriteError::Unavailable("the journal has no room".to_owned()));
                };
                let mark = journal.write(&mut self.frame, at).map_err(|error| io_error(&error))?;
                // Readers have it before LMDB can.
                self.publish(fresh, &progress);
                backlog.push(Pending { batch, mark: Some(mark), in_journal: true });
                return Ok(());
            }
            journal.make_certain().map_err(|error| io_error(&error))?;
        }
        let mark = self.journal.as_ref().map(Journal::mark);
        let ledger = batch.ledger;
        let progress = backlog.push_through(Pending { batch, mark, in_journal: false })?;
        self.publish(Tail::behind(ledger), &progress);
        Ok(())
    }

    /// Lets readers see what is durable.
    fn publish(&self, fresh: Tail, progress: &Progress) {
        let ledger = fresh.ledger;
        let mut tail = self.store.tail_mut();
        let settled = tail.settle(&progress.ledger);
        tail.absorb(fresh);
        drop(tail);
        // Many small allocations, while nobody waits for the lock.
        drop(settled);
        for (end, log) in self.ends.iter().zip(&ledger.logs) {
            end.send_if_modified(|end| std::mem::replace(end, log.next) != log.next);
        }
    }

    /// Whether a frame of this length would not wait for the applier.
    #[cfg(test)]
    pub(super) fn has_room_for(&self, len: u64, settled: u64) -> bool {
        self.journal.as_ref().is_some_and(|journal| journal.place(len, settled).is_some())
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

impl<F> Drop for Writer<F> {
    fn drop(&mut self) {
        self.store.backlog.close();
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

/// What LMDB's error means to who wanted to write.
pub(super) fn write_error(error: &heed::Error) -> WriteError {
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
