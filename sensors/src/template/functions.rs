//! The functions that templates can call: Go's own and those of sprig.

use jiff::Timestamp;

use super::Context;
use super::bounds::Steps;
use super::value::Value;

mod builtin;
mod crypto;
mod dates;
mod decimal;
mod defaults;
mod dicts;
mod encoding;
mod flow;
mod lists;
mod math;
mod paths;
mod reflection;
mod regex;
mod semver;
mod strings;
mod urls;
mod words;

/// A function.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) fixed: &'static [Parameter],
    /// The type of any number of further arguments.
    pub(super) rest: Option<Parameter>,
    pub(super) run: Run,
}

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parameter {
    Any,
    Text,
    Int,
    Float,
    Bool,
    /// A dict or nil.
    Dict,
    Time,
}

/// Runs with arguments that fit the parameters.
pub(super) type Plain = fn(&Call<'_>, &[Value]) -> Result<Value, String>;

/// How a function is run.
#[derive(Clone, Copy, Debug)]
pub(super) enum Run {
    Plain(Plain),
    /// `and` and `or`: the first argument whose truth is this one, else the last. Those
    /// behind it are not looked at.
    ShortCircuit(bool),
}

/// What a function may use besides its arguments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'c> {
    pub(super) context: &'c Context,
    pub(super) steps: &'c Steps,
}

impl Call<'_> {
    fn now(&self) -> Result<Timestamp, String> {
        self.context.now.ok_or_else(|| "the time is not known here".to_owned())
    }
}

impl Parameter {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Any => "a value",
            Self::Text => "a string",
            Self::Int => "an int",
            Self::Float => "a float64",
            Self::Bool => "a bool",
            Self::Dict => "a dict",
            Self::Time => "a time",
        }
    }
}

impl Function {
    /// The parameter that takes the argument at `index`.
    pub(super) fn parameter(&self, index: usize) -> Parameter {
        self.fixed.get(index).copied().or(self.rest).unwrap_or(Parameter::Any)
    }
}

const fn new(name: &'static str, fixed: &'static [Parameter], run: Plain) -> Function {
    Function { name, fixed, rest: None, run: Run::Plain(run) }
}

const fn variadic(
    name: &'static str,
    fixed: &'static [Parameter],
    rest: Parameter,
    run: Plain,
) -> Function {
    Function { name, fixed, rest: Some(rest), run: Run::Plain(run) }
}

/// All functions, by theme.
const THEMES: [&[Function]; 16] = [
    builtin::FUNCTIONS,
    crypto::FUNCTIONS,
    dates::FUNCTIONS,
    defaults::FUNCTIONS,
    dicts::FUNCTIONS,
    encoding::FUNCTIONS,
    flow::FUNCTIONS,
    lists::FUNCTIONS,
    math::FUNCTIONS,
    paths::FUNCTIONS,
    reflection::FUNCTIONS,
    regex::FUNCTIONS,
    semver::FUNCTIONS,
    strings::FUNCTIONS,
    urls::FUNCTIONS,
    words::FUNCTIONS,
];

/// Functions that sprig has and Tripline refuses.
const REFUSED: [(&[&str], &str); 4] = [
    (&["env", "expandenv"], "templates do not see the environment"),
    (&["getHostByName"], "templates do not reach the network"),
    (
        &[
            "bcrypt",
            "encryptAES",
            "genCA",
            "genCAWithKey",
            "genPrivateKey",
            "genSelfSignedCert",
            "genSelfSignedCertWithKey",
            "genSignedCert",
            "genSignedCertWithKey",
            "htpasswd",
            "randAlpha",
            "randAlphaNum",
            "randAscii",
            "randBytes",
            "randInt",
            "randNumeric",
            "shuffle",
            "uuidv4",
        ],
        "it is random, while a trigger does the same thing each time it is replayed",
    ),
    (&["buildCustomCert", "decryptAES", "derivePassword"], "templates do not handle keys"),
];

/// The function of a name.
///
/// # Errors
/// Why there is none.
pub(super) fn find(name: &str) -> Result<&'static Function, String> {
    let mut all = THEMES.iter().flat_map(|theme| theme.iter());
    if let Some(function) = all.find(|function| function.name == name) {
        return Ok(function);
    }
    let refused = REFUSED.iter().find(|(names, _)| names.contains(&name));
    Err(match refused {
        Some((_, why)) => format!("`{name}` is not available: {why}"),
        None => format!("there is no function `{name}`"),
    })
}

/// The function of sprig of a name, which those of Go's templates are not among.
pub(super) fn sprig(name: &str) -> Option<&'static Function> {
    let mut all = THEMES[1..].iter().flat_map(|theme| theme.iter());
    all.find(|function| function.name == name)
}

pub(super) use dates::read_duration;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let mut seen = BTreeSet::new();
        let functions = THEMES.iter().flat_map(|theme| theme.iter()).map(|one| one.name);
        let refused = REFUSED.iter().flat_map(|(names, _)| names.iter().copied());
        for name in functions.chain(refused) {
            assert!(seen.insert(name), "{name}");
        }
    }
}
