//! Takes messages from the client and hands them on, on a thread of its own: the client calls
//! back on the thread that polls it, and waits for what it has called.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tripline_kafka::Credentials;

use super::batch::Deliverer;
use super::condition::{Condition, Part};
use super::config::{Kafka, Part as Reads};
use super::context::{Context, may_not_read, not_there};
use super::held::Progress;
use super::limits::{
    CALL, IN_A_ROW, KEEP_EVERY, KNOCK, MOMENT, PACED, PATIENCE, SECRETS_EVERY, STOP, WAIT,
    WAIT_FOR_APPEND,
};
use super::message::taken;
use super::session::client;
use crate::again::{FIRST_PAUSE, longer};
use crate::source::Running;

/// Why a session has ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// For another to begin, with a secret that has changed.
    Renew,
}

/// Takes the messages of a topic.
pub struct Puller {
    kafka: Arc<Kafka>,
    running: Running,
    /// Cancelled when it is to end.
    stop: CancellationToken,
    consumer: BaseConsumer<Context>,
    context: Arc<Context>,
    runtime: Handle,
    credentials: Credentials,
    secrets_seen: Instant,
    /// When the broker is asked next how it is, and the pause after that.
    knock: (Instant, Duration),
    /// Since when no more is taken.
    full_since: Option<Instant>,
    /// When the next batch may be appended, where there is a limit.
    paced: Instant,
    place: Place,
}

/// How far a single partition is read.
struct Place {
    next: Option<i64>,
    kept: Option<i64>,
    at: Instant,
}

impl Puller {
    /// Makes the client. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// What is wrong with its settings.
    pub fn new(
        kafka: Arc<Kafka>,
        running: Running,
        stop: CancellationToken,
        credentials: Credentials,
    ) -> Result<Self, String> {
        let topic = &kafka.topic;
        let (well, joining) = match &kafka.part {
            Reads::Group { name, .. } => (
                format!("takes messages from topic `{topic}` as a member of group `{name}`"),
                format!("joins group `{name}`"),
            ),
            Reads::Partition(partition) => (
                format!("takes messages from partition {partition} of topic `{topic}`"),
                format!("connects to topic `{topic}`"),
            ),
        };
        let (key, health) = (running.key.clone(), running.health.clone());
        let condition = Condition::new(key, health, well, joining);
        let context = Context::new(Arc::clone(&kafka), condition);
        let consumer = client(&kafka, &credentials, context)?;
        let now = Instant::now();
        Ok(Self {
            context: Arc::clone(consumer.context()),
            consumer,
            kafka,
            running,
            stop,
            runtime: Handle::current(),
            credentials,
            secrets_seen: now,
            knock: (now + KNOCK, FIRST_PAUSE),
            full_since: None,
            paced: now,
            place: Place { next: None, kept: None, at: now },
        })
    }

    /// Takes messages until it is to stop. What the event bus is about to take by then is
    /// finished, and the group left.
    ///
    /// # Errors
    /// What keeps it from going on.
    pub fn run(mut self) -> Result<Ended, String> {
        let ended = self.begin().and_then(|()| self.until_ended());
        let durable = self.context.wind_up(STOP, |_| true);
        self.are_durable(durable);
        self.keep_place();
        self.context.closing.store(true, Ordering::Relaxed);
        ended
    }

    fn begin(&mut self) -> Result<(), String> {
        match self.kafka.part {
            Reads::Group { .. } => {
                let subscribed = self.consumer.subscribe(&[&self.kafka.topic]);
                subscribed.map_err(|error| format!("the group cannot be joined: {error}"))
            }
            Reads::Partition(partition) => self.begin_at_place(partition),
        }
    }

    /// Where the partition was read to; at first at its end, which is kept before anything is
    /// read: what comes from now on is taken, also after a crash.
    fn begin_at_place(&mut self, partition: i32) -> Result<(), String> {
        let (sink, key) = (&self.running.context.sink, &self.running.key);
        let of = place_of(&self.kafka.topic, partition);
        let unknown =
            |error| format!("how far partition {partition} was read is not known: {error}");
        let known = self.runtime.block_on(sink.place(key, &of)).map_err(unknown)?;
        let next = match known.and_then(|text| text.parse().ok()) {
            Some(next) => next,
            None => {
                let topic = &self.kafka.topic;
                let ends = self.consumer.fetch_watermarks(topic, partition, CALL);
                let (_, end) = ends.map_err(|error| self.explain(&error))?;
                let text = end.to_string();
                let keeping = sink.keep_place(key, &of, &text);
                self.runtime.block_on(keeping).map_err(unknown)?;
                end
            }
        };
        self.place.kept = Some(next);
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.kafka.topic, partition, Offset::Offset(next))
            .and_then(|()| self.consumer.assign(&list))
            .map_err(|error| format!("partition {partition} cannot be read: {error}"))
    }

    fn until_ended(&mut self) -> Result<Ended, String> {
        loop {
            if self.stop.is_cancelled() {
                return Ok(Ended::Stopped);
            }
            if let Some(why) = self.context.failed() {
                return Err(why);
            }
            if self.secrets_have_changed() {
                return Ok(Ended::Renew);
            }
            self.look_after();
            self.progress(Duration::ZERO);
            self.append();
            if self.place.at.elapsed() >= KEEP_EVERY {
                self.keep_place();
            }
            let wait = self.wait();
            if self.may_poll() {
                self.poll(wait);
            } else {
                self.rest(wait);
            }
        }
    }

    /// Takes what has come, or waits for it.
    fn poll(&mut self, mut wait: Duration) {
        for _ in 0..IN_A_ROW {
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    let taken = taken(&message, &self.kafka, &self.running);
                    self.context.condition.received();
                    let mut held = self.context.held();
                    held.push(taken);
                    if held.is_full() {
                        return;
                    }
                    wait = Duration::ZERO;
                }
                Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                    return self.context.fail(format!("{code}{}", self.context.because()));
                }
                // The client has called back with it.
                Some(Err(_)) | None => return,
            }
        }
    }

    /// Waits for the append that is under way, or for the time of the next.
    fn rest(&mut self, wait: Duration) {
        if self.context.held().under_way_for().is_some() {
            self.progress(wait);
        } else {
            std::thread::sleep(wait);
        }
    }

    /// Whether there is room for more. Where there is none for longer than a moment fetching is
    /// paused, and the client is polled all the same: otherwise the group would go on without it.
    fn may_poll(&mut self) -> bool {
        let full = self.context.held().is_full();
        let paused = self.context.paused.load(Ordering::Relaxed);
        if !full {
            self.full_since = None;
            if paused {
                self.fetch(true);
            }
            return true;
        }
        let since = *self.full_since.get_or_insert_with(Instant::now);
        if !paused && since.elapsed() >= PATIENCE {
            self.fetch(false);
            return true;
        }
        paused
    }

    fn fetch(&self, on: bool) {
        let changed = self.consumer.assignment().and_then(|partitions| {
            if on { self.consumer.resume(&partitions) } else { self.consumer.pause(&partitions) }
        });
        match changed {
            Ok(()) => self.context.paused.store(!on, Ordering::Relaxed),
            Err(error) => {
                tracing::debug!(event_source = %self.running.key, %error, "fetching stays as it is");
            }
        }
    }

    fn wait(&self) -> Duration {
        let held = self.context.held();
        match held.under_way_for() {
            Some(elapsed) if elapsed < MOMENT => WAIT_FOR_APPEND,
            Some(_) => MOMENT / 2,
            None if held.is_empty() => WAIT,
            None => self.paced.saturating_duration_since(Instant::now()).min(WAIT),
        }
    }

    fn progress(&mut self, patience: Duration) {
        let progress = self.context.held().progress(patience);
        match progress {
            Progress::Durable(next) => self.are_durable(next),
            Progress::Lost => {
                self.context.fail("an append ended without an answer".to_owned());
            }
            Progress::None | Progress::UnderWay | Progress::Abandoned => {}
        }
    }

    /// All before these offsets is.
    fn are_durable(&mut self, next: BTreeMap<i32, i64>) {
        match self.kafka.part {
            Reads::Group { .. } => self.context.store(&self.consumer, &next),
            Reads::Partition(partition) => {
                self.place.next = next.get(&partition).copied().or(self.place.next);
            }
        }
    }

    /// Begins the next append, if none is under way and its time has come.
    fn append(&mut self) {
        let now = Instant::now();
        let most = match self.kafka.per_second {
            None => usize::MAX,
            Some(_) if now < self.paced => return,
            Some(limit) => {
                let part = f64::from(limit) * PACED.as_secs_f64();
                (part as usize).max(1)
            }
        };
        let Some(batch) = self.context.held().begin(most) else { return };
        if let Some(limit) = self.kafka.per_second {
            let taken = u32::try_from(batch.messages.len()).unwrap_or(u32::MAX);
            self.paced = now + Duration::from_secs(1) * taken / limit;
        }
        let deliverer = Deliverer {
            running: self.running.clone(),
            context: Arc::clone(&self.context),
            abandon: batch.abandon,
        };
        self.runtime.spawn(async move {
            let answer = deliverer.deliver(batch.messages).await;
            // Nobody waits for it where the source has ended: it is read again.
            drop(batch.answer.send(answer));
        });
    }

    /// Keeps the place in a single partition, if it is another one than was kept.
    fn keep_place(&mut self) {
        self.place.at = Instant::now();
        let Reads::Partition(partition) = self.kafka.part else { return };
        let Some(next) = self.place.next.filter(|next| self.place.kept != Some(*next)) else {
            return;
        };
        let of = place_of(&self.kafka.topic, partition);
        let text = next.to_string();
        let keeping = self.running.context.sink.keep_place(&self.running.key, &of, &text);
        let kept = self.runtime.block_on(async { timeout(KNOCK, keeping).await });
        match kept {
            Ok(Ok(())) => self.place.kept = Some(next),
            // It is kept the next time; what is read again is recognised.
            _ => tracing::debug!(event_source = %self.running.key, "the place is not kept"),
        }
    }

    fn secrets_have_changed(&mut self) -> bool {
        if self.credentials.is_empty() || self.secrets_seen.elapsed() < SECRETS_EVERY {
            return false;
        }
        self.secrets_seen = Instant::now();
        let secrets = &*self.running.context.secrets;
        let now = self.kafka.credentials(&self.running.key.namespace, secrets);
        // One that cannot be read counts as unchanged: what was read goes on to work.
        let changed = now.is_ok_and(|now| now != self.credentials);
        if changed {
            tracing::info!(event_source = %self.running.key, "the credentials have changed and are taken up");
        }
        changed
    }

    /// Asks how the broker and the topic are, where that is in doubt: the client says when
    /// something breaks, and nothing when it is whole again.
    fn look_after(&mut self) {
        let doubtful = self.context.condition.is_doubtful();
        if doubtful && Instant::now() < self.knock.0 {
            return;
        }
        if !doubtful && !self.context.take_suspicion() {
            self.knock.1 = FIRST_PAUSE;
            return;
        }
        match self.ask() {
            Ok(()) => {
                self.context.condition.well(&[Part::Broker, Part::Topic]);
                if matches!(self.kafka.part, Reads::Partition(_)) {
                    self.context.condition.well(&[Part::Joining]);
                }
            }
            Err((part, why)) => self.context.condition.wrong(part, why),
        }
        self.knock = (Instant::now() + self.knock.1, longer(self.knock.1));
    }

    fn ask(&self) -> Result<(), (Part, String)> {
        let topic = &self.kafka.topic;
        let answer = self.consumer.fetch_metadata(Some(topic), KNOCK);
        let answer = answer.map_err(|error| (Part::Broker, self.explain(&error)))?;
        let found = answer.topics().first();
        if let Some(error) = found.and_then(|found| found.error()) {
            let error = RDKafkaErrorCode::from(error);
            return Err((Part::Topic, explain_topic(topic, error)));
        }
        let is_there = |partition: i32| {
            found.is_some_and(|found| found.partitions().iter().any(|p| p.id() == partition))
        };
        match self.kafka.part {
            Reads::Partition(partition) if !is_there(partition) => {
                Err((Part::Topic, not_there(topic)))
            }
            _ => Ok(()),
        }
    }

    fn explain(&self, error: &KafkaError) -> String {
        match error.rdkafka_error_code() {
            Some(
                code @ (RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::TopicAuthorizationFailed),
            ) => explain_topic(&self.kafka.topic, code),
            _ => self.context.unreachable(),
        }
    }
}

/// What is wrong with a topic, by the code of an answer.
pub fn explain_topic(topic: &str, code: RDKafkaErrorCode) -> String {
    match code {
        RDKafkaErrorCode::UnknownPartition
        | RDKafkaErrorCode::UnknownTopic
        | RDKafkaErrorCode::UnknownTopicOrPartition => not_there(topic),
        RDKafkaErrorCode::TopicAuthorizationFailed => may_not_read(topic),
        other => format!("topic `{topic}` cannot be read: {other}"),
    }
}

fn place_of(topic: &str, partition: i32) -> String {
    format!("kafka/{topic}/{partition}")
}
