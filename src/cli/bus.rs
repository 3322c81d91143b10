//! `bus copy`, `publish --nats`, and what names a bus on the command line.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::args::PublishArgs;
use super::output::{Format, Output};
use super::{CommandError, Exit, steering};
use crate::bus_copy::{self, End};
use crate::daemon::bus::BusChoice;

type Answer = Result<Exit, CommandError>;

/// The NATS servers that are the event bus, and who one is there.
#[derive(Args, Clone, Debug, Default)]
pub struct BusArgs {
    /// Keep events on JetStream at these NATS servers (nats://HOST:4222, several separated by
    /// commas; tls:// for TLS), not in the data directory. Goes before an EventBus.
    #[arg(long, env = "TRIPLINE_NATS", value_name = "URL")]
    pub nats: Option<String>,
    /// What names of streams begin with; `tripline` where neither this nor an EventBus says.
    #[arg(long, value_name = "PREFIX")]
    pub nats_prefix: Option<String>,
    /// On how many servers streams are kept that are made: three of a cluster, else one.
    #[arg(long, value_name = "COUNT")]
    pub nats_replicas: Option<usize>,
    /// How many bytes of events are kept before new ones are refused, in streams that are made.
    #[arg(long, value_name = "BYTES")]
    pub nats_max_bytes: Option<u64>,
    /// A file that says who one is: a .creds file, YAML with username and password, or with
    /// token, or a token or the seed of an nkey as it is.
    #[arg(long, env = "TRIPLINE_NATS_ACCESS", value_name = "FILE")]
    pub nats_access: Option<PathBuf>,
    /// Whom one trusts, and what one shows.
    #[command(flatten)]
    pub tls: NatsTls,
}

/// The certificates of a connection to NATS servers.
#[derive(Args, Clone, Debug, Default)]
pub struct NatsTls {
    /// A file of PEM certificates: who may have signed the server's.
    #[arg(long, value_name = "FILE")]
    pub nats_ca: Option<PathBuf>,
    /// One's own certificate for the server, in PEM.
    #[arg(long, value_name = "FILE", requires = "nats_key")]
    pub nats_cert: Option<PathBuf>,
    /// The key of --nats-cert, in PEM.
    #[arg(long, value_name = "FILE", requires = "nats_cert")]
    pub nats_key: Option<PathBuf>,
}

impl NatsTls {
    /// One's own certificate and its key, where they are given: they go together.
    pub fn identity(&self) -> Option<(PathBuf, PathBuf)> {
        self.nats_cert.clone().zip(self.nats_key.clone())
    }
}

impl BusArgs {
    /// What was said.
    pub fn choice(&self) -> anyhow::Result<BusChoice> {
        let empty = self.nats.as_ref().is_some_and(|url| url.trim().is_empty());
        anyhow::ensure!(!empty, "--nats is empty: expected nats://HOST:4222");
        Ok(BusChoice {
            nats: self.nats.clone(),
            prefix: self.nats_prefix.clone(),
            replicas: self.nats_replicas,
            max_bytes: self.nats_max_bytes,
            access: self.nats_access.clone(),
            ca: self.tls.nats_ca.clone(),
            identity: self.tls.identity(),
        })
    }
}

/// `bus`.
#[derive(Debug, Subcommand)]
pub enum BusCommand {
    /// Copies events, actions, outcomes and state to another bus, positions included. No
    /// daemon may run on either. Begun again, it goes on where it broke off.
    #[command(
        after_help = "Examples:\n  tripline bus copy --from /var/lib/tripline --to nats://nats.ci:4222\n  tripline bus copy --from nats://nats.ci:4222/team-a --to ./data"
    )]
    Copy {
        /// From where: a data directory, or nats://HOST:4222/PREFIX.
        #[arg(long, value_name = "BUS")]
        from: String,
        /// Where to: a data directory, or nats://HOST:4222/PREFIX. It must be empty.
        #[arg(long, value_name = "BUS")]
        to: String,
        /// Who one is at the NATS server, as for `run`.
        #[arg(long, env = "TRIPLINE_NATS_ACCESS", value_name = "FILE")]
        nats_access: Option<PathBuf>,
        /// Who may have signed the NATS server's certificate, in PEM.
        #[arg(long, value_name = "FILE")]
        nats_ca: Option<PathBuf>,
        /// On how many servers streams are kept that are made.
        #[arg(long, value_name = "COUNT")]
        nats_replicas: Option<usize>,
        /// How to print.
        #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
        output: Format,
    },
}

/// `bus …`.
pub(super) fn bus(command: BusCommand) -> Answer {
    let BusCommand::Copy { from, to, nats_access, nats_ca, nats_replicas, output } = command;
    let choice = BusChoice {
        access: nats_access,
        ca: nats_ca,
        replicas: nats_replicas,
        ..BusChoice::default()
    };
    let (from, to) = (end(&from, &choice), end(&to, &choice));
    let copied = runtime()?.block_on(bus_copy::run(&from, &to))?;
    let mut output = Output::stdout(output);
    let [events, actions, outcomes] = copied.records;
    let keys = copied.keys;
    if output.is_json() {
        let copied = serde_json::json!({"events": events, "actions": actions, "outcomes": outcomes, "keys": keys});
        output.json(&copied)?;
    } else {
        output.line(format_args!(
            "copied {events} events, {actions} actions, {outcomes} outcomes and {keys} keys; positions are the same"
        ))?;
    }
    Ok(Exit::Done)
}

fn runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().map_err(CommandError::Io)
}

/// A path, or a NATS server with the prefix as its path.
fn end(text: &str, choice: &BusChoice) -> End {
    let Some((scheme, rest)) = text.split_once("://") else {
        return End::Directory(PathBuf::from(text));
    };
    let (host, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    End::Nats(BusChoice {
        nats: Some(format!("{scheme}://{host}")),
        prefix: (!prefix.is_empty()).then(|| prefix.to_owned()),
        ..choice.clone()
    })
}

/// `publish --nats`: onto the bus itself, as a webhook would take it in. A daemon that runs
/// sees it within a second; one that does not, when it is started.
#[cfg(feature = "jetstream")]
pub(super) fn publish(args: &PublishArgs) -> Answer {
    use std::sync::Arc;

    use tripline_bus::jetstream::JetStreamBus;

    let request = steering::request(args)?;
    let accepted = runtime()?.block_on(async {
        let choice = args.bus.choice()?;
        let open = crate::daemon::bus::jetstream::open_options(&choice, None, None)?;
        let bus = JetStreamBus::open(&open).await.map_err(unreachable)?;
        crate::daemon::publish_onto(Arc::new(bus), request).await.map_err(CommandError::from)
    })?;
    steering::accepted(&accepted, &mut Output::stdout(args.ask.output))
}

#[cfg(feature = "jetstream")]
fn unreachable(error: tripline_bus::jetstream::OpenError) -> CommandError {
    crate::control::ControlError::Unreachable(error.to_string()).into()
}

#[cfg(not(feature = "jetstream"))]
pub(super) fn publish(_: &PublishArgs) -> Answer {
    let text = "this build knows no JetStream: it was built without the feature `jetstream`";
    Err(anyhow::anyhow!(text).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_a_path_or_a_server_with_a_prefix() {
        let nats = |url: &str, prefix: Option<&str>| {
            End::Nats(BusChoice {
                nats: Some(url.to_owned()),
                prefix: prefix.map(str::to_owned),
                ..BusChoice::default()
            })
        };
        for (text, expected) in [
            ("./data", End::Directory("./data".into())),
            ("nats://h:4222", nats("nats://h:4222", None)),
            ("tls://h:4222/team-a", nats("tls://h:4222", Some("team-a"))),
        ] {
            assert_eq!(end(text, &BusChoice::default()), expected);
        }
    }
}
