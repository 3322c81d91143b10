//! A stream full of messages, and the bare client that fills and empties it.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::{self, Context};
use futures_util::StreamExt as _;
use tripline_tests::intake::{Took, body};
use tripline_tests::proc::cpu;

/// How many messages are published before the first one's answer is waited for.
const IN_FLIGHT: usize = 1000;

/// A stream.
pub struct Backlog {
    pub name: &'static str,
    pub subject: String,
    context: Context,
}

impl Backlog {
    /// An empty stream.
    pub async fn create(url: &str, name: &'static str) -> anyhow::Result<Self> {
        let context = jetstream::new(async_nats::connect(url).await?);
        let subject = name.to_lowercase();
        let config = jetstream::stream::Config {
            name: name.to_owned(),
            subjects: vec![subject.clone()],
            ..Default::default()
        };
        context.create_stream(config).await?;
        Ok(Self { name, subject, context })
    }

    /// Publishes so many messages.
    pub async fn fill(&self, messages: u64) -> anyhow::Result<()> {
        let sent = futures_util::stream::iter(0..messages).map(async |number| {
            let sent = self.context.publish(self.subject.clone(), body(number).into()).await?;
            sent.await?;
            anyhow::Ok(())
        });
        let mut sent = std::pin::pin!(sent.buffer_unordered(IN_FLIGHT));
        while let Some(stored) = sent.next().await {
            stored?;
        }
        Ok(())
    }

    /// Takes and acknowledges so many messages, as a durable consumer: how long that takes from the
    /// first to when the server has the last acknowledgement.
    pub async fn empty(&self, messages: u64) -> anyhow::Result<Took> {
        let stream = self.context.get_stream(self.name).await?;
        let config = pull::Config {
            durable_name: Some("bare".to_owned()),
            ack_policy: AckPolicy::Explicit,
            max_ack_pending: 12_000,
            ..Default::default()
        };
        let consumer = stream.create_consumer(config).await?;
        let mut taken = consumer.stream().max_messages_per_batch(2000).messages().await?;
        let (pid, mut begun) = (std::process::id(), None);
        for _ in 0..messages {
            let message = taken.next().await.context("the consumer has ended")??;
            if begun.is_none() {
                begun = Some((Instant::now(), cpu(pid)?));
            }
            message.ack().await.map_err(|error| anyhow::anyhow!(error))?;
        }
        self.context.client().flush().await?;
        let (began, used) = begun.context("there are no messages")?;
        let cpu = cpu(pid)?.saturating_sub(used);
        Ok(Took { messages: messages - 1, time: began.elapsed(), cpu })
    }

    /// Whether every message is acknowledged.
    pub async fn is_empty(&self) -> anyhow::Result<()> {
        let stream = self.context.get_stream(self.name).await?;
        let mut consumers = stream.consumers();
        while let Some(consumer) = consumers.next().await {
            let consumer = consumer?;
            let left = consumer.num_pending + consumer.num_ack_pending as u64;
            ensure!(left == 0, "{left} messages are left");
        }
        Ok(())
    }
}
