//! From the text of an expression to its parts.

use super::EXPRESSION_MAX;

/// How deep parts may be in one another.
const DEPTH_MAX: usize = 64;

/// A part of an expression.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Nil,
    Bool(bool),
    Number(f64),
    Text(String),
    Name(String),
    List(Vec<Self>),
    Not(Box<Self>),
    Negative(Box<Self>),
    Binary(&'static str, Box<Self>, Box<Self>),
    Choice(Box<Self>, Box<Self>, Box<Self>),
    /// A field or an element: what stands in brackets, or after the point.
    Element(Box<Self>, Box<Self>),
    /// A function, or the method of the first argument.
    Call {
        name: String,
        method: bool,
        arguments: Vec<Self>,
    },
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Number(f64),
    Text(String),
    Word(String),
    Sign(&'static str),
}

/// The longest first.
const SIGNS: [&str; 25] = [
    "==", "!=", "<=", ">=", "&&", "||", "??", "?.", "<", ">", "!", "+", "-", "*", "/", "%", "(",
    ")", "[", "]", ",", ".", "?", ":", "**",
];

/// Operators between two values, by how tightly they bind.
const LEVELS: [&[&str]; 6] = [
    &["??"],
    &["||", "or"],
    &["&&", "and"],
    &["==", "!=", "<=", ">=", "<", ">", "in", "contains", "startsWith", "endsWith"],
    &["+", "-"],
    &["*", "/", "%"],
];

pub(super) fn parse(text: &str) -> Result<Node, String> {
    if text.len() > EXPRESSION_MAX {
        return Err(format!("the expression is longer than {EXPRESSION_MAX} bytes"));
    }
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
    let node = parser.choice()?;
    match parser.peek() {
        None => Ok(node),
        Some(token) => Err(format!("{} is not expected there", described(token))),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '0'..='9' => number(rest)?,
            '"' | '\'' | '`' => quoted(rest, first)?,
            'a'..='z' | 'A'..='Z' | '_' => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let word = &rest[..end.unwrap_or(rest.len())];
                (Token::Word(word.to_owned()), word.len())
            }
            _ => match SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
                Some(sign) => (Token::Sign(sign), sign.len()),
                None => return Err(format!("`{first}` means nothing in an expression")),
            },
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

fn number(rest: &str) -> Result<(Token, usize), String> {
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_');
    let text = &rest[..end.unwrap_or(rest.len())];
    let number = text.replace('_', "").parse();
    let number = number.map_err(|_| format!("`{text}` is no number"))?;
    Ok((Token::Number(number), text.len()))
}

fn quoted(rest: &str, quote: char) -> Result<(Token, usize), String> {
    let mut text = String::new();
    let mut characters = rest.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            _ if character == quote => return Ok((Token::Text(text), at + 1)),
            '\\' if quote != '`' => match characters.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, 't')) => text.push('\t'),
                Some((_, other)) => text.push(other),
                None => break,
            },
            _ => text.push(character),
        }
    }
    Err(format!("the quote {quote} is not closed"))
}

fn described(token: &Token) -> String {
    match token {
        Token::Number(number) => format!("`{number}`"),
        Token::Text(text) => format!("the text {text:?}"),
        Token::Word(word) => format!("`{word}`"),
        Token::Sign(sign) => format!("`{sign}`"),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self, sign: &str) -> bool {
        let there = self.peek().is_some_and(|token| match token {
            Token::Sign(other) => *other == sign,
            Token::Word(word) => word == sign,
            _ => false,
        });
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, sign: &str) -> Result<(), String> {
        if self.take(sign) {
            return Ok(());
        }
        let found = self.peek().map_or_else(|| "the expression ends".to_owned(), described);
        Err(format!("`{sign}` is expected where {found}"))
    }

    fn deeper<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, String>,
    ) -> Result<T, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("parts are nested more than {DEPTH_MAX} deep"));
        }
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn choice(&mut self) -> Result<Node, String> {
        self.deeper(|parser| {
            let condition = parser.binary(0)?;
            if !parser.take("?") {
                return Ok(condition);
            }
            let then = parser.choice()?;
            parser.expect(":")?;
            let otherwise = parser.choice()?;
            Ok(Node::Choice(Box::new(condition), Box::new(then), Box::new(otherwise)))
        })
    }

    fn binary(&mut self, level: usize) -> Result<Node, String> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        loop {
            let Some(operator) = operators.iter().find(|operator| self.take(operator)) else {
                return Ok(left);
            };
            let right = self.binary(level + 1)?;
            left = Node::Binary(operator, Box::new(left), Box::new(right));
        }
    }

    fn unary(&mut self) -> Result<Node, String> {
        if self.take("!") || self.take("not") {
            return self.deeper(|parser| Ok(Node::Not(Box::new(parser.unary()?))));
        }
        if self.take("-") {
            return self.deeper(|parser| Ok(Node::Negative(Box::new(parser.unary()?))));
        }
        self.postfix()
    }

    fn postfix(&mut self) -> Result<Node, String> {
        let mut node = self.primary()?;
        loop {
            if self.take(".") || self.take("?.") {
                let name = self.word()?;
                if self.take("(") {
                    let mut arguments = vec![node];
                    arguments.extend(self.list(")")?);
                    node = Node::Call { name, method: true, arguments };
                } else {
                    node = Node::Element(Box::new(node), Box::new(Node::Text(name)));
                }
            } else if self.take("[") {
                let key = self.choice()?;
                self.expect("]")?;
                node = Node::Element(Box::new(node), Box::new(key));
            } else {
                return Ok(node);
            }
        }
    }

    fn word(&mut self) -> Result<String, String> {
        match self.peek().cloned() {
            Some(Token::Word(word)) => {
                self.at += 1;
                Ok(word)
            }
            Some(other) => Err(format!("a name is expected where {} stands", described(&other))),
            None => Err("a name is expected where the expression ends".to_owned()),
        }
    }

    /// What stands up to the sign, with commas in between.
    fn list(&mut self, end: &str) -> Result<Vec<Node>, String> {
        let mut list = Vec::new();
        while !self.take(end) {
            list.push(self.choice()?);
            if !self.take(",") {
                self.expect(end)?;
                break;
            }
        }
        Ok(list)
    }

    fn primary(&mut self) -> Result<Node, String> {
        let Some(token) = self.peek().cloned() else {
            return Err("a value is expected where the expression ends".to_owned());
        };
        self.at += 1;
        Ok(match token {
            Token::Number(number) => Node::Number(number),
            Token::Text(text) => Node::Text(text),
            Token::Word(word) => match word.as_str() {
                "true" => Node::Bool(true),
                "false" => Node::Bool(false),
                "nil" | "null" => Node::Nil,
                _ if self.take("(") => {
                    Node::Call { name: word, method: false, arguments: self.list(")")? }
                }
                _ => Node::Name(word),
            },
            Token::Sign("(") => {
                let node = self.choice()?;
                self.expect(")")?;
                node
            }
            Token::Sign("[") => Node::List(self.list("]")?),
            Token::Sign(_) => {
                return Err(format!("a value is expected where {} stands", described(&token)));
            }
        })
    }
}
