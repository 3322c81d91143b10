//! What came in and never became an event, as a dead letter keeps it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A payload as its producer sent it, or the beginning of one that is too large to be kept
/// whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RawPayload {
    /// The kind of the event source that took it in.
    pub kind: String,
    /// Headers or attributes, with names as they came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Its first bytes in base64: all of them, unless [`Self::sha256`] says otherwise.
    pub base64: String,
    /// How many bytes it has in all.
    pub bytes: u64,
    /// Only where it is cut: the SHA-256 of the whole, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl RawPayload {
    /// The most bytes of a payload that are kept.
    pub const MAX_BYTES: usize = 4 * 1024 * 1024;
    /// The most bytes of names and values of headers that are kept; those beyond are left out.
    pub const MAX_HEADER_BYTES: usize = 16 * 1024;

    /// Keeps `payload`, or its first `at_most` bytes.
    pub fn new(kind: &str, headers: &[(String, String)], payload: &[u8], at_most: usize) -> Self {
        let kept = payload.get(..at_most.min(Self::MAX_BYTES)).unwrap_or(payload);
        let mut left = Self::MAX_HEADER_BYTES;
        let fits = |(name, value): &&(String, String)| {
            let size = name.len() + value.len();
            let fits = size <= left;
            left = left.saturating_sub(size);
            fits
        };
        Self {
            kind: kind.to_owned(),
            headers: headers.iter().take_while(fits).cloned().collect(),
            base64: BASE64.encode(kept),
            bytes: payload.len() as u64,
            sha256: (kept.len() < payload.len()).then(|| hex::encode(Sha256::digest(payload))),
        }
    }

    /// What is kept of it; nothing where the base64 is damaged.
    pub fn kept(&self) -> Vec<u8> {
        BASE64.decode(&self.base64).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_kept_as_it_came() {
        let headers = vec![("a".to_owned(), "b".to_owned())];
        let raw = RawPayload::new("sqs", &headers, b"no \xff JSON", 100);
        assert_eq!(raw.kept(), b"no \xff JSON");
        assert_eq!((raw.bytes, &raw.sha256, &raw.headers), (9, &None, &headers));
        let json = serde_json::to_string(&raw).unwrap();
        assert_eq!(serde_json::from_str::<RawPayload>(&json).unwrap(), raw);
    }

    #[test]
    fn of_what_is_too_large_the_beginning_is_kept_with_length_and_hash_of_the_whole() {
        let raw = RawPayload::new("sqs", &[], b"hello", 4);
        assert_eq!((raw.kept().as_slice(), raw.bytes), (b"hell".as_slice(), 5));
        let hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        assert_eq!(raw.sha256.as_deref(), Some(hello));

        let large = vec![0; RawPayload::MAX_BYTES + 1];
        let raw = RawPayload::new("sqs", &[], &large, usize::MAX);
        assert_eq!(raw.kept().len(), RawPayload::MAX_BYTES);
        assert!(raw.sha256.is_some());
    }

    #[test]
    fn headers_are_bounded() {
        let long = "x".repeat(RawPayload::MAX_HEADER_BYTES - 2);
        let headers = [("a", long.as_str()), ("b", ""), ("c", "d")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let raw = RawPayload::new("sqs", &headers, b"", 1);
        assert_eq!(raw.headers, headers[..2]);
    }
}
