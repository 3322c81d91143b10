//! Patterns: `*` is any text, `?` any one character, `\` takes the next one literally.

/// Whether all of `text` fits `pattern`. The time grows with the product of the lengths
/// at most.
pub(super) fn matches(text: &str, pattern: &str) -> bool {
    let pattern: Vec<Token> = tokens(pattern);
    let mut rest = text.chars();
    let mut at = 0;
    // Where to go on when what follows the last star does not fit: the star takes one
    // more character.
    let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
    loop {
        match pattern.get(at) {
            Some(Token::Any) => {
                at += 1;
                retry = Some((at, rest.clone()));
                continue;
            }
            None if rest.as_str().is_empty() => return true,
            Some(token) => {
                if let Some(c) = rest.clone().next()
                    && token.fits(c)
                {
                    rest.next();
                    at += 1;
                    continue;
                }
            }
            None => {}
        }
        let Some((after, from)) = &mut retry else { return false };
        if from.next().is_none() {
            return false;
        }
        at = *after;
        rest = from.clone();
    }
}

#[derive(Clone, Copy)]
enum Token {
    Any,
    One,
    Char(char),
    /// A `\` at the end fits nothing.
    Never,
}

impl Token {
    fn fits(self, c: char) -> bool {
        match self {
            Self::One => true,
            Self::Char(wanted) => wanted == c,
            Self::Any | Self::Never => false,
        }
    }
}

fn tokens(pattern: &str) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '*' => Token::Any,
            '?' => Token::One,
            '\\' => chars.next().map_or(Token::Never, Token::Char),
            c => Token::Char(c),
        });
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_whole_texts() {
        for (text, pattern, fits) in [
            ("abc", "abc", true),
            ("abc", "a*", true),
            ("abc", "*c", true),
            ("abc", "*b*", true),
            ("abc", "a?c", true),
            ("ac", "a?c", false),
            ("äc", "?c", true),
            ("", "*", true),
            ("", "", true),
            ("a*c", r"a\*c", true),
            ("abc", r"a\*c", false),
            ("a", r"a\", false),
            ("aXbXc", "a*X*c", true),
            ("aaaa", "a*a*a*a*a", false),
        ] {
            assert_eq!(matches(text, pattern), fits, "{text} {pattern}");
        }
    }
}
