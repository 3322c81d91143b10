use serde_json::json;
use serde_json::value::RawValue;
use tripline_bus::{Bus, Log};
use tripline_event::EventKey;

use super::{Answer, Code, World, assert_sentence, base64, join, on_builds, start, submit};
use crate::explain::Arrival;
use crate::query::{Unknown, extents};

const ANY: &str = r#"{"body":{"n":1}}"#;

#[tokio::test(start_paused = true)]
async fn an_unknown_handle_says_how_far_back_was_looked_and_what_is_like_it() {
    let world = World::new(&[on_builds("deploy", &json!({}))]).await;
    world.event("builds", "build-4711", ANY).await;
    for handle in ["build-4712", "4711"] {
        let Answer::Unknown(Unknown { looked, similar, .. }) = world.ask(handle, None).await else {
            panic!("{handle} is known");
        };
        assert_eq!(looked.len(), 3);
        assert_eq!(looked[0].records, 2, "the plan and the event");
        assert!(similar.contains(&"build-4711".to_owned()), "{handle}: {similar:?}");
    }
}

fn arrival(body: &str, key: Option<EventKey>) -> Arrival {
    Arrival { body: RawValue::from_string(body.to_owned()).unwrap(), key, sensor: None }
}

#[tokio::test(start_paused = true)]
async fn a_body_leads_to_the_latest_event_that_has_it() {
    let world = World::new(&[on_builds("deploy", &json!({}))]).await;
    world.event("builds", "b-1", ANY).await;
    world.event("builds", "b-2", r#"{"body": {"n": 2}}"#).await;
    let encoded = json!({"body": base64(r#"{"n":3}"#)}).to_string();
    world.event("builds", "b-3", &encoded).await;
    for (body, id) in [(r#"{"n": 1}"#, "b-1"), (r#"{"n":2}"#, "b-2"), (r#"{"n":3}"#, "b-3")] {
        let answer = world.context().explain_body(&arrival(body, None)).await.unwrap();
        let Answer::Found(found) = answer else { panic!("{body}") };
        assert_eq!(found.events[0].id.as_str(), id);
    }
    let none = world.context().explain_body(&arrival(r#"{"n":4}"#, None)).await.unwrap();
    assert!(matches!(none, Answer::Unknown(_)));
}

/// It is evaluated with what is held now, and leaves nothing behind.
#[tokio::test(start_paused = true)]
async fn a_body_is_evaluated_as_if_it_came_in_now_and_nothing_is_changed() {
    let world = World::new(&[join(&submit())]).await;
    let key = Some(EventKey::new("ci", "builds", "completed"));
    let ask = async || {
        let answer = world.context().explain_body(&arrival(r#"{"n":1}"#, key.clone())).await;
        let Answer::Found(mut found) = answer.unwrap() else { panic!() };
        let event = found.events.remove(0);
        assert_eq!(event.position, None);
        event.sensors[0].triggers[0].clone()
    };
    let before = extents(&*world.bus).await.unwrap();
    let trigger = ask().await;
    assert_eq!((trigger.fired, trigger.cause.code), (false, Code::HalfMet));
    assert_eq!(extents(&*world.bus).await.unwrap(), before);
    world.event("approvals", "a-1", ANY).await;
    let trigger = ask().await;
    assert_eq!((trigger.fired, trigger.cause.code), (true, Code::WouldFire));
    assert_eq!(world.bus.extent(Log::Actions).await.unwrap().next.sequence, 1, "nothing fired");
}

#[tokio::test(start_paused = true)]
async fn a_sensor_says_how_far_its_events_got_and_where_they_stopped() {
    let filters =
        json!({"data": [{"path": "body.action", "type": "string", "value": ["^completed$"]}]});
    let world = World::new(&[on_builds("deploy", &filters)]).await;
    let action = |word: &str| json!({"body": {"action": word}}).to_string();
    world.event_at("builds", "old", -100, &action("failed")).await;
    for (at, word) in ["completed", "failed", "failed", "completed"].iter().enumerate() {
        world.event("builds", &format!("b-{at}"), &action(word)).await;
    }
    world.event("builds", "b-9", r#"{"action":"completed"}"#).await;
    world.outcomes(2).await;
    let progress = world.context().progress("deploy", start()).await.unwrap();
    let [build] = progress.dependencies.as_slice() else { panic!("{progress:?}") };
    assert_eq!((build.arrived, build.passed), (5, 2), "{progress:?}");
    let stopped: Vec<_> = build.stopped.iter().map(|of| (of.count, of.cause.code)).collect();
    assert_eq!(stopped, [(2, Code::OtherValue), (1, Code::WrongPath)]);
    let [submit] = progress.triggers.as_slice() else { panic!("{progress:?}") };
    assert_eq!(submit.fired, 2);
    assert_eq!(submit.actions.get("succeeded"), Some(&2));
    let text = progress.text(false);
    assert_sentence(
        &text,
        &[
            "dependency build (ci/builds/completed): 5 arrived, 2 let through",
            "filters.data[0] stopped 2",
        ],
    );
    let error = world.context().progress("deplyo", start()).await.unwrap_err().to_string();
    assert_sentence(&error, &["there is no sensor deplyo", "did you mean ci/deploy?"]);
}
