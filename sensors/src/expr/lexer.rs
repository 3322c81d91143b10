//! The words and signs of an expression.

use std::sync::Arc;

use super::Fault;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(Arc<str>),
    Number(Arc<str>),
    Text(Arc<str>),
    /// A sign, or a word that is an operator.
    Sign(Arc<str>),
    End,
}

const WORDS: [&str; 9] =
    ["not", "in", "or", "and", "matches", "contains", "startsWith", "endsWith", "let"];

/// All tokens, and where they begin. The last is the end.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, usize)>, Fault> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip()?;
        let start = lexer.at;
        let token = lexer.token()?;
        let ends = token == Token::End;
        // `#name` is two tokens.
        let is_pointer = token == Token::Sign("#".into());
        tokens.push((token, start));
        if ends {
            return Ok(tokens);
        }
        if is_pointer && lexer.peek().is_some_and(is_part) {
            let start = lexer.at;
            tokens.push((Token::Name(lexer.word().into()), start));
        }
    }
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

fn is_part(c: char) -> bool {
    c == '_' || c == '$' || c.is_alphabetic() || c.is_ascii_digit()
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip(&mut self) -> Result<(), Fault> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if trimmed.starts_with("//") {
                self.at += trimmed.find('\n').unwrap_or(trimmed.len());
            } else if let Some(comment) = trimmed.strip_prefix("/*") {
                let Some(end) = comment.find("*/") else {
                    return Err(Fault::at(self.at, "the comment has no end"));
                };
                self.at += end + 4;
            } else {
                return Ok(());
            }
        }
    }

    fn word(&mut self) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn token(&mut self) -> Result<Token, Fault> {
        let Some(first) = self.peek() else { return Ok(Token::End) };
        let start = self.at;
        let second = self.rest().chars().nth(1);
        match first {
            '"' | '\'' => return self.text(first),
            '0'..='9' => return self.number(),
            '.' if second.is_some_and(|c| c.is_ascii_digit()) => return self.number(),
            c if is_part(c) => {
                let word = self.word();
                let word_of = if WORDS.contains(&word) { Token::Sign } else { Token::Name };
                return Ok(word_of(word.into()));
            }
            _ => {}
        }
        let more = match first {
            '?' => ".?",
            '.' => ".",
            '|' => "|",
            '#' => "#",
            '&' | '!' | '=' | '*' | '<' | '>' => "&=*",
            '/' | ',' | ':' | ';' | '%' | '+' | '-' | '^' | '(' | ')' | '[' | ']' | '{' | '}' => "",
            c => return Err(Fault::at(start, format!("`{c}` is no sign of the language"))),
        };
        self.at += first.len_utf8();
        if self.peek().is_some_and(|c| more.contains(c)) {
            self.at += 1;
        }
        Ok(Token::Sign(self.text[start..self.at].into()))
    }

    fn digits(&mut self, digits: &str) {
        while self.peek().is_some_and(|c| digits.contains(c)) {
            self.at += 1;
        }
    }

    fn number(&mut self) -> Result<Token, Fault> {
        let start = self.at;
        let prefix = self.rest().get(..2).unwrap_or_default().to_ascii_lowercase();
        let digits = match prefix.as_str() {
            "0x" => "0123456789abcdefABCDEF_",
            "0o" => "01234567_",
            "0b" => "01_",
            _ => "0123456789_",
        };
        if matches!(prefix.as_str(), "0x" | "0o" | "0b") {
            self.at += 2;
        }
        self.digits(digits);
        // `1..2` is a range.
        if self.rest().starts_with('.') && !self.rest().starts_with("..") {
            self.at += 1;
            self.digits(digits);
        } else if self.rest().starts_with("..") {
            return Ok(Token::Number(self.text[start..self.at].into()));
        }
        if self.peek().is_some_and(|c| matches!(c, 'e' | 'E')) {
            self.at += 1;
            if self.peek().is_some_and(|c| matches!(c, '+' | '-')) {
                self.at += 1;
            }
            self.digits(digits);
        }
        if self.peek().is_some_and(is_part) {
            let found = &self.text[start..self.at];
            return Err(Fault::at(start, format!("`{found}` is followed by a letter")));
        }
        Ok(Token::Number(self.text[start..self.at].into()))
    }

    fn text(&mut self, quote: char) -> Result<Token, Fault> {
        let start = self.at;
        self.at += 1;
        let mut made = String::new();
        loop {
            let Some(c) = self.peek().filter(|c| *c != '\n') else {
                return Err(Fault::at(start, "the text has no end: its quote is missing"));
            };
            self.at += c.len_utf8();
            match c {
                c if c == quote => return Ok(Token::Text(made.into())),
                '\\' => self.escape(quote, &mut made)?,
                c => made.push(c),
            }
        }
    }

    fn escape(&mut self, quote: char, made: &mut String) -> Result<(), Fault> {
        let start = self.at - 1;
        let wrong = || Fault::at(start, "there is no such escape");
        let c = self.peek().ok_or_else(wrong)?;
        self.at += c.len_utf8();
        let mut code = |count: usize, radix: u32, from: usize| {
            let digits = self.text.get(from..from + count).ok_or_else(wrong)?;
            if !digits.chars().all(|c| c.is_digit(radix)) {
                return Err(wrong());
            }
            self.at = from + count;
            let code = u32::from_str_radix(digits, radix).map_err(|_| wrong())?;
            char::from_u32(code).ok_or_else(wrong)
        };
        let behind = start + 2;
        made.push(match c {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '\\' => '\\',
            c if c == quote => c,
            '0'..='7' => code(3, 8, start + 1)?,
            'x' => code(2, 16, behind)?,
            'u' => code(4, 16, behind)?,
            'U' => code(8, 16, behind)?,
            _ => return Err(wrong()),
        });
        Ok(())
    }
}
