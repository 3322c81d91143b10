//! `publish`, `pause`, `resume`, `drop`, `reload`.

use std::io::Read as _;

use serde_json::value::RawValue;
use tripline_bus::MAX_RECORD_BYTES;

use super::args::{PauseArgs, PublishArgs, ReloadArgs};
use super::output::Output;
use super::scopes::{DropActionsArgs, DropArgs, ResumeArgs, ScopeArgs};
use super::{CommandError, Exit};
use crate::control::api::Accepted;
use crate::control::steering::{Choice, DropRequest, ResumeRequest, WaitingOf};
use crate::control::{Backend, ControlError, PauseRequest, PublishRequest, scope};
use crate::query::relative::age;

type Answer = Result<Exit, CommandError>;

/// `publish`.
pub(super) fn publish(args: PublishArgs) -> impl AsyncFnOnce(&Backend, &mut Output) -> Answer {
    async move |backend: &Backend, output: &mut Output| {
        accepted(&backend.publish(&request(&args)?).await?, output)
    }
}

/// Says what became of an event.
pub(super) fn accepted(accepted: &Accepted, output: &mut Output) -> Answer {
    if output.is_json() {
        output.json(accepted)?;
    } else {
        let what = if accepted.duplicate { "was there already" } else { "is durable" };
        let id = crate::query::item::shortened(accepted.id.as_str(), 200);
        output.line(format_args!("event {id} {what} at {}", accepted.position))?;
        let chain = crate::query::item::shortened(accepted.correlation.as_str(), 200);
        output.line(format_args!("follow it with: tripline trace '{chain}'"))?;
    }
    Ok(Exit::Done)
}

pub(super) fn request(args: &PublishArgs) -> Result<PublishRequest, CommandError> {
    let parts: Vec<&str> = args.event.split('/').collect();
    let (namespace, source, event) = match parts[..] {
        [source, event] => (args.namespace.as_str(), source, event),
        [namespace, source, event] => (namespace, source, event),
        _ => {
            let text = format!("`{}` is no event: expected [NAMESPACE/]SOURCE/EVENT", args.event);
            return Err(ControlError::Invalid(text).into());
        }
    };
    let text = body(&args.body)?;
    let data = RawValue::from_string(text)
        .map_err(|error| ControlError::Invalid(format!("--body is no JSON: {error}")))?;
    let headers = args.headers.iter().map(|text| header(text)).collect::<Result<_, _>>()?;
    Ok(PublishRequest {
        namespace: namespace.to_owned(),
        source: source.to_owned(),
        event: event.to_owned(),
        data,
        headers,
        id: args.id.clone(),
    })
}

fn body(text: &str) -> Result<String, CommandError> {
    let limit = MAX_RECORD_BYTES as u64;
    let mut body = String::new();
    let read = match (text, text.strip_prefix('@')) {
        ("-", _) => std::io::stdin().lock().take(limit + 1).read_to_string(&mut body)?,
        (_, Some(path)) => std::fs::File::open(path)
            .and_then(|file| file.take(limit + 1).read_to_string(&mut body))
            .map_err(|error| ControlError::Invalid(format!("--body {path}: {error}")))?,
        (text, None) => return Ok(text.trim().to_owned()),
    };
    if read as u64 > limit {
        let text = format!("--body is larger than the {limit} bytes that the event bus takes");
        return Err(ControlError::Invalid(text).into());
    }
    Ok(body.trim().to_owned())
}

fn header(text: &str) -> Result<(String, String), ControlError> {
    let wrong = || ControlError::Invalid(format!("`{text}` is no header: expected `NAME: VALUE`"));
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// The scope, with its namespace.
fn whole(args: &ScopeArgs) -> Result<String, ControlError> {
    let ScopeArgs { what, all, sensor, trigger, target, namespace } = args;
    let text = match (what, all, sensor, trigger, target) {
        (Some(what), ..) => what.clone(),
        (_, true, ..) => "all".to_owned(),
        (.., Some(sensor), _, _) => format!("sensor/{sensor}"),
        (.., Some(trigger), _) => format!("trigger/{trigger}"),
        (.., Some(target)) => format!("target/{target}"),
        _ => String::new(),
    };
    Ok(scope::text(&scope::parse(&text, namespace)?))
}

/// `pause`.
pub(super) fn pause(args: PauseArgs) -> impl AsyncFnOnce(&Backend, &mut Output) -> Answer {
    async move |backend: &Backend, output: &mut Output| {
        let until = args.until.map(|when| when.after(backend.now()));
        let scope = whole(&args.scope)?;
        let request = PauseRequest { scope, until, reason: args.reason };
        backend.pause(&request).await?;
        let until = until.map_or_else(
            || format!("until `tripline resume {}`", request.scope),
            |at| format!("until {at:.0}"),
        );
        if output.is_json() {
            output.json(&request)?
        } else {
            output.line(format_args!("{} is paused {until}", request.scope))?
        }
        Ok(Exit::Done)
    }
}

/// `resume`.
pub(super) fn resume(args: ResumeArgs) -> impl AsyncFnOnce(&Backend, &mut Output) -> Answer {
    async move |backend: &Backend, output: &mut Output| {
        let ResumeArgs { scope, waiting, reason, .. } = args;
        let request = ResumeRequest { scope: whole(&scope)?, waiting, reason };
        let report = backend.resume(&request).await?;
        if output.is_json() {
            output.json(&report)?;
            return Ok(Exit::Done);
        }
        waited(&report.waiting, backend, output)?;
        let what = match report.choice {
            Some(Choice::Latest) => ": of those that waited, the newest",
            Some(Choice::Drop) => ": what waited is dropped",
            Some(Choice::All) | None => "",
        };
        output.line(format_args!("{} goes on{what}", report.scope))?;
        Ok(Exit::Done)
    }
}

fn waited(waiting: &[WaitingOf], backend: &Backend, output: &mut Output) -> std::io::Result<()> {
    if waiting.is_empty() {
        return output.line("nothing waited");
    }
    let now = backend.now();
    let header = ["trigger", "waiting", "oldest", "in the log alone"];
    output.table(
        header,
        waiting.iter().map(|of| {
            let oldest = of.oldest.map(|at| age(at, now)).unwrap_or_default();
            [of.trigger.to_string(), of.waiting.to_string(), oldest, of.unread.to_string()]
        }),
    )
}

/// `drop`.
pub(super) fn drop(args: DropArgs) -> impl AsyncFnOnce(&Backend, &mut Output) -> Answer {
    async move |backend: &Backend, output: &mut Output| {
        let request = DropRequest {
            scope: whole(&args.scope)?,
            older_ms: args.older.map(milliseconds),
            reason: args.reason,
            dry_run: !args.yes,
            ..DropRequest::default()
        };
        dropped(backend, output, &request, "--yes does it").await
    }
}

/// `actions drop`.
pub(super) fn drop_actions(
    args: DropActionsArgs,
) -> impl AsyncFnOnce(&Backend, &mut Output) -> Answer {
    async move |backend: &Backend, output: &mut Output| {
        let pairs = [
            ("namespace", args.namespace),
            ("sensor", args.sensor),
            ("trigger", args.trigger),
            ("correlation", args.correlation),
        ];
        let given = pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let request = DropRequest {
            filter: given.collect(),
            older_ms: Some(milliseconds(args.older)),
            reason: args.reason,
            dry_run: args.dry_run,
            ..DropRequest::default()
        };
        dropped(backend, output, &request, "without --dry-run they are").await
    }
}

fn milliseconds(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

async fn dropped(
    backend: &Backend,
    output: &mut Output,
    request: &DropRequest,
    how: &str,
) -> Answer {
    let report = backend.drop_waiting(request).await?;
    if output.is_json() {
        output.json(&report)?;
        return Ok(Exit::Done);
    }
    let all: u64 = report.waiting.iter().map(|of| of.waiting).sum();
    let unread: u64 = report.waiting.iter().map(|of| of.unread).sum();
    if all > 0 {
        waited(&report.waiting, backend, output)?;
    }
    match report.dry_run {
        true => output.line(format_args!("{all} would be dropped: {how}"))?,
        false => output.line(format_args!("{all} dropped"))?,
    }
    if unread > 0 {
        output.line(format_args!(
            "{unread} more wait in the log alone: those of them that fit are dropped when they are read"
        ))?;
    }
    Ok(Exit::Done)
}

/// `reload`. Exits with 1 where it is held back or something is not in force.
pub(super) fn reload(args: ReloadArgs) -> impl AsyncFnOnce(&Backend, &mut Output) -> Answer {
    async move |backend: &Backend, output: &mut Output| {
        let report = backend.reload(args.confirm).await?;
        if output.is_json() {
            output.json(&report)?;
        } else {
            output.line(format_args!(
                "plan {}: {} added, {} changed, {} removed",
                report.plan, report.added, report.changed, report.removed
            ))?;
            for object in &report.invalid {
                let (kind, name, place) = (&object.kind, &object.name, &object.place);
                output.line(format_args!("{kind} {name} {place}: {}", object.message))?;
            }
            if let Some(why) = &report.held {
                let text = output.bad(&format!("held back until --confirm: {why}"));
                output.line(text)?;
            }
        }
        let fine = report.held.is_none() && report.invalid.is_empty();
        Ok(if fine { Exit::Done } else { Exit::Findings })
    }
}
