//! A target is stopped for an hour while events come in all the time.

use std::time::Duration;

use super::world::{Answer, World};
use crate::executor::{RateLimit, RetryPolicy, TriggerPolicy};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: u64 = 3600;

/// An hour in which an event for a trigger that is down and one for a trigger that works come
/// in each second; then the target is there again.
async fn an_hour(policy: TriggerPolicy, keys: u64) -> World {
    let mut world = World::with_bound(64);
    world.policy("down", policy);
    world.answers("down", &[Answer::RetryLate(10 * SECOND)]);
    world.run();
    for second in 0..HOUR {
        let event = format!("e{second}");
        world.fire_keyed("down", &event, &format!("k{}", second % keys)).await;
        world.fire("works", &event).await;
        world.pass(SECOND).await;
    }
    let tried = world.seen_events("down").len();
    assert!(tried < 500, "{tried} attempts at a target that is down");
    let late: Vec<_> = world
        .seen()
        .into_iter()
        .filter(|seen| seen.trigger == "works")
        .filter(|seen| seen.at.as_secs() != seen.event[1..].parse::<u64>().unwrap())
        .collect();
    assert_eq!(late, [], "another trigger was delayed");
    assert_eq!(world.seen_events("works").len() as u64, HOUR);
    world.answers("down", &[Answer::Succeed]);
    world.pass(SECOND * 7200).await;
    assert_eq!(world.open().await, None);
    world
}

/// The latest attempt for each event, in order: it is the one that succeeded.
fn caught_up(world: &World) -> Vec<(u64, Duration)> {
    let attempts = world.seen().into_iter().filter(|seen| seen.trigger == "down");
    let after = attempts.filter(|seen| seen.at >= SECOND * HOUR as u32);
    after.map(|seen| (seen.event[1..].parse().unwrap(), seen.at)).collect()
}

fn retry() -> RetryPolicy {
    RetryPolicy { max: 30 * SECOND, ..RetryPolicy::default() }
}

#[tokio::test(start_paused = true)]
async fn what_waited_is_caught_up_with_in_order_and_within_the_rate() {
    let rate = Some(RateLimit { requests: 2, per: SECOND });
    let policy = TriggerPolicy { strict: true, rate, retry: retry(), ..TriggerPolicy::default() };
    let world = an_hour(policy, 1).await;
    let done = caught_up(&world);
    let order: Vec<u64> = done.iter().map(|(event, _)| *event).collect();
    assert!(order.is_sorted(), "{order:?}");
    assert_eq!(*order.last().unwrap(), HOUR - 1);
    assert_eq!(world.seen_events("down").last().unwrap(), "e3599");
    for three in done.windows(3) {
        assert!(three[2].1 - three[0].1 >= SECOND, "{three:?}");
    }
    let succeeded = world.told().await.iter().filter(|told| told.starts_with("succeeded")).count();
    assert_eq!(succeeded as u64, 2 * HOUR);
}

#[tokio::test(start_paused = true)]
async fn with_latest_one_action_of_each_key_is_carried_out() {
    let policy = TriggerPolicy { latest: true, retry: retry(), ..TriggerPolicy::default() };
    let world = an_hour(policy, 7).await;
    let mut done: Vec<u64> = caught_up(&world).iter().map(|(event, _)| *event).collect();
    done.sort_unstable();
    done.dedup();
    // One of each key, and what was being tried when the target came back.
    assert!(done.ends_with(&[3594, 3595, 3596, 3597, 3598, 3599]), "{done:?}");
    assert!((7..=14).contains(&done.len()), "{done:?}");
    let told = world.told().await;
    let dropped = told.iter().filter(|told| told.contains("a newer action of its key")).count();
    let succeeded = told.iter().filter(|told| told.starts_with("succeeded")).count() as u64;
    assert_eq!(dropped as u64 + succeeded, 2 * HOUR, "each has an outcome");
}
