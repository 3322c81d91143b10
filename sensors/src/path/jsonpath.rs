//! RFC 9535 JSONPath. A path that names one place (`$.a['b'][0]`) is found by a scan;
//! any other is evaluated on a parsed tree, and its first value is then looked up in the
//! text, so that it comes back as it was written.

use std::borrow::Cow;

use jsonpath_rust::parser::model::{JpQuery, Segment, Selector};
use jsonpath_rust::parser::parse_json_path;
use jsonpath_rust::query::js_path_process;
use serde_json::Value as Tree;

use super::value::{Value, entries};
use super::{Found, Kind, PathError};

/// The most brackets that may be open in a JSONPath: its parser recurses.
const MAX_BRACKETS: usize = 30;

/// A compiled JSONPath.
#[derive(Debug)]
pub(super) struct JsonPath {
    query: JpQuery,
    /// The steps, where the path names at most one place.
    singular: Option<Box<[Step]>>,
}

#[derive(Clone, Debug)]
enum Step {
    Name(String),
    Index(i64),
}

impl JsonPath {
    pub(super) fn compile(text: &str) -> Result<Self, PathError> {
        let brackets = text.bytes().filter(|c| b"[(".contains(c)).count();
        if brackets > MAX_BRACKETS {
            return Err(PathError(format!(
                "JSONPath has {brackets} brackets, at most {MAX_BRACKETS} are allowed"
            )));
        }
        let query = parse_json_path(text)
            .map_err(|error| PathError(format!("not a JSONPath: {}", one_line(&error))))?;
        let singular = query.segments.iter().map(step).collect();
        Ok(Self { query, singular })
    }

    pub(super) fn find<'a>(&self, json: &'a str) -> Option<Found<'a>> {
        if let Some(steps) = &self.singular {
            return walk(json, steps);
        }
        let tree: Tree = serde_json::from_str(json).ok()?;
        let found = js_path_process(&self.query, &tree).ok()?;
        walk(json, &normalized(&found.first()?.path)?)
    }
}

/// The parser's message, without its picture of the path.
fn one_line(error: &impl ToString) -> String {
    let message = error.to_string();
    message.lines().last().unwrap_or_default().trim_start_matches([' ', '=']).to_owned()
}

fn step(segment: &Segment) -> Option<Step> {
    match segment {
        // The parser leaves escapes as they are.
        Segment::Selector(Selector::Name(name)) if !name.contains('\\') => {
            Some(Step::Name(unquoted(name)))
        }
        Segment::Selector(Selector::Index(index)) => Some(Step::Index(*index)),
        _ => None,
    }
}

/// The parser keeps the quotes of a name in brackets.
fn unquoted(name: &str) -> String {
    let quoted = |quote| name.strip_prefix(quote).and_then(|name| name.strip_suffix(quote));
    quoted('\'').or_else(|| quoted('"')).unwrap_or(name).to_owned()
}

/// The steps of a path that the evaluation gave: `$['a'][0]`.
fn normalized(path: &str) -> Option<Box<[Step]>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        rest = rest.strip_prefix('[')?;
        if let Some(name) = rest.strip_prefix('\'') {
            let end = name.find("']")?;
            steps.push(Step::Name(name[..end].to_owned()));
            rest = &name[end + 2..];
        } else {
            let end = rest.find(']')?;
            steps.push(Step::Index(rest[..end].parse().ok()?));
            rest = &rest[end + 1..];
        }
    }
    Some(steps.into())
}

/// Goes down the text step by step.
fn walk<'a>(json: &'a str, steps: &[Step]) -> Option<Found<'a>> {
    let mut raw = json.trim();
    let mut kind = Value::parse(raw)?.kind;
    for step in steps {
        let value = match step {
            _ if kind != Kind::Json => return None,
            // The last member of a name counts, as in a parsed tree.
            Step::Name(name) => entries(raw, kind)
                .filter(|entry| entry.key_text() == *name && entry.key.is_some())
                .last()?,
            Step::Index(_) if raw.starts_with('{') => return None,
            Step::Index(index) => {
                let from_end = || {
                    entries(raw, kind).count().checked_sub(index.unsigned_abs().try_into().ok()?)
                };
                let index = if *index < 0 { from_end()? } else { usize::try_from(*index).ok()? };
                entries(raw, kind).nth(index)?
            }
        };
        kind = value.value.kind;
        raw = match value.value.raw {
            Cow::Borrowed(raw) => raw,
            Cow::Owned(_) => return None,
        };
    }
    Some(Found { raw: Cow::Borrowed(raw), kind })
}
