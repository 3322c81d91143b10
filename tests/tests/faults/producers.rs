//! Who publishes: each message until upstream has taken it, on and on until it is enough.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;
use tokio::task::{JoinHandle, block_in_place};
use tripline_testbed::{Message, PubSub};
use tripline_tests::clients::Clients;
use tripline_tests::set_checker::Sent;

/// Connections of producers to the webhook, and the pause of each.
const CONNECTIONS: usize = 4;
const PAUSE: Duration = Duration::from_millis(60);
/// How many messages are published at a time, and the pause after them.
const BATCH: usize = 10;
const BATCH_PAUSE: Duration = Duration::from_millis(250);
/// How many a producer publishes at a time, and no pause, where there must be many.
const LARGE_BATCH: usize = 500;
/// The most that SQS takes in one call.
const SQS_BATCH: usize = 10;
/// How long each of them may take for what it does until the next look.
const PATIENCE: Duration = Duration::from_secs(120);

/// A message system.
#[derive(Clone)]
pub enum Messages {
    /// A topic.
    PubSub(Arc<PubSub>, String),
    /// A queue, by its URL.
    Sqs(aws_sdk_sqs::Client, String),
}

impl Messages {
    /// Publishes messages with these bodies; the ids that they are given.
    async fn publish(&self, bodies: &[String]) -> anyhow::Result<Vec<String>> {
        match self {
            Self::PubSub(pubsub, topic) => {
                let messages: Vec<Message> =
                    bodies.iter().map(|b| Message::new(b.as_str())).collect();
                block_in_place(|| pubsub.publish(topic, &messages))
            }
            Self::Sqs(client, url) => {
                let mut ids = Vec::new();
                for some in bodies.chunks(SQS_BATCH) {
                    ids.extend(send_batch(client, url, some).await?);
                }
                Ok(ids)
            }
        }
    }
}

async fn send_batch(
    client: &aws_sdk_sqs::Client,
    url: &str,
    bodies: &[String],
) -> anyhow::Result<Vec<String>> {
    let mut request = client.send_message_batch().queue_url(url);
    for (number, body) in bodies.iter().enumerate() {
        let entry = aws_sdk_sqs::types::SendMessageBatchRequestEntry::builder()
            .id(number.to_string())
            .message_body(body);
        request = request.entries(entry.build()?);
    }
    let answer = request.send().await?;
    ensure!(answer.failed.is_empty(), "{:?}", answer.failed);
    let mut ids = vec![String::new(); bodies.len()];
    for done in answer.successful {
        ids[done.id.parse::<usize>()?] = done.message_id;
    }
    Ok(ids)
}

/// Producers, one for each source.
pub struct Producers {
    clients: Clients,
    pulled: Vec<Pulled>,
    stop: Arc<AtomicBool>,
    each: u64,
}

struct Pulled {
    published: Arc<AtomicU64>,
    task: JoinHandle<anyhow::Result<Sent>>,
}

/// What they have published.
pub struct Published {
    /// By webhook.
    pub webhook: Sent,
    /// To each message system, in their order.
    pub pulled: Vec<Sent>,
    /// Requests that were not answered.
    pub unanswered: u64,
    /// Requests that were answered 503: not now.
    pub put_off: u64,
}

impl Producers {
    /// Starts them. Each publishes `each` messages at least.
    pub fn start(webhook: std::net::SocketAddr, systems: Vec<Messages>, each: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let pause = if each == 0 { PAUSE } else { Duration::ZERO };
        let pulled = systems
            .into_iter()
            .map(|system| {
                let published = Arc::new(AtomicU64::new(0));
                let (stop, count) = (Arc::clone(&stop), Arc::clone(&published));
                let task = tokio::spawn(publish(system, each, stop, count));
                Pulled { published, task }
            })
            .collect();
        Self { clients: Clients::start(webhook, CONNECTIONS, pause), pulled, stop, each }
    }

    fn counts(&self) -> Vec<u64> {
        let pulled = self.pulled.iter().map(|pulled| pulled.published.load(Ordering::Relaxed));
        std::iter::once(self.clients.sent()).chain(pulled).collect()
    }

    /// Waits until each has published so many more.
    pub async fn go_on(&self, more: u64) -> anyhow::Result<()> {
        let wanted: Vec<u64> = self.counts().iter().map(|count| count + more).collect();
        self.reach(&wanted).await
    }

    async fn reach(&self, wanted: &[u64]) -> anyhow::Result<()> {
        let (mut before, mut since) = (self.counts(), Instant::now());
        loop {
            let now = self.counts();
            if now.iter().zip(wanted).all(|(now, wanted)| now >= wanted) {
                return Ok(());
            }
            if now != before {
                (before, since) = (now, Instant::now());
            }
            ensure!(
                since.elapsed() < PATIENCE,
                "producers stand still at {before:?} of {wanted:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Lets them come to what each publishes at least, and to the end of what they are at.
    pub async fn finish(self) -> anyhow::Result<Published> {
        self.reach(&vec![self.each; 1 + self.pulled.len()]).await?;
        self.stop.store(true, Ordering::Relaxed);
        let mut pulled = Vec::new();
        for producer in self.pulled {
            pulled.push(producer.task.await??);
        }
        let sending = tokio::time::timeout(PATIENCE, self.clients.finish());
        let sending = sending.await.context("a producer's request is never acknowledged")??;
        let (unanswered, put_off) = (sending.unanswered, sending.put_off);
        Ok(Published { webhook: sending.sent, pulled, unanswered, put_off })
    }
}

async fn publish(
    system: Messages,
    each: u64,
    stop: Arc<AtomicBool>,
    published: Arc<AtomicU64>,
) -> anyhow::Result<Sent> {
    let (batch, pause) =
        if each == 0 { (BATCH, BATCH_PAUSE) } else { (LARGE_BATCH, Duration::ZERO) };
    let mut sent = Sent::default();
    while !stop.load(Ordering::Relaxed) {
        let first = published.load(Ordering::Relaxed);
        let correlations: Vec<String> =
            (first..first + batch as u64).map(|number| format!("c-{number}")).collect();
        let bodies: Vec<String> = correlations
            .iter()
            .map(|id| json!({ "action": "completed", "correlation_id": id }).to_string())
            .collect();
        let ids = system.publish(&bodies).await?;
        ensure!(ids.len() == bodies.len(), "{} ids for {} messages", ids.len(), bodies.len());
        sent.acknowledged.extend(ids.iter().cloned());
        sent.events.extend(ids.into_iter().zip(correlations));
        published.fetch_add(batch as u64, Ordering::Relaxed);
        if each > 0 && published.load(Ordering::Relaxed) > each {
            tokio::time::sleep(BATCH_PAUSE).await;
        }
        tokio::time::sleep(pause).await;
    }
    Ok(sent)
}
