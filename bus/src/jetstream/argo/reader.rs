//! Reading the stream in order, from a place on.

use std::time::Duration;

use async_nats::StatusCode;
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};
use tripline_event::Timestamp;

use super::{ArgoError, Message, STREAM, StreamInfo, Undecodable};
use crate::jetstream::api::{Api, ApiError, REQUEST_TIMEOUT};

/// How long the server keeps the consumer of a reader that was not closed.
pub const INACTIVE: Duration = Duration::from_secs(30);
/// The most messages of a page.
pub const MAX_PAGE: usize = 500;
/// The most bytes of a page, but for one message that is larger.
const MAX_PAGE_BYTES: usize = 8 * 1024 * 1024;
/// How often a consumer is made anew for one page.
const ATTEMPTS: usize = 3;
/// The most that one request waits for a message: well below [`INACTIVE`].
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the first message that is kept.
    First,
    /// At this sequence, or the first after it that is kept.
    Sequence(u64),
    /// At the first message that the server stored then or later.
    Time(Timestamp),
}

/// Reads the stream in order: each message that is kept once, and none is acknowledged.
pub struct Reader {
    api: Api,
    namespace: String,
    start: Start,
    /// The sequence of the last message that was read.
    read: Option<u64>,
    consumer: Option<Consumer>,
}

/// The server's side of a reader.
struct Consumer {
    name: String,
    /// How many messages it has delivered.
    delivered: u64,
}

/// What came of one request.
enum Fetched {
    /// Messages, or none where there is none.
    Messages(Vec<Result<Message, Undecodable>>),
    /// The next message is larger than what was asked for.
    TooLarge,
    /// The consumer is gone, or something was lost on the way.
    Gone,
}

impl Reader {
    pub(super) async fn open(
        api: Api,
        namespace: &str,
        start: Start,
        stream: &StreamInfo,
    ) -> Result<Self, ArgoError> {
        // A sequence beyond the end would be waited for, and those before it passed over.
        let start = match start {
            Start::Sequence(sequence) => Start::Sequence(sequence.clamp(1, stream.last + 1)),
            other => other,
        };
        let namespace = namespace.to_owned();
        let mut reader = Self { api, namespace, start, read: None, consumer: None };
        reader.consumer = Some(reader.make().await?);
        Ok(reader)
    }

    /// The next messages in their order, [`MAX_PAGE`] at most. Where there is none it waits
    /// up to `wait` for one, and 10 seconds at most; an empty page means that there is
    /// none yet.
    ///
    /// # Errors
    /// The server does not answer. The next call goes on where this one began.
    pub async fn page(
        &mut self,
        wait: Duration,
    ) -> Result<Vec<Result<Message, Undecodable>>, ArgoError> {
        let no_wait = json!({"batch": MAX_PAGE, "max_bytes": MAX_PAGE_BYTES, "no_wait": true});
        let page = self.take(MAX_PAGE, &no_wait, Duration::ZERO).await?;
        if !page.is_empty() || wait.is_zero() {
            return Ok(page);
        }
        let wait = wait.min(MAX_WAIT);
        let nanoseconds = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        self.take(1, &json!({"batch": 1, "expires": nanoseconds}), wait).await
    }

    /// The sequence of the last message that was read, whether it could be decoded or not.
    pub fn last_read(&self) -> Option<u64> {
        self.read
    }

    /// Removes the consumer, which the server does by itself [`INACTIVE`] later.
    pub async fn close(mut self) {
        if let Some(Consumer { name, .. }) = self.consumer.take() {
            let what = format!("CONSUMER.DELETE.{STREAM}.{name}");
            if let Err(error) = self.api.ask::<Value>(&what, &Value::Null).await {
                tracing::debug!(%error, "the consumer of a reader of Argo Events' stream stays");
            }
        }
    }

    async fn take(
        &mut self,
        batch: usize,
        request: &Value,
        wait: Duration,
    ) -> Result<Vec<Result<Message, Undecodable>>, ArgoError> {
        for _ in 0..ATTEMPTS {
            if self.consumer.is_none() {
                self.consumer = Some(self.make().await?);
            }
            match self.fetch(batch, request, wait).await? {
                Fetched::Messages(messages) => return Ok(messages),
                Fetched::Gone => self.consumer = None,
                Fetched::TooLarge => {
                    let alone = json!({"batch": 1, "no_wait": true});
                    if let Fetched::Messages(messages) = self.fetch(1, &alone, wait).await? {
                        return Ok(messages);
                    }
                    self.consumer = None;
                }
            }
        }
        Err(ArgoError::Unavailable(format!("the server loses its consumers of `{STREAM}`")))
    }

    /// A consumer from where reading goes on.
    async fn make(&self) -> Result<Consumer, ArgoError> {
        #[derive(Deserialize)]
        struct Made {
            name: String,
        }
        let mut config = json!({
            "description": "Tripline reads what Argo Events has; it acknowledges nothing",
            "ack_policy": "none",
            "replay_policy": "instant",
            "inactive_threshold": u64::try_from(INACTIVE.as_nanos()).unwrap_or(u64::MAX),
            "mem_storage": true,
            "num_replicas": 1,
        });
        let start = self.read.map_or(self.start, |read| Start::Sequence(read + 1));
        match start {
            Start::First => config["deliver_policy"] = "all".into(),
            Start::Sequence(sequence) => {
                config["deliver_policy"] = "by_start_sequence".into();
                config["opt_start_seq"] = sequence.into();
            }
            Start::Time(time) => {
                config["deliver_policy"] = "by_start_time".into();
                config["opt_start_time"] = time.to_string().into();
            }
        }
        let request = json!({"stream_name": STREAM, "config": config});
        let made = self.api.ask::<Made>(&format!("CONSUMER.CREATE.{STREAM}"), &request).await;
        Ok(Consumer { name: made?.name, delivered: 0 })
    }

    async fn fetch(
        &mut self,
        batch: usize,
        request: &Value,
        wait: Duration,
    ) -> Result<Fetched, ArgoError> {
        let connection = &self.api.connection;
        let silent = || ArgoError::from(ApiError::Silent(connection.silence()));
        let Some(Consumer { name, delivered }) = &mut self.consumer else {
            return Ok(Fetched::Gone);
        };
        let inbox = connection.client.new_inbox();
        let subscribed = connection.client.subscribe(inbox.clone()).await;
        let mut answers = subscribed.map_err(|_| silent())?;
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{name}");
        let asked =
            connection.client.publish_with_reply(subject, inbox, request.to_string().into());
        asked.await.map_err(|_| silent())?;
        let mut found = Vec::new();
        loop {
            let patience = Instant::now() + REQUEST_TIMEOUT + wait;
            let answer = match timeout_at(patience, answers.next()).await {
                Ok(Some(answer)) => answer,
                // What has come is read; what has not is asked for again.
                _ if !found.is_empty() => return Ok(Fetched::Messages(found)),
                _ => {
                    self.consumer = None;
                    return Err(silent());
                }
            };
            if let Some(status) = answer.status {
                return Ok(ended(status, answer.description.as_deref(), found));
            }
            let Some(place) = answer.reply.as_deref().and_then(Place::of) else {
                let what = "a message of a consumer does not say where it stands".to_owned();
                return Err(ApiError::Malformed(what).into());
            };
            if place.delivered != *delivered + 1 {
                // One before it is lost. It is read again, with what follows.
                let nothing = found.is_empty();
                self.consumer = None;
                return Ok(if nothing { Fetched::Gone } else { Fetched::Messages(found) });
            }
            *delivered = place.delivered;
            self.read = Some(place.sequence);
            found.push(decode(&self.namespace, &place, &answer));
            if found.len() == batch || place.pending == 0 {
                return Ok(Fetched::Messages(found));
            }
        }
    }
}

/// What it means that a request ended with a status.
fn ended(
    status: StatusCode,
    description: Option<&str>,
    found: Vec<Result<Message, Undecodable>>,
) -> Fetched {
    let nothing = found.is_empty();
    match status.as_u16() {
        // No messages, or none within the time.
        404 | 408 => Fetched::Messages(found),
        409 if !nothing => Fetched::Messages(found),
        409 if description.is_some_and(|text| text.contains("MaxBytes")) => Fetched::TooLarge,
        _ if !nothing => Fetched::Messages(found),
        _ => Fetched::Gone,
    }
}

fn decode(
    namespace: &str,
    place: &Place,
    message: &async_nats::Message,
) -> Result<Message, Undecodable> {
    let headers = message.headers.as_ref();
    let id = headers.and_then(|headers| headers.get("Nats-Msg-Id"));
    let id = id.map(|id| id.as_str().to_owned());
    let Place { sequence, time, .. } = *place;
    let decoded =
        Message::decode(namespace, sequence, time, &message.subject, id, &message.payload)?;
    let all = headers.into_iter().flat_map(|headers| headers.iter());
    let all =
        all.filter_map(|(name, values)| Some((name.to_string(), values.first()?.to_string())));
    Ok(Message { headers: all.collect(), ..decoded })
}

/// What a delivered message says of itself, in the subject that it would be acknowledged by
/// (NATS ADR-15, both versions).
#[derive(Debug, PartialEq, Eq)]
struct Place {
    sequence: u64,
    /// The how manieth of its consumer it is.
    delivered: u64,
    time: Timestamp,
    /// How many follow it.
    pending: u64,
}

impl Place {
    fn of(reply: &str) -> Option<Self> {
        let tokens: Vec<&str> = reply.split('.').collect();
        let fields = match tokens.as_slice() {
            ["$JS", "ACK", _, _, fields @ ..] if fields.len() == 5 => fields,
            ["$JS", "ACK", _, _, _, _, fields @ ..] if fields.len() >= 5 => fields,
            _ => return None,
        };
        let [_, sequence, delivered, time, pending, ..] = fields else { return None };
        Some(Self {
            sequence: sequence.parse().ok()?,
            delivered: delivered.parse().ok()?,
            time: Timestamp::from_nanosecond(time.parse().ok()?).ok()?,
            pending: pending.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_where_it_stands() {
        let place = |delivered| Place {
            sequence: 12,
            delivered,
            time: "2026-11-21T10:00:00.000000001Z".parse().unwrap(),
            pending: 4,
        };
        let time = place(0).time.as_nanosecond();
        for (reply, expected) in [
            (format!("$JS.ACK.default.c.1.12.3.{time}.4"), Some(place(3))),
            (format!("$JS.ACK._.hash.default.c.1.12.3.{time}.4"), Some(place(3))),
            (format!("$JS.ACK.d.hash.default.c.1.12.3.{time}.4.token"), Some(place(3))),
            (format!("$JS.ACK.default.c.1.12.3.{time}"), None),
            ("$JS.ACK.default.c.1.x.3.4.5".to_owned(), None),
            ("_INBOX.a".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(Place::of(&reply), expected, "{reply}");
        }
    }

    #[test]
    fn a_status_says_whether_there_is_more() {
        let of = |status: u16, text: &str| {
            let status = StatusCode::try_from(status).unwrap();
            match ended(status, Some(text), Vec::new()) {
                Fetched::Messages(_) => "none",
                Fetched::TooLarge => "too large",
                Fetched::Gone => "gone",
            }
        };
        assert_eq!(of(404, "No Messages"), "none");
        assert_eq!(of(408, "Request Timeout"), "none");
        assert_eq!(of(409, "Message Size Exceeds MaxBytes"), "too large");
        assert_eq!(of(409, "Consumer Deleted"), "gone");
        assert_eq!(of(503, ""), "gone");
    }
}
