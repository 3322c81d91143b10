use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::MAX_RECORD_BYTES;

fn one(record: &str) -> Vec<Append> {
    vec![Append { dedup: None, record: Bytes::copy_from_slice(record.as_bytes()) }]
}

fn with_id(dedup: u64) -> Vec<Append> {
    let dedup = Some(Bytes::copy_from_slice(&dedup.to_be_bytes()));
    vec![Append { dedup, record: Bytes::from_static(b"x") }]
}

async fn records(store: &Arc<MemoryStore>) -> Vec<Bytes> {
    let bus = MemoryBus::new(Arc::clone(store));
    let first = bus.extent(Log::Events).await.unwrap().first;
    let read = bus.read(Log::Events, first, usize::MAX).await.unwrap();
    read.into_iter().map(|stored| stored.record).collect()
}

#[tokio::test(start_paused = true)]
async fn a_refused_write_is_not_stored_and_a_lost_acknowledgement_is() {
    let refuse = Faults { refuse_write: 1.0, ..Faults::none() };
    let lose = Faults { lose_acknowledgement: 1.0, ..Faults::none() };
    for (faults, stored) in [(refuse, 0), (lose, 1)] {
        let store = MemoryStore::new(1);
        let bus = MemoryBus::with_faults(Arc::clone(&store), faults);
        let appended = bus.append(Log::Events, one("x")).await;
        assert!(matches!(appended, Err(WriteError::Unavailable(_))), "{appended:?}");
        let put = bus.put("k", Bytes::new(), Revision::ABSENT).await;
        assert!(matches!(put, Err(WriteError::Unavailable(_))), "{put:?}");
        bus.set_faults(Faults::none());
        assert_eq!(records(&store).await.len(), stored);
        assert_eq!(bus.get("k").await.unwrap().is_some(), stored == 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_told_even_where_acknowledgements_are_lost() {
    let lose = Faults { lose_acknowledgement: 1.0, ..Faults::none() };
    let bus = MemoryBus::with_faults(MemoryStore::new(1), lose);
    let put = bus.put("k", Bytes::new(), Revision(9)).await;
    assert!(matches!(put, Err(WriteError::Conflict { .. })), "{put:?}");
}

#[tokio::test(start_paused = true)]
async fn reads_and_waits_fail() {
    let faults = Faults { fail_read: 1.0, ..Faults::none() };
    let bus = MemoryBus::with_faults(MemoryStore::new(1), faults);
    assert!(bus.extent(Log::Events).await.is_err());
    assert!(bus.read(Log::Events, Position::default(), 1).await.is_err());
    assert!(bus.wait(Log::Events, Position::default()).await.is_err());
    assert!(bus.get("k").await.is_err());
    assert!(bus.keys("", None, 1).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_full_bus_can_be_trimmed_and_has_room_again() {
    let store = MemoryStore::new(1);
    let full = Faults { become_full: 1.0, full_for: Duration::from_secs(5), ..Faults::none() };
    let bus = MemoryBus::with_faults(Arc::clone(&store), full);
    let appended = bus.append(Log::Events, one("x")).await;
    assert!(matches!(appended, Err(WriteError::Full(_))), "{appended:?}");
    let put = bus.put("k", Bytes::new(), Revision::ABSENT).await;
    assert!(matches!(put, Err(WriteError::Full(_))), "{put:?}");
    bus.trim(Log::Events, bus.extent(Log::Events).await.unwrap().next).await.unwrap();
    bus.delete("k", Revision::ABSENT).await.unwrap();
    // It is full for five appends, then at every second one becomes full again.
    let sometimes = Faults { become_full: 0.5, full_for: Duration::from_secs(5), ..Faults::none() };
    bus.set_faults(sometimes);
    for _ in 0..1000 {
        drop(bus.append(Log::Events, one("x")).await);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let stored = records(&store).await.len();
    assert!((100..300).contains(&stored), "{stored}");
}

#[tokio::test(start_paused = true)]
async fn a_call_takes_virtual_time_within_its_limit() {
    let max_delay = Duration::from_secs(3);
    let faults = Faults { delay: 1.0, max_delay, ..Faults::none() };
    let bus = MemoryBus::with_faults(MemoryStore::new(1), faults);
    let begun = Instant::now();
    for _ in 0..100 {
        let before = Instant::now();
        bus.append(Log::Events, one("x")).await.unwrap();
        assert!(before.elapsed() <= max_delay + Duration::from_millis(2), "{:?}", before.elapsed());
    }
    assert!(begun.elapsed() > Duration::from_secs(100), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_dedup_id_lets_a_duplicate_in() {
    let faults = Faults { dedup_window: Some(3), ..Faults::none() };
    let store = MemoryStore::new(1);
    let bus = MemoryBus::with_faults(Arc::clone(&store), faults);
    for (id, duplicate, sequence) in
        [(1, false, 1), (2, false, 2), (1, true, 1), (3, false, 3), (4, false, 4), (1, false, 5)]
    {
        let appended = bus.append(Log::Events, with_id(id)).await.unwrap()[0];
        assert_eq!((appended.duplicate, appended.position.sequence), (duplicate, sequence), "{id}");
    }
    // The id that came again is that of the later record, also when the first is trimmed.
    let later = bus.extent(Log::Events).await.unwrap().next;
    bus.trim(Log::Events, Position::new(later.incarnation, 3)).await.unwrap();
    assert!(bus.append(Log::Events, with_id(1)).await.unwrap()[0].duplicate);
}

#[tokio::test(start_paused = true)]
async fn a_killed_handle_stores_nothing_and_never_returns() {
    let store = MemoryStore::new(1);
    let faults = Faults { delay: 1.0, max_delay: Duration::from_secs(3), ..Faults::none() };
    let bus = Arc::new(MemoryBus::with_faults(Arc::clone(&store), faults));
    let next = MemoryBus::new(Arc::clone(&store)).extent(Log::Events).await.unwrap().next;
    let begun = [
        tokio::spawn({
            let bus = Arc::clone(&bus);
            async move { drop(bus.append(Log::Events, one("in flight")).await) }
        }),
        tokio::spawn({
            let bus = Arc::clone(&bus);
            async move { drop(bus.wait(Log::Events, next).await) }
        }),
    ];
    tokio::task::yield_now().await;
    bus.kill();
    let after = tokio::spawn(async move { drop(bus.append(Log::Events, one("after")).await) });
    let other = MemoryBus::new(Arc::clone(&store));
    other.append(Log::Events, one("other")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(!after.is_finished() && begun.iter().all(|call| !call.is_finished()));
    assert_eq!(records(&store).await, ["other"]);
}

#[tokio::test(start_paused = true)]
async fn a_remade_log_is_another_incarnation_also_for_who_waits() {
    let store = MemoryStore::new(1);
    let bus = Arc::new(MemoryBus::new(Arc::clone(&store)));
    let old = bus.extent(Log::Events).await.unwrap().next;
    let waiter = tokio::spawn({
        let bus = Arc::clone(&bus);
        async move { bus.wait(Log::Events, old).await }
    });
    tokio::task::yield_now().await;
    store.remake(Log::Events);
    let waited = waiter.await.unwrap();
    assert!(matches!(waited, Err(ReadError::OtherIncarnation { .. })), "{waited:?}");
    assert_ne!(bus.extent(Log::Events).await.unwrap().next.incarnation, old.incarnation);
}

/// What a few tasks on a bad day saw, and when.
fn a_bad_day(seed: u64) -> Vec<String> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let begun = Instant::now();
        let store = MemoryStore::new(seed);
        let bus = Arc::new(MemoryBus::with_faults(store, Faults::seeded(seed)));
        let diary = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..8 {
            let (bus, diary) = (Arc::clone(&bus), Arc::clone(&diary));
            tasks.spawn(async move {
                for id in 0..50 {
                    let result = bus.append(Log::Events, with_id(id % 20)).await;
                    let line = format!("{:?} {task} {id} {result:?}", begun.elapsed());
                    diary.lock().unwrap().push(line);
                }
            });
        }
        tasks.join_all().await;
        diary.lock().unwrap().clone()
    })
}

#[test]
fn the_same_seed_gives_the_same_day() {
    for seed in 0..5 {
        assert_eq!(a_bad_day(seed), a_bad_day(seed), "seed {seed}");
    }
    assert_ne!(a_bad_day(1), a_bad_day(2));
    let day = a_bad_day(3).concat();
    for seen in ["not stored", "acknowledgement was lost", "no room", "duplicate: true"] {
        assert!(day.contains(seen), "a bad day has `{seen}`");
    }
}

#[tokio::test]
async fn a_read_ends_before_it_grows_over_its_limit() {
    let bus = MemoryBus::new(MemoryStore::new(1));
    let half = vec![0; MAX_RECORD_BYTES / 2 + 1];
    let batch = vec![Append { dedup: None, record: half.into() }; 2];
    let first = bus.append(Log::Events, batch).await.unwrap()[0].position;
    assert_eq!(bus.read(Log::Events, first, 9).await.unwrap().len(), 1);
}
