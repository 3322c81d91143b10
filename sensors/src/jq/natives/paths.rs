//! Indexes, slices and paths.

use std::sync::{Arc, LazyLock};

use super::{Made, Native, cannot_with, dict_of, lists, native};
use crate::jq::Raise;
use crate::jq::machine::Machine;
use crate::jq::value::Value;
use crate::json::MAX_DEPTH;

/// The largest index that can be set.
const MAX_INDEX: i64 = 0x800_0000;

pub(super) const FUNCTIONS: &[Native] = &[
    native("setpath", 2, |machine, input, of| {
        set_path(machine, input.clone(), &of[0], of[1].clone())
    }),
    native("delpaths", 1, |machine, input, of| delete(machine, input, &of[0])),
];

/// What stands at a place that is to go. It is known by its address.
fn gone() -> Value {
    static GONE: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("gone"));
    Value::Text(GONE.clone())
}

fn is_gone(value: &Value) -> bool {
    matches!((value, gone()), (Value::Text(a), Value::Text(b)) if Arc::ptr_eq(a, &b))
}

/// `value[key]`.
pub(in crate::jq) fn index(value: &Value, key: &Value) -> Made {
    match key {
        Value::Text(key) => match value {
            Value::Null => Ok(Value::Null),
            Value::Dict(dict) => Ok(dict.entries.get(key).cloned().unwrap_or(Value::Null)),
            other => Err(Raise::expected_object(other)),
        },
        Value::Int(_) | Value::Float(_) | Value::Big(_) => {
            let at = key.int().unwrap_or_default();
            match value {
                Value::Null => Ok(Value::Null),
                Value::List(list) => {
                    let at = clamp(at, -1, list.items.len());
                    let found = usize::try_from(at).ok().and_then(|at| list.items.get(at));
                    Ok(found.cloned().unwrap_or(Value::Null))
                }
                Value::Text(text) => {
                    let at = clamp(at, -1, text.chars().count());
                    let found = usize::try_from(at).ok().and_then(|at| text.chars().nth(at));
                    Ok(found.map_or(Value::Null, |c| Value::text(c.to_string())))
                }
                other => Err(Raise::expected_array(other)),
            }
        }
        Value::List(wanted) => match value {
            Value::Null => Ok(Value::Null),
            Value::List(list) => Ok(Value::flat(lists::places(&list.items, &wanted.items))),
            other => Err(Raise::expected_array(other)),
        },
        Value::Dict(bounds) => {
            if matches!(value, Value::Null) {
                return Ok(Value::Null);
            }
            match (bounds.entries.get("start"), bounds.entries.get("end")) {
                (Some(start), Some(end)) => slice(value, start, end),
                _ => Err(no_bounds(key)),
            }
        }
        Value::Null | Value::Bool(_) => Err(match value {
            Value::List(_) => index_no_number("an array", key),
            Value::Text(_) => index_no_number("a string", key),
            _ => Raise::key_no_text(key),
        }),
    }
}

fn no_bounds(key: &Value) -> Raise {
    let found = key.described();
    Raise::message(format!("expected \"start\" and \"end\" for slicing but got: {found}"))
}

fn index_no_number(of: &str, key: &Value) -> Raise {
    let found = key.described();
    Raise::message(format!("expected a number for indexing {of} but got: {found}"))
}

/// Counts from the end where the index is negative, and keeps it within the bounds.
fn clamp(index: i64, least: i64, length: usize) -> i64 {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let index = if index < 0 { index.saturating_add(length) } else { index };
    index.clamp(least.min(length), length)
}

/// Where a slice begins and ends.
fn span(start: &Value, end: &Value, length: usize, of: &str) -> Result<(usize, usize), Raise> {
    let bound = |bound: &Value, least: usize, otherwise: usize| match bound {
        Value::Null => Ok(otherwise),
        bound => {
            let at = bound.int().ok_or_else(|| index_no_number(of, bound))?;
            let least = i64::try_from(least).unwrap_or(i64::MAX);
            Ok(usize::try_from(clamp(at, least, length)).unwrap_or_default())
        }
    };
    let start = bound(start, 0, 0)?;
    Ok((start, bound(end, start, length)?.max(start)))
}

/// `value[start:end]`.
pub(in crate::jq) fn slice(value: &Value, start: &Value, end: &Value) -> Made {
    match value {
        Value::Null => Ok(Value::Null),
        Value::List(list) => {
            let (start, end) = span(start, end, list.items.len(), "an array")?;
            Value::list(list.items[start..end].to_vec())
        }
        Value::Text(text) => {
            let (start, end) = span(start, end, text.chars().count(), "a string")?;
            let cut: String = text.chars().skip(start).take(end - start).collect();
            Ok(Value::text(cut))
        }
        other => Err(Raise::expected_array(other)),
    }
}

/// The step of a path that a slice is.
pub(in crate::jq) fn slice_key(start: Value, end: Value) -> Made {
    dict_of([("start", start), ("end", end)])
}

/// `getpath(path)`.
pub(in crate::jq) fn get_path(value: &Value, path: &Value) -> Made {
    let Value::List(steps) = path else { return Err(cannot_with("getpath", value, path)) };
    let mut found = value.clone();
    for step in &steps.items {
        if !matches!(found, Value::Null | Value::List(_) | Value::Dict(_)) {
            return Err(cannot_with("getpath", value, path));
        }
        found = index(&found, step).map_err(|raised| wrapped("getpath", value, path, raised))?;
    }
    Ok(found)
}

fn wrapped(name: &str, value: &Value, path: &Value, raised: Raise) -> Raise {
    let Raise::Error(Value::Text(reason)) = raised else { return raised };
    let (value, path) = (value.preview(), path.preview());
    Raise::message(format!("{name}({path}) cannot be applied to {value}: {reason}"))
}

/// `value` with `new` at the path. What nothing else holds is changed in place.
pub(in crate::jq) fn set_path(
    machine: &mut Machine<'_>,
    value: Value,
    path: &Value,
    new: Value,
) -> Made {
    let Value::List(steps) = path else { return Err(cannot_with("setpath", &value, path)) };
    if steps.items.len() > MAX_DEPTH {
        return Err(Raise::Cut(format!("a path has more than {MAX_DEPTH} steps")));
    }
    // For the message, which needs the value as it was.
    let named = |raised: Raise| match raised {
        Raise::Error(Value::Text(reason)) => {
            let message = format!("setpath({}) cannot be applied: {reason}", path.preview());
            Raise::message(message)
        }
        other => other,
    };
    update(machine, value, &steps.items, new).map_err(named)
}

fn update(machine: &mut Machine<'_>, value: Value, path: &[Value], new: Value) -> Made {
    machine.charge(1)?;
    let Some((step, rest)) = path.split_first() else { return Ok(new) };
    if is_gone(&value) {
        return Ok(value);
    }
    match step {
        Value::Text(key) => update_entry(machine, value, key, rest, new),
        Value::Int(_) | Value::Float(_) | Value::Big(_) => {
            let at = step.int().unwrap_or_default();
            update_element(machine, value, at, rest, new)
        }
        Value::Dict(_) => update_slice(machine, value, step, rest, new),
        _ => Err(match value {
            Value::List(_) => index_no_number("an array", step),
            _ => Raise::key_no_text(step),
        }),
    }
}

fn update_entry(
    machine: &mut Machine<'_>,
    value: Value,
    key: &Arc<str>,
    rest: &[Value],
    new: Value,
) -> Made {
    let dict = match value {
        Value::Null => Arc::default(),
        Value::Dict(dict) => dict,
        other => return Err(Raise::expected_object(&other)),
    };
    if is_gone(&new) && !dict.entries.contains_key(key) {
        return Ok(Value::Dict(dict));
    }
    machine.charge(copied(&dict, dict.entries.len()))?;
    let mut dict = Arc::unwrap_or_clone(dict);
    let before = dict.entries.remove(key).unwrap_or(Value::Null);
    let after = update(machine, before, rest, new)?;
    dict.put(key.clone(), after)?;
    Ok(Value::Dict(Arc::new(dict)))
}

fn copied<T>(shared: &Arc<T>, length: usize) -> usize {
    if Arc::strong_count(shared) > 1 { length / 8 } else { 0 }
}

fn update_element(
    machine: &mut Machine<'_>,
    value: Value,
    at: i64,
    rest: &[Value],
    new: Value,
) -> Made {
    let list = match value {
        Value::Null => Arc::default(),
        Value::List(list) => list,
        other => return Err(Raise::expected_array(&other)),
    };
    let length = list.items.len();
    let place = clamp(at, -1, length);
    let is_there = usize::try_from(place).is_ok_and(|place| place < length);
    if !is_there && is_gone(&new) {
        return Ok(Value::List(list));
    }
    if place < 0 {
        return Err(Raise::message(format!("array index should not be negative: {at}")));
    }
    if !is_there && at >= MAX_INDEX {
        return Err(Raise::message(format!("array index too large: {at}")));
    }
    let place = usize::try_from(if is_there { place } else { at }).unwrap_or_default();
    machine.charge(copied(&list, length) + place.saturating_sub(length))?;
    let mut list = Arc::unwrap_or_clone(list);
    if place >= list.items.len() {
        list.items.resize(place + 1, Value::Null);
    }
    let before = std::mem::replace(&mut list.items[place], Value::Null);
    let after = update(machine, before, rest, new)?;
    list.put(place, after)?;
    Ok(Value::List(Arc::new(list)))
}

fn update_slice(
    machine: &mut Machine<'_>,
    value: Value,
    key: &Value,
    rest: &[Value],
    new: Value,
) -> Made {
    let list = match value {
        Value::Null => Arc::default(),
        Value::List(list) => list,
        other => return Err(Raise::expected_array(&other)),
    };
    let Value::Dict(bounds) = key else { return Err(no_bounds(key)) };
    let (Some(start), Some(end)) = (bounds.entries.get("start"), bounds.entries.get("end")) else {
        return Err(no_bounds(key));
    };
    // What is no number counts as not given here.
    let number = |bound: &Value| if bound.int().is_some() { bound.clone() } else { Value::Null };
    let length = list.items.len();
    let (start, end) = span(&number(start), &number(end), length, "an array")?;
    if start == end && is_gone(&new) {
        return Ok(Value::List(list));
    }
    machine.charge(length / 8)?;
    let part = Value::list(list.items[start..end].to_vec())?;
    let after = update(machine, part, rest, new)?;
    let mut items = list.items[..start].to_vec();
    match &after {
        Value::List(part) => items.extend(part.items.iter().cloned()),
        gone if is_gone(gone) => items.resize(end, gone.clone()),
        other => return Err(Raise::expected_array(other)),
    }
    items.extend(list.items[end..].iter().cloned());
    Value::list(items)
}

/// All paths are marked before any goes: indexes stay what they were.
fn delete(machine: &mut Machine<'_>, value: &Value, paths: &Value) -> Made {
    let Value::List(list) = paths else { return Err(cannot_with("delpaths", value, paths)) };
    if list.items.is_empty() {
        return Ok(value.clone());
    }
    if matches!(value, Value::Null) {
        return Ok(Value::Null);
    }
    let mut marked = value.clone();
    for path in &list.items {
        let Value::List(steps) = path else {
            return Err(wrapped("delpaths", value, paths, Raise::expected_array(path)));
        };
        if steps.items.len() > MAX_DEPTH {
            return Err(Raise::Cut(format!("a path has more than {MAX_DEPTH} steps")));
        }
        marked = update(machine, marked, &steps.items, gone())
            .map_err(|raised| wrapped("delpaths", value, paths, raised))?;
    }
    sweep(machine, marked)
}

fn sweep(machine: &mut Machine<'_>, value: Value) -> Made {
    machine.charge(1)?;
    match value {
        gone if is_gone(&gone) => Ok(Value::Null),
        Value::List(list) => {
            let mut items = Vec::with_capacity(list.items.len());
            for item in &list.items {
                if !is_gone(item) {
                    items.push(sweep(machine, item.clone())?);
                }
            }
            Value::list(items)
        }
        Value::Dict(dict) => {
            let mut entries = std::collections::BTreeMap::new();
            for (key, item) in &dict.entries {
                if !is_gone(item) {
                    entries.insert(key.clone(), sweep(machine, item.clone())?);
                }
            }
            Value::dict(entries)
        }
        other => Ok(other),
    }
}
