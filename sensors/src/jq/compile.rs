//! From a program to steps of the machine.
//!
//! A function is a run of steps with slots of its own. What a program defines, and each
//! argument that is a program, is a function; it sees the slots of those around it.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::library;
use super::natives::{self, Native};
use super::parser;
use super::syntax::{Def, Entry, Key, Node, Operator, Part, Pattern, Update};
use super::value::Value;

/// The deepest program: operators that stand behind each other count.
const MAX_DEPTH: usize = 300;
/// The most steps of a compiled program.
const MAX_STEPS: usize = 100_000;

/// A place among the steps.
pub(super) type Place = usize;

/// A step of the machine. It works on a stack; what a filter is given is on top, and what
/// it answers takes its place.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Push(Value),
    Pop,
    Dup,
    /// Puts a value in the place of the top.
    Constant(Value),
    /// Pushes a slot of the function that is so many levels out.
    Load {
        out: usize,
        slot: usize,
    },
    Store(usize),
    /// Adds the top to the list in a slot.
    Append(usize),
    /// Makes an object of so many pairs of key and value.
    Dict(usize),
    /// Joins so many texts.
    Concat(usize),
    /// Goes on; comes back to the place when all that follows is exhausted.
    Fork(Place),
    /// An error on the way goes on at the place.
    Try(Place),
    /// An error behind this is none of the `try`.
    TryEnd,
    /// An error on the way or behind it goes on at the place.
    Otherwise(Place),
    /// Begins what a `break` ends; its number goes into the slot.
    Label(usize),
    Break,
    Backtrack,
    Jump(Place),
    JumpIfNot(Place),
    Index(Value),
    /// The same, of an array or null only.
    Element(usize),
    /// Key and value are on the stack.
    IndexBy,
    /// Start, end and value are on the stack.
    SliceBy,
    Iterate,
    Range,
    /// Indexes are steps of a path from here on, until its end.
    PathBegin,
    PathEnd,
    GetPath,
    /// Indexes are no steps of a path in between.
    AsideBegin,
    AsideEnd,
    /// Sets the path in one slot of the value in another to the top.
    SetInto {
        value: usize,
        path: usize,
    },
    Native(&'static Native),
    /// Calls the function at the place; it is defined so many levels out, or in the
    /// library.
    Call {
        place: Place,
        out: Option<usize>,
        /// It has arguments, which are programs that see this function.
        arguments: bool,
    },
    Closure(Place),
    CallClosure,
    /// The first of a function: how many slots it has.
    Enter(usize),
    Return,
}

/// What a name means.
#[derive(Debug)]
enum Meaning {
    Variable(usize),
    Label(usize),
    /// An argument that is a program.
    Closure(usize),
    Function {
        parameters: usize,
        place: Place,
    },
}

/// A function that is being compiled.
#[derive(Debug, Default)]
struct Scope {
    names: Vec<(Box<str>, Meaning)>,
    slots: usize,
}

#[derive(Default)]
pub(super) struct Compiler {
    steps: Vec<Step>,
    scopes: Vec<Scope>,
    library: HashMap<(&'static str, usize), Place>,
    depth: usize,
}

type Compiled = Result<(), String>;

/// The steps of `program`.
///
/// # Errors
/// What it names that does not exist.
pub(super) fn compile(program: &Node) -> Result<Vec<Step>, String> {
    let mut compiler = Compiler { scopes: vec![Scope::default()], ..Compiler::default() };
    let enter = compiler.emit(Step::Enter(0));
    compiler.node(program)?;
    compiler.emit(Step::Return);
    let slots = compiler.scope().slots;
    compiler.steps[enter] = Step::Enter(slots);
    if compiler.steps.len() > MAX_STEPS {
        return Err(format!("the program has more than {MAX_STEPS} steps"));
    }
    Ok(compiler.steps)
}

/// What the library defines, by name and number of parameters.
pub(super) fn defined() -> &'static HashMap<(&'static str, usize), &'static Def> {
    static DEFS: OnceLock<HashMap<(&'static str, usize), &'static Def>> = OnceLock::new();
    DEFS.get_or_init(|| {
        #[expect(clippy::expect_used, reason = "a test compiles all of the library")]
        let defs = parser::definitions(library::TEXT).expect("the library is well-formed");
        let defs: &'static [Def] = Box::leak(defs.into_boxed_slice());
        defs.iter().map(|def| ((&*def.name, def.parameters.len()), def)).collect()
    })
}

impl Compiler {
    fn emit(&mut self, step: Step) -> Place {
        self.steps.push(step);
        self.steps.len() - 1
    }

    fn here(&self) -> Place {
        self.steps.len()
    }

    fn scope(&mut self) -> &mut Scope {
        if self.scopes.is_empty() {
            self.scopes.push(Scope::default());
        }
        let last = self.scopes.len() - 1;
        &mut self.scopes[last]
    }

    fn slot(&mut self) -> usize {
        let scope = self.scope();
        scope.slots += 1;
        scope.slots - 1
    }

    fn load(&mut self, slot: usize) {
        self.emit(Step::Load { out: 0, slot });
    }

    fn declare(&mut self, name: &str, meaning: Meaning) {
        self.scope().names.push((name.into(), meaning));
    }

    /// Names that are declared within do not reach out of it.
    fn block(&mut self, compile: impl FnOnce(&mut Self) -> Compiled) -> Compiled {
        let names = self.scope().names.len();
        compile(self)?;
        self.scope().names.truncate(names);
        Ok(())
    }

    fn inner(&mut self, node: &Node) -> Compiled {
        self.block(|compiler| compiler.node(node))
    }

    fn find<T>(&self, name: &str, fits: impl Fn(&Meaning) -> Option<T>) -> Option<(usize, T)> {
        self.scopes.iter().rev().enumerate().find_map(|(out, scope)| {
            let named = scope.names.iter().rev().filter(|(known, _)| **known == *name);
            named.filter_map(|(_, meaning)| fits(meaning)).next().map(|found| (out, found))
        })
    }

    fn node(&mut self, node: &Node) -> Compiled {
        if self.steps.len() > MAX_STEPS {
            return Err(format!("the program has more than {MAX_STEPS} steps"));
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("the program is more than {MAX_DEPTH} operators deep"));
        }
        self.one(node)?;
        self.depth -= 1;
        Ok(())
    }

    fn one(&mut self, node: &Node) -> Compiled {
        match node {
            Node::Identity => Ok(()),
            Node::Recurse => self.call("recurse", &[]),
            Node::Constant(value) => {
                self.emit(Step::Constant(value.clone()));
                Ok(())
            }
            Node::Text(format, parts) => self.text(format.as_deref(), parts),
            Node::Format(format) => self.format(format),
            Node::Index(of, key) => self.index(of, key),
            Node::Slice(of, start, end) => self.slice(of, start.as_deref(), end.as_deref()),
            Node::Iterate(of) => {
                self.node(of)?;
                self.emit(Step::Iterate);
                Ok(())
            }
            Node::Try(body, handler) => self.attempt(body, handler.as_deref()),
            Node::Call(name, arguments) => self.call(name, arguments),
            Node::Variable(name) => self.variable(name),
            Node::List(None) => {
                self.emit(Step::Constant(Value::flat(Vec::new())));
                Ok(())
            }
            Node::List(Some(items)) => self.list(items),
            Node::Dict(entries) => self.dict(entries),
            Node::Negate(of) => self.unary(of, "_negate"),
            Node::Plus(of) => self.unary(of, "_plus"),
            Node::Pipe(stages) => stages.iter().try_for_each(|stage| self.node(stage)),
            Node::Comma(nodes) => self.comma(nodes),
            Node::Binary(operator, left, right) => self.binary(*operator, left, right),
            Node::Update(update, left, right) => self.update(*update, left, right),
            Node::Bind(source, patterns, body) => {
                self.block(|compiler| compiler.bind(source, patterns, body))
            }
            Node::Reduce(source, pattern, start, update) => {
                self.block(|compiler| compiler.reduce(source, pattern, start, update))
            }
            Node::Foreach(source, pattern, start, update, extract) => self.block(|compiler| {
                compiler.foreach(source, pattern, start, update, extract.as_deref())
            }),
            Node::If(condition, then, otherwise) => {
                self.branch(condition, &|compiler| compiler.inner(then), &|compiler| {
                    otherwise.as_ref().map_or(Ok(()), |node| compiler.inner(node))
                })
            }
            Node::Label(name, body) => self.block(|compiler| {
                let slot = compiler.slot();
                compiler.declare(name, Meaning::Label(slot));
                compiler.emit(Step::Label(slot));
                compiler.node(body)
            }),
            Node::Break(name) => {
                let label = self.find(name, |meaning| match meaning {
                    Meaning::Label(slot) => Some(*slot),
                    _ => None,
                });
                let (out, slot) = label.ok_or_else(|| format!("there is no label `${name}`"))?;
                self.emit(Step::Pop);
                self.emit(Step::Load { out, slot });
                self.emit(Step::Break);
                Ok(())
            }
            Node::Define(def, body) => self.block(|compiler| {
                let place = compiler.here() + 1;
                let parameters = def.parameters.len();
                compiler.declare(&def.name, Meaning::Function { parameters, place });
                compiler.function(&def.parameters, &def.body)?;
                compiler.node(body)
            }),
        }
    }

    /// The steps of a function, and a jump over them. Its place is behind the jump.
    fn function(&mut self, parameters: &[Box<str>], body: &Node) -> Result<Place, String> {
        let jump = self.emit(Step::Jump(0));
        self.scopes.push(Scope::default());
        let place = self.emit(Step::Enter(0));
        self.parameters(parameters);
        self.node(body)?;
        self.emit(Step::Return);
        let slots = self.scopes.pop().map_or(0, |scope| scope.slots);
        self.steps[place] = Step::Enter(slots);
        self.steps[jump] = Step::Jump(self.here());
        Ok(place)
    }

    /// Takes input and arguments off the stack. A parameter with `$` is worked out, once
    /// for each of its values.
    fn parameters(&mut self, parameters: &[Box<str>]) {
        if parameters.is_empty() {
            return;
        }
        let input = self.slot();
        self.emit(Step::Store(input));
        let mut values = Vec::new();
        for parameter in parameters {
            let slot = self.slot();
            self.emit(Step::Store(slot));
            let name = parameter.strip_prefix('$');
            self.declare(name.unwrap_or(parameter), Meaning::Closure(slot));
            values.extend(name.map(|name| (name, slot)));
        }
        for (name, closure) in values {
            self.load(input);
            self.emit(Step::AsideBegin);
            self.load(closure);
            self.emit(Step::CallClosure);
            let slot = self.slot();
            self.declare(name, Meaning::Variable(slot));
            self.emit(Step::Store(slot));
            self.emit(Step::AsideEnd);
        }
        self.load(input);
    }

    fn variable(&mut self, name: &str) -> Compiled {
        if name == "ENV" {
            self.emit(Step::Constant(natives::environment()));
            return Ok(());
        }
        let found = self.find(name, |meaning| match meaning {
            Meaning::Variable(slot) => Some(*slot),
            _ => None,
        });
        let (out, slot) = found.ok_or_else(|| format!("there is no variable `${name}`"))?;
        self.emit(Step::Pop);
        self.emit(Step::Load { out, slot });
        Ok(())
    }

    fn call(&mut self, name: &str, arguments: &[Node]) -> Compiled {
        let count = arguments.len();
        let found = self.find(name, |meaning| match meaning {
            Meaning::Closure(slot) if count == 0 => Some((None, *slot)),
            Meaning::Function { parameters, place } if *parameters == count => {
                Some((Some(*place), 0))
            }
            _ => None,
        });
        match found {
            Some((out, (Some(place), _))) => return self.invoke(place, Some(out), arguments),
            Some((out, (None, slot))) => {
                self.emit(Step::Load { out, slot });
                self.emit(Step::CallClosure);
                return Ok(());
            }
            None => {}
        }
        match (name, arguments) {
            ("empty", []) => {
                self.emit(Step::Backtrack);
                return Ok(());
            }
            ("env", []) => {
                self.emit(Step::Constant(natives::environment()));
                return Ok(());
            }
            ("path", [of]) => {
                self.emit(Step::PathBegin);
                self.inner(of)?;
                self.emit(Step::PathEnd);
                return Ok(());
            }
            ("getpath", [path]) => return self.get_path(path),
            ("input" | "inputs", []) => return Err("there is no further input".to_owned()),
            _ => {}
        }
        if let Some(place) = self.library_function(name, count)? {
            return self.invoke(place, None, arguments);
        }
        if name == "_range" {
            self.arguments(arguments)?;
            self.emit(Step::Range);
            return Ok(());
        }
        let native = natives::find(name, count)?;
        self.native(native, arguments)
    }

    /// The place of a function of the library, which is compiled when it is first used.
    fn library_function(&mut self, name: &str, count: usize) -> Result<Option<Place>, String> {
        if name == "_modify" || name == "_assign" {
            return Ok(Some(self.built_in_update(name == "_modify")));
        }
        let Some((key, def)) = defined()
            .iter()
            .find(|((known, parameters), _)| *known == name && *parameters == count)
        else {
            return Ok(None);
        };
        if let Some(place) = self.library.get(key) {
            return Ok(Some(*place));
        }
        let scopes = std::mem::take(&mut self.scopes);
        self.library.insert(*key, self.here() + 1);
        let place = self.function(&def.parameters, &def.body)?;
        self.scopes = scopes;
        Ok(Some(place))
    }

    fn invoke(&mut self, place: Place, out: Option<usize>, arguments: &[Node]) -> Compiled {
        if !arguments.is_empty() {
            let input = self.slot();
            self.emit(Step::Store(input));
            for argument in arguments.iter().rev() {
                let closure = self.function(&[], argument)?;
                self.emit(Step::Closure(closure));
            }
            self.load(input);
        }
        self.emit(Step::Call { place, out, arguments: !arguments.is_empty() });
        Ok(())
    }

    /// Works the arguments out, the last first, and puts the input on top of them.
    fn arguments(&mut self, arguments: &[Node]) -> Compiled {
        if arguments.is_empty() {
            return Ok(());
        }
        let input = self.slot();
        self.emit(Step::Store(input));
        for argument in arguments.iter().rev() {
            self.load(input);
            self.inner(argument)?;
        }
        self.load(input);
        Ok(())
    }

    fn native(&mut self, native: &'static Native, arguments: &[Node]) -> Compiled {
        self.arguments(arguments)?;
        self.emit(Step::Native(native));
        Ok(())
    }

    fn unary(&mut self, of: &Node, name: &str) -> Compiled {
        self.node(of)?;
        let native = natives::find(name, 0)?;
        self.emit(Step::Native(native));
        Ok(())
    }

    fn index(&mut self, of: &Node, key: &Node) -> Compiled {
        if let Node::Constant(key @ (Value::Text(_) | Value::Int(_) | Value::Float(_))) = key {
            self.node(of)?;
            self.emit(Step::Index(key.clone()));
            return Ok(());
        }
        let input = self.slot();
        self.emit(Step::Store(input));
        self.emit(Step::AsideBegin);
        self.load(input);
        self.inner(key)?;
        self.emit(Step::AsideEnd);
        self.load(input);
        self.inner(of)?;
        self.emit(Step::IndexBy);
        Ok(())
    }

    fn slice(&mut self, of: &Node, start: Option<&Node>, end: Option<&Node>) -> Compiled {
        let input = self.slot();
        self.emit(Step::Store(input));
        self.emit(Step::AsideBegin);
        for bound in [start, end] {
            match bound {
                Some(bound) => {
                    self.load(input);
                    self.inner(bound)?;
                }
                None => {
                    self.emit(Step::Push(Value::Null));
                }
            }
        }
        self.emit(Step::AsideEnd);
        self.load(input);
        self.inner(of)?;
        self.emit(Step::SliceBy);
        Ok(())
    }

    fn get_path(&mut self, path: &Node) -> Compiled {
        let input = self.slot();
        self.emit(Step::Store(input));
        self.emit(Step::AsideBegin);
        self.load(input);
        self.inner(path)?;
        self.emit(Step::AsideEnd);
        self.load(input);
        self.emit(Step::GetPath);
        Ok(())
    }

    fn attempt(&mut self, body: &Node, handler: Option<&Node>) -> Compiled {
        let attempt = self.emit(Step::Try(0));
        self.inner(body)?;
        self.emit(Step::TryEnd);
        let jump = self.emit(Step::Jump(0));
        self.steps[attempt] = Step::Try(self.here());
        match handler {
            Some(handler) => self.inner(handler)?,
            None => {
                self.emit(Step::Backtrack);
            }
        }
        self.steps[jump] = Step::Jump(self.here());
        Ok(())
    }

    fn text(&mut self, format: Option<&str>, parts: &[Part]) -> Compiled {
        let input = self.slot();
        self.emit(Step::Store(input));
        for part in parts.iter().rev() {
            match part {
                Part::Plain(text) => {
                    self.emit(Step::Push(Value::text(&**text)));
                }
                Part::Made(node) => {
                    self.load(input);
                    self.inner(node)?;
                    self.format(format.unwrap_or("text"))?;
                }
            }
        }
        self.emit(Step::Concat(parts.len()));
        Ok(())
    }

    fn format(&mut self, name: &str) -> Compiled {
        match natives::format(name) {
            Some(native) => {
                self.emit(Step::Native(native));
                Ok(())
            }
            // That it does not exist is an error when it is called.
            None => self.call("format", &[Node::Constant(Value::text(name))]),
        }
    }

    fn list(&mut self, items: &Node) -> Compiled {
        let slot = self.slot();
        self.emit(Step::Push(Value::flat(Vec::new())));
        self.emit(Step::Store(slot));
        let fork = self.emit(Step::Fork(0));
        self.inner(items)?;
        self.emit(Step::Append(slot));
        self.emit(Step::Backtrack);
        self.steps[fork] = Step::Fork(self.here());
        self.emit(Step::Pop);
        self.load(slot);
        Ok(())
    }

    fn dict(&mut self, entries: &[Entry]) -> Compiled {
        if entries.is_empty() {
            self.emit(Step::Constant(natives::environment()));
            return Ok(());
        }
        let input = self.slot();
        self.emit(Step::Store(input));
        for Entry { key, value } in entries {
            match key {
                Key::Name(name) => {
                    self.emit(Step::Push(Value::text(&**name)));
                    if value.is_none() {
                        self.load(input);
                        self.emit(Step::Index(Value::text(&**name)));
                    }
                }
                Key::Variable(name) => {
                    if value.is_none() {
                        self.emit(Step::Push(Value::text(&**name)));
                    }
                    self.load(input);
                    self.variable(name)?;
                }
                Key::Made(node) => {
                    self.load(input);
                    self.inner(node)?;
                    if value.is_none() {
                        self.emit(Step::Dup);
                        self.load(input);
                        self.emit(Step::IndexBy);
                    }
                }
            }
            if let Some(value) = value {
                self.load(input);
                self.inner(value)?;
            }
        }
        self.emit(Step::Dict(entries.len()));
        Ok(())
    }

    fn comma(&mut self, nodes: &[Node]) -> Compiled {
        let mut jumps = Vec::new();
        let Some((last, before)) = nodes.split_last() else { return Ok(()) };
        for node in before {
            let fork = self.emit(Step::Fork(0));
            self.inner(node)?;
            jumps.push(self.emit(Step::Jump(0)));
            self.steps[fork] = Step::Fork(self.here());
        }
        self.inner(last)?;
        for jump in jumps {
            self.steps[jump] = Step::Jump(self.here());
        }
        Ok(())
    }

    fn binary(&mut self, operator: Operator, left: &Node, right: &Node) -> Compiled {
        let constant = |value: bool| {
            move |compiler: &mut Self| {
                compiler.emit(Step::Constant(Value::Bool(value)));
                Ok(())
            }
        };
        match operator {
            Operator::And => self.branch(
                left,
                &|compiler| compiler.branch(right, &constant(true), &constant(false)),
                &constant(false),
            ),
            Operator::Or => self.branch(left, &constant(true), &|compiler| {
                compiler.branch(right, &constant(true), &constant(false))
            }),
            Operator::Alternative => self.alternative(left, right),
            operator => {
                let native = natives::find(operator_name(operator), 2)?;
                let input = self.slot();
                self.emit(Step::Store(input));
                for side in [right, left] {
                    self.load(input);
                    self.inner(side)?;
                }
                self.load(input);
                self.emit(Step::Native(native));
                Ok(())
            }
        }
    }

    fn branch(
        &mut self,
        condition: &Node,
        then: &dyn Fn(&mut Self) -> Compiled,
        otherwise: &dyn Fn(&mut Self) -> Compiled,
    ) -> Compiled {
        self.emit(Step::Dup);
        self.emit(Step::AsideBegin);
        self.inner(condition)?;
        self.emit(Step::AsideEnd);
        let test = self.emit(Step::JumpIfNot(0));
        then(self)?;
        let jump = self.emit(Step::Jump(0));
        self.steps[test] = Step::JumpIfNot(self.here());
        otherwise(self)?;
        self.steps[jump] = Step::Jump(self.here());
        Ok(())
    }

    /// All that is true on the left; the right where there is none.
    fn alternative(&mut self, left: &Node, right: &Node) -> Compiled {
        let found = self.slot();
        self.emit(Step::Push(Value::Bool(false)));
        self.emit(Step::Store(found));
        let fork = self.emit(Step::Fork(0));
        self.inner(left)?;
        self.emit(Step::Dup);
        let test = self.emit(Step::JumpIfNot(0));
        self.emit(Step::Push(Value::Bool(true)));
        self.emit(Step::Store(found));
        let jump = self.emit(Step::Jump(0));
        self.steps[test] = Step::JumpIfNot(self.here());
        self.emit(Step::Backtrack);
        self.steps[fork] = Step::Fork(self.here());
        self.load(found);
        let none = self.emit(Step::JumpIfNot(0));
        self.emit(Step::Backtrack);
        self.steps[none] = Step::JumpIfNot(self.here());
        self.inner(right)?;
        self.steps[jump] = Step::Jump(self.here());
        Ok(())
    }

    fn update(&mut self, update: Update, left: &Node, right: &Node) -> Compiled {
        let with = match update {
            Update::Set => return self.call("_assign", &[left.clone(), right.clone()]),
            Update::Modify => return self.call("_modify", &[left.clone(), right.clone()]),
            Update::With(operator) => operator,
        };
        // The right side sees the whole input, not what is at the path.
        self.block(|compiler| {
            let slot = compiler.slot();
            compiler.emit(Step::Dup);
            compiler.inner(right)?;
            compiler.emit(Step::Store(slot));
            // No program can name it so.
            compiler.declare("%", Meaning::Variable(slot));
            let arguments = vec![Node::Identity, Node::Variable("%".into())];
            let change = Node::Call(operator_name(with).into(), arguments);
            compiler.call("_modify", &[left.clone(), change])
        })
    }

    fn bind(&mut self, source: &Node, patterns: &[Pattern], body: &Node) -> Compiled {
        self.emit(Step::Dup);
        self.emit(Step::AsideBegin);
        self.inner(source)?;
        self.declare_all(patterns);
        let mut jumps = Vec::new();
        for (index, pattern) in patterns.iter().enumerate() {
            let more = index + 1 < patterns.len();
            let otherwise = more.then(|| self.emit(Step::Otherwise(0)));
            if index > 0 {
                let mut names = Vec::new();
                patterns.iter().for_each(|pattern| variables(pattern, &mut names));
                for name in names {
                    self.emit(Step::Push(Value::Null));
                    self.store_variable(name);
                }
            }
            self.pattern(pattern)?;
            if let Some(otherwise) = otherwise {
                jumps.push(self.emit(Step::Jump(0)));
                self.steps[otherwise] = Step::Otherwise(self.here());
            }
        }
        for jump in jumps {
            self.steps[jump] = Step::Jump(self.here());
        }
        self.emit(Step::AsideEnd);
        self.node(body)
    }

    fn declare_all(&mut self, patterns: &[Pattern]) {
        let mut names = Vec::new();
        patterns.iter().for_each(|pattern| variables(pattern, &mut names));
        names.sort_unstable();
        names.dedup();
        for name in names {
            let slot = self.slot();
            self.declare(name, Meaning::Variable(slot));
        }
    }

    fn store_variable(&mut self, name: &str) {
        let found = self.find(name, |meaning| match meaning {
            Meaning::Variable(slot) => Some(*slot),
            _ => None,
        });
        // It was declared in this function.
        if let Some((_, slot)) = found {
            self.emit(Step::Store(slot));
        }
    }

    /// Takes the top of the stack apart. Its variables are declared.
    fn pattern(&mut self, pattern: &Pattern) -> Compiled {
        match pattern {
            Pattern::Variable(name) => {
                self.store_variable(name);
                Ok(())
            }
            Pattern::List(inside) => {
                let whole = self.slot();
                self.emit(Step::Store(whole));
                for (index, pattern) in inside.iter().enumerate() {
                    self.load(whole);
                    self.emit(Step::Element(index));
                    self.pattern(pattern)?;
                }
                Ok(())
            }
            Pattern::Dict(inside) => {
                let whole = self.slot();
                self.emit(Step::Store(whole));
                for (key, pattern) in inside {
                    self.load(whole);
                    match key {
                        Key::Name(name) => {
                            self.emit(Step::Index(Value::text(&**name)));
                        }
                        Key::Variable(name) => {
                            self.emit(Step::Index(Value::text(&**name)));
                            if pattern.is_some() {
                                self.emit(Step::Dup);
                            }
                            self.store_variable(name);
                        }
                        Key::Made(node) => {
                            self.inner(node)?;
                            self.load(whole);
                            self.emit(Step::IndexBy);
                        }
                    }
                    if let Some(pattern) = pattern {
                        self.pattern(pattern)?;
                    }
                }
                Ok(())
            }
        }
    }

    fn reduce(
        &mut self,
        source: &Node,
        pattern: &Pattern,
        start: &Node,
        update: &Node,
    ) -> Compiled {
        let state = self.slot();
        self.emit(Step::Dup);
        self.inner(start)?;
        self.emit(Step::Store(state));
        let fork = self.emit(Step::Fork(0));
        self.inner(source)?;
        self.declare_all(std::slice::from_ref(pattern));
        self.pattern(pattern)?;
        self.load(state);
        self.inner(update)?;
        self.emit(Step::Store(state));
        self.emit(Step::Backtrack);
        self.steps[fork] = Step::Fork(self.here());
        self.emit(Step::Pop);
        self.load(state);
        Ok(())
    }

    fn foreach(
        &mut self,
        source: &Node,
        pattern: &Pattern,
        start: &Node,
        update: &Node,
        extract: Option<&Node>,
    ) -> Compiled {
        let state = self.slot();
        self.emit(Step::Dup);
        self.inner(start)?;
        self.emit(Step::Store(state));
        self.inner(source)?;
        self.declare_all(std::slice::from_ref(pattern));
        self.pattern(pattern)?;
        self.load(state);
        self.inner(update)?;
        self.emit(Step::Dup);
        self.emit(Step::Store(state));
        extract.map_or(Ok(()), |extract| self.inner(extract))
    }

    /// `paths |= change` and `paths = value`, in place: each path is set in a value that
    /// nothing else holds.
    fn built_in_update(&mut self, modifies: bool) -> Place {
        let name = if modifies { "_modify" } else { "_assign" };
        if let Some(place) = self.library.get(&(name, 2)) {
            return *place;
        }
        let jump = self.emit(Step::Jump(0));
        let scopes = std::mem::replace(&mut self.scopes, vec![Scope::default()]);
        let enter = self.emit(Step::Enter(0));
        self.library.insert((name, 2), enter);
        let [input, paths, change, value, path, deleted, label] =
            std::array::from_fn(|_| self.slot());
        for slot in [input, paths, change] {
            self.emit(Step::Store(slot));
        }
        if !modifies {
            // The value sees the whole input, once for each that it has.
            self.load(input);
            self.emit(Step::AsideBegin);
            self.load(change);
            self.emit(Step::CallClosure);
            self.emit(Step::Store(label));
            self.emit(Step::AsideEnd);
        }
        self.load(input);
        self.emit(Step::Store(value));
        self.emit(Step::Push(Value::flat(Vec::new())));
        self.emit(Step::Store(deleted));
        self.load(input);
        let fork = self.emit(Step::Fork(0));
        self.emit(Step::PathBegin);
        self.load(paths);
        self.emit(Step::CallClosure);
        self.emit(Step::PathEnd);
        self.emit(Step::Store(path));
        if modifies {
            self.emit(Step::Label(label));
            self.emit(Step::Push(Value::Null));
            let none = self.emit(Step::Fork(0));
            self.emit(Step::Pop);
            self.emit(Step::AsideBegin);
            self.load(path);
            self.load(value);
            self.emit(Step::GetPath);
            self.load(change);
            self.emit(Step::CallClosure);
            self.emit(Step::AsideEnd);
            self.emit(Step::SetInto { value, path });
            // One value is enough.
            self.load(label);
            self.emit(Step::Break);
            self.steps[none] = Step::Fork(self.here());
            self.emit(Step::Pop);
            self.load(path);
            self.emit(Step::Append(deleted));
        } else {
            self.load(label);
            self.emit(Step::SetInto { value, path });
        }
        self.emit(Step::Backtrack);
        self.steps[fork] = Step::Fork(self.here());
        self.emit(Step::Pop);
        self.load(deleted);
        self.load(value);
        if let Ok(native) = natives::find("delpaths", 1) {
            self.emit(Step::Native(native));
        }
        self.emit(Step::Return);
        let slots = self.scope().slots;
        self.steps[enter] = Step::Enter(slots);
        self.steps[jump] = Step::Jump(self.here());
        self.scopes = scopes;
        enter
    }
}

fn variables<'p>(pattern: &'p Pattern, names: &mut Vec<&'p str>) {
    match pattern {
        Pattern::Variable(name) => names.push(name),
        Pattern::List(inside) => inside.iter().for_each(|pattern| variables(pattern, names)),
        Pattern::Dict(inside) => {
            for (key, pattern) in inside {
                if let Key::Variable(name) = key {
                    names.push(name);
                }
                if let Some(pattern) = pattern {
                    variables(pattern, names);
                }
            }
        }
    }
}

fn operator_name(operator: Operator) -> &'static str {
    match operator {
        Operator::Add => "_add",
        Operator::Subtract => "_subtract",
        Operator::Multiply => "_multiply",
        Operator::Divide => "_divide",
        Operator::Modulo => "_modulo",
        Operator::Equal => "_equal",
        Operator::NotEqual => "_notequal",
        Operator::Less => "_less",
        Operator::LessOrEqual => "_lesseq",
        Operator::Greater => "_greater",
        Operator::GreaterOrEqual => "_greatereq",
        Operator::And | Operator::Or | Operator::Alternative => "_alternative",
    }
}
