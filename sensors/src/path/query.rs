//! Queries: `#(name=="x")`.

use std::borrow::Cow;

use super::scan::unescape;
use super::value::{Value, word};
use super::{Kind, wildcard};
use crate::number::parse_float_or_zero;

/// What an element must have.
#[derive(Debug, Default)]
pub(super) struct Query<'p> {
    /// The path into the element; empty is the element itself where that is a scalar.
    pub(super) path: &'p str,
    op: Op,
    value: Cow<'p, str>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Op {
    /// It must only exist.
    #[default]
    Exists,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Like,
    NotLike,
    /// Signs that are no comparison: nothing fits.
    Unknown,
}

impl<'p> Query<'p> {
    /// Reads `#(…)` or `#[…]` at the beginning of `path`; the query, and where it ends.
    pub(super) fn parse(path: &'p str) -> Option<(Self, usize)> {
        let bytes = path.as_bytes();
        let mut comparison = None;
        let mut escaped = false;
        let mut depth = 1;
        let mut at = 2;
        while at < bytes.len() {
            match bytes[at] {
                b'!' | b'=' | b'<' | b'>' | b'%' if depth == 1 && comparison.is_none() => {
                    comparison = Some(at);
                }
                b'\\' => at += 1,
                b'[' | b'(' => depth += 1,
                b']' | b')' => {
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                }
                b'"' => {
                    at += 1;
                    while at < bytes.len() && bytes[at] != b'"' {
                        if bytes[at] == b'\\' {
                            escaped = true;
                            at += 1;
                        }
                        at += 1;
                    }
                }
                _ => {}
            }
            at += 1;
        }
        if depth > 0 {
            return None;
        }
        let left = trim(&path[2..comparison.unwrap_or(at)]);
        let (op, value) = comparison.map_or((Op::Exists, ""), |from| Op::parse(&path[from..at]));
        let value = match value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) {
            Some(inside) if escaped => unescape(inside),
            Some(inside) => Cow::Borrowed(inside),
            None => Cow::Borrowed(value),
        };
        Some((Self { path: left, op, value }, at + 1))
    }

    /// Whether what the query's path found in an element fits.
    pub(super) fn fits(&self, found: Option<&Value<'_>>) -> bool {
        if let Some(wanted) = self.value.strip_prefix('~') {
            let truth = match wanted {
                "*" => found.is_some(),
                "null" => found.is_none_or(|found| found.kind == Kind::Null),
                "true" => found.and_then(truth) == Some(true),
                "false" => found.map_or(Some(false), truth) == Some(false),
                _ => return false,
            };
            return self.op == Op::Exists || self.op.holds_for_bool(truth, "true");
        }
        let Some(found) = found else { return false };
        if self.op == Op::Exists {
            return true;
        }
        match found.kind {
            Kind::String => self.op.holds_for_text(&found.text(), &self.value),
            Kind::Number => {
                self.op.holds_for_number(found.float(), parse_float_or_zero(&self.value))
            }
            Kind::True => self.op.holds_for_bool(true, &self.value),
            Kind::False => self.op.holds_for_bool(false, &self.value),
            Kind::Null | Kind::Json => false,
        }
    }
}

/// What a value says as a boolean, where it says one; `null` says false.
fn truth(value: &Value<'_>) -> Option<bool> {
    match value.kind {
        Kind::Null | Kind::False => Some(false),
        Kind::True => Some(true),
        Kind::Number => Some(value.float() != 0.0),
        Kind::String => word(&value.text()),
        Kind::Json => None,
    }
}

impl Op {
    /// Splits a comparison into its sign and its right side.
    fn parse(text: &str) -> (Self, &str) {
        let text = trim(text);
        let signs = [
            ("!=", Self::NotEqual),
            ("!%", Self::NotLike),
            ("<=", Self::LessOrEqual),
            (">=", Self::GreaterOrEqual),
            ("==", Self::Equal),
            ("<", Self::Less),
            (">", Self::Greater),
            ("=", Self::Equal),
            ("%", Self::Like),
        ];
        for (sign, op) in signs {
            if let Some(value) = text.strip_prefix(sign) {
                return (op, trim(value));
            }
        }
        // A `!` that begins no comparison. Alone it is an operator that never holds,
        // before a value it is none at all.
        if text == "!" { (Self::Unknown, "") } else { (Self::Exists, text) }
    }

    fn holds_for_text(self, left: &str, right: &str) -> bool {
        match self {
            Self::Like => wildcard::matches(left, right),
            Self::NotLike => !wildcard::matches(left, right),
            _ => self.holds(left.cmp(right)),
        }
    }

    fn holds_for_number(self, left: f64, right: f64) -> bool {
        match left.partial_cmp(&right) {
            Some(order) => self.holds(order),
            None => self == Self::NotEqual,
        }
    }

    /// A boolean is greater or less than the other one only.
    fn holds_for_bool(self, left: bool, right: &str) -> bool {
        let same = right == if left { "true" } else { "false" };
        let other = right == if left { "false" } else { "true" };
        match self {
            Self::Equal => same,
            Self::NotEqual => !same,
            Self::Greater => left && other,
            Self::GreaterOrEqual => left,
            Self::Less => !left && other,
            Self::LessOrEqual => !left,
            _ => false,
        }
    }

    fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
            _ => false,
        }
    }
}

/// Without white space and control characters around it.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ')
}
