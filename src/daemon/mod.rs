//! The daemon: the engine with files, sockets and event sources around it.
//!
//! [`Daemon::start`] opens the store, loads the files, puts the sensors in force and only
//! then starts event sources. [`Daemon::run`] goes on until it is told to stop, takes up
//! changed files, and stops in one grace period: event sources first, then the executor,
//! then the evaluator with a checkpoint.

pub(crate) mod accounts;
pub mod bus;
mod control;
#[cfg(feature = "jetstream")]
pub use control::publish_onto;
pub mod counts;
pub mod health;
pub mod letters;
pub(crate) mod messages;
pub mod metrics;
pub mod notes;
pub mod operations;
pub mod pauses;
pub mod reload;
mod replay;
mod retention;
pub(crate) mod room;
mod schedules;
pub mod secrets;
mod sensor;
mod steering;
pub mod targets;
pub mod trouble;
pub mod upgrade;
pub mod watchers;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tripline_bus::Bus;
use tripline_bus::embedded::Quota;
use tripline_config::{Diagnostic, Input, Secrets};
use tripline_event::{Clock, SystemClock, Timestamp};
use tripline_eventsources::{Listeners, SourceContext, SourceSettings, Sources};
use tripline_triggers::executor::{Kinds, Limits};
use tripline_triggers::http::HttpTrigger;
use tripline_triggers::log::LogTrigger;

use self::counts::Counts;
use self::metrics::Metrics;
use self::notes::Notes;
use self::pauses::Pauses;
use self::secrets::SecretStore;
use self::targets::{TargetChoice, Targets};
use self::trouble::Trouble;
use self::watchers::{Guest, Watchers};
use crate::control::{Listener, Tokens};
use crate::engine::again::Again;
use crate::engine::definitions::Definitions;
use crate::engine::driver::{CheckpointEvery, HeldBySensor};
use crate::engine::ingest::RandomIds;
use crate::engine::mistakes::Mistakes;
use crate::engine::{Engine, EngineParts};
use crate::load::{self, Configuration};

/// The name of the target that keeps workflows in the data directory.
pub const LOCAL_TARGET: &str = "local";

/// How the daemon is to run.
#[derive(Clone)]
pub struct Options {
    /// The files, folders and texts to load.
    pub inputs: Vec<Input>,
    /// Where everything durable is.
    pub data: PathBuf,
    /// How long to wait for another daemon to let the data directory go.
    pub lock_wait: Option<Duration>,
    /// How much of its volume the data directory may take, before new events are refused.
    pub quota: Quota,
    /// The address that webhooks listen on.
    pub bind: IpAddr,
    /// The port that is listened on for a configured one.
    pub listen_port: fn(u16) -> u16,
    /// Where `/healthz`, `/readyz` and `/metrics` are; none: nowhere.
    pub operations: Option<SocketAddr>,
    /// The control API over TCP, with the file of the tokens that may use it; the Unix
    /// socket in the data directory is always there.
    pub control: Option<(SocketAddr, PathBuf)>,
    /// A folder in the shape of mounted Secrets.
    pub secrets_folder: Option<PathBuf>,
    /// Secrets may also be `TRIPLINE_SECRET_NAME_KEY` in the environment.
    pub secrets_from_environment: bool,
    /// Where workflows and objects go.
    pub targets: TargetChoice,
    /// Which event bus.
    pub bus: bus::BusChoice,
    /// Refuse to start if anything in the files is refused.
    pub strict: bool,
    /// Take changed files up while running.
    pub watch: bool,
    /// How long stopping may take.
    pub grace: Duration,
    /// Wants to see everything.
    pub guest: Option<Arc<dyn Guest>>,
    /// The sockets that webhooks and operations listen on.
    pub listeners: Arc<Listeners>,
    /// The program that the process is; none where the daemon is a part of another.
    pub program: Option<upgrade::Program>,
}

impl Options {
    /// The daemon on these inputs and this data directory, everything else as it is by
    /// default.
    pub fn new(inputs: Vec<Input>, data: PathBuf) -> Self {
        Self {
            inputs,
            data,
            lock_wait: None,
            quota: Quota::default(),
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            listen_port: |port| port,
            operations: None,
            control: None,
            secrets_folder: None,
            secrets_from_environment: false,
            targets: TargetChoice::default(),
            bus: bus::BusChoice::default(),
            strict: false,
            watch: true,
            grace: Duration::from_secs(25),
            guest: None,
            listeners: Arc::default(),
            program: None,
        }
    }
}

/// A running daemon.
pub struct Daemon {
    engine: Engine,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    stop: CancellationToken,
    grace: Duration,
    watch: bool,
    operations: Option<SocketAddr>,
    listeners: Arc<Listeners>,
}

/// How a daemon ended.
#[derive(Debug)]
pub enum Ended {
    /// It was told to stop.
    Stopped,
    /// It was told to make room for the program that is at its path now, which is to listen
    /// on these sockets.
    Upgrade(upgrade::Program, Vec<std::net::TcpListener>),
}

/// What the parts of the daemon share.
pub(crate) struct Shared {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) backend: bus::OpenBus,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) engine: EngineHandle,
    pub(crate) sources: Sources,
    pub(crate) secrets: Arc<SecretStore>,
    pub(crate) targets: Arc<Targets>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) inputs: Vec<Input>,
    /// What the files were before they were first read.
    pub(crate) files_at_start: u64,
    pub(crate) configuration: ArcSwap<Configuration>,
    /// Buses of Argo Events.
    pub(crate) interop: crate::interop::Interop,
    /// A reload that waits to be confirmed, and why.
    pub(crate) held: Mutex<Option<reload::Held>>,
    /// One reload at a time.
    pub(crate) reloading: tokio::sync::Mutex<()>,
    pub(crate) pauses: Pauses,
    pub(crate) letters: Arc<letters::OpenLetters>,
    pub(crate) started_at: Timestamp,
    pub(crate) stopping: CancellationToken,
    pub(crate) program: Option<upgrade::Program>,
    /// The program is to be replaced.
    pub(crate) upgrading: CancellationToken,
}

/// The parts of the engine that others call.
#[derive(Clone)]
pub(crate) struct EngineHandle {
    pub(crate) ingest: Arc<crate::engine::ingest::Ingest>,
    pub(crate) executor: tripline_triggers::executor::Executor,
    pub(crate) progress: tokio::sync::watch::Receiver<crate::engine::driver::Progress>,
    pub(crate) definitions: Arc<Definitions>,
    pub(crate) questions: mpsc::Sender<oneshot::Sender<HeldBySensor>>,
    pub(crate) again: Again,
    pub(crate) publisher: crate::engine::Publisher,
    pub(crate) schedules: crate::engine::schedules::SharedSchedules,
}

/// The files hold mistakes and the daemon was to be strict.
#[derive(Debug, thiserror::Error)]
#[error("the files hold mistakes (see above); without --strict everything else would be used")]
pub struct Refused {
    /// All of them.
    pub diagnostics: Vec<Diagnostic>,
}

impl Daemon {
    /// Starts everything. When it returns, events are taken in.
    ///
    /// # Errors
    /// What keeps it from starting: the data directory, a damaged store, a port of its own.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let definitions = Arc::new(Definitions::default());
        let files_at_start = tripline_config::fingerprint(&options.inputs);
        let configuration = first_configuration(&options, &definitions)?;
        let secrets = Arc::new(SecretStore::new(secrets(&options)));
        for diagnostic in secrets.replace_documents(&configuration.secrets) {
            tracing::warn!("{diagnostic}");
        }
        let backend = bus::open(&options, &configuration, &secrets).await?;
        let bus = backend.bus();
        let metrics = Arc::new(Metrics::new(options.targets.default_target()));
        let counts = Arc::new(Counts::default());
        let notes = Arc::new(Notes::new(Arc::clone(&clock)));
        let watchers = Arc::new(Watchers {
            metrics: Arc::clone(&metrics),
            counts: Arc::clone(&counts),
            notes: Arc::clone(&notes),
            trouble: Trouble::new(Arc::clone(&clock)),
            guest: options.guest.clone(),
        });
        let targets = Arc::new(Targets::new(
            options.targets.clone(),
            Arc::clone(&bus),
            Arc::clone(&secrets) as _,
            Arc::clone(&clock),
        )?);
        // Before what is open is gone on with.
        definitions.set_routes(targets.apply(&configuration));
        let pauses = pauses::Loaded::from(&*bus).await?;
        let engine = Engine::start(EngineParts {
            bus: Arc::clone(&bus),
            clock: Arc::clone(&clock),
            ids: Arc::new(RandomIds),
            definitions: Arc::clone(&definitions),
            kinds: kinds(&targets, &secrets, &clock),
            observer: Arc::clone(&watchers) as _,
            executor_observer: watchers,
            seed: u64::from(std::process::id()),
            limits: Limits { grace: options.grace * 3 / 4, ..Limits::default() },
            checkpoint_every: CheckpointEvery::default(),
            paused: pauses.scopes(),
            mistakes: Mistakes::default(),
        })
        .await
        .context("the daemon cannot start")?;
        let stop = CancellationToken::new();
        let context = SourceContext {
            sink: Arc::clone(&engine.ingest) as _,
            clock: Arc::clone(&clock),
            secrets: Arc::clone(&secrets) as _,
            accounts: accounts::of_targets(&targets),
            settings: SourceSettings { bind: options.bind, listen_port: options.listen_port },
        };
        let sources = Sources::with_listeners(context, Arc::clone(&options.listeners));
        let shared = Arc::new(Shared {
            bus: Arc::clone(&bus),
            backend,
            clock: Arc::clone(&clock),
            engine: EngineHandle {
                ingest: Arc::clone(&engine.ingest),
                executor: engine.executor.clone(),
                progress: engine.progress.clone(),
                definitions,
                questions: engine.questions.clone(),
                again: engine.again.clone(),
                publisher: engine.publisher(),
                schedules: Arc::clone(&engine.schedules),
            },
            sources,
            secrets,
            targets,
            metrics,
            counts,
            inputs: options.inputs.clone(),
            files_at_start,
            configuration: ArcSwap::default(),
            interop: crate::interop::Interop::default(),
            held: Mutex::new(None),
            reloading: tokio::sync::Mutex::new(()),
            pauses: Pauses::new(Arc::clone(&bus), &engine.executor, pauses),
            letters: Arc::new(letters::OpenLetters::new(Arc::clone(&bus))),
            started_at: clock.now(),
            stopping: stop.clone(),
            program: options.program.clone(),
            upgrading: CancellationToken::new(),
        });
        let configuration = shared.with_last_good_versions(configuration).await?;
        shared.put_in_force(configuration).await?;
        shared.targets.resume().await?;
        let tasks = TaskTracker::new();
        let mut daemon = Self {
            engine,
            shared,
            tasks,
            stop,
            grace: options.grace,
            watch: options.watch,
            operations: None,
            listeners: Arc::clone(&options.listeners),
        };
        daemon.serve(&options, notes).await?;
        Ok(daemon)
    }

    async fn serve(&mut self, options: &Options, notes: Arc<Notes>) -> anyhow::Result<()> {
        let bus = Arc::clone(&self.shared.bus);
        let stop = self.stop.clone();
        self.tasks.spawn(room::watch(Arc::clone(&bus), stop.clone()));
        self.tasks.spawn(crate::index::Indexer::new(Arc::clone(&bus)).run(stop.clone()));
        self.tasks.spawn(async move { notes.run(bus, stop).await });
        #[cfg(feature = "jetstream")]
        self.tasks.spawn(crate::interop::run(Arc::clone(&self.shared), self.stop.clone()));
        let (letters, stop) = (Arc::clone(&self.shared.letters), self.stop.clone());
        self.tasks.spawn(async move { letters.run(stop).await });
        if let Some(address) = options.operations {
            let listener = self.listeners.listen(address).with_context(|| {
                format!("cannot listen on {address} for /healthz, /readyz and /metrics")
            })?;
            self.operations = listener.local_addr().ok();
            let (shared, stop) = (Arc::clone(&self.shared), self.stop.clone());
            self.tasks.spawn(operations::serve(listener, shared, stop));
        }
        let socket = Listener::unix(&options.data).context("cannot listen for commands")?;
        let daemon: Arc<dyn crate::control::Daemon> = Arc::clone(&self.shared) as _;
        self.tasks.spawn(crate::control::serve(socket, Arc::clone(&daemon), self.stop.clone()));
        if let Some((address, tokens)) = &options.control {
            let listener = Listener::tcp(*address, Tokens::from_file(tokens)?).await?;
            self.tasks.spawn(crate::control::serve(listener, daemon, self.stop.clone()));
        }
        Ok(())
    }

    /// The addresses that webhooks listen on, by configured port.
    pub fn addresses(&self) -> BTreeMap<u16, SocketAddr> {
        self.shared.sources.addresses()
    }

    /// Where `/healthz`, `/readyz` and `/metrics` are.
    pub fn operations(&self) -> Option<SocketAddr> {
        self.operations
    }

    /// What is in force.
    pub fn configuration(&self) -> Arc<Configuration> {
        self.shared.configuration.load_full()
    }

    /// Compiled sensors, for explanations.
    pub fn definitions(&self) -> Arc<Definitions> {
        Arc::clone(&self.shared.engine.definitions)
    }

    /// Each target that actions can go to, with where it is.
    pub fn targets(&self) -> BTreeMap<String, String> {
        self.shared.targets.described()
    }

    /// Where actions go whose triggers name no target.
    pub fn default_target(&self) -> &str {
        self.shared.targets.choice().default_target()
    }

    /// The logs and the state.
    pub fn bus(&self) -> Arc<dyn Bus> {
        Arc::clone(&self.shared.bus)
    }

    /// Runs until `stop`, or until the engine cannot go on; then stops everything.
    ///
    /// # Errors
    /// What the engine could not go on with, or that stopping took longer than its grace
    /// period.
    pub async fn run(mut self, stop: CancellationToken) -> anyhow::Result<Ended> {
        if self.watch {
            let (shared, stopping) = (Arc::clone(&self.shared), self.stop.clone());
            self.tasks.spawn(async move { shared.watch(stopping).await });
        }
        let (shared, stopping) = (Arc::clone(&self.shared), self.stop.clone());
        self.tasks.spawn(async move { shared.keep_history(stopping).await });
        let (shared, stopping) = (Arc::clone(&self.shared), self.stop.clone());
        self.tasks.spawn(async move {
            shared.pauses.end_when_due(shared.clock.as_ref(), &stopping).await
        });
        let upgrading = self.shared.upgrading.clone();
        let failed = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            () = upgrading.cancelled() => None,
            failed = self.engine.failed() => Some(failed),
        };
        match failed {
            None => match self.shared.program.clone().filter(|_| !stop.is_cancelled()) {
                None => self.stop().await.map(|()| Ended::Stopped),
                Some(program) => Ok(self.make_room(program).await),
            },
            Some(Ok(())) => anyhow::bail!("the evaluator ended by itself"),
            Some(Err(error)) => Err(error).context("the daemon cannot go on"),
        }
    }

    /// Stops, and keeps the sockets that are listened on. What did not end in time ends with
    /// the program.
    async fn make_room(self, program: upgrade::Program) -> Ended {
        let sockets = self.listeners.take();
        if let Err(error) = self.stop().await {
            tracing::warn!(error = format!("{error:#}"));
        }
        Ended::Upgrade(program, sockets)
    }

    /// Stops event sources, then attempts, then the evaluator with a checkpoint.
    ///
    /// # Errors
    /// It took longer than the grace period. Nothing is lost by that: what is open is gone
    /// on with at the next start.
    pub async fn stop(self) -> anyhow::Result<()> {
        tracing::info!("stopping: event sources first");
        let deadline = tokio::time::Instant::now() + self.grace;
        let sources = tokio::time::timeout(self.grace / 4, self.shared.sources.shutdown()).await;
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        let engine = self.engine.stop(left).await;
        self.shared.targets.stop().await;
        self.stop.cancel();
        self.tasks.close();
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        let tasks =
            tokio::time::timeout(left.max(Duration::from_millis(500)), self.tasks.wait()).await;
        self.shared.backend.close().await;
        if sources.is_err() || engine.is_err() || tasks.is_err() {
            anyhow::bail!(
                "not everything ended within {:?}; what is open is gone on with at the next start",
                self.grace
            );
        }
        tracing::info!("stopped");
        Ok(())
    }
}

fn first_configuration(
    options: &Options,
    definitions: &Definitions,
) -> anyhow::Result<Configuration> {
    let mut configuration = load::load_without_texts(&options.inputs, definitions);
    if options.targets.is_local_unsaid() {
        configuration.refuse_real_upstreams();
    }
    for diagnostic in &configuration.diagnostics {
        if diagnostic.is_error() {
            tracing::error!("{diagnostic}");
        } else {
            tracing::warn!("{diagnostic}");
        }
    }
    if options.strict && configuration.has_errors() {
        return Err(Refused { diagnostics: configuration.diagnostics }.into());
    }
    Ok(configuration)
}

pub(crate) fn secrets(options: &Options) -> Secrets {
    let mut secrets = Secrets::new();
    if let Some(folder) = &options.secrets_folder {
        secrets = secrets.folder(folder);
    }
    if options.secrets_from_environment {
        secrets = secrets.environment(|name| std::env::var(name).ok());
    }
    secrets
}

fn kinds(targets: &Arc<Targets>, secrets: &Arc<SecretStore>, clock: &Arc<dyn Clock>) -> Kinds {
    let http = HttpTrigger::new(Arc::clone(secrets) as _, Arc::clone(clock));
    let log = LogTrigger::new(Arc::clone(clock));
    let mut kinds: Kinds = BTreeMap::from([
        ("http".to_owned(), Arc::new(http) as _),
        ("log".to_owned(), Arc::new(log) as _),
    ]);
    messages::add_kinds(&mut kinds, messages::identities(secrets, accounts::of_targets(targets)));
    targets.add_kinds(&mut kinds);
    kinds
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
