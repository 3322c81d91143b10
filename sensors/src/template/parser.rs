//! Parses the tokens of a template.

use super::lexer::{Kind, Token};
use super::node::{Branch, Command, Node, Operand, Pipeline, Program, Term};
use super::{Fault, Place, functions, literal};

/// How deep parentheses and blocks may be nested.
const MAX_NESTING: usize = 100;

/// Parses `tokens`.
pub(super) fn parse(tokens: &[Token<'_>]) -> Result<Program, Fault> {
    let mut parser = Parser {
        tokens,
        at: 0,
        variables: vec!["$".into()],
        ranges: 0,
        nesting: 0,
        program: Program::default(),
    };
    let (main, end) = parser.list(true)?;
    if end.stop != Stop::EndOfText {
        return Err(Fault::at(end.at, format!("`{}` belongs to no block", end.stop.word())));
    }
    parser.program.main = main;
    Ok(parser.program)
}

struct Parser<'p, 't> {
    tokens: &'p [Token<'t>],
    at: usize,
    /// The names of the variables that can be seen.
    variables: Vec<Box<str>>,
    /// How many ranges are around.
    ranges: usize,
    nesting: usize,
    program: Program,
}

/// What ended a list of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    EndOfText,
    End,
    Else,
    /// `else if`, `else with`; the keyword is still to be read.
    ElseIf,
    ElseWith,
}

impl Stop {
    fn word(self) -> &'static str {
        match self {
            Self::EndOfText => "the end of the text",
            Self::End => "end",
            _ => "else",
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Ending {
    stop: Stop,
    at: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    If,
    With,
    Range,
}

impl<'t> Parser<'_, 't> {
    fn peek(&self) -> Token<'t> {
        let last = self.tokens.len() - 1;
        self.tokens[self.at.min(last)]
    }

    fn next(&mut self) -> Token<'t> {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn skip_space(&mut self) {
        while self.peek().kind == Kind::Space {
            self.at += 1;
        }
    }

    fn next_word(&mut self) -> Token<'t> {
        self.skip_space();
        self.next()
    }

    fn deeper<T>(
        &mut self,
        at: Place,
        run: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if self.nesting == MAX_NESTING {
            return Err(Fault::at(at, format!("nested more than {MAX_NESTING} deep")));
        }
        self.nesting += 1;
        let result = run(self);
        self.nesting -= 1;
        result
    }

    /// Nodes up to an `end`, an `else` or the end of the text.
    fn list(&mut self, top: bool) -> Result<(Vec<Node>, Ending), Fault> {
        let mut nodes = Vec::new();
        loop {
            let token = self.next();
            match token.kind {
                Kind::Text => nodes.push(Node::Text(token.text.into())),
                Kind::End => return Ok((nodes, Ending { stop: Stop::EndOfText, at: token.at })),
                _ => {
                    self.skip_space();
                    let word = self.peek();
                    if word.kind == Kind::Name
                        && let Some(stop) = self.stop(word)?
                    {
                        return Ok((nodes, Ending { stop, at: word.at }));
                    }
                    if word.kind == Kind::Name && word.text == "define" {
                        if !top {
                            let message = "`define` stands inside of a block";
                            return Err(Fault::at(word.at, message));
                        }
                        self.at += 1;
                        self.define()?;
                        continue;
                    }
                    nodes.push(self.deeper(word.at, Self::action)?);
                }
            }
        }
    }

    /// Reads `end` and `else`.
    fn stop(&mut self, word: Token<'t>) -> Result<Option<Stop>, Fault> {
        match word.text {
            "end" => {
                self.at += 1;
                self.close("end")?;
                Ok(Some(Stop::End))
            }
            "else" => {
                self.at += 1;
                self.skip_space();
                let next = self.peek();
                match (next.kind, next.text) {
                    (Kind::Name, "if") => return Ok(Some(Stop::ElseIf)),
                    (Kind::Name, "with") => return Ok(Some(Stop::ElseWith)),
                    _ => {}
                }
                self.close("else")?;
                Ok(Some(Stop::Else))
            }
            _ => Ok(None),
        }
    }

    fn close(&mut self, what: &str) -> Result<(), Fault> {
        let token = self.next_word();
        if token.kind == Kind::Close {
            return Ok(());
        }
        Err(unexpected(token, &format!("behind `{what}`")))
    }

    /// Nodes up to the `end` that must follow.
    fn body(&mut self, what: &str) -> Result<Vec<Node>, Fault> {
        let (nodes, ending) = self.list(false)?;
        if ending.stop == Stop::End {
            return Ok(nodes);
        }
        let found = ending.stop.word();
        Err(Fault::at(ending.at, format!("`{what}` needs an `end`, found {found}")))
    }

    fn action(&mut self) -> Result<Node, Fault> {
        let word = self.peek();
        if word.kind != Kind::Name {
            return Ok(Node::Action(self.pipeline("an action", Kind::Close)?));
        }
        self.at += 1;
        match word.text {
            "if" => Ok(Node::If(self.branch(Block::If)?)),
            "with" => Ok(Node::With(self.branch(Block::With)?)),
            "range" => Ok(Node::Range(self.branch(Block::Range)?)),
            "break" | "continue" => {
                self.close(word.text)?;
                if self.ranges == 0 {
                    let message = format!("`{}` stands outside of a `range`", word.text);
                    return Err(Fault::at(word.at, message));
                }
                Ok(if word.text == "break" { Node::Break } else { Node::Continue })
            }
            "template" => {
                let (name, at) = self.name("template")?;
                self.skip_space();
                let pipeline = if self.peek().kind == Kind::Close {
                    self.at += 1;
                    None
                } else {
                    Some(self.pipeline("`template`", Kind::Close)?)
                };
                Ok(Node::Template { at, name: name.into(), pipeline })
            }
            "block" => {
                let (name, at) = self.name("block")?;
                let pipeline = Some(self.pipeline("`block`", Kind::Close)?);
                self.definition(name.clone(), at, "block")?;
                Ok(Node::Template { at, name: name.into(), pipeline })
            }
            _ => {
                self.at -= 1;
                Ok(Node::Action(self.pipeline("an action", Kind::Close)?))
            }
        }
    }

    fn name(&mut self, what: &str) -> Result<(String, Place), Fault> {
        let token = self.next_word();
        let name = match token.kind {
            Kind::Quoted => literal::string(token.text),
            Kind::Raw => Some(raw(token.text)),
            _ => None,
        };
        let missing = || unexpected(token, &format!("where `{what}` needs a name in quotes"));
        Ok((name.ok_or_else(missing)?, token.at))
    }

    fn define(&mut self) -> Result<(), Fault> {
        let (name, at) = self.name("define")?;
        self.close("define")?;
        self.definition(name, at, "define")
    }

    /// The body of a named template, which sees no variables from outside.
    fn definition(&mut self, name: String, at: Place, what: &str) -> Result<(), Fault> {
        let outer = std::mem::replace(&mut self.variables, vec!["$".into()]);
        let ranges = std::mem::take(&mut self.ranges);
        let body = self.body(what)?;
        self.variables = outer;
        self.ranges = ranges;
        let blank = |nodes: &[Node]| {
            nodes.iter().all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()))
        };
        match self.program.named.get(&name) {
            Some(known) if !blank(known) && !blank(&body) => {
                Err(Fault::at(at, format!("the template `{name}` is defined twice")))
            }
            Some(known) if !blank(known) => Ok(()),
            _ => {
                self.program.named.insert(name, body);
                Ok(())
            }
        }
    }

    fn branch(&mut self, block: Block) -> Result<Branch, Fault> {
        let variables = self.variables.len();
        let what = match block {
            Block::If => "`if`",
            Block::With => "`with`",
            Block::Range => "`range`",
        };
        let pipeline = self.pipeline(what, Kind::Close)?;
        self.ranges += usize::from(block == Block::Range);
        let (body, ending) = self.list(false)?;
        self.ranges -= usize::from(block == Block::Range);
        let otherwise = match (ending.stop, block) {
            (Stop::End, _) => Vec::new(),
            // The inner block takes the `end` of this one.
            (Stop::ElseIf, Block::If) | (Stop::ElseWith, Block::With) => {
                self.at += 1;
                let inner = self.deeper(ending.at, |parser| parser.branch(block))?;
                vec![if block == Block::If { Node::If(inner) } else { Node::With(inner) }]
            }
            (Stop::Else, _) => self.body("else")?,
            (Stop::EndOfText, _) => {
                return Err(Fault::at(ending.at, format!("{what} needs an `end`")));
            }
            _ => {
                let message = format!("{what} can have a plain `else` only");
                return Err(Fault::at(ending.at, message));
            }
        };
        self.variables.truncate(variables);
        Ok(Branch { pipeline, body, otherwise })
    }

    fn pipeline(&mut self, context: &str, end: Kind) -> Result<Pipeline, Fault> {
        self.skip_space();
        let at = self.peek().at;
        let (variables, assigns) = self.declarations(context)?;
        let mut pipeline = Pipeline { at, variables, assigns, commands: Vec::new() };
        loop {
            let token = self.next_word();
            if token.kind == end {
                break;
            }
            self.at -= 1;
            let command = self.command(context)?;
            let literal = !matches!(
                command.first.term,
                Term::Field(_)
                    | Term::Variable(..)
                    | Term::Function(_)
                    | Term::Pipeline(_)
                    | Term::Chain(..)
            );
            if literal && !pipeline.commands.is_empty() {
                let message = "a value that is no function cannot stand behind `|`";
                return Err(Fault::at(token.at, message));
            }
            pipeline.commands.push(command);
        }
        if pipeline.commands.is_empty() {
            return Err(Fault::at(at, format!("{context} has no value")));
        }
        Ok(pipeline)
    }

    /// `$x :=`, `$x =`, and in a range `$i, $x :=`.
    fn declarations(&mut self, context: &str) -> Result<(Vec<Box<str>>, bool), Fault> {
        let mut variables: Vec<Box<str>> = Vec::new();
        loop {
            self.skip_space();
            let start = self.at;
            let variable = self.peek();
            if variable.kind != Kind::Variable {
                break;
            }
            self.at += 1;
            self.skip_space();
            let next = self.next();
            match next.kind {
                Kind::Assign | Kind::Declare => {
                    variables.push(variable.text.into());
                    self.variables.push(variable.text.into());
                    return Ok((variables, next.kind == Kind::Assign));
                }
                Kind::Comma if context == "`range`" && variables.is_empty() => {
                    variables.push(variable.text.into());
                    self.variables.push(variable.text.into());
                    self.skip_space();
                    if self.peek().kind != Kind::Variable {
                        return Err(unexpected(self.peek(), "where a second variable is needed"));
                    }
                }
                Kind::Comma => {
                    return Err(Fault::at(next.at, format!("too many variables in {context}")));
                }
                _ => {
                    self.at = start;
                    break;
                }
            }
        }
        Ok((variables, false))
    }

    fn command(&mut self, context: &str) -> Result<Command, Fault> {
        let mut operands = Vec::new();
        loop {
            self.skip_space();
            if let Some(operand) = self.operand()? {
                operands.push(operand);
            }
            let token = self.next();
            match token.kind {
                Kind::Space => {}
                Kind::Close | Kind::RightParenthesis => {
                    self.at -= 1;
                    break;
                }
                Kind::Pipe => break,
                _ => return Err(unexpected(token, &format!("in {context}"))),
            }
        }
        if operands.is_empty() {
            return Err(unexpected(self.peek(), "where a value is needed"));
        }
        let first = operands.remove(0);
        Ok(Command { first, arguments: operands })
    }

    fn operand(&mut self) -> Result<Option<Operand>, Fault> {
        let Some(mut operand) = self.term()? else { return Ok(None) };
        let mut fields = Vec::new();
        let mut at = operand.at;
        while self.peek().kind == Kind::Field {
            let token = self.next();
            at = token.at;
            fields.push(token.text[1..].into());
        }
        if fields.is_empty() {
            return Ok(Some(operand));
        }
        match &mut operand.term {
            Term::Field(chain) | Term::Variable(_, chain) => chain.append(&mut fields),
            Term::Function(_) | Term::Pipeline(_) => {
                operand = Operand { at, term: Term::Chain(Box::new(operand), fields) };
            }
            _ => return Err(Fault::at(at, "a literal has no fields")),
        }
        Ok(Some(operand))
    }

    fn term(&mut self) -> Result<Option<Operand>, Fault> {
        let token = self.peek();
        let Token { kind, text, at } = token;
        let bad = |what: &str| Fault::at(at, format!("`{text}` is no {what}"));
        let term = match kind {
            Kind::Name => match text {
                "true" | "false" => Term::Bool(text == "true"),
                "nil" => Term::Nil,
                "if" | "else" | "end" | "range" | "with" | "define" | "block" | "template"
                | "break" | "continue" => return Ok(None),
                name => Term::Function(functions::find(name).map_err(|why| Fault::at(at, why))?),
            },
            Kind::Dot => Term::Dot,
            Kind::Field => Term::Field(vec![text[1..].into()]),
            Kind::Variable => {
                if !self.variables.iter().any(|name| **name == *text) {
                    return Err(Fault::at(at, format!("there is no variable `{text}`")));
                }
                Term::Variable(text.into(), Vec::new())
            }
            Kind::Quoted => {
                Term::Text(literal::string(text).ok_or_else(|| bad("string"))?.into_boxed_str())
            }
            Kind::Raw => Term::Text(raw(text).into_boxed_str()),
            Kind::Number | Kind::Character => {
                Term::Number(literal::number(text).ok_or_else(|| bad("number"))?)
            }
            Kind::LeftParenthesis => {
                self.at += 1;
                let inside = |parser: &mut Self| {
                    parser.pipeline("a pipeline in parentheses", Kind::RightParenthesis)
                };
                let pipeline = self.deeper(at, inside)?;
                return Ok(Some(Operand { at, term: Term::Pipeline(Box::new(pipeline)) }));
            }
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some(Operand { at, term }))
    }
}

/// The text in back quotes; Go leaves carriage returns out.
fn raw(quoted: &str) -> String {
    quoted[1..quoted.len() - 1].replace('\r', "")
}

fn unexpected(token: Token<'_>, place: &str) -> Fault {
    let text = match token.kind {
        Kind::End => "the end of the text".to_owned(),
        Kind::Space => "a space".to_owned(),
        _ => format!("`{}`", token.text),
    };
    Fault::at(token.at, format!("{text} stands {place}"))
}
