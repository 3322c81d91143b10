//! The functions that belong to no module.

use std::sync::Arc;

use super::{Call, Native, native};
use crate::lua::machine::{Error, Run};
use crate::lua::value::{self, Value};

pub(super) static FUNCTIONS: &[Native] = &[
    native("assert", |call| {
        if call.argument(1).is_true() {
            return Ok(call.arguments.to_vec());
        }
        match call.argument(2) {
            Value::Nil => call.machine.fail("assertion failed!"),
            message => match message.as_text() {
                Some(text) => call.machine.fail(String::from_utf8_lossy(&text)),
                None => call.wrong(2, "string"),
            },
        }
    }),
    // There is nothing to collect: all goes at the end of a run.
    native("collectgarbage", |_| Ok(Vec::new())),
    native("error", |call| {
        let value = call.any(1)?;
        let level = call.int_or(2, 1)?;
        match (&value, usize::try_from(level)) {
            (Value::Text(text), Ok(level)) if level > 0 => {
                let place = call.machine.place_of(level);
                let message = [place.as_bytes(), b" ", text].concat();
                Err(Error::Raised(Value::text(message.trim_ascii_start())))
            }
            _ => Err(Error::Raised(value)),
        }
    }),
    native("getmetatable", |call| {
        let value = call.any(1)?;
        let protected = call.machine.meta(&value, "__metatable");
        if !matches!(protected, Value::Nil) {
            return Ok(vec![protected]);
        }
        Ok(vec![match value {
            Value::Table(table) => call.machine.table(table).meta.map_or(Value::Nil, Value::Table),
            Value::Text(_) => Value::Table(call.machine.texts),
            _ => Value::Nil,
        }])
    }),
    native("ipairs", |call| {
        let table = call.table(1)?;
        Ok(vec![Value::Native(&NEXT_INDEX), Value::Table(table), Value::Number(0.0)])
    }),
    native("load", load),
    native("loadstring", |call| {
        let text = call.text(1)?;
        Ok(load_text(call, &text))
    }),
    native("next", next),
    native("pairs", |call| {
        let table = call.table(1)?;
        Ok(vec![Value::Native(&NEXT), Value::Table(table), Value::Nil])
    }),
    native("pcall", |call| {
        let function = call.any(1)?;
        let arguments = call.arguments[1..].to_vec();
        protected(call, function, arguments, None)
    }),
    native("print", |_| Ok(Vec::new())),
    native("rawequal", |call| {
        let (left, right) = (call.any(1)?, call.any(2)?);
        Ok(vec![Value::Bool(left.is(&right))])
    }),
    native("rawget", |call| {
        let table = call.table(1)?;
        let key = call.any(2)?;
        Ok(vec![call.machine.table(table).get(&key)])
    }),
    native("rawset", |call| {
        let table = call.table(1)?;
        let (key, value) = (call.any(2)?, call.any(3)?);
        call.machine.raw_set(table, key, value)?;
        Ok(Vec::new())
    }),
    native("select", select),
    native("setmetatable", |call| {
        let meta = match call.argument(2) {
            Value::Nil => None,
            Value::Table(meta) => Some(meta),
            _ => return call.wrong(2, "nil or table"),
        };
        let value = call.argument(1);
        if !matches!(call.machine.meta(&value, "__metatable"), Value::Nil) {
            return call.machine.fail("cannot change a protected metatable");
        }
        match value {
            Value::Table(table) => call.machine.table_mut(table).meta = meta,
            Value::Nil => return call.machine.fail("cannot set metatable to a nil object."),
            // All values of such a type would have it.
            _ => return call.wrong(1, "table"),
        }
        Ok(vec![value])
    }),
    native("tonumber", |call| {
        let base = call.int_or(2, 10)?;
        let no_base = matches!(call.argument(2), Value::Nil);
        Ok(vec![match call.any(1)? {
            number @ Value::Number(_) => number,
            Value::Text(text) => to_number(&text, base, no_base).map_or(Value::Nil, Value::Number),
            _ => Value::Nil,
        }])
    }),
    native("tostring", |call| {
        let value = call.any(1)?;
        Ok(vec![to_text(call, value)?])
    }),
    native("type", |call| Ok(vec![Value::text(call.any(1)?.type_name())])),
    native("unpack", |call| {
        let table = call.table(1)?;
        let length = i64::try_from(call.machine.table(table).length()).unwrap_or(i64::MAX);
        let (start, end) = (call.int_or(2, 1)?, call.int_or(3, length)?);
        let count = end.saturating_sub(start).saturating_add(1).max(0);
        call.machine.charge(usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(4))?;
        #[expect(clippy::cast_precision_loss, reason = "Lua has only floats")]
        let value = |at: i64| call.machine.table(table).get(&Value::Number(at as f64));
        Ok((start..=end).map(value).collect())
    }),
    native("xpcall", |call| {
        let (function, handler) = (call.function(1)?, call.function(2)?);
        protected(call, function, Vec::new(), Some(handler))
    }),
];

static NEXT: Native = native("next", |call| {
    let answer = next(call)?;
    // The loop ends where the first is nil.
    Ok(answer)
});

static NEXT_INDEX: Native = native("ipairs", |call| {
    let table = call.table(1)?;
    let index = call.number(2)? + 1.0;
    match call.machine.table(table).get(&Value::Number(index)) {
        Value::Nil => Ok(Vec::new()),
        value => Ok(vec![Value::Number(index), value]),
    }
});

fn next(call: &mut Call<'_>) -> Run<Vec<Value>> {
    let table = call.table(1)?;
    let (entry, passed) = call.machine.table(table).next(&call.argument(2));
    call.machine.charge(passed)?;
    Ok(match entry {
        Some((key, value)) => vec![key, value],
        None => vec![Value::Nil],
    })
}

/// What is cut off is not caught: a script that ran out of steps has none for more.
fn protected(
    call: &mut Call<'_>,
    function: Value,
    arguments: Vec<Value>,
    handler: Option<Value>,
) -> Run<Vec<Value>> {
    let is_callable = matches!(function, Value::Closure(_) | Value::Native(_) | Value::Bound(_));
    if !is_callable && matches!(call.machine.meta(&function, "__call"), Value::Nil) {
        let message = format!("attempt to call a {} value", function.type_name());
        return Ok(vec![Value::Bool(false), Value::text(message)]);
    }
    match call.machine.call(function, arguments) {
        Ok(mut answers) => {
            answers.insert(0, Value::Bool(true));
            Ok(answers)
        }
        Err(Error::Raised(value)) => {
            let value = match handler {
                Some(handler) => call.machine.call_one(handler, vec![value])?,
                None => value,
            };
            Ok(vec![Value::Bool(false), value])
        }
        Err(cut) => Err(cut),
    }
}

fn select(call: &mut Call<'_>) -> Run<Vec<Value>> {
    match call.argument(1) {
        Value::Number(_) => {
            let count = i64::try_from(call.arguments.len()).unwrap_or(i64::MAX);
            let index = call.int(1)?;
            let index = if index < 0 { count.saturating_add(index) } else { index.min(count) };
            match usize::try_from(index) {
                Ok(index) if index >= 1 => Ok(call.arguments[index..].to_vec()),
                _ => call.bad(1, "index out of range"),
            }
        }
        Value::Text(text) if *text == *b"#" => Ok(vec![Value::count(call.arguments.len() - 1)]),
        Value::Text(text) => {
            let text = String::from_utf8_lossy(&text);
            call.bad(1, &format!("invalid string '{text}'"))
        }
        _ => call.wrong(1, "number or string"),
    }
}

fn to_number(text: &[u8], base: i64, no_base: bool) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?.trim_matches([' ', '\n', '\t']);
    if text.contains('.') {
        return crate::number::parse_float(text).ok();
    }
    if no_base && text.get(..2).is_some_and(|prefix| prefix.eq_ignore_ascii_case("0x")) {
        return value::integer(&text[2..], 16);
    }
    value::integer(text, u32::try_from(base).ok()?)
}

/// The text of any value. Nothing is told of where a value lies in memory: it would
/// differ from run to run.
pub(super) fn to_text(call: &mut Call<'_>, value: Value) -> Run<Value> {
    let function = call.machine.meta(&value, "__tostring");
    if !matches!(value, Value::Text(_)) && !matches!(function, Value::Nil) {
        return call.machine.call_one(function, vec![value]);
    }
    Ok(match value {
        Value::Nil => Value::text("nil"),
        Value::Bool(value) => Value::text(value.to_string()),
        other => match other.as_text() {
            Some(text) => Value::Text(text),
            None => Value::text(format!("{}: 0x0", other.type_name())),
        },
    })
}

fn load(call: &mut Call<'_>) -> Run<Vec<Value>> {
    let reader = call.function(1)?;
    let mut text = Vec::new();
    loop {
        let part = call.machine.call_one(reader.clone(), Vec::new())?;
        match part.as_text() {
            Some(part) if !part.is_empty() => {
                call.machine.charge(part.len())?;
                text.extend_from_slice(&part);
            }
            Some(_) => break,
            None if matches!(part, Value::Nil) => break,
            None => {
                let message = Value::text("reader function must return a string");
                return Ok(vec![Value::Nil, message]);
            }
        }
    }
    Ok(load_text(call, &text))
}

fn load_text(call: &mut Call<'_>, text: &[u8]) -> Vec<Value> {
    if let Err(error) = call.machine.charge(text.len().saturating_mul(16)) {
        return vec![Value::Nil, Value::text(call.machine.describe(&error))];
    }
    match crate::lua::compile(text) {
        Ok(function) => vec![call.machine.close(Arc::new(function))],
        Err(error) => vec![Value::Nil, Value::text(error.to_string())],
    }
}
