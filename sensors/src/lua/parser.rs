//! From text to statements.

use std::sync::Arc;

use super::CompileError;
use super::lexer::{Lexer, Token};
use super::syntax::{Block, Expression, FunctionBody, Kind, Operator, Statement, StatementKind};
use super::value;

/// The deepest nesting of a script.
const MAX_NESTING: usize = 100;
/// The most operators of a script: each can nest what is left of it one deeper.
const MAX_OPERATORS: usize = 4000;

type Parsed<T> = Result<T, CompileError>;

/// The statements of a script.
pub(super) fn parse(text: &[u8]) -> Parsed<Block> {
    let mut lexer = Lexer::new(text);
    let (token, at) = lexer.token()?;
    let mut parser =
        Parser { lexer, token, at, line: 1, depth: 0, operators: 0, varargs: vec![true] };
    parser.line = parser.line_of(at);
    let block = parser.block()?;
    if parser.token != Token::End {
        return Err(parser.unexpected("a statement or the end"));
    }
    Ok(block)
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    token: Token,
    at: usize,
    line: usize,
    depth: usize,
    operators: usize,
    /// Whether the functions around have `...`.
    varargs: Vec<bool>,
}

impl Parser<'_> {
    fn line_of(&self, at: usize) -> usize {
        self.lexer.fault(at, "").line
    }

    fn advance(&mut self) -> Parsed<Token> {
        let (next, at) = self.lexer.token()?;
        // Counted on from the last token.
        self.line += self.lexer.lines_between(self.at, at);
        self.at = at;
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.token, Token::Word(found) if found == word)
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.token, Token::Sign(found) if found == sign)
    }

    fn take_word(&mut self, word: &str) -> Parsed<bool> {
        let found = self.is_word(word);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn take_sign(&mut self, sign: &str) -> Parsed<bool> {
        let found = self.is_sign(sign);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn need_word(&mut self, word: &str) -> Parsed<()> {
        if self.take_word(word)? { Ok(()) } else { Err(self.unexpected(&format!("`{word}`"))) }
    }

    fn need_sign(&mut self, sign: &str) -> Parsed<()> {
        if self.take_sign(sign)? { Ok(()) } else { Err(self.unexpected(&format!("`{sign}`"))) }
    }

    fn name(&mut self) -> Parsed<Arc<str>> {
        match &self.token {
            Token::Name(name) => {
                let name = name.clone();
                self.advance()?;
                Ok(name)
            }
            _ => Err(self.unexpected("a name")),
        }
    }

    fn unexpected(&self, expected: &str) -> CompileError {
        let found = match &self.token {
            Token::End => "the end".to_owned(),
            Token::Name(name) | Token::Number(name) => format!("`{name}`"),
            Token::Word(word) => format!("`{word}`"),
            Token::Sign(sign) => format!("`{sign}`"),
            Token::Text(_) => "a text".to_owned(),
        };
        self.lexer.fault(self.at, format!("{expected} is expected, not {found}"))
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth > MAX_NESTING {
            let message = format!("the script is nested more than {MAX_NESTING} deep");
            return Err(self.lexer.fault(self.at, message));
        }
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn ends(&self) -> bool {
        self.token == Token::End
            || ["end", "else", "elseif", "until"].iter().any(|word| self.is_word(word))
    }

    fn block(&mut self) -> Parsed<Block> {
        self.nested(|parser| {
            let mut block = Vec::new();
            while !parser.ends() {
                if parser.take_sign(";")? {
                    continue;
                }
                let last = parser.is_word("return") || parser.is_word("break");
                block.push(parser.statement()?);
                if last {
                    parser.take_sign(";")?;
                    break;
                }
            }
            Ok(block)
        })
    }

    fn statement(&mut self) -> Parsed<Statement> {
        let line = self.line;
        let word = if let Token::Word(word) = self.token { word } else { "" };
        if ["do", "while", "repeat", "if", "for", "function", "local", "return", "break", "goto"]
            .contains(&word)
        {
            self.advance()?;
        }
        let kind = match word {
            "do" => {
                let body = self.block()?;
                self.need_word("end")?;
                StatementKind::Do(body)
            }
            "while" => {
                let condition = self.expression()?;
                StatementKind::While(condition, self.body()?)
            }
            "repeat" => {
                let body = self.block()?;
                self.need_word("until")?;
                StatementKind::Repeat(body, self.expression()?)
            }
            "if" => self.branch()?,
            "for" => self.for_loop()?,
            "function" => self.function_statement(line)?,
            "local" => self.local(line)?,
            "return" => {
                let values =
                    if self.ends() || self.is_sign(";") { Vec::new() } else { self.list()? };
                StatementKind::Return(values)
            }
            "break" => StatementKind::Break,
            "goto" => StatementKind::Goto(self.name()?),
            _ if self.is_sign("::") => {
                self.advance()?;
                let name = self.name()?;
                self.need_sign("::")?;
                StatementKind::Label(name)
            }
            _ => self.assignment_or_call()?,
        };
        Ok(Statement { line, kind })
    }

    /// `do … end`.
    fn body(&mut self) -> Parsed<Block> {
        self.need_word("do")?;
        let body = self.block()?;
        self.need_word("end")?;
        Ok(body)
    }

    fn branch(&mut self) -> Parsed<StatementKind> {
        let mut branches = Vec::new();
        loop {
            let condition = self.expression()?;
            self.need_word("then")?;
            branches.push((condition, self.block()?));
            if self.take_word("elseif")? {
                continue;
            }
            let otherwise = if self.take_word("else")? { Some(self.block()?) } else { None };
            self.need_word("end")?;
            return Ok(StatementKind::If(branches, otherwise));
        }
    }

    fn for_loop(&mut self) -> Parsed<StatementKind> {
        let name = self.name()?;
        if self.take_sign("=")? {
            let start = self.expression()?;
            self.need_sign(",")?;
            let end = self.expression()?;
            let step = if self.take_sign(",")? { Some(self.expression()?) } else { None };
            let body = self.body()?;
            return Ok(StatementKind::NumberFor { name, start, end, step, body });
        }
        let mut names = vec![name];
        while self.take_sign(",")? {
            names.push(self.name()?);
        }
        self.need_word("in")?;
        let values = self.list()?;
        Ok(StatementKind::For { names, values, body: self.body()? })
    }

    fn function_statement(&mut self, line: usize) -> Parsed<StatementKind> {
        let mut place = Expression { line, kind: Kind::Name(self.name()?) };
        let mut is_method = false;
        let mut steps = 0;
        while !is_method && (self.is_sign(".") || self.is_sign(":")) {
            is_method = self.is_sign(":");
            self.advance()?;
            steps += 1;
            if steps > MAX_NESTING {
                return Err(self.unexpected("a shorter name"));
            }
            let key = Kind::Text(self.name()?.as_bytes().into());
            let key = Expression { line, kind: key };
            place = Expression { line, kind: Kind::Index(Box::new(place), Box::new(key)) };
        }
        let body = self.function(is_method)?;
        Ok(StatementKind::Assign(vec![place], vec![Expression { line, kind: body }]))
    }

    fn local(&mut self, line: usize) -> Parsed<StatementKind> {
        if self.take_word("function")? {
            let name = self.name()?;
            let body = Expression { line, kind: self.function(false)? };
            return Ok(StatementKind::Local(vec![name], vec![body]));
        }
        let mut names = vec![self.name()?];
        while self.take_sign(",")? {
            names.push(self.name()?);
        }
        let values = if self.take_sign("=")? { self.list()? } else { Vec::new() };
        Ok(StatementKind::Local(names, values))
    }

    fn assignment_or_call(&mut self) -> Parsed<StatementKind> {
        let first = self.suffixed()?;
        if self.is_sign("=") || self.is_sign(",") {
            let mut places = vec![first];
            while self.take_sign(",")? {
                places.push(self.suffixed()?);
            }
            if places.iter().any(|place| !matches!(place.kind, Kind::Name(_) | Kind::Index(..))) {
                return Err(self.unexpected("a variable before it"));
            }
            self.need_sign("=")?;
            return Ok(StatementKind::Assign(places, self.list()?));
        }
        if matches!(first.kind, Kind::Call(..) | Kind::Method(..)) {
            return Ok(StatementKind::Call(first));
        }
        Err(self.unexpected("`=` or a call"))
    }

    fn list(&mut self) -> Parsed<Vec<Expression>> {
        let mut list = vec![self.expression()?];
        while self.take_sign(",")? {
            list.push(self.expression()?);
        }
        Ok(list)
    }

    fn expression(&mut self) -> Parsed<Expression> {
        self.operators(0)
    }

    /// How tightly the operator that follows binds, and how tightly what is right of it
    /// must.
    fn sign(&self) -> Option<(u8, u8, Binary)> {
        use Binary as B;
        use Operator as O;
        Some(match self.token {
            Token::Word("or") => (1, 2, B::Or),
            Token::Word("and") => (2, 3, B::And),
            Token::Sign("<") => (3, 4, B::Operator(O::Less)),
            Token::Sign(">") => (3, 4, B::Operator(O::Greater)),
            Token::Sign("<=") => (3, 4, B::Operator(O::LessOrEqual)),
            Token::Sign(">=") => (3, 4, B::Operator(O::GreaterOrEqual)),
            Token::Sign("==") => (3, 4, B::Operator(O::Equal)),
            Token::Sign("~=") => (3, 4, B::Operator(O::NotEqual)),
            Token::Sign("..") => (4, 5, B::Concat),
            Token::Sign("+") => (5, 6, B::Operator(O::Add)),
            Token::Sign("-") => (5, 6, B::Operator(O::Subtract)),
            Token::Sign("*") => (6, 7, B::Operator(O::Multiply)),
            Token::Sign("/") => (6, 7, B::Operator(O::Divide)),
            Token::Sign("%") => (6, 7, B::Operator(O::Modulo)),
            // To the right, and more tightly than signs in front.
            Token::Sign("^") => (8, 7, B::Operator(O::Power)),
            _ => return None,
        })
    }

    fn operators(&mut self, least: u8) -> Parsed<Expression> {
        self.nested(|parser| {
            let mut left = parser.unary()?;
            while let Some((level, after, sign)) = parser.sign()
                && level >= least
            {
                parser.operators += 1;
                if parser.operators > MAX_OPERATORS {
                    let message = format!("the script has more than {MAX_OPERATORS} operators");
                    return Err(parser.lexer.fault(parser.at, message));
                }
                let line = parser.line;
                parser.advance()?;
                if matches!(sign, Binary::Concat) {
                    // All of a chain is joined at once.
                    let mut parts = vec![left, parser.operators(after)?];
                    while parser.take_sign("..")? {
                        parts.push(parser.operators(after)?);
                    }
                    left = Expression { line, kind: Kind::Concat(parts) };
                    continue;
                }
                let right = Box::new(parser.operators(after)?);
                let before = Box::new(left);
                let kind = match sign {
                    Binary::Or => Kind::Or(before, right),
                    Binary::And => Kind::And(before, right),
                    Binary::Operator(operator) => Kind::Binary(operator, before, right),
                    Binary::Concat => Kind::Concat(vec![*before, *right]),
                };
                left = Expression { line, kind };
            }
            Ok(left)
        })
    }

    fn unary(&mut self) -> Parsed<Expression> {
        let line = self.line;
        let make: fn(Box<Expression>) -> Kind = match self.token {
            Token::Word("not") => Kind::Not,
            Token::Sign("-") => Kind::Negate,
            Token::Sign("#") => Kind::Length,
            _ => return self.simple(),
        };
        self.advance()?;
        let of = Box::new(self.operators(7)?);
        Ok(Expression { line, kind: make(of) })
    }

    fn simple(&mut self) -> Parsed<Expression> {
        let line = self.line;
        let kind = match self.token.clone() {
            Token::Word("nil") => Kind::Nil,
            Token::Word("true") => Kind::Bool(true),
            Token::Word("false") => Kind::Bool(false),
            Token::Number(text) => match value::number(text.as_bytes()) {
                Some(number) => Kind::Number(number),
                None => return Err(self.lexer.fault(self.at, format!("`{text}` is no number"))),
            },
            Token::Text(text) => Kind::Text(text),
            Token::Sign("...") => {
                if !self.varargs.last().copied().unwrap_or_default() {
                    let message = "`...` is not among the parameters of the function";
                    return Err(self.lexer.fault(self.at, message));
                }
                Kind::Varargs
            }
            Token::Sign("{") => {
                let kind = self.table()?;
                return Ok(Expression { line, kind });
            }
            Token::Word("function") => {
                self.advance()?;
                let kind = self.function(false)?;
                return Ok(Expression { line, kind });
            }
            _ => return self.suffixed(),
        };
        self.advance()?;
        Ok(Expression { line, kind })
    }

    fn suffixed(&mut self) -> Parsed<Expression> {
        let line = self.line;
        let mut made = match self.token.clone() {
            Token::Name(name) => {
                self.advance()?;
                Expression { line, kind: Kind::Name(name) }
            }
            Token::Sign("(") => {
                self.advance()?;
                let inside = self.expression()?;
                self.need_sign(")")?;
                Expression { line, kind: Kind::One(Box::new(inside)) }
            }
            _ => return Err(self.unexpected("an expression")),
        };
        let mut steps = 0;
        loop {
            steps += 1;
            if steps > MAX_NESTING {
                let message = format!("more than {MAX_NESTING} steps stand behind each other");
                return Err(self.lexer.fault(self.at, message));
            }
            let line = self.line;
            let of = Box::new(made);
            let kind = match self.token.clone() {
                Token::Sign(".") => {
                    self.advance()?;
                    let key = Kind::Text(self.name()?.as_bytes().into());
                    Kind::Index(of, Box::new(Expression { line, kind: key }))
                }
                Token::Sign("[") => {
                    self.advance()?;
                    let key = self.expression()?;
                    self.need_sign("]")?;
                    Kind::Index(of, Box::new(key))
                }
                Token::Sign(":") => {
                    self.advance()?;
                    let name = self.name()?;
                    Kind::Method(of, name, self.arguments()?)
                }
                Token::Sign("(" | "{") | Token::Text(_) => Kind::Call(of, self.arguments()?),
                _ => return Ok(*of),
            };
            made = Expression { line, kind };
        }
    }

    fn arguments(&mut self) -> Parsed<Vec<Expression>> {
        let line = self.line;
        match self.token.clone() {
            Token::Text(text) => {
                self.advance()?;
                Ok(vec![Expression { line, kind: Kind::Text(text) }])
            }
            Token::Sign("{") => {
                let kind = self.table()?;
                Ok(vec![Expression { line, kind }])
            }
            Token::Sign("(") => {
                self.advance()?;
                let list = if self.is_sign(")") { Vec::new() } else { self.list()? };
                self.need_sign(")")?;
                Ok(list)
            }
            _ => Err(self.unexpected("arguments")),
        }
    }

    fn table(&mut self) -> Parsed<Kind> {
        self.nested(|parser| {
            parser.need_sign("{")?;
            let mut fields = Vec::new();
            while !parser.is_sign("}") {
                let line = parser.line;
                let field = if parser.take_sign("[")? {
                    let key = parser.expression()?;
                    parser.need_sign("]")?;
                    parser.need_sign("=")?;
                    (Some(key), parser.expression()?)
                } else {
                    let value = parser.expression()?;
                    match &value.kind {
                        Kind::Name(name) if parser.is_sign("=") => {
                            let key = Kind::Text(name.as_bytes().into());
                            parser.advance()?;
                            (Some(Expression { line, kind: key }), parser.expression()?)
                        }
                        _ => (None, value),
                    }
                };
                fields.push(field);
                if !parser.take_sign(",")? && !parser.take_sign(";")? {
                    break;
                }
            }
            parser.need_sign("}")?;
            Ok(Kind::Table(fields))
        })
    }

    /// Parameters and body; `function` is behind.
    fn function(&mut self, is_method: bool) -> Parsed<Kind> {
        self.need_sign("(")?;
        let mut parameters: Vec<Arc<str>> = Vec::new();
        if is_method {
            parameters.push("self".into());
        }
        let mut varargs = false;
        while !self.is_sign(")") {
            if self.take_sign("...")? {
                varargs = true;
                break;
            }
            parameters.push(self.name()?);
            if !self.take_sign(",")? {
                break;
            }
            if self.is_sign(")") {
                return Err(self.unexpected("a name"));
            }
        }
        self.need_sign(")")?;
        self.varargs.push(varargs);
        let body = self.block()?;
        self.varargs.pop();
        self.need_word("end")?;
        Ok(Kind::Function(Box::new(FunctionBody { parameters, varargs, body })))
    }
}

#[derive(Clone, Copy)]
enum Binary {
    Operator(Operator),
    Concat,
    And,
    Or,
}
