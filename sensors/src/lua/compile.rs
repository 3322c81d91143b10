//! From statements to steps.

use std::sync::Arc;

use super::CompileError;
use super::code::{Constant, Function, Results, Seen, Step};
use super::syntax::{Block, Expression, FunctionBody, Kind, Statement, StatementKind};

/// The deepest expression: operators that stand behind each other count.
const MAX_DEPTH: usize = 300;
/// The most variables of a function.
const MAX_SLOTS: usize = 1000;

type Compiled<T = ()> = Result<T, CompileError>;

/// The function of a whole script.
pub(super) fn chunk(block: &Block) -> Compiled<Function> {
    let mut compiler = Compiler { functions: Vec::new(), depth: 0 };
    compiler.function(&[], true, block, 1)
}

/// Functions that are being compiled, the outermost first.
struct Compiler {
    functions: Vec<Current>,
    depth: usize,
}

struct Current {
    steps: Vec<Step>,
    lines: Vec<u32>,
    inner: Vec<Arc<Function>>,
    seen: Vec<(Arc<str>, Seen)>,
    /// Variables that can be named, the newest last.
    names: Vec<(Arc<str>, usize)>,
    slots: usize,
    line: usize,
    /// Jumps out of the loops around, to be set at their end.
    breaks: Vec<Vec<usize>>,
    /// The block that is being compiled, and the one around each block.
    block: usize,
    around: Vec<usize>,
    labels: Vec<(Arc<str>, usize, usize)>,
    gotos: Vec<(Arc<str>, usize, usize, usize)>,
}

/// Where a name is found.
enum Place {
    Slot(usize),
    Seen(usize),
    Global,
}

impl Compiler {
    fn current(&mut self) -> &mut Current {
        let last = self.functions.len() - 1;
        &mut self.functions[last]
    }

    fn emit(&mut self, step: Step) -> usize {
        let current = self.current();
        current.lines.push(u32::try_from(current.line).unwrap_or(u32::MAX));
        current.steps.push(step);
        current.steps.len() - 1
    }

    fn here(&mut self) -> usize {
        self.current().steps.len()
    }

    fn patch(&mut self, at: usize, step: Step) {
        self.current().steps[at] = step;
    }

    fn fault<T>(&mut self, message: impl Into<String>) -> Compiled<T> {
        let line = self.current().line;
        Err(CompileError { line, column: 1, message: message.into() })
    }

    fn slot(&mut self) -> Compiled<usize> {
        let current = self.current();
        current.slots += 1;
        let slot = current.slots - 1;
        if slot >= MAX_SLOTS {
            return self.fault(format!("a function has more than {MAX_SLOTS} variables"));
        }
        Ok(slot)
    }

    fn declare(&mut self, name: &Arc<str>, slot: usize) {
        self.current().names.push((name.clone(), slot));
    }

    fn function(
        &mut self,
        parameters: &[Arc<str>],
        varargs: bool,
        body: &Block,
        line: usize,
    ) -> Compiled<Function> {
        self.functions.push(Current {
            steps: Vec::new(),
            lines: Vec::new(),
            inner: Vec::new(),
            seen: Vec::new(),
            names: Vec::new(),
            slots: 0,
            line,
            breaks: Vec::new(),
            block: 0,
            around: vec![0],
            labels: Vec::new(),
            gotos: Vec::new(),
        });
        for parameter in parameters {
            let slot = self.slot()?;
            self.declare(parameter, slot);
        }
        self.block(body)?;
        self.emit(Step::Return { values: 0, open: false });
        self.set_gotos()?;
        #[expect(clippy::expect_used, reason = "it was pushed above")]
        let current = self.functions.pop().expect("a function is being compiled");
        Ok(Function {
            parameters: parameters.len(),
            varargs,
            slots: current.slots,
            steps: current.steps,
            lines: current.lines,
            inner: current.inner,
            seen: current.seen.into_iter().map(|(_, seen)| seen).collect(),
        })
    }

    /// A `goto` finds the label of its name in a block around it.
    fn set_gotos(&mut self) -> Compiled {
        for (name, block, at, line) in std::mem::take(&mut self.current().gotos) {
            let current = self.current();
            let mut block = block;
            let found = loop {
                let label = current.labels.iter().find(|(n, b, _)| *n == name && *b == block);
                match label {
                    Some((_, _, place)) => break Some(*place),
                    None if block == 0 => break None,
                    None => block = current.around[block],
                }
            };
            current.line = line;
            let Some(place) = found else {
                return self.fault(format!("no label `{name}` can be seen from this `goto`"));
            };
            self.patch(at, Step::Jump(place));
        }
        Ok(())
    }

    fn find(&mut self, name: &str) -> Place {
        let last = self.functions.len() - 1;
        if let Some(slot) = self.slot_of(last, name) {
            return Place::Slot(slot);
        }
        self.see(last, name).map_or(Place::Global, Place::Seen)
    }

    fn slot_of(&self, function: usize, name: &str) -> Option<usize> {
        let names = &self.functions.get(function)?.names;
        names.iter().rev().find(|(known, _)| **known == *name).map(|(_, slot)| *slot)
    }

    /// The number under which a function sees a variable of those around it.
    fn see(&mut self, function: usize, name: &str) -> Option<usize> {
        let outer = function.checked_sub(1)?;
        let seen = match self.slot_of(outer, name) {
            Some(slot) => Seen::Slot(slot),
            None => Seen::Seen(self.see(outer, name)?),
        };
        let known = &mut self.functions[function].seen;
        if let Some(at) = known.iter().position(|(_, other)| *other == seen) {
            return Some(at);
        }
        known.push((name.into(), seen));
        Some(known.len() - 1)
    }

    fn block(&mut self, block: &Block) -> Compiled {
        let current = self.current();
        let (names, outer) = (current.names.len(), current.block);
        current.block = current.around.len();
        current.around.push(outer);
        for statement in block {
            self.statement(statement)?;
        }
        let current = self.current();
        current.names.truncate(names);
        current.block = outer;
        Ok(())
    }

    fn statement(&mut self, statement: &Statement) -> Compiled {
        self.current().line = statement.line;
        match &statement.kind {
            StatementKind::Assign(places, values) => self.assign(places, values),
            StatementKind::Call(call) => self.call(call, Results::None),
            StatementKind::Do(body) => self.block(body),
            StatementKind::While(condition, body) => {
                let start = self.here();
                self.expression(condition)?;
                let exit = self.emit(Step::JumpIfNot(0));
                self.current().breaks.push(Vec::new());
                self.block(body)?;
                self.emit(Step::Jump(start));
                let end = self.here();
                self.patch(exit, Step::JumpIfNot(end));
                self.end_loop();
                Ok(())
            }
            StatementKind::Repeat(body, condition) => {
                let start = self.here();
                self.current().breaks.push(Vec::new());
                // The condition sees the variables of the body.
                let current = self.current();
                let (names, outer) = (current.names.len(), current.block);
                current.block = current.around.len();
                current.around.push(outer);
                for statement in body {
                    self.statement(statement)?;
                }
                self.expression(condition)?;
                let current = self.current();
                current.names.truncate(names);
                current.block = outer;
                self.emit(Step::JumpIfNot(start));
                self.end_loop();
                Ok(())
            }
            StatementKind::If(branches, otherwise) => {
                let mut exits = Vec::new();
                for (condition, body) in branches {
                    self.expression(condition)?;
                    let skip = self.emit(Step::JumpIfNot(0));
                    self.block(body)?;
                    exits.push(self.emit(Step::Jump(0)));
                    let next = self.here();
                    self.patch(skip, Step::JumpIfNot(next));
                }
                if let Some(body) = otherwise {
                    self.block(body)?;
                }
                let end = self.here();
                for exit in exits {
                    self.patch(exit, Step::Jump(end));
                }
                Ok(())
            }
            StatementKind::NumberFor { name, start, end, step, body } => {
                self.number_for(name, [start, end], step.as_ref(), body)
            }
            StatementKind::For { names, values, body } => self.generic_for(names, values, body),
            StatementKind::Local(names, values) => self.local(names, values),
            StatementKind::Return(values) => {
                if let [call] = values.as_slice()
                    && matches!(call.kind, Kind::Call(..) | Kind::Method(..))
                {
                    return self.tail_call(call);
                }
                let open = self.list(values)?;
                self.emit(Step::Return { values: values.len() - usize::from(open), open });
                Ok(())
            }
            StatementKind::Break => {
                let jump = self.emit(Step::Jump(0));
                match self.current().breaks.last_mut() {
                    Some(breaks) => breaks.push(jump),
                    None => return self.fault("there is no loop to break out of"),
                }
                Ok(())
            }
            StatementKind::Goto(name) => {
                let at = self.emit(Step::Jump(0));
                let current = self.current();
                let goto = (name.clone(), current.block, at, statement.line);
                current.gotos.push(goto);
                Ok(())
            }
            StatementKind::Label(name) => {
                let place = self.here();
                let current = self.current();
                let block = current.block;
                if current.labels.iter().any(|(n, b, _)| n == name && *b == block) {
                    return self.fault(format!("the label `{name}` is there twice"));
                }
                current.labels.push((name.clone(), block, place));
                Ok(())
            }
        }
    }

    fn end_loop(&mut self) {
        let end = self.here();
        for jump in self.current().breaks.pop().unwrap_or_default() {
            self.patch(jump, Step::Jump(end));
        }
    }

    fn number_for(
        &mut self,
        name: &Arc<str>,
        [start, end]: [&Expression; 2],
        step: Option<&Expression>,
        body: &Block,
    ) -> Compiled {
        self.expression(start)?;
        self.expression(end)?;
        match step {
            Some(step) => self.expression(step)?,
            None => {
                self.emit(Step::Push(Constant::Number(1.0)));
            }
        }
        let slot = self.slot()?;
        self.slot()?;
        self.slot()?;
        let variable = self.slot()?;
        let begin = self.emit(Step::ForBegin { slot, end: 0 });
        self.current().breaks.push(Vec::new());
        let start = self.here();
        let names = self.current().names.len();
        self.declare(name, variable);
        self.block(body)?;
        self.current().names.truncate(names);
        let next = self.emit(Step::ForNext { slot, variable, body: start });
        self.patch(begin, Step::ForBegin { slot, end: next });
        self.end_loop();
        Ok(())
    }

    fn generic_for(&mut self, names: &[Arc<str>], values: &[Expression], body: &Block) -> Compiled {
        self.exactly(values, 3)?;
        let slot = self.slot()?;
        self.slot()?;
        self.slot()?;
        for at in (slot..slot + 3).rev() {
            self.emit(Step::Declare(at));
        }
        let start = self.here();
        let variable = self.slot()?;
        for _ in 1..names.len() {
            self.slot()?;
        }
        let call = self.emit(Step::Pop);
        self.current().breaks.push(Vec::new());
        let known = self.current().names.len();
        for (at, name) in names.iter().enumerate() {
            self.declare(name, variable + at);
        }
        self.block(body)?;
        self.current().names.truncate(known);
        self.emit(Step::Jump(start));
        let end = self.here();
        self.patch(call, Step::ForCall { slot, names: names.len(), variable, end });
        self.end_loop();
        Ok(())
    }

    fn local(&mut self, names: &[Arc<str>], values: &[Expression]) -> Compiled {
        if let ([name], [Expression { kind: Kind::Function(_), .. }]) = (names, values) {
            // A function sees its own name.
            let slot = self.slot()?;
            self.emit(Step::Push(Constant::Nil));
            self.emit(Step::Declare(slot));
            self.declare(name, slot);
            self.expression(&values[0])?;
            self.emit(Step::Store(slot));
            return Ok(());
        }
        self.exactly(values, names.len())?;
        let mut slots = Vec::new();
        for _ in names {
            slots.push(self.slot()?);
        }
        for slot in slots.iter().rev() {
            self.emit(Step::Declare(*slot));
        }
        for (name, slot) in names.iter().zip(slots) {
            self.declare(name, slot);
        }
        Ok(())
    }

    fn assign(&mut self, places: &[Expression], values: &[Expression]) -> Compiled {
        if let ([place], [value]) = (places, values) {
            return match &place.kind {
                Kind::Index(of, key) => {
                    self.expression(of)?;
                    self.expression(key)?;
                    self.expression(value)?;
                    self.emit(Step::SetIndex);
                    Ok(())
                }
                Kind::Name(name) => {
                    self.expression(value)?;
                    self.store(name);
                    Ok(())
                }
                _ => self.fault("this cannot be assigned to"),
            };
        }
        // Tables and keys are worked out first, then the values; the last is set first.
        let mut held = Vec::new();
        for place in places {
            match &place.kind {
                Kind::Index(of, key) => {
                    self.expression(of)?;
                    let table = self.slot()?;
                    self.emit(Step::Declare(table));
                    self.expression(key)?;
                    let key = self.slot()?;
                    self.emit(Step::Declare(key));
                    held.push(Some((table, key)));
                }
                _ => held.push(None),
            }
        }
        self.exactly(values, places.len())?;
        let mut made = Vec::new();
        for _ in places {
            made.push(self.slot()?);
        }
        for slot in made.iter().rev() {
            self.emit(Step::Declare(*slot));
        }
        for ((place, held), slot) in places.iter().zip(held).zip(made).rev() {
            match (&place.kind, held) {
                (_, Some((table, key))) => {
                    for slot in [table, key, slot] {
                        self.emit(Step::Load(slot));
                    }
                    self.emit(Step::SetIndex);
                }
                (Kind::Name(name), None) => {
                    self.emit(Step::Load(slot));
                    self.store(name);
                }
                _ => return self.fault("this cannot be assigned to"),
            }
        }
        Ok(())
    }

    fn store(&mut self, name: &Arc<str>) {
        let step = match self.find(name) {
            Place::Slot(slot) => Step::Store(slot),
            Place::Seen(seen) => Step::StoreSeen(seen),
            Place::Global => Step::SetGlobal(name.as_bytes().into()),
        };
        self.emit(step);
    }

    /// Pushes exactly so many values.
    fn exactly(&mut self, values: &[Expression], count: usize) -> Compiled {
        for (at, value) in values.iter().enumerate() {
            let last = at + 1 == values.len();
            if last && at + 1 < count && is_open(value) {
                // What is missing comes from the last; it is put into a table and taken
                // out one by one.
                let slot = self.slot()?;
                self.emit(Step::Table);
                self.open(value)?;
                self.emit(Step::Append { from: 1, values: 0, open: true });
                self.emit(Step::Declare(slot));
                for index in 1..=count - at {
                    self.emit(Step::Load(slot));
                    #[expect(clippy::cast_precision_loss, reason = "small")]
                    self.emit(Step::Push(Constant::Number(index as f64)));
                    self.emit(Step::Index);
                }
                return Ok(());
            }
            self.expression(value)?;
            if at >= count {
                self.emit(Step::Pop);
            }
        }
        for _ in values.len()..count {
            self.emit(Step::Push(Constant::Nil));
        }
        Ok(())
    }

    /// Pushes all values; true where the last is open.
    fn list(&mut self, values: &[Expression]) -> Compiled<bool> {
        for (at, value) in values.iter().enumerate() {
            if at + 1 == values.len() && is_open(value) {
                self.open(value)?;
                return Ok(true);
            }
            self.expression(value)?;
        }
        Ok(false)
    }

    fn open(&mut self, value: &Expression) -> Compiled {
        match &value.kind {
            Kind::Varargs => {
                self.emit(Step::Varargs(Results::All));
                Ok(())
            }
            _ => self.call(value, Results::All),
        }
    }

    /// Pushes the function and its arguments.
    fn call_parts(&mut self, call: &Expression) -> Compiled<(usize, bool)> {
        match &call.kind {
            Kind::Call(function, arguments) => {
                self.expression(function)?;
                let open = self.list(arguments)?;
                self.current().line = call.line;
                Ok((arguments.len() - usize::from(open), open))
            }
            Kind::Method(of, name, arguments) => {
                self.expression(of)?;
                self.current().line = call.line;
                self.emit(Step::Method(name.as_bytes().into()));
                let open = self.list(arguments)?;
                self.current().line = call.line;
                Ok((arguments.len() + 1 - usize::from(open), open))
            }
            _ => self.fault("this is no call"),
        }
    }

    fn call(&mut self, call: &Expression, results: Results) -> Compiled {
        let (arguments, open) = self.call_parts(call)?;
        self.emit(Step::Call { arguments, open, results });
        Ok(())
    }

    fn tail_call(&mut self, call: &Expression) -> Compiled {
        let (arguments, open) = self.call_parts(call)?;
        self.emit(Step::TailCall { arguments, open });
        Ok(())
    }

    /// Pushes one value.
    fn expression(&mut self, expression: &Expression) -> Compiled {
        self.current().line = expression.line;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.fault(format!("an expression is more than {MAX_DEPTH} operators deep"));
        }
        let compiled = self.one(expression);
        self.depth -= 1;
        compiled
    }

    fn one(&mut self, expression: &Expression) -> Compiled {
        let push = match &expression.kind {
            Kind::Nil => Constant::Nil,
            Kind::Bool(value) => Constant::Bool(*value),
            Kind::Number(number) => Constant::Number(*number),
            Kind::Text(text) => Constant::Text(text.clone()),
            _ => return self.made(expression),
        };
        self.emit(Step::Push(push));
        Ok(())
    }

    fn made(&mut self, expression: &Expression) -> Compiled {
        match &expression.kind {
            Kind::Nil | Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) => {}
            Kind::Varargs => {
                self.emit(Step::Varargs(Results::One));
            }
            Kind::Function(function) => self.closure(function, expression.line)?,
            Kind::Name(name) => {
                let step = match self.find(name) {
                    Place::Slot(slot) => Step::Load(slot),
                    Place::Seen(seen) => Step::LoadSeen(seen),
                    Place::Global => Step::Global(name.as_bytes().into()),
                };
                self.emit(step);
            }
            Kind::Index(of, key) => {
                self.expression(of)?;
                if let Kind::Text(name) = &key.kind {
                    self.current().line = expression.line;
                    self.emit(Step::IndexName(name.clone()));
                } else {
                    self.expression(key)?;
                    self.current().line = expression.line;
                    self.emit(Step::Index);
                }
            }
            Kind::Call(..) | Kind::Method(..) => self.call(expression, Results::One)?,
            Kind::One(inside) => self.expression(inside)?,
            Kind::Table(fields) => self.table(fields)?,
            Kind::Binary(operator, left, right) => {
                self.expression(left)?;
                self.expression(right)?;
                self.current().line = expression.line;
                self.emit(Step::Binary(*operator));
            }
            Kind::Concat(parts) => {
                for part in parts {
                    self.expression(part)?;
                }
                self.current().line = expression.line;
                self.emit(Step::Concat(parts.len()));
            }
            Kind::And(left, right) | Kind::Or(left, right) => {
                let jump: fn(usize) -> Step = match expression.kind {
                    Kind::And(..) => Step::JumpIfNotOrPop,
                    _ => Step::JumpIfOrPop,
                };
                self.expression(left)?;
                let at = self.emit(jump(0));
                self.expression(right)?;
                let end = self.here();
                self.patch(at, jump(end));
            }
            Kind::Negate(of) | Kind::Not(of) | Kind::Length(of) => {
                self.expression(of)?;
                self.current().line = expression.line;
                self.emit(match expression.kind {
                    Kind::Negate(_) => Step::Negate,
                    Kind::Not(_) => Step::Not,
                    _ => Step::Length,
                });
            }
        }
        Ok(())
    }

    fn closure(&mut self, function: &FunctionBody, line: usize) -> Compiled {
        let FunctionBody { parameters, varargs, body } = function;
        let compiled = self.function(parameters, *varargs, body, line)?;
        let current = self.current();
        current.inner.push(Arc::new(compiled));
        let number = current.inner.len() - 1;
        self.emit(Step::Closure(number));
        Ok(())
    }

    fn table(&mut self, fields: &[(Option<Expression>, Expression)]) -> Compiled {
        self.emit(Step::Table);
        let (mut waiting, mut next) = (0, 1);
        for (at, (key, value)) in fields.iter().enumerate() {
            match key {
                Some(key) => {
                    // Values that wait lie between the table and the key.
                    if waiting > 0 {
                        self.emit(Step::Append { from: next, values: waiting, open: false });
                        (next, waiting) = (next + waiting, 0);
                    }
                    self.expression(key)?;
                    self.expression(value)?;
                    self.emit(Step::Field);
                }
                None if at + 1 == fields.len() && is_open(value) => {
                    self.open(value)?;
                    self.emit(Step::Append { from: next, values: waiting, open: true });
                    waiting = 0;
                }
                None => {
                    self.expression(value)?;
                    waiting += 1;
                    if waiting == 50 {
                        self.emit(Step::Append { from: next, values: waiting, open: false });
                        (next, waiting) = (next + waiting, 0);
                    }
                }
            }
        }
        if waiting > 0 {
            self.emit(Step::Append { from: next, values: waiting, open: false });
        }
        Ok(())
    }
}

/// Whether it can have more values than one.
fn is_open(value: &Expression) -> bool {
    matches!(value.kind, Kind::Varargs | Kind::Call(..) | Kind::Method(..))
}
