//! An event's data, in the shape that Argo Events gives it:
//! `{"subject", "body", "header", "metadata"}`.

use std::collections::BTreeMap;

use async_nats::HeaderMap;
use bytes::Bytes;

use crate::json::{push_base64, push_compact, push_string};

/// The body of an event's data.
pub enum Body<'b> {
    /// JSON as it is.
    Json(&'b [u8]),
    /// Bytes, as a string of base64.
    Bytes(&'b [u8]),
}

/// The data of an event. `end` is the data's last member and brace.
pub fn event_data(subject: &str, headers: Option<&HeaderMap>, body: &Body<'_>, end: &str) -> Bytes {
    let (Body::Json(bytes) | Body::Bytes(bytes)) = body;
    let mut out = Vec::with_capacity(bytes.len() * 4 / 3 + subject.len() + end.len() + 256);
    out.extend_from_slice(b"{\"subject\":");
    push_string(&mut out, subject);
    out.extend_from_slice(b",\"body\":");
    match body {
        Body::Json(json) => push_compact(&mut out, json),
        Body::Bytes(bytes) => push_base64(&mut out, bytes),
    }
    if let Some(headers) = headers.filter(|headers| !headers.is_empty()) {
        push_headers(&mut out, headers);
    }
    out.extend_from_slice(end.as_bytes());
    Bytes::from(out)
}

/// The headers by name, sorted, as Go prints them.
fn push_headers(out: &mut Vec<u8>, headers: &HeaderMap) {
    let sorted: BTreeMap<&str, Vec<&str>> = headers
        .iter()
        .map(|(name, values)| (name.as_ref(), values.iter().map(AsRef::as_ref).collect()))
        .collect();
    out.extend_from_slice(b",\"header\":{");
    for (at, (name, values)) in sorted.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push_string(out, name);
        out.extend_from_slice(b":[");
        for (at, value) in values.into_iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            push_string(out, value);
        }
        out.push(b']');
    }
    out.push(b'}');
}

/// The headers as pairs, with names as they came.
pub fn pairs(headers: Option<&HeaderMap>) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = headers
        .into_iter()
        .flat_map(HeaderMap::iter)
        .flat_map(|(name, values)| {
            let name: &str = name.as_ref();
            values.iter().map(move |value| (name.to_owned(), value.as_str().to_owned()))
        })
        .collect();
    // They come in no order.
    pairs.sort_unstable();
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(headers: Option<&HeaderMap>, body: &Body<'_>, end: &str) -> String {
        String::from_utf8(event_data("builds.done", headers, body, end).to_vec()).unwrap()
    }

    #[test]
    fn data_has_the_shape_of_argo_events() {
        assert_eq!(
            data(None, &Body::Json(b" {\"a\": 1.50} "), "}"),
            r#"{"subject":"builds.done","body":{"a":1.50}}"#
        );
        let mut headers = HeaderMap::new();
        assert_eq!(
            data(Some(&headers), &Body::Bytes(b"abc"), "}"),
            r#"{"subject":"builds.done","body":"YWJj"}"#
        );
        headers.append("x-b", "1");
        headers.append("Nats-Msg-Id", "say \"hi\"");
        headers.append("x-b", "2");
        assert_eq!(
            data(Some(&headers), &Body::Bytes(b""), r#","metadata":{"a":"b"}}"#),
            r#"{"subject":"builds.done","body":"","header":{"Nats-Msg-Id":["say \"hi\""],"x-b":["1","2"]},"metadata":{"a":"b"}}"#
        );
    }
}
