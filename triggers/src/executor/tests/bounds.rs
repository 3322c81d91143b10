use std::time::Duration;

use super::world::{Answer, World};
use crate::executor::{Limits, TriggerPolicy};

const SECOND: Duration = Duration::from_secs(1);

fn one_at_a_time() -> TriggerPolicy {
    TriggerPolicy { max_in_flight: 1, ..TriggerPolicy::default() }
}

fn names(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("e{number}")).collect()
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_actions_with_room_for_sixteen_are_carried_out_once_and_in_order() {
    let mut world = World::with_bound(16);
    world.policy("submit", one_at_a_time());
    world.run();
    for (number, event) in names(0..10_000).iter().enumerate() {
        world.fire("submit", event).await;
        if number % 7 == 0 {
            world.fire("other", event).await;
        }
    }
    world.pass(60 * SECOND).await;
    assert_eq!(world.seen_events("submit"), names(0..10_000));
    assert_eq!(world.seen_events("other").len(), 1429);
    assert_eq!(world.open().await, None);
}

#[tokio::test(start_paused = true)]
async fn what_is_in_the_log_alone_is_waiting_and_open() {
    let mut world = World::with_bound(4);
    let first = world.fire("submit", "e0").await;
    for event in names(1..100) {
        world.fire("submit", &event).await;
    }
    assert_eq!(world.executor.snapshot()[0].waiting, 100);
    assert_eq!(world.open().await, Some(first));
    world.run();
    world.pass(SECOND).await;
    assert_eq!(world.executor.snapshot()[0].waiting, 0);
    assert_eq!(world.open().await, None);
}

#[tokio::test(start_paused = true)]
async fn an_action_that_cannot_be_read_back_yet_is_open() {
    let mut world = World::with_bound(4);
    world.bus.set_faults(tripline_bus::memory::Faults {
        fail_read: 1.0,
        ..tripline_bus::memory::Faults::none()
    });
    let mut positions = Vec::new();
    for event in names(0..8) {
        let decided = world.decide("submit", &event).await;
        positions.push(decided.0);
        world.offer_with(decided, b"{}");
    }
    world.run();
    world.pass(SECOND).await;
    assert_eq!(world.seen_events("submit"), names(0..4));
    assert_eq!(world.open().await, Some(positions[4]));
    world.bus.set_faults(tripline_bus::memory::Faults::none());
    world.pass(60 * SECOND).await;
    assert_eq!(world.seen_events("submit"), names(0..8));
    assert_eq!(world.open().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_trigger_has_room_for_what_would_be_started_at_once() {
    let mut world = World::with_bound(8);
    world.policy("submit", TriggerPolicy { max_in_flight: 2, ..TriggerPolicy::default() });
    world.answers("submit", &[Answer::Hang]);
    world.run();
    let mut room = Vec::new();
    for event in names(0..4) {
        let decided = world.decide("submit", &event).await;
        room.push(world.executor.room(&decided.1));
        world.offer(decided);
        world.pass(SECOND).await;
    }
    assert_eq!(room, [2, 1, 0, 0]);
    let (_, other) = world.decide("other", "e0").await;
    assert_eq!(world.executor.room(&other), 8, "no more than fit into memory");
    world.executor.pause(crate::executor::Scope::All, "a fire drill");
    assert_eq!(world.executor.room(&other), 0);
}

#[tokio::test(start_paused = true)]
async fn actions_that_wait_for_a_retry_count_and_when_there_is_no_room_no_others_start() {
    let mut world = World::with_bound(8);
    world.answers("submit", &[Answer::Retry]);
    world.run();
    for event in names(0..20) {
        world.fire("submit", &event).await;
    }
    world.pass(60 * SECOND).await;
    let snapshot = world.executor.snapshot().remove(0);
    assert_eq!((snapshot.waiting, snapshot.retrying), (12, 8));
    world.answers("submit", &[Answer::Succeed]);
    world.pass(600 * SECOND).await;
    assert_eq!(world.open().await, None);
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_what_was_closed_is_not_read_back() {
    let mut world = World::with_bound(16);
    world.policy("submit", one_at_a_time());
    // Every third action hangs, or is not reached.
    let mut decided = Vec::new();
    for event in names(0..90) {
        decided.push(world.decide("submit", &event).await);
    }
    let mut after = Vec::new();
    for event in names(90..120) {
        after.push(world.decide("submit", &event).await);
    }
    let open: Vec<_> = decided.iter().step_by(3).cloned().collect();
    for (number, action) in open.iter().enumerate() {
        world.recover(action.clone(), u32::from(number == 29));
    }
    // The first 10 of `after` were closed as well, and stand behind the last open one.
    for action in &after[10..] {
        world.offer(action.clone());
    }
    world.run();
    world.pass(SECOND).await;
    let expected: Vec<_> =
        (0..90).step_by(3).chain(100..120).map(|number| format!("e{number}")).collect();
    assert_eq!(world.seen_events("submit"), expected);
    let uncertain: Vec<_> =
        world.seen().into_iter().filter(|seen| seen.uncertain).map(|seen| seen.event).collect();
    assert_eq!(uncertain, ["e87"], "what was known of it was kept");
    assert_eq!(world.open().await, None);
}

#[tokio::test(start_paused = true)]
async fn payloads_beyond_their_bound_are_read_when_they_are_needed() {
    use tripline_bus::{Bus as _, Log};
    let limits = Limits { payload_bytes_per_trigger: 10, ..Limits::default() };
    let mut world = World::with(tripline_bus::memory::MemoryStore::new(1), limits);
    for event in names(0..4) {
        world.offer_with(world.decide("submit", &event).await, b"\"abcd\"");
    }
    // Now only what is in memory can still be rendered.
    let end = world.bus.extent(Log::Events).await.unwrap().next;
    world.bus.trim(Log::Events, end).await.unwrap();
    world.run();
    world.pass(SECOND).await;
    assert_eq!(world.seen_events("submit"), ["e0"]);
    assert_eq!(world.open().await, None);
}

#[tokio::test(start_paused = true)]
async fn whatever_is_offered_late_is_carried_out_once_and_nothing_else_again() {
    // As an operator's retry, that was appended before others and is taken over after them.
    for late in 0..24 {
        for read_slowly in [false, true] {
            let mut world = World::with_bound(4);
            world.policy("submit", one_at_a_time());
            world.answers("submit", &[Answer::SucceedAfter(SECOND / 10)]);
            world.run();
            let mut decided = Vec::new();
            for event in names(0..24) {
                decided.push(world.decide("submit", &event).await);
            }
            if read_slowly {
                let slow = tripline_bus::memory::Faults {
                    delay: 1.0,
                    max_delay: SECOND,
                    ..tripline_bus::memory::Faults::none()
                };
                world.bus.set_faults(slow);
            }
            let last = decided.remove(late);
            for (place, one) in decided.into_iter().enumerate() {
                world.offer(one);
                if place % 6 == 5 {
                    world.pass(SECOND).await;
                }
                if place == late.clamp(12, 22) {
                    world.offer(last.clone());
                }
            }
            world.pass(120 * SECOND).await;
            let mut seen = world.seen_events("submit");
            let count = seen.len();
            seen.sort();
            seen.dedup();
            assert_eq!((count, seen.len()), (24, 24), "{late}, {read_slowly}");
            assert_eq!(world.open().await, None, "{late}, {read_slowly}");
        }
    }
}
