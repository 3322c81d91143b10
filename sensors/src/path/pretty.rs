//! JSON text with and without white space: `@pretty` and `@ugly`.

use std::cmp::Ordering;

use super::scan::{self, Start};
use super::{Kind, MAX_BUILT_BYTES, value};
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

/// `json` with a line for each member, and a line break at the end. Text that is no JSON is
/// laid out as far as gjson does: what begins no value is left out, and what is not closed
/// stays open.
pub(super) fn pretty(json: &str, style: &Style) -> String {
    let mut layout = Layout { json, style, made: style.prefix.clone(), line: 0 };
    layout.value(0, 0, Lines::Many);
    if !layout.made.is_empty() {
        layout.made.push('\n');
    }
    layout.made
}

struct Layout<'a> {
    json: &'a str,
    style: &'a Style,
    made: String,
    /// Where the last line began.
    line: usize,
}

/// How an object or array is laid out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    /// A line for each member.
    Many,
    /// An array on one line, which must end before this byte. An object does not fit.
    One { until: usize },
}

/// Where a value ends, and whether it fits where it was to stand.
type Laid = (usize, bool);

impl<'a> Layout<'a> {
    /// The next value from `at` on. What begins none is skipped, brackets too.
    fn value(&mut self, at: usize, depth: usize, lines: Lines) -> Laid {
        let bytes = self.json.as_bytes();
        let starts = |at: &usize| scan::start(bytes, *at).is_some();
        let Some(at) = (at..bytes.len()).find(starts) else { return (bytes.len(), true) };
        match scan::start(bytes, at) {
            Some(Start::Object | Start::Array) => return self.container(at, depth, lines),
            // A word is taken to be complete, whatever it says.
            Some(Start::Literal(kind)) => {
                let word = match kind {
                    Kind::True => "true",
                    Kind::False => "false",
                    _ => "null",
                };
                self.made.push_str(word);
                return (at + word.len(), true);
            }
            Some(Start::Text) => return (self.string(at), true),
            Some(Start::Number) | None => {}
        }
        let ends = |c: &u8| *c <= b' ' || b",:]}".contains(c);
        let end = bytes[at + 1..].iter().position(ends).map_or(bytes.len(), |end| at + 1 + end);
        self.made.push_str(scan::cut(self.json, at, end));
        (end, true)
    }

    fn string(&mut self, at: usize) -> usize {
        let end = scan::string_end(self.json.as_bytes(), at + 1).unwrap_or(self.json.len());
        self.made.push_str(scan::cut(self.json, at, end));
        end
    }

    fn container(&mut self, at: usize, depth: usize, lines: Lines) -> Laid {
        let object = self.json.as_bytes()[at] == b'{';
        if depth >= MAX_DEPTH {
            let end = scan::container_end(self.json.as_bytes(), at);
            self.made.push_str(scan::cut(self.json, at, end));
            return (end, lines == Lines::Many);
        }
        match lines {
            Lines::Many if !object => {
                if let Some(end) = self.one_line(at, depth) {
                    return (end, true);
                }
            }
            Lines::One { .. } if object => return (at, false),
            _ => {}
        }
        self.members(at, object, depth, lines)
    }

    /// The array at `at` on the rest of this line, if it fits there: where it ends.
    fn one_line(&mut self, at: usize, depth: usize) -> Option<usize> {
        let start = self.made.len();
        let used = i64::try_from(start - self.line).unwrap_or(i64::MAX);
        let room = self.style.width.saturating_sub(used);
        if self.style.width <= 0 || room <= 3 {
            return None;
        }
        let until = start.saturating_add(usize::try_from(room).unwrap_or(usize::MAX));
        let (end, fits) = self.members(at, false, depth, Lines::One { until });
        if fits && self.made.len() <= until {
            return Some(end);
        }
        self.made.truncate(start);
        None
    }

    fn members(&mut self, at: usize, object: bool, depth: usize, lines: Lines) -> Laid {
        let bytes = self.json.as_bytes();
        let (open, close, closing) = if object { ('{', '}', b'}') } else { ('[', ']', b']') };
        self.made.push(open);
        let mut at = at + 1;
        let mut count = 0;
        let mut members = Vec::new();
        while at < bytes.len() && self.made.len() <= MAX_BUILT_BYTES {
            if bytes[at] == closing {
                if lines == Lines::Many && count > 0 {
                    self.sort(&mut members);
                    self.break_line();
                    self.indent(depth);
                }
                self.made.push(close);
                return (at + 1, true);
            }
            // The comma before an element belongs to it; of an object only keys are seen.
            if bytes[at] <= b' ' || (object && bytes[at] != b'"') {
                at += 1;
                continue;
            }
            if count > 0 {
                self.made.push_str(if object { "," } else { ", " });
            }
            if lines == Lines::Many {
                self.break_line();
            }
            let start = self.made.len();
            if lines == Lines::Many {
                self.indent(depth + 1);
            }
            let key = at;
            if object {
                at = self.string(at);
                self.made.push_str(": ");
            }
            let key = scan::cut(self.json, key, at);
            let (end, fits) = self.value(at, depth + 1, lines);
            if let Lines::One { until } = lines
                && (!fits || self.made.len() > until)
            {
                return (end, false);
            }
            if object && self.style.sort_keys {
                members.push(Member { key, start, end: self.made.len() });
            }
            at = end;
            count += 1;
        }
        (bytes.len(), true)
    }

    /// Begins a line. The space behind a comma or a colon is the line break then.
    fn break_line(&mut self) {
        self.line = self.made.len();
        if self.made.ends_with(' ') {
            self.made.pop();
        }
        self.made.push('\n');
    }

    fn indent(&mut self, depth: usize) {
        self.made.push_str(&self.style.prefix);
        for _ in 0..depth {
            self.made.push_str(&self.style.indent);
        }
    }

    /// Sorts the members that were laid out last.
    fn sort(&mut self, members: &mut [Member<'a>]) {
        let Some(start) = members.first().map(|member| member.start) else { return };
        if members.is_sorted_by(|a, b| a.order(b, &self.made).is_le()) {
            return;
        }
        members.sort_by(|a, b| a.order(b, &self.made));
        let texts: Vec<_> = members.iter().map(|member| member.text(&self.made)).collect();
        let sorted = texts.join(",\n");
        self.made.truncate(start);
        self.made.push_str(&sorted);
    }
}

/// A member of an object that is laid out: its key, and the lines that it takes.
struct Member<'a> {
    key: &'a str,
    start: usize,
    end: usize,
}

impl Member<'_> {
    fn text<'m>(&self, made: &'m str) -> &'m str {
        scan::cut(made, self.start, self.end)
    }

    fn value<'m>(&self, made: &'m str) -> &'m str {
        let text = self.text(made).trim();
        text.get(self.key.len() + 1..).map_or(text, str::trim)
    }

    fn order(&self, other: &Self, made: &str) -> Ordering {
        order(self.key, other.key).then_with(|| order(self.value(made), other.value(made)))
    }
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
        2 => {
            let numbers = parse_float_or_zero(a).partial_cmp(&parse_float_or_zero(b));
            numbers.unwrap_or(Ordering::Equal)
        }
        3 => value::text(Kind::String, a).cmp(&value::text(Kind::String, b)),
        _ => a.cmp(b),
    })
}
