//! Regular expressions of Go's dialect.

use super::Parameter::{Int, Text};
use super::{Function, new};
use crate::go_regex;
use crate::template::bounds::Bounded;
use crate::template::value::{Element, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    // A bad pattern matches nothing here, while it is an error everywhere else.
    new("regexMatch", &[Text, Text], |_, values| Ok(matches(values).unwrap_or(false).into())),
    new("mustRegexMatch", &[Text, Text], |_, values| Ok(matches(values)?.into())),
    new("regexFind", &[Text, Text], |_, values| find(values)),
    new("mustRegexFind", &[Text, Text], |_, values| find(values)),
    new("regexFindAll", &[Text, Text, Int], |_, values| find_all(values)),
    new("mustRegexFindAll", &[Text, Text, Int], |_, values| find_all(values)),
    new("regexReplaceAll", &[Text, Text, Text], |_, values| replace(values, true)),
    new("mustRegexReplaceAll", &[Text, Text, Text], |_, values| replace(values, true)),
    new("regexReplaceAllLiteral", &[Text, Text, Text], |_, values| replace(values, false)),
    new("mustRegexReplaceAllLiteral", &[Text, Text, Text], |_, values| replace(values, false)),
    new("regexSplit", &[Text, Text, Int], |_, values| split(values)),
    new("mustRegexSplit", &[Text, Text, Int], |_, values| split(values)),
    new("regexQuoteMeta", &[Text], |_, values| {
        let mut out = String::new();
        for c in values[0].text().chars() {
            if r"\.+*?()|[]{}^$".contains(c) {
                out.push('\\');
            }
            out.push(c);
        }
        Ok(out.into())
    }),
];

fn pattern(value: &Value) -> Result<go_regex::Captures, String> {
    let text = value.text();
    go_regex::compile_with_groups(text)
        .map_err(|error| format!("`{text}` is no regular expression: {error}"))
}

fn matches(values: &[Value]) -> Result<bool, String> {
    Ok(pattern(&values[0])?.regex.is_match(values[1].text()))
}

fn find(values: &[Value]) -> Result<Value, String> {
    let found = pattern(&values[0])?.regex.find(values[1].text()).map(|found| found.as_str());
    Ok(found.unwrap_or_default().into())
}

fn find_all(values: &[Value]) -> Result<Value, String> {
    let most = usize::try_from(values[2].int()).unwrap_or(usize::MAX);
    let pattern = pattern(&values[0])?;
    let found: Vec<&str> =
        pattern.regex.find_iter(values[1].text()).take(most).map(|found| found.as_str()).collect();
    if found.is_empty() {
        return Ok(Value::nil_list(Element::Text));
    }
    Ok(Value::texts(found))
}

/// `${1}` and `$name` in the replacement stand for groups, where it is a template.
fn replace(values: &[Value], template: bool) -> Result<Value, String> {
    let pattern = pattern(&values[0])?;
    let (text, replacement) = (values[1].text(), values[2].text());
    let mut out = Bounded::default();
    let mut end = 0;
    for captures in pattern.regex.captures_iter(text) {
        let Some(whole) = captures.get(0) else { continue };
        out.push_str(&text[end..whole.start()]);
        end = whole.end();
        if template {
            expand(&mut out, replacement, &captures, &pattern.names);
        } else {
            out.push_str(replacement);
        }
        if out.is_full() {
            break;
        }
    }
    out.push_str(&text[end..]);
    out.finish().map(Value::from)
}

fn expand(
    out: &mut Bounded,
    mut template: &str,
    captures: &::regex::Captures<'_>,
    names: &[Option<Box<str>>],
) {
    while let Some((before, rest)) = template.split_once('$') {
        out.push_str(before);
        if let Some(rest) = rest.strip_prefix('$') {
            out.push('$');
            template = rest;
            continue;
        }
        let Some((name, rest)) = reference(rest) else {
            // A `$` that names nothing stays.
            out.push('$');
            template = rest;
            continue;
        };
        template = rest;
        let number =
            name.bytes().all(|c| c.is_ascii_digit()) && !(name.len() > 1 && name.starts_with('0'));
        let found = if number {
            name.parse().ok().and_then(|index| captures.get(index))
        } else {
            let named = names.iter().enumerate();
            let mut groups = named.filter(|(_, known)| known.as_deref() == Some(name));
            groups.find_map(|(index, _)| captures.get(index))
        };
        out.push_str(found.map_or("", |found| found.as_str()));
    }
    out.push_str(template);
}

/// The name behind a `$`, and what follows it.
fn reference(text: &str) -> Option<(&str, &str)> {
    let word = |c: char| !(c == '_' || c.is_alphanumeric());
    if let Some(inside) = text.strip_prefix('{') {
        let end = inside.find(word).unwrap_or(inside.len());
        let rest = inside[end..].strip_prefix('}')?;
        return (end > 0).then_some((&inside[..end], rest));
    }
    let end = text.find(word).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn split(values: &[Value]) -> Result<Value, String> {
    let pattern = pattern(&values[0])?;
    let (text, count) = (values[1].text(), values[2].int());
    if count == 0 {
        return Ok(Value::nil_list(Element::Text));
    }
    if !values[0].text().is_empty() && text.is_empty() {
        return Ok(Value::texts([""]));
    }
    let most = usize::try_from(count).unwrap_or(usize::MAX);
    let mut parts = Vec::new();
    let (mut start, mut end) = (0, 0);
    for found in pattern.regex.find_iter(text).take(most) {
        if parts.len() == most - 1 {
            break;
        }
        end = found.start();
        if found.end() != 0 {
            parts.push(&text[start..end]);
        }
        start = found.end();
    }
    if end != text.len() {
        parts.push(&text[start..]);
    }
    Ok(Value::texts(parts))
}
