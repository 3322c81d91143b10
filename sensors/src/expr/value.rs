//! Values of an expression, with the types of Go that matter to it.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};

use crate::json::{self, Build, Escapes};

#[derive(Clone, Debug)]
pub(super) enum Value {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    List(Rc<Vec<Self>>, Element),
    Map(Rc<BTreeMap<String, Self>>),
    /// What `groupBy` makes: keys are any values.
    Groups(Rc<Vec<(Self, Self)>>),
    Function(Rc<str>),
    Time(Timestamp),
    Duration(SignedDuration),
}

/// The type of a list's elements: lists of other types are never equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Any,
    Int,
    Text,
    Pair,
}

impl Value {
    pub(super) fn text(text: impl Into<Rc<str>>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn list(items: Vec<Self>) -> Self {
        Self::List(Rc::new(items), Element::Any)
    }

    pub(super) fn count(count: usize) -> Self {
        Self::Int(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// The name of the type, as Go has it.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::List(..) => "a list",
            Self::Map(_) | Self::Groups(_) => "a map",
            Self::Function(_) => "a function",
            Self::Time(_) => "time.Time",
            Self::Duration(_) => "time.Duration",
        }
    }

    pub(super) fn float(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "as Go converts")]
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// A number without its fraction.
    pub(super) fn int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            #[expect(clippy::cast_possible_truncation, reason = "`as` saturates")]
            Self::Float(value) => Some(*value as i64),
            _ => None,
        }
    }

    pub(super) fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::List(items, _) => items.len(),
            Self::Map(map) => map.len(),
            Self::Groups(groups) => groups.len(),
            _ => 0,
        }
    }

    /// `==`: numbers by value; all else has to be of the same type.
    pub(super) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Int(_) | Self::Float(_), Self::Int(_) | Self::Float(_)) => {
                self.float() == other.float()
            }
            _ => self.is_same(other),
        }
    }

    /// Go's `reflect.DeepEqual`: an int is no float.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nil, Self::Nil) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Time(a), Self::Time(b)) => a == b,
            (Self::Duration(a), Self::Duration(b)) => a == b,
            (Self::List(a, of_a), Self::List(b, of_b)) => {
                of_a == of_b && a.len() == b.len() && a.iter().zip(&**b).all(|(a, b)| a.is_same(b))
            }
            (Self::Map(a), Self::Map(b)) => {
                a.len() == b.len()
                    && a.iter().zip(&**b).all(|((k, a), (l, b))| k == l && a.is_same(b))
            }
            (Self::Groups(a), Self::Groups(b)) => {
                let has = |entry: &(Self, Self)| {
                    b.iter().any(|other| entry.0.is_same(&other.0) && entry.1.is_same(&other.1))
                };
                a.len() == b.len() && a.iter().all(has)
            }
            _ => false,
        }
    }

    /// The order of two numbers, texts, times or durations.
    pub(super) fn order(&self, other: &Self) -> Option<Option<Ordering>> {
        Some(match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Time(a), Self::Time(b)) => Some(a.cmp(b)),
            (Self::Duration(a), Self::Duration(b)) => Some(a.cmp(b)),
            _ => match (self.float(), other.float()) {
                (Some(a), Some(b)) => a.partial_cmp(&b),
                _ => return None,
            },
        })
    }

    /// The JSON text, as Go writes it; with an indent of two spaces where `indent` is
    /// given.
    pub(super) fn json(&self, indent: Option<usize>, out: &mut String) -> Result<(), String> {
        let between = |out: &mut String, depth: Option<usize>| {
            if let Some(depth) = depth {
                out.push('\n');
                out.push_str(&"  ".repeat(depth));
            }
        };
        let deeper = indent.map(|depth| depth + 1);
        match self {
            Self::Nil => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Int(value) => out.push_str(&value.to_string()),
            Self::Float(value) if value.is_finite() => json::push_float(out, *value),
            Self::Text(text) => json::push_text(out, text, Escapes::Html),
            Self::List(items, _) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    between(out, deeper);
                    item.json(deeper, out)?;
                }
                if !items.is_empty() {
                    between(out, indent);
                }
                out.push(']');
            }
            Self::Map(map) => {
                out.push('{');
                for (at, (key, value)) in map.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    between(out, deeper);
                    json::push_text(out, key, Escapes::Html);
                    out.push_str(if indent.is_some() { ": " } else { ":" });
                    value.json(deeper, out)?;
                }
                if !map.is_empty() {
                    between(out, indent);
                }
                out.push('}');
            }
            other => return Err(format!("{} cannot be written as JSON", other.type_name())),
        }
        Ok(())
    }
}

impl Build for Value {
    fn null() -> Self {
        Self::Nil
    }

    fn bool(value: bool) -> Self {
        Self::Bool(value)
    }

    fn number(text: &str) -> Result<Self, String> {
        Ok(Self::Float(json::float(text)?))
    }

    fn text(value: String) -> Self {
        Self::Text(value.into())
    }

    fn list(items: Vec<Self>) -> Self {
        Self::List(Rc::new(items), Element::Any)
    }

    fn dict(entries: Vec<(String, Self)>) -> Self {
        Self::Map(Rc::new(entries.into_iter().collect()))
    }
}

/// The names that the functions of Argo Events have; they go before fields.
pub(super) const FUNCTIONS: [&str; 4] = ["asInt", "asFloat", "jsonpath", "toJson"];

/// The fields of a payload, under the names that an expression has for them.
pub(super) fn fields(data: &str) -> Result<BTreeMap<String, Value>, String> {
    let read = json::parse::<Value>(data)
        .map_err(|error| format!("the event's data cannot be read: {error}"))?;
    let fields = match read {
        Value::Nil => BTreeMap::new(),
        Value::Map(map) => Rc::unwrap_or_clone(map),
        _ => return Err("the event's data is no JSON object".to_owned()),
    };
    let renamed: BTreeMap<String, Value> =
        fields.into_iter().map(|(key, value)| (key.replace('-', "_"), value)).collect();
    let keys: Vec<&String> = renamed.keys().collect();
    // Where there is a field within it by a longer name, the shorter one is dropped.
    let is_dropped = |at: usize| {
        keys.get(at + 1).is_some_and(|next| {
            next.strip_prefix(keys[at].as_str()).is_some_and(|rest| rest.starts_with('.'))
        })
    };
    let dropped: Vec<String> =
        (0..keys.len()).filter(|at| is_dropped(*at)).map(|at| keys[at].clone()).collect();
    let mut made = BTreeMap::new();
    for (key, value) in renamed {
        if !dropped.contains(&key) {
            let parts: Vec<&str> = key.split('.').take(json::MAX_DEPTH).collect();
            insert(&mut made, &parts, value);
        }
    }
    for name in FUNCTIONS {
        made.insert(name.to_owned(), Value::Function(name.into()));
    }
    made.insert("sprig".to_owned(), Value::Function("sprig".into()));
    Ok(made)
}

fn insert(map: &mut BTreeMap<String, Value>, parts: &[&str], value: Value) {
    match parts {
        [] => {}
        [last] => {
            map.insert((*last).to_owned(), value);
        }
        [first, rest @ ..] => {
            let inside =
                map.entry((*first).to_owned()).or_insert_with(|| Value::Map(Rc::default()));
            if !matches!(inside, Value::Map(_)) {
                *inside = Value::Map(Rc::default());
            }
            if let Value::Map(inside) = inside {
                insert(Rc::make_mut(inside), rest, value);
            }
        }
    }
}
