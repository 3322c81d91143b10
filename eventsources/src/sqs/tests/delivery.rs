//! What comes in, and when it is deleted.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tripline_event::{EventKey, Timestamp};

use super::server::{SOON, TestQueue, endpoints, moto, says, taken, world};
use crate::definition::SourceConfig;
use crate::health::Health;
use crate::sqs::limits::HIDDEN;
use crate::testing::definitions;
use crate::{
    Accepted, BoxFuture, EventSink, EventSource, Message, Running, SinkError, SourceContext,
    SourceSettings, Unreadable,
};

fn attribute(data_type: &str) -> aws_sdk_sqs::types::builders::MessageAttributeValueBuilder {
    MessageAttributeValue::builder().data_type(data_type)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_has_the_shape_of_argo_events_and_its_message_is_deleted() {
    for endpoint in endpoints() {
        let queue = TestQueue::new(&endpoint, "shape").await;
        let world = world();
        let fields = json!({"jsonBody": true, "metadata": {"team": "platform"}});
        queue.source(&world, fields, HIDDEN);
        let sent = queue
            .sending()
            .message_body("{\"sha\": \"4f2a\" }")
            .message_attributes(
                "x-correlation-id",
                attribute("String").string_value("build-7").build().unwrap(),
            )
            .message_attributes("count", attribute("Number").string_value("3").build().unwrap())
            .message_attributes(
                "raw",
                attribute("Binary").binary_value(Blob::new(b"\0\xff")).build().unwrap(),
            );
        let id = sent.send().await.unwrap().message_id.unwrap();
        let value = |data_type: &str, text: Option<&str>, binary: Option<&str>| {
            json!({
                "BinaryListValues": null, "BinaryValue": binary, "DataType": data_type,
                "StringListValues": null, "StringValue": text,
            })
        };
        let expected = json!({
            "messageId": id,
            "messageAttributes": {
                "x-correlation-id": value("String", Some("build-7"), None),
                "count": value("Number", Some("3"), None),
                "raw": value("Binary", None, Some("AP8=")),
            },
            "body": {"sha": "4f2a"},
            "metadata": {"team": "platform"},
        });
        assert_eq!(taken(&world, 1).await, [expected], "{endpoint}");
        let message = world.sink.taken().remove(0);
        assert_eq!(message.id.unwrap().as_str(), id);
        let headers = [("count", "3"), ("x-correlation-id", "build-7")];
        assert_eq!(message.headers, headers.map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert_eq!(message.body.unwrap(), "{\"sha\": \"4f2a\" }");
        queue.holds((0, 0)).await;
        world.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_json_body_any_text_is_base64_and_without_attributes_they_are_null() {
    let queue = TestQueue::new(&moto(), "base64").await;
    let world = world();
    queue.source(&world, json!({}), HIDDEN);
    let long = "ä".repeat(100_000);
    let mut ids = [queue.send("no JSON").await, queue.send(&long).await];
    let mut data = taken(&world, 2).await;
    data.sort_by_key(|data| data["body"].as_str().unwrap().len());
    ids.sort();
    let mut found = world.sink.ids();
    found.sort();
    assert_eq!(found, ids);
    assert_eq!(data[0]["messageAttributes"], json!(null));
    assert_eq!(data[0]["body"], "bm8gSlNPTg==");
    assert_eq!(data[1]["body"].as_str().unwrap().len(), 266_668);
    assert!(data[0].get("metadata").is_none());
    queue.holds((0, 0)).await;
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_deleted_when_it_is_durable_and_not_before() {
    for endpoint in endpoints() {
        let queue = TestQueue::new(&endpoint, "durable").await;
        let world = world();
        world.sink.open.send_replace(false);
        queue.source(&world, json!({}), HIDDEN);
        queue.send("x").await;
        world.sink.waiting.subscribe().wait_for(|waiting| *waiting == 1).await.unwrap();
        queue.holds((0, 1)).await;
        assert!(world.sink.ids().is_empty());
        world.sink.open.send_replace(true);
        taken(&world, 1).await;
        queue.holds((0, 0)).await;
        world.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_stays_hidden_for_as_long_as_the_event_bus_takes() {
    for endpoint in endpoints() {
        let queue = TestQueue::new(&endpoint, "hidden").await;
        let world = world();
        world.sink.open.send_replace(false);
        queue.source(&world, json!({}), Duration::from_secs(5));
        queue.send("x").await;
        world.sink.waiting.subscribe().wait_for(|waiting| *waiting == 1).await.unwrap();
        let hangs = tokio::time::Instant::now();
        while hangs.elapsed() < Duration::from_secs(9) {
            assert!(queue.receive().await.is_empty(), "{endpoint}: visible {:?}", hangs.elapsed());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        world.sink.open.send_replace(true);
        taken(&world, 1).await;
        queue.holds((0, 0)).await;
        assert_eq!(world.sink.ids().len(), 1);
        world.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_event_bus_is_unavailable_nothing_more_is_pulled_and_nothing_is_lost() {
    let queue = TestQueue::new(&moto(), "unavailable").await;
    let world = world();
    world.sink.fail((0..6).map(|_| SinkError::Unavailable("no disk".into())));
    queue.source(&world, json!({}), HIDDEN);
    let first = queue.send("1").await;
    says(&world, false, "messages wait: no disk").await;
    let second = queue.send("2").await;
    // The pauses add up to three seconds, in which a receive that waits would have it.
    let left = || world.sink.errors.lock().unwrap().len();
    while left() > 1 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(queue.counts().await, (1, 1));
    taken(&world, 2).await;
    assert_eq!(world.sink.ids(), [first, second]);
    says(&world, true, "polls queue `unavailable` at http://127.0.0.1:").await;
    queue.holds((0, 0)).await;
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_taken_when_the_source_stops_is_visible_again_at_once() {
    for endpoint in endpoints() {
        let queue = TestQueue::new(&endpoint, "stop").await;
        let world = world();
        world.sink.open.send_replace(false);
        queue.source(&world, json!({}), HIDDEN);
        queue.send("x").await;
        world.sink.waiting.subscribe().wait_for(|waiting| *waiting == 1).await.unwrap();
        let stops = tokio::time::Instant::now();
        world.shutdown().await;
        // Not as long as it would stay hidden.
        assert!(stops.elapsed() < HIDDEN / 2, "{:?}", stops.elapsed());
        assert_eq!(queue.counts().await, (1, 0), "{endpoint}");
        assert_eq!(queue.receive().await.len(), 1, "{endpoint}");
        assert!(world.sink.ids().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_has_nothing_to_finish_stops_with_its_receive() {
    let queue = TestQueue::new(&moto(), "idle").await;
    let world = world();
    queue.source(&world, json!({}), HIDDEN);
    says(&world, true, "polls").await;
    world.shutdown().await;
}

/// Stores an event and never says so, as if the process had ended at this moment.
struct Crash(Arc<dyn EventSink>, CancellationToken);

impl EventSink for Crash {
    fn append(&self, message: Message) -> BoxFuture<'_, Result<Accepted, SinkError>> {
        Box::pin(async move {
            self.0.append(message).await?;
            self.1.cancel();
            std::future::pending().await
        })
    }

    fn unreadable(&self, message: Unreadable) -> BoxFuture<'_, Result<(), SinkError>> {
        self.0.unreadable(message)
    }

    fn refused(&self, key: &EventKey, reason: &str) {
        self.0.refused(key, reason);
    }

    fn missed<'a>(
        &'a self,
        key: &'a EventKey,
        from: Timestamp,
        to: Timestamp,
        count: u64,
    ) -> BoxFuture<'a, Result<(), SinkError>> {
        self.0.missed(key, from, to, count)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_delivered_again_after_a_crash_is_one_event() {
    for endpoint in endpoints() {
        let queue = TestQueue::new(&endpoint, "crash").await;
        let world = world();
        let config = json!({
            "queue": "crash", "region": "us-east-1", "endpoint": endpoint, "waitTimeSeconds": 1,
            "accessKey": {"name": "aws", "key": "access"},
            "secretKey": {"name": "aws", "key": "secret"},
        });
        world.secrets.set("ci/aws/access", "a");
        world.secrets.set("ci/aws/secret", "s");
        let mut definition =
            definitions(&[("builds", json!({"sqs": {"completed": config}}))]).remove(0);
        let SourceConfig::Sqs(sqs) = &mut definition.config else { panic!("no sqs") };
        Arc::get_mut(sqs).unwrap().hidden = Duration::from_secs(2);
        let stored = CancellationToken::new();
        let clock: Arc<dyn tripline_event::Clock> = world.clock.clone();
        let running = Running {
            key: definition.key.clone(),
            correlation_path: None,
            service_account: None,
            context: Arc::new(SourceContext {
                sink: Arc::new(Crash(world.sink.clone(), stored.clone())),
                clock: Arc::clone(&clock),
                secrets: world.secrets.clone(),
                accounts: None,
                settings: SourceSettings::default(),
            }),
            stop: CancellationToken::new(),
            health: Health::new(clock),
        };
        let dies = tokio::spawn(Arc::clone(sqs).run(running));
        queue.send("x").await;
        tokio::time::timeout(SOON, stored.cancelled()).await.expect("it is not stored");
        dies.abort();
        assert_eq!(queue.counts().await, (0, 1), "{endpoint}");

        queue.source(&world, json!({}), HIDDEN);
        queue.holds((0, 0)).await;
        assert_eq!(world.sink.ids().len(), 1, "{endpoint}");
        world.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_json_is_kept_with_its_bytes_deleted_and_holds_up_nothing() {
    let queue = TestQueue::new(&moto(), "poison").await;
    let world = world();
    world.sink.fail((0..2).map(|_| SinkError::Unavailable("no disk".into())));
    queue.source(&world, json!({"jsonBody": true}), HIDDEN);
    let header = attribute("String").string_value("build-7").build().unwrap();
    let sent = queue.sending().message_body("no JSON").message_attributes("correlation-id", header);
    let poison = sent.send().await.unwrap().message_id.unwrap();
    let kept = &world.sink.unreadable;
    kept.subscribe().wait_for(|kept| kept.len() == 1).await.unwrap();
    queue.send("{}").await;
    taken(&world, 1).await;
    queue.holds((0, 0)).await;
    let kept = kept.borrow().clone();
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].kind, kept[0].key.to_string()), ("sqs", "ci/builds/completed".into()));
    assert_eq!(kept[0].id.as_ref().unwrap().as_str(), poison);
    assert_eq!(kept[0].bytes, "no JSON");
    assert_eq!(kept[0].headers, [("correlation-id".to_owned(), "build-7".to_owned())]);
    assert!(kept[0].reason.starts_with("message body is not valid JSON"), "{}", kept[0].reason);
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_for_the_event_bus_is_kept_and_deleted() {
    let queue = TestQueue::new(&moto(), "large").await;
    let world = world();
    world.sink.fail([SinkError::TooLarge { size: 9, limit: 8 }]);
    queue.source(&world, json!({}), HIDDEN);
    queue.send("x").await;
    queue.holds((0, 0)).await;
    let reason = world.sink.unreadable.borrow()[0].reason.clone();
    assert_eq!(reason, "event is 9 bytes, the event bus takes at most 8");
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_dlq_the_redrive_policy_of_the_queue_moves_away_what_is_not_json() {
    for endpoint in endpoints() {
        let dead = TestQueue::new(&endpoint, "redrive-dead").await;
        let arn = dead.attribute(QueueAttributeName::QueueArn).await;
        let policy = json!({"deadLetterTargetArn": arn, "maxReceiveCount": 2}).to_string();
        let attributes = [(QueueAttributeName::RedrivePolicy, policy.as_str())];
        let queue = TestQueue::with(&endpoint, "redrive", &attributes).await;
        let world = world();
        let fields = json!({"jsonBody": true, "dlq": true});
        queue.source(&world, fields, Duration::from_secs(1));
        queue.send("no JSON").await;
        queue.send("{}").await;
        taken(&world, 1).await;
        dead.holds((1, 0)).await;
        queue.holds((0, 0)).await;
        assert!(world.sink.unreadable.borrow().is_empty(), "{endpoint}");
        let reasons = world.sink.reasons();
        assert_eq!(reasons.len(), 2, "{endpoint}: {reasons:?}");
        assert!(reasons[0].contains("redrive policy"), "{reasons:?}");
        world.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_dlq_and_no_redrive_policy_what_is_not_json_does_not_come_back_for_ever() {
    for endpoint in endpoints() {
        let queue = TestQueue::new(&endpoint, "no-redrive").await;
        let world = world();
        queue.source(&world, json!({"jsonBody": true, "dlq": true}), HIDDEN);
        queue.send("no JSON").await;
        queue.holds((0, 0)).await;
        assert_eq!(world.sink.unreadable.borrow().len(), 1, "{endpoint}");
        world.shutdown().await;
    }
}
