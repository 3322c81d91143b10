//! Message systems, each with its vendor's own client, as producers use them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use async_nats::HeaderMap;
use async_nats::jetstream;
use serde_json::json;
use tokio::sync::RwLock;
use tokio::task::block_in_place;
use tripline_testbed::{Message, PubSub};
use tripline_tests::{aws, kafka};

use crate::source::Source;

/// How long a message may take to be acknowledged, whoever is killed meanwhile.
const SENDING: Duration = Duration::from_secs(60);
/// The pause before a message is sent again.
const AGAIN: Duration = Duration::from_millis(100);
/// Partitions of a topic of Kafka.
const PARTITIONS: i32 = 2;
/// The header by which NATS knows a message.
const NATS_ID: &str = "Nats-Msg-Id";

/// A message system.
pub enum System {
    PubSub(Arc<PubSub>, String),
    Sqs(aws::Queue),
    Kafka(kafka::Topic, String),
    Nats(Stream),
    CoreNats(async_nats::Client, String),
    Sns(Arc<Topic>),
}

/// A stream of JetStream, with one subject.
pub struct Stream {
    context: jetstream::Context,
    name: String,
    made: i64,
}

/// A topic of SNS. While somebody kills the server nobody publishes: whether a message was taken
/// that was not answered could not be told.
pub struct Topic {
    pub topic: aws::Topic,
    pub calm: RwLock<()>,
}

impl System {
    /// Pub/Sub, with a topic and a subscription of that name.
    pub fn pubsub(server: Arc<PubSub>, name: &str) -> anyhow::Result<Self> {
        server.create_topic(name)?;
        server.create_subscription(name, name)?;
        Ok(Self::PubSub(server, name.to_owned()))
    }

    /// Kafka, with a topic. The event source begins with the broker `first`.
    pub async fn kafka(brokers: &str, first: &str, name: &str) -> anyhow::Result<Self> {
        let topic = kafka::Topic::create(brokers, name, PARTITIONS).await?;
        let source = Source::Kafka.name();
        Ok(Self::Kafka(topic, format!("{source}:completed:{first}:{name}")))
    }

    /// JetStream, with a stream whose subject is its name.
    pub async fn nats(client: async_nats::Client, name: &str) -> anyhow::Result<Self> {
        let context = jetstream::new(client);
        let config = jetstream::stream::Config {
            name: name.to_owned(),
            subjects: vec![name.to_owned()],
            ..Default::default()
        };
        let stream = context.create_stream(config).await?;
        let made = stream.cached_info().created.unix_timestamp();
        Ok(Self::Nats(Stream { context, name: name.to_owned(), made }))
    }

    /// Whose events it has.
    pub fn source(&self) -> Source {
        match self {
            Self::PubSub(..) => Source::PubSub,
            Self::Sqs(_) => Source::Sqs,
            Self::Kafka(..) => Source::Kafka,
            Self::Nats(_) => Source::Nats,
            Self::CoreNats(..) => Source::CoreNats,
            Self::Sns(_) => Source::Sns,
        }
    }

    /// Publishes messages with these correlation ids, each until it is acknowledged; the ids of
    /// their events.
    pub async fn publish(&self, correlations: &[String]) -> anyhow::Result<Vec<String>> {
        match self {
            Self::PubSub(server, topic) => {
                let messages: Vec<Message> =
                    correlations.iter().map(|id| Message::new(body(id))).collect();
                block_in_place(|| server.publish(topic, &messages))
            }
            Self::Sqs(queue) => {
                let mut ids = Vec::new();
                for some in correlations.chunks(aws::BATCH) {
                    ids.extend(queue.send(&bodies(some)).await?);
                }
                Ok(ids)
            }
            Self::Kafka(topic, prefix) => {
                let written = topic.send(correlations.iter().map(|id| body(id))).await?;
                let id = |(partition, offset)| format!("{prefix}:{partition}:{offset}");
                Ok(written.into_iter().map(id).collect())
            }
            Self::Nats(stream) => stream.publish(correlations).await,
            Self::CoreNats(client, subject) => {
                for id in correlations {
                    let message = (subject.clone(), headers(id), body(id).into());
                    client.publish_with_headers(message.0, message.1, message.2).await?;
                }
                client.flush().await?;
                Ok(correlations.to_vec())
            }
            Self::Sns(topic) => {
                let mut ids = Vec::new();
                for some in correlations.chunks(aws::BATCH) {
                    let _calm = topic.calm.read().await;
                    ids.extend(topic.topic.publish(&bodies(some)).await?);
                }
                Ok(ids)
            }
        }
    }
}

impl Stream {
    /// All at once, and those again that were not acknowledged: the stream knows them by their
    /// ids, and says where they stand.
    async fn publish(&self, correlations: &[String]) -> anyhow::Result<Vec<String>> {
        let mut ids = vec![String::new(); correlations.len()];
        let deadline = Instant::now() + SENDING;
        let mut left: Vec<usize> = (0..correlations.len()).collect();
        loop {
            let sending = left.iter().map(async |at| {
                let (subject, id) = (self.name.clone(), &correlations[*at]);
                let message = body(id).into();
                let sent = self.context.publish_with_headers(subject, headers(id), message);
                anyhow::Ok(sent.await?.await?)
            });
            let sent = futures_util::future::join_all(sending).await;
            let mut failed = Vec::new();
            for (at, sent) in left.into_iter().zip(sent) {
                match sent {
                    Ok(stored) => {
                        ids[at] = format!("{}:{}:{}", self.name, stored.sequence, self.made);
                    }
                    Err(error) => {
                        ensure!(Instant::now() < deadline, "{}: {error}", correlations[at]);
                        failed.push(at);
                    }
                }
            }
            if failed.is_empty() {
                return Ok(ids);
            }
            left = failed;
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// A client of NATS that waits for a server that is away.
pub async fn nats(address: std::net::SocketAddr) -> anyhow::Result<async_nats::Client> {
    let url = format!("nats://{address}");
    async_nats::connect(&url).await.with_context(|| format!("no connection to {url}"))
}

fn headers(id: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_ID, id);
    headers
}

fn bodies(correlations: &[String]) -> Vec<String> {
    correlations.iter().map(|id| body(id)).collect()
}

fn body(correlation: &str) -> String {
    json!({ "action": "completed", "correlation_id": correlation }).to_string()
}
