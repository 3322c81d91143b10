//! Between JSON and tables.

use super::machine::{Error, Machine};
use super::value::Value;
use crate::json::{self, Build, Escapes, MAX_DEPTH};

/// The data of an event as a table: null and arrays in arrays are left out, as Argo Events
/// does.
pub(super) fn event(machine: &mut Machine, data: &str) -> Result<Value, String> {
    let read = json::parse::<Read>(data)
        .map_err(|error| format!("the event's data cannot be read: {error}"))?;
    let made = match read {
        Read::Null => Ok(Value::Table(machine.new_table())),
        Read::Dict(_) => value(machine, read),
        _ => return Err("the event's data is no JSON object".to_owned()),
    };
    made.map_err(|error| machine.describe(&error))
}

enum Read {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Self>),
    Dict(Vec<(String, Self)>),
}

impl Build for Read {
    fn null() -> Self {
        Self::Null
    }

    fn bool(value: bool) -> Self {
        Self::Bool(value)
    }

    fn number(text: &str) -> Result<Self, String> {
        Ok(Self::Number(json::float(text)?))
    }

    fn text(value: String) -> Self {
        Self::Text(value)
    }

    fn list(items: Vec<Self>) -> Self {
        Self::List(items)
    }

    fn dict(entries: Vec<(String, Self)>) -> Self {
        Self::Dict(entries)
    }
}

fn value(machine: &mut Machine, read: Read) -> Result<Value, Error> {
    Ok(match read {
        Read::Null => Value::Nil,
        Read::Bool(value) => Value::Bool(value),
        Read::Number(number) => Value::Number(number),
        Read::Text(text) => Value::text(text),
        Read::List(items) => {
            let table = machine.new_table();
            let mut index = 0;
            for item in items {
                if matches!(item, Read::Null | Read::List(_)) {
                    continue;
                }
                index += 1;
                let item = value(machine, item)?;
                machine.raw_set(table, Value::count(index), item)?;
            }
            Value::Table(table)
        }
        Read::Dict(entries) => {
            let table = machine.new_table();
            // Go reads into a map, whose order differs from run to run: here keys are in
            // the order of the text.
            for (key, item) in entries {
                let item = value(machine, item)?;
                machine.raw_set(table, Value::text(key), item)?;
            }
            Value::Table(table)
        }
    })
}

/// The JSON of what a script answers, as Go writes it.
pub(super) fn to_json(machine: &Machine, value: &Value) -> Result<String, String> {
    let mut out = String::new();
    // A table that stands in many places is written as often; that can be too much.
    let mut left = super::MAX_STEPS;
    push(machine, value, 0, &mut left, &mut out)?;
    Ok(out)
}

fn push(
    machine: &Machine,
    value: &Value,
    depth: usize,
    left: &mut usize,
    out: &mut String,
) -> Result<(), String> {
    let size = if let Value::Text(text) = value { text.len() / 8 } else { 0 };
    *left = left.checked_sub(1 + size).ok_or("the script answers too large a table")?;
    if depth > MAX_DEPTH {
        return Err(format!(
            "the script answers a table that is nested more than {MAX_DEPTH} deep"
        ));
    }
    match value {
        Value::Nil | Value::Cell(_) => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) if number.is_finite() => json::push_float(out, *number),
        Value::Number(_) => return Err("JSON has no number that is infinite or none".to_owned()),
        Value::Text(text) => {
            json::push_text(out, &String::from_utf8_lossy(text), Escapes::Html);
        }
        Value::Table(number) => {
            let table = machine.table(*number);
            let is_array = table.meta.is_some_and(|meta| {
                matches!(machine.table(meta).get_text("__is_array"), Value::Bool(true))
            });
            let length = table.length();
            if length > 0 || is_array {
                out.push('[');
                for (at, item) in table.array[..length].iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    push(machine, item, depth + 1, left, out)?;
                }
                out.push(']');
                return Ok(());
            }
            let mut entries: Vec<(String, &Value)> =
                table.entries().map(|(key, value)| (key_text(key), value)).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            out.push('{');
            for (at, (key, item)) in entries.into_iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                json::push_text(out, &key, Escapes::Html);
                out.push(':');
                push(machine, item, depth + 1, left, out)?;
            }
            out.push('}');
        }
        other => return Err(format!("JSON has no {}", other.type_name())),
    }
    Ok(())
}

fn key_text(key: &Value) -> String {
    match key {
        Value::Bool(value) => value.to_string(),
        other => match other.as_text() {
            Some(text) => String::from_utf8_lossy(&text).into_owned(),
            None => format!("{}: 0x0", other.type_name()),
        },
    }
}
