//! The bus of one machine: one process, one data directory, on LMDB.
//!
//! Promises: what was answered is on the disk, synced, and survives the death of the process
//! and, where the disk keeps its own promises, the loss of power; there is no torn tail to
//! repair, since LMDB never writes over what is in use. All requests that have gathered are
//! one transaction and one sync. Reads are of a consistent state, and take no lock. A
//! directory is used by one process at a time. When the store is full, new events are
//! refused first, then what follows from them, and trimming always works.
//!
//! Not here: limits by age and size, which are the daemon's, and reading a store that a
//! daemon is using.
//!
//! A restored backup goes on as the same incarnation of its logs: the positions that it has
//! in checkpoints are its own, since keys and logs are restored together. Who keeps a
//! position elsewhere must forget it after a restore.

mod backup;
mod dedup;
mod directory;
mod environment;
mod filesystem;
mod prepare;
mod request;
mod room;
mod tables;
mod writer;

use std::ops::Bound::{Excluded, Included, Unbounded};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use heed::{Env, MdbError, RoTxn, WithoutTls};
use tokio::sync::{Semaphore, mpsc, watch};
use tripline_event::Position;

pub use self::backup::{BackupError, restore};
use self::directory::Directory;
pub use self::directory::FORMAT_VERSION;
use self::environment::Environment;
pub use self::prepare::prepare;
use self::request::{Reply, Request, Task};
use self::room::RESERVE_BYTES;
use self::tables::{LogMeta, Tables, copy_together, damaged, decode_u64};
use self::writer::{Ends, MAX_REQUESTS, Writer};
use crate::limits::{batch_bytes, check_key, check_position, check_value};
use crate::{
    Append, Appended, BoxFuture, Bus, Entry, Extent, Log, MAX_BATCH_BYTES, MAX_KEY_BYTES,
    MAX_RECORD_BYTES, ReadError, Revision, Stored, WriteError,
};

/// How many bytes of requests may wait to be written, in units of [`QUEUE_UNIT_BYTES`].
const QUEUE_UNITS: usize = 2 * MAX_BATCH_BYTES / QUEUE_UNIT_BYTES;
const QUEUE_UNIT_BYTES: usize = 1024;

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
    /// Allows a network file system. Two daemons may then use one directory and destroy it.
    pub allow_network_fs: bool,
}

impl Default for OpenOptions {
    /// 64 GiB, a quarter of a million dedup ids (as many as fit into a table of 2^18), no
    /// waiting, no network file system.
    fn default() -> Self {
        Self {
            max_bytes: 64 * 1024 * 1024 * 1024,
            lock_wait: None,
            dedup_records: (1 << 18) / 8 * 7,
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
    writer: Option<JoinHandle<()>>,
}

/// What is open. The environment is closed before the directory is let go.
struct Store {
    env: Env<WithoutTls>,
    tables: Tables,
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
        let Environment { env, tables, ledger } = Environment::open(path, max_bytes)?;
        let failed = |source| OpenError::Io { path: path.to_owned(), source };
        directory.sync().map_err(failed)?;
        let store = Arc::new(Store { env, tables, directory });
        let ends: Arc<Ends> = Arc::new(ledger.logs.map(|log| watch::Sender::new(log.next)));
        let writer =
            Writer::new(Arc::clone(&store), Arc::clone(&ends), ledger, options.dedup_records)
                .map_err(|error| store.directory.damaged(error.to_string()))?;
        let (requests, receiver) = mpsc::channel(MAX_REQUESTS);
        let writer = std::thread::Builder::new()
            .name("bus-writer".to_owned())
            .spawn(move || writer.run(receiver))
            .map_err(failed)?;
        let queue = Arc::new(Semaphore::new(QUEUE_UNITS));
        Ok(Self { store, ends, queue, requests: Some(requests), writer: Some(writer) })
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
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the store's writer has panicked: this is a bug in Tripline");
        }
    }
}

impl Store {
    /// Looks at a consistent state. Reads are short, and are done where they are asked for:
    /// the map is memory.
    fn read<T>(
        &self,
        look: impl FnOnce(&Tables, &RoTxn) -> heed::Result<T>,
    ) -> Result<T, ReadError> {
        let txn = self.env.read_txn().map_err(read_error)?;
        look(&self.tables, &txn).map_err(read_error)
    }

    fn records(&self, log: Log, from: Position, max: usize) -> Result<Vec<Stored>, ReadError> {
        self.read(|tables, txn| {
            let meta = tables.log(txn, log)?;
            if let Err(error) = check_position(from, meta.extent()) {
                return Ok(Err(error));
            }
            let first = from.sequence.max(1);
            if max == 0 || first >= meta.next {
                return Ok(Ok(Vec::new()));
            }
            read_records(tables, txn, log, &meta, first, max).map(Ok)
        })?
    }

    fn extent(&self, log: Log) -> Result<Extent, ReadError> {
        self.read(|tables, txn| Ok(tables.log(txn, log)?.extent()))
    }

    /// Records with their dedup ids, from `from` on: what [`crate::copy`] needs.
    fn appends(&self, log: Log, from: Position, max: usize) -> Result<Vec<Append>, ReadError> {
        let records = self.records(log, from, max)?;
        self.read(|tables, txn| {
            let with_id = |stored: Stored| {
                let id =
                    tables.ids[log.index()].get(txn, &stored.position.sequence.to_be_bytes())?;
                Ok(Append { dedup: id.map(Bytes::copy_from_slice), record: stored.record })
            };
            records.into_iter().map(with_id).collect()
        })
    }

    fn keys<'a>(
        &self,
        prefix: &'a str,
        after: Option<&'a str>,
        max: usize,
    ) -> Result<Vec<String>, ReadError> {
        // LMDB takes no empty and no very long bounds. What stands after one that is longer
        // than keys are is what stands after its beginning.
        let cut = |text: &'a str| &text.as_bytes()[..text.len().min(MAX_KEY_BYTES)];
        let start = match after {
            Some(after) if after >= prefix && !after.is_empty() => Excluded(cut(after)),
            _ if prefix.is_empty() => Unbounded,
            _ => Included(cut(prefix)),
        };
        self.read(|tables, txn| {
            let mut found = Vec::new();
            for entry in tables.keys.range(txn, &(start, Unbounded))? {
                let (key, _) = entry?;
                if found.len() == max || !key.starts_with(prefix.as_bytes()) {
                    break;
                }
                let key = std::str::from_utf8(key).map_err(|_| damaged("a key is no text"))?;
                found.push(key.to_owned());
            }
            Ok(found)
        })
    }
}

fn read_records(
    tables: &Tables,
    txn: &RoTxn,
    log: Log,
    meta: &LogMeta,
    first: u64,
    max: usize,
) -> heed::Result<Vec<Stored>> {
    let left = usize::try_from(meta.next - first).unwrap_or(usize::MAX);
    let mut records: Vec<&[u8]> = Vec::with_capacity(max.min(left).min(READ_CAPACITY));
    let mut room = MAX_RECORD_BYTES;
    let start = first.to_be_bytes();
    let range = (Included(start.as_slice()), Unbounded);
    for (entry, expected) in tables.logs[log.index()].range(txn, &range)?.zip(first..) {
        let (sequence, record) = entry?;
        if decode_u64(sequence)? != expected {
            return Err(damaged("a log has a gap"));
        }
        if records.len() == max || (!records.is_empty() && record.len() > room) {
            break;
        }
        room = room.saturating_sub(record.len());
        records.push(record);
    }
    if records.is_empty() {
        return Err(damaged("a log ends before its end"));
    }
    let stored = copy_together(&records).zip(first..);
    Ok(stored.map(|(record, at)| Stored { position: meta.position(at), record }).collect())
}

fn read_error(error: heed::Error) -> ReadError {
    match error {
        heed::Error::Io(error) => ReadError::Unavailable(error.to_string()),
        heed::Error::Mdb(error @ (MdbError::ReadersFull | MdbError::Other(_))) => {
            ReadError::Unavailable(error.to_string())
        }
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
                let extent = self.store.extent(log)?;
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

    fn extent(&self, log: Log) -> BoxFuture<'_, Result<Extent, ReadError>> {
        Box::pin(async move { self.store.extent(log) })
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
            self.store.read(|tables, txn| tables.entry(txn, &key))
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
mod tests;
