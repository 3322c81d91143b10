//! The value of an expression.

use super::{Binary, Node, Prefix, Value, pattern};

type Lookup<'l, 'a> = &'l dyn Fn(&str) -> Option<Value<'a>>;
type Evaluated<'a> = Result<Value<'a>, String>;

impl Node {
    pub(super) fn evaluate<'a>(&'a self, lookup: Lookup<'_, 'a>) -> Evaluated<'a> {
        match self {
            Self::Number(value) => Ok(Value::Number(*value)),
            Self::Bool(value) => Ok(Value::Bool(*value)),
            Self::Text(text) => Ok(Value::Text(text.into())),
            Self::Pattern(pattern) => Ok(Value::Text(pattern.as_str().into())),
            Self::Missing => Ok(Value::Null),
            Self::Name(name) => {
                lookup(name).ok_or_else(|| format!("there is no field with the name `{name}`"))
            }
            Self::Member(name, arguments) => {
                if let Some(arguments) = arguments {
                    arguments.evaluate(lookup)?;
                }
                Err(format!("`{name}`: values have no members"))
            }
            Self::Prefix(prefix, operand) => prefix.apply(operand.evaluate(lookup)?),
            Self::Binary(binary, left, right) => binary.evaluate(left, right, lookup),
        }
    }
}

impl Prefix {
    fn apply<'a>(self, operand: Value<'a>) -> Evaluated<'a> {
        match (self, operand) {
            (Self::Negate, Value::Number(value)) => Ok(Value::Number(-value)),
            (Self::Not, Value::Bool(value)) => Ok(Value::Bool(!value)),
            #[expect(clippy::cast_precision_loss, reason = "Go converts it too")]
            (Self::BitNot, Value::Number(value)) => Ok(Value::Number(!integer(value) as f64)),
            (prefix, operand) => {
                let sign = match prefix {
                    Self::Negate => "-",
                    Self::Not => "!",
                    Self::BitNot => "~",
                };
                Err(format!("`{sign}` cannot be applied to {}", operand.described()))
            }
        }
    }
}

impl Binary {
    fn evaluate<'a>(
        self,
        left: &'a Node,
        right: &'a Node,
        lookup: Lookup<'_, 'a>,
    ) -> Evaluated<'a> {
        let left = left.evaluate(lookup)?;
        match (self, &left) {
            (Self::And, Value::Bool(false)) | (Self::Or, Value::Bool(true)) => return Ok(left),
            (Self::Then, Value::Bool(false)) => return Ok(Value::Null),
            (Self::Else | Self::Coalesce, value) if !value.is_null() => return Ok(left),
            _ => {}
        }
        if let Node::Pattern(pattern) = right
            && let (Self::Matches | Self::NotMatches, Value::Text(text)) = (self, &left)
        {
            return Ok(Value::Bool(pattern.is_match(text) == (self == Self::Matches)));
        }
        let right = right.evaluate(lookup)?;
        self.apply(left, right)
    }

    fn apply<'a>(self, left: Value<'a>, right: Value<'a>) -> Evaluated<'a> {
        if let (Value::Number(left), Value::Number(right)) = (&left, &right)
            && let Some(value) = self.arithmetic(*left, *right)
        {
            return Ok(Value::Number(value));
        }
        match (self, left, right) {
            (Self::Separate, Value::Array(mut elements), right) => {
                elements.push(right);
                Ok(Value::Array(elements))
            }
            (Self::Separate, left, right) => Ok(Value::Array(vec![left, right])),
            (Self::Then, Value::Bool(_), right) => Ok(right),
            (Self::Else | Self::Coalesce, _, right) => Ok(right),
            (Self::And | Self::Or, Value::Bool(_), Value::Bool(right)) => Ok(Value::Bool(right)),
            (Self::Equal, left, right) => Ok(Value::Bool(left == right)),
            (Self::NotEqual, left, right) => Ok(Value::Bool(left != right)),
            (Self::Add, left, right) if left.is_text() || right.is_text() => {
                Ok(Value::Text(format!("{left}{right}").into()))
            }
            (Self::Matches | Self::NotMatches, Value::Text(text), Value::Text(right)) => {
                let matches = pattern(&right)?.is_match(&text);
                Ok(Value::Bool(matches == (self == Self::Matches)))
            }
            (Self::In, left, Value::Array(elements)) => contains(&left, &elements),
            (_, left, right) => self.compare(&left, &right),
        }
    }

    /// Bits are those of 64-bit integers.
    #[expect(clippy::cast_precision_loss, reason = "Go converts integers to floats too")]
    fn arithmetic(self, left: f64, right: f64) -> Option<f64> {
        Some(match self {
            Self::Add => left + right,
            Self::Subtract => left - right,
            Self::Multiply => left * right,
            Self::Divide => left / right,
            Self::Modulo => left % right,
            Self::Power => left.powf(right),
            Self::BitAnd => (integer(left) & integer(right)) as f64,
            Self::BitOr => (integer(left) | integer(right)) as f64,
            Self::BitXor => (integer(left) ^ integer(right)) as f64,
            Self::ShiftLeft => shift(left, right, u64::checked_shl) as f64,
            Self::ShiftRight => shift(left, right, u64::checked_shr) as f64,
            _ => return None,
        })
    }

    /// Two numbers or two texts are compared; anything else is an error, also for the
    /// operators that were not handled before.
    fn compare<'a>(self, left: &Value<'a>, right: &Value<'a>) -> Evaluated<'a> {
        let order = match (left, right) {
            (Value::Number(left), Value::Number(right)) => Some(left.partial_cmp(right)),
            (Value::Text(left), Value::Text(right)) => Some(Some(left.cmp(right))),
            _ => None,
        };
        let holds: fn(std::cmp::Ordering) -> bool = match self {
            Self::Greater => std::cmp::Ordering::is_gt,
            Self::GreaterOrEqual => std::cmp::Ordering::is_ge,
            Self::Less => std::cmp::Ordering::is_lt,
            Self::LessOrEqual => std::cmp::Ordering::is_le,
            _ => return Err(self.unfit(left, right)),
        };
        let order = order.ok_or_else(|| self.unfit(left, right))?;
        Ok(Value::Bool(order.is_some_and(holds)))
    }

    fn unfit(self, left: &Value<'_>, right: &Value<'_>) -> String {
        let (sign, left, right) = (self.sign(), left.described(), right.described());
        format!("`{sign}` cannot be applied to {left} and {right}")
    }
}

/// Values that have parts cannot be compared in this way: Go crashes.
fn contains<'a>(wanted: &Value<'a>, elements: &[Value<'a>]) -> Evaluated<'a> {
    for element in elements {
        match (wanted, element) {
            (Value::Array(_), Value::Array(_)) | (Value::Object(_), Value::Object(_)) => {
                return Err("`in` cannot compare arrays or objects".to_owned());
            }
            _ if wanted == element => return Ok(Value::Bool(true)),
            _ => {}
        }
    }
    Ok(Value::Bool(false))
}

/// A float as a 64-bit integer; what does not fit is the smallest, as on the processors
/// that Argo Events runs on.
fn integer(value: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    #[expect(clippy::cast_possible_truncation, reason = "it is in range")]
    if (-LIMIT..LIMIT).contains(&value) { value as i64 } else { i64::MIN }
}

fn shift(left: f64, right: f64, shift: fn(u64, u32) -> Option<u64>) -> u64 {
    u32::try_from(unsigned(right)).ok().and_then(|by| shift(unsigned(left), by)).unwrap_or(0)
}

#[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "as Go does")]
fn unsigned(value: f64) -> u64 {
    if value >= 9_223_372_036_854_775_808.0 { value as u64 } else { integer(value) as u64 }
}
