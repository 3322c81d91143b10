//! The search for a path of gjson's language.

use std::borrow::Cow;

use super::array_step::{ArrayStep, Select};
use super::object_step::ObjectStep;
use super::query::Query;
use super::scan::{self, Start};
use super::value::{Spot, Value};
use super::{Kind, MAX_BUILT_BYTES, keys, literal, modifier, multipath, wildcard};

/// What `path` finds in `json`, and where.
pub(crate) fn get<'a>(json: &'a str, path: &str) -> Option<Value<'a>> {
    let mut path = path;
    if path.len() > 1 {
        let built = match path.as_bytes()[0] {
            b'@' => modifier::apply(json, path),
            b'!' => literal::parse(path),
            _ => None,
        };
        if let Some((text, rest)) = built {
            return after_built(text, rest);
        }
        if path.starts_with(['[', '{']) {
            let Some((paths, rest)) = multipath::parse(path) else {
                // Brackets that do not close are the path that is empty.
                return search(json, "");
            };
            if rest.is_empty() || rest.starts_with(['|', '.']) {
                return multipath::gather(json, path, &paths, rest);
            }
            path = rest;
        }
    }
    search(json, path)
}

/// Goes on with what a modifier or a literal made.
fn after_built<'a>(text: Cow<'a, str>, rest: &str) -> Option<Value<'a>> {
    let found = match (text, rest.strip_prefix(['|', '.'])) {
        (Cow::Borrowed(text), Some(rest)) => get(text, rest)?,
        (Cow::Owned(text), Some(rest)) => get(&text, rest)?.into_owned(),
        (Cow::Borrowed(text), None) => return Value::parse(text),
        (Cow::Owned(text), None) => Value::parse(&text)?.into_owned(),
    };
    Some(found.nowhere())
}

/// The search of a path that begins with a plain step.
fn search<'a>(json: &'a str, path: &str) -> Option<Value<'a>> {
    let mut search = Search { json, found: None, pipe: None };
    if let Some(path) = path.strip_prefix("..") {
        // The text is a row of values.
        search.array(0, path);
    } else {
        let at = memchr::memchr2(b'{', b'[', json.as_bytes())?;
        search.container(at, path);
    }
    let Some(pipe) = search.pipe else { return search.found };
    let found = match search.found {
        Some(found) => found.get(pipe)?,
        None => get("", pipe)?,
    };
    // Where it stands is known only for what was gathered from the text.
    Some(match found.spot {
        Spot::Each(_) => found,
        _ => found.nowhere(),
    })
}

struct Search<'a, 'p> {
    json: &'a str,
    /// What was found so far. A later part of the text can replace it as long as the
    /// search goes on.
    found: Option<Value<'a>>,
    /// The path that goes on with what is found. Set by the last step that was tried,
    /// even where it found nothing.
    pipe: Option<&'p str>,
}

/// Where the search stands, and whether it is over.
type Progress = (usize, bool);

impl<'a, 'p> Search<'a, 'p> {
    /// Searches the object or array at `at`.
    fn container(&mut self, at: usize, path: &'p str) -> Progress {
        if self.json.as_bytes()[at] == b'{' {
            self.object(at + 1, path)
        } else {
            self.array(at + 1, path)
        }
    }

    fn object(&mut self, mut at: usize, path: &'p str) -> Progress {
        let step = ObjectStep::parse(path);
        if let Some(pipe) = step.next.pipe() {
            self.pipe = Some(pipe);
        }
        let bytes = self.json.as_bytes();
        loop {
            let key = loop {
                match bytes.get(at) {
                    None => return (at, false),
                    Some(b'}') => return (at + 1, false),
                    Some(b'"') => break at,
                    Some(_) => at += 1,
                }
            };
            let Some(end) = scan::string_end(bytes, key + 1) else { return (bytes.len(), false) };
            let fits = step.fits(scan::cut(self.json, key + 1, end - 1));
            at = end;
            while at < bytes.len() && scan::start(bytes, at).is_none() {
                at += 1;
            }
            match self.value(at, fits, step.next.path()) {
                (end, true) => return (end, true),
                (end, false) => at = end,
            }
        }
    }

    /// The value at `at`; `fits`: it is the one that the step names.
    fn value(&mut self, at: usize, fits: bool, rest: Option<&'p str>) -> Progress {
        let bytes = self.json.as_bytes();
        if at >= bytes.len() {
            return (at, false);
        }
        let Some(start) = scan::start(bytes, at) else { return (at + 1, false) };
        if fits
            && let Some(rest) = rest
            && matches!(start, Start::Object | Start::Array)
        {
            return self.container(at, rest);
        }
        let Some(end) = start.end(bytes, at) else { return (bytes.len(), false) };
        if fits && rest.is_none() {
            self.found = Some(Value::at(self.json, start.kind(), at, end));
            return (end, true);
        }
        (end, false)
    }

    fn array(&mut self, mut at: usize, path: &'p str) -> Progress {
        let ArrayStep { select, next } = ArrayStep::parse(path);
        if let Some(pipe) = next.pipe() {
            self.pipe = Some(pipe);
        }
        let bytes = self.json.as_bytes();
        let (select, mut filter) = match select {
            Select::Query { query, all } => {
                (Select::Nothing, Some(Selection::new(query, all, next.path())))
            }
            select => (select, None),
        };
        let mut each = Vec::new();
        let mut position = 0;
        loop {
            while at < bytes.len() && bytes[at] != b']' && scan::start(bytes, at).is_none() {
                at += 1;
            }
            if at > bytes.len() {
                return (at, false);
            }
            // The end of the text closes an array.
            if at == bytes.len() || bytes[at] == b']' {
                break;
            }
            if let Select::Index(index) = select {
                match self.value(at, index == Some(position), next.path()) {
                    (end, true) => return (end, true),
                    (end, false) => at = end,
                }
            } else {
                let Some((element, end)) = Value::next(self.json, at) else {
                    return (bytes.len(), false);
                };
                if let Some(filter) = &mut filter
                    && filter.take(self, element.clone())
                {
                    return (end, true);
                }
                if matches!(select, Select::Each(_)) {
                    each.push(element);
                }
                at = end;
            }
            position += 1;
        }
        let over = match select {
            Select::Count => {
                self.found = Some(Value::built(Kind::Number, position.to_string()));
                true
            }
            Select::Each(path) => {
                self.each(each, path);
                true
            }
            _ => false,
        };
        if let Some(filter) = filter
            && filter.all
            && self.found.is_none()
        {
            self.found = filter.gathered.finish();
        }
        (at + 1, over)
    }

    /// `#.path`: what the path finds in each element.
    fn each(&mut self, elements: Vec<Value<'a>>, path: &'p str) {
        let path = self.split_pipe(path);
        let mut gathered = Gathered::default();
        for found in elements.into_iter().filter_map(|element| element.get(path)) {
            gathered.push(&found);
        }
        self.found = gathered.finish();
    }

    /// The part of a path before its pipe; what is behind it goes on later.
    fn split_pipe(&mut self, path: &'p str) -> &'p str {
        let Some(at) = pipe_position(path) else { return path };
        self.pipe = Some(&path[at + 1..]);
        &path[..at]
    }
}

impl ObjectStep<'_> {
    fn fits(&self, key: &str) -> bool {
        if self.wild {
            wildcard::matches(&scan::unescape(key), &self.key)
        } else {
            keys::is_key(key.as_bytes(), &self.key)
        }
    }
}

/// The elements that a query selects.
struct Selection<'p> {
    query: Query<'p>,
    all: bool,
    rest: Option<&'p str>,
    gathered: Gathered,
}

impl<'p> Selection<'p> {
    fn new(query: Query<'p>, all: bool, rest: Option<&'p str>) -> Self {
        Self { query, all, rest, gathered: Gathered::default() }
    }

    /// Looks at one element. True where the search is over.
    fn take<'a>(&mut self, search: &mut Search<'a, 'p>, element: Value<'a>) -> bool {
        let found = if element.kind == Kind::Json {
            element.clone().get(self.query.path)
        } else if self.query.path.is_empty() {
            Some(element.clone())
        } else {
            return false;
        };
        if !self.query.fits(found.as_ref()) {
            return false;
        }
        let result = match self.rest {
            Some(rest) => {
                let rest = search.split_pipe(rest);
                self.rest = Some(rest);
                element.get(rest)
            }
            None => Some(element),
        };
        if !self.all {
            search.found = result;
            return true;
        }
        if let Some(result) = result {
            self.gathered.push(&result);
        }
        false
    }
}

/// An array that is gathered from values.
#[derive(Default)]
struct Gathered {
    raw: String,
    spots: Vec<Option<usize>>,
}

impl Gathered {
    fn push(&mut self, value: &Value<'_>) {
        if self.raw.len() < MAX_BUILT_BYTES {
            self.raw.push(if self.raw.is_empty() { '[' } else { ',' });
            self.raw.push_str(&value.raw);
        }
        self.spots.push(value.spot.offset());
    }

    /// `None` where it grew beyond the bound.
    fn finish<'a>(mut self) -> Option<Value<'a>> {
        if self.raw.len() >= MAX_BUILT_BYTES {
            return None;
        }
        if self.raw.is_empty() {
            self.raw.push('[');
        }
        self.raw.push(']');
        Some(Value { spot: Spot::Each(self.spots), ..Value::built(Kind::Json, self.raw) })
    }
}

/// Where the pipe stands that ends the first part of `path`: not one in a query or in an
/// object multipath.
fn pipe_position(path: &str) -> Option<usize> {
    let bytes = path.as_bytes();
    if path.starts_with('{') {
        let end = scan::container_end(bytes, 0);
        return (bytes.get(end) == Some(&b'|')).then_some(end);
    }
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'|' => return Some(at),
            b'\\' => at += 1,
            b'.' if bytes.get(at + 1) == Some(&b'#') => {
                at += 2;
                if let Some(open @ (b'[' | b'(')) = bytes.get(at) {
                    at = query_end(bytes, at, *open);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The bracket that closes the query whose bracket is at `at`.
fn query_end(path: &[u8], at: usize, open: u8) -> usize {
    let close = if open == b'[' { b']' } else { b')' };
    let mut depth = 1;
    let mut at = at + 1;
    while at < path.len() {
        match path[at] {
            b'\\' => at += 1,
            b'"' => {
                at += 1;
                while at < path.len() && path[at] != b'"' {
                    at += if path[at] == b'\\' { 2 } else { 1 };
                }
            }
            c if c == open => depth += 1,
            c if c == close => {
                depth -= 1;
                if depth == 0 {
                    return at;
                }
            }
            _ => {}
        }
        at += 1;
    }
    at
}
