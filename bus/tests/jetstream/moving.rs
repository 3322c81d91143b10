//! A bus that is copied to another one is the same there.

use std::path::Path;

use tripline_bus::Revision;
use tripline_bus::copy::{CopyError, Place, UNFINISHED, copy, starts};
use tripline_bus::embedded::{EmbeddedBus, OpenOptions as StoreOptions, prepare};
use tripline_bus::jetstream::OpenOptions;
use tripline_event::Position;
use tripline_testbed::Nats;

use super::*;

fn store(path: &Path) -> EmbeddedBus {
    EmbeddedBus::open(path, &StoreOptions::default()).unwrap()
}

/// Records of each log, with and without ids; the first ones trimmed, within a batch.
async fn fill(bus: &dyn Bus) {
    for log in Log::ALL {
        let batch = (0..2500).map(|number| {
            let record = format!("{}-{number}", log.as_str());
            let dedup = (number % 3 > 0).then(|| format!("id-{number}").into());
            Append { dedup, record: record.into() }
        });
        let stored = bus.append(log, batch.collect()).await.unwrap();
        bus.trim(log, stored[7].position).await.unwrap();
    }
    for key in ["plan/head", "state/chunk/1", "a.b"] {
        bus.put(key, key.into(), Revision::ABSENT).await.unwrap();
    }
}

/// What there is to see of a bus.
async fn seen(bus: &dyn Bus) -> (Vec<(Position, Position, u64)>, Vec<Vec<String>>, Vec<String>) {
    let (mut extents, mut records) = (Vec::new(), Vec::new());
    for log in Log::ALL {
        let extent = bus.extent(log).await.unwrap();
        extents.push((extent.first, extent.next, extent.bytes));
        records.push(read_all(bus, log).await);
    }
    let mut keys = Vec::new();
    for key in bus.keys("", None, 100).await.unwrap() {
        let value = bus.get(&key).await.unwrap().unwrap().value;
        keys.push(format!("{key}={}", String::from_utf8(value.to_vec()).unwrap()));
    }
    (extents, records, keys)
}

async fn knows_ids(bus: &dyn Bus) {
    let again = bus.append(Log::Events, vec![with_id("id-100", "again")]).await.unwrap();
    assert!(again[0].duplicate, "an id of the source is known");
    assert_eq!(again[0].position.sequence, 101);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_and_back_again_everything_is_as_it_was() {
    let nats = Nats::start().unwrap();
    let (home, back) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let from = store(home.path());
    fill(&from).await;
    let before = seen(&from).await;
    let starts_of = starts(&from).await.unwrap();
    let options = OpenOptions { starts: Some(starts_of), ..options(&nats.url()) };
    let there = open(&options).await;
    let copied = copy(Place::Embedded(&from), Place::JetStream(&there)).await.unwrap();
    assert_eq!((copied.records, copied.keys), ([2493; 3], 3));
    assert_eq!(seen(&*there).await, before);
    drop(there);
    let there = open(&OpenOptions { starts: None, ..options }).await;
    assert_eq!(seen(&*there).await, before);
    prepare(back.path(), &StoreOptions::default(), starts(&*there).await.unwrap()).unwrap();
    let home = store(back.path());
    copy(Place::JetStream(&there), Place::Embedded(&home)).await.unwrap();
    assert_eq!(seen(&home).await, before);
    knows_ids(&*there).await;
    knows_ids(&home).await;
    // The next record comes where it would have come.
    let next = home.append(Log::Events, vec![with_id("new", "new")]).await.unwrap();
    assert_eq!(next[0].position, before.0[0].1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_broke_off_is_gone_on_with_and_another_target_is_refused() {
    let nats = Nats::start().unwrap();
    let home = tempfile::tempdir().unwrap();
    let from = store(home.path());
    fill(&from).await;
    let before = seen(&from).await;
    let starts_of = Some(starts(&from).await.unwrap());
    let options_of = options(&nats.url());
    let there = open(&OpenOptions { starts: starts_of, ..options_of }).await;
    // As a copy leaves it that was killed.
    there.put(UNFINISHED, "".into(), Revision::ABSENT).await.unwrap();
    let first = (7..1000).map(|number| {
        let dedup = (number % 3 > 0).then(|| format!("id-{number}").into());
        Append { dedup, record: format!("events-{number}").into() }
    });
    there.append(Log::Events, first.collect()).await.unwrap();
    there.put("a.b", "older".into(), Revision::ABSENT).await.unwrap();
    copy(Place::Embedded(&from), Place::JetStream(&there)).await.unwrap();
    assert_eq!(seen(&*there).await, before);
    let again = copy(Place::Embedded(&from), Place::JetStream(&there)).await;
    assert!(matches!(again, Err(CopyError::NotEmpty(_))), "{again:?}");
    let other = open(&options(&nats.url())).await;
    let refused = copy(Place::Embedded(&from), Place::JetStream(&other)).await;
    assert!(matches!(refused, Err(CopyError::NotEmpty(_))), "{refused:?}");
    let refused = prepare(home.path(), &StoreOptions::default(), starts(&*other).await.unwrap());
    assert!(refused.is_err(), "the source is in use");
}
