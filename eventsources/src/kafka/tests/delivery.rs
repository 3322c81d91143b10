//! What comes in, and when its offset is stored.

use std::time::{Duration, Instant};

use serde_json::json;

use super::broker::{Topic, kafka, numbers, oldest, says, taken, until, world};
use crate::SinkError;
use crate::kafka::limits::MESSAGES;

#[tokio::test(flavor = "multi_thread")]
async fn an_event_has_the_shape_and_the_id_of_argo_events_and_its_offset_is_committed() {
    let topic = Topic::new("shape", 2).await;
    let world = world();
    let mut fields = oldest("shape");
    fields["jsonBody"] = json!(true);
    fields["metadata"] = json!({"team": "platform"});
    topic.source(&world, fields);
    let headers = [("x-correlation-id", "build-7"), ("b", "1"), ("b", "2")];
    topic.send_with(1, Some("{\"sha\": \"4f2a\" }"), Some("shop"), &headers).await;
    let data = taken(&world, 1).await;
    assert_eq!(
        data[0],
        json!({
            "topic": "shape", "key": "shop", "partition": 1, "body": {"sha": "4f2a"},
            "timestamp": "2026-11-21 03:00:00.12 +0000 UTC",
            "headers": {"x-correlation-id": "build-7", "b": "2"},
            "metadata": {"team": "platform"},
        })
    );
    let message = world.sink.taken().remove(0);
    let brokers = kafka().brokers();
    assert_eq!(world.sink.ids(), [format!("builds:completed:{brokers}:shape:1:0")]);
    assert_eq!((message.kind, message.key.to_string()), ("kafka", "ci/builds/completed".into()));
    assert_eq!(message.body.unwrap(), "{\"sha\": \"4f2a\" }");
    assert!(message.headers.contains(&("x-correlation-id".to_owned(), "build-7".to_owned())));
    says(&world, true, "takes messages from topic `shape` as a member of group `shape`").await;
    topic.is_committed("shape", &[None, Some(1)]).await;
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_is_stored_when_the_event_is_durable_and_not_before() {
    let topic = Topic::new("durable", 1).await;
    let world = world();
    world.sink.open.send_replace(false);
    topic.source(&world, oldest("durable"));
    topic.send("1").await;
    until(&world.sink.waiting, |waiting| *waiting == 1).await;
    topic.send("2").await;
    // What was stored would be committed by now, and is committed when the source stops.
    world.shutdown().await;
    assert_eq!(topic.committed("durable", 1), [None]);

    let world = self::world();
    topic.source(&world, oldest("durable"));
    taken(&world, 2).await;
    topic.is_committed("durable", &[Some(2)]).await;
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_a_partition_is_kept_also_where_the_event_bus_refuses_some() {
    const COUNT: u32 = 3000;
    let topic = Topic::new("order", 3).await;
    topic.send_numbers(3, 0..COUNT).await;
    let world = world();
    world.sink.fail((0..3).map(|_| SinkError::Unavailable("no disk".into())));
    topic.source(&world, oldest("order"));
    taken(&world, COUNT as usize).await;
    let numbers = numbers(&world);
    assert_eq!(numbers.len(), 3);
    for (partition, found) in numbers {
        let expected: Vec<u64> =
            (0..u64::from(COUNT)).filter(|n| *n % 3 == partition as u64).collect();
        assert_eq!(found, expected, "partition {partition}");
    }
    let each = Some(i64::from(COUNT) / 3);
    topic.is_committed("order", &[each, each, each]).await;
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_event_bus_is_slow_no_more_is_held_than_its_bound_and_the_group_goes_on() {
    let count = 3 * MESSAGES as u32;
    let topic = Topic::new("slow", 1).await;
    let world = world();
    world.sink.open.send_replace(false);
    topic.source(&world, oldest("slow"));
    topic.send_numbers(1, 0..count).await;
    until(&world.sink.waiting, |waiting| *waiting == 1).await;
    // Longer than the group waits for a member that says nothing.
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(4) {
        assert_eq!(*world.sink.waiting.borrow(), 1, "one append at a time");
        assert!(world.sources.status()[0].ready, "{:?}", world.sources.status());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(topic.committed("slow", 1), [None]);
    world.sink.open.send_replace(true);
    taken(&world, count as usize).await;
    let expected: Vec<u64> = (0..u64::from(count)).collect();
    assert_eq!(numbers(&world)[&0], expected);
    topic.is_committed("slow", &[Some(i64::from(count))]).await;
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_is_kept_with_its_bytes_and_does_not_come_back() {
    let topic = Topic::new("poison", 1).await;
    let world = world();
    let mut fields = oldest("poison");
    fields["jsonBody"] = json!(true);
    world.sink.fail([SinkError::Unavailable("no disk".into())]);
    topic.send_with(0, Some("no JSON"), None, &[("correlation-id", "build-7")]).await;
    topic.source(&world, fields.clone());
    let kept = &world.sink.unreadable;
    until(kept, |kept| kept.len() == 1).await;
    // One that deletes a key has no value, and is one.
    topic.send_with(0, None, Some("gone"), &[]).await;
    assert_eq!(taken(&world, 1).await[0]["body"], json!(null));
    // It is too large for the event bus: in a batch, and by itself.
    let too_large = || SinkError::TooLarge { size: 9, limit: 8 };
    world.sink.fail([too_large(), too_large()]);
    topic.send("{ }").await;
    until(kept, |kept| kept.len() == 2).await;
    topic.send("{}").await;
    taken(&world, 2).await;
    topic.is_committed("poison", &[Some(4)]).await;
    world.shutdown().await;
    let kept = world.sink.unreadable.borrow().clone();
    let of = |kept: &crate::Unreadable| {
        (kept.bytes.clone(), kept.id.as_ref().unwrap().0.rsplit_once(':').unwrap().1.to_owned())
    };
    assert_eq!(of(&kept[0]), ("no JSON".into(), "0".into()));
    assert_eq!(of(&kept[1]), ("{ }".into(), "2".into()));
    assert_eq!(kept[0].headers, [("correlation-id".to_owned(), "build-7".to_owned())]);
    assert!(kept[0].reason.starts_with("message is not JSON ("), "{}", kept[0].reason);
    assert_eq!(kept[1].reason, "event is 9 bytes, the event bus takes at most 8");

    let again = self::world();
    topic.source(&again, fields);
    topic.send("{\"last\": 1}").await;
    assert_eq!(taken(&again, 1).await[0]["body"]["last"], json!(1));
    assert!(again.sink.unreadable.borrow().is_empty());
    again.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_events_a_second_are_taken_than_the_limit_says() {
    let topic = Topic::new("limit", 1).await;
    topic.send_numbers(1, 0..30).await;
    let world = world();
    let mut fields = oldest("limit");
    fields["limitEventsPerSecond"] = json!(20);
    topic.source(&world, fields);
    taken(&world, 1).await;
    let begin = Instant::now();
    taken(&world, 30).await;
    let took = begin.elapsed();
    assert!((1200..5000).contains(&took.as_millis()), "{took:?}");
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_partition_goes_on_where_it_was_and_begins_at_its_end() {
    let topic = Topic::new("alone", 2).await;
    topic.send_with(1, Some("before"), None, &[]).await;
    let world = world();
    let fields = json!({"partition": "1"});
    topic.source(&world, fields.clone());
    says(&world, true, "takes messages from partition 1 of topic `alone`").await;
    world.shutdown().await;
    // It comes while nobody reads, and before anything was ever read.
    topic.send_with(1, Some("{\"n\": 1, \"p\": 1}"), None, &[]).await;
    topic.send_with(0, Some("elsewhere"), None, &[]).await;
    for round in 1..4 {
        let again = self::world();
        let places = world.sink.places.lock().unwrap().clone();
        *again.sink.places.lock().unwrap() = places;
        topic.source(&again, fields.clone());
        taken(&again, 1).await;
        assert_eq!(numbers(&again)[&1], [round]);
        again.shutdown().await;
        let places = again.sink.places.lock().unwrap().clone();
        assert_eq!(places.values().collect::<Vec<_>>(), [&(round + 1).to_string()]);
        *world.sink.places.lock().unwrap() = places;
        let next = format!("{{\"n\": {}, \"p\": 1}}", round + 1);
        topic.send_with(1, Some(&next), None, &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_event_keeps_what_it_says_of_itself_and_what_is_none_is_kept_too() {
    let topic = Topic::new("cloud", 1).await;
    let world = world();
    let mut config = oldest("cloud");
    config["url"] = json!(topic.brokers);
    config["topic"] = json!("cloud");
    config["cloudEvents"] = json!(true);
    let spec = json!({"kafka": {"completed": config}});
    let name = tripline_event::ObjectName::new("ci", "builds");
    let (definitions, problems) =
        crate::events_in(tripline_config::Dialect::Tripline, &name, &spec);
    assert_eq!((problems, world.sources.apply(definitions)), (vec![], vec![]));
    let binary = [
        ("ce_specversion", "1.0"),
        ("ce_id", "7"),
        ("ce_source", "/shop"),
        ("ce_type", "dev.example.build"),
        ("content-type", "application/json"),
    ];
    topic.send_with(0, Some("{\"sha\": 1}"), None, &binary).await;
    topic.send("no CloudEvent").await;
    let structured = json!({
        "specversion": "1.0", "id": "8", "source": "/shop", "type": "t", "data": {"sha": 2},
    });
    topic.send(&structured.to_string()).await;
    let data = taken(&world, 2).await;
    assert_eq!((&data[0]["body"], &data[1]["body"]), (&json!({"sha": 1}), &json!({"sha": 2})));
    assert_eq!(world.sink.ids(), ["/shop#7", "/shop#8"]);
    assert!(world.sink.taken().iter().all(|message| message.cloud_event.is_some()));
    topic.is_committed("cloud", &[Some(3)]).await;
    assert_eq!(world.sink.unreadable.borrow()[0].bytes, "no CloudEvent");
    world.shutdown().await;
}
