//! Dicts. Those that change one change it for all that refer to it, as in Go.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::Parameter::{Any, Dict, Text};
use super::{Call, Function, new, variadic};
use crate::template::compare::empty;
use crate::template::value::{self, List, Value};
use crate::template::{MAX_DEPTH, convert, print};

pub(super) const FUNCTIONS: &[Function] = &[
    variadic("dict", &[], Any, |_, values| {
        let mut entries = BTreeMap::new();
        for pair in values.chunks(2) {
            let value = pair.get(1).cloned().unwrap_or_else(|| Value::from(""));
            entries.insert(Rc::from(convert::to_text(&pair[0])?), value);
        }
        Ok(Value::Dict(value::Dict::new(entries)))
    }),
    new("get", &[Dict, Text], |_, values| {
        Ok(entry(&values[0], values[1].text()).unwrap_or_else(|| Value::from("")))
    }),
    new("set", &[Dict, Text, Any], |call, values| {
        let dict = writable(&values[0])?;
        dict.set(values[1].text().into(), values[2].clone(), call.steps)?;
        Ok(values[0].clone())
    }),
    new("unset", &[Dict, Text], |_, values| {
        if let Value::Dict(dict) = &values[0] {
            dict.remove(values[1].text());
        }
        Ok(values[0].clone())
    }),
    new("hasKey", &[Dict, Text], |_, values| {
        Ok(entry(&values[0], values[1].text()).is_some().into())
    }),
    variadic("pluck", &[Text], Dict, |_, values| {
        let key = values[0].text();
        Ok(Value::list(values[1..].iter().filter_map(|dict| entry(dict, key))))
    }),
    // Go's order is random, this one is not.
    variadic("keys", &[], Dict, |_, values| {
        Ok(Value::texts(values.iter().flat_map(entries).map(|(key, _)| key)))
    }),
    new("values", &[Dict], |_, values| {
        Ok(Value::list(entries(&values[0]).into_iter().map(|(_, value)| value)))
    }),
    variadic("pick", &[Dict], Text, |_, values| {
        let wanted = values[1..].iter().map(Value::text);
        let found = wanted.filter_map(|key| Some((key, entry(&values[0], key)?)));
        Ok(Value::dict(found))
    }),
    variadic("omit", &[Dict], Text, |_, values| {
        let mut kept = entries(&values[0]);
        kept.retain(|(key, _)| !values[1..].iter().any(|name| name.text() == &**key));
        Ok(Value::dict(kept))
    }),
    variadic("merge", &[Dict], Dict, |call, values| merge(call, values, false)),
    variadic("mustMerge", &[Dict], Dict, |call, values| merge(call, values, false)),
    variadic("mergeOverwrite", &[Dict], Dict, |call, values| merge(call, values, true)),
    variadic("mustMergeOverwrite", &[Dict], Dict, |call, values| merge(call, values, true)),
    new("deepCopy", &[Any], |call, values| copy(call, &values[0], 0)),
    new("mustDeepCopy", &[Any], |call, values| copy(call, &values[0], 0)),
    variadic("dig", &[], Any, |_, values| dig(values)),
];

fn entry(dict: &Value, key: &str) -> Option<Value> {
    if let Value::Dict(dict) = dict { dict.get(key) } else { None }
}

fn entries(dict: &Value) -> Vec<(Rc<str>, Value)> {
    if let Value::Dict(dict) = dict { dict.entries() } else { Vec::new() }
}

fn writable(dict: &Value) -> Result<&value::Dict, String> {
    if let Value::Dict(dict) = dict { Ok(dict) } else { Err("nil cannot be set".to_owned()) }
}

fn merge(call: &Call<'_>, values: &[Value], overwrite: bool) -> Result<Value, String> {
    let into = writable(&values[0])?;
    for from in &values[1..] {
        if let Value::Dict(from) = from {
            merge_one(call, into, from, overwrite, 0)?;
        }
    }
    Ok(values[0].clone())
}

/// Dicts within are merged too; of all else the first that is not empty stays, or the
/// last one with `overwrite`.
fn merge_one(
    call: &Call<'_>,
    into: &value::Dict,
    from: &value::Dict,
    overwrite: bool,
    depth: usize,
) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(print::too_deep());
    }
    if into.is(from) {
        return Ok(());
    }
    for (key, value) in from.entries() {
        call.steps.take(1)?;
        let present = into.get(&key);
        if let (Value::Dict(value), Some(Value::Dict(present))) = (&value, &present) {
            merge_one(call, present, value, overwrite, depth + 1)?;
            if present.len() > 0 {
                continue;
            }
        }
        let set = match &value {
            value if value.is_nil() => overwrite,
            _ => overwrite || present.as_ref().is_none_or(empty),
        };
        if set {
            into.set(key, value, call.steps)?;
        }
    }
    Ok(())
}

fn copy(call: &Call<'_>, value: &Value, depth: usize) -> Result<Value, String> {
    if depth > MAX_DEPTH {
        return Err(print::too_deep());
    }
    call.steps.take(1)?;
    match value {
        Value::List(list) if !list.is_nil() => {
            let values = list.values().iter().map(|value| copy(call, value, depth + 1));
            Ok(Value::List(List::new(list.of(), values.collect::<Result<_, _>>()?)))
        }
        Value::Dict(dict) if !dict.is_of_texts() => {
            let mut copied = BTreeMap::new();
            for (key, value) in dict.entries() {
                copied.insert(key, copy(call, &value, depth + 1)?);
            }
            Ok(Value::Dict(value::Dict::new(copied)))
        }
        other => Ok(other.clone()),
    }
}

/// `dig "a" "b" default dict`.
fn dig(values: &[Value]) -> Result<Value, String> {
    let [path @ .., default, dict] = values else { return Err(few_arguments()) };
    if path.is_empty() {
        return Err(few_arguments());
    }
    let mut found = dict.clone();
    for key in path {
        let Value::Text(key) = key else {
            return Err(format!("a key is a text, not {}", key.type_name()));
        };
        let next = match &found {
            Value::Dict(dict) if !dict.is_of_texts() => dict.get(key),
            other => return Err(format!("`{key}` is looked for in a {}", other.type_name())),
        };
        match next {
            Some(value) => found = value,
            None => return Ok(default.clone()),
        }
    }
    Ok(found)
}

fn few_arguments() -> String {
    "it takes at least one key, a default and a dict".to_owned()
}
