//! Compiled functions.

use std::sync::Arc;

use super::syntax::Operator;
use super::value::Value;

/// A function.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) parameters: usize,
    pub(super) varargs: bool,
    /// How many variables it has.
    pub(super) slots: usize,
    pub(super) steps: Vec<Step>,
    /// The line of each step.
    pub(super) lines: Vec<u32>,
    pub(super) inner: Vec<Arc<Function>>,
    /// What it sees of the functions around it.
    pub(super) seen: Vec<Seen>,
}

/// A variable of the function around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Slot(usize),
    /// One that it sees itself.
    Seen(usize),
}

/// How many values of a call go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Results {
    None,
    One,
    /// All of them; how many is kept beside the stack.
    All,
}

/// A step. Values are on a stack.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Push(Constant),
    Pop,
    /// Pushes the variable arguments.
    Varargs(Results),
    Load(usize),
    Store(usize),
    /// A new variable: inner functions that see the one before keep that.
    Declare(usize),
    LoadSeen(usize),
    StoreSeen(usize),
    Global(Arc<[u8]>),
    SetGlobal(Arc<[u8]>),
    Index,
    IndexName(Arc<[u8]>),
    /// Table, key, value.
    SetIndex,
    /// Table, so many values, key, value: what an assignment of several has gathered.
    Method(Arc<[u8]>),
    /// So many arguments, and what is open behind them.
    Call {
        arguments: usize,
        open: bool,
        results: Results,
    },
    TailCall {
        arguments: usize,
        open: bool,
    },
    Return {
        values: usize,
        open: bool,
    },
    Closure(usize),
    Jump(usize),
    JumpIfNot(usize),
    /// Jumps and keeps the value, or drops it and goes on.
    JumpIfNotOrPop(usize),
    JumpIfOrPop(usize),
    Binary(Operator),
    Concat(usize),
    Negate,
    Not,
    Length,
    Table,
    /// Sets a field of the table below key and value.
    Field,
    /// Adds values to the table below them, from an index on.
    Append {
        from: usize,
        values: usize,
        open: bool,
    },
    /// Start, end and step of a loop go into slots; jumps to the end of the loop.
    ForBegin {
        slot: usize,
        end: usize,
    },
    ForNext {
        slot: usize,
        variable: usize,
        body: usize,
    },
    /// Calls the iterator in the slots; jumps to the end where it answers nil.
    ForCall {
        slot: usize,
        names: usize,
        variable: usize,
        end: usize,
    },
}

/// A constant: values that need no machine.
#[derive(Clone, Debug)]
pub(super) enum Constant {
    Nil,
    Bool(bool),
    Number(f64),
    Text(Arc<[u8]>),
}

impl Constant {
    pub(super) fn value(&self) -> Value {
        match self {
            Self::Nil => Value::Nil,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(number) => Value::Number(*number),
            Self::Text(text) => Value::Text(text.clone()),
        }
    }
}
