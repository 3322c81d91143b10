//! Values of jq, as gojq has them: integers of any size beside floats, objects with
//! sorted keys.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use num_bigint::BigInt;

use super::Raise;
use crate::json::{self, Build, Escapes, MAX_DEPTH};

/// A value. Copies share what is large.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    /// An integer that is beyond `Int`, or was at some time.
    Big(Arc<BigInt>),
    Float(f64),
    Text(Arc<str>),
    List(Arc<List>),
    Dict(Arc<Dict>),
}

/// An array, and how deep it nests: at most [`MAX_DEPTH`], so that it can be gone through
/// by recursion.
#[derive(Clone, Debug, Default)]
pub(super) struct List {
    pub(super) items: Vec<Value>,
    depth: usize,
}

/// An object.
#[derive(Clone, Debug, Default)]
pub(super) struct Dict {
    pub(super) entries: BTreeMap<Arc<str>, Value>,
    depth: usize,
}

impl List {
    pub(super) fn push(&mut self, value: Value) -> Result<(), Raise> {
        self.depth = self.depth.max(deeper(std::iter::once(&value))?);
        self.items.push(value);
        Ok(())
    }

    /// Puts a value in the place of another.
    pub(super) fn put(&mut self, index: usize, value: Value) -> Result<(), Raise> {
        self.depth = self.depth.max(deeper(std::iter::once(&value))?);
        if let Some(place) = self.items.get_mut(index) {
            *place = value;
        }
        Ok(())
    }
}

impl Dict {
    pub(super) fn put(&mut self, key: Arc<str>, value: Value) -> Result<(), Raise> {
        self.depth = self.depth.max(deeper(std::iter::once(&value))?);
        self.entries.insert(key, value);
        Ok(())
    }
}

impl Value {
    pub(super) fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// A count, which is never beyond what an integer holds.
    pub(super) fn count(count: usize) -> Self {
        Self::Int(i64::try_from(count).unwrap_or(i64::MAX))
    }

    pub(super) fn list(items: Vec<Self>) -> Result<Self, Raise> {
        let depth = deeper(items.iter())?;
        Ok(Self::List(Arc::new(List { items, depth })))
    }

    /// A list of values that do not nest.
    pub(super) fn flat(items: Vec<Self>) -> Self {
        Self::List(Arc::new(List { items, depth: 1 }))
    }

    pub(super) fn dict(entries: BTreeMap<Arc<str>, Self>) -> Result<Self, Raise> {
        let depth = deeper(entries.values())?;
        Ok(Self::Dict(Arc::new(Dict { entries, depth })))
    }

    /// The value with null wherever it has this very object.
    pub(super) fn with_null(&self, object: &Arc<Dict>) -> Self {
        match self {
            Self::Dict(dict) if Arc::ptr_eq(dict, object) => Self::Null,
            Self::Dict(dict) => {
                let entries = dict.entries.iter();
                let entries = entries.map(|(key, value)| (key.clone(), value.with_null(object)));
                Self::Dict(Arc::new(Dict { entries: entries.collect(), depth: dict.depth }))
            }
            Self::List(list) => {
                let items = list.items.iter().map(|item| item.with_null(object)).collect();
                Self::List(Arc::new(List { items, depth: list.depth }))
            }
            other => other.clone(),
        }
    }

    fn depth(&self) -> usize {
        match self {
            Self::List(list) => list.depth,
            Self::Dict(dict) => dict.depth,
            _ => 0,
        }
    }

    pub(super) fn is_true(&self) -> bool {
        !matches!(self, Self::Null | Self::Bool(false))
    }

    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Int(_) | Self::Big(_) | Self::Float(_) => "number",
            Self::Text(_) => "string",
            Self::List(_) => "array",
            Self::Dict(_) => "object",
        }
    }

    /// How many elements or bytes it has: what it costs to copy it.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::List(list) => list.items.len(),
            Self::Dict(dict) => dict.entries.len(),
            Self::Big(big) => usize::try_from(big.bits() / 8).unwrap_or(usize::MAX),
            _ => 0,
        }
    }

    /// The number as a float.
    pub(super) fn float(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "as Go converts")]
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::Big(value) => Some(big_float(value)),
            _ => None,
        }
    }

    /// The number as an integer; what is beyond becomes the nearest.
    pub(super) fn int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            #[expect(clippy::cast_possible_truncation, reason = "`as` saturates")]
            Self::Float(value) => Some(*value as i64),
            Self::Big(value) => Some(i64::try_from(&**value).unwrap_or(
                if value.sign() == num_bigint::Sign::Minus { i64::MIN } else { i64::MAX },
            )),
            _ => None,
        }
    }

    /// Whether it is the very same value, not only an equal one: what a path can go on
    /// from.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::List(a), Self::List(b)) => Arc::ptr_eq(a, b),
            (Self::Dict(a), Self::Dict(b)) => Arc::ptr_eq(a, b),
            (Self::Float(a), Self::Float(b)) => a == b || a.is_nan() && b.is_nan(),
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Big(a), Self::Big(b)) => Arc::ptr_eq(a, b),
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Null, Self::Null) => true,
            _ => false,
        }
    }

    /// A number as it is written in JSON or in a program: an integer stays one.
    pub(super) fn number(text: &str) -> Self {
        if let Ok(value) = text.parse() {
            return Self::Int(value);
        }
        if text.contains(['.', 'e', 'E']) {
            let value: f64 = text.parse().unwrap_or(f64::NAN);
            if value.is_finite() {
                return Self::Float(value);
            }
        } else if let Ok(value) = text.parse::<BigInt>() {
            return Self::Big(Arc::new(value));
        }
        let infinite = if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY };
        Self::Float(infinite)
    }

    /// The JSON text, as gojq writes it: what is not a number is null, what is infinite
    /// the largest float.
    pub(super) fn json(&self) -> String {
        let mut out = String::new();
        self.push_json(&mut out, Escapes::Jq);
        out
    }

    /// The JSON text, as Go writes it.
    ///
    /// # Errors
    /// Where a number is not finite.
    pub(super) fn go_json(&self) -> Result<String, String> {
        if self.has_infinity() {
            return Err("a number that is infinite or none cannot be written as JSON".to_owned());
        }
        let mut out = String::new();
        self.push_json(&mut out, Escapes::Html);
        Ok(out)
    }

    fn has_infinity(&self) -> bool {
        match self {
            Self::Float(value) => !value.is_finite(),
            Self::List(list) => list.items.iter().any(Self::has_infinity),
            Self::Dict(dict) => dict.entries.values().any(Self::has_infinity),
            _ => false,
        }
    }

    fn push_json(&self, out: &mut String, escapes: Escapes) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Int(value) => out.push_str(&value.to_string()),
            Self::Big(value) => out.push_str(&value.to_string()),
            Self::Float(value) if value.is_nan() => out.push_str("null"),
            Self::Float(value) => json::push_float(out, value.clamp(f64::MIN, f64::MAX)),
            Self::Text(text) => json::push_text(out, text, escapes),
            Self::List(list) => {
                out.push('[');
                for (at, item) in list.items.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    item.push_json(out, escapes);
                }
                out.push(']');
            }
            Self::Dict(dict) => {
                out.push('{');
                for (at, (key, value)) in dict.entries.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    json::push_text(out, key, escapes);
                    out.push(':');
                    value.push_json(out, escapes);
                }
                out.push('}');
            }
        }
    }

    /// The beginning of the JSON text, for messages: 30 bytes at most.
    pub(super) fn preview(&self) -> String {
        let json = self.json();
        if json.len() <= 30 {
            return json;
        }
        let trailing = match self {
            Self::Text(_) => " ...\"",
            Self::List(_) => " ...]",
            Self::Dict(_) => " ...}",
            _ => " ...",
        };
        let mut end = 30 - trailing.len();
        while !json.is_char_boundary(end) {
            end -= 1;
        }
        format!("{}{trailing}", &json[..end])
    }

    /// Type and beginning, for messages.
    pub(super) fn described(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            value => format!("{} ({})", value.type_name(), value.preview()),
        }
    }

    /// The order of all values: null, false, true, numbers, texts, arrays, objects.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Big(a), Self::Big(b)) => a.cmp(b),
            (Self::Int(a), Self::Big(b)) => BigInt::from(*a).cmp(b),
            (Self::Big(a), Self::Int(b)) => (**a).cmp(&BigInt::from(*b)),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::List(a), Self::List(b)) => {
                let pairs = a.items.iter().zip(&b.items).map(|(a, b)| a.compare(b));
                let differs = pairs.into_iter().find(|order| order.is_ne());
                differs.unwrap_or_else(|| a.items.len().cmp(&b.items.len()))
            }
            (Self::Dict(a), Self::Dict(b)) => {
                a.entries.keys().cmp(b.entries.keys()).then_with(|| {
                    let pairs =
                        a.entries.values().zip(b.entries.values()).map(|(a, b)| a.compare(b));
                    pairs.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
                })
            }
            _ => match (self.float(), other.float()) {
                // What is no number comes before all numbers.
                (Some(a), Some(_)) if a.is_nan() => Ordering::Less,
                (Some(a), Some(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Greater),
                _ => self.rank().cmp(&other.rank()),
            },
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(false) => 1,
            Self::Bool(true) => 2,
            Self::Int(_) | Self::Big(_) | Self::Float(_) => 3,
            Self::Text(_) => 4,
            Self::List(_) => 5,
            Self::Dict(_) => 6,
        }
    }
}

fn deeper<'v>(inside: impl Iterator<Item = &'v Value>) -> Result<usize, Raise> {
    let depth = inside.map(Value::depth).max().unwrap_or_default() + 1;
    if depth > MAX_DEPTH {
        return Err(Raise::Cut(format!("a value is nested more than {MAX_DEPTH} deep")));
    }
    Ok(depth)
}

fn big_float(value: &BigInt) -> f64 {
    // Through text, so that it is rounded once.
    value.to_string().parse().unwrap_or(f64::NAN)
}

/// What is read of an event: every number is a float.
pub(super) struct FromEvent(pub(super) Value);

impl Build for FromEvent {
    fn null() -> Self {
        Self(Value::Null)
    }

    fn bool(value: bool) -> Self {
        Self(Value::Bool(value))
    }

    fn number(text: &str) -> Result<Self, String> {
        Ok(Self(Value::Float(json::float(text)?)))
    }

    fn text(value: String) -> Self {
        Self(Value::text(value))
    }

    fn list(items: Vec<Self>) -> Self {
        Self(built_list(items.into_iter().map(|item| item.0).collect()))
    }

    fn dict(entries: Vec<(String, Self)>) -> Self {
        Self(built_dict(entries.into_iter().map(|(key, value)| (key, value.0)).collect()))
    }
}

/// What `fromjson` reads: integers stay integers.
pub(super) struct FromText(pub(super) Value);

impl Build for FromText {
    fn null() -> Self {
        Self(Value::Null)
    }

    fn bool(value: bool) -> Self {
        Self(Value::Bool(value))
    }

    fn number(text: &str) -> Result<Self, String> {
        Ok(Self(Value::number(text)))
    }

    fn text(value: String) -> Self {
        Self(Value::text(value))
    }

    fn list(items: Vec<Self>) -> Self {
        Self(built_list(items.into_iter().map(|item| item.0).collect()))
    }

    fn dict(entries: Vec<(String, Self)>) -> Self {
        Self(built_dict(entries.into_iter().map(|(key, value)| (key, value.0)).collect()))
    }
}

/// The reader has seen to the depth.
fn built_list(items: Vec<Value>) -> Value {
    Value::list(items).unwrap_or(Value::Null)
}

fn built_dict(entries: Vec<(String, Value)>) -> Value {
    let entries = entries.into_iter().map(|(key, value)| (Arc::from(key), value)).collect();
    Value::dict(entries).unwrap_or(Value::Null)
}
