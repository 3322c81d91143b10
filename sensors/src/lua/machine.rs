//! Runs compiled functions.
//!
//! Functions of the script that call each other do not recurse here. What the library
//! calls back (`pcall`, metatables, `sort`) does, and may only so deep.

use std::sync::Arc;

use jiff::Timestamp;

use super::MAX_STEPS;
use super::code::{Function, Results, Seen, Step};
use super::library::{self, Native};
use super::syntax::Operator;
use super::table::Table;
use super::value::Value;

/// The most calls that are open at once, as in gopher-lua.
const MAX_CALLS: usize = 255;
/// How deep calls of the library may be nested in each other.
const MAX_NATIVE: usize = 40;
/// How many tables `__index` and `__newindex` are followed through.
const MAX_META: usize = 100;
/// The most values on the stack.
const MAX_STACK: usize = 1 << 20;

/// What ends a run or a part of it.
#[derive(Clone, Debug)]
pub(super) enum Error {
    /// A value that `pcall` answers.
    Raised(Value),
    /// A bound is exceeded. It cannot be caught.
    Cut(String),
}

pub(super) type Run<T = ()> = Result<T, Error>;

/// A function with what it sees.
#[derive(Clone, Debug)]
pub(super) struct Closure {
    function: Arc<Function>,
    seen: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Frame {
    closure: usize,
    function: Arc<Function>,
    at: usize,
    /// Where its slots begin on the stack; the function itself stood below.
    base: usize,
    varargs: Vec<Value>,
    results: Results,
}

/// A coroutine, while it does not run.
#[derive(Debug, Default)]
pub(super) struct Coroutine {
    pub(super) state: State,
    stack: Vec<Value>,
    frames: Vec<Frame>,
    start: Value,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Suspended,
    Running,
    /// It has resumed another one.
    Normal,
    Dead,
}

/// How a run of frames came to its end.
enum End {
    Returned(Vec<Value>),
    Yielded(Vec<Value>),
}

pub(super) struct Machine {
    tables: Vec<Table>,
    closures: Vec<Closure>,
    cells: Vec<Value>,
    coroutines: Vec<Coroutine>,
    bound: Vec<(&'static Native, Vec<Value>)>,
    stack: Vec<Value>,
    frames: Vec<Frame>,
    /// How many values the last open expression pushed.
    open: usize,
    left: usize,
    native: usize,
    /// The coroutine that runs, and how deep the library was when it was resumed.
    running: Option<(usize, usize)>,
    globals: usize,
    /// What texts have for methods.
    pub(super) texts: usize,
    pub(super) now: Option<Timestamp>,
    /// The state of `math.random`.
    pub(super) random: u64,
}

fn raise<T>(value: Value) -> Run<T> {
    Err(Error::Raised(value))
}

impl Machine {
    pub(super) fn new(now: Option<Timestamp>) -> Self {
        let mut machine = Self {
            tables: Vec::new(),
            closures: Vec::new(),
            cells: Vec::new(),
            coroutines: Vec::new(),
            bound: Vec::new(),
            stack: Vec::new(),
            frames: Vec::new(),
            open: 0,
            left: MAX_STEPS,
            native: 0,
            running: None,
            globals: 0,
            texts: 0,
            now,
            random: 0,
        };
        machine.globals = machine.new_table();
        library::open(&mut machine);
        machine
    }

    /// Takes steps for what is made or copied.
    pub(super) fn charge(&mut self, steps: usize) -> Run {
        match self.left.checked_sub(steps) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(Error::Cut(format!("the script takes more than {MAX_STEPS} steps")))
            }
        }
    }

    pub(super) fn new_table(&mut self) -> usize {
        self.tables.push(Table::default());
        self.tables.len() - 1
    }

    pub(super) fn table(&self, number: usize) -> &Table {
        &self.tables[number]
    }

    pub(super) fn table_mut(&mut self, number: usize) -> &mut Table {
        &mut self.tables[number]
    }

    pub(super) fn globals(&self) -> usize {
        self.globals
    }

    pub(super) fn set_global(&mut self, name: &str, value: Value) {
        let globals = self.globals;
        self.tables[globals].set(Value::text(name), value);
    }

    /// A function of the library with values of its own.
    pub(super) fn bind(&mut self, native: &'static Native, values: Vec<Value>) -> Value {
        self.bound.push((native, values));
        Value::Bound(self.bound.len() - 1)
    }

    pub(super) fn bound(&mut self, number: usize) -> &mut Vec<Value> {
        &mut self.bound[number].1
    }

    pub(super) fn text(&mut self, bytes: impl Into<Arc<[u8]>>) -> Run<Value> {
        let text: Arc<[u8]> = bytes.into();
        self.charge(text.len() / 8)?;
        Ok(Value::Text(text))
    }

    /// The line that runs.
    fn place(&self) -> String {
        match self.frames.last() {
            Some(frame) => {
                let line = frame.function.lines.get(frame.at.saturating_sub(1)).copied();
                format!("<string>:{}:", line.unwrap_or_default())
            }
            None => String::new(),
        }
    }

    /// The line of the caller so many levels up.
    pub(super) fn place_of(&self, level: usize) -> String {
        let frame = self.frames.len().checked_sub(level).and_then(|at| self.frames.get(at));
        frame.map_or_else(String::new, |frame| {
            let line = frame.function.lines.get(frame.at.saturating_sub(1)).copied();
            format!("<string>:{}:", line.unwrap_or_default())
        })
    }

    pub(super) fn fail<T>(&self, message: impl AsRef<str>) -> Run<T> {
        raise(Value::text(format!("{} {}", self.place(), message.as_ref()).trim_start()))
    }

    /// What an error says.
    pub(super) fn describe(&self, error: &Error) -> String {
        match error {
            Error::Cut(message) => message.clone(),
            Error::Raised(value) => match value.as_text() {
                Some(text) => String::from_utf8_lossy(&text).into_owned(),
                None => format!("the script raises a {}", value.type_name()),
            },
        }
    }

    pub(super) fn run_main(&mut self, function: Arc<Function>) -> Run<Vec<Value>> {
        let closure = self.close(function);
        self.call(closure, Vec::new())
    }

    /// A function that sees nothing around it.
    pub(super) fn close(&mut self, function: Arc<Function>) -> Value {
        self.closures.push(Closure { function, seen: Vec::new() });
        Value::Closure(self.closures.len() - 1)
    }

    fn closure(&mut self, function: Arc<Function>) -> Run<Value> {
        let frame = self.frames.last().ok_or_else(broken)?;
        let (base, around) = (frame.base, frame.closure);
        let mut seen = Vec::with_capacity(function.seen.len());
        for one in &function.seen {
            seen.push(match one {
                Seen::Seen(at) => self.closures[around].seen[*at],
                Seen::Slot(slot) => match self.stack[base + slot] {
                    Value::Cell(cell) => cell,
                    _ => {
                        let cell = self.cells.len();
                        let value =
                            std::mem::replace(&mut self.stack[base + slot], Value::Cell(cell));
                        self.cells.push(value);
                        cell
                    }
                },
            });
        }
        self.charge(4 + 2 * seen.len())?;
        self.closures.push(Closure { function, seen });
        Ok(Value::Closure(self.closures.len() - 1))
    }

    /// Calls a function from the library, and comes back with all that it answers.
    pub(super) fn call(&mut self, function: Value, arguments: Vec<Value>) -> Run<Vec<Value>> {
        self.native += 1;
        if self.native > MAX_NATIVE {
            self.native -= 1;
            return self.fail("stack overflow");
        }
        let (stack, frames) = (self.stack.len(), self.frames.len());
        let count = arguments.len();
        self.stack.push(function);
        self.stack.extend(arguments);
        let answer = self.begin_call(count, Results::All).and_then(|begun| {
            if begun {
                match self.run(frames)? {
                    End::Returned(values) => return Ok(values),
                    // Only the loop of a coroutine yields.
                    End::Yielded(_) => return Err(broken()),
                }
            }
            let open = std::mem::take(&mut self.open);
            Ok(self.stack.split_off(self.stack.len() - open))
        });
        self.native -= 1;
        self.stack.truncate(stack);
        self.frames.truncate(frames);
        answer
    }

    /// The first that a function answers.
    pub(super) fn call_one(&mut self, function: Value, arguments: Vec<Value>) -> Run<Value> {
        Ok(self.call(function, arguments)?.into_iter().next().unwrap_or_default())
    }

    fn pop(&mut self) -> Run<Value> {
        self.stack.pop().ok_or_else(broken)
    }

    /// Function and arguments are on the stack. True where a frame was made for it, false
    /// where the answers are on the stack already.
    fn begin_call(&mut self, arguments: usize, results: Results) -> Run<bool> {
        let place = self.stack.len() - arguments - 1;
        let function = self.stack[place].clone();
        match function {
            Value::Closure(number) => {
                self.enter(number, place, arguments, results)?;
                Ok(true)
            }
            Value::Native(native) => {
                let arguments = self.stack.split_off(place + 1);
                self.stack.truncate(place);
                let answers = self.run_native(native, &arguments, None)?;
                self.deliver(answers, results);
                Ok(false)
            }
            Value::Bound(number) => {
                let arguments = self.stack.split_off(place + 1);
                self.stack.truncate(place);
                let native = self.bound[number].0;
                let answers = self.run_native(native, &arguments, Some(number))?;
                self.deliver(answers, results);
                Ok(false)
            }
            other => match self.meta(&other, "__call") {
                callable @ (Value::Closure(_) | Value::Native(_) | Value::Bound(_)) => {
                    self.stack.insert(place, callable);
                    self.begin_call(arguments + 1, results)
                }
                _ => {
                    self.stack.truncate(place);
                    self.fail("attempt to call a non-function object")
                }
            },
        }
    }

    fn run_native(
        &mut self,
        native: &'static Native,
        arguments: &[Value],
        bound: Option<usize>,
    ) -> Run<Vec<Value>> {
        self.charge(1 + arguments.len())?;
        let mut call = library::Call { machine: self, name: native.name, arguments, bound };
        (native.run)(&mut call)
    }

    fn deliver(&mut self, mut answers: Vec<Value>, results: Results) {
        match results {
            Results::None => {}
            Results::One => {
                answers.truncate(1);
                self.stack.push(answers.pop().unwrap_or_default());
            }
            Results::All => {
                self.open = answers.len();
                self.stack.extend(answers);
            }
        }
    }

    fn enter(&mut self, number: usize, place: usize, arguments: usize, results: Results) -> Run {
        if self.frames.len() >= MAX_CALLS {
            return self.fail("stack overflow");
        }
        let function = self.closures[number].function.clone();
        self.charge(4 + function.slots + arguments)?;
        if self.stack.len() + function.slots > MAX_STACK {
            return Err(Error::Cut(format!("the script holds more than {MAX_STACK} values")));
        }
        let base = place + 1;
        let mut varargs = Vec::new();
        if arguments > function.parameters {
            varargs = self.stack.split_off(base + function.parameters);
            if !function.varargs {
                varargs.clear();
            }
        }
        self.stack.resize(base + function.slots.max(function.parameters), Value::Nil);
        self.frames.push(Frame { closure: number, function, at: 0, base, varargs, results });
        Ok(())
    }

    /// Runs until so many frames are left.
    fn run(&mut self, until: usize) -> Run<End> {
        loop {
            if let Some(end) = self.step(until)? {
                return Ok(end);
            }
        }
    }

    #[expect(clippy::too_many_lines, reason = "a case for each step")]
    fn step(&mut self, until: usize) -> Run<Option<End>> {
        self.charge(1)?;
        let frame = self.frames.last_mut().ok_or_else(broken)?;
        let function = frame.function.clone();
        let step = function.steps.get(frame.at).ok_or_else(broken)?;
        frame.at += 1;
        let base = frame.base;
        match step {
            Step::Push(constant) => self.stack.push(constant.value()),
            Step::Pop => drop(self.pop()?),
            Step::Varargs(results) => {
                let values = frame.varargs.clone();
                self.charge(values.len())?;
                self.deliver(values, *results);
            }
            Step::Load(slot) => {
                let value = match &self.stack[base + slot] {
                    Value::Cell(cell) => self.cells[*cell].clone(),
                    value => value.clone(),
                };
                self.stack.push(value);
            }
            Step::Store(slot) => {
                let value = self.pop()?;
                match self.stack[base + slot] {
                    Value::Cell(cell) => self.cells[cell] = value,
                    _ => self.stack[base + slot] = value,
                }
            }
            Step::Declare(slot) => self.stack[base + slot] = self.pop()?,
            Step::LoadSeen(at) => {
                let cell = self.closures[frame.closure].seen[*at];
                let value = self.cells[cell].clone();
                self.stack.push(value);
            }
            Step::StoreSeen(at) => {
                let cell = self.closures[frame.closure].seen[*at];
                self.cells[cell] = self.pop()?;
            }
            Step::Global(name) => {
                let globals = Value::Table(self.globals);
                let value = self.index(&globals, &Value::Text(name.clone()))?;
                self.stack.push(value);
            }
            Step::SetGlobal(name) => {
                let value = self.pop()?;
                let globals = Value::Table(self.globals);
                self.set_index(&globals, Value::Text(name.clone()), value)?;
            }
            Step::Index => {
                let (key, of) = (self.pop()?, self.pop()?);
                let value = self.index(&of, &key)?;
                self.stack.push(value);
            }
            Step::IndexName(name) => {
                let of = self.pop()?;
                let value = self.index(&of, &Value::Text(name.clone()))?;
                self.stack.push(value);
            }
            Step::SetIndex => {
                let (value, key, of) = (self.pop()?, self.pop()?, self.pop()?);
                self.set_index(&of, key, value)?;
            }
            Step::Method(name) => {
                let of = self.pop()?;
                let method = self.index(&of, &Value::Text(name.clone()))?;
                self.stack.push(method);
                self.stack.push(of);
            }
            Step::Call { arguments, open, results } => {
                let count = arguments + if *open { std::mem::take(&mut self.open) } else { 0 };
                if let Some(yielded) = self.yields(count)? {
                    if let Some(frame) = self.frames.last_mut() {
                        // What the resume gives is delivered where the answers would be.
                        frame.at -= 1;
                    }
                    return Ok(Some(End::Yielded(yielded)));
                }
                self.begin_call(count, *results)?;
            }
            Step::TailCall { arguments, open } => {
                let count = arguments + if *open { std::mem::take(&mut self.open) } else { 0 };
                return self.tail_call(count, until);
            }
            Step::Return { values, open } => {
                let count = values + if *open { std::mem::take(&mut self.open) } else { 0 };
                let answers = self.stack.split_off(self.stack.len() - count);
                return Ok(self.finish(answers, until));
            }
            Step::Closure(number) => {
                let inner = function.inner.get(*number).cloned().ok_or_else(broken)?;
                let closure = self.closure(inner)?;
                self.stack.push(closure);
            }
            Step::Jump(place) => frame.at = *place,
            Step::JumpIfNot(place) => {
                if !self.pop()?.is_true() {
                    self.jump(*place);
                }
            }
            Step::JumpIfNotOrPop(place) => {
                if self.stack.last().is_some_and(Value::is_true) {
                    self.pop()?;
                } else {
                    self.jump(*place);
                }
            }
            Step::JumpIfOrPop(place) => {
                if self.stack.last().is_some_and(Value::is_true) {
                    self.jump(*place);
                } else {
                    self.pop()?;
                }
            }
            Step::Binary(operator) => {
                let (right, left) = (self.pop()?, self.pop()?);
                let value = self.binary(*operator, left, right)?;
                self.stack.push(value);
            }
            Step::Concat(count) => {
                let parts = self.stack.split_off(self.stack.len() - count);
                let joined = self.concat(parts)?;
                self.stack.push(joined);
            }
            Step::Negate => {
                let of = self.pop()?;
                let value = self.negate(of)?;
                self.stack.push(value);
            }
            Step::Not => {
                let of = self.pop()?;
                self.stack.push(Value::Bool(!of.is_true()));
            }
            Step::Length => {
                let of = self.pop()?;
                let length = self.length(of)?;
                self.stack.push(length);
            }
            Step::Table => {
                self.charge(8)?;
                let table = self.new_table();
                self.stack.push(Value::Table(table));
            }
            Step::Field => {
                let (value, key) = (self.pop()?, self.pop()?);
                let Some(Value::Table(table)) = self.stack.last() else { return Err(broken()) };
                let table = *table;
                self.raw_set(table, key, value)?;
            }
            Step::Append { from, values, open } => {
                let count = values + if *open { std::mem::take(&mut self.open) } else { 0 };
                let values = self.stack.split_off(self.stack.len() - count);
                let Some(Value::Table(table)) = self.stack.last() else { return Err(broken()) };
                let table = *table;
                for (at, value) in values.into_iter().enumerate() {
                    self.raw_set(table, Value::count(from + at), value)?;
                }
            }
            Step::ForBegin { slot, end } => {
                let (step, limit, start) = (self.pop()?, self.pop()?, self.pop()?);
                let Value::Number(start) = start else {
                    return self.fail("for statement init must be a number");
                };
                let Value::Number(step) = step else {
                    return self.fail("for statement step must be a number");
                };
                if !matches!(limit, Value::Number(_)) {
                    return self.fail("for statement limit must be a number");
                }
                self.stack[base + slot] = Value::Number(start - step);
                self.stack[base + slot + 1] = limit;
                self.stack[base + slot + 2] = Value::Number(step);
                self.jump(*end);
            }
            Step::ForNext { slot, variable, body } => {
                let place = base + slot;
                let (Value::Number(now), Value::Number(limit), Value::Number(step)) =
                    (&self.stack[place], &self.stack[place + 1], &self.stack[place + 2])
                else {
                    return Err(broken());
                };
                let next = now + step;
                if *step > 0.0 && next <= *limit || *step <= 0.0 && next >= *limit {
                    self.stack[place] = Value::Number(next);
                    self.stack[base + variable] = Value::Number(next);
                    self.jump(*body);
                }
            }
            Step::ForCall { slot, names, variable, end } => {
                let place = base + slot;
                let parts = [place, place + 1, place + 2].map(|at| self.stack[at].clone());
                let [function, state, control] = parts;
                // Iterators of the library are most; others recurse.
                let mut answers = self.call(function, vec![state, control])?;
                answers.resize(*names, Value::Nil);
                let first = answers.first().cloned().unwrap_or_default();
                if matches!(first, Value::Nil) {
                    self.jump(*end);
                } else {
                    self.stack[place + 2] = first;
                    for (at, value) in answers.into_iter().enumerate() {
                        self.stack[base + variable + at] = value;
                    }
                }
            }
        }
        Ok(None)
    }

    fn jump(&mut self, place: usize) {
        if let Some(frame) = self.frames.last_mut() {
            frame.at = place;
        }
    }

    /// The frame ends with these answers.
    fn finish(&mut self, answers: Vec<Value>, until: usize) -> Option<End> {
        let frame = self.frames.pop()?;
        self.stack.truncate(frame.base - 1);
        if self.frames.len() == until {
            return Some(End::Returned(answers));
        }
        self.deliver(answers, frame.results);
        None
    }

    /// The called function takes the place of the one that calls it.
    fn tail_call(&mut self, count: usize, until: usize) -> Run<Option<End>> {
        let place = self.stack.len() - count - 1;
        if !matches!(self.stack[place], Value::Closure(_)) {
            if let Some(yielded) = self.yields(count)? {
                if let Some(frame) = self.frames.last_mut() {
                    frame.at -= 1;
                }
                return Ok(Some(End::Yielded(yielded)));
            }
            // The answers of what is no function of the script are those of the caller.
            if self.begin_call(count, Results::All)? {
                // It was called through a metatable.
                return self.return_after(until);
            }
            let open = std::mem::take(&mut self.open);
            let answers = self.stack.split_off(self.stack.len() - open);
            return Ok(self.finish(answers, until));
        }
        let moved = self.stack.split_off(place);
        let frame = self.frames.pop().ok_or_else(broken)?;
        let base = frame.base - 1;
        self.stack.truncate(base);
        self.stack.extend(moved);
        let Value::Closure(number) = self.stack[base].clone() else { return Err(broken()) };
        self.enter(number, base, count, frame.results)?;
        Ok(None)
    }

    /// Runs the frame that was just made to its end, and ends the one below with its
    /// answers.
    fn return_after(&mut self, until: usize) -> Run<Option<End>> {
        let frames = self.frames.len() - 1;
        match self.run(frames)? {
            End::Returned(answers) => Ok(self.finish(answers, until)),
            End::Yielded(_) => Err(broken()),
        }
    }

    /// A call of `yield`: what it gives away.
    fn yields(&mut self, arguments: usize) -> Run<Option<Vec<Value>>> {
        let place = self.stack.len() - arguments - 1;
        let is_yield =
            matches!(self.stack[place], Value::Native(native) if library::is_yield(native));
        if !is_yield {
            return Ok(None);
        }
        match self.running {
            Some((_, depth)) if depth == self.native => {}
            _ => return self.fail("can not yield from outside of a coroutine"),
        }
        let given = self.stack.split_off(place + 1);
        self.stack.truncate(place);
        Ok(Some(given))
    }

    pub(super) fn new_coroutine(&mut self, function: Value) -> Run<Value> {
        self.charge(64)?;
        self.coroutines.push(Coroutine { start: function, ..Coroutine::default() });
        Ok(Value::Coroutine(self.coroutines.len() - 1))
    }

    pub(super) fn state(&self, number: usize) -> State {
        self.coroutines[number].state
    }

    /// The coroutine that runs.
    pub(super) fn running(&self) -> Option<usize> {
        self.running.map(|(number, _)| number)
    }

    /// Goes on with a coroutine up to its end or its next `yield`.
    pub(super) fn resume(&mut self, number: usize, arguments: Vec<Value>) -> Run<Vec<Value>> {
        if self.coroutines[number].state != State::Suspended {
            let what =
                if self.coroutines[number].state == State::Dead { "dead" } else { "running" };
            return self.fail(format!("can not resume a {what} thread"));
        }
        self.native += 1;
        if self.native > MAX_NATIVE {
            self.native -= 1;
            return self.fail("stack overflow");
        }
        if let Some((outer, _)) = self.running {
            self.coroutines[outer].state = State::Normal;
        }
        let coroutine = &mut self.coroutines[number];
        coroutine.state = State::Running;
        let start = std::mem::take(&mut coroutine.start);
        let mut stack = std::mem::take(&mut coroutine.stack);
        let mut frames = std::mem::take(&mut coroutine.frames);
        std::mem::swap(&mut self.stack, &mut stack);
        std::mem::swap(&mut self.frames, &mut frames);
        let outer = self.running.replace((number, self.native));
        let end = self.go_on(start, arguments);
        self.running = outer;
        self.native -= 1;
        std::mem::swap(&mut self.stack, &mut stack);
        std::mem::swap(&mut self.frames, &mut frames);
        if let Some((outer, _)) = outer {
            self.coroutines[outer].state = State::Running;
        }
        let coroutine = &mut self.coroutines[number];
        match end {
            Ok(End::Yielded(values)) => {
                coroutine.state = State::Suspended;
                (coroutine.stack, coroutine.frames) = (stack, frames);
                Ok(values)
            }
            Ok(End::Returned(values)) => {
                coroutine.state = State::Dead;
                Ok(values)
            }
            Err(error) => {
                coroutine.state = State::Dead;
                Err(error)
            }
        }
    }

    fn go_on(&mut self, start: Value, arguments: Vec<Value>) -> Run<End> {
        if matches!(start, Value::Nil) {
            // It stands at the call of `yield`, which now answers.
            let frame = self.frames.last_mut().ok_or_else(broken)?;
            let function = frame.function.clone();
            let step = function.steps.get(frame.at);
            frame.at += 1;
            match step {
                Some(Step::Call { results, .. }) => self.deliver(arguments, *results),
                Some(Step::TailCall { .. }) => {
                    if let Some(end) = self.finish(arguments, 0) {
                        return Ok(end);
                    }
                }
                _ => return Err(broken()),
            }
            return self.run(0);
        }
        let count = arguments.len();
        self.stack.push(start);
        self.stack.extend(arguments);
        if self.begin_call(count, Results::All)? {
            return self.run(0);
        }
        let open = std::mem::take(&mut self.open);
        Ok(End::Returned(self.stack.split_off(self.stack.len() - open)))
    }

    /// What the metatable of a value has under a name.
    pub(super) fn meta(&self, value: &Value, name: &str) -> Value {
        let meta = match value {
            Value::Table(table) => self.tables[*table].meta,
            Value::Text(_) => Some(self.texts),
            _ => None,
        };
        meta.map(|meta| self.tables[meta].get_text(name)).unwrap_or_default()
    }

    pub(super) fn index(&mut self, of: &Value, key: &Value) -> Run<Value> {
        let mut of = of.clone();
        for _ in 0..MAX_META {
            self.charge(1)?;
            if let Value::Table(table) = &of {
                let found = self.tables[*table].get(key);
                if !matches!(found, Value::Nil) || self.tables[*table].meta.is_none() {
                    return Ok(found);
                }
            }
            match self.meta(&of, "__index") {
                Value::Nil if matches!(of, Value::Table(_)) => return Ok(Value::Nil),
                Value::Nil => return self.no_table(&of, key),
                function @ (Value::Closure(_) | Value::Native(_) | Value::Bound(_)) => {
                    return self.call_one(function, vec![of, key.clone()]);
                }
                next => of = next,
            }
        }
        self.fail("too many recursions in gettable")
    }

    fn no_table<T>(&mut self, of: &Value, key: &Value) -> Run<T> {
        let key = key.as_text().unwrap_or_else(|| key.type_name().as_bytes().into());
        let key = String::from_utf8_lossy(&key).into_owned();
        let of = of.type_name();
        self.fail(format!("attempt to index a non-table object({of}) with key '{key}'"))
    }

    pub(super) fn set_index(&mut self, of: &Value, key: Value, value: Value) -> Run {
        let mut of = of.clone();
        for _ in 0..MAX_META {
            if let Value::Table(table) = of
                && (self.tables[table].meta.is_none()
                    || !matches!(self.tables[table].get(&key), Value::Nil))
            {
                return self.raw_set(table, key, value);
            }
            match self.meta(&of, "__newindex") {
                Value::Nil => match of {
                    Value::Table(table) => return self.raw_set(table, key, value),
                    of => return self.no_table(&of, &key),
                },
                function @ (Value::Closure(_) | Value::Native(_) | Value::Bound(_)) => {
                    self.call(function, vec![of, key, value])?;
                    return Ok(());
                }
                next => of = next,
            }
        }
        self.fail("too many recursions in settable")
    }

    pub(super) fn raw_set(&mut self, table: usize, key: Value, value: Value) -> Run {
        match &key {
            Value::Nil => return self.fail("table index is nil"),
            Value::Number(number) if number.is_nan() => return self.fail("table index is NaN"),
            _ => {}
        }
        // Paid for before it is made.
        let gap = self.tables[table].gap(&key);
        self.charge(gap.saturating_mul(2))?;
        let made = self.tables[table].set(key, value);
        self.charge(made.saturating_sub(gap) * 8)
    }

    fn binary(&mut self, operator: Operator, left: Value, right: Value) -> Run<Value> {
        use Operator as O;
        Ok(match operator {
            O::Equal => Value::Bool(self.equal(&left, &right)?),
            O::NotEqual => Value::Bool(!self.equal(&left, &right)?),
            O::Less => Value::Bool(self.less(left, right, false)?),
            O::LessOrEqual => Value::Bool(self.less(left, right, true)?),
            O::Greater => Value::Bool(self.less(right, left, false)?),
            O::GreaterOrEqual => Value::Bool(self.less(right, left, true)?),
            _ => return self.arithmetic(operator, left, right),
        })
    }

    fn arithmetic(&mut self, operator: Operator, left: Value, right: Value) -> Run<Value> {
        if let (Value::Number(left), Value::Number(right)) = (&left, &right) {
            return Ok(Value::Number(calculate(operator, *left, *right)));
        }
        let name = match operator {
            Operator::Add => "__add",
            Operator::Subtract => "__sub",
            Operator::Multiply => "__mul",
            Operator::Divide => "__div",
            Operator::Modulo => "__mod",
            _ => "__pow",
        };
        for side in [&left, &right] {
            let function = self.meta(side, name);
            if !matches!(function, Value::Nil) {
                return self.call_one(function, vec![left.clone(), right.clone()]);
            }
        }
        match (left.as_number(), right.as_number()) {
            (Some(left), Some(right)) => Ok(Value::Number(calculate(operator, left, right))),
            _ => {
                let (left, right) = (left.type_name(), right.type_name());
                let name = name.trim_start_matches('_');
                self.fail(format!("cannot perform {name} operation between {left} and {right}"))
            }
        }
    }

    fn equal(&mut self, left: &Value, right: &Value) -> Run<bool> {
        if left.is(right) {
            return Ok(true);
        }
        if let (Value::Text(text), Value::Text(_)) = (left, right) {
            self.charge(text.len() / 8)?;
        }
        if !matches!((left, right), (Value::Table(_), Value::Table(_))) {
            return Ok(false);
        }
        match self.shared_meta(left, right, "__eq") {
            Some(function) => {
                Ok(self.call_one(function, vec![left.clone(), right.clone()])?.is_true())
            }
            None => Ok(false),
        }
    }

    pub(super) fn less(&mut self, left: Value, right: Value, or_equal: bool) -> Run<bool> {
        match (&left, &right) {
            (Value::Number(a), Value::Number(b)) => {
                return Ok(if or_equal { a <= b } else { a < b });
            }
            (Value::Text(a), Value::Text(b)) => {
                let holds = if or_equal { a <= b } else { a < b };
                self.charge(a.len().min(b.len()) / 8)?;
                return Ok(holds);
            }
            (Value::Table(_), Value::Table(_)) => {
                if or_equal && let Some(function) = self.shared_meta(&left, &right, "__le") {
                    return Ok(self.call_one(function, vec![left, right])?.is_true());
                }
                // `a <= b` is `not (b < a)` where there is no `__le`.
                if let Some(function) = self.shared_meta(&left, &right, "__lt") {
                    let pair = if or_equal { vec![right, left] } else { vec![left, right] };
                    return Ok(self.call_one(function, pair)?.is_true() != or_equal);
                }
            }
            _ => {}
        }
        let (left, right) = (left.type_name(), right.type_name());
        self.fail(format!("attempt to compare {left} with {right}"))
    }

    /// What both metatables have under a name, where it is the same.
    fn shared_meta(&self, left: &Value, right: &Value, name: &str) -> Option<Value> {
        let function = self.meta(left, name);
        (!matches!(function, Value::Nil) && function.is(&self.meta(right, name)))
            .then_some(function)
    }

    pub(super) fn concat(&mut self, mut parts: Vec<Value>) -> Run<Value> {
        let mut right = parts.pop().unwrap_or_default();
        while !parts.is_empty() {
            if right.as_text().is_some() && parts.last().is_some_and(|one| one.as_text().is_some())
            {
                let mut pieces = vec![right.as_text().unwrap_or_default()];
                while let Some(text) = parts.last().and_then(Value::as_text) {
                    pieces.push(text);
                    parts.pop();
                }
                let size: usize = pieces.iter().map(|piece| piece.len()).sum();
                self.charge(1 + size / 8)?;
                pieces.reverse();
                right = Value::Text(pieces.concat().into());
                continue;
            }
            let left = parts.pop().unwrap_or_default();
            let function = match self.meta(&left, "__concat") {
                Value::Nil => self.meta(&right, "__concat"),
                function => function,
            };
            if matches!(function, Value::Nil) {
                let (left, right) = (left.type_name(), right.type_name());
                let message = format!("cannot perform concat operation between {left} and {right}");
                return self.fail(message);
            }
            right = self.call_one(function, vec![left, right])?;
        }
        Ok(right)
    }

    fn negate(&mut self, of: Value) -> Run<Value> {
        if let Value::Number(number) = of {
            return Ok(Value::Number(-number));
        }
        match self.meta(&of, "__unm") {
            Value::Nil => match of.as_number() {
                Some(number) => Ok(Value::Number(-number)),
                None => self.fail("__unm undefined"),
            },
            function => self.call_one(function, vec![of]),
        }
    }

    fn length(&mut self, of: Value) -> Run<Value> {
        if let Value::Text(text) = &of {
            return Ok(Value::count(text.len()));
        }
        match (self.meta(&of, "__len"), &of) {
            (Value::Nil, Value::Table(table)) => Ok(Value::count(self.tables[*table].length())),
            (Value::Nil, _) => self.fail("__len undefined"),
            (function, _) => self.call_one(function, vec![of]),
        }
    }
}

fn calculate(operator: Operator, left: f64, right: f64) -> f64 {
    match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide => left / right,
        Operator::Modulo => modulo(left, right),
        _ => libm::pow(left, right),
    }
}

/// The remainder, with the sign of the divisor.
pub(super) fn modulo(left: f64, right: f64) -> f64 {
    let remainder = left % right;
    if remainder != 0.0 && (remainder < 0.0) != (right < 0.0) {
        remainder + right
    } else {
        remainder
    }
}

fn broken() -> Error {
    Error::Cut("the script was compiled wrongly".to_owned())
}
