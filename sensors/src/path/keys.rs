//! The paths that most filters have: keys and indexes joined by dots. One scan, and
//! nothing is allocated unless a key has escapes.

use std::borrow::Cow;

use super::scan::{self, Start, cut};
use super::{Found, Kind};

/// A path without anything special in it.
#[derive(Clone, Debug)]
pub(super) struct Keys(Box<[Key]>);

#[derive(Clone, Debug)]
struct Key {
    text: Box<str>,
    /// The text as an index into an array.
    index: Option<usize>,
}

impl Keys {
    /// `None` where the path needs the whole language.
    pub(super) fn compile(path: &str) -> Option<Self> {
        let special = path.bytes().any(|c| b"\\*?#|@!{[".contains(&c));
        if special || path.starts_with("..") {
            return None;
        }
        let key = |text: &str| Key { text: text.into(), index: index(text) };
        Some(Self(path.split('.').map(key).collect()))
    }

    pub(super) fn find<'a>(&self, json: &'a str) -> Option<Found<'a>> {
        let bytes = json.as_bytes();
        // gjson begins at the first bracket, whatever stands before it.
        let at = memchr::memchr2(b'{', b'[', bytes)?;
        let (kind, start, end) = find(bytes, at, &self.0).ok()?;
        Some(Found { kind, raw: Cow::Borrowed(cut(json, start, end)) })
    }
}

/// A part as an index: only digits.
pub(super) fn index(part: &str) -> Option<usize> {
    let digits = !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
    if digits { part.parse().ok() } else { None }
}

/// The value below the container at `at`, or where the container ends.
type Answer = Result<(Kind, usize, usize), usize>;

fn find(json: &[u8], at: usize, keys: &[Key]) -> Answer {
    let Some((key, rest)) = keys.split_first() else { return Err(at) };
    if json[at] == b'{' { member(json, at, key, rest) } else { element(json, at, key, rest) }
}

fn member(json: &[u8], at: usize, key: &Key, rest: &[Key]) -> Answer {
    let mut at = at + 1;
    loop {
        // The next key, or the end of the object.
        match json.get(at) {
            None => return Err(at),
            Some(b'}') => return Err(at + 1),
            Some(b'"') => {}
            Some(_) => {
                at += 1;
                continue;
            }
        }
        let Some(end) = scan::string_end(json, at + 1) else { return Err(json.len()) };
        let hit = is_key(&json[at + 1..end - 1], &key.text);
        at = end;
        match value(json, &mut at, hit, rest) {
            Some(answer) => return answer,
            None => continue,
        }
    }
}

fn element(json: &[u8], at: usize, key: &Key, rest: &[Key]) -> Answer {
    let Some(index) = key.index else { return Err(scan::container_end(json, at)) };
    let mut at = at + 1;
    let mut position = 0;
    loop {
        while at < json.len() && json[at] != b']' && scan::start(json, at).is_none() {
            at += 1;
        }
        if at >= json.len() || json[at] == b']' {
            return Err(at + 1);
        }
        if let Some(answer) = value(json, &mut at, position == index, rest) {
            return answer;
        }
        position += 1;
    }
}

/// Steps over the next value; `hit`: it is the one that the path names so far. A
/// container that does not have the rest of the path does not end the search: a second
/// member of the same key may.
fn value(json: &[u8], at: &mut usize, hit: bool, rest: &[Key]) -> Option<Answer> {
    let start = loop {
        if *at >= json.len() {
            return Some(Err(*at));
        }
        match scan::start(json, *at) {
            Some(start) => break start,
            None => *at += 1,
        }
    };
    if hit && !rest.is_empty() && matches!(start, Start::Object | Start::Array) {
        match find(json, *at, rest) {
            Err(end) => *at = end,
            found => return Some(found),
        }
        return None;
    }
    let Some(end) = start.end(json, *at) else { return Some(Err(json.len())) };
    if hit && rest.is_empty() {
        return Some(Ok((start.kind(), *at, end)));
    }
    *at = end;
    None
}

/// Whether the inside of a key in JSON text says `key`.
pub(super) fn is_key(inside: &[u8], key: &str) -> bool {
    if !inside.contains(&b'\\') {
        return inside == key.as_bytes();
    }
    std::str::from_utf8(inside).is_ok_and(|inside| scan::unescape(inside) == key)
}
