//! A message of Argo Events' stream.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tripline_event::event::{JSON, Links};
use tripline_event::{CorrelationId, Event, EventId, EventKey, Timestamp};

/// The version of CloudEvents that Argo Events writes.
const SPEC_VERSION: &str = "1.0";

/// A message of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When the server stored it.
    pub time: Timestamp,
    /// Its header `Nats-Msg-Id`, by which the stream drops repeated messages; Argo Events
    /// sets the event's id.
    pub message_id: Option<String>,
    /// All of its headers, where it was read from the stream. Argo Events sets no other.
    pub headers: Vec<(String, String)>,
    /// The event, with the context and the data that a sensor of Argo Events sees. Its time is
    /// that of the CloudEvent, or that of the message where it has none.
    pub event: Event,
}

/// Something on the bus is not what Argo Events writes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("message {sequence} of stream `{stream}` ({subject}) cannot be read: {reason}")]
pub struct Undecodable {
    /// The stream.
    pub stream: String,
    /// The message's sequence.
    pub sequence: u64,
    /// The message's subject.
    pub subject: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Message {
    /// Reads a message of the stream [`super::STREAM`].
    ///
    /// # Errors
    /// It is none that an event source of Argo Events writes.
    pub fn decode(
        namespace: &str,
        sequence: u64,
        time: Timestamp,
        subject: &str,
        message_id: Option<String>,
        body: &[u8],
    ) -> Result<Self, Undecodable> {
        let wrong = |reason: String| Undecodable {
            stream: super::STREAM.to_owned(),
            sequence,
            subject: subject.to_owned(),
            reason,
        };
        let event = event(namespace, time, body).map_err(wrong)?;
        let (source, name) = names(subject)
            .ok_or_else(|| wrong("its subject is not `default.SOURCE.EVENT`".to_owned()))?;
        let EventKey { source: said_source, name: said_name, .. } = &event.key;
        if (source, name) != (said_source.as_str(), said_name.as_str()) {
            let said = format!("source `{said_source}` and subject `{said_name}`");
            return Err(wrong(format!(
                "its CloudEvent says {said}, so no sensor takes it for an event of `{source}`"
            )));
        }
        Ok(Self { sequence, time, message_id, headers: Vec::new(), event })
    }
}

/// Event source and event of a subject.
fn names(subject: &str) -> Option<(&str, &str)> {
    let (source, name) = subject.strip_prefix("default.")?.split_once('.')?;
    (!source.is_empty() && !name.is_empty() && !name.contains('.')).then_some((source, name))
}

/// A CloudEvent in JSON, as far as Argo Events uses it: extensions are left out, as its sensors
/// do.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    specversion: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    subject: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    datacontenttype: Option<Cow<'a, str>>,
    #[serde(default)]
    time: Option<Timestamp>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data_base64: Option<Cow<'a, str>>,
}

/// `null` is data too.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

/// The event of a CloudEvent in JSON that came at `time`.
pub(super) fn event(namespace: &str, time: Timestamp, body: &[u8]) -> Result<Event, String> {
    let wire: Wire<'_> =
        serde_json::from_slice(body).map_err(|error| format!("it is no CloudEvent: {error}"))?;
    if wire.specversion != SPEC_VERSION {
        return Err(format!("it is a CloudEvent of version `{}`", wire.specversion));
    }
    let content_type = wire.datacontenttype.unwrap_or_default();
    let data = match (wire.data, wire.data_base64) {
        (Some(_), Some(_)) => return Err("it has both `data` and `data_base64`".to_owned()),
        (None, None) => None,
        (None, Some(text)) => {
            let bytes = BASE64.decode(&*text);
            Some(Bytes::from(bytes.map_err(|error| format!("`data_base64`: {error}"))?))
        }
        (Some(raw), None) if is_json(&content_type) => {
            Some(Bytes::copy_from_slice(raw.get().as_bytes()))
        }
        (Some(raw), None) => {
            let text: String = serde_json::from_str(raw.get())
                .map_err(|_| format!("its data is `{content_type}`, and no text"))?;
            Some(text.into())
        }
    };
    let id = EventId::from_upstream(&wire.id);
    Ok(Event {
        key: EventKey::new(namespace, wire.source, wire.subject.unwrap_or_default()),
        links: Links::first(CorrelationId(id.as_str().to_owned())),
        id,
        kind: wire.kind.into_owned(),
        time: wire.time.unwrap_or(time),
        content_type: content_type.into_owned(),
        data,
        cloud_event: None,
    })
}

/// Whether `data` is JSON as it stands, or a text that holds it.
fn is_json(content_type: &str) -> bool {
    let media = content_type.split(';').next().unwrap_or_default().trim();
    matches!(media, JSON | "text/json" | "")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn cloud_event() -> Value {
        json!({
            "specversion": "1.0", "id": "6f2a", "source": "builds", "type": "webhook",
            "subject": "completed", "datacontenttype": "application/json",
            "time": "2026-11-21T10:00:00.123456789Z", "data": {"body": {"n": 1}},
        })
    }

    fn at() -> Timestamp {
        "2026-11-21T10:00:01Z".parse().unwrap()
    }

    fn decode(subject: &str, body: &str) -> Result<Message, Undecodable> {
        Message::decode("ci", 7, at(), subject, Some("6f2a".to_owned()), body.as_bytes())
    }

    fn with(field: &str, value: Value) -> String {
        let mut event = cloud_event();
        event[field] = value;
        event.to_string()
    }

    #[test]
    fn a_message_is_the_event_that_a_sensor_sees() {
        let Message { sequence, time, message_id, event, .. } =
            decode("default.builds.completed", &cloud_event().to_string()).unwrap();
        assert_eq!((sequence, time, message_id.as_deref()), (7, at(), Some("6f2a")));
        assert_eq!(event.key, EventKey::new("ci", "builds", "completed"));
        assert_eq!((event.id.as_str(), event.kind.as_str()), ("6f2a", "webhook"));
        assert_eq!(event.time, "2026-11-21T10:00:00.123456789Z".parse().unwrap());
        assert_eq!(event.content_type, JSON);
        assert_eq!(event.data_text(), Some(r#"{"body":{"n":1}}"#));
        assert_eq!(event.links, Links::first(CorrelationId("6f2a".to_owned())));
    }

    #[test]
    fn data_is_as_it_was_sent() {
        let raw = r#"{"specversion":"1.0","id":"1","source":"a","type":"t","subject":"b","datacontenttype":"application/json","data": {"z": 1.50,  "a":[ null ]} }"#;
        let none = r#"{"specversion":"1.0","id":"1","source":"a","type":"t","subject":"b"}"#;
        let set = |field: &str| format!("{},{field}}}", none.strip_suffix('}').unwrap());
        for (body, data) in [
            (raw.to_owned(), Some(r#"{"z": 1.50,  "a":[ null ]}"#)),
            (none.to_owned(), None),
            (set(r#""data":null"#), Some("null")),
            (set(r#""data_base64":"eyJuIjoxfQ==""#), Some(r#"{"n":1}"#)),
            (set(r#""data_base64":"""#), Some("")),
            (set(r#""datacontenttype":"text/plain","data":"a\nb""#), Some("a\nb")),
        ] {
            let message = decode("default.a.b", &body).unwrap();
            assert_eq!(message.event.data_text(), data, "{body}");
        }
    }

    #[test]
    fn an_event_without_a_time_has_that_of_its_message() {
        let mut body = cloud_event();
        body.as_object_mut().unwrap().remove("time");
        let message = decode("default.builds.completed", &body.to_string()).unwrap();
        assert_eq!(message.event.time, at());
    }

    #[test]
    fn what_cannot_be_read_says_where_it_is_and_what_is_wrong() {
        let good = cloud_event().to_string();
        let subject = "default.builds.completed";
        for (subject, body, reason) in [
            (subject, "", "it is no CloudEvent"),
            (subject, "[]", "it is no CloudEvent"),
            (subject, "{}", "missing field `specversion`"),
            (subject, with("id", json!(1)).as_str(), "it is no CloudEvent"),
            (subject, with("time", json!("yesterday")).as_str(), "it is no CloudEvent"),
            (subject, with("specversion", json!("0.3")).as_str(), "version `0.3`"),
            (subject, with("data_base64", json!("aa")).as_str(), "both `data` and `data_base64`"),
            (subject, with("datacontenttype", json!("text/plain")).as_str(), "no text"),
            (
                subject,
                with("source", json!("other")).as_str(),
                "source `other` and subject `completed`",
            ),
            (subject, with("subject", Value::Null).as_str(), "source `builds` and subject ``"),
            ("other.builds.completed", good.as_str(), "its subject is not"),
            ("default.builds", good.as_str(), "its subject is not"),
            ("default.builds.a.b", good.as_str(), "its subject is not"),
        ] {
            let error = decode(subject, body).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(reason), "{text}");
            let place = format!("message 7 of stream `default` ({subject})");
            assert!(text.starts_with(&place), "{text}");
        }
        let not_base64 = r#"{"specversion":"1.0","id":"1","source":"a","type":"t","subject":"b","data_base64":"~"}"#;
        let error = decode("default.a.b", not_base64).unwrap_err();
        assert!(error.reason.starts_with("`data_base64`"), "{error}");
    }

    #[test]
    fn bytes_that_are_no_text_are_an_error() {
        let body = b"{\"specversion\":\"1.0\",\"id\":\"\xff\"}";
        let error = Message::decode("ci", 1, at(), "default.a.b", None, body).unwrap_err();
        assert!(error.reason.starts_with("it is no CloudEvent"), "{error}");
    }
}
