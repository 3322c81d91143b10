//! Literals of actions: strings, characters and numbers as Go writes them.

use super::node::Number;
use crate::number::parse_float;

/// The text of a string in double quotes, quotes included.
pub(super) fn string(quoted: &str) -> Option<String> {
    let mut rest = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let mut bytes = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let (unit, behind) = unit(rest, '"')?;
        match unit {
            Unit::Char(c) => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
            Unit::Byte(byte) => bytes.push(byte),
        }
        rest = behind;
    }
    Some(super::value::lossy(&bytes))
}

/// The code of a character in single quotes, quotes included.
fn character(quoted: &str) -> Option<i64> {
    let inside = quoted.strip_prefix('\'')?.strip_suffix('\'')?;
    match unit(inside, '\'')? {
        (Unit::Char(c), "") => Some(i64::from(u32::from(c))),
        (Unit::Byte(byte), "") => Some(i64::from(byte)),
        _ => None,
    }
}

enum Unit {
    Char(char),
    /// Written `\xff` or `\377`.
    Byte(u8),
}

/// The next character or escape; a bare quote is none.
fn unit(text: &str, quote: char) -> Option<(Unit, &str)> {
    let mut chars = text.chars();
    let c = chars.next()?;
    if c == quote {
        return None;
    }
    if c != '\\' {
        return Some((Unit::Char(c), chars.as_str()));
    }
    let c = chars.next()?;
    let rest = chars.as_str();
    let digits = |count: usize, radix: u32, digits: &str| {
        let digits = digits.get(..count)?;
        digits.bytes().all(|c| char::from(c).is_digit(radix)).then_some(())?;
        u32::from_str_radix(digits, radix).ok()
    };
    let plain = match c {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' => '\\',
        c if c == quote => c,
        'x' => {
            let code = digits(2, 16, rest)?;
            return Some((Unit::Byte(u8::try_from(code).ok()?), &rest[2..]));
        }
        '0'..='7' => {
            let code = digits(3, 8, &text[1..])?;
            return Some((Unit::Byte(u8::try_from(code).ok()?), &text[4..]));
        }
        'u' | 'U' => {
            let count = if c == 'u' { 4 } else { 8 };
            let code = char::from_u32(digits(count, 16, rest)?)?;
            return Some((Unit::Char(code), &rest[count..]));
        }
        _ => return None,
    };
    Some((Unit::Char(plain), rest))
}

/// A number or a character.
pub(super) fn number(text: &str) -> Option<Number> {
    if text.starts_with('\'') {
        let code = character(text)?;
        #[expect(clippy::cast_precision_loss, reason = "a code point fits")]
        return Some(Number { is_float: false, int: Some(code), float: Some(code as f64) });
    }
    let lower = text.to_ascii_lowercase();
    let hexadecimal = lower.trim_start_matches(['+', '-']).starts_with("0x");
    let written_as_float =
        if hexadecimal { lower.contains('p') } else { lower.contains(['.', 'e']) };
    if let Some(int) = integer(text) {
        #[expect(clippy::cast_precision_loss, reason = "Go converts likewise")]
        return Some(Number { is_float: false, int: Some(int), float: Some(int as f64) });
    }
    if !written_as_float {
        return None;
    }
    // Words such as `inf` do not begin with a digit, so they never get here.
    let float = parse_float(text).ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "checked by converting back")]
    let int = Some(float as i64).filter(|int| {
        #[expect(clippy::cast_precision_loss, clippy::float_cmp, reason = "that is the check")]
        let same = *int as f64 == float;
        same
    });
    Some(Number { is_float: true, int, float: Some(float) })
}

/// An integer as Go's `strconv.ParseInt` reads it with base 0: prefixes `0x`, `0o`, `0b`
/// and `0`, underscores between digits.
pub(super) fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, rest, prefixed) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..], true),
        Some("0o") => (8, &lower[2..], true),
        Some("0b") => (2, &lower[2..], true),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..], true),
        _ => (10, lower.as_str(), false),
    };
    let mut value: i128 = 0;
    let mut digit_before = prefixed;
    for c in rest.chars() {
        if c == '_' {
            if !std::mem::take(&mut digit_before) {
                return None;
            }
            continue;
        }
        value = value * i128::from(radix) + i128::from(c.to_digit(radix)?);
        if value > 1 << 64 {
            return None;
        }
        digit_before = true;
    }
    if rest.is_empty() || !digit_before {
        return None;
    }
    i64::try_from(if negative { -value } else { value }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_read_as_go_reads_them() {
        for (text, int) in [
            ("0", Some(0)),
            ("-12", Some(-12)),
            ("0x1F", Some(31)),
            ("0b101", Some(5)),
            ("0o17", Some(15)),
            ("017", Some(15)),
            ("1_000", Some(1000)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("08", None),
            ("1__0", None),
            ("1_", None),
            ("", None),
            ("0x", None),
        ] {
            assert_eq!(integer(text), int, "{text}");
        }
        assert_eq!(string(r#""a\n\u00e9\x41\101\"""#).as_deref(), Some("a\né\u{41}A\""));
        for text in [r#""\q""#, r#""\xZZ""#, r#""\ud800""#, r#""\'""#] {
            assert_eq!(string(text), None, "{text}");
        }
        assert_eq!(character(r"'\n'"), Some(10));
        assert_eq!(character("'ab'"), None);
        let number = number("2.0").expect("a number");
        assert_eq!((number.is_float, number.int, number.float), (true, Some(2), Some(2.0)));
    }
}
