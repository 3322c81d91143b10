//! The smallest steps through JSON text: where a value ends, what a string says. The text
//! need not be valid: then they stop somewhere, as gjson's do, but they never panic.

use std::borrow::Cow;

use super::Kind;

/// How a value begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Text,
    Object,
    Array,
    Literal(Kind),
    Number,
}

/// What value begins at `at`; `None`: none does.
pub(super) fn start(json: &[u8], at: usize) -> Option<Start> {
    Some(match json[at] {
        b'"' => Start::Text,
        b'{' => Start::Object,
        b'[' => Start::Array,
        b't' => Start::Literal(Kind::True),
        b'f' => Start::Literal(Kind::False),
        // `nan` is a number to gjson.
        b'n' if json.get(at + 1).is_none_or(|next| *next == b'u') => Start::Literal(Kind::Null),
        b'n' | b'N' | b'i' | b'I' | b'+' | b'-' | b'0'..=b'9' => Start::Number,
        _ => return None,
    })
}

impl Start {
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Text => Kind::String,
            Self::Object | Self::Array => Kind::Json,
            Self::Literal(kind) => kind,
            Self::Number => Kind::Number,
        }
    }

    /// Where the value that begins at `at` ends; `None`: a string that does not.
    pub(super) fn end(self, json: &[u8], at: usize) -> Option<usize> {
        match self {
            Self::Text => string_end(json, at + 1),
            Self::Object | Self::Array => Some(container_end(json, at)),
            Self::Literal(_) => Some(literal_end(json, at)),
            Self::Number => Some(number_end(json, at)),
        }
    }
}

/// Where the string whose text begins at `at` ends, behind the quote.
pub(super) fn string_end(json: &[u8], mut at: usize) -> Option<usize> {
    while let Some(offset) = memchr::memchr2(b'"', b'\\', json.get(at..)?) {
        if json[at + offset] == b'"' {
            return Some(at + offset + 1);
        }
        at += offset + 2;
    }
    None
}

/// Bytes that [`container_end`] looks at: 1 closes, 2 is a quote, 3 opens.
const STRUCTURE: [u8; 256] = {
    let mut table = [0; 256];
    table[b'"' as usize] = 2;
    table[b'{' as usize] = 3;
    table[b'[' as usize] = 3;
    table[b'(' as usize] = 3;
    table[b'}' as usize] = 1;
    table[b']' as usize] = 1;
    table[b')' as usize] = 1;
    table
};

/// Where the object or array that begins at `at` ends: behind its last bracket. One that is
/// not closed ends with the text, or one byte behind it where a string is not closed either:
/// then no array around it is closed by the end of the text.
pub(super) fn container_end(json: &[u8], at: usize) -> usize {
    let mut depth = 1_usize;
    let mut at = at + 1;
    while at < json.len() {
        match STRUCTURE[json[at] as usize] {
            0 => at += 1,
            1 => {
                at += 1;
                depth -= 1;
                if depth == 0 {
                    return at;
                }
            }
            2 => at = string_end(json, at + 1).unwrap_or(json.len() + 1),
            _ => {
                at += 1;
                depth += 1;
            }
        }
    }
    at
}

fn literal_end(json: &[u8], at: usize) -> usize {
    let rest = &json[at + 1..];
    at + 1 + rest.iter().position(|c| !c.is_ascii_lowercase()).unwrap_or(rest.len())
}

fn number_end(json: &[u8], at: usize) -> usize {
    let rest = &json[at + 1..];
    let ends = |c: &u8| *c <= b' ' || matches!(c, b',' | b']' | b'}');
    at + 1 + rest.iter().position(ends).unwrap_or(rest.len())
}

/// The part of `text` from `start` to `end`, or to its own end; empty where that would cut a
/// character, which no valid JSON makes happen.
pub(crate) fn cut(text: &str, start: usize, end: usize) -> &str {
    text.get(start..end.min(text.len())).unwrap_or("")
}

/// What the inside of a JSON string says. Where there are escapes, one that is none ends the
/// text, and so does a control character; without escapes everything is as it was written.
pub(crate) fn unescape(inside: &str) -> Cow<'_, str> {
    let bytes = inside.as_bytes();
    if !bytes.contains(&b'\\') {
        return Cow::Borrowed(inside);
    }
    let mut text = String::with_capacity(inside.len());
    let mut at = 0;
    while at < bytes.len() {
        let plain = bytes[at..].iter().position(|c| *c == b'\\' || *c < b' ');
        let end = plain.map_or(bytes.len(), |plain| at + plain);
        text.push_str(&inside[at..end]);
        if end == bytes.len() || bytes[end] != b'\\' {
            break;
        }
        let Some((character, next)) = escape(bytes, end + 1) else { break };
        text.push(character);
        at = next;
    }
    Cow::Owned(text)
}

/// The character of the escape whose letter is at `at`, and where it ends.
fn escape(bytes: &[u8], at: usize) -> Option<(char, usize)> {
    let character = match bytes.get(at)? {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        c @ (b'\\' | b'/' | b'"') => char::from(*c),
        b'u' => return unicode_escape(bytes, at + 1),
        _ => return None,
    };
    Some((character, at + 1))
}

/// A surrogate takes the escape behind it with it, whatever that is.
fn unicode_escape(bytes: &[u8], at: usize) -> Option<(char, usize)> {
    let unit = code_unit(bytes.get(at..at + 4)?);
    if !(0xd800..0xe000).contains(&unit) {
        return Some((char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER), at + 4));
    }
    let next = bytes.get(at + 4..at + 10).filter(|next| next.starts_with(b"\\u"));
    let Some(next) = next else {
        return Some((char::REPLACEMENT_CHARACTER, at + 4));
    };
    // Four hexadecimal digits fit in a code unit.
    #[expect(clippy::cast_possible_truncation, reason = "see above")]
    let units = [unit as u16, code_unit(&next[2..]) as u16];
    let character = char::decode_utf16(units).next().and_then(Result::ok);
    Some((character.unwrap_or(char::REPLACEMENT_CHARACTER), at + 10))
}

/// Four hexadecimal digits; 0 where they are none.
fn code_unit(digits: &[u8]) -> u32 {
    let digit = |value: u32, c: &u8| Some(value << 4 | char::from(*c).to_digit(16)?);
    digits.iter().try_fold(0, digit).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_unescaped_up_to_what_is_no_escape() {
        for (inside, text) in [
            ("plain", "plain"),
            (r#"a\"b\\c\/d"#, r#"a"b\c/d"#),
            (r"\u00e9\n", "é\n"),
            (r"\ud83d\ude00!", "😀!"),
            (r"\ud83dx", "\u{fffd}x"),
            (r"\ude00\u0041x", "\u{fffd}x"),
            (r"a\xb", "a"),
            (r"a\u00", "a"),
            (r"\uzzzzx", "\0x"),
            ("a\tb", "a\tb"),
            ("a\tb\\n", "a"),
            ("é\\", "é"),
        ] {
            assert_eq!(unescape(inside), text, "{inside}");
        }
    }

    #[test]
    fn a_container_ends_behind_its_last_bracket() {
        assert_eq!(container_end(br#"{"a":"}"} "#, 0), 9);
        assert_eq!(container_end(br#"["\"]"] "#, 0), 7);
        assert_eq!(container_end(b"[[]", 0), 3);
        assert_eq!(container_end(br#"["a"#, 0), 4);
    }
}
