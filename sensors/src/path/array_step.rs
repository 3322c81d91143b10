//! The first step of a path, as an array reads it.

use super::keys;
use super::object_step::Next;
use super::query::Query;

/// Which elements, and what follows.
#[derive(Debug)]
pub(super) struct ArrayStep<'p> {
    pub(super) select: Select<'p>,
    pub(super) next: Next<'p>,
}

#[derive(Debug)]
pub(super) enum Select<'p> {
    /// The element of this index; `None`: an index that there is not.
    Index(Option<usize>),
    /// `#`: how many.
    Count,
    /// `#.path`: what the path finds in each.
    Each(&'p str),
    /// `#(…)` the first, `#(…)#` all that fit.
    Query { query: Query<'p>, all: bool },
    /// A `#` where it means nothing.
    Nothing,
}

impl<'p> ArrayStep<'p> {
    pub(super) fn parse(path: &'p str) -> Self {
        let bytes = path.as_bytes();
        let mut query = None;
        let mut hash = false;
        let mut at = 0;
        let mut next = Next::End;
        while at < bytes.len() {
            match bytes[at] {
                b'|' => {
                    next = Next::Pipe(&path[at + 1..]);
                    break;
                }
                b'.' => {
                    let rest = &path[at + 1..];
                    next = if hash { Next::Path(rest) } else { Next::after_dot(rest) };
                    break;
                }
                b'#' => {
                    hash = true;
                    if at == 0 && matches!(bytes.get(1), Some(b'[' | b'(')) {
                        let Some((parsed, end)) = Query::parse(path) else {
                            // What cannot be read as a query takes the rest of the path.
                            query = Some((Query::default(), false));
                            at = bytes.len();
                            break;
                        };
                        query = Some((parsed, bytes.get(end) == Some(&b'#')));
                        at = end;
                        continue;
                    }
                }
                _ => {}
            }
            at += 1;
        }
        let part = &path[..at];
        let select = match (query, next) {
            (Some((query, all)), _) => Select::Query { query, all },
            (None, Next::Path(rest)) if part == "#" => Select::Each(rest),
            (None, _) if part == "#" => Select::Count,
            (None, _) if hash => Select::Nothing,
            (None, _) => Select::Index(keys::index(part)),
        };
        Self { select, next }
    }
}
