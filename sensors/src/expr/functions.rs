//! The functions of the language, and those that Argo Events adds.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonpath_rust::JsonPath;

use super::evaluate::{Evaluator, Stop, Worked, fetch, int, text};
use super::value::{Element, FUNCTIONS, Value};
use crate::json;
use crate::template::{self, Plain};

/// A function of the language.
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) parameters: RangeInclusive<usize>,
}

const fn function(name: &'static str, least: usize, most: usize) -> Function {
    Function { name, parameters: least..=most }
}

/// As many arguments as one likes.
const MANY: usize = 255;

static ALL: [Function; 45] = [
    function("len", 1, 1),
    function("type", 1, 1),
    function("abs", 1, 1),
    function("ceil", 1, 1),
    function("floor", 1, 1),
    function("round", 1, 1),
    function("int", 1, 1),
    function("float", 1, 1),
    function("string", 1, 1),
    function("trim", 1, 2),
    function("trimPrefix", 1, 2),
    function("trimSuffix", 1, 2),
    function("upper", 1, 1),
    function("lower", 1, 1),
    function("split", 2, 3),
    function("splitAfter", 2, 3),
    function("replace", 3, 4),
    function("repeat", 2, 2),
    function("join", 1, 2),
    function("indexOf", 2, 2),
    function("lastIndexOf", 2, 2),
    function("hasPrefix", 2, 2),
    function("hasSuffix", 2, 2),
    function("max", 1, MANY),
    function("min", 1, MANY),
    function("sum", 1, 1),
    function("mean", 1, 1),
    function("median", 1, 1),
    function("toJSON", 1, 1),
    function("fromJSON", 1, 1),
    function("toBase64", 1, 1),
    function("fromBase64", 1, 1),
    function("now", 0, 0),
    function("duration", 1, 1),
    function("date", 1, 3),
    function("first", 1, 1),
    function("last", 1, 1),
    function("get", 2, 2),
    function("take", 2, 2),
    function("keys", 1, 1),
    function("values", 1, 1),
    function("toPairs", 1, 1),
    function("fromPairs", 1, 1),
    function("sort", 1, 2),
    function("sortBy", 2, 3),
];

/// The function of a name.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    ALL.iter().find(|function| function.name == name)
}

/// A function of `sprig`, as a value.
pub(super) fn sprig(name: &str) -> Option<Value> {
    template::is_function(name).then(|| Value::Function(format!("sprig.{name}").into()))
}

fn fail<T>(message: impl Into<String>) -> Worked<T> {
    Err(Stop::Error(message.into()))
}

/// Calls a value.
pub(super) fn call_value(
    evaluator: &mut Evaluator,
    callee: &Value,
    arguments: Vec<Value>,
) -> Worked {
    let Value::Function(name) = callee else {
        return fail(format!("{} cannot be called", callee.type_name()));
    };
    match (&**name, arguments.as_slice()) {
        ("asInt", [value]) => to_int(value),
        ("asFloat", [value]) => to_float(value),
        ("toJson", [value]) => {
            let mut out = String::new();
            // What cannot be written is an empty text.
            let written = value.json(None, &mut out);
            evaluator.charge(out.len() / 8)?;
            Ok(Value::text(if written.is_ok() { out } else { String::new() }))
        }
        ("jsonpath", [json, path]) => jsonpath(evaluator, text(json)?, text(path)?),
        (name, _) if FUNCTIONS.contains(&name) => fail(format!("`{name}` has other parameters")),
        (name, arguments) => match name.strip_prefix("sprig.") {
            Some(function) => call_sprig(evaluator, function, arguments),
            None => fail(format!("`{name}` cannot be called")),
        },
    }
}

fn call_sprig(evaluator: &mut Evaluator, name: &str, arguments: &[Value]) -> Worked {
    let arguments: Vec<Plain> = arguments.iter().map(plain).collect::<Worked<_>>()?;
    let size: usize = arguments.iter().map(Plain::size).sum();
    evaluator.charge(10 + size / 4)?;
    let made = template::call(name, &arguments, evaluator.now)?;
    evaluator.charge(made.size() / 4)?;
    Ok(value(made))
}

fn plain(value: &Value) -> Worked<Plain> {
    Ok(match value {
        Value::Nil => Plain::Nil,
        Value::Bool(value) => Plain::Bool(*value),
        Value::Int(value) => Plain::Int(*value),
        Value::Float(value) => Plain::Float(*value),
        Value::Text(text) => Plain::Text(text.to_string()),
        Value::List(items, element) => {
            let items = items.iter().map(plain).collect::<Worked<_>>()?;
            if *element == Element::Text { Plain::Texts(items) } else { Plain::List(items) }
        }
        Value::Map(map) => {
            let entry = |(key, value): (&String, &Value)| Ok((key.clone(), plain(value)?));
            Plain::Map(map.iter().map(entry).collect::<Worked<_>>()?)
        }
        other => return fail(format!("{} is no argument", other.type_name())),
    })
}

fn value(plain: Plain) -> Value {
    match plain {
        Plain::Nil => Value::Nil,
        Plain::Bool(value) => Value::Bool(value),
        Plain::Int(value) => Value::Int(value),
        Plain::Float(value) => Value::Float(value),
        Plain::Text(text) => Value::text(text),
        Plain::List(items) => Value::list(items.into_iter().map(value).collect()),
        Plain::Texts(items) => {
            Value::List(Rc::new(items.into_iter().map(value).collect()), Element::Text)
        }
        Plain::Map(entries) => {
            Value::Map(Rc::new(entries.into_iter().map(|(key, of)| (key, value(of))).collect()))
        }
    }
}

/// The value at a path; a list where the path can lead to many.
fn jsonpath(evaluator: &mut Evaluator, json_text: &str, path: &str) -> Worked {
    evaluator.charge(json_text.len() + path.len() * 8)?;
    let tree: serde_json::Value = match serde_json::from_str(json_text) {
        Ok(tree) => tree,
        Err(error) => return fail(format!("jsonpath: {error}")),
    };
    if path.len() > crate::path::MAX_PATH_BYTES {
        return fail("jsonpath: the path is too long");
    }
    let found = match tree.query(path) {
        Ok(found) => found,
        Err(error) => return fail(format!("jsonpath: {error}")),
    };
    evaluator.charge(found.len())?;
    let many = path.contains(['*', '?', ':', ',']) || path.contains("..");
    let read =
        |value: &serde_json::Value| json::parse::<Value>(&value.to_string()).map_err(Stop::Error);
    match found.as_slice() {
        _ if many => Ok(Value::list(found.into_iter().map(read).collect::<Worked<_>>()?)),
        [only] => read(only),
        _ => fail(format!("jsonpath: `{path}` finds nothing")),
    }
}

fn to_int(value: &Value) -> Worked {
    match value {
        Value::Text(text) => match text.parse() {
            Ok(int) => Ok(Value::Int(int)),
            Err(_) => fail(format!("`{text}` is no integer")),
        },
        other => int(other).map(Value::Int),
    }
}

fn to_float(value: &Value) -> Worked {
    match value {
        Value::Text(text) => match crate::number::parse_float(text) {
            Ok(float) => Ok(Value::Float(float)),
            Err(_) => fail(format!("`{text}` is no number")),
        },
        other => match other.float() {
            Some(float) => Ok(Value::Float(float)),
            None => fail(format!("{} is no number", other.type_name())),
        },
    }
}

fn texts(items: Vec<String>) -> Value {
    Value::List(Rc::new(items.into_iter().map(Value::text).collect()), Element::Text)
}

/// Calls a function of the language; the number of arguments fits.
#[expect(clippy::too_many_lines, reason = "a case for each function")]
pub(super) fn call(evaluator: &mut Evaluator, name: &str, arguments: Vec<Value>) -> Worked {
    let size: usize = arguments.iter().map(Value::size).sum();
    evaluator.charge(1 + size / 4)?;
    let [first, second, third] = [0, 1, 2].map(|at| arguments.get(at).unwrap_or(&Value::Nil));
    let rounded = |round: fn(f64) -> f64| match first {
        Value::Text(_) | Value::Nil => fail(format!("{} is no number", first.type_name())),
        other => match other.float() {
            Some(value) => Ok(Value::Float(round(value))),
            None => fail(format!("{} is no number", other.type_name())),
        },
    };
    Ok(match name {
        "len" => match first {
            Value::Text(_) | Value::List(..) | Value::Map(_) | Value::Groups(_) => {
                Value::count(first.size())
            }
            other => return fail(format!("{} has no length", other.type_name())),
        },
        "type" => Value::text(match first {
            Value::Float(_) => "float",
            Value::List(..) => "array",
            Value::Map(_) | Value::Groups(_) => "map",
            Value::Function(name) if **name == *"sprig" => "map",
            Value::Function(_) => "func",
            other => other.type_name(),
        }),
        "abs" => match first {
            Value::Int(value) => Value::Int(value.wrapping_abs()),
            Value::Float(value) => Value::Float(value.abs()),
            other => return fail(format!("{} is no number", other.type_name())),
        },
        "ceil" => rounded(f64::ceil)?,
        "floor" => rounded(f64::floor)?,
        "round" => rounded(f64::round)?,
        "int" => to_int(first)?,
        "float" => to_float(first)?,
        "string" => Value::text(template::print(&plain(first)?)?),
        "trim" => match second {
            Value::Nil if arguments.len() == 1 => Value::text(text(first)?.trim()),
            cut => {
                let cut = text(cut)?;
                Value::text(text(first)?.trim_matches(|c| cut.contains(c)))
            }
        },
        "trimPrefix" | "trimSuffix" => {
            let part = if arguments.len() == 2 { text(second)? } else { " " };
            let whole = text(first)?;
            let stripped = if name == "trimPrefix" {
                whole.strip_prefix(part)
            } else {
                whole.strip_suffix(part)
            };
            Value::text(stripped.unwrap_or(whole))
        }
        "upper" => Value::text(text(first)?.to_uppercase()),
        "lower" => Value::text(text(first)?.to_lowercase()),
        "split" | "splitAfter" => {
            let most = if arguments.len() == 3 { int(third)? } else { -1 };
            texts(split(text(first)?, text(second)?, most, name == "splitAfter"))
        }
        "replace" => {
            let count = match arguments.get(3) {
                Some(count) => usize::try_from(int(count)?).unwrap_or(usize::MAX),
                None => usize::MAX,
            };
            let (whole, old, new) = (text(first)?, text(second)?, text(third)?);
            let most = (whole.len() + 1).min(count).saturating_mul(new.len());
            evaluator.charge(most / 8)?;
            Value::text(whole.replacen(old, new, count))
        }
        "repeat" => {
            let count = int(second)?;
            if !(0..=1_000_000).contains(&count) {
                return fail("a text is repeated a million times at most");
            }
            let count = usize::try_from(count).unwrap_or_default();
            let whole = text(first)?;
            evaluator.charge(whole.len().saturating_mul(count) / 8)?;
            Value::text(whole.repeat(count))
        }
        "join" => {
            let between = if arguments.len() == 2 { text(second)? } else { "" };
            let Value::List(items, _) = first else { return fail("a list is expected") };
            let parts = items.iter().map(text).collect::<Worked<Vec<_>>>()?;
            let size: usize = parts.iter().map(|part| part.len() + between.len()).sum();
            evaluator.charge(size / 8)?;
            Value::text(parts.join(between))
        }
        "indexOf" | "lastIndexOf" => {
            let (whole, part) = (text(first)?, text(second)?);
            let found = if name == "indexOf" { whole.find(part) } else { whole.rfind(part) };
            found.map_or(Value::Int(-1), Value::count)
        }
        "hasPrefix" => Value::Bool(text(first)?.starts_with(text(second)?)),
        "hasSuffix" => Value::Bool(text(first)?.ends_with(text(second)?)),
        "max" | "min" => extreme(&arguments, name == "max")?,
        "sum" => sum(items(first)?)?,
        "mean" | "median" => middle(items(first)?, name == "median")?,
        "toJSON" => {
            let mut out = String::new();
            first.json(Some(0), &mut out)?;
            evaluator.charge(out.len() / 8)?;
            Value::text(out)
        }
        "fromJSON" => json::parse::<Value>(text(first)?)?,
        "toBase64" => Value::text(STANDARD.encode(text(first)?)),
        "fromBase64" => match STANDARD.decode(text(first)?) {
            Ok(bytes) => Value::text(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) => return fail(error.to_string()),
        },
        "now" => match evaluator.now {
            Some(now) => Value::Time(now),
            None => return fail("the time is not known here"),
        },
        "duration" => Value::Duration(template::duration(text(first)?)?),
        "date" => {
            let layout = if arguments.len() > 1 { Some(text(second)?) } else { None };
            Value::Time(template::date(text(first)?, layout)?)
        }
        "first" => fetch(first, &Value::Int(0)).unwrap_or(Value::Nil),
        "last" => fetch(first, &Value::Int(-1)).unwrap_or(Value::Nil),
        "get" => fetch(first, second).unwrap_or(Value::Nil),
        "take" => {
            let (Value::List(items, element), Value::Int(count)) = (first, second) else {
                return fail("a list and a count are expected");
            };
            let Ok(count) = usize::try_from(*count) else { return fail("the count is negative") };
            let taken = items.iter().take(count).cloned().collect();
            Value::List(Rc::new(taken), *element)
        }
        "keys" | "values" | "toPairs" => of_map(first, name)?,
        "fromPairs" => from_pairs(items(first)?)?,
        "sort" | "sortBy" => sort(name == "sortBy", &arguments)?,
        other => return fail(format!("there is no function `{other}`")),
    })
}

fn items(value: &Value) -> Worked<&[Value]> {
    match value {
        Value::List(items, _) => Ok(items),
        other => fail(format!("a list is expected, not {}", other.type_name())),
    }
}

/// Go's `strings.SplitN`.
fn split(whole: &str, by: &str, most: i64, keeps: bool) -> Vec<String> {
    let most = match most {
        0 => return Vec::new(),
        most => usize::try_from(most).unwrap_or(usize::MAX),
    };
    let mut parts = Vec::new();
    let mut rest = whole;
    while parts.len() + 1 < most {
        let (end, behind) = match by {
            "" => match rest.chars().next() {
                Some(c) if c.len_utf8() < rest.len() => (c.len_utf8(), c.len_utf8()),
                _ => break,
            },
            by => match rest.find(by) {
                Some(at) => (if keeps { at + by.len() } else { at }, at + by.len()),
                None => break,
            },
        };
        parts.push(rest[..end].to_owned());
        rest = &rest[behind..];
    }
    if !(by.is_empty() && whole.is_empty()) {
        parts.push(rest.to_owned());
    }
    parts
}

fn extreme(arguments: &[Value], greatest: bool) -> Worked {
    let mut best = Value::Nil;
    for value in arguments {
        let is_better = match (&best, best.order(value)) {
            (Value::Nil, _) => true,
            (_, Some(Some(order))) => {
                if greatest {
                    order.is_lt()
                } else {
                    order.is_gt()
                }
            }
            (_, Some(None)) => false,
            (best, None) => {
                let (a, b) = (best.type_name(), value.type_name());
                return fail(format!("{a} and {b} cannot be compared"));
            }
        };
        if is_better {
            best = value.clone();
        }
    }
    Ok(best)
}

fn sum(items: &[Value]) -> Worked {
    let mut whole = 0_i64;
    let mut float: Option<f64> = None;
    for item in items {
        match (item, &mut float) {
            (Value::Int(value), None) => whole = whole.wrapping_add(*value),
            (item, sum) => match item.float() {
                #[expect(clippy::cast_precision_loss, reason = "as Go converts")]
                Some(value) => *sum = Some(sum.unwrap_or(whole as f64) + value),
                None => return fail(format!("{} cannot be added", item.type_name())),
            },
        }
    }
    Ok(float.map_or(Value::Int(whole), Value::Float))
}

fn middle(items: &[Value], median: bool) -> Worked {
    let number = |item: &Value| match item.float() {
        Some(value) => Ok(value),
        None => fail(format!("{} is no number", item.type_name())),
    };
    let mut numbers = items.iter().map(number).collect::<Worked<Vec<f64>>>()?;
    if numbers.is_empty() {
        return Ok(Value::Float(0.0));
    }
    if !median {
        #[expect(clippy::cast_precision_loss, reason = "as Go converts")]
        return Ok(Value::Float(numbers.iter().sum::<f64>() / numbers.len() as f64));
    }
    numbers.sort_by(f64::total_cmp);
    let half = numbers.len() / 2;
    let even = numbers.len().is_multiple_of(2);
    Ok(Value::Float(if even {
        f64::midpoint(numbers[half - 1], numbers[half])
    } else {
        numbers[half]
    }))
}

/// Keys, values or pairs, in the order of the keys. In Go the order is any.
fn of_map(value: &Value, what: &str) -> Worked {
    let entries: Vec<(Value, Value)> = match value {
        Value::Map(map) => {
            map.iter().map(|(key, value)| (Value::text(key.as_str()), value.clone())).collect()
        }
        Value::Groups(groups) => groups.to_vec(),
        other => return fail(format!("a map is expected, not {}", other.type_name())),
    };
    let pair = |(key, value)| Value::List(Rc::new(vec![key, value]), Element::Pair);
    Ok(match what {
        "keys" => Value::list(entries.into_iter().map(|(key, _)| key).collect()),
        "values" => Value::list(entries.into_iter().map(|(_, value)| value).collect()),
        _ => Value::List(Rc::new(entries.into_iter().map(pair).collect()), Element::Pair),
    })
}

fn from_pairs(pairs: &[Value]) -> Worked {
    let mut map = BTreeMap::new();
    let mut groups = Vec::new();
    for pair in pairs {
        match items(pair)? {
            [Value::Text(key), value] => {
                map.insert(key.to_string(), value.clone());
            }
            [key, value] => groups.push((key.clone(), value.clone())),
            _ => return fail("a pair has two elements"),
        }
    }
    if groups.is_empty() {
        return Ok(Value::Map(Rc::new(map)));
    }
    groups.extend(map.into_iter().map(|(key, value)| (Value::text(key), value)));
    Ok(Value::Groups(Rc::new(groups)))
}

fn sort(by_field: bool, arguments: &[Value]) -> Worked {
    let list = items(arguments.first().unwrap_or(&Value::Nil))?;
    let field = match arguments.get(1).filter(|_| by_field) {
        Some(field) => Some(text(field)?),
        None => None,
    };
    let descends = match arguments.get(if by_field { 2 } else { 1 }) {
        None => false,
        Some(direction) => match text(direction)? {
            "asc" => false,
            "desc" => true,
            other => return fail(format!("`asc` or `desc` is expected, not `{other}`")),
        },
    };
    let mut keyed = Vec::with_capacity(list.len());
    for item in list {
        let key = match (item, field) {
            (Value::Map(map), Some(field)) => map.get(field).cloned().unwrap_or(Value::Nil),
            (item, _) => item.clone(),
        };
        if !matches!(key, Value::Int(_) | Value::Float(_) | Value::Text(_)) {
            return fail(format!("{} cannot be sorted", key.type_name()));
        }
        keyed.push((key, item.clone()));
    }
    if let [(first, _), rest @ ..] = keyed.as_slice()
        && rest.iter().any(|(key, _)| key.type_name() != first.type_name())
    {
        return fail("a list of different types cannot be sorted");
    }
    keyed.sort_by(|a, b| {
        let order = a.0.order(&b.0).flatten().unwrap_or(std::cmp::Ordering::Equal);
        if descends { order.reverse() } else { order }
    });
    Ok(Value::list(keyed.into_iter().map(|(_, item)| item).collect()))
}
