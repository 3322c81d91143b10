//! Logs to look back over.

mod dead_letter;
mod graph;
mod list;
mod trace;
mod workflow;

use std::sync::Arc;

use bytes::Bytes;
use jiff::SignedDuration;
use tripline_bus::memory::{MemoryBus, MemoryStore};
use tripline_bus::{Append, Bus, Log};
use tripline_event::event::{JSON, Links};
use tripline_event::outcome::{LetterEvent, TargetResult};
use tripline_event::{
    Action, ActionEvent, ActionId, Cause, Clock, CorrelationId, DeadLetter, DefinitionHash, Event,
    EventId, EventKey, EventsRecord, ObjectName, Outcome, OutcomeKind, Position, Timestamp,
    TriggerName,
};

/// A daemon's three logs, written record by record; each record is a millisecond later.
pub(crate) struct Logs {
    pub(crate) bus: Arc<MemoryBus>,
    now: Timestamp,
}

/// A clock that stands still.
pub(crate) struct At(pub(crate) Timestamp);

impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0
    }
}

pub(crate) fn time(text: &str) -> Timestamp {
    format!("2026-11-21T{text}Z").parse().unwrap()
}

impl Logs {
    pub(crate) fn new() -> Self {
        let bus = Arc::new(MemoryBus::new(MemoryStore::new(7)));
        Self { bus, now: time("03:00:00") }
    }

    pub(crate) fn at(&mut self, now: &str) {
        self.now = time(now);
    }

    fn tick(&mut self) -> Timestamp {
        self.now += SignedDuration::from_millis(1);
        self.now
    }

    pub(crate) async fn append(&self, log: Log, record: Bytes) -> Position {
        let appended = self.bus.append(log, vec![Append { dedup: None, record }]).await.unwrap();
        appended[0].position
    }

    /// An event of `ci/SOURCE/completed`.
    pub(crate) async fn event(&mut self, source: &str, id: &str, correlation: &str) -> Event {
        self.event_with(source, id, correlation, r#"{"body":{"sha":"4f2a90"}}"#).await
    }

    pub(crate) async fn event_with(
        &mut self,
        source: &str,
        id: &str,
        correlation: &str,
        data: &str,
    ) -> Event {
        let event = Event {
            key: EventKey::new("ci", source, "completed"),
            id: EventId(id.into()),
            kind: "webhook".into(),
            time: self.tick(),
            content_type: JSON.into(),
            data: Some(Bytes::copy_from_slice(data.as_bytes())),
            links: Links::first(CorrelationId(correlation.into())),
            cloud_event: None,
        };
        self.append(Log::Events, EventsRecord::Event(event.clone()).encode()).await;
        event
    }

    /// The action of `ci/SENSOR/submit` on these events.
    pub(crate) async fn action(&mut self, sensor: &str, events: &[&Event]) -> Action {
        let trigger = TriggerName::new(&ObjectName::new("ci", sensor), "submit");
        let names: Vec<String> = (0..events.len()).map(|at| format!("dep-{at}")).collect();
        let parts = names.iter().zip(events).map(|(d, e)| (d.as_str(), &e.key, &e.id));
        let last = events.last().unwrap();
        let decided_at = self.tick();
        let action = Action {
            id: ActionId::new(&trigger, parts, 0),
            trigger,
            definition: DefinitionHash::of("{}"),
            events: names
                .iter()
                .zip(events)
                .map(|(dependency, event)| ActionEvent {
                    dependency: dependency.clone(),
                    key: event.key.clone(),
                    id: event.id.clone(),
                    position: Position::new(1, 1),
                    correlation: event.links.correlation.clone(),
                })
                .collect(),
            cause: Position::new(1, 1),
            links: Links { hops: last.links.hops + 1, ..last.links.clone() },
            decided_at,
            expires_at: decided_at + SignedDuration::from_hours(24),
            generation: 0,
            round: 0,
            attempted: true,
            target: None,
            key: None,
            origin: tripline_event::Origin::default(),
            copies: Vec::new(),
        };
        self.append(Log::Actions, action.encode()).await;
        action
    }

    pub(crate) async fn outcome(
        &mut self,
        correlation: Option<&CorrelationId>,
        kind: OutcomeKind,
    ) -> Position {
        let outcome = Outcome { at: self.tick(), correlation: correlation.cloned(), kind };
        self.append(Log::Outcomes, outcome.encode()).await
    }

    pub(crate) async fn submitted(&mut self, action: &Action, workflow: &str) {
        let result = TargetResult::Workflow {
            target: "local".into(),
            namespace: "ci".into(),
            name: workflow.into(),
            already: false,
        };
        let kind = OutcomeKind::Succeeded {
            action: action.id.clone(),
            trigger: action.trigger.clone(),
            round: action.round,
            attempt: 1,
            took_ms: 3,
            hops: action.links.hops,
            result,
        };
        self.outcome(Some(action.links.root()), kind).await;
    }

    pub(crate) async fn dead(&mut self, action: &Action, cause: Cause) -> Position {
        let event = &action.events[0];
        let letter = DeadLetter {
            action: Some(action.id.clone()),
            trigger: Some(action.trigger.clone()),
            round: action.round,
            attempts: 1,
            cause,
            error: "the target answered 400".into(),
            events: vec![LetterEvent {
                dependency: Some(event.dependency.clone()),
                key: event.key.clone(),
                id: event.id.clone(),
                position: event.position,
                data: serde_json::json!({"body": {"sha": "4f2a90"}}),
                raw: None,
                envelope: None,
            }],
            record: None,
            sensor: None,
        };
        self.outcome(Some(action.links.root()), OutcomeKind::DeadLettered(Box::new(letter))).await
    }

    /// A workflow of the action reached a phase.
    pub(crate) async fn phase(&mut self, action: &Action, name: &str, phase: &str, message: &str) {
        let kind = OutcomeKind::Workflow {
            target: "local".into(),
            namespace: "ci".into(),
            name: name.into(),
            phase: phase.into(),
            action: action.id.clone(),
            message: Some(message.into()),
        };
        self.outcome(Some(action.links.root()), kind).await;
    }

    /// An event source refused something.
    pub(crate) async fn refused(&mut self, source: &str, count: u64, reason: &str) {
        let key = EventKey::new("ci", source, "completed");
        let kind = OutcomeKind::Refused { key, reason: reason.into(), count };
        self.outcome(None, kind).await;
    }

    /// An event, its action, and the workflow that this submitted.
    pub(crate) async fn hop(&mut self, id: &str, correlation: &str, workflow: &str) -> Action {
        let event = self.event("builds", id, correlation).await;
        let action = self.action("deploy", &[&event]).await;
        self.submitted(&action, workflow).await;
        action
    }
}
