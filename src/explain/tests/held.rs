use serde_json::json;
use tripline_event::{EventsRecord, ObjectName, Timestamp};

use super::{Code, World, join, start, submit};

const ANY: &str = r#"{"body":{}}"#;

#[tokio::test(start_paused = true)]
async fn a_half_met_condition_says_which_part_it_waits_for() {
    let world = World::new(&[join(&submit())]).await;
    world.event("builds", "b-1", ANY).await;
    world
        .says(
            "b-1",
            Code::HalfMet,
            &["`build && approval` is half met: it has `build`", "`approval` (approvals/given)"],
        )
        .await;
    let trigger = world.trigger("b-1").await;
    assert_eq!(trigger.missing, ["approval"]);
    assert_eq!(trigger.held, []);
}

#[tokio::test(start_paused = true)]
async fn of_several_parts_those_are_named_of_which_one_is_enough() {
    let spec = json!({
        "dependencies": [
            {"name": "a", "eventSourceName": "builds", "eventName": "completed"},
            {"name": "b", "eventSourceName": "approvals", "eventName": "given"},
            {"name": "c", "eventSourceName": "overrides", "eventName": "completed"},
        ],
        "triggers": [{"template": {"name": "submit", "conditions": "a && (b || c)", "log": {}}}],
    });
    let world = World::new(&[super::sensor("deploy", &spec)]).await;
    world.event("builds", "b-1", ANY).await;
    assert_eq!(world.trigger("b-1").await.missing, ["b", "c"]);
    world.event("approvals", "a-1", ANY).await;
    world.outcomes(1).await;
    let trigger = world.trigger("a-1").await;
    assert!(trigger.fired);
    let earlier = world.trigger("b-1").await;
    assert_eq!((earlier.fired, earlier.cause.code), (false, Code::Succeeded));
    super::assert_sentence(&earlier.cause.sentence, &["held until `b or c` came; then it was"]);
}

/// What was held THEN is told, not what is held now.
#[tokio::test(start_paused = true)]
async fn what_was_held_is_what_was_held_at_that_place_of_the_log() {
    let world = World::new(&[join(&submit())]).await;
    world.event("approvals", "a-1", ANY).await;
    world.event("approvals", "a-2", ANY).await;
    let position = world.event("builds", "b-1", ANY).await;
    world.event("approvals", "a-3", ANY).await;
    world.outcomes(1).await;
    let first = world.trigger("a-1").await;
    assert_eq!(first.held, []);
    let second = world.trigger("a-2").await;
    assert_eq!(second.held.len(), 1);
    assert_eq!(second.held[0].id.as_str(), "a-1", "in its place came a-2");
    let third = world.trigger(&position.to_string()).await;
    assert_eq!(third.actions.len(), 1);
    world.says("a-1", Code::Replaced, &["a newer event of it took its place", "(a-2)"]).await;
    world.says("a-3", Code::HalfMet, &["is half met: it has `approval`"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_told_with_its_time() {
    let trigger = json!({"template": {
        "name": "submit", "log": {},
        "conditionsReset": [{"byTime": {"cron": "0 4 * * *"}}],
    }});
    let world = World::new(&[join(&trigger)]).await;
    world.event("builds", "b-1", ANY).await;
    let after: Timestamp = "2026-11-21T04:30:00Z".parse().unwrap();
    world.append(EventsRecord::Time(after)).await;
    world
        .says(
            "b-1",
            Code::Reset,
            &["`conditionsReset` forgot it at 2026-11-21T04:00:00Z", "two resets"],
        )
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_cleared_is_told() {
    let world = World::new(&[join(&submit())]).await;
    world.event("builds", "b-1", ANY).await;
    let sensor = ObjectName::new("ci", "deploy");
    let at = start();
    world.append(EventsRecord::Clear { sensor, dependency: None, at, through: None }).await;
    world.says("b-1", Code::Cleared, &["an operator cleared it"]).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_parked_is_told() {
    let world = World::new(&[join(&submit())]).await;
    let position = world.event("builds", "b-1", ANY).await;
    let sensor = ObjectName::new("ci", "deploy");
    let dependency = Some("build".to_owned());
    let through = Some(position);
    world.append(EventsRecord::Clear { sensor, dependency, at: start(), through }).await;
    world.says("b-1", Code::Parked, &["was parked", "tripline dlq list --cause parked"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_sensor_forgets_and_that_is_told() {
    let world = World::new(&[join(&submit())]).await;
    world.event("builds", "b-1", ANY).await;
    let mut changed = join(&submit());
    changed["spec"]["dependencies"][0]["filters"] =
        json!({"data": [{"path": "body.x", "type": "string", "value": ["x"]}]});
    world.publish(&[changed]).await;
    world.event("builds", "b-2", ANY).await;
    world.says("b-1", Code::PlanChanged, &["the sensor was changed", "(plan 2)"]).await;
    assert_eq!(world.only("b-1").await.plan, 1, "the plan of then decides");
    world.says("b-2", Code::MissingKey, &["body.x"]).await;
}

/// A checkpoint lies between, and everything before it was read by another process.
#[tokio::test(start_paused = true)]
async fn what_was_held_before_a_restart_is_known() {
    let world = World::new(&[join(&submit())]).await;
    world.event("approvals", "a-1", ANY).await;
    let World { bus, engine, .. } = world;
    engine.stop(std::time::Duration::from_secs(10)).await.unwrap();
    let world = World::on(bus, &[join(&submit())]).await;
    world.event("builds", "b-1", ANY).await;
    world.outcomes(1).await;
    let event = world.only("b-1").await;
    assert!(event.complete);
    let trigger = world.trigger("b-1").await;
    assert!(trigger.fired, "{trigger:?}");
    world.says("a-1", Code::Succeeded, &["held until `build` came", "then"]).await;
}
