use std::sync::Arc;
use std::time::Duration;

use tripline_bus::memory::Faults;
use tripline_event::{DropCause, ObjectName, OutcomeKind, TriggerName};

use super::world::{Answer, World};
use crate::executor::{ActionFilter, RateLimit, Scope, Suspended, TriggerPolicy};

const SECOND: Duration = Duration::from_secs(1);

fn trigger(name: &str) -> TriggerName {
    TriggerName::new(&ObjectName::new("ci", "deploy"), name)
}

#[tokio::test(start_paused = true)]
async fn what_is_paused_waits_until_it_is_resumed() {
    for (scope, others) in [
        (Scope::All, 0),
        (Scope::Sensor(ObjectName::new("ci", "deploy")), 0),
        (Scope::Trigger(trigger("submit")), 1),
        (Scope::Target("target-of-submit".into()), 1),
    ] {
        let mut world = World::new();
        world.executor.pause(scope.clone(), "a fire drill");
        world.run();
        world.fire("submit", "e0").await;
        world.fire("other", "e0").await;
        world.pass(SECOND).await;
        assert_eq!(world.seen_events("submit").len(), 0, "{scope}");
        assert_eq!(world.seen_events("other").len(), others, "{scope}");
        let snapshot = world.executor.snapshot().remove(1);
        assert_eq!(snapshot.paused.as_deref(), Some("a fire drill"), "{scope}");
        assert!(!world.executor.resume(&Scope::Sensor(ObjectName::new("ci", "another"))));
        assert!(world.executor.resume(&scope));
        world.pass(SECOND).await;
        assert_eq!(world.seen_events("submit").len(), 1, "{scope}");
        assert_eq!(world.executor.snapshot()[1].paused, None);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_paused_before_its_target_is_called_waits_again() {
    for scope in [Scope::All, Scope::Target("target-of-submit".into())] {
        let mut world = World::new();
        world.run();
        world.bus.set_faults(Faults { refuse_write: 1.0, ..Faults::none() });
        world.fire("submit", "e0").await;
        world.pass(SECOND).await;
        assert_eq!(world.executor.snapshot()[0].in_flight, 1, "its record is being written");
        world.executor.pause(scope.clone(), "a fire drill");
        world.bus.set_faults(Faults::none());
        world.pass(10 * SECOND).await;
        assert_eq!(world.seen(), [], "{scope}");
        assert_eq!(world.executor.snapshot()[0].waiting, 1);
        world.executor.resume(&scope);
        world.pass(SECOND).await;
        assert_eq!(world.told().await, ["attempted 1", "succeeded 1"]);
        assert!(world.seen().iter().all(|seen| seen.attempt == 1 && !seen.uncertain));
        assert_eq!(world.open().await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_actions_that_match_are_dropped_and_those_in_the_log_alone_too() {
    // The log is read in parts of eight: the order must end wherever a part ends.
    for before in 40..48 {
        let mut world = World::with_bound(8);
        world.executor.pause(Scope::All, "wrong build");
        world.run();
        for number in 0..before {
            world.fire("submit", &format!("bad{number}")).await;
            world.fire("submit", &format!("good{number}")).await;
        }
        let bad: ActionFilter = Arc::new(|action| action.events[0].id.0.starts_with("bad"));
        let count = world.executor.drop_waiting(&bad, DropCause::Schedule, "wrong build, says Ada");
        assert_eq!((count.dropped, count.to_examine), (4, 2 * before - 8));
        // What is decided afterwards stays.
        for number in 0..10 {
            world.fire("submit", &format!("bad-again{number}")).await;
        }
        world.executor.resume(&Scope::All);
        world.pass(SECOND).await;
        let told = world.told().await;
        let dropped = told.iter().filter(|told| *told == "dropped: wrong build, says Ada").count();
        assert_eq!(dropped as u64, before);
        let outcomes = world.outcomes().await;
        let causes = outcomes.iter().filter_map(|outcome| match outcome {
            OutcomeKind::Dropped { cause, .. } => *cause,
            _ => None,
        });
        assert!(causes.eq(vec![DropCause::Schedule; dropped]), "also of those in the log alone");
        let seen = world.seen_events("submit");
        assert_eq!(seen.iter().filter(|event| event.starts_with("good")).count() as u64, before);
        assert_eq!(seen.iter().filter(|event| event.starts_with("bad-again")).count(), 10);
        assert_eq!(world.open().await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn an_action_that_waits_for_a_retry_can_be_dropped() {
    let mut world = World::new();
    world.answers("submit", &[Answer::Retry]);
    world.run();
    world.fire("submit", "e0").await;
    world.pass(SECOND / 2).await;
    let all: ActionFilter = Arc::new(|_| true);
    assert_eq!(world.executor.drop_waiting(&all, DropCause::Operator, "never mind").dropped, 1);
    world.pass(60 * SECOND).await;
    assert_eq!(world.told().await, ["attempted 1", "retrying 1", "dropped: never mind"]);
    assert_eq!(world.open().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_suspended_trigger_holds_or_drops_what_waits() {
    let suspended = |suspended| TriggerPolicy { suspended, ..TriggerPolicy::default() };
    let mut world = World::new();
    world.policy("holds", suspended(Some(Suspended::Hold)));
    world.policy("drops", suspended(Some(Suspended::Drop)));
    world.run();
    world.fire("holds", "e0").await;
    world.fire("drops", "e0").await;
    world.pass(SECOND).await;
    assert_eq!(world.seen(), []);
    assert_eq!(world.told().await, ["dropped: its trigger is suspended and drops what waits"]);
    world.policy("holds", suspended(None));
    world.executor.policies_changed();
    world.pass(SECOND).await;
    assert_eq!(world.seen_events("holds"), ["e0"]);
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_spread_evenly_without_a_burst() {
    let mut world = World::new();
    let rate = Some(RateLimit { requests: 3, per: 60 * SECOND });
    world.policy("submit", TriggerPolicy { rate, ..TriggerPolicy::default() });
    world.run();
    world.pass(600 * SECOND).await;
    for number in 0..4 {
        world.fire("submit", &format!("e{number}")).await;
    }
    world.pass(100 * SECOND).await;
    let seconds: Vec<_> = world.seen().iter().map(|seen| seen.at.as_secs()).collect();
    assert_eq!(seconds, [600, 620, 640, 660]);
}

#[tokio::test(start_paused = true)]
async fn a_high_rate_is_reached_although_timers_are_coarse() {
    let mut world = World::new();
    let rate = Some(RateLimit { requests: 5000, per: SECOND });
    world.policy("submit", TriggerPolicy { rate, ..TriggerPolicy::default() });
    for number in 0..1000 {
        world.fire("submit", &format!("e{number}")).await;
    }
    world.run();
    world.pass(210 * SECOND / 1000).await;
    assert_eq!(world.seen().len(), 1000);
    let at_100_ms = world.seen().iter().filter(|seen| seen.at < SECOND / 10).count();
    assert!((450..=550).contains(&at_100_ms), "{at_100_ms}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_attempts_and_outcomes_and_starts_nothing_more() {
    let mut world = World::new();
    world.policy("submit", TriggerPolicy { max_in_flight: 1, ..TriggerPolicy::default() });
    world.answers("submit", &[Answer::SucceedAfter(5 * SECOND)]);
    world.run();
    world.fire("submit", "e0").await;
    let second = world.fire("submit", "e1").await;
    world.pass(SECOND).await;
    assert!(world.stop().await);
    assert_eq!(world.told().await, ["attempted 1", "succeeded 1"]);
    assert_eq!(world.open().await, Some(second));
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_with_its_grace_period_whatever_hangs() {
    let mut world = World::new();
    world.answers("hangs", &[Answer::Hang]);
    world.run();
    let first = world.fire("hangs", "e0").await;
    world.pass(SECOND).await;
    let begun = tokio::time::Instant::now();
    assert!(!world.stop().await);
    assert!(begun.elapsed() <= 20 * SECOND);
    assert_eq!(world.open().await, Some(first));
}
