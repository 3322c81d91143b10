//! What can be said of an expression before it is evaluated: literals of types that do
//! not go together are a mistake, as they are in Go. What a field holds is not known.

use super::Fault;
use super::syntax::{Each, Kind, Node, Operator};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Any,
    Nil,
    Bool,
    Int,
    Float,
    Text,
    List,
    Map,
    Function,
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Nil => "nil",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Float => "float64",
            Self::Text => "string",
            Self::List => "a list",
            Self::Map => "a map",
            Self::Function => "a function",
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Self::Any | Self::Int | Self::Float)
    }

    fn is(self, other: Self) -> bool {
        matches!(self, Self::Any) || self == other
    }
}

pub(super) fn check(node: &Node) -> Result<(), Fault> {
    type_of(node).map(|_| ())
}

fn need(node: &Node, wanted: Type) -> Result<(), Fault> {
    let found = type_of(node)?;
    if found.is(wanted) {
        return Ok(());
    }
    let message = format!("{} is expected, not {}", wanted.name(), found.name());
    Err(Fault::at(node.at, message))
}

fn type_of(node: &Node) -> Result<Type, Fault> {
    Ok(match &node.kind {
        Kind::Nil => Type::Nil,
        Kind::Bool(_) => Type::Bool,
        Kind::Int(_) => Type::Int,
        Kind::Float(_) => Type::Float,
        Kind::Text(_) => Type::Text,
        Kind::Name(name) if super::is_builtin(name) => Type::Function,
        Kind::Name(_) | Kind::Pointer(_) => Type::Any,
        Kind::List(items) => {
            items.iter().try_for_each(check)?;
            Type::List
        }
        Kind::Map(pairs) => {
            for (key, value) in pairs {
                need(key, Type::Text)?;
                check(value)?;
            }
            Type::Map
        }
        Kind::Not(of) => {
            need(of, Type::Bool)?;
            Type::Bool
        }
        Kind::Negate(of) | Kind::Plus(of) => {
            let found = type_of(of)?;
            if !found.is_number() {
                return Err(Fault::at(
                    of.at,
                    format!("a number is expected, not {}", found.name()),
                ));
            }
            found
        }
        Kind::Binary(operator, left, right) => binary(node, *operator, left, right)?,
        Kind::Matches(of, _) => {
            need(of, Type::Text)?;
            Type::Bool
        }
        Kind::If(condition, then, otherwise) => {
            need(condition, Type::Bool)?;
            let (then, otherwise) = (type_of(then)?, type_of(otherwise)?);
            if then == otherwise { then } else { Type::Any }
        }
        Kind::Elvis(condition, otherwise) => {
            need(condition, Type::Bool)?;
            check(otherwise)?;
            Type::Any
        }
        Kind::Let(_, value, rest) => {
            check(value)?;
            type_of(rest)?
        }
        Kind::Member { of, key, .. } => {
            let (found, key) = (type_of(of)?, type_of(key)?);
            match found {
                Type::List | Type::Text if !key.is_number() => {
                    let message = format!("{} has no field", found.name());
                    return Err(Fault::at(node.at, message));
                }
                Type::Bool | Type::Int | Type::Float | Type::Nil | Type::Function => {
                    let message = format!("{} has no field", found.name());
                    return Err(Fault::at(node.at, message));
                }
                Type::Map if !key.is(Type::Text) => {
                    return Err(Fault::at(node.at, "a key is a text"));
                }
                _ => Type::Any,
            }
        }
        Kind::Chain(inside) => type_of(inside)?,
        Kind::Slice(of, start, end) => {
            let found = type_of(of)?;
            if !matches!(found, Type::Any | Type::List | Type::Text) {
                return Err(Fault::at(node.at, format!("{} cannot be cut", found.name())));
            }
            for bound in [start, end].into_iter().flatten() {
                need(bound, Type::Int)?;
            }
            found
        }
        Kind::Call(callee, arguments) => {
            if type_of(callee)? == Type::Nil {
                return Err(Fault::at(node.at, "nil cannot be called"));
            }
            arguments.iter().try_for_each(check)?;
            Type::Any
        }
        Kind::Function(name, arguments) => function(node, name, arguments)?,
        Kind::Each(each, list, asked, start) => {
            need(list, Type::List)?;
            if let Some(start) = start {
                check(start)?;
            }
            match each {
                Each::Map | Each::GroupBy | Each::Reduce => check(asked)?,
                _ => need(asked, Type::Bool)?,
            }
            match each {
                Each::All | Each::None | Each::Any | Each::One => Type::Bool,
                Each::Filter | Each::Map => Type::List,
                Each::Count | Each::FindIndex | Each::FindLastIndex => Type::Int,
                _ => Type::Any,
            }
        }
    })
}

/// What a function of the language answers, as far as that is known before.
fn function(node: &Node, name: &str, arguments: &[Node]) -> Result<Type, Fault> {
    let types = arguments.iter().map(type_of).collect::<Result<Vec<_>, _>>()?;
    let refused =
        |found: &Type| Fault::at(node.at, format!("`{name}` does not take {}", found.name()));
    Ok(match name {
        // They compare arguments; that an argument may be a list is only known later.
        "max" | "min" => {
            for found in &types {
                match found {
                    Type::Any => return Ok(Type::Any),
                    Type::Int | Type::Float => {}
                    other => return Err(refused(other)),
                }
            }
            types.first().copied().unwrap_or(Type::Any)
        }
        "get" => match types.as_slice() {
            [found @ (Type::Nil | Type::Bool | Type::Int | Type::Float), ..] => {
                return Err(refused(found));
            }
            [Type::List, key, ..] if !key.is_number() => return Err(refused(key)),
            _ => Type::Any,
        },
        "first" | "last" => match types.first() {
            Some(Type::Any | Type::List) | None => Type::Any,
            Some(other) => return Err(refused(other)),
        },
        "len" | "int" | "indexOf" | "lastIndexOf" => Type::Int,
        "ceil" | "floor" | "round" | "float" | "mean" | "median" => Type::Float,
        "hasPrefix" | "hasSuffix" => Type::Bool,
        "type" | "string" | "trim" | "trimPrefix" | "trimSuffix" | "upper" | "lower"
        | "replace" | "repeat" | "join" | "toJSON" | "toBase64" | "fromBase64" => Type::Text,
        "split" | "splitAfter" | "keys" | "values" | "toPairs" | "sort" | "sortBy" => Type::List,
        "fromPairs" => Type::Map,
        _ => Type::Any,
    })
}

fn binary(node: &Node, operator: Operator, left: &Node, right: &Node) -> Result<Type, Fault> {
    use Operator as O;
    let (a, b) = (type_of(left)?, type_of(right)?);
    let any = a == Type::Any || b == Type::Any;
    let numbers = a.is_number() && b.is_number();
    let texts = a.is(Type::Text) && b.is(Type::Text);
    let (fits, made) = match operator {
        O::Equal | O::NotEqual => {
            (any || numbers || a == b || a == Type::Nil || b == Type::Nil, Type::Bool)
        }
        O::Or | O::And => (a.is(Type::Bool) && b.is(Type::Bool), Type::Bool),
        O::Less | O::LessOrEqual | O::Greater | O::GreaterOrEqual => {
            (numbers || texts || any && a != Type::Nil && b != Type::Nil, Type::Bool)
        }
        O::In => (matches!(b, Type::Any | Type::Nil | Type::List | Type::Map), Type::Bool),
        O::Matches | O::Contains | O::StartsWith | O::EndsWith => (texts, Type::Bool),
        O::Range => (a.is(Type::Int) && b.is(Type::Int), Type::List),
        O::Add if texts && a == Type::Text && b == Type::Text => (true, Type::Text),
        O::Add => (numbers || texts || any && a != Type::Nil && b != Type::Nil, merged(a, b)),
        O::Subtract | O::Multiply => (numbers, merged(a, b)),
        O::Divide => (numbers, if any { Type::Any } else { Type::Float }),
        O::Power => (numbers, Type::Float),
        O::Modulo => (a.is(Type::Int) && b.is(Type::Int), Type::Int),
        O::Otherwise => (true, if a == b { a } else { Type::Any }),
    };
    if fits {
        return Ok(made);
    }
    let message = format!("the operator does not take {} and {}", a.name(), b.name());
    Err(Fault::at(node.at, message))
}

fn merged(left: Type, right: Type) -> Type {
    match (left, right) {
        (Type::Int, Type::Int) => Type::Int,
        (Type::Int | Type::Float, Type::Int | Type::Float) => Type::Float,
        _ => Type::Any,
    }
}
