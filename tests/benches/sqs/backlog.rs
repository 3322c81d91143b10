//! A queue full of messages, and the bare client that fills and empties it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, ensure};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, QueueAttributeName, SendMessageBatchRequestEntry,
};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use tokio::task::JoinSet;
use tripline_testbed::{AWS_ACCESS_KEY_ID, AWS_REGION, AWS_SECRET_ACCESS_KEY};
use tripline_tests::daemon::SOON;
use tripline_tests::load::correlation_id;

/// What SQS takes and gives at a time.
const BATCH: u64 = 10;
/// How many batches are sent at once.
const SENDERS: u64 = 8;
/// The size of a message.
const BODY_BYTES: usize = 1024;

/// A queue.
#[derive(Clone)]
pub struct Backlog {
    pub name: &'static str,
    pub endpoint: String,
    client: Client,
    url: String,
}

impl Backlog {
    /// An empty queue.
    pub async fn create(endpoint: String, name: &'static str) -> anyhow::Result<Self> {
        let keys = Credentials::new(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, None, None, "bench");
        let tls = Provider::Rustls(CryptoMode::Ring);
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(AWS_REGION))
            .credentials_provider(keys)
            .endpoint_url(&endpoint)
            .http_client(aws_smithy_http_client::Builder::new().tls_provider(tls).build_https());
        let client = Client::from_conf(config.build());
        let created = client.create_queue().queue_name(name).send().await?;
        let url = created.queue_url.context("the queue has no URL")?;
        Ok(Self { name, endpoint, client, url })
    }

    /// Sends so many messages.
    pub async fn fill(&self, messages: u64) -> anyhow::Result<()> {
        let next = Arc::new(AtomicU64::new(0));
        let mut senders = JoinSet::new();
        for _ in 0..SENDERS {
            let (this, next) = (self.clone(), Arc::clone(&next));
            senders.spawn(async move {
                loop {
                    let first = next.fetch_add(BATCH, Ordering::Relaxed);
                    if first >= messages {
                        return anyhow::Ok(());
                    }
                    this.send(first..messages.min(first + BATCH)).await?;
                }
            });
        }
        while let Some(ended) = senders.join_next().await {
            ended??;
        }
        Ok(())
    }

    async fn send(&self, numbers: std::ops::Range<u64>) -> anyhow::Result<()> {
        let mut request = self.client.send_message_batch().queue_url(&self.url);
        for number in numbers {
            let entry = SendMessageBatchRequestEntry::builder().id(number.to_string());
            request = request.entries(entry.message_body(body(number)).build()?);
        }
        let answer = request.send().await?;
        ensure!(answer.failed.is_empty(), "{:?}", answer.failed);
        Ok(())
    }

    /// Receives and deletes so many messages, with so many receives at a time.
    pub async fn empty(&self, messages: u64, receives: usize) -> anyhow::Result<()> {
        let taken = Arc::new(AtomicU64::new(0));
        let mut receivers = JoinSet::new();
        for _ in 0..receives {
            let (this, taken) = (self.clone(), Arc::clone(&taken));
            receivers.spawn(async move {
                while taken.load(Ordering::Relaxed) < messages {
                    taken.fetch_add(this.take().await?, Ordering::Relaxed);
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = receivers.join_next().await {
            ended??;
        }
        Ok(())
    }

    async fn take(&self) -> anyhow::Result<u64> {
        let request = self.client.receive_message().queue_url(&self.url);
        let received = request.max_number_of_messages(10).message_attribute_names("All");
        let messages = received.send().await?.messages.unwrap_or_default();
        if messages.is_empty() {
            return Ok(0);
        }
        let mut request = self.client.delete_message_batch().queue_url(&self.url);
        for (at, message) in messages.iter().enumerate() {
            let receipt = message.receipt_handle.as_deref().unwrap_or_default();
            let entry = DeleteMessageBatchRequestEntry::builder().id(at.to_string());
            request = request.entries(entry.receipt_handle(receipt).build()?);
        }
        let answer = request.send().await?;
        ensure!(answer.failed.is_empty(), "{:?}", answer.failed);
        Ok(messages.len() as u64)
    }

    /// Waits until nothing is left, visible or not.
    pub async fn is_empty(&self) -> anyhow::Result<()> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let deadline = Instant::now() + SOON;
        loop {
            let request = self.client.get_queue_attributes().queue_url(&self.url);
            let request = request.set_attribute_names(Some(names.to_vec()));
            let attributes = request.send().await?.attributes.unwrap_or_default();
            if names.iter().all(|name| attributes.get(name).is_some_and(|count| count == "0")) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "messages are left: {attributes:?}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

/// A message as a build system sends it.
fn body(number: u64) -> String {
    let mut body = format!(
        r#"{{"action":"completed","repository":"shop","branch":"main","correlation_id":"{}","log":""#,
        correlation_id(number)
    );
    while body.len() < BODY_BYTES - 2 {
        body.push('.');
    }
    body.push_str("\"}");
    body
}
