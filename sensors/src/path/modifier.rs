//! Modifiers: `@reverse`, `@keys`, `@pretty:{"sortKeys":true}` …

use std::borrow::Cow;

use hashbrown::HashMap;

use super::literal::quote;
use super::pretty::{self, Style};
use super::query::trim;
use super::search::get;
use super::value::{Entry, Value, entries};
use super::{Kind, MAX_BUILT_BYTES, scan, valid};

/// How deep `@dig` and `@flatten:{"deep":true}` go.
const MAX_DEPTH: usize = 100;

const NAMES: [&str; 13] = [
    "pretty", "ugly", "reverse", "this", "flatten", "join", "valid", "keys", "values", "tostr",
    "fromstr", "group", "dig",
];

/// Whether there is a modifier of this name, without its `@`.
pub(super) fn exists(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Applies the modifier at the beginning of `path` to `json`: the text that it makes, and
/// what follows it in the path. `None`: there is no such modifier.
pub(super) fn apply<'a, 'p>(json: &'a str, path: &'p str) -> Option<(Cow<'a, str>, &'p str)> {
    let end = path.find([':', '|', '.']).unwrap_or(path.len());
    let name = &path[1..end];
    if !exists(name) {
        return None;
    }
    let (argument, rest) = match path[end..].strip_prefix(':') {
        Some(rest) => argument(rest),
        None => ("", &path[end..]),
    };
    let made = match name {
        "this" => Cow::Borrowed(json),
        "pretty" => Cow::Owned(pretty::pretty(json, &style(argument))),
        "ugly" => Cow::Owned(pretty::ugly(json)),
        "valid" => Cow::Borrowed(if valid(json) { json } else { "" }),
        "tostr" => Cow::Owned(quote(json)),
        "fromstr" => Cow::Owned(from_string(json)),
        "reverse" => reverse(json),
        "flatten" => flatten(json, flag(argument, "deep"), 0),
        "join" => join(json, flag(argument, "preserve")),
        "keys" => Cow::Owned(keys(json)),
        "values" => values(json),
        "group" => Cow::Owned(group(json)),
        _ => Cow::Owned(dig(json, argument)),
    };
    Some(if made.len() > MAX_BUILT_BYTES { (Cow::Borrowed(""), rest) } else { (made, rest) })
}

/// Splits a modifier's argument from what follows it: a JSON value, or a text up to the
/// next pipe that is not in brackets or quotes.
fn argument(text: &str) -> (&str, &str) {
    let bytes = text.as_bytes();
    if text.starts_with(['{', '[', '"']) {
        return text.split_at(value_end(bytes, 0));
    }
    let mut at = 0;
    while at < bytes.len() && bytes[at] != b'|' {
        at = match bytes[at] {
            b'{' | b'[' | b'"' | b'(' => value_end(bytes, at),
            _ => at + 1,
        };
    }
    text.split_at(at)
}

fn value_end(bytes: &[u8], at: usize) -> usize {
    if bytes[at] == b'"' {
        return scan::string_end(bytes, at + 1).unwrap_or(bytes.len());
    }
    scan::container_end(bytes, at).min(bytes.len())
}

/// The options of an argument.
fn options(argument: &str) -> impl Iterator<Item = Entry<'_>> {
    let kind = Value::parse(argument).map(|value| value.kind);
    kind.map(|kind| entries(argument, kind)).into_iter().flatten()
}

fn flag(argument: &str, name: &str) -> bool {
    let named = options(argument).filter(|option| option.key_text() == name);
    named.last().is_some_and(|option| option.value.boolean())
}

fn style(argument: &str) -> Style {
    let mut style = Style::default();
    for option in options(argument) {
        let text = option.value.text();
        let space = || text.chars().filter(|c| " \t\n\r".contains(*c)).collect();
        match option.key_text().as_ref() {
            "sortKeys" => style.sort_keys = option.value.boolean(),
            "indent" => style.indent = space(),
            "prefix" => style.prefix = space(),
            #[expect(clippy::cast_possible_truncation, reason = "it saturates")]
            "width" => style.width = option.value.float() as i64,
            _ => {}
        }
    }
    style
}

fn from_string(json: &str) -> String {
    if !valid(json) {
        return String::new();
    }
    Value::parse(json).map(|value| value.text().into_owned()).unwrap_or_default()
}

fn reverse(json: &str) -> Cow<'_, str> {
    let Some(value) = Value::parse(json).filter(|value| value.kind == Kind::Json) else {
        return Cow::Borrowed(json);
    };
    let object = value.is_object();
    let mut members: Vec<_> = entries(&value.raw, Kind::Json).collect();
    members.reverse();
    let members = members.iter().map(|entry| match entry.key {
        Some(key) => Cow::Owned(format!("{key}:{}", entry.value.raw)),
        None => Cow::Borrowed(entry.value.raw.as_ref()),
    });
    let inside = members.collect::<Vec<_>>().join(",");
    Cow::Owned(if object { format!("{{{inside}}}") } else { format!("[{inside}]") })
}

fn flatten(json: &str, deep: bool, depth: usize) -> Cow<'_, str> {
    let Some(array) = Value::parse(json).filter(Value::is_array) else {
        return Cow::Borrowed(json);
    };
    let mut parts: Vec<String> = Vec::new();
    for entry in entries(&array.raw, Kind::Json) {
        let raw: &str = &entry.value.raw;
        let part = if !entry.value.is_array() {
            Cow::Borrowed(raw)
        } else if deep && depth < MAX_DEPTH {
            Cow::Owned(unwrap(&flatten(raw, deep, depth + 1)).to_owned())
        } else {
            Cow::Borrowed(unwrap(raw))
        };
        let part = part.trim();
        if !part.is_empty() {
            parts.push(part.to_owned());
        }
    }
    Cow::Owned(format!("[{}]", parts.join(",")))
}

/// What stands between the brackets.
fn unwrap(json: &str) -> &str {
    let json = trim(json);
    if json.len() >= 2 && json.starts_with(['[', '{']) {
        return scan::cut(json, 1, json.len() - 1);
    }
    json
}

fn join(json: &str, preserve: bool) -> Cow<'_, str> {
    let Some(array) = Value::parse(json).filter(Value::is_array) else {
        return Cow::Borrowed(json);
    };
    let elements: Vec<_> = entries(&array.raw, Kind::Json).map(|entry| entry.value).collect();
    let objects = elements.iter().filter(|value| value.is_object());
    let members: Vec<String> = if preserve {
        objects.map(|object| unwrap(&object.raw).to_owned()).collect()
    } else {
        // A key keeps its first place and takes its last value.
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut members: Vec<(String, String)> = Vec::new();
        for entry in objects.flat_map(|object| entries(&object.raw, Kind::Json)) {
            let value = entry.value.raw.to_string();
            let key = entry.key.unwrap_or_default();
            match places.get(entry.key_text().as_ref()) {
                Some(place) => members[*place].1 = value,
                None => {
                    places.insert(entry.key_text().into_owned(), members.len());
                    members.push((key.to_owned(), value));
                }
            }
        }
        members.into_iter().map(|(key, value)| format!("{key}:{value}")).collect()
    };
    Cow::Owned(format!("{{{}}}", members.join(",")))
}

fn keys(json: &str) -> String {
    let Some(value) = Value::parse(json) else { return "[]".to_owned() };
    let keys: Vec<_> = entries(&value.raw, value.kind)
        .map(|entry| entry.key.filter(|_| value.is_object()).unwrap_or("null"))
        .collect();
    format!("[{}]", keys.join(","))
}

fn values(json: &str) -> Cow<'_, str> {
    let Some(value) = Value::parse(json) else { return Cow::Borrowed("[]") };
    if value.is_array() {
        return Cow::Borrowed(json);
    }
    let values: Vec<_> =
        entries(&value.raw, value.kind).map(|entry| entry.value.raw.into_owned()).collect();
    Cow::Owned(format!("[{}]", values.join(",")))
}

/// An object of arrays becomes an array of objects.
fn group(json: &str) -> String {
    let Some(value) = Value::parse(json).filter(Value::is_object) else { return String::new() };
    let mut rows: Vec<Vec<String>> = Vec::new();
    for column in entries(&value.raw, Kind::Json).filter(|entry| entry.value.is_array()) {
        let key = column.key.unwrap_or_default();
        for (at, cell) in entries(&column.value.raw, Kind::Json).enumerate() {
            if at == rows.len() {
                rows.push(Vec::new());
            }
            rows[at].push(format!("{key}:{}", cell.value.raw));
        }
    }
    let rows: Vec<_> = rows.iter().map(|row| format!("{{{}}}", row.join(","))).collect();
    format!("[{}]", rows.join(","))
}

/// What a path finds in the value and in everything below it.
fn dig(json: &str, path: &str) -> String {
    let mut found = Vec::new();
    let mut size = 0;
    match Value::parse(json) {
        Some(value) => dig_into(&value, path, 0, &mut size, &mut found),
        // Nothing is searched too: a modifier may find something in it.
        None => found.extend(get("", path).map(|found| found.raw.into_owned())),
    }
    format!("[{}]", found.join(","))
}

fn dig_into(value: &Value<'_>, path: &str, depth: usize, size: &mut usize, all: &mut Vec<String>) {
    if depth > MAX_DEPTH || *size > MAX_BUILT_BYTES {
        return;
    }
    if let Some(found) = get(&value.raw, path) {
        *size += found.raw.len();
        all.push(found.raw.into_owned());
    }
    if value.is_array() || value.is_object() {
        for entry in entries(&value.raw, Kind::Json) {
            dig_into(&entry.value, path, depth + 1, size, all);
        }
    }
}
