//! What a message of the queue holds: an event, several, or none.

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::MessageAttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use tripline_event::EventId;

use super::KIND;
use super::attributes::texts;
use super::data::event_data;
use super::poller::Poller;
use super::queue::Received;
use crate::Message;
use crate::unwrap::envelope::{Attribute, Envelope};
use crate::unwrap::{Notification, Unwrap, s3};

/// What a message holds.
pub enum Content {
    /// Events, one at least.
    Events(Vec<Message>),
    /// Nothing that anybody waits for, and what it is.
    Nothing(&'static str),
}

impl Poller {
    /// What `message` holds.
    ///
    /// # Errors
    /// It is not what the event source was told to expect.
    pub fn content(&self, message: &Received) -> Result<Content, String> {
        match self.sqs.unwrap {
            None => self.plain(message),
            Some(Unwrap::Sns) => self.of_sns(message),
            Some(Unwrap::S3 | Unwrap::Gcs) => self.of_s3(message),
        }
    }

    fn plain(&self, message: &Received) -> Result<Content, String> {
        let data = event_data(message, self.sqs.json_body, &self.sqs.data_end)?;
        let body = self.json_of(&message.body);
        let event = self.event(id_of(message), data, texts(&message.attributes), body);
        Ok(Content::Events(vec![event]))
    }

    fn of_sns(&self, message: &Received) -> Result<Content, String> {
        let envelope = Envelope::parse(message.body.as_bytes()).map_err(|error| {
            format!("message is {error} (`unwrap: sns`: is raw message delivery on?)")
        })?;
        let sns = serde_json::json!({
            "messageId": envelope.message_id, "topicArn": envelope.topic_arn,
            "subject": envelope.subject, "timestamp": envelope.timestamp,
        });
        let end = format!(",\"sns\":{sns}{}", self.sqs.data_end);
        let headers = envelope.texts();
        let attributes = envelope.message_attributes.into_iter().flatten();
        let inner = Received {
            id: message.id.clone(),
            receipt: String::new(),
            attributes: attributes
                .filter_map(|(name, attribute)| Some((name, value(attribute)?)))
                .collect(),
            body: envelope.message,
            group: None,
        };
        let data = event_data(&inner, self.sqs.json_body, &end)?;
        let body = self.json_of(&inner.body);
        // SNS may deliver a message twice, each time as another message of the queue.
        let id = Some(EventId::from_upstream(&envelope.message_id));
        Ok(Content::Events(vec![self.event(id, data, headers, body)]))
    }

    fn of_s3(&self, message: &Received) -> Result<Content, String> {
        let objects = match s3(message.body.as_bytes())? {
            Notification::Test => return Ok(Content::Nothing("s3:TestEvent")),
            Notification::Objects(objects) => objects,
        };
        let headers = texts(&message.attributes);
        let events = objects.into_iter().enumerate().map(|(at, object)| {
            let own = || Some(format!("{}#{at}", message.id.as_deref()?));
            let id = object.id().or_else(|| own().map(|id| EventId::from_upstream(&id)));
            let data = object.data(&self.sqs.data_end);
            self.event(id, data, headers.clone(), Some(object.record))
        });
        Ok(Content::Events(events.collect()))
    }

    fn json_of(&self, body: &str) -> Option<Bytes> {
        let is_json = || serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok();
        let found = self.sqs.json_body || is_json();
        found.then(|| Bytes::copy_from_slice(body.as_bytes()))
    }

    fn event(
        &self,
        id: Option<EventId>,
        data: Bytes,
        headers: Vec<(String, String)>,
        body: Option<Bytes>,
    ) -> Message {
        Message {
            key: self.running.key.clone(),
            kind: KIND,
            id,
            time: self.running.context.clock.now(),
            data,
            headers,
            body,
            correlation_path: self.running.correlation_path.clone(),
            cloud_event: None,
        }
    }
}

/// SQS's message id. Not the deduplication id of a FIFO queue: that may be used again after
/// five minutes, for a message of its own.
pub fn id_of(message: &Received) -> Option<EventId> {
    message.id.as_deref().map(EventId::from_upstream)
}

fn value(attribute: Attribute) -> Option<MessageAttributeValue> {
    let builder = MessageAttributeValue::builder().data_type(&attribute.kind);
    let builder = match attribute.kind.starts_with("Binary") {
        true => builder.binary_value(Blob::new(BASE64.decode(&attribute.value).ok()?)),
        false => builder.string_value(attribute.value),
    };
    builder.build().ok()
}
