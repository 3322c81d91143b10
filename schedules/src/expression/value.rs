//! What expressions come to.

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::Environment;
use super::parse::Node;
use crate::duration::{format_go, parse_go};

/// What an expression comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Nil,
    /// True or false.
    Bool(bool),
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// An instant.
    Time(Timestamp),
    /// A stretch of time.
    Duration(SignedDuration),
    /// Values in order.
    List(Vec<Self>),
    /// Values by name.
    Map(BTreeMap<String, Self>),
}

impl Value {
    /// What kind of value it is, in words.
    pub fn described(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::Time(_) => "a time",
            Self::Duration(_) => "a duration",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

impl fmt::Display for Value {
    /// As it is put into a template.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("nil"),
            Self::Bool(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
            Self::Time(value) => value.fmt(f),
            Self::Duration(value) => f.write_str(&format_go(*value)),
            Self::List(_) | Self::Map(_) => f.write_str("[…]"),
        }
    }
}

pub(super) fn evaluate(node: &Node, environment: &Environment) -> Result<Value, String> {
    let value = |node: &Node| evaluate(node, environment);
    let truth = |node: &Node| match evaluate(node, environment)? {
        Value::Bool(truth) => Ok(truth),
        other => Err(format!("{} stands where true or false is expected", other.described())),
    };
    Ok(match node {
        Node::Nil => Value::Nil,
        Node::Bool(value) => Value::Bool(*value),
        Node::Number(value) => Value::Number(*value),
        Node::Text(value) => Value::Text(value.clone()),
        Node::Name(name) => match environment.names.get(name) {
            Some(value) => value.clone(),
            None => {
                let known: Vec<String> =
                    environment.names.keys().map(|name| format!("`{name}`")).collect();
                return Err(format!("there is no `{name}`; there is {}", known.join(", ")));
            }
        },
        Node::List(nodes) => Value::List(nodes.iter().map(value).collect::<Result<_, _>>()?),
        Node::Not(node) => Value::Bool(!truth(node)?),
        Node::Negative(node) => match value(node)? {
            Value::Number(number) => Value::Number(-number),
            Value::Duration(duration) => Value::Duration(-duration),
            other => return Err(format!("{} has no negative", other.described())),
        },
        Node::Binary("&&" | "and", left, right) => Value::Bool(truth(left)? && truth(right)?),
        Node::Binary("||" | "or", left, right) => Value::Bool(truth(left)? || truth(right)?),
        Node::Binary("??", left, right) => match value(left)? {
            Value::Nil => value(right)?,
            left => left,
        },
        Node::Binary(operator, left, right) => binary(operator, value(left)?, value(right)?)?,
        Node::Choice(condition, then, otherwise) => {
            value(if truth(condition)? { then } else { otherwise })?
        }
        Node::Element(of, key) => element(value(of)?, &value(key)?)?,
        Node::Call { name, method, arguments } => {
            let arguments: Vec<Value> =
                arguments.iter().map(value).collect::<Result<_, String>>()?;
            match method {
                true => call_method(name, &arguments)?,
                false => call(name, &arguments, environment)?,
            }
        }
    })
}

fn element(of: Value, key: &Value) -> Result<Value, String> {
    match (of, key) {
        (Value::Map(mut map), Value::Text(key)) => Ok(map.remove(key).unwrap_or(Value::Nil)),
        (Value::List(list), Value::Number(index)) => {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "saturates"
            )]
            let found = list.get(*index as usize).cloned();
            Ok(found.unwrap_or(Value::Nil))
        }
        (of, _) => Err(format!("{} has no such element", of.described())),
    }
}

fn binary(operator: &str, left: Value, right: Value) -> Result<Value, String> {
    use Value::{Bool, Duration, List, Map, Number, Text, Time};
    let overflow = || format!("`{operator}` leads out of the range of times");
    let wrong = || {
        let (left, right) = (left.described(), right.described());
        format!("{left} and {right} do not go together with `{operator}`")
    };
    let order = |less: bool, equal: bool| match operator {
        "<" => Some(less),
        "<=" => Some(less || equal),
        ">" => Some(!less && !equal),
        ">=" => Some(!less),
        _ => None,
    };
    Ok(match (operator, &left, &right) {
        ("==", left, right) => Bool(left == right),
        ("!=", left, right) => Bool(left != right),
        ("+", Number(left), Number(right)) => Number(left + right),
        ("-", Number(left), Number(right)) => Number(left - right),
        ("*", Number(left), Number(right)) => Number(left * right),
        ("/", Number(left), Number(right)) => Number(left / right),
        ("%", Number(left), Number(right)) => Number(left % right),
        ("+", Text(left), Text(right)) => Text(format!("{left}{right}")),
        ("+", Duration(left), Duration(right)) => {
            Duration(left.checked_add(*right).ok_or_else(overflow)?)
        }
        ("-", Duration(left), Duration(right)) => {
            Duration(left.checked_sub(*right).ok_or_else(overflow)?)
        }
        ("+", Time(time), Duration(by)) | ("+", Duration(by), Time(time)) => {
            Time(time.checked_add(*by).map_err(|_| overflow())?)
        }
        ("-", Time(time), Duration(by)) => Time(time.checked_sub(*by).map_err(|_| overflow())?),
        ("-", Time(left), Time(right)) => Duration(left.duration_since(*right)),
        ("in", wanted, List(list)) => Bool(list.contains(wanted)),
        ("in", Text(wanted), Map(map)) => Bool(map.contains_key(wanted)),
        ("contains", Text(left), Text(right)) => Bool(left.contains(right.as_str())),
        ("startsWith", Text(left), Text(right)) => Bool(left.starts_with(right.as_str())),
        ("endsWith", Text(left), Text(right)) => Bool(left.ends_with(right.as_str())),
        (_, Number(l), Number(r)) => Bool(order(l < r, l == r).ok_or_else(wrong)?),
        (_, Text(l), Text(r)) => Bool(order(l < r, l == r).ok_or_else(wrong)?),
        (_, Time(l), Time(r)) => Bool(order(l < r, l == r).ok_or_else(wrong)?),
        (_, Duration(l), Duration(r)) => Bool(order(l < r, l == r).ok_or_else(wrong)?),
        _ => return Err(wrong()),
    })
}

fn call(name: &str, arguments: &[Value], environment: &Environment) -> Result<Value, String> {
    Ok(match (name, arguments) {
        ("now", []) => Value::Time(environment.now),
        ("duration", [Value::Text(text)]) => {
            Value::Duration(parse_go(text).map_err(|error| error.to_string())?)
        }
        ("date", [Value::Text(text)]) => {
            Value::Time(text.parse().map_err(|error: jiff::Error| error.to_string())?)
        }
        #[expect(clippy::cast_precision_loss, reason = "lengths are small")]
        ("len", [Value::Text(text)]) => Value::Number(text.chars().count() as f64),
        #[expect(clippy::cast_precision_loss, reason = "lengths are small")]
        ("len", [Value::List(list)]) => Value::Number(list.len() as f64),
        #[expect(clippy::cast_precision_loss, reason = "lengths are small")]
        ("len", [Value::Map(map)]) => Value::Number(map.len() as f64),
        ("int" | "asInt", [Value::Number(number)]) => Value::Number(number.trunc()),
        ("float" | "asFloat", [Value::Number(number)]) => Value::Number(*number),
        ("int" | "asInt" | "float" | "asFloat", [Value::Text(text)]) => {
            let number = text.trim().parse().map_err(|_| format!("{text:?} is no number"))?;
            Value::Number(number)
        }
        ("abs", [Value::Number(number)]) => Value::Number(number.abs()),
        ("string", [value]) => Value::Text(value.to_string()),
        ("lower", [Value::Text(text)]) => Value::Text(text.to_lowercase()),
        ("upper", [Value::Text(text)]) => Value::Text(text.to_uppercase()),
        _ => return Err(format!("there is no function `{name}` of these values")),
    })
}

fn call_method(name: &str, arguments: &[Value]) -> Result<Value, String> {
    use Value::{Bool, Duration, Number, Time};
    #[expect(clippy::cast_precision_loss, reason = "whole seconds of times are below 2^53")]
    Ok(match (name, arguments) {
        ("Hours", [Duration(duration)]) => Number(duration.as_secs_f64() / 3600.0),
        ("Minutes", [Duration(duration)]) => Number(duration.as_secs_f64() / 60.0),
        ("Seconds", [Duration(duration)]) => Number(duration.as_secs_f64()),
        ("Milliseconds", [Duration(duration)]) => Number(duration.as_millis() as f64),
        ("Unix", [Time(time)]) => Number(time.as_second() as f64),
        ("Sub", [Time(left), Time(right)]) => Duration(left.duration_since(*right)),
        ("Before", [Time(left), Time(right)]) => Bool(left < right),
        ("After", [Time(left), Time(right)]) => Bool(left > right),
        ("Equal", [Time(left), Time(right)]) => Bool(left == right),
        ("Hour" | "Minute" | "Day" | "Month" | "Year" | "Weekday", [Time(time)]) => {
            let utc = time.to_zoned(jiff::tz::TimeZone::UTC);
            Number(match name {
                "Hour" => f64::from(utc.hour()),
                "Minute" => f64::from(utc.minute()),
                "Day" => f64::from(utc.day()),
                "Month" => f64::from(utc.month()),
                "Year" => f64::from(utc.year()),
                _ => f64::from(utc.weekday().to_sunday_zero_offset()),
            })
        }
        (_, [of, ..]) => return Err(format!("{} has no `{name}`", of.described())),
        (_, []) => return Err(format!("there is no `{name}`")),
    })
}
