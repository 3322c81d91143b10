//! What a plain YAML scalar means: as in the YAML that Kubernetes' own tools read.
//!
//! They read YAML 1.1 by go-yaml 2 and turn it into JSON (`sigs.k8s.io/yaml`). So `on`,
//! `yes` and `y` are booleans, `0777` is octal, `1_000` a thousand, `1e3` and `1.0` whole
//! numbers, and a date is a string. `tests/yaml_as_kubernetes.jsonl` holds what those tools
//! answered.

use serde_json::{Number, Value};

/// The meaning of a plain scalar without a tag. An error is a number that JSON cannot
/// express.
pub(crate) fn resolve(text: &str) -> Result<Value, NotInJson> {
    if let Some(value) = word(text)? {
        return Ok(value);
    }
    let number = match text.as_bytes().first() {
        Some(b'0'..=b'9' | b'+' | b'-') => number(&text.replace('_', "")),
        Some(b'.') => float(text),
        _ => None,
    };
    Ok(number.unwrap_or_else(|| Value::String(text.to_owned())))
}

/// Infinity or not a number: JSON has neither.
#[derive(Debug, PartialEq)]
pub(crate) struct NotInJson;

fn word(text: &str) -> Result<Option<Value>, NotInJson> {
    Ok(Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Value::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Value::Bool(false)
        }
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF"
        | "-.inf" | "-.Inf" | "-.INF" => return Err(NotInJson),
        _ => return Ok(None),
    }))
}

/// A number without underscores, which may have a sign and a base.
fn number(text: &str) -> Option<Value> {
    integer(text).or_else(|| float(text))
}

fn integer(text: &str) -> Option<Value> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (digits, radix) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&digits[2..], 16),
        [b'0', b'b' | b'B', ..] => (&digits[2..], 2),
        [b'0', b'o' | b'O', ..] => (&digits[2..], 8),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    // A second sign would be accepted by `from_str_radix`.
    if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        0_i64.checked_sub_unsigned(magnitude).map(Value::from)
    } else {
        Some(Value::from(magnitude))
    }
}

/// A decimal floating-point number: `[sign] digits [. digits] [e [sign] digits]`. Without a
/// fraction it is a whole number, since that is what its JSON says.
fn float(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let first_is_right = match unsigned.as_bytes() {
        [b'.', digit, ..] => digit.is_ascii_digit(),
        [digit, ..] => digit.is_ascii_digit(),
        [] => false,
    };
    let decimal = |byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
    if !first_is_right || !unsigned.bytes().all(decimal) {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    if !value.is_finite() {
        return None;
    }
    Some(from_float(value))
}

/// The JSON of a number: whole ones have no fraction.
fn from_float(value: f64) -> Value {
    // Both bounds are powers of two, so they are exact and the casts are, too.
    const BELOW: f64 = 9_223_372_036_854_775_808.0;
    if value.fract() == 0.0 && (-BELOW..BELOW).contains(&value) {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within the bounds of i64")]
        return Value::from(value as i64);
    }
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}
