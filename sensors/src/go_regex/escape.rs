//! Escapes, in and outside of classes.

use super::property;

/// One character, written so that it is nothing but itself.
pub(super) fn literal(c: char) -> String {
    regex_syntax::escape(c.encode_utf8(&mut [0; 4]))
}

/// One code point. A surrogate, which Go has and no text contains, matches nothing.
pub(super) fn code_point(code: u32) -> String {
    char::from_u32(code).map_or_else(|| r"[^\x00-\x{10FFFF}]".to_owned(), literal)
}

/// A set at the beginning of `pattern` (`\d`, `\pL`, …), and what follows it.
pub(super) fn set(pattern: &str) -> Result<Option<(String, &str)>, String> {
    let set = match pattern.as_bytes().get(1) {
        Some(b'd') => "[0-9]",
        Some(b'D') => "[^0-9]",
        Some(b'w') => "[0-9A-Za-z_]",
        Some(b'W') => "[^0-9A-Za-z_]",
        Some(b's') => r"[\t\n\f\r ]",
        Some(b'S') => r"[^\t\n\f\r ]",
        Some(b'p' | b'P') => return property::translate(pattern).map(Some),
        _ => return Ok(None),
    };
    Ok(Some((set.to_owned(), &pattern[2..])))
}

/// The code point of the escape at the beginning of `pattern`, and what follows it.
pub(super) fn character(pattern: &str) -> Result<(u32, &str), String> {
    let mut chars = pattern[1..].chars();
    let Some(c) = chars.next() else { return Err("it ends in a `\\`".to_owned()) };
    let rest = chars.as_str();
    let unknown = || Err(format!("Go has no escape `\\{c}`"));
    let code = match c {
        'a' => 0x07,
        'f' => 0x0c,
        'n' => 0x0a,
        'r' => 0x0d,
        't' => 0x09,
        'v' => 0x0b,
        // One digit that is not 0 would be a back-reference.
        '1'..='7' if !rest.starts_with(|c| ('0'..='7').contains(&c)) => return unknown(),
        '0'..='7' => return Ok(octal(&pattern[1..])),
        'x' => return hexadecimal(rest),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => u32::from(c),
        _ => return unknown(),
    };
    Ok((code, rest))
}

/// Up to three octal digits.
fn octal(text: &str) -> (u32, &str) {
    let digits = text.bytes().take(3).take_while(|c| (b'0'..=b'7').contains(c)).count();
    let (digits, rest) = text.split_at(digits);
    (digits.bytes().fold(0, |code, digit| code << 3 | u32::from(digit - b'0')), rest)
}

/// `{1F600}` or `41`.
fn hexadecimal(text: &str) -> Result<(u32, &str), String> {
    let (digits, rest) = match text.strip_prefix('{') {
        Some(inside) => inside.split_once('}').ok_or("an escape `\\x{` has no `}`")?,
        None => text.split_at_checked(2).ok_or("an escape `\\x` needs two digits")?,
    };
    let hexadecimal = !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_hexdigit());
    let digits = digits.trim_start_matches('0');
    let code = if digits.is_empty() { Some(0) } else { u32::from_str_radix(digits, 16).ok() };
    match code.filter(|code| hexadecimal && *code <= 0x10_FFFF) {
        Some(code) => Ok((code, rest)),
        None => Err("an escape `\\x` is no character".to_owned()),
    }
}
