//! `dlq`.

use std::collections::BTreeMap;

use super::args::{DlqCommand, LetterArgs};
use super::dispatch::asked;
use super::output::Output;
use super::{CommandError, Exit, reach};
use crate::control::{Backend, ControlError, routes};
use crate::query::dead_letter::{Answer as LetterAnswer, Done, LetterFilter, MAX_IDS};
use crate::query::relative::age;
use crate::query::{DeadLetterItem, LetterState};
use tripline_bus::Log;
use tripline_event::RawPayload;

type Answer = Result<Exit, CommandError>;

/// Carries a command about dead letters out.
pub(super) fn dlq(command: DlqCommand) -> Answer {
    match command {
        DlqCommand::List { which, by_cause, closed, ask } => {
            let wanted = wanted(&which, closed)?;
            asked(&ask, async |backend: &Backend, output: &mut Output| {
                let limit = if by_cause { MAX_IDS } else { which.limit };
                let letters = backend.dead_letters(&wanted, limit).await?;
                if by_cause { grouped(&letters, output) } else { flat(&letters, backend, output) }?;
                reach::below_list(backend, output, &[Log::Outcomes]).await?;
                Ok(Exit::Done)
            })
        }
        DlqCommand::Show { id, ask } => {
            asked(&ask, async |backend: &Backend, output: &mut Output| {
                let letters = backend.dead_letter(&id).await?;
                letters.iter().try_for_each(|letter| show(letter, output))?;
                reach::below_list(backend, output, &[Log::Outcomes]).await?;
                if letters.is_empty() {
                    return Err(ControlError::NotFound(format!("no dead letter `{id}`")).into());
                }
                Ok(Exit::Done)
            })
        }
        DlqCommand::Retry { ids, all, current, which, ask } => {
            let wanted = wanted(&which, false)?;
            asked(&ask, async |backend: &Backend, output: &mut Output| {
                let ids = if all { open(backend, &wanted).await? } else { ids };
                answered(&backend.retry(ids, current).await?, output)
            })
        }
        DlqCommand::Drop { ids, all, reason, which, ask } => {
            let wanted = wanted(&which, false)?;
            asked(&ask, async |backend: &Backend, output: &mut Output| {
                let ids = if all { open(backend, &wanted).await? } else { ids };
                answered(&backend.drop_letters(ids, reason).await?, output)
            })
        }
    }
}

fn wanted(which: &LetterArgs, closed: bool) -> Result<LetterFilter, ControlError> {
    let cause = which.cause.as_deref().map(routes::cause).transpose()?;
    Ok(LetterFilter { filter: which.filter.filter(), cause, closed })
}

async fn open(backend: &Backend, wanted: &LetterFilter) -> Result<Vec<String>, ControlError> {
    let letters = backend.dead_letters(wanted, MAX_IDS).await?;
    Ok(letters.into_iter().map(|letter| letter.id).collect())
}

fn flat(letters: &[DeadLetterItem], backend: &Backend, output: &mut Output) -> std::io::Result<()> {
    let now = backend.now();
    let header = ["age", "id", "cause", "trigger", "state", "error"];
    output.list(letters, "no dead letters that fit", header, |item| {
        [
            age(item.at, now),
            item.id.clone(),
            item.letter.cause.to_string(),
            trigger(item),
            state(&item.state),
            item.letter.error.clone(),
        ]
    })
}

fn trigger(item: &DeadLetterItem) -> String {
    let event = || item.letter.events.first().map(|event| event.key.to_string());
    let trigger = item.letter.trigger.as_ref().map(ToString::to_string);
    trigger.or_else(event).unwrap_or_default()
}

fn state(state: &LetterState) -> String {
    match state {
        LetterState::Open => "open".to_owned(),
        LetterState::Retried { round, .. } => format!("retried as round {round}"),
        LetterState::Dropped { reason, .. } => reason.clone(),
    }
}

/// How many of what: on call, one wants to see the three things that went wrong, and not
/// the thousand that they went wrong with.
#[derive(serde::Serialize)]
struct Group {
    count: u64,
    cause: String,
    trigger: String,
    error: String,
    newest: String,
}

fn grouped(letters: &[DeadLetterItem], output: &mut Output) -> std::io::Result<()> {
    let mut groups: BTreeMap<(String, String, String), (u64, String)> = BTreeMap::new();
    for item in letters {
        let key = (item.letter.cause.to_string(), trigger(item), item.letter.error.clone());
        let (count, newest) = groups.entry(key).or_default();
        *count += 1;
        newest.clone_from(&item.id);
    }
    let mut groups: Vec<Group> = groups
        .into_iter()
        .map(|((cause, trigger, error), (count, newest))| Group {
            count,
            cause,
            trigger,
            error,
            newest,
        })
        .collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    let header = ["count", "cause", "trigger", "newest", "error"];
    output.list(&groups, "no dead letters that fit", header, |group| {
        [
            group.count.to_string(),
            group.cause.clone(),
            group.trigger.clone(),
            group.newest.clone(),
            group.error.clone(),
        ]
    })
}

fn show(item: &DeadLetterItem, output: &mut Output) -> std::io::Result<()> {
    if output.is_json() {
        return output.json(item);
    }
    let letter = &item.letter;
    output.heading(&item.id)?;
    let correlation = item.correlation.as_ref().map(|id| id.0.clone()).unwrap_or_default();
    for (name, value) in [
        ("at", format!("{:.3}", item.at)),
        ("state", state(&item.state)),
        ("trigger", trigger(item)),
        ("cause", letter.cause.to_string()),
        ("error", letter.error.clone()),
        ("attempts", letter.attempts.to_string()),
        ("round", letter.round.to_string()),
        ("chain", correlation),
    ] {
        let value = crate::query::item::shortened(&value, 2000);
        output.line(format_args!("  {name:<9} {value}"))?;
    }
    for event in &letter.events {
        let dependency = event.dependency.as_deref().unwrap_or("-");
        output.line(format_args!("  event     {dependency} = {} {}", event.key, event.id))?;
        if let Some(raw) = &event.raw {
            payload(raw, output)?;
            continue;
        }
        let data = serde_json::to_string_pretty(&event.data).map_err(std::io::Error::other)?;
        for line in data.lines() {
            output.line(format_args!("    {line}"))?;
        }
    }
    Ok(())
}

/// What came in, as text where it is UTF-8. It is data from outside: it must not control the
/// terminal.
fn payload(raw: &RawPayload, output: &mut Output) -> std::io::Result<()> {
    for (name, value) in &raw.headers {
        let header = crate::query::item::shortened(&format!("{name}: {value}"), 2000);
        output.line(format_args!("  header    {header}"))?;
    }
    let kept = raw.kept();
    let cut = match &raw.sha256 {
        Some(sha256) => format!("; the first {} are kept, SHA-256 of all {sha256}", kept.len()),
        None => String::new(),
    };
    output.line(format_args!("  payload   {} bytes from {}{cut}", raw.bytes, raw.kind))?;
    // The last character of what is cut may be cut too.
    let text = match std::str::from_utf8(&kept) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() && raw.sha256.is_some() => {
            std::str::from_utf8(&kept[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return output.line(format_args!("    base64: {}", raw.base64)),
    };
    for line in text.lines() {
        let line = crate::query::item::shortened(line, usize::MAX - 1);
        output.line(format_args!("    {line}"))?;
    }
    Ok(())
}

fn answered(answers: &[LetterAnswer], output: &mut Output) -> Answer {
    output.list(answers, "no dead letters that fit", ["id", "done"], |answer| {
        let done = match &answer.done {
            Done::Retried { round, .. } => format!("sent back as round {round}"),
            Done::Dropped => "dropped".to_owned(),
            Done::Nothing(why) => format!("nothing: {why}"),
            Done::Unknown => "there is no such dead letter".to_owned(),
        };
        [answer.id.clone(), done]
    })?;
    let has = |wanted: fn(&Done) -> bool| answers.iter().any(|answer| wanted(&answer.done));
    Ok(if has(|done| matches!(done, Done::Unknown)) {
        Exit::NotFound
    } else if has(|done| matches!(done, Done::Nothing(_))) {
        Exit::Findings
    } else {
        Exit::Done
    })
}
