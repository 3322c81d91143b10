//! JSON text with and without white space: `@pretty` and `@ugly`.

use std::cmp::Ordering;

use super::Kind;
use super::scan;
use super::value::{Value, entries};
use crate::number::parse_float_or_zero;

/// How deep `@pretty` goes. What is deeper stays as it was written.
const MAX_DEPTH: usize = 100;

/// How JSON is laid out.
pub(super) struct Style {
    /// The columns that an array may take to stand on one line.
    pub(super) width: i64,
    pub(super) prefix: String,
    pub(super) indent: String,
    pub(super) sort_keys: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self { width: 80, prefix: String::new(), indent: "  ".to_owned(), sort_keys: false }
    }
}

/// `json` without white space outside of strings.
pub(super) fn ugly(json: &str) -> String {
    let bytes = json.as_bytes();
    let mut made = String::with_capacity(json.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'"' => scan::string_end(bytes, at + 1).unwrap_or(bytes.len()),
            _ => {
                at + 1
                    + bytes[at + 1..]
                        .iter()
                        .position(|c| *c == b'"' || *c <= b' ')
                        .unwrap_or(bytes.len() - at - 1)
            }
        };
        if bytes[at] > b' ' {
            made.push_str(&json[at..end]);
            at = end;
        } else {
            at += 1;
        }
    }
    made
}

/// `json` with a line for each member, and a line break at the end.
pub(super) fn pretty(json: &str, style: &Style) -> String {
    let mut layout = Layout { style, made: style.prefix.clone(), line: 0 };
    if let Some((value, _)) = Value::next(json, 0) {
        layout.value(&value, 0);
    }
    if !layout.made.is_empty() {
        layout.made.push('\n');
    }
    layout.made
}

struct Layout<'s> {
    style: &'s Style,
    made: String,
    /// Where the last line break was made.
    line: usize,
}

impl Layout<'_> {
    fn value(&mut self, value: &Value<'_>, depth: usize) {
        let raw = value.raw.as_ref();
        match value.kind {
            Kind::True => self.made.push_str("true"),
            Kind::False => self.made.push_str("false"),
            Kind::Null => self.made.push_str("null"),
            Kind::Json if depth < MAX_DEPTH => self.container(raw, depth),
            _ => self.made.push_str(raw),
        }
    }

    fn container(&mut self, raw: &str, depth: usize) {
        let object = raw.starts_with('{');
        if !object && self.style.width > 0 {
            let used = i64::try_from(self.made.len() - self.line).unwrap_or(i64::MAX);
            let room = self.style.width.saturating_sub(used);
            if room > 3
                && let Some(line) = one_line(raw, room, depth)
            {
                self.made.push_str(&line);
                return;
            }
        }
        self.made.push(if object { '{' } else { '[' });
        let mut members: Vec<_> = entries(raw, Kind::Json).collect();
        if object && self.style.sort_keys {
            members.sort_by(|a, b| {
                let keys = order(a.key.unwrap_or_default(), b.key.unwrap_or_default());
                keys.then_with(|| order(&a.value.raw, &b.value.raw))
            });
        }
        for (at, member) in members.iter().enumerate() {
            if at > 0 {
                self.made.push(',');
            }
            self.line = self.made.len();
            self.made.push('\n');
            self.indent(depth + 1);
            if let Some(key) = member.key {
                self.made.push_str(key);
                self.made.push_str(": ");
            }
            self.value(&member.value, depth + 1);
        }
        if !members.is_empty() {
            self.line = self.made.len();
            self.made.push('\n');
            self.indent(depth);
        }
        self.made.push(if object { '}' } else { ']' });
    }

    fn indent(&mut self, depth: usize) {
        self.made.push_str(&self.style.prefix);
        for _ in 0..depth {
            self.made.push_str(&self.style.indent);
        }
    }
}

/// An array on one line, where it has no objects and fits in `room`.
fn one_line(raw: &str, room: i64, depth: usize) -> Option<String> {
    // What is not white space stays: too much of it cannot fit.
    let most = usize::try_from(room).ok()?;
    if depth >= MAX_DEPTH || raw.bytes().filter(|c| *c > b' ').nth(most).is_some() {
        return None;
    }
    let mut line = String::from("[");
    for (at, entry) in entries(raw, Kind::Json).enumerate() {
        if at > 0 {
            line.push_str(", ");
        }
        let raw = entry.value.raw.as_ref();
        match entry.value.kind {
            Kind::Json if raw.starts_with('{') => return None,
            Kind::Json => line.push_str(&one_line(raw, room, depth + 1)?),
            _ => line.push_str(raw),
        }
        if i64::try_from(line.len()).ok()? > room {
            return None;
        }
    }
    line.push(']');
    (i64::try_from(line.len()).ok()? <= room).then_some(line)
}

/// The order of two values: by kind, then by what they say.
fn order(a: &str, b: &str) -> Ordering {
    let rank = |raw: &str| match raw.as_bytes().first() {
        None | Some(b'n') => 0,
        Some(b'f') => 1,
        Some(b'"') => 3,
        Some(b't') => 4,
        Some(b'[' | b'{') => 5,
        Some(_) => 2,
    };
    rank(a).cmp(&rank(b)).then_with(|| match rank(a) {
        2 => parse_float_or_zero(a).total_cmp(&parse_float_or_zero(b)),
        3 => {
            let text = |raw: &str| super::value::text(Kind::String, raw).into_owned();
            text(a).cmp(&text(b))
        }
        _ => a.cmp(b),
    })
}
