//! A queue full of messages, and the bare client that fills and empties it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::ensure;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, QueueAttributeName};
use tokio::task::JoinSet;
use tripline_tests::aws::{BATCH, Queue};
use tripline_tests::daemon::SOON;
use tripline_tests::intake::body;

/// How many batches are sent at once.
const SENDERS: u64 = 8;

/// A queue.
#[derive(Clone)]
pub struct Backlog {
    pub name: &'static str,
    pub endpoint: String,
    queue: Queue,
}

impl Backlog {
    /// An empty queue.
    pub async fn create(endpoint: String, name: &'static str) -> anyhow::Result<Self> {
        let queue = Queue::create(&endpoint, name).await?;
        Ok(Self { name, endpoint, queue })
    }

    /// Sends so many messages.
    pub async fn fill(&self, messages: u64) -> anyhow::Result<()> {
        let next = Arc::new(AtomicU64::new(0));
        let mut senders = JoinSet::new();
        for _ in 0..SENDERS {
            let (this, next) = (self.clone(), Arc::clone(&next));
            senders.spawn(async move {
                loop {
                    let first = next.fetch_add(BATCH as u64, Ordering::Relaxed);
                    if first >= messages {
                        return anyhow::Ok(());
                    }
                    let numbers = first..messages.min(first + BATCH as u64);
                    this.queue.send(&numbers.map(body).collect::<Vec<_>>()).await?;
                }
            });
        }
        while let Some(ended) = senders.join_next().await {
            ended??;
        }
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
        let request = self.queue.client.receive_message().queue_url(&self.queue.url);
        let received = request.max_number_of_messages(10).message_attribute_names("All");
        let messages = received.send().await?.messages.unwrap_or_default();
        if messages.is_empty() {
            return Ok(0);
        }
        let mut request = self.queue.client.delete_message_batch().queue_url(&self.queue.url);
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
            let request = self.queue.client.get_queue_attributes().queue_url(&self.queue.url);
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
