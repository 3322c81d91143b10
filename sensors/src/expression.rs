//! Expressions of `exprs` filters: the language of govaluate (2017), with its corners.
//!
//! A text in either kind of quotes that looks like a date is a number (seconds since
//! 1970). Signs run together are one sign. All operators of two sides group to the left.
//! What stands behind a whole expression in parentheses is not looked at.

use regex::Regex;

use crate::go_regex;

mod evaluate;
mod lexer;
mod parser;
mod value;

pub(crate) use value::Value;

/// The longest expression, in bytes.
pub(crate) const MAX_EXPRESSION_BYTES: usize = 8 << 10;
/// The most words and signs of an expression: they bound how deep its evaluation goes.
pub(crate) const MAX_TOKENS: usize = 1000;
/// The most parentheses that may be open.
pub(crate) const MAX_PARENTHESES: usize = 100;

/// A compiled expression.
#[derive(Clone, Debug)]
pub(crate) struct Expression {
    root: Node,
    names: Vec<String>,
}

/// What an expression is made of.
#[derive(Clone, Debug)]
enum Node {
    Number(f64),
    Bool(bool),
    Text(String),
    Pattern(Box<Regex>),
    /// A parameter.
    Name(String),
    /// A name with a dot. No value has members, so it is an error when it is evaluated,
    /// after its arguments.
    Member(String, Option<Box<Node>>),
    /// What is missing before a `)`.
    Missing,
    Prefix(Prefix, Box<Node>),
    Binary(Binary, Box<Node>, Box<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prefix {
    Negate,
    Not,
    BitNot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Binary {
    Separate,
    Then,
    Else,
    Coalesce,
    Or,
    And,
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Matches,
    NotMatches,
    In,
    BitAnd,
    BitOr,
    BitXor,
    ShiftLeft,
    ShiftRight,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
}

impl Expression {
    /// Compiles `text`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn compile(text: &str) -> Result<Self, String> {
        if text.len() > MAX_EXPRESSION_BYTES {
            let size = text.len();
            return Err(format!("it has {size} bytes, at most {MAX_EXPRESSION_BYTES} are allowed"));
        }
        let tokens = lexer::tokens(text)?;
        let names = tokens.iter().filter_map(lexer::Token::name).map(str::to_owned).collect();
        Ok(Self { root: parser::parse(tokens)?, names })
    }

    /// The names that the expression uses.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The value of the expression where `lookup` gives the values of names.
    ///
    /// # Errors
    /// A name without a value; an operator on a value that it does not fit.
    pub(crate) fn evaluate<'a>(
        &'a self,
        lookup: &dyn Fn(&str) -> Option<Value<'a>>,
    ) -> Result<Value<'a>, String> {
        self.root.evaluate(lookup)
    }
}

fn pattern(text: &str) -> Result<Regex, String> {
    go_regex::compile(text).map_err(|error| format!("`{text}` is no regular expression: {error}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn evaluate(text: &str) -> Result<String, String> {
        let expression = Expression::compile(text)?;
        let lookup = |name: &str| match name {
            "n" => Some(Value::Number(2.0)),
            "t" => Some(Value::Bool(true)),
            "f" => Some(Value::Bool(false)),
            "b" => Some(Value::Text("c".into())),
            "z" => Some(Value::Null),
            "l" => Some(Value::Array(vec![Value::Number(1.0), Value::Null])),
            "dash-ed" => Some(Value::Number(7.0)),
            _ => None,
        };
        expression.evaluate(&lookup).map(|value| value.to_string())
    }

    #[test]
    fn expressions_have_the_values_of_govaluate() {
        for (text, value) in [
            ("2 ** 3 ** 2", "64"),
            ("10 - 4 - 3", "3"),
            ("n + 1 * 2", "4"),
            ("-n ** 2", "4"),
            ("n & 3 == 2", "true"),
            ("1 << 3 >> 1", "4"),
            ("7 % 4", "3"),
            ("1 / 0", "+Inf"),
            ("~1", "-2"),
            ("b + n", "c2"),
            ("b + z + l", "c<nil>[1 <nil>]"),
            ("b + 1000000 * 1000000 * 1000000 * 1000", "c1e+21"),
            ("b + 0.00001", "c1e-05"),
            ("(b + )", "c<nil>"),
            ("()", "<nil>"),
            ("f ? 1 : t ? 2 : 3", "2"),
            ("t ? 1 : f ? 2 : 3", ""),
            ("z ?? 5", "5"),
            ("n in (1, 2)", "true"),
            ("1, 2, 3", "[1 2 3]"),
            ("(1, (2, 3))", "[1 [2 3]]"),
            ("t || nothing", "true"),
            ("f && nothing", "false"),
            ("[dash-ed] + dash\\-ed", "14"),
            ("'a\\'b' == \"a'b\"", ""),
            ("\"2023-01-02\"", "1.6726176e+09"),
            ("'2023-01-02T03:04:05.5+01:00'", "1.672625045e+09"),
            ("'Mon Jan  2 15:04:05 2006'", "1.136214245e+09"),
            ("'3:04PM'", "-6.216716496e+10"),
            ("\"2023-13-02\"", "2023-13-02"),
            ("(t) f", "true"),
            ("b =~ '^c$' && b !~ 'd'", "true"),
            ("0x1F", "31"),
            (".5", "0.5"),
        ] {
            let found = evaluate(text).unwrap_or_default();
            assert_eq!(found, value, "{text}: {:?}", evaluate(text));
        }
    }

    #[test]
    fn mistakes_are_found_when_the_expression_is_compiled() {
        for text in [
            "",
            "n >",
            "n>-1",
            "!!t",
            "- -n",
            "n == 1e1",
            "n and t",
            "n = 1",
            "(n",
            "n)",
            "'a",
            "[a",
            "b.c",
            "b.",
            "f(n)",
            "n =~ '['",
            "$x",
            "a \\",
            "1.2.3",
            "0x10000000000000000",
        ] {
            assert!(Expression::compile(text).is_err(), "{text}");
        }
        assert!(Expression::compile(&"(".repeat(500)).is_err());
        assert!(Expression::compile(&"1 + ".repeat(600)).is_err());
        assert!(Expression::compile(&("1 + ".repeat(400) + "1")).is_ok());
    }

    #[test]
    fn mistakes_of_values_are_found_when_it_is_evaluated() {
        for text in [
            "nothing",
            "!b",
            "n > '1'",
            "n + t",
            "n =~ '2'",
            "t && n",
            "l in (1, l)",
            "n in (2)",
            "b.C",
            "b.C(1) || t",
            "-b",
            "z > 1",
            "b =~ (b + '[')",
        ] {
            assert!(Expression::compile(text).is_ok(), "{text}");
            assert!(evaluate(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_expression_panics(
            text in r#"([ntbzl()\[\]'"\\,.?:&|^~!=<>+*/%0-9xA -]|\*\*|&&|\|\||==|=~|!~|in |\?\?|<<){0,16}"#,
        ) {
            let _ = evaluate(&text);
        }
    }
}
