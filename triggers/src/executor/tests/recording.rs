use std::sync::Arc;
use std::time::Duration;

use tripline_bus::memory::Faults;
use tripline_event::{Cause, OutcomeKind};

use super::world::{Answer, World};
use crate::executor::{Limits, Recovered};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn an_action_that_says_attempted_needs_no_record_of_its_first_attempt() {
    let mut world = World::new();
    world.run();
    world.offer(world.decide_with("submit", "e0", "{}", |action| action.attempted = true).await);
    world.offer(world.decide("submit", "e1").await);
    world.pass(SECOND).await;
    assert_eq!(world.told().await, ["succeeded 1", "attempted 1", "succeeded 1"]);
    assert!(world.seen().iter().all(|seen| !seen.uncertain && seen.attempt == 1));
}

#[tokio::test(start_paused = true)]
async fn the_target_is_not_called_before_the_attempt_is_durable() {
    let mut world = World::new();
    world.run();
    world.bus.set_faults(Faults { refuse_write: 1.0, ..Faults::none() });
    world.fire("submit", "e0").await;
    world.pass(60 * SECOND).await;
    assert_eq!(world.seen(), []);
    world.bus.set_faults(Faults::none());
    world.pass(10 * SECOND).await;
    assert_eq!(world.told().await, ["attempted 1", "succeeded 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_recognises_repeats_is_called_without_a_record_of_the_attempt() {
    let mut world = World::new();
    world.target.recognises_repeats.store(true, std::sync::atomic::Ordering::Relaxed);
    world.run();
    world.fire("submit", "e0").await;
    world.pass(10 * SECOND).await;
    assert_eq!(world.told().await, ["succeeded 1"]);
}

#[tokio::test(start_paused = true)]
async fn an_action_is_open_until_its_outcome_is_durable_and_that_is_stored_once() {
    let mut world = World::new();
    world.run();
    let attempted = |action: &mut tripline_event::Action| action.attempted = true;
    world.bus.set_faults(Faults { lose_acknowledgement: 1.0, ..Faults::none() });
    let mut first = None;
    for event in ["e0", "e1", "e2"] {
        let decided = world.decide_with("submit", event, "{}", attempted).await;
        first = first.or(Some(decided.0));
        world.offer(decided);
    }
    world.pass(60 * SECOND).await;
    assert_eq!(world.seen_events("submit"), ["e0", "e1", "e2"], "carried out once");
    assert_eq!(world.open().await, first);
    assert!(world.failed_appends() > 5);
    world.bus.set_faults(Faults::none());
    world.pass(10 * SECOND).await;
    assert_eq!(world.open().await, None);
    assert_eq!(world.told().await, ["succeeded 1"; 3]);
}

#[tokio::test(start_paused = true)]
async fn on_a_bad_day_every_action_is_closed_once() {
    for seed in 0..20 {
        let mut world = World::new();
        world.bus.set_faults(Faults { dedup_window: None, ..Faults::seeded(seed) });
        world.answers("e1", &[Answer::Retry, Answer::Retry, Answer::Succeed]);
        world.answers("e2", &[Answer::Refuse(Cause::Refused)]);
        world.run();
        for number in 0..50 {
            world.fire("submit", &format!("e{number}")).await;
        }
        world.pass(600 * SECOND).await;
        assert_eq!(world.open().await, None, "seed {seed}");
        let outcomes = world.outcomes().await;
        let closed = outcomes.iter().filter(|outcome| outcome.closes().is_some()).count();
        assert_eq!(closed, 50, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_an_attempted_action_is_carried_out_as_uncertain() {
    let mut world = World::new();
    world.answers("submit", &[Answer::Hang]);
    world.run();
    let recorded = world.decide("submit", "e0").await;
    let fast = world.decide_with("submit", "e1", "{}", |action| action.attempted = true).await;
    world.offer(recorded.clone());
    world.offer(fast.clone());
    world.pass(SECOND).await;
    world.kill().await;

    let mut world = World::with(Arc::clone(&world.store), Limits::default());
    let fresh = world.decide("submit", "e2").await;
    world.recover(recorded, 1);
    world.recover(fast, 0);
    world.recover(fresh, 0);
    world.run();
    world.pass(SECOND).await;
    let seen = world.seen();
    let mut seen: Vec<_> =
        seen.iter().map(|seen| (seen.event.as_str(), seen.attempt, seen.uncertain)).collect();
    seen.sort_unstable();
    assert_eq!(seen, [("e0", 2, true), ("e1", 1, true), ("e2", 1, false)]);
    let told = world.told().await;
    assert_eq!(told.iter().filter(|told| told.starts_with("attempted")).count(), 2, "{told:?}");
    assert_eq!(world.open().await, None);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_did_nothing_leaves_nothing_to_look_for() {
    let mut world = World::new();
    world.answers("e0", &[Answer::NotDone, Answer::NotDone, Answer::Succeed]);
    // What an earlier attempt may have done stays open, whatever those after it did.
    world.answers("e1", &[Answer::Retry, Answer::NotDone, Answer::Succeed]);
    world.run();
    for event in ["e0", "e1"] {
        let decided = world.decide_with("submit", event, "{}", |of| of.attempted = true).await;
        world.offer(decided);
    }
    world.pass(60 * SECOND).await;
    let seen = world.seen();
    let mut seen: Vec<_> =
        seen.iter().map(|seen| (seen.event.as_str(), seen.attempt, seen.uncertain)).collect();
    seen.sort_unstable();
    let expected = [
        ("e0", 1, false),
        ("e0", 2, false),
        ("e0", 3, false),
        ("e1", 1, false),
        ("e1", 2, true),
        ("e1", 3, true),
    ];
    assert_eq!(seen, expected);
    // The attempts after it are on record again: a crash then leaves it open.
    let told = world.told().await;
    let attempted = told.iter().filter(|told| told.starts_with("attempted"));
    assert_eq!(attempted.collect::<Vec<_>>(), ["attempted 2", "attempted 3"], "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_an_action_of_which_nothing_was_done_is_as_new() {
    let mut world = World::new();
    let decided = world.decide_with("submit", "e0", "{}", |of| of.attempted = true).await;
    world.recover_as(decided, Recovered { prior_attempts: 2, untouched: true, given_up: false });
    world.run();
    world.pass(SECOND).await;
    let seen = world.seen();
    assert_eq!((seen[0].attempt, seen[0].uncertain), (3, false));
    assert_eq!(world.told().await, ["attempted 3", "succeeded 3"]);
}

#[tokio::test(start_paused = true)]
async fn after_the_run_is_dropped_no_attempt_goes_on() {
    let mut world = World::new();
    world.answers("submit", &[Answer::SucceedAfter(SECOND)]);
    world.run();
    world.fire("submit", "e0").await;
    world.pass(SECOND / 2).await;
    world.kill().await;
    world.pass(10 * SECOND).await;
    assert_eq!(world.told().await, ["attempted 1"]);
    assert_eq!(world.still_running(), 1, "the attempt did not reach its end");
}

#[tokio::test(start_paused = true)]
async fn an_action_that_is_offered_twice_is_carried_out_once() {
    let mut world = World::new();
    let decided = world.decide("submit", "e0").await;
    world.offer(decided.clone());
    world.offer(decided);
    world.run();
    world.pass(SECOND).await;
    assert_eq!(world.seen_events("submit"), ["e0"]);
}

#[tokio::test(start_paused = true)]
async fn events_that_are_at_hand_are_not_read() {
    let mut world = World::new();
    world.bus.set_faults(Faults { fail_read: 1.0, ..Faults::none() });
    world.run();
    world.offer_with(world.decide("submit", "e0").await, b"{}");
    world.pass(SECOND).await;
    assert_eq!(world.seen_events("submit"), ["e0"]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_the_bus_cannot_take_is_kept_without_its_payloads() {
    let mut world = World::new();
    world.answers("submit", &[Answer::Refuse(Cause::Refused)]);
    world.run();
    // As an event it fits, as base64 in a dead letter it does not.
    let huge = "x".repeat(tripline_bus::MAX_RECORD_BYTES * 8 / 10);
    world.offer_with(world.decide("submit", "e0").await, huge.as_bytes());
    world.pass(SECOND).await;
    let outcomes = world.outcomes().await;
    let [_, OutcomeKind::DeadLettered(letter)] = outcomes.as_slice() else {
        panic!("{outcomes:?}")
    };
    assert_eq!(letter.events[0].data, serde_json::Value::Null);
    assert!(letter.error.contains("no copy of the payloads"), "{}", letter.error);
    assert_eq!(world.open().await, None);
}
