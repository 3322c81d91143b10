//! The correlation id: which chain of work a record belongs to.
//!
//! It is data from outside. Whatever a producer sends must be carried, shown and
//! found again, and must never make the creation of an object fail: each place that
//! it is put in has its own form here.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A correlation id, as the producer sent it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CorrelationId(pub String);

/// The most bytes of an id that an annotation carries.
const ANNOTATION_BYTES: usize = 1024;
/// The most characters of a Kubernetes label value.
const LABEL_CHARS: usize = 63;
/// What a header value may not hold as it is: controls, quotes, non-ASCII (encoded
/// anyway), and `%` so that decoding gives the id back.
const HEADER: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

impl CorrelationId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as the value of a Kubernetes label: as it is where that is a valid value
    /// (at most 63 of letters, digits, `-`, `_` and `.`, a letter or digit at both
    /// ends), else `h-` and a hash. An id that looks like such a hash is hashed too, so
    /// that nobody can pass for another chain.
    pub fn label_value(&self) -> Cow<'_, str> {
        if is_label_value(&self.0) && !self.0.starts_with("h-") {
            return Cow::Borrowed(&self.0);
        }
        Cow::Owned(format!("h-{}", hex::encode(&Sha256::digest(self.0.as_bytes())[..16])))
    }

    /// The id as the value of an annotation: whole, but 1 KiB at most.
    pub fn annotation_value(&self) -> &str {
        let mut end = self.0.len().min(ANNOTATION_BYTES);
        while !self.0.is_char_boundary(end) {
            end -= 1;
        }
        &self.0[..end]
    }

    /// The id as the value of an HTTP header or a message attribute: percent-encoded,
    /// and 1 KiB of it at most.
    pub fn header_value(&self) -> String {
        utf8_percent_encode(self.annotation_value(), HEADER).to_string()
    }
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_label_value(text: &str) -> bool {
    let end = |c: Option<u8>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let bytes = text.as_bytes();
    bytes.len() <= LABEL_CHARS
        && end(bytes.first().copied())
        && end(bytes.last().copied())
        && bytes.iter().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(c))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn label(id: &str) -> String {
        CorrelationId(id.into()).label_value().into_owned()
    }

    #[test]
    fn an_id_that_is_a_valid_label_value_stays_and_any_other_is_hashed() {
        assert_eq!(label("build-4711"), "build-4711");
        assert_eq!(label(&"x".repeat(63)), "x".repeat(63));
        for id in
            ["", "-a", "a-", "arn:aws:sns:eu-1:1:t", "🚀", "a\r\nb", "h-00", &"x".repeat(5000)]
        {
            let value = label(id);
            assert!(value.starts_with("h-") && value.len() == 34, "{id:?} gave {value}");
        }
    }

    #[test]
    fn an_id_of_five_kilobytes_is_cut_at_a_character() {
        let id = CorrelationId("é".repeat(2500));
        assert_eq!(id.annotation_value().len(), 1024);
        assert!(CorrelationId(format!("x{id}")).annotation_value().len() <= 1024);
    }

    proptest! {
        #[test]
        fn every_id_fits_everywhere(id in ".{0,200}") {
            let id = CorrelationId(id);
            prop_assert!(is_label_value(&id.label_value()));
            prop_assert!(id.header_value().bytes().all(|c| (0x21..0x7f).contains(&c)));
        }
    }
}
