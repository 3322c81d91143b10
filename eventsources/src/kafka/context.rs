//! What the client calls back: errors, log lines, and partitions that come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{
    BaseConsumer, CommitMode, Consumer as _, ConsumerContext, RebalanceProtocol,
};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use tripline_kafka::{tells_more, tidy};

use super::condition::{Condition, Part};
use super::config::{Kafka, Part as Reads};
use super::held::{Held, Progress};
use super::limits::{CALL, REVOKE};

/// What the client calls back.
pub struct Context {
    pub condition: Condition,
    kafka: Arc<Kafka>,
    held: Mutex<Held>,
    /// Why the client can no longer be used.
    failed: Mutex<Option<String>>,
    /// What the client said last of what went wrong.
    said: Mutex<Option<String>>,
    /// Something went wrong that may matter: the broker should be asked.
    suspicious: AtomicBool,
    /// Whether fetching is paused.
    pub paused: AtomicBool,
    /// The client is about to be closed: nothing is waited for any more.
    pub closing: AtomicBool,
}

impl Context {
    /// Nothing has happened yet.
    pub fn new(kafka: Arc<Kafka>, condition: Condition) -> Self {
        Self {
            condition,
            kafka,
            held: Mutex::default(),
            failed: Mutex::default(),
            said: Mutex::default(),
            suspicious: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        }
    }

    /// What is held. The lock must not be kept while the client is polled, which may call back.
    pub fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client can no longer be used.
    pub fn fail(&self, why: String) {
        lock(&self.failed).get_or_insert(why);
    }

    /// Why the client can no longer be used.
    pub fn failed(&self) -> Option<String> {
        lock(&self.failed).clone()
    }

    /// Whether the broker should be asked how it is; asks once for each suspicion.
    pub fn take_suspicion(&self) -> bool {
        self.suspicious.swap(false, Ordering::Relaxed)
    }

    /// The latest words of the client, behind a colon.
    pub fn because(&self) -> String {
        lock(&self.said).as_ref().map_or_else(String::new, |said| format!(": {said}"))
    }

    /// Why no broker can be used, by the latest words of the client.
    pub fn unreachable(&self) -> String {
        tripline_kafka::because(lock(&self.said).as_deref())
    }

    /// Stores how far reading is, for the client to commit.
    pub fn store(&self, consumer: &BaseConsumer<Self>, next: &BTreeMap<i32, i64>) {
        if next.is_empty() {
            return;
        }
        let offsets = list(&self.kafka.topic, next);
        // A partition that is no longer one's own: its next owner reads what is durable again,
        // and it is recognised.
        if let Err(error) = consumer.store_offsets(&offsets) {
            tracing::debug!(topic = self.kafka.topic, %error, "offsets are not stored");
        }
    }

    /// Finishes what is under way and drops the rest, of all partitions for which `is_gone`.
    /// Returns where reading goes on in each partition of which something became durable.
    pub fn wind_up(&self, patience: Duration, is_gone: impl Fn(i32) -> bool) -> BTreeMap<i32, i64> {
        let mut held = self.held();
        held.drop_waiting(&is_gone);
        match held.progress(patience) {
            Progress::Durable(next) => return next,
            Progress::Abandoned => held.drop_waiting(&is_gone),
            Progress::UnderWay => held.give_up(&is_gone),
            Progress::Lost => self.fail("an append ended without an answer".to_owned()),
            Progress::None => {}
        }
        BTreeMap::new()
    }

    fn assigned(&self, consumer: &BaseConsumer<Self>, given: &mut TopicPartitionList) {
        let fresh = match self.begin_at_the_end(consumer, given) {
            Ok(fresh) => fresh,
            Err(error) => {
                self.fail(format!("it cannot be found out how far the group is: {error}"));
                *given = TopicPartitionList::new();
                BTreeMap::new()
            }
        };
        let assigned = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(given),
            _ => consumer.assign(given),
        };
        if let Err(error) = assigned {
            self.fail(format!("partitions cannot be taken: {error}"));
            return;
        }
        self.paused.store(false, Ordering::Relaxed);
        if !fresh.is_empty() {
            let offsets = list(&self.kafka.topic, &fresh);
            let begun = consumer.commit(&offsets, CommitMode::Async);
            if let Err(error) = begun {
                tracing::debug!(topic = self.kafka.topic, %error, "beginning is not committed");
            }
        }
        self.condition.well(&[Part::Broker, Part::Topic, Part::Group, Part::Joining]);
    }

    /// Where the group has read nothing and is not to begin at the oldest message, it begins at
    /// what is the end now, and that is committed: what comes from now on is read, also after a
    /// crash. Returns these places.
    fn begin_at_the_end(
        &self,
        consumer: &BaseConsumer<Self>,
        given: &mut TopicPartitionList,
    ) -> KafkaResult<BTreeMap<i32, i64>> {
        let mut fresh = BTreeMap::new();
        let Reads::Group { oldest: false, .. } = self.kafka.part else { return Ok(fresh) };
        if given.count() == 0 {
            return Ok(fresh);
        }
        let committed = consumer.committed_offsets(given.clone(), CALL)?;
        for element in committed.elements() {
            element.error()?;
            if !matches!(element.offset(), Offset::Offset(_)) {
                let (topic, partition) = (element.topic(), element.partition());
                let (_, end) = consumer.fetch_watermarks(topic, partition, CALL)?;
                given.set_partition_offset(topic, partition, Offset::Offset(end))?;
                fresh.insert(partition, end);
            }
        }
        Ok(fresh)
    }

    fn revoked(&self, consumer: &BaseConsumer<Self>, taken: &TopicPartitionList) {
        let gone: BTreeSet<i32> = taken.elements().iter().map(|e| e.partition()).collect();
        let lost = consumer.assignment_lost();
        let closing = self.closing.load(Ordering::Relaxed);
        // Of what is lost already nothing can be committed any more.
        let patience = if lost || closing { Duration::ZERO } else { REVOKE };
        let durable = self.wind_up(patience, |partition| gone.contains(&partition));
        self.store(consumer, &durable);
        if lost {
            let why = format!("the group went on without this member{}", self.because());
            self.condition.wrong(Part::Group, why);
        }
        // What was stored is committed with this, before another member gets the partitions.
        let unassigned = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(taken),
            _ => consumer.unassign(),
        };
        if let Err(error) = unassigned {
            self.fail(format!("partitions cannot be given back: {error}"));
        }
    }

    fn say(&self, text: &str) {
        let (text, mut said) = (tidy(text), lock(&self.said));
        if tells_more(said.as_deref(), &text) {
            *said = Some(text);
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, text: &str) {
        if matches!(
            level,
            RDKafkaLogLevel::Emerg
                | RDKafkaLogLevel::Alert
                | RDKafkaLogLevel::Critical
                | RDKafkaLogLevel::Error
        ) {
            self.say(text);
        }
        tracing::debug!(topic = self.kafka.topic, "librdkafka: {fac}: {text}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        use RDKafkaErrorCode as Code;
        let topic = &self.kafka.topic;
        let Some(code) = error.rdkafka_error_code() else { return };
        match code {
            Code::AllBrokersDown => {
                self.condition.wrong(Part::Broker, self.unreachable());
            }
            Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL => {
                self.say(reason);
                self.condition.wrong(Part::Broker, self.unreachable());
            }
            Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
                self.condition.wrong(Part::Topic, not_there(topic));
            }
            Code::TopicAuthorizationFailed => {
                self.condition.wrong(Part::Topic, may_not_read(topic));
            }
            Code::GroupAuthorizationFailed => {
                // One partition alone is read without the group that the client must have.
                if let Reads::Group { name, .. } = &self.kafka.part {
                    let why = format!("group `{name}` may not be joined: grant READ on it");
                    self.condition.wrong(Part::Group, why);
                }
            }
            Code::InconsistentGroupProtocol => {
                let why = "the group has members with another `rebalanceStrategy`: all must have \
                           the same (`sticky` is the client's cooperative one)";
                self.condition.wrong(Part::Group, why.to_owned());
            }
            Code::NotImplemented => {
                let why = format!("messages cannot be read: {}", tidy(reason));
                self.condition.wrong(Part::Fetching, why);
            }
            Code::PollExceeded => self.fail(format!("the group went on alone: {}", tidy(reason))),
            Code::Fatal => self.fail(tidy(reason)),
            Code::PartitionEOF => {}
            // One broker of several, or for a moment: it is asked whether that matters.
            _ => {
                self.say(reason);
                self.suspicious.store(true, Ordering::Relaxed);
            }
        }
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assigned(consumer, partitions);
        } else {
            self.revoked(consumer, partitions);
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            // What is committed later includes it; what is read again is recognised.
            tracing::debug!(topic = self.kafka.topic, %error, "offsets are not committed");
        }
    }
}

/// The topic is not there.
pub fn not_there(topic: &str) -> String {
    format!("topic `{topic}`, or its partition, does not exist: check `topic` and `url`")
}

/// The topic may not be read.
pub fn may_not_read(topic: &str) -> String {
    format!("topic `{topic}` may not be read: grant READ on it")
}

/// Offsets of a topic's partitions.
pub(super) fn list(topic: &str, offsets: &BTreeMap<i32, i64>) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (partition, offset) in offsets {
        let mut element = list.add_partition(topic, *partition);
        if let Err(error) = element.set_offset(Offset::Offset(*offset)) {
            tracing::debug!(topic, partition, offset, %error, "no offset");
        }
    }
    list
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
