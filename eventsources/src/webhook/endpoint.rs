//! The path that a webhook answers, with templates as in gorilla/mux: `/builds/{id}`,
//! `/builds/{id:[0-9]+}`.

use std::cmp::Ordering;

use regex::Regex;

/// The path of a webhook.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// As configured, with its leading `/`.
    text: String,
    /// The text without the names of its variables: equal for endpoints that match the
    /// same paths.
    normal: String,
    /// For a template: what the path must match.
    pattern: Option<Regex>,
}

impl Endpoint {
    /// Reads `text`; a missing leading `/` is added.
    ///
    /// # Errors
    ///
    /// What is wrong with it, as a fragment.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("endpoint is empty, expected a path such as `/builds`".into());
        }
        let text = if text.starts_with('/') { text.to_owned() } else { format!("/{text}") };
        let parts = split(&text)?;
        if let Some(c) =
            literals(&parts).flat_map(str::chars).find(|c| "?#".contains(*c) || *c <= ' ')
        {
            return Err(format!("endpoint holds {c:?}, expected a path without query"));
        }
        if parts.iter().all(|part| matches!(part, Part::Literal(_))) {
            return Ok(Self { normal: text.clone(), text, pattern: None });
        }
        let mut normal = String::new();
        let mut pattern = String::from("^");
        for part in &parts {
            match part {
                Part::Literal(text) => {
                    normal.push_str(text);
                    pattern.push_str(&regex::escape(text));
                }
                Part::Variable(variable) => {
                    normal.push_str(&format!("{{{variable}}}"));
                    pattern.push_str(&format!("(?:{variable})"));
                }
            }
        }
        pattern.push('$');
        let pattern = Regex::new(&pattern).map_err(|e| format!("endpoint's pattern: {e}"))?;
        Ok(Self { text, normal, pattern: Some(pattern) })
    }

    /// The path as configured.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same text for endpoints that match the same paths.
    pub fn normal(&self) -> &str {
        &self.normal
    }

    /// Whether this is a template.
    pub fn is_template(&self) -> bool {
        self.pattern.is_some()
    }

    /// Whether `path`, percent-decoded, is this endpoint.
    pub fn matches(&self, path: &str) -> bool {
        match &self.pattern {
            Some(pattern) => pattern.is_match(path),
            None => self.text == path,
        }
    }

    /// The order in which templates are tried: where the first difference is, fixed text
    /// comes before a variable.
    pub fn precedence(&self, other: &Self) -> Ordering {
        let key = |c: char| if c == '{' { char::MAX } else { c };
        self.normal.chars().map(key).cmp(other.normal.chars().map(key))
    }
}

enum Part<'a> {
    Literal(&'a str),
    /// The pattern of a variable.
    Variable(&'a str),
}

fn literals<'a>(parts: &'a [Part<'a>]) -> impl Iterator<Item = &'a str> {
    parts.iter().filter_map(|part| match part {
        Part::Literal(text) => Some(*text),
        Part::Variable(_) => None,
    })
}

/// Cuts the text at its outermost braces.
fn split(text: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let (mut depth, mut from) = (0_usize, 0);
    for (at, c) in text.char_indices() {
        match c {
            '{' => {
                if depth == 0 {
                    parts.push(Part::Literal(&text[from..at]));
                    from = at + 1;
                }
                depth += 1;
            }
            '}' => {
                depth = depth.checked_sub(1).ok_or("endpoint has a `}` without its `{`")?;
                if depth == 0 {
                    parts.push(variable(&text[from..at])?);
                    from = at + 1;
                }
            }
            _ => {}
        }
    }
    if depth > 0 {
        return Err("endpoint has a `{` without its `}`".into());
    }
    parts.push(Part::Literal(&text[from..]));
    parts.retain(|part| !matches!(part, Part::Literal("")));
    Ok(parts)
}

fn variable(inner: &str) -> Result<Part<'_>, String> {
    let (name, pattern) = inner.split_once(':').unwrap_or((inner, "[^/]+"));
    if name.is_empty() || pattern.is_empty() {
        return Err(format!("endpoint's variable `{{{inner}}}` has no name or no pattern"));
    }
    Ok(Part::Variable(pattern))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_matches_one_segment_for_each_variable() {
        for (endpoint, path, matches) in [
            ("/a", "/a", true),
            ("a", "/a", true),
            ("/a", "/a/", false),
            ("/a/{id}", "/a/7", true),
            ("/a/{id}", "/a/", false),
            ("/a/{id}", "/a/7/b", false),
            ("/a/{id}/b", "/a/7/b", true),
            ("/a/{id:[0-9]+}", "/a/7", true),
            ("/a/{id:[0-9]+}", "/a/x", false),
            ("/a/{id:[0-9]{2}}", "/a/17", true),
            ("/a.b/{id}", "/aXb/7", false),
            ("/v-{n}.json", "/v-3.json", true),
        ] {
            let endpoint = Endpoint::parse(endpoint).unwrap();
            assert_eq!(endpoint.matches(path), matches, "{endpoint:?} {path}");
        }
    }

    #[test]
    fn what_is_no_path_is_an_error_that_says_why() {
        for (endpoint, says) in [
            ("", "empty"),
            ("/a?b=1", "'?'"),
            ("/a b", "' '"),
            ("/a/{id", "without its `}`"),
            ("/a/id}", "without its `{`"),
            ("/a/{}", "no name"),
            ("/a/{id:}", "no pattern"),
            ("/a/{id:[}", "pattern"),
        ] {
            let error = Endpoint::parse(endpoint).unwrap_err();
            assert!(error.contains(says), "{endpoint}: {error}");
        }
    }

    #[test]
    fn fixed_text_is_tried_before_a_variable_and_names_do_not_matter() {
        let parse = |text| Endpoint::parse(text).unwrap();
        assert!(parse("/a/b/{x}").precedence(&parse("/a/{x}/c")).is_lt());
        assert_eq!(parse("/a/{x}").normal(), parse("/a/{y}").normal());
        assert_ne!(parse("/a/{x}").normal(), parse("/a/{x:[0-9]+}").normal());
    }
}
