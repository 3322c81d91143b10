//! The words and signs of an expression, and which may follow which.

use super::{Binary, MAX_TOKENS, Prefix};
use crate::go_time;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Number(f64),
    Bool(bool),
    Text(String),
    /// A text that looks like a date.
    Time(f64),
    Name(String),
    /// A name with dots.
    Member(String),
    Prefix(Prefix),
    Binary(Binary),
    Open,
    Close,
}

/// What decides which token may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Begin,
    /// A number, boolean, text or name.
    Value,
    Text,
    Time,
    Member,
    Prefix,
    Modifier,
    /// A comparison or a logical operator.
    Logic,
    Ternary,
    Separator,
    Open,
    Close,
}

impl Token {
    /// The parameter that the token names.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Member(name) => name.split('.').next(),
            _ => None,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Number(_) | Self::Bool(_) | Self::Name(_) => Kind::Value,
            Self::Text(_) => Kind::Text,
            Self::Time(_) => Kind::Time,
            Self::Member(_) => Kind::Member,
            Self::Prefix(_) => Kind::Prefix,
            Self::Open => Kind::Open,
            Self::Close => Kind::Close,
            Self::Binary(binary) => match binary.level() {
                0 => Kind::Separator,
                1 => Kind::Ternary,
                2..=4 => Kind::Logic,
                _ => Kind::Modifier,
            },
        }
    }
}

impl Kind {
    fn may_precede(self, next: Self) -> bool {
        use Kind::{
            Begin, Close, Logic, Member, Modifier, Open, Prefix, Separator, Ternary, Text, Time,
            Value,
        };
        let operand = matches!(next, Prefix | Value | Text | Time | Member | Open);
        let operator = matches!(next, Modifier | Logic | Close | Ternary | Separator);
        match self {
            Begin | Separator => operand,
            Open | Logic => operand || next == Close,
            Close => operator || matches!(next, Value | Text | Time | Open),
            Value | Text => operator,
            Time => operator && next != Ternary,
            Member => operator || next == Open,
            Modifier => (operand && next != Time) || next == Close,
            Prefix => matches!(next, Value | Member | Open | Close),
            Ternary => operand || next == Separator,
        }
    }

    fn may_end(self) -> bool {
        matches!(self, Self::Value | Self::Text | Self::Time | Self::Member | Self::Close)
    }
}

/// The tokens of `text`, in an order that the language allows.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut lexer = Lexer { chars: text.chars().collect(), at: 0 };
    let mut tokens = Vec::new();
    let mut last = Kind::Begin;
    let (mut open, mut close) = (0, 0);
    let mut misplaced = None;
    while let Some((token, written)) = lexer.token(last)? {
        let kind = token.kind();
        if misplaced.is_none() && !last.may_precede(kind) {
            misplaced = Some(written);
        }
        open += usize::from(kind == Kind::Open);
        close += usize::from(kind == Kind::Close);
        last = kind;
        tokens.push(token);
        if tokens.len() > MAX_TOKENS {
            return Err(format!("it has more than {MAX_TOKENS} words and signs"));
        }
    }
    if open != close {
        return Err(format!("it has {open} `(` and {close} `)`"));
    }
    if let Some(written) = misplaced {
        return Err(format!("`{written}` cannot stand where it does"));
    }
    if !last.may_end() {
        return Err("it ends too early".to_owned());
    }
    Ok(tokens)
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
}

impl Lexer {
    /// The next token, and how it was written.
    fn token(&mut self, last: Kind) -> Result<Option<(Token, String)>, String> {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
        let from = self.at;
        let Some(c) = self.peek() else { return Ok(None) };
        let token = match c {
            ',' => self.sign(Token::Binary(Binary::Separate)),
            '(' => self.sign(Token::Open),
            ')' => self.sign(Token::Close),
            '[' => Token::Name(self.enclosed("a `]` is missing", |c| c == ']')?),
            '\'' | '"' => {
                let text = self.enclosed("a quote is missing", |c| c == '\'' || c == '"')?;
                match go_time::looks_like_date(&text) {
                    #[expect(clippy::cast_precision_loss, reason = "Go converts it too")]
                    Some(seconds) => Token::Time(seconds as f64),
                    None => Token::Text(text),
                }
            }
            c if is_digit(c) || c == '.' => self.number()?,
            c if c.is_alphabetic() => self.word()?,
            _ => self.operator(last)?,
        };
        Ok(Some((token, self.chars[from..self.at].iter().collect())))
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn sign(&mut self, token: Token) -> Token {
        self.at += 1;
        token
    }

    fn enclosed(&mut self, missing: &str, ends: fn(char) -> bool) -> Result<String, String> {
        self.at += 1;
        let text = self.read(true, |c| !ends(c))?;
        if self.peek().is_none() {
            return Err(missing.to_owned());
        }
        self.at += 1;
        Ok(text)
    }

    fn number(&mut self) -> Result<Token, String> {
        let next = self.chars.get(self.at + 1);
        if self.peek() == Some('0') && next == Some(&'x') && self.at + 2 < self.chars.len() {
            self.at += 2;
            let digits = self.read(false, |c| is_digit(c) || c.is_ascii_hexdigit())?;
            let plain = digits.bytes().all(|c| c.is_ascii_hexdigit());
            let value = u64::from_str_radix(&digits, 16).ok().filter(|_| plain);
            #[expect(clippy::cast_precision_loss, reason = "Go converts it too")]
            let value = value.ok_or_else(|| format!("`0x{digits}` is no number"))? as f64;
            return Ok(Token::Number(value));
        }
        let digits = self.read(false, |c| is_digit(c) || c == '.')?;
        let value = crate::number::parse_float(&digits);
        Ok(Token::Number(value.map_err(|_| format!("`{digits}` is no number"))?))
    }

    fn word(&mut self) -> Result<Token, String> {
        let word = self.read(false, |c| c.is_alphabetic() || is_digit(c) || "_.".contains(c))?;
        if let Some(dot) = word.find('.').filter(|dot| *dot > 0) {
            let hidden = |part: &str| part.chars().next().is_some_and(char::is_lowercase);
            if word.ends_with('.') || word[dot + 1..].split('.').any(hidden) {
                let advice = "bind the inner value with a field's path, or write `[a.b]`";
                return Err(format!("`{word}`: values have no members; {advice}"));
            }
            return Ok(Token::Member(word));
        }
        Ok(match word.as_str() {
            "true" => Token::Bool(true),
            "false" => Token::Bool(false),
            "in" | "IN" => Token::Binary(Binary::In),
            _ => Token::Name(word),
        })
    }

    /// All signs up to the next letter, digit, bracket, quote or space are one.
    fn operator(&mut self, last: Kind) -> Result<Token, String> {
        let ends = |c: char| c.is_alphabetic() || is_digit(c) || "()[]'\"".contains(c);
        let sign = self.read(false, |c| !ends(c))?;
        if last.may_precede(Kind::Prefix)
            && let Some(prefix) = Prefix::parse(&sign)
        {
            return Ok(Token::Prefix(prefix));
        }
        let binary = Binary::parse(&sign);
        binary.map(Token::Binary).ok_or_else(|| format!("`{sign}` is no operator"))
    }

    /// Reads while `goes_on`. A `\` takes the next character as it is. White space ends
    /// a word, unless it belongs to it.
    fn read(&mut self, spaces: bool, goes_on: impl Fn(char) -> bool) -> Result<String, String> {
        let mut text = String::new();
        while let Some(c) = self.peek() {
            self.at += 1;
            if c == '\\' {
                text.push(self.peek().ok_or("it ends in a `\\`")?);
                self.at += 1;
            } else if c.is_whitespace() && !spaces {
                if !text.is_empty() {
                    break;
                }
            } else if goes_on(c) {
                text.push(c);
            } else {
                self.at -= 1;
                break;
            }
        }
        Ok(text)
    }
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit() || (!c.is_ascii() && c.is_numeric())
}

impl Prefix {
    fn parse(sign: &str) -> Option<Self> {
        Some(match sign {
            "-" => Self::Negate,
            "!" => Self::Not,
            "~" => Self::BitNot,
            _ => return None,
        })
    }
}

/// The signs of operators, loosest first.
const OPERATORS: [(&str, Binary); 26] = [
    (",", Binary::Separate),
    ("?", Binary::Then),
    (":", Binary::Else),
    ("??", Binary::Coalesce),
    ("||", Binary::Or),
    ("&&", Binary::And),
    ("==", Binary::Equal),
    ("!=", Binary::NotEqual),
    (">", Binary::Greater),
    (">=", Binary::GreaterOrEqual),
    ("<", Binary::Less),
    ("<=", Binary::LessOrEqual),
    ("=~", Binary::Matches),
    ("!~", Binary::NotMatches),
    ("in", Binary::In),
    ("&", Binary::BitAnd),
    ("|", Binary::BitOr),
    ("^", Binary::BitXor),
    ("<<", Binary::ShiftLeft),
    (">>", Binary::ShiftRight),
    ("+", Binary::Add),
    ("-", Binary::Subtract),
    ("*", Binary::Multiply),
    ("/", Binary::Divide),
    ("%", Binary::Modulo),
    ("**", Binary::Power),
];

impl Binary {
    fn parse(sign: &str) -> Option<Self> {
        // A comma and `in` are read as words of their own.
        let found = OPERATORS.iter().find(|(known, _)| *known == sign)?.1;
        (!matches!(found, Self::Separate | Self::In)).then_some(found)
    }

    pub(super) fn sign(self) -> &'static str {
        OPERATORS.iter().find(|(_, known)| *known == self).map_or("", |(sign, _)| sign)
    }

    /// How tightly it binds.
    pub(super) fn level(self) -> u8 {
        match self {
            Self::Separate => 0,
            Self::Then | Self::Else | Self::Coalesce => 1,
            Self::Or => 2,
            Self::And => 3,
            Self::Equal
            | Self::NotEqual
            | Self::Greater
            | Self::GreaterOrEqual
            | Self::Less
            | Self::LessOrEqual
            | Self::Matches
            | Self::NotMatches
            | Self::In => 4,
            Self::BitAnd | Self::BitOr | Self::BitXor => 5,
            Self::ShiftLeft | Self::ShiftRight => 6,
            Self::Add | Self::Subtract => 7,
            Self::Multiply | Self::Divide | Self::Modulo => 8,
            Self::Power => 9,
        }
    }
}
