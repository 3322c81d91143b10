//! What a message becomes.

use async_nats::{HeaderMap, Message as Received};
use bytes::Bytes;
use serde_json::value::RawValue;
use tripline_event::EventId;

use super::KIND;
use super::config::Nats;
use super::data::{Body, event_data, pairs};
use crate::cloudevents::{self, Binding};
use crate::source::Running;
use crate::{Message, Unreadable};

/// What is to be put on the event bus.
pub enum Offer {
    /// An event, and the message's payload as it came.
    Event(Message, Bytes),
    /// A dead letter.
    Letter(Unreadable),
}

impl Offer {
    /// What `message` becomes, whose id is `id` unless it is a CloudEvent.
    pub fn of(nats: &Nats, running: &Running, message: &Received, id: Option<EventId>) -> Self {
        let letter = |reason: String| {
            Self::Letter(Unreadable {
                key: running.key.clone(),
                kind: KIND,
                id: id.clone(),
                time: running.context.clock.now(),
                bytes: message.payload.clone(),
                headers: pairs(message.headers.as_ref()),
                reason,
            })
        };
        if nats.cloud_events {
            return match cloud_event(nats, running, message) {
                Ok(event) => Self::Event(event, message.payload.clone()),
                Err(reason) => letter(format!("{reason}; `cloudEvents` says that it is one")),
            };
        }
        let json = match serde_json::from_slice::<&RawValue>(&message.payload) {
            Ok(json) => Some(json.get().as_bytes()),
            Err(_) if !nats.json_body => None,
            Err(error) => {
                return letter(format!(
                    "message is not JSON ({error}), and `jsonBody` says that it is: publish \
                     JSON, or remove `jsonBody`"
                ));
            }
        };
        let body = match json.filter(|_| nats.json_body) {
            Some(json) => Body::Json(json),
            None => Body::Bytes(&message.payload),
        };
        let headers = message.headers.as_ref();
        let event = Message {
            key: running.key.clone(),
            kind: KIND,
            id,
            time: running.context.clock.now(),
            data: event_data(&message.subject, headers, &body, &nats.data_end),
            headers: pairs(headers),
            body: json.map(|json| message.payload.slice_ref(json)),
            correlation_path: running.correlation_path.clone(),
            cloud_event: None,
        };
        Self::Event(event, message.payload.clone())
    }
}

fn cloud_event(nats: &Nats, running: &Running, message: &Received) -> Result<Message, String> {
    let headers = message.headers.as_ref();
    let own = pairs(headers);
    let named = own.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let taken = cloudevents::take(Binding::NATS, named, &message.payload)?;
    let body = Body::Json(&taken.body);
    let data = event_data(&message.subject, headers, &body, &nats.data_end);
    let mut headers = taken.links;
    headers.extend(own);
    Ok(Message {
        key: running.key.clone(),
        kind: KIND,
        id: Some(taken.id),
        time: running.context.clock.now(),
        data,
        headers,
        body: taken.json,
        correlation_path: running.correlation_path.clone(),
        cloud_event: Some(taken.event),
    })
}

/// The id that a producer gave: what JetStream recognises repeats by.
pub fn message_id(headers: Option<&HeaderMap>) -> Option<EventId> {
    let id = headers?.get(async_nats::header::NATS_MESSAGE_ID)?.as_str();
    Some(id).filter(|id| !id.is_empty()).map(EventId::from_upstream)
}
