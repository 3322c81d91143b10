//! Paths into JSON text.

use std::borrow::Cow;

/// A compiled path: gjson's language, or an RFC 9535 JSONPath where the text is `$` or
/// begins with `$.` or `$[`. `gjson:` in front forces the former.
#[derive(Clone, Debug)]
pub struct Path {
    text: String,
}

/// A path that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PathError(pub String);

/// What kind of JSON value was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`.
    Null,
    /// `false`.
    False,
    /// `true`.
    True,
    /// A number.
    Number,
    /// A string.
    String,
    /// An object or an array.
    Json,
}

/// A value that a path found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// The value's JSON text, as it was written.
    pub raw: Cow<'a, str>,
    /// What it is.
    pub kind: Kind,
}

impl Path {
    /// Compiles a path.
    ///
    /// # Errors
    /// A JSONPath that cannot be parsed; a path that nests too deeply. Any other text is
    /// a path of gjson's language, though perhaps one that finds nothing.
    pub fn compile(text: &str) -> Result<Self, PathError> {
        Ok(Self { text: text.to_owned() })
    }

    /// The path, as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The value at the path in `json`, which need not be valid.
    pub fn find<'a>(&self, json: &'a str) -> Option<Found<'a>> {
        let _ = json;
        todo!()
    }
}

impl<'a> Found<'a> {
    /// The value as text: a string without quotes and escapes, a number in its shortest
    /// decimal form, nothing for `null`, objects and arrays as they were written.
    pub fn text(&self) -> Cow<'_, str> {
        todo!()
    }

    /// The value as a number: 0 where it is none.
    pub fn float(&self) -> f64 {
        todo!()
    }

    /// The value as a boolean.
    pub fn bool(&self) -> bool {
        todo!()
    }
}

/// Whether `text` is one valid JSON value.
pub fn valid(text: &str) -> bool {
    let _ = text;
    todo!()
}
