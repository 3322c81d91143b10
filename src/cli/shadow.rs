//! `tripline shadow`.

use std::path::PathBuf;

use clap::Args;
use jiff::SignedDuration;
use tripline_event::name::DEFAULT_NAMESPACE;

use super::bus::NatsTls;
use super::output::Format;
use super::when::When;
use super::{CommandError, Exit};

type Answer = Result<Exit, CommandError>;

/// `shadow`.
#[derive(Args, Clone, Debug)]
pub struct ShadowArgs {
    /// Files or folders with the sensors, or `-` for the standard input; without any, those of
    /// the cluster.
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// The servers of Argo Events' bus: nats://HOST:4222, several separated by commas.
    #[arg(long, value_name = "URL")]
    pub nats: String,
    /// The namespace of the sensors and event sources.
    #[arg(short, long, default_value = DEFAULT_NAMESPACE, value_name = "NAME")]
    pub namespace: String,
    /// The cluster with the workflows: this context of the kubeconfig, not its current one.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// What was done since then: a span (24h) or a time.
    #[arg(long, default_value = "24h", value_name = "WHEN")]
    pub since: When,
    /// Only this sensor.
    #[arg(long, value_name = "NAME")]
    pub sensor: Option<String>,
    /// Workflows are deleted after so long, by whomever; older firings without a workflow are
    /// not compared.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub kept: Option<SignedDuration>,
    /// How long Argo Events may take from an event that it has acknowledged to its workflow, which
    /// it creates in the background. Younger firings without one are not compared.
    #[arg(long, default_value = "10s", value_name = "SPAN", value_parser = span)]
    pub settle: SignedDuration,
    /// A file that says who one is on the bus: YAML with username and password, as the key
    /// `client-auth` of Argo Events' Secret has it, or as for `run`.
    #[arg(long, value_name = "FILE")]
    pub nats_access: Option<PathBuf>,
    /// Whom one trusts, and what one shows.
    #[command(flatten)]
    pub tls: NatsTls,
    /// Take any certificate of the server's: the one that Argo Events makes is signed by nobody.
    /// Whoever is in between can read and change what is read.
    #[arg(long, conflicts_with = "nats_ca")]
    pub nats_any_server: bool,
    /// How many examples of each kind are shown of each trigger.
    #[arg(long, default_value_t = 3, value_name = "COUNT")]
    pub examples: usize,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
}

fn span(text: &str) -> Result<SignedDuration, String> {
    let span = super::when::duration(text)?;
    SignedDuration::try_from(span).map_err(|_| format!("`{text}` is too long"))
}

/// `shadow`.
#[cfg(not(all(feature = "jetstream", feature = "kubernetes")))]
pub(super) fn shadow(args: &ShadowArgs) -> Answer {
    let ShadowArgs { nats, .. } = args;
    let missing = if cfg!(feature = "jetstream") { "kubernetes" } else { "jetstream" };
    let why = format!("this build cannot do it: it was built without the feature `{missing}`");
    Err(crate::control::ControlError::Invalid(format!("--nats {nats}: {why}")).into())
}

#[cfg(all(feature = "jetstream", feature = "kubernetes"))]
pub(super) use reading::shadow;

#[cfg(all(feature = "jetstream", feature = "kubernetes"))]
mod reading {
    //! The command, in a build that can read both sides.

    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use tripline_bus::argo::{Argo, ArgoError, Options};
    use tripline_bus::jetstream::OpenError;
    use tripline_config::Input;
    use tripline_event::{Clock as _, ObjectName, SystemClock};
    use tripline_triggers::cluster::Cluster;

    use super::*;
    use crate::cli::output::Output;
    use crate::control::ControlError;
    use crate::daemon::bus::{BusChoice, jetstream};
    use crate::engine::definitions::{CompiledSensor, Definitions};
    use crate::import::cluster;
    use crate::load;
    use crate::shadow::run::ShadowError;
    use crate::shadow::workflows::Made;
    use crate::shadow::{self, MAX_EXAMPLES, Order, Report};

    /// The resource of workflows.
    const WORKFLOWS: (&str, &str) = ("argoproj.io/v1alpha1", "workflows");

    /// `shadow`.
    pub(in crate::cli) fn shadow(args: &ShadowArgs) -> Answer {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let report = runtime.block_on(report(args))?;
        let mut output = Output::stdout(args.output);
        if output.is_json() {
            output.json(&report)?;
        } else {
            output.text(&report.text())?;
        }
        Ok(if report.differs() { Exit::Findings } else { Exit::Done })
    }

    /// The sensors that are compared, and those that are not.
    #[derive(Default)]
    struct Chosen {
        sensors: BTreeMap<ObjectName, Arc<CompiledSensor>>,
        refused: BTreeMap<String, String>,
        remarks: Vec<String>,
    }

    async fn report(args: &ShadowArgs) -> Result<Report, CommandError> {
        let cluster = cluster::cluster(args.context.as_deref())?;
        let inputs = inputs(args, &cluster).await?;
        let definitions = Definitions::default();
        let Chosen { sensors, refused, remarks } = chosen(args, &inputs, &definitions)?;
        let argo = Argo::connect(&options(args)?).await.map_err(unreadable)?;
        let now = SystemClock.now();
        let order = Order {
            definitions: &definitions,
            sensors: &sensors,
            since: args.since.before(now),
            now,
            settles: args.settle,
            kept: args.kept,
            examples: args.examples.min(MAX_EXAMPLES),
        };
        let workflows = async |namespaces: BTreeSet<String>| workflows(&cluster, &namespaces).await;
        let mut report = shadow::run(&order, &argo, &args.namespace, workflows).await?;
        report.refused = refused;
        report.remarks.extend(remarks);
        Ok(report)
    }

    async fn inputs(args: &ShadowArgs, cluster: &Cluster) -> Result<Vec<Input>, CommandError> {
        if !args.paths.is_empty() {
            return Ok(crate::program::inputs(&args.paths)?);
        }
        let objects = cluster::objects_of(cluster, &args.namespace).await;
        objects.map_err(|error| ControlError::Unreachable(error.to_string()).into())
    }

    fn chosen(
        args: &ShadowArgs,
        inputs: &[Input],
        definitions: &Definitions,
    ) -> Result<Chosen, CommandError> {
        let loaded = load::load(inputs, definitions);
        let named = |name: &ObjectName| {
            let wanted = args.sensor.as_deref();
            wanted.is_none_or(|only| only == name.name || only == name.to_string())
        };
        let mut chosen = Chosen::default();
        for ((kind, name), why) in &loaded.invalid {
            if kind == "Sensor" && name.namespace == args.namespace && named(name) {
                chosen.refused.insert(name.to_string(), why.clone());
            }
        }
        let mut elsewhere = BTreeSet::new();
        for (name, sensor) in loaded.sensors {
            if !named(&name) || sensor.compiled.schedule.is_some() {
                continue;
            }
            if name.namespace == args.namespace {
                chosen.sensors.insert(name, sensor.compiled);
            } else {
                elsewhere.insert(name.namespace);
            }
        }
        if !elsewhere.is_empty() {
            let elsewhere = elsewhere.into_iter().collect::<Vec<_>>().join(", ");
            let text = format!("sensors of other namespaces are not compared: {elsewhere}");
            chosen.remarks.push(text);
        }
        if chosen.sensors.is_empty() {
            let which = args.sensor.as_ref().map(|only| format!(" `{only}`")).unwrap_or_default();
            let refused: Vec<String> =
                chosen.refused.iter().map(|(name, why)| format!("\n{name}: {why}")).collect();
            let place = &args.namespace;
            let text =
                format!("there is no sensor{which} in namespace `{place}`{}", refused.concat());
            return Err(ControlError::NotFound(text).into());
        }
        Ok(chosen)
    }

    fn options(args: &ShadowArgs) -> Result<Options, CommandError> {
        let choice = BusChoice {
            nats: Some(args.nats.clone()),
            access: args.nats_access.clone(),
            ca: args.tls.nats_ca.clone(),
            identity: args.tls.identity(),
            ..BusChoice::default()
        };
        let open = jetstream::open_options(&choice, None, None)?;
        let mut tls = open.tls;
        tls.any_server = args.nats_any_server;
        Ok(Options { url: open.url, auth: open.auth, tls, name: "tripline shadow".to_owned() })
    }

    async fn workflows(
        cluster: &Cluster,
        namespaces: &BTreeSet<String>,
    ) -> Result<Vec<Made>, CommandError> {
        let mut all = Vec::new();
        for namespace in namespaces {
            let found = cluster.objects(WORKFLOWS.0, WORKFLOWS.1, namespace).await;
            let found = found.map_err(|error| {
                ControlError::Unreachable(format!("workflows of `{namespace}`: {error}"))
            })?;
            all.extend(found.iter().filter_map(Made::of));
        }
        Ok(all)
    }

    fn unreadable(error: ArgoError) -> CommandError {
        match &error {
            ArgoError::Open(OpenError::Unreachable { .. } | OpenError::Refused { .. })
            | ArgoError::Unavailable(_) => ControlError::Unreachable(error.to_string()).into(),
            ArgoError::NoStream { .. } => ControlError::NotFound(error.to_string()).into(),
            _ => CommandError::Other(error.into()),
        }
    }

    impl From<ShadowError> for CommandError {
        fn from(error: ShadowError) -> Self {
            match error {
                ShadowError::Bus(error) => unreadable(error),
                ShadowError::TooMany => ControlError::Invalid(error.to_string()).into(),
            }
        }
    }
}
