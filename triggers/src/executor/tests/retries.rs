use std::time::Duration;

use serde_json::{Value, json};
use tripline_event::{Cause, OutcomeKind};

use super::world::{Answer, World};
use crate::executor::{RetryPolicy, TriggerPolicy};

const SECOND: Duration = Duration::from_secs(1);

fn retrying(retry: RetryPolicy) -> TriggerPolicy {
    TriggerPolicy { retry, ..TriggerPolicy::default() }
}

fn without_jitter() -> TriggerPolicy {
    retrying(RetryPolicy { jitter: 0.0, ..RetryPolicy::default() })
}

/// When the attempts were made, in milliseconds.
fn times(world: &World) -> Vec<u128> {
    world.seen().iter().map(|seen| seen.at.as_millis()).collect()
}

#[tokio::test(start_paused = true)]
async fn attempts_are_made_after_1_2_4_seconds_and_so_on_up_to_five_minutes() {
    let mut world = World::new();
    world.policy("submit", without_jitter());
    world.answers("submit", &[Answer::Retry]);
    world.run();
    world.fire("submit", "e0").await;
    world.pass(1200 * SECOND).await;
    let expected = [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 811, 1111];
    assert_eq!(times(&world), expected.map(|second: u128| second * 1000));
    let attempts: Vec<_> = world.seen().iter().map(|seen| (seen.attempt, seen.uncertain)).collect();
    assert_eq!(attempts[..3], [(1, false), (2, true), (3, true)]);
    assert_eq!(world.told().await[..3], ["attempted 1", "retrying 1", "retrying 2"]);
}

#[tokio::test(start_paused = true)]
async fn jitter_comes_from_the_seed_and_adds_at_most_its_part() {
    let mut schedules = Vec::new();
    for _ in 0..2 {
        let mut world = World::new();
        world.answers("submit", &[Answer::Retry]);
        world.run();
        world.fire("submit", "e0").await;
        world.fire("submit", "e1").await;
        world.pass(2 * SECOND).await;
        schedules.push(times(&world));
    }
    assert_eq!(schedules[0], schedules[1]);
    let [0, 0, first, second] = schedules[0][..4] else { panic!("{schedules:?}") };
    assert_ne!(first, second);
    assert!((1000..1500).contains(&first) && (1000..1500).contains(&second), "{schedules:?}");
}

#[test]
fn a_wait_is_never_longer_than_the_longest_whatever_the_factor() {
    let rt = tokio::runtime::Builder::new_current_thread().start_paused(true).build().unwrap();
    let action = rt.block_on(async { World::new().decide("submit", "e0").await.1 });
    for factor in [0.0, 1.0, 1e300, f64::INFINITY, f64::NAN] {
        let policy = RetryPolicy { factor, ..RetryPolicy::default() };
        for attempt in [1, 2, 1000, u32::MAX] {
            assert!(policy.delay(attempt, &action, 1) <= policy.max, "{factor} {attempt}");
        }
    }
    assert_eq!(RetryPolicy::default().delay(60, &action, 1), Duration::from_secs(300));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_asks_to_wait_is_given_the_time() {
    let mut world = World::new();
    world.policy("submit", without_jitter());
    world.answers("submit", &[Answer::RetryAfter(1000 * SECOND), Answer::Succeed]);
    world.run();
    world.fire("submit", "e0").await;
    world.pass(1100 * SECOND).await;
    assert_eq!(times(&world), [0, 1_000_000]);
}

#[tokio::test(start_paused = true)]
async fn an_action_that_expires_before_its_next_attempt_is_a_dead_letter() {
    let mut world = World::new();
    world.policy("submit", without_jitter());
    world.answers("submit", &[Answer::Retry]);
    world.run();
    let expires = |action: &mut tripline_event::Action| {
        action.expires_at = super::world::start().checked_add(5 * SECOND).unwrap();
    };
    world.offer(world.decide_with("submit", "e0", "{}", expires).await);
    world.pass(10 * SECOND).await;
    assert_eq!(times(&world), [0, 1000, 3000]);
    assert_eq!(
        world.told().await.last().unwrap(),
        "expired after 3: attempt 3 failed and it expires at 2026-11-21T03:00:05Z before the next one: 503"
    );
    assert_eq!(world.open().await, None);
}

#[tokio::test(start_paused = true)]
async fn an_action_that_waits_expires_when_its_time_comes() {
    let mut world = World::new();
    world.policy("submit", TriggerPolicy { max_in_flight: 1, ..TriggerPolicy::default() });
    world.answers("e0", &[Answer::Hang]);
    world.run();
    world.fire("submit", "e0").await;
    let expires = |action: &mut tripline_event::Action| {
        action.expires_at = super::world::start().checked_add(5 * SECOND).unwrap();
    };
    world.offer(world.decide_with("submit", "e1", r#"{"sha":"4f2a"}"#, expires).await);
    world.pass(4 * SECOND).await;
    assert_eq!(world.told().await, ["attempted 1"]);
    world.pass(2 * SECOND).await;
    let outcomes = world.outcomes().await;
    let Some(OutcomeKind::DeadLettered(letter)) = outcomes.last() else { panic!("{outcomes:?}") };
    assert_eq!(letter.cause, Cause::Expired);
    assert_eq!(letter.attempts, 0);
    assert_eq!(letter.error, "expired at 2026-11-21T03:00:05Z before it was started");
    assert_eq!(letter.events[0].data, json!({"sha": "4f2a"}));
}

#[tokio::test(start_paused = true)]
async fn the_last_attempt_that_fails_is_a_dead_letter() {
    let mut world = World::new();
    world.policy("submit", retrying(RetryPolicy { steps: Some(3), ..RetryPolicy::default() }));
    world.answers("submit", &[Answer::Retry]);
    world.run();
    world.fire("submit", "e0").await;
    world.pass(60 * SECOND).await;
    assert_eq!(
        world.told().await,
        [
            "attempted 1",
            "retrying 1",
            "retrying 2",
            "exhausted after 3: attempt 3, the last one, failed: 503"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_a_dead_letter_at_once_with_copies_of_the_events() {
    let mut world = World::new();
    world.answers("submit", &[Answer::Refuse(Cause::NameTaken)]);
    world.run();
    for (event, data, copy) in [
        ("e0", r#"{"sha":"4f2a"}"#, json!({"sha": "4f2a"})),
        ("e1", "no json", Value::String("bm8ganNvbg==".into())),
    ] {
        world.offer(world.decide_with("submit", event, data, |_| {}).await);
        world.pass(SECOND).await;
        let outcomes = world.outcomes().await;
        let Some(OutcomeKind::DeadLettered(letter)) = outcomes.last() else { panic!() };
        assert_eq!((letter.cause, letter.attempts), (Cause::NameTaken, 1));
        assert_eq!(letter.error, "422 no such field");
        assert_eq!(letter.events[0].dependency.as_deref(), Some("build"));
        assert_eq!(letter.events[0].data, copy);
    }
    assert_eq!(world.open().await, None);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_rendered_is_a_dead_letter_without_an_attempt() {
    let mut world = World::new();
    world.run();
    for (data, told) in [
        ("bad", "render after 0: parameter 0: `$.sha` is not there"),
        ("buggy", "render after 0: rendering panicked: renderer bug"),
    ] {
        world.offer(world.decide_with("submit", data, data, |_| {}).await);
        world.pass(SECOND).await;
        assert_eq!(world.told().await.last().unwrap(), told);
    }
    assert_eq!(world.seen(), []);
}

#[tokio::test(start_paused = true)]
async fn an_action_whose_event_was_trimmed_is_a_dead_letter_that_says_so() {
    use tripline_bus::{Bus as _, Log};
    let mut world = World::new();
    let decided = world.decide("submit", "e0").await;
    world.bus.trim(Log::Events, decided.1.cause.next()).await.unwrap();
    world.run();
    world.offer(decided);
    world.pass(SECOND).await;
    let told = world.told().await.remove(0);
    assert!(told.starts_with("render after 0: event ci/builds/completed `e0` cannot be read"));
    assert!(told.contains("was trimmed"), "{told}");
}
