//! `tripline schedule`.

mod next;
mod week;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use tripline_event::ObjectName;
use tripline_event::name::DEFAULT_NAMESPACE;
use tripline_schedules::policy::OverlapPolicy;
use tripline_schedules::zone;

use super::args::AskArgs;
use super::dispatch::asked;
use super::output::Output;
use super::when::When;
use super::{CommandError, Exit};
use crate::control::schedules::{ScheduleAnswer, ScheduleOrder};
use crate::control::{Backend, ControlError};
use crate::engine::schedules::events::Request;
use crate::engine::schedules::view::ScheduleView;
pub use next::NextArgs;

type Answer = Result<Exit, CommandError>;

/// What is done with schedules.
#[derive(Debug, Subcommand)]
pub enum ScheduleCommand {
    /// Lists schedules: when they occur next, and what they did.
    #[command(after_help = "Examples:\n  tripline schedule list")]
    List(AskArgs),
    /// Everything about one: next and recent runs, counters, why it is paused.
    #[command(after_help = "Examples:\n  tripline schedule describe ci/nightly")]
    Describe(OneArgs),
    /// When schedules in files occur, without a daemon; changes of clocks are marked.
    #[command(
        after_help = "Examples:\n  tripline schedule next ci.yaml\n  tripline schedule next . --schedule ci/nightly --from 2026-10-20T00:00:00Z\n  tripline schedule next . --week\n  tripline schedule next . --from 2026-01-01T00:00:00Z --to 2036-01-01T00:00:00Z"
    )]
    Next(NextArgs),
    /// Passes over the ticks of a schedule until it is resumed.
    #[command(
        after_help = "Examples:\n  tripline schedule pause ci/nightly --note 'database upgrade'"
    )]
    Pause {
        /// Which.
        #[command(flatten)]
        one: OneArgs,
        /// Why.
        #[arg(long, default_value = "", value_name = "TEXT")]
        note: String,
    },
    /// Takes a pause back. Ticks in between do not come back: see `backfill`.
    #[command(after_help = "Examples:\n  tripline schedule resume ci/nightly")]
    Resume(OneArgs),
    /// Starts a run now.
    #[command(
        after_help = "Examples:\n  tripline schedule trigger ci/nightly\n  tripline schedule trigger ci/nightly --overlap AllowAll"
    )]
    Trigger {
        /// Which.
        #[command(flatten)]
        one: OneArgs,
        /// What happens if a run is still going, instead of the schedule's own policy.
        #[arg(long, value_parser = overlap, value_name = "POLICY")]
        overlap: Option<OverlapPolicy>,
    },
    /// Starts the runs of a period, whatever became of them then.
    #[command(
        after_help = "Examples:\n  tripline schedule backfill ci/nightly --start 7d --end 0s --dry-run\n  tripline schedule backfill ci/nightly --start 7d --end 0s --overlap BufferAll"
    )]
    Backfill(BackfillArgs),
    /// Writes a Schedule from Temporal's JSON; what differs is said on the error output.
    #[command(after_help = "Examples:\n  tripline schedule import nightly.json > nightly.yaml")]
    Import {
        /// The file, or - for the standard input.
        file: String,
        /// The name of the Schedule.
        #[arg(long, default_value = "imported", value_name = "NAME")]
        name: String,
    },
}

/// Which schedule, and who is asked.
#[derive(Args, Clone, Debug)]
pub struct OneArgs {
    /// Its name, with its namespace (`ci/nightly`) and kind (`cronworkflow/ci/nightly`) where they are needed.
    #[arg(value_name = "SCHEDULE")]
    pub name: String,
    /// Its namespace, where the name has none.
    #[arg(short, long, default_value = DEFAULT_NAMESPACE, value_name = "NAME")]
    pub namespace: String,
    /// Who is asked.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// A period.
#[derive(Args, Clone, Debug)]
pub struct BackfillArgs {
    /// Which.
    #[command(flatten)]
    pub one: OneArgs,
    /// The first nominal time: a time, or a span before now.
    #[arg(long, value_name = "WHEN")]
    pub start: When,
    /// The last one.
    #[arg(long, value_name = "WHEN")]
    pub end: When,
    /// What happens if a run is still going, instead of the schedule's own policy.
    #[arg(long, value_parser = overlap, value_name = "POLICY")]
    pub overlap: Option<OverlapPolicy>,
    /// The most runs; the first ones count.
    #[arg(long, value_name = "COUNT")]
    pub max: Option<u64>,
    /// Only list the runs.
    #[arg(long)]
    pub dry_run: bool,
    /// More than 50 runs are meant.
    #[arg(long)]
    pub yes: bool,
}

fn overlap(text: &str) -> Result<OverlapPolicy, String> {
    serde_json::from_value(text.into()).map_err(|_| {
        format!(
            "`{text}` is no policy: Skip, BufferOne, BufferAll, CancelOther, TerminateOther, AllowAll, Replace"
        )
    })
}

/// The kind, where it is said, and the name.
fn parse(args: &OneArgs) -> Result<(Option<String>, ObjectName), ControlError> {
    let parts: Vec<&str> = args.name.split('/').collect();
    let kind = parts.first().and_then(|first| match first.to_ascii_lowercase().as_str() {
        "cronworkflow" => Some("CronWorkflow".to_owned()),
        "schedule" => Some("Schedule".to_owned()),
        _ => None,
    });
    let kind = kind.filter(|_| parts.len() > 1);
    let rest = if kind.is_some() { &parts[1..] } else { &parts[..] };
    match rest {
        [name] => Ok((kind, ObjectName::new(&args.namespace, *name))),
        [namespace, name] => Ok((kind, ObjectName::new(*namespace, *name))),
        _ => Err(ControlError::Invalid(format!(
            "`{}` is no schedule: expected [cronworkflow/|schedule/][NAMESPACE/]NAME",
            args.name
        ))),
    }
}

/// `schedule`.
pub(super) fn schedule(command: ScheduleCommand) -> Answer {
    match command {
        ScheduleCommand::List(ask) => asked(&ask, list),
        ScheduleCommand::Describe(one) => asked(&one.ask.clone(), describe(one)),
        ScheduleCommand::Next(args) => next::next(&args),
        ScheduleCommand::Pause { one, note } => order(one, Request::Pause { note }),
        ScheduleCommand::Resume(one) => order(one, Request::Resume),
        ScheduleCommand::Trigger { one, overlap } => order(one, Request::Trigger { overlap }),
        ScheduleCommand::Backfill(args) => asked(&args.one.ask.clone(), backfill(args)),
        ScheduleCommand::Import { file, name } => import(&file, &name),
    }
}

async fn list(backend: &Backend, output: &mut Output) -> Answer {
    let schedules = backend.schedules().await?;
    let header = ["schedule", "kind", "next", "last", "runs", "skipped", "state"];
    output.list(&schedules, "no schedules", header, |schedule| {
        let counters = schedule.counters;
        let skipped = counters.overlap_skipped
            + counters.missed_catch_up
            + counters.buffer_dropped
            + counters.condition_skipped;
        [
            schedule.name.to_string(),
            schedule.kind.clone(),
            schedule.next.first().map(|at| local(*at, schedule)).unwrap_or_default(),
            schedule.recent.first().map(|run| local(run.run.nominal, schedule)).unwrap_or_default(),
            counters.actions.to_string(),
            skipped.to_string(),
            state(schedule),
        ]
    })?;
    Ok(Exit::Done)
}

fn state(schedule: &ScheduleView) -> String {
    match &schedule.paused {
        Some(note) if note.is_empty() => "paused".to_owned(),
        Some(note) => format!("paused: {note}"),
        None if schedule.finished => "finished".to_owned(),
        None if schedule.running.is_empty() => "waits".to_owned(),
        None => format!("{} running", schedule.running.len()),
    }
}

fn local(at: Timestamp, schedule: &ScheduleView) -> String {
    match zone::load(&schedule.zone) {
        Ok(zone) => at.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S %:z").to_string(),
        Err(_) => format!("{at:.0}"),
    }
}

fn describe(one: OneArgs) -> impl AsyncFnOnce(&Backend, &mut Output) -> Answer {
    async move |backend: &Backend, output: &mut Output| {
        let (kind, name) = parse(&one)?;
        let all = backend.schedules().await?;
        let is_it = |schedule: &&ScheduleView| {
            schedule.name == name && kind.as_ref().is_none_or(|kind| *kind == schedule.kind)
        };
        let found: Vec<_> = all.iter().filter(is_it).collect();
        if found.is_empty() {
            return Err(ControlError::NotFound(format!("there is no schedule {name}")).into());
        }
        for schedule in found {
            if output.is_json() {
                output.json(schedule)?;
            } else {
                show(schedule, output)?;
            }
        }
        Ok(Exit::Done)
    }
}

fn show(schedule: &ScheduleView, output: &mut Output) -> std::io::Result<()> {
    output.heading(&format!("{} {}", schedule.kind, schedule.name))?;
    let counters = schedule.counters;
    output.line(format_args!(
        "state      {}\nzone       {} (zone data {})\noverlap    {}\nevents of  {}",
        state(schedule),
        schedule.zone,
        zone::database_version(),
        schedule.overlap,
        schedule.source
    ))?;
    if let Some(left) = schedule.remaining_actions {
        output.line(format_args!("left       {left} actions"))?;
    }
    output.line(format_args!(
        "counters   {} started, {} succeeded, {} failed; skipped: {} overlap, {} missed, {} buffer, {} condition",
        counters.actions,
        counters.succeeded,
        counters.failed,
        counters.overlap_skipped,
        counters.missed_catch_up,
        counters.buffer_dropped,
        counters.condition_skipped
    ))?;
    output.line(format_args!(
        "open       {} running, {} waiting, {} backfills",
        schedule.running.len(),
        schedule.waiting,
        schedule.backfills
    ))?;
    if let Some(failure) = &schedule.last_failure {
        let error = failure.error.as_deref().unwrap_or("it failed");
        output.line(format_args!("failed     {}: {error}", failure.run))?;
    }
    for (title, times) in [("recent", None), ("next", Some(&schedule.next))] {
        match times {
            None => {
                for run in &schedule.recent {
                    let end = run.end.map_or_else(String::new, |end| format!("{end:?}"));
                    let at = local(run.run.nominal, schedule);
                    output.line(format_args!("{title:<10} {at}  {end}"))?;
                }
            }
            Some(times) => {
                for at in times {
                    output.line(format_args!("{title:<10} {}", local(*at, schedule)))?;
                }
            }
        }
    }
    Ok(())
}

fn order(one: OneArgs, request: Request) -> Answer {
    asked(&one.ask.clone(), async move |backend: &Backend, output: &mut Output| {
        let (kind, name) = parse(&one)?;
        let order = ScheduleOrder { name, kind, request, dry_run: false, yes: false };
        let answer = backend.order_schedule(&order).await?;
        if output.is_json() {
            output.json(&answer)?;
        } else {
            let schedule = &answer.schedule;
            output.line(format_args!(
                "{} {}: {}",
                schedule.kind,
                schedule.name,
                state(schedule)
            ))?;
        }
        Ok(Exit::Done)
    })
}

fn backfill(args: BackfillArgs) -> impl AsyncFnOnce(&Backend, &mut Output) -> Answer {
    async move |backend: &Backend, output: &mut Output| {
        let (kind, name) = parse(&args.one)?;
        let now = backend.now();
        let request = Request::Backfill {
            start: args.start.before(now),
            end: args.end.before(now),
            overlap: args.overlap,
            max: args.max.unwrap_or(u64::MAX),
        };
        let order = ScheduleOrder { name, kind, request, dry_run: args.dry_run, yes: args.yes };
        let answer: ScheduleAnswer = backend.order_schedule(&order).await?;
        if output.is_json() {
            output.json(&answer)?;
            return Ok(Exit::Done);
        }
        let ticks = answer.ticks.iter().map(|at| [local(*at, &answer.schedule), at.to_string()]);
        if answer.dry_run {
            output.table(["local", "utc"], ticks)?;
        }
        let runs = answer.count.min(args.max.unwrap_or(u64::MAX));
        match answer.dry_run {
            true => output.line(format_args!("{runs} runs would be started"))?,
            false => output.line(format_args!(
                "{runs} runs are started, one after another as the policy says"
            ))?,
        }
        Ok(Exit::Done)
    }
}

/// The most that is read of a file.
const MAX_IMPORT_BYTES: u64 = 4 * 1024 * 1024;

fn import(file: &str, name: &str) -> Answer {
    use std::io::Read as _;
    let mut text = String::new();
    if file == "-" {
        std::io::stdin().take(MAX_IMPORT_BYTES).read_to_string(&mut text)?;
    } else {
        std::fs::File::open(file)?.take(MAX_IMPORT_BYTES).read_to_string(&mut text)?;
    }
    let value: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| ControlError::Invalid(format!("{file} is no JSON: {error}")))?;
    let imported =
        tripline_schedules::schedule::temporal::import(&value).map_err(ControlError::Invalid)?;
    for warning in &imported.warnings {
        super::output::note(&format!("warning: {warning}"));
    }
    // JSON is YAML.
    let object = serde_json::json!({
        "apiVersion": "tripline.dev/v1",
        "kind": "Schedule",
        "metadata": {"name": name},
        "spec": imported.spec,
    });
    let text = serde_json::to_string_pretty(&object)
        .map_err(|error| ControlError::Failed(error.to_string()))?;
    Output::stdout(super::output::Format::Human).line(text)?;
    Ok(Exit::Done)
}
