//! Publishing, and what an error means.

use std::sync::atomic::Ordering;

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
    /// to oneself. Where the user must not send that, when everything has left this machine.
    async fn processed(&self) -> Result<(), TriggerError> {
        let lost = |reason: String| TriggerError::Retry { reason, after: None };
        let silent = || lost(format!("NATS at {} does not answer", self.shown));
        if !self.no_echo.load(Ordering::Relaxed) {
            let inbox = self.client.new_inbox();
            let echo = async {
                let mut echo = self.client.subscribe(inbox.clone()).await.ok()?;
                echo.unsubscribe_after(1).await.ok()?;
                self.client.publish(inbox.clone(), Bytes::new()).await.ok()?;
                echo.next().await
            };
            if timeout(CALL, echo).await.is_ok_and(|echo| echo.is_some()) {
                return Ok(());
            }
            if !self.denied(&inbox) {
                return Err(silent());
            }
            self.no_echo.store(true, Ordering::Relaxed);
        }
        let flushed = timeout(CALL, self.client.flush()).await.map_err(|_| silent())?;
        flushed.map_err(|error| lost(error.to_string()))
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
