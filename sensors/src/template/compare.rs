//! When values are true, empty or equal, and which comes first.

use std::cmp::Ordering;

use super::bounds::Steps;
use super::value::{Element, Value};

/// Whether `if` takes a value for true.
pub(super) fn truth(value: &Value) -> bool {
    match value {
        Value::Missing | Value::Nil => false,
        Value::Bool(value) => *value,
        Value::Int(value) | Value::Int64(value) => *value != 0,
        Value::Uint64(value) => *value != 0,
        Value::Byte(value) => *value != 0,
        Value::Float(value) => *value != 0.0,
        Value::Text(_) | Value::List(_) | Value::Dict(_) => value.size() > 0,
        Value::Time(_) | Value::Version(_) => true,
    }
}

/// Whether sprig takes a value for empty: the opposite, which it is for all values that
/// there are.
pub(super) fn empty(value: &Value) -> bool {
    !truth(value)
}

/// What `eq` and `lt` can compare.
enum Basic<'v> {
    Bool(bool),
    /// Integers of any type compare with each other.
    Int(i128),
    Float(f64),
    Text(&'v str),
    None,
}

fn basic(value: &Value) -> Basic<'_> {
    match value {
        Value::Bool(value) => Basic::Bool(*value),
        Value::Int(value) | Value::Int64(value) => Basic::Int((*value).into()),
        Value::Uint64(value) => Basic::Int((*value).into()),
        Value::Byte(value) => Basic::Int((*value).into()),
        Value::Float(value) => Basic::Float(*value),
        Value::Text(text) => Basic::Text(text),
        _ => Basic::None,
    }
}

fn incompatible(left: &Value, right: &Value) -> String {
    let (left, right) = (left.type_name(), right.type_name());
    let advice = match (left, right) {
        ("float64", "int" | "int64") | ("int" | "int64", "float64") => {
            ": numbers of JSON are floats, so write `2.0` for `2`, or convert with `int`"
        }
        _ => "",
    };
    format!("{left} and {right} cannot be compared{advice}")
}

/// `eq` of two values.
#[expect(clippy::float_cmp, reason = "Go compares floats exactly")]
pub(super) fn equal(left: &Value, right: &Value) -> Result<bool, String> {
    match (basic(left), basic(right)) {
        (Basic::Bool(left), Basic::Bool(right)) => Ok(left == right),
        (Basic::Int(left), Basic::Int(right)) => Ok(left == right),
        (Basic::Float(left), Basic::Float(right)) => Ok(left == right),
        (Basic::Text(left), Basic::Text(right)) => Ok(left == right),
        (Basic::None, Basic::None) => equal_others(left, right),
        _ if left.is_nil() || right.is_nil() => Ok(false),
        _ => Err(incompatible(left, right)),
    }
}

fn equal_others(left: &Value, right: &Value) -> Result<bool, String> {
    let nil = |value: &Value| match value {
        Value::List(list) => list.is_nil(),
        value => value.is_nil(),
    };
    if left.kind() != right.kind() && !left.is_nil() && !right.is_nil() {
        return Err(incompatible(left, right));
    }
    if nil(left) || nil(right) {
        return Ok(nil(left) == nil(right));
    }
    match (left, right) {
        (Value::Time(left), Value::Time(right)) => Ok(left == right),
        (Value::Version(left), Value::Version(right)) => Ok(std::rc::Rc::ptr_eq(left, right)),
        _ => Err(format!("values of type {} cannot be compared", right.type_name())),
    }
}

/// Which of two values comes first, for `lt` and its like.
pub(super) fn order(left: &Value, right: &Value) -> Result<Option<Ordering>, String> {
    match (basic(left), basic(right)) {
        (Basic::Int(left), Basic::Int(right)) => Ok(Some(left.cmp(&right))),
        (Basic::Float(left), Basic::Float(right)) => Ok(left.partial_cmp(&right)),
        (Basic::Text(left), Basic::Text(right)) => Ok(Some(left.cmp(right))),
        (Basic::Bool(_), Basic::Bool(_)) => Err("booleans have no order".to_owned()),
        (Basic::None, _) => Err(format!("values of type {} have no order", left.type_name())),
        (_, Basic::None) => Err(format!("values of type {} have no order", right.type_name())),
        _ => Err(incompatible(left, right)),
    }
}

/// Whether two values are the same all through, types included.
pub(super) fn deep_equal(left: &Value, right: &Value, steps: &Steps) -> Result<bool, String> {
    let mut pending = vec![(left.clone(), right.clone())];
    while let Some((left, right)) = pending.pop() {
        steps.take(1)?;
        #[expect(clippy::float_cmp, reason = "Go compares floats exactly")]
        let same = match (&left, &right) {
            (Value::Missing | Value::Nil, Value::Missing | Value::Nil) => true,
            (Value::Bool(left), Value::Bool(right)) => left == right,
            (Value::Int(left), Value::Int(right)) | (Value::Int64(left), Value::Int64(right)) => {
                left == right
            }
            (Value::Uint64(left), Value::Uint64(right)) => left == right,
            (Value::Byte(left), Value::Byte(right)) => left == right,
            (Value::Float(left), Value::Float(right)) => left == right,
            (Value::Text(left), Value::Text(right)) => left == right,
            (Value::Time(left), Value::Time(right)) => {
                left == right && left.time_zone() == right.time_zone()
            }
            (Value::Version(left), Value::Version(right)) => left == right,
            (Value::List(left), Value::List(right)) => {
                let alike = left.of() == right.of()
                    && left.is_nil() == right.is_nil()
                    && left.values().len() == right.values().len();
                if alike && left.of() != Element::Int {
                    pending
                        .extend(left.values().iter().cloned().zip(right.values().iter().cloned()));
                }
                alike
                    && (left.of() != Element::Int
                        || left
                            .values()
                            .iter()
                            .map(Value::int)
                            .eq(right.values().iter().map(Value::int)))
            }
            (Value::Dict(left), Value::Dict(right)) => {
                let alike = left.is_of_texts() == right.is_of_texts() && left.len() == right.len();
                if alike && !left.is(right) {
                    for ((left_key, left), (right_key, right)) in
                        left.entries().into_iter().zip(right.entries())
                    {
                        if left_key != right_key {
                            return Ok(false);
                        }
                        pending.push((left, right));
                    }
                }
                alike
            }
            _ => false,
        };
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
}
