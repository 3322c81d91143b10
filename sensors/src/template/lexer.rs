//! Splits a template into text and the tokens of its actions.

use super::{Fault, Place};

/// What opens and closes an action.
const OPEN: &str = "{{";
const CLOSE: &str = "}}";

/// A token, with where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind,
    pub(super) text: &'t str,
    pub(super) at: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text outside of actions.
    Text,
    Open,
    Close,
    Space,
    Assign,
    Declare,
    Pipe,
    Comma,
    LeftParenthesis,
    RightParenthesis,
    /// A quoted string, quotes included.
    Quoted,
    /// A string in back quotes, which are included.
    Raw,
    /// A character in quotes, which are included.
    Character,
    Number,
    /// `$` or `$name`.
    Variable,
    Dot,
    /// `.name`.
    Field,
    /// A name: of a function, a keyword, `true`, `false` or `nil`.
    Name,
    End,
}

/// The tokens of `text`; the last one is [`Kind::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, Fault> {
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new() };
    while lexer.at < text.len() {
        lexer.text()?;
    }
    lexer.push(Kind::End, lexer.at);
    Ok(lexer.tokens)
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    tokens: Vec<Token<'t>>,
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphabetic() || c.is_numeric()
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn push(&mut self, kind: Kind, start: usize) {
        let at = Place::new(start);
        self.tokens.push(Token { kind, text: &self.text[start..self.at], at });
    }

    fn fail<T>(&self, start: usize, message: impl Into<String>) -> Result<T, Fault> {
        Err(Fault::at(Place::new(start), message))
    }

    /// Text up to the next action, then the action.
    fn text(&mut self) -> Result<(), Fault> {
        let start = self.at;
        let Some(length) = self.rest().find(OPEN) else {
            self.at = self.text.len();
            self.push(Kind::Text, start);
            return Ok(());
        };
        let open = start + length;
        let inside = &self.text[open + OPEN.len()..];
        let trims = inside.starts_with('-') && inside[1..].starts_with(is_space);
        let mut end = open;
        if trims {
            end = start + self.text[start..open].trim_end_matches(is_space).len();
        }
        self.at = end;
        if end > start {
            self.push(Kind::Text, start);
        }
        let marker = if trims { 1 } else { 0 };
        // A comment stands alone: its marker is `- `, a space included.
        let behind = inside.get(if trims { 2 } else { 0 }..).unwrap_or_default();
        if behind.starts_with("/*") {
            return self.comment(open, self.text.len() - behind.len());
        }
        self.at = open + OPEN.len();
        self.push(Kind::Open, open);
        self.at += marker;
        self.action(open)
    }

    fn comment(&mut self, open: usize, start: usize) -> Result<(), Fault> {
        let Some(length) = self.text[start + 2..].find("*/") else {
            return self.fail(open, "a comment is not closed by `*/`");
        };
        self.at = start + 2 + length + 2;
        match self.closes() {
            Some(trims) => self.close(trims),
            None => return self.fail(open, "a comment is followed by something else than `}}`"),
        }
        Ok(())
    }

    /// Whether an action closes here, and trims the text behind it.
    fn closes(&self) -> Option<bool> {
        let rest = self.rest();
        if rest.starts_with(CLOSE) {
            return Some(false);
        }
        let trims = rest.strip_prefix(is_space)?.strip_prefix('-')?.starts_with(CLOSE);
        trims.then_some(true)
    }

    fn close(&mut self, trims: bool) {
        self.at += CLOSE.len();
        if trims {
            self.at += 2;
            self.at = self.text.len() - self.rest().trim_start_matches(is_space).len();
        }
    }

    fn action(&mut self, open: usize) -> Result<(), Fault> {
        let mut depth = 0_usize;
        loop {
            let start = self.at;
            if let Some(trims) = self.closes() {
                if depth > 0 {
                    return self.fail(start, "a `(` is not closed");
                }
                self.at += if trims { 2 } else { 0 };
                let start = self.at;
                self.at += CLOSE.len();
                self.push(Kind::Close, start);
                self.at = start - if trims { 2 } else { 0 };
                self.close(trims);
                return Ok(());
            }
            let Some(c) = self.rest().chars().next() else {
                return self.fail(open, "an action is not closed by `}}`");
            };
            self.at += c.len_utf8();
            match c {
                c if is_space(c) => self.space(start),
                '=' => self.push(Kind::Assign, start),
                ':' if self.rest().starts_with('=') => {
                    self.at += 1;
                    self.push(Kind::Declare, start);
                }
                ':' => return self.fail(start, "`:` stands without `=`"),
                ',' => self.push(Kind::Comma, start),
                '|' => self.push(Kind::Pipe, start),
                '(' => {
                    depth += 1;
                    self.push(Kind::LeftParenthesis, start);
                }
                ')' => {
                    let Some(outer) = depth.checked_sub(1) else {
                        return self.fail(start, "a `)` closes nothing");
                    };
                    depth = outer;
                    self.push(Kind::RightParenthesis, start);
                }
                '"' => self.quoted('"', Kind::Quoted, "a string", start)?,
                '\'' => self.quoted('\'', Kind::Character, "a character", start)?,
                '`' => {
                    let Some(end) = self.rest().find('`') else {
                        return self.fail(start, "a string in back quotes is not closed");
                    };
                    self.at += end + 1;
                    self.push(Kind::Raw, start);
                }
                '$' => self.word(Kind::Variable, start)?,
                '.' if !self.rest().starts_with(|c: char| c.is_ascii_digit()) => {
                    let before = self.at;
                    self.word(Kind::Field, start)?;
                    if self.at == before
                        && let Some(token) = self.tokens.last_mut()
                    {
                        token.kind = Kind::Dot;
                    }
                }
                '.' | '+' | '-' | '0'..='9' => self.number(start)?,
                c if is_word(c) => self.word(Kind::Name, start)?,
                c => return self.fail(start, format!("`{c}` has no meaning here")),
            }
        }
    }

    /// A run of spaces, without the one that belongs to a trim marker.
    fn space(&mut self, start: usize) {
        self.at = start;
        while self.closes().is_none()
            && let Some(c) = self.rest().chars().next().filter(|c| is_space(*c))
        {
            self.at += c.len_utf8();
        }
        if self.at > start {
            self.push(Kind::Space, start);
        }
    }

    fn quoted(&mut self, quote: char, kind: Kind, what: &str, start: usize) -> Result<(), Fault> {
        let mut escaped = false;
        for (index, c) in self.rest().char_indices() {
            match c {
                '\n' => break,
                c if !escaped && c == quote => {
                    self.at += index + 1;
                    self.push(kind, start);
                    return Ok(());
                }
                c => escaped = !escaped && c == '\\',
            }
        }
        self.fail(start, format!("{what} is not closed by `{quote}` on its line"))
    }

    fn word(&mut self, kind: Kind, start: usize) -> Result<(), Fault> {
        self.at = self.text.len() - self.rest().trim_start_matches(is_word).len();
        let rest = self.rest();
        let ends = rest.is_empty()
            || rest.starts_with(|c| is_space(c) || matches!(c, '.' | ',' | '|' | ':' | ')' | '('))
            || rest.starts_with(CLOSE);
        if !ends {
            let c = rest.chars().next().unwrap_or_default();
            return self.fail(self.at, format!("`{c}` cannot follow a name"));
        }
        self.push(kind, start);
        Ok(())
    }

    /// What looks like a number; whether it is one is seen when it is read.
    fn number(&mut self, start: usize) -> Result<(), Fault> {
        self.at = start;
        let signed = self.text[start..].strip_prefix(['+', '-']).unwrap_or(&self.text[start..]);
        let hexadecimal = signed.starts_with("0x") || signed.starts_with("0X");
        let mut before = '\0';
        for c in self.rest().chars() {
            let exponent = if hexadecimal { ['p', 'P'] } else { ['e', 'E'] };
            let sign = matches!(c, '+' | '-') && (before == '\0' || exponent.contains(&before));
            if !(is_word(c) || c == '.' || sign) {
                break;
            }
            self.at += c.len_utf8();
            before = c;
        }
        if self.rest().starts_with(['+', '-']) {
            return self.fail(start, "complex numbers are not supported");
        }
        self.push(Kind::Number, start);
        Ok(())
    }
}
