//! From a message to what is offered to the event bus.

use bytes::Bytes;
use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Headers as _};
use tripline_event::EventId;

use super::KIND;
use super::batch::{Offer, Taken};
use super::config::Kafka;
use super::data::{Record, event_data};
use crate::source::Running;
use crate::{Message, Unreadable};

/// What the message has become. Its id is as Argo Events makes it: event source, event, first
/// broker, topic, partition and offset.
pub fn taken(message: &BorrowedMessage<'_>, kafka: &Kafka, running: &Running) -> Taken {
    let (partition, offset) = (message.partition(), message.offset());
    let headers = headers(message);
    let record = Record {
        topic: message.topic(),
        key: message.key(),
        partition,
        value: message.payload(),
        timestamp: message.timestamp().to_millis(),
        headers: &headers,
    };
    let key = running.key.clone();
    let broker = kafka.first_broker();
    let id = format!("{}:{}:{broker}:{}:{partition}:{offset}", key.source, key.name, record.topic);
    let id = Some(EventId::from_upstream(&id));
    let time = running.context.clock.now();
    let value = Bytes::copy_from_slice(record.value.unwrap_or_default());
    let data = event_data(&record, kafka.json_body, &kafka.data_end);
    let bytes = value.len() + data.as_ref().map_or(0, Bytes::len);
    let offer = match data {
        Ok(data) => {
            let is_json = || serde_json::from_slice::<serde::de::IgnoredAny>(&value).is_ok();
            let body =
                (kafka.json_body && record.value.is_some() || is_json()).then(|| value.clone());
            let correlation_path = running.correlation_path.clone();
            let event = Message {
                key,
                kind: KIND,
                id,
                time,
                data,
                headers,
                body,
                correlation_path,
                cloud_event: None,
            };
            Offer::Event(event, value)
        }
        Err(reason) => {
            let reason = format!("{reason}: produce JSON, or remove `jsonBody`");
            Offer::Letter(Unreadable { key, kind: KIND, id, time, bytes: value, headers, reason })
        }
    };
    Taken { partition, next: offset + 1, bytes, offer }
}

/// The headers as text; what is none has its bytes replaced where they are none.
fn headers(message: &BorrowedMessage<'_>) -> Vec<(String, String)> {
    let Some(headers) = message.headers() else { return Vec::new() };
    let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into();
    headers.iter().map(|header| (header.key.to_owned(), text(header.value))).collect()
}
