//! From text to an expression.

use std::sync::Arc;

use super::Fault;
use super::functions;
use super::lexer::{Token, tokens};
use super::syntax::{Each, Kind, Node, Operator};

/// The deepest nesting of an expression.
const MAX_NESTING: usize = 100;
/// The most operators and steps of an expression: each can nest it one deeper.
const MAX_OPERATORS: usize = 128;

/// What makes the node of an operator before its operand.
type Unary = fn(Box<Node>) -> Kind;
type Parsed<T = Node> = Result<T, Fault>;

pub(super) fn parse(text: &str) -> Parsed {
    let mut parser = Parser { tokens: tokens(text)?, next: 0, depth: 0, operators: 0, inside: 0 };
    let node = parser.expression(0)?;
    match parser.token() {
        Token::End => Ok(node),
        _ => Err(parser.unexpected()),
    }
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    next: usize,
    depth: usize,
    operators: usize,
    /// In how many calls that go through a list.
    inside: usize,
}

fn node(at: usize, kind: Kind) -> Node {
    Node { at, kind }
}

impl Parser {
    fn token(&self) -> &Token {
        self.tokens.get(self.next).map_or(&Token::End, |(token, _)| token)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).or(self.tokens.last()).map_or(0, |(_, at)| *at)
    }

    fn sign(&self) -> Option<Arc<str>> {
        if let Token::Sign(sign) = self.token() { Some(sign.clone()) } else { None }
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.token(), Token::Sign(found) if **found == *sign)
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        self.next += usize::from(found);
        found
    }

    fn need(&mut self, sign: &str) -> Parsed<()> {
        if self.take(sign) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn unexpected(&self) -> Fault {
        let found = match self.token() {
            Token::End => "the expression ends too early".to_owned(),
            Token::Name(text) | Token::Number(text) | Token::Sign(text) => {
                format!("`{text}` is not expected here")
            }
            Token::Text(text) => format!("the text \"{text}\" is not expected here"),
        };
        Fault::at(self.at(), found)
    }

    fn count(&mut self) -> Parsed<()> {
        self.operators += 1;
        if self.operators > MAX_OPERATORS {
            let message = format!("it has more than {MAX_OPERATORS} operators and steps");
            return Err(Fault::at(self.at(), message));
        }
        Ok(())
    }

    fn expression(&mut self, least: u32) -> Parsed {
        self.depth += 1;
        if self.depth > MAX_NESTING {
            let message = format!("it is nested more than {MAX_NESTING} deep");
            return Err(Fault::at(self.at(), message));
        }
        let parsed = self.operators(least);
        self.depth -= 1;
        parsed
    }

    fn operators(&mut self, least: u32) -> Parsed {
        if least == 0 && self.is("let") {
            return self.declaration();
        }
        let mut left = self.primary()?;
        let mut before: Arc<str> = "".into();
        while let Some(mut sign) = self.sign() {
            let start = self.next;
            let mut negated = None;
            if &*sign == "not" {
                negated = Some(self.at());
                self.next += 1;
                match self.sign() {
                    Some(next) => sign = next,
                    None => break,
                }
            }
            let Some((precedence, to_the_right, operator)) = binary(&sign) else {
                self.next = if negated.is_some() { self.next } else { start };
                break;
            };
            if precedence < least {
                self.next = if negated.is_some() { self.next } else { start };
                break;
            }
            self.count()?;
            let at = self.at();
            self.next += 1;
            let Some(operator) = operator else {
                left = self.pipe(left)?;
                before = sign;
                continue;
            };
            if &*before == "??" && &*sign != "??" {
                let message = format!("`{sign}` and `??` need parentheses around one of the two");
                return Err(Fault::at(at, message));
            }
            let right = self.expression(if to_the_right { precedence } else { precedence + 1 })?;
            left = match (&right.kind, operator) {
                // A pattern that is known is compiled once.
                (Kind::Text(pattern), Operator::Matches) => {
                    let compiled = crate::go_regex::compile(pattern).map_err(|error| {
                        Fault::at(right.at, format!("it is no regular expression: {error}"))
                    })?;
                    node(at, Kind::Matches(Box::new(left), compiled))
                }
                _ => node(at, Kind::Binary(operator, Box::new(left), Box::new(right))),
            };
            if let Some(at) = negated {
                left = node(at, Kind::Not(Box::new(left)));
            }
            before = sign;
        }
        if least == 0 {
            left = self.conditional(left)?;
        }
        Ok(left)
    }

    fn declaration(&mut self) -> Parsed {
        let at = self.at();
        self.need("let")?;
        let name = self.name()?;
        self.need("=")?;
        let value = self.expression(0)?;
        self.need(";")?;
        let rest = self.expression(0)?;
        Ok(node(at, Kind::Let(name, Box::new(value), Box::new(rest))))
    }

    fn name(&mut self) -> Parsed<Arc<str>> {
        match self.token() {
            Token::Name(name) => {
                let name = name.clone();
                self.next += 1;
                Ok(name)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn conditional(&mut self, mut condition: Node) -> Parsed {
        while self.is("?") {
            self.count()?;
            let at = self.at();
            self.next += 1;
            if self.take(":") {
                // The condition is the value, too: `a or b` of one that has to be a boolean.
                let otherwise = self.expression(0)?;
                let kind = Kind::Elvis(Box::new(condition), Box::new(otherwise));
                condition = node(at, kind);
                continue;
            }
            let then = self.expression(0)?;
            self.need(":")?;
            let otherwise = self.expression(0)?;
            let kind = Kind::If(Box::new(condition), Box::new(then), Box::new(otherwise));
            condition = node(at, kind);
        }
        Ok(condition)
    }

    fn primary(&mut self) -> Parsed {
        let at = self.at();
        if let Some(sign) = self.sign() {
            let unary: Option<(u32, Unary)> = match &*sign {
                "not" | "!" => Some((50, Kind::Not)),
                "-" => Some((90, Kind::Negate)),
                "+" => Some((90, Kind::Plus)),
                _ => None,
            };
            if let Some((precedence, make)) = unary {
                self.next += 1;
                let of = self.expression(precedence)?;
                return self.postfix(node(at, make(Box::new(of))));
            }
            if self.take("(") {
                let inside = self.expression(0)?;
                self.need(")")?;
                return self.postfix(inside);
            }
            if self.is("#") || self.is(".") {
                if self.inside == 0 {
                    let message = "`#` and `.` are for what goes through a list";
                    return Err(Fault::at(at, message));
                }
                let mut name: Arc<str> = "".into();
                if self.take("#")
                    && let Token::Name(of) = self.token()
                {
                    name = of.clone();
                    self.next += 1;
                }
                if !matches!(&*name, "" | "acc" | "index") {
                    return Err(Fault::at(at, format!("there is no `#{name}`")));
                }
                return self.postfix(node(at, Kind::Pointer(name)));
            }
        }
        self.secondary()
    }

    fn secondary(&mut self) -> Parsed {
        let at = self.at();
        let kind = match self.token().clone() {
            Token::Name(name) => {
                self.next += 1;
                match &*name {
                    // Nothing can follow these.
                    "true" => return Ok(node(at, Kind::Bool(true))),
                    "false" => return Ok(node(at, Kind::Bool(false))),
                    "nil" => return Ok(node(at, Kind::Nil)),
                    _ if self.is("(") => self.call(at, &name, Vec::new())?.kind,
                    _ => Kind::Name(name),
                }
            }
            Token::Number(text) => {
                self.next += 1;
                return Ok(node(at, number(&text).map_err(|message| Fault::at(at, message))?));
            }
            Token::Text(text) => {
                self.next += 1;
                return Ok(node(at, Kind::Text(text)));
            }
            Token::Sign(sign) if &*sign == "[" => {
                self.next += 1;
                Kind::List(self.list("]")?)
            }
            Token::Sign(sign) if &*sign == "{" => self.map()?,
            _ => return Err(self.unexpected()),
        };
        self.postfix(node(at, kind))
    }

    /// Expressions up to a closing sign; a comma may stand behind the last.
    fn list(&mut self, end: &str) -> Parsed<Vec<Node>> {
        let mut nodes = Vec::new();
        while !self.take(end) {
            if !nodes.is_empty() {
                self.need(",")?;
                if self.take(end) {
                    break;
                }
            }
            nodes.push(self.expression(0)?);
        }
        Ok(nodes)
    }

    fn arguments(&mut self) -> Parsed<Vec<Node>> {
        self.need("(")?;
        let mut nodes = Vec::new();
        while !self.take(")") {
            if !nodes.is_empty() {
                self.need(",")?;
            }
            nodes.push(self.expression(0)?);
        }
        Ok(nodes)
    }

    fn map(&mut self) -> Parsed<Kind> {
        self.need("{")?;
        let mut pairs = Vec::new();
        while !self.take("}") {
            if !pairs.is_empty() {
                self.need(",")?;
                if self.take("}") {
                    break;
                }
            }
            let at = self.at();
            let key = match self.token().clone() {
                Token::Name(text) | Token::Number(text) | Token::Text(text) => {
                    self.next += 1;
                    node(at, Kind::Text(text))
                }
                Token::Sign(sign) if &*sign == "(" => self.expression(0)?,
                _ => return Err(self.unexpected()),
            };
            self.need(":")?;
            pairs.push((key, self.expression(0)?));
        }
        Ok(Kind::Map(pairs))
    }

    /// `value | name(…)`: the value is the first argument.
    fn pipe(&mut self, value: Node) -> Parsed {
        let at = self.at();
        let name = self.name()?;
        let call = self.call(at, &name, vec![value])?;
        self.postfix(call)
    }

    fn call(&mut self, at: usize, name: &Arc<str>, mut before: Vec<Node>) -> Parsed {
        if let Some(each) = Each::of(name) {
            self.need("(")?;
            let list = match before.pop() {
                Some(value) => value,
                None => {
                    let list = self.expression(0)?;
                    self.need(",")?;
                    list
                }
            };
            let asked = self.closure()?;
            let start = if each == Each::Reduce && self.take(",") {
                Some(Box::new(self.expression(0)?))
            } else {
                None
            };
            self.need(")")?;
            return Ok(node(at, Kind::Each(each, Box::new(list), Box::new(asked), start)));
        }
        before.extend(self.arguments()?);
        if let Some(function) = functions::find(name) {
            if !function.parameters.contains(&before.len()) {
                let message = format!("`{name}` does not take {} arguments", before.len());
                return Err(Fault::at(at, message));
            }
            return Ok(node(at, Kind::Function(function.name, before)));
        }
        let callee = node(at, Kind::Name(name.clone()));
        Ok(node(at, Kind::Call(Box::new(callee), before)))
    }

    fn closure(&mut self) -> Parsed {
        let braces = self.take("{");
        self.inside += 1;
        let asked = self.expression(0)?;
        self.inside -= 1;
        if braces {
            self.need("}")?;
        }
        Ok(asked)
    }

    fn postfix(&mut self, mut of: Node) -> Parsed {
        loop {
            let at = self.at();
            if self.is(".") || self.is("?.") {
                self.count()?;
                let optional = self.take("?.") || !self.take(".");
                of = self.member(of, optional)?;
            } else if self.take("[") {
                self.count()?;
                of = self.brackets(at, of)?;
            } else {
                return Ok(of);
            }
        }
    }

    fn member(&mut self, of: Node, optional: bool) -> Parsed {
        let at = self.at();
        let name: Arc<str> = match self.token().clone() {
            Token::Name(name) => name,
            // Words that are operators are names here.
            Token::Sign(sign) if sign.starts_with(|c: char| c.is_alphabetic()) => sign,
            _ => return Err(self.unexpected()),
        };
        self.next += 1;
        let key = Box::new(node(at, Kind::Text(name)));
        let (of, chained) = match of.kind {
            Kind::Chain(inside) => (inside, true),
            kind => (Box::new(node(of.at, kind)), false),
        };
        let mut made = node(at, Kind::Member { of, key, optional });
        if self.is("(") {
            let arguments = self.arguments()?;
            made = node(at, Kind::Call(Box::new(made), arguments));
        }
        if chained || optional {
            made = node(at, Kind::Chain(Box::new(made)));
        }
        Ok(made)
    }

    fn brackets(&mut self, at: usize, of: Node) -> Parsed {
        let of = Box::new(of);
        if self.take(":") {
            let end = if self.is("]") { None } else { Some(Box::new(self.expression(0)?)) };
            self.need("]")?;
            return Ok(node(at, Kind::Slice(of, None, end)));
        }
        let start = Box::new(self.expression(0)?);
        if self.take(":") {
            let end = if self.is("]") { None } else { Some(Box::new(self.expression(0)?)) };
            self.need("]")?;
            return Ok(node(at, Kind::Slice(of, Some(start), end)));
        }
        self.need("]")?;
        Ok(node(at, Kind::Member { of, key: start, optional: false }))
    }
}

/// How tightly an operator binds, whether it does to the right, and which it is. A pipe
/// is none of them.
fn binary(sign: &str) -> Option<(u32, bool, Option<Operator>)> {
    use Operator as O;
    let (precedence, operator) = match sign {
        "|" => return Some((0, false, None)),
        "or" | "||" => (10, O::Or),
        "and" | "&&" => (15, O::And),
        "==" => (20, O::Equal),
        "!=" => (20, O::NotEqual),
        "<" => (20, O::Less),
        ">" => (20, O::Greater),
        ">=" => (20, O::GreaterOrEqual),
        "<=" => (20, O::LessOrEqual),
        "in" => (20, O::In),
        "matches" => (20, O::Matches),
        "contains" => (20, O::Contains),
        "startsWith" => (20, O::StartsWith),
        "endsWith" => (20, O::EndsWith),
        ".." => (25, O::Range),
        "+" => (30, O::Add),
        "-" => (30, O::Subtract),
        "*" => (60, O::Multiply),
        "/" => (60, O::Divide),
        "%" => (60, O::Modulo),
        "**" | "^" => (100, O::Power),
        "??" => (500, O::Otherwise),
        _ => return None,
    };
    Some((precedence, precedence == 100, Some(operator)))
}

fn number(text: &str) -> Result<Kind, String> {
    let plain = text.replace('_', "");
    let wrong = || format!("`{text}` is no number");
    if plain.contains('x') {
        let digits = plain.strip_prefix("0x").ok_or_else(wrong)?;
        return i64::from_str_radix(digits, 16).map(Kind::Int).map_err(|_| wrong());
    }
    if plain.contains(['.', 'e', 'E']) {
        let value = crate::number::parse_float(&plain).map_err(|_| wrong())?;
        return Ok(Kind::Float(value));
    }
    plain.parse().map(Kind::Int).map_err(|_| wrong())
}
