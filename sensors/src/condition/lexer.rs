//! The words and signs of a condition.

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'t> {
    Name(&'t str),
    /// A name in quotes, without them.
    Quoted(&'t str),
    Number(&'t str),
    And,
    Or,
    Open,
    Close,
    /// Anything else.
    Other(&'t str),
    End,
}

impl<'t> Token<'t> {
    /// What was written.
    pub(super) fn text(self) -> &'t str {
        match self {
            Self::Name(text) | Self::Quoted(text) | Self::Number(text) | Self::Other(text) => text,
            Self::And => "&&",
            Self::Or => "||",
            Self::Open => "(",
            Self::Close => ")",
            Self::End => "",
        }
    }
}

/// Reads a condition from its beginning.
pub(super) struct Lexer<'t> {
    text: &'t str,
    rest: &'t str,
}

impl<'t> Lexer<'t> {
    /// The lexer behind the first token, and that token.
    pub(super) fn new(text: &'t str) -> (Self, Token<'t>) {
        let mut lexer = Self { text, rest: text };
        let first = lexer.next();
        (lexer, first)
    }

    /// The text has nothing in it at all, not even white space.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Nothing but white space and comments is left.
    pub(super) fn is_at_end(&self) -> bool {
        let mut rest = Self { text: self.text, rest: self.rest };
        rest.next() == Token::End
    }

    pub(super) fn next(&mut self) -> Token<'t> {
        self.skip();
        let Some(first) = self.rest.chars().next() else { return Token::End };
        for (sign, token) in
            [("&&", Token::And), ("||", Token::Or), ("(", Token::Open), (")", Token::Close)]
        {
            if let Some(rest) = self.rest.strip_prefix(sign) {
                self.rest = rest;
                return token;
            }
        }
        if first == '"' || first == '\'' {
            return self.quoted(first);
        }
        // A `-` reads as `_`.
        let in_name = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        let end = self.rest.find(|c| !in_name(c)).unwrap_or(self.rest.len());
        if end == 0 {
            return self.cut(first.len_utf8(), Token::Other);
        }
        let word = &self.rest[..end];
        if word.bytes().all(|c| c.is_ascii_digit()) {
            return self.cut(end, Token::Number);
        }
        let token = if first.is_ascii_digit() { Token::Other } else { Token::Name };
        self.cut(end, token)
    }

    /// A name in quotes. Signs in it would be taken for signs, so it has only letters,
    /// digits, `_` and `-`.
    fn quoted(&mut self, quote: char) -> Token<'t> {
        let inside = &self.rest[1..];
        let end = inside.find(quote);
        let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        match end.filter(|end| inside[..*end].chars().all(plain)) {
            Some(end) => {
                self.rest = &inside[end + 1..];
                Token::Quoted(&inside[..end])
            }
            None => self.cut(1, Token::Other),
        }
    }

    fn cut(&mut self, end: usize, token: fn(&'t str) -> Token<'t>) -> Token<'t> {
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        token(word)
    }

    /// Skips white space and comments.
    fn skip(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            if let Some(comment) = self.rest.strip_prefix("//") {
                self.rest = comment.find('\n').map_or("", |end| &comment[end..]);
            } else if let Some(comment) = self.rest.strip_prefix("/*")
                && let Some(end) = comment.find("*/")
            {
                self.rest = &comment[end + 2..];
            } else {
                return;
            }
        }
    }
}
