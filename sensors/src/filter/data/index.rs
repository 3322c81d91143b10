//! What of a filter an index can decide: equality with plain values, from the front.
//!
//! The filters of a list that are joined by `and` are looked at in order, and the first
//! that does not hold decides. So an index over the first of them, then over the second,
//! and so on, decides as the list does, errors included. It ends where a filter needs to
//! look for itself.

use super::{Check, Comparator, One};
use crate::filter::text_match::TextMatch;
use crate::filter::{Filter, Kinds};
use crate::path::Path;

/// So many filters of a dependency are indexed at most: what bounds the depth of an index.
pub(crate) const MAX_STEPS: usize = 8;

/// A filter that an index can decide.
#[derive(Clone, Debug)]
pub(crate) struct Step<'f> {
    /// Where the value is.
    pub path: &'f Path,
    /// The error where nothing is there.
    pub missing: &'f std::sync::Arc<str>,
    /// What the value may be.
    pub values: Values<'f>,
}

/// Values of which one is enough.
#[derive(Clone, Debug)]
pub(crate) enum Values<'f> {
    /// Compared as booleans.
    Bool(Vec<bool>),
    /// Compared as numbers.
    Number(Vec<f64>),
    /// Compared as texts.
    Text(Vec<Word<'f>>),
}

/// A text without signs of regular expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word<'f> {
    /// The text.
    pub text: &'f str,
    /// The value begins with it.
    pub begins: bool,
    /// The value ends with it.
    pub ends: bool,
}

impl Values<'_> {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Bool(values) => values.len(),
            Self::Number(values) => values.len(),
            Self::Text(values) => values.len(),
        }
    }
}

impl Filter {
    /// The filters that an index can decide, in the order in which they decide. Empty
    /// where the first one that could make a difference is of another sort: of another
    /// kind that may end in an error before it, or that another way leads past.
    pub(crate) fn steps(&self) -> Vec<Step<'_>> {
        let Some(kinds) = self.kinds.as_deref() else { return Vec::new() };
        let Kinds { any, exprs, data, context, time, script } = kinds;
        // Under `or`, another kind may let the event through; alone, there is none.
        let alone = context.is_none() && time.is_none();
        if exprs.is_some() || script.is_some() || (*any && !alone) {
            return Vec::new();
        }
        let Some(data) = data else { return Vec::new() };
        if data.any && data.filters.len() > 1 {
            return Vec::new();
        }
        data.filters.iter().map_while(One::step).take(MAX_STEPS).collect()
    }
}

impl One {
    fn step(&self) -> Option<Step<'_>> {
        let path = self.path.as_ref().ok()?;
        if self.broken.is_some() || self.template.is_some() {
            return None;
        }
        let values = match &self.check {
            Check::Bool(values) => Values::Bool(plain(values, |value| Some(*value))?),
            Check::Number(Comparator::Equal, values) => {
                Values::Number(plain(values, |value| Some(*value))?)
            }
            Check::Text(Comparator::Equal, values) => Values::Text(plain(values, word)?),
            _ => return None,
        };
        Some(Step { path, missing: &self.missing, values })
    }
}

fn plain<'f, T, U, E>(
    values: &'f [Result<T, E>],
    of: impl Fn(&'f T) -> Option<U>,
) -> Option<Vec<U>> {
    values.iter().map(|value| value.as_ref().ok().and_then(&of)).collect()
}

fn word(pattern: &TextMatch) -> Option<Word<'_>> {
    let (text, begins, ends) = match pattern {
        TextMatch::Contains(text) => (text, false, false),
        TextMatch::Begins(text) => (text, true, false),
        TextMatch::Ends(text) => (text, false, true),
        TextMatch::Equals(text) => (text, true, true),
        TextMatch::Pattern(_) => return None,
    };
    Some(Word { text, begins, ends })
}
