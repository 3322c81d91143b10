//! An event's data, in the shape that Argo Events gives it:
//! `{"topic", "key", "partition", "body", "timestamp", "headers", "metadata"}`.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::json::{push_base64, push_compact, push_string};

/// A message, as far as its event shows it.
pub struct Record<'a> {
    pub topic: &'a str,
    pub key: Option<&'a [u8]>,
    pub partition: i32,
    /// None: it has no value at all, as what deletes a key.
    pub value: Option<&'a [u8]>,
    /// Milliseconds since 1970.
    pub timestamp: Option<i64>,
    pub headers: &'a [(String, String)],
}

/// The data of an event. `end` is the data's last member and brace.
///
/// # Errors
/// The value is no JSON, where that is what it is to be.
pub fn event_data(record: &Record<'_>, json_body: bool, end: &str) -> Result<Bytes, String> {
    let value = record.value.unwrap_or_default();
    let room = value.len() * 4 / 3 + end.len() + 256;
    let mut out = Vec::with_capacity(room);
    out.extend_from_slice(b"{\"topic\":");
    push_string(&mut out, record.topic);
    out.extend_from_slice(b",\"key\":");
    push_string(&mut out, &String::from_utf8_lossy(record.key.unwrap_or_default()));
    out.extend_from_slice(format!(",\"partition\":{},\"body\":", record.partition).as_bytes());
    match record.value {
        None => out.extend_from_slice(b"null"),
        Some(value) if json_body => {
            let json = serde_json::from_slice::<&RawValue>(value);
            let json = json.map_err(|error| format!("message is not valid JSON: {error}"))?;
            push_compact(&mut out, json.get().as_bytes());
        }
        Some(value) => push_base64(&mut out, value),
    }
    out.extend_from_slice(b",\"timestamp\":");
    push_string(&mut out, &time(record.timestamp));
    out.extend_from_slice(b",\"headers\":");
    push_headers(&mut out, record.headers);
    out.extend_from_slice(end.as_bytes());
    Ok(Bytes::from(out))
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

    fn record<'a>(value: Option<&'a [u8]>, headers: &'a [(String, String)]) -> Record<'a> {
        let timestamp = Some(1_795_230_000_120);
        Record { topic: "builds", key: Some(b"shop"), partition: 3, value, timestamp, headers }
    }

    fn text(record: &Record<'_>, json_body: bool, end: &str) -> String {
        String::from_utf8(event_data(record, json_body, end).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn the_data_is_what_argo_events_emits() {
        let headers = [("b", "2"), ("a", "é"), ("b", "3")].map(|(k, v)| (k.into(), v.into()));
        let json = record(Some(b" {\"a\": [1, \"x y\"]}\n"), &headers);
        assert_eq!(
            text(&json, true, ",\"metadata\":{\"m\":\"n\"}}"),
            r#"{"topic":"builds","key":"shop","partition":3,"body":{"a":[1,"x y"]},"timestamp":"2026-11-21 03:00:00.12 +0000 UTC","headers":{"a":"é","b":"3"},"metadata":{"m":"n"}}"#
        );
        assert_eq!(
            text(&record(Some(b"\0\xff"), &[]), false, "}"),
            r#"{"topic":"builds","key":"shop","partition":3,"body":"AP8=","timestamp":"2026-11-21 03:00:00.12 +0000 UTC","headers":{}}"#
        );
        for json_body in [true, false] {
            let none = Record { key: None, timestamp: None, ..record(None, &[]) };
            assert_eq!(
                text(&none, json_body, "}"),
                r#"{"topic":"builds","key":"","partition":3,"body":null,"timestamp":"0001-01-01 00:00:00 +0000 UTC","headers":{}}"#
            );
        }
    }

    #[test]
    fn what_is_not_json_is_refused_where_json_is_asked_for() {
        for value in ["no JSON", "", "{\"a\":", "{} {}"] {
            let error = event_data(&record(Some(value.as_bytes()), &[]), true, "}").unwrap_err();
            assert!(error.starts_with("message is not valid JSON: "), "{value}: {error}");
        }
    }
}
