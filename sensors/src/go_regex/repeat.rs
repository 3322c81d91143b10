//! Repetitions: `*`, `+`, `?` and counts.

use std::fmt;

/// The largest count, also of the product of counts inside each other.
const MAX_COUNT: u64 = 1000;

/// How often something is repeated.
#[derive(Clone, Copy, Debug)]
pub(super) enum Repeat {
    Sign(char),
    /// From so often to so often; `None`: without end.
    Count(u64, Option<u64>),
}

impl Repeat {
    pub(super) fn sign(c: char) -> Self {
        Self::Sign(c)
    }

    /// The product of counts, of something with the product `inner`.
    pub(super) fn weight(self, inner: u64) -> Result<u64, String> {
        let Self::Count(low, high) = self else { return Ok(inner) };
        let largest = high.unwrap_or(low);
        if low > MAX_COUNT || largest > MAX_COUNT {
            return Err(format!("`{self}` repeats more than {MAX_COUNT} times"));
        }
        if high.is_some_and(|high| high < low) {
            return Err(format!("`{self}` ends before it begins"));
        }
        let weight = match (high, largest) {
            (Some(0), _) => 0,
            (None, 0) => inner,
            _ => largest * inner.max(1),
        };
        if largest >= 2 && weight > MAX_COUNT {
            return Err(format!("`{self}` and what is in it repeat more than {MAX_COUNT} times"));
        }
        Ok(weight)
    }
}

impl fmt::Display for Repeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sign(sign) => write!(f, "{sign}"),
            Self::Count(low, None) => write!(f, "{{{low},}}"),
            Self::Count(low, Some(high)) if low == high => write!(f, "{{{low}}}"),
            Self::Count(low, Some(high)) => write!(f, "{{{low},{high}}}"),
        }
    }
}

/// The count at the beginning of `pattern` and its size; `None`: the brace is only a
/// brace.
pub(super) fn braces(pattern: &str) -> Option<(Repeat, usize)> {
    let end = pattern.find('}')?;
    let inside = &pattern[1..end];
    let repeat = match inside.split_once(',') {
        None => {
            let count = count(inside)?;
            Repeat::Count(count, Some(count))
        }
        Some((low, "")) => Repeat::Count(count(low)?, None),
        Some((low, high)) => Repeat::Count(count(low)?, Some(count(high)?)),
    };
    Some((repeat, end + 1))
}

/// A number without leading zeros. One that does not fit is too large in any case.
fn count(digits: &str) -> Option<u64> {
    let number = !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit());
    let leading = digits.len() > 1 && digits.starts_with('0');
    (number && !leading).then(|| digits.parse().unwrap_or(u64::MAX))
}
