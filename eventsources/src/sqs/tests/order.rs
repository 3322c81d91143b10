//! FIFO queues, and many messages at a time.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::server::{TestQueue, elasticmq, moto, taken, world};
use crate::SinkError;
use crate::sqs::limits::HIDDEN;

/// The numbers of each group, in the order in which they were taken.
fn by_group(events: &[Value]) -> BTreeMap<&str, Vec<u64>> {
    let mut groups: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for event in events {
        let body = &event["body"];
        let group = body["group"].as_str().unwrap();
        groups.entry(group).or_default().push(body["number"].as_u64().unwrap());
    }
    groups
}

/// Against ElasticMQ alone. SQS hands out no message of a group while others of it are in flight, and
/// so does ElasticMQ. moto looks at what is in flight once, at the beginning of a receive, and holds no
/// lock: of two receives at a time both may get messages of one group, whoever receives.
#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_group_are_taken_in_order_however_the_event_bus_fails() {
    let queue = TestQueue::new(&elasticmq(), "order.fifo").await;
    for number in 0..20 {
        for group in ["a", "b", "c"] {
            let body = json!({"group": group, "number": number}).to_string();
            queue.send_to(group, &body).await;
        }
    }
    let world = world();
    let fail = |times| {
        world.sink.fail((0..times).map(|_| SinkError::Unavailable("no".into())));
    };
    fail(3);
    queue.source(&world, json!({"jsonBody": true}), HIDDEN);
    for count in (5..60).step_by(5) {
        taken(&world, count).await;
        fail(1);
    }
    let events = taken(&world, 60).await;
    let groups = by_group(&events);
    let all: Vec<u64> = (0..20).collect();
    assert_eq!(groups.len(), 3);
    assert!(groups.values().all(|numbers| *numbers == all), "{groups:?}");
    queue.holds((0, 0)).await;
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_json_does_not_hold_up_its_group() {
    let queue = TestQueue::new(&moto(), "poison.fifo").await;
    queue.send_to("a", r#"{"group":"a","number":1}"#).await;
    queue.send_to("a", "no JSON").await;
    queue.send_to("a", r#"{"group":"a","number":2}"#).await;
    let world = world();
    queue.source(&world, json!({"jsonBody": true}), HIDDEN);
    let events = taken(&world, 2).await;
    assert_eq!(by_group(&events)["a"], [1, 2]);
    queue.holds((0, 0)).await;
    assert_eq!(world.sink.unreadable.borrow().len(), 1);
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_taken_by_several_receives_at_a_time() {
    let queue = TestQueue::new(&moto(), "backlog").await;
    let mut ids = Vec::new();
    for number in 0..200 {
        ids.push(queue.send(&number.to_string()).await);
    }
    let world = world();
    world.sink.open.send_replace(false);
    queue.source(&world, json!({}), HIDDEN);
    // More than one batch is held, although none is taken; and no more than the bound.
    world.sink.waiting.subscribe().wait_for(|waiting| *waiting == 80).await.unwrap();
    queue.holds((120, 80)).await;
    assert_eq!(*world.sink.waiting.borrow(), 80);
    world.sink.open.send_replace(true);
    taken(&world, 200).await;
    let mut found = world.sink.ids();
    found.sort();
    ids.sort();
    assert_eq!(found, ids);
    queue.holds((0, 0)).await;
    world.shutdown().await;
}
