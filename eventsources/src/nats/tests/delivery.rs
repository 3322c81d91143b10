//! What comes in, in which order, and when it is acknowledged.

use async_nats::HeaderMap;
use serde_json::{Value, json};

use super::{SOON, client, left, nothing_is_left, says, server, source, stream, world};
use crate::SinkError;

#[tokio::test(flavor = "multi_thread")]
async fn an_event_has_the_shape_of_argo_events() {
    let world = world();
    let fields = json!({"jsonBody": true, "metadata": {"team": "platform"}});
    source(&world, &server().url(), "shape.*", &fields);
    says(&world, true, "takes messages of `shape.*`").await;
    let client = client(&server().url()).await;
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", "m-1");
    headers.insert("x-correlation-id", "build-7");
    client.publish_with_headers("shape.a", headers, "{\"sha\": \"4f2a\" }".into()).await.unwrap();
    client.publish("shape.b", "1".into()).await.unwrap();
    let ids = world.sink.first_ids(2).await;
    assert_eq!(ids[0], "m-1", "the producer's");
    assert_eq!(ids[1], "random-2", "there is none");
    let [first, second] = world.sink.taken().try_into().unwrap();
    let data = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
    assert_eq!(
        data(&first.data),
        json!({
            "subject": "shape.a",
            "body": {"sha": "4f2a"},
            "header": {"Nats-Msg-Id": ["m-1"], "x-correlation-id": ["build-7"]},
            "metadata": {"team": "platform"},
        })
    );
    assert!(first.headers.contains(&("x-correlation-id".into(), "build-7".into())));
    assert_eq!(first.kind, "nats");
    let expected = json!({"subject": "shape.b", "body": 1, "metadata": {"team": "platform"}});
    assert_eq!(data(&second.data), expected);
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_a_queue_group_share_the_messages() {
    let (one, two) = (world(), world());
    for world in [&one, &two] {
        source(world, &server().url(), "shared", &json!({"queue": "tripline"}));
        says(world, true, "takes").await;
    }
    let client = client(&server().url()).await;
    for n in 0..200 {
        client.publish("shared", n.to_string().into()).await.unwrap();
    }
    let both = || (one.sink.taken().len(), two.sink.taken().len());
    crate::testing::eventually(|| both().0 + both().1 >= 200).await;
    let (one_has, two_has) = both();
    assert_eq!(one_has + two_has, 200);
    assert!(one_has > 0 && two_has > 0, "{one_has} and {two_has}");
    one.shutdown().await;
    two.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_stream_come_in_order_and_are_acknowledged() {
    let context = stream(&server().url(), "ORDER").await;
    for n in 0..3000 {
        context.publish("order.a", n.to_string().into()).await.unwrap();
    }
    let world = world();
    // The event bus refuses the first ones at first.
    world.sink.fail((0..3).map(|_| SinkError::Unavailable("full".into())));
    let fields = json!({"jsonBody": true, "jetStream": {"stream": "ORDER", "ackWait": "2s"}});
    source(&world, &server().url(), "order.>", &fields);
    let ids = world.sink.first_ids(3000).await;
    let made = ids[0].strip_prefix("ORDER:1:").unwrap().to_owned();
    let expected: Vec<_> = (1..=3000).map(|n| format!("ORDER:{n}:{made}")).collect();
    assert_eq!(ids, expected);
    nothing_is_left(&context, "ORDER").await;
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_event_bus_is_slow_to_take_is_not_delivered_again() {
    let context = stream(&server().url(), "SLOW").await;
    let world = world();
    let fields = json!({"jetStream": {"stream": "SLOW", "ackWait": "1s"}});
    source(&world, &server().url(), "slow.>", &fields);
    says(&world, true, "of stream `SLOW`").await;
    world.sink.open.send_replace(false);
    for n in 0..50 {
        context.publish("slow.a", n.to_string().into()).await.unwrap().await.unwrap();
    }
    let mut waiting = world.sink.waiting.subscribe();
    waiting.wait_for(|waiting| *waiting > 0).await.unwrap();
    // Three times as long as the server waits for an acknowledgement.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let (_, unacknowledged, again) = left(&context, "SLOW").await;
    assert_eq!((unacknowledged, again), (50, 0));
    world.sink.open.send_replace(true);
    world.sink.first_ids(50).await;
    nothing_is_left(&context, "SLOW").await;
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_an_event_is_a_dead_letter_and_does_not_come_back() {
    let context = stream(&server().url(), "POISON").await;
    for body in ["{", "1", "2"] {
        context.publish("poison.a", body.into()).await.unwrap().await.unwrap();
    }
    let world = world();
    let too_large = || SinkError::TooLarge { size: 9, limit: 8 };
    // The first message is a letter: its own answer comes first.
    let fields = json!({"jsonBody": true, "jetStream": {"stream": "POISON", "ackWait": "1s"}});
    source(&world, &server().url(), "poison.>", &fields);
    world.sink.first_ids(2).await;
    let letter = world.sink.unreadable.borrow()[0].clone();
    assert_eq!(letter.bytes, "{");
    assert!(letter.id.unwrap().as_str().starts_with("POISON:1:"));
    assert!(letter.reason.contains("not JSON"), "{}", letter.reason);
    nothing_is_left(&context, "POISON").await;
    world.sink.fail([too_large(), too_large()]);
    context.publish("poison.a", "3".into()).await.unwrap().await.unwrap();
    let mut letters = world.sink.unreadable.subscribe();
    tokio::time::timeout(SOON, letters.wait_for(|all| all.len() == 2)).await.unwrap().unwrap();
    assert!(world.sink.unreadable.borrow()[1].reason.contains("at most 8"));
    nothing_is_left(&context, "POISON").await;
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cloud_events_keep_what_they_say_of_themselves() {
    let context = stream(&server().url(), "CE").await;
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/builds"),
        ("ce-type", "dev.example.build"),
        ("ce-correlationid", "b-7"),
    ] {
        headers.insert(name, value);
    }
    context.publish_with_headers("ce.a", headers, "{\"n\":1}".into()).await.unwrap();
    let structured = json!({
        "specversion": "1.0", "id": "2", "source": "/builds", "type": "dev.example.build",
        "correlationid": "b-7", "data": {"n": 1},
    });
    context.publish("ce.b", structured.to_string().into()).await.unwrap();
    context.publish("ce.c", "{}".into()).await.unwrap();
    let world = world();
    source(
        &world,
        &server().url(),
        "ce.>",
        &json!({"cloudEvents": true, "jetStream": {"stream": "CE"}}),
    );
    assert_eq!(world.sink.first_ids(2).await, ["/builds#1", "/builds#2"]);
    for message in world.sink.taken() {
        let data: Value = serde_json::from_slice(&message.data).unwrap();
        assert_eq!(data["body"], json!({"n": 1}));
        assert_eq!(message.cloud_event.unwrap().kind, "dev.example.build");
        assert!(message.headers.contains(&("ce-correlationid".into(), "b-7".into())));
    }
    let mut letters = world.sink.unreadable.subscribe();
    letters.wait_for(|all| all.len() == 1).await.unwrap();
    assert!(world.sink.unreadable.borrow()[0].reason.contains("no CloudEvent"));
    nothing_is_left(&context, "CE").await;
    world.shutdown().await;
}
