//! Values as Go has them, with the types that its functions tell apart.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use jiff::Zoned;

use super::bounds::Steps;
use super::version::Version;

/// A value.
///
/// Texts are UTF-8 here, while a text of Go is any bytes: where a function cuts a
/// character into pieces, each of its bytes becomes U+FFFD, as when Go prints JSON.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// The value of a key that is not there. Its fields are missing, too.
    Missing,
    /// `null`. To look for a field in it is an error.
    Nil,
    Bool(bool),
    Int(i64),
    Int64(i64),
    Uint64(u64),
    Byte(u8),
    Float(f64),
    Text(Rc<str>),
    List(List),
    Dict(Dict),
    Time(Rc<Zoned>),
    Version(Rc<Version>),
}

/// A slice.
#[derive(Clone, Debug)]
pub(super) struct List(Rc<Items>);

#[derive(Debug)]
struct Items {
    of: Element,
    /// A nil slice: `null` in JSON.
    nil: bool,
    values: Vec<Value>,
}

/// The type of a slice's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Any,
    Text,
    Int,
    /// Slices of anything.
    Lists,
}

/// A map, shared by all that refer to it: `set` is seen everywhere.
#[derive(Clone, Debug)]
pub(super) struct Dict(Rc<Entries>);

#[derive(Debug)]
struct Entries {
    /// Its values are texts: what `split` makes.
    texts: bool,
    values: RefCell<BTreeMap<Rc<str>, Value>>,
    /// Marks a map that a search for cycles has seen; the number of the search.
    seen: Cell<u64>,
}

impl Value {
    /// A value of JSON; all numbers become floats.
    pub(super) fn from_json(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Nil,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(text) => Self::from(text.as_str()),
            serde_json::Value::Array(items) => Self::list(items.iter().map(Self::from_json)),
            serde_json::Value::Object(fields) => {
                let field = |(key, value)| (String::as_str(key), Self::from_json(value));
                Self::dict(fields.iter().map(field))
            }
        }
    }

    /// A list of anything.
    pub(super) fn list(values: impl IntoIterator<Item = Self>) -> Self {
        Self::List(List::new(Element::Any, values.into_iter().collect()))
    }

    /// A list of texts.
    pub(super) fn texts<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Self {
        let values = texts.into_iter().map(|text| Self::from(text.as_ref())).collect();
        Self::List(List::new(Element::Text, values))
    }

    /// A nil slice.
    pub(super) fn nil_list(of: Element) -> Self {
        Self::List(List(Rc::new(Items { of, nil: true, values: Vec::new() })))
    }

    /// A map of anything.
    pub(super) fn dict<K: Into<Rc<str>>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Dict(Dict::new(entries.into_iter().map(|(key, value)| (key.into(), value)).collect()))
    }

    /// The text, empty where it is none. Signatures of functions see to it that it is.
    pub(super) fn text(&self) -> &str {
        if let Self::Text(text) = self { text } else { "" }
    }

    /// The integer, 0 where it is none.
    pub(super) fn int(&self) -> i64 {
        if let Self::Int(value) | Self::Int64(value) = self { *value } else { 0 }
    }

    /// The name of the type, as `%T` prints it.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Missing | Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Int64(_) => "int64",
            Self::Uint64(_) => "uint64",
            Self::Byte(_) => "uint8",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::List(list) => match list.of() {
                Element::Any => "[]interface {}",
                Element::Text => "[]string",
                Element::Int => "[]int",
                Element::Lists => "[][]interface {}",
            },
            Self::Dict(dict) if dict.is_of_texts() => "map[string]string",
            Self::Dict(_) => "map[string]interface {}",
            Self::Time(_) => "time.Time",
            Self::Version(_) => "*semver.Version",
        }
    }

    /// The name of the kind, as `kindOf` answers it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Missing | Self::Nil => "invalid",
            Self::List(_) => "slice",
            Self::Dict(_) => "map",
            Self::Time(_) => "struct",
            Self::Version(_) => "ptr",
            _ => self.type_name(),
        }
    }

    pub(super) fn is_nil(&self) -> bool {
        matches!(self, Self::Missing | Self::Nil)
    }

    /// How many bytes or elements it has.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::List(list) => list.values().len(),
            Self::Dict(dict) => dict.len(),
            _ => 0,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl List {
    pub(super) fn new(of: Element, values: Vec<Value>) -> Self {
        Self(Rc::new(Items { of, nil: false, values }))
    }

    pub(super) fn of(&self) -> Element {
        self.0.of
    }

    pub(super) fn is_nil(&self) -> bool {
        self.0.nil
    }

    pub(super) fn values(&self) -> &[Value] {
        &self.0.values
    }
}

impl Dict {
    pub(super) fn new(values: BTreeMap<Rc<str>, Value>) -> Self {
        let values = RefCell::new(values);
        Self(Rc::new(Entries { texts: false, values, seen: Cell::new(0) }))
    }

    /// A map of texts.
    pub(super) fn of_texts(values: BTreeMap<Rc<str>, Value>) -> Self {
        let values = RefCell::new(values);
        Self(Rc::new(Entries { texts: true, values, seen: Cell::new(0) }))
    }

    pub(super) fn is_of_texts(&self) -> bool {
        self.0.texts
    }

    pub(super) fn len(&self) -> usize {
        self.0.values.borrow().len()
    }

    pub(super) fn get(&self, key: &str) -> Option<Value> {
        self.0.values.borrow().get(key).cloned()
    }

    /// The entries as they are now, sorted by key.
    pub(super) fn entries(&self) -> Vec<(Rc<str>, Value)> {
        let values = self.0.values.borrow();
        values.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    pub(super) fn remove(&self, key: &str) {
        self.0.values.borrow_mut().remove(key);
    }

    /// Sets an entry. A map that would hold itself is an error: Go never comes to an end
    /// with it.
    pub(super) fn set(&self, key: Rc<str>, value: Value, steps: &Steps) -> Result<(), String> {
        if self.is_within(&value, steps)? {
            return Err(format!("`{key}` would make the dict hold itself"));
        }
        self.0.values.borrow_mut().insert(key, value);
        Ok(())
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    fn is_within(&self, value: &Value, steps: &Steps) -> Result<bool, String> {
        // Each search has its number, so that the marks of an earlier one do not count.
        thread_local!(static SEARCH: Cell<u64> = const { Cell::new(0) });
        let search = SEARCH.get() + 1;
        SEARCH.set(search);
        let mut pending = vec![value.clone()];
        while let Some(value) = pending.pop() {
            steps.take(1 + value.size() / 16)?;
            match value {
                Value::List(list) => pending.extend(list.values().iter().filter(nests).cloned()),
                Value::Dict(dict) if dict.is(self) => return Ok(true),
                Value::Dict(dict) if dict.0.seen.replace(search) != search => {
                    let values = dict.0.values.borrow();
                    pending.extend(values.values().filter(nests).cloned());
                }
                _ => {}
            }
        }
        Ok(false)
    }
}

fn nests(value: &&Value) -> bool {
    matches!(value, Value::List(_) | Value::Dict(_))
}

/// Values can be nested very deeply; to drop them one within the other would need as deep
/// a stack.
fn drop_flat(values: Vec<Value>) {
    let mut pending = values;
    while let Some(value) = pending.pop() {
        match value {
            Value::List(List(items)) => {
                if let Ok(mut items) = Rc::try_unwrap(items) {
                    pending.append(&mut items.values);
                }
            }
            Value::Dict(Dict(entries)) => {
                if let Ok(entries) = Rc::try_unwrap(entries) {
                    pending.extend(entries.values.take().into_values());
                }
            }
            _ => {}
        }
    }
}

impl Drop for Items {
    fn drop(&mut self) {
        if self.values.iter().any(|value| nests(&value)) {
            drop_flat(std::mem::take(&mut self.values));
        }
    }
}

impl Drop for Entries {
    fn drop(&mut self) {
        drop_flat(self.values.take().into_values().filter(|value| nests(&value)).collect());
    }
}

/// The text of bytes; each that is not part of a character becomes U+FFFD.
pub(super) fn lossy(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for _ in chunk.invalid() {
            text.push('\u{fffd}');
        }
    }
    text
}
