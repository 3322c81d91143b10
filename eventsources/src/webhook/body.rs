//! The body of a request: read within its bounds, and turned into JSON.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use percent_encoding::percent_decode_str;
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::limits::{BODY, DRAIN, DRAIN_BYTES};

/// Why a body could not be read.
#[derive(Debug)]
pub enum BodyError {
    TooLarge,
    TooSlow,
    /// All memory for bodies is in use.
    Busy,
    Unreadable(hyper::Error),
}

/// A body, and its share of the memory for bodies.
#[derive(Debug)]
pub struct Held {
    pub bytes: Bytes,
    _memory: Option<OwnedSemaphorePermit>,
}

/// Reads a body of at most `limit` bytes.
pub async fn read(
    body: &mut Incoming,
    limit: usize,
    memory: &Arc<Semaphore>,
) -> Result<Held, BodyError> {
    if body.size_hint().lower() > limit as u64 {
        return Err(BodyError::TooLarge);
    }
    timeout(BODY, collect(body, limit, memory)).await.unwrap_or(Err(BodyError::TooSlow))
}

async fn collect(
    body: &mut Incoming,
    limit: usize,
    memory: &Arc<Semaphore>,
) -> Result<Held, BodyError> {
    let mut held = Held { bytes: Bytes::new(), _memory: None };
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(BodyError::Unreadable)?.into_data() else { continue };
        if held.bytes.len() + joined.len() + data.len() > limit {
            return Err(BodyError::TooLarge);
        }
        hold(&mut held._memory, memory, data.len())?;
        if held.bytes.is_empty() && joined.is_empty() {
            // Nearly always all there is: not copied.
            held.bytes = data;
        } else {
            joined.extend_from_slice(&std::mem::take(&mut held.bytes));
            joined.extend_from_slice(&data);
        }
    }
    if !joined.is_empty() {
        held.bytes = joined.freeze();
    }
    Ok(held)
}

fn hold(
    held: &mut Option<OwnedSemaphorePermit>,
    memory: &Arc<Semaphore>,
    bytes: usize,
) -> Result<(), BodyError> {
    let bytes = u32::try_from(bytes).map_err(|_| BodyError::Busy)?;
    let more = Arc::clone(memory).try_acquire_many_owned(bytes).map_err(|_| BodyError::Busy)?;
    match held {
        Some(held) => held.merge(more),
        None => *held = Some(more),
    }
    Ok(())
}

/// Reads what is left of a body and throws it away: a client that still sends would see
/// a reset connection where it should see the answer.
pub async fn drain(body: &mut Incoming) {
    let all = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > DRAIN_BYTES {
                break;
            }
        }
    };
    // Too slow: the answer is sent all the same.
    let _elapsed = timeout(DRAIN, all).await;
}

/// The JSON text of `body`, without the white space around it, or why it is none.
pub fn json(body: &[u8]) -> Result<&[u8], String> {
    serde_json::from_slice::<&RawValue>(body)
        .map(|value| value.get().as_bytes())
        .map_err(|error| format!("request body is not valid JSON: {error}"))
}

/// A payload as JSON.
#[derive(Debug, PartialEq, Eq)]
pub struct Payload {
    /// What goes into the event.
    pub json: Bytes,
    /// What ids are looked for in: the same, but for fields the first value of each, and
    /// not an array.
    pub single: Bytes,
}

/// Query parameters or the fields of a form: an object with an array of strings for each
/// name. Also the first pair that is malformed; it is left out.
pub fn fields(text: &str) -> (Payload, Option<String>) {
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut malformed = None;
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        match field(pair) {
            Ok((name, value)) => fields.entry(name).or_default().push(value),
            Err(error) => malformed = malformed.or(Some(error)),
        }
    }
    let json = Bytes::from(serde_json::json!(fields).to_string());
    let first: BTreeMap<&String, Option<&String>> =
        fields.iter().map(|(name, values)| (name, values.first())).collect();
    let single = Bytes::from(serde_json::json!(first).to_string());
    (Payload { json, single }, malformed)
}

fn field(pair: &str) -> Result<(String, String), String> {
    if pair.contains(';') {
        return Err("invalid semicolon separator in query".into());
    }
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    Ok((unescape(name)?, unescape(value)?))
}

/// Percent-decoding where a `%` without two digits is an error, as in Go.
fn unescape(text: &str) -> Result<String, String> {
    for (at, _) in text.match_indices('%') {
        let digits = text.as_bytes().get(at + 1..at + 3).unwrap_or_default();
        if digits.len() < 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
            let escape: String = text[at..].chars().take(3).collect();
            return Err(format!("invalid URL escape {escape:?}"));
        }
    }
    let spaced = text.replace('+', " ");
    Ok(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_arrays_of_strings_and_a_malformed_pair_is_left_out() {
        for (text, json, error) in [
            ("", "{}", None),
            ("b=2&a=1&a=", r#"{"a":["1",""],"b":["2"]}"#, None),
            ("a", r#"{"a":[""]}"#, None),
            ("a+b=c%20d%2Be", r#"{"a b":["c d+e"]}"#, None),
            ("a=%zz&b=1", r#"{"b":["1"]}"#, Some(r#"invalid URL escape "%zz""#)),
            ("a=%4", "{}", Some(r#"invalid URL escape "%4""#)),
            ("a=1;b=2", "{}", Some("invalid semicolon separator in query")),
            ("a=%ff", "{\"a\":[\"\u{fffd}\"]}", None),
        ] {
            let (payload, malformed) = fields(text);
            assert_eq!((&*payload.json, malformed.as_deref()), (json.as_bytes(), error), "{text}");
        }
        assert_eq!(fields("a=1&a=2&b=").0.single, r#"{"a":"1","b":""}"#);
    }
}
