//! The functions of sprig for the expressions of event sources.

use jiff::{SignedDuration, Timestamp};

use super::bounds::{Bounded, Steps};
use super::functions::{self, Call, Parameter, Run};
use super::value::{Element, List, Value};
use super::{Context, layout, print as printing};

/// A value that goes to a function and comes back.
#[derive(Clone, Debug)]
pub(crate) enum Plain {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Self>),
    /// A list of texts, which is another type than a list of anything.
    Texts(Vec<Self>),
    Map(Vec<(String, Self)>),
}

impl Plain {
    /// How many bytes and elements it has.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::List(items) | Self::Texts(items) => {
                items.iter().map(|item| 1 + item.size()).sum()
            }
            Self::Map(entries) => entries.iter().map(|(key, of)| 1 + key.len() + of.size()).sum(),
            _ => 0,
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Nil => Value::Nil,
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Float(value) => Value::Float(*value),
            Self::Text(text) => Value::from(text.as_str()),
            Self::List(items) => Value::list(items.iter().map(Self::value)),
            Self::Texts(items) => {
                Value::List(List::new(Element::Text, items.iter().map(Self::value).collect()))
            }
            Self::Map(entries) => {
                Value::dict(entries.iter().map(|(key, of)| (key.as_str(), of.value())))
            }
        }
    }

    fn of(value: &Value) -> Result<Self, String> {
        Ok(match value {
            Value::Missing | Value::Nil => Self::Nil,
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) | Value::Int64(value) => Self::Int(*value),
            Value::Uint64(value) => Self::Int(i64::try_from(*value).unwrap_or(i64::MAX)),
            Value::Byte(value) => Self::Int((*value).into()),
            Value::Float(value) => Self::Float(*value),
            Value::Text(text) => Self::Text(text.to_string()),
            Value::List(list) => {
                let items = list.values().iter().map(Self::of).collect::<Result<_, _>>()?;
                if list.of() == Element::Text { Self::Texts(items) } else { Self::List(items) }
            }
            Value::Dict(dict) => {
                let entry =
                    |(key, of): (std::rc::Rc<str>, Value)| Ok((key.to_string(), Self::of(&of)?));
                Self::Map(dict.entries().into_iter().map(entry).collect::<Result<_, String>>()?)
            }
            Value::Time(_) | Value::Version(_) => {
                return Err(format!("{} is not known here", value.type_name()));
            }
        })
    }
}

/// Whether sprig has a function of that name; those of Go's templates are not among them.
pub(crate) fn is_function(name: &str) -> bool {
    functions::sprig(name).is_some()
}

/// Calls a function of sprig. Arguments have to be of the types of its parameters.
///
/// # Errors
/// Where they are not, and those of the function.
pub(crate) fn call(
    name: &str,
    arguments: &[Plain],
    now: Option<Timestamp>,
) -> Result<Plain, String> {
    let function = functions::sprig(name).ok_or_else(|| format!("there is no `sprig.{name}`"))?;
    let most = if function.rest.is_some() { usize::MAX } else { function.fixed.len() };
    if arguments.len() < function.fixed.len() || arguments.len() > most {
        return Err(format!("`sprig.{name}` does not take {} arguments", arguments.len()));
    }
    let values: Vec<Value> = arguments.iter().map(Plain::value).collect();
    for (at, value) in values.iter().enumerate() {
        let parameter = function.parameter(at);
        let fits = match parameter {
            Parameter::Any => true,
            Parameter::Text => matches!(value, Value::Text(_)),
            Parameter::Int => matches!(value, Value::Int(_)),
            Parameter::Float => matches!(value, Value::Float(_)),
            Parameter::Bool => matches!(value, Value::Bool(_)),
            Parameter::Dict => matches!(value, Value::Dict(_)),
            Parameter::Time => matches!(value, Value::Time(_)),
        };
        if !fits {
            let (wanted, found) = (parameter.name(), value.type_name());
            return Err(format!("`sprig.{name}` takes {wanted}, not {found}"));
        }
    }
    let (context, steps) = (Context { now }, Steps::default());
    match function.run {
        Run::Plain(run) => Plain::of(&run(&Call { context: &context, steps: &steps }, &values)?),
        Run::ShortCircuit(_) => Err(format!("`{name}` is none of sprig's functions")),
    }
}

/// A value as Go's `%v` prints it.
///
/// # Errors
/// Where the text would be too long.
pub(crate) fn print(value: &Plain) -> Result<String, String> {
    let mut out = Bounded::default();
    printing::plain(&mut out, &value.value())?;
    out.finish()
}

/// A Go duration.
///
/// # Errors
/// Where the text is none.
pub(crate) fn duration(text: &str) -> Result<SignedDuration, String> {
    let nanoseconds = functions::read_duration(text);
    nanoseconds.map(SignedDuration::from_nanos).ok_or_else(|| format!("`{text}` is no duration"))
}

/// The time of a text: in a layout of Go, or in one of those that are usual.
///
/// # Errors
/// Where the text does not read so.
pub(crate) fn date(text: &str, written_in: Option<&str>) -> Result<Timestamp, String> {
    let usual = [
        "2006-01-02",
        "15:04:05",
        "2006-01-02 15:04:05",
        "2006-01-02T15:04:05Z07:00",
        "02 Jan 06 15:04 MST",
        "Monday, 02-Jan-06 15:04:05 MST",
        "Mon, 02 Jan 2006 15:04:05 MST",
    ];
    let layouts = written_in.as_ref().map_or(&usual[..], std::slice::from_ref);
    let read = layouts.iter().find_map(|layout| layout::parse(layout, text).ok());
    read.map(|time| time.timestamp()).ok_or_else(|| format!("`{text}` is no date"))
}
