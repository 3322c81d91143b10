//! `data` filters: values in the payload.

use std::sync::Arc;

use tripline_config::{FieldPath, Problem};

use super::text_match::TextMatch;
use super::trace::Trace;
use super::{Answer, NOT_JSON, joined};
use crate::codes;
use crate::definition::DataFilter;
use crate::number::parse_float;
use crate::path::{Found, Kind, Path, quote};
use crate::template::{Context, Template};
use crate::view::EventView;

pub(crate) mod index;

/// The `data` filters of a dependency.
#[derive(Clone, Debug)]
pub(super) struct Data {
    any: bool,
    filters: Box<[One]>,
}

#[derive(Clone, Debug)]
struct One {
    path: Result<Path, Arc<str>>,
    /// What is wrong with the filter as a whole; said once there is a value.
    broken: Option<Arc<str>>,
    /// What is compared is what this makes of the value.
    template: Option<Result<Template, Arc<str>>>,
    check: Check,
    /// For a trace: `= a | b`.
    wanted: Box<str>,
    /// The error of a path that finds nothing: by far the most frequent one.
    missing: Arc<str>,
}

/// What a value is compared with; one that holds is enough. A value that cannot be read
/// is an error, once all before it did not hold.
#[derive(Clone, Debug)]
enum Check {
    Bool(Box<[Result<bool, Arc<str>>]>),
    Number(Comparator, Box<[Result<f64, Arc<str>>]>),
    Text(Comparator, Box<[Result<TextMatch, Arc<str>>]>),
    Unknown(Arc<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    /// Any other text: it never holds.
    Never,
}

impl Data {
    pub(super) fn compile(
        filters: &[DataFilter],
        any: bool,
        at: &FieldPath,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let alternatives = any && filters.len() > 1;
        let one = |(index, filter)| One::compile(filter, alternatives, &at.index(index), problems);
        Self { any, filters: filters.iter().enumerate().map(one).collect() }
    }

    pub(super) fn evaluate(&self, event: &EventView<'_>, mut trace: Option<&mut Trace>) -> Answer {
        if self.filters.is_empty() || event.data.bytes().is_none() {
            return Ok(true);
        }
        let Some(json) = event.data.json() else { return Err(NOT_JSON.into()) };
        let mut errors = Vec::new();
        for (index, filter) in self.filters.iter().enumerate() {
            let found = filter.path.as_ref().ok().and_then(|path| path.find(json));
            let answer = filter.evaluate(found.as_ref(), event);
            if let Some(trace) = trace.as_deref_mut() {
                let field = format!("filters.data[{index}]");
                let path = filter.path.as_ref().map_or("", Path::text);
                let text = found.as_ref().map(Found::text);
                trace.push(field, path, text.as_deref(), &filter.wanted, &answer);
                trace.typed(found.as_ref(), filter.check.type_name());
            }
            match answer {
                Ok(true) if self.any => return Ok(true),
                Ok(true) => {}
                Ok(false) if self.any => {}
                Err(error) if self.any => errors.push(error),
                Ok(false) | Err(_) => return answer,
            }
        }
        match joined(&errors) {
            Some(errors) => Err(errors),
            None => Ok(!self.any),
        }
    }
}

impl One {
    fn compile(
        filter: &DataFilter,
        alternatives: bool,
        at: &FieldPath,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let path = Path::compile(&filter.path).map_err(|error| {
            problems.push(Problem::error(codes::BAD_PATH, at.key("path"), &*error.0));
            error.0.into()
        });
        if filter.path.is_empty() {
            let message = "a path is missing";
            problems.push(Problem::error(codes::MISSING_FIELD, at.key("path"), message));
        }
        let mut broken = None;
        if filter.value.is_empty() {
            let message = "no value is given that could fit";
            problems.push(Problem::error(codes::MISSING_FIELD, at.key("value"), message));
            broken = Some(message.into());
        }
        let template = (!filter.template.is_empty()).then(|| {
            Template::compile(&filter.template).map_err(|error| {
                let error = error.to_string();
                problems.push(Problem::error(codes::BAD_TEMPLATE, at.key("template"), &*error));
                error.into()
            })
        });
        let comparator = Comparator::parse(&filter.comparator);
        let check = Check::compile(filter, comparator, at, problems);
        lint_comparator(filter, comparator, alternatives, at, problems);
        let sign = if filter.comparator.is_empty() { "=" } else { &filter.comparator };
        let wanted = format!("{sign} {}", filter.value.join(" | ")).into();
        let missing = format!("path `{}` finds nothing", filter.path).into();
        Self { path, broken, template, check, wanted, missing }
    }

    fn evaluate(&self, found: Option<&Found<'_>>, event: &EventView<'_>) -> Answer {
        if let Err(error) = &self.path {
            return Err(error.clone());
        }
        let Some(found) = found else { return Err(self.missing.clone()) };
        if let Some(broken) = &self.broken {
            return Err(broken.clone());
        }
        match &self.template {
            None => self.check.evaluate(found),
            Some(Err(error)) => Err(error.clone()),
            Some(Ok(template)) => {
                // A replay has the same event, so it decides the same.
                let context = Context { now: event.time };
                let made = Template::some(template.render_text(&found.text(), &context))?;
                let made = Found { raw: quote(&made).into(), kind: Kind::String };
                self.check.evaluate(&made)
            }
        }
    }
}

impl Check {
    fn compile(
        filter: &DataFilter,
        comparator: Comparator,
        at: &FieldPath,
        problems: &mut Vec<Problem>,
    ) -> Self {
        match filter.r#type.as_str() {
            "bool" => Self::Bool(values(filter, codes::BAD_VALUE, parse_bool, at, problems)),
            "number" => {
                let parse =
                    |text: &str| parse_float(text).map_err(|_| format!("`{text}` is no number"));
                Self::Number(comparator, values(filter, codes::BAD_VALUE, parse, at, problems))
            }
            "string" => {
                let parse = |text: &str| {
                    TextMatch::compile(text)
                        .map_err(|error| format!("`{text}` is no regular expression: {error}"))
                };
                let values = values(filter, codes::BAD_REGEX, parse, at, problems);
                if let Some(index) = filter.value.iter().position(String::is_empty) {
                    let at = at.key("value").index(index);
                    let message = "an empty value fits every text";
                    let problem = Problem::error(codes::FILTER_MISLEADING, at, message);
                    problems.push(problem.help("write `^$` for the empty text"));
                }
                Self::Text(comparator, values)
            }
            other => {
                let message = if other.is_empty() {
                    "a type is missing".to_owned()
                } else {
                    format!("there is no type `{other}`")
                };
                let problem = Problem::error(codes::UNKNOWN_TYPE, at.key("type"), &*message);
                problems.push(problem.help("write `string`, `number` or `bool`"));
                Self::Unknown(message.into())
            }
        }
    }

    /// The filter's `type`.
    fn type_name(&self) -> Option<&'static str> {
        match self {
            Self::Bool(_) => Some("bool"),
            Self::Number(..) => Some("number"),
            Self::Text(..) => Some("string"),
            Self::Unknown(_) => None,
        }
    }

    fn evaluate(&self, found: &Found<'_>) -> Answer {
        match self {
            Self::Bool(values) => {
                let value = found.bool();
                one_holds(values, |wanted| *wanted == value)
            }
            Self::Number(comparator, values) => {
                let value = found.float();
                one_holds(values, |wanted| comparator.holds(value, *wanted))
            }
            Self::Text(comparator, values) => {
                let text = found.text();
                one_holds(values, |pattern| match comparator {
                    Comparator::Equal => pattern.matches(&text),
                    Comparator::NotEqual => !pattern.matches(&text),
                    _ => false,
                })
            }
            Self::Unknown(message) => Err(message.clone()),
        }
    }
}

fn one_holds<T>(values: &[Result<T, Arc<str>>], holds: impl Fn(&T) -> bool) -> Answer {
    for value in values {
        match value {
            Ok(value) if holds(value) => return Ok(true),
            Ok(_) => {}
            Err(error) => return Err(error.clone()),
        }
    }
    Ok(false)
}

/// Reads the values; what cannot be read is a problem, and an error of each event.
fn values<T>(
    filter: &DataFilter,
    code: &str,
    parse: impl Fn(&str) -> Result<T, String>,
    at: &FieldPath,
    problems: &mut Vec<Problem>,
) -> Box<[Result<T, Arc<str>>]> {
    let value = |(index, text): (usize, &String)| {
        parse(text).map_err(|error| {
            let at = at.key("value").index(index);
            problems.push(Problem::error(code, at, &*error));
            error.into()
        })
    };
    filter.value.iter().enumerate().map(value).collect()
}

/// The words that Go's `strconv.ParseBool` knows.
fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("`{text}` is no boolean: `true` or `false` is expected")),
    }
}

impl Comparator {
    fn parse(text: &str) -> Self {
        match text {
            "" | "=" => Self::Equal,
            "!=" => Self::NotEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            _ => Self::Never,
        }
    }

    fn holds(self, left: f64, right: f64) -> bool {
        #[expect(clippy::float_cmp, reason = "Go compares floats exactly")]
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Never => false,
        }
    }
}

/// Comparators that never hold or do not do what they seem to.
fn lint_comparator(
    filter: &DataFilter,
    comparator: Comparator,
    alternatives: bool,
    at: &FieldPath,
    problems: &mut Vec<Problem>,
) {
    let at = at.key("comparator");
    let written = &filter.comparator;
    let equality = matches!(comparator, Comparator::Equal | Comparator::NotEqual);
    match filter.r#type.as_str() {
        "bool" => {
            if !written.is_empty() && comparator != Comparator::Equal {
                let message = format!("`{written}` has no effect on booleans: it is read as `=`");
                let problem = Problem::warning(codes::BAD_COMPARATOR, at, message);
                problems.push(problem.help("turn the values round instead"));
            }
        }
        kind => {
            let never = comparator == Comparator::Never || (kind == "string" && !equality);
            if never {
                let message = format!("`{written}` never holds for type `{kind}`");
                let mut problem = Problem::error(codes::BAD_COMPARATOR, at, message);
                if alternatives {
                    // The others can still let an event pass.
                    problem.severity = tripline_config::Severity::Warning;
                }
                let known =
                    if kind == "string" { "`=`, `!=`" } else { "`=`, `!=`, `>`, `>=`, `<`, `<=`" };
                problems.push(problem.help(format!("use one of {known}")));
            } else if comparator == Comparator::NotEqual && filter.value.len() > 1 {
                let message =
                    "`!=` with several values holds where one of them differs: nearly always";
                let problem = Problem::warning(codes::FILTER_MISLEADING, at, message);
                problems.push(problem.help("write a filter for each value, joined by `and`"));
            }
        }
    }
}
