//! What a template is parsed into.

use std::collections::BTreeMap;

use super::Place;
use super::functions::Function;

/// A parsed template.
#[derive(Debug, Default)]
pub(super) struct Program {
    pub(super) main: Vec<Node>,
    /// The templates that `define` and `block` name.
    pub(super) named: BTreeMap<String, Vec<Node>>,
}

/// A piece of a template.
#[derive(Debug)]
pub(super) enum Node {
    Text(Box<str>),
    /// A pipeline, printed unless it declares or assigns.
    Action(Pipeline),
    If(Branch),
    With(Branch),
    Range(Branch),
    /// An invocation of a named template; without a pipeline it gets nothing.
    Template {
        at: Place,
        name: Box<str>,
        pipeline: Option<Pipeline>,
    },
    Break,
    Continue,
}

/// The two ways of an `if`, a `with` or a `range`.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) pipeline: Pipeline,
    pub(super) body: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) at: Place,
    /// The variables that it declares or assigns: at most two, and two only in a range.
    pub(super) variables: Vec<Box<str>>,
    pub(super) assigns: bool,
    pub(super) commands: Vec<Command>,
}

/// An operand with its arguments.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) first: Operand,
    pub(super) arguments: Vec<Operand>,
}

#[derive(Debug)]
pub(super) struct Operand {
    pub(super) at: Place,
    pub(super) term: Term,
}

#[derive(Debug)]
pub(super) enum Term {
    Dot,
    Nil,
    Bool(bool),
    Text(Box<str>),
    Number(Number),
    /// `.a.b`.
    Field(Vec<Box<str>>),
    /// `$x.a`; the name includes the `$`.
    Variable(Box<str>, Vec<Box<str>>),
    Function(&'static Function),
    Pipeline(Box<Pipeline>),
    /// `(pipeline).a` or `function.a`.
    Chain(Box<Operand>, Vec<Box<str>>),
}

/// A number, as what its value can be taken for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Number {
    /// What it is where any type is fine: written like a float.
    pub(super) is_float: bool,
    pub(super) int: Option<i64>,
    pub(super) float: Option<f64>,
}
