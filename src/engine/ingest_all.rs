//! Many messages in one append: for an upstream that hands over as many as there are.

use bytes::Bytes;
use tripline_bus::{Append, Log};
use tripline_event::{CorrelationId, EventId, EventKey, EventsRecord};
use tripline_eventsources::{Accepted, Message, SinkError};

use super::ingest::{Ingest, sink_error};

/// An event of a batch.
struct Prepared {
    key: EventKey,
    id: EventId,
    correlation: CorrelationId,
    /// The size of its record; none where a filter leaves it out.
    bytes: Option<usize>,
}

impl Ingest {
    /// Puts the messages into the log, all or none of them.
    pub(super) async fn take_all(&self, messages: &[&Message]) -> Result<Vec<Accepted>, SinkError> {
        let mut batch = Vec::with_capacity(messages.len());
        let prepared: Vec<Prepared> =
            messages.iter().map(|message| self.prepare(message, &mut batch)).collect();
        let appended = self.bus.append(Log::Events, batch).await;
        self.note_health(appended.as_ref().err());
        let appended = appended.map_err(|error| {
            if let Some(first) = prepared.first() {
                self.observer.on_not_accepted(&first.key, &error);
            }
            sink_error(error)
        })?;
        let mut appended = appended.into_iter();
        let answer = |Prepared { key, id, correlation, bytes }: Prepared| {
            let Some(bytes) = bytes else {
                return Ok(Accepted {
                    id,
                    correlation,
                    position: Default::default(),
                    duplicate: false,
                });
            };
            let Some(appended) = appended.next() else {
                return Err(SinkError::Unavailable("the bus answered to too few records".into()));
            };
            self.observer.on_accepted(&key, bytes, appended.duplicate);
            let (position, duplicate) = (appended.position, appended.duplicate);
            Ok(Accepted { id, correlation, position, duplicate })
        };
        prepared.into_iter().map(answer).collect()
    }

    fn prepare(&self, message: &Message, batch: &mut Vec<Append>) -> Prepared {
        let event = self.event(message);
        let (key, id) = (event.key.clone(), event.id.clone());
        let correlation = event.links.correlation.clone();
        // Upstream has done its part also for what is left out.
        let bytes = self.filters.passes(message, &*self.observer).then(|| {
            let record = EventsRecord::Event(event).encode();
            let bytes = record.len();
            let dedup = Some(Bytes::copy_from_slice(&id.identity(&key)));
            batch.push(Append { dedup, record });
            bytes
        });
        Prepared { key, id, correlation, bytes }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tripline_bus::Bus;
    use tripline_bus::memory::{Faults, MemoryBus, MemoryStore};
    use tripline_event::{SystemClock, Timestamp};
    use tripline_eventsources::EventSink as _;

    use super::*;

    fn message(id: &str, bytes: usize) -> Message {
        let body = Bytes::from(format!("\"{}\"", "x".repeat(bytes)));
        Message {
            key: EventKey::new("ci", "builds", "completed"),
            kind: "kafka",
            id: Some(EventId(id.to_owned())),
            time: Timestamp::UNIX_EPOCH,
            data: body.clone(),
            headers: Vec::new(),
            body: Some(body),
            correlation_path: None,
            cloud_event: None,
        }
    }

    #[tokio::test]
    async fn all_are_stored_in_their_order_or_none_is_and_a_repeat_is_recognised() {
        let bus = Arc::new(MemoryBus::new(MemoryStore::new(1)));
        let ingest = Ingest::alone(Arc::clone(&bus) as _, Arc::new(SystemClock));
        let all = ["a", "b", "a", "c"].map(|id| message(id, 1));
        let all: Vec<&Message> = all.iter().collect();
        bus.set_faults(Faults { refuse_write: 1.0, ..Faults::none() });
        let refused = ingest.append_all(&all).await;
        assert!(matches!(refused, Err(SinkError::Unavailable(_))), "{refused:?}");
        bus.set_faults(Faults::none());
        let accepted = ingest.append_all(&all).await.unwrap();
        let told: Vec<_> =
            accepted.iter().map(|a| (a.id.as_str(), a.position.sequence, a.duplicate)).collect();
        assert_eq!(told, [("a", 1, false), ("b", 2, false), ("a", 1, true), ("c", 3, false)]);
        let large = [message("d", 1), message("e", 9 << 20)];
        let refused = ingest.append_all(&large.iter().collect::<Vec<_>>()).await;
        assert!(matches!(refused, Err(SinkError::TooLarge { .. })), "{refused:?}");
        assert_eq!(bus.extent(Log::Events).await.unwrap().next.sequence, 4);
    }
}
