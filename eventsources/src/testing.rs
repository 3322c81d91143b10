//! The world of a test: a sink that keeps what it gets, a clock that follows the runtime's
//! (also a paused one), secrets in memory.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tripline_event::{Clock, CorrelationId, EventId, EventKey, ObjectName, Position, Timestamp};

use crate::{
    Accepted, BoxFuture, EventDefinition, EventSink, Message, SecretLookup, SecretRef, SinkError,
    SourceContext, SourceSettings, Sources, Unreadable, events,
};

/// Keeps what it gets. Answers come from a queue of errors first.
pub struct RecordingSink {
    taken: watch::Sender<Vec<(EventId, Message)>>,
    /// Appends that were answered, those of known ids too.
    pub answered: watch::Sender<usize>,
    pub seen: Mutex<HashSet<(EventKey, EventId)>>,
    pub errors: Mutex<VecDeque<SinkError>>,
    pub refused: Mutex<Vec<(String, String)>>,
    pub unreadable: watch::Sender<Vec<Unreadable>>,
    pub missed: Mutex<Vec<(Timestamp, Timestamp, u64)>>,
    pub last_ticks: Mutex<BTreeMap<EventKey, Timestamp>>,
    pub places: Mutex<BTreeMap<(EventKey, String), String>>,
    /// While `false`, appends wait.
    pub open: watch::Sender<bool>,
    pub waiting: watch::Sender<usize>,
    /// The most appends that were under way at a time.
    pub most_waiting: Mutex<usize>,
    /// Appends that are to panic.
    pub panics: Mutex<u32>,
}

impl RecordingSink {
    pub fn taken(&self) -> Vec<Message> {
        self.taken.borrow().iter().map(|(_, message)| message.clone()).collect()
    }

    pub fn ids(&self) -> Vec<String> {
        self.taken.borrow().iter().map(|(id, _)| id.as_str().to_owned()).collect()
    }

    /// Waits for the first `count` ids.
    pub async fn first_ids(&self, count: usize) -> Vec<String> {
        let mut taken = self.taken.subscribe();
        let enough = taken.wait_for(|taken| taken.len() >= count);
        timeout(DAY, enough).await.expect("too few events in a day").unwrap();
        self.ids()
    }

    pub fn reasons(&self) -> Vec<String> {
        self.refused.lock().unwrap().iter().map(|(_, reason)| reason.clone()).collect()
    }

    pub fn fail(&self, errors: impl IntoIterator<Item = SinkError>) {
        self.errors.lock().unwrap().extend(errors);
    }
}

impl EventSink for RecordingSink {
    fn append(&self, message: Message) -> BoxFuture<'_, Result<Accepted, SinkError>> {
        Box::pin(async move {
            {
                let mut panics = self.panics.lock().unwrap();
                if *panics > 0 {
                    *panics -= 1;
                    drop(panics);
                    panic!("as the test wants it");
                }
            }
            self.waiting.send_modify(|waiting| *waiting += 1);
            {
                let mut most = self.most_waiting.lock().unwrap();
                *most = (*most).max(*self.waiting.borrow());
            }
            self.open.subscribe().wait_for(|open| *open).await.unwrap();
            self.waiting.send_modify(|waiting| *waiting -= 1);
            if let Some(error) = self.errors.lock().unwrap().pop_front() {
                return Err(error);
            }
            let sequence = self.taken.borrow().len() as u64 + 1;
            let id = message.id.clone().unwrap_or_else(|| EventId(format!("random-{sequence}")));
            let duplicate = !self.seen.lock().unwrap().insert((message.key.clone(), id.clone()));
            if !duplicate {
                self.taken.send_modify(|taken| taken.push((id.clone(), message)));
            }
            self.answered.send_modify(|answered| *answered += 1);
            let position = Position { incarnation: 1, sequence };
            Ok(Accepted { correlation: CorrelationId(id.0.clone()), id, position, duplicate })
        })
    }

    fn refused(&self, key: &EventKey, reason: &str) {
        self.refused.lock().unwrap().push((key.to_string(), reason.to_owned()));
    }

    fn unreadable(&self, message: Unreadable) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(async move {
            self.open.subscribe().wait_for(|open| *open).await.unwrap();
            if let Some(error) = self.errors.lock().unwrap().pop_front() {
                return Err(error);
            }
            let known = |kept: &&Unreadable| kept.id.is_some() && kept.id == message.id;
            if self.unreadable.borrow().iter().find(known).is_none() {
                self.unreadable.send_modify(|kept| kept.push(message));
            }
            Ok(())
        })
    }

    fn missed<'a>(
        &'a self,
        _: &'a EventKey,
        from: Timestamp,
        to: Timestamp,
        count: u64,
    ) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            if let Some(error) = self.errors.lock().unwrap().pop_front() {
                return Err(error);
            }
            self.missed.lock().unwrap().push((from, to, count));
            Ok(())
        })
    }

    fn last_tick<'a>(
        &'a self,
        key: &'a EventKey,
    ) -> BoxFuture<'a, Result<Option<Timestamp>, SinkError>> {
        Box::pin(async move { Ok(self.last_ticks.lock().unwrap().get(key).copied()) })
    }

    fn keep_last_tick<'a>(
        &'a self,
        key: &'a EventKey,
        tick: Timestamp,
    ) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            self.last_ticks.lock().unwrap().insert(key.clone(), tick);
            Ok(())
        })
    }

    fn place<'a>(
        &'a self,
        key: &'a EventKey,
        of: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, SinkError>> {
        let of = (key.clone(), of.to_owned());
        Box::pin(async move { Ok(self.places.lock().unwrap().get(&of).cloned()) })
    }

    fn keep_place<'a>(
        &'a self,
        key: &'a EventKey,
        of: &'a str,
        place: &'a str,
    ) -> BoxFuture<'a, Result<(), SinkError>> {
        let of = (key.clone(), of.to_owned());
        Box::pin(async move {
            self.places.lock().unwrap().insert(of, place.to_owned());
            Ok(())
        })
    }
}

/// Begins at a given time, and goes as the runtime's clock does.
pub struct TestClock {
    start: Instant,
    base: Mutex<Timestamp>,
}

impl TestClock {
    /// Sets the clock forward or back.
    pub fn jump(&self, seconds: i64) {
        let mut base = self.base.lock().unwrap();
        *base += jiff::SignedDuration::from_secs(seconds);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.base.lock().unwrap() + self.start.elapsed()
    }
}

#[derive(Default)]
pub struct TestSecrets(pub Mutex<BTreeMap<String, String>>);

impl TestSecrets {
    pub fn set(&self, path: &str, value: &str) {
        self.0.lock().unwrap().insert(path.to_owned(), value.to_owned());
    }
}

impl SecretLookup for TestSecrets {
    fn secret(&self, namespace: &str, secret: &SecretRef) -> Result<Bytes, String> {
        let path = format!("{namespace}/{}/{}", secret.name, secret.key);
        let value = self.0.lock().unwrap().get(&path).cloned();
        value.map(Bytes::from).ok_or_else(|| format!("no secret {path}"))
    }
}

pub struct World {
    pub sources: Sources,
    pub sink: Arc<RecordingSink>,
    pub clock: Arc<TestClock>,
    pub secrets: Arc<TestSecrets>,
}

impl World {
    pub fn new(now: &str) -> Self {
        let sink = Arc::new(RecordingSink {
            taken: watch::Sender::new(Vec::new()),
            answered: watch::Sender::new(0),
            seen: Mutex::default(),
            errors: Mutex::default(),
            refused: Mutex::default(),
            unreadable: watch::Sender::new(Vec::new()),
            missed: Mutex::default(),
            last_ticks: Mutex::default(),
            places: Mutex::default(),
            open: watch::Sender::new(true),
            waiting: watch::Sender::new(0),
            most_waiting: Mutex::default(),
            panics: Mutex::default(),
        });
        let base = Mutex::new(now.parse().unwrap());
        let clock = Arc::new(TestClock { start: Instant::now(), base });
        let secrets = Arc::new(TestSecrets::default());
        let sources = Sources::new(SourceContext {
            sink: sink.clone(),
            clock: clock.clone(),
            secrets: secrets.clone(),
            accounts: None,
            settings: SourceSettings { listen_port: |_| 0, ..SourceSettings::default() },
        });
        Self { sources, sink, clock, secrets }
    }

    /// Shuts down, which must not take long.
    pub async fn shutdown(&self) {
        timeout(Duration::from_secs(60), self.sources.shutdown()).await.expect("hangs");
    }

    /// Applies event sources, each a name and a spec; they must be right.
    pub fn apply(&self, objects: &[(&str, Value)]) {
        assert_eq!(self.sources.apply(definitions(objects)), []);
    }
}

/// The events of event sources in the namespace `ci`, or in the one before a slash.
pub fn definitions(objects: &[(&str, Value)]) -> Vec<EventDefinition> {
    let mut all = Vec::new();
    for (name, spec) in objects {
        let (namespace, name) = name.split_once('/').unwrap_or(("ci", name));
        let (events, problems) = events(&ObjectName::new(namespace, name), spec);
        assert_eq!(problems, [], "{spec}");
        all.extend(events);
    }
    all
}

/// The longest that a test in paused time waits for something.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Waits, in the time of the runtime, until `holds` does.
pub async fn eventually(holds: impl Fn() -> bool) {
    for _ in 0..12_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it did not happen within a minute");
}
