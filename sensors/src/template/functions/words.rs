//! Upper and lower case, and the words of a text.

use super::Parameter::Text;
use super::{Function, new};
use crate::template::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    new("upper", &[Text], |_, values| Ok(map(values, upper))),
    new("lower", &[Text], |_, values| Ok(map(values, lower))),
    new("title", &[Text], |_, values| {
        let mut before = ' ';
        Ok(map(values, |c| {
            let starts = is_separator(std::mem::replace(&mut before, c));
            if starts { upper(c) } else { c }
        }))
    }),
    new("untitle", &[Text], |_, values| {
        let mut starts = true;
        Ok(map(values, |c| {
            if c.is_whitespace() {
                starts = true;
                c
            } else if std::mem::take(&mut starts) {
                lower(c)
            } else {
                c
            }
        }))
    }),
    new("swapcase", &[Text], |_, values| {
        Ok(map(values, |c| if c.is_lowercase() { upper(c) } else { lower(c) }))
    }),
    // The next two go over bytes, and take each for a character.
    new("nospace", &[Text], |_, values| {
        let bytes = values[0].text().bytes();
        let kept: String = bytes.map(char::from).filter(|c| !c.is_whitespace()).collect();
        let unchanged = kept.chars().count() == values[0].text().len();
        Ok(if unchanged { values[0].clone() } else { kept.into() })
    }),
    new("initials", &[Text], |_, values| {
        let mut starts = true;
        let first = |c: &char| {
            let space = c.is_whitespace();
            let first = !space && starts;
            starts = space;
            first
        };
        Ok(values[0].text().bytes().map(char::from).filter(first).collect::<String>().into())
    }),
    new("snakecase", &[Text], |_, values| Ok(separate(values[0].text(), '_').into())),
    new("kebabcase", &[Text], |_, values| Ok(separate(values[0].text(), '-').into())),
    new("camelcase", &[Text], |_, values| Ok(camel(values[0].text()).into())),
];

fn map(values: &[Value], map: impl FnMut(char) -> char) -> Value {
    values[0].text().chars().map(map).collect::<String>().into()
}

/// The upper case of one character; what would become several stays.
fn upper(c: char) -> char {
    let mut all = c.to_uppercase();
    match (all.next(), all.next()) {
        (Some(upper), None) => upper,
        _ => c,
    }
}

fn lower(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

fn is_separator(c: char) -> bool {
    if c.is_ascii() {
        return !(c.is_ascii_alphanumeric() || c == '_');
    }
    c.is_whitespace()
}

fn is_connector(c: char) -> bool {
    c == '-' || c == '_' || c.is_whitespace()
}

/// Words joined, each with its first letter upper; connectors in front stay.
fn camel(text: &str) -> String {
    let start = text.find(|c| !is_connector(c)).unwrap_or(text.len());
    let mut out = text[..start].to_owned();
    let mut rest = text[start..].chars();
    let Some(first) = rest.next() else {
        // The last of nothing but connectors is there twice.
        out.extend(text.chars().next_back());
        return out;
    };
    let mut was_upper = first.is_uppercase();
    let mut now = upper(first);
    for c in rest {
        let before = std::mem::replace(&mut now, c);
        if is_connector(now) && is_connector(before) {
            out.push(before);
            continue;
        }
        if is_connector(before) {
            was_upper = now.is_uppercase();
            now = upper(now);
            continue;
        }
        if was_upper {
            if now.is_uppercase() {
                now = lower(now);
            } else {
                was_upper = false;
            }
        }
        out.push(before);
    }
    out.push(now);
    out
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    None,
    Number,
    Upper,
    Letters,
    Connector,
    Punctuation,
    Other,
}

fn is_punctuation(c: char) -> bool {
    // Signs such as `+` and `$` are symbols to Unicode, not punctuation.
    if c.is_ascii() {
        return c.is_ascii_punctuation() && !"$+<=>^`|~".contains(c);
    }
    matches!(c, '¡' | '§' | '«' | '¶' | '·' | '»' | '¿' | '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}' | '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3011}')
}

/// The next word, what it is made of, and what follows it.
fn word(text: &str) -> (Word, &str, &str) {
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return (Word::None, "", "") };
    let run = |fits: &dyn Fn(char) -> bool| {
        text.char_indices().find(|(at, c)| *at > 0 && !fits(*c)).map_or(text.len(), |(at, _)| at)
    };
    let small = |c: char| c.is_alphabetic() && !c.is_uppercase();
    let (kind, end) = match first {
        c if is_connector(c) => (Word::Connector, run(&is_connector)),
        c if is_punctuation(c) => (Word::Punctuation, run(&is_punctuation)),
        c if c.is_uppercase() => {
            let end = match chars.next() {
                Some(second) if second.is_uppercase() => {
                    let end = run(&char::is_uppercase);
                    // Of `HTTPStatus` the `S` belongs to the next word.
                    let letter = text[end..].starts_with(char::is_alphabetic);
                    let last = text[..end].chars().next_back().map_or(0, char::len_utf8);
                    if letter { end - last } else { end }
                }
                Some(second) if second.is_alphabetic() => run(&small),
                _ => first.len_utf8(),
            };
            (Word::Upper, end)
        }
        c if c.is_alphabetic() => (Word::Letters, run(&small)),
        c if c.is_numeric() => (Word::Number, run(&char::is_numeric)),
        _ => {
            let other = |c: char| !(is_connector(c) || c.is_alphanumeric() || is_punctuation(c));
            (Word::Other, run(&other))
        }
    };
    (kind, &text[..end], &text[end..])
}

/// The words in lower case with a connector between; a number belongs to the word before
/// it, unless small letters follow.
fn separate(text: &str, connector: char) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let push = |out: &mut String, kind: Word, text: &str| match kind {
        Word::Upper | Word::Connector => {
            out.extend(text.chars().map(|c| if is_connector(c) { connector } else { lower(c) }));
        }
        _ => out.push_str(text),
    };
    let joins = |kind: Word| !matches!(kind, Word::None | Word::Connector | Word::Punctuation);
    let (mut kind, mut now, mut rest) = word(text);
    while !rest.is_empty() {
        if kind != Word::Connector {
            push(&mut out, kind, now);
        }
        let (before, last) = (kind, now);
        (kind, now, rest) = word(rest);
        match before {
            Word::Number => {
                while matches!(kind, Word::Letters | Word::Number) {
                    push(&mut out, kind, now);
                    (kind, now, rest) = word(rest);
                }
                if joins(kind) {
                    out.push(connector);
                }
            }
            Word::Connector => push(&mut out, before, last),
            Word::Punctuation => {}
            _ if kind != Word::Number => {
                if kind != Word::Connector && kind != Word::Punctuation {
                    out.push(connector);
                }
            }
            _ if rest.is_empty() => {}
            _ => {
                let number = now;
                (kind, now, rest) = word(rest);
                if kind != Word::Letters {
                    push(&mut out, Word::Number, number);
                    if kind != Word::Connector && kind != Word::Punctuation {
                        out.push(connector);
                    }
                    continue;
                }
                out.push(connector);
                push(&mut out, Word::Number, number);
                while matches!(kind, Word::Letters | Word::Number) {
                    push(&mut out, kind, now);
                    (kind, now, rest) = word(rest);
                }
                if joins(kind) {
                    out.push(connector);
                }
            }
        }
    }
    push(&mut out, kind, now);
    out
}
