//! Publishing, and what an error means.

use async_nats::HeaderMap;
use async_nats::client::PublishErrorKind as CoreError;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::PublishErrorKind as StreamError;
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::time::timeout;
use tripline_event::Cause;
use tripline_nats::chain;

use super::config::{JetStream, NatsConfig};
use super::link::{CALL, Link, not_done};
use crate::TriggerError;

/// How often other tasks get their turn until what a connection has told is heard.
const TURNS: usize = 16;

/// Where it was stored, and under which number; none: nowhere.
type Stored = Option<(String, String)>;

impl Link {
    /// Publishes, and waits until the server has processed it.
    pub(super) async fn publish(
        &self,
        config: &NatsConfig,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<Stored, TriggerError> {
        self.check()?;
        let subject = config.subject.clone();
        let sent = self.client.publish_with_headers(subject, headers, payload).await;
        sent.map_err(|error| match error.kind() {
            CoreError::MaxPayloadExceeded => too_large(&error),
            CoreError::InvalidSubject => refused(Cause::Invalid, chain(&error)),
            CoreError::Send => not_done(chain(&error)),
        })?;
        self.processed().await?;
        match self.denied(&config.subject) {
            true => Err(self.forbidden(config)),
            false => Ok(None),
        }
    }

    /// Returns when the server has processed all that was sent before: it has answered a message
    /// to oneself, or has said that the user must not send one.
    async fn processed(&self) -> Result<(), TriggerError> {
        let silent = || TriggerError::Retry {
            reason: format!("NATS at {} does not answer", self.shown),
            after: None,
        };
        let inbox = self.client.new_inbox();
        let echo = async {
            let mut echo = self.client.subscribe(inbox.clone()).await.ok()?;
            echo.unsubscribe_after(1).await.ok()?;
            self.client.publish(inbox.clone(), Bytes::new()).await.ok()?;
            echo.next().await
        };
        let answered = async {
            tokio::select! {
                echo = echo => echo.map(drop),
                () = self.is_denied(&inbox) => Some(()),
            }
        };
        timeout(CALL, answered).await.ok().flatten().ok_or_else(silent)?;
        // What the server complained of before is on its way to us through another task.
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Publishes, and waits until a stream has stored it.
    pub(super) async fn store(
        &self,
        config: &NatsConfig,
        jet_stream: &JetStream,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<Stored, TriggerError> {
        self.check()?;
        let mut message = PublishMessage::build().payload(payload).headers(headers);
        if let Some(stream) = jet_stream.stream() {
            message = message.expected_stream(stream);
        }
        let sent = self.context.send_publish(config.subject.clone(), message).await;
        let answered = match sent {
            Ok(answer) => answer.await,
            Err(error) => Err(error),
        };
        let Err(error) = answered else {
            return Ok(answered
                .ok()
                .map(|stored| (format!("stream {}", stored.stream), stored.sequence.to_string())));
        };
        if self.denied(&config.subject) {
            return Err(self.forbidden(config));
        }
        Err(match error.kind() {
            StreamError::MaxPayloadExceeded => too_large(&error),
            // It may be that no server leads just now.
            StreamError::StreamNotFound => {
                let subject = &config.subject;
                not_done(format!("no stream of NATS at {} has subject `{subject}`", self.shown))
            }
            StreamError::MaxAckPending => not_done(chain(&error)),
            StreamError::TimedOut | StreamError::BrokenPipe => TriggerError::Retry {
                reason: format!("NATS at {} does not say that it is stored", self.shown),
                after: None,
            },
            _ => self.not_stored(&error),
        })
    }

    /// A stream has said no.
    fn not_stored(&self, error: &async_nats::jetstream::context::PublishError) -> TriggerError {
        let reason = format!("NATS at {} does not store it: {}", self.shown, chain(error));
        let code = std::error::Error::source(error)
            .and_then(|source| source.downcast_ref::<async_nats::jetstream::Error>())
            .map(async_nats::jetstream::Error::error_code);
        match code {
            Some(ErrorCode::STREAM_NOT_MATCH) => refused(Cause::NotFound, reason),
            Some(ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM) => refused(Cause::Invalid, reason),
            // A full stream, a server without room or leader.
            Some(_) => not_done(reason),
            None => TriggerError::Retry { reason, after: None },
        }
    }

    /// Asks for the stream that would store the message.
    pub(super) async fn find_stream(
        &self,
        config: &NatsConfig,
        jet_stream: &JetStream,
    ) -> Result<String, String> {
        let shown = &self.shown;
        let found = self.context.stream_by_subject(config.subject.clone()).await;
        let found = found.map_err(|error| {
            let subject = &config.subject;
            format!("no stream of NATS at {shown} has subject `{subject}`: {}", chain(&error))
        })?;
        match jet_stream.stream() {
            Some(stream) if stream != found => {
                Err(format!("subject `{}` is stream `{found}`'s, not `{stream}`'s", config.subject))
            }
            _ => Ok(format!("stream `{found}` at {shown} is there")),
        }
    }

    fn forbidden(&self, config: &NatsConfig) -> TriggerError {
        let reason = format!(
            "NATS at {} does not allow messages to `{}`: grant the user this subject",
            self.shown, config.subject
        );
        refused(Cause::Forbidden, reason)
    }
}

fn too_large(error: &dyn std::error::Error) -> TriggerError {
    refused(Cause::Invalid, format!("the message is too large for the server: {}", chain(error)))
}

fn refused(cause: Cause, reason: String) -> TriggerError {
    TriggerError::Refused { cause, reason }
}
