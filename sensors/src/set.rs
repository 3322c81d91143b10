//! Setting values in JSON text, in the language of sjson: keys and indexes joined by
//! dots, `-1` for a new element, `:` before a number that is a key, `\` before a dot that
//! is part of one. What is missing on the way is made; all the rest of the text stays as
//! it was written.
//!
//! A place with an unescaped `*`, `?`, `#`, `@` or `|` is a path of gjson's language. It
//! sets what it finds and makes nothing.
//!
//! Promise: valid JSON stays valid. What sjson would write to a place that it cannot know
//! (values that a modifier made, elements of gathered elements) is not written at all.

use std::borrow::Cow;

use crate::path::{self, Kind, Spot, Value, elements, entries, quote};

/// The largest index into an array that is made on the way.
pub const MAX_INDEX: usize = 10_000;

/// A compiled place to set.
#[derive(Clone, Debug)]
pub struct Destination {
    text: Box<str>,
    plan: Plan,
}

/// The key `key` as a part of a place: nothing in it has a meaning, and it is no index.
pub fn escape(key: &str) -> String {
    let mut escaped = String::from(":");
    for character in key.chars() {
        if character.is_ascii_punctuation() && !matches!(character, '-' | '_') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[derive(Clone, Debug)]
enum Plan {
    /// Keys and indexes.
    Parts(Box<[Part]>),
    /// A path whose matches are set.
    Matches,
}

/// One key or index.
#[derive(Clone, Debug, Default)]
struct Part {
    /// What it says.
    key: String,
    /// The same as a path of one step.
    path: String,
    /// It is a key, also where it is a number.
    forced: bool,
}

/// A value that cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SetError(pub String);

impl Destination {
    /// Compiles the place.
    ///
    /// # Errors
    /// An empty place; one that is too long or has too many parts.
    pub fn compile(text: &str) -> Result<Self, SetError> {
        if text.is_empty() {
            return Err(SetError("the place to set is empty".to_owned()));
        }
        path::check_size(text).map_err(|error| SetError(error.0))?;
        let plan = parts(text).map_or(Plan::Matches, |parts| Plan::Parts(parts.into()));
        Ok(Self { text: text.into(), plan })
    }

    /// The place, as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// `document` with the JSON string of `value` at this place.
    ///
    /// # Errors
    /// The place cannot be in this document.
    pub fn set(&self, document: &str, value: &str) -> Result<String, SetError> {
        self.set_raw(document, &string(value))
    }

    /// `document` with the JSON text `raw` at this place.
    ///
    /// # Errors
    /// The place cannot be in this document: a name or a negative index into an array; an
    /// index above [`MAX_INDEX`] that is not there yet.
    pub fn set_raw(&self, document: &str, raw: &str) -> Result<String, SetError> {
        match &self.plan {
            Plan::Parts(parts) => {
                let mut made = String::with_capacity(document.len() + raw.len() + 16);
                set_parts(&mut made, document, parts, raw)?;
                Ok(made)
            }
            Plan::Matches => Ok(set_matches(document, &self.text, raw)),
        }
    }
}

/// The JSON string of `value`: plain ASCII as it is, anything else as Go writes it, which
/// then also escapes `<`, `>` and `&`.
fn string(value: &str) -> String {
    let plain = value.bytes().all(|c| (b' '..=0x7f).contains(&c) && c != b'"' && c != b'\\');
    if plain { format!("\"{value}\"") } else { quote(value) }
}

/// The parts of a place; `None` where it is a path of the whole language.
fn parts(text: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut part = Part::default();
    let mut begins = true;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let first = std::mem::take(&mut begins);
        match c {
            ':' if first => part.forced = true,
            '.' => {
                parts.push(std::mem::take(&mut part));
                begins = true;
            }
            '|' | '#' | '@' | '*' | '?' => return None,
            '\\' => {
                part.path.push('\\');
                part.key.extend(chars.clone().next());
                part.path.extend(chars.next());
            }
            c => {
                part.key.push(c);
                part.path.push(c);
            }
        }
    }
    parts.push(part);
    Some(parts)
}

impl Part {
    /// The part as an index, where it is one. An empty part is the index 0.
    fn index(&self) -> Option<usize> {
        let number = !self.forced && self.key.bytes().all(|c| c.is_ascii_digit());
        // What does not fit is beyond every bound.
        number.then(|| if self.key.is_empty() { 0 } else { self.key.parse().unwrap_or(usize::MAX) })
    }

    /// The part stands for a new element of an array.
    fn appends(&self) -> bool {
        !self.forced && self.key == "-1"
    }
}

fn set_parts(made: &mut String, json: &str, parts: &[Part], raw: &str) -> Result<(), SetError> {
    let Some((part, rest)) = parts.split_first() else { return Ok(()) };
    let found = path::get(json, &part.path);
    if let Some(Value { raw: old, spot: Spot::At(at), .. }) = &found
        && *at > 0
    {
        made.push_str(&json[..*at]);
        if rest.is_empty() {
            made.push_str(raw);
        } else {
            set_parts(made, old, rest, raw)?;
        }
        made.push_str(&json[at + old.len()..]);
        return Ok(());
    }
    let container = Value::parse(json).filter(|value| value.kind == Kind::Json);
    let container = match container {
        Some(container) => container.raw,
        None if part.index().is_some() => Cow::Borrowed("[]"),
        None => Cow::Borrowed("{}"),
    };
    if container.starts_with('{') {
        add_member(made, &container, parts, raw)
    } else {
        add_element(made, &container, parts, raw)
    }
}

/// Whether there is anything in an object or array.
fn is_filled(container: &str) -> bool {
    let inside = container.bytes().skip(1).find(|c| *c > b' ');
    inside.is_some_and(|c| c != b'}' && c != b']')
}

fn add_member(made: &mut String, object: &str, parts: &[Part], raw: &str) -> Result<(), SetError> {
    let end = object.rfind('}').unwrap_or(0);
    made.push_str(&object[..end]);
    if is_filled(object) {
        made.push(',');
    }
    made.push_str(&string(&parts[0].key));
    made.push(':');
    build(made, &parts[1..], raw)?;
    made.push('}');
    Ok(())
}

fn add_element(made: &mut String, array: &str, parts: &[Part], raw: &str) -> Result<(), SetError> {
    let part = &parts[0];
    if part.appends() {
        let array = array.trim_matches(|c: char| c <= ' ');
        made.push_str(array.strip_suffix(']').unwrap_or(array));
        if is_filled(array) {
            made.push(',');
        }
    } else {
        let Some(index) = part.index() else {
            let key = &part.key;
            return Err(SetError(format!("an array has no element `{key}`: an index is needed")));
        };
        check_index(index)?;
        made.push('[');
        let mut count = 0;
        for element in elements(array) {
            made.push_str(element);
            made.push(',');
            count += 1;
        }
        for _ in count..index {
            made.push_str("null,");
        }
    }
    build(made, &parts[1..], raw)?;
    made.push(']');
    Ok(())
}

fn check_index(index: usize) -> Result<(), SetError> {
    if index > MAX_INDEX {
        return Err(SetError(format!(
            "index {index} is too large: at most {MAX_INDEX} elements are made"
        )));
    }
    Ok(())
}

/// Writes `raw` inside of new objects and arrays for `parts`.
fn build(made: &mut String, parts: &[Part], raw: &str) -> Result<(), SetError> {
    let Some((part, rest)) = parts.split_first() else {
        made.push_str(raw);
        return Ok(());
    };
    if part.index().is_some() || part.appends() {
        let index = part.index().unwrap_or(0);
        check_index(index)?;
        made.push('[');
        for _ in 0..index {
            made.push_str("null,");
        }
        build(made, rest, raw)?;
        made.push(']');
    } else {
        made.push('{');
        made.push_str(&string(&part.key));
        made.push(':');
        build(made, rest, raw)?;
        made.push('}');
    }
    Ok(())
}

/// Sets each value that `path` finds, where it is known where they stand.
fn set_matches(document: &str, path: &str, raw: &str) -> String {
    let mut ranges = match path::get(document, path) {
        Some(Value { raw, spot: Spot::At(at), .. }) if at > 0 => vec![(at, at + raw.len())],
        Some(Value { raw, spot: Spot::Each(spots), kind }) => {
            let values = entries(&raw, kind).map(|entry| entry.value.raw.len());
            let ranges = spots.iter().zip(values).map(|(at, size)| at.map(|at| (at, at + size)));
            ranges.collect::<Option<Vec<_>>>().unwrap_or_default()
        }
        _ => Vec::new(),
    };
    ranges.sort_unstable();
    let mut made = String::with_capacity(document.len() + raw.len() * ranges.len());
    let mut at = 0;
    for (start, end) in ranges {
        made.push_str(path::cut(document, at, start));
        made.push_str(raw);
        at = end;
    }
    made.push_str(path::cut(document, at, document.len()));
    made
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(document: &str, place: &str, value: &str) -> Result<String, SetError> {
        Destination::compile(place)?.set(document, value)
    }

    #[test]
    fn an_escaped_key_is_that_key_whatever_is_in_it() {
        for key in ["a", "x-build.id", "0", "-1", ":1", "#", "a|b", "@this", "*", "a\\b", "ä b"] {
            let place = Destination::compile(&format!("headers.{}", escape(key))).unwrap();
            let made = place.set("{}", "v").unwrap();
            let made: serde_json::Value = serde_json::from_str(&made).unwrap();
            assert_eq!(made, serde_json::json!({"headers": {key: "v"}}), "{key}");
        }
    }

    #[test]
    fn what_is_missing_is_made_and_the_rest_stays() {
        for (document, place, made) in [
            (r#"{"a": {"b": 1} }"#, "a.b", r#"{"a": {"b": "v"} }"#),
            (r#"{"a": 1}"#, "b.0.c", r#"{"a": 1,"b":[{"c":"v"}]}"#),
            (r#"{"a":[ 1 ]}"#, "a.-1", r#"{"a":[ 1 ,"v"]}"#),
            (r#"{"a":[1]}"#, "a.3", r#"{"a":[1,null,null,"v"]}"#),
            (r"{}", "a.:1", r#"{"a":{"1":"v"}}"#),
            (r"{}", r"a\.b", r#"{"a.b":"v"}"#),
            (
                r#"{"l":[{"n":"x"},{"n":"y","v":1}]}"#,
                r##"l.#(n=="y").v"##,
                r#"{"l":[{"n":"x"},{"n":"y","v":"v"}]}"#,
            ),
            // What no JSON is counts up to the first bracket that closes.
            ("[1]2", "1", r#"[1,"v"]"#),
            ("[N]", "2", r#"[null,null,"v"]"#),
            (r#"{"l":[{"v":1},{"v":22}]}"#, "l.#.v", r#"{"l":[{"v":"v"},{"v":"v"}]}"#),
            (r#"{"l":[{"m":[{"v":1}]}]}"#, "l.#.m.#.v", r#"{"l":[{"m":[{"v":1}]}]}"#),
        ] {
            assert_eq!(set(document, place, "v").as_deref(), Ok(made), "{place} in {document}");
        }
    }

    #[test]
    fn a_huge_index_is_refused_but_is_a_key_of_an_object() {
        let error = set("{}", "a.4000000000", "v").unwrap_err();
        assert!(error.0.contains("index 4000000000 is too large"), "{error}");
        assert!(set("{}", "a.99999999999999999999999999", "v").is_err());
        assert!(set(r#"{"a":[1]}"#, "a.10001", "v").is_err());
        assert_eq!(
            set(r#"{"a":{}}"#, "a.20240101", "v").as_deref(),
            Ok(r#"{"a":{"20240101":"v"}}"#)
        );
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<f32>().prop_map(|n| f64::from(n).into()),
            r#"[a-c"\\é{}\[\]]{0,4}"#.prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::vec(("[a-c0.]{0,2}", inner), 0..4)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn valid_json_stays_valid(
            document in json(),
            pretty in any::<bool>(),
            place in r#"([a-c0-3*?#@|.:\\"]|-1|\.|#\(a>b\)#?|@this|@reverse|\{a,b\}|\[a\]){1,8}"#,
            value in ".{0,4}",
        ) {
            let text = if pretty { format!("{document:#}") } else { document.to_string() };
            if let Ok(place) = Destination::compile(&place)
                && let Ok(made) = place.set(&text, &value)
            {
                prop_assert!(crate::path::valid(&made), "{} in {text} made {made}", place.text());
            }
        }
    }
}
