//! Places in a log.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A place in one of the three logs.
///
/// `sequence` starts at 1 and grows by one with each record. `incarnation` names
/// the log itself: a log that was removed and made again starts at 1 too, and a
/// position in the old one must not be mistaken for one in the new. Positions are
/// ordered within an incarnation; across incarnations the order means nothing.
///
/// Written `incarnation:sequence`, the incarnation in hexadecimal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Which log, chosen at random when the log was made.
    pub incarnation: u32,
    /// Which record, from 1. 0 is the place before the first.
    pub sequence: u64,
}

impl Position {
    /// The place `sequence` of the log `incarnation`.
    pub const fn new(incarnation: u32, sequence: u64) -> Self {
        Self { incarnation, sequence }
    }

    /// The place right after this one.
    pub const fn next(self) -> Self {
        Self { sequence: self.sequence + 1, ..self }
    }

    /// The place before the first record of the same log.
    pub const fn origin(self) -> Self {
        Self { sequence: 0, ..self }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}:{}", self.incarnation, self.sequence)
    }
}

/// The text is no position.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no position: expected `incarnation:sequence`, as in `1f00ab3c:42`")]
pub struct PositionError(String);

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let parse = || {
            let (incarnation, sequence) = text.split_once(':')?;
            Some(Self {
                incarnation: u32::from_str_radix(incarnation, 16).ok()?,
                sequence: sequence.parse().ok()?,
            })
        };
        parse().ok_or_else(|| PositionError(text.to_owned()))
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back_as_it_was_written() {
        let position = Position::new(0x1f00_ab3c, 42);
        assert_eq!(position.to_string(), "1f00ab3c:42");
        assert_eq!("1f00ab3c:42".parse::<Position>().unwrap(), position);
        let json = serde_json::to_string(&position).unwrap();
        assert_eq!(serde_json::from_str::<Position>(&json).unwrap(), position);
    }

    #[test]
    fn a_text_that_is_no_position_is_refused() {
        for text in ["", "42", "x:1", "1:", "1:-1"] {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
    }
}
