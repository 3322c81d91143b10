//! Requests to JetStream: what is asked, and what its answers mean.
//!
//! Promises: each request ends within [`REQUEST_TIMEOUT`], answered or not.
//!
//! Not here: what is done about an answer.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::{HeaderMap, Request, RequestErrorKind, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tripline_event::Timestamp;

use super::block::Message;
use super::connection::Connection;

/// How long an answer is waited for.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Codes of JetStream's errors (server/errors.json of nats-server).
pub(super) mod code {
    pub(crate) const ACCOUNT_RESOURCES: u64 = 10002;
    pub(crate) const CONSUMER_NOT_FOUND: u64 = 10014;
    pub(crate) const INSUFFICIENT_RESOURCES: u64 = 10023;
    pub(crate) const MEMORY_RESOURCES: u64 = 10028;
    pub(crate) const NO_MESSAGE: u64 = 10037;
    pub(crate) const NOT_ENABLED_FOR_ACCOUNT: u64 = 10039;
    pub(crate) const SEQUENCE_NOT_FOUND: u64 = 10043;
    pub(crate) const STORAGE_RESOURCES: u64 = 10047;
    pub(crate) const MESSAGE_TOO_LARGE: u64 = 10054;
    pub(crate) const DELETE_FAILED: u64 = 10057;
    pub(crate) const STREAM_NAME_EXISTS: u64 = 10058;
    pub(crate) const STREAM_NOT_FOUND: u64 = 10059;
    pub(crate) const WRONG_LAST_SEQUENCE: u64 = 10071;
    pub(crate) const NOT_ENABLED: u64 = 10076;
    pub(crate) const STORE_FAILED: u64 = 10077;
    pub(crate) const WRONG_LAST_SEQUENCE_CONSTANT: u64 = 10164;
}

/// Why there is no answer, or a refusal.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// Nothing came, or the connection is down.
    #[error("{0}")]
    Silent(String),
    /// Nobody listens: JetStream is off, or the stream has no leader.
    #[error("nobody answers for `{0}`: JetStream is not on there, or has no leader at the moment")]
    NobodyListens(String),
    /// The server says no.
    #[error("the server says: {description} ({code})")]
    Refused {
        /// JetStream's own code.
        code: u64,
        /// Its words.
        description: String,
    },
    /// The answer is not what JetStream answers.
    #[error("the server's answer cannot be read: {0}")]
    Malformed(String),
}

impl ApiError {
    pub(super) fn is(&self, wanted: u64) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == wanted)
    }

    /// The write was not stored, since there is no room for it.
    pub(super) fn is_full(&self) -> bool {
        let Self::Refused { code, description } = self else { return false };
        match *code {
            code::ACCOUNT_RESOURCES
            | code::INSUFFICIENT_RESOURCES
            | code::MEMORY_RESOURCES
            | code::STORAGE_RESOURCES => true,
            code::STORE_FAILED => {
                description.contains("maximum") || description.contains("no space")
            }
            _ => false,
        }
    }

    /// The stream had gone on from where the writer thought that it was.
    pub(super) fn is_wrong_sequence(&self) -> bool {
        self.is(code::WRONG_LAST_SEQUENCE) || self.is(code::WRONG_LAST_SEQUENCE_CONSTANT)
    }
}

/// What STREAM.INFO says.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct StreamInfo {
    pub(super) config: Map<String, Value>,
    /// When the stream was made, to the nanosecond: another one has another.
    pub(super) created: String,
    pub(super) state: StreamState,
    /// The server's time.
    #[serde(default)]
    pub(super) ts: Option<Timestamp>,
    /// How many subjects there are in all, where they were asked for.
    #[serde(default)]
    pub(super) total: usize,
}

/// What is in a stream.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct StreamState {
    pub(super) messages: u64,
    pub(super) first_seq: u64,
    pub(super) last_seq: u64,
    #[serde(default)]
    pub(super) subjects: Option<BTreeMap<String, u64>>,
}

/// An acknowledgement of a message.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Stored {
    pub(super) seq: u64,
}

/// A message with when it came.
#[derive(Clone, Debug)]
pub(super) struct Dated {
    pub(super) message: Message,
    pub(super) time: Option<Timestamp>,
}

/// The API of one connection.
#[derive(Clone)]
pub(super) struct Api {
    pub(super) connection: Connection,
    prefix: String,
}

impl Api {
    /// The API of JetStream, in a domain where one is named.
    pub(super) fn new(connection: Connection, domain: Option<&str>) -> Self {
        let prefix = match domain {
            Some(domain) => format!("$JS.{domain}.API"),
            None => "$JS.API".to_owned(),
        };
        Self { connection, prefix }
    }

    /// Asks, and reads the answer.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        what: &str,
        request: &Value,
    ) -> Result<T, ApiError> {
        let body = if request.is_null() { Bytes::new() } else { request.to_string().into() };
        let subject = format!("{}.{what}", self.prefix);
        let answer = self.send(&subject, HeaderMap::new(), body).await?;
        read_answer(&answer)
    }

    /// Publishes a message to a stream, and waits until it is stored.
    pub(super) async fn publish(
        &self,
        subject: &str,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<Stored, ApiError> {
        read_answer(&self.send(subject, headers, payload).await?)
    }

    async fn send(
        &self,
        subject: &str,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<Bytes, ApiError> {
        let mut request = Request::new().payload(payload).timeout(Some(REQUEST_TIMEOUT));
        if !headers.is_empty() {
            request = request.headers(headers);
        }
        // The client's own timeout does not cover a queue that is full.
        let sent = self.connection.client.send_request(subject.to_owned(), request);
        let answered = tokio::time::timeout(REQUEST_TIMEOUT, sent).await;
        match answered {
            Ok(Ok(message)) => Ok(message.payload),
            Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => {
                Err(ApiError::NobodyListens(subject.to_owned()))
            }
            Ok(Err(error)) if error.kind() == RequestErrorKind::MaxPayloadExceeded => {
                Err(ApiError::Refused {
                    code: code::MESSAGE_TOO_LARGE,
                    description: error.to_string(),
                })
            }
            Ok(Err(_)) | Err(_) => Err(ApiError::Silent(self.connection.silence())),
        }
    }

    pub(super) async fn stream_info(&self, stream: &str) -> Result<StreamInfo, ApiError> {
        self.ask(&format!("STREAM.INFO.{stream}"), &Value::Null).await
    }

    /// The subjects of a stream that fit, in their order.
    pub(super) async fn subjects(
        &self,
        stream: &str,
        filter: &str,
    ) -> Result<Vec<String>, ApiError> {
        let mut found = Vec::new();
        loop {
            let request = json!({"subjects_filter": filter, "offset": found.len()});
            let info: StreamInfo = self.ask(&format!("STREAM.INFO.{stream}"), &request).await?;
            let page = info.state.subjects.unwrap_or_default();
            let done = page.is_empty() || found.len() + page.len() >= info.total;
            found.extend(page.into_keys());
            if done {
                return Ok(found);
            }
        }
    }

    /// A message, from the stream's leader; `None` where there is none.
    pub(super) async fn leader_get(
        &self,
        stream: &str,
        request: &Value,
    ) -> Result<Option<Dated>, ApiError> {
        #[derive(Deserialize)]
        struct Answer {
            message: Body,
        }
        #[derive(Deserialize)]
        struct Body {
            seq: u64,
            #[serde(default)]
            data: String,
            #[serde(default)]
            time: Option<Timestamp>,
        }
        match self.ask::<Answer>(&format!("STREAM.MSG.GET.{stream}"), request).await {
            Ok(Answer { message: Body { seq, data, time } }) => {
                let payload = BASE64.decode(data).map_err(|error| {
                    ApiError::Malformed(format!("message {seq} of {stream}: {error}"))
                })?;
                let message = Message { sequence: seq, payload: payload.into() };
                Ok(Some(Dated { message, time }))
            }
            Err(error) if error.is(code::NO_MESSAGE) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Messages of a stream from a sequence on, from whichever server has a copy: the newest
    /// may be missing there. At most `most`, and about `bytes` of bytes.
    pub(super) async fn direct_batch(
        &self,
        stream: &str,
        subject: &str,
        from: u64,
        most: usize,
        bytes: usize,
    ) -> Result<Vec<Message>, ApiError> {
        let request =
            json!({"seq": from, "next_by_subj": subject, "batch": most, "max_bytes": bytes});
        let batch = self.collect(stream, &request);
        match tokio::time::timeout(2 * REQUEST_TIMEOUT, batch).await {
            Ok(batch) => batch,
            Err(_) => Err(ApiError::Silent(self.connection.silence())),
        }
    }

    async fn collect(&self, stream: &str, request: &Value) -> Result<Vec<Message>, ApiError> {
        let client = &self.connection.client;
        let silent = || ApiError::Silent(self.connection.silence());
        let inbox = client.new_inbox();
        let mut answers = client.subscribe(inbox.clone()).await.map_err(|_| silent())?;
        let subject = format!("{}.DIRECT.GET.{stream}", self.prefix);
        client
            .publish_with_reply(subject.clone(), inbox, request.to_string().into())
            .await
            .map_err(|_| silent())?;
        let mut found = Vec::new();
        loop {
            let next = tokio::time::timeout(REQUEST_TIMEOUT, answers.next()).await;
            let Ok(Some(answer)) = next else { return Err(silent()) };
            match answer.status {
                None => found.push(direct_message(answer)?),
                Some(StatusCode::NO_RESPONDERS) => return Err(ApiError::NobodyListens(subject)),
                // The end of the batch, or nothing at all.
                Some(status) if matches!(status.as_u16(), 204 | 404) => return Ok(found),
                Some(status) => {
                    let description = answer.description.unwrap_or_default();
                    return Err(ApiError::Refused { code: status.as_u16().into(), description });
                }
            }
        }
    }

    /// The last message of a subject, from whichever server has a copy.
    pub(super) async fn direct_last(
        &self,
        stream: &str,
        subject: &str,
    ) -> Result<Option<Message>, ApiError> {
        let request = json!({"last_by_subj": subject}).to_string();
        let to = format!("{}.DIRECT.GET.{stream}", self.prefix);
        let asked = Request::new().payload(request.into()).timeout(Some(REQUEST_TIMEOUT));
        let answer = self.connection.client.send_request(to.clone(), asked);
        match tokio::time::timeout(REQUEST_TIMEOUT, answer).await {
            Ok(Ok(answer)) => match answer.status {
                None => direct_message(answer).map(Some),
                Some(status) if status.as_u16() == 404 => Ok(None),
                Some(status) => Err(ApiError::Refused {
                    code: status.as_u16().into(),
                    description: answer.description.unwrap_or_default(),
                }),
            },
            Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => {
                Err(ApiError::NobodyListens(to))
            }
            Ok(Err(_)) | Err(_) => Err(ApiError::Silent(self.connection.silence())),
        }
    }

    /// Removes the messages before `below`; of one subject, where it is named.
    pub(super) async fn purge(
        &self,
        stream: &str,
        subject: Option<&str>,
        below: u64,
    ) -> Result<(), ApiError> {
        let mut request = json!({"seq": below});
        if let Some(subject) = subject {
            request["filter"] = subject.into();
        }
        self.ask::<Value>(&format!("STREAM.PURGE.{stream}"), &request).await.map(drop)
    }

    /// Removes one message; false where it is not there.
    pub(super) async fn delete(&self, stream: &str, sequence: u64) -> Result<bool, ApiError> {
        let request = json!({"seq": sequence, "no_erase": true});
        let subject = format!("STREAM.MSG.DELETE.{stream}");
        match self.ask::<Value>(&subject, &request).await {
            Ok(_) => Ok(true),
            Err(error)
                if error.is(code::NO_MESSAGE)
                    || error.is(code::SEQUENCE_NOT_FOUND)
                    || error.is(code::DELETE_FAILED) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

/// Reads an answer in JSON, or the refusal in it.
pub(super) fn read_answer<T: DeserializeOwned>(answer: &[u8]) -> Result<T, ApiError> {
    #[derive(Deserialize)]
    struct Refusal {
        error: Reason,
    }
    #[derive(Deserialize)]
    struct Reason {
        #[serde(default)]
        code: u64,
        #[serde(default)]
        err_code: u64,
        #[serde(default)]
        description: String,
    }
    if let Ok(Refusal { error: Reason { code, err_code, description } }) =
        serde_json::from_slice(answer)
    {
        let code = if err_code == 0 { code } else { err_code };
        return Err(ApiError::Refused { code, description });
    }
    serde_json::from_slice(answer).map_err(|error| ApiError::Malformed(error.to_string()))
}

fn direct_message(answer: async_nats::Message) -> Result<Message, ApiError> {
    let sequence = answer.headers.as_ref().and_then(|headers| {
        headers.get_last("Nats-Sequence").and_then(|value| value.as_str().parse().ok())
    });
    let sequence =
        sequence.ok_or_else(|| ApiError::Malformed("a message without a sequence".to_owned()))?;
    Ok(Message { sequence, payload: answer.payload })
}
