//! What a program is made of.

use super::value::Value;

/// A definition.
#[derive(Clone, Debug)]
pub(super) struct Def {
    pub(super) name: Box<str>,
    /// Names of the parameters; one with `$` is a value.
    pub(super) parameters: Vec<Box<str>>,
    pub(super) body: Node,
}

/// A program, or a part of one.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Identity,
    Recurse,
    Constant(Value),
    /// A text with parts that are worked out, each printed with the format.
    Text(Option<Box<str>>, Vec<Part>),
    Format(Box<str>),
    Index(Box<Self>, Box<Self>),
    Slice(Box<Self>, Option<Box<Self>>, Option<Box<Self>>),
    Iterate(Box<Self>),
    Try(Box<Self>, Option<Box<Self>>),
    Call(Box<str>, Vec<Self>),
    Variable(Box<str>),
    List(Option<Box<Self>>),
    Dict(Vec<Entry>),
    Negate(Box<Self>),
    Plus(Box<Self>),
    Pipe(Vec<Self>),
    Comma(Vec<Self>),
    Binary(Operator, Box<Self>, Box<Self>),
    Update(Update, Box<Self>, Box<Self>),
    Bind(Box<Self>, Vec<Pattern>, Box<Self>),
    Reduce(Box<Self>, Pattern, Box<Self>, Box<Self>),
    Foreach(Box<Self>, Pattern, Box<Self>, Box<Self>, Option<Box<Self>>),
    If(Box<Self>, Box<Self>, Option<Box<Self>>),
    Label(Box<str>, Box<Self>),
    Break(Box<str>),
    Define(Box<Def>, Box<Self>),
}

/// A piece of a text.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Plain(Box<str>),
    Made(Node),
}

/// An entry of an object. Without a value it is what the input has there, or the
/// variable.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) value: Option<Node>,
}

#[derive(Clone, Debug)]
pub(super) enum Key {
    Name(Box<str>),
    Variable(Box<str>),
    Made(Node),
}

/// Where the parts of a value go.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    Variable(Box<str>),
    List(Vec<Self>),
    Dict(Vec<(Key, Option<Self>)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
    Alternative,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Update {
    /// `=`.
    Set,
    /// `|=`.
    Modify,
    /// `+=` and so on; `//=` too.
    With(Operator),
}
