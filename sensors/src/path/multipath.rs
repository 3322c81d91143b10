//! Multipaths: `[a,b]` and `{a,"n":b}` build an array or an object from what each path
//! finds.

use super::literal::quote;
use super::search::get;
use super::value::Value;
use super::{Kind, MAX_BUILT_BYTES, valid};

/// One of the paths, with the name that it was given.
pub(super) struct Selector<'p> {
    name: &'p str,
    path: &'p str,
}

/// The paths between the brackets at the beginning of `path`, and what follows.
pub(super) fn parse(path: &str) -> Option<(Vec<Selector<'_>>, &str)> {
    let bytes = path.as_bytes();
    let mut selectors = Vec::new();
    let mut depth = 1;
    let (mut start, mut colon, mut modifier) = (1, None, false);
    let mut at = 1;
    while at < bytes.len() {
        let ends = match bytes[at] {
            b']' | b')' | b'}' => {
                depth -= 1;
                depth == 0
            }
            b',' => depth == 1,
            _ => false,
        };
        if ends {
            selectors.push(match colon {
                Some(colon) => Selector { name: &path[start..colon], path: &path[colon + 1..at] },
                None => Selector { name: "", path: &path[start..at] },
            });
            (start, colon, modifier) = (at + 1, None, false);
            if depth == 0 {
                return Some((selectors, &path[at + 1..]));
            }
        }
        match bytes[at] {
            b'\\' => at += 1,
            // The colon of a modifier's argument is no name's.
            b'@' if matches!(bytes[at - 1], b'.' | b'|') => modifier = true,
            b':' if !modifier && colon.is_none() && depth == 1 => colon = Some(at),
            b'"' => {
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'[' | b'(' | b'{' => depth += 1,
            _ => {}
        }
        at += 1;
    }
    None
}

/// Builds what the paths find in `json` and goes on with `rest` in it. `path` says by its
/// first character what is built.
pub(super) fn gather<'a>(
    json: &str,
    path: &str,
    selectors: &[Selector<'_>],
    rest: &str,
) -> Option<Value<'a>> {
    let object = path.starts_with('{');
    let mut raw = String::from(if object { "{" } else { "[" });
    for selector in selectors {
        let Some(found) = get(json, selector.path) else { continue };
        if raw.len() > 1 {
            raw.push(',');
        }
        if object {
            selector.push_name(&mut raw);
            raw.push(':');
        }
        raw.push_str(&found.raw);
        if raw.len() > MAX_BUILT_BYTES {
            return None;
        }
    }
    raw.push(if object { '}' } else { ']' });
    let built = Value::built(Kind::Json, raw);
    if rest.is_empty() { Some(built) } else { built.get(&rest[1..]) }
}

impl Selector<'_> {
    /// The name that was given, else the last key of the path where it is a plain one.
    fn push_name(&self, raw: &mut String) {
        if !self.name.is_empty() {
            if self.name.starts_with('"') && valid(self.name) {
                raw.push_str(self.name);
            } else {
                raw.push_str(&quote(self.name));
            }
            return;
        }
        let last = last_key(self.path);
        let plain = last.bytes().all(|c| c >= b' ' && !b"[]{}()#|!".contains(&c));
        raw.push_str(&quote(if plain { last } else { "_" }));
    }
}

fn last_key(path: &str) -> &str {
    let bytes = path.as_bytes();
    let separates =
        |at: &usize| matches!(bytes[*at], b'|' | b'.') && (*at == 0 || bytes[*at - 1] != b'\\');
    (0..bytes.len()).rev().find(separates).map_or(path, |at| &path[at + 1..])
}
