//! JSON as Go's `encoding/json` reads and writes it.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::MAX_DEPTH;
use super::bounds::Bounded;
use super::layout;
use super::value::{Element, List, Value};
use crate::number::parse_float;

/// Reads a text; all numbers become floats.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.space();
    if reader.at < text.len() {
        return Err(reader.unexpected());
    }
    Ok(value)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn space(&mut self) {
        let rest = &self.text[self.at..];
        let blank = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r');
        self.at = self.text.len() - rest.trim_start_matches(blank).len();
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn unexpected(&self) -> String {
        match self.text[self.at..].chars().next() {
            Some(c) => format!("`{c}` at byte {} is unexpected", self.at),
            None => "it ends too early".to_owned(),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err(format!("it is nested more than {MAX_DEPTH} deep"));
        }
        self.space();
        match self.peek() {
            Some(b'{') => {
                let mut entries = BTreeMap::new();
                self.each(b'}', |reader| {
                    reader.space();
                    let key = reader.string()?;
                    reader.space();
                    if reader.peek() != Some(b':') {
                        return Err(reader.unexpected());
                    }
                    reader.at += 1;
                    let value = reader.value(depth + 1)?;
                    entries.insert(Rc::from(key), value);
                    Ok(())
                })?;
                Ok(Value::Dict(super::value::Dict::new(entries)))
            }
            Some(b'[') => {
                let mut values = Vec::new();
                self.each(b']', |reader| {
                    values.push(reader.value(depth + 1)?);
                    Ok(())
                })?;
                Ok(Value::List(List::new(Element::Any, values)))
            }
            Some(b'"') => self.string().map(Value::from),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                let words = [("null", Value::Nil), ("true", true.into()), ("false", false.into())];
                for (word, value) in words {
                    if self.text[self.at..].starts_with(word) {
                        self.at += word.len();
                        return Ok(value);
                    }
                }
                Err(self.unexpected())
            }
        }
    }

    /// Elements between commas, up to `close`.
    fn each(
        &mut self,
        close: u8,
        mut element: impl FnMut(&mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        self.at += 1;
        self.space();
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(());
        }
        loop {
            element(self)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(c) if c == close => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.unexpected()),
            }
        }
    }

    fn digits(&mut self) -> Result<(), String> {
        let count = self.text[self.at..].bytes().take_while(u8::is_ascii_digit).count();
        self.at += count;
        if count == 0 { Err(self.unexpected()) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<Value, String> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        let text = &self.text[start..self.at];
        parse_float(text).map(Value::Float).map_err(|_| format!("`{text}` is out of range"))
    }

    fn string(&mut self) -> Result<String, String> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected());
        }
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.find(|c| c == '"' || c == '\\' || c < ' ').unwrap_or(rest.len());
            out.push_str(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                _ => return Err(self.unexpected()),
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        self.at += 1;
        let c = self.peek().ok_or_else(|| self.unexpected())?;
        let plain = match c {
            b'"' | b'\\' | b'/' => char::from(c),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                let first = self.hexadecimal()?;
                // Half a pair that stands alone becomes U+FFFD.
                if let Some(c) = char::from_u32(first) {
                    return Ok(c);
                }
                let behind = self.at;
                if first < 0xdc00 && self.text[self.at..].starts_with("\\u") {
                    self.at += 2;
                    let second = self.hexadecimal()?;
                    if (0xdc00..0xe000).contains(&second) {
                        let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                        return Ok(char::from_u32(code).unwrap_or('\u{fffd}'));
                    }
                    self.at = behind;
                }
                return Ok('\u{fffd}');
            }
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(plain)
    }

    fn hexadecimal(&mut self) -> Result<u32, String> {
        let digits = self.text.get(self.at..self.at + 4);
        let digits = digits.filter(|digits| digits.bytes().all(|c| c.is_ascii_hexdigit()));
        let digits = digits.ok_or_else(|| self.unexpected())?;
        self.at += 4;
        u32::from_str_radix(digits, 16).map_err(|error| error.to_string())
    }
}

/// How JSON is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// With `<`, `>` and `&` escaped.
    Compact,
    /// The same, on lines of their own.
    Pretty,
    /// Nothing more escaped than must be.
    Raw,
}

/// Writes a value.
pub(super) fn write(value: &Value, style: Style) -> Result<String, String> {
    let mut writer = Writer { out: Bounded::default(), style };
    writer.value(value, 0)?;
    writer.out.finish()
}

struct Writer {
    out: Bounded,
    style: Style,
}

impl Writer {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("the value is nested more than {MAX_DEPTH} deep"));
        }
        if self.out.is_full() {
            return Ok(());
        }
        match value {
            Value::Missing | Value::Nil => self.out.push_str("null"),
            Value::Bool(value) => self.out.push_str(if *value { "true" } else { "false" }),
            Value::Int(value) | Value::Int64(value) => self.out.push_str(&value.to_string()),
            Value::Uint64(value) => self.out.push_str(&value.to_string()),
            Value::Byte(value) => self.out.push_str(&value.to_string()),
            Value::Float(value) => self.float(*value)?,
            Value::Text(text) => self.string(text),
            Value::List(list) if list.is_nil() => self.out.push_str("null"),
            Value::List(list) => {
                let values = list.values();
                self.around(['[', ']'], values.len(), depth, |writer, index| {
                    writer.value(&values[index], depth + 1)
                })?;
            }
            Value::Dict(dict) => {
                let entries = dict.entries();
                self.around(['{', '}'], entries.len(), depth, |writer, index| {
                    let (key, value) = &entries[index];
                    writer.string(key);
                    writer.out.push_str(if writer.style == Style::Pretty { ": " } else { ":" });
                    writer.value(value, depth + 1)
                })?;
            }
            Value::Time(time) => {
                let text = layout::format(time, "2006-01-02T15:04:05.999999999Z07:00");
                self.string(&text);
            }
            Value::Version(version) => self.string(&version.to_string()),
        }
        Ok(())
    }

    fn around(
        &mut self,
        [open, close]: [char; 2],
        count: usize,
        depth: usize,
        mut element: impl FnMut(&mut Self, usize) -> Result<(), String>,
    ) -> Result<(), String> {
        self.out.push(open);
        for index in 0..count {
            if index > 0 {
                self.out.push(',');
            }
            self.line(depth + 1);
            element(self, index)?;
        }
        if count > 0 {
            self.line(depth);
        }
        self.out.push(close);
        Ok(())
    }

    fn line(&mut self, depth: usize) {
        if self.style == Style::Pretty {
            self.out.push('\n');
            self.out.repeat(' ', 2 * depth);
        }
    }

    fn float(&mut self, value: f64) -> Result<(), String> {
        if !value.is_finite() {
            return Err(format!("JSON has no {value}"));
        }
        let size = value.abs();
        if size != 0.0 && !(1e-6..1e21).contains(&size) {
            let text = format!("{value:e}");
            let signed = text.contains("e-");
            self.out.push_str(&if signed { text } else { text.replace('e', "e+") });
        } else {
            self.out.push_str(&value.to_string());
        }
        Ok(())
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            if self.out.is_full() {
                return;
            }
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{2028}' | '\u{2029}' => self.unicode(c),
                '<' | '>' | '&' if self.style != Style::Raw => self.unicode(c),
                c if c < ' ' => self.unicode(c),
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }

    fn unicode(&mut self, c: char) {
        self.out.push_str(&format!("\\u{:04x}", u32::from(c)));
    }
}
