//! An event, as filters and parameters see it.

use std::cell::Cell;

use jiff::Timestamp;
use tripline_event::{CloudEvent, Event};

/// The attributes and the payload of an event, borrowed.
#[derive(Clone, Debug)]
pub struct EventView<'a> {
    /// The CloudEvents id.
    pub id: &'a str,
    /// The event source's name, or what a CloudEvent said.
    pub source: &'a str,
    /// `specversion`: always `1.0`.
    pub specversion: &'a str,
    /// The CloudEvents type: the kind of the event source, or what a CloudEvent said.
    pub kind: &'a str,
    /// The event's name, or what a CloudEvent said; empty where it said nothing.
    pub subject: &'a str,
    /// `datacontenttype`.
    pub content_type: &'a str,
    /// When the event was taken in; `None` is Go's zero time.
    pub time: Option<Timestamp>,
    /// The correlation id, as the producer sent it.
    pub correlation: &'a str,
    /// What the event said of itself, where it came in as a CloudEvent and that is kept.
    pub cloud_event: Option<&'a CloudEvent>,
    /// The payload.
    pub data: Payload<'a>,
}

impl<'a> EventView<'a> {
    /// The view of `event`.
    pub fn of(event: &'a Event) -> Self {
        let said = event.cloud_event.as_deref();
        Self {
            id: said.map_or(event.id.as_str(), |said| &said.id),
            source: said.map_or(&event.key.source, |said| &said.source),
            specversion: "1.0",
            kind: said.map_or(&event.kind, |said| &said.kind),
            subject: match said {
                Some(said) => said.subject.as_deref().unwrap_or_default(),
                None => &event.key.name,
            },
            content_type: &event.content_type,
            time: Some(event.time),
            correlation: event.links.correlation.as_str(),
            cloud_event: said,
            data: Payload::new(event.data.as_deref()),
        }
    }
}

impl EventView<'_> {
    /// `time` in the event's context: when it happened, where a CloudEvent said so, else when it
    /// was taken in.
    pub fn context_time(&self) -> Option<Timestamp> {
        self.cloud_event.and_then(|said| said.time).or(self.time)
    }

    /// The same event with another payload, which is JSON.
    pub fn with_json<'b>(&'b self, data: &'b str) -> EventView<'b> {
        EventView {
            content_type: tripline_event::event::JSON,
            data: Payload::new(Some(data.as_bytes())),
            ..self.clone()
        }
    }
}

/// A payload. Whether it is JSON is found out once, when it is first asked.
#[derive(Clone, Debug)]
pub struct Payload<'a> {
    bytes: Option<&'a [u8]>,
    text: Option<&'a str>,
    valid: Cell<Option<bool>>,
}

impl<'a> Payload<'a> {
    /// The payload of these bytes; `None` is no data at all.
    pub fn new(bytes: Option<&'a [u8]>) -> Self {
        let text = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
        Self { bytes, text, valid: Cell::new(None) }
    }

    /// The bytes; `None` is no data at all, which is not the same as empty data.
    pub fn bytes(&self) -> Option<&'a [u8]> {
        self.bytes
    }

    /// The text, where it is one valid JSON value.
    pub fn json(&self) -> Option<&'a str> {
        let text = self.text?;
        let valid = self.valid.get().unwrap_or_else(|| {
            let valid = crate::path::valid(text);
            self.valid.set(Some(valid));
            valid
        });
        valid.then_some(text)
    }
}
