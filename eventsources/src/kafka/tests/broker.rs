//! A broker, topics on it, and event sources on those.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;
use tripline_testbed::Kafka;

use crate::testing::{World, definitions};

/// The longest that a test waits for something.
pub const SOON: Duration = Duration::from_secs(60);

/// Shared by the tests that do not end it; each has topics of its own.
static KAFKA: LazyLock<Kafka> = LazyLock::new(|| Kafka::start().unwrap());

/// The shared broker.
pub fn kafka() -> &'static Kafka {
    &KAFKA
}

/// A topic, seen by a producer.
pub struct Topic {
    pub brokers: String,
    pub name: String,
    producer: FutureProducer,
}

fn config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("reconnect.backoff.max.ms", "500");
    config
}

impl Topic {
    /// A topic of the shared broker.
    pub async fn new(name: &str, partitions: i32) -> Self {
        Self::on(&kafka().brokers(), name, partitions).await
    }

    pub async fn on(brokers: &str, name: &str, partitions: i32) -> Self {
        let admin: AdminClient<DefaultClientContext> = config(brokers).create().unwrap();
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let created = admin.create_topics([&topic], &AdminOptions::new()).await.unwrap();
        created[0].as_ref().unwrap();
        let producer = config(brokers).set("linger.ms", "0").create().unwrap();
        Self { brokers: brokers.to_owned(), name: name.to_owned(), producer }
    }

    /// Sends a value into partition 0.
    pub async fn send(&self, value: &str) {
        self.send_with(0, Some(value), None, &[]).await;
    }

    pub async fn send_with(
        &self,
        partition: i32,
        value: Option<&str>,
        key: Option<&str>,
        headers: &[(&str, &str)],
    ) {
        let mut record = FutureRecord::<str, str>::to(&self.name).partition(partition);
        record.payload = value;
        record.key = key;
        let mut with = OwnedHeaders::new();
        for (key, value) in headers {
            with = with.insert(Header { key, value: Some(*value) });
        }
        let record = record.headers(with).timestamp(1_795_230_000_120);
        self.producer.send(record, SOON).await.unwrap();
    }

    /// Sends so many numbers in turn into the partitions, from `first` on.
    pub async fn send_numbers(&self, partitions: i32, numbers: std::ops::Range<u32>) {
        let all = numbers.map(|number| {
            let partition = i32::try_from(number).unwrap() % partitions;
            let value = json!({"n": number, "p": partition}).to_string();
            let record = FutureRecord::<str, str>::to(&self.name).partition(partition);
            self.producer.send_result(record.payload(&value)).unwrap()
        });
        for sent in all.collect::<Vec<_>>() {
            sent.await.unwrap().unwrap();
        }
    }

    /// The offsets that a group has committed, of these partitions.
    pub fn committed(&self, group: &str, partitions: i32) -> Vec<Option<i64>> {
        let consumer: BaseConsumer = config(&self.brokers).set("group.id", group).create().unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition(&self.name, partition);
        }
        let found = consumer.committed_offsets(list, SOON).unwrap();
        let offset = |offset| if let Offset::Offset(offset) = offset { Some(offset) } else { None };
        found.elements().iter().map(|element| offset(element.offset())).collect()
    }

    /// Waits until a group has committed these offsets.
    pub async fn is_committed(&self, group: &str, expected: &[Option<i64>]) {
        let partitions = i32::try_from(expected.len()).unwrap();
        let deadline = std::time::Instant::now() + SOON;
        loop {
            let found = self.committed(group, partitions);
            if found == expected {
                return;
            }
            assert!(std::time::Instant::now() < deadline, "{found:?}, expected {expected:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// An event source on it, with these fields besides.
    pub fn source(&self, world: &World, fields: Value) {
        source(world, &self.brokers, &self.name, fields);
    }
}

/// A group that reads from the oldest message.
pub fn oldest(group: &str) -> Value {
    json!({"consumerGroup": {"groupName": group, "oldest": true}})
}

/// An event source on the topic of this name.
pub fn source(world: &World, brokers: &str, topic: &str, fields: Value) {
    let mut config = json!({
        "url": brokers, "topic": topic,
        "config": "consumer: {group: {session: {timeout: 3s}}}",
    });
    config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let definitions = definitions(&[("builds", json!({"kafka": {"completed": config}}))]);
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
    data(world)
}

/// The data of all events.
pub fn data(world: &World) -> Vec<Value> {
    let data = |message: crate::Message| serde_json::from_slice(&message.data).unwrap();
    world.sink.taken().into_iter().map(data).collect()
}

/// The numbers of all events by partition, in the order in which they came. Bodies are base64.
pub fn numbers(world: &World) -> BTreeMap<i64, Vec<u64>> {
    let mut numbers: BTreeMap<i64, Vec<u64>> = BTreeMap::new();
    for message in world.sink.taken() {
        let body: Value = serde_json::from_slice(message.body.as_deref().unwrap()).unwrap();
        let partition = body["p"].as_i64().unwrap();
        numbers.entry(partition).or_default().push(body["n"].as_u64().unwrap());
    }
    numbers
}

/// Waits until what a sink tells is so.
pub async fn until<T>(told: &watch::Sender<T>, is_so: impl FnMut(&T) -> bool) {
    let mut told = told.subscribe();
    let waited = timeout(SOON, told.wait_for(is_so)).await;
    assert!(waited.is_ok(), "it does not come about");
}

/// Waits until the source says this.
pub async fn says(world: &World, ready: bool, words: &str) {
    let holds = || {
        let status = world.sources.status();
        status.iter().any(|status| status.ready == ready && status.detail.contains(words))
    };
    let said = timeout(SOON, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(said.await.is_ok(), "expected {words:?}: {:?}", world.sources.status());
}
