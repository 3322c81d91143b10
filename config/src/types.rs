//! The types and the bounds of single values, in the words of a message.

use serde_json::{Map, Value};

use crate::codes;
use crate::identity::excerpt;
use crate::problem::{FieldPath, Problem};
use crate::scalar;

/// Whether a value is of a JSON Schema type.
pub(crate) fn is(name: &str, value: &Value) -> bool {
    match name {
        "integer" => value.is_i64() || value.is_u64(),
        other => other == self::name(value),
    }
}

/// The JSON Schema type of a value.
pub(crate) fn name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A value that has none of the types that are expected.
pub(crate) fn mismatch(expected: &[&str], value: &Value, path: &FieldPath) -> Problem {
    let words: Vec<&str> =
        expected.iter().filter(|name| **name != "null").map(|name| word(name)).collect();
    let message = format!("expected {}, found {}", words.join(" or "), found(value));
    let takes = |name| expected.contains(&name);
    match value {
        Value::Number(_) | Value::Bool(_) if takes("string") => {
            Problem::error(codes::UNQUOTED, path.clone(), message)
                .help(format!("write \"{value}\" in quotes"))
        }
        _ => {
            let problem = Problem::error(codes::WRONG_TYPE, path.clone(), message);
            match value {
                Value::String(text) if unquoted_fits(expected, text) => {
                    problem.help("remove the quotes")
                }
                Value::Object(_) | Value::String(_) if takes("array") => {
                    problem.help("an element of a sequence begins with `- `")
                }
                _ => problem,
            }
        }
    }
}

fn unquoted_fits(expected: &[&str], text: &str) -> bool {
    let plain = scalar::resolve(text);
    plain.is_ok_and(|value| !value.is_null() && expected.iter().any(|name| is(name, &value)))
}

fn word(name: &str) -> &str {
    match name {
        "string" => "a string",
        "integer" => "an integer",
        "number" => "a number",
        "boolean" => "a boolean",
        "array" => "a sequence",
        "object" => "a mapping",
        other => other,
    }
}

/// What a value is, in words.
pub(crate) fn found(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(_) => format!("the boolean {value}"),
        Value::Number(_) => format!("the number {value}"),
        Value::String(text) => format!("the string {:?}", excerpt(text)),
        Value::Array(_) => "a sequence".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}

/// Compares a value with the bounds of a schema.
pub(crate) fn check_bounds(
    schema: &Map<String, Value>,
    value: &Value,
    path: &FieldPath,
    report: &mut dyn FnMut(Problem),
) {
    let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    #[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^53")]
    let (size, least, most, unit) = match value {
        Value::Number(number) => {
            let Some(number) = number.as_f64() else { return };
            (number, bound("minimum"), bound("maximum"), "")
        }
        Value::String(text) => {
            let length = text.chars().count() as f64;
            (length, bound("minLength"), bound("maxLength"), " characters long")
        }
        Value::Array(items) => {
            (items.len() as f64, bound("minItems"), bound("maxItems"), " elements long")
        }
        Value::Object(fields) => {
            let size = fields.len() as f64;
            (size, bound("minProperties"), bound("maxProperties"), " fields long")
        }
        _ => return,
    };
    let mut say = |what: &str, bound: f64| {
        let message = format!("must be at {what} {bound}{unit}, is {size}");
        report(Problem::error(codes::OUT_OF_RANGE, path.clone(), message));
    };
    match (least, most) {
        (Some(least), _) if size < least => say("least", least),
        (_, Some(most)) if size > most => say("most", most),
        _ => {}
    }
}
