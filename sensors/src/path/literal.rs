//! Literals in a path (`!"text"`), and strings as gjson writes them.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::scan;

/// The JSON text of a literal at the beginning of `path`, and what follows it.
pub(super) fn parse(path: &str) -> Option<(Cow<'static, str>, &str)> {
    let text = &path[1..];
    if text.starts_with(['{', '[', '"', '+', '-']) || text.starts_with(|c: char| c.is_ascii_digit())
    {
        // The end is looked for as if a bracket had been opened, also for a scalar.
        let end = scan::container_end(text.as_bytes(), 0).min(text.len());
        return Some((Cow::Owned(text[..end].to_owned()), &text[end..]));
    }
    let end = text.find(['|', '.']).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let known = ["true", "false", "null", "nan", "inf"];
    let known = known.contains(&word.to_lowercase().as_str());
    known.then(|| (Cow::Owned(word.to_owned()), rest))
}

/// The JSON string of `text`, with `<`, `>` and `&` escaped as Go does.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                // Writing to a string cannot fail.
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
