//! The bus on NATS JetStream: three streams for the logs, one for the keys.
//!
//! Promises, besides those of every bus: what was answered is stored by JetStream, on as many
//! servers as there are replicas; it survives the death of the daemon and of the servers at
//! any instant. A server that runs alone survives the loss of power only with
//! `sync_interval: always`. The connection is made again by itself; while there is none,
//! every call ends in bounded time. A stream that was removed or made again while the bus is
//! open is not taken for the old one: everything is refused, and says what is lost.
//!
//! A write is a *block* of records (see `block`), not a message for each. JetStream's own
//! atomic batches refuse the whole batch where one of its ids is known, know ids for a time
//! only, and take 1,000 messages of `max_payload` at most; a block knows each record's id,
//! may be of any size, and costs one message for as many records as have gathered. The
//! position of a record is that in its block: sequences of messages are not those of records.
//!
//! Dedup ids are known of the newest records (see [`OpenOptions::dedup_records`]); after a
//! restart, of those that stand in the newest 32 MiB of each log.
//!
//! Not here: limits by age and size, which are the daemon's, and making servers.

mod api;
pub mod argo;
mod block;
mod connection;
mod dedup;
mod keys;
mod lease;
mod load;
mod names;
mod preflight;
mod reader;
mod streams;
mod view;
mod writer;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tripline_event::Position;
pub use tripline_nats::{Auth, Tls};

use self::api::Api;
use self::connection::Connection;
use self::keys::Keys;
use self::lease::{Lease, LeasePlace};
pub use self::names::DEFAULT_PREFIX;
use self::names::{MAX_PREFIX_BYTES, Names};
pub use self::preflight::{Finding, Severity, preflight};
use self::streams::Shape;
use self::view::View;
use self::writer::{MAX_REQUESTS, Request, Writer};
use crate::copy::Start;
use crate::limits::batch_bytes;
use crate::{
    Append, Appended, BoxFuture, Bus, Entry, Extent, Log, MAX_BATCH_BYTES, ReadError, Revision,
    Stored, WriteError,
};

/// The oldest server that has what is needed (batches of direct gets).
pub const OLDEST_SERVER: &str = "2.11.0";
/// How long an append waits for its answer. Within this time a cluster chooses a new leader.
const PATIENCE: Duration = Duration::from_secs(8);
/// Pauses between attempts to connect at the start.
const CONNECT_PAUSE: Duration = Duration::from_millis(200);
/// How many bytes of requests may wait for each log, in units of [`QUEUE_UNIT_BYTES`].
const QUEUE_UNITS: usize = 2 * MAX_BATCH_BYTES / QUEUE_UNIT_BYTES;
const QUEUE_UNIT_BYTES: usize = 1024;

/// How the bus is opened.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The servers: `nats://HOST:4222`, several separated by commas; `tls://` for TLS.
    pub url: String,
    /// What the names of streams and subjects begin with: `A-Z a-z 0-9 - _`.
    pub prefix: String,
    /// On how many servers each stream is kept; none: on three of a cluster, else on one. For
    /// streams that are made only.
    pub replicas: Option<usize>,
    /// How many bytes EVENTS may take before new events are refused; none: as much as the
    /// account may. For streams that are made only.
    pub max_bytes: Option<u64>,
    /// The JetStream domain.
    pub domain: Option<String>,
    /// Who one is.
    pub auth: Auth,
    /// Whom one trusts.
    pub tls: Tls,
    /// Be the one owner of the logs, as a daemon must. Without it several may append at the
    /// same time.
    pub owner: Option<Owner>,
    /// How long to wait for a server.
    pub wait: Duration,
    /// Of how many of its newest records, at least, EVENTS knows the dedup ids; the other
    /// logs, of a quarter as many. Each takes up to 40 bytes of memory.
    pub dedup_records: usize,
    /// Where logs begin that are made; none: at 1.
    pub starts: Option<[Start; 3]>,
}

impl OpenOptions {
    /// The server at `url`, everything else as it is by default: prefix `tripline`, no limit,
    /// no owner, no waiting.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: DEFAULT_PREFIX.to_owned(),
            replicas: None,
            max_bytes: None,
            domain: None,
            auth: Auth::Nobody,
            tls: Tls::default(),
            owner: None,
            wait: Duration::ZERO,
            dedup_records: (1 << 18) / 8 * 7,
            starts: None,
        }
    }
}

/// Who owns the logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// What others are told: a host and a process.
    pub name: String,
    /// What stays the same when the owner is started again, if anything does: then it need
    /// not wait until its own lease has ended. Only for who knows that the one before is dead.
    pub id: Option<String>,
    /// How long to wait for another owner that lives to end. One that has died is waited for
    /// until its lease of 10 seconds ends, in any case.
    pub wait: Duration,
}

/// Why the bus could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No server answers.
    #[error("NATS at {url} cannot be reached: {reason}")]
    Unreachable {
        /// The servers.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// The server does not let the daemon in, or what it is to show cannot be used.
    #[error(
        "NATS at {url} refuses the connection: {reason}; look at its user, token, nkey, credentials and TLS"
    )]
    Refused {
        /// The servers.
        url: String,
        /// What it said.
        reason: String,
    },
    /// The prefix is none.
    #[error(
        "`{0}` is no prefix: it is made of `A-Z a-z 0-9 - _`, at most {MAX_PREFIX_BYTES} of them"
    )]
    Prefix(String),
    /// The server is too old.
    #[error("nats-server {found} at {url} is too old: at least {OLDEST_SERVER} is needed")]
    TooOld {
        /// The servers.
        url: String,
        /// Its version.
        found: String,
    },
    /// JetStream is off, or not for this account.
    #[error(
        "JetStream is not on at {url}, or not for this account: start nats-server with `-js`, or enable it for the account"
    )]
    NoJetStream {
        /// The servers.
        url: String,
    },
    /// Another daemon owns the logs.
    #[error(
        "the event bus `{prefix}` at {url} is in use by {owner}: stop that one, or use another prefix"
    )]
    InUse {
        /// The servers.
        url: String,
        /// The prefix.
        prefix: String,
        /// The other daemon.
        owner: String,
    },
    /// There is a stream of this name that is not Tripline's.
    #[error("stream {stream} is there, and is not Tripline's: use another prefix")]
    Foreign {
        /// The stream.
        stream: String,
    },
    /// A newer build has made the stream.
    #[error("stream {stream} has format {found}, this build knows 1: use a newer build")]
    NewerFormat {
        /// The stream.
        stream: String,
        /// Its format.
        found: String,
    },
    /// The stream would lose records.
    #[error("stream {stream} cannot be used: {reason}")]
    Unsafe {
        /// The stream.
        stream: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The keys are gone, and the logs are not.
    #[error(
        "stream {stream} is gone or empty, which held checkpoints and plans, but the logs are there: bring it back from a copy, or start again on another prefix"
    )]
    StateGone {
        /// The stream.
        stream: String,
    },
    /// The server refuses something about a stream.
    #[error("stream {stream}: {reason}")]
    Stream {
        /// The stream.
        stream: String,
        /// What it said.
        reason: String,
    },
    /// What is stored cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// The bus on JetStream. Dropping it lets the logs go; what was begun is still written.
pub struct JetStreamBus {
    api: Api,
    keys: Arc<Keys>,
    logs: [LogHandle; 3],
    keeping: Mutex<Option<(JoinHandle<()>, LeasePlace)>>,
    /// To let go of the lease from wherever this is dropped.
    runtime: tokio::runtime::Handle,
}

struct LogHandle {
    view: Arc<View>,
    requests: mpsc::Sender<Request>,
    queue: Arc<Semaphore>,
    /// One trim at a time.
    trimming: tokio::sync::Mutex<()>,
}

impl JetStreamBus {
    /// Connects, finds the streams or makes them, and reads back how far they are. To be
    /// called in the runtime that the bus is to be used in.
    ///
    /// # Errors
    ///
    /// When no server can be reached within [`OpenOptions::wait`], it refuses, is too old or
    /// without JetStream; when another daemon owns the logs; when the streams are not
    /// Tripline's, would lose records, or cannot be read.
    pub async fn open(options: &OpenOptions) -> Result<Self, OpenError> {
        let wrong_prefix = || OpenError::Prefix(options.prefix.clone());
        let names = Names::new(&options.prefix).ok_or_else(wrong_prefix)?;
        let deadline = Instant::now() + options.wait;
        loop {
            match Self::open_once(options, &names).await {
                Err(OpenError::Unreachable { .. } | OpenError::NoJetStream { .. })
                    if Instant::now() < deadline =>
                {
                    tokio::time::sleep(CONNECT_PAUSE).await;
                }
                other => return other,
            }
        }
    }

    async fn open_once(options: &OpenOptions, names: &Names) -> Result<Self, OpenError> {
        let name = options.owner.as_ref().map_or("tripline", |owner| owner.name.as_str());
        let connection = Connection::open(&options.url, name, &options.auth, &options.tls).await?;
        preflight::check_version(&connection)?;
        let is_clustered = connection.client.server_info().cluster.is_some();
        let api = Api::new(connection, options.domain.as_deref());
        let id = load::random_id();
        let shape = Shape {
            names,
            replicas: options.replicas.unwrap_or(if is_clustered { 3 } else { 1 }),
            max_bytes: options.max_bytes,
            starts: options.starts,
        };
        let state = streams::open_state(&api, &shape).await?;
        let single = state.config.get("num_replicas").is_none_or(|replicas| replicas == 1);
        let failed = |error| streams::api_error(&api, &names.state_stream(), error);
        let keys = Keys::open(api.clone(), names.clone(), single, id).await.map_err(failed)?;
        let keys = Arc::new(keys);
        let lease = match &options.owner {
            None => None,
            Some(owner) => Some(Lease::take(&api, &keys, owner, id).await?),
        };
        let place = lease.as_ref().map(Lease::place);
        match Self::open_logs(&api, &keys, &shape, options, id).await {
            Ok(logs) => {
                let views = [0, 1, 2].map(|log: usize| Arc::clone(&logs[log].view));
                let kept = Arc::clone(&keys);
                let keeping = lease.map(|lease| tokio::spawn(lease.keep(views, kept))).zip(place);
                let keeping = Mutex::new(keeping);
                let runtime = tokio::runtime::Handle::current();
                Ok(Self { api, keys, logs, keeping, runtime })
            }
            Err(error) => {
                if let Some(place) = place {
                    lease::release(api, place).await;
                }
                Err(error)
            }
        }
    }

    async fn open_logs(
        api: &Api,
        keys: &Arc<Keys>,
        shape: &Shape<'_>,
        options: &OpenOptions,
        id: u64,
    ) -> Result<[LogHandle; 3], OpenError> {
        let mut logs = Vec::with_capacity(Log::ALL.len());
        let mut opened = Vec::with_capacity(Log::ALL.len());
        for log in Log::ALL {
            opened.push(streams::open_log(api, shape, log).await?);
        }
        load::check_state(keys, &opened).await?;
        for (log, opened) in Log::ALL.into_iter().zip(opened) {
            let window = match log {
                Log::Events => options.dedup_records,
                Log::Actions | Log::Outcomes => options.dedup_records / 4,
            };
            let loaded = load::load(api, keys, log, opened, window).await?;
            let (requests, receiver) = mpsc::channel(MAX_REQUESTS);
            let view = Arc::new(loaded.view);
            let stream = view.stream.clone();
            let writer = Writer::new(api.clone(), Arc::clone(&view), loaded.dedup, receiver, id)
                .await
                .map_err(|error| streams::api_error(api, &stream, error))?;
            tokio::spawn(writer.run());
            logs.push(LogHandle {
                view,
                requests,
                queue: Arc::new(Semaphore::new(QUEUE_UNITS)),
                trimming: tokio::sync::Mutex::default(),
            });
        }
        let lost = || OpenError::Prefix(options.prefix.clone());
        // There are three of them, as there are logs.
        <[LogHandle; 3]>::try_from(logs).map_err(|_| lost())
    }

    /// Lets the logs go for another owner, and returns when that is so. Nothing must be
    /// written any more. Dropping does the same, if the runtime lives on for a moment.
    pub async fn close(&self) {
        if let Some(place) = self.end_lease() {
            lease::release(self.api.clone(), place).await;
        }
    }

    fn end_lease(&self) -> Option<LeasePlace> {
        let mut keeping = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        let (keeping, place) = keeping.take()?;
        keeping.abort();
        Some(place)
    }

    /// What keeps the bus from working, in a sentence each; empty where it works.
    pub fn troubles(&self) -> Vec<String> {
        let of = |log: &LogHandle| log.view.trouble().or_else(|| log.view.is_full());
        let mut troubles: Vec<String> = self.logs.iter().filter_map(of).collect();
        troubles.dedup();
        troubles
    }

    /// What is wrong with the server, or should be known of it, in a sentence each.
    pub async fn preflight(&self) -> Vec<Finding> {
        preflight::examine(&self.api, &self.keys.names).await
    }

    fn log(&self, log: Log) -> &LogHandle {
        &self.logs[log.index()]
    }

    async fn submit(&self, log: Log, batch: Vec<Append>) -> Result<Vec<Appended>, WriteError> {
        let bytes = batch_bytes(&batch)?;
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let log = self.log(log);
        if let Some(trouble) = log.view.lasting_trouble() {
            return Err(WriteError::Unavailable(trouble));
        }
        let stopped = || WriteError::Unavailable("the bus was closed".to_owned());
        let asked = async {
            let units = u32::try_from(bytes.div_ceil(QUEUE_UNIT_BYTES).max(1)).unwrap_or(u32::MAX);
            let queue = Arc::clone(&log.queue);
            let permit = queue.acquire_many_owned(units).await.map_err(|_| stopped())?;
            let (reply, answer) = oneshot::channel();
            let request = Request { batch, bytes, reply, _permit: permit };
            log.requests.send(request).await.map_err(|_| stopped())?;
            answer.await.map_err(|_| stopped())?
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(answer) => answer,
            Err(_) => {
                let silence = || self.api.connection.silence();
                Err(WriteError::Unavailable(log.view.trouble().unwrap_or_else(silence)))
            }
        }
    }

    async fn trim_log(&self, log: Log, below: Position) -> Result<(), WriteError> {
        let LogHandle { view, trimming, .. } = self.log(log);
        let _one_at_a_time = trimming.lock().await;
        if let Some(trouble) = view.lasting_trouble() {
            return Err(WriteError::Unavailable(trouble));
        }
        load::trim(&self.api, &self.keys, view, below).await
    }

    /// Records with their dedup ids, from `from` on: what [`crate::copy`] needs.
    pub(crate) async fn read_appends(
        &self,
        log: Log,
        from: Position,
        max: usize,
    ) -> Result<Vec<Append>, ReadError> {
        let view = &self.log(log).view;
        let extent = view.check(from)?;
        if from.sequence >= extent.next.sequence {
            return Ok(Vec::new());
        }
        let block = reader::block(&self.api, view, from.sequence).await?;
        let gone = || ReadError::Damaged(format!("{} has no record {from}", view.stream));
        let block = block.ok_or_else(gone)?;
        let skip = usize::try_from(from.sequence - block.header.first).unwrap_or(usize::MAX);
        let append = |record: &block::Record| Append {
            dedup: record.id.clone(),
            record: record.record.clone(),
        };
        Ok(block.records.iter().skip(skip).take(max).map(append).collect())
    }
}

impl Drop for JetStreamBus {
    fn drop(&mut self) {
        if let Some(place) = self.end_lease() {
            // Where the runtime ends at once, the lease ends by itself.
            self.runtime.spawn(lease::release(self.api.clone(), place));
        }
    }
}

impl Bus for JetStreamBus {
    fn append(
        &self,
        log: Log,
        batch: Vec<Append>,
    ) -> BoxFuture<'_, Result<Vec<Appended>, WriteError>> {
        Box::pin(self.submit(log, batch))
    }

    fn read(
        &self,
        log: Log,
        from: Position,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Stored>, ReadError>> {
        Box::pin(reader::read(&self.api, &self.log(log).view, from, max))
    }

    fn wait(&self, log: Log, from: Position) -> BoxFuture<'_, Result<(), ReadError>> {
        Box::pin(async move {
            let view = &self.log(log).view;
            let mut changes = view.changes();
            loop {
                changes.mark_unchanged();
                let extent = view.check(from)?;
                if from.sequence < extent.next.sequence && extent.first != extent.next {
                    return Ok(());
                }
                if let Some(trouble) = view.trouble() {
                    return Err(ReadError::Unavailable(trouble));
                }
                if changes.changed().await.is_err() {
                    return Err(ReadError::Unavailable("the bus was closed".to_owned()));
                }
            }
        })
    }

    fn extent(&self, log: Log) -> BoxFuture<'_, Result<Extent, ReadError>> {
        Box::pin(async move {
            let view = &self.log(log).view;
            match view.lasting_trouble() {
                Some(trouble) => Err(ReadError::Unavailable(trouble)),
                None => Ok(view.state().extent()),
            }
        })
    }

    fn trim(&self, log: Log, below: Position) -> BoxFuture<'_, Result<(), WriteError>> {
        Box::pin(self.trim_log(log, below))
    }

    fn get(&self, key: &str) -> BoxFuture<'_, Result<Option<Entry>, ReadError>> {
        let key = key.to_owned();
        Box::pin(async move { self.keys.get(&key).await })
    }

    fn put(
        &self,
        key: &str,
        value: Bytes,
        expected: Revision,
    ) -> BoxFuture<'_, Result<Revision, WriteError>> {
        let key = key.to_owned();
        Box::pin(async move { self.keys.put(&key, value, expected).await })
    }

    fn delete(&self, key: &str, expected: Revision) -> BoxFuture<'_, Result<(), WriteError>> {
        let key = key.to_owned();
        Box::pin(async move { self.keys.delete(&key, expected).await })
    }

    fn keys(
        &self,
        prefix: &str,
        after: Option<&str>,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<String>, ReadError>> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        Box::pin(async move { self.keys.list(&prefix, after.as_deref(), max).await })
    }
}
