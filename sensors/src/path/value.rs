//! Values that a search handles, with the place they were found at.

use std::borrow::Cow;

use super::scan::{self, Start, cut};
use super::{Kind, search};
use crate::number::{format_float, parse_float_or_zero};

/// A value with the place where it stands in the text that was searched.
#[derive(Clone, Debug)]
pub(crate) struct Value<'a> {
    pub(crate) kind: Kind,
    pub(crate) raw: Cow<'a, str>,
    pub(crate) spot: Spot,
}

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Spot {
    /// It was built, or taken from a value that was.
    Nowhere,
    /// From this byte.
    At(usize),
    /// It is an array that was gathered from values at these bytes.
    Each(Vec<Option<usize>>),
}

impl<'a> Value<'a> {
    /// The value of that kind which stands in `json` from `start` to `end`.
    pub(super) fn at(json: &'a str, kind: Kind, start: usize, end: usize) -> Self {
        Self { kind, raw: Cow::Borrowed(cut(json, start, end)), spot: Spot::At(start) }
    }

    /// A value that was built.
    pub(super) fn built(kind: Kind, raw: String) -> Self {
        Self { kind, raw: Cow::Owned(raw), spot: Spot::Nowhere }
    }

    /// The first value of a text. Of an object or array it is all that follows, with
    /// whatever stands behind it.
    pub(crate) fn parse(json: &'a str) -> Option<Self> {
        let bytes = json.as_bytes();
        let at = bytes.iter().position(|c| *c > b' ')?;
        let start = scan::start(bytes, at)?;
        let end = match start {
            Start::Object | Start::Array => json.len(),
            _ => start.end(bytes, at).unwrap_or(json.len()),
        };
        Some(Self::at(json, start.kind(), at, end))
    }

    /// The next value from `at` on, and where it ends. What is no value is skipped.
    pub(super) fn next(json: &'a str, mut at: usize) -> Option<(Self, usize)> {
        let bytes = json.as_bytes();
        while at < bytes.len() {
            if let Some(start) = scan::start(bytes, at) {
                let end = start.end(bytes, at)?;
                return Some((Self::at(json, start.kind(), at, end), end));
            }
            at += 1;
        }
        None
    }

    /// What a path finds in this value.
    pub(super) fn get(self, path: &str) -> Option<Self> {
        let spot = self.spot;
        let found = match self.raw {
            Cow::Borrowed(raw) => search::get(raw, path)?,
            Cow::Owned(raw) => search::get(&raw, path)?.into_owned(),
        };
        Some(Self { spot: found.spot.within(&spot), ..found })
    }

    pub(super) fn into_owned<'b>(self) -> Value<'b> {
        Value { kind: self.kind, raw: Cow::Owned(self.raw.into_owned()), spot: self.spot }
    }

    pub(super) fn nowhere(self) -> Self {
        Self { spot: Spot::Nowhere, ..self }
    }

    pub(super) fn is_array(&self) -> bool {
        self.kind == Kind::Json && self.raw.starts_with('[')
    }

    pub(super) fn is_object(&self) -> bool {
        self.kind == Kind::Json && self.raw.starts_with('{')
    }

    pub(super) fn text(&self) -> Cow<'_, str> {
        text(self.kind, &self.raw)
    }

    pub(super) fn float(&self) -> f64 {
        float(self.kind, &self.raw)
    }

    pub(super) fn boolean(&self) -> bool {
        boolean(self.kind, &self.raw)
    }
}

impl Spot {
    /// This spot of a value, seen from the text that the value stands in.
    fn within(self, outer: &Self) -> Self {
        let Self::At(base) = outer else { return Self::Nowhere };
        match self {
            Self::Nowhere => Self::Nowhere,
            Self::At(at) => Self::At(base + at),
            Self::Each(each) => {
                Self::Each(each.into_iter().map(|at| at.map(|at| base + at)).collect())
            }
        }
    }

    pub(super) fn offset(&self) -> Option<usize> {
        match self {
            Self::At(at) => Some(*at),
            _ => None,
        }
    }
}

/// A member of an object, or an element of an array, which has no key.
pub(crate) struct Entry<'a> {
    pub(crate) key: Option<&'a str>,
    pub(crate) value: Value<'a>,
}

impl Entry<'_> {
    /// What the key says.
    pub(crate) fn key_text(&self) -> Cow<'_, str> {
        self.key.map_or(Cow::Borrowed(""), |key| text(Kind::String, key))
    }
}

/// The members or elements of an object or array; a scalar is its only element.
pub(crate) fn entries(json: &str, kind: Kind) -> Entries<'_> {
    if kind != Kind::Json {
        let value = Value::at(json, kind, 0, json.len());
        return Entries { json, at: json.len(), object: false, scalar: Some(value) };
    }
    let bytes = json.as_bytes();
    let at = bytes.iter().position(|c| *c > b' ').unwrap_or(json.len());
    let object = bytes.get(at) == Some(&b'{');
    Entries { json, at: at + 1, object, scalar: None }
}

pub(crate) struct Entries<'a> {
    json: &'a str,
    at: usize,
    object: bool,
    scalar: Option<Value<'a>>,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        if let Some(value) = self.scalar.take() {
            return Some(Entry { key: None, value });
        }
        let bytes = self.json.as_bytes();
        let mut key = None;
        if self.object {
            let start = self.at + memchr::memchr(b'"', bytes.get(self.at..)?)?;
            let end = scan::string_end(bytes, start + 1)?;
            key = Some(cut(self.json, start, end));
            self.at = end;
        }
        let (value, end) = Value::next(self.json, self.at)?;
        // One byte behind a value is not looked at: it is the comma.
        self.at = end + 1;
        Some(Entry { key, value })
    }
}

/// The elements of the array `json`, as sjson counts them: up to the first bracket that
/// closes one, also in text that is no JSON.
pub(crate) fn elements(json: &str) -> impl Iterator<Item = &str> {
    let bytes = json.as_bytes();
    let mut at = 1;
    std::iter::from_fn(move || {
        while at < bytes.len() && !matches!(bytes[at], b']' | b'}') {
            let start = match bytes[at] {
                b'i' | b'I' | b'N' | b'+' => None,
                b'n' => Some(Start::Literal(Kind::Null)),
                _ => scan::start(bytes, at),
            };
            let Some(start) = start else {
                at += 1;
                continue;
            };
            let end = start.end(bytes, at).unwrap_or(bytes.len());
            let element = cut(json, at, end);
            at = end;
            return Some(element);
        }
        None
    })
}

pub(super) fn text(kind: Kind, raw: &str) -> Cow<'_, str> {
    match kind {
        Kind::Null => Cow::Borrowed(""),
        Kind::String => scan::unescape(inside(raw)),
        Kind::Number => {
            let digits = raw.strip_prefix('-').unwrap_or(raw);
            if digits.bytes().all(|c| c.is_ascii_digit()) {
                return Cow::Borrowed(raw);
            }
            Cow::Owned(format_float(parse_float_or_zero(raw)))
        }
        Kind::False => Cow::Borrowed("false"),
        Kind::True => Cow::Borrowed("true"),
        Kind::Json => Cow::Borrowed(raw),
    }
}

/// A string without its quotes; the last may be missing.
fn inside(raw: &str) -> &str {
    let raw = raw.strip_prefix('"').unwrap_or(raw);
    match scan::string_end(raw.as_bytes(), 0) {
        // Behind the last quote is nothing, unless the text is no JSON.
        Some(end) => &raw[..end - 1],
        None => raw,
    }
}

pub(super) fn float(kind: Kind, raw: &str) -> f64 {
    match kind {
        Kind::True => 1.0,
        Kind::Number => parse_float_or_zero(raw),
        Kind::String => parse_float_or_zero(&text(kind, raw)),
        Kind::Null | Kind::False | Kind::Json => 0.0,
    }
}

pub(super) fn boolean(kind: Kind, raw: &str) -> bool {
    match kind {
        Kind::True => true,
        Kind::Number => parse_float_or_zero(raw) != 0.0,
        Kind::String => word(&text(kind, raw)) == Some(true),
        Kind::Null | Kind::False | Kind::Json => false,
    }
}

/// What one of Go's words for a boolean says, in any case.
pub(super) fn word(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "1" | "t" | "true" => Some(true),
        "0" | "f" | "false" => Some(false),
        _ => None,
    }
}
