use std::sync::Arc;
use std::time::Duration;

use tripline_bus::memory::MemoryStore;
use tripline_event::{OutcomeKind, Timestamp};

use super::world::{Answer, World, start};
use crate::executor::{Freeze, Frozen, HoldCause, RateLimit, RetryPolicy, TriggerPolicy};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Until(Timestamp);

impl Freeze for Until {
    fn frozen(&self, now: Timestamp) -> Option<Frozen> {
        (now < self.0).then(|| Frozen { until: self.0, window: "weekend".into() })
    }
}

#[tokio::test(start_paused = true)]
async fn steps_1_is_one_try() {
    let mut world = World::new();
    let retry = RetryPolicy { steps: Some(1), ..RetryPolicy::default() };
    world.policy("submit", TriggerPolicy { retry, ..TriggerPolicy::default() });
    world.answers("submit", &[Answer::Retry]);
    world.run();
    world.fire("submit", "e0").await;
    world.pass(60 * SECOND).await;
    let told = world.told().await;
    assert_eq!(told, ["attempted 1", "exhausted after 1: attempt 1, the last one, failed: 503"]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_in_a_freeze_window_goes_on_at_its_end() {
    let mut world = World::new();
    let until = start().checked_add(600 * SECOND).unwrap();
    let freeze = Some(Arc::new(Until(until)) as Arc<dyn Freeze>);
    world.policy("submit", TriggerPolicy { freeze, ..TriggerPolicy::default() });
    world.run();
    world.fire("submit", "e0").await;
    world.fire("submit", "e1").await;
    world.fire("other", "e0").await;
    world.pass(599 * SECOND).await;
    assert_eq!(world.seen_events("submit").len(), 0);
    assert_eq!(world.seen_events("other").len(), 1);
    let hold = world.executor.snapshot()[1].hold.clone().unwrap();
    assert_eq!((hold.cause, hold.until), (HoldCause::Frozen, Some(until)));
    world.pass(2 * SECOND).await;
    assert_eq!(world.seen_events("submit"), ["e0", "e1"]);
    let told = world.told().await;
    let frozen = told.iter().filter(|told| told.starts_with("frozen")).count();
    assert_eq!(frozen, 1, "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn what_expires_while_it_is_held_up_is_a_dead_letter_wherever_it_waits() {
    let mut world = World::new();
    let until = start().checked_add(600 * SECOND).unwrap();
    let freeze = Some(Arc::new(Until(until)) as Arc<dyn Freeze>);
    world.policy("submit", TriggerPolicy { freeze, ..TriggerPolicy::default() });
    world.run();
    for (event, lives) in [("e0", 3000), ("e1", 20), ("e2", 10)] {
        let expires = |action: &mut tripline_event::Action| {
            action.expires_at = start().checked_add(lives * SECOND).unwrap();
        };
        world.offer(world.decide_with("submit", event, "{}", expires).await);
    }
    world.pass(15 * SECOND).await;
    let letters = |told: Vec<String>| told.iter().filter(|t| t.starts_with("expired")).count();
    assert_eq!(letters(world.told().await), 1);
    world.pass(10 * SECOND).await;
    assert_eq!(letters(world.told().await), 2);
}

#[tokio::test(start_paused = true)]
async fn a_rate_goes_over_a_restart_and_counts_retries() {
    let store = MemoryStore::new(1);
    let rate = Some(RateLimit { requests: 2, per: 60 * SECOND });
    let policy = TriggerPolicy { rate, ..TriggerPolicy::default() };
    let mut world = World::with(store.clone(), Default::default());
    world.target.recognises_repeats.store(true, std::sync::atomic::Ordering::Relaxed);
    world.policy("submit", policy.clone());
    world.answers("e0", &[Answer::Retry, Answer::Succeed]);
    world.run();
    for event in ["e0", "e1", "e2"] {
        world.fire("submit", event).await;
    }
    world.pass(35 * SECOND).await;
    assert_eq!(world.seen_events("submit").len(), 2, "a retry is a start");
    let outcomes = world.outcomes().await;
    let triggers: Vec<_> = outcomes
        .iter()
        .filter_map(|kind| match kind {
            OutcomeKind::Attempted { trigger, .. } => trigger.clone(),
            _ => None,
        })
        .collect();
    assert_eq!(triggers.len(), 2, "each start is on record");
    let actions = world.actions().await;
    world.kill().await;

    let mut world = World::with(store, Default::default());
    world.policy("submit", policy);
    for seconds in [0, 30] {
        // The clock of this world begins again: 35 s after it began, for the one before.
        let at = start().checked_sub((35 - seconds) * SECOND).unwrap();
        world.executor.note_start(&triggers[0], at);
    }
    world.recover(actions[2].clone(), 0);
    world.run();
    world.pass(24 * SECOND).await;
    assert_eq!(world.seen_events("submit").len(), 0);
    world.pass(2 * SECOND).await;
    assert_eq!(world.seen_events("submit").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_action_of_a_dlq_trigger_is_durable_before_the_dead_letter_and_there_once() {
    let store = MemoryStore::new(1);
    let mut world = World::with(store.clone(), Default::default());
    let follow = |world: &World| {
        world.daemon.follow_ups.lock().unwrap().insert("submit".into(), "report".into());
    };
    follow(&world);
    world.answers("submit", &[Answer::Refuse(tripline_event::Cause::Invalid)]);
    world.run();
    world.fire("submit", "e0").await;
    world.pass(SECOND).await;
    assert_eq!(world.seen_events("report"), ["e0"]);
    let actions = world.actions().await;
    assert_eq!(actions.len(), 2);
    assert_eq!(world.open().await, None);
    world.kill().await;

    // The letter was not durable, the action was.
    let mut world = World::with(store, Default::default());
    follow(&world);
    world.answers("submit", &[Answer::Refuse(tripline_event::Cause::Invalid)]);
    world.executor.note_follow_up(actions[1].1.id.clone());
    world.recover(actions[0].clone(), 1);
    world.run();
    world.pass(SECOND).await;
    assert_eq!(world.seen_events("report"), [] as [&str; 0]);
    assert_eq!(world.actions().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_letter_has_its_action_and_whole_copies_of_its_events() {
    use tripline_bus::{Bus as _, Log};
    let mut world = World::new();
    world.answers("e0", &[Answer::Refuse(tripline_event::Cause::Invalid), Answer::Succeed]);
    world.run();
    let decided = world.decide_with("submit", "e0", r#"{"sha":"4f2a"}"#, |_| {}).await;
    world.offer(decided.clone());
    world.pass(SECOND).await;
    let outcomes = world.outcomes().await;
    let Some(OutcomeKind::DeadLettered(letter)) = outcomes.last() else { panic!() };
    assert_eq!(letter.record.as_deref(), Some(&decided.1));
    let end = world.bus.extent(Log::Events).await.unwrap().next;
    world.bus.trim(Log::Events, end).await.unwrap();
    let mut again = *letter.record.clone().unwrap();
    (again.round, again.copies) = (1, letter.events.clone());
    world.offer_again(again).await;
    world.pass(SECOND).await;
    assert_eq!(world.told().await.last().unwrap(), "succeeded 1");
}

#[tokio::test(start_paused = true)]
async fn replayed_actions_go_slowly_and_hold_up_no_others() {
    let mut world = World::new();
    world.run();
    for number in 0..100 {
        let replayed = |action: &mut tripline_event::Action| {
            action.origin = tripline_event::Origin::Replay { id: "ada".into() };
        };
        let decided = world.decide_with("submit", &format!("old{number}"), "{}", replayed).await;
        world.offer(decided);
    }
    world.fire("submit", "new").await;
    world.pass(SECOND).await;
    let seen = world.seen_events("submit");
    assert!(seen.contains(&"new".to_owned()));
    assert!((18..=22).contains(&seen.len()), "{}", seen.len());
    world.pass(10 * SECOND).await;
    assert_eq!(world.open().await, None);
    let old: Vec<_> =
        world.seen_events("submit").into_iter().filter(|event| event != "new").collect();
    let expected: Vec<_> = (0..100).map(|number| format!("old{number}")).collect();
    assert_eq!(old, expected);
}
