//! From a message to what is offered to the event bus.

use bytes::Bytes;
use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Headers as _};
use serde_json::value::RawValue;
use tripline_event::EventId;

use super::KIND;
use super::batch::{Offer, Taken};
use super::config::Kafka;
use super::data::{Body, Record, event_data};
use crate::cloudevents::{self, Binding};
use crate::source::Running;
use crate::{Message, Unreadable};

/// What the message has become. Its id is as Argo Events makes it, unless it is a CloudEvent:
/// event source, event, first broker, topic, partition and offset.
pub fn taken(message: &BorrowedMessage<'_>, kafka: &Kafka, running: &Running) -> Taken {
    let (partition, offset) = (message.partition(), message.offset());
    let key = &running.key;
    let (broker, topic) = (kafka.first_broker(), message.topic());
    let id = format!("{}:{}:{broker}:{topic}:{partition}:{offset}", key.source, key.name);
    let id = EventId::from_upstream(&id);
    let value = Bytes::copy_from_slice(message.payload().unwrap_or_default());
    let offer = match event(message, kafka, running, &id, &value) {
        Ok(event) => Offer::Event(event, value.clone()),
        Err(reason) => Offer::Letter(Unreadable {
            key: key.clone(),
            kind: KIND,
            id: Some(id),
            time: running.context.clock.now(),
            bytes: value.clone(),
            headers: headers(message),
            reason,
        }),
    };
    let data = if let Offer::Event(event, _) = &offer { event.data.len() } else { 0 };
    Taken { partition, next: offset + 1, bytes: value.len() + data, offer }
}

/// The event, or why there is none.
fn event(
    message: &BorrowedMessage<'_>,
    kafka: &Kafka,
    running: &Running,
    own: &EventId,
    value: &Bytes,
) -> Result<Message, String> {
    let mut headers = headers(message);
    let record = Record {
        topic: message.topic(),
        key: message.key(),
        partition: message.partition(),
        timestamp: message.timestamp().to_millis(),
        headers: &headers,
    };
    let (id, data, body, links, cloud_event);
    if kafka.cloud_events {
        let named = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let taken = cloudevents::take(Binding::KAFKA, named, value)
            .map_err(|reason| format!("{reason}; `cloudEvents` says that it is one"))?;
        data = event_data(&record, &Body::Json(&taken.body), &kafka.data_end);
        (id, body, links, cloud_event) = (taken.id, taken.json, taken.links, Some(taken.event));
    } else {
        let json = match serde_json::from_slice::<&RawValue>(value) {
            Ok(json) => Some(json.get().as_bytes()),
            Err(_) if message.payload().is_none() || !kafka.json_body => None,
            Err(error) => {
                return Err(format!(
                    "message is not JSON ({error}), and `jsonBody` says that it is: produce JSON, \
                     or remove `jsonBody`"
                ));
            }
        };
        let shown = match (message.payload(), json.filter(|_| kafka.json_body)) {
            (None, _) => Body::None,
            (Some(_), Some(json)) => Body::Json(json),
            (Some(value), None) => Body::Bytes(value),
        };
        data = event_data(&record, &shown, &kafka.data_end);
        body = json.map(|json| value.slice_ref(json));
        (id, links, cloud_event) = (own.clone(), Vec::new(), None);
    }
    headers.splice(0..0, links);
    Ok(Message {
        key: running.key.clone(),
        kind: KIND,
        id: Some(id),
        time: running.context.clock.now(),
        data,
        headers,
        body,
        correlation_path: running.correlation_path.clone(),
        cloud_event,
    })
}

/// The headers as text; what is none has its bytes replaced where they are none.
fn headers(message: &BorrowedMessage<'_>) -> Vec<(String, String)> {
    let Some(headers) = message.headers() else { return Vec::new() };
    let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into();
    headers.iter().map(|header| (header.key.to_owned(), text(header.value))).collect()
}
