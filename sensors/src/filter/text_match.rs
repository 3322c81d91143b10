//! A pattern for texts. Most patterns are plain words, and those need no automaton: ten
//! thousand sensors would keep one for each of their values.

use regex::Regex;

use crate::go_regex;

#[derive(Clone, Debug)]
pub(super) enum TextMatch {
    Contains(Box<str>),
    Begins(Box<str>),
    Ends(Box<str>),
    Equals(Box<str>),
    Pattern(Box<Regex>),
}

impl TextMatch {
    /// Compiles a regular expression of Go's dialect.
    pub(super) fn compile(pattern: &str) -> Result<Self, String> {
        let begins = pattern.strip_prefix('^');
        let rest = begins.unwrap_or(pattern);
        let ends = rest.strip_suffix('$');
        let word = ends.unwrap_or(rest);
        if word.len() > go_regex::MAX_PATTERN_BYTES || word.contains(is_sign) {
            return go_regex::compile(pattern).map(|regex| Self::Pattern(Box::new(regex)));
        }
        let word = word.into();
        Ok(match (begins.is_some(), ends.is_some()) {
            (false, false) => Self::Contains(word),
            (true, false) => Self::Begins(word),
            (false, true) => Self::Ends(word),
            (true, true) => Self::Equals(word),
        })
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Contains(word) => {
                memchr::memmem::find(text.as_bytes(), word.as_bytes()).is_some()
            }
            Self::Begins(word) => text.starts_with(&**word),
            Self::Ends(word) => text.ends_with(&**word),
            Self::Equals(word) => text == &**word,
            Self::Pattern(regex) => regex.is_match(text),
        }
    }
}

fn is_sign(c: char) -> bool {
    r"\.+*?()|[]{}^$".contains(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_plain_word_matches_as_its_pattern_does(
            pattern in r"\^?[abé -]{0,3}\$?",
            text in "[abé -]{0,5}",
        ) {
            let plain = TextMatch::compile(&pattern).expect("it compiles");
            prop_assert!(!matches!(plain, TextMatch::Pattern(_)));
            let regex = go_regex::compile(&pattern).expect("it compiles");
            prop_assert_eq!(plain.matches(&text), regex.is_match(&text));
        }
    }
}
