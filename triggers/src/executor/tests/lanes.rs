use std::time::Duration;

use tripline_bus::memory::MemoryStore;
use tripline_event::{DropCause, OutcomeKind};

use super::world::{Answer, World};
use crate::executor::{HoldCause, Overlap, RetryPolicy, Run, Scope, TriggerPolicy};

const SECOND: Duration = Duration::from_secs(1);

fn every_second() -> RetryPolicy {
    RetryPolicy { factor: 1.0, jitter: 0.0, ..RetryPolicy::default() }
}

fn strict() -> TriggerPolicy {
    TriggerPolicy { strict: true, retry: every_second(), ..TriggerPolicy::default() }
}

fn latest() -> TriggerPolicy {
    TriggerPolicy { latest: true, retry: every_second(), ..TriggerPolicy::default() }
}

fn overlap(overlap: Overlap) -> TriggerPolicy {
    TriggerPolicy { overlap, retry: every_second(), ..TriggerPolicy::default() }
}

#[tokio::test(start_paused = true)]
async fn under_strict_order_the_next_starts_after_the_one_before_it_is_closed() {
    let mut world = World::new();
    world.policy("submit", strict());
    world.answers("e0", &[Answer::Retry, Answer::Retry, Answer::SucceedAfter(SECOND)]);
    for event in ["e0", "e1", "e2"] {
        world.fire("submit", event).await;
    }
    world.run();
    world.pass(SECOND / 2).await;
    assert_eq!(world.executor.snapshot()[0].hold.as_ref().unwrap().cause, HoldCause::Ordering);
    world.pass(10 * SECOND).await;
    assert_eq!(world.seen_events("submit"), ["e0", "e0", "e0", "e1", "e2"]);
    assert_eq!(world.most_at_once(), 1);
    assert_eq!(world.open().await, None);
}

#[tokio::test(start_paused = true)]
async fn strict_order_is_kept_for_each_key_and_one_key_holds_up_no_other() {
    let mut world = World::new();
    world.policy("submit", strict());
    world.answers("a0", &[Answer::Retry, Answer::Succeed]);
    for (event, key) in [("a0", "a"), ("a1", "a"), ("b0", "b"), ("b1", "b")] {
        world.fire_keyed("submit", event, key).await;
    }
    world.run();
    world.pass(10 * SECOND).await;
    assert_eq!(world.seen_events("submit"), ["a0", "b0", "b1", "a0", "a1"]);
}

#[tokio::test(start_paused = true)]
async fn strict_order_goes_over_a_restart_and_over_what_is_in_the_log_alone() {
    let store = MemoryStore::new(1);
    let limits = crate::executor::Limits { actions_per_trigger: 4, ..Default::default() };
    let mut world = World::with(store.clone(), limits);
    world.policy("submit", strict());
    world.answers("e3", &[Answer::Hang]);
    world.run();
    for number in 0..20 {
        world.fire("submit", &format!("e{number}")).await;
    }
    world.pass(5 * SECOND).await;
    assert_eq!(world.seen_events("submit"), ["e0", "e1", "e2", "e3"]);
    let actions = world.actions().await;
    world.kill().await;
    let mut world = World::with(store, limits);
    world.policy("submit", strict());
    world.answers("e3", &[Answer::Retry, Answer::Succeed]);
    for (number, decided) in actions.into_iter().enumerate().skip(3) {
        world.recover(decided, u32::from(number == 3));
    }
    world.run();
    world.pass(60 * SECOND).await;
    let expected: Vec<String> =
        ["e3".to_owned()].into_iter().chain((3..20).map(|n| format!("e{n}"))).collect();
    assert_eq!(world.seen_events("submit"), expected);
}

#[tokio::test(start_paused = true)]
async fn of_the_actions_that_wait_only_the_newest_of_each_key_is_carried_out() {
    let mut world = World::new();
    world.policy("submit", latest());
    world.answers("a0", &[Answer::SucceedAfter(5 * SECOND)]);
    world.run();
    for (event, key) in [("a0", "a"), ("b0", "b"), ("a1", "a"), ("a2", "a"), ("a3", "a")] {
        world.fire_keyed("submit", event, key).await;
        world.pass(SECOND / 10).await;
    }
    world.pass(10 * SECOND).await;
    assert_eq!(world.seen_events("submit"), ["a0", "b0", "a3"]);
    let newest = world.actions().await[4].1.id.clone();
    let dropped: Vec<_> = world
        .outcomes()
        .await
        .into_iter()
        .filter_map(|kind| match kind {
            OutcomeKind::Dropped { action, cause, by, .. } => Some((action, cause, by)),
            _ => None,
        })
        .collect();
    let actions = world.actions().await;
    assert_eq!(dropped.len(), 2);
    assert_eq!(dropped[0].0, actions[2].1.id);
    assert_eq!(dropped[1], (actions[3].1.id.clone(), Some(DropCause::Superseded), Some(newest)));
    assert_eq!(world.open().await, None);
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_for_its_retry_gives_way_to_a_newer_one() {
    let mut world = World::new();
    world.policy("submit", latest());
    world.answers("e0", &[Answer::Retry]);
    world.run();
    world.fire("submit", "e0").await;
    world.pass(SECOND / 2).await;
    world.fire("submit", "e1").await;
    world.pass(10 * SECOND).await;
    assert_eq!(world.seen_events("submit"), ["e0", "e1"]);
    assert_eq!(world.open().await, None);
}

/// A replay of an old event comes late into the log, and is not the newest by that.
#[tokio::test(start_paused = true)]
async fn the_newest_is_the_one_whose_event_is() {
    let mut world = World::new();
    world.policy("submit", latest());
    world.executor.pause(Scope::All, "first all");
    world.run();
    let old = world.decide("submit", "old").await;
    let new = world.decide("submit", "new").await;
    world.offer(new);
    world.offer(old);
    world.pass(SECOND).await;
    world.executor.resume(&Scope::All);
    world.pass(SECOND).await;
    assert_eq!(world.seen_events("submit"), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn each_overlap_policy_does_with_what_comes_while_one_runs_what_it_says() {
    for (policy, seen) in [
        (Overlap::AllowAll, vec!["e0", "e1", "e2", "e3"]),
        (Overlap::Skip, vec!["e0", "e3"]),
        (Overlap::BufferOne, vec!["e0", "e1", "e3"]),
        (Overlap::BufferAll, vec!["e0", "e1", "e2", "e3"]),
        (Overlap::CancelOther, vec!["e0", "e2", "e3"]),
        (Overlap::TerminateOther, vec!["e0", "e2", "e3"]),
    ] {
        let mut world = World::new();
        world.policy("submit", overlap(policy));
        world.answers("submit", &[Answer::SucceedAfter(SECOND)]);
        world.run();
        for event in ["e0", "e1", "e2"] {
            world.fire("submit", event).await;
            world.pass(SECOND / 10).await;
        }
        world.pass(5 * SECOND).await;
        world.fire("submit", "e3").await;
        world.pass(5 * SECOND).await;
        assert_eq!(world.seen_events("submit"), seen, "{policy:?}");
        let expected = if policy == Overlap::AllowAll { 3 } else { 1 };
        assert_eq!(world.most_at_once(), expected, "{policy:?}");
        assert_eq!(world.open().await, None);
        let dropped = world.told().await.iter().filter(|told| told.starts_with("dropped")).count();
        assert_eq!(dropped, 4 - seen.len(), "{policy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_workflow_is_asked_to_end_once_and_the_newest_of_its_lane_starts_after_its_end() {
    for (policy, order) in
        [(Overlap::CancelOther, "stop w-e0"), (Overlap::TerminateOther, "terminate w-e0")]
    {
        let mut world = World::new();
        world.policy("submit", overlap(policy));
        world.answers("submit", &[Answer::Workflow]);
        world.run();
        world.fire_keyed("submit", "e0", "a").await;
        world.pass(SECOND).await;
        assert_eq!(world.seen_events("submit"), ["e0"]);
        world.executor.pause(Scope::Target("target-of-submit".into()), "an incident");
        world.fire_keyed("submit", "e1", "a").await;
        world.pass(SECOND).await;
        // Nothing is stopped for what may not start.
        assert_eq!(world.seen_events("submit"), ["e0"]);
        world.executor.resume(&Scope::Target("target-of-submit".into()));
        for (event, key) in [("e2", "a"), ("other", "b")] {
            world.fire_keyed("submit", event, key).await;
            world.pass(100 * SECOND).await;
        }
        assert_eq!(world.seen_events("submit"), ["e0", order, "other"]);
        let first = world.actions().await[0].1.id.clone();
        assert!(world.executor.run_ended(&first));
        world.pass(SECOND).await;
        assert_eq!(world.seen_events("submit"), ["e0", order, "other", "e2"]);
        assert_eq!(world.open().await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_asked_to_end_is_asked_again_over_a_restart_too() {
    let store = MemoryStore::new(1);
    let mut world = World::with(store.clone(), Default::default());
    world.policy("submit", overlap(Overlap::CancelOther));
    world.answers("submit", &[Answer::Workflow]);
    let refused = Answer::Refuse(tripline_event::Cause::Forbidden);
    world.answers("stop w-e0", &[Answer::Retry, refused, Answer::Retry, Answer::Hang]);
    world.run();
    world.fire("submit", "e0").await;
    world.pass(SECOND).await;
    world.fire("submit", "e1").await;
    world.pass(SECOND / 2).await;
    let error = world.executor.snapshot()[0].last_error.clone().unwrap();
    assert!(error.starts_with("stop of workflow ci/w-e0, which is to make room: "), "{error}");
    world.pass(60 * SECOND).await;
    let asked = world.seen().into_iter().filter(|seen| seen.event == "stop w-e0");
    assert_eq!(asked.map(|seen| seen.attempt).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let actions = world.actions().await;
    world.kill().await;

    let mut world = World::with(store, Default::default());
    world.policy("submit", overlap(Overlap::CancelOther));
    world.answers("submit", &[Answer::Workflow]);
    let runs = Run::all(&*world.bus).await.unwrap();
    runs.iter().for_each(|run| world.executor.restore_run(run));
    world.recover(actions[1].clone(), 0);
    world.run();
    world.pass(SECOND).await;
    assert_eq!(world.seen_events("submit"), ["stop w-e0"]);
    assert!(world.executor.run_ended(&runs[0].action));
    world.pass(SECOND).await;
    assert_eq!(world.seen_events("submit"), ["stop w-e0", "e1"]);
}

/// It may have started something: that is found out, and makes room then.
#[tokio::test(start_paused = true)]
async fn one_that_waits_for_its_retry_is_carried_out_before_it_makes_room() {
    let mut world = World::new();
    world.policy("submit", overlap(Overlap::TerminateOther));
    world.answers("submit", &[Answer::Workflow]);
    world.answers("e0", &[Answer::Retry, Answer::Workflow]);
    world.run();
    world.fire("submit", "e0").await;
    world.pass(SECOND / 2).await;
    world.fire("submit", "e1").await;
    world.pass(10 * SECOND).await;
    assert_eq!(world.seen_events("submit"), ["e0", "e0", "terminate w-e0"]);
}

#[tokio::test(start_paused = true)]
async fn an_action_that_waits_for_its_retry_runs() {
    let mut world = World::new();
    world.policy("submit", overlap(Overlap::Skip));
    world.answers("e0", &[Answer::Retry, Answer::Succeed]);
    world.run();
    world.fire("submit", "e0").await;
    world.pass(SECOND / 2).await;
    world.fire("submit", "e1").await;
    world.pass(5 * SECOND).await;
    assert_eq!(world.seen_events("submit"), ["e0", "e0"]);
}

#[tokio::test(start_paused = true)]
async fn a_workflow_in_a_cluster_runs_until_its_end_is_told_over_a_restart_too() {
    let store = MemoryStore::new(1);
    let mut world = World::with(store.clone(), Default::default());
    world.policy("submit", overlap(Overlap::Skip));
    world.answers("submit", &[Answer::Workflow]);
    world.run();
    world.fire_keyed("submit", "e0", "a").await;
    world.pass(SECOND).await;
    world.fire_keyed("submit", "e1", "a").await;
    world.fire_keyed("submit", "e2", "b").await;
    world.pass(SECOND).await;
    assert_eq!(world.seen_events("submit"), ["e0", "e2"]);
    world.kill().await;

    let mut world = World::with(store, Default::default());
    world.policy("submit", overlap(Overlap::Skip));
    let runs = Run::all(&*world.bus).await.unwrap();
    assert_eq!(runs.len(), 2);
    runs.iter().for_each(|run| world.executor.restore_run(run));
    world.run();
    world.fire_keyed("submit", "e3", "a").await;
    world.pass(SECOND).await;
    assert_eq!(world.seen_events("submit"), [] as [&str; 0]);
    for run in &runs {
        assert!(world.executor.run_ended(&run.action));
        Run::forget(&*world.bus, &run.action).await.unwrap();
    }
    world.fire_keyed("submit", "e4", "a").await;
    world.pass(SECOND).await;
    assert_eq!(world.seen_events("submit"), ["e4"]);
    assert_eq!(Run::all(&*world.bus).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn an_operator_who_wants_the_newest_alone_gets_it_from_the_log_too() {
    let mut world = World::with_bound(8);
    world.executor.pause(Scope::All, "an incident");
    world.run();
    for number in 0..60 {
        let key = if number % 2 == 0 { "a" } else { "b" };
        world.fire_keyed("submit", &format!("e{number}"), key).await;
    }
    world.pass(SECOND).await;
    world.executor.keep_latest(&Scope::All);
    world.fire_keyed("submit", "later", "a").await;
    world.executor.resume(&Scope::All);
    world.pass(10 * SECOND).await;
    assert_eq!(world.seen_events("submit"), ["e58", "e59", "later"]);
    assert_eq!(world.open().await, None);
}
