//! The functions of `text/template` itself. Its `slice` is hidden by that of sprig.

use std::cmp::Ordering;

use super::Parameter::{Any, Text};
use super::{Function, Run, new, variadic};
use crate::template::bounds::Bounded;
use crate::template::value::Value;
use crate::template::{compare, print, printf};

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "and", fixed: &[Any], rest: Some(Any), run: Run::ShortCircuit(false) },
    Function { name: "or", fixed: &[Any], rest: Some(Any), run: Run::ShortCircuit(true) },
    new("not", &[Any], |_, values| Ok((!compare::truth(&values[0])).into())),
    variadic("eq", &[Any], Any, |_, values| {
        if values.len() == 1 {
            return Err("there is nothing to compare with".to_owned());
        }
        for other in &values[1..] {
            if compare::equal(&values[0], other)? {
                return Ok(true.into());
            }
        }
        Ok(false.into())
    }),
    new("ne", &[Any, Any], |_, values| Ok((!compare::equal(&values[0], &values[1])?).into())),
    new("lt", &[Any, Any], |_, values| Ok(less(values)?.into())),
    new("le", &[Any, Any], |_, values| Ok(less_or_equal(values)?.into())),
    new("gt", &[Any, Any], |_, values| Ok((!less_or_equal(values)?).into())),
    new("ge", &[Any, Any], |_, values| Ok((!less(values)?).into())),
    variadic("index", &[Any], Any, |_, values| index(values)),
    new("len", &[Any], |_, values| match &values[0] {
        value @ (Value::Text(_) | Value::List(_) | Value::Dict(_)) => {
            Ok(Value::Int(i64::try_from(value.size()).unwrap_or(i64::MAX)))
        }
        value if value.is_nil() => Err("nil has no length".to_owned()),
        value => Err(format!("a {} has no length", value.type_name())),
    }),
    variadic("print", &[], Any, |_, values| print::sprint(values).map(Value::from)),
    variadic("println", &[], Any, |_, values| print::sprintln(values).map(Value::from)),
    variadic("printf", &[Text], Any, |_, values| {
        printf::sprintf(values[0].text(), &values[1..]).map(Value::from)
    }),
    variadic("html", &[], Any, |_, values| html(&argument(values)?)),
    variadic("js", &[], Any, |_, values| js(&argument(values)?)),
    variadic("urlquery", &[], Any, |_, values| urlquery(&argument(values)?)),
    variadic("call", &[Any], Any, |_, values| {
        Err(format!("a {} is no function", values[0].type_name()))
    }),
];

fn less(values: &[Value]) -> Result<bool, String> {
    Ok(compare::order(&values[0], &values[1])? == Some(Ordering::Less))
}

fn less_or_equal(values: &[Value]) -> Result<bool, String> {
    let order = compare::order(&values[0], &values[1])?;
    Ok(matches!(order, Some(Ordering::Less | Ordering::Equal)))
}

fn index(values: &[Value]) -> Result<Value, String> {
    let mut item = values[0].clone();
    if item.is_nil() {
        return Err("nil has no elements".to_owned());
    }
    for index in &values[1..] {
        item = match (&item, index) {
            (Value::List(list), index) => list.values()[place(index, list.values().len())?].clone(),
            (Value::Text(text), index) => Value::Byte(text.as_bytes()[place(index, text.len())?]),
            (Value::Dict(dict), Value::Text(key)) => match dict.get(key) {
                Some(value) => value,
                None if dict.is_of_texts() => Value::from(""),
                None => Value::Nil,
            },
            (Value::Dict(_), index) => {
                return Err(format!("the keys of a dict are texts, not {}", index.type_name()));
            }
            (Value::Missing | Value::Nil, _) => return Err("nil has no elements".to_owned()),
            (other, _) => return Err(format!("a {} has no elements", other.type_name())),
        };
    }
    Ok(item)
}

fn place(index: &Value, count: usize) -> Result<usize, String> {
    let place = match index {
        Value::Int(at) | Value::Int64(at) => usize::try_from(*at).ok(),
        Value::Uint64(at) => usize::try_from(*at).ok(),
        Value::Byte(at) => Some(usize::from(*at)),
        other => {
            let advice =
                if matches!(other, Value::Float(_)) { ": convert it with `int`" } else { "" };
            return Err(format!("an index is an integer, not {}{advice}", other.type_name()));
        }
    };
    let range = || format!("the index {} is out of range", print::scalar(index));
    place.filter(|place| *place < count).ok_or_else(range)
}

/// The arguments as one text.
fn argument(values: &[Value]) -> Result<String, String> {
    let mut printed = values.to_vec();
    for value in &mut printed {
        if value.is_nil() {
            *value = Value::from("<no value>");
        }
    }
    print::sprint(&printed)
}

fn html(text: &str) -> Result<Value, String> {
    let mut out = Bounded::default();
    for c in text.chars() {
        match c {
            '\0' => out.push('\u{fffd}'),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    out.finish().map(Value::from)
}

fn js(text: &str) -> Result<Value, String> {
    let mut out = Bounded::default();
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c if c < ' ' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c if c.is_ascii() || printf::is_printable(c) => out.push(c),
            c => out.push_str(&format!("\\u{:04X}", u32::from(c))),
        }
    }
    out.finish().map(Value::from)
}

fn urlquery(text: &str) -> Result<Value, String> {
    let mut out = Bounded::default();
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out.finish().map(Value::from)
}
