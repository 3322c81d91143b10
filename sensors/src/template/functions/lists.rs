//! Lists. None is changed in place.

use super::Parameter::{Any, Int, Text};
use super::{Call, Function, Plain, new, variadic};
use crate::template::bounds::Bounded;
use crate::template::compare::{deep_equal, empty};
use crate::template::convert::{to_int, to_text, to_texts};
use crate::template::value::{Element, List, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    variadic("list", &[], Any, list),
    variadic("tuple", &[], Any, list),
    new("append", &[Any, Any], push),
    new("push", &[Any, Any], push),
    new("mustAppend", &[Any, Any], push),
    new("mustPush", &[Any, Any], push),
    new("prepend", &[Any, Any], prepend),
    new("mustPrepend", &[Any, Any], prepend),
    new("first", &[Any], FIRST),
    new("mustFirst", &[Any], FIRST),
    new("last", &[Any], LAST),
    new("mustLast", &[Any], LAST),
    new("rest", &[Any], REST),
    new("mustRest", &[Any], REST),
    new("initial", &[Any], INITIAL),
    new("mustInitial", &[Any], INITIAL),
    new("reverse", &[Any], REVERSE),
    new("mustReverse", &[Any], REVERSE),
    new("uniq", &[Any], unique),
    new("mustUniq", &[Any], unique),
    new("compact", &[Any], COMPACT),
    new("mustCompact", &[Any], COMPACT),
    variadic("without", &[Any], Any, without),
    variadic("mustWithout", &[Any], Any, without),
    new("has", &[Any, Any], has),
    new("mustHas", &[Any, Any], has),
    variadic("slice", &[Any], Any, slice),
    variadic("mustSlice", &[Any], Any, slice),
    variadic("concat", &[], Any, concat),
    new("chunk", &[Int, Any], chunk),
    new("mustChunk", &[Int, Any], chunk),
    new("join", &[Text, Any], |_, values| {
        let mut out = Bounded::default();
        for (index, text) in to_texts(&values[1])?.iter().enumerate() {
            if index > 0 {
                out.push_str(values[0].text());
            }
            out.push_str(text);
        }
        out.finish().map(Value::from)
    }),
    new("sortAlpha", &[Any], |_, values| match &values[0] {
        list @ Value::List(_) => {
            let mut texts = to_texts(list)?;
            texts.sort_unstable();
            Ok(Value::texts(texts))
        }
        other => Ok(Value::texts([to_text(other)?])),
    }),
    new("toStrings", &[Any], |_, values| Ok(Value::texts(to_texts(&values[0])?))),
];

const FIRST: Plain = |_, values| Ok(items(&values[0])?.first().cloned().unwrap_or(Value::Nil));
const LAST: Plain = |_, values| Ok(items(&values[0])?.last().cloned().unwrap_or(Value::Nil));
const REST: Plain = |_, values| Ok(part(items(&values[0])?.split_first().map(|(_, rest)| rest)));
const INITIAL: Plain = |_, values| Ok(part(items(&values[0])?.split_last().map(|(_, rest)| rest)));
const REVERSE: Plain = |_, values| Ok(Value::list(items(&values[0])?.iter().rev().cloned()));
const COMPACT: Plain =
    |_, values| Ok(Value::list(items(&values[0])?.iter().filter(|value| !empty(value)).cloned()));

/// The elements of a list; anything else is an error.
fn items(value: &Value) -> Result<&[Value], String> {
    match value {
        Value::List(list) => Ok(list.values()),
        other => Err(format!("a list is wanted, not {}", other.type_name())),
    }
}

/// A part of a list; of an empty one it is nil.
fn part(values: Option<&[Value]>) -> Value {
    match values {
        Some(values) => Value::list(values.iter().cloned()),
        None => Value::nil_list(Element::Any),
    }
}

fn list(_: &Call<'_>, values: &[Value]) -> Result<Value, String> {
    Ok(Value::list(values.iter().cloned()))
}

fn push(_: &Call<'_>, values: &[Value]) -> Result<Value, String> {
    Ok(Value::list(items(&values[0])?.iter().chain([&values[1]]).cloned()))
}

fn prepend(_: &Call<'_>, values: &[Value]) -> Result<Value, String> {
    Ok(Value::list([&values[1]].into_iter().chain(items(&values[0])?).cloned()))
}

fn contains(call: &Call<'_>, list: &[Value], wanted: &Value) -> Result<bool, String> {
    for value in list {
        if deep_equal(wanted, value, call.steps)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn unique(call: &Call<'_>, values: &[Value]) -> Result<Value, String> {
    let mut kept = Vec::new();
    for value in items(&values[0])? {
        if !contains(call, &kept, value)? {
            kept.push(value.clone());
        }
    }
    Ok(Value::list(kept))
}

fn without(call: &Call<'_>, values: &[Value]) -> Result<Value, String> {
    let mut kept = Vec::new();
    for value in items(&values[0])? {
        if !contains(call, &values[1..], value)? {
            kept.push(value.clone());
        }
    }
    Ok(Value::list(kept))
}

fn has(call: &Call<'_>, values: &[Value]) -> Result<Value, String> {
    if values[1].is_nil() {
        return Ok(false.into());
    }
    Ok(contains(call, items(&values[1])?, &values[0])?.into())
}

fn slice(_: &Call<'_>, values: &[Value]) -> Result<Value, String> {
    let list = items(&values[0])?;
    if list.is_empty() {
        return Ok(Value::Nil);
    }
    let bound = |at: usize, default: usize| match values.get(at) {
        Some(bound) => usize::try_from(to_int(bound)).ok(),
        None => Some(default),
    };
    let range = bound(1, 0).zip(bound(2, list.len()));
    let found = range.and_then(|(start, end)| list.get(start..end));
    let found = found.ok_or_else(|| format!("the list has only {} elements", list.len()))?;
    let of = if let Value::List(list) = &values[0] { list.of() } else { Element::Any };
    Ok(Value::List(List::new(of, found.to_vec())))
}

fn concat(call: &Call<'_>, values: &[Value]) -> Result<Value, String> {
    let mut all = Vec::new();
    for list in values {
        let items = items(list)?;
        call.steps.take(items.len())?;
        all.extend_from_slice(items);
    }
    if all.is_empty() { Ok(Value::nil_list(Element::Any)) } else { Ok(Value::list(all)) }
}

fn chunk(_: &Call<'_>, values: &[Value]) -> Result<Value, String> {
    let size = usize::try_from(values[0].int()).ok().filter(|size| *size > 0);
    let size = size.ok_or("the size of a chunk is at least 1")?;
    let chunks = items(&values[1])?.chunks(size).map(|chunk| Value::list(chunk.iter().cloned()));
    Ok(Value::List(List::new(Element::Lists, chunks.collect())))
}
