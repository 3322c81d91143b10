//! From EVENTS to Argo Events' stream: the events of Tripline's own event sources, as an event
//! source of Argo Events would have written them.
//!
//! At least once; the stream recognises repeats by their message ids for as long as it
//! remembers them. What came in from there is never sent back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::Serialize;
use tripline_bus::jetstream::argo::{Argo, NotPublished, Outgoing};
use tripline_bus::{Bus, Log, ReadError};
use tripline_event::{Event, EventsRecord, Position, Timestamp};
use tripline_eventsources::{EventSink as _, Unreadable};

use super::inward::{BridgeError, ORIGIN};
use super::places::{Places, Sent};
use super::status::{BridgeStatus, KIND};
use crate::engine::ingest::Ingest;

/// Records that are read at once.
const PAGE: usize = 512;
/// Events that are sent at once.
const AT_ONCE: usize = 64;
/// The place is kept after so many records, also where nothing was sent.
const KEEP_EVERY: u64 = 4096;

/// Sends events.
pub(super) struct Outward {
    pub(super) argo: Argo,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) ingest: Arc<Ingest>,
    pub(super) places: Places,
    pub(super) own: String,
    pub(super) status: Arc<BridgeStatus>,
    /// The event sources whose events are sent, by name.
    pub(super) sources: BTreeSet<String>,
    next: Position,
    kept: Position,
}

impl Outward {
    /// Goes on where it was; the first time, at the end of EVENTS.
    pub(super) async fn open(
        argo: Argo,
        bus: Arc<dyn Bus>,
        ingest: Arc<Ingest>,
        places: Places,
        own: String,
        status: Arc<BridgeStatus>,
    ) -> Result<Self, BridgeError> {
        let next = begin(&*bus, &places).await?;
        let sources = BTreeSet::new();
        Ok(Self { argo, bus, ingest, places, own, status, sources, next, kept: next })
    }

    /// The next record of EVENTS to look at: what is before it is sent.
    pub(super) fn next(&self) -> Position {
        self.next
    }

    /// Sends what the next records of EVENTS have; false where there are none.
    pub(super) async fn step(&mut self) -> Result<bool, BridgeError> {
        let page = match self.bus.read(Log::Events, self.next, PAGE).await {
            Ok(page) => page,
            Err(ReadError::Trimmed { asked, first }) => {
                let text = format!(
                    "records {asked} to {first} of EVENTS were trimmed before their events were sent to Argo Events"
                );
                self.status.lost(first.sequence.saturating_sub(asked.sequence), &text);
                self.next = first;
                self.keep().await?;
                return Ok(true);
            }
            Err(ReadError::OtherIncarnation { asked, .. }) => {
                let first = self.bus.extent(Log::Events).await?.first;
                self.status.lost(
                    0,
                    &format!(
                        "EVENTS was made again: what came after {asked} was not sent to Argo Events"
                    ),
                );
                self.next = first;
                self.keep().await?;
                return Ok(true);
            }
            Err(error) => return Err(error.into()),
        };
        let Some(last) = page.last() else { return Ok(false) };
        let after = last.position.next();
        let mut events = Vec::new();
        for stored in &page {
            if let Ok(EventsRecord::Event(event)) = EventsRecord::decode(&stored.record)
                && self.is_sent(&event)
            {
                events.push((stored.position, event));
            }
        }
        for some in events.chunks(AT_ONCE) {
            self.send(some).await?;
        }
        self.next = after;
        if !events.is_empty() || after.sequence.saturating_sub(self.kept.sequence) >= KEEP_EVERY {
            self.keep().await?;
        }
        Ok(true)
    }

    async fn keep(&mut self) -> Result<(), BridgeError> {
        self.places.keep_sent(&*self.bus, Sent { next: self.next }).await?;
        self.kept = self.next;
        Ok(())
    }

    /// Whether the event is of one of these event sources, and did not come from there.
    pub(super) fn is_sent(&self, event: &Event) -> bool {
        let came = event.cloud_event.as_ref().is_some_and(|said| said.transfer.is_some());
        !came
            && event.key.namespace == self.places.of.namespace
            && self.sources.contains(&event.key.source)
    }

    async fn send(&mut self, events: &[(Position, Event)]) -> Result<(), BridgeError> {
        let mut rest = events;
        while !rest.is_empty() {
            let messages: Vec<_> =
                rest.iter().map(|(_, event)| outgoing(event, &self.own)).collect();
            match self.argo.publish(&messages).await {
                Ok(published) => {
                    self.status.sent.fetch_add(published.len() as u64, Ordering::Relaxed);
                    return Ok(());
                }
                Err(NotPublished { published, error, never }) => {
                    self.status.sent.fetch_add(published as u64, Ordering::Relaxed);
                    let Some((position, event)) = rest.get(published) else {
                        return Err(error.into());
                    };
                    if !never {
                        self.next = *position;
                        return Err(error.into());
                    }
                    self.refused(event, &error.to_string()).await?;
                    rest = &rest[published + 1..];
                }
            }
        }
        Ok(())
    }

    /// It stays an event here; Argo Events' sensors never see it.
    async fn refused(&self, event: &Event, why: &str) -> Result<(), BridgeError> {
        let letter = Unreadable {
            key: event.key.clone(),
            kind: KIND,
            id: Some(event.id.clone()),
            time: self.ingest.now(),
            bytes: event.data.clone().unwrap_or_default(),
            headers: Vec::new(),
            reason: format!("Argo Events' sensors do not see this event: {why}"),
        };
        Ok(self.ingest.unreadable(letter).await?)
    }
}

/// Where sending begins: kept before any event source of that bus takes events in.
pub(super) async fn begin(bus: &dyn Bus, places: &Places) -> Result<Position, BridgeError> {
    if let Some(sent) = places.sent(bus).await? {
        return Ok(sent.next);
    }
    let next = bus.extent(Log::Events).await?.next;
    places.keep_sent(bus, Sent { next }).await?;
    Ok(next)
}

/// The CloudEvent as Argo Events writes it, its members in their order.
#[derive(Serialize)]
struct Structured<'a> {
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    subject: &'a str,
    datacontenttype: &'static str,
    time: Timestamp,
    /// Argo Events' event sources hand bytes to their library, which writes bytes so.
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
}

/// The message of an event.
pub(super) fn outgoing(event: &Event, own: &str) -> Outgoing {
    let body = Structured {
        specversion: "1.0",
        id: event.id.as_str(),
        source: &event.key.source,
        kind: &event.kind,
        subject: &event.key.name,
        datacontenttype: tripline_event::event::JSON,
        time: event.time,
        data_base64: event.data.as_ref().map(|data| BASE64.encode(data)),
    };
    let links = &event.links;
    let mut headers = vec![
        (ORIGIN, own.to_owned()),
        ("x-correlation-id", links.correlation.header_value()),
        ("x-tripline-hops", links.hops.to_string()),
    ];
    if let Some(traceparent) = links.traceparent.clone() {
        headers.push(("traceparent", traceparent));
    }
    headers.retain(|(_, value)| !value.is_empty() && !value.contains(['\r', '\n']));
    Outgoing {
        source: event.key.source.clone(),
        event: event.key.name.clone(),
        message_id: message_id(event),
        headers,
        // A struct of texts writes to JSON.
        body: serde_json::to_vec(&body).map(Bytes::from).unwrap_or_default(),
    }
}

/// The event's id, where it is a random one as Argo Events gives. Any other may be that of an
/// event of another event source too, which the stream would take for the same.
fn message_id(event: &Event) -> String {
    let id = event.id.as_str();
    let random = id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if random { id.to_owned() } else { hex::encode(event.id.identity(&event.key)) }
}

#[cfg(test)]
mod tests {
    use tripline_event::event::Links;
    use tripline_event::{CorrelationId, EventId, EventKey};

    use super::*;

    fn event(source: &str, id: &str) -> Event {
        Event {
            key: EventKey::new("ci", source, "completed"),
            id: EventId(id.into()),
            kind: "webhook".into(),
            time: "2026-11-21T03:00:00.123456789Z".parse().unwrap(),
            content_type: tripline_event::event::JSON.into(),
            data: Some(Bytes::from_static(br#"{"b":1, "a":[1.50]}"#)),
            links: Links::first(CorrelationId("build 4711".into())),
            cloud_event: None,
        }
    }

    #[test]
    fn a_message_is_written_as_argo_events_writes_it() {
        let id = "0123456789abcdef0123456789abcdef";
        let message = outgoing(&event("builds", id), "own");
        assert_eq!(
            std::str::from_utf8(&message.body).unwrap(),
            r#"{"specversion":"1.0","id":"0123456789abcdef0123456789abcdef","source":"builds","type":"webhook","subject":"completed","datacontenttype":"application/json","time":"2026-11-21T03:00:00.123456789Z","data_base64":"eyJiIjoxLCAiYSI6WzEuNTBdfQ=="}"#
        );
        assert_eq!((message.source.as_str(), message.event.as_str()), ("builds", "completed"));
        assert_eq!(message.message_id, id);
        assert_eq!(message.headers[0], (ORIGIN, "own".to_owned()));
    }

    #[test]
    fn the_same_id_of_two_event_sources_is_not_the_same_message() {
        let [one, other] = ["a", "b"].map(|source| outgoing(&event(source, "delivery-1"), "own"));
        assert_ne!(one.message_id, other.message_id);
        assert_eq!(one.message_id.len(), 32);
    }
}
