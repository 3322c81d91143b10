//! The words and signs of a program.

use super::syntax::{Operator, Update};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// Also those that are words of the language.
    Name(Box<str>),
    /// `$name`, without the `$`.
    Variable(Box<str>),
    /// `.name`.
    Field(Box<str>),
    Number(Box<str>),
    /// `@name`.
    Format(Box<str>),
    /// The quote that a text begins with; the rest is read by [`Lexer::piece`].
    Quote,
    Dot,
    DotDot,
    Operator(Operator),
    Update(Update),
    /// `?//`.
    Otherwise,
    /// Any other sign.
    Sign(char),
    End,
}

/// What follows in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Plain(Box<str>),
    /// `\(`: a program and a `)` follow.
    Open,
    End,
}

/// What is wrong, and where: bytes from the beginning.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) message: String,
}

impl Fault {
    pub(super) fn at(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }
}

pub(super) struct Lexer<'t> {
    text: &'t str,
    pub(super) at: usize,
}

fn is_name(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c == b'_'
}

fn begins_name(c: u8) -> bool {
    c.is_ascii_alphabetic() || c == b'_'
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.text.as_bytes().get(self.at + ahead).copied().unwrap_or_default()
    }

    fn skip(&mut self) {
        loop {
            match self.peek(0) {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                b'#' => self.comment(),
                _ => return,
            }
        }
    }

    /// A comment goes to the end of the line; a backslash can take the end away.
    fn comment(&mut self) {
        loop {
            match self.peek(0) {
                0 if self.at >= self.text.len() => return,
                b'\n' | b'\r' => return,
                b'\\' => {
                    self.at += 1;
                    match self.peek(0) {
                        b'\\' | b'\n' => self.at += 1,
                        b'\r' => self.at += if self.peek(1) == b'\n' { 2 } else { 1 },
                        _ => {}
                    }
                }
                _ => self.at += 1,
            }
        }
    }

    fn name(&mut self) -> Box<str> {
        let start = self.at;
        while is_name(self.peek(0)) {
            self.at += 1;
        }
        if self.peek(0) == b':' && self.peek(1) == b':' && begins_name(self.peek(2)) {
            self.at += 2;
            while is_name(self.peek(0)) {
                self.at += 1;
            }
        }
        self.text[start..self.at].into()
    }

    /// The next token and where it begins.
    pub(super) fn token(&mut self) -> Result<(Token, usize), Fault> {
        self.skip();
        let start = self.at;
        Ok((self.read(start)?, start))
    }

    fn read(&mut self, start: usize) -> Result<Token, Fault> {
        let first = self.peek(0);
        if begins_name(first) {
            return Ok(Token::Name(self.name()));
        }
        if first.is_ascii_digit() || first == b'.' && self.peek(1).is_ascii_digit() {
            return self.number(start);
        }
        let Some(c) = self.text[start..].chars().next() else { return Ok(Token::End) };
        self.at += c.len_utf8();
        let next = self.peek(0);
        Ok(match c {
            '.' if next == b'.' => self.two(Token::DotDot),
            '.' if begins_name(next) => {
                let begin = self.at;
                while is_name(self.peek(0)) {
                    self.at += 1;
                }
                Token::Field(self.text[begin..self.at].into())
            }
            '.' => Token::Dot,
            '$' if begins_name(next) => Token::Variable(self.name()),
            '@' if is_name(next) => {
                let begin = self.at;
                while is_name(self.peek(0)) {
                    self.at += 1;
                }
                Token::Format(self.text[begin..self.at].into())
            }
            '"' => Token::Quote,
            '?' if next == b'/' && self.peek(1) == b'/' => {
                self.at += 2;
                Token::Otherwise
            }
            '/' if next == b'/' => {
                self.at += 1;
                self.or_update(Operator::Alternative)
            }
            '|' if next == b'=' => self.two(Token::Update(Update::Modify)),
            '+' => self.or_update(Operator::Add),
            '-' => self.or_update(Operator::Subtract),
            '*' => self.or_update(Operator::Multiply),
            '/' => self.or_update(Operator::Divide),
            '%' => self.or_update(Operator::Modulo),
            '=' if next == b'=' => self.two(Token::Operator(Operator::Equal)),
            '=' => Token::Update(Update::Set),
            '!' if next == b'=' => self.two(Token::Operator(Operator::NotEqual)),
            '<' if next == b'=' => self.two(Token::Operator(Operator::LessOrEqual)),
            '<' => Token::Operator(Operator::Less),
            '>' if next == b'=' => self.two(Token::Operator(Operator::GreaterOrEqual)),
            '>' => Token::Operator(Operator::Greater),
            c => Token::Sign(c),
        })
    }

    fn two(&mut self, token: Token) -> Token {
        self.at += 1;
        token
    }

    fn or_update(&mut self, operator: Operator) -> Token {
        if self.peek(0) == b'=' {
            self.at += 1;
            return Token::Update(Update::With(operator));
        }
        Token::Operator(operator)
    }

    fn digits(&mut self) {
        while self.peek(0).is_ascii_digit() {
            self.at += 1;
        }
    }

    fn number(&mut self, start: usize) -> Result<Token, Fault> {
        self.digits();
        if self.peek(0) == b'.' {
            self.at += 1;
            self.digits();
        }
        if matches!(self.peek(0), b'e' | b'E') {
            self.at += if matches!(self.peek(1), b'+' | b'-') { 2 } else { 1 };
            if !self.peek(0).is_ascii_digit() {
                return Err(self.bad_number(start));
            }
            self.digits();
        }
        if self.peek(0) == b'.' || begins_name(self.peek(0)) {
            return Err(self.bad_number(start));
        }
        Ok(Token::Number(self.text[start..self.at].into()))
    }

    fn bad_number(&self, start: usize) -> Fault {
        let end = (self.at + 1).min(self.text.len());
        let found = self.text.get(start..end).unwrap_or(&self.text[start..self.at]);
        Fault::at(start, format!("`{found}` is no number"))
    }

    /// The next piece of a text; the quote it began with is behind.
    pub(super) fn piece(&mut self) -> Result<Piece, Fault> {
        let mut made = String::new();
        let start = self.at;
        loop {
            let Some(c) = self.text[self.at..].chars().next() else {
                return Err(Fault::at(start, "the text has no end: a `\"` is missing"));
            };
            if c == '"' || c == '\\' && self.peek(1) == b'(' {
                if !made.is_empty() {
                    return Ok(Piece::Plain(made.into()));
                }
                self.at += if c == '"' { 1 } else { 2 };
                return Ok(if c == '"' { Piece::End } else { Piece::Open });
            }
            self.at += c.len_utf8();
            made.push(if c == '\\' { self.escape()? } else { c });
        }
    }

    fn escape(&mut self) -> Result<char, Fault> {
        let start = self.at - 1;
        let c = self.peek(0);
        self.at += 1;
        Ok(match c {
            b'"' | b'/' | b'\\' => char::from(c),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.unit(start)?;
                if (0xd800..0xdc00).contains(&first)
                    && self.peek(0) == b'\\'
                    && self.peek(1) == b'u'
                {
                    let back = self.at;
                    self.at += 2;
                    let second = self.unit(start)?;
                    if (0xdc00..0xe000).contains(&second) {
                        let joined = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                        return Ok(char::from_u32(joined).unwrap_or('\u{fffd}'));
                    }
                    self.at = back;
                }
                char::from_u32(first).unwrap_or('\u{fffd}')
            }
            _ => return Err(Fault::at(start, "there is no such escape in a text")),
        })
    }

    fn unit(&mut self, start: usize) -> Result<u32, Fault> {
        let digits = self.text.get(self.at..self.at + 4).unwrap_or_default();
        let is_hex = digits.len() == 4 && digits.bytes().all(|c| c.is_ascii_hexdigit());
        let unit = u32::from_str_radix(digits, 16).ok().filter(|_| is_hex);
        self.at += 4;
        unit.ok_or_else(|| Fault::at(start, "`\\u` needs four hexadecimal digits"))
    }
}
