//! Semantic versions and their constraints, as the Go package `semver` has them.

use std::cmp::Ordering;
use std::fmt;

use super::value::Value;

/// A version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    numbers: [u64; 3],
    pre: String,
    metadata: String,
    original: String,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        if !self.pre.is_empty() {
            write!(f, "-{}", self.pre)?;
        }
        if !self.metadata.is_empty() {
            write!(f, "+{}", self.metadata)?;
        }
        Ok(())
    }
}

impl Version {
    /// Reads a version: an optional `v`, one to three numbers, a pre-release, metadata.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no semantic version");
        let rest = text.strip_prefix('v').unwrap_or(text);
        let (rest, metadata) = split(rest, '+').ok_or_else(wrong)?;
        let (rest, pre) = split(rest, '-').ok_or_else(wrong)?;
        let parts: Vec<&str> = rest.split('.').collect();
        if parts.len() > 3 {
            return Err(wrong());
        }
        let mut numbers = [0; 3];
        for (number, part) in numbers.iter_mut().zip(&parts) {
            if !part.bytes().all(|c| c.is_ascii_digit()) {
                return Err(wrong());
            }
            *number = part.parse().map_err(|_| wrong())?;
        }
        let leading_zero = |part: &str| {
            part.len() > 1 && part.starts_with('0') && part.bytes().all(|c| c.is_ascii_digit())
        };
        if pre.split('.').any(leading_zero) {
            return Err(wrong());
        }
        Ok(Self { numbers, pre: pre.into(), metadata: metadata.into(), original: text.into() })
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| compare_pre(&self.pre, &other.pre))
    }

    /// What a method of a version answers.
    pub(super) fn method(&self, name: &str, arguments: &[Value]) -> Result<Value, String> {
        let other = || match arguments {
            [Value::Version(other)] => Ok(other),
            _ => Err(format!("`{name}` takes a version")),
        };
        Ok(match name {
            "Compare" => Value::Int(self.compare(other()?) as i64),
            "Equal" => (self.compare(other()?) == Ordering::Equal).into(),
            "LessThan" => (self.compare(other()?) == Ordering::Less).into(),
            "GreaterThan" => (self.compare(other()?) == Ordering::Greater).into(),
            _ if !arguments.is_empty() => return Err(format!("`{name}` takes no arguments")),
            "Major" => Value::Uint64(self.numbers[0]),
            "Minor" => Value::Uint64(self.numbers[1]),
            "Patch" => Value::Uint64(self.numbers[2]),
            "Prerelease" => self.pre.as_str().into(),
            "Metadata" => self.metadata.as_str().into(),
            "Original" => self.original.as_str().into(),
            "String" => self.to_string().into(),
            _ => return Err(format!("a version has no `{name}`")),
        })
    }
}

/// The part behind `sign`, which has to be words joined by dots.
fn split(text: &str, sign: char) -> Option<(&str, &str)> {
    let Some((rest, part)) = text.split_once(sign) else { return Some((text, "")) };
    let word = |word: &str| {
        !word.is_empty() && word.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
    };
    part.split('.').all(word).then_some((rest, part))
}

fn compare_pre(left: &str, right: &str) -> Ordering {
    match (left.is_empty(), right.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        _ => {}
    }
    let (mut left, mut right) = (left.split('.'), right.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(left), Some(right)) => match (left.parse::<u64>(), right.parse::<u64>()) {
                (Ok(left), Ok(right)) => left.cmp(&right),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => left.cmp(right),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// One comparison of a constraint.
struct Comparison {
    operator: Operator,
    version: Version,
    /// How many of its numbers are given: the rest can be anything.
    given: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
    Tilde,
    Caret,
}

/// Two characters before one.
const OPERATORS: [(&str, Operator); 11] = [
    ("!=", Operator::NotEqual),
    (">=", Operator::GreaterOrEqual),
    ("=>", Operator::GreaterOrEqual),
    ("<=", Operator::LessOrEqual),
    ("=<", Operator::LessOrEqual),
    ("~>", Operator::Tilde),
    ("=", Operator::Equal),
    (">", Operator::Greater),
    ("<", Operator::Less),
    ("~", Operator::Tilde),
    ("^", Operator::Caret),
];

/// Whether `version` satisfies `constraint`.
pub(super) fn satisfies(constraint: &str, version: &str) -> Result<bool, String> {
    let mut alternatives = Vec::new();
    for alternative in constraint.split("||") {
        alternatives.push(
            comparisons(alternative)
                .ok_or_else(|| format!("`{}` is no constraint of versions", alternative.trim()))?,
        );
    }
    let version = Version::parse(version)?;
    Ok(alternatives.iter().any(|all| all.iter().all(|one| one.holds(&version))))
}

/// Comparisons that all must hold, between spaces or commas; `1.2 - 1.4` is a range.
fn comparisons(text: &str) -> Option<Vec<Comparison>> {
    let mut all: Vec<Comparison> = Vec::new();
    let mut rest = text.trim_matches([' ', '\t', '\n', '\r']);
    while !rest.is_empty() {
        let (operator, behind) = OPERATORS
            .iter()
            .find_map(|(sign, operator)| Some((*operator, rest.strip_prefix(sign)?)))
            .unwrap_or((Operator::Equal, rest));
        let behind = behind.trim_start();
        let end = behind.find(|c: char| c.is_whitespace() || c == ',').unwrap_or(behind.len());
        let mut comparison = Comparison::parse(operator, &behind[..end])?;
        rest = behind[end..].trim_start();
        if let Some(to) = rest.strip_prefix("- ") {
            let to = to.trim_start();
            let end = to.find(|c: char| c.is_whitespace() || c == ',').unwrap_or(to.len());
            comparison.operator = Operator::GreaterOrEqual;
            all.push(comparison);
            comparison = Comparison::parse(Operator::LessOrEqual, &to[..end])?;
            rest = to[end..].trim_start();
        }
        all.push(comparison);
        if let Some(behind) = rest.strip_prefix(',') {
            rest = behind.trim_start();
            if rest.is_empty() {
                return None;
            }
        }
    }
    (!all.is_empty()).then_some(all)
}

impl Comparison {
    fn parse(operator: Operator, text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let end = text.find(['-', '+']).unwrap_or(text.len());
        let (numbers, pre) = text.split_at(end);
        let mut parts = Vec::new();
        for part in numbers.split('.') {
            let any = matches!(part, "x" | "X" | "*");
            if !any && (part.is_empty() || !part.bytes().all(|c| c.is_ascii_digit())) {
                return None;
            }
            parts.push(part);
        }
        if parts.len() > 3 {
            return None;
        }
        let given =
            parts.iter().position(|part| matches!(*part, "x" | "X" | "*")).unwrap_or(parts.len());
        let number = |at: usize| if at < given { parts[at] } else { "0" };
        let pre = pre.split('+').next().unwrap_or_default();
        let full = format!("{}.{}.{}{pre}", number(0), number(1), number(2));
        Some(Self { operator, version: Version::parse(&full).ok()?, given })
    }

    fn holds(&self, version: &Version) -> bool {
        // A pre-release only satisfies what names one.
        let strange_pre = !version.pre.is_empty() && self.version.pre.is_empty();
        let whole = self.given == 3;
        if strange_pre && !(self.operator == Operator::NotEqual && whole) {
            return false;
        }
        let order = version.compare(&self.version);
        let (numbers, wanted) = (&version.numbers, &self.version.numbers);
        let given = self.given;
        match self.operator {
            Operator::Equal if whole => order == Ordering::Equal,
            Operator::Equal | Operator::Tilde => self.tilde(version, order),
            Operator::NotEqual if whole => order != Ordering::Equal,
            Operator::NotEqual => {
                // Nothing given: it is equal to nothing but 0, as the package has it.
                let compared = match given {
                    0 => 3,
                    given => given,
                };
                numbers[..compared] != wanted[..compared]
            }
            Operator::Greater => match given {
                1 => numbers[0] > wanted[0],
                2 => numbers[..2] > wanted[..2],
                _ => order == Ordering::Greater,
            },
            Operator::Less => order == Ordering::Less,
            Operator::GreaterOrEqual => order != Ordering::Less,
            Operator::LessOrEqual if whole => order != Ordering::Greater,
            Operator::LessOrEqual => {
                numbers[0] < wanted[0]
                    || numbers[0] == wanted[0] && (given == 1 || numbers[1] <= wanted[1])
            }
            Operator::Caret => {
                if order == Ordering::Less {
                    return false;
                }
                if wanted[0] > 0 || given == 1 {
                    return numbers[0] == wanted[0];
                }
                if numbers[0] > 0 {
                    return false;
                }
                if wanted[1] > 0 || given == 2 {
                    return numbers[1] == wanted[1];
                }
                numbers[1] == 0 && numbers[2] == wanted[2]
            }
        }
    }

    fn tilde(&self, version: &Version, order: Ordering) -> bool {
        if order == Ordering::Less {
            return false;
        }
        let (numbers, wanted) = (&version.numbers, &self.version.numbers);
        // `~0.0.0` takes everything, and so does `*`.
        if *wanted == [0, 0, 0] && !matches!(self.given, 1 | 2) {
            return true;
        }
        numbers[0] == wanted[0] && (self.given == 1 || numbers[1] == wanted[1])
    }
}
