//! What becomes of workflows after they were submitted.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tripline_bus::memory::{MemoryBus, MemoryStore};
use tripline_bus::{Bus as _, Log};
use tripline_event::{Outcome, OutcomeKind};

use crate::world::{SOON, World};

/// Name, phase, message and chain of each outcome of a workflow, in the order of the log.
async fn told(bus: &MemoryBus) -> Vec<(String, String, Option<String>, String)> {
    let from = bus.extent(Log::Outcomes).await.unwrap().first;
    let records = bus.read(Log::Outcomes, from, 1000).await.unwrap();
    let outcomes = records.iter().map(|stored| Outcome::decode(&stored.record).unwrap());
    let told = outcomes.map(|outcome| {
        let OutcomeKind::Workflow { target, name, phase, message, .. } = outcome.kind else {
            panic!("{:?}", outcome.kind)
        };
        assert_eq!(target, "prod");
        (name, phase, message, outcome.correlation.unwrap().0)
    });
    told.collect()
}

/// Waits until so much was told; returns name and phase.
async fn until(bus: &MemoryBus, count: usize) -> Vec<(String, String)> {
    let deadline = tokio::time::Instant::now() + SOON;
    loop {
        let told = told(bus).await;
        if told.len() >= count {
            return told.into_iter().map(|(name, phase, ..)| (name, phase)).collect();
        }
        assert!(tokio::time::Instant::now() < deadline, "{told:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn both(name: &str, phase: &str) -> (String, String) {
    (name.to_owned(), phase.to_owned())
}

#[tokio::test]
async fn a_workflow_is_followed_to_its_end_and_each_phase_is_told_once() {
    let mut world = World::new("followed");
    world.allow_tripline(&["list", "watch"]);
    let bus = Arc::new(MemoryBus::new(MemoryStore::new(1)));
    let followers = world.follow(&bus);
    for name in ["a", "b", "c", "d"] {
        world.submit(&world.rendered(name, json!({"name": name}))).await.unwrap();
    }
    world.kube.set_phase("followed", "a", "Running").unwrap();
    world.kube.set_phase("followed", "a", "Succeeded").unwrap();
    world.kube.set_phase("followed", "b", "Running").unwrap();
    world.kube.delete(&world.path("d")).unwrap();
    let first =
        [both("a", "Running"), both("a", "Succeeded"), both("b", "Running"), both("d", "Deleted")];
    assert_eq!(until(&bus, 4).await, first);
    assert_eq!(told(&bus).await[0].3, "build a");
    followers.stop().await;

    // What happens while nobody looks is told by the next process.
    world.kube.set_phase("followed", "b", "Failed").unwrap();
    world.kube.set_phase("followed", "c", "Succeeded").unwrap();
    let followers = world.follow(&bus);
    followers.resume().await.unwrap();
    let mut all = first.to_vec();
    all.extend([both("b", "Failed"), both("c", "Succeeded")]);
    assert_eq!(until(&bus, 6).await, all);
    // The same again, told by a third: nothing is said twice.
    followers.stop().await;
    let followers = world.follow(&bus);
    followers.resume().await.unwrap();
    world.submit(&world.rendered("e", json!({"name": "e"}))).await.unwrap();
    world.kube.set_phase("followed", "e", "Error").unwrap();
    all.push(both("e", "Error"));
    assert_eq!(until(&bus, 7).await, all);
    followers.stop().await;
}

#[tokio::test]
async fn where_workflows_may_not_be_watched_each_says_once_why_its_end_is_not_known() {
    let mut world = World::new("unwatched");
    let bus = Arc::new(MemoryBus::new(MemoryStore::new(1)));
    let followers = world.follow(&bus);
    world.submit(&world.rendered("a", json!({"name": "a"}))).await.unwrap();
    assert_eq!(until(&bus, 1).await, [both("a", "Unknown")]);
    world.submit(&world.rendered("b", json!({"name": "b"}))).await.unwrap();
    // Once more, as after a lost answer.
    world.submit(&world.rendered("b", json!({"name": "b"}))).await.unwrap();
    world.submit(&world.rendered("c", json!({"name": "c"}))).await.unwrap();
    let expected = [both("a", "Unknown"), both("b", "Unknown"), both("c", "Unknown")];
    assert_eq!(until(&bus, 3).await, expected);
    let why = told(&bus).await[0].2.clone().unwrap();
    assert!(
        why.contains(
            r#"{apiGroups: ["argoproj.io"], resources: [workflows], verbs: [list, watch]}"#
        ),
        "{why}"
    );

    // When it is allowed, they are followed, those from before too.
    world.allow_tripline(&["list", "watch"]);
    world.kube.set_phase("unwatched", "a", "Succeeded").unwrap();
    assert_eq!(until(&bus, 4).await[3], both("a", "Succeeded"));
    followers.stop().await;
}
