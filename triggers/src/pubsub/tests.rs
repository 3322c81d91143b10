//! Against Google's emulator.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde_json::{Value, json};
use tripline_cloud::google::{Channel, Identity, Trouble};
use tripline_config::{Dialect, FieldPath};
use tripline_event::Cause;
use tripline_testbed::PubSub as Server;

use super::PubSubTrigger;
use super::protocol::PubsubMessage;
use crate::messages_testing::{TRACE, TestSecrets, rendered, said, send};
use crate::{TriggerError, kinds};

static SERVER: LazyLock<Server> = LazyLock::new(|| Server::start().unwrap());

#[derive(Clone, PartialEq, prost::Message)]
struct Pull {
    #[prost(string, tag = "1")]
    subscription: String,
    #[prost(int32, tag = "3")]
    max_messages: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Pulled {
    #[prost(message, repeated, tag = "1")]
    received: Vec<Received>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Received {
    #[prost(string, tag = "1")]
    ack_id: String,
    #[prost(message, optional, tag = "2")]
    message: Option<PubsubMessage>,
}

/// A topic with a subscription of its name.
fn topic(name: &str) {
    SERVER.create_topic(name).unwrap();
    SERVER.create_subscription(name, name).unwrap();
}

#[derive(Clone, PartialEq, prost::Message)]
struct Acknowledge {
    #[prost(string, tag = "1")]
    subscription: String,
    #[prost(string, repeated, tag = "2")]
    ack_ids: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Empty {}

/// So many messages, each acknowledged: of a key, the next one comes after that.
async fn pulled(subscription: &str, count: usize) -> Vec<PubsubMessage> {
    let credentials = Identity::anonymous().credentials;
    let address = format!("http://{}", SERVER.host());
    let channel = Channel::new(&address, credentials, Duration::from_secs(20)).unwrap();
    let name = format!("projects/{}/subscriptions/{subscription}", SERVER.project());
    let mut messages = Vec::new();
    while messages.len() < count {
        let request = Pull { subscription: name.clone(), max_messages: 100 };
        let path = "/google.pubsub.v1.Subscriber/Pull";
        let answer: Pulled = channel.call(path, ("subscription", &name), request).await.unwrap();
        let ack_ids = answer.received.iter().map(|received| received.ack_id.clone()).collect();
        messages.extend(answer.received.into_iter().filter_map(|received| received.message));
        let request = Acknowledge { subscription: name.clone(), ack_ids };
        let path = "/google.pubsub.v1.Subscriber/Acknowledge";
        let _: Empty = channel.call(path, ("subscription", &name), request).await.unwrap();
    }
    messages
}

fn config(topic: &str, more: Value) -> Value {
    let endpoint = format!("http://{}", SERVER.host());
    let mut config = json!({"projectID": SERVER.project(), "topic": topic, "endpoint": endpoint});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

fn trigger() -> PubSubTrigger {
    PubSubTrigger::new(Arc::new(TestSecrets::default()).identities())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_has_the_payload_its_key_and_tells_of_its_chain() {
    topic("plain");
    let more = json!({"orderingKey": "main", "attributes": {"team": "platform", "none": ""}});
    let action = rendered("pubSub", config("plain", more), r#"{"a":1}"#);
    let result = said(send(&trigger(), &action).await);
    assert!(result.starts_with("Message { to: \"topic plain\", id: \""), "{result}");
    let messages = pulled("plain", 1).await;
    assert_eq!(messages.len(), 1);
    let PubsubMessage { data, attributes, ordering_key } = &messages[0];
    assert_eq!((data.as_slice(), ordering_key.as_str()), (br#"{"a":1}"#.as_slice(), "main"));
    for (name, value) in [
        ("team", "platform"),
        ("x-correlation-id", "build%204711"),
        ("x-causation-id", action.action.id.as_str()),
        ("x-tripline-hops", "2"),
        ("traceparent", TRACE),
        ("ce-id", action.action.id.as_str()),
        ("ce-type", "dev.tripline.action"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(attributes.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(!attributes.contains_key("none"), "{attributes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_key_are_delivered_in_the_order_of_their_actions() {
    topic("ordered");
    let trigger = trigger();
    for n in 0..20 {
        let key = json!({"orderingKey": if n % 2 == 0 { "even" } else { "odd" }});
        let result =
            said(send(&trigger, &rendered("pubSub", config("ordered", key), &n.to_string())).await);
        assert!(result.starts_with("Message"), "{result}");
    }
    let mut found: HashMap<String, Vec<u32>> = HashMap::new();
    for message in pulled("ordered", 20).await {
        let number = std::str::from_utf8(&message.data).unwrap().parse().unwrap();
        found.entry(message.ordering_key).or_default().push(number);
    }
    assert_eq!(found["even"], (0..20).step_by(2).collect::<Vec<u32>>());
    assert_eq!(found["odd"], (1..20).step_by(2).collect::<Vec<u32>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_will_never_work_is_refused_and_what_may_work_is_tried_again() {
    topic("errors");
    let trigger = trigger();
    let secret = json!({"name": "google", "key": "key.json"});
    for (config, expected) in [
        (config("absent", json!({})), "notFound: `projects/testbed/topics/absent` does not exist"),
        (config("a b", json!({})), "render: `pubSub`: topic: is \"a b\""),
        (config("errors", json!({"endpoint": "http://127.0.0.1:9"})), "retry None: `projects/"),
        (
            config(
                "errors",
                json!({"endpoint": "https://127.0.0.1:9", "credentialSecret": secret}),
            ),
            "not done None: no secret google/key.json",
        ),
    ] {
        let result = said(send(&trigger, &rendered("pubSub", config, "1")).await);
        assert!(result.starts_with(expected), "{result}");
    }
}

#[test]
fn each_answer_of_the_service_has_its_consequence() {
    let said = "x".to_owned();
    let after = Some(Duration::from_secs(3));
    for (trouble, expected) in [
        (Trouble::Denied(said.clone()), "forbidden"),
        (Trouble::NotFound(said.clone()), "notFound"),
        (Trouble::NotAccepted(said.clone()), "not done None"),
        (Trouble::NoToken(said.clone()), "not done None"),
        (Trouble::Exhausted { said: said.clone(), after }, "not done Some(3s)"),
        (Trouble::Unreachable(said.clone()), "retry None"),
        (Trouble::TimedOut, "retry None"),
        (Trouble::Refused { code: "INTERNAL", said: said.clone(), again: true }, "retry None"),
        (Trouble::Refused { code: "INVALID", said, again: false }, "invalid"),
    ] {
        let error = super::error(&trouble, "projects/p/topics/t", None);
        let found = match &error {
            TriggerError::Retry { after, .. } => format!("retry {after:?}"),
            TriggerError::NotDone { after, .. } => format!("not done {after:?}"),
            TriggerError::Refused { cause, .. } => cause.to_string(),
        };
        assert_eq!(found, expected, "{trouble:?}");
    }
    let denied = super::error(&Trouble::Denied("no".into()), "projects/p/topics/t", Some("a@b"));
    assert!(matches!(&denied, TriggerError::Refused { cause: Cause::Forbidden, .. }));
    assert!(denied.to_string().contains("a@b may not publish"), "{denied}");
}

#[test]
fn what_is_wrong_is_an_error_at_its_field() {
    for (more, expected) in [
        (json!({}), vec![]),
        (json!({"topic": "projects/p/topics/t"}), vec!["TL0450 pubSub.topic"]),
        (json!({"projectID": "projects/p"}), vec!["TL0450 pubSub.projectID"]),
        (json!({"orderingKey": "x".repeat(1025)}), vec!["TL0450 pubSub.orderingKey"]),
        (json!({"endpoint": "localhost:1"}), vec!["TL0451 pubSub.endpoint"]),
        (json!({"attributes": {"googly": "x"}}), vec!["TL0452 pubSub.attributes.googly"]),
        (json!({"payload": []}), vec!["TL0453 pubSub.payload"]),
    ] {
        let mut config =
            json!({"projectID": "p", "topic": "t", "payload": [{"src": {}, "dest": "a"}]});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let at = FieldPath::root().key("pubSub");
        let problems = kinds::check("pubSub", &config, &at, Dialect::Tripline);
        let found: Vec<_> = problems.iter().map(|p| format!("{} {}", p.code, p.path)).collect();
        assert_eq!(found, expected, "{config}");
    }
}
