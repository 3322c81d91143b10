//! Works an expression out.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

use jiff::Timestamp;
use regex::Regex;

use super::MAX_STEPS;
use super::functions;
use super::syntax::{Each, Kind, Node, Operator};
use super::value::{Element, Value};

/// The most elements that are made in all.
const MAX_ELEMENTS: usize = 1_000_000;

/// What ends an evaluation, or a part of it.
pub(super) enum Stop {
    Error(String),
    /// `?.` has found nothing: all of the chain is nil.
    Nothing,
}

impl From<String> for Stop {
    fn from(message: String) -> Self {
        Self::Error(message)
    }
}

pub(super) type Worked<T = Value> = Result<T, Stop>;

fn fail<T>(message: impl Into<String>) -> Worked<T> {
    Err(Stop::Error(message.into()))
}

/// The value of an expression over these fields.
pub(super) fn evaluate(
    node: &Node,
    fields: BTreeMap<String, Value>,
    now: Option<Timestamp>,
) -> Result<Value, String> {
    let mut evaluator = Evaluator {
        fields: Rc::new(fields),
        now,
        left: MAX_STEPS,
        elements: 0,
        variables: Vec::new(),
        scopes: Vec::new(),
    };
    match evaluator.value(node) {
        Ok(value) => Ok(value),
        Err(Stop::Error(message)) => Err(message),
        Err(Stop::Nothing) => Ok(Value::Nil),
    }
}

pub(super) struct Evaluator {
    fields: Rc<BTreeMap<String, Value>>,
    pub(super) now: Option<Timestamp>,
    left: usize,
    elements: usize,
    variables: Vec<(Rc<str>, Value)>,
    scopes: Vec<Scope>,
}

/// What goes through a list.
struct Scope {
    items: Rc<Vec<Value>>,
    index: usize,
    sum: Value,
}

impl Evaluator {
    pub(super) fn charge(&mut self, steps: usize) -> Worked<()> {
        match self.left.checked_sub(steps) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => fail(format!("the expression takes more than {MAX_STEPS} steps")),
        }
    }

    fn grow(&mut self, elements: usize) -> Worked<()> {
        self.elements = self.elements.saturating_add(elements);
        if self.elements >= MAX_ELEMENTS {
            return fail(format!("lists of more than {MAX_ELEMENTS} elements are made"));
        }
        Ok(())
    }

    fn value(&mut self, node: &Node) -> Worked {
        self.charge(1)?;
        match &node.kind {
            Kind::Nil => Ok(Value::Nil),
            Kind::Bool(value) => Ok(Value::Bool(*value)),
            Kind::Int(value) => Ok(Value::Int(*value)),
            Kind::Float(value) => Ok(Value::Float(*value)),
            Kind::Text(text) => Ok(Value::text(&**text)),
            Kind::Name(name) => Ok(self.name(name)),
            Kind::Pointer(name) => self.pointer(name),
            Kind::List(items) => {
                self.grow(items.len())?;
                let items = items.iter().map(|item| self.value(item));
                Ok(Value::list(items.collect::<Worked<_>>()?))
            }
            Kind::Map(pairs) => {
                self.grow(pairs.len())?;
                let mut map = BTreeMap::new();
                for (key, value) in pairs {
                    let key = self.value(key)?;
                    let key = text(&key)?.to_owned();
                    map.insert(key, self.value(value)?);
                }
                Ok(Value::Map(Rc::new(map)))
            }
            Kind::Not(of) => Ok(Value::Bool(!self.truth(of)?)),
            Kind::Negate(of) => match self.value(of)? {
                Value::Int(value) => Ok(Value::Int(value.wrapping_neg())),
                Value::Float(value) => Ok(Value::Float(-value)),
                other => fail(format!("{} cannot be negated", other.type_name())),
            },
            Kind::Plus(of) => self.value(of),
            Kind::Binary(operator, left, right) => self.binary(*operator, left, right),
            Kind::Matches(of, pattern) => self.matches(of, pattern),
            Kind::If(condition, then, otherwise) => {
                if self.truth(condition)? {
                    self.value(then)
                } else {
                    self.value(otherwise)
                }
            }
            Kind::Elvis(condition, otherwise) => {
                if self.truth(condition)? {
                    Ok(Value::Bool(true))
                } else {
                    self.value(otherwise)
                }
            }
            Kind::Let(name, value, rest) => {
                let value = self.value(value)?;
                self.variables.push((Rc::from(&**name), value));
                let worked = self.value(rest);
                self.variables.pop();
                worked
            }
            Kind::Member { of, key, optional } => {
                let of = self.value(of)?;
                if *optional && matches!(of, Value::Nil) {
                    return Err(Stop::Nothing);
                }
                let key = self.value(key)?;
                fetch(&of, &key)
            }
            Kind::Chain(inside) => match self.value(inside) {
                Err(Stop::Nothing) => Ok(Value::Nil),
                worked => worked,
            },
            Kind::Slice(of, start, end) => self.slice(of, start.as_deref(), end.as_deref()),
            Kind::Call(callee, arguments) => {
                let callee = self.value(callee)?;
                let arguments = self.all(arguments)?;
                functions::call_value(self, &callee, arguments)
            }
            Kind::Function(name, arguments) => {
                let arguments = self.all(arguments)?;
                functions::call(self, name, arguments)
            }
            Kind::Each(each, list, asked, start) => self.each(*each, list, asked, start.as_deref()),
        }
    }

    fn all(&mut self, nodes: &[Node]) -> Worked<Vec<Value>> {
        nodes.iter().map(|node| self.value(node)).collect()
    }

    fn name(&self, name: &str) -> Value {
        if let Some((_, value)) = self.variables.iter().rev().find(|(known, _)| **known == *name) {
            return value.clone();
        }
        if name == "$env" {
            return Value::Map(self.fields.clone());
        }
        self.fields.get(name).cloned().unwrap_or(Value::Nil)
    }

    fn pointer(&self, name: &str) -> Worked {
        let Some(scope) = self.scopes.last() else { return fail("`#` stands for nothing here") };
        match name {
            "acc" => Ok(scope.sum.clone()),
            "index" => Ok(Value::count(scope.index)),
            _ => match scope.items.get(scope.index) {
                Some(item) => Ok(item.clone()),
                None => fail("the list is empty"),
            },
        }
    }

    fn truth(&mut self, node: &Node) -> Worked<bool> {
        match self.value(node)? {
            Value::Bool(value) => Ok(value),
            other => fail(format!("{} is neither true nor false", other.type_name())),
        }
    }

    fn matches(&mut self, of: &Node, pattern: &Regex) -> Worked {
        let of = self.value(of)?;
        let text = text(&of)?;
        self.charge(text.len() / 8)?;
        Ok(Value::Bool(pattern.is_match(text)))
    }

    fn binary(&mut self, operator: Operator, left: &Node, right: &Node) -> Worked {
        use Operator as O;
        match operator {
            // A literal on the right decides before the left is worked out.
            O::Or if matches!(right.kind, Kind::Bool(true)) => return Ok(Value::Bool(true)),
            O::And if matches!(right.kind, Kind::Bool(false)) => return Ok(Value::Bool(false)),
            O::Or => return Ok(Value::Bool(self.truth(left)? || self.truth(right)?)),
            O::And => return Ok(Value::Bool(self.truth(left)? && self.truth(right)?)),
            O::Otherwise => {
                return match self.value(left)? {
                    Value::Nil => self.value(right),
                    value => Ok(value),
                };
            }
            _ => {}
        }
        let a = self.value(left)?;
        let b = self.value(right)?;
        self.charge(a.size().min(b.size()) / 8)?;
        let compared = |holds: fn(Ordering) -> bool| match a.order(&b) {
            Some(order) => Ok(Value::Bool(order.is_some_and(holds))),
            None => fail(format!("{} and {} cannot be compared", a.type_name(), b.type_name())),
        };
        match operator {
            O::Equal => Ok(Value::Bool(a.equals(&b))),
            O::NotEqual => Ok(Value::Bool(!a.equals(&b))),
            O::Less => compared(Ordering::is_lt),
            O::LessOrEqual => compared(Ordering::is_le),
            O::Greater => compared(Ordering::is_gt),
            O::GreaterOrEqual => compared(Ordering::is_ge),
            O::In => {
                self.charge(b.size() / 4)?;
                is_in(&a, &b, right)
            }
            O::Matches => {
                self.charge(100)?;
                let pattern = crate::go_regex::compile(text(&b)?)?;
                self.charge(text(&a)?.len() / 8)?;
                Ok(Value::Bool(pattern.is_match(text(&a)?)))
            }
            O::Contains => Ok(Value::Bool(text(&a)?.contains(text(&b)?))),
            O::StartsWith => Ok(Value::Bool(text(&a)?.starts_with(text(&b)?))),
            O::EndsWith => Ok(Value::Bool(text(&a)?.ends_with(text(&b)?))),
            O::Range => {
                let (first, last) = (int(&a)?, int(&b)?);
                let count = i128::from(last) - i128::from(first) + 1;
                self.grow(usize::try_from(count).unwrap_or_default())?;
                let items = (first..=last).map(Value::Int).collect();
                Ok(Value::List(Rc::new(items), Element::Int))
            }
            O::Power => Ok(Value::Float(libm::pow(float(&a)?, float(&b)?))),
            _ => self.calculate(operator, &a, &b),
        }
    }

    fn calculate(&mut self, operator: Operator, a: &Value, b: &Value) -> Worked {
        use Operator as O;
        let wrong = || fail(format!("{} and {} do not go together", a.type_name(), b.type_name()));
        match (operator, a, b) {
            (O::Divide, _, _) => Ok(Value::Float(float(a)? / float(b)?)),
            (O::Modulo, Value::Int(_), Value::Int(0)) => fail("the divisor is 0"),
            (O::Modulo, Value::Int(a), Value::Int(b)) => Ok(Value::Int(a.wrapping_rem(*b))),
            (O::Modulo, _, _) => wrong(),
            (O::Add, Value::Int(a), Value::Int(b)) => Ok(Value::Int(a.wrapping_add(*b))),
            (O::Subtract, Value::Int(a), Value::Int(b)) => Ok(Value::Int(a.wrapping_sub(*b))),
            (O::Multiply, Value::Int(a), Value::Int(b)) => Ok(Value::Int(a.wrapping_mul(*b))),
            (O::Add, Value::Text(a), Value::Text(b)) => {
                self.charge((a.len() + b.len()) / 8)?;
                Ok(Value::text(format!("{a}{b}")))
            }
            (O::Add, Value::Time(time), Value::Duration(by))
            | (O::Add, Value::Duration(by), Value::Time(time)) => {
                time.checked_add(*by).map(Value::Time).or_else(|error| fail(error.to_string()))
            }
            (O::Subtract, Value::Time(time), Value::Duration(by)) => {
                time.checked_sub(*by).map(Value::Time).or_else(|error| fail(error.to_string()))
            }
            (O::Subtract, Value::Time(a), Value::Time(b)) => {
                Ok(Value::Duration(a.duration_since(*b)))
            }
            (O::Add, Value::Duration(a), Value::Duration(b)) => {
                Ok(Value::Duration(a.saturating_add(*b)))
            }
            _ => match (a.float(), b.float(), operator) {
                (Some(a), Some(b), O::Add) => Ok(Value::Float(a + b)),
                (Some(a), Some(b), O::Subtract) => Ok(Value::Float(a - b)),
                (Some(a), Some(b), O::Multiply) => Ok(Value::Float(a * b)),
                _ => wrong(),
            },
        }
    }

    fn slice(&mut self, of: &Node, start: Option<&Node>, end: Option<&Node>) -> Worked {
        let of = self.value(of)?;
        self.charge(of.size() / 8)?;
        let length = i64::try_from(of.size()).unwrap_or(i64::MAX);
        let mut bound = |node: Option<&Node>, otherwise: i64| match node {
            Some(node) => self.value(node).and_then(|value| int(&value)),
            None => Ok(otherwise),
        };
        let from_end = |at: i64| if at < 0 { at.saturating_add(length) } else { at }.max(0);
        let end = from_end(bound(end, length)?).min(length);
        let start = from_end(bound(start, 0)?).min(end);
        let range =
            usize::try_from(start).unwrap_or_default()..usize::try_from(end).unwrap_or_default();
        match &of {
            Value::List(items, element) => {
                Ok(Value::List(Rc::new(items[range].to_vec()), *element))
            }
            Value::Text(text) => {
                Ok(Value::text(String::from_utf8_lossy(&text.as_bytes()[range]).into_owned()))
            }
            other => fail(format!("{} cannot be cut", other.type_name())),
        }
    }

    fn each(&mut self, each: Each, list: &Node, asked: &Node, start: Option<&Node>) -> Worked {
        let items = match self.value(list)? {
            Value::List(items, _) => items,
            Value::Map(map) if map.is_empty() => Rc::default(),
            // A text is gone through byte by byte.
            Value::Text(text) => {
                Rc::new(text.bytes().map(|byte| Value::Int(byte.into())).collect())
            }
            other => return fail(format!("{} is no list", other.type_name())),
        };
        self.charge(items.len())?;
        let mut first = 0;
        let mut sum = Value::Nil;
        if each == Each::Reduce {
            match start {
                Some(start) => sum = self.value(start)?,
                None => match items.first() {
                    Some(item) => (sum, first) = (item.clone(), 1),
                    None => return fail("the list is empty"),
                },
            }
        }
        self.scopes.push(Scope { items: items.clone(), index: 0, sum });
        let worked = self.go_through(each, &items, asked, first);
        self.scopes.pop();
        worked
    }

    fn go_through(
        &mut self,
        each: Each,
        items: &Rc<Vec<Value>>,
        asked: &Node,
        first: usize,
    ) -> Worked {
        let mut made = Vec::new();
        let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
        let mut count = 0;
        let backwards = matches!(each, Each::FindLast | Each::FindLastIndex);
        for step in first..items.len() {
            let index = if backwards { items.len() - 1 - step } else { step };
            if let Some(scope) = self.scopes.last_mut() {
                scope.index = index;
            }
            match each {
                Each::Map => made.push(self.value(asked)?),
                Each::GroupBy => {
                    let key = self.value(asked)?;
                    self.charge(groups.len())?;
                    match groups.iter_mut().find(|(known, _)| known.equals(&key)) {
                        Some((_, group)) => group.push(items[index].clone()),
                        None => groups.push((key, vec![items[index].clone()])),
                    }
                }
                Each::Reduce => {
                    let sum = self.value(asked)?;
                    if let Some(scope) = self.scopes.last_mut() {
                        scope.sum = sum;
                    }
                }
                _ => {
                    let holds = self.truth(asked)?;
                    match each {
                        Each::All if !holds => return Ok(Value::Bool(false)),
                        Each::None if holds => return Ok(Value::Bool(false)),
                        Each::Any if holds => return Ok(Value::Bool(true)),
                        Each::Find | Each::FindLast if holds => return Ok(items[index].clone()),
                        Each::FindIndex | Each::FindLastIndex if holds => {
                            return Ok(Value::count(index));
                        }
                        Each::Filter if holds => made.push(items[index].clone()),
                        _ => {}
                    }
                    count += usize::from(holds);
                }
            }
        }
        self.grow(made.len())?;
        Ok(match each {
            Each::All | Each::None => Value::Bool(true),
            Each::Any => Value::Bool(false),
            Each::One => Value::Bool(count == 1),
            Each::Filter | Each::Map => Value::list(made),
            Each::Count => Value::count(count),
            Each::GroupBy => {
                let group = |(key, group)| (key, Value::list(group));
                Value::Groups(Rc::new(groups.into_iter().map(group).collect()))
            }
            Each::Reduce => self.scopes.last().map_or(Value::Nil, |scope| scope.sum.clone()),
            _ => Value::Nil,
        })
    }
}

/// `needle in container`.
fn is_in(needle: &Value, container: &Value, written: &Node) -> Worked {
    // A list of texts is looked up as a map in Go, whose keys are texts.
    let texts = matches!(&written.kind, Kind::List(items)
        if !items.is_empty() && items.iter().all(|item| matches!(item.kind, Kind::Text(_))));
    Ok(Value::Bool(match (container, needle) {
        (Value::Nil, _) => false,
        (Value::List(..), Value::Nil) if texts => false,
        (Value::List(..), other) if texts && !matches!(other, Value::Text(_)) => {
            return fail(format!("{} is not looked for among texts", other.type_name()));
        }
        (Value::List(items, _), needle) => items.iter().any(|item| item.equals(needle)),
        (Value::Map(map), Value::Text(key)) => map.contains_key(&**key),
        (Value::Map(map), Value::Nil) => map.contains_key(""),
        (Value::Groups(groups), needle) => groups.iter().any(|(key, _)| key.equals(needle)),
        (other, needle) => {
            let (other, needle) = (other.type_name(), needle.type_name());
            return fail(format!("{needle} cannot be looked for in {other}"));
        }
    }))
}

/// `of[key]`.
pub(super) fn fetch(of: &Value, key: &Value) -> Worked {
    let shown = |key: &Value| match key {
        Value::Text(text) => text.to_string(),
        other => other.int().map_or_else(|| other.type_name().to_owned(), |at| at.to_string()),
    };
    match (of, key) {
        (Value::Map(map), Value::Text(key)) => Ok(map.get(&**key).cloned().unwrap_or(Value::Nil)),
        (Value::Map(map), Value::Nil) => Ok(map.get("").cloned().unwrap_or(Value::Nil)),
        (Value::Groups(groups), key) => {
            let found = groups.iter().find(|(known, _)| known.equals(key));
            Ok(found.map_or(Value::Nil, |(_, value)| value.clone()))
        }
        (Value::Function(name), Value::Text(key)) if **name == *"sprig" => {
            Ok(functions::sprig(key).unwrap_or(Value::Nil))
        }
        (Value::List(..) | Value::Text(_), _) => {
            let length = i64::try_from(of.size()).unwrap_or(i64::MAX);
            let at = int(key)?;
            let at = if at < 0 { at.saturating_add(length) } else { at };
            let place = usize::try_from(at).unwrap_or(usize::MAX);
            let found = match of {
                Value::List(items, _) => items.get(place).cloned(),
                Value::Text(text) => {
                    text.as_bytes().get(place).map(|byte| Value::Int((*byte).into()))
                }
                _ => None,
            };
            found.map_or_else(|| fail(format!("there is no element {at} among {length}")), Ok)
        }
        _ => fail(format!("cannot fetch {} from {}", shown(key), of.type_name())),
    }
}

pub(super) fn text(value: &Value) -> Worked<&str> {
    match value {
        Value::Text(text) => Ok(text),
        other => fail(format!("a text is expected, not {}", other.type_name())),
    }
}

pub(super) fn int(value: &Value) -> Worked<i64> {
    match value.int() {
        Some(int) => Ok(int),
        None => fail(format!("a number is expected, not {}", value.type_name())),
    }
}

fn float(value: &Value) -> Worked<f64> {
    match value.float() {
        Some(float) => Ok(float),
        None => fail(format!("a number is expected, not {}", value.type_name())),
    }
}
