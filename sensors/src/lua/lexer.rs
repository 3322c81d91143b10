//! The words and signs of a script.

use std::sync::Arc;

use super::CompileError;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(Arc<str>),
    /// A word of the language.
    Word(&'static str),
    Number(Arc<str>),
    Text(Arc<[u8]>),
    Sign(&'static str),
    End,
}

const WORDS: [&str; 22] = [
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local",
    "nil", "not", "or", "return", "repeat", "then", "true", "until", "while", "goto",
];

/// Signs, the longer ones first.
const SIGNS: [&str; 26] = [
    "...", "..", "==", "~=", "<=", ">=", "::", "+", "-", "*", "/", "%", "^", "#", "<", ">", "=",
    "(", ")", "{", "}", "[", "]", ";", ",", ".",
];

pub(super) struct Lexer<'t> {
    text: &'t [u8],
    at: usize,
    /// A line end stands before the token that was read last.
    pub(super) new_line: bool,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t [u8]) -> Self {
        Self { text, at: 0, new_line: false }
    }

    /// Line and column of a place.
    pub(super) fn fault(&self, at: usize, message: impl Into<String>) -> CompileError {
        let before = &self.text[..at.min(self.text.len())];
        let line = before.iter().filter(|c| **c == b'\n').count() + 1;
        let start = before.iter().rposition(|c| *c == b'\n').map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
        CompileError { line, column, message: message.into() }
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or_default()
    }

    fn skip(&mut self) -> Result<(), CompileError> {
        self.new_line = false;
        loop {
            match self.peek(0) {
                b'\n' | b'\r' => {
                    self.new_line = true;
                    self.at += 1;
                }
                b' ' | b'\t' => self.at += 1,
                b'-' if self.peek(1) == b'-' => {
                    self.at += 2;
                    if self.peek(0) == b'[' && matches!(self.peek(1), b'[' | b'=') {
                        self.long_text()?;
                    } else {
                        while !matches!(self.peek(0), b'\n' | b'\r') && self.at < self.text.len() {
                            self.at += 1;
                        }
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    /// The next token and where it begins.
    pub(super) fn token(&mut self) -> Result<(Token, usize), CompileError> {
        self.skip()?;
        let start = self.at;
        let first = self.peek(0);
        let token = match first {
            _ if start >= self.text.len() => Token::End,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.name(),
            b'0'..=b'9' => self.number()?,
            b'.' if self.peek(1).is_ascii_digit() => self.number()?,
            b'"' | b'\'' => self.text(first)?,
            b'[' if matches!(self.peek(1), b'[' | b'=') => Token::Text(self.long_text()?),
            b':' if self.peek(1) != b':' => {
                self.at += 1;
                Token::Sign(":")
            }
            _ => {
                let rest = &self.text[start..];
                let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(sign.as_bytes())) else {
                    let c = String::from_utf8_lossy(rest).chars().next().unwrap_or_default();
                    return Err(self.fault(start, format!("`{c}` is no sign of the language")));
                };
                self.at += sign.len();
                Token::Sign(sign)
            }
        };
        Ok((token, start))
    }

    fn name(&mut self) -> Token {
        let start = self.at;
        while self.peek(0).is_ascii_alphanumeric() || self.peek(0) == b'_' {
            self.at += 1;
        }
        let name = String::from_utf8_lossy(&self.text[start..self.at]);
        match WORDS.iter().find(|word| **word == name) {
            Some(word) => Token::Word(word),
            None => Token::Name(name.into()),
        }
    }

    fn digits(&mut self) {
        while self.peek(0).is_ascii_digit() {
            self.at += 1;
        }
    }

    fn number(&mut self) -> Result<Token, CompileError> {
        let mut start = self.at;
        if self.peek(0) == b'0' && matches!(self.peek(1), b'x' | b'X') {
            self.at += 2;
            while self.peek(0).is_ascii_hexdigit() {
                self.at += 1;
            }
            if self.at == start + 2 {
                return Err(self.fault(start, "a hexadecimal number needs digits"));
            }
        } else {
            // One leading zero is dropped; more are those of an octal number.
            if self.peek(0) == b'0' && self.peek(1).is_ascii_digit() {
                start += 1;
            }
            self.digits();
            if self.peek(0) == b'.' {
                self.at += 1;
                self.digits();
            }
            if matches!(self.peek(0), b'e' | b'E') {
                self.at += if matches!(self.peek(1), b'+' | b'-') { 2 } else { 1 };
                self.digits();
            }
        }
        let text = String::from_utf8_lossy(&self.text[start..self.at]);
        Ok(Token::Number(text.into()))
    }

    fn text(&mut self, quote: u8) -> Result<Token, CompileError> {
        let start = self.at;
        self.at += 1;
        let mut made = Vec::new();
        loop {
            let c = self.peek(0);
            if self.at >= self.text.len() || matches!(c, b'\n' | b'\r') {
                return Err(self.fault(start, "the text has no end: its quote is missing"));
            }
            self.at += 1;
            match c {
                c if c == quote => return Ok(Token::Text(made.into())),
                b'\\' => self.escape(&mut made),
                c => made.push(c),
            }
        }
    }

    fn escape(&mut self, made: &mut Vec<u8>) {
        let c = self.peek(0);
        self.at += 1;
        made.push(match c {
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'n' | b'\r' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b'0'..=b'9' => {
                let mut value = u32::from(c - b'0');
                for _ in 0..2 {
                    if self.peek(0).is_ascii_digit() {
                        value = value * 10 + u32::from(self.peek(0) - b'0');
                        self.at += 1;
                    }
                }
                #[expect(clippy::cast_possible_truncation, reason = "as Go converts to a byte")]
                let byte = value as u8;
                byte
            }
            c => c,
        });
    }

    /// `[[…]]`, with any number of `=` between the brackets.
    fn long_text(&mut self) -> Result<Arc<[u8]>, CompileError> {
        let start = self.at;
        self.at += 1;
        let mut level = 0;
        while self.peek(0) == b'=' {
            level += 1;
            self.at += 1;
        }
        if self.peek(0) != b'[' {
            return Err(self.fault(start, "a second `[` is missing"));
        }
        self.at += 1;
        if self.peek(0) == b'\r' {
            self.at += 1;
        }
        if self.peek(0) == b'\n' {
            self.at += 1;
        }
        let end = [b"]".as_slice(), &vec![b'='; level], b"]"].concat();
        let found = memchr::memmem::find(&self.text[self.at..], &end);
        let Some(length) = found else {
            return Err(self.fault(start, "the text has no end: its brackets are missing"));
        };
        let text = self.text[self.at..self.at + length].into();
        self.at += length + end.len();
        Ok(text)
    }
}

impl Lexer<'_> {
    /// How many lines end between two places.
    pub(super) fn lines_between(&self, from: usize, to: usize) -> usize {
        let between = self.text.get(from..to).unwrap_or_default();
        between.iter().filter(|c| **c == b'\n').count()
    }
}
