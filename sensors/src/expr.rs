//! The language of `filter.expression` of event sources: that of `expr`, as Argo Events
//! evaluates it before it publishes an event.
//!
//! A name is a field of the payload; one that is not there is nil. `-` in the names of
//! fields of the payload reads as `_`, and a field `a.b` is the field `b` of `a`. Besides
//! the functions of the language there are `asInt`, `asFloat`, `jsonpath`, `toJson` and
//! those of `sprig`.
//!
//! An evaluation takes at most [`MAX_STEPS`] steps, and lists have at most a million
//! elements in all.

use std::sync::Arc;

use jiff::Timestamp;

mod check;
mod evaluate;
mod functions;
mod lexer;
mod parser;
mod syntax;
#[cfg(test)]
mod tests;
mod value;

use syntax::Node;
use value::Value;

/// The longest expression, in bytes.
pub const MAX_EXPRESSION_BYTES: usize = 16 << 10;
/// The most steps of an evaluation: parts of the expression, and one for each 8 bytes or
/// elements that are made.
pub const MAX_STEPS: usize = 1_000_000;

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct SourceFilter(Arc<Node>);

/// Why an expression cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}")]
pub struct CompileError {
    /// The column in the expression, in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// What is wrong, and where: bytes from the beginning.
#[derive(Clone, Debug)]
struct Fault {
    at: usize,
    message: String,
}

impl Fault {
    fn at(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }
}

/// Whether the language has a function of this name: a name alone means that function.
pub(crate) fn is_builtin(name: &str) -> bool {
    syntax::Each::of(name).is_some() || functions::find(name).is_some()
}

impl SourceFilter {
    /// Compiles an expression.
    ///
    /// # Errors
    /// Where the text is too long, is no expression, or can never be evaluated.
    pub fn compile(text: &str) -> Result<Self, CompileError> {
        let locate = |fault: Fault| CompileError {
            column: text.get(..fault.at).unwrap_or(text).chars().count() + 1,
            message: fault.message,
        };
        if text.len() > MAX_EXPRESSION_BYTES {
            let size = text.len();
            let message =
                format!("it has {size} bytes, at most {MAX_EXPRESSION_BYTES} are allowed");
            return Err(locate(Fault::at(0, message)));
        }
        let node = parser::parse(text).map_err(locate)?;
        check::check(&node).map_err(locate)?;
        Ok(Self(Arc::new(node)))
    }

    /// Whether an event with this payload is one; `now` is when it came in.
    ///
    /// # Errors
    /// Where the payload is no JSON object or null, the expression cannot be evaluated or
    /// is cut off, and where it answers neither true nor false.
    pub fn passes(&self, data: &str, now: Option<Timestamp>) -> Result<bool, String> {
        let fields = value::fields(data)?;
        match evaluate::evaluate(&self.0, fields, now)? {
            Value::Bool(passes) => Ok(passes),
            other => Err(format!("it answers neither true nor false, but {}", other.type_name())),
        }
    }
}
