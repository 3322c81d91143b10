//! The bus of one machine: one process, one data directory, on LMDB.
//!
//! Promises: what was answered is on the disk, synced, and survives the death of the process
//! and, where the disk keeps its own promises, the loss of power. All requests that have
//! gathered are one frame in a journal and one sync; LMDB gets them later, many at once, and
//! a start brings it up to date. Reads are of a consistent state: what LMDB has, and behind it
//! the tail that it does not have yet. A directory is used by one process at a time. When
//! the store is full, new events are refused first, then what follows from them, and
//! trimming always works.
//!
//! Not here: limits by age and size, which are the daemon's, and reading a store that a
//! daemon is using.
//!
//! A restored backup goes on as the same incarnation of its logs: the positions that it has
//! in checkpoints are its own, since keys and logs are restored together. Who keeps a
//! position elsewhere must forget it after a restore.

mod applier;
mod backlog;
mod backup;
mod changes;
mod current;
mod dedup;
mod directory;
mod draft;
mod environment;
mod filesystem;
mod journal;
mod prepare;
mod quota;
mod recovery;
mod request;
mod room;
mod tables;
mod tail;
mod writer;

use std::collections::BTreeMap;
use std::ops::Bound::{self, Excluded, Included, Unbounded};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use heed::{MdbError, RoTxn};
use tokio::sync::{Semaphore, mpsc, watch};
use tripline_event::Position;

use self::applier::Applier;
use self::backlog::Backlog;
pub use self::backup::{BackupError, restore};
use self::current::{Current, Opened};
use self::directory::Directory;
pub use self::directory::FORMAT_VERSION;
use self::environment::Environment;
use self::journal::{Journal, Mark};
pub use self::prepare::prepare;
pub use self::quota::{Allowance, Quota, QuotaError};
use self::recovery::recover;
use self::request::{Reply, Request, Task};
use self::room::RESERVE_BYTES;
use self::tables::{Ledger, Table, Tables, copy_together, damaged, decode_u64};
use self::tail::Tail;
use self::writer::{Ends, MAX_REQUESTS, Writer};
use crate::limits::{batch_bytes, check_key, check_position, check_value};
use crate::{
    Append, Appended, BoxFuture, Bus, Entry, Extent, Fill, Log, MAX_BATCH_BYTES, MAX_KEY_BYTES,
    MAX_RECORD_BYTES, ReadError, Revision, Stored, WriteError,
};

/// How many bytes of requests may wait to be written, in units of [`QUEUE_UNIT_BYTES`].
const QUEUE_UNITS: usize = 2 * MAX_BATCH_BYTES / QUEUE_UNIT_BYTES;
const QUEUE_UNIT_BYTES: usize = 1024;

/// Of what the length of a journal is a multiple: of any sector, and of what is read at once.
const JOURNAL_STEP_BYTES: u64 = 64 * 1024;

/// For how long it is taken for known how full the store is.
const FILL_KNOWN_FOR: Duration = Duration::from_secs(1);

/// How many records a read makes room for before it knows how many there are.
const READ_CAPACITY: usize = 1024;

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// How many bytes the store may take before it refuses new events; a little more is
    /// taken for what follows from them. Disk space is used as it is needed, from 32 MiB on.
    pub max_bytes: u64,
    /// How long to wait for another process to let the directory go; `None` fails at once.
    pub lock_wait: Option<Duration>,
    /// Of how many of its newest records, at least, EVENTS knows the dedup ids, as long as
    /// they are not trimmed; the other logs, of a quarter as many. Each takes up to 40
    /// bytes of memory.
    pub dedup_records: usize,
    /// How long the journal is that a store gets with its first opening, in bytes: how much
    /// can be durable and not yet in LMDB, on the disk and in memory.
    pub journal_bytes: u64,
    /// Allows a network file system. Two daemons may then use one directory and destroy it.
    pub allow_network_fs: bool,
}

impl Default for OpenOptions {
    /// 64 GiB, a quarter of a million dedup ids (as many as fit into a table of 2^18), a
    /// journal of 16 MiB, no waiting, no network file system.
    fn default() -> Self {
        Self {
            max_bytes: 64 * 1024 * 1024 * 1024,
            lock_wait: None,
            dedup_records: (1 << 18) / 8 * 7,
            journal_bytes: 16 * 1024 * 1024,
            allow_network_fs: false,
        }
    }
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process uses the directory.
    #[error("data directory {} is in use by {}: stop that one, or use another directory", path.display(), holder(*pid))]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The other process, where it is known.
        pid: Option<u32>,
    },
    /// The directory is on a network file system.
    #[error(
        "data directory {} is on a network file system ({kind}), where locks and memory maps cannot be relied on: use a local disk",
        path.display()
    )]
    NetworkFileSystem {
        /// The directory.
        path: PathBuf,
        /// Which file system.
        kind: &'static str,
    },
    /// A newer build has written the directory.
    #[error("data directory {} has format {found}, this build knows {known}: use a newer build", path.display())]
    NewerFormat {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// This build's.
        known: u32,
    },
    /// What is there is no store, or is damaged.
    #[error("data directory {} cannot be used: {reason}", path.display())]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The operating system refused.
    #[error("cannot open {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
}

impl OpenError {
    /// The same about another file: the one that the operator knows.
    fn about(mut self, other: &Path) -> Self {
        match &mut self {
            Self::InUse { path, .. }
            | Self::NetworkFileSystem { path, .. }
            | Self::NewerFormat { path, .. }
            | Self::Damaged { path, .. }
            | Self::Io { path, .. } => other.clone_into(path),
        }
        self
    }
}

/// A data directory that this process alone uses, without opening the store in it: for a
/// daemon whose logs are elsewhere.
pub struct DirectoryLock(Directory);

impl DirectoryLock {
    /// Makes the directory if there is none, and locks it. Blocks, for as long as `options`
    /// says where the directory is in use.
    ///
    /// # Errors
    ///
    /// When the directory is in use, on a network file system, or not accessible.
    pub fn take(path: &Path, options: &OpenOptions) -> Result<Self, OpenError> {
        Directory::lock(path, options).map(Self)
    }

    /// Whether there is a store in it.
    pub fn has_store(&self) -> bool {
        self.0.has_data()
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// The bus of one machine. Dropping it waits until what was begun is written, and lets the
/// directory go.
pub struct EmbeddedBus {
    store: Arc<Store>,
    ends: Arc<Ends>,
    queue: Arc<Semaphore>,
    /// `None` only while it is being dropped.
    requests: Option<mpsc::Sender<Request>>,
    /// How full it was, and when that was looked at.
    fill: Mutex<Option<(Instant, Option<Fill>)>>,
    /// The writer and, behind it, the applier.
    threads: Vec<JoinHandle<()>>,
}

/// What is open. The environment is closed before the directory is let go.
struct Store {
    current: Current,
    /// How much it may take before it refuses new events.
    max_bytes: u64,
    /// Held for moments only, but by the writer, which is the only one to change it.
    tail: RwLock<Tail>,
    backlog: Backlog,
    directory: Directory,
}

impl EmbeddedBus {
    /// Opens the store in the directory `path`; makes both if there is none. Needs no
    /// runtime; blocks, for as long as `options` says where the directory is in use.
    ///
    /// # Errors
    ///
    /// When the directory is in use, on a network file system, of a newer format, damaged,
    /// or not accessible.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self, OpenError> {
        let directory = Directory::lock(path, options)?;
        directory.check_format()?;
        let max_bytes = options.max_bytes.saturating_add(RESERVE_BYTES);
        let environment = Environment::open(path, max_bytes)?;
        let failed = |source| OpenError::Io { path: path.to_owned(), source };
        directory.sync().map_err(failed)?;
        let capacity = options.journal_bytes.next_multiple_of(JOURNAL_STEP_BYTES);
        let (journal, ledger) = recover(&directory, &environment, capacity)?;
        let mark = journal.as_ref().map(Journal::mark);
        let store = Store::new(directory, environment, options.max_bytes, ledger, mark);
        let store = Arc::new(store);
        let ends: Arc<Ends> = Arc::new(ledger.logs.map(|log| watch::Sender::new(log.next)));
        let (held, told) = (Arc::clone(&store), Arc::clone(&ends));
        let writer = Writer::new(held, told, journal, options.dedup_records)
            .map_err(|error| store.directory.damaged(error.to_string()))?;
        let applier = Applier::new(Arc::clone(&store), ledger);
        let (requests, receiver) = mpsc::channel(MAX_REQUESTS);
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        // The writer closes what the applier waits for, also when its thread does not start.
        let applier = thread("bus-applier").spawn(move || applier.run()).map_err(failed)?;
        let writer = thread("bus-writer").spawn(move || writer.run(receiver)).map_err(failed)?;
        let queue = Arc::new(Semaphore::new(QUEUE_UNITS));
        let (fill, threads) = (Mutex::new(None), vec![writer, applier]);
        Ok(Self { store, ends, queue, requests: Some(requests), fill, threads })
    }

    /// What keeps the store from working well, in a sentence each; empty where all is well.
    pub fn troubles(&self) -> Vec<String> {
        let trouble = self.store.backlog.trouble();
        let say = |trouble| {
            format!(
                "the store cannot be written to ({trouble}); it is tried again, and what comes is kept in its journal while that has room"
            )
        };
        trouble.map(say).into_iter().collect()
    }

    /// Records with their dedup ids, from `from` on: what [`crate::copy`] needs.
    pub(crate) fn read_appends(
        &self,
        log: Log,
        from: Position,
        max: usize,
    ) -> Result<Vec<Append>, ReadError> {
        self.store.appends(log, from, max)
    }

    /// Has the writer do something, and waits until it is durable.
    async fn submit<T>(
        &self,
        bytes: usize,
        task: impl FnOnce(Reply<T>) -> Task,
    ) -> Result<T, WriteError> {
        let stopped = || WriteError::Unavailable("the store's writer has stopped".to_owned());
        let units = u32::try_from(bytes.div_ceil(QUEUE_UNIT_BYTES).max(1)).unwrap_or(u32::MAX);
        let queue = Arc::clone(&self.queue);
        let permit = queue.acquire_many_owned(units).await.map_err(|_| stopped())?;
        let (reply, answer) = Reply::new();
        let requests = self.requests.as_ref().ok_or_else(stopped)?;
        let request = Request { task: task(reply), _permit: permit };
        requests.send(request).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

impl Drop for EmbeddedBus {
    fn drop(&mut self) {
        self.requests = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the store has panicked: this is a bug in Tripline");
            }
        }
    }
}

impl Store {
    fn new(
        directory: Directory,
        environment: Environment,
        max_bytes: u64,
        ledger: Ledger,
        mark: Option<Mark>,
    ) -> Self {
        let map_bytes = max_bytes.saturating_add(RESERVE_BYTES);
        let current = Current::new(directory.path.clone(), map_bytes, environment);
        let tail = RwLock::new(Tail::behind(ledger));
        Self { current, max_bytes, tail, backlog: Backlog::new(ledger, mark), directory }
    }

    fn tail(&self) -> RwLockReadGuard<'_, Tail> {
        // Nothing that is done with it can fail halfway.
        self.tail.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn tail_mut(&self) -> RwLockWriteGuard<'_, Tail> {
        self.tail.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at a consistent state: what `recent` takes from the tail, and LMDB's state of the
    /// same moment. Reads are short, and are done where they are asked for: the map is memory.
    fn read<R, T>(
        &self,
        recent: impl FnOnce(&Tail) -> R,
        look: impl FnOnce(R, &Tables, &RoTxn) -> heed::Result<T>,
    ) -> Result<T, ReadError> {
        let tail = self.tail();
        let recent = recent(&tail);
        let held = self.current.hold();
        let Opened { env, tables } = held.opened().map_err(read_error)?;
        let txn = env.read_txn().map_err(read_error)?;
        drop(tail);
        look(recent, tables, &txn).map_err(read_error)
    }

    fn records(&self, log: Log, from: Position, max: usize) -> Result<Vec<Stored>, ReadError> {
        let first = from.sequence.max(1);
        let tail = self.tail();
        let meta = tail.ledger.logs[log.index()];
        check_position(from, meta.extent())?;
        if max == 0 || first >= meta.next {
            return Ok(Vec::new());
        }
        let (mut page, settled) = (Page::new(max), tail.first(log));
        let stored = |record: Bytes, at| Stored { position: meta.position(at), record };
        let recent = tail.records(log, first).map(|append| append.record.clone());
        if first >= settled {
            let taken = recent.take_while(|record| page.takes(record.len()));
            return Ok(taken.zip(first..).map(|(record, at)| stored(record, at)).collect());
        }
        let recent: Vec<_> = recent.take(max).collect();
        let held = self.current.hold();
        let Opened { env, tables } = held.opened().map_err(read_error)?;
        let txn = env.read_txn().map_err(read_error)?;
        drop(tail);
        let there = tables.log(&txn, log).map_err(read_error)?;
        check_position(from, there.extent())?;
        let table = &tables.logs[log.index()];
        let older = older(table, &txn, first..settled, &mut page).map_err(read_error)?;
        let recent = recent.into_iter().take_while(|record| page.takes(record.len()));
        Ok(older.into_iter().chain(recent).zip(first..).map(|(r, at)| stored(r, at)).collect())
    }

    fn extent(&self, log: Log) -> Extent {
        self.tail().ledger.logs[log.index()].extent()
    }

    /// Records with their dedup ids, from `from` on: what [`crate::copy`] needs.
    fn appends(&self, log: Log, from: Position, max: usize) -> Result<Vec<Append>, ReadError> {
        let id_of = |sequence: u64| {
            let recent =
                |tail: &Tail| tail.record(log, sequence).map(|append| append.dedup.clone());
            self.read(recent, |recent, tables, txn| match recent {
                Some(id) => Ok(id),
                None => {
                    let id = tables.ids[log.index()].get(txn, &sequence.to_be_bytes())?;
                    Ok(id.map(Bytes::copy_from_slice))
                }
            })
        };
        let records = self.records(log, from, max)?.into_iter();
        let with_id = |Stored { position, record }: Stored| {
            Ok(Append { dedup: id_of(position.sequence)?, record })
        };
        records.map(with_id).collect()
    }

    /// What the tables take and what waits to be brought into them, and how much that may
    /// become with what the disk has now.
    fn fill(&self) -> Result<Fill, ReadError> {
        let pending = self.backlog.progress().added;
        let held = self.current.hold();
        let Opened { env, tables } = held.opened().map_err(read_error)?;
        let txn = env.read_txn().map_err(read_error)?;
        let pages = tables.pages(&txn).map_err(read_error)? as u64;
        let used = pages * u64::from(env.stat().page_size) + pending;
        let path = &self.directory.path;
        let free = quota::free(path).map_err(|error| ReadError::Unavailable(error.to_string()))?;
        let reachable = (quota::allocated(path) + free).saturating_sub(RESERVE_BYTES);
        Ok(Fill { used, limit: self.max_bytes.min(reachable) })
    }

    fn entry(&self, key: &str) -> Result<Option<Entry>, ReadError> {
        let recent = |tail: &Tail| tail.entry(key);
        self.read(recent, |recent, tables, txn| match recent {
            Some(entry) => Ok(entry),
            None => tables.entry(txn, key),
        })
    }

    fn keys(
        &self,
        prefix: &str,
        after: Option<&str>,
        max: usize,
    ) -> Result<Vec<String>, ReadError> {
        let start = match after {
            Some(after) if after >= prefix && !after.is_empty() => Excluded(after),
            _ => Included(prefix),
        };
        self.read(
            |tail| tail.keys(prefix, start),
            |recent, tables, txn| merged_keys(tables, txn, prefix, start, recent, max),
        )
    }
}

/// The records of a log that LMDB has, as many as fit.
fn older(
    table: &Table,
    txn: &RoTxn,
    sequences: Range<u64>,
    page: &mut Page,
) -> heed::Result<Vec<Bytes>> {
    let left = usize::try_from(sequences.end - sequences.start).unwrap_or(usize::MAX);
    let mut records: Vec<&[u8]> = Vec::with_capacity(page.left.min(left).min(READ_CAPACITY));
    let (start, end) = (sequences.start.to_be_bytes(), sequences.end.to_be_bytes());
    let range = (Included(start.as_slice()), Excluded(end.as_slice()));
    for (entry, expected) in table.range(txn, &range)?.zip(sequences) {
        let (sequence, record) = entry?;
        if decode_u64(sequence)? != expected {
            return Err(damaged("a log has a gap"));
        }
        if !page.takes(record.len()) {
            break;
        }
        records.push(record);
    }
    if records.is_empty() {
        return Err(damaged("a log ends before its end"));
    }
    if records.len() < left && !page.is_full {
        return Err(damaged("a log ends before its end"));
    }
    Ok(copy_together(&records).collect())
}

/// What still fits into an answer.
struct Page {
    left: usize,
    bytes: usize,
    is_empty: bool,
    is_full: bool,
}

impl Page {
    fn new(max: usize) -> Self {
        Self { left: max, bytes: MAX_RECORD_BYTES, is_empty: true, is_full: max == 0 }
    }

    /// Takes the next record in; one at least.
    fn takes(&mut self, len: usize) -> bool {
        self.is_full |= self.left == 0 || (!self.is_empty && len > self.bytes);
        if !self.is_full {
            self.left -= 1;
            self.bytes = self.bytes.saturating_sub(len);
            self.is_empty = false;
        }
        !self.is_full
    }
}

/// Keys of LMDB and of the tail, where a key that is in the tail is there or is not as the
/// tail says.
fn merged_keys(
    tables: &Tables,
    txn: &RoTxn,
    prefix: &str,
    start: Bound<&str>,
    recent: BTreeMap<String, bool>,
    max: usize,
) -> heed::Result<Vec<String>> {
    // LMDB takes no empty and no very long bounds. What stands after one that is longer
    // than keys are is what stands after its beginning.
    let start = match start.map(|text| &text.as_bytes()[..text.len().min(MAX_KEY_BYTES)]) {
        Included([]) => Unbounded,
        start => start,
    };
    let mut recent = recent.into_iter().peekable();
    let mut found = Vec::new();
    for entry in tables.keys.range(txn, &(start, Unbounded))? {
        let (key, _) = entry?;
        if !key.starts_with(prefix.as_bytes()) {
            break;
        }
        let key = std::str::from_utf8(key).map_err(|_| damaged("a key is no text"))?;
        while let Some((earlier, is_there)) = recent.next_if(|(recent, _)| recent.as_str() < key) {
            found.extend(is_there.then_some(earlier));
        }
        let is_there = recent.next_if(|(recent, _)| recent == key).is_none_or(|(_, is)| is);
        found.extend(is_there.then(|| key.to_owned()));
        if found.len() >= max {
            break;
        }
    }
    found.extend(recent.filter_map(|(key, is_there)| is_there.then_some(key)));
    found.truncate(max);
    Ok(found)
}

fn read_error(error: heed::Error) -> ReadError {
    match error {
        heed::Error::Io(error) => ReadError::Unavailable(error.to_string()),
        // What LMDB has given up is opened again.
        heed::Error::Mdb(
            error @ (MdbError::ReadersFull | MdbError::Panic | MdbError::Other(_)),
        ) => ReadError::Unavailable(error.to_string()),
        error => ReadError::Damaged(error.to_string()),
    }
}

impl Bus for EmbeddedBus {
    fn append(
        &self,
        log: Log,
        batch: Vec<Append>,
    ) -> BoxFuture<'_, Result<Vec<Appended>, WriteError>> {
        Box::pin(async move {
            let bytes = batch_bytes(&batch)?;
            self.submit(bytes, |reply| Task::Append { log, batch, bytes, reply }).await
        })
    }

    fn read(
        &self,
        log: Log,
        from: Position,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Stored>, ReadError>> {
        Box::pin(async move { self.store.records(log, from, max) })
    }

    fn wait(&self, log: Log, from: Position) -> BoxFuture<'_, Result<(), ReadError>> {
        Box::pin(async move {
            let mut end = self.ends[log.index()].subscribe();
            loop {
                end.mark_unchanged();
                let extent = self.store.extent(log);
                check_position(from, extent)?;
                if from.sequence < extent.next.sequence && extent.first != extent.next {
                    return Ok(());
                }
                if end.changed().await.is_err() {
                    return Err(ReadError::Unavailable("the store was closed".to_owned()));
                }
            }
        })
    }

    fn fill(&self) -> Option<Fill> {
        // Nobody who asks does anything that can fail.
        let mut known = self.fill.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none_or(|(at, _)| at.elapsed() >= FILL_KNOWN_FOR) {
            let fill = self.store.fill().inspect_err(
                |error| tracing::debug!(%error, "how full the store is, is not known"),
            );
            *known = Some((Instant::now(), fill.ok()));
        }
        known.and_then(|(_, fill)| fill)
    }

    fn extent(&self, log: Log) -> BoxFuture<'_, Result<Extent, ReadError>> {
        Box::pin(async move { Ok(self.store.extent(log)) })
    }

    fn trim(&self, log: Log, below: Position) -> BoxFuture<'_, Result<(), WriteError>> {
        Box::pin(self.submit(0, move |reply| Task::Trim { log, below, reply }))
    }

    fn get(&self, key: &str) -> BoxFuture<'_, Result<Option<Entry>, ReadError>> {
        let key = key.to_owned();
        Box::pin(async move {
            if check_key(&key).is_err() {
                return Ok(None);
            }
            self.store.entry(&key)
        })
    }

    fn put(
        &self,
        key: &str,
        value: Bytes,
        expected: Revision,
    ) -> BoxFuture<'_, Result<Revision, WriteError>> {
        let key = key.to_owned();
        Box::pin(async move {
            check_key(&key)?;
            check_value(&value)?;
            let bytes = value.len() + MAX_KEY_BYTES;
            self.submit(bytes, |reply| Task::Put { key, value, expected, reply }).await
        })
    }

    fn delete(&self, key: &str, expected: Revision) -> BoxFuture<'_, Result<(), WriteError>> {
        let key = key.to_owned();
        Box::pin(async move {
            check_key(&key)?;
            self.submit(0, |reply| Task::Delete { key, expected, reply }).await
        })
    }

    fn keys(
        &self,
        prefix: &str,
        after: Option<&str>,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<String>, ReadError>> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        Box::pin(async move { self.store.keys(&prefix, after.as_deref(), max) })
    }
}

#[cfg(test)]
mod power_loss;
#[cfg(test)]
mod tests;
