//! What a notification holds: an event, several, or none.

use bytes::Bytes;
use serde_json::json;
use serde_json::value::RawValue;
use tripline_event::EventId;

use super::KIND;
use super::config::Sns;
use crate::Message;
use crate::json::{push_compact, push_string};
use crate::unwrap::envelope::Envelope;
use crate::unwrap::{Notification, Unwrap, s3};
use crate::webhook::{Posted, header_data};

/// What a notification holds.
pub enum Content {
    /// Events, one at least.
    Events(Vec<Message>),
    /// Nothing that anybody waits for, and what it is.
    Nothing(&'static str),
}

/// What the message of a request holds.
///
/// # Errors
/// It is not what the event source was told to expect.
pub fn content(sns: &Sns, request: &Posted<'_>, envelope: &Envelope) -> Result<Content, String> {
    let own = EventId::from_upstream(&envelope.message_id);
    let event = |id: EventId, data: Bytes, body: Option<Bytes>| Message {
        key: request.route().key.clone(),
        kind: KIND,
        id: Some(id),
        time: request.context().clock.now(),
        data,
        headers: envelope.texts(),
        body,
        correlation_path: request.route().correlation_path.clone(),
        cloud_event: None,
    };
    let message = envelope.message.as_bytes();
    let json = serde_json::from_slice::<&RawValue>(message).ok();
    let body = json.map(|json| Bytes::copy_from_slice(json.get().as_bytes()));
    match sns.unwrap {
        None => {
            let data = header_data(&request.head.headers, request.body, &sns.data_end);
            Ok(Content::Events(vec![event(own, data, body)]))
        }
        Some(Unwrap::Sns) => {
            let mut inner = Vec::with_capacity(message.len() + 2);
            match json {
                Some(json) => push_compact(&mut inner, json.get().as_bytes()),
                None => push_string(&mut inner, &envelope.message),
            }
            let said = json!({
                "messageId": envelope.message_id, "topicArn": envelope.topic_arn,
                "subject": envelope.subject, "timestamp": envelope.timestamp,
            });
            let end = format!(",\"sns\":{said}{}", sns.data_end);
            let data = header_data(&request.head.headers, &inner, &end);
            Ok(Content::Events(vec![event(own, data, body)]))
        }
        Some(Unwrap::S3 | Unwrap::Gcs) => match s3(message)? {
            Notification::Test => Ok(Content::Nothing("s3:TestEvent")),
            Notification::Objects(objects) => {
                let events = objects.into_iter().enumerate().map(|(at, object)| {
                    let numbered = || EventId::from_upstream(&format!("{own}#{at}"));
                    let id = object.id().unwrap_or_else(numbered);
                    event(id, object.data(&sns.data_end), Some(object.record))
                });
                Ok(Content::Events(events.collect()))
            }
        },
    }
}
