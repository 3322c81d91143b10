//! What was answered survives the death of servers, and nothing is there twice.

use std::collections::BTreeSet;

use tripline_bus::Revision;
use tripline_bus::jetstream::OpenOptions;
use tripline_testbed::{Nats, NatsCluster, Toxiproxy};

use super::*;

const TASKS: u64 = 8;
const BATCH: u64 = 3;
const KILLS: usize = 5;

/// Whether each record has a dedup id.
#[derive(Clone, Copy, PartialEq)]
enum Ids {
    All,
    None,
}

/// Appends batch after batch until it is told to stop; returns what was answered.
async fn append_on(
    bus: Arc<JetStreamBus>,
    task: u64,
    ids: Ids,
    stop: tokio::sync::watch::Receiver<bool>,
) -> Vec<(u64, String)> {
    let mut answered = Vec::new();
    for number in 0.. {
        if *stop.borrow() {
            break;
        }
        let texts: Vec<String> = (0..BATCH).map(|part| format!("{task}-{number}-{part}")).collect();
        let batch: Vec<Append> = texts
            .iter()
            .map(|text| match ids {
                Ids::All => with_id(text.clone(), text.clone()),
                Ids::None => Append { dedup: None, record: text.clone().into() },
            })
            .collect();
        let positions = match ids {
            Ids::All => append_until_stored(&*bus, Log::Events, batch).await,
            // Not tried again: what becomes of it when the answer stays away is not known.
            Ids::None => match bus.append(Log::Events, batch).await {
                Ok(stored) => stored.iter().map(|one| one.position.sequence).collect(),
                Err(WriteError::Unavailable(_)) => continue,
                Err(error) => panic!("{error}"),
            },
        };
        answered.extend(positions.into_iter().zip(texts));
    }
    answered
}

/// The log holds each record that was answered at the position that was answered, none twice,
/// and batches as a whole.
async fn check(bus: &dyn Bus, answered: &[(u64, String)]) {
    let records = read_all(bus, Log::Events).await;
    let distinct: BTreeSet<&String> = records.iter().collect();
    assert_eq!(distinct.len(), records.len(), "a record is there twice");
    for (sequence, text) in answered {
        let at = usize::try_from(*sequence).unwrap() - 1;
        assert_eq!(records.get(at), Some(text), "what was answered at {sequence}");
    }
    for batch in records.chunks(usize::try_from(BATCH).unwrap()) {
        let (name, _) = batch[0].rsplit_once('-').unwrap();
        let whole: Vec<String> = (0..BATCH).map(|part| format!("{name}-{part}")).collect();
        assert_eq!(batch, whole, "a batch is not whole");
    }
}

async fn kill_under_load(ids: Ids) {
    let mut nats = Nats::start().unwrap();
    let options = options(&nats.url());
    let bus = open(&options).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| tokio::spawn(append_on(Arc::clone(&bus), task, ids, stopped.clone())))
        .collect();
    for _ in 0..KILLS {
        let next = bus.extent(Log::Events).await.map_or(0, |extent| extent.next.sequence);
        until("records were appended", async || {
            let extent = bus.extent(Log::Events).await.ok()?;
            (extent.next.sequence > next + 200).then_some(())
        })
        .await;
        nats.kill().unwrap();
        nats.restart().unwrap();
    }
    stop.send(true).unwrap();
    let mut answered = Vec::new();
    for task in tasks {
        answered.extend(tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap());
    }
    assert!(answered.len() > 500, "{}", answered.len());
    until("the bus works again", async || {
        unavailable(&*bus, Log::Events).await.is_none().then_some(())
    })
    .await;
    check(&*bus, &answered).await;
    drop(bus);
    check(&*open(&options).await, &answered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_answered_is_lost_or_doubled_when_the_server_is_killed() {
    kill_under_load(Ids::All).await;
}

/// Retries within the bus must not double what has no id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_without_ids_are_not_doubled_when_the_server_is_killed() {
    kill_under_load(Ids::None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_goes_on_when_its_leader_is_killed() {
    let mut cluster = NatsCluster::start().unwrap();
    let options = options(&cluster.url());
    let bus = open(&options).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| tokio::spawn(append_on(Arc::clone(&bus), task, Ids::All, stopped.clone())))
        .collect();
    for _ in 0..2 {
        let stream = format!("{}-events", options.prefix);
        let leader = cluster.leader(&stream).unwrap();
        cluster.nodes[leader].kill().unwrap();
        let killed_at = bus.extent(Log::Events).await.map_or(0, |extent| extent.next.sequence);
        until("appended without the old leader", async || {
            let extent = bus.extent(Log::Events).await.ok()?;
            (extent.next.sequence > killed_at + 200).then_some(())
        })
        .await;
        // The keys' leader was perhaps the same.
        until("a key is put", async || {
            let entry = bus.get("k").await.ok()?;
            let revision = entry.map_or(Revision::ABSENT, |entry| entry.revision);
            bus.put("k", "v".into(), revision).await.ok()
        })
        .await;
        cluster.restart(leader).unwrap();
    }
    stop.send(true).unwrap();
    let mut answered = Vec::new();
    for task in tasks {
        answered.extend(tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap());
    }
    check(&*bus, &answered).await;
    drop(bus);
    check(&*open(&options).await, &answered).await;
}

/// The server keeps its connections and says nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_server_is_noticed_and_gone_on_with() {
    let mut nats = Nats::start().unwrap();
    let bus = open(&options(&nats.url())).await;
    append_until_stored(&*bus, Log::Events, vec![with_id("a", "a")]).await;
    nats.pause().unwrap();
    let waiting = tokio::spawn({
        let bus = Arc::clone(&bus);
        let next = bus.extent(Log::Events).await.unwrap().next;
        async move { bus.wait(Log::Events, next).await }
    });
    let begun = std::time::Instant::now();
    let refused = bus.append(Log::Events, vec![with_id("b", "b")]).await;
    assert!(matches!(refused, Err(WriteError::Unavailable(_))), "{refused:?}");
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    let waited = tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert!(matches!(waited, Err(ReadError::Unavailable(_))), "{waited:?}");
    let got = bus.get("a").await;
    assert!(matches!(got, Err(ReadError::Unavailable(_))), "{got:?}");
    assert!(!bus.troubles().is_empty());
    nats.unpause().unwrap();
    append_until_stored(&*bus, Log::Events, vec![with_id("b", "b"), with_id("c", "c")]).await;
    assert_eq!(read_all(&*bus, Log::Events).await, ["a", "b", "c"]);
    until("no more trouble", async || bus.troubles().is_empty().then_some(())).await;
}

/// What was asked for is stored, and the answer never comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_answer_was_lost_is_stored_once_and_answered() {
    let nats = Nats::start().unwrap();
    let toxiproxy = Toxiproxy::start().unwrap();
    let proxy = toxiproxy.proxy(nats.address()).unwrap();
    let options = options(&format!("nats://{}", proxy.address()));
    let bus = open(&options).await;
    bus.append(Log::Events, vec![with_id("a", "a")]).await.unwrap();
    let revision = bus.put("k", "1".into(), Revision::ABSENT).await.unwrap();
    let watcher = OpenOptions { url: nats.url(), owner: None, ..options.clone() };
    let watcher = open(&watcher).await;
    proxy.swallow_answers().unwrap();
    let mut waiting = Vec::new();
    for text in ["b", "c", "d"] {
        let (bus, append) = (Arc::clone(&bus), Append { dedup: None, record: text.into() });
        waiting.push(tokio::spawn(async move { bus.append(Log::Events, vec![append]).await }));
    }
    let put = tokio::spawn({
        let bus = Arc::clone(&bus);
        async move { bus.put("k", "2".into(), revision).await }
    });
    until("all of it is stored", async || {
        let next = watcher.extent(Log::Events).await.ok()?.next.sequence;
        let value = watcher.get("k").await.ok()??.value;
        (next == 5 && value == "2").then_some(())
    })
    .await;
    proxy.restore().unwrap();
    for answer in waiting {
        assert!(!answer.await.unwrap().unwrap()[0].duplicate);
    }
    let put = put.await.unwrap().unwrap();
    assert_eq!(bus.get("k").await.unwrap().unwrap().revision, put);
    let mut records = read_all(&*bus, Log::Events).await;
    records.sort();
    assert_eq!(records, ["a", "b", "c", "d"]);
}

/// Two that append at the same time, as a daemon and `publish` may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_append_at_the_same_time_lose_nothing_and_double_nothing_that_has_an_id() {
    let nats = Nats::start().unwrap();
    let options = options(&nats.url());
    let one = open(&options).await;
    let two = open(&OpenOptions { owner: None, ..options.clone() }).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let bus = Arc::clone(if task % 2 == 0 { &one } else { &two });
            tokio::spawn(append_on(bus, task, Ids::All, stopped.clone()))
        })
        .collect();
    until("both have appended", async || {
        let extent = one.extent(Log::Events).await.ok()?;
        (extent.next.sequence > 3000).then_some(())
    })
    .await;
    stop.send(true).unwrap();
    let mut answered = Vec::new();
    for task in tasks {
        answered.extend(tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap());
    }
    for bus in [&one, &two] {
        until("it knows of the other's", async || {
            let extent = bus.extent(Log::Events).await.ok()?;
            (extent.next.sequence > answered.len() as u64).then_some(())
        })
        .await;
        check(&**bus, &answered).await;
    }
    // What one has appended the other knows, and wakes up for.
    let next = one.extent(Log::Events).await.unwrap().next;
    let waiting = tokio::spawn(async move { one.wait(Log::Events, next).await });
    append_until_stored(&*two, Log::Events, vec![with_id("the-id", "x")]).await;
    tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap().unwrap();
}
