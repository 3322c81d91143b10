//! Against a real broker, with the client itself as the reader.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::{Value, json};
use tripline_config::{Dialect, FieldPath};
use tripline_testbed::{KAFKA_PASSWORD, KAFKA_USER, Kafka};

use super::KafkaTrigger;
use crate::kinds;
use crate::messages_testing::{TRACE, TestSecrets, action, rendered, said, send};

const SOON: Duration = Duration::from_secs(60);

/// Shared by the tests that do not end it.
static KAFKA: LazyLock<Kafka> = LazyLock::new(|| Kafka::start().unwrap());

fn config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("reconnect.backoff.max.ms", "500");
    config
}

async fn topic(brokers: &str, name: &str, settings: &[(&str, &str)]) {
    let admin: AdminClient<DefaultClientContext> = config(brokers).create().unwrap();
    let mut topic = NewTopic::new(name, 3, TopicReplication::Fixed(1));
    topic.config = settings.to_vec();
    let created = admin.create_topics([&topic], &AdminOptions::new()).await.unwrap();
    created[0].as_ref().unwrap();
}

/// A message that was read.
#[derive(Debug)]
struct Found {
    partition: i32,
    key: Option<String>,
    value: String,
    headers: BTreeMap<String, String>,
}

/// The first `count` messages of a topic.
fn read(brokers: &str, name: &str, count: usize) -> Vec<Found> {
    let consumer: BaseConsumer = config(brokers).set("group.id", "reader").create().unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..3 {
        list.add_partition_offset(name, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let (mut found, begin) = (Vec::new(), Instant::now());
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    while found.len() < count {
        assert!(begin.elapsed() < SOON, "{found:?}");
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        found.push(Found {
            partition: message.partition(),
            key: message.key().map(text),
            value: text(message.payload().unwrap()),
            headers: headers.map(|h| (h.key.to_owned(), text(h.value.unwrap()))).collect(),
        });
    }
    found
}

fn trigger() -> (KafkaTrigger, Arc<TestSecrets>) {
    let secrets = Arc::<TestSecrets>::default();
    let mut trigger = KafkaTrigger::new(Arc::clone(&secrets) as _);
    trigger.attempt = Duration::from_secs(5);
    (trigger, secrets)
}

#[tokio::test]
async fn a_message_carries_key_payload_headers_and_what_tells_of_its_chain() {
    let brokers = KAFKA.brokers();
    topic(&brokers, "carries", &[]).await;
    let (trigger, secrets) = trigger();
    secrets.set("token/value", "s3cret");
    let config = json!({
        "url": brokers, "topic": "carries", "partitioningKey": "shop", "compress": true,
        "flushFrequency": 5, "requiredAcks": -1, "version": "2.8.0",
        "headers": {"team": "platform", "X-Correlation-Id": "mine"},
        "secureHeaders": [
            {"name": "token", "valueFrom": {"secretKeyRef": {"name": "token", "key": "value"}}},
            {"name": "none", "valueFrom": {"secretKeyRef":
                {"name": "none", "key": "value", "optional": true}}},
        ],
    });
    let rendered = rendered("kafka", config, r#"{"text":"done"}"#);
    let told = said(send(&trigger, &rendered).await);
    let found = read(&brokers, "carries", 1).remove(0);
    // FNV-1a of the key, as Argo Events' client has it.
    assert_eq!(found.partition, fnv1a_partition("shop", 3));
    let expected = format!(r#"Message {{ to: "topic carries", id: "{}:0" }}"#, found.partition);
    assert_eq!(told, expected);
    assert_eq!((found.key.as_deref(), found.value.as_str()), (Some("shop"), r#"{"text":"done"}"#));
    let id = action().id;
    for (name, value) in [
        ("team", "platform"),
        ("token", "s3cret"),
        ("X-Correlation-Id", "mine"),
        ("x-causation-id", id.as_str()),
        ("x-tripline-hops", "2"),
        ("x-tripline-path", "ci/notify/post"),
        ("traceparent", TRACE),
        ("ce_id", id.as_str()),
        ("ce_source", "/sensors/ci/notify/post"),
        ("ce_specversion", "1.0"),
        ("ce_correlationid", "build%204711"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(found.headers.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(!found.headers.contains_key("x-correlation-id") && !found.headers.contains_key("none"));
}

/// The partition of a key by the hash partitioner of Argo Events' client.
fn fnv1a_partition(key: &str, partitions: i32) -> i32 {
    let hash = key
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash as i32 % partitions).abs()
}

#[tokio::test]
async fn without_an_acknowledgement_there_is_no_success() {
    let mut kafka = Kafka::start().unwrap();
    let brokers = kafka.brokers();
    topic(&brokers, "waits", &[]).await;
    let (trigger, _) = trigger();
    let rendered = rendered("kafka", json!({"url": brokers, "topic": "waits"}), "1");
    assert!(said(send(&trigger, &rendered).await).starts_with("Message"));
    // It is sent, and nobody says that it was taken, until the broker goes on.
    kafka.pause().unwrap();
    let mut waits = Box::pin(send(&trigger, &rendered));
    let early = tokio::time::timeout(Duration::from_secs(1), &mut waits).await;
    assert!(early.is_err(), "{early:?}");
    kafka.unpause().unwrap();
    assert!(said(waits.await).starts_with("Message"));
    kafka.kill().unwrap();
    let told = said(send(&trigger, &rendered).await);
    assert!(told.starts_with("retry None: no broker of `url` can be reached"), "{told}");
    kafka.restart().unwrap();
    assert!(said(send(&trigger, &rendered).await).starts_with("Message"));
    assert_eq!(read(&brokers, "waits", 3).len(), 3);
}

#[tokio::test]
async fn what_can_never_work_is_a_dead_letter_and_says_why() {
    let brokers = KAFKA.brokers();
    topic(&brokers, "small", &[("max.message.bytes", "1000")]).await;
    let (trigger, _) = trigger();
    let long = "x".repeat(2000);
    for (topic, payload, expected) in [
        ("nowhere", "1", "notFound: topic `nowhere` does not exist: check `topic` and `url`"),
        ("small", &long, "invalid: the message is larger than topic `small` takes"),
        ("small", "", "render: the payload is empty"),
        ("a b", "1", "render: `kafka`: topic: topic is \"a b\""),
    ] {
        let rendered = rendered("kafka", json!({"url": brokers, "topic": topic}), payload);
        let told = said(send(&trigger, &rendered).await);
        assert!(told.starts_with(expected), "{told}");
    }
}

#[tokio::test]
async fn a_rotated_password_is_taken_up_and_none_is_shown() {
    topic(&KAFKA.brokers(), "rotated", &[]).await;
    let (trigger, secrets) = trigger();
    let config = json!({
        "url": KAFKA.sasl_brokers(), "topic": "rotated",
        "sasl": {
            "userSecret": {"name": "kafka", "key": "user"},
            "passwordSecret": {"name": "kafka", "key": "password"},
        },
    });
    let rendered = rendered("kafka", config.clone(), "1");
    let told = said(send(&trigger, &rendered).await);
    assert_eq!(told, "not done None: `sasl.userSecret`: no secret kafka/user");
    secrets.set("kafka/user", KAFKA_USER);
    secrets.set("kafka/password", "hidden");
    let told = said(send(&trigger, &rendered).await);
    assert!(told.starts_with("not done None: the broker refuses user and password"), "{told}");
    assert!(!told.contains("hidden"), "{told}");
    secrets.set("kafka/password", KAFKA_PASSWORD);
    assert!(said(send(&trigger, &rendered).await).starts_with("Message"));
    let config = serde_json::from_value(config).unwrap();
    let there = trigger.probe(&config, "ci").await;
    assert_eq!(there, Ok("topic `rotated` is there with 3 partitions".to_owned()));
    let config = super::KafkaConfig { topic: "nowhere".into(), ..config };
    let missing = trigger.probe(&config, "ci").await.unwrap_err();
    assert_eq!(missing, "topic `nowhere` does not exist: check `topic` and `url`");
}

#[test]
fn what_is_wrong_is_found_at_its_place() {
    let at = FieldPath::root().key("kafka");
    let secret = json!({"name": "a", "key": "b"});
    let payload = json!([{"src": {"dependencyName": "a"}, "dest": "b"}]);
    let with = |fields: Value| {
        let mut config = json!({"url": "kafka:9092", "topic": "t", "payload": payload});
        config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        config
    };
    let scram =
        json!({"mechanism": "SCRAM-SHA-256", "userSecret": secret, "passwordSecret": secret});
    let left_out = |field: &str| match cfg!(feature = "kafka-tls") {
        true => vec![],
        false => vec![format!("TL0401 kafka.{field}")],
    };
    for (config, expected) in [
        (with(json!({})), vec![]),
        (with(json!({"requiredAcks": 0, "flushFrequency": 500, "version": "1.0.0"})), vec![]),
        (
            with(json!({"url": "", "topic": ""})),
            vec!["TL0470 kafka.url".into(), "TL0470 kafka.topic".into()],
        ),
        (with(json!({"requiredAcks": 2})), vec!["TL0472 kafka.requiredAcks".into()]),
        (with(json!({"flushFrequency": -1})), vec!["TL0472 kafka.flushFrequency".into()]),
        (with(json!({"partition": 1})), vec!["TL0472 kafka.partition".into()]),
        (with(json!({"schemaRegistry": {"url": "x"}})), vec!["TL0473 kafka.schemaRegistry".into()]),
        (with(json!({"sasl": {}})), vec!["TL0471 kafka.sasl".into()]),
        (with(json!({"payload": null})), vec!["TL0453 kafka.payload".into()]),
        (
            with(json!({"secureHeaders": [{"name": "a", "valueFrom": {}}]})),
            vec!["TL0416 kafka.secureHeaders[0].valueFrom".into()],
        ),
        (with(json!({"tls": {"enabled": true}})), left_out("tls")),
        (with(json!({"sasl": scram})), left_out("sasl.mechanism")),
    ] {
        let problems = kinds::check("kafka", &config, &at, Dialect::Argo);
        let found: Vec<_> = problems.iter().map(|p| format!("{} {}", p.code, p.path)).collect();
        assert_eq!(found, expected, "{config}");
    }
}
