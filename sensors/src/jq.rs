//! jq programs, as gojq runs them: what `transform.jq` holds.
//!
//! A program is compiled once. A run takes the first output and looks for no other.
//! `now` is the time of the event; there is no environment, no further input and no
//! file. A run is bounded: it takes at most [`MAX_STEPS`] steps.

use std::sync::Arc;

use jiff::Timestamp;

mod arena;
mod compile;
mod lexer;
mod library;
mod machine;
mod natives;
mod parser;
mod syntax;
#[cfg(test)]
mod tests;
mod value;

use compile::Step;
use machine::Machine;
use value::{Dict, FromEvent, Value};

/// The longest text of a program, in bytes.
pub const MAX_PROGRAM_BYTES: usize = 64 << 10;
/// The most steps of a run. Each 8 bytes or elements that are made or copied count as one,
/// so that this bounds memory too.
pub const MAX_STEPS: usize = 4_000_000;

/// A compiled program.
#[derive(Clone, Debug)]
pub struct Program(Arc<[Step]>);

/// Why a program cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct CompileError {
    /// The line in the program, from 1.
    pub line: usize,
    /// The column in that line, in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// What ends a run, or a part of it.
#[derive(Clone, Debug)]
enum Raise {
    /// A value that `catch` is given.
    Error(Value),
    /// The end of the label with this number.
    Break(usize),
    /// `halt`.
    Halt,
    /// A bound is exceeded. It cannot be caught.
    Cut(String),
}

impl Raise {
    fn message(message: impl Into<String>) -> Self {
        Self::Error(Value::text(message.into()))
    }

    fn too_long() -> Self {
        Self::Cut(format!("the program takes more than {MAX_STEPS} steps"))
    }

    fn expected_array(value: &Value) -> Self {
        Self::message(format!("expected an array but got: {}", value.described()))
    }

    fn expected_object(value: &Value) -> Self {
        Self::message(format!("expected an object but got: {}", value.described()))
    }

    fn key_no_text(key: &Value) -> Self {
        Self::message(format!("expected a string for object key but got: {}", key.described()))
    }

    fn text(&self) -> String {
        match self {
            Self::Error(Value::Text(text)) => text.to_string(),
            Self::Error(value) => value.preview(),
            Self::Break(_) => "a `break` finds no label".to_owned(),
            Self::Halt => "the program halts".to_owned(),
            Self::Cut(message) => message.clone(),
        }
    }
}

impl Program {
    /// Compiles a program.
    ///
    /// # Errors
    /// Where the text is too long, is no program, or names what does not exist.
    pub fn compile(text: &str) -> Result<Self, CompileError> {
        let fault = |at: usize, message: String| {
            let before = text.get(..at).unwrap_or(text);
            let line = before.rsplit('\n').next().unwrap_or_default();
            CompileError {
                line: before.matches('\n').count() + 1,
                column: line.chars().count() + 1,
                message,
            }
        };
        if text.len() > MAX_PROGRAM_BYTES {
            let size = text.len();
            let message =
                format!("the program has {size} bytes, at most {MAX_PROGRAM_BYTES} are allowed");
            return Err(fault(0, message));
        }
        let node = parser::program(text).map_err(|found| fault(found.at, found.message))?;
        let steps = compile::compile(&node).map_err(|message| fault(0, message))?;
        Ok(Self(steps.into()))
    }

    /// The first output for an event's data, as Go writes JSON; `now` is the event's time.
    ///
    /// # Errors
    /// Where the data is no JSON object or null, the program fails or is cut off, or the
    /// first output is no object.
    pub fn transform(&self, data: &str, now: Option<Timestamp>) -> Result<String, String> {
        let FromEvent(input) = crate::json::parse(data)
            .map_err(|error| format!("the event's data cannot be read: {error}"))?;
        // A null is an object without entries, which is written as null again.
        let (input, null) = match input {
            Value::Null => {
                let null = Arc::new(Dict::default());
                (Value::Dict(Arc::clone(&null)), Some(null))
            }
            Value::Dict(_) => (input, None),
            _ => return Err("the event's data is no JSON object".to_owned()),
        };
        match Machine::new(&self.0, input, now).first() {
            Ok(Some(output @ Value::Dict(_))) => match null {
                Some(null) => output.with_null(&null).go_json(),
                None => output.go_json(),
            },
            Ok(Some(output)) => {
                Err(format!("the program answers no object but {}", output.described()))
            }
            Ok(None) => Err("the program answers nothing".to_owned()),
            Err(raised) => Err(raised.text()),
        }
    }
}
