//! JSON as Go's `encoding/json` reads and writes it.
//!
//! Reading: of equal keys the last counts, half of a surrogate pair becomes U+FFFD, a
//! number that no float can hold is an error. Writing: keys are sorted, floats get an
//! exponent below 1e-6 and from 1e21 on.

use std::fmt::Write as _;

/// The deepest nesting that is read or made.
pub(crate) const MAX_DEPTH: usize = 500;

/// What a reader makes of JSON.
pub(crate) trait Build: Sized {
    fn null() -> Self;
    fn bool(value: bool) -> Self;
    /// A number, as it is written.
    fn number(text: &str) -> Result<Self, String>;
    fn text(value: String) -> Self;
    fn list(items: Vec<Self>) -> Self;
    /// Entries in the order of the text; keys may repeat.
    fn dict(entries: Vec<(String, Self)>) -> Self;
}

/// Reads one JSON value.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn parse<B: Build>(text: &str) -> Result<B, String> {
    if !crate::path::valid(text) {
        return Err("it is no valid JSON".to_owned());
    }
    let mut reader = Reader { rest: text, depth: 0 };
    reader.value()
}

/// A number of JSON as Go reads it into `float64`.
///
/// # Errors
/// Where it is larger than any float.
pub(crate) fn float(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    if value.is_finite() { Ok(value) } else { Err(format!("the number {text} is too large")) }
}

/// Reads what is known to be valid.
struct Reader<'t> {
    rest: &'t str,
    depth: usize,
}

impl Reader<'_> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn byte(&self) -> u8 {
        self.rest.as_bytes().first().copied().unwrap_or_default()
    }

    fn cut(&mut self, count: usize) -> &str {
        let (cut, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        cut
    }

    fn value<B: Build>(&mut self) -> Result<B, String> {
        self.skip();
        match self.byte() {
            b'{' => self.nested(Self::object),
            b'[' => self.nested(Self::array),
            b'"' => Ok(B::text(self.string())),
            b't' => Ok({
                self.cut(4);
                B::bool(true)
            }),
            b'f' => Ok({
                self.cut(5);
                B::bool(false)
            }),
            b'n' => Ok({
                self.cut(4);
                B::null()
            }),
            _ => {
                let is_part = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
                let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
                B::number(self.cut(end.max(1)))
            }
        }
    }

    fn nested<B>(&mut self, read: fn(&mut Self) -> Result<B, String>) -> Result<B, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("it is nested more than {MAX_DEPTH} deep"));
        }
        self.cut(1);
        let made = read(self)?;
        self.depth -= 1;
        Ok(made)
    }

    fn array<B: Build>(&mut self) -> Result<B, String> {
        let mut items = Vec::new();
        loop {
            self.skip();
            if self.byte() == b']' {
                self.cut(1);
                return Ok(B::list(items));
            }
            items.push(self.value()?);
            self.comma();
        }
    }

    fn object<B: Build>(&mut self) -> Result<B, String> {
        let mut entries = Vec::new();
        loop {
            self.skip();
            if self.byte() == b'}' {
                self.cut(1);
                return Ok(B::dict(entries));
            }
            let key = self.string();
            self.skip();
            self.cut(1);
            entries.push((key, self.value()?));
            self.comma();
        }
    }

    fn comma(&mut self) {
        self.skip();
        if self.byte() == b',' {
            self.cut(1);
        }
    }

    fn string(&mut self) -> String {
        let bytes = self.rest.as_bytes();
        let mut end = 1;
        while end < bytes.len() && bytes[end] != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        let inside = self.cut(end + 1);
        unescape(inside.get(1..inside.len() - 1).unwrap_or_default())
    }
}

/// The text of a JSON string, without its quotes.
fn unescape(escaped: &str) -> String {
    let mut text = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let (c, used) = escape(&rest[at + 1..]);
        text.push(c);
        rest = rest.get(at + 1 + used..).unwrap_or_default();
    }
    text.push_str(rest);
    text
}

/// The character that an escape stands for, and how many bytes behind `\` it takes.
fn escape(escape: &str) -> (char, usize) {
    let unit = |at: usize| {
        let digits = escape.get(at..at + 4)?;
        u32::from_str_radix(digits, 16).ok()
    };
    match escape.as_bytes().first() {
        Some(b'b') => ('\u{8}', 1),
        Some(b'f') => ('\u{c}', 1),
        Some(b'n') => ('\n', 1),
        Some(b'r') => ('\r', 1),
        Some(b't') => ('\t', 1),
        Some(b'u') => {
            let first = unit(1).unwrap_or(0xfffd);
            let second = || escape.get(5..7).filter(|next| *next == "\\u").and_then(|_| unit(7));
            if (0xd800..0xdc00).contains(&first)
                && let Some(second @ 0xdc00..0xe000) = second()
            {
                let joined = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return (char::from_u32(joined).unwrap_or('\u{fffd}'), 11);
            }
            (char::from_u32(first).unwrap_or('\u{fffd}'), 5)
        }
        Some(c) => (char::from(*c), 1),
        None => ('\\', 0),
    }
}

/// Writes a float as Go does.
pub(crate) fn push_float(out: &mut String, value: f64) {
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let sign = if exponent.starts_with('-') { "" } else { "+" };
        let _ = write!(out, "{mantissa}e{sign}{exponent}");
    } else {
        let _ = write!(out, "{value}");
    }
}

/// Which characters of a string are escaped besides those that must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escapes {
    /// Those that mean something in HTML, as `encoding/json` does.
    Html,
    /// The last control character of ASCII, as gojq does.
    Jq,
    /// None.
    #[allow(dead_code, reason = "what `toJson` of templates could use")]
    Few,
}

/// Writes a string with its quotes.
pub(crate) fn push_text(out: &mut String, text: &str, escapes: Escapes) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\u{1f}' => push_escape(out, c),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' if escapes == Escapes::Html => {
                push_escape(out, c);
            }
            '\u{7f}' if escapes == Escapes::Jq => push_escape(out, c),
            c => out.push(c),
        }
    }
    out.push('"');
}

fn push_escape(out: &mut String, c: char) {
    let _ = write!(out, "\\u{:04x}", u32::from(c));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text that Go would print of what it has read.
    struct Printed(String);

    impl Build for Printed {
        fn null() -> Self {
            Self("null".to_owned())
        }
        fn bool(value: bool) -> Self {
            Self(value.to_string())
        }
        fn number(text: &str) -> Result<Self, String> {
            let mut out = String::new();
            push_float(&mut out, float(text)?);
            Ok(Self(out))
        }
        fn text(value: String) -> Self {
            let mut out = String::new();
            push_text(&mut out, &value, Escapes::Html);
            Self(out)
        }
        fn list(items: Vec<Self>) -> Self {
            let items: Vec<_> = items.into_iter().map(|item| item.0).collect();
            Self(format!("[{}]", items.join(",")))
        }
        fn dict(entries: Vec<(String, Self)>) -> Self {
            let entry = |(key, value): (String, Self)| format!("{key}:{}", value.0);
            let entries: Vec<_> = entries.into_iter().map(entry).collect();
            Self(format!("{{{}}}", entries.join(",")))
        }
    }

    fn printed(text: &str) -> Result<String, String> {
        parse::<Printed>(text).map(|printed| printed.0)
    }

    #[test]
    fn it_is_read_and_written_as_in_go() {
        for (text, wanted) in [
            (" [ 1 , 2.50, -0, 1e21, 1e-7 ] ", "[1,2.5,-0,1e+21,1e-7]"),
            (r#"{"a" : {"b":[]}, "a":true}"#, "{a:{b:[]},a:true}"),
            (r#""\ud83d\ude00\ud800x\u00e9\/\b""#, "\"\u{1f600}\u{fffd}xé/\\b\""),
            (r#""<&>""#, r#""\u003c\u0026\u003e""#),
            ("null", "null"),
            ("9007199254740993", "9007199254740992"),
            ("123456789.123", "123456789.123"),
            ("100000000000000000000", "100000000000000000000"),
        ] {
            assert_eq!(printed(text).as_deref(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_or_too_much_is_an_error() {
        for text in ["", " ", "{\"a\":1,}", "1 2", "nope", "\"\u{1}\"", "1e400", "[1"] {
            assert!(printed(text).is_err(), "{text}");
        }
        let deep = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(printed(&deep(MAX_DEPTH)).is_ok());
        assert!(printed(&deep(MAX_DEPTH + 1)).unwrap_err().contains("nested more than"));
        assert!(printed(&deep(1_000_000)).is_err());
    }
}
