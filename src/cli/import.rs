//! `tripline import`.

use std::path::PathBuf;

use clap::Args;
use tripline_config::Input;
use tripline_event::name::DEFAULT_NAMESPACE;

use super::output::{Format, Output};
use super::{CommandError, Exit};
use crate::control::ControlError;
use crate::import;

type Answer = Result<Exit, CommandError>;

/// `import`.
#[derive(Args, Clone, Debug)]
pub struct ImportArgs {
    /// Files and folders with the objects of Argo Events, or `-` for the standard input.
    #[arg(required_unless_present = "context", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// The objects of a cluster: this context of the kubeconfig. They are only read.
    #[arg(long, value_name = "NAME", conflicts_with = "paths")]
    pub context: Option<String>,
    /// Of this namespace of the cluster.
    #[arg(short, long, default_value = DEFAULT_NAMESPACE, value_name = "NAME", requires = "context")]
    pub namespace: String,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
}

/// `import`.
pub(super) fn import(args: &ImportArgs) -> Answer {
    let report = import::examine(&inputs(args)?);
    let mut output = Output::stdout(args.output);
    if output.is_json() {
        output.json(&report)?;
    } else {
        output.text(&report.text())?;
    }
    if report.objects.is_empty() {
        let what = "there is no EventSource, Sensor, EventBus or CronWorkflow".to_owned();
        return Err(ControlError::NotFound(what).into());
    }
    Ok(if report.is_ready() { Exit::Done } else { Exit::Findings })
}

fn inputs(args: &ImportArgs) -> Result<Vec<Input>, CommandError> {
    let Some(context) = &args.context else { return Ok(crate::program::inputs(&args.paths)?) };
    #[cfg(feature = "kubernetes")]
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let objects = runtime.block_on(import::cluster::objects(context, &args.namespace));
        objects.map_err(|error| ControlError::Unreachable(error.to_string()).into())
    }
    #[cfg(not(feature = "kubernetes"))]
    {
        let why = "this build knows no clusters: it was built without the feature `kubernetes`";
        Err(ControlError::Invalid(format!("--context {context}: {why}")).into())
    }
}
