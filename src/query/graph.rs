//! The graph of connections: from the configuration, and from what really flowed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use tripline_bus::{Bus, Log};
use tripline_event::outcome::TargetResult;
use tripline_event::{EventKey, ObjectName, OutcomeKind, Timestamp, TriggerName};

use super::item::{Record, shortened};
use super::scan::forwards;
use super::{QueryError, glob};

/// The most characters of an error that are kept.
const MAX_ERROR: usize = 300;
/// The most workflows whose names are remembered while the logs are read.
const MAX_WORKFLOWS: usize = 200_000;

/// The connections that the configuration makes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GraphConfig {
    /// Every event of every event source.
    pub sources: Vec<GraphSource>,
    /// Every sensor.
    pub sensors: Vec<GraphSensor>,
}

/// One event of an event source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GraphSource {
    /// Namespace, event source and event name.
    pub key: EventKey,
    /// The event source's kind (`webhook`, …).
    pub kind: String,
    /// What it takes them in from, where a daemon runs: a subscription, a queue, an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// Why it takes none in now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// A sensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GraphSensor {
    /// Its identity.
    pub name: ObjectName,
    /// What it waits for.
    pub dependencies: Vec<GraphDependency>,
    /// What it does.
    pub triggers: Vec<GraphTrigger>,
}

/// A dependency of a sensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GraphDependency {
    /// Its name in the sensor.
    pub name: String,
    /// The event source; may hold `*` and `?`.
    pub source: String,
    /// The event's name; likewise.
    pub event: String,
}

/// A trigger of a sensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GraphTrigger {
    /// Its name in the sensor.
    pub name: String,
    /// Its kind (`argoWorkflow`, `http`, …).
    pub kind: String,
    /// Its condition, where it is not "all dependencies".
    pub conditions: Option<String>,
    /// Where it acts: `local`, a cluster, a host.
    pub target: String,
}

/// The connections, with how much went along each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Graph {
    /// The connections that the configuration makes.
    pub config: GraphConfig,
    /// Whether it was counted what flowed; if not, there is only `config`.
    pub counted: bool,
    /// From when on was counted; none for all that is kept.
    pub since: Option<Timestamp>,
    /// How many events of each key there were, also of keys that are not configured.
    pub events: Vec<(EventKey, u64)>,
    /// What each trigger did, also those that are not configured any more.
    pub triggers: Vec<(TriggerName, TriggerCounts)>,
    /// Events that were published by a trigger's workflows: seen, not configured.
    pub published: Vec<Published>,
    /// What each trigger's workflows came to.
    #[serde(default)]
    pub workflows: Vec<Workflows>,
    /// The latest error of each trigger that had one.
    #[serde(default)]
    pub errors: Vec<LastError>,
    /// What event sources refused or could not read.
    #[serde(default)]
    pub refused: Vec<Refused>,
}

/// The workflows of a trigger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Workflows {
    /// The trigger.
    pub by: TriggerName,
    /// How many it created.
    pub created: u64,
    /// How many of them reached which phase.
    pub phases: BTreeMap<String, u64>,
}

/// The latest error of a trigger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastError {
    /// The trigger.
    pub by: TriggerName,
    /// When.
    pub at: Timestamp,
    /// What the attempt, or the workflow, said.
    pub error: String,
}

/// What an event source did not take in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// The event that it would have been.
    pub key: EventKey,
    /// How many.
    pub count: u64,
    /// The latest reason.
    pub reason: String,
}

/// What a trigger did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TriggerCounts {
    /// Actions that were decided, rounds not counted.
    pub fired: u64,
    /// Actions that were carried out.
    pub succeeded: u64,
    /// Dead letters, whatever became of them.
    pub dead: u64,
}

/// Events that a trigger's workflows published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    /// The trigger whose workflows they were.
    pub by: TriggerName,
    /// What they published.
    pub key: EventKey,
    /// How many.
    pub count: u64,
}

impl Graph {
    /// The connections alone, without a bus.
    pub fn of_config(config: GraphConfig) -> Self {
        Self { config, ..Self::default() }
    }

    /// Counts what flowed along the configured connections since `since`.
    pub async fn new(
        bus: &dyn Bus,
        config: GraphConfig,
        since: Option<Timestamp>,
    ) -> Result<Self, QueryError> {
        let mut counts = Counts::default();
        // Outcomes first: they say whose the workflows are that events name.
        for log in [Log::Outcomes, Log::Actions, Log::Events] {
            forwards(bus, log, |stored| {
                if let Ok(record) = Record::decode(log, &stored.record)
                    && since.is_none_or(|since| record.time() >= since)
                {
                    counts.add(&record);
                }
                true
            })
            .await?;
        }
        Ok(Self {
            config,
            counted: true,
            since,
            events: counts.events.into_iter().collect(),
            triggers: counts.triggers.into_iter().collect(),
            published: counts
                .published
                .into_iter()
                .map(|((by, key), count)| Published { by, key, count })
                .collect(),
            workflows: counts
                .created
                .into_iter()
                .map(|(by, (created, phases))| Workflows { by, created, phases })
                .collect(),
            errors: counts
                .errors
                .into_iter()
                .map(|(by, (at, error))| LastError { by, at, error })
                .collect(),
            refused: counts
                .refused
                .into_iter()
                .map(|(key, (count, reason))| Refused { key, count, reason })
                .collect(),
        })
    }

    /// How many events of this key there were.
    pub fn count_of(&self, key: &EventKey) -> u64 {
        self.events.iter().find(|(known, _)| known == key).map_or(0, |(_, count)| *count)
    }

    /// What the trigger did.
    pub fn counts_of(&self, trigger: &TriggerName) -> TriggerCounts {
        let known = self.triggers.iter().find(|(known, _)| known == trigger);
        known.map(|(_, counts)| *counts).unwrap_or_default()
    }

    /// The sensors that wait for this event, with the names of the dependencies.
    pub(super) fn waiting_for<'a>(&'a self, key: &EventKey) -> Vec<(&'a GraphSensor, &'a str)> {
        let sensors = self.config.sensors.iter();
        sensors
            .filter(|sensor| sensor.name.namespace == key.namespace)
            .flat_map(|sensor| sensor.dependencies.iter().map(move |d| (sensor, d)))
            .filter(|(_, d)| glob::fits(&d.source, &key.source) && glob::fits(&d.event, &key.name))
            .map(|(sensor, dependency)| (sensor, dependency.name.as_str()))
            .collect()
    }

    /// Dependencies on events that no event source gives.
    pub(super) fn unmet(&self) -> Vec<(&GraphSensor, &GraphDependency)> {
        let gives = |sensor: &GraphSensor, d: &GraphDependency| {
            self.config.sources.iter().any(|source| {
                source.key.namespace == sensor.name.namespace
                    && glob::fits(&d.source, &source.key.source)
                    && glob::fits(&d.event, &source.key.name)
            })
        };
        let sensors = self.config.sensors.iter();
        sensors
            .flat_map(|sensor| sensor.dependencies.iter().map(move |d| (sensor, d)))
            .filter(|(sensor, dependency)| !gives(sensor, dependency))
            .collect()
    }

    /// Triggers that did something and are not configured any more.
    pub(super) fn former(&self) -> Vec<(&TriggerName, TriggerCounts)> {
        let configured: BTreeSet<TriggerName> = self
            .config
            .sensors
            .iter()
            .flat_map(|s| s.triggers.iter().map(|t| TriggerName::new(&s.name, &t.name)))
            .collect();
        let known = self.triggers.iter();
        known.filter(|(name, _)| !configured.contains(name)).map(|(n, c)| (n, *c)).collect()
    }
}

#[derive(Default)]
struct Counts {
    events: BTreeMap<EventKey, u64>,
    triggers: BTreeMap<TriggerName, TriggerCounts>,
    published: BTreeMap<(TriggerName, EventKey), u64>,
    workflows: HashMap<String, TriggerName>,
    created: BTreeMap<TriggerName, (u64, BTreeMap<String, u64>)>,
    errors: BTreeMap<TriggerName, (Timestamp, String)>,
    refused: BTreeMap<EventKey, (u64, String)>,
}

impl Counts {
    fn note_refused(&mut self, key: &EventKey, count: u64, reason: &str) {
        let refused = self.refused.entry(key.clone()).or_default();
        refused.0 += count;
        refused.1 = shortened(reason, MAX_ERROR);
    }

    fn add(&mut self, record: &Record) {
        match record {
            Record::Event(event) => {
                *self.events.entry(event.key.clone()).or_default() += 1;
                let causation = event.links.causation.as_deref();
                let names = [Some(event.links.correlation.as_str()), causation];
                let by = names.into_iter().flatten().find_map(|name| self.workflows.get(name));
                if let Some(by) = by {
                    *self.published.entry((by.clone(), event.key.clone())).or_default() += 1;
                }
            }
            Record::Action(action) if action.round == 0 => {
                self.triggers.entry(action.trigger.clone()).or_default().fired += 1;
            }
            Record::Outcome(outcome) => self.add_outcome(outcome.at, &outcome.kind),
            _ => {}
        }
    }

    fn note_error(&mut self, trigger: &TriggerName, at: Timestamp, error: &str) {
        self.errors.insert(trigger.clone(), (at, shortened(error, MAX_ERROR)));
    }

    fn add_outcome(&mut self, at: Timestamp, kind: &OutcomeKind) {
        match kind {
            OutcomeKind::Succeeded { trigger, result, .. } => {
                self.triggers.entry(trigger.clone()).or_default().succeeded += 1;
                if let TargetResult::Workflow { name, .. } = result {
                    self.created.entry(trigger.clone()).or_default().0 += 1;
                    if self.workflows.len() < MAX_WORKFLOWS {
                        self.workflows.insert(name.clone(), trigger.clone());
                    }
                }
            }
            OutcomeKind::Retrying { trigger, error, .. } => self.note_error(trigger, at, error),
            OutcomeKind::DeadLettered(letter) => match (&letter.trigger, letter.events.first()) {
                (Some(trigger), _) => {
                    self.triggers.entry(trigger.clone()).or_default().dead += 1;
                    self.note_error(trigger, at, &letter.error);
                }
                (None, Some(event)) => self.note_refused(&event.key, 1, &letter.error),
                (None, None) => {}
            },
            OutcomeKind::Refused { key, reason, count } => self.note_refused(key, *count, reason),
            OutcomeKind::Workflow { name, phase, message, .. } => {
                let Some(by) = self.workflows.get(name).cloned() else { return };
                let phases = &mut self.created.entry(by.clone()).or_default().1;
                *phases.entry(phase.clone()).or_default() += 1;
                if matches!(phase.as_str(), "Failed" | "Error") {
                    let why = message.as_deref().unwrap_or("without a message");
                    self.note_error(&by, at, &format!("workflow {name} {phase}: {why}"));
                }
            }
            _ => {}
        }
    }
}
