//! From text to a program.

use super::lexer::{Fault, Lexer, Piece, Token};
use super::syntax::{Def, Entry, Key, Node, Operator, Part, Pattern, Update};
use super::value::Value;

/// The deepest nesting of a program.
const MAX_NESTING: usize = 100;

/// The most operators of a program: each can nest what is left of it one deeper.
const MAX_OPERATORS: usize = 1000;

/// Words that cannot be names of functions.
const WORDS: [&str; 22] = [
    "or", "and", "module", "import", "include", "def", "as", "label", "break", "null", "true",
    "false", "if", "then", "elif", "else", "end", "try", "catch", "reduce", "foreach", "__loc__",
];

type Parsed<T> = Result<T, Fault>;

pub(super) struct Parser<'t> {
    lexer: Lexer<'t>,
    token: Token,
    /// Where the token begins.
    at: usize,
    depth: usize,
    operators: usize,
}

/// The definitions of a library.
pub(super) fn definitions(text: &str) -> Parsed<Vec<Def>> {
    let mut parser = Parser::new(text)?;
    let mut defs = Vec::new();
    while parser.is_word("def") {
        defs.push(parser.def()?);
    }
    parser.end()?;
    Ok(defs)
}

/// A program.
pub(super) fn program(text: &str) -> Parsed<Node> {
    let mut parser = Parser::new(text)?;
    let node = parser.query()?;
    parser.end()?;
    Ok(node)
}

impl<'t> Parser<'t> {
    fn new(text: &'t str) -> Parsed<Self> {
        let mut lexer = Lexer::new(text);
        let (token, at) = lexer.token()?;
        Ok(Self { lexer, token, at, depth: 0, operators: 0 })
    }

    fn advance(&mut self) -> Parsed<Token> {
        let (next, at) = self.lexer.token()?;
        self.at = at;
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(&self.token, Token::Name(name) if **name == *word)
    }

    fn is_sign(&self, sign: char) -> bool {
        self.token == Token::Sign(sign)
    }

    fn take_word(&mut self, word: &str) -> Parsed<bool> {
        let found = self.is_word(word);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn take_sign(&mut self, sign: char) -> Parsed<bool> {
        let found = self.is_sign(sign);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn need_word(&mut self, word: &str) -> Parsed<()> {
        if self.take_word(word)? { Ok(()) } else { Err(self.unexpected(&format!("`{word}`"))) }
    }

    fn need_sign(&mut self, sign: char) -> Parsed<()> {
        if self.take_sign(sign)? { Ok(()) } else { Err(self.unexpected(&format!("`{sign}`"))) }
    }

    fn end(&self) -> Parsed<()> {
        if self.token == Token::End {
            Ok(())
        } else {
            Err(self.unexpected("an operator or the end"))
        }
    }

    fn unexpected(&self, expected: &str) -> Fault {
        let found = match &self.token {
            Token::End => "the end".to_owned(),
            Token::Name(name) | Token::Number(name) => format!("`{name}`"),
            Token::Variable(name) => format!("`${name}`"),
            Token::Field(name) => format!("`.{name}`"),
            Token::Format(name) => format!("`@{name}`"),
            Token::Sign(sign) => format!("`{sign}`"),
            Token::Quote => "a text".to_owned(),
            Token::Dot => "`.`".to_owned(),
            Token::DotDot => "`..`".to_owned(),
            Token::Otherwise => "`?//`".to_owned(),
            Token::Operator(_) | Token::Update(_) => "an operator".to_owned(),
        };
        Fault::at(self.at, format!("{expected} is expected, not {found}"))
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth > MAX_NESTING {
            let message = format!("the program is nested more than {MAX_NESTING} deep");
            return Err(Fault::at(self.at, message));
        }
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// Pipes, lists and what reaches to the end.
    fn query(&mut self) -> Parsed<Node> {
        self.nested(Self::pipe)
    }

    fn pipe(&mut self) -> Parsed<Node> {
        let mut stages = vec![self.comma()?];
        while self.take_sign('|')? {
            stages.push(self.comma()?);
        }
        Ok(one_or(stages, Node::Pipe))
    }

    fn comma(&mut self) -> Parsed<Node> {
        let mut nodes = vec![self.open_ended()?];
        while self.take_sign(',')? {
            nodes.push(self.open_ended()?);
        }
        Ok(one_or(nodes, Node::Comma))
    }

    /// `def`, `label` and `as` reach as far as the query does; anything else is an
    /// expression.
    fn open_ended(&mut self) -> Parsed<Node> {
        if self.is_word("def") {
            let def = self.def()?;
            let rest = self.query()?;
            return Ok(Node::Define(Box::new(def), Box::new(rest)));
        }
        if self.is_word("label") {
            self.advance()?;
            let name = self.variable()?;
            self.need_sign('|')?;
            return Ok(Node::Label(name, Box::new(self.query()?)));
        }
        let node = self.expression(0)?;
        if self.is_word("as") && is_term(&node) {
            self.advance()?;
            let mut patterns = vec![self.pattern()?];
            while self.token == Token::Otherwise {
                self.advance()?;
                patterns.push(self.pattern()?);
            }
            self.need_sign('|')?;
            return Ok(Node::Bind(Box::new(node), patterns, Box::new(self.query()?)));
        }
        Ok(node)
    }

    fn def(&mut self) -> Parsed<Def> {
        self.need_word("def")?;
        let name = self.function_name()?;
        let mut parameters = Vec::new();
        if self.take_sign('(')? {
            loop {
                parameters.push(match &self.token {
                    Token::Variable(name) => {
                        let name = format!("${name}");
                        self.advance()?;
                        name.into()
                    }
                    _ => self.function_name()?,
                });
                if !self.take_sign(';')? {
                    break;
                }
            }
            self.need_sign(')')?;
        }
        self.need_sign(':')?;
        let body = self.query()?;
        self.need_sign(';')?;
        Ok(Def { name, parameters, body })
    }

    fn function_name(&mut self) -> Parsed<Box<str>> {
        match &self.token {
            Token::Name(name) if !WORDS.contains(&&**name) => {
                let name = name.clone();
                self.advance()?;
                Ok(name)
            }
            _ => Err(self.unexpected("a name")),
        }
    }

    fn variable(&mut self) -> Parsed<Box<str>> {
        match &self.token {
            Token::Variable(name) => {
                let name = name.clone();
                self.advance()?;
                Ok(name)
            }
            _ => Err(self.unexpected("a variable")),
        }
    }

    /// An expression whose operators bind at least as tightly as `least`.
    fn expression(&mut self, least: u8) -> Parsed<Node> {
        self.nested(|parser| parser.operators(least))
    }

    fn operators(&mut self, least: u8) -> Parsed<Node> {
        let mut left = self.postfix()?;
        loop {
            let (level, after, sign) = match self.sign() {
                Some(found) if found.0 >= least => found,
                _ => return Ok(left),
            };
            self.operators += 1;
            if self.operators > MAX_OPERATORS {
                let message = format!("the program has more than {MAX_OPERATORS} operators");
                return Err(Fault::at(self.at, message));
            }
            self.advance()?;
            let right = Box::new(self.expression(after)?);
            let before = Box::new(left);
            left = match sign {
                Sign::Operator(operator) => Node::Binary(operator, before, right),
                Sign::Update(update) => Node::Update(update, before, right),
            };
            // Comparisons and updates do not chain.
            if matches!(level, 1 | 4) && self.sign().is_some_and(|next| next.0 == level) {
                return Err(self.unexpected("parentheses around one of two such operators"));
            }
        }
    }

    /// How tightly the operator that follows binds, how tightly what is right of it must,
    /// and which it is.
    fn sign(&self) -> Option<(u8, u8, Sign)> {
        use Operator as O;
        Some(match &self.token {
            Token::Operator(O::Alternative) => (0, 0, Sign::Operator(O::Alternative)),
            Token::Update(update) => (1, 2, Sign::Update(*update)),
            Token::Name(name) if **name == *"or" => (2, 3, Sign::Operator(O::Or)),
            Token::Name(name) if **name == *"and" => (3, 4, Sign::Operator(O::And)),
            Token::Operator(operator) => {
                let level = match operator {
                    O::Add | O::Subtract => 5,
                    O::Multiply | O::Divide | O::Modulo => 6,
                    _ => 4,
                };
                (level, level + 1, Sign::Operator(*operator))
            }
            _ => return None,
        })
    }

    /// A term and what is behind it: fields, indexes, `?`.
    fn postfix(&mut self) -> Parsed<Node> {
        let mut node = self.nested(Self::term)?;
        let mut count = 0;
        loop {
            count += 1;
            if count > MAX_NESTING {
                let message = format!("more than {MAX_NESTING} steps stand behind each other");
                return Err(Fault::at(self.at, message));
            }
            match &self.token {
                Token::Field(name) => {
                    let key = Node::Constant(Value::text(&**name));
                    self.advance()?;
                    node = Node::Index(Box::new(node), Box::new(key));
                }
                Token::Sign('?') => {
                    self.advance()?;
                    node = optional(node);
                }
                Token::Sign('[') => node = self.brackets(node)?,
                Token::Dot => {
                    self.advance()?;
                    node = match self.token {
                        Token::Quote => {
                            let key = self.text(None)?;
                            Node::Index(Box::new(node), Box::new(key))
                        }
                        Token::Sign('[') => self.brackets(node)?,
                        _ => return Err(self.unexpected("a text or `[`")),
                    };
                }
                _ => return Ok(node),
            }
        }
    }

    fn brackets(&mut self, of: Node) -> Parsed<Node> {
        let of = Box::new(of);
        self.need_sign('[')?;
        if self.take_sign(']')? {
            return Ok(Node::Iterate(of));
        }
        if self.take_sign(':')? {
            let end = self.query()?;
            self.need_sign(']')?;
            return Ok(Node::Slice(of, None, Some(Box::new(end))));
        }
        let start = Box::new(self.query()?);
        if !self.take_sign(':')? {
            self.need_sign(']')?;
            return Ok(Node::Index(of, start));
        }
        if self.take_sign(']')? {
            return Ok(Node::Slice(of, Some(start), None));
        }
        let end = self.query()?;
        self.need_sign(']')?;
        Ok(Node::Slice(of, Some(start), Some(Box::new(end))))
    }

    fn term(&mut self) -> Parsed<Node> {
        match self.token.clone() {
            Token::Dot => {
                self.advance()?;
                match self.token {
                    Token::Quote => {
                        let key = self.text(None)?;
                        Ok(Node::Index(Box::new(Node::Identity), Box::new(key)))
                    }
                    Token::Sign('[') => self.brackets(Node::Identity),
                    _ => Ok(Node::Identity),
                }
            }
            Token::DotDot => self.just(Node::Recurse),
            Token::Field(name) => {
                self.advance()?;
                let key = Node::Constant(Value::text(&*name));
                Ok(Node::Index(Box::new(Node::Identity), Box::new(key)))
            }
            Token::Number(text) => self.just(Node::Constant(Value::number(&text))),
            Token::Variable(name) => self.just(Node::Variable(name)),
            Token::Format(name) => {
                self.advance()?;
                if self.token == Token::Quote {
                    self.text(Some(name))
                } else {
                    Ok(Node::Format(name))
                }
            }
            Token::Quote => self.text(None),
            Token::Operator(Operator::Subtract) => {
                self.advance()?;
                Ok(Node::Negate(Box::new(self.nested(Self::postfix)?)))
            }
            Token::Operator(Operator::Add) => {
                self.advance()?;
                Ok(Node::Plus(Box::new(self.nested(Self::postfix)?)))
            }
            Token::Sign('(') => {
                self.advance()?;
                let node = self.query()?;
                self.need_sign(')')?;
                Ok(node)
            }
            Token::Sign('[') => {
                self.advance()?;
                if self.take_sign(']')? {
                    return Ok(Node::List(None));
                }
                let node = self.query()?;
                self.need_sign(']')?;
                Ok(Node::List(Some(Box::new(node))))
            }
            Token::Sign('{') => self.dict(),
            Token::Name(name) => self.named(&name),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn just(&mut self, node: Node) -> Parsed<Node> {
        self.advance()?;
        Ok(node)
    }

    fn named(&mut self, name: &str) -> Parsed<Node> {
        match name {
            "null" => self.just(Node::Constant(Value::Null)),
            "true" => self.just(Node::Constant(Value::Bool(true))),
            "false" => self.just(Node::Constant(Value::Bool(false))),
            "if" => {
                self.advance()?;
                self.branch()
            }
            "try" => {
                self.advance()?;
                let body = Box::new(self.nested(Self::postfix)?);
                let handler = if self.take_word("catch")? {
                    Some(Box::new(self.nested(Self::postfix)?))
                } else {
                    None
                };
                Ok(Node::Try(body, handler))
            }
            "reduce" | "foreach" => self.fold(name == "reduce"),
            "break" => {
                self.advance()?;
                Ok(Node::Break(self.variable()?))
            }
            name if WORDS.contains(&name) => Err(self.unexpected("a value")),
            name => {
                self.advance()?;
                let mut arguments = Vec::new();
                if self.take_sign('(')? {
                    arguments.push(self.query()?);
                    while self.take_sign(';')? {
                        arguments.push(self.query()?);
                    }
                    self.need_sign(')')?;
                }
                Ok(Node::Call(name.into(), arguments))
            }
        }
    }

    fn branch(&mut self) -> Parsed<Node> {
        self.nested(|parser| {
            let condition = Box::new(parser.query()?);
            parser.need_word("then")?;
            let then = Box::new(parser.query()?);
            if parser.take_word("elif")? {
                let otherwise = parser.branch()?;
                return Ok(Node::If(condition, then, Some(Box::new(otherwise))));
            }
            let otherwise =
                if parser.take_word("else")? { Some(Box::new(parser.query()?)) } else { None };
            parser.need_word("end")?;
            Ok(Node::If(condition, then, otherwise))
        })
    }

    fn fold(&mut self, reduces: bool) -> Parsed<Node> {
        self.advance()?;
        let source = Box::new(self.expression(0)?);
        self.need_word("as")?;
        let pattern = self.pattern()?;
        self.need_sign('(')?;
        let start = Box::new(self.query()?);
        self.need_sign(';')?;
        let update = Box::new(self.query()?);
        if reduces {
            self.need_sign(')')?;
            return Ok(Node::Reduce(source, pattern, start, update));
        }
        let extract = if self.take_sign(';')? { Some(Box::new(self.query()?)) } else { None };
        self.need_sign(')')?;
        Ok(Node::Foreach(source, pattern, start, update, extract))
    }

    fn pattern(&mut self) -> Parsed<Pattern> {
        self.nested(|parser| match parser.token.clone() {
            Token::Variable(name) => {
                parser.advance()?;
                Ok(Pattern::Variable(name))
            }
            Token::Sign('[') => {
                parser.advance()?;
                let mut inside = vec![parser.pattern()?];
                while parser.take_sign(',')? {
                    inside.push(parser.pattern()?);
                }
                parser.need_sign(']')?;
                Ok(Pattern::List(inside))
            }
            Token::Sign('{') => {
                parser.advance()?;
                let mut inside = vec![parser.pattern_entry()?];
                while parser.take_sign(',')? {
                    inside.push(parser.pattern_entry()?);
                }
                parser.need_sign('}')?;
                Ok(Pattern::Dict(inside))
            }
            _ => Err(parser.unexpected("a variable, `[` or `{`")),
        })
    }

    fn pattern_entry(&mut self) -> Parsed<(Key, Option<Pattern>)> {
        let key = self.key()?;
        if self.take_sign(':')? {
            return Ok((key, Some(self.pattern()?)));
        }
        match key {
            Key::Variable(_) => Ok((key, None)),
            _ => Err(self.unexpected("`:`")),
        }
    }

    fn key(&mut self) -> Parsed<Key> {
        match self.token.clone() {
            Token::Name(name) => {
                self.advance()?;
                Ok(Key::Name(name))
            }
            Token::Variable(name) => {
                self.advance()?;
                Ok(Key::Variable(name))
            }
            Token::Quote => Ok(match self.text(None)? {
                Node::Constant(Value::Text(text)) => Key::Name((&*text).into()),
                made => Key::Made(made),
            }),
            Token::Sign('(') => {
                self.advance()?;
                let node = self.query()?;
                self.need_sign(')')?;
                Ok(Key::Made(node))
            }
            _ => Err(self.unexpected("a key")),
        }
    }

    fn dict(&mut self) -> Parsed<Node> {
        self.need_sign('{')?;
        let mut entries = Vec::new();
        while !self.is_sign('}') {
            let in_parentheses = self.is_sign('(');
            let key = self.key()?;
            let value = if self.take_sign(':')? { Some(self.dict_value()?) } else { None };
            if value.is_none() && in_parentheses {
                return Err(self.unexpected("`:`"));
            }
            entries.push(Entry { key, value });
            if !self.take_sign(',')? {
                break;
            }
        }
        self.need_sign('}')?;
        Ok(Node::Dict(entries))
    }

    /// A comma ends it; pipes do not.
    fn dict_value(&mut self) -> Parsed<Node> {
        let mut stages = vec![self.expression(0)?];
        while self.take_sign('|')? {
            stages.push(self.expression(0)?);
        }
        Ok(one_or(stages, Node::Pipe))
    }

    /// A text; the token is its first quote.
    fn text(&mut self, format: Option<Box<str>>) -> Parsed<Node> {
        let mut parts = Vec::new();
        // The lexer stands behind the quote.
        loop {
            match self.lexer.piece()? {
                Piece::Plain(text) => parts.push(Part::Plain(text)),
                Piece::End => break,
                Piece::Open => {
                    self.advance()?;
                    let node = self.query()?;
                    // The lexer stands behind the `)`, in the text again.
                    if !self.is_sign(')') {
                        return Err(self.unexpected("`)`"));
                    }
                    parts.push(Part::Made(node));
                }
            }
        }
        self.advance()?;
        let plain: Option<Vec<&str>> = parts
            .iter()
            .map(|part| if let Part::Plain(text) = part { Some(&**text) } else { None })
            .collect();
        Ok(match plain {
            Some(plain) => Node::Constant(Value::text(plain.concat())),
            None => Node::Text(format, parts),
        })
    }
}

enum Sign {
    Operator(Operator),
    Update(Update),
}

/// `?` applies to the last step alone where it is one.
fn optional(node: Node) -> Node {
    let only_last = |of: Box<Node>, make: &dyn Fn(Box<Node>) -> Node| match *of {
        Node::Identity => Node::Try(Box::new(make(Box::new(Node::Identity))), None),
        of => {
            let step = Node::Try(Box::new(make(Box::new(Node::Identity))), None);
            Node::Pipe(vec![of, step])
        }
    };
    match node {
        // What stands in the brackets looks at the input of the whole.
        Node::Index(of, key) if matches!(*key, Node::Constant(_)) => {
            only_last(of, &|of| Node::Index(of, key.clone()))
        }
        Node::Iterate(of) => only_last(of, &Node::Iterate),
        node => Node::Try(Box::new(node), None),
    }
}

/// Whether `as` can follow: not behind an operator.
fn is_term(node: &Node) -> bool {
    !matches!(node, Node::Binary(..) | Node::Update(..))
}

fn one_or(mut nodes: Vec<Node>, many: fn(Vec<Node>) -> Node) -> Node {
    if nodes.len() == 1 { nodes.remove(0) } else { many(nodes) }
}
