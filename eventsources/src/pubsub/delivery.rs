//! One message, on its way to the event bus.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use google_cloud_pubsub::model;
use google_cloud_pubsub::subscriber::handler::Handler;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tripline_event::EventId;

use super::KIND;
use super::config::PubSub;
use super::data::{attributes, event_data};
use crate::again::{FIRST_PAUSE, longer};
use crate::source::Running;
use crate::unwrap::gcs;
use crate::{Message, SinkError, Unreadable};

/// A message that was delivered.
pub struct Delivery {
    pub message: model::Message,
    /// Gives the message back when it is dropped.
    pub handler: Handler,
}

impl Delivery {
    /// What holding it costs.
    pub fn bytes(&self) -> usize {
        let attributes = &self.message.attributes;
        let attributes: usize = attributes.iter().map(|(k, v)| k.len() + v.len()).sum();
        self.message.data.len() + attributes
    }
}

/// A message that is through.
pub struct Through {
    pub handler: Handler,
    pub id: String,
    /// Empty: none.
    pub ordering_key: String,
    pub bytes: usize,
    /// Whether it is durable, as an event or as a dead letter.
    pub taken: bool,
}

/// What brings messages to the event bus.
pub struct Taker {
    pub config: Arc<PubSub>,
    pub running: Running,
    /// Cancelled when messages that the event bus does not take are no longer to be kept.
    pub abandon: CancellationToken,
    /// For messages.
    pub subscription: String,
    /// Whether messages come in, as far as was told.
    pub up: AtomicBool,
    /// Messages that the event bus has not taken, and that are tried again.
    pub waiting: AtomicUsize,
}

/// What is to be put on the event bus.
enum Offer {
    Event(Message),
    Letter(Unreadable),
}

impl Taker {
    /// Puts the message on the event bus; tries for as long as patience lasts. One with an
    /// ordering key is kept for as long as it takes: those behind it must not overtake it.
    pub async fn take(self: Arc<Self>, delivery: Delivery) -> Through {
        let bytes = delivery.bytes();
        let Delivery { message, handler } = delivery;
        let ordered = !message.ordering_key.is_empty();
        let taken = match self.offer(&message) {
            Offer::Event(event) => match self.append(event, ordered).await {
                Ok(taken) => taken,
                Err(too_large) => self.keep(self.letter(&message, &too_large), ordered).await,
            },
            Offer::Letter(letter) => self.keep(letter, ordered).await,
        };
        Through {
            handler,
            id: message.message_id,
            ordering_key: message.ordering_key,
            bytes,
            taken,
        }
    }

    /// `Err`: it will never be taken, and why.
    async fn append(&self, event: Message, ordered: bool) -> Result<bool, String> {
        let mut attempts = Attempts::new(self, ordered);
        loop {
            match self.running.context.sink.append(event.clone()).await {
                Ok(_) => return Ok(attempts.taken()),
                Err(error @ SinkError::TooLarge { .. }) => return Err(error.to_string()),
                Err(error) if attempts.again(&error).await => {}
                Err(_) => return Ok(false),
            }
        }
    }

    async fn keep(&self, letter: Unreadable, ordered: bool) -> bool {
        let mut attempts = Attempts::new(self, ordered);
        loop {
            match self.running.context.sink.unreadable(letter.clone()).await {
                Ok(()) => return attempts.taken(),
                Err(error) if attempts.again(&error).await => {}
                Err(_) => return false,
            }
        }
    }

    fn offer(&self, message: &model::Message) -> Offer {
        if self.config.unwrap.is_some() {
            return self.object(message);
        }
        // No body is `null`, which is JSON.
        let json = match serde_json::from_slice::<&RawValue>(&message.data) {
            Ok(json) => Some(json.get().as_bytes()),
            Err(_) if message.data.is_empty() || !self.config.json_body => None,
            Err(error) => {
                let reason = format!(
                    "message is not JSON ({error}), and `jsonBody` says that it is: publish \
                     JSON, or remove `jsonBody`"
                );
                return Offer::Letter(self.letter(message, &reason));
            }
        };
        Offer::Event(Message {
            key: self.running.key.clone(),
            kind: KIND,
            id: event_id(message),
            time: self.running.context.clock.now(),
            data: event_data(&self.config, message, json.filter(|_| self.config.json_body)),
            headers: attributes(message),
            body: json.map(|json| message.data.slice_ref(json)),
            correlation_path: self.running.correlation_path.clone(),
            cloud_event: None,
        })
    }

    /// A notification of Cloud Storage.
    fn object(&self, message: &model::Message) -> Offer {
        let object = match gcs(&message.attributes, &message.data) {
            Ok(object) => object,
            Err(reason) => return Offer::Letter(self.letter(message, &reason)),
        };
        Offer::Event(Message {
            key: self.running.key.clone(),
            kind: KIND,
            id: object.id().or_else(|| event_id(message)),
            time: self.running.context.clock.now(),
            data: object.data(&self.config.data_end),
            headers: attributes(message),
            body: Some(object.record),
            correlation_path: self.running.correlation_path.clone(),
            cloud_event: None,
        })
    }

    fn letter(&self, message: &model::Message, reason: &str) -> Unreadable {
        Unreadable {
            key: self.running.key.clone(),
            kind: KIND,
            id: event_id(message),
            time: self.running.context.clock.now(),
            bytes: message.data.clone(),
            headers: attributes(message),
            reason: reason.to_owned(),
        }
    }

    /// Messages come in.
    pub fn is_up(&self) {
        if !self.up.swap(true, Ordering::Relaxed) {
            let subscription = &*self.subscription;
            tracing::info!(event = %self.running.key, subscription, "messages are taken in");
            self.running.health.ready(format!("takes messages from {subscription}"));
        }
    }

    /// Messages do not come in, since the event bus does not take them.
    fn is_refused(&self, error: &SinkError) {
        if self.up.swap(false, Ordering::Relaxed) {
            let subscription = &*self.subscription;
            tracing::warn!(event = %self.running.key, subscription, "messages wait: {error}");
            self.running.health.failing(format!("messages wait: {error}"));
        }
    }
}

fn event_id(message: &model::Message) -> Option<EventId> {
    let id = Some(&message.message_id).filter(|id| !id.is_empty());
    id.map(|id| EventId::from_upstream(id))
}

/// The attempts to put one message on the event bus.
struct Attempts<'a> {
    taker: &'a Taker,
    /// `None`: for as long as it takes.
    until: Option<Instant>,
    pause: std::time::Duration,
    refused: bool,
}

impl<'a> Attempts<'a> {
    fn new(taker: &'a Taker, ordered: bool) -> Self {
        let until = (!ordered).then(|| Instant::now() + taker.config.patience);
        Self { taker, until, pause: FIRST_PAUSE, refused: false }
    }

    fn taken(&self) -> bool {
        self.taker.is_up();
        true
    }

    /// After a pause; `false`: no more.
    async fn again(&mut self, error: &SinkError) -> bool {
        self.taker.is_refused(error);
        if !self.refused {
            self.refused = true;
            self.taker.waiting.fetch_add(1, Ordering::Relaxed);
        }
        if self.until.is_some_and(|until| Instant::now() + self.pause > until) {
            return false;
        }
        let abandoned = tokio::select! {
            biased;
            () = self.taker.abandon.cancelled() => true,
            () = sleep(self.pause) => false,
        };
        self.pause = longer(self.pause);
        !abandoned
    }
}

impl Drop for Attempts<'_> {
    fn drop(&mut self) {
        if self.refused {
            self.taker.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
