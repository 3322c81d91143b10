//! Lua 5.1, as gopher-lua runs it: `script` filters and `transform.script`.
//!
//! An interpreter of its own, since a script has to decide the same at every replay: keys
//! are gone through in the order in which they were set, nothing prints an address, no
//! finalizer runs, and the time is that of the event. It differs from the original Lua
//! where gopher-lua does: `goto` exists, numbers are printed as Go prints them, and
//! `string.format` is Go's.
//!
//! A script sees the table `event` and the functions of `string`, `table`, `math` and
//! `coroutine`; of `os` only those that tell the time. Each run begins with fresh globals,
//! so nothing goes from one event or sensor to the next. A run takes at most
//! [`MAX_STEPS`] steps; what is made counts too, which bounds memory.

use std::sync::Arc;

use jiff::Timestamp;

mod code;
mod compile;
mod convert;
mod lexer;
mod library;
mod machine;
mod parser;
mod pattern;
mod syntax;
mod table;
#[cfg(test)]
mod tests;
mod value;

use code::Function;
use machine::Machine;
use value::Value;

/// The longest text of a script, in bytes.
pub const MAX_SCRIPT_BYTES: usize = 64 << 10;
/// The most steps of a run: instructions, and one for each 8 bytes or entries that are
/// made or copied.
pub const MAX_STEPS: usize = 4_000_000;

/// A compiled script.
#[derive(Clone, Debug)]
pub struct Script(Arc<Function>);

/// Why a script cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct CompileError {
    /// The line in the script, from 1.
    pub line: usize,
    /// The column in that line, in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl Script {
    /// Compiles a script.
    ///
    /// # Errors
    /// Where the text is too long or is no script.
    pub fn compile(text: &str) -> Result<Self, CompileError> {
        compile(text.as_bytes()).map(|function| Self(Arc::new(function)))
    }

    /// Whether the script answers true for an event's data: the last value that it
    /// returns, and nothing but `true`.
    ///
    /// # Errors
    /// Where the data is no JSON object or null, and where the script fails or is cut off.
    pub fn test(&self, data: &str, now: Option<Timestamp>) -> Result<bool, String> {
        let mut machine = Machine::new(now);
        let answer = self.run(&mut machine, data)?;
        Ok(matches!(answer, Value::Bool(true)))
    }

    /// The table that the script answers for an event's data, as Go writes it as JSON: the
    /// last value that it returns.
    ///
    /// # Errors
    /// Those of [`Self::test`]; also where the answer is no table, or holds what JSON
    /// cannot.
    pub fn transform(&self, data: &str, now: Option<Timestamp>) -> Result<String, String> {
        let mut machine = Machine::new(now);
        let answer = self.run(&mut machine, data)?;
        if !matches!(answer, Value::Table(_)) {
            return Err(format!("the script answers no table but {}", answer.type_name()));
        }
        convert::to_json(&machine, &answer)
    }

    fn run(&self, machine: &mut Machine, data: &str) -> Result<Value, String> {
        let event = convert::event(machine, data)?;
        machine.set_global("event", event);
        let answers = machine.run_main(self.0.clone()).map_err(|error| machine.describe(&error))?;
        Ok(answers.into_iter().next_back().unwrap_or(Value::Nil))
    }
}

fn compile(text: &[u8]) -> Result<Function, CompileError> {
    if text.len() > MAX_SCRIPT_BYTES {
        let size = text.len();
        let message =
            format!("the script has {size} bytes, at most {MAX_SCRIPT_BYTES} are allowed");
        return Err(CompileError { line: 1, column: 1, message });
    }
    let chunk = parser::parse(text)?;
    compile::chunk(&chunk)
}
