//! Streams that are removed, made again, emptied or full under the bus.

use tripline_bus::jetstream::{OpenError, OpenOptions, Severity};
use tripline_bus::{MAX_RECORD_BYTES, Revision};
use tripline_event::Position;
use tripline_testbed::{Nats, NatsConfig};

use super::*;

async fn client(nats: &Nats) -> async_nats::jetstream::Context {
    async_nats::jetstream::new(async_nats::connect(nats.url()).await.unwrap())
}

/// A bus with three events, and what their positions are.
async fn with_three(options: &OpenOptions) -> (Arc<JetStreamBus>, Vec<Position>) {
    let bus = open(options).await;
    let batch = ["a", "b", "c"].map(|text| with_id(text, text)).to_vec();
    let stored = bus.append(Log::Events, batch).await.unwrap();
    bus.put("k", "v".into(), Revision::ABSENT).await.unwrap();
    (bus, stored.into_iter().map(|one| one.position).collect())
}

/// Waits until the bus says what is lost, and names this range.
async fn says_lost(bus: &JetStreamBus, lost: &[Position]) {
    let (first, last) = (lost.first().unwrap(), lost.last().unwrap());
    let range = format!("{first} to {last}");
    until(&format!("the bus says that {range} is lost"), async || {
        bus.troubles().iter().any(|trouble| trouble.contains(&range)).then_some(())
    })
    .await;
    let refused = bus.append(Log::Events, vec![with_id("d", "d")]).await.unwrap_err();
    assert!(refused.to_string().contains(&range), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_removed_under_the_bus_is_not_made_again_behind_its_back() {
    let nats = Nats::start().unwrap();
    let options = options(&nats.url());
    let (bus, positions) = with_three(&options).await;
    let stream = format!("{}-events", options.prefix);
    client(&nats).await.delete_stream(&stream).await.unwrap();
    says_lost(&bus, &positions).await;
    assert!(client(&nats).await.get_stream(&stream).await.is_err(), "it was made again");
    // Keys, and the other logs, are there.
    assert_eq!(bus.get("k").await.unwrap().unwrap().value, "v");
    drop(bus);
    let bus = open(&options).await;
    let read = bus.read(Log::Events, positions[0], 1).await;
    assert!(matches!(read, Err(ReadError::OtherIncarnation { .. })), "{read:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_made_again_is_not_mistaken_for_the_old_one() {
    let nats = Nats::start().unwrap();
    let options = options(&nats.url());
    let (bus, positions) = with_three(&options).await;
    let context = client(&nats).await;
    let stream = format!("{}-events", options.prefix);
    // With the same metadata, and as many messages.
    let config = context.get_stream(&stream).await.unwrap().cached_info().config.clone();
    context.delete_stream(&stream).await.unwrap();
    context.create_stream(config).await.unwrap();
    for _ in 0..3 {
        let subject = format!("{}.events", options.prefix);
        context.publish(subject, "somebody else's".into()).await.unwrap().await.unwrap();
    }
    says_lost(&bus, &positions).await;
    context.get_stream(&stream).await.unwrap().purge().await.unwrap();
    drop(bus);
    let bus = open(&options).await;
    let read = bus.read(Log::Events, positions[0], 1).await;
    assert!(matches!(read, Err(ReadError::OtherIncarnation { .. })), "{read:?}");
    bus.append(Log::Events, vec![with_id("a", "new")]).await.unwrap();
    assert_eq!(read_all(&*bus, Log::Events).await, ["new"]);
}

/// As a copy of a message is that comes late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_that_does_not_begin_where_the_log_ends_does_not_count() {
    let nats = Nats::start().unwrap();
    let options = options(&nats.url());
    let (bus, _) = with_three(&options).await;
    let context = client(&nats).await;
    let stream = context.get_stream(format!("{}-events", options.prefix)).await.unwrap();
    let block = stream.get_raw_message(1).await.unwrap().payload;
    let publish = async || {
        let subject = format!("{}.events", options.prefix);
        context.publish(subject, block.clone()).await.unwrap().await.unwrap();
    };
    publish().await;
    let stored = bus.append(Log::Events, vec![with_id("d", "d")]).await.unwrap();
    assert_eq!(stored[0].position.sequence, 4);
    publish().await;
    drop(bus);
    let bus = open(&options).await;
    assert_eq!(bus.extent(Log::Events).await.unwrap().next.sequence, 5);
    bus.append(Log::Events, vec![with_id("e", "e")]).await.unwrap();
    assert_eq!(read_all(&*bus, Log::Events).await, ["a", "b", "c", "d", "e"]);
    // So much that the first ones are not in memory any more, and are read again.
    let large = vec![Append { dedup: None, record: vec![b'l'; 5 << 20].into() }];
    for _ in 0..5 {
        bus.append(Log::Events, large.clone()).await.unwrap();
    }
    let records = read_all(&*bus, Log::Events).await;
    assert_eq!(records[..5], ["a", "b", "c", "d", "e"]);
    assert_eq!(records.len(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_was_emptied_by_hand_is_another_incarnation() {
    let nats = Nats::start().unwrap();
    let options = options(&nats.url());
    let (bus, positions) = with_three(&options).await;
    drop(bus);
    let stream =
        client(&nats).await.get_stream(format!("{}-events", options.prefix)).await.unwrap();
    stream.purge().await.unwrap();
    let bus = open(&options).await;
    let read = bus.read(Log::Events, positions[0], 1).await;
    assert!(matches!(read, Err(ReadError::OtherIncarnation { .. })), "{read:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_back_empty_is_noticed() {
    let mut nats = Nats::start().unwrap();
    let options = options(&nats.url());
    let (bus, positions) = with_three(&options).await;
    nats.wipe().unwrap();
    says_lost(&bus, &positions).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_without_their_keys_are_refused() {
    let nats = Nats::start().unwrap();
    let options = options(&nats.url());
    let (bus, _) = with_three(&options).await;
    drop(bus);
    client(&nats).await.delete_stream(format!("{}-state", options.prefix)).await.unwrap();
    let refused = JetStreamBus::open(&options).await.map(drop);
    assert!(matches!(refused, Err(OpenError::StateGone { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_owner_is_refused_while_the_first_one_lives() {
    let nats = Nats::start().unwrap();
    let options = options(&nats.url());
    let first = open(&options).await;
    let second = OpenOptions {
        owner: Some(Owner { name: "the second".to_owned(), id: None, wait: Duration::ZERO }),
        wait: Duration::ZERO,
        ..options.clone()
    };
    let refused = JetStreamBus::open(&second).await.map(drop);
    assert!(
        matches!(&refused, Err(OpenError::InUse { owner, .. }) if owner == "the test"),
        "{refused:?}"
    );
    first.append(Log::Events, vec![with_id("a", "a")]).await.unwrap();
    drop(first);
    let second = open(&second).await;
    // One that knows that it is the same need not wait.
    let same = |name: &str| OpenOptions {
        owner: Some(Owner {
            name: name.to_owned(),
            id: Some("the same".to_owned()),
            wait: Duration::ZERO,
        }),
        ..options.clone()
    };
    drop(second);
    let before = open(&same("before")).await;
    let second = open(&same("after")).await;
    until("the one before notices", async || (!before.troubles().is_empty()).then_some(())).await;
    let refused = before.append(Log::Events, vec![with_id("b", "b")]).await;
    assert!(matches!(refused, Err(WriteError::Unavailable(_))), "{refused:?}");
    assert_eq!(read_all(&*second, Log::Events).await, ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_stream_refuses_and_takes_again_when_it_is_trimmed() {
    let nats = Nats::start().unwrap();
    let options = OpenOptions { max_bytes: Some(4 * 1024 * 1024), ..options(&nats.url()) };
    let bus = open(&options).await;
    let mut stored = 0_u64;
    let refused = loop {
        let record = with_id(format!("{stored}"), vec![b'x'; 100_000]);
        match bus.append(Log::Events, vec![record]).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, WriteError::Full(_)), "{refused}");
    assert!(stored > 30, "{stored}");
    // What follows from events is still taken.
    bus.append(Log::Actions, vec![with_id("a", "a")]).await.unwrap();
    assert!(bus.troubles()[0].contains("takes nothing more"), "{:?}", bus.troubles());
    let next = bus.extent(Log::Events).await.unwrap().next;
    assert_eq!(next.sequence, stored + 1);
    // Of many at the same time, each is refused, and none is stored.
    let many = (0..20).map(|number| {
        bus.append(Log::Events, vec![with_id(format!("many-{number}"), vec![b'y'; 100_000])])
    });
    for refused in futures_util::future::join_all(many).await {
        assert!(matches!(refused, Err(WriteError::Full(_))), "{refused:?}");
    }
    bus.trim(Log::Events, next).await.unwrap();
    let again =
        bus.append(Log::Events, vec![with_id("many-0", vec![b'y'; 100_000])]).await.unwrap();
    assert_eq!((again[0].position, again[0].duplicate), (next, false));
    assert_eq!(bus.troubles(), [""; 0]);
}

/// A record of 8 MiB where the server takes 64 KiB at once, and what became of a batch that
/// broke off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_larger_than_a_message_is_whole() {
    let nats = Nats::with(NatsConfig::default().also("max_payload: 65536")).unwrap();
    let options = options(&nats.url());
    let bus = open(&options).await;
    let large = vec![b'l'; MAX_RECORD_BYTES];
    let batch = vec![with_id("a", "a"), with_id("large", large.clone()), with_id("b", "b")];
    let stored = bus.append(Log::Events, batch).await.unwrap();
    bus.put("large", large.clone().into(), Revision::ABSENT).await.unwrap();
    drop(bus);
    // The beginning of a block that was published too late, and whose rest never came.
    let context = client(&nats).await;
    let stream = context.get_stream(format!("{}-events", options.prefix)).await.unwrap();
    let beginning = stream.get_raw_message(1).await.unwrap().payload;
    let subject = format!("{}.events", options.prefix);
    context.publish(subject, beginning).await.unwrap().await.unwrap();
    let bus = open(&options).await;
    let read = bus.read(Log::Events, stored[1].position, 1).await.unwrap();
    assert_eq!(read[0].record, large);
    assert_eq!(bus.get("large").await.unwrap().unwrap().value, large);
    let next = bus.append(Log::Events, vec![with_id("c", "c"), with_id("a", "a")]).await.unwrap();
    let sequences: Vec<_> = next.iter().map(|one| one.position.sequence).collect();
    assert_eq!(sequences, [4, 1]);
    drop(bus);
    let bus = open(&options).await;
    let records = read_all(&*bus, Log::Events).await;
    assert_eq!(records.iter().map(String::len).collect::<Vec<_>>(), [1, MAX_RECORD_BYTES, 1, 1]);
}

/// Far more than is kept in memory, written as single records: found again from anywhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_position_of_a_long_log_is_found() {
    const COUNT: u64 = 3000;
    let nats = Nats::start().unwrap();
    let options = options(&nats.url());
    let bus = open(&options).await;
    for number in 1..=COUNT {
        let record = Append { dedup: None, record: number.to_string().into() };
        bus.append(Log::Outcomes, vec![record]).await.unwrap();
    }
    let incarnation = bus.extent(Log::Outcomes).await.unwrap().first.incarnation;
    let large = vec![Append { dedup: None, record: vec![b' '; 6 << 20].into() }; 4];
    bus.append(Log::Outcomes, large).await.unwrap();
    drop(bus);
    let bus = open(&options).await;
    for number in [1, 2, 700, 1500, 1499, COUNT, 3, COUNT / 2 + 1] {
        let read = bus.read(Log::Outcomes, Position::new(incarnation, number), 2).await.unwrap();
        assert_eq!(read[0].record, number.to_string());
        assert_eq!(read[0].position.sequence, number);
    }
    bus.trim(Log::Outcomes, Position::new(incarnation, 1000)).await.unwrap();
    let read = bus.read(Log::Outcomes, Position::new(incarnation, 1000), 1).await.unwrap();
    assert_eq!(read[0].record, "1000");
    let info =
        client(&nats).await.get_stream(format!("{}-outcomes", options.prefix)).await.unwrap();
    assert_eq!(info.cached_info().state.first_sequence, 1000, "purged in the stream too");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_would_lose_records_is_refused_and_named() {
    let nats = Nats::start().unwrap();
    let options = options(&nats.url());
    drop(open(&options).await);
    let context = client(&nats).await;
    let stream = format!("{}-events", options.prefix);
    let mut config = context.get_stream(&stream).await.unwrap().cached_info().config.clone();
    config.max_age = Duration::from_secs(3600);
    context.update_stream(config).await.unwrap();
    let refused = JetStreamBus::open(&options).await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("max_age"), "{refused}");
    let findings = tripline_bus::jetstream::preflight(&options).await;
    let wrong = findings.iter().find(|finding| finding.severity == Severity::Wrong).unwrap();
    assert!(wrong.text.contains(&stream) && wrong.text.contains("max_age"), "{}", wrong.text);
    let other = OpenOptions { prefix: "other".into(), ..options.clone() };
    let foreign =
        async_nats::jetstream::stream::Config { name: "other-state".into(), ..Default::default() };
    context.create_stream(foreign).await.unwrap();
    let refused = JetStreamBus::open(&other).await.map(drop);
    assert!(matches!(refused, Err(OpenError::Foreign { .. })), "{refused:?}");
}
