//! Causes, each on a real engine and the bus in memory, in virtual time.

mod causes;
mod filters;
mod held;
mod looking;
mod offline;
mod past;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::Instant;
use tripline_bus::memory::{MemoryBus, MemoryStore};
use tripline_bus::{Append, Bus, Log};
use tripline_event::event::{JSON, Links};
use tripline_event::outcome::TargetResult;
use tripline_event::{
    Cause as LetterCause, Clock, CorrelationId, DefinitionHash, Event, EventId, EventKey,
    EventsRecord, ObjectName, Position, Timestamp,
};
use tripline_triggers::executor::{Kinds, Limits, Unobserved};
use tripline_triggers::{Attempt, BoxFuture, Trigger, TriggerError};

use super::{Answer, Code, Context, EventView, Explanation, Live, Question, TriggerView};
use crate::control::api::{Held, QueueStatus};
use crate::engine::definitions::Definitions;
use crate::engine::driver::CheckpointEvery;
use crate::engine::ingest::RandomIds;
use crate::engine::mistakes::Mistakes;
use crate::engine::observer::EngineObserver;
use crate::engine::plans::Definition;
use crate::engine::{Engine, EngineParts};

/// The moment at which each world begins.
pub(super) fn start() -> Timestamp {
    "2026-11-21T03:00:00Z".parse().unwrap()
}

/// Goes as the runtime's virtual time goes.
struct VirtualClock(Instant);

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        start().checked_add(self.0.elapsed()).unwrap()
    }
}

struct Nobody;

impl EngineObserver for Nobody {}

/// What a target says to every attempt.
#[derive(Clone)]
pub(super) enum Says {
    Done,
    Refused(LetterCause, &'static str),
    Again(&'static str),
    Nothing,
}

/// A target that says what it is told to.
struct Target(Mutex<Says>);

impl Trigger for Target {
    fn carry_out<'a>(
        &'a self,
        _: Attempt<'a>,
    ) -> BoxFuture<'a, Result<TargetResult, TriggerError>> {
        let says = self.0.lock().unwrap().clone();
        Box::pin(async move {
            match says {
                Says::Done => Ok(TargetResult::Logged),
                Says::Refused(cause, reason) => {
                    Err(TriggerError::Refused { cause, reason: reason.to_owned() })
                }
                Says::Again(reason) => {
                    Err(TriggerError::NotDone { reason: reason.to_owned(), after: None })
                }
                Says::Nothing => std::future::pending().await,
            }
        })
    }
}

/// A running engine, and what it is asked.
pub(super) struct World {
    pub bus: Arc<MemoryBus>,
    pub engine: Engine,
    clock: Arc<VirtualClock>,
    target: Arc<Target>,
}

/// A sensor `ci/NAME`; triggers log, unless they say otherwise.
pub(super) fn sensor(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "tripline.dev/v1",
        "kind": "Sensor",
        "metadata": {"namespace": "ci", "name": name},
        "spec": spec,
    })
}

/// A sensor on `ci/builds/completed`, with filters.
pub(super) fn on_builds(name: &str, filters: &Value) -> Value {
    let spec = json!({
        "dependencies": [{
            "name": "build", "eventSourceName": "builds", "eventName": "completed",
            "filters": filters,
        }],
        "triggers": [{"template": {"name": "submit", "log": {}}}],
    });
    sensor(name, &spec)
}

/// A sensor that joins `ci/builds/completed` and `ci/approvals/given`.
pub(super) fn join(trigger: &Value) -> Value {
    let spec = json!({
        "dependencies": [
            {"name": "build", "eventSourceName": "builds", "eventName": "completed"},
            {"name": "approval", "eventSourceName": "approvals", "eventName": "given"},
        ],
        "triggers": [trigger],
    });
    sensor("deploy", &spec)
}

pub(super) fn submit() -> Value {
    json!({"template": {"name": "submit", "log": {}}})
}

impl World {
    pub async fn new(sensors: &[Value]) -> Self {
        Self::on(Arc::new(MemoryBus::new(MemoryStore::new(7))), sensors).await
    }

    pub async fn on(bus: Arc<MemoryBus>, sensors: &[Value]) -> Self {
        let clock = Arc::new(VirtualClock(Instant::now()));
        let target = Arc::new(Target(Mutex::new(Says::Done)));
        let kinds: Kinds = BTreeMap::from([("log".to_owned(), Arc::clone(&target) as _)]);
        let engine = Engine::start(EngineParts {
            bus: Arc::clone(&bus) as _,
            clock: Arc::clone(&clock) as _,
            ids: Arc::new(RandomIds),
            definitions: Arc::new(Definitions::default()),
            kinds,
            observer: Arc::new(Nobody),
            executor_observer: Arc::new(Unobserved),
            seed: 7,
            limits: Limits::default(),
            checkpoint_every: CheckpointEvery::default(),
            paused: Vec::new(),
            mistakes: Mistakes::default(),
        });
        let engine = engine.await.unwrap();
        let world = Self { bus, engine, clock, target };
        world.publish(sensors).await;
        world
    }

    /// Puts these sensors in force.
    pub async fn publish(&self, sensors: &[Value]) {
        let definitions: Vec<Definition> = sensors
            .iter()
            .map(|json| {
                let text = json.to_string();
                let name = json["metadata"]["name"].as_str().unwrap();
                let name = ObjectName::new("ci", name);
                let hash = DefinitionHash::of(&text);
                let (compiled, problems) = self.engine.definitions.compile(&name, &hash, json);
                assert!(compiled.is_some(), "{problems:?}");
                Definition { name, hash, json: text.into() }
            })
            .collect();
        self.engine.publisher().publish(&definitions).await.unwrap();
    }

    pub fn target_says(&self, says: Says) {
        *self.target.0.lock().unwrap() = says;
    }

    pub async fn append(&self, record: EventsRecord) -> Position {
        let append = Append { dedup: None, record: record.encode() };
        let position = self.bus.append(Log::Events, vec![append]).await.unwrap()[0].position;
        assert!(self.engine.evaluated(position).await);
        position
    }

    /// An event that was taken in so many seconds after the beginning, and is evaluated.
    pub async fn event_at(&self, source: &str, id: &str, seconds: i64, data: &str) -> Position {
        self.append(EventsRecord::Event(event(source, id, seconds, data))).await
    }

    /// One of now.
    pub async fn event(&self, source: &str, id: &str, data: &str) -> Position {
        let seconds = self.clock.now().duration_since(start()).as_secs();
        self.event_at(source, id, seconds, data).await
    }

    /// Waits until so many outcomes are durable.
    pub async fn outcomes(&self, count: u64) {
        let first = self.bus.extent(Log::Outcomes).await.unwrap().first;
        let last = Position { sequence: first.sequence + count - 1, ..first };
        let waited = self.bus.wait(Log::Outcomes, last);
        tokio::time::timeout(Duration::from_secs(100_000), waited).await.unwrap().unwrap();
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What a daemon would know.
    pub fn context(&self) -> Context<'_> {
        let queues = self.engine.executor.snapshot().into_iter().map(|of| QueueStatus {
            trigger: of.trigger,
            waiting: of.waiting,
            in_flight: of.in_flight,
            retrying: of.retrying,
            oldest: of.oldest_decided_at,
            last_error: of.last_error,
            paused: of.paused,
            hold: of.hold.map(|hold| Held {
                cause: hold.cause.as_str().to_owned(),
                until: hold.until,
                reason: hold.reason,
                by: hold.by,
            }),
        });
        let evaluated = self.engine.progress.borrow().evaluated;
        let live = Some(Live { evaluated, queues: queues.collect() });
        Context { bus: &*self.bus, definitions: &self.engine.definitions, live, now: self.now() }
    }

    pub async fn ask(&self, handle: &str, sensor: Option<&str>) -> Answer {
        let question = Question { handle: handle.to_owned(), sensor: sensor.map(str::to_owned) };
        self.context().explain(&question).await.unwrap()
    }

    pub async fn explain(&self, handle: &str) -> Explanation {
        match self.ask(handle, None).await {
            Answer::Found(explanation) => explanation,
            Answer::Unknown(unknown) => panic!("{unknown:?}"),
        }
    }

    /// The only event that the handle names.
    pub async fn only(&self, handle: &str) -> EventView {
        let mut explanation = self.explain(handle).await;
        assert_eq!(explanation.events.len(), 1, "{explanation:?}");
        explanation.events.remove(0)
    }

    /// What the only sensor's first trigger made of it.
    pub async fn trigger(&self, handle: &str) -> TriggerView {
        let mut event = self.only(handle).await;
        assert_eq!(event.cause, None);
        assert_eq!(event.sensors.len(), 1, "{event:?}");
        event.sensors.remove(0).triggers.remove(0)
    }

    /// The cause is this one, and its sentence has these parts.
    pub async fn says(&self, handle: &str, code: Code, parts: &[&str]) {
        let trigger = self.trigger(handle).await;
        assert_eq!(trigger.cause.code, code, "{:?}", trigger.cause);
        assert_sentence(&trigger.cause.sentence, parts);
        let event = self.only(handle).await;
        assert_eq!(event.sensors[0].cause, trigger.cause, "the sensor's is that of its trigger");
        assert!(self.explain(handle).await.text(false).contains(&code.word()));
    }
}

pub(super) fn assert_sentence(sentence: &str, parts: &[&str]) {
    for part in parts {
        assert!(sentence.contains(part), "`{part}` is not in: {sentence}");
    }
}

/// An event of `ci/SOURCE`: `completed`, or of approvals `given`.
pub(super) fn event(source: &str, id: &str, seconds: i64, data: &str) -> Event {
    let name = if source == "approvals" { "given" } else { "completed" };
    Event {
        key: EventKey::new("ci", source, name),
        id: EventId(id.to_owned()),
        kind: "webhook".to_owned(),
        time: start() + jiff::SignedDuration::from_secs(seconds),
        content_type: JSON.to_owned(),
        data: Some(Bytes::copy_from_slice(data.as_bytes())),
        links: Links::first(CorrelationId(format!("chain-{id}"))),
        cloud_event: None,
    }
}

pub(super) fn base64(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}
