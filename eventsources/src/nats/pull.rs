//! Asks a pull consumer for messages: never for more than there is room for.

use async_nats::jetstream::consumer::pull::BatchConfig;
use async_nats::{Client, Message as Received, Subject, Subscriber};
use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::consumer::Consumer;
use super::limits::{HEARTBEAT, REQUEST, REQUEST_BYTES, REQUEST_EXPIRES, SILENCE};
use super::names::stream_sequence;

/// The requests to one consumer, and what they bring.
pub struct Pull {
    client: Client,
    subscriber: Subscriber,
    inbox: String,
    next: Subject,
    /// The most messages of one request.
    most: usize,
    /// Messages that were asked for and have not come.
    outstanding: usize,
    requests: u64,
    heard: Instant,
}

/// What has come from a consumer.
pub enum Came {
    /// A message, with its sequence in the stream.
    Message(Received, u64),
    /// Something else that changes nothing.
    Nothing,
}

impl Pull {
    /// Nothing is asked for yet.
    ///
    /// # Errors
    /// The connection is closed.
    pub async fn open(client: Client, consumer: &Consumer) -> Result<Self, String> {
        let inbox = client.new_inbox();
        let subscriber = client.subscribe(format!("{inbox}.*")).await;
        let subscriber = subscriber.map_err(|error| error.to_string())?;
        let next = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", consumer.stream, consumer.name);
        Ok(Self {
            client,
            subscriber,
            inbox,
            next: next.into(),
            most: consumer.most.map_or(REQUEST, |most| most.min(REQUEST)),
            outstanding: 0,
            requests: 0,
            heard: Instant::now(),
        })
    }

    /// Asks for messages if there is room for a good deal more than was asked for: `messages`,
    /// and about so many bytes. One message that is larger comes all the same.
    ///
    /// # Errors
    /// The connection is closed.
    pub async fn ask(&mut self, messages: usize, bytes: usize) -> Result<(), String> {
        let wanted = messages.min(2 * self.most);
        if wanted == 0 || self.outstanding * 2 > wanted {
            return Ok(());
        }
        if self.outstanding == 0 {
            self.heard = Instant::now();
        }
        // The largest message, its headers and its subject.
        let largest = self.client.server_info().max_payload.saturating_add(64 * 1024);
        let batch = self.most.min(wanted - self.outstanding);
        let request = BatchConfig {
            batch,
            expires: Some(REQUEST_EXPIRES),
            idle_heartbeat: HEARTBEAT,
            max_bytes: bytes.min(REQUEST_BYTES).max(largest),
            ..BatchConfig::default()
        };
        let request = serde_json::to_vec(&request).map_err(|error| error.to_string())?;
        self.requests += 1;
        let reply = format!("{}.{}", self.inbox, self.requests);
        let sent = self.client.publish_with_reply(self.next.clone(), reply, request.into()).await;
        sent.map_err(|error| error.to_string())?;
        self.outstanding += batch;
        Ok(())
    }

    /// What comes next.
    ///
    /// # Errors
    /// The consumer is gone, or nothing was heard for too long.
    pub async fn next(&mut self) -> Result<Came, String> {
        let until = self.heard + SILENCE;
        let silent = async {
            // Where nothing was asked for nothing is to be heard.
            match self.outstanding {
                0 => std::future::pending().await,
                _ => tokio::time::sleep_until(until).await,
            }
        };
        let received = tokio::select! {
            biased;
            received = self.subscriber.next() => received,
            () = silent => {
                return Err(format!("the consumer has said nothing for {} s", SILENCE.as_secs()));
            }
        };
        let received = received.ok_or_else(|| "the subscription has ended".to_owned())?;
        self.came(received)
    }

    /// What has come already.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub fn ready(&mut self) -> Result<Option<Came>, String> {
        use futures_util::FutureExt as _;
        let Some(received) = self.subscriber.next().now_or_never() else { return Ok(None) };
        let received = received.ok_or_else(|| "the subscription has ended".to_owned())?;
        self.came(received).map(Some)
    }

    fn came(&mut self, received: Received) -> Result<Came, String> {
        self.heard = Instant::now();
        let Some(status) = received.status.filter(|status| status.as_u16() != 200) else {
            self.outstanding = self.outstanding.saturating_sub(1);
            let sequence = received.reply.as_deref().and_then(stream_sequence);
            let sequence = sequence.ok_or("a message came that is none of a consumer")?;
            return Ok(Came::Message(received, sequence));
        };
        let said = received.description.clone().unwrap_or_default();
        let pending = received.headers.as_ref().and_then(|headers| {
            headers.get("Nats-Pending-Messages")?.as_str().parse::<usize>().ok()
        });
        match (status.as_u16(), pending) {
            // A heartbeat.
            (100, _) => Ok(Came::Nothing),
            // The consumer was removed: there is another to make.
            (409, _) if said.contains("Deleted") || said.contains("push") => {
                Err(format!("the consumer is gone: {said}"))
            }
            // A request has ended: it is as old as it may become, another server leads, or the
            // next message would be too many bytes.
            (404 | 408 | 409, Some(pending)) => {
                self.outstanding = self.outstanding.saturating_sub(pending);
                Ok(Came::Nothing)
            }
            (503, _) => Err("nobody answers for the consumer: it is gone, or JetStream is".into()),
            (status, _) => Err(format!("the consumer answers {status}: {said}")),
        }
    }
}
