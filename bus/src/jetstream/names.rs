//! Names of streams and subjects, from one prefix.
//!
//! | stream | subjects |
//! | --- | --- |
//! | `PREFIX-events`, `PREFIX-actions`, `PREFIX-outcomes` | `PREFIX.events`, … |
//! | `PREFIX-state` | `PREFIX.state.k.…` (keys), `PREFIX.state.p.…` (parts of large values), `PREFIX.state.m.…` (what the bus itself remembers) |

use crate::Log;

/// The prefix where none is given.
pub const DEFAULT_PREFIX: &str = "tripline";
/// The longest prefix, in bytes.
pub(super) const MAX_PREFIX_BYTES: usize = 64;

/// What a segment of a key is where it is empty: a subject has no empty one. No key has `!`.
const EMPTY: &str = "!";

/// The names under one prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    /// The names under this prefix; `None` where it cannot be one.
    pub(super) fn new(prefix: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let is_one = !prefix.is_empty() && prefix.len() <= MAX_PREFIX_BYTES;
        (is_one && prefix.bytes().all(allowed)).then(|| Self { prefix: prefix.to_owned() })
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(super) fn stream(&self, log: Log) -> String {
        format!("{}-{}", self.prefix, log.as_str())
    }

    pub(super) fn subject(&self, log: Log) -> String {
        format!("{}.{}", self.prefix, log.as_str())
    }

    pub(super) fn state_stream(&self) -> String {
        format!("{}-state", self.prefix)
    }

    pub(super) fn state_subjects(&self) -> String {
        format!("{}.state.>", self.prefix)
    }

    /// The subject of a key.
    pub(super) fn key(&self, key: &str) -> String {
        let mut subject = format!("{}.state.k", self.prefix);
        for segment in key.split('/') {
            subject.push('.');
            subject.push_str(
                if segment.is_empty() { EMPTY } else { segment }.replace('.', ",").as_str(),
            );
        }
        subject
    }

    /// The key of a subject.
    pub(super) fn key_of(&self, subject: &str) -> Option<String> {
        let segments = subject.strip_prefix(&self.prefix)?.strip_prefix(".state.k.")?;
        let key: Vec<String> = segments
            .split('.')
            .map(|segment| if segment == EMPTY { String::new() } else { segment.replace(',', ".") })
            .collect();
        Some(key.join("/"))
    }

    /// A filter that all keys that begin with `prefix` fit, and perhaps others.
    pub(super) fn keys_with(&self, prefix: &str) -> String {
        match prefix.rfind('/') {
            None => format!("{}.state.k.>", self.prefix),
            Some(end) => format!("{}.>", self.key(&prefix[..end])),
        }
    }

    /// The subject of a part of a value; all parts of that key, where no part is named.
    pub(super) fn part(&self, key_hash: u64, part: Option<(u64, u32)>) -> String {
        let prefix = &self.prefix;
        match part {
            Some((nonce, number)) => {
                format!("{prefix}.state.p.{key_hash:016x}.{nonce:016x}.{number}")
            }
            None => format!("{prefix}.state.p.{key_hash:016x}.>"),
        }
    }

    /// The subject of something that the bus itself remembers.
    pub(super) fn memory(&self, of: &str) -> String {
        format!("{}.state.m.{of}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_from_its_subject() {
        let names = Names::new("t").unwrap();
        for (key, subject) in [
            ("plan/head", "t.state.k.plan.head"),
            ("a", "t.state.k.a"),
            ("AZaz09-_./=", "t.state.k.AZaz09-_,.="),
            ("/", "t.state.k.!.!"),
            ("a//b/", "t.state.k.a.!.b.!"),
            ("..", "t.state.k.,,"),
        ] {
            assert_eq!(names.key(key), subject);
            assert_eq!(names.key_of(subject).as_deref(), Some(key));
        }
        assert_eq!(names.key_of("t.state.m.owner"), None);
    }

    #[test]
    fn the_filter_of_a_prefix_is_as_narrow_as_its_segments() {
        let names = Names::new("t").unwrap();
        for (prefix, filter) in [
            ("", "t.state.k.>"),
            ("b", "t.state.k.>"),
            ("b/", "t.state.k.b.>"),
            ("b/1", "t.state.k.b.>"),
            ("b/1/x", "t.state.k.b.1.>"),
        ] {
            assert_eq!(names.keys_with(prefix), filter);
        }
    }

    #[test]
    fn a_prefix_is_a_plain_word() {
        for wrong in ["", "a.b", "a b", "ä", "a*", &"a".repeat(65)] {
            assert_eq!(Names::new(wrong), None, "{wrong}");
        }
        assert!(Names::new("Team-a_1").is_some());
    }
}
