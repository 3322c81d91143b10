//! How records are written: one JSON object each, UTF-8, without line breaks.
//!
//! Every record begins with its format version (`"v":1`). A record of a newer version
//! is refused by name and is not guessed at.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::event::{JSON, Links};
use crate::{Action, CloudEvent, Event, EventId, EventKey, ObjectName, Outcome, Position};

/// The version of the records that this build writes.
pub const FORMAT: u32 = 1;

/// A record that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It was written by a newer Tripline.
    #[error("record has format {found}, this build reads up to {FORMAT}: run a newer Tripline")]
    Newer {
        /// Its format.
        found: u32,
    },
    /// It is no record.
    #[error("record cannot be read")]
    Malformed(#[from] serde_json::Error),
}

/// A record of the EVENTS log. Everything that the evaluator may depend on is one:
/// there is no other input to it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly all records are events")]
pub enum EventsRecord {
    /// An event was accepted.
    Event(Event),
    /// Time has reached this moment: what was due by then is decided now.
    Time(Timestamp),
    /// From here on the sensors are those of this plan.
    Plan {
        /// The number of the plan; it only grows.
        number: u64,
        /// When it was published.
        at: Timestamp,
    },
    /// What a sensor holds for half-met conditions is forgotten: an operator wants that, or it
    /// was parked. Who and why stands in OUTCOMES.
    Clear {
        /// The sensor.
        sensor: ObjectName,
        /// Of one of its dependencies alone.
        dependency: Option<String>,
        /// Only an event that stands no later than here: it was waited with for too long, and
        /// is parked.
        through: Option<Position>,
        /// When it was asked for.
        at: Timestamp,
    },
}

impl EventsRecord {
    /// The record's own time. Log time is the greatest of these up to and including it.
    pub fn time(&self) -> Timestamp {
        match self {
            Self::Event(event) => event.time,
            Self::Time(at) | Self::Plan { at, .. } | Self::Clear { at, .. } => *at,
        }
    }

    /// The bytes to append.
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Event(event) => encode_event(event),
            Self::Time(at) => encode_json(&Marker::new("time", *at)),
            Self::Plan { number, at } => {
                encode_json(&Marker { plan: Some(*number), ..Marker::new("plan", *at) })
            }
            Self::Clear { sensor, dependency, at, through } => encode_json(&Marker {
                sensor: Some(sensor),
                dependency: dependency.as_deref(),
                through: *through,
                ..Marker::new("clear", *at)
            }),
        }
    }

    /// Reads what [`Self::encode`] wrote. The payload is a slice of `bytes`.
    pub fn decode(bytes: &Bytes) -> Result<Self, RecordError> {
        let wire: EventWire<'_> =
            serde_json::from_slice(bytes).or_else(|error| newer(bytes, error))?;
        if wire.v > FORMAT {
            return Err(RecordError::Newer { found: wire.v });
        }
        match wire.record.as_ref() {
            "event" => wire.into_event(bytes).map(Self::Event),
            "time" => Ok(Self::Time(wire.time)),
            "plan" => Ok(Self::Plan { number: required(wire.plan, "plan")?, at: wire.time }),
            "clear" => Ok(Self::Clear {
                sensor: required(wire.sensor, "sensor")?,
                dependency: wire.dependency.map(Cow::into_owned),
                at: wire.time,
                through: wire.through,
            }),
            other => Err(malformed(format!("unknown record `{other}`"))),
        }
    }
}

/// A record of a newer version need not have the fields of this one.
fn newer<T>(bytes: &[u8], error: serde_json::Error) -> Result<T, RecordError> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    match serde_json::from_slice::<Version>(bytes) {
        Ok(Version { v }) if v > FORMAT => Err(RecordError::Newer { found: v }),
        _ => Err(RecordError::Malformed(error)),
    }
}

fn malformed(message: String) -> RecordError {
    RecordError::Malformed(serde::de::Error::custom(message))
}

fn required<T>(value: Option<T>, field: &str) -> Result<T, RecordError> {
    value.ok_or_else(|| malformed(format!("field `{field}` is missing")))
}

#[derive(Serialize)]
struct Marker<'a> {
    v: u32,
    record: &'static str,
    #[serde(rename = "time")]
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sensor: Option<&'a ObjectName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dependency: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    through: Option<Position>,
}

impl Marker<'_> {
    fn new(record: &'static str, at: Timestamp) -> Self {
        Self { v: FORMAT, record, at, plan: None, sensor: None, dependency: None, through: None }
    }
}

#[derive(Serialize)]
struct EventOut<'a> {
    v: u32,
    record: &'static str,
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    subject: &'a str,
    #[serde(skip_serializing_if = "is_json")]
    datacontenttype: &'a str,
    time: Timestamp,
    namespace: &'a str,
    links: &'a Links,
    #[serde(rename = "cloudEvent", skip_serializing_if = "Option::is_none")]
    cloud_event: Option<&'a CloudEvent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
}

fn is_json(content_type: &&str) -> bool {
    *content_type == JSON
}

#[derive(Deserialize)]
struct EventWire<'a> {
    v: u32,
    #[serde(borrow)]
    record: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    source: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    subject: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    datacontenttype: Option<Cow<'a, str>>,
    time: Timestamp,
    #[serde(borrow, default)]
    namespace: Option<Cow<'a, str>>,
    #[serde(default)]
    links: Option<Links>,
    #[serde(default, rename = "cloudEvent")]
    cloud_event: Option<Box<CloudEvent>>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data_base64: Option<Cow<'a, str>>,
    #[serde(default)]
    plan: Option<u64>,
    #[serde(default)]
    sensor: Option<ObjectName>,
    #[serde(borrow, default)]
    dependency: Option<Cow<'a, str>>,
    #[serde(default)]
    through: Option<Position>,
}

/// A payload of `null` is a payload; without this it would read as no data at all.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl EventWire<'_> {
    fn into_event(self, bytes: &Bytes) -> Result<Event, RecordError> {
        let data = match (self.data, self.data_base64) {
            (Some(raw), _) => Some(bytes.slice_ref(raw.get().as_bytes())),
            (None, Some(text)) => Some(Bytes::from(
                BASE64.decode(text.as_bytes()).map_err(|error| malformed(error.to_string()))?,
            )),
            (None, None) => None,
        };
        let own = |value: Option<Cow<'_, str>>, field| required(value, field).map(Cow::into_owned);
        Ok(Event {
            key: EventKey {
                namespace: own(self.namespace, "namespace")?,
                source: own(self.source, "source")?,
                name: own(self.subject, "subject")?,
            },
            id: EventId(own(self.id, "id")?),
            kind: own(self.kind, "type")?,
            time: self.time,
            content_type: self.datacontenttype.map_or_else(|| JSON.to_owned(), Cow::into_owned),
            data,
            links: required(self.links, "links")?,
            cloud_event: self.cloud_event,
        })
    }
}

/// What the record of an event mostly takes beside its data.
const BESIDE_DATA: usize = 512;

fn encode_event(event: &Event) -> Bytes {
    let raw: Option<&RawValue> =
        event.data.as_deref().and_then(|data| serde_json::from_slice(data).ok());
    let data_base64 = match (raw, &event.data) {
        (None, Some(data)) => Some(BASE64.encode(data)),
        _ => None,
    };
    // Grown by doubling, it would be copied several times over.
    let about = event.data.as_ref().map_or(0, Bytes::len) + BESIDE_DATA;
    encode_json_in(
        Vec::with_capacity(about),
        &EventOut {
            v: FORMAT,
            record: "event",
            specversion: "1.0",
            id: &event.id.0,
            source: &event.key.source,
            kind: &event.kind,
            subject: &event.key.name,
            datacontenttype: &event.content_type,
            time: event.time,
            namespace: &event.key.namespace,
            links: &event.links,
            cloud_event: event.cloud_event.as_deref(),
            data: raw,
            data_base64,
        },
    )
}

#[expect(clippy::expect_used, reason = "every type here writes to JSON: string keys only")]
fn encode_json_in<T: Serialize>(mut bytes: Vec<u8>, value: &T) -> Bytes {
    serde_json::to_writer(&mut bytes, value).expect("a record writes to JSON");
    Bytes::from(bytes)
}

fn encode_json<T: Serialize>(value: &T) -> Bytes {
    encode_json_in(Vec::with_capacity(BESIDE_DATA), value)
}

#[derive(Serialize)]
struct Out<'a, T> {
    v: u32,
    #[serde(flatten)]
    record: &'a T,
}

macro_rules! record {
    ($type:ty, $log:literal) => {
        impl $type {
            #[doc = concat!("The bytes to append to ", $log, ".")]
            pub fn encode(&self) -> Bytes {
                encode_json(&Out { v: FORMAT, record: self })
            }

            /// Reads what [`Self::encode`] wrote.
            pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
                decode_json(bytes)
            }
        }
    };
}

record!(Action, "ACTIONS");
record!(Outcome, "OUTCOMES");

fn decode_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordError> {
    newer_than_this(bytes)?;
    Ok(serde_json::from_slice(bytes)?)
}

/// `v` stands first in every record, so that this costs next to nothing.
fn newer_than_this(bytes: &[u8]) -> Result<(), RecordError> {
    let digits = bytes.strip_prefix(br#"{"v":"#).unwrap_or_default();
    let end = digits.iter().position(|c| !c.is_ascii_digit()).unwrap_or(digits.len());
    let found = std::str::from_utf8(&digits[..end]).ok().and_then(|text| text.parse().ok());
    match found {
        Some(found) if found > FORMAT => Err(RecordError::Newer { found }),
        Some(_) => Ok(()),
        None => Err(malformed("record has no format version".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Addressee, CorrelationId, ObjectName, Position, Transfer, TriggerName};

    fn event(data: Option<&str>) -> Event {
        Event {
            key: EventKey::new("ci", "builds", "completed"),
            id: EventId("e \"1\"".into()),
            kind: "webhook".into(),
            time: "2026-11-21T03:00:00.123456789Z".parse().unwrap(),
            content_type: JSON.into(),
            data: data.map(|text| Bytes::copy_from_slice(text.as_bytes())),
            links: Links {
                hops: 3,
                causation: Some("a".into()),
                ..Links::first(CorrelationId("build-🚀\r\n".into()))
            },
            cloud_event: None,
        }
    }

    #[test]
    fn an_event_reads_back_as_it_was_written() {
        for data in [
            None,
            Some("null"),
            Some(r#"{"b": 1,  "a": [1e400, "\ud800"]}"#),
            Some("no json"),
            Some(""),
        ] {
            let record = EventsRecord::Event(event(data));
            let bytes = record.encode();
            assert_eq!(EventsRecord::decode(&bytes).unwrap(), record, "{data:?}");
        }
    }

    #[test]
    fn what_a_cloud_event_said_reads_back_as_it_was_written() {
        let said = |subject: Option<&str>, extensions: &[(&str, &str)]| CloudEvent {
            id: "4711".into(),
            source: "/builds".into(),
            kind: "dev.example.build".into(),
            subject: subject.map(str::to_owned),
            time: subject.map(|_| "2026-11-21T02:00:00Z".parse().unwrap()),
            extensions: extensions.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
            transfer: subject.map(|_| {
                let to = Addressee {
                    sensor: "deploy".into(),
                    trigger: "submit".into(),
                    dependency: "build".into(),
                    held: true,
                };
                let to = vec![to.clone(), Addressee { held: false, ..to }];
                Box::new(Transfer { stream: "s".into(), sequence: 7, to, transformed: true })
            }),
        };
        for said in [said(None, &[]), said(Some("app"), &[("sampledrate", "30")])] {
            let cloud_event = Some(Box::new(said));
            let record = EventsRecord::Event(Event { cloud_event, ..event(Some("{}")) });
            let bytes = record.encode();
            assert_eq!(EventsRecord::decode(&bytes).unwrap(), record);
        }
    }

    #[test]
    fn markers_read_back_as_they_were_written() {
        let at = "2026-11-21T03:00:00Z".parse().unwrap();
        let clear = |dependency: Option<&str>, through| EventsRecord::Clear {
            sensor: ObjectName::new("ci", "deploy"),
            dependency: dependency.map(str::to_owned),
            at,
            through,
        };
        for record in [
            EventsRecord::Time(at),
            EventsRecord::Plan { number: 7, at },
            clear(None, None),
            clear(Some("build"), None),
            clear(Some("build"), Some(crate::Position::new(7, 9))),
        ] {
            assert_eq!(EventsRecord::decode(&record.encode()).unwrap(), record);
        }
    }

    /// The bytes are a format: they must be readable for ever.
    #[test]
    fn the_first_format_of_an_event_is_this_one() {
        let text = std::str::from_utf8(&EventsRecord::Event(event(Some("{}"))).encode())
            .unwrap()
            .to_owned();
        assert_eq!(
            text,
            r#"{"v":1,"record":"event","specversion":"1.0","id":"e \"1\"","source":"builds","type":"webhook","subject":"completed","time":"2026-11-21T03:00:00.123456789Z","namespace":"ci","links":{"correlation":"build-🚀\r\n","causation":"a","hops":3},"data":{}}"#
        );
    }

    #[test]
    fn a_newer_format_is_refused_by_name() {
        for error in [
            EventsRecord::decode(&Bytes::from_static(br#"{"v":2,"future":true}"#)).unwrap_err(),
            Action::decode(br#"{"v":2,"future":true}"#).unwrap_err(),
            Outcome::decode(br#"{"v":2,"future":true}"#).unwrap_err(),
        ] {
            assert!(matches!(error, RecordError::Newer { found: 2 }), "{error}");
        }
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for bytes in [
            "",
            "{}",
            "null",
            r#"{"v":1,"record":"event","time":"2026-11-21T03:00:00Z"}"#,
            r#"{"v":1,"record":"x","time":"2026-11-21T03:00:00Z"}"#,
        ] {
            let error = EventsRecord::decode(&Bytes::from(bytes)).unwrap_err();
            assert!(matches!(error, RecordError::Malformed(_)), "{bytes}: {error}");
        }
    }

    #[test]
    fn an_action_and_its_outcome_read_back_as_they_were_written() {
        let event = event(None);
        let trigger = TriggerName::new(&ObjectName::new("ci", "deploy"), "submit");
        let id = crate::ActionId::new(&trigger, [("build", &event.key, &event.id)], 0);
        let action = Action {
            id: id.clone(),
            trigger: trigger.clone(),
            definition: crate::DefinitionHash::of("{}"),
            events: vec![],
            cause: Position::new(1, 2),
            links: event.links,
            decided_at: event.time,
            expires_at: event.time,
            generation: 0,
            round: 0,
            attempted: true,
            target: None,
            key: None,
            origin: crate::Origin::default(),
            copies: Vec::new(),
        };
        assert_eq!(Action::decode(&action.encode()).unwrap(), action);
        let outcome = Outcome {
            at: event.time,
            correlation: None,
            kind: crate::OutcomeKind::Succeeded {
                action: id.clone(),
                trigger,
                round: 0,
                attempt: 1,
                took_ms: 3,
                hops: 1,
                result: crate::outcome::TargetResult::Http { status: 200 },
            },
        };
        assert_eq!(Outcome::decode(&outcome.encode()).unwrap(), outcome);
        assert_eq!(outcome.kind.closes(), Some((&id, 0)));
    }
}
