//! A server, queues on it, and an event source on one of them.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::types::{Message, QueueAttributeName};
use serde_json::{Value, json};
use tokio::time::timeout;
use tripline_cloud::aws::http_client;
use tripline_testbed::{AWS_ACCESS_KEY_ID, AWS_REGION, AWS_SECRET_ACCESS_KEY, ElasticMq, Moto};

use crate::definition::SourceConfig;
use crate::testing::{World, definitions};

/// The longest that a test waits for something.
pub const SOON: Duration = Duration::from_secs(60);

/// Shared by the tests that do not end it; each has queues of its own.
static MOTO: LazyLock<Moto> = LazyLock::new(|| Moto::start().unwrap());
/// Likewise; it takes its time to start.
static ELASTICMQ: LazyLock<ElasticMq> = LazyLock::new(|| ElasticMq::start().unwrap());

/// The endpoints of both.
pub fn endpoints() -> [String; 2] {
    [moto(), elasticmq()]
}

/// The endpoint of moto.
pub fn moto() -> String {
    MOTO.endpoint()
}

/// The endpoint of ElasticMQ.
pub fn elasticmq() -> String {
    ELASTICMQ.endpoint()
}

/// A queue, seen by a producer.
pub struct TestQueue {
    pub endpoint: String,
    pub name: String,
    pub client: Client,
    url: String,
}

pub fn client(endpoint: &str) -> Client {
    let keys = Credentials::new(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, None, None, "test");
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(AWS_REGION))
        .credentials_provider(keys)
        .endpoint_url(endpoint)
        .http_client(http_client(Some(endpoint)));
    Client::from_conf(config.build())
}

impl TestQueue {
    pub async fn new(endpoint: &str, name: &str) -> Self {
        Self::with(endpoint, name, &[]).await
    }

    /// With these attributes; one whose name ends in `.fifo` is one.
    pub async fn with(
        endpoint: &str,
        name: &str,
        attributes: &[(QueueAttributeName, &str)],
    ) -> Self {
        let client = client(endpoint);
        let mut attributes: HashMap<_, _> =
            attributes.iter().map(|(key, value)| (key.clone(), (*value).to_owned())).collect();
        if name.ends_with(".fifo") {
            attributes.insert(QueueAttributeName::FifoQueue, "true".to_owned());
        }
        let request = client.create_queue().queue_name(name).set_attributes(Some(attributes));
        let url = request.send().await.unwrap().queue_url.unwrap();
        Self { endpoint: endpoint.to_owned(), name: name.to_owned(), client, url }
    }

    /// Sends, and returns the message's id.
    pub async fn send(&self, body: &str) -> String {
        let request = self.client.send_message().queue_url(&self.url).message_body(body);
        request.send().await.unwrap().message_id.unwrap()
    }

    /// Sends into a group of a FIFO queue.
    pub async fn send_to(&self, group: &str, body: &str) {
        let request = self.client.send_message().queue_url(&self.url).message_body(body);
        let request = request.message_group_id(group).message_deduplication_id(body);
        request.send().await.unwrap();
    }

    pub fn sending(
        &self,
    ) -> aws_sdk_sqs::operation::send_message::builders::SendMessageFluentBuilder {
        self.client.send_message().queue_url(&self.url)
    }

    /// What another receiver gets, at once.
    pub async fn receive(&self) -> Vec<Message> {
        let request = self.client.receive_message().queue_url(&self.url).max_number_of_messages(10);
        let request = request
            .message_system_attribute_names(
                aws_sdk_sqs::types::MessageSystemAttributeName::ApproximateReceiveCount,
            )
            .wait_time_seconds(0);
        request.send().await.unwrap().messages.unwrap_or_default()
    }

    pub async fn attribute(&self, name: QueueAttributeName) -> String {
        let request = self.client.get_queue_attributes().queue_url(&self.url);
        let answer = request.attribute_names(QueueAttributeName::All).send().await.unwrap();
        answer.attributes.unwrap_or_default().remove(&name).unwrap_or_default()
    }

    /// How many messages are visible, and how many are not.
    pub async fn counts(&self) -> (u32, u32) {
        let visible = self.attribute(QueueAttributeName::ApproximateNumberOfMessages).await;
        let hidden =
            self.attribute(QueueAttributeName::ApproximateNumberOfMessagesNotVisible).await;
        (visible.parse().unwrap(), hidden.parse().unwrap())
    }

    /// Waits until there are so many messages visible and hidden.
    pub async fn holds(&self, expected: (u32, u32)) {
        let mut last = (0, 0);
        let holds = async {
            loop {
                last = self.counts().await;
                if last == expected {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let held = timeout(SOON, holds).await;
        assert!(held.is_ok(), "{}: holds {last:?}, expected {expected:?}", self.name);
    }

    /// An event source on it, with these fields besides; what is received stays hidden for so
    /// long.
    pub fn source(&self, world: &World, fields: Value, hidden: Duration) {
        source(world, &self.endpoint, &self.name, fields, hidden);
    }
}

/// An event source on the queue of this name.
pub fn source(world: &World, endpoint: &str, queue: &str, fields: Value, hidden: Duration) {
    world.secrets.set("ci/aws/access", AWS_ACCESS_KEY_ID);
    world.secrets.set("ci/aws/secret", AWS_SECRET_ACCESS_KEY);
    let mut config = json!({
        "queue": queue, "region": AWS_REGION, "endpoint": endpoint, "waitTimeSeconds": 1,
        "accessKey": {"name": "aws", "key": "access"},
        "secretKey": {"name": "aws", "key": "secret"},
    });
    config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let mut definitions = definitions(&[("builds", json!({"sqs": {"completed": config}}))]);
    for definition in &mut definitions {
        let SourceConfig::Sqs(sqs) = &mut definition.config else { panic!("no sqs") };
        Arc::get_mut(sqs).unwrap().hidden = hidden;
    }
    assert_eq!(world.sources.apply(definitions), []);
}

/// A world in real time.
pub fn world() -> World {
    World::new("2026-03-04T05:06:07Z")
}

/// Waits for so many events, and gives their data.
pub async fn taken(world: &World, count: usize) -> Vec<Value> {
    let ids = timeout(SOON, world.sink.first_ids(count)).await;
    let status = world.sources.status();
    assert!(ids.is_ok(), "{} of {count} events: {status:?}", world.sink.ids().len());
    let data = |message: crate::Message| serde_json::from_slice(&message.data).unwrap();
    world.sink.taken().into_iter().map(data).collect()
}

/// Waits until the source says this.
pub async fn says(world: &World, ready: bool, words: &str) {
    let holds = || {
        let status = world.sources.status();
        status.iter().any(|status| status.ready == ready && status.detail.contains(words))
    };
    let said = timeout(SOON, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(said.await.is_ok(), "expected {words:?}: {:?}", world.sources.status());
}
