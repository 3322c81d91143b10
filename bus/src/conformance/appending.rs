//! Order, wholeness and dedup of what is appended.

use std::collections::BTreeMap;

use tokio::task::JoinSet;

use super::*;
use crate::{MAX_BATCH_BYTES, MAX_DEDUP_BYTES, MAX_RECORD_BYTES, WriteError};

pub(super) async fn a_batch_is_answered_and_read_in_its_order(mut site: Box<dyn Site>) {
    let bus = site.open().await;
    for log in Log::ALL {
        let next = bus.extent(log).await.unwrap().next;
        assert_eq!(next.sequence, 1, "an empty log begins at 1");
        let first = bus.append(log, numbered("a", 3)).await.unwrap();
        let second = bus.append(log, numbered("b", 2)).await.unwrap();
        let expected: Vec<_> = (1..=5).map(|at| Position::new(next.incarnation, at)).collect();
        assert_eq!([positions(&first), positions(&second)].concat(), expected);
        assert!(first.iter().chain(&second).all(|appended| !appended.duplicate));
        assert_eq!(read_all(&*bus, log).await, ["a-0", "a-1", "a-2", "b-0", "b-1"]);
    }
}

pub(super) async fn an_empty_batch_stores_nothing(mut site: Box<dyn Site>) {
    let bus = site.open().await;
    assert_eq!(bus.append(Log::Events, Vec::new()).await.unwrap(), []);
    assert_eq!(bus.extent(Log::Events).await.unwrap().next.sequence, 1);
}

pub(super) async fn a_refused_batch_stores_nothing_of_it(mut site: Box<dyn Site>) {
    let bus = site.open().await;
    let record = |size| plain(vec![7; size]);
    let many = MAX_BATCH_BYTES / MAX_RECORD_BYTES;
    for (why, last) in [
        ("record", vec![record(MAX_RECORD_BYTES + 1)]),
        ("dedup id", vec![with_id(vec![7; MAX_DEDUP_BYTES + 1], "x")]),
        ("batch", vec![record(MAX_RECORD_BYTES); many]),
    ] {
        let batch = [vec![with_id("first", "first")], last].concat();
        let refused = bus.append(Log::Events, batch).await;
        assert!(matches!(refused, Err(WriteError::TooLarge { .. })), "{why}: {refused:?}");
    }
    assert_eq!(read_all(&*bus, Log::Events).await, [""; 0]);
    let appended = append_one(&*bus, Log::Events, with_id("first", "first")).await;
    assert!(!appended.duplicate, "the dedup id of a refused batch is not known");
    let largest = append_one(&*bus, Log::Events, record(MAX_RECORD_BYTES)).await;
    let read = bus.read(Log::Events, largest.position, 1).await.unwrap();
    assert_eq!(read[0].record.len(), MAX_RECORD_BYTES);
}

pub(super) async fn a_known_dedup_id_is_stored_once(mut site: Box<dyn Site>) {
    let bus = site.open().await;
    let batch = vec![with_id("a", "1"), with_id("b", "2"), with_id("a", "3"), plain("4")];
    let answer = bus.append(Log::Events, batch).await.unwrap();
    let sequences: Vec<_> = answer.iter().map(|a| (a.position.sequence, a.duplicate)).collect();
    assert_eq!(sequences, [(1, false), (2, false), (1, true), (3, false)]);
    let batch = vec![with_id("c", "5"), with_id("b", "6"), with_id("c", "7")];
    let answer = bus.append(Log::Events, batch).await.unwrap();
    let sequences: Vec<_> = answer.iter().map(|a| (a.position.sequence, a.duplicate)).collect();
    assert_eq!(sequences, [(4, false), (2, true), (4, true)]);
    // One dedup id begins as another does.
    assert!(!append_one(&*bus, Log::Events, with_id("bb", "8")).await.duplicate);
    assert_eq!(read_all(&*bus, Log::Events).await, ["1", "2", "4", "5", "8"]);
}

pub(super) async fn a_dedup_id_is_known_after_a_restart(mut site: Box<dyn Site>) {
    let bus = site.open().await;
    let first = append_one(&*bus, Log::Actions, with_id("a", "1")).await;
    drop(bus);
    let bus = site.open().await;
    let again = append_one(&*bus, Log::Actions, with_id("a", "2")).await;
    assert_eq!(again, Appended { position: first.position, duplicate: true });
    assert_eq!(read_all(&*bus, Log::Actions).await, ["1"]);
}

pub(super) async fn a_dedup_id_belongs_to_its_log(mut site: Box<dyn Site>) {
    let bus = site.open().await;
    for log in Log::ALL {
        assert!(!append_one(&*bus, log, with_id("a", log.as_str())).await.duplicate);
    }
    for log in Log::ALL {
        assert_eq!(read_all(&*bus, log).await, [log.as_str()]);
    }
}

pub(super) async fn any_bytes_are_a_record_and_a_dedup_id(mut site: Box<dyn Site>) {
    let bus = site.open().await;
    let all: Vec<u8> = (0..=255).collect();
    let ids: [&[u8]; 6] = [b"\0", b"\0\0", b"\xff\xfe", b"\r\n", b"", &all[..MAX_DEDUP_BYTES]];
    for (number, id) in ids.into_iter().enumerate() {
        let record: Vec<u8> = all.iter().copied().cycle().skip(number).take(300 * number).collect();
        let append = with_id(id.to_vec(), record.clone());
        let appended = append_one(&*bus, Log::Events, append.clone()).await;
        assert!(!appended.duplicate, "{id:?}");
        let read = bus.read(Log::Events, appended.position, 1).await.unwrap();
        assert_eq!(read[0].record, record);
        assert!(append_one(&*bus, Log::Events, append).await.duplicate, "{id:?}");
    }
}

pub(super) async fn concurrent_batches_stay_whole_and_none_is_lost(mut site: Box<dyn Site>) {
    const TASKS: usize = 64;
    const BATCHES: usize = 8;
    const RECORDS: usize = 3;
    let bus = site.open().await;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let bus = Arc::clone(&bus);
        tasks.spawn(async move {
            for batch in 0..BATCHES {
                let batch = numbered(&format!("{task}-{batch}"), RECORDS);
                bus.append(Log::Events, batch).await.unwrap();
            }
        });
    }
    while let Some(joined) = tasks.join_next().await {
        joined.unwrap();
    }
    let records = read_all(&*bus, Log::Events).await;
    assert_eq!(records.len(), TASKS * BATCHES * RECORDS);
    let mut batches_of: BTreeMap<String, usize> = BTreeMap::new();
    for batch in records.chunks(RECORDS) {
        let first = String::from_utf8(batch[0].to_vec()).unwrap();
        let task = first.split('-').next().unwrap().to_owned();
        let number = batches_of.entry(task.clone()).or_default();
        let expected = numbered(&format!("{task}-{number}"), RECORDS);
        assert!(batch.iter().eq(expected.iter().map(|append| &append.record)), "{batch:?}");
        *number += 1;
    }
}

pub(super) async fn concurrent_appends_of_one_dedup_id_store_it_once(mut site: Box<dyn Site>) {
    let bus = site.open().await;
    let mut tasks = JoinSet::new();
    for task in 0..64 {
        let bus = Arc::clone(&bus);
        tasks.spawn(async move {
            append_one(&*bus, Log::Events, with_id("the-id", format!("{task}"))).await
        });
    }
    let answers = tasks.join_all().await;
    assert_eq!(answers.iter().filter(|appended| !appended.duplicate).count(), 1);
    assert!(answers.iter().all(|appended| appended.position.sequence == 1));
    assert_eq!(read_all(&*bus, Log::Events).await.len(), 1);
}
