//! `replay`, `audit`.

use clap::Args;
use tripline_bus::Log;
use tripline_event::name::DEFAULT_NAMESPACE;
use tripline_event::{EventId, ObjectName};

use super::args::AskArgs;
use super::output::Output;
use super::when::When;
use super::{CommandError, Exit, reach};
use crate::control::replay::{ReplayReport, ReplayRequest};
use crate::control::{Backend, ControlError};
use crate::query::Filter;
use crate::query::relative::age;

type Answer = Result<Exit, CommandError>;

/// `replay`.
#[derive(Args, Clone, Debug)]
pub struct ReplayArgs {
    /// The sensor: [NAMESPACE/]NAME.
    #[arg(long, value_name = "SENSOR")]
    pub sensor: String,
    /// Events not before this: a span (10m, 2h, 3d) or a time (2026-11-21T03:00:00Z).
    #[arg(long, value_name = "WHEN", required_unless_present = "event")]
    pub since: Option<When>,
    /// Events before this.
    #[arg(long, value_name = "WHEN")]
    pub until: Option<When>,
    /// The event with this id alone.
    #[arg(long, value_name = "ID")]
    pub event: Option<String>,
    /// Do again what was done already. Without this it stays done.
    #[arg(long)]
    pub again: bool,
    /// Only say what would be done.
    #[arg(long)]
    pub dry_run: bool,
    /// Why: others will see it.
    #[arg(long)]
    pub reason: Option<String>,
    /// The namespace, where SENSOR names none.
    #[arg(short, long, default_value = DEFAULT_NAMESPACE, value_name = "NAME")]
    pub namespace: String,
    /// Who is asked.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// `audit`.
#[derive(Args, Clone, Debug)]
pub struct AuditArgs {
    /// Not before this: a span (10m, 2h, 3d) or a time (2026-11-21T03:00:00Z).
    #[arg(long, value_name = "WHEN")]
    pub since: Option<When>,
    /// Before this.
    #[arg(long, value_name = "WHEN")]
    pub until: Option<When>,
    /// How many, the newest.
    #[arg(short, long, default_value_t = crate::query::DEFAULT_LIMIT, value_name = "COUNT")]
    pub limit: usize,
    /// Who is asked.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// Carries `replay` out.
pub(super) fn replay(args: ReplayArgs) -> impl AsyncFnOnce(&Backend, &mut Output) -> Answer {
    async move |backend: &Backend, output: &mut Output| {
        let now = backend.now();
        let request = ReplayRequest {
            sensor: sensor(&args.sensor, &args.namespace)?,
            since: args.since.map(|when| when.before(now)),
            until: args.until.map(|when| when.before(now)),
            event: args.event.map(EventId),
            again: args.again,
            dry_run: args.dry_run,
            reason: args.reason,
        };
        let report = backend.replay(&request).await?;
        let logs = [Log::Events];
        reach::below(backend, output, &logs, &report, |output| print(&report, output)).await?;
        Ok(Exit::Done)
    }
}

fn print(report: &ReplayReport, output: &mut Output) -> std::io::Result<()> {
    if !report.actions.is_empty() {
        output.table(
            ["action", "trigger", "events", "what"],
            report.actions.iter().map(|action| {
                let events: Vec<&str> = action.events.iter().map(|id| id.as_str()).collect();
                let what = match (action.known, report.dry_run, action.generation) {
                    (true, ..) => "was decided before: stays as it is".to_owned(),
                    (false, true, _) => "would be carried out".to_owned(),
                    (false, false, 0) => "is carried out".to_owned(),
                    (false, false, times) => format!("is carried out again ({times})"),
                };
                [action.id.to_string(), action.trigger.to_string(), events.join(", "), what]
            }),
        )?;
    }
    let new = report.actions.iter().filter(|action| !action.known).count();
    let what = if report.dry_run { "would be carried out" } else { "are carried out" };
    let (events, all) = (report.events, report.actions.len());
    output.line(format_args!("{events} events, {all} actions, {new} of them {what}"))?;
    if !report.dry_run && new > 0 {
        output.line(format_args!("replay {}", report.id))?;
    }
    Ok(())
}

fn sensor(text: &str, namespace: &str) -> Result<ObjectName, ControlError> {
    match text.split('/').collect::<Vec<_>>()[..] {
        [name] if !name.is_empty() => Ok(ObjectName::new(namespace, name)),
        [namespace, name] if !namespace.is_empty() && !name.is_empty() => {
            Ok(ObjectName::new(namespace, name))
        }
        _ => {
            Err(ControlError::Invalid(format!("`{text}` is no sensor: expected [NAMESPACE/]NAME")))
        }
    }
}

/// Carries `audit` out.
pub(super) fn audit(args: AuditArgs) -> impl AsyncFnOnce(&Backend, &mut Output) -> Answer {
    async move |backend: &Backend, output: &mut Output| {
        let now = backend.now();
        let filter = Filter {
            since: args.since.map(|when| when.before(now)),
            until: args.until.map(|when| when.before(now)),
            ..Filter::default()
        };
        let entries = backend.audit(&filter, args.limit).await?;
        let header = ["time", "age", "who", "did", "to", "how many", "why"];
        output.list(&entries, "nobody did anything", header, |entry| {
            [
                format!("{:.0}", entry.at),
                age(entry.at, now),
                entry.who.clone(),
                entry.did.clone(),
                entry.subject.clone(),
                entry.count.map(|count| count.to_string()).unwrap_or_default(),
                entry.reason.clone().unwrap_or_default(),
            ]
        })?;
        reach::below_list(backend, output, &[Log::Outcomes]).await?;
        Ok(Exit::Done)
    }
}
