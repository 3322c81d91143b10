//! An event's data, in the shape that Argo Events gives it:
//! `{"header": {"Canonical-Name": ["value"]}, "body": …, "metadata": {…}}`.

use bytes::Bytes;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue, TRAILER, TRANSFER_ENCODING};

use crate::json::{push_compact, push_string};

/// What stands in the place of an `Authorization` header.
const MASKED: &str = "*** Masked Auth Secret ***";

/// The data of an event. `body` is JSON; `end` is the data's last member and brace.
pub fn event_data(headers: &HeaderMap, body: &[u8], end: &str) -> Bytes {
    let header_bytes: usize = headers.iter().map(|(k, v)| k.as_str().len() + v.len() + 8).sum();
    let mut out = Vec::with_capacity(body.len() + header_bytes + end.len() + 64);
    out.extend_from_slice(b"{\"header\":{");
    push_headers(&mut out, headers);
    out.extend_from_slice(b"},\"body\":");
    push_compact(&mut out, body);
    out.extend_from_slice(end.as_bytes());
    Bytes::from(out)
}

/// The headers by name, sorted, as Go prints them. Go's server takes the three that are
/// left out here for itself.
fn push_headers(out: &mut Vec<u8>, headers: &HeaderMap) {
    let mut names: Vec<&HeaderName> = headers
        .keys()
        .filter(|name| !matches!(**name, HOST | TRANSFER_ENCODING | TRAILER))
        .collect();
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    for (at, name) in names.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push_canonical(out, name);
        out.extend_from_slice(b":[");
        if name == AUTHORIZATION {
            push_string(out, MASKED);
        } else {
            for (at, value) in headers.get_all(name).iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                push_value(out, value);
            }
        }
        out.push(b']');
    }
}

/// A header's name as Go writes it: a capital at the start and after each hyphen. The
/// characters of a header's name need no escape in JSON.
fn push_canonical(out: &mut Vec<u8>, name: &HeaderName) {
    out.push(b'"');
    let mut capital = true;
    for c in name.as_str().bytes() {
        out.push(if capital { c.to_ascii_uppercase() } else { c });
        capital = c == b'-';
    }
    out.push(b'"');
}

fn push_value(out: &mut Vec<u8>, value: &HeaderValue) {
    let bytes = value.as_bytes();
    if bytes.iter().all(|c| (b' '..0x7f).contains(c) && !b"\"\\".contains(c)) {
        out.push(b'"');
        out.extend_from_slice(bytes);
        out.push(b'"');
    } else {
        push_string(out, &String::from_utf8_lossy(bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(headers: &[(&str, &str)], body: &str, end: &str) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            map.append(HeaderName::try_from(*name).unwrap(), value);
        }
        String::from_utf8(event_data(&map, body.as_bytes(), end).to_vec()).unwrap()
    }

    #[test]
    fn data_has_the_shape_of_argo_events() {
        assert_eq!(data(&[], "1", "}"), r#"{"header":{},"body":1}"#);
        assert_eq!(
            data(&[("x-github-event", "push"), ("accept", "a"), ("accept", "b")], "{}", "}"),
            r#"{"header":{"Accept":["a","b"],"X-Github-Event":["push"]},"body":{}}"#
        );
        assert_eq!(
            data(&[("x", "say \"hi\" \\ é\t")], "null", r#","metadata":{"a":"b"}}"#),
            r#"{"header":{"X":["say \"hi\" \\ é\t"]},"body":null,"metadata":{"a":"b"}}"#
        );
    }

    #[test]
    fn a_token_is_masked_and_what_go_keeps_for_itself_is_left_out() {
        let headers =
            [("authorization", "Bearer s3cret"), ("host", "h"), ("transfer-encoding", "chunked")];
        assert_eq!(
            data(&headers, "1", "}"),
            r#"{"header":{"Authorization":["*** Masked Auth Secret ***"]},"body":1}"#
        );
    }

    #[test]
    fn white_space_goes_and_everything_else_in_a_body_stays_as_it_is() {
        for (body, expected) in [
            (
                "{ \"b\" : [1.50, 1e3,\n\t\"a  b\" ] , \"a\":9007199254740993}\r\n",
                "{\"b\":[1.50,1e3,\"a  b\"],\"a\":9007199254740993}",
            ),
            (
                r#"{"a": "x \" y \\", "b": "\\\" z", "a": 2}"#,
                r#"{"a":"x \" y \\","b":"\\\" z","a":2}"#,
            ),
            ("\"\\u0020 <&> \u{2028}\"", "\"\\u0020 <&> \u{2028}\""),
        ] {
            assert_eq!(data(&[], body, "}"), format!("{{\"header\":{{}},\"body\":{expected}}}"));
        }
    }
}
