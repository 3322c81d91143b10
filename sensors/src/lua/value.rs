//! Values of Lua.

use std::sync::Arc;

use super::library::Native;

/// A value. Tables, functions and coroutines are numbers of what the machine keeps, so
/// that all of it goes when the machine does, in circles or not.
#[derive(Clone, Debug, Default)]
pub(super) enum Value {
    #[default]
    Nil,
    Bool(bool),
    Number(f64),
    Text(Arc<[u8]>),
    Table(usize),
    Closure(usize),
    Native(&'static Native),
    /// A function of the library with a value of its own.
    Bound(usize),
    Coroutine(usize),
    /// Only in slots: a variable that inner functions see too.
    Cell(usize),
}

impl Value {
    pub(super) fn text(text: impl AsRef<[u8]>) -> Self {
        Self::Text(text.as_ref().into())
    }

    #[expect(clippy::cast_precision_loss, reason = "Lua has only floats")]
    pub(super) fn count(count: usize) -> Self {
        Self::Number(count as f64)
    }

    pub(super) fn is_true(&self) -> bool {
        !matches!(self, Self::Nil | Self::Bool(false))
    }

    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil | Self::Cell(_) => "nil",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::Text(_) => "string",
            Self::Table(_) => "table",
            Self::Closure(_) | Self::Native(_) | Self::Bound(_) => "function",
            Self::Coroutine(_) => "thread",
        }
    }

    /// The text of a text or number.
    pub(super) fn as_text(&self) -> Option<Arc<[u8]>> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Number(number) => Some(display(*number).into_bytes().into()),
            _ => None,
        }
    }

    /// The number of a number, or of a text that is one.
    pub(super) fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => number(text),
            _ => None,
        }
    }

    /// Whether both are the same, without metatables.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nil, Self::Nil) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            #[expect(clippy::float_cmp, reason = "Lua compares floats exactly")]
            (Self::Number(a), Self::Number(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Table(a), Self::Table(b))
            | (Self::Closure(a), Self::Closure(b))
            | (Self::Bound(a), Self::Bound(b))
            | (Self::Coroutine(a), Self::Coroutine(b)) => a == b,
            (Self::Native(a), Self::Native(b)) => std::ptr::eq(*a, *b),
            _ => false,
        }
    }
}

/// A number as Go prints it: one without a fraction as an integer, where it fits.
pub(super) fn display(number: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "what does not fit differs")]
    let whole = number as i64;
    // `as` saturates, where Go's conversion gives the least integer.
    #[expect(clippy::cast_precision_loss, clippy::float_cmp, reason = "as Go compares")]
    if whole as f64 == number && number < 9_223_372_036_854_775_808.0 {
        return whole.to_string();
    }
    match number {
        number if number.is_nan() => "NaN".to_owned(),
        number if number.is_infinite() => if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned(),
        number => crate::number::display_float(number),
    }
}

/// A text as a number: an integer with a prefix for its base, or a float.
pub(super) fn number(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?.trim_matches([' ', '\t', '\n']);
    integer(text, 0).or_else(|| crate::number::parse_float(text).ok())
}

/// Go's `strconv.ParseInt`; base 0 goes by the prefix.
pub(super) fn integer(text: &str, base: u32) -> Option<f64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (base, digits) = match base {
        0 => {
            let lower = digits.to_ascii_lowercase();
            if let Some(digits) = lower.strip_prefix("0x") {
                (16, digits.to_owned())
            } else if let Some(digits) = lower.strip_prefix("0b") {
                (2, digits.to_owned())
            } else if let Some(digits) = lower.strip_prefix("0o") {
                (8, digits.to_owned())
            } else if lower.len() > 1 && lower.starts_with('0') {
                (8, lower[1..].to_owned())
            } else {
                (10, lower)
            }
        }
        base => (base, digits.to_owned()),
    };
    if !(2..=36).contains(&base) || !digits.bytes().all(|c| c.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = i128::from(u64::from_str_radix(&digits, base).ok()?);
    let value = i64::try_from(if negative { -magnitude } else { magnitude }).ok()?;
    #[expect(clippy::cast_precision_loss, reason = "Lua has only floats")]
    let value = value as f64;
    Some(value)
}
