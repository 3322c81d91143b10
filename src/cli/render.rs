//! `render` and `schema`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::output::{Output, note};
use super::{CommandError, Exit};
use crate::control::ControlError;
use crate::render::{Rendered, ServerAnswer};
use crate::schemas;

type Answer = Result<Exit, CommandError>;

/// `render`.
#[derive(Args, Clone, Debug)]
pub struct RenderArgs {
    /// The files or folders that hold the sensor, or `-` for the standard input.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// An event: a line of `tripline events --output json`, or the data of one alone, in a
    /// file. DEPENDENCY= says what it is for. May be given several times.
    #[arg(short, long = "event", required = true, value_name = "[DEPENDENCY=]FILE")]
    pub events: Vec<String>,
    /// Only this trigger.
    #[arg(long, value_name = "NAME")]
    pub trigger: Option<String>,
    /// Which sensor, where the files hold several: [NAMESPACE/]NAME.
    #[arg(long, value_name = "NAME")]
    pub sensor: Option<String>,
    /// Sends each object to the API server of its cluster, which does everything with it but
    /// store it (`dryRun=All`), with the rights that the daemon would have; prints what it says,
    /// and exits with 1 where one is not accepted. The cluster is that of --context, or the
    /// Cluster of the files that the daemon would choose.
    #[arg(long)]
    pub server_dry_run: bool,
    /// As for `run`.
    #[arg(long, value_name = "NAME", requires = "server_dry_run")]
    pub context: Option<String>,
    /// As for `run`.
    #[arg(long, value_name = "TARGET", requires = "server_dry_run")]
    pub target: Option<String>,
    /// As for `run`.
    #[arg(long, requires = "server_dry_run")]
    pub no_impersonation: bool,
    /// As for `run`.
    #[arg(long, value_name = "DIR", requires = "server_dry_run")]
    pub secrets: Option<PathBuf>,
    /// As for `run`.
    #[arg(long, requires = "server_dry_run")]
    pub secrets_from_env: bool,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: RenderFormat,
}

/// How a rendered object is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RenderFormat {
    /// The objects as documents of YAML, which `kubectl create -f -` takes.
    #[default]
    Yaml,
    /// A line of JSON for each, with the trigger and its kind.
    Json,
}

impl RenderArgs {
    /// The events: what each is for, and its text.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn read_events(&self) -> Result<Vec<(Option<String>, String)>, ControlError> {
        read_events(&self.events)
    }
}

/// Reads events as they are given: what each is for, and its text.
///
/// # Errors
/// A file cannot be read.
pub fn read_events(events: &[String]) -> Result<Vec<(Option<String>, String)>, ControlError> {
    let one = |text: &String| {
        let (dependency, file) = match text.split_once('=') {
            Some((dependency, file)) => (Some(dependency.to_owned()), file),
            None => (None, text.as_str()),
        };
        Ok((dependency, read(Path::new(file))?))
    };
    events.iter().map(one).collect()
}

fn read(path: &Path) -> Result<String, ControlError> {
    let mut text = String::new();
    let read = match path.to_str() {
        Some("-") => std::io::stdin().read_to_string(&mut text).map(drop),
        _ => std::fs::read_to_string(path).map(|read| text = read),
    };
    read.map_err(|error| ControlError::Invalid(format!("event {}: {error}", path.display())))?;
    Ok(text)
}

/// Prints what was rendered; what was not goes to the error output.
///
/// # Errors
/// The output is closed.
pub fn print(
    outcome: &crate::render::Outcome,
    format: RenderFormat,
    output: &mut Output,
) -> Answer {
    outcome.notes.iter().for_each(|text| note(text));
    for (index, rendered) in outcome.rendered.iter().enumerate() {
        if format == RenderFormat::Json {
            output.json(rendered)?;
            continue;
        }
        if index > 0 {
            output.line("---")?;
        }
        let target = rendered.target.as_ref().map(|target| format!(" in {target}"));
        let target = target.unwrap_or_default();
        output.line(format_args!("# {} ({}){target}", rendered.trigger, rendered.kind))?;
        if let Some(answer) = &rendered.server {
            said(answer, output)?;
        }
        output.text(&super::yaml::text(&rendered.object))?;
    }
    let good = |of: &Rendered| of.server.as_ref().is_none_or(|answer| answer.verdict.is_good());
    let all_good = !outcome.rendered.is_empty() && outcome.rendered.iter().all(good);
    Ok(if all_good { Exit::Done } else { Exit::Findings })
}

/// Prints what an API server says, as comments: what is printed stays YAML.
fn said(answer: &ServerAnswer, output: &mut Output) -> std::io::Result<()> {
    let ServerAnswer { verdict, cause, said } = answer;
    let cause = cause.map(|cause| format!(" ({cause})")).unwrap_or_default();
    let text = format!("server dry run: {}{cause}: {said}", verdict.words());
    // A message from outside must neither control the terminal nor end its comment.
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    for line in text.lines() {
        output.line(format_args!("# {}", line.chars().map(plain).collect::<String>()))?;
    }
    Ok(())
}

/// `schema`.
#[derive(Args, Clone, Debug)]
pub struct SchemaArgs {
    /// `Sensor`, `EventSource`, or a kind of source or trigger (`webhook`, `argoWorkflow`);
    /// without one, all objects. `event KIND`: a sample event of a kind of event source.
    #[arg(num_args = 0..=2, value_names = ["KIND", "SOURCE"])]
    pub what: Vec<String>,
}

/// `schema`.
pub(super) fn schema(args: &SchemaArgs, output: &mut Output) -> Answer {
    let what: Vec<&str> = args.what.iter().map(String::as_str).collect();
    let found = match what.as_slice() {
        [] => Some(schemas::all()),
        ["event", kind] => schemas::sample_event(kind),
        ["event"] => {
            let text = "schema event KIND: which kind of event source?".to_owned();
            return Err(ControlError::Invalid(text).into());
        }
        [kind] => schemas::of(kind),
        _ => None,
    };
    let value = found.ok_or_else(|| {
        ControlError::NotFound(format!(
            "there is no schema of `{}`; there are {}",
            what.join(" "),
            schemas::names().join(", ")
        ))
    })?;
    output.line(pretty(&value))?;
    Ok(Exit::Done)
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
