//! Why a filter said what it said.

use serde::Serialize;

use super::Answer;
use crate::path::{Found, Kind};

/// The most bytes of a value that a trace keeps.
const MAX_FOUND_BYTES: usize = 256;

/// A step for each filter that was looked at, in the order of evaluation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Trace {
    /// The steps.
    pub steps: Vec<TraceStep>,
}

/// One filter that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceStep {
    /// The filter's field, relative to the dependency: `filters.data[0]`.
    pub field: String,
    /// The path or attribute that was looked at, or the expression.
    pub path: String,
    /// The value that was found there, as text, cut behind 256 bytes; `None`: nothing is
    /// there.
    pub found: Option<String>,
    /// Of a `data` filter: what the value is: `string`, `number`, `boolean`, `null`, `object`
    /// or `array`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found_type: Option<&'static str>,
    /// What was wanted: `= completed | done`.
    pub wanted: String,
    /// Of a `data` filter: as what values are compared: `string`, `number` or `bool`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted_type: Option<&'static str>,
    /// Whether the filter fits.
    pub pass: bool,
    /// What could not be evaluated.
    pub error: Option<String>,
}

impl Trace {
    /// Keeps a step.
    pub(super) fn push(
        &mut self,
        field: String,
        path: &str,
        found: Option<&str>,
        wanted: &str,
        answer: &Answer,
    ) {
        self.steps.push(TraceStep {
            field,
            path: path.to_owned(),
            found: found.map(cut),
            found_type: None,
            wanted: wanted.to_owned(),
            wanted_type: None,
            pass: matches!(answer, Ok(true)),
            error: answer.as_ref().err().map(|error| error.to_string()),
        });
    }

    /// Says of the latest step what was found, and as what it was compared.
    pub(super) fn typed(&mut self, found: Option<&Found<'_>>, wanted: Option<&'static str>) {
        if let Some(step) = self.steps.last_mut() {
            step.found_type = found.map(type_of);
            step.wanted_type = wanted;
        }
    }
}

/// The type of a JSON value, in JSON's own words.
pub fn type_of(found: &Found<'_>) -> &'static str {
    match found.kind {
        Kind::Null => "null",
        Kind::False | Kind::True => "boolean",
        Kind::Number => "number",
        Kind::String => "string",
        Kind::Json if found.raw.trim_start().starts_with('[') => "array",
        Kind::Json => "object",
    }
}

fn cut(text: &str) -> String {
    if text.len() <= MAX_FOUND_BYTES {
        return text.to_owned();
    }
    let mut end = MAX_FOUND_BYTES;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}
