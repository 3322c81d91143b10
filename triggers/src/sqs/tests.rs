//! Against moto and ElasticMQ, with Amazon's own client as the receiver; and against a server
//! that answers as SQS does when it has enough.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tripline_cloud::aws::http_client;
use tripline_config::{Dialect, FieldPath};
use tripline_testbed::{AWS_ACCESS_KEY_ID, AWS_REGION, AWS_SECRET_ACCESS_KEY, ElasticMq, Moto};

use super::SqsTrigger;
use crate::messages_testing::{TRACE, TestSecrets, rendered, said, send};
use crate::{kinds, sqs};

static MOTO: LazyLock<Moto> = LazyLock::new(|| Moto::start().unwrap());
static ELASTICMQ: LazyLock<ElasticMq> = LazyLock::new(|| ElasticMq::start().unwrap());

fn endpoints() -> [String; 2] {
    [MOTO.endpoint(), ELASTICMQ.endpoint()]
}

fn client(endpoint: &str) -> Client {
    let keys = Credentials::new(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, None, None, "test");
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(AWS_REGION))
        .credentials_provider(keys)
        .endpoint_url(endpoint)
        .http_client(http_client(Some(endpoint)));
    Client::from_conf(config.build())
}

struct Queue {
    client: Client,
    url: String,
}

impl Queue {
    async fn new(endpoint: &str, name: &str) -> Self {
        let client = client(endpoint);
        let mut request = client.create_queue().queue_name(name);
        if name.ends_with(".fifo") {
            request = request.attributes(QueueAttributeName::FifoQueue, "true");
        }
        let url = request.send().await.unwrap().queue_url.unwrap();
        Self { client, url }
    }

    async fn receive(&self) -> Vec<Message> {
        let request = self.client.receive_message().queue_url(&self.url);
        let request = request
            .max_number_of_messages(10)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .wait_time_seconds(1);
        request.send().await.unwrap().messages.unwrap_or_default()
    }
}

fn config(endpoint: &str, queue: &str, more: Value) -> Value {
    let mut config = json!({
        "queue": queue, "region": AWS_REGION, "endpoint": endpoint,
        "accessKey": {"name": "aws", "key": "access"},
        "secretKey": {"name": "aws", "key": "secret"},
    });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

fn trigger() -> (SqsTrigger, Arc<TestSecrets>) {
    let secrets = Arc::new(TestSecrets::default());
    secrets.set("aws/access", AWS_ACCESS_KEY_ID);
    secrets.set("aws/secret", AWS_SECRET_ACCESS_KEY);
    (SqsTrigger::new(secrets.identities()), secrets)
}

fn texts(message: &Message) -> BTreeMap<&str, &str> {
    let mut all = BTreeMap::new();
    for (name, value) in message.message_attributes.iter().flatten() {
        all.insert(name.as_str(), value.string_value.as_deref().unwrap_or_default());
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_has_the_payload_and_tells_of_its_chain() {
    for endpoint in endpoints() {
        let queue = Queue::new(&endpoint, "trigger-plain").await;
        let (trigger, _) = trigger();
        let more = json!({"attributes": {"team": "platform", "none": ""}});
        let action = rendered("sqs", config(&endpoint, "trigger-plain", more), r#"{"a":1}"#);
        let result = said(send(&trigger, &action).await);
        let messages = queue.receive().await;
        assert_eq!(messages.len(), 1, "{endpoint}: {result}");
        let id = messages[0].message_id.as_deref().unwrap();
        assert!(result.contains("queue `trigger-plain`") && result.contains(id), "{result}");
        assert_eq!(messages[0].body.as_deref(), Some(r#"{"a":1}"#));
        let attributes = texts(&messages[0]);
        for (name, value) in [
            ("team", "platform"),
            ("x-correlation-id", "build%204711"),
            ("x-causation-id", action.action.id.as_str()),
            ("x-tripline-hops", "2"),
            ("x-tripline-path", "ci/notify/post"),
            ("traceparent", TRACE),
            ("ce-id", action.action.id.as_str()),
            ("ce-specversion", "1.0"),
        ] {
            assert_eq!(attributes.get(name), Some(&value), "{name} in {attributes:?}");
        }
        assert_eq!(attributes.len(), 10, "{attributes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_fifo_queue_a_repeated_attempt_is_one_message_of_its_group() {
    for endpoint in endpoints() {
        let queue = Queue::new(&endpoint, "trigger.fifo").await;
        let (trigger, _) = trigger();
        let action = rendered("sqs", config(&endpoint, "trigger.fifo", json!({})), "1");
        for _ in 0..2 {
            let result = said(send(&trigger, &action).await);
            assert!(result.starts_with("Message"), "{endpoint}: {result}");
        }
        let messages = queue.receive().await;
        assert_eq!(messages.len(), 1, "{endpoint}");
        let system = messages[0].attributes.as_ref().unwrap();
        assert_eq!(system[&MessageSystemAttributeName::MessageGroupId], "ci/notify/post");
        let id = &system[&MessageSystemAttributeName::MessageDeduplicationId];
        assert_eq!(id, action.action.id.as_str());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_will_never_work_is_refused_and_what_may_work_is_tried_again() {
    let endpoint = MOTO.endpoint();
    Queue::new(&endpoint, "trigger-errors").await;
    let (trigger, secrets) = trigger();
    let large = "x".repeat(2 << 20);
    let local = "http://127.0.0.1:9";
    for (config, payload, expected) in [
        (config(&endpoint, "trigger-absent", json!({})), "1", "notFound: queue `trigger-absent`"),
        (config(&endpoint, "trigger-errors", json!({})), &*large, "invalid: sqs:SendMessage"),
        (config(&endpoint, "trigger-errors", json!({})), "", "render: the payload is empty"),
        (config(&endpoint, "a b", json!({})), "1", "render: `sqs`: queue is"),
        (config(local, "trigger-errors", json!({})), "1", "not done None: queue `trigger-errors`"),
    ] {
        let result = said(send(&trigger, &rendered("sqs", config, payload)).await);
        assert!(result.starts_with(expected), "{result}");
    }
    // A queue that is made afterwards is found.
    Queue::new(&endpoint, "trigger-absent").await;
    let again = rendered("sqs", config(&endpoint, "trigger-absent", json!({})), "1");
    let result = said(send(&trigger, &again).await);
    assert!(result.starts_with("Message"), "{result}");
    secrets.0.lock().unwrap().clear();
    let result = said(send(&trigger, &again).await);
    assert!(result.starts_with("not done None: no credentials: `accessKey`"), "{result}");
}

/// Answers each request with the same status, and keeps what it was asked with.
#[derive(Clone)]
struct Busy {
    authorizations: Arc<Mutex<Vec<String>>>,
}

async fn busy(State(busy): State<Busy>, headers: HeaderMap) -> Response {
    let authorization = headers[header::AUTHORIZATION].to_str().unwrap().to_owned();
    let target = headers["x-amz-target"].to_str().unwrap().to_owned();
    busy.authorizations.lock().unwrap().push(authorization);
    let json = [(header::CONTENT_TYPE, "application/x-amz-json-1.0")];
    match target.as_str() {
        "AmazonSQS.GetQueueUrl" => {
            (json, r#"{"QueueUrl": "http://127.0.0.1/1/busy"}"#).into_response()
        }
        _ => {
            let body =
                r#"{"__type": "com.amazonaws.sqs#RequestThrottled", "message": "slow down"}"#;
            (StatusCode::BAD_REQUEST, json, [(header::RETRY_AFTER, "7")], body).into_response()
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_waits_as_long_as_it_is_told_to_and_rotated_keys_are_taken_up() {
    let authorizations = Arc::new(Mutex::new(Vec::new()));
    let state = Busy { authorizations: Arc::clone(&authorizations) };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(busy).with_state(state);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let (trigger, secrets) = trigger();
    let action = rendered("sqs", config(&endpoint, "busy", json!({})), "1");
    for key in ["FIRSTKEY", "SECONDKEY"] {
        secrets.set("aws/access", key);
        let result = said(send(&trigger, &action).await);
        assert!(result.starts_with("not done Some(7s): sqs:SendMessage"), "{result}");
        assert!(!result.contains(AWS_SECRET_ACCESS_KEY), "{result}");
    }
    let asked: Vec<bool> = authorizations
        .lock()
        .unwrap()
        .iter()
        .map(|text| text.contains("Credential=SECONDKEY/"))
        .collect();
    // The queue is looked for once: one client serves both.
    assert_eq!(asked, [false, false, true]);
}

#[test]
fn what_is_wrong_is_an_error_at_its_field() {
    let secret = json!({"name": "aws", "key": "k"});
    let six: BTreeMap<String, String> = (0..6).map(|n| (format!("a{n}"), "x".into())).collect();
    for (more, expected) in [
        (json!({}), vec![]),
        (json!({"queue": "q.fifo", "messageGroupId": "g"}), vec![]),
        (json!({"queue": "https://sqs.eu-central-1.amazonaws.com/1/q"}), vec!["TL0450 sqs.queue"]),
        (json!({"queue": ""}), vec!["TL0450 sqs.queue"]),
        (json!({"messageGroupId": "g"}), vec!["TL0450 sqs.messageGroupId"]),
        (json!({"accessKey": secret}), vec!["TL0451 sqs.accessKey"]),
        (json!({"endpoint": "localhost:1"}), vec!["TL0451 sqs.endpoint"]),
        (json!({"roleARN": "x"}), vec!["TL0451 sqs.roleARN"]),
        (json!({"attributes": {"a b": "x"}}), vec!["TL0452 sqs.attributes.a b"]),
        (json!({"attributes": six}), vec!["TL0452 sqs.attributes"]),
        (json!({"payload": []}), vec!["TL0453 sqs.payload"]),
    ] {
        let mut config = json!({"queue": "q", "payload": [{"src": {}, "dest": "a"}]});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let at = FieldPath::root().key(sqs::KIND);
        let problems = kinds::check("sqs", &config, &at, Dialect::Tripline);
        let found: Vec<_> = problems.iter().map(|p| format!("{} {}", p.code, p.path)).collect();
        assert_eq!(found, expected, "{config}");
    }
}
