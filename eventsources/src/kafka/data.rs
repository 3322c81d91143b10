//! An event's data, in the shape that Argo Events gives it:
//! `{"topic", "key", "partition", "body", "timestamp", "headers", "metadata"}`.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;

use crate::json::{push_base64, push_compact, push_string};

/// A message, as far as its event shows it.
pub struct Record<'a> {
    pub topic: &'a str,
    pub key: Option<&'a [u8]>,
    pub partition: i32,
    /// Milliseconds since 1970.
    pub timestamp: Option<i64>,
    pub headers: &'a [(String, String)],
}

/// What the data shows as the message's value.
pub enum Body<'a> {
    /// It has no value at all, as what deletes a key.
    None,
    /// Valid JSON, as it is.
    Json(&'a [u8]),
    /// Anything else.
    Bytes(&'a [u8]),
}

/// The data of an event. `end` is the data's last member and brace.
pub fn event_data(record: &Record<'_>, body: &Body<'_>, end: &str) -> Bytes {
    let room = match body {
        Body::None => 0,
        Body::Json(json) => json.len(),
        Body::Bytes(bytes) => bytes.len() * 4 / 3,
    };
    let mut out = Vec::with_capacity(room + end.len() + 256);
    out.extend_from_slice(b"{\"topic\":");
    push_string(&mut out, record.topic);
    out.extend_from_slice(b",\"key\":");
    push_string(&mut out, &String::from_utf8_lossy(record.key.unwrap_or_default()));
    out.extend_from_slice(format!(",\"partition\":{},\"body\":", record.partition).as_bytes());
    match body {
        Body::None => out.extend_from_slice(b"null"),
        Body::Json(json) => push_compact(&mut out, json),
        Body::Bytes(bytes) => push_base64(&mut out, bytes),
    }
    out.extend_from_slice(b",\"timestamp\":");
    push_string(&mut out, &time(record.timestamp));
    out.extend_from_slice(b",\"headers\":");
    push_headers(&mut out, record.headers);
    out.extend_from_slice(end.as_bytes());
    Bytes::from(out)
}

/// The headers, sorted by name; of several of one name the last, as in a map of Go's.
fn push_headers(out: &mut Vec<u8>, headers: &[(String, String)]) {
    let sorted: BTreeMap<&str, &str> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    out.push(b'{');
    for (at, (name, value)) in sorted.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push_string(out, name);
        out.push(b':');
        push_string(out, value);
    }
    out.push(b'}');
}

/// As Go prints a time; without one, Go's first moment.
fn time(milliseconds: Option<i64>) -> String {
    match milliseconds.and_then(|value| Timestamp::from_millisecond(value).ok()) {
        Some(time) => time.strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC").to_string(),
        None => "0001-01-01 00:00:00 +0000 UTC".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(headers: &[(String, String)], body: &Body<'_>, end: &str) -> String {
        let timestamp = Some(1_795_230_000_120);
        let key = Some(b"shop".as_slice());
        let record = Record { topic: "builds", key, partition: 3, timestamp, headers };
        String::from_utf8(event_data(&record, body, end).to_vec()).unwrap()
    }

    #[test]
    fn the_data_is_what_argo_events_emits() {
        let headers = [("b", "2"), ("a", "é"), ("b", "3")].map(|(k, v)| (k.into(), v.into()));
        assert_eq!(
            text(&headers, &Body::Json(b"{\"a\": [1, \"x y\"]}"), ",\"metadata\":{\"m\":\"n\"}}"),
            r#"{"topic":"builds","key":"shop","partition":3,"body":{"a":[1,"x y"]},"timestamp":"2026-11-21 03:00:00.12 +0000 UTC","headers":{"a":"é","b":"3"},"metadata":{"m":"n"}}"#
        );
        assert_eq!(
            text(&[], &Body::Bytes(b"\0\xff"), "}"),
            r#"{"topic":"builds","key":"shop","partition":3,"body":"AP8=","timestamp":"2026-11-21 03:00:00.12 +0000 UTC","headers":{}}"#
        );
        let none = Record { topic: "t", key: None, partition: 0, timestamp: None, headers: &[] };
        assert_eq!(
            event_data(&none, &Body::None, "}"),
            r#"{"topic":"t","key":"","partition":0,"body":null,"timestamp":"0001-01-01 00:00:00 +0000 UTC","headers":{}}"#
        );
    }
}
