//! Go's `text/template` with the functions of sprig, as Argo Events uses them.
//!
//! A template is compiled once and rendered with each event. Values are those of Go: all
//! numbers of JSON are `float64`, a missing key prints `<no value>`, types that Go does
//! not compare are an error here too. Functions that read the environment or the network,
//! or are random, do not exist: a trigger does the same thing each time it is replayed.
//!
//! A template can loop and call itself. So what it does is bounded: the length of its
//! text, steps, the size of what it makes and how deep it goes.

use std::sync::Arc;

use jiff::Timestamp;

mod bounds;
mod bridge;
mod compare;
mod convert;
mod functions;
mod json;
mod layout;
mod lexer;
mod literal;
mod node;
mod parser;
mod print;
mod printf;
mod run;
#[cfg(test)]
mod tests;
mod value;
mod version;

pub(crate) use bridge::{Plain, call, date, duration, is_function, print};
use node::Program;
use value::Value;

/// The longest text of a template, in bytes.
pub const MAX_TEMPLATE_BYTES: usize = 64 << 10;
/// The most text that a template may print, and the longest text that it may make on the
/// way, in bytes.
pub const MAX_OUTPUT_BYTES: usize = 1 << 20;
/// The most steps of a rendering: nodes, operands, and elements that functions go over.
pub const MAX_STEPS: u64 = 1_000_000;
/// How deep a rendering may go: blocks, pipelines and templates that call others. So deep
/// may the values be nested, too.
pub const MAX_DEPTH: usize = 200;

/// A compiled template.
#[derive(Clone, Debug)]
pub struct Template {
    text: Arc<str>,
    program: Arc<Program>,
}

/// What a rendering may know besides its input.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context {
    /// What `now` answers: the time of the event, so that a replay prints the same.
    /// Without it functions that need the time fail.
    pub now: Option<Timestamp>,
}

/// Why a template cannot be compiled or rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct TemplateError {
    /// The line in the template, from 1.
    pub line: usize,
    /// The column in that line, in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// Where something stands in a template: bytes from its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place(u32);

impl Place {
    /// Templates are far shorter than what fits.
    fn new(at: usize) -> Self {
        Self(u32::try_from(at).unwrap_or(u32::MAX))
    }
}

/// An error before its place is looked up.
#[derive(Clone, Debug)]
struct Fault {
    at: Place,
    message: String,
}

impl Fault {
    fn at(at: Place, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }

    fn locate(self, text: &str) -> TemplateError {
        let before = text.get(..self.at.0 as usize).unwrap_or(text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        TemplateError {
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
            message: self.message,
        }
    }
}

/// An argument of [`sprintf`].
#[derive(Clone, Debug)]
pub(crate) enum Argument {
    Int(i64),
    Float(f64),
    Text(String),
}

/// Go's `fmt.Sprintf`.
///
/// # Errors
/// Where the text would be too long.
pub(crate) fn sprintf(format: &str, arguments: &[Argument]) -> Result<String, String> {
    let value = |argument: &Argument| match argument {
        Argument::Int(value) => Value::Int(*value),
        Argument::Float(value) => Value::Float(*value),
        Argument::Text(text) => Value::from(text.as_str()),
    };
    printf::sprintf(format, &arguments.iter().map(value).collect::<Vec<_>>())
}

impl Template {
    /// Compiles a template.
    ///
    /// # Errors
    /// Where the text is too long, is no template, or names a function that does not
    /// exist.
    pub fn compile(text: &str) -> Result<Self, TemplateError> {
        if text.len() > MAX_TEMPLATE_BYTES {
            let message =
                format!("it has {} bytes, at most {MAX_TEMPLATE_BYTES} are allowed", text.len());
            return Err(Fault::at(Place::default(), message).locate(text));
        }
        let program = lexer::tokens(text).and_then(|tokens| parser::parse(&tokens));
        let program = program.map_err(|fault| fault.locate(text))?;
        Ok(Self { text: text.into(), program: Arc::new(program) })
    }

    /// What the template makes of `input`, which it sees as `.Input`.
    ///
    /// # Errors
    /// Where Go fails too, and where a bound is exceeded.
    pub fn render(
        &self,
        input: &serde_json::Value,
        context: &Context,
    ) -> Result<String, TemplateError> {
        self.run(Value::from_json(input), context)
    }

    /// The same for an input that is JSON text. Numbers are read as Go reads them.
    ///
    /// # Errors
    /// Those of [`Self::render`], and where `json` is no JSON.
    pub fn render_json(&self, json: &str, context: &Context) -> Result<String, TemplateError> {
        let input = json::parse(json).map_err(|message| {
            let message = format!("the input is no JSON: {message}");
            Fault::at(Place::default(), message).locate(&self.text)
        })?;
        self.run(input, context)
    }

    /// The same for an input that is a text.
    ///
    /// # Errors
    /// Those of [`Self::render`].
    pub fn render_text(&self, input: &str, context: &Context) -> Result<String, TemplateError> {
        self.run(Value::from(input), context)
    }

    /// The output where it says something: an empty one and `<no value>`, which a missing
    /// key prints, are errors.
    pub(crate) fn some(output: Result<String, TemplateError>) -> Result<String, String> {
        let output = output.map_err(|error| error.to_string())?;
        match output.as_str() {
            "" => Err("the template prints nothing".to_owned()),
            "<no value>" => Err("the template finds no value".to_owned()),
            _ => Ok(output),
        }
    }

    fn run(&self, input: Value, context: &Context) -> Result<String, TemplateError> {
        let output = run::run(&self.program, input, context);
        output.map_err(|fault| fault.locate(&self.text))
    }
}
