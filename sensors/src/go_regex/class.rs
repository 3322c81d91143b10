//! Classes in brackets. They hold single characters, ranges, and named sets; nothing in
//! them is an operation on sets.

use super::escape;

const NAMES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// The class at the beginning of `pattern`, and what follows it.
pub(super) fn translate(pattern: &str) -> Result<(String, &str), String> {
    let mut rest = &pattern[1..];
    let mut class = String::from("[");
    if let Some(inside) = rest.strip_prefix('^') {
        class.push('^');
        rest = inside;
    }
    let mut first = true;
    loop {
        // A `]` at the beginning is a character.
        if !first && let Some(after) = rest.strip_prefix(']') {
            class.push(']');
            return Ok((class, after));
        }
        first = false;
        if rest.is_empty() {
            return Err("a `]` is missing".to_owned());
        }
        if let Some((name, after)) = named(rest)? {
            class.push_str(name);
            rest = after;
            continue;
        }
        if rest.starts_with('\\')
            && let Some((set, after)) = escape::set(rest)?
        {
            class.push_str(&set);
            rest = after;
            continue;
        }
        rest = range(rest, &mut class)?;
    }
}

/// `[:alpha:]`. Without an end it is no name but characters.
fn named(text: &str) -> Result<Option<(&str, &str)>, String> {
    let Some(inside) = text.strip_prefix("[:") else { return Ok(None) };
    let Some(end) = inside.find(":]") else { return Ok(None) };
    let name = &inside[..end];
    if !NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
        return Err(format!("`[:{name}:]` is no set of characters"));
    }
    let size = end + 4;
    Ok(Some((&text[..size], &text[size..])))
}

/// A character, or a range of them.
fn range<'p>(text: &'p str, class: &mut String) -> Result<&'p str, String> {
    let (low, rest) = character(text)?;
    let (high, rest) = match rest.strip_prefix('-') {
        Some(after) if !after.is_empty() && !after.starts_with(']') => character(after)?,
        _ => (low, rest),
    };
    if high < low {
        let written = &text[..text.len() - rest.len()];
        return Err(format!("the range `{written}` ends before it begins"));
    }
    // No text contains surrogates.
    let surrogates = 0xd800..0xe000;
    let low = if surrogates.contains(&low) { 0xe000 } else { low };
    let high = if surrogates.contains(&high) { 0xd7ff } else { high };
    if low <= high {
        class.push_str(&format!("\\x{{{low:X}}}-\\x{{{high:X}}}"));
    } else {
        class.push_str(r"[^\x00-\x{10FFFF}]");
    }
    Ok(rest)
}

fn character(text: &str) -> Result<(u32, &str), String> {
    if text.starts_with('\\') {
        return escape::character(text);
    }
    let mut chars = text.chars();
    let c = chars.next().ok_or("a `]` is missing")?;
    Ok((u32::from(c), chars.as_str()))
}
