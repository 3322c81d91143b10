//! Why a filter said what it said.

use serde::Serialize;

use super::Answer;

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
pub struct TraceStep {
    /// The filter's field, relative to the dependency: `filters.data[0]`.
    pub field: String,
    /// The path or attribute that was looked at, or the expression.
    pub path: String,
    /// The value that was found there, as text, cut behind 256 bytes; `None`: nothing is
    /// there.
    pub found: Option<String>,
    /// What was wanted: `= completed | done`.
    pub wanted: String,
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
            wanted: wanted.to_owned(),
            pass: matches!(answer, Ok(true)),
            error: answer.as_ref().err().map(|error| error.to_string()),
        });
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
