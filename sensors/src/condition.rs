//! Conditions of triggers: dependency names, `&&`, `||` and parentheses.
//!
//! Argo Events turns the text into an expression in two steps, and both leave traces
//! here: `-` and `_` are the same in a name, a name may stand in quotes, comments are
//! dropped, and names that are words of its expression languages cannot be used.

use tripline_config::{FieldPath, Problem};

use crate::codes;

mod lexer;

use lexer::{Lexer, Token};

/// The longest condition, in bytes.
pub const MAX_CONDITION_BYTES: usize = 16 << 10;
/// The most parentheses that may be open in a condition.
pub const MAX_PARENTHESES: usize = 100;

/// Words of the language that a condition is read with first.
const CONDITION_WORDS: [&str; 12] = [
    "in",
    "or",
    "and",
    "not",
    "matches",
    "contains",
    "startsWith",
    "endsWith",
    "let",
    "nil",
    "true",
    "false",
];
/// Words of the language that the expression is evaluated in.
const EXPRESSION_WORDS: [&str; 4] = ["in", "IN", "true", "false"];

/// A compiled condition. Dependencies are numbered as in the list it was compiled with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    expression: String,
    dependencies: Vec<usize>,
    root: Node,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Dependency(usize),
    All(Vec<Node>),
    Any(Vec<Node>),
    /// A number or `false`: no event ever makes it true.
    Never,
    /// `true`.
    Always,
}

impl Condition {
    /// Compiles the text of `conditions`; empty is all `dependencies` joined by `&&`.
    /// There is no condition where Argo Events would not start the trigger. Paths of
    /// problems are relative to the field `conditions`.
    pub fn compile(text: &str, dependencies: &[&str]) -> (Option<Self>, Vec<Problem>) {
        let mut parser = match Parser::new(text, dependencies) {
            Ok(parser) => parser,
            Err(problem) => return (None, vec![*problem]),
        };
        match parser.condition() {
            Ok(root) => {
                let Parser { expression, used, unknown, .. } = parser;
                // All names that nobody knows are found in one go.
                if !unknown.is_empty() {
                    return (None, unknown);
                }
                let problems = if used.is_empty() {
                    vec![problem("the condition names no dependency: it never holds")]
                } else {
                    Vec::new()
                };
                (Some(Self { expression, dependencies: used, root }), problems)
            }
            Err(problem) => {
                let mut problems = parser.unknown;
                problems.push(*problem);
                (None, problems)
            }
        }
    }

    /// Whether the condition holds when those dependencies have an event for which
    /// `received` is true.
    pub fn holds(&self, received: impl Fn(usize) -> bool) -> bool {
        self.root.holds(&received)
    }

    /// The dependencies that the condition names, in the order of their first appearance.
    pub fn dependencies(&self) -> &[usize] {
        &self.dependencies
    }

    /// Whether events are kept until the condition holds: the expression has a `&`. If it
    /// has none, each event fires by itself.
    pub fn requires_and(&self) -> bool {
        self.expression.contains('&')
    }

    /// The expression, as Argo Events rewrites it.
    pub fn expression(&self) -> &str {
        &self.expression
    }
}

impl Node {
    fn holds(&self, received: &impl Fn(usize) -> bool) -> bool {
        match self {
            Self::Dependency(index) => received(*index),
            Self::All(nodes) => nodes.iter().all(|node| node.holds(received)),
            Self::Any(nodes) => nodes.iter().any(|node| node.holds(received)),
            Self::Never => false,
            Self::Always => true,
        }
    }
}

fn problem(message: impl Into<String>) -> Problem {
    Problem::error(codes::BAD_CONDITION, FieldPath::root(), message)
}

type Parsed<T> = Result<T, Box<Problem>>;

/// Reads a condition; `expression` grows as it goes.
struct Parser<'t> {
    lexer: Lexer<'t>,
    token: Token<'t>,
    dependencies: &'t [&'t str],
    expression: String,
    used: Vec<usize>,
    unknown: Vec<Problem>,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str, dependencies: &'t [&'t str]) -> Parsed<Self> {
        if text.len() > MAX_CONDITION_BYTES {
            let size = text.len();
            return Err(Box::new(problem(format!(
                "the condition has {size} bytes, at most {MAX_CONDITION_BYTES} are allowed"
            ))));
        }
        let (lexer, token) = Lexer::new(text);
        let (expression, used, unknown) = (String::new(), Vec::new(), Vec::new());
        Ok(Self { lexer, token, dependencies, expression, used, unknown, depth: 0 })
    }

    fn condition(&mut self) -> Parsed<Node> {
        if self.lexer.is_empty() {
            return self.all_dependencies();
        }
        if let Token::Number(number) = self.token {
            number.clone_into(&mut self.expression);
            self.advance();
            self.end()?;
            return Ok(Node::Never);
        }
        // As a text and by itself such a word is an expression of its own.
        if let Token::Name(word @ ("true" | "false")) | Token::Quoted(word @ ("true" | "false")) =
            self.token
            && self.lexer.is_at_end()
        {
            word.clone_into(&mut self.expression);
            return Ok(if word == "true" { Node::Always } else { Node::Never });
        }
        let root = self.any()?;
        self.end()?;
        Ok(root)
    }

    fn all_dependencies(&mut self) -> Parsed<Node> {
        if self.dependencies.is_empty() {
            return Err(Box::new(problem("the sensor has no dependency to wait for")));
        }
        let mut nodes = Vec::new();
        for index in 0..self.dependencies.len() {
            if index > 0 {
                self.expression.push_str("&&");
            }
            nodes.push(self.dependency(index)?);
        }
        Ok(Node::All(nodes))
    }

    fn any(&mut self) -> Parsed<Node> {
        let mut nodes = vec![self.all()?];
        while self.token == Token::Or {
            self.take("||");
            nodes.push(self.all()?);
        }
        Ok(one_or(nodes, Node::Any))
    }

    fn all(&mut self) -> Parsed<Node> {
        let mut nodes = vec![self.operand()?];
        while self.token == Token::And {
            self.take("&&");
            nodes.push(self.operand()?);
        }
        Ok(one_or(nodes, Node::All))
    }

    fn operand(&mut self) -> Parsed<Node> {
        match self.token {
            Token::Open => {
                self.depth += 1;
                if self.depth > MAX_PARENTHESES {
                    return Err(Box::new(problem(format!(
                        "more than {MAX_PARENTHESES} parentheses are open"
                    ))));
                }
                self.take("(");
                let node = self.any()?;
                if self.token != Token::Close {
                    return self.unexpected("`)`, `&&` or `||`");
                }
                self.take(")");
                self.depth -= 1;
                Ok(node)
            }
            Token::Name(name) => {
                // By itself the name of a function is a name, joined to others it is not.
                let alone = self.expression.is_empty() && self.lexer.is_at_end();
                if CONDITION_WORDS.contains(&name) || !alone && crate::expr::is_builtin(name) {
                    let advice = "give the dependency another name";
                    let found = problem(format!("`{name}` is a word of the condition language"));
                    return Err(Box::new(found.help(advice)));
                }
                // Of names that differ only in `-` and `_` the later one counts.
                let name = name.replace('-', "_");
                let fits = |dependency: &&str| dependency.replace('-', "_") == name;
                self.named(self.dependencies.iter().rposition(fits))
            }
            Token::Quoted(name) => {
                let name = name.replace('-', "_");
                self.named(self.dependencies.iter().rposition(|dependency| *dependency == name))
            }
            _ => self.unexpected("a dependency or `(`"),
        }
    }

    fn named(&mut self, index: Option<usize>) -> Parsed<Node> {
        let Some(index) = index else {
            let name = self.token.text();
            let found = problem(format!("the sensor has no dependency `{name}`"));
            let names = self.dependencies.join(", ");
            let found = found.help(format!("its dependencies: {names}"));
            if !self.unknown.iter().any(|known| known.message == found.message) {
                self.unknown.push(found);
            }
            self.advance();
            return Ok(Node::Never);
        };
        let node = self.dependency(index)?;
        self.advance();
        Ok(node)
    }

    fn dependency(&mut self, index: usize) -> Parsed<Node> {
        let name = self.dependencies[index];
        let mut chars = name.chars();
        let usable = chars.next().is_some_and(char::is_alphabetic)
            && chars.all(|c| c.is_alphanumeric() || c == '_' || c == '-')
            && !EXPRESSION_WORDS.contains(&name);
        if !usable {
            let found = problem(format!("dependency `{name}` cannot be named in a condition"));
            let advice = "a name is a letter, then letters, digits, `_` and `-`; \
                          it is not `in`, `IN`, `true` or `false`";
            return Err(Box::new(found.help(advice)));
        }
        self.expression.push_str(name);
        if !self.used.contains(&index) {
            self.used.push(index);
        }
        Ok(Node::Dependency(index))
    }

    fn end(&self) -> Parsed<()> {
        if self.token == Token::End { Ok(()) } else { self.unexpected("`&&`, `||` or the end") }
    }

    fn take(&mut self, text: &str) {
        self.expression.push_str(text);
        self.advance();
    }

    fn advance(&mut self) {
        self.token = self.lexer.next();
    }

    fn unexpected<T>(&self, expected: &str) -> Parsed<T> {
        let found = match self.token {
            Token::End => "the end".to_owned(),
            token => format!("`{}`", token.text()),
        };
        let message = format!("{expected} is expected, not {found}");
        let advice = "a condition is dependency names joined by `&&`, `||` and parentheses";
        Err(Box::new(problem(message).help(advice)))
    }
}

fn one_or(mut nodes: Vec<Node>, many: fn(Vec<Node>) -> Node) -> Node {
    if nodes.len() == 1 { nodes.remove(0) } else { many(nodes) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 4] = ["a", "b", "c", "dep-1"];

    fn true_for(text: &str, received: &str) -> bool {
        let (condition, problems) = Condition::compile(text, &NAMES);
        assert_eq!(problems, [], "{text}");
        let condition = condition.expect("it compiles");
        condition.holds(|index| received.split(' ').any(|name| name == NAMES[index]))
    }

    #[test]
    fn and_binds_tighter_than_or() {
        assert!(true_for("a || b && c", "a"));
        assert!(!true_for("a || b && c", "b"));
        assert!(!true_for("(a || b) && c", "a"));
        assert!(true_for("(a || b) && c", "b c"));
        assert!(true_for("dep_1 && 'a' // and no more", "dep-1 a"));
        assert!(!true_for("", "a b c"));
        assert!(true_for("", "a b c dep-1"));
    }

    #[test]
    fn mistakes_say_what_is_expected() {
        for (text, message) in [
            ("a && e", "the sensor has no dependency `e`"),
            ("a b", "`&&`, `||` or the end is expected, not `b`"),
            ("a & b", "`&&`, `||` or the end is expected, not `&`"),
            ("a && (b", "`)`, `&&` or `||` is expected, not the end"),
            ("!a", "a dependency or `(` is expected, not `!`"),
            ("a and b", "`&&`, `||` or the end is expected, not `and`"),
            ("not", "`not` is a word of the condition language"),
            ("1", "the condition names no dependency: it never holds"),
        ] {
            let (_, problems) = Condition::compile(text, &NAMES);
            assert_eq!(problems[0].message, message, "{text}");
        }
        let (condition, problems) = Condition::compile("e && (f || a) && e && g", &NAMES);
        assert!(condition.is_none());
        let names: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
        let unknown = ["e", "f", "g"].map(|name| format!("the sensor has no dependency `{name}`"));
        assert_eq!(names, unknown);
        let (condition, problems) = Condition::compile("", &["5x"]);
        assert!(condition.is_none());
        assert_eq!(problems[0].message, "dependency `5x` cannot be named in a condition");
    }

    #[test]
    fn a_hostile_condition_needs_no_stack() {
        assert!(Condition::compile(&"(".repeat(16_000), &NAMES).0.is_none());
        assert!(Condition::compile(&"(".repeat(1_000_000), &NAMES).0.is_none());
        assert!(Condition::compile(&vec!["a"; 5000].join("||"), &NAMES).0.is_some());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in r#"([abe()&|!"'/* _\-1.é\n]|&&|\|\|){0,12}"#) {
            let (condition, problems) = Condition::compile(&text, &NAMES);
            prop_assert!(condition.is_some() || !problems.is_empty());
        }
    }
}
