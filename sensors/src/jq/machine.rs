//! Runs a compiled program up to its first output.
//!
//! The machine goes on until an output or an error, and comes back to the newest fork when
//! there is nothing more to try. It does not recurse, so no program can exhaust the stack
//! of the process; every step is counted, and each 8 bytes or elements that a step makes
//! or copies count as another. A program that takes too many is cut off, by the same step
//! each time. That cannot be caught.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use super::arena::{Arena, Saved};
use super::compile::{Place, Step};
use super::natives;
use super::value::Value;
use super::{MAX_STEPS, Raise};
use crate::go_regex::Captures;

/// What is on the stack and in slots.
#[derive(Clone, Debug)]
enum Item {
    Value(Value),
    /// A program that is an argument, and the frame that it sees.
    Closure(Place, usize),
    /// What an iteration has still to give: keys and values.
    Rest(Arc<[(Value, Value)]>, usize),
    /// What a range has still to give: next, end, step.
    Range(Value, Value, Value),
}

/// A function that is running.
#[derive(Clone, Debug)]
struct Frame {
    slots: Vec<Item>,
    /// The frame of the function that it is defined in.
    outer: usize,
    caller: usize,
    back: Place,
}

/// A piece of the path that is being followed.
#[derive(Clone, Debug)]
enum Piece {
    /// Where a path begins, and how deep aside the one around it was.
    Begin(usize, Value),
    Step(Value, Value),
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Fork(Place),
    Try(Place),
    TryEnd,
    Otherwise(Place),
    Label(usize),
    Iterate(Place),
}

/// Where to go on when there is nothing more to try.
#[derive(Clone, Copy, Debug)]
struct Fork {
    kind: Kind,
    stack: Saved,
    frames: Saved,
    frame: usize,
    path: Saved,
    aside: usize,
}

const NO_FRAME: usize = usize::MAX;

pub(super) struct Machine<'p> {
    steps: &'p [Step],
    at: Place,
    stack: Arena<Item>,
    frames: Arena<Frame>,
    frame: usize,
    path: Arena<Piece>,
    aside: usize,
    forks: Vec<Fork>,
    labels: usize,
    left: usize,
    pub(super) now: Option<Timestamp>,
    /// Regular expressions that were compiled, by flags and pattern.
    pub(super) regexes: HashMap<String, Arc<Captures>>,
}

/// What a step leads to.
enum Next {
    On,
    Back,
    Output(Value),
}

type Stepped = Result<Next, Raise>;

impl<'p> Machine<'p> {
    pub(super) fn new(steps: &'p [Step], input: Value, now: Option<Timestamp>) -> Self {
        let mut machine = Self {
            steps,
            at: 0,
            stack: Arena::new(),
            frames: Arena::new(),
            frame: NO_FRAME,
            path: Arena::new(),
            aside: 0,
            forks: Vec::new(),
            labels: 0,
            left: MAX_STEPS,
            now,
            regexes: HashMap::new(),
        };
        machine.push(input);
        machine.enter(NO_FRAME, NO_FRAME, usize::MAX);
        machine
    }

    /// The first output; `None`: there is none.
    ///
    /// # Errors
    /// What the program raises and does not catch.
    pub(super) fn first(&mut self) -> Result<Option<Value>, Raise> {
        loop {
            let next = self.step();
            match next {
                Ok(Next::On) => {}
                Ok(Next::Output(value)) => return Ok(Some(value)),
                Ok(Next::Back) => {
                    if !self.back(None)? {
                        return Ok(None);
                    }
                }
                Err(raised) => {
                    if !self.back(Some(raised))? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Takes steps for what is made or copied.
    pub(super) fn charge(&mut self, steps: usize) -> Result<(), Raise> {
        self.left = self.left.checked_sub(steps).ok_or_else(Raise::too_long)?;
        Ok(())
    }

    fn push(&mut self, value: Value) {
        self.stack.push(Item::Value(value));
    }

    fn pop_item(&mut self) -> Result<Item, Raise> {
        self.stack.pop().ok_or_else(broken)
    }

    fn pop(&mut self) -> Result<Value, Raise> {
        match self.pop_item()? {
            Item::Value(value) => Ok(value),
            _ => Err(broken()),
        }
    }

    fn enter(&mut self, outer: usize, caller: usize, back: Place) {
        self.frames.push(Frame { slots: Vec::new(), outer, caller, back });
        self.frame = self.frames.place();
    }

    fn outer(&self, out: usize) -> Result<usize, Raise> {
        let mut frame = self.frame;
        for _ in 0..out {
            frame = self.frames.at(frame).ok_or_else(broken)?.outer;
        }
        Ok(frame)
    }

    fn slot(&mut self, slot: usize) -> Result<&mut Item, Raise> {
        let frame = self.frames.at_mut(self.frame).ok_or_else(broken)?;
        frame.slots.get_mut(slot).ok_or_else(broken)
    }

    fn fork(&mut self, kind: Kind) -> Result<(), Raise> {
        self.charge(4)?;
        self.forks.push(Fork {
            kind,
            stack: self.stack.save(),
            frames: self.frames.save(),
            frame: self.frame,
            path: self.path.save(),
            aside: self.aside,
        });
        Ok(())
    }

    /// Goes back to the newest fork that takes it from here; false where there is none.
    fn back(&mut self, mut raised: Option<Raise>) -> Result<bool, Raise> {
        // How many ends of a `try` were passed: their beginnings do not catch this.
        let mut passed = 0_usize;
        while let Some(fork) = self.forks.pop() {
            if let Some(cut @ (Raise::Cut(_) | Raise::Halt)) = raised {
                return Err(cut);
            }
            self.stack.restore(fork.stack);
            self.frames.restore(fork.frames);
            self.frame = fork.frame;
            self.path.restore(fork.path);
            self.aside = fork.aside;
            match (fork.kind, &raised) {
                (Kind::Fork(place), None) => return Ok(self.go(place)),
                (Kind::Iterate(place), None) => {
                    self.at = place;
                    if self.iterate()? {
                        return Ok(true);
                    }
                }
                (Kind::TryEnd, Some(_)) => passed += 1,
                (Kind::Try(_), Some(_)) if passed > 0 => passed -= 1,
                (Kind::Try(place), Some(Raise::Error(value))) => {
                    let value = value.clone();
                    self.pop_item()?;
                    self.push(value);
                    return Ok(self.go(place));
                }
                (Kind::Otherwise(place), Some(Raise::Error(_))) => return Ok(self.go(place)),
                (Kind::Label(label), Some(Raise::Break(broken))) if label == *broken => {
                    raised = None;
                    passed = 0;
                }
                _ => {}
            }
        }
        raised.map_or(Ok(false), Err)
    }

    fn go(&mut self, place: Place) -> bool {
        self.at = place;
        true
    }

    #[expect(clippy::too_many_lines, reason = "a case for each step")]
    fn step(&mut self) -> Stepped {
        let steps = self.steps;
        let Some(step) = steps.get(self.at) else { return Err(broken()) };
        self.charge(1)?;
        self.at += 1;
        match step {
            Step::Push(value) => self.push(value.clone()),
            Step::Pop => drop(self.pop_item()?),
            Step::Dup => {
                let top = self.stack.top().cloned().ok_or_else(broken)?;
                self.stack.push(top);
            }
            Step::Constant(value) => {
                self.pop_item()?;
                self.push(value.clone());
            }
            Step::Load { out, slot } => {
                let frame = self.outer(*out)?;
                let frame = self.frames.at(frame).ok_or_else(broken)?;
                let item = frame.slots.get(*slot).cloned().ok_or_else(broken)?;
                self.stack.push(item);
            }
            Step::Store(slot) => {
                let item = self.pop_item()?;
                *self.slot(*slot)? = item;
            }
            Step::Append(slot) => self.append(*slot)?,
            Step::Dict(count) => self.dict(*count)?,
            Step::Concat(count) => self.concat(*count)?,
            Step::Fork(place) => self.fork(Kind::Fork(*place))?,
            Step::Try(place) => self.fork(Kind::Try(*place))?,
            Step::TryEnd => self.fork(Kind::TryEnd)?,
            Step::Otherwise(place) => self.fork(Kind::Otherwise(*place))?,
            Step::Label(slot) => {
                self.labels += 1;
                let label = self.labels;
                self.fork(Kind::Label(label))?;
                *self.slot(*slot)? = Item::Value(Value::count(label));
            }
            Step::Break => {
                let label = self.pop()?.int().and_then(|label| usize::try_from(label).ok());
                return Err(Raise::Break(label.ok_or_else(broken)?));
            }
            Step::Backtrack => return Ok(Next::Back),
            Step::Jump(place) => self.at = *place,
            Step::JumpIfNot(place) => {
                if !self.pop()?.is_true() {
                    self.at = *place;
                }
            }
            Step::Index(key) => {
                let of = self.pop()?;
                let found = natives::index(&of, key)?;
                self.charge(if matches!(of, Value::Text(_)) { of.size() / 8 } else { 0 })?;
                self.follow(&of, key.clone(), found)?;
            }
            Step::Element(index) => {
                let of = self.pop()?;
                if !matches!(of, Value::Null | Value::List(_)) {
                    return Err(Raise::expected_array(&of));
                }
                let key = Value::count(*index);
                let found = natives::index(&of, &key)?;
                self.follow(&of, key, found)?;
            }
            Step::IndexBy => {
                let (of, key) = (self.pop()?, self.pop()?);
                if matches!(of, Value::Text(_)) || matches!(key, Value::List(_)) {
                    self.charge(of.size() * key.size().max(1) / 8)?;
                }
                let found = natives::index(&of, &key)?;
                self.follow(&of, key, found)?;
            }
            Step::SliceBy => {
                let (of, end, start) = (self.pop()?, self.pop()?, self.pop()?);
                self.charge(of.size() / 8)?;
                let found = natives::slice(&of, &start, &end)?;
                let key = natives::slice_key(start, end)?;
                self.follow(&of, key, found)?;
            }
            Step::GetPath => {
                let (of, path) = (self.pop()?, self.pop()?);
                self.get_path(&of, &path)?;
            }
            Step::Iterate => {
                self.begin_iteration()?;
                self.at -= 1;
                if !self.iterate()? {
                    return Ok(Next::Back);
                }
            }
            Step::Range => {
                self.pop()?;
                let (start, end, step) = (self.pop()?, self.pop()?, self.pop()?);
                natives::check_range([&start, &end, &step])?;
                self.stack.push(Item::Range(start, end, step));
                self.at -= 1;
                if !self.iterate()? {
                    return Ok(Next::Back);
                }
            }
            Step::PathBegin => {
                let top = match self.stack.top() {
                    Some(Item::Value(top)) => top.clone(),
                    _ => return Err(broken()),
                };
                self.path.push(Piece::Begin(self.aside, top));
                self.aside = 0;
            }
            Step::PathEnd => {
                let value = self.pop()?;
                self.intact(&value, "invalid path against")?;
                let path = self.end_path()?;
                self.push(path);
            }
            Step::AsideBegin => self.aside += 1,
            Step::AsideEnd => self.aside = self.aside.saturating_sub(1),
            Step::SetInto { value, path } => self.set_into(*value, *path)?,
            Step::Native(native) => {
                let input = self.pop()?;
                let mut arguments = Vec::with_capacity(native.parameters);
                for _ in 0..native.parameters {
                    arguments.push(self.pop()?);
                }
                let made = (native.run)(self, &input, &arguments)?;
                self.charge(made.size() / 8)?;
                self.push(made);
            }
            Step::Call { place, out, arguments } => {
                let outer = match out {
                    Some(out) => self.outer(*out)?,
                    None => NO_FRAME,
                };
                self.call(*place, outer, *arguments)?;
            }
            Step::Closure(place) => self.stack.push(Item::Closure(*place, self.frame)),
            Step::CallClosure => match self.pop_item()? {
                Item::Closure(place, frame) => self.call(place, frame, false)?,
                _ => return Err(broken()),
            },
            Step::Enter(slots) => {
                self.charge(8 + slots)?;
                let frame = self.frames.at_mut(self.frame).ok_or_else(broken)?;
                frame.slots = vec![Item::Value(Value::Null); *slots];
            }
            Step::Return => {
                let frame = self.frames.at(self.frame).ok_or_else(broken)?;
                let (caller, back) = (frame.caller, frame.back);
                if caller == NO_FRAME {
                    return Ok(Next::Output(self.pop()?));
                }
                // What is above the caller is no longer needed, unless a fork goes back.
                self.frames.go_to(caller);
                self.frame = caller;
                self.at = back;
            }
        }
        Ok(Next::On)
    }

    /// A call that is the last thing of its function takes the place of its frame.
    fn call(&mut self, place: Place, outer: usize, arguments: bool) -> Result<(), Raise> {
        let mut after = self.at;
        while let Some(Step::Jump(next)) = self.steps.get(after) {
            after = *next;
        }
        let last = matches!(self.steps.get(after), Some(Step::Return));
        let frame = self.frames.at(self.frame).ok_or_else(broken)?;
        let (caller, back) = (frame.caller, frame.back);
        if last && caller != NO_FRAME {
            let needed = arguments || outer == self.frame;
            let replaced = !needed && self.frames.place() == self.frame && self.frames.is_free();
            if replaced {
                self.frames.pop_top();
            }
            self.enter(outer, caller, back);
        } else {
            self.enter(outer, self.frame, self.at);
        }
        self.at = place;
        Ok(())
    }

    fn append(&mut self, slot: usize) -> Result<(), Raise> {
        let value = self.pop()?;
        let item = self.slot(slot)?;
        let Item::Value(Value::List(list)) = std::mem::replace(item, Item::Value(Value::Null))
        else {
            return Err(broken());
        };
        let copied = if Arc::strong_count(&list) > 1 { list.items.len() } else { 0 };
        let mut list = Arc::unwrap_or_clone(list);
        list.push(value)?;
        *self.slot(slot)? = Item::Value(Value::List(Arc::new(list)));
        self.charge(1 + copied / 8)
    }

    fn dict(&mut self, count: usize) -> Result<(), Raise> {
        let mut entries = BTreeMap::new();
        for _ in 0..count {
            let (value, key) = (self.pop()?, self.pop()?);
            let Value::Text(key) = key else { return Err(Raise::key_no_text(&key)) };
            entries.entry(key).or_insert(value);
        }
        self.charge(8 + 4 * count)?;
        self.push(Value::dict(entries)?);
        Ok(())
    }

    fn concat(&mut self, count: usize) -> Result<(), Raise> {
        let mut joined = String::new();
        for _ in 0..count {
            let Value::Text(part) = self.pop()? else { return Err(broken()) };
            self.charge(part.len() / 8)?;
            joined.push_str(&part);
        }
        self.push(Value::text(joined));
        Ok(())
    }

    /// Puts what an index found on the stack; where a path is followed, it is its next
    /// step.
    fn follow(&mut self, of: &Value, key: Value, found: Value) -> Result<(), Raise> {
        self.charge(if matches!(found, Value::Text(_)) { found.size() / 64 } else { 0 })?;
        self.push(found.clone());
        if self.follows() {
            self.intact(of, "invalid path against")?;
            self.path.push(Piece::Step(key, found));
        }
        Ok(())
    }

    fn follows(&self) -> bool {
        self.aside == 0 && self.path.top().is_some()
    }

    /// A path goes on from the value that it has come to, and from no other.
    fn intact(&self, value: &Value, otherwise: &str) -> Result<(), Raise> {
        let reached = match self.path.top() {
            Some(Piece::Begin(_, reached) | Piece::Step(_, reached)) => reached,
            None => return Ok(()),
        };
        if reached.is(value) {
            return Ok(());
        }
        Err(Raise::message(format!("{otherwise}: {}", value.described())))
    }

    fn end_path(&mut self) -> Result<Value, Raise> {
        let mut steps = Vec::new();
        loop {
            match self.path.pop().ok_or_else(broken)? {
                Piece::Step(key, _) => steps.push(key),
                Piece::Begin(aside, _) => {
                    self.aside = aside;
                    break;
                }
            }
        }
        self.charge(steps.len())?;
        steps.reverse();
        Value::list(steps)
    }

    fn get_path(&mut self, of: &Value, path: &Value) -> Result<(), Raise> {
        let found = natives::get_path(of, path)?;
        self.charge(path.size())?;
        self.push(found.clone());
        if self.follows() {
            self.intact(of, "invalid path against")?;
            if let Value::List(path) = path {
                for key in &path.items {
                    self.path.push(Piece::Step(key.clone(), found.clone()));
                }
            }
        }
        Ok(())
    }

    fn set_into(&mut self, value: usize, path: usize) -> Result<(), Raise> {
        let new = self.pop()?;
        let Item::Value(path) = self.slot(path)?.clone() else { return Err(broken()) };
        // Taken out of the slot, so that it is changed and not copied.
        let whole = std::mem::replace(self.slot(value)?, Item::Value(Value::Null));
        let Item::Value(whole) = whole else { return Err(broken()) };
        let made = natives::set_path(self, whole, &path, new)?;
        *self.slot(value)? = Item::Value(made);
        Ok(())
    }

    fn begin_iteration(&mut self) -> Result<(), Raise> {
        let of = self.pop()?;
        let rest: Vec<(Value, Value)> = match &of {
            Value::List(list) => {
                let pairs = list.items.iter().enumerate();
                pairs.map(|(index, value)| (Value::count(index), value.clone())).collect()
            }
            Value::Dict(dict) => {
                let pairs = dict.entries.iter();
                pairs.map(|(key, value)| (Value::Text(key.clone()), value.clone())).collect()
            }
            other => {
                let message = format!("cannot iterate over: {}", other.described());
                return Err(Raise::message(message));
            }
        };
        if self.follows() {
            self.intact(&of, "invalid path on iterating against")?;
        }
        self.charge(rest.len())?;
        self.stack.push(Item::Rest(rest.into(), 0));
        Ok(())
    }

    /// The next of what is on the stack; false where there is none. The step stands at
    /// the iteration.
    fn iterate(&mut self) -> Result<bool, Raise> {
        let here = self.at;
        let value = match self.pop_item()? {
            Item::Rest(rest, next) => {
                let Some((key, value)) = rest.get(next).cloned() else { return Ok(false) };
                if next + 1 < rest.len() {
                    self.stack.push(Item::Rest(rest, next + 1));
                    self.fork(Kind::Iterate(here))?;
                    self.pop_item()?;
                }
                if self.follows() {
                    self.path.push(Piece::Step(key, value.clone()));
                }
                value
            }
            Item::Range(next, end, step) => {
                if !natives::in_range(&next, &end, &step) {
                    return Ok(false);
                }
                let after = natives::add(&next, &step)?;
                self.stack.push(Item::Range(after, end, step));
                self.fork(Kind::Iterate(here))?;
                self.pop_item()?;
                next
            }
            _ => return Err(broken()),
        };
        self.push(value);
        self.at = here + 1;
        Ok(true)
    }
}

/// Steps that do not fit together; no program compiles to such.
fn broken() -> Raise {
    Raise::Cut("the program was compiled wrongly".to_owned())
}
