//! `sensor` and `clear`.

use clap::{Args, ValueEnum};
use tripline_event::name::DEFAULT_NAMESPACE;
use tripline_event::{ObjectName, Timestamp};

use super::args::AskArgs;
use super::output::Output;
use super::{CommandError, Exit};
use crate::control::Backend;
use crate::control::sensor::{ClearRequest, HeldView, SensorView};
use crate::query::item::shortened;
use crate::query::relative::age;
use crate::query::timeline::several;

type Answer = Result<Exit, CommandError>;

/// `sensor`.
#[derive(Args, Clone, Debug)]
pub struct SensorArgs {
    /// The sensor: [NAMESPACE/]NAME.
    pub name: String,
    /// What to do; without it, it is only looked at.
    #[arg(value_enum, value_name = "ACTION")]
    pub action: Option<SensorAction>,
    /// What to clear.
    #[command(flatten)]
    pub which: WhichArgs,
    /// Who is asked.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// What can be done with a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SensorAction {
    /// Forget what its half-met conditions hold.
    Clear,
}

/// `clear`.
#[derive(Args, Clone, Debug)]
pub struct ClearArgs {
    /// The sensor: [NAMESPACE/]NAME.
    pub name: String,
    /// What to clear.
    #[command(flatten)]
    pub which: WhichArgs,
    /// Who is asked.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// Which of what a sensor holds.
#[derive(Args, Clone, Debug)]
pub struct WhichArgs {
    /// The namespace, where NAME has none.
    #[arg(short, long, default_value = DEFAULT_NAMESPACE, value_name = "NAME")]
    pub namespace: String,
    /// Of a clear: what is held of this dependency alone.
    #[arg(long, value_name = "NAME")]
    pub dependency: Option<String>,
    /// Of a clear: why; others will see it.
    #[arg(long)]
    pub reason: Option<String>,
}

fn name(text: &str, namespace: &str) -> ObjectName {
    let (namespace, name) = text.split_once('/').unwrap_or((namespace, text));
    ObjectName::new(namespace, name)
}

/// `sensor`.
pub(super) fn sensor(args: SensorArgs) -> impl AsyncFnOnce(&Backend, &mut Output) -> Answer {
    async move |backend: &Backend, output: &mut Output| {
        let name = name(&args.name, &args.which.namespace);
        if args.action == Some(SensorAction::Clear) {
            return forget(backend, output, name, args.which).await;
        }
        let view = backend.sensor(&name).await?;
        if output.is_json() {
            output.json(&view)?;
        } else {
            print(&view, backend.now(), output)?;
        }
        Ok(Exit::Done)
    }
}

/// `clear`.
pub(super) fn clear(args: ClearArgs) -> impl AsyncFnOnce(&Backend, &mut Output) -> Answer {
    async move |backend: &Backend, output: &mut Output| {
        let name = name(&args.name, &args.which.namespace);
        forget(backend, output, name, args.which).await
    }
}

async fn forget(
    backend: &Backend,
    output: &mut Output,
    sensor: ObjectName,
    which: WhichArgs,
) -> Answer {
    let WhichArgs { dependency, reason, .. } = which;
    let report =
        backend.clear(&ClearRequest { sensor: sensor.clone(), dependency, reason }).await?;
    if output.is_json() {
        output.json(&report)?;
        return Ok(Exit::Done);
    }
    match report.held.as_slice() {
        [] => output.line(format_args!("{sensor} held nothing"))?,
        held => {
            let forgotten = several(held.len(), "event");
            output.line(format_args!("{sensor} holds {forgotten} less: it was"))?;
            table(held.iter(), backend.now(), output)?;
        }
    }
    Ok(Exit::Done)
}

fn print(view: &SensorView, now: Timestamp, output: &mut Output) -> std::io::Result<()> {
    let last = view.last_fired.map(|at| format!(", the last time {} ago", age(at, now)));
    output.heading(&shortened(&view.name.to_string(), 200))?;
    output.line(format_args!(
        "fired {} since the daemon was started{}",
        times(view.fired),
        last.unwrap_or_default()
    ))?;
    output.line("")?;
    output.table(
        ["waits for", "event", "passed", "filtered", "errors"],
        view.dependencies.iter().map(|dependency| {
            [
                dependency.name.clone(),
                format!("{}/{}", dependency.source, dependency.event),
                dependency.passed.to_string(),
                dependency.filtered.to_string(),
                dependency.errors.to_string(),
            ]
        }),
    )?;
    output.line("")?;
    output.table(
        ["trigger", "kind", "condition"],
        view.triggers.iter().map(|trigger| {
            let condition = trigger.conditions.clone();
            [trigger.name.clone(), trigger.kind.clone(), condition.unwrap_or("all".to_owned())]
        }),
    )?;
    output.line("")?;
    let held: Vec<_> = view.triggers.iter().flat_map(|trigger| &trigger.held).collect();
    if held.is_empty() {
        return output.line("holds nothing: no condition is half met");
    }
    output.line("holds, while other events are waited for:")?;
    table(held.into_iter(), now, output)
}

fn table<'h>(
    held: impl Iterator<Item = &'h HeldView>,
    now: Timestamp,
    output: &mut Output,
) -> std::io::Result<()> {
    output.table(
        ["dependency", "event id", "correlation", "position", "since"],
        held.map(|held| {
            [
                held.dependency.clone(),
                held.id.to_string(),
                held.correlation.to_string(),
                held.position.to_string(),
                format!("{} ago", age(held.since, now)),
            ]
        }),
    )
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}
