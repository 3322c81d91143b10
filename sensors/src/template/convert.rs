//! Conversions of sprig, which make something of everything.

use super::bounds::Bounded;
use super::literal::integer;
use super::print;
use super::value::Value;
use crate::number::parse_float;

/// A float as an integer. What does not fit is the least one, as on the machines that Go
/// mostly runs on.
pub(super) fn truncate(value: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    if value > -9.3e18 && value < 9_223_372_036_854_775_808.0 { value as i64 } else { i64::MIN }
}

/// sprig's `int64`.
pub(super) fn to_int(value: &Value) -> i64 {
    match value {
        Value::Int(value) | Value::Int64(value) => *value,
        Value::Uint64(value) => value.cast_signed(),
        Value::Byte(value) => (*value).into(),
        Value::Float(value) => truncate(*value),
        Value::Bool(value) => (*value).into(),
        Value::Text(text) => integer(without_zero_fraction(text)).unwrap_or(0),
        _ => 0,
    }
}

/// `1.00` is read as `1`.
fn without_zero_fraction(text: &str) -> &str {
    let whole = text.trim_end_matches('0');
    match whole.strip_suffix('.') {
        Some(cut) if whole.len() < text.len() => cut,
        _ => text,
    }
}

/// sprig's `float64`.
pub(super) fn to_float(value: &Value) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "Go converts likewise")]
    match value {
        Value::Float(value) => *value,
        Value::Text(text) => parse_float(text).unwrap_or(0.0),
        Value::Uint64(value) => *value as f64,
        other => to_int(other) as f64,
    }
}

/// sprig's `toString`.
pub(super) fn to_text(value: &Value) -> Result<String, String> {
    if let Value::Text(text) = value {
        return Ok(text.as_ref().to_owned());
    }
    let mut out = Bounded::default();
    print::plain(&mut out, value)?;
    out.finish()
}

/// sprig's `toStrings`: the elements as texts, without nil. Anything else is one element.
pub(super) fn to_texts(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::List(list) => {
            list.values().iter().filter(|value| !value.is_nil()).map(to_text).collect()
        }
        value if value.is_nil() => Ok(Vec::new()),
        value => Ok(vec![to_text(value)?]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_made_as_cast_makes_them() {
        for (value, int) in [
            (Value::from("0x10"), 16),
            (Value::from("010"), 8),
            (Value::from("1.0"), 1),
            (Value::from("1.5"), 0),
            (Value::from("100"), 100),
            (Value::from(".0"), 0),
            (Value::from("x"), 0),
            (Value::Float(2.9), 2),
            (Value::Float(-2.9), -2),
            (Value::Float(1e30), i64::MIN),
            (Value::Float(f64::NAN), i64::MIN),
            (Value::Bool(true), 1),
            (Value::Nil, 0),
        ] {
            assert_eq!(to_int(&value), int, "{value:?}");
        }
    }
}
