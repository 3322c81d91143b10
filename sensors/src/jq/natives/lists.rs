//! Arrays and objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Made, Native, absolute, add, cannot, cannot_with, dict_of, items, native, values};
use crate::jq::Raise;
use crate::jq::machine::Machine;
use crate::jq::value::Value;

pub(super) const FUNCTIONS: &[Native] = &[
    native("length", 0, |_, input, _| match input {
        Value::Null => Ok(Value::Int(0)),
        Value::Text(text) => Ok(Value::count(text.chars().count())),
        Value::List(_) | Value::Dict(_) => Ok(Value::count(input.size())),
        other => absolute(other).ok_or_else(|| cannot("length", other)),
    }),
    native("keys", 0, |_, input, _| match input {
        Value::List(list) => Ok(Value::flat((0..list.items.len()).map(Value::count).collect())),
        Value::Dict(dict) => {
            Ok(Value::flat(dict.entries.keys().map(|key| Value::Text(key.clone())).collect()))
        }
        other => Err(cannot("keys", other)),
    }),
    native("has", 1, |_, input, of| has(input, &of[0])),
    native("to_entries", 0, |_, input, _| {
        let pairs: Vec<(Value, Value)> = match input {
            Value::List(list) => {
                let pairs = list.items.iter().enumerate();
                pairs.map(|(index, value)| (Value::count(index), value.clone())).collect()
            }
            Value::Dict(dict) => {
                let pairs = dict.entries.iter();
                pairs.map(|(key, value)| (Value::Text(key.clone()), value.clone())).collect()
            }
            other => return Err(cannot("to_entries", other)),
        };
        let entry = |(key, value)| dict_of([("key", key), ("value", value)]);
        Value::list(pairs.into_iter().map(entry).collect::<Result<_, _>>()?)
    }),
    native("from_entries", 0, |_, input, _| from_entries(input)),
    native("add", 0, |machine, input, _| sum(machine, input)),
    native("reverse", 0, |_, input, _| {
        Value::list(items("reverse", input)?.items.iter().rev().cloned().collect())
    }),
    native("contains", 1, |machine, input, of| Ok(Value::Bool(contains(machine, input, &of[0])?))),
    native("indices", 1, |machine, input, of| {
        let Some(places) = all_places(machine, "indices", input, &of[0])? else {
            return Ok(Value::Null);
        };
        Ok(Value::flat(places))
    }),
    native("index", 1, |machine, input, of| {
        let places = all_places(machine, "index", input, &of[0])?;
        Ok(places.and_then(|places| places.into_iter().next()).unwrap_or(Value::Null))
    }),
    native("rindex", 1, |machine, input, of| {
        let places = all_places(machine, "rindex", input, &of[0])?;
        Ok(places.and_then(|places| places.into_iter().next_back()).unwrap_or(Value::Null))
    }),
    native("flatten", 0, |machine, input, _| flatten(machine, input, -1.0)),
    native("flatten", 1, |machine, input, of| {
        let depth = of[0].float().ok_or_else(|| cannot("flatten", &of[0]))?;
        if depth < 0.0 {
            let message = format!("flatten depth should not be negative: {}", of[0].preview());
            return Err(Raise::message(message));
        }
        flatten(machine, input, depth)
    }),
    native("min", 0, |_, input, _| {
        let list = &items("min", input)?.items;
        Ok(extreme(list, list, true))
    }),
    native("max", 0, |_, input, _| {
        let list = &items("max", input)?.items;
        Ok(extreme(list, list, false))
    }),
    native("_min_by", 1, |_, input, of| {
        let (list, keys) = keyed("min_by", input, &of[0])?;
        Ok(extreme(list, keys, true))
    }),
    native("_max_by", 1, |_, input, of| {
        let (list, keys) = keyed("max_by", input, &of[0])?;
        Ok(extreme(list, keys, false))
    }),
    native("sort", 0, |machine, input, _| {
        let list = &items("sort", input)?.items;
        let sorted = sorted(machine, list, list)?;
        Value::list(sorted.into_iter().map(|(_, value)| value).collect())
    }),
    native("_sort_by", 1, |machine, input, of| {
        let (list, keys) = keyed("sort_by", input, &of[0])?;
        let sorted = sorted(machine, list, keys)?;
        Value::list(sorted.into_iter().map(|(_, value)| value).collect())
    }),
    native("_group_by", 1, |machine, input, of| {
        let (list, keys) = keyed("group_by", input, &of[0])?;
        let groups = groups(machine, list, keys)?;
        Value::list(groups.into_iter().map(Value::list).collect::<Result<_, _>>()?)
    }),
    native("unique", 0, |machine, input, _| {
        let list = &items("unique", input)?.items;
        let groups = groups(machine, list, list)?;
        Value::list(groups.into_iter().filter_map(|group| group.into_iter().next()).collect())
    }),
    native("_unique_by", 1, |machine, input, of| {
        let (list, keys) = keyed("unique_by", input, &of[0])?;
        let groups = groups(machine, list, keys)?;
        Value::list(groups.into_iter().filter_map(|group| group.into_iter().next()).collect())
    }),
    native("transpose", 0, |machine, input, _| transpose(machine, input)),
    native("bsearch", 1, |_, input, of| {
        let Value::List(list) = input else { return Err(cannot_with("bsearch", input, &of[0])) };
        let at = list.items.partition_point(|item| item.compare(&of[0]).is_lt());
        let is_there = list.items.get(at).is_some_and(|item| item.compare(&of[0]).is_eq());
        let at = i64::try_from(at).unwrap_or(i64::MAX);
        Ok(Value::Int(if is_there { at } else { -at - 1 }))
    }),
];

fn has(value: &Value, key: &Value) -> Made {
    let found = match (value, key) {
        (Value::Null, _) => Some(false),
        (Value::Dict(dict), Value::Text(key)) => Some(dict.entries.contains_key(key)),
        (Value::List(list), key) => {
            key.int().map(|at| usize::try_from(at).is_ok_and(|at| at < list.items.len()))
        }
        _ => None,
    };
    found.map(Value::Bool).ok_or_else(|| cannot_with("has", value, key))
}

fn from_entries(value: &Value) -> Made {
    let mut made = BTreeMap::new();
    let no_key = |key: &Value| {
        let reason = Raise::key_no_text(key).text();
        let message = format!("from_entries cannot be applied to {}: {reason}", value.preview());
        Raise::message(message)
    };
    for entry in &items("from_entries", value)?.items {
        let Value::Dict(entry) = entry else { return Err(cannot("from_entries", entry)) };
        let keys = ["key", "Key", "name", "Name"].map(|name| entry.entries.get(name));
        let key = keys.into_iter().flatten().find(|key| key.is_true());
        let key = match key {
            Some(Value::Text(key)) => key.clone(),
            Some(other) => return Err(no_key(other)),
            None => return Err(no_key(&Value::Null)),
        };
        let found = ["value", "Value"].map(|name| entry.entries.get(name));
        let found = found.into_iter().flatten().next().cloned().unwrap_or(Value::Null);
        made.insert(key, found);
    }
    Value::dict(made)
}

fn sum(machine: &mut Machine<'_>, value: &Value) -> Made {
    let values = values(value).ok_or_else(|| cannot("add", value))?;
    // What many adds would copy again and again is gathered.
    let mut sum = Value::Null;
    let mut texts = String::new();
    let mut list: Vec<Value> = Vec::new();
    let mut dict: BTreeMap<Arc<str>, Value> = BTreeMap::new();
    for value in values {
        machine.charge(1 + value.size() / 8)?;
        match (&sum, &value) {
            (Value::Text(_), Value::Text(more)) => texts.push_str(more),
            (Value::List(_), Value::List(more)) => list.extend(more.items.iter().cloned()),
            (Value::Dict(_), Value::Dict(more)) => {
                dict.extend(more.entries.iter().map(|(k, v)| (k.clone(), v.clone())));
            }
            (Value::Null, _) => {
                match &value {
                    Value::Text(text) => texts.push_str(text),
                    Value::List(more) => list.extend(more.items.iter().cloned()),
                    Value::Dict(more) => {
                        dict.extend(more.entries.iter().map(|(k, v)| (k.clone(), v.clone())));
                    }
                    _ => {}
                }
                sum = value;
            }
            (_, Value::Null) => {}
            _ => sum = add(&finished(&sum, &texts, &list, &dict)?, &value)?,
        }
    }
    finished(&sum, &texts, &list, &dict)
}

fn finished(sum: &Value, texts: &str, list: &[Value], dict: &BTreeMap<Arc<str>, Value>) -> Made {
    match sum {
        Value::Text(_) => Ok(Value::text(texts)),
        Value::List(_) => Value::list(list.to_vec()),
        Value::Dict(_) => Value::dict(dict.clone()),
        other => Ok(other.clone()),
    }
}

fn contains(machine: &mut Machine<'_>, value: &Value, part: &Value) -> Result<bool, Raise> {
    machine.charge(1)?;
    match (value, part) {
        (Value::Text(text), Value::Text(part)) => {
            machine.charge(text.len() / 8)?;
            Ok(text.contains(&**part))
        }
        (Value::List(list), Value::List(parts)) => {
            for part in &parts.items {
                let mut found = false;
                for item in &list.items {
                    // What cannot contain it does not.
                    match contains(machine, item, part) {
                        Ok(true) => {
                            found = true;
                            break;
                        }
                        Ok(false) | Err(Raise::Error(_)) => {}
                        Err(cut) => return Err(cut),
                    }
                }
                if !found {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::Dict(dict), Value::Dict(parts)) => {
            for (key, part) in &parts.entries {
                let Some(item) = dict.entries.get(key) else { return Ok(false) };
                match contains(machine, item, part) {
                    Ok(true) => {}
                    Ok(false) | Err(Raise::Error(_)) => return Ok(false),
                    Err(cut) => return Err(cut),
                }
            }
            Ok(true)
        }
        (Value::Null, Value::Null) => Ok(true),
        (Value::Bool(a), Value::Bool(b)) if a == b => Ok(true),
        (a, b) if a.float().is_some() && b.float().is_some() => Ok(a.compare(b).is_eq()),
        _ => Err(cannot_with("contains", value, part)),
    }
}

/// Where `wanted` begins in `list`.
pub(super) fn places(list: &[Value], wanted: &[Value]) -> Vec<Value> {
    if wanted.is_empty() {
        return Vec::new();
    }
    let fits = |part: &[Value]| part.iter().zip(wanted).all(|(a, b)| a.compare(b).is_eq());
    let windows = list.windows(wanted.len()).enumerate();
    windows.filter(|(_, part)| fits(part)).map(|(at, _)| Value::count(at)).collect()
}

fn all_places(
    machine: &mut Machine<'_>,
    name: &str,
    value: &Value,
    wanted: &Value,
) -> Result<Option<Vec<Value>>, Raise> {
    machine.charge(value.size() * wanted.size().max(1) / 4)?;
    Ok(match (value, wanted) {
        (Value::Null, _) => None,
        (Value::List(list), Value::List(wanted)) => Some(places(&list.items, &wanted.items)),
        (Value::List(list), wanted) => Some(places(&list.items, std::slice::from_ref(wanted))),
        (Value::Text(text), Value::Text(wanted)) => {
            let (text, wanted): (Vec<char>, Vec<char>) =
                (text.chars().collect(), wanted.chars().collect());
            if wanted.is_empty() {
                return Ok(Some(Vec::new()));
            }
            let windows = text.windows(wanted.len()).enumerate();
            let fits = windows.filter(|(_, part)| *part == wanted.as_slice());
            Some(fits.map(|(at, _)| Value::count(at)).collect())
        }
        _ => return Err(cannot_with(name, value, wanted)),
    })
}

fn flatten(machine: &mut Machine<'_>, value: &Value, depth: f64) -> Made {
    let values = values(value).ok_or_else(|| cannot("flatten", value))?;
    let mut flat = Vec::new();
    push_flat(machine, &mut flat, &values, depth)?;
    Value::list(flat)
}

fn push_flat(
    machine: &mut Machine<'_>,
    flat: &mut Vec<Value>,
    values: &[Value],
    depth: f64,
) -> Result<(), Raise> {
    machine.charge(values.len())?;
    for value in values {
        match value {
            Value::List(list) if depth != 0.0 => {
                push_flat(machine, flat, &list.items, depth - 1.0)?
            }
            other => flat.push(other.clone()),
        }
    }
    Ok(())
}

/// The first of the least, or of the greatest.
fn extreme(list: &[Value], keys: &[Value], least: bool) -> Value {
    let mut best: Option<(usize, &Value)> = None;
    for (index, key) in keys.iter().enumerate() {
        let is_better = best.is_none_or(|(_, best)| best.compare(key).is_gt() == least);
        if is_better {
            best = Some((index, key));
        }
    }
    best.and_then(|(index, _)| list.get(index)).cloned().unwrap_or(Value::Null)
}

fn keyed<'v>(
    name: &str,
    value: &'v Value,
    keys: &'v Value,
) -> Result<(&'v [Value], &'v [Value]), Raise> {
    match (value, keys) {
        (Value::List(list), Value::List(keys)) if list.items.len() == keys.items.len() => {
            Ok((&list.items, &keys.items))
        }
        _ => Err(cannot_with(name, value, keys)),
    }
}

fn sorted(
    machine: &mut Machine<'_>,
    list: &[Value],
    keys: &[Value],
) -> Result<Vec<(Value, Value)>, Raise> {
    let size: usize = keys.iter().map(|key| 1 + key.size() / 8).sum();
    machine.charge(size.saturating_mul(1 + list.len().max(1).ilog2() as usize))?;
    let mut pairs: Vec<(Value, Value)> = keys.iter().cloned().zip(list.iter().cloned()).collect();
    // What is no number is less than itself: the order is not total, and any will do.
    pairs.sort_by(|a, b| match a.0.compare(&b.0) {
        order if order == b.0.compare(&a.0).reverse() => order,
        _ => std::cmp::Ordering::Equal,
    });
    Ok(pairs)
}

fn groups(
    machine: &mut Machine<'_>,
    list: &[Value],
    keys: &[Value],
) -> Result<Vec<Vec<Value>>, Raise> {
    let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
    for (key, value) in sorted(machine, list, keys)? {
        match groups.last_mut().filter(|(last, _)| last.compare(&key).is_eq()) {
            Some((_, group)) => group.push(value),
            None => groups.push((key, vec![value])),
        }
    }
    Ok(groups.into_iter().map(|(_, group)| group).collect())
}

fn transpose(machine: &mut Machine<'_>, value: &Value) -> Made {
    let rows = &items("transpose", value)?.items;
    let mut lists = Vec::with_capacity(rows.len());
    for row in rows {
        let Value::List(row) = row else { return Err(cannot("transpose", value)) };
        lists.push(row);
    }
    let width = lists.iter().map(|row| row.items.len()).max().unwrap_or_default();
    machine.charge(width.saturating_mul(rows.len()))?;
    let column = |at: usize| {
        Value::list(
            lists.iter().map(|row| row.items.get(at).cloned().unwrap_or(Value::Null)).collect(),
        )
    };
    Value::list((0..width).map(column).collect::<Result<_, _>>()?)
}
