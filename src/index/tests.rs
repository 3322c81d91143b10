//! An answer is the same with and without filters.

use std::sync::Arc;

use tripline_bus::memory::{MemoryBus, MemoryStore};
use tripline_bus::{Append, Bus, Log};
use tripline_event::event::{JSON, Links};
use tripline_event::{
    CorrelationId, Event, EventId, EventKey, EventsRecord, ObjectName, Position, Timestamp,
};

use super::handles::Handle;
use super::{Indexer, Page, Reader, SEGMENT, holding};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + i64::try_from(seconds).unwrap()).unwrap()
}

fn event(number: u64) -> EventsRecord {
    let source = if number == 5_000 { "rare" } else { "builds" };
    EventsRecord::Event(Event {
        key: EventKey::new("ci", source, "completed"),
        id: EventId(format!("e-{number}")),
        kind: "webhook".to_owned(),
        time: at(number),
        content_type: JSON.to_owned(),
        data: None,
        links: Links {
            causation: (number == 9_000).then(|| "deploy-x7k2p".to_owned()),
            ..Links::first(CorrelationId(format!("chain-{}", number / 2)))
        },
        cloud_event: None,
    })
}

/// Three segments of events that are full, and the beginning of another; in the second, a
/// change of plan.
async fn bus() -> Arc<MemoryBus> {
    let bus = Arc::new(MemoryBus::new(MemoryStore::new(7)));
    let count = 3 * SEGMENT + 100;
    for begin in (1..=count).step_by(512) {
        let records = (begin..(begin + 512).min(count + 1)).map(|number| match number {
            6_000 => EventsRecord::Plan { number: 2, at: at(number) },
            6_001 => EventsRecord::Clear {
                sensor: ObjectName::new("ci", "deploy"),
                dependency: None,
                at: at(number),
                through: None,
            },
            number => event(number),
        });
        let batch = records.map(|record| Append { dedup: None, record: record.encode() });
        bus.append(Log::Events, batch.collect()).await.unwrap();
    }
    bus
}

async fn found(bus: &dyn Bus, handle: Handle, needle: &str) -> Vec<u64> {
    let mut found = Vec::new();
    holding(bus, Log::Events, vec![handle], |stored| {
        let text = std::str::from_utf8(&stored.record).unwrap();
        if text.contains(needle) {
            found.push(stored.position.sequence);
        }
        true
    })
    .await
    .unwrap();
    found
}

#[tokio::test]
async fn what_is_found_with_filters_is_what_is_found_without() {
    let bus = bus().await;
    let questions = [
        (Handle::id("e-4711"), r#""e-4711""#, vec![4711], 2),
        (Handle::id("chain-2048"), r#""chain-2048""#, vec![4096, 4097], 2),
        (Handle::id("deploy-x7k2p"), r#""deploy-x7k2p""#, vec![9000], 2),
        (Handle::source("ci", "rare"), r#""rare""#, vec![5000], 2),
        (Handle::plans(), r#""plan""#, vec![6000], 2),
        (Handle::sensor(&ObjectName::new("ci", "deploy")), r#""clear""#, vec![6001], 2),
        (Handle::id("e-12300"), r#""e-12300""#, vec![12300], 3),
        (Handle::id("nowhere"), "nowhere", vec![], 3),
    ];
    for (handle, needle, expected, _) in &questions {
        assert_eq!(&found(&*bus, *handle, needle).await, expected, "{needle}");
    }
    let mut indexer = Indexer::new(Arc::clone(&bus) as _);
    assert_eq!(indexer.catch_up(0).await.unwrap(), 3);
    assert_eq!(indexer.catch_up(0).await.unwrap(), 0, "each is made once");
    for (handle, needle, expected, passed_over) in questions {
        assert_eq!(found(&*bus, handle, needle).await, expected, "{needle}");
        let mut reader = Reader::new(&*bus, Log::Events, vec![handle]).await.unwrap();
        let mut newest = Vec::new();
        while let Some(page) = reader.page(&*bus).await.unwrap() {
            if let Page::PassedOver { last, newest: time } = page {
                newest.push((last.sequence, time));
            }
        }
        assert_eq!(reader.passed_over(), passed_over, "{needle}");
        assert!(newest.iter().all(|(last, time)| at(*last) == *time), "{newest:?}");
    }
    let again = Indexer::new(Arc::clone(&bus) as _).catch_up(0).await.unwrap();
    assert_eq!(again, 0, "another process goes on where this one was");
}

/// The part that is asked for is read, whether it begins a segment or not.
#[tokio::test]
async fn a_reader_begins_and_ends_where_it_is_told() {
    let bus = bus().await;
    Indexer::new(Arc::clone(&bus) as _).catch_up(0).await.unwrap();
    let first = bus.extent(Log::Events).await.unwrap().first;
    let at = |sequence| Position { sequence, ..first };
    for (from, until, handle, expected) in [
        (4711, 4712, "e-4711", 1),
        (4712, 9000, "e-4711", 0),
        (1, 4711, "e-4711", 0),
        (4000, 4100, "chain-2048", 2),
    ] {
        let reader = Reader::new(&*bus, Log::Events, vec![Handle::id(handle)]).await.unwrap();
        let mut reader = reader.from(at(from)).until(at(until));
        let mut count = 0;
        while let Some(page) = reader.page(&*bus).await.unwrap() {
            let Page::Records(records) = page else { continue };
            assert!(records.iter().all(|it| (from..until).contains(&it.position.sequence)));
            let needle = format!("\"{handle}\"");
            count += records
                .iter()
                .filter(|it| std::str::from_utf8(&it.record).unwrap().contains(&needle))
                .count();
        }
        assert_eq!(count, expected, "{from}..{until} {handle}");
    }
}

#[tokio::test]
async fn filters_go_with_what_is_trimmed_and_what_cannot_be_read_has_none() {
    let bus = bus().await;
    let record = bytes::Bytes::from_static(br#"{"v":99}"#);
    bus.append(Log::Outcomes, vec![Append { dedup: None, record: record.clone() }]).await.unwrap();
    let more = vec![Append { dedup: None, record }; 4096];
    bus.append(Log::Outcomes, more).await.unwrap();
    let mut indexer = Indexer::new(Arc::clone(&bus) as _);
    indexer.catch_up(0).await.unwrap();
    assert_eq!(bus.keys("index/events/", None, 100).await.unwrap().len(), 3);
    assert_eq!(bus.keys("index/outcomes/", None, 100).await.unwrap().len(), 0);
    let first = bus.extent(Log::Events).await.unwrap().first;
    bus.trim(Log::Events, Position { sequence: 2 * SEGMENT + 7, ..first }).await.unwrap();
    indexer.catch_up(0).await.unwrap();
    assert_eq!(bus.keys("index/events/", None, 100).await.unwrap().len(), 1);
    assert_eq!(found(&*bus, Handle::id("e-9000"), r#""e-9000""#).await, [9000]);
}
