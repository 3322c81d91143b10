//! A bus, a clock, and a target that does as it is told and notes what it was asked.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tripline_bus::memory::{MemoryBus, MemoryStore};
use tripline_bus::{Append, Bus, Log};
use tripline_event::event::Links;
use tripline_event::outcome::TargetResult;
use tripline_event::{
    Action, ActionEvent, ActionId, Cause, Clock, CorrelationId, DeadLetter, DefinitionHash, Event,
    EventId, EventKey, EventsRecord, ObjectName, Origin, Outcome, OutcomeKind, Position, Timestamp,
    TriggerName,
};

use crate::executor::{
    Decided, Executor, ExecutorParts, Limits, Observer, Recovered, RenderError, Renderer,
    TriggerPolicy,
};
use crate::{Attempt, BoxFuture, RenderedAction, Trigger, TriggerError};

/// Begins at this moment and goes as the runtime's virtual time goes.
pub(super) struct VirtualClock(Instant);

pub(super) fn start() -> Timestamp {
    "2026-11-21T03:00:00Z".parse().unwrap()
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        start().checked_add(self.0.elapsed()).unwrap()
    }
}

/// What the target does at an attempt.
#[derive(Clone)]
pub(super) enum Answer {
    Succeed,
    SucceedAfter(Duration),
    /// Nothing was done.
    NotDone,
    Retry,
    RetryAfter(Duration),
    /// It times out.
    RetryLate(Duration),
    /// A workflow in a cluster.
    Workflow,
    Refuse(Cause),
    Hang,
    Panic,
}

/// An attempt, as the target saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) trigger: String,
    pub(super) event: String,
    pub(super) attempt: u32,
    pub(super) uncertain: bool,
    pub(super) at: Duration,
}

/// Answers by the event's id, then by the trigger's name; else it succeeds. A list is
/// used up but for its last answer.
#[derive(Default)]
pub(super) struct Target {
    answers: Mutex<BTreeMap<String, Vec<Answer>>>,
    seen: Mutex<Vec<Seen>>,
    /// How many run, and how many ever ran at once.
    running: Mutex<(usize, usize)>,
    begun: Mutex<Option<Instant>>,
    /// It has no use for a record of earlier attempts.
    pub(super) recognises_repeats: AtomicBool,
}

impl Target {
    fn answer(&self, event: &str, action: &Action) -> Answer {
        let mut answers = self.answers.lock().unwrap();
        for name in [event, &action.trigger.trigger] {
            if let Some(list) = answers.get_mut(name) {
                return if list.len() > 1 { list.remove(0) } else { list[0].clone() };
            }
        }
        Answer::Succeed
    }
}

impl Trigger for Target {
    fn asks_for_earlier_attempts(&self) -> bool {
        !self.recognises_repeats.load(Ordering::Relaxed)
    }

    fn carry_out<'a>(
        &'a self,
        attempt: Attempt<'a>,
    ) -> BoxFuture<'a, Result<TargetResult, TriggerError>> {
        Box::pin(async move {
            let action = &attempt.rendered.action;
            let id = &action.events[0].id.0;
            let event = match attempt.rendered.config["operation"].as_str() {
                Some(operation) => {
                    let named = attempt.rendered.resource.as_ref().unwrap();
                    format!("{operation} {}", named["metadata"]["name"].as_str().unwrap())
                }
                None => id.clone(),
            };
            self.seen.lock().unwrap().push(Seen {
                trigger: action.trigger.trigger.clone(),
                event: event.clone(),
                attempt: attempt.number,
                uncertain: attempt.uncertain,
                at: self.begun.lock().unwrap().unwrap().elapsed(),
            });
            {
                let mut running = self.running.lock().unwrap();
                running.0 += 1;
                running.1 = running.1.max(running.0);
            }
            let result = match self.answer(&event, action) {
                Answer::Succeed => Ok(TargetResult::Logged),
                Answer::SucceedAfter(wait) => {
                    tokio::time::sleep(wait).await;
                    Ok(TargetResult::Logged)
                }
                Answer::NotDone => {
                    Err(TriggerError::NotDone { reason: "refused".into(), after: None })
                }
                Answer::Retry => Err(TriggerError::Retry { reason: "503".into(), after: None }),
                Answer::RetryAfter(after) => {
                    Err(TriggerError::Retry { reason: "429".into(), after: Some(after) })
                }
                Answer::RetryLate(late) => {
                    tokio::time::sleep(late).await;
                    Err(TriggerError::Retry { reason: "timed out".into(), after: None })
                }
                Answer::Workflow => Ok(TargetResult::Workflow {
                    target: "prod".into(),
                    namespace: "ci".into(),
                    name: format!("w-{id}"),
                    already: false,
                }),
                Answer::Refuse(cause) => {
                    Err(TriggerError::Refused { cause, reason: "422 no such field".into() })
                }
                Answer::Hang => std::future::pending().await,
                Answer::Panic => panic!("target bug"),
            };
            self.running.lock().unwrap().0 -= 1;
            result
        })
    }
}

/// Renders the event's data; an event whose data is `bad` cannot be rendered.
pub(super) struct Daemon {
    pub(super) policies: Mutex<BTreeMap<String, TriggerPolicy>>,
    /// Which trigger's action follows from a dead letter of which.
    pub(super) follow_ups: Mutex<BTreeMap<String, String>>,
}

impl Renderer for Daemon {
    fn render(
        &self,
        action: &Arc<Action>,
        events: &[Arc<Event>],
    ) -> Result<RenderedAction, RenderError> {
        match events[0].data_text() {
            Some("bad") => {
                let reason = "parameter 0: `$.sha` is not there".to_owned();
                return Err(RenderError { cause: Cause::Render, reason });
            }
            Some("buggy") => panic!("renderer bug"),
            _ => {}
        }
        Ok(RenderedAction {
            action: Arc::clone(action),
            kind: "test".into(),
            config: Value::Null,
            resource: None,
            payload: events[0].data.clone(),
            policy: None,
            service_account: None,
            live: None,
        })
    }

    fn policy(&self, action: &Action) -> TriggerPolicy {
        let policies = self.policies.lock().unwrap();
        policies.get(&action.trigger.trigger).cloned().unwrap_or_default()
    }

    fn target(&self, action: &Action) -> Option<String> {
        let of_trigger = format!("target-of-{}", action.trigger.trigger);
        Some(action.target.clone().unwrap_or(of_trigger))
    }

    fn follow_up(&self, action: &Action, letter: &DeadLetter, now: Timestamp) -> Option<Action> {
        let trigger = self.follow_ups.lock().unwrap().get(&action.trigger.trigger).cloned()?;
        let trigger = TriggerName::new(&action.trigger.sensor_name(), &trigger);
        Some(Action {
            id: action.id.at(&letter.round.to_string()),
            trigger,
            decided_at: now,
            expires_at: now.checked_add(Duration::from_secs(3600)).unwrap(),
            origin: Origin::DeadLetter { of: action.id.clone() },
            ..action.clone()
        })
    }
}

#[derive(Default)]
struct Held(Mutex<usize>);

impl Observer for Held {
    fn on_outcomes_held(&self, _: &tripline_bus::WriteError, _: usize) {
        *self.0.lock().unwrap() += 1;
    }
}

/// Everything around one executor.
pub(super) struct World {
    pub(super) store: Arc<MemoryStore>,
    pub(super) bus: Arc<MemoryBus>,
    pub(super) target: Arc<Target>,
    pub(super) daemon: Arc<Daemon>,
    pub(super) executor: Executor,
    pub(super) stop: CancellationToken,
    clock: Arc<VirtualClock>,
    observer: Arc<Held>,
    run: Option<JoinHandle<bool>>,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(MemoryStore::new(1), Limits::default())
    }

    pub(super) fn with_bound(actions_per_trigger: usize) -> Self {
        Self::with(MemoryStore::new(1), Limits { actions_per_trigger, ..Limits::default() })
    }

    /// A daemon that is started on `store`.
    pub(super) fn with(store: Arc<MemoryStore>, limits: Limits) -> Self {
        let bus = Arc::new(MemoryBus::new(Arc::clone(&store)));
        let clock = Arc::new(VirtualClock(Instant::now()));
        let target = Arc::new(Target::default());
        *target.begun.lock().unwrap() = Some(clock.0);
        let daemon = Arc::new(Daemon { policies: Mutex::default(), follow_ups: Mutex::default() });
        let observer = Arc::new(Held::default());
        let executor = Executor::new(ExecutorParts {
            bus: Arc::clone(&bus) as _,
            clock: Arc::clone(&clock) as _,
            renderer: Arc::clone(&daemon) as _,
            kinds: ["test", "argoWorkflow"]
                .map(|kind| (kind.to_owned(), Arc::clone(&target) as _))
                .into(),
            observer: Arc::clone(&observer) as _,
            seed: 42,
            limits,
            appending: Arc::default(),
        });
        let stop = CancellationToken::new();
        Self { store, bus, target, daemon, executor, stop, clock, observer, run: None }
    }

    pub(super) fn policy(&self, trigger: &str, policy: TriggerPolicy) {
        self.daemon.policies.lock().unwrap().insert(trigger.to_owned(), policy);
    }

    /// What the target does at the attempts for `name`, an event or a trigger.
    pub(super) fn answers(&self, name: &str, answers: &[Answer]) {
        self.target.answers.lock().unwrap().insert(name.to_owned(), answers.to_vec());
    }

    /// Appends the event and the action that it fires, and returns the latter.
    pub(super) async fn decide(&self, trigger: &str, event: &str) -> (Position, Action) {
        self.decide_with(trigger, event, "{}", |_| {}).await
    }

    pub(super) async fn decide_with(
        &self,
        trigger: &str,
        id: &str,
        data: &str,
        change: impl FnOnce(&mut Action),
    ) -> (Position, Action) {
        let event = Event {
            key: EventKey::new("ci", "builds", "completed"),
            id: EventId(id.into()),
            kind: "webhook".into(),
            time: self.clock.now(),
            content_type: tripline_event::event::JSON.into(),
            data: Some(Bytes::copy_from_slice(data.as_bytes())),
            links: Links::first(CorrelationId(id.into())),
            cloud_event: None,
        };
        let cause = self.append(Log::Events, EventsRecord::Event(event.clone()).encode()).await;
        let trigger = TriggerName::new(&ObjectName::new("ci", "deploy"), trigger);
        let mut action = Action {
            id: ActionId::new(&trigger, [("build", &event.key, &event.id)], 0),
            trigger,
            definition: DefinitionHash::of("{}"),
            events: vec![ActionEvent {
                dependency: "build".into(),
                key: event.key.clone(),
                id: event.id.clone(),
                position: cause,
                correlation: event.links.correlation.clone(),
            }],
            cause,
            links: event.links,
            decided_at: event.time,
            expires_at: event.time.checked_add(Duration::from_secs(24 * 3600)).unwrap(),
            generation: 0,
            round: 0,
            attempted: false,
            target: None,
            key: None,
            origin: tripline_event::Origin::default(),
            copies: Vec::new(),
        };
        change(&mut action);
        (self.append(Log::Actions, action.encode()).await, action)
    }

    async fn append(&self, log: Log, record: Bytes) -> Position {
        // By a handle of its own: what goes wrong with the executor's must not go wrong here.
        let bus = MemoryBus::new(Arc::clone(&self.store));
        bus.append(log, vec![Append { dedup: None, record }]).await.unwrap()[0].position
    }

    /// Decides and hands over an action with a key.
    pub(super) async fn fire_keyed(&self, trigger: &str, event: &str, key: &str) -> Position {
        let keyed = |action: &mut Action| action.key = Some(key.to_owned());
        let decided = self.decide_with(trigger, event, "{}", keyed).await;
        let position = decided.0;
        self.offer(decided);
        position
    }

    /// Appends an action and hands it over.
    pub(super) async fn offer_again(&self, action: Action) {
        let position = self.append(Log::Actions, action.encode()).await;
        self.offer((position, action));
    }

    /// The actions in the log, from the first on.
    pub(super) async fn actions(&self) -> Vec<(Position, Action)> {
        let bus = MemoryBus::new(Arc::clone(&self.store));
        let from = bus.extent(Log::Actions).await.unwrap().first;
        let records = bus.read(Log::Actions, from, 10_000).await.unwrap();
        let decode = |stored: &tripline_bus::Stored| {
            (stored.position, Action::decode(&stored.record).unwrap())
        };
        records.iter().map(decode).collect()
    }

    /// Hands an action over as one that was just decided.
    pub(super) fn offer(&self, (position, action): (Position, Action)) {
        let action = Arc::new(action);
        self.executor.offer(Decided { position, action, events: None, recovered: None });
    }

    /// Hands an action over with its event at hand, as it is right after the decision.
    pub(super) fn offer_with(&self, (position, action): (Position, Action), data: &[u8]) {
        let event = Event {
            key: action.events[0].key.clone(),
            id: action.events[0].id.clone(),
            kind: "webhook".into(),
            time: action.decided_at,
            content_type: tripline_event::event::JSON.into(),
            data: Some(Bytes::copy_from_slice(data)),
            links: action.links.clone(),
            cloud_event: None,
        };
        let (action, events) = (Arc::new(action), Some(vec![Arc::new(event)]));
        self.executor.offer(Decided { position, action, events, recovered: None });
    }

    /// Hands an action over as one that was read back at a start.
    pub(super) fn recover(&self, decided: (Position, Action), prior_attempts: u32) {
        self.recover_as(decided, Recovered { prior_attempts, ..Recovered::default() });
    }

    pub(super) fn recover_as(&self, (position, action): (Position, Action), recovered: Recovered) {
        let recovered = Some(recovered);
        let action = Arc::new(action);
        self.executor.offer(Decided { position, action, events: None, recovered });
    }

    pub(super) async fn fire(&self, trigger: &str, event: &str) -> Position {
        let decided = self.decide(trigger, event).await;
        let position = decided.0;
        self.offer(decided);
        position
    }

    pub(super) fn run(&mut self) {
        let (executor, stop) = (self.executor.clone(), self.stop.clone());
        self.run = Some(tokio::spawn(async move { executor.run(stop).await }));
    }

    /// Lets virtual time pass.
    pub(super) async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Stops the executor; whether everything ended.
    pub(super) async fn stop(&mut self) -> bool {
        self.stop.cancel();
        self.run.take().unwrap().await.unwrap()
    }

    /// The process dies: the executor's tasks end where they are.
    pub(super) async fn kill(&mut self) {
        self.bus.kill();
        let run = self.run.take().unwrap();
        run.abort();
        assert!(run.await.unwrap_err().is_cancelled());
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.target.seen.lock().unwrap().clone()
    }

    /// The events that the target saw for a trigger, in order.
    pub(super) fn seen_events(&self, trigger: &str) -> Vec<String> {
        let seen = self.seen().into_iter().filter(|seen| seen.trigger == trigger);
        seen.map(|seen| seen.event).collect()
    }

    /// How many attempts ever ran at once.
    pub(super) fn most_at_once(&self) -> usize {
        self.target.running.lock().unwrap().1
    }

    /// How many attempts have begun and not ended.
    pub(super) fn still_running(&self) -> usize {
        self.target.running.lock().unwrap().0
    }

    /// How often appends of outcomes failed.
    pub(super) fn failed_appends(&self) -> usize {
        *self.observer.0.lock().unwrap()
    }

    pub(super) async fn outcomes(&self) -> Vec<OutcomeKind> {
        let bus = MemoryBus::new(Arc::clone(&self.store));
        let mut outcomes = Vec::new();
        let mut from = bus.extent(Log::Outcomes).await.unwrap().first;
        loop {
            let records = bus.read(Log::Outcomes, from, 1000).await.unwrap();
            let Some(last) = records.last() else { return outcomes };
            from = last.position.next();
            let decode = |record: &Bytes| Outcome::decode(record).unwrap().kind;
            outcomes.extend(records.iter().map(|stored| decode(&stored.record)));
        }
    }

    /// The outcomes as words: what happened, and to which attempt or why.
    pub(super) async fn told(&self) -> Vec<String> {
        let word = |kind: &OutcomeKind| match kind {
            OutcomeKind::Attempted { attempt, .. } => format!("attempted {attempt}"),
            OutcomeKind::Retrying { attempt, .. } => format!("retrying {attempt}"),
            OutcomeKind::Succeeded { attempt, .. } => format!("succeeded {attempt}"),
            OutcomeKind::Dropped { reason, .. } => format!("dropped: {reason}"),
            OutcomeKind::Circuit { target, open, .. } => format!("circuit of {target}: {open}"),
            OutcomeKind::Frozen { until, window, .. } => format!("frozen until {until}: {window}"),
            OutcomeKind::DeadLettered(letter) => {
                format!("{} after {}: {}", letter.cause, letter.attempts, letter.error)
            }
            other => format!("{other:?}"),
        };
        self.outcomes().await.iter().map(word).collect()
    }

    /// The lowest open position; none where everything is closed.
    pub(super) async fn open(&self) -> Option<Position> {
        let bus = MemoryBus::new(Arc::clone(&self.store));
        let next = bus.extent(Log::Actions).await.unwrap().next;
        Some(self.executor.low_water(next)).filter(|position| *position != next)
    }
}
