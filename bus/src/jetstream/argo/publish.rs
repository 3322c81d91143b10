//! Writing to the stream as an event source of Argo Events does.

use async_nats::HeaderMap;
use async_nats::jetstream;
use bytes::Bytes;

use super::{Argo, ArgoError, SUBJECT_PREFIX};

/// A message for the sensors of Argo Events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The event source.
    pub source: String,
    /// The event.
    pub event: String,
    /// What the stream recognises a repeat by.
    pub message_id: String,
    /// Headers besides that. Argo Events' sensors see none.
    pub headers: Vec<(&'static str, String)>,
    /// The CloudEvent, in JSON.
    pub body: Bytes,
}

/// What the stream made of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its sequence.
    pub sequence: u64,
    /// It was there already: nothing was stored.
    pub duplicate: bool,
}

/// A message was not taken.
#[derive(Debug)]
pub struct NotPublished {
    /// How many before it were.
    pub published: usize,
    /// Why.
    pub error: ArgoError,
    /// The stream will never take it: it is too large.
    pub never: bool,
}

impl Argo {
    /// Publishes the messages in their order, and waits until all of them are stored.
    ///
    /// # Errors
    /// The first that is not stored. Those after it may be: published again, they are
    /// recognised by their ids for as long as the stream remembers these.
    pub async fn publish(&self, messages: &[Outgoing]) -> Result<Vec<Published>, NotPublished> {
        let context = jetstream::new(self.client().clone());
        let largest = self.client().server_info().max_payload;
        let mut answers = Vec::with_capacity(messages.len());
        let failed = |published, reason: String, never| NotPublished {
            published,
            error: ArgoError::Unavailable(reason),
            never,
        };
        let mut refused = None;
        for (at, message) in messages.iter().enumerate() {
            let headers = message.headers().map_err(|reason| failed(at, reason, true));
            let headers = match headers {
                Ok(headers) if message.body.len() + MAX_HEADER_BYTES <= largest => headers,
                Ok(_) => {
                    let size = message.body.len();
                    let reason =
                        format!("it is {size} bytes, and the server takes {largest} with headers");
                    refused = Some(failed(at, reason, true));
                    break;
                }
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            };
            let subject = format!("{SUBJECT_PREFIX}{}.{}", message.source, message.event);
            match context.publish_with_headers(subject, headers, message.body.clone()).await {
                Ok(answer) => answers.push(answer),
                Err(error) => {
                    refused = Some(failed(at, error.to_string(), false));
                    break;
                }
            }
        }
        let mut published = Vec::with_capacity(answers.len());
        for answer in answers {
            match answer.await {
                Ok(stored) => published
                    .push(Published { sequence: stored.sequence, duplicate: stored.duplicate }),
                Err(error) => return Err(failed(published.len(), error.to_string(), false)),
            }
        }
        match refused {
            Some(refused) => Err(refused),
            None => Ok(published),
        }
    }
}

/// What headers take at most; longer values are left out.
const MAX_HEADER_BYTES: usize = 16 * 1024;

impl Outgoing {
    fn headers(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        let value = |text: &str| {
            text.parse::<async_nats::HeaderValue>()
                .map_err(|_| "a header of it has a line break".to_owned())
        };
        headers.insert(async_nats::header::NATS_MESSAGE_ID, value(&self.message_id)?);
        let mut room = MAX_HEADER_BYTES.saturating_sub(512 + self.message_id.len());
        for (name, text) in &self.headers {
            let size = name.len() + text.len() + 4;
            if size > room {
                continue;
            }
            room -= size;
            headers.insert(*name, value(text)?);
        }
        Ok(headers)
    }
}
