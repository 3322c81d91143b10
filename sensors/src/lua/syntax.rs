//! What a script is made of.

use std::sync::Arc;

pub(super) type Block = Vec<Statement>;

#[derive(Debug)]
pub(super) struct Statement {
    pub(super) line: usize,
    pub(super) kind: StatementKind,
}

#[derive(Debug)]
pub(super) enum StatementKind {
    Assign(Vec<Expression>, Vec<Expression>),
    Call(Expression),
    Do(Block),
    While(Expression, Block),
    Repeat(Block, Expression),
    /// Conditions with their blocks, and the block of `else`.
    If(Vec<(Expression, Block)>, Option<Block>),
    NumberFor {
        name: Arc<str>,
        start: Expression,
        end: Expression,
        step: Option<Expression>,
        body: Block,
    },
    For {
        names: Vec<Arc<str>>,
        values: Vec<Expression>,
        body: Block,
    },
    Local(Vec<Arc<str>>, Vec<Expression>),
    Return(Vec<Expression>),
    Break,
    Goto(Arc<str>),
    Label(Arc<str>),
}

#[derive(Debug)]
pub(super) struct Expression {
    pub(super) line: usize,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Nil,
    Bool(bool),
    Number(f64),
    Text(Arc<[u8]>),
    Varargs,
    Function(Box<FunctionBody>),
    Name(Arc<str>),
    Index(Box<Expression>, Box<Expression>),
    Call(Box<Expression>, Vec<Expression>),
    Method(Box<Expression>, Arc<str>, Vec<Expression>),
    /// In parentheses: one value.
    One(Box<Expression>),
    Table(Vec<(Option<Expression>, Expression)>),
    Binary(Operator, Box<Expression>, Box<Expression>),
    Concat(Vec<Expression>),
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    Negate(Box<Expression>),
    Not(Box<Expression>),
    Length(Box<Expression>),
}

#[derive(Debug)]
pub(super) struct FunctionBody {
    pub(super) parameters: Vec<Arc<str>>,
    pub(super) varargs: bool,
    pub(super) body: Block,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}
