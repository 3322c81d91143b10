use std::time::Duration;

use serde_json::json;
use tripline_bus::{Append, Bus, Log};
use tripline_event::outcome::LetterEvent;
use tripline_event::{
    ActionId, Cause as LetterCause, DeadLetter, DropCause, EventId, EventKey, Outcome, OutcomeKind,
    Position,
};

use super::{Answer, Code, Says, World, assert_sentence, event, join, on_builds, sensor, submit};
use crate::control::Paused;
use crate::daemon::pauses::{Loaded, Pauses};
use tripline_event::{EventsRecord, ObjectName};
use tripline_triggers::executor::Scope;

const ANY: &str = r#"{"body":{}}"#;

async fn simple() -> World {
    World::new(&[on_builds("deploy", &json!({}))]).await
}

#[tokio::test(start_paused = true)]
async fn what_was_carried_out_is_told_with_its_action_from_every_id() {
    let world = simple().await;
    let position = world.event("builds", "b-1", ANY).await;
    world.outcomes(1).await;
    world.says("b-1", Code::Succeeded, &["it was carried out: logged"]).await;
    let trigger = world.trigger("b-1").await;
    let [action] = trigger.actions.as_slice() else { panic!("{trigger:?}") };
    assert!(action.closed);
    assert_eq!(action.outcomes.last().unwrap().outcome, "succeeded");
    let id = action.id.to_string();
    for handle in ["chain-b-1", &id, &id[..8], &position.to_string()] {
        assert_eq!(world.only(handle).await.id.as_str(), "b-1", "{handle}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_end_of_an_action_is_told_with_what_to_do() {
    let missing = "workflowtemplates.argoproj.io \"deploy\" not found";
    let forbidden = "User \"system:serviceaccount:ci:default\" cannot create workflows";
    for (says, code, parts) in [
        (
            Says::Refused(LetterCause::Invalid, "422 no such field"),
            Code::DeadLettered,
            vec!["a dead letter, invalid", "one attempt was made (422 no such field)", "dlq retry"],
        ),
        (
            Says::Refused(LetterCause::NotFound, missing),
            Code::TemplateMissing,
            vec![
                "the template that it is made from is not there",
                "create it, then `tripline dlq retry",
            ],
        ),
        (
            Says::Refused(LetterCause::Forbidden, forbidden),
            Code::Forbidden,
            vec!["the target does not allow it", "serviceAccountName"],
        ),
    ] {
        let world = simple().await;
        world.target_says(says);
        world.event("builds", "b-1", ANY).await;
        // It may be attempted twice: an outcome closes it.
        while !world.trigger("b-1").await.actions.first().is_some_and(|action| action.closed) {
            let next = world.bus.extent(Log::Outcomes).await.unwrap().next;
            drop(
                tokio::time::timeout(Duration::from_secs(60), world.bus.wait(Log::Outcomes, next))
                    .await,
            );
        }
        world.says("b-1", code, &parts).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_fails_is_told_with_the_next_and_one_that_expires_with_its_time() {
    let trigger = json!({"template": {"name": "submit", "log": {}}, "expiresAfter": "1h"});
    let spec = json!({
        "dependencies": [{"name": "build", "eventSourceName": "builds", "eventName": "completed"}],
        "triggers": [trigger],
    });
    let world = World::new(&[sensor("deploy", &spec)]).await;
    world.target_says(Says::Again("connection refused"));
    world.event("builds", "b-1", ANY).await;
    world.outcomes(1).await;
    while world.trigger("b-1").await.cause.code == Code::Waiting {
        let next = world.bus.extent(Log::Outcomes).await.unwrap().next;
        world.bus.wait(Log::Outcomes, next).await.unwrap();
    }
    world
        .says(
            "b-1",
            Code::Retrying,
            &["attempt 1 failed (connection refused)", "the next is made at"],
        )
        .await;
    while !world.trigger("b-1").await.actions[0].closed {
        let next = world.bus.extent(Log::Outcomes).await.unwrap().next;
        world.bus.wait(Log::Outcomes, next).await.unwrap();
    }
    world.says("b-1", Code::Expired, &["it expired at 2026-11-21T04:0", "`expiresAfter`"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_a_pause_and_a_suspended_sensor_are_told() {
    let spec = json!({
        "dependencies": [{"name": "build", "eventSourceName": "builds", "eventName": "completed"}],
        "triggers": [{
            "template": {"name": "submit", "log": {}},
            "rateLimit": {"unit": "Hour", "requestsPerUnit": 1},
        }],
    });
    let world = World::new(&[sensor("deploy", &spec)]).await;
    world.event("builds", "b-1", ANY).await;
    world.outcomes(1).await;
    world.event("builds", "b-2", ANY).await;
    world
        .says(
            "b-2",
            Code::RateLimited,
            &["trigger submit starts no action until 2026-11-21T04:00:00Z", "`rateLimit`"],
        )
        .await;

    let mut suspended = on_builds("deploy", &json!({}));
    suspended["spec"]["suspend"] = "queue".into();
    let world = World::new(&[suspended]).await;
    world.event("builds", "b-1", ANY).await;
    world.says("b-1", Code::Paused, &["sensor ci/deploy is suspended", "remove `suspend`"]).await;

    let world = simple().await;
    let loaded = Loaded::from(&*world.bus).await.unwrap();
    let pauses = Pauses::new(world.bus.clone(), &world.engine.executor, loaded);
    let scope = Scope::Sensor(ObjectName::new("ci", "deploy"));
    let paused = Paused {
        scope: crate::control::scope::text(&scope),
        until: None,
        reason: Some("database upgrade".into()),
        who: "ann".into(),
        since: world.now(),
    };
    pauses.pause(paused).await.unwrap();
    world.event("builds", "b-1", ANY).await;
    world
        .says(
            "b-1",
            Code::Paused,
            &[
                "sensor ci/deploy is paused (paused by ann: database upgrade)",
                "tripline resume sensor/ci/deploy",
            ],
        )
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_is_open() {
    let world = simple().await;
    world.target_says(Says::Nothing);
    world.event("builds", "b-1", ANY).await;
    world.says("b-1", Code::Waiting, &["is open", "tripline status"]).await;
}

/// What rules of triggers write down is told, wherever it comes from.
#[tokio::test(start_paused = true)]
async fn superseded_frozen_overlapping_and_broken_circuits_are_told_from_their_records() {
    for (what, code, parts) in [
        ("superseded", Code::Superseded, vec!["superseded by action", "whenQueued: latest"]),
        ("overlap", Code::Overlap, vec!["an earlier one of its key was running", "`overlap`"]),
        ("dropped", Code::Dropped, vec!["it was dropped (by ann)"]),
        ("frozen", Code::Frozen, vec!["the freeze window weekend, at 2026-11-23T06:00:00Z"]),
    ] {
        let world = simple().await;
        world.target_says(Says::Nothing);
        world.event("builds", "b-1", ANY).await;
        let action = world.trigger("b-1").await.actions[0].clone();
        let trigger = world.trigger("b-1").await.name;
        let dropped = |cause| OutcomeKind::Dropped {
            action: action.id.clone(),
            trigger: trigger.clone(),
            round: 0,
            reason: "by ann".into(),
            cause: Some(cause),
            by: Some(ActionId("0".repeat(32))),
        };
        let kind = match what {
            "superseded" => dropped(DropCause::Superseded),
            "overlap" => dropped(DropCause::Overlap),
            "dropped" => dropped(DropCause::Operator),
            _ => OutcomeKind::Frozen {
                trigger: trigger.clone(),
                until: "2026-11-23T06:00:00Z".parse().unwrap(),
                window: "weekend".into(),
            },
        };
        let record = Outcome { at: world.now(), correlation: None, kind }.encode();
        world.bus.append(Log::Outcomes, vec![Append { dedup: None, record }]).await.unwrap();
        world.says("b-1", code, &parts).await;
    }
}

fn with_trigger(trigger: &serde_json::Value) -> serde_json::Value {
    let build = json!({"name": "build", "eventSourceName": "builds", "eventName": "completed"});
    sensor("deploy", &json!({"dependencies": [build], "triggers": [trigger]}))
}

/// The executor's own rules, as it obeys them.
#[tokio::test(start_paused = true)]
async fn a_freeze_window_a_newer_action_and_a_broken_circuit_are_told_as_they_come_about() {
    let trigger = json!({
        "template": {"name": "submit", "log": {}},
        "freeze": [{"name": "weekend", "from": "2026-11-21T00:00:00Z", "to": "2026-11-21T20:00:00Z"}],
    });
    let world = World::new(&[with_trigger(&trigger)]).await;
    world.event("builds", "b-1", ANY).await;
    while world.trigger("b-1").await.cause.code != Code::Frozen {
        tokio::task::yield_now().await;
    }
    world.says("b-1", Code::Frozen, &["weekend", "2026-11-21T20:00:00Z"]).await;

    let trigger = json!({
        "template": {"name": "submit", "log": {}}, "maxInFlight": 1, "whenQueued": "latest",
    });
    let world = World::new(&[with_trigger(&trigger)]).await;
    world.target_says(Says::Nothing);
    for id in ["b-1", "b-2", "b-3"] {
        world.event("builds", id, ANY).await;
    }
    while !world.trigger("b-2").await.actions[0].closed {
        let next = world.bus.extent(Log::Outcomes).await.unwrap().next;
        world.bus.wait(Log::Outcomes, next).await.unwrap();
    }
    let newest = world.trigger("b-3").await.actions[0].id.to_string();
    world.says("b-2", Code::Superseded, &["superseded by action", &newest]).await;
}

#[tokio::test(start_paused = true)]
async fn a_loop_is_told() {
    let mut looping = on_builds("deploy", &json!({}));
    looping["spec"]["maxHops"] = 2.into();
    let world = World::new(&[looping]).await;
    let mut far = event("builds", "b-1", 0, ANY);
    far.links.hops = 2;
    far.links.path = vec!["ci/deploy/submit".into()];
    world.append(EventsRecord::Event(far)).await;
    world.outcomes(1).await;
    world.says("b-1", Code::Loop, &["3 hops, more than", "break the circle"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_repeated_event_leads_to_the_first() {
    let world = simple().await;
    let first = world.event("builds", "b-1", ANY).await;
    let again = world.event("builds", "b-1", ANY).await;
    world.outcomes(2).await;
    let explanation = world.explain("b-1").await;
    let [one, other] = explanation.events.as_slice() else { panic!("{explanation:?}") };
    assert_eq!(one.cause, None);
    let cause = other.cause.as_ref().unwrap();
    assert_eq!(cause.code, Code::Duplicate);
    assert_sentence(
        &cause.sentence,
        &[&first.to_string(), &again.to_string(), "not evaluated again"],
    );
}

/// A repeated event is not held in the place of the first.
#[tokio::test(start_paused = true)]
async fn a_repeated_event_changes_nothing_that_is_held() {
    let world = World::new(&[join(&submit())]).await;
    let first = world.event("builds", "b-1", ANY).await;
    world.event("builds", "b-1", ANY).await;
    world.outcomes(1).await;
    let trigger = world.trigger(&first.to_string()).await;
    assert_eq!(trigger.cause.code, Code::HalfMet, "{:?}", trigger.cause);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_evaluated_yet_is_told_with_how_far_it_is() {
    let world = simple().await;
    let position = world.event("builds", "b-1", ANY).await;
    let mut context = world.context();
    let live = context.live.as_mut().unwrap();
    live.evaluated = Position { sequence: position.sequence - 1, ..position };
    let question = super::Question { handle: "b-1".into(), sensor: None };
    let Answer::Found(found) = context.explain(&question).await.unwrap() else { panic!() };
    let cause = found.events[0].cause.clone().unwrap();
    assert_eq!(cause.code, Code::Lag);
    assert_sentence(&cause.sentence, &["not evaluated yet: 1 records"]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_nobody_waits_for_names_who_waits_for_something_like_it() {
    let world = simple().await;
    world.event("build", "b-1", ANY).await;
    let cause = world.only("b-1").await.cause.unwrap();
    assert_eq!(cause.code, Code::NoSensor);
    assert_sentence(
        &cause.sentence,
        &[
            "no sensor of namespace ci waits for build/completed",
            "ci/deploy waits for ci/builds/completed",
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn a_sensor_that_is_asked_about_and_waits_for_other_events_or_came_later_says_so() {
    let world = simple().await;
    world.event("builds", "b-1", ANY).await;
    world.publish(&[on_builds("deploy", &json!({})), join_as("late")]).await;
    world.event("others", "o-1", ANY).await;
    let ask = async |handle: &str, sensor: &str| match world.ask(handle, Some(sensor)).await {
        Answer::Found(mut found) => found.events.remove(0).cause.unwrap(),
        Answer::Unknown(unknown) => panic!("{unknown:?}"),
    };
    let other = ask("o-1", "deploy").await;
    assert_eq!(other.code, Code::OtherEvent);
    assert_sentence(
        &other.sentence,
        &["does not wait for ci/others/completed", "ci/builds/completed"],
    );
    let late = ask("b-1", "ci/late").await;
    assert_eq!(late.code, Code::NotInForce);
    assert_sentence(&late.sentence, &["sensor ci/late was not there yet", "plan 1", "`startFrom`"]);
    let none = ask("b-1", "nowhere").await;
    assert_sentence(&none.sentence, &["there is no sensor nowhere"]);
}

fn join_as(name: &str) -> serde_json::Value {
    let mut sensor = join(&submit());
    sensor["metadata"]["name"] = name.into();
    sensor
}

/// The chain came as far as the first sensor's action, and nothing came of that.
#[tokio::test(start_paused = true)]
async fn a_chain_that_did_not_reach_a_sensor_says_where_it_was_last_seen() {
    let second = sensor(
        "verify",
        &json!({
            "dependencies": [{"name": "deployed", "eventSourceName": "deploys", "eventName": "completed"}],
            "triggers": [submit()],
        }),
    );
    let world = World::new(&[on_builds("deploy", &json!({})), second]).await;
    world.event("builds", "b-1", ANY).await;
    world.outcomes(1).await;
    let Answer::Found(found) = world.ask("chain-b-1", Some("verify")).await else { panic!() };
    let cause = found.never.unwrap();
    assert_eq!(cause.code, Code::NeverArrived);
    assert_sentence(
        &cause.sentence,
        &["no event of this chain that sensor verify waits for", "succeeded ci/deploy/submit"],
    );
    let Answer::Found(found) = world.ask("chain-b-1", Some("deploy")).await else { panic!() };
    assert_eq!(found.never, None);
}

#[tokio::test(start_paused = true)]
async fn what_an_event_source_could_not_read_is_told() {
    let world = simple().await;
    let letter = DeadLetter {
        action: None,
        trigger: None,
        round: 0,
        attempts: 0,
        cause: LetterCause::Malformed,
        error: "message is not JSON".into(),
        events: vec![LetterEvent {
            dependency: None,
            key: EventKey::new("ci", "builds", "completed"),
            id: EventId("m-1".into()),
            position: Position::default(),
            data: serde_json::Value::Null,
            raw: None,
            envelope: None,
        }],
        record: None,
        sensor: None,
    };
    let kind = OutcomeKind::DeadLettered(Box::new(letter));
    let record = Outcome { at: world.now(), correlation: None, kind }.encode();
    world.bus.append(Log::Outcomes, vec![Append { dedup: None, record }]).await.unwrap();
    let explanation = world.explain("m-1").await;
    let [cause] = explanation.refused.as_slice() else { panic!("{explanation:?}") };
    assert_eq!(cause.code, Code::Malformed);
    assert_sentence(&cause.sentence, &["message is not JSON", "tripline dlq show m-1"]);
}
