//! What programs can call that is not written in jq.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use num_bigint::BigInt;
use num_traits::{Signed, Zero};

use super::Raise;
use super::machine::Machine;
use super::value::{Dict, List, Value};

mod lists;
mod maths;
mod paths;
mod texts;
mod times;

pub(super) use paths::{get_path, index, set_path, slice, slice_key};

/// A function that takes values.
pub(super) struct Native {
    pub(super) name: &'static str,
    pub(super) parameters: usize,
    pub(super) run: Run,
}

impl std::fmt::Debug for Native {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.name, self.parameters)
    }
}

type Made = Result<Value, Raise>;
type Run = fn(&mut Machine<'_>, &Value, &[Value]) -> Made;

const fn native(name: &'static str, parameters: usize, run: Run) -> Native {
    Native { name, parameters, run }
}

/// All functions, by theme.
const THEMES: [&[Native]; 6] = [
    FUNCTIONS,
    lists::FUNCTIONS,
    maths::FUNCTIONS,
    paths::FUNCTIONS,
    texts::FUNCTIONS,
    times::FUNCTIONS,
];

const FUNCTIONS: &[Native] = &[
    native("_add", 2, |machine, _, of| {
        machine.charge((of[0].size() + of[1].size()) / 8)?;
        add(&of[0], &of[1])
    }),
    native("_subtract", 2, |machine, _, of| subtract(machine, &of[0], &of[1])),
    native("_multiply", 2, |machine, _, of| multiply(machine, &of[0], &of[1])),
    native("_divide", 2, |machine, _, of| divide(machine, &of[0], &of[1])),
    native("_modulo", 2, |_, _, of| modulo(&of[0], &of[1])),
    native("_equal", 2, |machine, _, of| ordered(machine, of, Ordering::is_eq)),
    native("_notequal", 2, |machine, _, of| ordered(machine, of, Ordering::is_ne)),
    native("_less", 2, |machine, _, of| ordered(machine, of, Ordering::is_lt)),
    native("_lesseq", 2, |machine, _, of| ordered(machine, of, Ordering::is_le)),
    native("_greater", 2, |machine, _, of| ordered(machine, of, Ordering::is_gt)),
    native("_greatereq", 2, |machine, _, of| ordered(machine, of, Ordering::is_ge)),
    native("_alternative", 2, |_, _, of| {
        Ok(if of[0].is_true() { of[0].clone() } else { of[1].clone() })
    }),
    native("_negate", 0, |_, input, _| negate(input)),
    native("_plus", 0, |_, input, _| match input.float() {
        Some(_) => Ok(input.clone()),
        None => Err(Raise::message(format!("cannot plus: {}", input.described()))),
    }),
    native("type", 0, |_, input, _| Ok(Value::text(input.type_name()))),
    native("error", 0, |_, input, _| Err(Raise::Error(input.clone()))),
    native("error", 1, |_, _, of| Err(Raise::Error(of[0].clone()))),
    native("halt", 0, |_, _, _| Err(Raise::Halt)),
    native("halt_error", 0, |_, _, _| Err(Raise::Halt)),
    native("halt_error", 1, |_, _, _| Err(Raise::Halt)),
    native("builtins", 0, |_, _, _| {
        let mut names: Vec<String> = all()
            .map(|native| (native.name, native.parameters))
            .chain(super::compile::defined().keys().copied())
            .chain([("empty", 0), ("env", 0), ("path", 1), ("getpath", 1)])
            .filter(|(name, _)| !name.starts_with('_'))
            .map(|(name, parameters)| format!("{name}/{parameters}"))
            .collect();
        names.sort();
        Ok(Value::flat(names.into_iter().map(Value::text).collect()))
    }),
];

fn all() -> impl Iterator<Item = &'static Native> {
    THEMES.iter().flat_map(|theme| theme.iter())
}

/// The function of a name with so many parameters.
///
/// # Errors
/// Why there is none.
pub(super) fn find(name: &str, parameters: usize) -> Result<&'static Native, String> {
    let found = all().find(|native| native.name == name && native.parameters == parameters);
    found.ok_or_else(|| format!("there is no function `{name}` with {parameters} parameters"))
}

/// The function that prints as a format does.
pub(super) fn format(name: &str) -> Option<&'static Native> {
    let function = match name {
        "text" => "tostring",
        "json" => "tojson",
        "html" => "_tohtml",
        "uri" => "_touri",
        "urid" => "_tourid",
        "csv" => "_tocsv",
        "tsv" => "_totsv",
        "sh" => "_tosh",
        "base64" => "_tobase64",
        "base64d" => "_tobase64d",
        _ => return None,
    };
    find(function, 0).ok()
}

/// Programs see no environment: an empty object.
pub(super) fn environment() -> Value {
    static EMPTY: LazyLock<Value> = LazyLock::new(|| Value::Dict(Arc::new(Dict::default())));
    EMPTY.clone()
}

fn cannot(name: &str, value: &Value) -> Raise {
    Raise::message(format!("{name} cannot be applied to: {}", value.described()))
}

fn cannot_with(name: &str, value: &Value, argument: &Value) -> Raise {
    let argument = argument.preview();
    Raise::message(format!("{name}({argument}) cannot be applied to: {}", value.described()))
}

fn two_types(verb: &str, left: &Value, right: &Value) -> Raise {
    let message = format!("cannot {verb}: {} and {}", left.described(), right.described());
    Raise::message(message)
}

/// Two numbers, of the kind that both are taken for.
enum Pair {
    Int(i64, i64),
    Float(f64, f64),
    Big(BigInt, BigInt),
}

fn pair(left: &Value, right: &Value) -> Option<Pair> {
    Some(match (left, right) {
        (Value::Int(left), Value::Int(right)) => Pair::Int(*left, *right),
        (Value::Float(_), _) | (_, Value::Float(_)) => Pair::Float(left.float()?, right.float()?),
        _ => Pair::Big(big(left)?, big(right)?),
    })
}

fn big(value: &Value) -> Option<BigInt> {
    match value {
        Value::Int(value) => Some(BigInt::from(*value)),
        Value::Big(value) => Some((**value).clone()),
        _ => None,
    }
}

fn of_big(value: BigInt) -> Value {
    Value::Big(Arc::new(value))
}

pub(super) fn add(left: &Value, right: &Value) -> Made {
    match (left, right) {
        (Value::Null, other) | (other, Value::Null) => return Ok(other.clone()),
        (Value::Text(left), Value::Text(right)) => {
            return Ok(Value::text(format!("{left}{right}")));
        }
        (Value::List(a), Value::List(b)) => {
            if a.items.is_empty() || b.items.is_empty() {
                return Ok(if a.items.is_empty() { right.clone() } else { left.clone() });
            }
            return Value::list(a.items.iter().chain(&b.items).cloned().collect());
        }
        (Value::Dict(a), Value::Dict(b)) => {
            if a.entries.is_empty() || b.entries.is_empty() {
                return Ok(if a.entries.is_empty() { right.clone() } else { left.clone() });
            }
            let entries = a.entries.iter().chain(&b.entries);
            return Value::dict(entries.map(|(key, value)| (key.clone(), value.clone())).collect());
        }
        _ => {}
    }
    match pair(left, right) {
        Some(Pair::Int(a, b)) => Ok(match a.checked_add(b) {
            Some(sum) => Value::Int(sum),
            None => of_big(BigInt::from(a) + b),
        }),
        Some(Pair::Float(a, b)) => Ok(Value::Float(a + b)),
        Some(Pair::Big(a, b)) => Ok(of_big(a + b)),
        None => Err(two_types("add", left, right)),
    }
}

fn subtract(machine: &mut Machine<'_>, left: &Value, right: &Value) -> Made {
    if let (Value::List(a), Value::List(b)) = (left, right) {
        machine.charge(a.items.len() * (1 + b.items.len()))?;
        let is_kept = |item: &&Value| !b.items.iter().any(|other| item.compare(other).is_eq());
        return Value::list(a.items.iter().filter(is_kept).cloned().collect());
    }
    match pair(left, right) {
        Some(Pair::Int(a, b)) => Ok(match a.checked_sub(b) {
            Some(difference) => Value::Int(difference),
            None => of_big(BigInt::from(a) - b),
        }),
        Some(Pair::Float(a, b)) => Ok(Value::Float(a - b)),
        Some(Pair::Big(a, b)) => Ok(of_big(a - b)),
        None => Err(two_types("subtract", left, right)),
    }
}

fn multiply(machine: &mut Machine<'_>, left: &Value, right: &Value) -> Made {
    if let (Value::Dict(a), Value::Dict(b)) = (left, right) {
        return merge(machine, a, b);
    }
    match (left, right) {
        (Value::Text(text), other) | (other, Value::Text(text)) => {
            let count = other.float().ok_or_else(|| two_types("multiply", left, right))?;
            return repeat(machine, text, count);
        }
        _ => {}
    }
    match pair(left, right) {
        Some(Pair::Int(a, b)) => Ok(match a.checked_mul(b) {
            Some(product) => Value::Int(product),
            None => of_big(BigInt::from(a) * b),
        }),
        Some(Pair::Float(a, b)) => Ok(Value::Float(a * b)),
        Some(Pair::Big(a, b)) => {
            let size = usize::try_from(a.bits() / 64 + 1).unwrap_or(usize::MAX);
            machine.charge(size.saturating_mul(usize::try_from(b.bits() / 64).unwrap_or(0) + 1))?;
            Ok(of_big(a * b))
        }
        None => Err(two_types("multiply", left, right)),
    }
}

/// The most bytes that gojq repeats a text to.
const MAX_REPEATED: usize = 0x1000_0000;

fn repeat(machine: &mut Machine<'_>, text: &str, count: f64) -> Made {
    #[expect(clippy::cast_precision_loss, reason = "small")]
    let most = MAX_REPEATED.checked_div(text.len()).unwrap_or(usize::MAX) as f64;
    if count.is_nan() || count < 0.0 || !text.is_empty() && count > most {
        return Ok(Value::Null);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative")]
    let count = if text.is_empty() { 0 } else { count as usize };
    machine.charge(text.len().saturating_mul(count) / 8)?;
    Ok(Value::text(text.repeat(count)))
}

fn merge(machine: &mut Machine<'_>, left: &Dict, right: &Dict) -> Made {
    machine.charge(left.entries.len() + right.entries.len())?;
    let mut merged = left.entries.clone();
    for (key, value) in &right.entries {
        let value = match (merged.get(key), value) {
            (Some(Value::Dict(before)), Value::Dict(after)) => {
                let (before, after) = (before.clone(), after.clone());
                merge(machine, &before, &after)?
            }
            _ => value.clone(),
        };
        merged.insert(key.clone(), value);
    }
    Value::dict(merged)
}

fn divide(machine: &mut Machine<'_>, left: &Value, right: &Value) -> Made {
    if let (Value::Text(text), Value::Text(separator)) = (left, right) {
        machine.charge(text.len())?;
        let parts = if text.is_empty() { Vec::new() } else { texts::split(text, separator) };
        return Ok(Value::flat(parts));
    }
    let by_zero = || {
        let message = format!("cannot divide {} by: {}", left.described(), right.described());
        Err(Raise::message(message))
    };
    match pair(left, right) {
        Some(Pair::Int(_, 0)) => by_zero(),
        #[expect(clippy::cast_precision_loss, reason = "as Go converts")]
        Some(Pair::Int(a, b)) => Ok(match a.checked_rem(b) {
            Some(0) => Value::Int(a.wrapping_div(b)),
            None => Value::Int(a.wrapping_neg()),
            Some(_) => Value::Float(a as f64 / b as f64),
        }),
        Some(Pair::Float(_, 0.0)) => by_zero(),
        Some(Pair::Float(a, b)) => Ok(Value::Float(a / b)),
        Some(Pair::Big(_, b)) if b.is_zero() => by_zero(),
        Some(Pair::Big(a, b)) => {
            if (&a % &b).is_zero() {
                return Ok(of_big(a / b));
            }
            let float = |value: &Value| value.float().unwrap_or(f64::NAN);
            Ok(Value::Float(float(left) / float(right)))
        }
        None => Err(two_types("divide", left, right)),
    }
}

fn modulo(left: &Value, right: &Value) -> Made {
    let by_zero = || {
        let message = format!("cannot modulo {} by: {}", left.described(), right.described());
        Err(Raise::message(message))
    };
    match pair(left, right) {
        Some(Pair::Int(_, 0)) => by_zero(),
        Some(Pair::Int(a, b)) => Ok(Value::Int(a.wrapping_rem(b))),
        Some(Pair::Float(a, b)) => {
            let divisor = Value::Float(b).int().unwrap_or_default();
            if divisor == 0 {
                return by_zero();
            }
            if a.is_nan() || b.is_nan() {
                return Ok(Value::Float(f64::NAN));
            }
            let dividend = Value::Float(a).int().unwrap_or_default();
            Ok(Value::Int(dividend.wrapping_rem(divisor)))
        }
        Some(Pair::Big(_, b)) if b.is_zero() => by_zero(),
        Some(Pair::Big(a, b)) => Ok(of_big(a % b)),
        None => Err(two_types("modulo", left, right)),
    }
}

fn negate(value: &Value) -> Made {
    match value {
        Value::Int(value) => Ok(Value::Int(value.wrapping_neg())),
        Value::Float(value) => Ok(Value::Float(-value)),
        Value::Big(value) => Ok(of_big(-(**value).clone())),
        other => Err(Raise::message(format!("cannot negate: {}", other.described()))),
    }
}

fn absolute(value: &Value) -> Option<Value> {
    match value {
        Value::Int(value) => Some(Value::Int(value.wrapping_abs())),
        Value::Float(value) => Some(Value::Float(value.abs())),
        Value::Big(value) => Some(of_big(value.abs())),
        _ => None,
    }
}

fn ordered(machine: &mut Machine<'_>, of: &[Value], holds: fn(Ordering) -> bool) -> Made {
    machine.charge(of[0].size().min(of[1].size()) / 8)?;
    Ok(Value::Bool(holds(of[0].compare(&of[1]))))
}

pub(super) fn check_range(bounds: [&Value; 3]) -> Result<(), Raise> {
    match bounds.into_iter().find(|bound| bound.float().is_none()) {
        Some(bound) => Err(cannot("range", bound)),
        None => Ok(()),
    }
}

pub(super) fn in_range(next: &Value, end: &Value, step: &Value) -> bool {
    let (to_zero, to_end) = (step.compare(&Value::Int(0)), next.compare(end));
    to_zero.is_gt() && to_end.is_lt() || to_zero.is_lt() && to_end.is_gt()
}

/// The values of an array or object.
fn values(value: &Value) -> Option<Vec<Value>> {
    match value {
        Value::List(list) => Some(list.items.clone()),
        Value::Dict(dict) => Some(dict.entries.values().cloned().collect()),
        _ => None,
    }
}

fn dict_of<const N: usize>(entries: [(&str, Value); N]) -> Made {
    let entries = entries.into_iter().map(|(key, value)| (Arc::from(key), value));
    Value::dict(entries.collect::<BTreeMap<_, _>>())
}

fn items<'v>(name: &str, value: &'v Value) -> Result<&'v List, Raise> {
    if let Value::List(list) = value { Ok(list) } else { Err(cannot(name, value)) }
}

fn text<'v>(name: &str, value: &'v Value) -> Result<&'v str, Raise> {
    if let Value::Text(text) = value { Ok(text) } else { Err(cannot(name, value)) }
}
