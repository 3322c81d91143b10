//! From tokens to a tree. The order of the tokens is known to be right.

use super::lexer::Token;
use super::{Binary, MAX_PARENTHESES, Node, pattern};

pub(super) fn parse(tokens: Vec<Token>) -> Result<Node, String> {
    let mut parser = Parser { tokens: tokens.into_iter().peekable(), open: 0 };
    // Tokens can be left, behind a `)`: they are not looked at.
    parser.binary(0)
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    open: usize,
}

impl Parser {
    /// Operands joined by operators of this level and above.
    fn binary(&mut self, level: u8) -> Result<Node, String> {
        let mut left = self.operand()?;
        while let Some(Token::Binary(binary)) = self.tokens.peek() {
            let binary = *binary;
            if binary.level() < level {
                break;
            }
            self.tokens.next();
            let right = if matches!(binary, Binary::Matches | Binary::NotMatches)
                && let Some(Token::Text(text)) = self.tokens.peek()
            {
                // The pattern is known now, whatever operators follow it.
                let compiled = pattern(text)?;
                self.with_pattern(compiled, binary.level() + 1)?
            } else {
                self.binary(binary.level() + 1)?
            };
            left = Node::Binary(binary, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    /// A pattern, and what is done to it by operators that bind tighter.
    fn with_pattern(&mut self, compiled: regex::Regex, level: u8) -> Result<Node, String> {
        let next_binds = |token: Option<&Token>| match token {
            Some(Token::Binary(binary)) => binary.level() >= level,
            _ => false,
        };
        let mut ahead = self.tokens.clone();
        ahead.next();
        if next_binds(ahead.peek()) {
            return self.binary(level);
        }
        self.tokens.next();
        Ok(Node::Pattern(Box::new(compiled)))
    }

    fn operand(&mut self) -> Result<Node, String> {
        // A `)` is left for who opened the parenthesis.
        if matches!(self.tokens.peek(), None | Some(Token::Close)) {
            return Ok(Node::Missing);
        }
        Ok(match self.tokens.next() {
            Some(Token::Number(value) | Token::Time(value)) => Node::Number(value),
            Some(Token::Bool(value)) => Node::Bool(value),
            Some(Token::Text(text)) => Node::Text(text),
            Some(Token::Name(name)) => Node::Name(name),
            Some(Token::Member(name)) => {
                let call = self.tokens.peek() == Some(&Token::Open);
                // The arguments take all that follows.
                let arguments = if call { Some(Box::new(self.nested()?)) } else { None };
                Node::Member(name, arguments)
            }
            Some(Token::Prefix(prefix)) => Node::Prefix(prefix, Box::new(self.operand()?)),
            Some(Token::Open) => {
                let node = self.nested()?;
                // What closes is not looked at: it can be a value behind a `)`.
                self.tokens.next();
                node
            }
            Some(Token::Binary(_) | Token::Close) | None => Node::Missing,
        })
    }

    fn nested(&mut self) -> Result<Node, String> {
        self.open += 1;
        if self.open > MAX_PARENTHESES {
            return Err(format!("more than {MAX_PARENTHESES} parentheses are open"));
        }
        let node = self.binary(0)?;
        self.open -= 1;
        Ok(node)
    }
}
