//! Partitions that go from one member of a group to another.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::timeout;

use super::broker::{SOON, Topic, numbers, says, taken, world};
use crate::SinkError;
use crate::testing::World;

const PARTITIONS: i32 = 6;

fn member(strategy: &str, oldest: bool) -> Value {
    let group = json!({"groupName": "g", "oldest": oldest, "rebalanceStrategy": strategy});
    json!({"consumerGroup": group})
}

/// How often each number has come, whichever member took it.
fn counts(worlds: &[&World]) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for world in worlds {
        for number in numbers(world).into_values().flatten() {
            *counts.entry(number).or_default() += 1;
        }
    }
    counts
}

/// Waits until the members have taken all numbers up to `count`, each once.
async fn all_once(worlds: &[&World], count: u32) {
    let all = async {
        while counts(worlds).len() < count as usize {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = timeout(SOON, all).await;
    let counts = counts(worlds);
    assert!(in_time.is_ok(), "{} of {count}", counts.len());
    let doubled: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).take(5).collect();
    assert!(doubled.is_empty(), "doubled: {doubled:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebalance_in_the_middle_of_a_batch_loses_and_doubles_nothing() {
    for strategy in ["range", "roundrobin", "sticky"] {
        let name = format!("rebalance-{strategy}");
        let topic = Topic::new(&name, PARTITIONS).await;
        let fields = member(strategy, true);
        let fields = || {
            let mut fields = fields.clone();
            fields["consumerGroup"]["groupName"] = json!(name);
            fields
        };
        let (first, second) = (world(), world());
        topic.source(&first, fields());
        topic.send_numbers(PARTITIONS, 0..2000).await;
        taken(&first, 1000).await;
        // One comes while the other has its hands full.
        topic.source(&second, fields());
        let mut sent = 2000;
        let begin = Instant::now();
        while second.sink.ids().len() < 200 {
            assert!(begin.elapsed() < SOON, "{:?}", second.sources.status());
            topic.send_numbers(PARTITIONS, sent..sent + 300).await;
            sent += 300;
        }
        topic.send_numbers(PARTITIONS, sent..sent + 2000).await;
        // And one goes.
        first.shutdown().await;
        topic.send_numbers(PARTITIONS, sent + 2000..sent + 3000).await;
        all_once(&[&first, &second], sent + 3000).await;
        for world in [&first, &second] {
            for found in numbers(world).values() {
                assert!(found.is_sorted(), "{strategy}: the order of a partition");
            }
        }
        second.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_event_bus_of_a_member_does_not_take_goes_to_the_partition_s_next_owner() {
    let topic = Topic::new("stuck", PARTITIONS).await;
    let mut fields = member("range", true);
    fields["consumerGroup"]["groupName"] = json!("stuck");
    let (first, second) = (world(), world());
    first.sink.fail((0..100_000).map(|_| SinkError::Unavailable("no disk".into())));
    topic.source(&first, fields.clone());
    topic.send_numbers(PARTITIONS, 0..600).await;
    says(&first, false, "messages wait: no disk").await;
    topic.source(&second, fields);
    taken(&second, 300).await;
    first.sink.errors.lock().unwrap().clear();
    topic.send_numbers(PARTITIONS, 600..1200).await;
    all_once(&[&first, &second], 1200).await;
    says(&first, true, "takes messages").await;
    first.shutdown().await;
    second.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_begins_at_the_end_and_that_is_remembered_before_anything_comes() {
    let topic = Topic::new("latest", 2).await;
    topic.send_numbers(2, 0..10).await;
    let mut fields = member("range", false);
    fields["consumerGroup"]["groupName"] = json!("latest");
    let first = world();
    topic.source(&first, fields.clone());
    says(&first, true, "takes messages").await;
    topic.is_committed("latest", &[Some(5), Some(5)]).await;
    first.shutdown().await;
    topic.send_numbers(2, 10..14).await;
    let second = world();
    topic.source(&second, fields);
    taken(&second, 4).await;
    assert_eq!(counts(&[&first, &second]).into_keys().collect::<Vec<_>>(), [10, 11, 12, 13]);
    second.shutdown().await;
}
