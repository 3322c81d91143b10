//! Why a filter did not let an event through, in one sentence that says what to do.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use tripline_event::Event;
use tripline_sensors::evaluator::{Asked, Dependency};
use tripline_sensors::filter::TraceStep;
use tripline_sensors::view::EventView;

use super::model::{Cause, Code};
use crate::query::item::shortened;

/// The most values of an event that are looked at for the one that was meant.
const MAX_VALUES: usize = 2_000;
/// How alike two keys are that one may be a misspelling of the other, from 0 to 1.
const ALIKE: f64 = 0.7;
/// The most characters of a value in a sentence.
const EXCERPT: usize = 60;

/// Why the dependency did not let the event through: what its first filter says that does
/// not fit.
pub(super) fn cause(dependency: &Dependency, asked: &Asked, event: &Event) -> Cause {
    let steps = &asked.trace.steps;
    let failed = steps
        .iter()
        .find(|step| step.error.is_some())
        .or_else(|| steps.iter().find(|step| !step.pass));
    let Some(step) = failed else {
        let why = asked.verdict.error.as_deref().unwrap_or("no filter fits");
        return not_json(event, why);
    };
    let seen = seen(dependency, event);
    let kind = step.field.split(['[', '.']).nth(1).unwrap_or(&step.field);
    match kind {
        "data" => data(step, seen.as_ref(), event),
        "exprs" => match unfound(step) {
            Some(path) => nothing_there(&step.field, &path, seen.as_ref(), event),
            None => expression(step),
        },
        "time" => time(step),
        "context" => Cause::new(
            Code::OtherAttribute,
            format!(
                "`{}` wants {}, and the event's `{}` is `{}`: change the filter, or send the event from \
                 where it has that",
                step.field,
                step.wanted,
                step.path,
                value(step)
            ),
        ),
        "script" => Cause::new(
            Code::Script,
            format!(
                "the script of `{}` {}: run it on this event with `tripline render`, and mend it",
                step.field,
                failed_or(step, "did not answer true")
            ),
        ),
        _ => Cause::new(
            Code::Transform,
            format!(
                "the dependency's `transform` {}: mend it, or the event that it is given",
                failed_or(step, "made nothing")
            ),
        ),
    }
}

fn failed_or(step: &TraceStep, otherwise: &str) -> String {
    match &step.error {
        Some(error) => format!("failed ({})", shortened(error, 200)),
        None => otherwise.to_owned(),
    }
}

fn value(step: &TraceStep) -> String {
    shortened(step.found.as_deref().unwrap_or_default(), EXCERPT)
}

/// The data that the filters saw: what the dependency's transform made of the event's.
fn seen(dependency: &Dependency, event: &Event) -> Option<Value> {
    let made = dependency.filter.transform(&EventView::of(event)).ok().flatten();
    let text = made.as_deref().or_else(|| event.data_text())?;
    serde_json::from_str(text).ok()
}

fn not_json(event: &Event, why: &str) -> Cause {
    let sentence = format!(
        "the data of {} {} cannot be looked into ({}): have its producer send JSON",
        event.key,
        shortened(event.id.as_str(), EXCERPT),
        shortened(why, 200)
    );
    Cause::new(Code::NotJson, sentence)
}

fn data(step: &TraceStep, seen: Option<&Value>, event: &Event) -> Cause {
    let Some(wanted) = step.wanted_type else { return expression(step) };
    let Some(found) = step.found_type else {
        return nothing_there(&step.field, &step.path, seen, event);
    };
    let text = step.found.as_deref().unwrap_or_default();
    let fits = match (wanted, found) {
        (_, "object" | "array") => false,
        ("number", "string") => text.trim().parse::<f64>().is_ok(),
        ("number", "boolean" | "null") | ("bool", "null") => false,
        ("bool", "string") => {
            matches!(text.to_ascii_lowercase().as_str(), "1" | "t" | "true" | "0" | "f" | "false")
        }
        _ => true,
    };
    if !fits {
        let kind = if wanted == "string" { "text" } else { wanted };
        let sentence = format!(
            "`{}` compares `{}` as a {kind}, and it is {} ({}): change the filter's `type` or `path`, or \
             send a {kind}",
            step.field,
            step.path,
            with_article(found),
            value(step)
        );
        return Cause::new(Code::WrongType, sentence);
    }
    let sentence = match &step.error {
        Some(error) => format!(
            "`{}` could not compare `{}`, which is `{}` ({}): mend the filter",
            step.field,
            step.path,
            value(step),
            shortened(error, 200)
        ),
        None => format!(
            "`{}` wants `{}` {}, and it is `{}`: nothing is wrong unless this event was meant; then add \
             its value to the filter",
            step.field,
            step.path,
            step.wanted,
            value(step)
        ),
    };
    Cause::new(Code::OtherValue, sentence)
}

fn with_article(kind: &str) -> String {
    match kind {
        "object" | "array" => format!("an {kind}"),
        "null" => "null".to_owned(),
        _ => format!("a {kind}"),
    }
}

/// The path that an expression's field found nothing at.
fn unfound(step: &TraceStep) -> Option<String> {
    let error = step.error.as_deref()?;
    let path = error.strip_prefix("path `")?.strip_suffix("` finds nothing")?;
    Some(path.to_owned())
}

fn expression(step: &TraceStep) -> Cause {
    let sentence = match &step.error {
        Some(error) => format!(
            "`{}` could not be evaluated ({}): mend `{}`",
            step.field,
            shortened(error, 200),
            shortened(&step.path, 120)
        ),
        None => format!(
            "`{}` does not hold: `{}` with {}; nothing is wrong unless this event was meant",
            step.field,
            shortened(&step.path, 120),
            match value(step) {
                found if found.is_empty() => "what the event has".to_owned(),
                found => found,
            }
        ),
    };
    Cause::new(Code::Expression, sentence)
}

fn time(step: &TraceStep) -> Cause {
    let found = step.found.as_deref().unwrap_or_default();
    // A zoned time is written with its zone in brackets: people know that from the window.
    let at = found.split('[').next().unwrap_or(found);
    let zone = if step.wanted.ends_with(" UTC") {
        "widen the window, or give `timezone` if its hours are those of another zone than UTC"
    } else {
        "widen the window, or change `timezone`"
    };
    let sentence = format!(
        "the event came in at {at}, and `{}` lets through {}: {zone}",
        step.field, step.wanted
    );
    Cause::new(Code::OutsideTime, sentence)
}

/// A path finds nothing: the value is elsewhere, or inside of text, or nowhere.
fn nothing_there(field: &str, path: &str, seen: Option<&Value>, event: &Event) -> Cause {
    let Some(seen) = seen else { return not_json(event, "it is no JSON") };
    let keys = keys(path);
    if let Some((at, text)) = text_on_the_way(seen, &keys) {
        return inside_text(field, path, &at, text, event);
    }
    if let Some((other, value)) = elsewhere(seen, &keys) {
        let sentence = format!(
            "`{field}` looks at `{path}`, where the event has nothing, but at `{other}` it has `{}`: write \
             `path: {other}`",
            shortened(&value, EXCERPT)
        );
        return Cause::new(Code::WrongPath, sentence);
    }
    let (at, there) = as_far_as_it_goes(seen, &keys);
    let has = match there {
        Value::Object(object) if !object.is_empty() => {
            let names: Vec<&str> = object.keys().take(8).map(String::as_str).collect();
            format!("it has {}", shortened(&names.join(", "), 160))
        }
        Value::Array(items) => format!("it has a list of {}", items.len()),
        Value::Object(_) => "it has nothing".to_owned(),
        other => format!("it has `{}`", shortened(&other.to_string(), EXCERPT)),
    };
    let place = if at.is_empty() { "at its top".to_owned() } else { format!("below `{at}`") };
    let sentence = format!(
        "`{field}` looks at `{path}`, and the event has no such key ({place} {has}): have its producer send \
         it, or look at one that is there"
    );
    Cause::new(Code::MissingKey, sentence)
}

/// The keys of a simple path: `body.items.0.name`, `$.body.items[0]`, `body.a\.b`.
fn keys(path: &str) -> Vec<String> {
    let path = path.strip_prefix("gjson:").unwrap_or(path);
    let path = path.strip_prefix("$.").or_else(|| path.strip_prefix('$')).unwrap_or(path);
    let mut keys = vec![String::new()];
    let mut escaped = false;
    for c in path.chars() {
        match c {
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            '.' | '[' | '|' if !escaped => keys.push(String::new()),
            ']' | '"' | '\'' if !escaped => {}
            c => keys.iter_mut().last().into_iter().for_each(|key| key.push(c)),
        }
        escaped = false;
    }
    keys.retain(|key| !key.is_empty());
    keys
}

fn child<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    match value {
        Value::Object(object) => object.get(key),
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        _ => None,
    }
}

/// A text that stands where the path goes on: with where it is.
fn text_on_the_way<'v>(seen: &'v Value, keys: &[String]) -> Option<(String, &'v str)> {
    let mut at = seen;
    for (depth, key) in keys.iter().enumerate() {
        if let Value::String(text) = at {
            return Some((keys[..depth].join("."), text));
        }
        at = child(at, key)?;
    }
    None
}

fn inside_text(field: &str, path: &str, at: &str, text: &str, event: &Event) -> Cause {
    let is_json = |text: &[u8]| {
        serde_json::from_slice::<Value>(text)
            .is_ok_and(|value| value.is_object() || value.is_array())
    };
    let decoded = BASE64.decode(text.trim()).unwrap_or_default();
    let (code, sentence) = if is_json(&decoded) {
        let source = format!("event source {}/{}", event.key.namespace, event.key.source);
        (
            Code::Base64Body,
            format!(
                "`{field}` looks at `{path}`, but `{at}` is text in base64, which holds the JSON: set \
                 `jsonBody: true` on {source}"
            ),
        )
    } else if is_json(text.as_bytes()) {
        (
            Code::WrongType,
            format!(
                "`{field}` looks at `{path}`, but `{at}` is a text that holds JSON: have its producer send \
                 the JSON itself, or take it apart with `transform`"
            ),
        )
    } else {
        (
            Code::WrongType,
            format!(
                "`{field}` looks at `{path}`, but `{at}` is a text (`{}`), not an object: look at `{at}` \
                 itself, or have its producer send JSON",
                shortened(text, EXCERPT)
            ),
        )
    };
    Cause::new(code, sentence)
}

/// A place where a value stands that may have been meant: the path's last keys below another
/// beginning, or the path with a key spelled otherwise.
fn elsewhere(seen: &Value, keys: &[String]) -> Option<(String, String)> {
    let last = keys.last()?;
    let mut best: Option<(f64, String, String)> = None;
    let mut left = MAX_VALUES;
    walk(seen, &mut Vec::new(), &mut left, &mut |at, value| {
        let Some(here) = at.last() else { return };
        let ends = at.iter().rev().zip(keys.iter().rev()).take_while(|(a, b)| a == b).count();
        #[expect(clippy::cast_precision_loss, reason = "a path has a few hundred keys at most")]
        let score = if ends > 0 {
            1.0 + ends as f64 - at.len() as f64 / 1000.0
        } else if at.len() == keys.len() && at[..at.len() - 1] == keys[..keys.len() - 1] {
            let alike = strsim::normalized_damerau_levenshtein(here, last);
            if alike < ALIKE && !here.eq_ignore_ascii_case(last) {
                return;
            }
            alike
        } else {
            return;
        };
        if best.as_ref().is_none_or(|(known, ..)| score > *known) {
            let text = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            best = Some((score, written(at), text));
        }
    });
    best.map(|(_, path, value)| (path, value))
}

/// A path as filters have it.
fn written(keys: &[&str]) -> String {
    let keys: Vec<String> = keys.iter().map(|key| key.replace('.', "\\.")).collect();
    keys.join(".")
}

fn walk<'v>(
    value: &'v Value,
    at: &mut Vec<&'v str>,
    left: &mut usize,
    see: &mut impl FnMut(&[&'v str], &'v Value),
) {
    if *left == 0 || at.len() > 32 {
        return;
    }
    *left -= 1;
    see(at, value);
    if let Value::Object(object) = value {
        for (key, value) in object {
            at.push(key);
            walk(value, at, left, see);
            at.pop();
        }
    }
}

/// The deepest value on the way of the path, and where that is.
fn as_far_as_it_goes<'v>(seen: &'v Value, keys: &[String]) -> (String, &'v Value) {
    let mut at = seen;
    for (depth, key) in keys.iter().enumerate() {
        match child(at, key) {
            Some(next) => at = next,
            None => return (keys[..depth].join("."), at),
        }
    }
    (keys.join("."), at)
}
