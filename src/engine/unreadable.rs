//! What came in and will never be an event, and ticks that are not made up: outcomes that
//! are durable before upstream hears of it.

use bytes::Bytes;
use tripline_bus::{Append, Log, WriteError};
use tripline_event::outcome::LetterEvent;
use tripline_event::{
    Cause, CorrelationId, DeadLetter, EventId, EventKey, Outcome, OutcomeKind, Position,
    RawPayload, Timestamp,
};
use tripline_eventsources::{Message, SinkError, Unreadable};

use super::ingest::{Ingest, sink_error};

/// A longer reason is cut.
const MAX_REASON_BYTES: usize = 4096;
/// What a dead letter takes besides its payload and its headers: ids, names, the reason.
const LETTER_BYTES: usize = 128 * 1024;
/// A control character takes six bytes in JSON.
const ESCAPED: usize = 6;

impl Ingest {
    /// Makes a dead letter of what is no event; as much of its payload is kept as the bus
    /// takes.
    pub(super) async fn keep(&self, unreadable: Unreadable) -> Result<(), SinkError> {
        let id = unreadable.id.clone().unwrap_or_else(|| EventId(self.ids.next_id()));
        let correlation = self.correlation_of(&unreadable, &id);
        let dedup = dedup("unreadable", &unreadable.key, &id);
        let append = |keep| {
            let record = letter(&unreadable, &id, correlation.clone(), keep).encode();
            self.outcome(Append { dedup: Some(dedup.clone()), record })
        };
        let appended = match append(usize::MAX).await {
            Err(WriteError::TooLarge { limit, .. }) => append(room(limit)).await,
            appended => appended,
        };
        let duplicate = self.answered(&unreadable.key, appended)?;
        if !duplicate {
            self.observer.on_unreadable(&unreadable.key, &unreadable.reason);
        }
        Ok(())
    }

    /// Records that ticks were missed.
    pub(super) async fn note_missed(
        &self,
        key: &EventKey,
        from: Timestamp,
        to: Timestamp,
        count: u64,
    ) -> Result<(), SinkError> {
        let dedup = dedup("missed", key, &EventId(format!("{from}/{to}")));
        let kind = OutcomeKind::Missed { key: key.clone(), from, to, count };
        let record = Outcome { at: self.clock.now(), correlation: None, kind }.encode();
        let appended = self.outcome(Append { dedup: Some(dedup), record }).await;
        if !self.answered(key, appended)? {
            self.observer.on_missed(key, count);
        }
        Ok(())
    }

    /// What could be found out about its chain: a timeline shows the letter where its producer
    /// will look.
    fn correlation_of(&self, unreadable: &Unreadable, id: &EventId) -> CorrelationId {
        let message = Message {
            key: unreadable.key.clone(),
            kind: unreadable.kind,
            id: None,
            time: unreadable.time,
            data: Bytes::new(),
            headers: unreadable.headers.clone(),
            body: Some(unreadable.bytes.clone()),
            correlation_path: None,
            cloud_event: None,
        };
        let mut links = self.finder.find(&message).into_links(id.as_str());
        self.chains.resolve(&unreadable.key.namespace, &mut links);
        links.root().clone()
    }

    /// Whether it was there already.
    async fn outcome(&self, append: Append) -> Result<bool, WriteError> {
        let appended = self.bus.append(Log::Outcomes, vec![append]).await?;
        match appended.first() {
            Some(appended) => Ok(appended.duplicate),
            None => Err(WriteError::Unavailable("the bus answered to no record".to_owned())),
        }
    }

    fn answered(
        &self,
        key: &EventKey,
        appended: Result<bool, WriteError>,
    ) -> Result<bool, SinkError> {
        self.note_health(appended.as_ref().err());
        appended.map_err(|error| {
            self.observer.on_not_accepted(key, &error);
            sink_error(error)
        })
    }
}

fn letter(
    unreadable: &Unreadable,
    id: &EventId,
    correlation: CorrelationId,
    keep: usize,
) -> Outcome {
    let raw = RawPayload::new(unreadable.kind, &unreadable.headers, &unreadable.bytes, keep);
    let mut error = unreadable.reason.clone();
    if error.len() > MAX_REASON_BYTES {
        error.truncate(error.floor_char_boundary(MAX_REASON_BYTES));
        error.push('…');
    }
    let letter = DeadLetter {
        action: None,
        trigger: None,
        round: 0,
        attempts: 0,
        cause: Cause::Malformed,
        error,
        events: vec![LetterEvent {
            dependency: None,
            key: unreadable.key.clone(),
            id: id.clone(),
            position: Position::default(),
            data: serde_json::Value::Null,
            raw: Some(Box::new(raw)),
            envelope: None,
        }],
        record: None,
        sensor: None,
    };
    let kind = OutcomeKind::DeadLettered(Box::new(letter));
    Outcome { at: unreadable.time, correlation: Some(correlation), kind }
}

/// How many bytes of a payload fit into a record of `limit` bytes, in base64.
fn room(limit: usize) -> usize {
    let headers = ESCAPED * RawPayload::MAX_HEADER_BYTES;
    limit.saturating_sub(LETTER_BYTES + headers) / 4 * 3
}

/// In OUTCOMES as well there are ids of other things.
fn dedup(what: &str, key: &EventKey, id: &EventId) -> Bytes {
    Bytes::from(format!("{what}/{}", hex::encode(id.identity(key))))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::Mutex;
    use std::sync::atomic::AtomicBool;

    use tripline_bus::Bus;
    use tripline_bus::memory::{Faults, MemoryBus, MemoryStore};
    use tripline_event::Clock;
    use tripline_eventsources::EventSink;

    use super::*;
    use crate::engine::ingest::RandomIds;
    use crate::engine::observer::EngineObserver;

    const MIB: usize = 1024 * 1024;

    struct Noon;

    impl Clock for Noon {
        fn now(&self) -> Timestamp {
            Timestamp::from_second(1_795_000_000).unwrap()
        }
    }

    #[derive(Default)]
    struct Told(Mutex<Vec<String>>);

    impl EngineObserver for Told {
        fn on_unreadable(&self, key: &EventKey, reason: &str) {
            self.0.lock().unwrap().push(format!("{key}: {reason}"));
        }

        fn on_missed(&self, key: &EventKey, count: u64) {
            self.0.lock().unwrap().push(format!("{key}: {count} missed"));
        }
    }

    fn ingest() -> (Arc<MemoryBus>, Arc<Told>, Ingest) {
        let bus = Arc::new(MemoryBus::new(MemoryStore::new(1)));
        let told = Arc::<Told>::default();
        let ingest = Ingest {
            bus: Arc::clone(&bus) as _,
            clock: Arc::new(Noon),
            ids: Arc::new(RandomIds),
            chains: Arc::default(),
            observer: Arc::clone(&told) as _,
            finder: Default::default(),
            mistakes: Default::default(),
            filters: Default::default(),
            healthy: AtomicBool::new(true),
        };
        (bus, told, ingest)
    }

    fn unreadable(id: Option<&str>, bytes: impl Into<Bytes>) -> Unreadable {
        Unreadable {
            key: key(),
            kind: "sqs",
            id: id.map(EventId::from_upstream),
            time: Noon.now(),
            bytes: bytes.into(),
            headers: vec![("correlation-id".into(), "build-7".into())],
            reason: "body is not JSON".into(),
        }
    }

    fn key() -> EventKey {
        EventKey::new("ci", "builds", "completed")
    }

    async fn outcomes(bus: &MemoryBus) -> Vec<Outcome> {
        let first = bus.extent(Log::Outcomes).await.unwrap().first;
        let stored = bus.read(Log::Outcomes, first, 100).await.unwrap();
        stored.iter().map(|stored| Outcome::decode(&stored.record).unwrap()).collect()
    }

    #[tokio::test]
    async fn what_is_no_event_is_a_dead_letter_with_its_bytes_under_its_correlation_id() {
        let (bus, told, ingest) = ingest();
        ingest.unreadable(unreadable(Some("m-1"), "no JSON")).await.unwrap();
        let outcome = outcomes(&bus).await.remove(0);
        assert_eq!(outcome.correlation, Some(CorrelationId("build-7".into())));
        let OutcomeKind::DeadLettered(letter) = outcome.kind else { panic!("{outcome:?}") };
        assert_eq!((letter.action, letter.cause), (None, Cause::Malformed));
        assert_eq!(letter.error, "body is not JSON");
        let event = &letter.events[0];
        assert_eq!((&event.key, event.id.as_str()), (&key(), "m-1"));
        let raw = event.raw.as_deref().unwrap();
        assert_eq!((raw.kept().as_slice(), raw.kind.as_str()), (b"no JSON".as_slice(), "sqs"));
        assert_eq!(raw.headers, [("correlation-id".to_owned(), "build-7".to_owned())]);
        assert_eq!(*told.0.lock().unwrap(), ["ci/builds/completed: body is not JSON"]);
        let events = bus.extent(Log::Events).await.unwrap();
        assert_eq!(events.first, events.next);
    }

    #[tokio::test]
    async fn a_redelivery_is_the_same_dead_letter_and_without_an_id_each_is_its_own() {
        let (bus, told, ingest) = ingest();
        for _ in 0..2 {
            ingest.unreadable(unreadable(Some("m-1"), "x")).await.unwrap();
        }
        assert_eq!((outcomes(&bus).await.len(), told.0.lock().unwrap().len()), (1, 1));
        for _ in 0..2 {
            ingest.unreadable(unreadable(None, "x")).await.unwrap();
        }
        assert_eq!(outcomes(&bus).await.len(), 3);
    }

    #[tokio::test]
    async fn a_bus_that_does_not_take_it_is_an_error_and_nothing_is_counted() {
        let (bus, told, ingest) = ingest();
        bus.set_faults(Faults { refuse_write: 1.0, ..Faults::none() });
        let refused = ingest.unreadable(unreadable(Some("m-1"), "x")).await;
        assert!(matches!(refused, Err(SinkError::Unavailable(_))), "{refused:?}");
        let refused = ingest.missed(&key(), Noon.now(), Noon.now(), 1).await;
        assert!(matches!(refused, Err(SinkError::Unavailable(_))), "{refused:?}");
        assert!(!ingest.is_healthy() && told.0.lock().unwrap().is_empty());
        bus.set_faults(Faults::none());
        ingest.unreadable(unreadable(Some("m-1"), "x")).await.unwrap();
        assert!(ingest.is_healthy() && outcomes(&bus).await.len() == 1);
    }

    #[tokio::test]
    async fn what_is_larger_than_a_record_is_kept_in_part() {
        let (bus, _, ingest) = ingest();
        ingest.unreadable(unreadable(Some("m-1"), vec![b'x'; 9 * MIB])).await.unwrap();
        let OutcomeKind::DeadLettered(letter) = outcomes(&bus).await.remove(0).kind else {
            panic!("no letter");
        };
        let raw = letter.events[0].raw.as_deref().unwrap();
        assert_eq!((raw.bytes, raw.kept().len()), (9 * MIB as u64, RawPayload::MAX_BYTES));
        assert!(raw.sha256.is_some());
    }

    #[test]
    fn the_largest_letter_fits_into_a_record_of_any_usual_size() {
        let hostile = "\u{1}".repeat(RawPayload::MAX_HEADER_BYTES - 1);
        let headers = vec![("h".to_owned(), hostile)];
        let reason = "\u{1}".repeat(2 * MAX_REASON_BYTES);
        let unreadable =
            Unreadable { headers, reason, ..unreadable(Some("m-1"), vec![0; 9 * MIB]) };
        for limit in [256 * 1024, MIB, 8 * MIB] {
            let id = EventId("m-1".into());
            let letter = letter(&unreadable, &id, CorrelationId("c".into()), room(limit));
            assert!(letter.encode().len() <= limit, "{limit}");
        }
    }

    #[tokio::test]
    async fn missed_ticks_are_an_outcome_once() {
        let (bus, told, ingest) = ingest();
        let (from, to) = (Noon.now(), Noon.now() + std::time::Duration::from_secs(60));
        for _ in 0..2 {
            ingest.missed(&key(), from, to, 3).await.unwrap();
        }
        let kinds: Vec<_> = outcomes(&bus).await.into_iter().map(|outcome| outcome.kind).collect();
        assert_eq!(kinds, [OutcomeKind::Missed { key: key(), from, to, count: 3 }]);
        assert_eq!(*told.0.lock().unwrap(), ["ci/builds/completed: 3 missed"]);
    }
}
