//! How Go prints values: `fmt.Print` and the verb `%v`.

use super::bounds::Bounded;
use super::layout;
use super::value::Value;
use super::{MAX_DEPTH, printf};

/// What Go prints of a time.
const TIME: &str = "2006-01-02 15:04:05.999999999 -0700 MST";

/// Prints a value as `%v` does.
pub(super) fn plain(out: &mut Bounded, value: &Value) -> Result<(), String> {
    nested(out, value, 0)
}

fn nested(out: &mut Bounded, value: &Value, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    if out.is_full() {
        return Ok(());
    }
    match value {
        Value::List(list) => {
            out.push('[');
            for (index, value) in list.values().iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                nested(out, value, depth + 1)?;
            }
            out.push(']');
        }
        Value::Dict(dict) => {
            out.push_str("map[");
            for (index, (key, value)) in dict.entries().iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                out.push_str(key);
                out.push(':');
                nested(out, value, depth + 1)?;
            }
            out.push(']');
        }
        Value::Text(text) => out.push_str(text),
        scalar => out.push_str(&self::scalar(scalar)),
    }
    Ok(())
}

pub(super) fn too_deep() -> String {
    format!("the value is nested more than {MAX_DEPTH} deep")
}

/// A value without parts.
pub(super) fn scalar(value: &Value) -> String {
    match value {
        Value::Missing | Value::Nil => "<nil>".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) | Value::Int64(value) => value.to_string(),
        Value::Uint64(value) => value.to_string(),
        Value::Byte(value) => value.to_string(),
        Value::Float(value) => printf::float(*value, 'g', None),
        Value::Time(time) => layout::format(time, TIME),
        Value::Version(version) => version.to_string(),
        Value::Text(_) | Value::List(_) | Value::Dict(_) => String::new(),
    }
}

/// Prints a value as Go source: `%#v`.
pub(super) fn source(out: &mut Bounded, value: &Value, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    if out.is_full() {
        return Ok(());
    }
    match value {
        Value::Nil | Value::Missing if depth > 0 => out.push_str("interface {}(nil)"),
        Value::Text(text) => out.push_str(&printf::quote(text, false)),
        Value::Byte(byte) => out.push_str(&format!("{byte:#x}")),
        Value::Uint64(value) => out.push_str(&format!("{value:#x}")),
        Value::List(list) if list.is_nil() => {
            out.push_str(value.type_name());
            out.push_str("(nil)");
        }
        Value::List(list) => {
            out.push_str(value.type_name());
            out.push('{');
            for (index, value) in list.values().iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                source(out, value, depth + 1)?;
            }
            out.push('}');
        }
        Value::Dict(dict) => {
            out.push_str(value.type_name());
            out.push('{');
            for (index, (key, value)) in dict.entries().iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                out.push_str(&printf::quote(key, false));
                out.push(':');
                source(out, value, depth + 1)?;
            }
            out.push('}');
        }
        other => out.push_str(&scalar(other)),
    }
    Ok(())
}

/// `fmt.Sprint`: a space between two values neither of which is a text.
pub(super) fn sprint(values: &[Value]) -> Result<String, String> {
    let mut out = Bounded::default();
    let mut text_before = true;
    for (index, value) in values.iter().enumerate() {
        let is_text = matches!(value, Value::Text(_));
        if index > 0 && !is_text && !text_before {
            out.push(' ');
        }
        plain(&mut out, value)?;
        text_before = is_text;
    }
    out.finish()
}

/// `fmt.Sprintln`: a space between all.
pub(super) fn sprintln(values: &[Value]) -> Result<String, String> {
    let mut out = Bounded::default();
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        plain(&mut out, value)?;
    }
    out.push('\n');
    out.finish()
}
