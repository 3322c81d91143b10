//! The texts that were loaded, for showing the line that a diagnostic speaks of.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::place::{Place, Spot};
use crate::yaml::line_of;

/// Texts by the name of their file. A file that holds a Secret is not kept, so that none of
/// its lines is ever shown.
#[derive(Clone, Default)]
pub struct Sources(BTreeMap<Arc<str>, Arc<str>>);

impl Sources {
    pub(crate) fn add(&mut self, file: &Arc<str>, text: &str) {
        if !holds_secret(text) {
            self.0.insert(Arc::clone(file), text.into());
        }
    }

    /// The line of a place.
    pub fn line(&self, place: &Place) -> Option<&str> {
        let text = self.0.get(&place.file)?;
        let line = line_of(text.strip_prefix('\u{feff}').unwrap_or(text), place.line);
        (!line.is_empty()).then_some(line)
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Whether `kind: Secret` stands in a text, however it is written. A text in which it does
/// not stand as such, such as one with `kind: SecretStore`, may be taken for one, too.
fn holds_secret(text: &str) -> bool {
    text.match_indices("Secret").any(|(at, _)| {
        let before = text[..at].trim_end_matches(|char: char| {
            char.is_whitespace() || matches!(char, '"' | '\'' | ':')
        });
        before.ends_with("kind")
    })
}

/// The place behind the last character of a text.
pub(crate) fn end_of(text: &str) -> Spot {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut spot = Spot::START;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        if char == '\n' || (char == '\r' && chars.peek() != Some(&'\n')) {
            spot = Spot { line: spot.line.saturating_add(1), column: 1 };
        } else {
            spot.column = spot.column.saturating_add(1);
        }
    }
    spot
}
