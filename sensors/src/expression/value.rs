//! Values of expressions.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use crate::number::parse_float_or_zero;
use crate::path::{Found, Kind, entries};

/// How deep arrays and objects of an event are read.
const MAX_DEPTH: usize = 100;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Number(f64),
    Text(Cow<'a, str>),
    Array(Vec<Value<'a>>),
    Object(BTreeMap<String, Value<'a>>),
}

impl<'a> Value<'a> {
    /// The value that a path found. Of equal keys the first counts; what nests too deeply
    /// is null.
    pub(crate) fn of(found: &Found<'_>) -> Self {
        Self::read(found.kind, &found.raw, 0)
    }

    fn read(kind: Kind, raw: &str, depth: usize) -> Self {
        match kind {
            Kind::Null => Self::Null,
            Kind::False => Self::Bool(false),
            Kind::True => Self::Bool(true),
            Kind::Number => Self::Number(parse_float_or_zero(raw)),
            Kind::String => {
                let found = Found { raw: Cow::Borrowed(raw), kind };
                Self::Text(found.text().into_owned().into())
            }
            Kind::Json if depth == MAX_DEPTH => Self::Null,
            Kind::Json if raw.starts_with('{') => {
                let mut object = BTreeMap::new();
                for entry in entries(raw, kind) {
                    let key = entry.key_text().into_owned();
                    let value = || Self::read(entry.value.kind, &entry.value.raw, depth + 1);
                    object.entry(key).or_insert_with(value);
                }
                Self::Object(object)
            }
            Kind::Json => {
                let elements = entries(raw, kind).map(|entry| entry.value);
                Self::Array(elements.map(|e| Self::read(e.kind, &e.raw, depth + 1)).collect())
            }
        }
    }

    pub(super) fn is_null(&self) -> bool {
        *self == Self::Null
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    /// The value's type and what it is, for messages.
    pub(super) fn described(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => format!("the boolean {value}"),
            Self::Number(_) => format!("the number {self}"),
            Self::Text(text) => format!("the text `{text:.40}`"),
            Self::Array(_) => "an array".to_owned(),
            Self::Object(_) => "an object".to_owned(),
        }
    }
}

/// As Go's `%v` writes it.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<nil>"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(value) => f.write_str(&crate::number::display_float(*value)),
            Self::Text(text) => f.write_str(text),
            Self::Array(elements) => {
                f.write_str("[")?;
                for (at, element) in elements.iter().enumerate() {
                    write!(f, "{}{element}", if at > 0 { " " } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Object(members) => {
                f.write_str("map[")?;
                for (at, (key, value)) in members.iter().enumerate() {
                    write!(f, "{}{key}:{value}", if at > 0 { " " } else { "" })?;
                }
                f.write_str("]")
            }
        }
    }
}
