//! `events`, `actions`, `outcomes`, `trace`, `workflows`.

use tripline_bus::Log;
use tripline_event::CorrelationId;
use tripline_event::name::DEFAULT_NAMESPACE;

use super::args::{ListArgs, TraceArgs, TraceFormat, WorkflowsCommand};
use super::dispatch::asked;
use super::output::{Output, note};
use super::{CommandError, Exit, reach};
use crate::control::api::FinishRequest;
use crate::control::{Backend, ControlError, Items, routes};
use crate::query::timeline::several;
use crate::query::workflow::Wanted;
use crate::query::{Filter, Item, LogExtent, Trace, Unknown};

type Answer = Result<Exit, CommandError>;

/// `events`.
pub(super) fn events(args: ListArgs) -> impl AsyncFnOnce(&Backend, &mut Output) -> Answer {
    async move |backend: &Backend, output: &mut Output| {
        let filter = Filter { markers: args.all, ..args.filter.filter() };
        list(backend, output, Log::Events, &args, &filter).await
    }
}

/// `actions`.
pub(super) fn actions(args: ListArgs) -> impl AsyncFnOnce(&Backend, &mut Output) -> Answer {
    async move |backend: &Backend, output: &mut Output| {
        list(backend, output, Log::Actions, &args, &args.filter.filter()).await
    }
}

/// `outcomes`.
pub(super) fn outcomes(args: ListArgs) -> impl AsyncFnOnce(&Backend, &mut Output) -> Answer {
    async move |backend: &Backend, output: &mut Output| {
        list(backend, output, Log::Outcomes, &args, &args.filter.filter()).await
    }
}

async fn list(
    backend: &Backend,
    output: &mut Output,
    log: Log,
    args: &ListArgs,
    filter: &Filter,
) -> Answer {
    let mut items = backend.list(log, filter, args.limit, args.follow).await?;
    if args.follow {
        // What follows has no end.
        reach::below_list(backend, output, &[log]).await?;
    }
    if output.is_json() || args.follow {
        while let Some(item) = items.next().await? {
            if output.is_json() {
                output.line(item.json_line())?
            } else {
                output.line(line(&item))?
            }
        }
    } else {
        let items = all(&mut items).await?;
        let none = format!("no {} that fit", log.as_str());
        output.list(&items, &none, ["time", "position", "kind", "name", "id", "summary"], row)?;
    }
    if !args.follow {
        reach::below_list(backend, output, &[log]).await?;
    } else if !backend.is_running() {
        note("no daemon runs: nothing follows");
    }
    Ok(Exit::Done)
}

async fn all(items: &mut Items) -> Result<Vec<Item>, ControlError> {
    let mut all = Vec::new();
    while let Some(item) = items.next().await? {
        all.push(item);
    }
    Ok(all)
}

fn row(item: &Item) -> [String; 6] {
    [
        item.time.map(|time| format!("{time:.3}")).unwrap_or_default(),
        item.position.to_string(),
        item.kind.clone(),
        item.name.clone(),
        item.id.clone().unwrap_or_default(),
        item.summary.clone(),
    ]
}

/// An item on a line of its own: what follows cannot be aligned with what is not there yet.
fn line(item: &Item) -> String {
    let cells = row(item).map(|cell| crate::query::item::shortened(&cell, 160));
    cells.iter().filter(|cell| !cell.is_empty()).map(String::as_str).collect::<Vec<_>>().join("  ")
}

/// `trace`.
pub(super) fn trace(args: TraceArgs) -> impl AsyncFnOnce(&Backend, &mut Output) -> Answer {
    async move |backend: &Backend, output: &mut Output| {
        let trace = backend.trace(&args.handle).await?;
        match trace {
            Trace::Found(timeline) => {
                let text = |output: &mut Output| {
                    output.text(&match args.format {
                        TraceFormat::Text => timeline.text(output.has_colour()),
                        TraceFormat::Dot => timeline.dot(),
                        TraceFormat::Mermaid => timeline.mermaid(),
                    })
                };
                reach::below(backend, output, &Log::ALL, &timeline, text).await?;
                Ok(Exit::Done)
            }
            Trace::Unknown(unknown) => {
                if output.is_json() {
                    output.json(&unknown)?;
                }
                Err(ControlError::NotFound(looked(&unknown)).into())
            }
        }
    }
}

/// How far was looked, and what is like it.
pub(super) fn looked(unknown: &Unknown) -> String {
    let mut text = format!("nothing is known of `{}`; looked in:", unknown.handle);
    for LogExtent { log, records, oldest, newest, .. } in &unknown.looked {
        let records = several(usize::try_from(*records).unwrap_or(usize::MAX), "record");
        let extent = match (oldest, newest) {
            (Some(oldest), Some(newest)) => format!("{records}, from {oldest:.0} to {newest:.0}"),
            _ => records,
        };
        text.push_str(&format!("\n  {log:<9} {extent}"));
    }
    if !unknown.similar.is_empty() {
        text.push_str("\ndid you mean:");
        for id in &unknown.similar {
            text.push_str(&format!("\n  {}", crate::query::item::shortened(id, 160)));
        }
    }
    text
}

/// `workflows`.
pub(super) fn workflows(command: WorkflowsCommand) -> Answer {
    match command {
        WorkflowsCommand::List { namespace, correlation, phase, target, limit, ask } => {
            let phase = phase.as_deref().map(routes::phase).transpose()?;
            let correlation = correlation.map(CorrelationId);
            let wanted = Wanted { target, namespace, correlation, phase };
            asked(&ask, async |backend: &Backend, output: &mut Output| {
                let workflows = backend.workflows(&wanted, limit).await?;
                let header =
                    ["submitted", "target", "namespace", "name", "phase", "correlation", "action"];
                output.list(&workflows, "no workflows that fit", header, |workflow| {
                    [
                        format!("{:.3}", workflow.created_at),
                        workflow.target.clone(),
                        workflow.namespace.clone(),
                        workflow.name.clone(),
                        workflow.phase.clone(),
                        workflow.correlation.0.clone(),
                        workflow.action.0.clone(),
                    ]
                })?;
                reach::below_list(backend, output, &[Log::Outcomes]).await?;
                Ok(Exit::Done)
            })
        }
        WorkflowsCommand::Get { name, ask } => {
            asked(&ask, async |backend: &Backend, output: &mut Output| {
                let (namespace, name) = workflow_name(&name);
                let workflow = backend.workflow(namespace, name).await?;
                if output.is_json() {
                    output.json(&workflow)?;
                } else {
                    // What a cluster has is for its own tools to show.
                    let text = match &workflow.object {
                        Some(object) => serde_json::to_string_pretty(object),
                        None => serde_json::to_string_pretty(&workflow),
                    };
                    output.line(text.map_err(std::io::Error::other)?)?;
                }
                Ok(Exit::Done)
            })
        }
        WorkflowsCommand::Finish { name, phase, ask } => {
            asked(&ask, async |backend: &Backend, output: &mut Output| {
                let (namespace, name) = workflow_name(&name);
                let request = FinishRequest { phase };
                let workflow = backend.finish_workflow(namespace, name, &request).await?;
                if output.is_json() {
                    output.json(&workflow)?;
                } else {
                    let phase = workflow.phase.as_str();
                    output.line(format_args!("{namespace}/{name} has ended: {phase}"))?;
                }
                Ok(Exit::Done)
            })
        }
    }
}

fn workflow_name(text: &str) -> (&str, &str) {
    text.split_once('/').unwrap_or((DEFAULT_NAMESPACE, text))
}
