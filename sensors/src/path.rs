//! Paths into JSON text. Nothing is parsed into a tree: a path is one scan over the
//! text, and what it finds is a part of that text as it was written.
//!
//! The language is gjson's (`body.commits.#(author=="ann").id`), whole and with its
//! corner cases; a path that is `$` or begins with `$.` or `$[` is an RFC 9535 JSONPath.
//!
//! Promises: no path and no text panics, recurses without bound, or grows a result
//! without bound.

use std::borrow::Cow;
use std::sync::Arc;

mod array_step;
mod jsonpath;
mod keys;
mod literal;
mod modifier;
mod multipath;
mod object_step;
mod pretty;
mod query;
mod scan;
mod search;
mod valid;
mod value;
mod wildcard;

pub(crate) use literal::quote;
pub(crate) use scan::cut;
pub(crate) use search::get;
pub use valid::valid;
pub(crate) use value::{Spot, Value, elements, entries};

/// The longest path, in bytes.
pub const MAX_PATH_BYTES: usize = 4096;
/// The most steps and brackets of a path: what bounds the recursion of a search.
pub const MAX_PATH_STEPS: usize = 200;
/// The most bytes of a value that a path builds (`#.x`, `[a,b]`, `@pretty`). Beyond
/// that it finds nothing.
pub const MAX_BUILT_BYTES: usize = 16 << 20;

/// A compiled path: gjson's language, or an RFC 9535 JSONPath where the text is `$` or
/// begins with `$.` or `$[`. `gjson:` in front forces the former.
#[derive(Clone, Debug)]
pub struct Path {
    text: Arc<str>,
    plan: Plan,
}

#[derive(Clone, Debug)]
enum Plan {
    /// Plain keys and indexes: nearly every path.
    Keys(keys::Keys),
    /// Any other path of gjson's language, without the prefix.
    Gjson(Box<str>),
    JsonPath(Arc<jsonpath::JsonPath>),
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
    /// A JSONPath that cannot be parsed; a path that is too long or has too many steps.
    /// Any other text is a path of gjson's language, though perhaps one that finds
    /// nothing.
    pub fn compile(text: &str) -> Result<Self, PathError> {
        check_size(text)?;
        let gjson = text.strip_prefix("gjson:");
        let plan = if gjson.is_none() && is_jsonpath(text) {
            Plan::JsonPath(Arc::new(jsonpath::JsonPath::compile(text)?))
        } else {
            let gjson = gjson.unwrap_or(text);
            keys::Keys::compile(gjson).map_or_else(|| Plan::Gjson(gjson.into()), Plan::Keys)
        };
        Ok(Self { text: text.into(), plan })
    }

    /// The path, as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The value at the path in `json`; of several values of a JSONPath the first.
    pub fn find<'a>(&self, json: &'a str) -> Option<Found<'a>> {
        match &self.plan {
            Plan::Keys(keys) => keys.find(json),
            Plan::Gjson(path) => get(json, path).map(Found::from),
            Plan::JsonPath(path) => path.find(json),
        }
    }
}

fn is_jsonpath(text: &str) -> bool {
    text == "$" || text.starts_with("$.") || text.starts_with("$[")
}

/// A path of this size cannot make a search recurse too deeply.
///
/// # Errors
/// The path is too long or has too many steps.
pub(crate) fn check_size(text: &str) -> Result<(), PathError> {
    if text.len() > MAX_PATH_BYTES {
        let size = text.len();
        return Err(PathError(format!(
            "path has {size} bytes, at most {MAX_PATH_BYTES} are allowed"
        )));
    }
    let steps = text.bytes().filter(|c| b".|([{".contains(c)).count();
    if steps > MAX_PATH_STEPS {
        return Err(PathError(format!(
            "path has {steps} steps and brackets, at most {MAX_PATH_STEPS} are allowed"
        )));
    }
    Ok(())
}

impl<'a> Found<'a> {
    /// The value as text: a string without quotes and escapes, a number in its shortest
    /// decimal form (digits as they were written), nothing for `null`, objects and
    /// arrays as they were written.
    pub fn text(&self) -> Cow<'_, str> {
        value::text(self.kind, &self.raw)
    }

    /// The value as a number: that of a text where it is one, 1 for `true`, else 0.
    pub fn float(&self) -> f64 {
        value::float(self.kind, &self.raw)
    }

    /// The value as a boolean: a number that is not 0, a text that says so in one of
    /// Go's words (`1`, `t`, `true`) in any case, `true`.
    pub fn bool(&self) -> bool {
        value::boolean(self.kind, &self.raw)
    }
}

impl<'a> From<Value<'a>> for Found<'a> {
    fn from(value: Value<'a>) -> Self {
        Self { raw: value.raw, kind: value.kind }
    }
}

#[cfg(test)]
mod tests;
