use std::time::Duration;

use super::world::{Answer, World};
use crate::executor::TriggerPolicy;

const SECOND: Duration = Duration::from_secs(1);

fn at_most(max_in_flight: u32) -> TriggerPolicy {
    TriggerPolicy { max_in_flight, ..TriggerPolicy::default() }
}

fn names(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("e{number}")).collect()
}

#[tokio::test(start_paused = true)]
async fn actions_start_in_the_order_of_their_positions() {
    for max_in_flight in [1, 3, 64] {
        let mut world = World::new();
        world.policy("submit", at_most(max_in_flight));
        world.answers("submit", &[Answer::SucceedAfter(SECOND)]);
        for event in names(0..20) {
            world.fire("submit", &event).await;
        }
        world.run();
        world.pass(30 * SECOND).await;
        assert_eq!(world.seen_events("submit"), names(0..20));
        assert_eq!(world.most_at_once(), 20.min(max_in_flight as usize));
        assert_eq!(world.open().await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn an_action_that_waits_for_its_retry_holds_up_none_behind_it() {
    let mut world = World::new();
    world.policy("submit", at_most(1));
    world.answers("e0", &[Answer::Retry, Answer::Succeed]);
    for event in names(0..3) {
        world.fire("submit", &event).await;
    }
    world.run();
    world.pass(10 * SECOND).await;
    assert_eq!(world.seen_events("submit"), ["e0", "e1", "e2", "e0"]);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_hangs_delays_only_its_own_trigger() {
    let mut world = World::new();
    world.answers("hangs", &[Answer::Hang]);
    world.answers("fails", &[Answer::Retry]);
    world.run();
    for event in names(0..500) {
        world.fire("hangs", &event).await;
        world.fire("fails", &event).await;
        world.fire("works", &event).await;
    }
    world.pass(SECOND).await;
    assert_eq!(world.seen_events("works"), names(0..500));
    assert_eq!(world.seen_events("hangs"), names(0..64));
    let snapshot = world.executor.snapshot();
    let counts = |snapshot: &crate::executor::TriggerSnapshot| {
        (
            snapshot.trigger.trigger.clone(),
            snapshot.waiting,
            snapshot.in_flight,
            snapshot.retrying,
            snapshot.last_error.clone(),
        )
    };
    assert_eq!(
        snapshot.iter().map(counts).collect::<Vec<_>>(),
        [
            ("fails".to_owned(), 436, 0, 64, Some("503".to_owned())),
            ("hangs".to_owned(), 436, 64, 0, None),
            ("works".to_owned(), 0, 0, 0, None),
        ]
    );
    assert_eq!(snapshot[1].oldest_decided_at, Some(super::world::start()));
}

#[tokio::test(start_paused = true)]
async fn a_trigger_that_panics_is_a_failed_attempt_and_the_rest_goes_on() {
    let mut world = World::new();
    world.answers("e0", &[Answer::Panic, Answer::Succeed]);
    world.policy("submit", at_most(1));
    world.run();
    world.fire("submit", "e0").await;
    world.fire("submit", "e1").await;
    world.pass(10 * SECOND).await;
    assert_eq!(
        world.told().await,
        ["attempted 1", "retrying 1", "attempted 1", "succeeded 1", "succeeded 2"]
    );
    assert_eq!(world.open().await, None);
}
