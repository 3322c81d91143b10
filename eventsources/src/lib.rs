//! The kinds of event sources.
//!
//! An event source takes messages in and hands each to an [`EventSink`]. It acknowledges
//! its upstream only after the sink has returned: the order of these two lines is the
//! delivery guarantee.
//!
//! Not here: the bus, sensors, triggers.

#[cfg(any(feature = "kafka", feature = "nats", feature = "pubsub", feature = "sqs"))]
mod again;
pub mod calendar;
mod cloudevents;
pub mod codes;
pub mod definition;
mod fields;
mod health;
mod identity;
mod json;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod kinds;
#[cfg(feature = "nats")]
pub mod nats;
mod probe;
#[cfg(feature = "pubsub")]
pub mod pubsub;
mod secret;
#[cfg(feature = "sns")]
pub mod sns;
pub mod source;
mod sources;
#[cfg(feature = "sqs")]
pub mod sqs;
mod supervise;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(any(feature = "pubsub", feature = "sns", feature = "sqs"))]
mod unwrap;
pub mod webhook;

pub use definition::{EventDefinition, SourceConfig, clashes, events, events_in};
pub use fields::{Correlation, EventFilter};
pub use health::{Health, SourceStatus};
pub use secret::SecretLookup;
pub use source::{EventSource, Running, SourceContext, SourceError, SourceSettings};
pub use sources::Sources;
pub use tripline_config::SecretRef;
pub use webhook::Listeners;

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use tripline_event::{CloudEvent, CorrelationId, EventId, EventKey, Position, Timestamp};

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where an event source puts its events.
pub trait EventSink: Send + Sync + 'static {
    /// Returns once the bus has stored the event. Only then may the source acknowledge
    /// its upstream.
    fn append(&self, message: Message) -> BoxFuture<'_, Result<Accepted, SinkError>>;

    /// Returns once the bus has stored all of the events, which stand in its log in their order.
    ///
    /// # Errors
    /// The first of them may be stored, the others not: offered again, they are recognised.
    /// [`SinkError::TooLarge`]: one of them is, or all are together.
    fn append_all<'a>(
        &'a self,
        messages: &'a [&'a Message],
    ) -> BoxFuture<'a, Result<Vec<Accepted>, SinkError>> {
        Box::pin(async move {
            let mut accepted = Vec::with_capacity(messages.len());
            for message in messages {
                accepted.push(self.append((*message).clone()).await?);
            }
            Ok(accepted)
        })
    }

    /// Something came in that will never be an event (not JSON where JSON was asked for, too
    /// large, no valid data): kept as a dead letter with its bytes, durable when this returns.
    /// Only then may the source acknowledge its upstream. One dead letter for each id,
    /// however often upstream delivers it.
    ///
    /// Not for what upstream is told to its face (a request that is answered 400): that is
    /// [`Self::refused`].
    fn unreadable(&self, message: Unreadable) -> BoxFuture<'_, Result<(), SinkError>>;

    /// Something came in that is not an event, and whoever sent it was told: counted, and
    /// visible as an outcome (at most one record a second for each key and reason).
    fn refused(&self, key: &EventKey, reason: &str);

    /// Ticks of a calendar were passed over and are not made up: `count` of them, the first
    /// at `from` and the last at `to`. Durable when this returns; only then may the source
    /// forget them. The same `from` and `to` again are one outcome.
    fn missed<'a>(
        &'a self,
        key: &'a EventKey,
        from: Timestamp,
        to: Timestamp,
        count: u64,
    ) -> BoxFuture<'a, Result<(), SinkError>>;

    /// The latest tick of a calendar that was kept; none where none was.
    fn last_tick<'a>(
        &'a self,
        key: &'a EventKey,
    ) -> BoxFuture<'a, Result<Option<Timestamp>, SinkError>> {
        let _ = key;
        Box::pin(async { Ok(None) })
    }

    /// Keeps the latest tick of a calendar that was taken, or given up. Durable when this
    /// returns.
    fn keep_last_tick<'a>(
        &'a self,
        key: &'a EventKey,
        tick: Timestamp,
    ) -> BoxFuture<'a, Result<(), SinkError>> {
        let _ = (key, tick);
        Box::pin(async { Ok(()) })
    }

    /// How far the part `of` an upstream was read that does not remember it itself, as it was
    /// kept last; none where nothing was.
    fn place<'a>(
        &'a self,
        key: &'a EventKey,
        of: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, SinkError>> {
        let _ = (key, of);
        Box::pin(async { Ok(None) })
    }

    /// Keeps how far the part `of` an upstream was read. Durable when this returns.
    fn keep_place<'a>(
        &'a self,
        key: &'a EventKey,
        of: &'a str,
        place: &'a str,
    ) -> BoxFuture<'a, Result<(), SinkError>> {
        let _ = (key, of, place);
        Box::pin(async { Ok(()) })
    }
}

/// What an event source took in.
#[derive(Clone, Debug)]
pub struct Message {
    /// Namespace, event source and event name.
    pub key: EventKey,
    /// The CloudEvents type: the kind of the event source.
    pub kind: &'static str,
    /// The id that upstream gave; a random one is made where there is none.
    pub id: Option<EventId>,
    /// When it was taken in.
    pub time: Timestamp,
    /// The event's data in the shape that Argo Events gives it: JSON text.
    pub data: Bytes,
    /// Headers or attributes by which upstream may have named a correlation id, a
    /// causation id, hops, or a `traceparent`, with names as they came.
    pub headers: Vec<(String, String)>,
    /// The payload as its producer sent it, if it is JSON: where a correlation id may be. Of
    /// a form or a query an object with the first value of each field.
    pub body: Option<Bytes>,
    /// The path of the correlation id, where the event source's configuration names one.
    pub correlation_path: Option<String>,
    /// What it said of itself, where it is a CloudEvent and the event source keeps that.
    pub cloud_event: Option<Box<CloudEvent>>,
}

/// What an event source took in and cannot make an event of.
#[derive(Clone, Debug)]
pub struct Unreadable {
    /// Namespace, event source and event name.
    pub key: EventKey,
    /// The kind of the event source.
    pub kind: &'static str,
    /// The id that upstream gave; without one each delivery is a dead letter of its own.
    pub id: Option<EventId>,
    /// When it was taken in.
    pub time: Timestamp,
    /// The payload as its producer sent it.
    pub bytes: Bytes,
    /// Headers or attributes, with names as they came. They are kept: they must hold no
    /// secret.
    pub headers: Vec<(String, String)>,
    /// What is wrong with it, and what to do about it.
    pub reason: String,
}

impl Unreadable {
    /// What came as `bytes` and would have been this event, if the event bus took it.
    #[cfg(any(feature = "kafka", feature = "nats"))]
    fn in_place_of(event: &Message, bytes: &Bytes, reason: String) -> Self {
        Self {
            key: event.key.clone(),
            kind: event.kind,
            id: event.id.clone(),
            time: event.time,
            bytes: bytes.clone(),
            headers: event.headers.clone(),
            reason,
        }
    }
}

/// The event is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its id.
    pub id: EventId,
    /// Its correlation id.
    pub correlation: CorrelationId,
    /// Where it stands.
    pub position: Position,
    /// An event with its id was there already: nothing was stored.
    pub duplicate: bool,
}

/// Why an event was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// The bus cannot take anything now: upstream is to try again.
    #[error("event bus is unavailable: {0}")]
    Unavailable(String),
    /// This event will never be taken.
    #[error("event is {size} bytes, the event bus takes at most {limit}")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
}
