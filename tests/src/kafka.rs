//! Topics of a broker, for tests and benchmarks: with the bare client as producer and reader.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::daemon::SOON;

/// How long a message may take to be acknowledged, whoever is killed meanwhile: on a busy machine a
/// broker takes a minute to be back.
const SENDING: Duration = Duration::from_secs(240);

/// Settings that find a broker again soon after it was killed.
pub fn config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("reconnect.backoff.max.ms", "500");
    config
}

/// A topic.
#[derive(Clone)]
pub struct Topic {
    /// Its name.
    pub name: String,
    brokers: String,
    partitions: i32,
    producer: FutureProducer,
}

/// A message of a topic.
#[derive(Clone, Debug)]
pub struct Read {
    /// Its value.
    pub value: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
}

impl Read {
    /// The value of a header.
    ///
    /// # Errors
    /// It has none of this name.
    pub fn header(&self, name: &str) -> anyhow::Result<&str> {
        let header = self.headers.iter().find(|(known, _)| known == name);
        header.map(|(_, value)| value.as_str()).with_context(|| format!("no {name} in {self:?}"))
    }
}

impl Topic {
    /// Creates it.
    ///
    /// # Errors
    /// The broker does not.
    pub async fn create(brokers: &str, name: &str, partitions: i32) -> anyhow::Result<Self> {
        let admin: AdminClient<DefaultClientContext> = config(brokers).create()?;
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let created = admin.create_topics([&topic], &AdminOptions::new()).await?;
        for topic in created {
            topic.map_err(|(name, code)| anyhow::anyhow!("topic {name}: {code}"))?;
        }
        let producer = config(brokers)
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", SENDING.as_millis().to_string())
            .set("queue.buffering.max.messages", "1000000")
            .create()?;
        Ok(Self { name: name.to_owned(), brokers: brokers.to_owned(), partitions, producer })
    }

    /// Sends values, in turn into the partitions; returns where each was written.
    ///
    /// # Errors
    /// One is not acknowledged.
    pub async fn send(
        &self,
        values: impl Iterator<Item = String>,
    ) -> anyhow::Result<Vec<(i32, i64)>> {
        let mut sending = Vec::new();
        for (number, value) in values.enumerate() {
            let partition = i32::try_from(number % self.partitions.unsigned_abs() as usize)?;
            let record = FutureRecord::<str, str>::to(&self.name).partition(partition);
            let sent = self.producer.send_result(record.payload(&value));
            sending.push(sent.map_err(|(error, _)| error)?);
        }
        let mut written = Vec::new();
        for sent in sending {
            let delivery = sent.await?.map_err(|(error, _)| error)?;
            written.push((delivery.partition, delivery.offset));
        }
        Ok(written)
    }

    /// A consumer at the beginning of all partitions.
    ///
    /// # Errors
    /// The client cannot be made.
    pub fn consumer(&self, group: &str) -> anyhow::Result<BaseConsumer> {
        let mut config = config(&self.brokers);
        config.set("group.id", group).set("enable.auto.offset.store", "false");
        let consumer: BaseConsumer = config.create()?;
        let mut list = TopicPartitionList::new();
        for partition in 0..self.partitions {
            list.add_partition_offset(&self.name, partition, Offset::Beginning)?;
        }
        consumer.assign(&list)?;
        Ok(consumer)
    }

    /// All that it holds.
    ///
    /// # Errors
    /// The broker does not say.
    pub fn read(&self) -> anyhow::Result<Vec<Read>> {
        let consumer = self.consumer("reader")?;
        let mut left = 0;
        for partition in 0..self.partitions {
            let (first, end) = consumer.fetch_watermarks(&self.name, partition, SOON)?;
            left += end - first;
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (mut read, begin) = (Vec::new(), Instant::now());
        while left > 0 {
            ensure!(begin.elapsed() < SOON, "{left} messages of {} do not come", self.name);
            let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
            // The broker may have been away.
            let Ok(message) = message else { continue };
            let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
            read.push(Read {
                value: message.payload().map(text).unwrap_or_default(),
                headers: headers
                    .map(|header| {
                        (header.key.to_owned(), header.value.map(text).unwrap_or_default())
                    })
                    .collect(),
            });
            left -= 1;
        }
        Ok(read)
    }
}
