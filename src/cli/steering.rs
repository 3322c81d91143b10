//! `publish`, `pause`, `resume`, `drop`, `reload`.

use std::io::Read as _;

use serde_json::value::RawValue;
use tripline_bus::MAX_RECORD_BYTES;

use super::args::{DropArgs, PauseArgs, PublishArgs, ReloadArgs, ResumeArgs, ScopeArgs};
use super::output::Output;
use super::{CommandError, Exit};
use crate::control::api::Accepted;
use crate::control::{Backend, ControlError, PauseRequest, PublishRequest, scope};

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
    Ok(scope::text(&scope::parse(&args.what, &args.namespace)?))
}

/// `pause`.
pub(super) fn pause(args: PauseArgs) -> impl AsyncFnOnce(&Backend, &mut Output) -> Answer {
    async move |backend: &Backend, output: &mut Output| {
        let until = args.until.map(|when| when.after(backend.now()));
        let scope = whole(&args.scope)?;
        let reason = args.reason;
        let request = PauseRequest { scope, until, reason, dry_run: false };
        backend.pause(&request).await?;
        let until = until.map_or_else(
            || format!("until `tripline resume {}`", request.scope),
            |at| format!("until {at:.0}"),
        );
        said(output, &request, &format!("{} is paused {until}", request.scope))
    }
}

/// `resume`.
pub(super) fn resume(args: ResumeArgs) -> impl AsyncFnOnce(&Backend, &mut Output) -> Answer {
    async move |backend: &Backend, output: &mut Output| {
        let request = PauseRequest { scope: whole(&args.scope)?, ..PauseRequest::default() };
        backend.resume(&request).await?;
        said(output, &request, &format!("{} goes on", request.scope))
    }
}

fn said(output: &mut Output, request: &PauseRequest, text: &str) -> Answer {
    if output.is_json() {
        output.json(request)?
    } else {
        output.line(text)?
    }
    Ok(Exit::Done)
}

/// `drop`.
pub(super) fn drop(args: DropArgs) -> impl AsyncFnOnce(&Backend, &mut Output) -> Answer {
    async move |backend: &Backend, output: &mut Output| {
        let request = PauseRequest {
            scope: whole(&args.scope)?,
            until: None,
            reason: args.reason,
            dry_run: !args.yes,
        };
        let report = backend.drop_waiting(&request).await?;
        if output.is_json() {
            output.json(&report)?;
            return Ok(Exit::Done);
        }
        let all: u64 = report.waiting.iter().map(|(_, count)| count).sum();
        if !report.waiting.is_empty() {
            let rows = report.waiting.iter();
            output.table(
                ["trigger", "actions"],
                rows.map(|(trigger, count)| [trigger.to_string(), count.to_string()]),
            )?;
        }
        match report.dry_run {
            true => output.line(format_args!("{all} would be dropped: --yes does it"))?,
            false => output.line(format_args!("{all} dropped"))?,
        }
        Ok(Exit::Done)
    }
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
