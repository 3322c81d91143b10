//! Where an event's correlation id is found.
//!
//! In this order: the place that the event source's configuration names; the CloudEvents
//! extension `correlationid`; a header or attribute `correlation-id` or
//! `x-correlation-id` (any case, `_` or `-`); a field `correlation_id` or `correlationId`
//! of the body; the trace id of the W3C `traceparent`; else the event's own id begins a
//! new chain.

use tripline_event::CorrelationId;
use tripline_event::event::Links;
use tripline_eventsources::Message;
use tripline_sensors::path::Path;

/// An id that is longer is cut, at a character: it has to stand in every record.
const MAX_BYTES: usize = 8 * 1024;

/// The longest name of a trigger in a path: namespace, sensor and trigger.
const MAX_NAME_BYTES: usize = 1024;

/// What a message says about the chain that it belongs to.
#[derive(Debug)]
pub struct Found {
    /// The correlation id; none: the event's own id begins a chain.
    pub correlation: Option<CorrelationId>,
    /// The id of the action that caused the message, where a trigger of Tripline sent it.
    pub causation: Option<String>,
    /// How many hops the chain had when the message was sent.
    pub hops: u16,
    /// The triggers that led to it.
    pub path: Vec<String>,
    /// The `traceparent`.
    pub traceparent: Option<String>,
}

/// Finds them.
#[derive(Debug)]
pub struct Finder {
    body_fields: Vec<Path>,
}

impl Default for Finder {
    fn default() -> Self {
        let path = |text| Path::compile(text).ok();
        Self {
            body_fields: ["correlation_id", "correlationId"].into_iter().filter_map(path).collect(),
        }
    }
}

impl Finder {
    /// What `message` says.
    pub fn find(&self, message: &Message) -> Found {
        let header = |names: &[&str]| {
            let (_, value) = message.headers.iter().find(|(name, value)| {
                !value.is_empty() && names.iter().any(|wanted| same_name(name, wanted))
            })?;
            Some(value.as_str())
        };
        let traceparent = header(&["traceparent"]).filter(|value| trace_id(value).is_some());
        let correlation = configured(message)
            .or_else(|| header(&["ce-correlationid", "correlationid"]).map(decoded))
            .or_else(|| header(&["correlation-id", "x-correlation-id"]).map(decoded))
            .or_else(|| self.in_body(message))
            .or_else(|| traceparent.and_then(trace_id).map(str::to_owned));
        Found {
            correlation: correlation.map(|id| CorrelationId(cut(id))),
            causation: header(&["causation-id", "x-causation-id", "ce-causationid"])
                .map(decoded)
                .map(cut),
            hops: header(&["x-tripline-hops"])
                .and_then(|text| text.parse().ok())
                .unwrap_or_default(),
            path: header(&["x-tripline-path"]).map(path).unwrap_or_default(),
            traceparent: traceparent.map(str::to_owned),
        }
    }

    fn in_body(&self, message: &Message) -> Option<String> {
        let body = std::str::from_utf8(message.body.as_deref()?).ok()?;
        if !body.trim_start().starts_with('{') {
            return None;
        }
        self.body_fields.iter().find_map(|path| text_at(path, body))
    }
}

/// The path that the configuration names is a path in the event's data, as a sensor
/// would write it.
fn configured(message: &Message) -> Option<String> {
    let path = Path::compile(message.correlation_path.as_deref()?).ok()?;
    text_at(&path, std::str::from_utf8(&message.data).ok()?)
}

fn text_at(path: &Path, json: &str) -> Option<String> {
    let text = path.find(json)?.text().into_owned();
    (!text.is_empty()).then_some(text)
}

/// Header names are compared without case, and `_` is `-`.
fn same_name(name: &str, wanted: &str) -> bool {
    name.len() == wanted.len()
        && name.bytes().zip(wanted.bytes()).all(|(a, b)| {
            let a = if a == b'_' { b'-' } else { a.to_ascii_lowercase() };
            a == b
        })
}

/// Tripline's own triggers percent-encode what they put into headers.
fn decoded(value: &str) -> String {
    percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned()
}

fn cut(mut id: String) -> String {
    let mut end = id.len().min(MAX_BYTES);
    while !id.is_char_boundary(end) {
        end -= 1;
    }
    id.truncate(end);
    id
}

/// What an `http` trigger sends: names joined by commas. Too many or too long are none.
fn path(value: &str) -> Vec<String> {
    let names: Vec<String> =
        value.split(',').map(decoded).filter(|name| !name.is_empty()).collect();
    let fits =
        names.len() <= Links::MAX_PATH && names.iter().all(|name| name.len() <= MAX_NAME_BYTES);
    if fits { names } else { Vec::new() }
}

/// `00-<32 hex>-<16 hex>-<2 hex>`, and the trace id is not all zeros (W3C Trace Context).
fn trace_id(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.split('-');
    let (version, id) = (parts.next()?, parts.next()?);
    let hex = |text: &str, len| text.len() == len && text.bytes().all(|c| c.is_ascii_hexdigit());
    (hex(version, 2) && hex(id, 32) && id.bytes().any(|c| c != b'0')).then_some(id)
}

impl Found {
    /// The links of the event whose id is `own`.
    pub fn into_links(self, own: &str) -> Links {
        Links {
            correlation: self.correlation.unwrap_or_else(|| CorrelationId(own.to_owned())),
            chain: None,
            causation: self.causation,
            hops: self.hops,
            path: self.path,
            traceparent: self.traceparent,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tripline_event::{EventKey, Timestamp};

    use super::*;

    fn find(headers: &[(&str, &str)], body: &str, path: Option<&str>) -> Found {
        Finder::default().find(&Message {
            key: EventKey::new("ci", "builds", "completed"),
            kind: "webhook",
            id: None,
            time: Timestamp::UNIX_EPOCH,
            data: Bytes::from(format!(r#"{{"body":{body}}}"#)),
            headers: headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            body: Some(Bytes::from(body.to_owned())),
            correlation_path: path.map(str::to_owned),
            cloud_event: None,
        })
    }

    fn correlation(headers: &[(&str, &str)], body: &str, path: Option<&str>) -> String {
        find(headers, body, path).into_links("own").correlation.0
    }

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_places_are_looked_at_in_order() {
        let body = r#"{"build": {"id": "p"}, "correlation_id": "b", "correlationId": "c"}"#;
        let headers =
            [("Ce-Correlationid", "ce"), ("X-Correlation-Id", "h"), ("traceparent", TRACE)];
        assert_eq!(correlation(&headers, body, Some("body.build.id")), "p");
        assert_eq!(correlation(&headers, body, Some("body.build.none")), "ce");
        assert_eq!(correlation(&headers, body, None), "ce");
        assert_eq!(correlation(&headers[1..], body, None), "h");
        assert_eq!(correlation(&headers[2..], body, None), "b");
        assert_eq!(correlation(&headers[2..], r#"{"correlationId": 7}"#, None), "7");
        assert_eq!(correlation(&headers[2..], "[]", None), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(correlation(&[], "null", None), "own");
    }

    #[test]
    fn header_names_are_compared_without_case_and_with_either_dash() {
        for name in ["correlation-id", "Correlation_Id", "X_CORRELATION_ID", "x-correlation-id"] {
            assert_eq!(correlation(&[(name, "h")], "{}", None), "h", "{name}");
        }
        assert_eq!(correlation(&[("my-correlation-id", "h")], "{}", None), "own");
    }

    #[test]
    fn an_empty_id_is_none_and_a_long_one_is_cut() {
        assert_eq!(
            correlation(&[("correlation-id", "")], r#"{"correlation_id": ""}"#, None),
            "own"
        );
        let long = "é".repeat(MAX_BYTES);
        assert_eq!(correlation(&[("correlation-id", &long)], "{}", None).len(), MAX_BYTES);
    }

    #[test]
    fn a_broken_traceparent_is_not_taken_on() {
        for broken in [
            "",
            "00",
            "00-0000",
            &TRACE.replace('4', "x"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        ] {
            let found = find(&[("traceparent", broken)], "{}", None);
            assert!(found.traceparent.is_none() && found.correlation.is_none(), "{broken}");
        }
    }

    #[test]
    fn what_tripline_sent_itself_is_read_back() {
        let id = CorrelationId("arn:aws:sns 🚀\r\n%".into());
        let headers = [
            ("x-correlation-id", id.header_value()),
            ("x-causation-id", "a1".into()),
            ("x-tripline-hops", "3".into()),
            ("x-tripline-path", "ci/a/t,ci/b/u".into()),
        ];
        let headers: Vec<_> = headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let links = find(&headers, "{}", None).into_links("own");
        assert_eq!(links.path, ["ci/a/t", "ci/b/u"]);
        assert_eq!(
            (links.correlation, links.causation.as_deref(), links.hops),
            (id, Some("a1"), 3)
        );
    }
}
