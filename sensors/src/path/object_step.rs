//! The first step of a path, as an object reads it.

use std::borrow::Cow;

use super::modifier;

/// One key, and what follows it.
#[derive(Debug)]
pub(super) struct ObjectStep<'p> {
    /// The key, without escapes.
    pub(super) key: Cow<'p, str>,
    /// The key is a pattern with `*` and `?`.
    pub(super) wild: bool,
    pub(super) next: Next<'p>,
}

/// What follows a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next<'p> {
    /// Nothing: the step's value is what the path finds.
    End,
    /// A path into the step's value.
    Path(&'p str),
    /// A path into whatever was found so far, also nothing.
    Pipe(&'p str),
}

impl<'p> ObjectStep<'p> {
    pub(super) fn parse(path: &'p str) -> Self {
        let bytes = path.as_bytes();
        let mut unescaped: Option<Vec<u8>> = None;
        let mut wild = false;
        let mut at = 0;
        let mut next = Next::End;
        while at < bytes.len() {
            match bytes[at] {
                b'|' => {
                    next = Next::Pipe(&path[at + 1..]);
                    break;
                }
                b'.' => {
                    next = Next::after_dot(&path[at + 1..]);
                    break;
                }
                b'\\' => {
                    let key = unescaped.get_or_insert_with(|| bytes[..at].to_vec());
                    key.extend(bytes.get(at + 1));
                    at += 2;
                    continue;
                }
                b'*' | b'?' => wild = true,
                _ => {}
            }
            if let Some(key) = &mut unescaped {
                key.push(bytes[at]);
            }
            at += 1;
        }
        let key = match unescaped {
            None => Cow::Borrowed(&path[..at]),
            // Only whole ASCII characters were left out.
            Some(key) => Cow::Owned(String::from_utf8(key).unwrap_or_default()),
        };
        Self { key, wild, next }
    }
}

impl<'p> Next<'p> {
    /// What follows a dot. Before a modifier or a multipath it works like a pipe.
    pub(super) fn after_dot(rest: &'p str) -> Self {
        let pipes = match rest.as_bytes().first() {
            Some(b'[' | b'{') => true,
            Some(b'@') => {
                let end = rest.find(['.', '|', ':']).unwrap_or(rest.len());
                modifier::exists(&rest[1..end])
            }
            _ => false,
        };
        if pipes { Self::Pipe(rest) } else { Self::Path(rest) }
    }

    pub(super) fn path(self) -> Option<&'p str> {
        match self {
            Self::Path(path) => Some(path),
            _ => None,
        }
    }

    pub(super) fn pipe(self) -> Option<&'p str> {
        match self {
            Self::Pipe(path) => Some(path),
            _ => None,
        }
    }
}
