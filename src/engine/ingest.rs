//! From a message to an event in the log.
//!
//! The one place that gives an event its id, its correlation and its place in a chain.
//! It returns when the event is durable, and not before: upstream is acknowledged on the
//! strength of that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tripline_bus::{Append, Bus, Log, WriteError};
use tripline_event::{Clock, Event, EventId, EventKey, EventsRecord, Timestamp};
use tripline_eventsources::{
    Accepted, BoxFuture, EventDefinition, EventSink, Message, SinkError, Unreadable,
};

use super::chains::Chains;
use super::correlation::Finder;
use super::mistakes::Mistakes;
use super::observer::EngineObserver;
use super::source_filters::SourceFilters;

/// Where ids of events come from for which upstream has none.
pub trait IdSource: Send + Sync + 'static {
    /// An id that was never given before: 32 hexadecimal digits.
    fn next_id(&self) -> String;
}

/// Random ids (UUID version 4), as Argo Events gives them.
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomIds;

impl IdSource for RandomIds {
    fn next_id(&self) -> String {
        uuid::Uuid::new_v4().simple().to_string()
    }
}

/// Puts messages into the EVENTS log.
pub struct Ingest {
    pub(super) bus: Arc<dyn Bus>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn IdSource>,
    pub(super) chains: Arc<Chains>,
    pub(super) observer: Arc<dyn EngineObserver>,
    pub(super) finder: Finder,
    pub(super) mistakes: Mistakes,
    /// The bus took the latest event: readiness tells.
    pub(super) healthy: AtomicBool,
    /// What is left out before it is an event.
    pub(super) filters: SourceFilters,
}

/// Is told nothing.
struct Nobody;

impl EngineObserver for Nobody {}

impl Ingest {
    /// One on a bus that no engine of this process runs on.
    pub fn alone(bus: Arc<dyn Bus>, clock: Arc<dyn Clock>) -> Self {
        Self {
            bus,
            clock,
            ids: Arc::new(RandomIds),
            chains: Arc::default(),
            observer: Arc::new(Nobody),
            finder: Finder::default(),
            mistakes: Mistakes::default(),
            healthy: AtomicBool::new(true),
            filters: SourceFilters::default(),
        }
    }

    /// Puts the filters of these events in force.
    pub fn filter(&self, events: &[EventDefinition]) {
        self.filters.replace(events);
    }

    /// The time, as events are given it.
    #[cfg(feature = "jetstream")]
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The bus took the latest event that was offered to it.
    pub fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// What the bus will never take says nothing about the bus.
    pub(super) fn note_health(&self, error: Option<&WriteError>) {
        let healthy = error.is_none_or(|error| matches!(error, WriteError::TooLarge { .. }));
        self.healthy.store(healthy, Ordering::Relaxed);
    }

    pub(super) fn event(&self, message: &Message) -> Event {
        let id = message.id.clone().unwrap_or_else(|| EventId(self.ids.next_id()));
        let mut links = self.finder.find(message).into_links(id.as_str());
        self.chains.resolve(&message.key.namespace, &mut links);
        Event {
            key: message.key.clone(),
            id,
            kind: message.kind.to_owned(),
            time: message.time,
            content_type: tripline_event::event::JSON.to_owned(),
            data: Some(message.data.clone()),
            links,
            cloud_event: message.cloud_event.clone(),
        }
    }

    async fn take(&self, message: Message) -> Result<Accepted, SinkError> {
        let event = self.event(&message);
        if !self.filters.passes(&message, &*self.observer) {
            // Upstream has done its part.
            let (id, correlation) = (event.id, event.links.correlation);
            return Ok(Accepted {
                id,
                correlation,
                position: Default::default(),
                duplicate: false,
            });
        }
        let (key, id) = (event.key.clone(), event.id.clone());
        let correlation = event.links.correlation.clone();
        let record = EventsRecord::Event(event).encode();
        let bytes = record.len();
        let append = Append { dedup: Some(Bytes::copy_from_slice(&id.identity(&key))), record };
        if self.mistakes.acknowledge_before_durable() {
            return Ok(self.acknowledged_too_early(append, id, correlation));
        }
        let appended = self.bus.append(Log::Events, vec![append]).await;
        self.note_health(appended.as_ref().err());
        let appended = match appended {
            Ok(appended) => appended,
            Err(error) => {
                self.observer.on_not_accepted(&key, &error);
                return Err(sink_error(error));
            }
        };
        let Some(appended) = appended.first().copied() else {
            return Err(SinkError::Unavailable("the bus answered to no record".to_owned()));
        };
        self.observer.on_accepted(&key, bytes, appended.duplicate);
        let position = appended.position;
        Ok(Accepted { id, correlation, position, duplicate: appended.duplicate })
    }

    /// Only where simulation asks for this mistake, to show that it is caught.
    fn acknowledged_too_early(
        &self,
        append: Append,
        id: EventId,
        correlation: tripline_event::CorrelationId,
    ) -> Accepted {
        let bus = Arc::clone(&self.bus);
        tokio::spawn(async move {
            // The outcome is ignored: that is the mistake.
            drop(bus.append(Log::Events, vec![append]).await);
        });
        Accepted { id, correlation, position: Default::default(), duplicate: false }
    }
}

pub(super) fn sink_error(error: WriteError) -> SinkError {
    match error {
        WriteError::TooLarge { size, limit } => SinkError::TooLarge { size, limit },
        other => SinkError::Unavailable(other.to_string()),
    }
}

impl EventSink for Ingest {
    fn append(&self, message: Message) -> BoxFuture<'_, Result<Accepted, SinkError>> {
        Box::pin(self.take(message))
    }

    fn append_all<'a>(
        &'a self,
        messages: &'a [&'a Message],
    ) -> BoxFuture<'a, Result<Vec<Accepted>, SinkError>> {
        Box::pin(self.take_all(messages))
    }

    fn unreadable(&self, message: Unreadable) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(self.keep(message))
    }

    fn refused(&self, key: &EventKey, reason: &str) {
        self.observer.on_refused(key, reason);
    }

    fn missed<'a>(
        &'a self,
        key: &'a EventKey,
        from: Timestamp,
        to: Timestamp,
        count: u64,
    ) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(self.note_missed(key, from, to, count))
    }

    fn last_tick<'a>(
        &'a self,
        key: &'a EventKey,
    ) -> BoxFuture<'a, Result<Option<Timestamp>, SinkError>> {
        Box::pin(super::last_tick::get(&*self.bus, key))
    }

    fn keep_last_tick<'a>(
        &'a self,
        key: &'a EventKey,
        tick: Timestamp,
    ) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(super::last_tick::put(&*self.bus, key, tick))
    }

    fn place<'a>(
        &'a self,
        key: &'a EventKey,
        of: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, SinkError>> {
        Box::pin(super::places::get(&*self.bus, key, of))
    }

    fn keep_place<'a>(
        &'a self,
        key: &'a EventKey,
        of: &'a str,
        place: &'a str,
    ) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(super::places::put(&*self.bus, key, of, place))
    }
}
