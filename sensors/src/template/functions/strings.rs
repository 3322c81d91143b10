//! Texts. Lengths and places count bytes, as in Go.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::Parameter::{Any, Int, Text};
use super::{Call, Function, new, variadic};
use crate::template::bounds::{Bounded, too_long};
use crate::template::convert::to_text;
use crate::template::value::{Dict, Value, lossy};
use crate::template::{MAX_OUTPUT_BYTES, print, printf};

pub(super) const FUNCTIONS: &[Function] = &[
    new("trim", &[Text], |_, values| Ok(values[0].text().trim().into())),
    new("trimAll", &[Text, Text], trim_all),
    new("trimall", &[Text, Text], trim_all),
    new("trimPrefix", &[Text, Text], |_, values| {
        let (prefix, text) = (values[0].text(), values[1].text());
        Ok(text.strip_prefix(prefix).unwrap_or(text).into())
    }),
    new("trimSuffix", &[Text, Text], |_, values| {
        let (suffix, text) = (values[0].text(), values[1].text());
        Ok(text.strip_suffix(suffix).unwrap_or(text).into())
    }),
    new("repeat", &[Int, Text], |_, values| {
        let count = usize::try_from(values[0].int()).map_err(|_| "the count is negative")?;
        let text = values[1].text();
        let size = text.len().checked_mul(count).filter(|size| *size <= MAX_OUTPUT_BYTES);
        size.ok_or_else(too_long)?;
        Ok(text.repeat(if text.is_empty() { 0 } else { count }).into())
    }),
    new("replace", &[Text, Text, Text], |_, values| {
        replace(values[2].text(), values[0].text(), values[1].text())
    }),
    new("contains", &[Text, Text], |_, values| {
        Ok(values[1].text().contains(values[0].text()).into())
    }),
    new("hasPrefix", &[Text, Text], |_, values| {
        Ok(values[1].text().starts_with(values[0].text()).into())
    }),
    new("hasSuffix", &[Text, Text], |_, values| {
        Ok(values[1].text().ends_with(values[0].text()).into())
    }),
    new("trunc", &[Int, Text], |_, values| {
        let (count, text) = (values[0].int(), values[1].text().as_bytes());
        let size = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        Ok(match count {
            _ if size >= text.len() => values[1].clone(),
            0.. => lossy(&text[..size]).into(),
            _ => lossy(&text[text.len() - size..]).into(),
        })
    }),
    new("substr", &[Int, Int, Text], |_, values| {
        let text = values[2].text().as_bytes();
        let (start, end) = (usize::try_from(values[0].int()), usize::try_from(values[1].int()));
        let range = match (start, end) {
            (Err(_), Ok(end)) => 0..end,
            (Ok(start), Ok(end)) if end <= text.len() => start..end,
            (Ok(start), _) => start..text.len(),
            (Err(_), Err(_)) => return Err(out_of_range()),
        };
        text.get(range).map(|part| lossy(part).into()).ok_or_else(out_of_range)
    }),
    new("abbrev", &[Int, Text], |_, values| {
        let width = values[0].int();
        Ok(if width < 4 { values[1].clone() } else { abbreviate(values[1].text(), 0, width) })
    }),
    new("abbrevboth", &[Int, Int, Text], |_, values| {
        let (left, right) = (values[0].int(), values[1].int());
        if right < 4 || left > 0 && right < 7 {
            return Ok(values[2].clone());
        }
        Ok(abbreviate(values[2].text(), left, right))
    }),
    new("wrap", &[Int, Text], |_, values| {
        wrap(values[1].text().as_bytes(), values[0].int(), "", false)
    }),
    new("wrapWith", &[Int, Text, Text], |_, values| {
        wrap(values[2].text().as_bytes(), values[0].int(), values[1].text(), true)
    }),
    variadic("quote", &[], Any, |_, values| {
        quoted(values, |value| Ok(printf::quote(&to_text(value)?, false)))
    }),
    variadic("squote", &[], Any, |_, values| {
        quoted(values, |value| Ok(format!("'{}'", to_text(value)?)))
    }),
    variadic("cat", &[], Any, |_, values| {
        let mut out = Bounded::default();
        for (index, value) in values.iter().filter(|value| !value.is_nil()).enumerate() {
            if index > 0 {
                out.push(' ');
            }
            print::plain(&mut out, value)?;
        }
        out.finish().map(Value::from)
    }),
    new("indent", &[Int, Text], |_, values| indent(values, "")),
    new("nindent", &[Int, Text], |_, values| indent(values, "\n")),
    new("plural", &[Text, Text, Int], |_, values| {
        Ok(values[usize::from(values[2].int() != 1)].clone())
    }),
    new("toString", &[Any], |_, values| to_text(&values[0]).map(Value::from)),
    new("split", &[Text, Text], |_, values| {
        Ok(numbered(&split(values[1].text(), values[0].text(), usize::MAX)))
    }),
    new("splitn", &[Text, Int, Text], |_, values| {
        let most = match values[1].int() {
            0 => return Ok(numbered(&[])),
            most => usize::try_from(most).unwrap_or(usize::MAX),
        };
        Ok(numbered(&split(values[2].text(), values[0].text(), most)))
    }),
    new("splitList", &[Text, Text], |_, values| {
        Ok(Value::texts(split(values[1].text(), values[0].text(), usize::MAX)))
    }),
];

fn out_of_range() -> String {
    "the place is outside of the text".to_owned()
}

fn trim_all(_: &Call<'_>, values: &[Value]) -> Result<Value, String> {
    let cut = values[0].text();
    Ok(values[1].text().trim_matches(|c| cut.contains(c)).into())
}

fn replace(text: &str, old: &str, new: &str) -> Result<Value, String> {
    let count = text.matches(old).count();
    let size = (text.len() - count * old.len()).saturating_add(count.saturating_mul(new.len()));
    if size > MAX_OUTPUT_BYTES {
        return Err(too_long());
    }
    Ok(text.replace(old, new).into())
}

/// Splits at a separator; at every character where it is empty.
fn split<'t>(text: &'t str, separator: &str, most: usize) -> Vec<&'t str> {
    if !separator.is_empty() {
        return text.splitn(most, separator).collect();
    }
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if parts.len() + 1 == most {
            parts.push(rest);
            break;
        }
        let (part, behind) = rest.split_at(c.len_utf8());
        parts.push(part);
        rest = behind;
    }
    parts
}

/// `_0`, `_1` and so on.
fn numbered(parts: &[&str]) -> Value {
    let part = |(index, part): (usize, &&str)| (Rc::from(format!("_{index}")), Value::from(*part));
    let parts: BTreeMap<Rc<str>, Value> = parts.iter().enumerate().map(part).collect();
    Value::Dict(Dict::of_texts(parts))
}

fn quoted(values: &[Value], quote: fn(&Value) -> Result<String, String>) -> Result<Value, String> {
    let mut out = Bounded::default();
    for (index, value) in values.iter().filter(|value| !value.is_nil()).enumerate() {
        if index > 0 {
            out.push(' ');
        }
        out.push_str(&quote(value)?);
    }
    out.finish().map(Value::from)
}

fn indent(values: &[Value], before: &str) -> Result<Value, String> {
    let spaces = usize::try_from(values[0].int()).map_err(|_| "the count is negative")?;
    if spaces > MAX_OUTPUT_BYTES {
        return Err(too_long());
    }
    let pad = " ".repeat(spaces);
    let mut out = Bounded::default();
    out.push_str(before);
    for (index, line) in values[1].text().split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
        }
        out.push_str(&pad);
        out.push_str(line);
        if out.is_full() {
            break;
        }
    }
    out.finish().map(Value::from)
}

/// At most `width` bytes from `offset` on, with dots where something is left out.
fn abbreviate(text: &str, offset: i64, width: i64) -> Value {
    let bytes = text.as_bytes();
    let width = usize::try_from(width).unwrap_or(usize::MAX);
    if bytes.is_empty() || width < 4 || bytes.len() <= width {
        return if width < 4 { "".into() } else { text.into() };
    }
    let offset = usize::try_from(offset).unwrap_or(0).min(bytes.len());
    let shown = width - 3;
    let offset = if bytes.len() - offset < shown { bytes.len() - shown } else { offset };
    let dots = |part: &[u8], before: bool, after: bool| {
        let (before, after) = (if before { "..." } else { "" }, if after { "..." } else { "" });
        Value::from(format!("{before}{}{after}", lossy(part)))
    };
    if offset <= 4 {
        return dots(&bytes[..shown], false, true);
    }
    if width < 7 {
        return "".into();
    }
    if offset + shown < bytes.len() {
        // The rest is shortened once more, by the dots in front.
        let rest = &bytes[offset..];
        return dots(&rest[..shown - 3], true, true);
    }
    dots(&bytes[bytes.len() - shown..], true, false)
}

/// Lines of at most `width` bytes; words that are longer are only cut with `cut`.
fn wrap(text: &[u8], width: i64, separator: &str, cut: bool) -> Result<Value, String> {
    let separator = if separator.is_empty() { "\n" } else { separator };
    let width = usize::try_from(width).unwrap_or(1).max(1);
    let mut out = Bounded::default();
    let mut at = 0;
    while text.len() - at > width && !out.is_full() {
        if text[at] == b' ' {
            at += 1;
            continue;
        }
        let line = &text[at..=at + width];
        let (end, next) = match line.iter().rposition(|byte| *byte == b' ') {
            Some(space) => (at + space, at + space + 1),
            None if cut => (at + width, at + width),
            None => match text[at + width..].iter().position(|byte| *byte == b' ') {
                Some(space) => (at + width + space, at + width + space + 1),
                None => {
                    out.push_str(&lossy(&text[at..]));
                    at = text.len();
                    break;
                }
            },
        };
        out.push_str(&lossy(&text[at..end]));
        out.push_str(separator);
        at = next;
    }
    out.push_str(&lossy(&text[at..]));
    out.finish().map(Value::from)
}
