use std::time::Duration;

use super::world::{Answer, World};
use crate::executor::{HoldCause, RetryPolicy, TriggerPolicy};

const SECOND: Duration = Duration::from_secs(1);

fn to(target: &str) -> impl FnOnce(&mut tripline_event::Action) + '_ {
    move |action| action.target = Some(target.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_thousand_waiting_actions_are_not_a_thousand_timeouts() {
    let mut world = World::new();
    world.answers("submit", &[Answer::RetryLate(30 * SECOND)]);
    world.run();
    for number in 0..1000 {
        world.fire("submit", &format!("e{number}")).await;
    }
    world.pass(600 * SECOND).await;
    // The first 64 were on their way; from then on it is one at a time.
    let seen = world.seen().len();
    assert!((70..=90).contains(&seen), "{seen}");
    let circuits = world.executor.circuits();
    assert_eq!(circuits.len(), 1);
    assert_eq!(circuits[0].target, "target-of-submit");
    assert_eq!(circuits[0].error, "timed out");
    let hold = world.executor.snapshot()[0].hold.clone().unwrap();
    assert_eq!(hold.cause, HoldCause::CircuitOpen);
    world.answers("submit", &[Answer::Succeed]);
    world.pass(400 * SECOND).await;
    assert_eq!(world.executor.circuits(), []);
    assert_eq!(world.open().await, None);
    let told = world.told().await;
    let circuit: Vec<_> = told.iter().filter(|told| told.starts_with("circuit")).collect();
    assert_eq!(
        circuit,
        ["circuit of target-of-submit: true", "circuit of target-of-submit: false"]
    );
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_one_trigger_delays_no_other_at_the_same_target() {
    let mut world = World::new();
    world.answers("fails", &[Answer::RetryLate(30 * SECOND)]);
    world.run();
    for number in 0..200 {
        let event = format!("e{number}");
        world.offer(world.decide_with("fails", &event, "{}", to("prod")).await);
    }
    world.pass(120 * SECOND).await;
    for number in 0..20 {
        let event = format!("e{number}");
        world.offer(world.decide_with("works", &event, "{}", to("prod")).await);
    }
    world.pass(SECOND).await;
    assert_eq!(world.seen_events("works").len(), 20);
}

#[tokio::test(start_paused = true)]
async fn one_cluster_that_is_down_holds_up_no_action_for_another() {
    let mut world = World::new();
    world.policy("submit", TriggerPolicy { max_in_flight: 4, ..TriggerPolicy::default() });
    for number in 0..40 {
        let (event, target) = (format!("e{number}"), if number % 2 == 0 { "down" } else { "up" });
        if target == "down" {
            world.answers(&event, &[Answer::Retry]);
        }
        world.offer(world.decide_with("submit", &event, "{}", to(target)).await);
    }
    world.run();
    world.pass(5 * SECOND).await;
    let up =
        world.seen().iter().filter(|seen| seen.event[1..].parse::<u32>().unwrap() % 2 == 1).count();
    assert_eq!(up, 20);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_an_answer() {
    let mut world = World::new();
    world.answers("submit", &[Answer::Refuse(tripline_event::Cause::Invalid)]);
    world.run();
    for number in 0..50 {
        world.fire("submit", &format!("e{number}")).await;
    }
    world.pass(SECOND).await;
    assert_eq!(world.seen().len(), 50);
    assert_eq!(world.executor.circuits(), []);
}

#[tokio::test(start_paused = true)]
async fn a_strategy_of_its_own_is_kept_to_while_the_circuit_is_open() {
    let mut world = World::new();
    let retry = RetryPolicy {
        factor: 1.0,
        jitter: 0.0,
        steps: Some(10),
        initial: 3 * SECOND,
        ..RetryPolicy::default()
    };
    world.policy("submit", TriggerPolicy { retry, ..TriggerPolicy::default() });
    world.answers("submit", &[Answer::Retry]);
    world.run();
    world.fire("submit", "e0").await;
    world.pass(60 * SECOND).await;
    let seconds: Vec<_> = world.seen().iter().map(|seen| seen.at.as_secs()).collect();
    assert_eq!(seconds, [0, 3, 6, 9, 12, 15, 18, 21, 24, 27]);
    assert_eq!(world.open().await, None);
}
