//! What can be typed.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tripline_bus::embedded::Quota;
use tripline_event::Clock as _;
use tripline_event::name::DEFAULT_NAMESPACE;

use super::output::Format;
use super::when::{When, duration};
use crate::control::api::Finished;
use crate::query::{Filter, Match};

/// An event-driven sensor and trigger daemon: reads Argo Events YAML, keeps every event,
/// submits each workflow once.
#[derive(Debug, Parser)]
#[command(
    name = "tripline",
    version,
    long_version = long_version(),
    disable_help_subcommand = true,
    propagate_version = true,
    after_help = EXITS,
    max_term_width = 100
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The version, and the release of the time zone data that are part of the program.
pub fn long_version() -> &'static str {
    static TEXT: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        let zones = tripline_schedules::zone::database_version();
        format!("{} (time zone data {zones})", env!("CARGO_PKG_VERSION"))
    });
    &TEXT
}

const EXITS: &str = "\
Exit codes:
  0  done
  1  something was found, or failed
  2  the command line makes no sense
  3  the daemon, its bus or its data directory cannot be reached
  4  there is no such thing

Begin with:
  tripline demo                 the main job, shown
  tripline init && tripline run .
  tripline help trace           one command
  tripline help TL0304          one code of a message";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows the main job: a message goes in, a workflow comes out.
    #[command(after_help = "Examples:\n  tripline demo\n  tripline demo --data /tmp/demo")]
    Demo(DemoArgs),
    /// Writes a commented starter: an event source, a sensor and its test.
    #[command(
        after_help = "Examples:\n  tripline init\n  tripline init build-then-deploy --dir deploys"
    )]
    Init(InitArgs),
    /// Starts the daemon on these files.
    #[command(
        after_help = "Examples:\n  tripline run .\n  helm template . | tripline run -\n  tripline run ci.yaml --data /srv/tripline --bind 0.0.0.0"
    )]
    Run(RunArgs),
    /// Validates files; exits with 1 where anything is wrong.
    #[command(
        after_help = "Examples:\n  tripline check .\n  helm template . | tripline check -\n  tripline check . --output sarif > findings.sarif"
    )]
    Check(CheckArgs),
    /// Can each upstream, the event bus and each cluster be reached, with these credentials and
    /// rights; exits with 1 where something is to be changed. Changes nothing.
    #[command(
        after_help = "Examples:\n  tripline doctor .\n  tripline doctor . --context prod\n  tripline doctor ci.yaml --nats nats://nats.ci:4222 --output json"
    )]
    Doctor(super::doctor::DoctorArgs),
    /// Prints exactly the object that a trigger would create for an event, and what an API
    /// server says of it.
    #[command(
        after_help = "Examples:\n  tripline render sensor.yaml --event event.json\n  tripline render . --sensor ci/deploy --event build=build.json --event approval=approval.json\n  tripline render sensor.yaml --event event.json --server-dry-run --context prod\n  tripline events --limit 1 --output json | tripline render sensor.yaml --event -"
    )]
    Render(super::render::RenderArgs),
    /// Runs SensorTests: events on a virtual clock, and what is to come of them. Exits with 0
    /// where every case passes, 1 where one fails, 2 where the files are wrong.
    #[command(
        after_help = "Examples:\n  tripline test .\n  tripline test ci/ --filter deploy --junit report.xml\n  tripline test --record build-4711 > ci/build-4711-test.yaml"
    )]
    Test(super::test::TestArgs),
    /// Says what changed sensors would have done with the events of the log: what would fire,
    /// what would no longer fire, and what would be sent otherwise. Changes nothing.
    #[command(
        after_help = "Examples:\n  tripline backtest sensor.yaml --since 7d\n  tripline backtest ci/ --sensor ci/deploy --budget lost=0,changed=0\n  git show HEAD:sensor.yaml | tripline backtest - --output json"
    )]
    Backtest(super::backtest::BacktestArgs),
    /// Says what becomes here of the objects of Argo Events: what runs unchanged, what differs,
    /// what is not supported, and what is to be done. Exits with 1 where anything is to be done.
    #[command(
        after_help = "Examples:\n  tripline import argo/\n  tripline import --context prod -n ci\n  kubectl get eventsources,sensors -A -o yaml | tripline import - --output json"
    )]
    Import(super::import::ImportArgs),
    /// Says what Tripline would have done with the events of Argo Events' own bus, beside what
    /// Argo Events has done: equal, lost there, other parameters. Only reads. Exits with 1 where
    /// they differ.
    #[command(
        after_help = "Examples:\n  tripline shadow --nats nats://bus.ci:4222 -n ci --nats-access auth.yaml --nats-any-server\n  tripline shadow --nats nats://localhost:4222 -n ci --context prod --since 7d --sensor deploy\n  tripline shadow ci/ --nats nats://localhost:4222 -n ci --output json"
    )]
    Shadow(super::shadow::ShadowArgs),
    /// Prints a JSON Schema for editors, or a sample event.
    #[command(
        after_help = "Examples:\n  tripline schema > tripline.schema.json\n  tripline schema Sensor\n  tripline schema event webhook\n\nIn a file, for editors with the YAML language server:\n  # yaml-language-server: $schema=tripline.schema.json"
    )]
    Schema(super::render::SchemaArgs),
    /// Sends an event into the running daemon, as its event source would.
    #[command(
        after_help = "Examples:\n  tripline publish ci/builds/completed --body '{\"action\": \"completed\"}'\n  tripline publish ci/builds/completed --body @build.json --id build-4711\n  ./build | tripline publish ci/builds/completed --body -"
    )]
    Publish(PublishArgs),
    /// One screen: what is down, behind, failing, paused.
    #[command(
        after_help = "Examples:\n  tripline status\n  tripline status --output json | jq .deadLetters"
    )]
    Status(AskArgs),
    /// Lists events.
    #[command(
        after_help = "Examples:\n  tripline events --since 10m\n  tripline events --source builds --match 'body.sha=4f2a*'\n  tripline events -f --output json"
    )]
    Events(ListArgs),
    /// Lists actions: what was decided; `drop` drops those that wait.
    #[command(
        after_help = "Examples:\n  tripline actions --sensor deploy --since 1h\n  tripline actions -f\n  tripline actions drop --older 2h --dry-run"
    )]
    Actions(super::scopes::ActionsArgs),
    /// Lists outcomes: what became of events, actions and workflows.
    #[command(
        after_help = "Examples:\n  tripline outcomes --sensor deploy\n  tripline outcomes -f --correlation build-4711"
    )]
    Outcomes(ListArgs),
    /// The workflows that were submitted, in the local target and in clusters.
    #[command(subcommand, disable_help_subcommand = true)]
    Workflows(WorkflowsCommand),
    /// Lists sensors: what they wait for, hold, and did.
    #[command(after_help = "Examples:\n  tripline sensors")]
    Sensors(AskArgs),
    /// One sensor: what it waits for, lets through and holds; `clear` forgets what it holds.
    #[command(
        after_help = "Examples:\n  tripline sensor ci/deploy\n  tripline sensor deploy -n ci clear --dependency build"
    )]
    Sensor(super::sensor::SensorArgs),
    /// Forgets what a sensor holds of half-met conditions.
    #[command(
        after_help = "Examples:\n  tripline clear ci/deploy --reason 'the build was wrong'\n  tripline clear ci/deploy --dependency build"
    )]
    Clear(super::sensor::ClearArgs),
    /// Why a trigger fired, why not, and whether it would: what each filter saw, what a
    /// condition waited for, what became of the action.
    #[command(
        after_help = "Examples:\n  tripline explain build-4711\n  tripline explain build-4711 --sensor ci/deploy --output json\n  tripline explain --sensor ci/deploy --since 1h\n  cat body.json | tripline explain -\n  cat body.json | tripline explain - --source ci/builds --event-name completed\n  tripline explain --files sensor.yaml --event event.json"
    )]
    Explain(super::explain::ExplainArgs),
    /// The timeline of a chain, from any of its ids.
    #[command(
        after_help = "A handle is a correlation id, an event's or upstream message's id, an action's id or its\nbeginning, a workflow's name (with its namespace or without), or a position.\n\nExamples:\n  tripline trace build-4711\n  tripline trace ci/deploy-x7k2p\n  tripline trace b0169c91 --output json\n  tripline trace build-4711 --format dot | dot -Tsvg > chain.svg"
    )]
    Trace(TraceArgs),
    /// Schedules: when they occur, what they did; pause, trigger, backfill.
    #[command(subcommand, disable_help_subcommand = true)]
    Schedule(super::schedule::ScheduleCommand),
    /// Dead letters: what is not carried out.
    #[command(subcommand, disable_help_subcommand = true)]
    Dlq(DlqCommand),
    /// Starts nothing more: of a sensor, a trigger, a target, or at all.
    #[command(
        after_help = "Examples:\n  tripline pause all --for 30m --reason 'database upgrade'\n  tripline pause sensor/ci/deploy\n  tripline pause --trigger ci/deploy/submit --until 2026-11-21T06:00:00Z\n  tripline pause --target local"
    )]
    Pause(PauseArgs),
    /// Takes a pause back.
    #[command(
        after_help = "Examples:\n  tripline resume all\n  tripline resume sensor/ci/deploy --waiting latest\n  tripline resume --target prod --waiting drop --reason 'the release is off'"
    )]
    Resume(super::scopes::ResumeArgs),
    /// Drops actions that wait; without --yes it only says which.
    #[command(
        after_help = "Examples:\n  tripline drop sensor/ci/deploy\n  tripline drop sensor/ci/deploy --yes --reason 'obsolete'"
    )]
    Drop(super::scopes::DropArgs),
    /// Shows past events to a sensor again and carries out what it decides today; what was
    /// done already stays done, unless --again is given.
    #[command(
        after_help = "Examples:\n  tripline replay --sensor ci/deploy --since 2h --dry-run\n  tripline replay --sensor ci/deploy --since 2026-11-21T03:00:00Z --until 2026-11-21T04:00:00Z\n  tripline replay --sensor ci/deploy --event build-4711 --again --reason 'the cluster was rebuilt'"
    )]
    Replay(super::replay::ReplayArgs),
    /// Who did what, when and why.
    #[command(
        after_help = "Examples:\n  tripline audit\n  tripline audit --since 1d --output json"
    )]
    Audit(super::replay::AuditArgs),
    /// Reads the daemon's files again; --confirm takes a reload that is held into force.
    #[command(after_help = "Examples:\n  tripline reload\n  tripline reload --confirm")]
    Reload(ReloadArgs),
    /// Has the daemon become the program that is at its path now, and refuses no connection.
    #[command(
        after_help = "Examples:\n  tripline upgrade     after the file of the program was replaced"
    )]
    Upgrade(AskArgs),
    /// The connections: source, event, sensor, trigger, and what their workflows publish.
    #[command(
        after_help = "Examples:\n  tripline graph\n  tripline graph --format dot | dot -Tsvg > graph.svg\n  tripline graph --format mermaid ci.yaml     from files, without a daemon"
    )]
    Graph(GraphArgs),
    /// Copies the store to a file, also while the daemon runs.
    #[command(after_help = "Examples:\n  tripline backup /backups/tripline-monday")]
    Backup(BackupArgs),
    /// Puts a backup into the data directory, which no daemon may be using.
    #[command(
        after_help = "Examples:\n  tripline restore /backups/tripline-monday --data /srv/tripline"
    )]
    Restore(RestoreArgs),
    /// The event bus: moves everything from one to another.
    #[command(subcommand, disable_help_subcommand = true)]
    Bus(super::bus::BusCommand),
    /// Prints completions for a shell.
    #[command(
        after_help = "Examples:\n  tripline completions bash > /etc/bash_completion.d/tripline"
    )]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Explains a command, or the code of a message.
    #[command(after_help = "Examples:\n  tripline help dlq retry\n  tripline help TL0304")]
    Help {
        /// A command or a code.
        topic: Vec<String>,
    },
    /// Prints the version.
    #[command(after_help = "Examples:\n  tripline version")]
    Version,
}

/// Where everything durable is.
#[derive(Args, Clone, Debug)]
pub struct DataArgs {
    /// The data directory. By default $XDG_STATE_HOME/tripline, else
    /// ~/.local/state/tripline; for root, /var/lib/tripline.
    #[arg(long, env = "TRIPLINE_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
}

impl DataArgs {
    /// The data directory.
    pub fn path(&self) -> PathBuf {
        let environment =
            |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        self.data.clone().unwrap_or_else(|| {
            default_data(
                rustix::process::getuid().is_root(),
                environment("XDG_STATE_HOME"),
                environment("HOME"),
            )
        })
    }
}

pub(super) fn default_data(root: bool, state: Option<PathBuf>, home: Option<PathBuf>) -> PathBuf {
    match (root, state, home) {
        (true, ..) => PathBuf::from("/var/lib/tripline"),
        (false, Some(state), _) => state.join("tripline"),
        (false, None, Some(home)) => home.join(".local/state/tripline"),
        (false, None, None) => PathBuf::from("tripline-data"),
    }
}

/// Who is asked.
#[derive(Args, Clone, Debug)]
pub struct ServerArgs {
    /// Where it is, if not elsewhere.
    #[command(flatten)]
    pub data: DataArgs,
    /// Ask the daemon at this URL, not the one that runs on the data directory.
    #[arg(long, env = "TRIPLINE_SERVER", value_name = "URL", conflicts_with = "data")]
    pub server: Option<String>,
    /// A file that holds the token for --server.
    #[arg(long, env = "TRIPLINE_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// Who is asked, and how the answer is printed.
#[derive(Args, Clone, Debug)]
pub struct AskArgs {
    /// Who is asked.
    #[command(flatten)]
    pub server: ServerArgs,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
}

/// Which records.
#[derive(Args, Clone, Debug, Default)]
pub struct FilterArgs {
    /// Not before this: a span (10m, 2h, 3d) or a time (2026-11-21T03:00:00Z).
    #[arg(long, value_name = "WHEN")]
    pub since: Option<When>,
    /// Before this.
    #[arg(long, value_name = "WHEN")]
    pub until: Option<When>,
    /// Of this namespace; here and below, * and ? stand for any text and any character.
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Of this event source.
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// Of this event.
    #[arg(long, value_name = "NAME")]
    pub event: Option<String>,
    /// Of this sensor.
    #[arg(long, value_name = "NAME")]
    pub sensor: Option<String>,
    /// Of this trigger.
    #[arg(long, value_name = "NAME")]
    pub trigger: Option<String>,
    /// Of the chain with this correlation id.
    #[arg(long, value_name = "ID")]
    pub correlation: Option<String>,
    /// Whose event has such a value at this path; may be given several times.
    #[arg(long = "match", value_name = "PATH=PATTERN")]
    pub matches: Vec<Match>,
}

impl FilterArgs {
    /// The filter, as seen now.
    pub fn filter(&self) -> Filter {
        let now = tripline_event::SystemClock.now();
        let Self { namespace, source, event, sensor, trigger, correlation, matches, .. } =
            self.clone();
        Filter {
            since: self.since.map(|when| when.before(now)),
            until: self.until.map(|when| when.before(now)),
            namespace,
            source,
            event,
            sensor,
            trigger,
            correlation,
            matches,
            markers: false,
        }
    }
}

/// `events`, `actions`, `outcomes`.
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    /// Which.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// How many, the newest.
    #[arg(short, long, default_value_t = crate::query::DEFAULT_LIMIT, value_name = "COUNT")]
    pub limit: usize,
    /// Go on with what comes.
    #[arg(short, long)]
    pub follow: bool,
    /// Of events, the records of time and plans too.
    #[arg(long)]
    pub all: bool,
    /// Who is asked.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// `trace`.
#[derive(Args, Clone, Debug)]
pub struct TraceArgs {
    /// Any id of the chain.
    pub handle: String,
    /// As what: the timeline, or a drawing of what led to what.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: TraceFormat,
    /// Who is asked.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// How a chain is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TraceFormat {
    /// The timeline.
    #[default]
    Text,
    /// What led to what, for Graphviz.
    Dot,
    /// The same for Mermaid.
    Mermaid,
}

/// `demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// Where what it writes is kept. By default $XDG_STATE_HOME/tripline-demo, else
    /// ~/.local/state/tripline-demo.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// `init`.
#[derive(Args, Clone, Debug)]
pub struct InitArgs {
    /// What for.
    #[arg(value_name = "USE", value_enum, default_value_t)]
    pub usage: super::init::Use,
    /// Where to; it is made if it is not there.
    #[arg(long, default_value = ".", value_name = "DIR")]
    pub dir: PathBuf,
}

/// `run`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Files, folders, or `-` for the standard input.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Where everything durable is.
    #[command(flatten)]
    pub data: DataArgs,
    /// How long to wait for another daemon to let the data directory go, such as 30s.
    #[arg(long, value_parser = duration, value_name = "SPAN")]
    pub lock_wait: Option<Duration>,
    /// How much the event bus in the data directory may take before it refuses new events: a
    /// share of the volume, or a size such as 20GiB.
    #[arg(long, default_value = "50%", value_name = "QUOTA")]
    pub quota: Quota,
    /// The address that webhooks listen on.
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub bind: IpAddr,
    /// Where /healthz, /readyz and /metrics are.
    #[arg(long, default_value = "127.0.0.1:7777", value_name = "ADDRESS:PORT")]
    pub operations: SocketAddr,
    /// Serve no /healthz, /readyz and /metrics.
    #[arg(long, conflicts_with = "operations")]
    pub no_operations: bool,
    /// Serve the control API at this address too, to those with a token.
    #[arg(long, value_name = "ADDRESS:PORT", requires = "control_tokens")]
    pub control: Option<SocketAddr>,
    /// A file of lines `read NAME TOKEN` and `operate NAME TOKEN`.
    #[arg(long, value_name = "FILE", requires = "control")]
    pub control_tokens: Option<PathBuf>,
    /// Where actions go whose triggers name no cluster: `local` keeps workflows in the data
    /// directory, `in-cluster` is the cluster that this process runs in, any other name is
    /// that of a Cluster.
    #[arg(long, value_name = "TARGET")]
    pub target: Option<String>,
    /// A context of your kubeconfig: a cluster of that name, and where actions go unless
    /// --target says otherwise.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Act in clusters with Tripline's own rights, not as the service accounts of the sensors.
    #[arg(long)]
    pub no_impersonation: bool,
    /// The event bus.
    #[command(flatten)]
    pub bus: super::bus::BusArgs,
    /// A folder of secrets, in the shape of mounted Secrets: NAME/KEY.
    #[arg(long, value_name = "DIR")]
    pub secrets: Option<PathBuf>,
    /// Secrets may also be TRIPLINE_SECRET_NAME_KEY in the environment.
    #[arg(long)]
    pub secrets_from_env: bool,
    /// Refuse to start if anything in the files is refused.
    #[arg(long)]
    pub strict: bool,
    /// Do not take changed files up while running.
    #[arg(long)]
    pub no_watch: bool,
    /// How long stopping may take.
    #[arg(long, value_parser = duration, default_value = "25s", value_name = "SPAN")]
    pub grace: Duration,
    /// How the log is written.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// What is logged: a level, or levels of parts (info,tripline_triggers=debug).
    #[arg(long, env = "TRIPLINE_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// `check`.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// Files, folders, or `-` for the standard input.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Warnings are errors.
    #[arg(long)]
    pub strict: bool,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: CheckFormat,
}

/// How `check` prints what it finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// For people.
    #[default]
    Human,
    /// A line of JSON for each finding.
    Json,
    /// Annotations of GitHub's workflows.
    Github,
    /// The Static Analysis Results Interchange Format.
    Sarif,
}

/// `publish`.
#[derive(Args, Clone, Debug)]
pub struct PublishArgs {
    /// The event: [NAMESPACE/]SOURCE/EVENT.
    #[arg(value_name = "EVENT")]
    pub event: String,
    /// The payload: JSON, @FILE, or - for the standard input.
    #[arg(long, default_value = "{}", value_name = "JSON")]
    pub body: String,
    /// A header, as a producer would send it; may be given several times.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// The event's id: what is published twice with one id is one event.
    #[arg(long)]
    pub id: Option<String>,
    /// The namespace, where EVENT names none.
    #[arg(short, long, default_value = DEFAULT_NAMESPACE, value_name = "NAME")]
    pub namespace: String,
    /// With --nats: onto the event bus itself, whether a daemon runs or not.
    #[command(flatten)]
    pub bus: super::bus::BusArgs,
    /// Who is asked.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// `workflows`.
#[derive(Debug, Subcommand)]
pub enum WorkflowsCommand {
    /// Lists them, newest last.
    #[command(
        after_help = "Examples:\n  tripline workflows list\n  tripline workflows list --phase Failed -n ci\n  tripline workflows list --target prod"
    )]
    List {
        /// Of this namespace.
        #[arg(short, long, value_name = "NAME")]
        namespace: Option<String>,
        /// Of the chain with this correlation id.
        #[arg(long, value_name = "ID")]
        correlation: Option<String>,
        /// In this phase: Recorded, Submitted, Pending, Running, Succeeded, Failed, Error,
        /// Deleted, Unknown.
        #[arg(long, value_name = "PHASE")]
        phase: Option<String>,
        /// In this target: `local`, or a cluster.
        #[arg(long, value_name = "NAME")]
        target: Option<String>,
        /// How many, the newest.
        #[arg(short, long, default_value_t = crate::query::DEFAULT_LIMIT, value_name = "COUNT")]
        limit: usize,
        /// Who is asked.
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Prints one: as it was submitted, or what is known of it where it is in a cluster.
    #[command(after_help = "Examples:\n  tripline workflows get ci/deploy-x7k2p")]
    Get {
        /// The workflow: [NAMESPACE/]NAME.
        name: String,
        /// Who is asked.
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Says that one of the local target has ended.
    #[command(after_help = "Examples:\n  tripline workflows finish ci/deploy-x7k2p --phase Failed")]
    Finish {
        /// The workflow: [NAMESPACE/]NAME.
        name: String,
        /// How.
        #[arg(long, value_enum, default_value = "Succeeded", value_name = "PHASE")]
        phase: Finished,
        /// Who is asked.
        #[command(flatten)]
        ask: AskArgs,
    },
}

/// `dlq`.
#[derive(Debug, Subcommand)]
pub enum DlqCommand {
    /// Lists dead letters, newest last.
    #[command(
        after_help = "Examples:\n  tripline dlq list\n  tripline dlq list --by-cause\n  tripline dlq list --cause refused --sensor deploy"
    )]
    List {
        /// Which.
        #[command(flatten)]
        which: LetterArgs,
        /// Count them by cause, trigger and error.
        #[arg(long)]
        by_cause: bool,
        /// Those that were retried or dropped too.
        #[arg(long)]
        closed: bool,
        /// Who is asked.
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Shows one, with copies of its events.
    #[command(after_help = "Examples:\n  tripline dlq show b0169c91")]
    Show {
        /// Its id, or the beginning of it.
        id: String,
        /// Who is asked.
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Sends dead letters back to be carried out.
    #[command(
        after_help = "Examples:\n  tripline dlq retry b0169c91\n  tripline dlq retry --all --cause exhausted\n  tripline dlq retry --all --cause render --current"
    )]
    Retry {
        /// Their ids, or the beginnings of them.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        ids: Vec<String>,
        /// All that the filters let through.
        #[arg(long)]
        all: bool,
        /// Render with the sensor as it is today, and not as it was when it decided.
        #[arg(long)]
        current: bool,
        /// Which, with --all.
        #[command(flatten)]
        which: LetterArgs,
        /// Who is asked.
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Gives dead letters up.
    #[command(after_help = "Examples:\n  tripline dlq drop b0169c91 --reason 'obsolete'")]
    Drop {
        /// Their ids, or the beginnings of them.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        ids: Vec<String>,
        /// All that the filters let through.
        #[arg(long)]
        all: bool,
        /// Why.
        #[arg(long)]
        reason: Option<String>,
        /// Which, with --all.
        #[command(flatten)]
        which: LetterArgs,
        /// Who is asked.
        #[command(flatten)]
        ask: AskArgs,
    },
}

/// Which dead letters.
#[derive(Args, Clone, Debug)]
pub struct LetterArgs {
    /// What their outcomes and events must fit.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Only of this cause: render, refused, exhausted, expired, nameTaken, unknown, loop,
    /// parked, malformed.
    #[arg(long, value_name = "CAUSE")]
    pub cause: Option<String>,
    /// How many, the newest.
    #[arg(short, long, default_value_t = crate::query::DEFAULT_LIMIT, value_name = "COUNT")]
    pub limit: usize,
}

/// `pause`.
#[derive(Args, Clone, Debug)]
pub struct PauseArgs {
    /// What.
    #[command(flatten)]
    pub scope: super::scopes::ScopeArgs,
    /// For how long, or until when, such as 30m or 2026-11-21T03:00:00Z; without it, until it
    /// is resumed.
    #[arg(long = "for", visible_alias = "until", value_name = "WHEN")]
    pub until: Option<When>,
    /// Why: others will see it.
    #[arg(long)]
    pub reason: Option<String>,
    /// Who is asked.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// `reload`.
#[derive(Args, Clone, Debug)]
pub struct ReloadArgs {
    /// Take a reload that is held back into force.
    #[arg(long)]
    pub confirm: bool,
    /// Who is asked.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// `graph`.
#[derive(Args, Clone, Debug)]
pub struct GraphArgs {
    /// Files or folders; without any, what the running daemon has, with what flowed.
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// As what.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: GraphFormat,
    /// Count what flowed since then.
    #[arg(long, value_name = "WHEN")]
    pub since: Option<When>,
    /// Who is asked.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// How a graph is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// A tree.
    #[default]
    Text,
    /// Graphviz.
    Dot,
    /// Mermaid.
    Mermaid,
}

/// `backup`.
#[derive(Args, Clone, Debug)]
pub struct BackupArgs {
    /// The file to write, on the daemon's machine; it must not be there yet.
    pub file: PathBuf,
    /// Who is asked.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// `restore`.
#[derive(Args, Clone, Debug)]
pub struct RestoreArgs {
    /// The backup.
    pub file: PathBuf,
    /// Where to.
    #[command(flatten)]
    pub data: DataArgs,
    /// Replace what the data directory holds: it is lost.
    #[arg(long)]
    pub force: bool,
}
