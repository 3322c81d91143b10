//! CloudEvents that come in: what a request or a message says of itself, in binary mode (in
//! its headers) or in structured mode (in its body).
//!
//! An event source takes them where its configuration has `cloudEvents: true`. What is not a
//! valid CloudEvent of version 1.0 is refused with the reason, and so is a batch of several.
//! The event's data keeps the shape of its kind; its `body` is the CloudEvent's data, the same
//! in both modes: JSON as it is, text as a string, anything else as a string of base64.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::value::RawValue;
use tripline_event::{CloudEvent, EventId, Timestamp};

use crate::json::push_string;

/// How a system carries CloudEvents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Binding {
    /// What the header of an attribute begins with.
    prefix: &'static str,
    /// Values of headers are percent-encoded.
    encoded: bool,
}

impl Binding {
    /// HTTP Protocol Binding for CloudEvents 1.0, §3.1.
    pub(crate) const HTTP: Self = Self { prefix: "ce-", encoded: true };
    /// NATS Protocol Binding for CloudEvents 1.0, §3.1.
    #[cfg(any(test, feature = "nats"))]
    pub(crate) const NATS: Self = Self { prefix: "ce-", encoded: true };
    /// Kafka Protocol Binding for CloudEvents 1.0, §3.2: UTF-8 as it is.
    #[cfg(any(test, feature = "kafka"))]
    pub(crate) const KAFKA: Self = Self { prefix: "ce_", encoded: false };
}

/// The content type of one CloudEvent in structured mode.
const STRUCTURED: &str = "application/cloudevents+json";
/// What all content types of structured modes begin with.
const CLOUDEVENTS: &str = "application/cloudevents";
/// The only version.
const VERSION: &str = "1.0";
/// The longest attribute, in bytes: they stand in every record.
const MAX_ATTRIBUTE_BYTES: usize = 8 * 1024;
/// The most attributes.
const MAX_ATTRIBUTES: usize = 64;

/// A CloudEvent that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// What it says of itself.
    pub(crate) event: Box<CloudEvent>,
    /// Its identity: `source#id`, since an id is unique for its source alone.
    pub(crate) id: EventId,
    /// Its data as JSON, for the `body` of the event's data; `null` where there is none.
    pub(crate) body: Bytes,
    /// Its data where that is JSON: what a correlation id is looked for in.
    pub(crate) json: Option<Bytes>,
    /// Attributes that link it to what went before, with names as [`crate::Message::headers`]
    /// has them. They come before the headers of the message.
    pub(crate) links: Vec<(String, String)>,
}

/// The CloudEvent that came in as these headers (names in any case) and this body, or why it is
/// none: for whoever sent it.
pub(crate) fn take<'h>(
    binding: Binding,
    headers: impl Iterator<Item = (&'h str, &'h str)>,
    body: &Bytes,
) -> Result<Taken, String> {
    let mut attributes = BTreeMap::new();
    let mut content_type = None;
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        if name == "content-type" {
            content_type.get_or_insert_with(|| value.trim().to_owned());
        } else if let Some(name) = name.strip_prefix(binding.prefix) {
            let value = match binding.encoded {
                true => decoded(value)?,
                false => value.to_owned(),
            };
            attributes.entry(name.to_owned()).or_insert(value);
        }
    }
    let kind = media_type(content_type.as_deref().unwrap_or_default());
    if kind == STRUCTURED {
        return structured(body);
    }
    if kind.starts_with(CLOUDEVENTS) {
        let what = if kind.contains("-batch") { "a batch" } else { "a format" };
        return Err(format!(
            "`{kind}` is {what} that is not taken: send each CloudEvent by itself, as \
             `{STRUCTURED}` or with its attributes in headers"
        ));
    }
    // Messages of systems that had no headers once say it nowhere else.
    if content_type.is_none() && attributes.is_empty() && looks_structured(body) {
        return structured(body);
    }
    if !attributes.contains_key("specversion") {
        return Err(format!(
            "this is no CloudEvent: it has neither the content type `{STRUCTURED}` nor the header \
             `{}specversion`",
            binding.prefix
        ));
    }
    // In binary mode the content type is that of the data.
    attributes.remove("datacontenttype");
    let data = if body.is_empty() { Data::None } else { Data::Bytes(body.clone()) };
    finish(attributes, content_type, data)
}

/// Whether the body says by itself that it is a CloudEvent.
fn looks_structured(body: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Version {
        #[expect(dead_code, reason = "only whether it is there")]
        specversion: String,
    }
    serde_json::from_slice::<Version>(body).is_ok()
}

/// The media type without its parameters, in lower case.
fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn decoded(value: &str) -> Result<String, String> {
    let text = percent_decode_str(value).decode_utf8();
    text.map(|text| text.into_owned()).map_err(|_| "a header of it is not UTF-8".to_owned())
}

enum Data {
    None,
    /// Of the content type.
    Bytes(Bytes),
    /// The member `data` of the JSON format, whatever the content type.
    Json(Bytes),
}

/// JSON Event Format for CloudEvents 1.0, §3.
fn structured(body: &Bytes) -> Result<Taken, String> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_slice(body)
        .map_err(|error| format!("the CloudEvent is no JSON object: {error}"))?;
    let (mut attributes, mut data) = (BTreeMap::new(), Data::None);
    let mut content_type = None;
    for (name, value) in members {
        let value = value.get();
        match name.as_str() {
            // No value is the same as no member; as data it is a value.
            "data" | "data_base64" if !matches!(data, Data::None) => {
                return Err("the CloudEvent has both `data` and `data_base64`".to_owned());
            }
            "data" => data = Data::Json(body.slice_ref(value.as_bytes())),
            _ if value == "null" => {}
            "data_base64" => data = Data::Bytes(base64_member(value)?.into()),
            "datacontenttype" => content_type = Some(attribute(&name, value)?),
            _ => drop(attributes.insert(name.clone(), attribute(&name, value)?)),
        }
    }
    finish(attributes, content_type, data)
}

fn base64_member(value: &str) -> Result<Vec<u8>, String> {
    let text: String =
        serde_json::from_str(value).map_err(|_| "`data_base64` is no string".to_owned())?;
    BASE64.decode(text).map_err(|error| format!("`data_base64` is no base64: {error}"))
}

/// A string as it is, a number or a boolean as it is written.
fn attribute(name: &str, value: &str) -> Result<String, String> {
    if let Ok(text) = serde_json::from_str::<String>(value) {
        return Ok(text);
    }
    match value.as_bytes().first() {
        Some(b'{' | b'[') => Err(format!("attribute `{name}` is no string, number or boolean")),
        _ => Ok(value.to_owned()),
    }
}

fn finish(
    mut attributes: BTreeMap<String, String>,
    content_type: Option<String>,
    data: Data,
) -> Result<Taken, String> {
    check(&attributes)?;
    let mut required = |name: &str| {
        let value = attributes.remove(name).filter(|value| !value.is_empty());
        value.ok_or_else(|| format!("the CloudEvent has no `{name}`"))
    };
    let version = required("specversion")?;
    if version != VERSION {
        return Err(format!("the CloudEvent has version `{version}`, only {VERSION} is taken"));
    }
    let (id, source, kind) = (required("id")?, required("source")?, required("type")?);
    let subject = attributes.remove("subject").filter(|subject| !subject.is_empty());
    let time = attributes.remove("time").map(|text| {
        text.parse::<Timestamp>().map_err(|_| format!("`time` of the CloudEvent is `{text}`, expected a time as in RFC 3339: 2026-11-21T03:00:00Z"))
    });
    let time = time.transpose()?;
    let (body, json) = body(content_type.as_deref(), data)?;
    let links = links(&attributes);
    let identity = identity(&source, &id);
    let extensions = attributes;
    let event = CloudEvent { id, source, kind, subject, time, extensions, transfer: None };
    Ok(Taken { event: Box::new(event), id: identity, body, json, links })
}

/// Whatever comes is shown, compared and put into headers.
fn check(attributes: &BTreeMap<String, String>) -> Result<(), String> {
    if attributes.len() > MAX_ATTRIBUTES {
        let count = attributes.len();
        return Err(format!("the CloudEvent has {count} attributes, at most {MAX_ATTRIBUTES}"));
    }
    for (name, value) in attributes {
        let valid = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        if name.is_empty() || !name.bytes().all(valid) || name.len() > 256 {
            let name: String = name.chars().take(64).collect();
            return Err(format!(
                "attribute `{}` has no valid name: names have lower-case letters and digits",
                name.escape_debug()
            ));
        }
        if value.len() > MAX_ATTRIBUTE_BYTES {
            let bytes = value.len();
            return Err(format!(
                "attribute `{name}` has {bytes} bytes, at most {MAX_ATTRIBUTE_BYTES}"
            ));
        }
        if value.chars().any(char::is_control) {
            return Err(format!("attribute `{name}` has control characters"));
        }
    }
    Ok(())
}

/// No two pairs have the same: a source with `#` would make it ambiguous, and is hashed
/// together with the id, since neither has control characters.
fn identity(source: &str, id: &str) -> EventId {
    let between = if source.contains('#') { '\n' } else { '#' };
    EventId::from_upstream(&format!("{source}{between}{id}"))
}

/// The data as JSON, and whether it was JSON.
fn body(content_type: Option<&str>, data: Data) -> Result<(Bytes, Option<Bytes>), String> {
    let bytes = match data {
        Data::None => return Ok((Bytes::from_static(b"null"), None)),
        Data::Json(json) => return Ok((json.clone(), Some(json))),
        Data::Bytes(bytes) => bytes,
    };
    let kind = media_type(content_type.unwrap_or(tripline_event::event::JSON));
    if is_json(&kind) {
        let json: &RawValue = serde_json::from_slice(&bytes).map_err(|error| {
            format!(
                "the data of the CloudEvent is not JSON ({error}), and its content type says \
                 that it is: `{kind}`"
            )
        })?;
        let json = bytes.slice_ref(json.get().as_bytes());
        return Ok((json.clone(), Some(json)));
    }
    let mut out = Vec::with_capacity(bytes.len() + 2);
    match std::str::from_utf8(&bytes) {
        Ok(text) if is_text(&kind) => push_string(&mut out, text),
        _ => push_string(&mut out, &BASE64.encode(&bytes)),
    }
    Ok((Bytes::from(out), None))
}

fn is_json(kind: &str) -> bool {
    kind.ends_with("/json") || kind.ends_with("+json")
}

fn is_text(kind: &str) -> bool {
    kind.starts_with("text/") || kind.ends_with("/xml") || kind.ends_with("+xml")
}

/// Extensions that name a chain: `correlationid`, `causationid`, and those of distributed
/// tracing.
fn links(extensions: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let names = [
        ("correlationid", "ce-correlationid"),
        ("causationid", "ce-causationid"),
        ("traceparent", "traceparent"),
    ];
    let link = |(name, header): (&str, &str)| {
        let value = extensions.get(name).filter(|value| !value.is_empty())?;
        // Whoever reads headers decodes them.
        Some((header.to_owned(), value.replace('%', "%25")))
    };
    names.into_iter().filter_map(link).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn taken(binding: Binding, headers: &[(&str, &str)], body: &str) -> Result<Taken, String> {
        take(binding, headers.iter().copied(), &Bytes::copy_from_slice(body.as_bytes()))
    }

    const BINARY: [(&str, &str); 9] = [
        ("Ce-Specversion", "1.0"),
        ("ce-id", "4711"),
        ("CE-Source", "/builds"),
        ("ce-type", "dev.example.build"),
        ("ce-subject", "app%20one"),
        ("ce-time", "2026-11-21T03:00:00+01:00"),
        ("ce-correlationid", "b%25-1"),
        ("ce-sampledrate", "30"),
        ("Content-Type", "application/json; charset=utf-8"),
    ];

    fn structured_json() -> Value {
        json!({
            "specversion": "1.0", "id": "4711", "source": "/builds", "type": "dev.example.build",
            "subject": "app one", "time": "2026-11-21T03:00:00+01:00", "correlationid": "b%-1",
            "sampledrate": 30, "nothing": null, "data": {"sha": "4f2a"},
        })
    }

    const STRUCTURED_HEADER: [(&str, &str); 1] =
        [("content-type", "application/cloudevents+json; charset=UTF-8")];

    #[test]
    fn both_modes_and_all_bindings_give_the_same_event() {
        let expected = Taken {
            event: Box::new(CloudEvent {
                id: "4711".into(),
                source: "/builds".into(),
                kind: "dev.example.build".into(),
                subject: Some("app one".into()),
                time: Some("2026-11-21T02:00:00Z".parse().unwrap()),
                extensions: [("correlationid", "b%-1"), ("sampledrate", "30")]
                    .map(|(name, value)| (name.into(), value.into()))
                    .into(),
                transfer: None,
            }),
            id: EventId("/builds#4711".into()),
            body: Bytes::from_static(br#"{"sha":"4f2a"}"#),
            json: Some(Bytes::from_static(br#"{"sha":"4f2a"}"#)),
            links: vec![("ce-correlationid".into(), "b%25-1".into())],
        };
        let data = r#"{"sha":"4f2a"}"#;
        let kafka = BINARY.map(|(name, value)| (name.replace(['-'], "_"), value));
        let kafka: Vec<(&str, &str)> = kafka
            .iter()
            .map(|(name, value)| match name.as_str() {
                "Content_Type" => ("content-type", *value),
                "ce_subject" => ("ce_subject", "app one"),
                "ce_correlationid" => ("ce_correlationid", "b%-1"),
                name => (name, *value),
            })
            .collect();
        let text = structured_json().to_string();
        assert_eq!(taken(Binding::HTTP, &BINARY, data), Ok(expected.clone()));
        assert_eq!(taken(Binding::NATS, &BINARY, data), Ok(expected.clone()));
        assert_eq!(taken(Binding::KAFKA, &kafka, data), Ok(expected.clone()));
        assert_eq!(taken(Binding::HTTP, &STRUCTURED_HEADER, &text), Ok(expected.clone()));
        assert_eq!(taken(Binding::KAFKA, &STRUCTURED_HEADER, &text), Ok(expected.clone()));
        assert_eq!(taken(Binding::NATS, &[], &text), Ok(expected), "without any header");
    }

    #[test]
    fn data_is_json_text_or_base64_in_both_modes() {
        let binary = |kind: &str, body: &str| {
            let mut headers = BINARY.to_vec();
            headers.retain(|(name, _)| *name != "Content-Type");
            if !kind.is_empty() {
                headers.push(("content-type", kind));
            }
            taken(Binding::HTTP, &headers, body).map(|taken| taken.body)
        };
        let structured = |kind: Value, name: &str, data: Value| {
            let mut event = structured_json();
            event.as_object_mut().unwrap().remove("data");
            event["datacontenttype"] = kind;
            if !name.is_empty() {
                event[name] = data;
            }
            let text = event.to_string();
            taken(Binding::HTTP, &STRUCTURED_HEADER, &text).map(|taken| taken.body)
        };
        for (found, expected) in [
            (binary("", "[1]"), "[1]"),
            (binary("application/vnd.x+json", " {} "), "{}"),
            (binary("text/plain", "a \"b\""), r#""a \"b\"""#),
            (binary("application/xml", "<a/>"), r#""<a/>""#),
            (binary("application/octet-stream", "abc"), r#""YWJj""#),
            (binary("application/json", ""), "null"),
            (structured(json!(null), "data", json!([1])), "[1]"),
            (structured(json!("application/json"), "data_base64", json!("WzFd")), "[1]"),
            (structured(json!("text/plain"), "data", json!("a \"b\"")), r#""a \"b\"""#),
            (structured(json!("text/plain"), "data_base64", json!("YWJj")), r#""abc""#),
            (structured(json!("image/png"), "data_base64", json!("YWJj")), r#""YWJj""#),
            (structured(json!("image/png"), "", json!(null)), "null"),
            (structured(json!(null), "data", json!(null)), "null"),
        ] {
            assert_eq!(found, Ok(Bytes::from(expected)));
        }
    }

    #[test]
    fn what_is_no_cloud_event_is_refused_with_the_reason() {
        let without = |name: &str| {
            let mut headers = BINARY.to_vec();
            headers.retain(|(given, _)| !given.eq_ignore_ascii_case(name));
            headers
        };
        let with = |name: &'static str, value: &'static str| {
            let mut headers = without(name);
            headers.push((name, value));
            headers
        };
        for (headers, reason) in [
            (without("ce-specversion"), "neither the content type"),
            (without("ce-id"), "has no `id`"),
            (without("ce-source"), "has no `source`"),
            (with("ce-type", ""), "has no `type`"),
            (with("ce-specversion", "0.3"), "version `0.3`"),
            (with("ce-time", "yesterday"), "`time` of the CloudEvent is `yesterday`"),
            (with("ce-id", "a%0Ab"), "`id` has control characters"),
            (with("ce-Bad_Name", "x"), "has no valid name"),
            (with("content-type", "application/cloudevents-batch+json"), "is a batch"),
            (with("content-type", "application/cloudevents+avro"), "is a format"),
        ] {
            let refused = taken(Binding::HTTP, &headers, "{}").unwrap_err();
            assert!(refused.contains(reason), "{refused}");
        }
        let refused = taken(Binding::HTTP, &BINARY, "{").unwrap_err();
        assert!(refused.contains("data of the CloudEvent is not JSON"), "{refused}");
        for (body, reason) in [
            ("[]", "no JSON object"),
            ("{}", "has no `specversion`"),
            (r#"{"specversion":"1.0","id":"","source":"/s","type":"t"}"#, "has no `id`"),
            (r#"{"specversion":"1.0","id":{},"source":"/s","type":"t"}"#, "is no string"),
            (
                r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":1,"data_base64":""}"#,
                "both `data` and `data_base64`",
            ),
            (
                r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"?"}"#,
                "no base64",
            ),
        ] {
            let refused = taken(Binding::HTTP, &STRUCTURED_HEADER, body).unwrap_err();
            assert!(refused.contains(reason), "{body}: {refused}");
        }
    }

    #[test]
    fn an_id_is_unique_for_its_source_alone() {
        assert_ne!(identity("/a", "1"), identity("/b", "1"));
        assert_eq!(identity("/a", "b#1").as_str(), "/a#b#1");
        assert_ne!(identity("/a", "b#1"), identity("/a#b", "1"));
        assert_ne!(identity("/a#b", "1"), identity("/a#c", "1"));
    }
}
