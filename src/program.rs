//! What the commands run that are more than a question: the daemon, `check`, `demo`.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tripline_config::Input;
use tripline_eventsources::Listeners;

use crate::check;
use crate::cli::args::{CheckArgs, CheckFormat, DemoArgs, LogFormat, RunArgs};
use crate::cli::doctor::DoctorArgs;
use crate::cli::explain::ExplainArgs;
use crate::cli::render::RenderArgs;
use crate::cli::{Exit, Output, Programs};
use crate::daemon::targets::TargetChoice;
use crate::daemon::upgrade::{Program, sockets_given};
use crate::daemon::{Daemon, Ended, Options};
use crate::engine::definitions::Definitions;
use crate::graph;
use crate::load;
use crate::query::GraphConfig;
use crate::render;

/// The most that is read from the standard input.
const MAX_INPUT_BYTES: u64 = 64 * 1024 * 1024;

/// How long a program that takes the place of another waits for the data directory.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// The programs of this binary.
#[derive(Clone, Copy, Debug, Default)]
pub struct Binary;

impl Programs for Binary {
    fn run(&self, args: RunArgs) -> anyhow::Result<Exit> {
        log_to_stderr(&args.log, args.log_format)?;
        let mut options = options(&args)?;
        let given = sockets_given()?;
        if !given.is_empty() {
            // A command may look into the directory while nobody runs on it.
            options.lock_wait.get_or_insert(LOCK_WAIT);
        }
        options.listeners = Arc::new(Listeners::given(given));
        options.program = Some(Program::current()?);
        let runtime = runtime()?;
        match runtime.block_on(run(options))? {
            Ended::Stopped => Ok(Exit::Done),
            Ended::Upgrade(program, sockets) => {
                runtime.shutdown_background();
                Err(program.replace(&sockets))
            }
        }
    }

    fn check(&self, args: CheckArgs) -> anyhow::Result<Exit> {
        let report = check::check(&inputs(&args.paths)?, args.strict);
        let format = match args.output {
            CheckFormat::Human => check::Format::Human,
            CheckFormat::Json => check::Format::Json,
            CheckFormat::Github => check::Format::Github,
            CheckFormat::Sarif => check::Format::Sarif,
        };
        let colour = coloured();
        std::io::stdout().write_all(report.render(format, colour).as_bytes())?;
        Ok(if report.is_ok() { Exit::Done } else { Exit::Findings })
    }

    fn doctor(&self, args: DoctorArgs) -> anyhow::Result<Exit> {
        let mut options = Options::new(inputs(&args.paths)?, args.data.path());
        options.bind = args.bind;
        options.secrets_folder = args.secrets;
        options.secrets_from_environment = args.secrets_from_env;
        options.targets = TargetChoice {
            context: args.context,
            default: args.target,
            no_impersonation: args.no_impersonation,
        };
        options.bus = args.bus.choice()?;
        let report = runtime()?.block_on(crate::doctor::examine(options))?;
        report.print(&mut Output::stdout(args.output))?;
        Ok(if report.is_good() { Exit::Done } else { Exit::Findings })
    }

    fn demo(&self, args: DemoArgs) -> anyhow::Result<Exit> {
        log_to_stderr("warn", LogFormat::Text)?;
        let data = match args.data {
            Some(data) => data,
            None => demo_data()?,
        };
        let mut stdout = std::io::stdout();
        runtime()?.block_on(crate::demo::demo(data, &mut stdout, coloured()))?;
        Ok(Exit::Done)
    }

    fn render(&self, args: &RenderArgs) -> anyhow::Result<render::Outcome> {
        let order = render::Order {
            inputs: inputs(&args.paths)?,
            sensor: args.sensor.clone(),
            trigger: args.trigger.clone(),
            events: args.read_events()?,
        };
        if args.server_dry_run { dry_run(&order, args) } else { render::render(&order) }
    }

    fn explain(&self, args: &ExplainArgs) -> anyhow::Result<crate::explain::Explanation> {
        crate::explain::offline::explain(&crate::explain::offline::Order {
            inputs: inputs(&args.files)?,
            sensor: args.sensor.clone(),
            events: crate::cli::render::read_events(&args.events)?,
        })
    }

    fn graph(&self, paths: &[PathBuf]) -> anyhow::Result<GraphConfig> {
        let configuration = load::load(&inputs(paths)?, &Definitions::default());
        for diagnostic in
            configuration.diagnostics.iter().filter(|diagnostic| diagnostic.is_error())
        {
            eprintln!("{diagnostic}");
        }
        Ok(graph::config(&configuration))
    }
}

#[cfg(feature = "kubernetes")]
fn dry_run(order: &render::Order, args: &RenderArgs) -> anyhow::Result<render::Outcome> {
    let mut options = Options::new(Vec::new(), PathBuf::new());
    options.secrets_folder.clone_from(&args.secrets);
    options.secrets_from_environment = args.secrets_from_env;
    let targets = TargetChoice {
        context: args.context.clone(),
        default: args.target.clone(),
        no_impersonation: args.no_impersonation,
    };
    let server = render::dry_run::Server { targets, secrets: crate::daemon::secrets(&options) };
    runtime()?.block_on(render::dry_run::render(order, server))
}

#[cfg(not(feature = "kubernetes"))]
fn dry_run(_: &render::Order, _: &RenderArgs) -> anyhow::Result<render::Outcome> {
    anyhow::bail!("this build knows no clusters: it was built without the feature `kubernetes`")
}

fn coloured() -> bool {
    anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never
}

/// What the demo writes is kept, so that the commands that it ends with work.
fn demo_data() -> anyhow::Result<PathBuf> {
    let state =
        std::env::var_os("XDG_STATE_HOME").filter(|state| !state.is_empty()).map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/state"));
    let state = state.or(home).context("neither HOME nor XDG_STATE_HOME is set: give --data")?;
    Ok(state.join("tripline-demo"))
}

/// One processor is left to the thread that writes the store, which everything waits for:
/// on two processors that takes a fifth less time for an event than two workers that hand
/// tasks to each other. `TOKIO_WORKER_THREADS` says otherwise.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if std::env::var_os("TOKIO_WORKER_THREADS").is_none() {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        builder.worker_threads(processors.saturating_sub(1).max(1));
    }
    Ok(builder.enable_all().build()?)
}

/// The inputs that a command line names: files, folders, and `-` for the standard input.
///
/// # Errors
/// The standard input cannot be read, or is too long.
pub fn inputs(paths: &[PathBuf]) -> anyhow::Result<Vec<Input>> {
    let input = |path: &PathBuf| {
        if path.as_os_str() != "-" {
            return Ok(Input::Path(path.clone()));
        }
        let mut text = Vec::new();
        std::io::stdin()
            .take(MAX_INPUT_BYTES + 1)
            .read_to_end(&mut text)
            .context("standard input cannot be read")?;
        anyhow::ensure!(
            text.len() as u64 <= MAX_INPUT_BYTES,
            "standard input is longer than {MAX_INPUT_BYTES} bytes"
        );
        Ok(Input::text("<stdin>", text))
    };
    paths.iter().map(input).collect()
}

fn options(args: &RunArgs) -> anyhow::Result<Options> {
    let mut options = Options::new(inputs(&args.paths)?, args.data.path());
    options.lock_wait = args.lock_wait;
    options.quota = args.quota;
    options.bind = args.bind;
    options.operations = (!args.no_operations).then_some(args.operations);
    options.control = args.control.zip(args.control_tokens.clone());
    options.secrets_folder.clone_from(&args.secrets);
    options.secrets_from_environment = args.secrets_from_env;
    options.targets = TargetChoice {
        context: args.context.clone(),
        default: args.target.clone(),
        no_impersonation: args.no_impersonation,
    };
    options.bus = args.bus.choice()?;
    options.strict = args.strict;
    options.watch = !args.no_watch;
    options.grace = args.grace;
    Ok(options)
}

fn log_to_stderr(filter: &str, format: LogFormat) -> anyhow::Result<()> {
    // What its client says of a connection is said by those who have it, once for each change.
    // A filter that names it wins.
    let filter = format!("async_nats=off,{filter}");
    let filter = tracing_subscriber::EnvFilter::try_new(filter).context("--log")?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let set = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    set.map_err(|error| anyhow::anyhow!("the log cannot be set up: {error}"))
}

async fn run(options: Options) -> anyhow::Result<Ended> {
    let data = options.data.clone();
    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signal(stop.clone())?);
    let daemon = Daemon::start(options).await?;
    let configuration = daemon.configuration();
    let target = daemon.default_target();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        target,
        data = %data.display(),
        event_sources = configuration.sources.len(),
        sensors = configuration.sensors.len(),
        invalid = configuration.invalid.len(),
        "Tripline runs; workflows go to the target `{target}`, unless their triggers name another"
    );
    for (name, description) in daemon.targets() {
        tracing::info!("target `{name}`: {description}");
    }
    for (kind, count) in &configuration.skipped {
        tracing::info!(count, "skipped {kind}: it is not Tripline's");
    }
    if configuration.is_empty() {
        tracing::warn!(
            "no event source and no sensor was found: the daemon waits for files to change"
        );
    }
    for (port, address) in daemon.addresses() {
        tracing::info!(%address, "webhooks of port {port}");
    }
    if let Some(address) = daemon.operations() {
        tracing::info!("http://{address}/healthz, /readyz and /metrics");
    }
    daemon.run(stop).await
}

/// The first SIGTERM or SIGINT stops in the grace period; a second one ends at once, which
/// loses nothing either.
fn stop_on_signal(stop: CancellationToken) -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        for again in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if again {
                tracing::warn!("ended at once: what is open is gone on with at the next start");
                std::process::exit(1);
            }
            stop.cancel();
        }
    })
}

/// Prepares what is global to the process.
///
/// # Errors
/// Never in a process that does it once.
pub fn prepare() -> anyhow::Result<()> {
    let installed = rustls::crypto::ring::default_provider().install_default();
    installed.map_err(|_| anyhow::anyhow!("a TLS provider was chosen before"))
}
