//! How far the events of one sensor got in a time, and where they stopped.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use tripline_bus::Log;
use tripline_event::{
    Action, ActionId, EventKey, EventsRecord, ObjectName, Outcome, OutcomeKind, Position, Timestamp,
};
use tripline_sensors::evaluator::{Account, Asked, Sensor};

use super::model::{Cause, Code};
use super::past::{Applied, Past};
use super::{Context, ExplainError, filters, names};
use crate::engine::trim::first_not_before;
use crate::index::handles::Handle;
use crate::index::{Page, Reader};
use crate::query::scan::extent;

/// The most records that are looked at: of a longer time, the newest.
pub const MAX_RECORDS: u64 = 1_000_000;
/// The most actions whose outcomes are counted.
const MAX_ACTIONS: usize = 200_000;

/// How far events got, and where they stopped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// The sensor.
    pub sensor: ObjectName,
    /// From when on.
    pub since: Timestamp,
    /// Not the whole time was looked at: there are too many records.
    pub truncated: bool,
    /// What it waits for.
    pub dependencies: Vec<Reached>,
    /// What it does.
    pub triggers: Vec<Done>,
}

/// How far the events of a dependency got.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reached {
    /// The dependency.
    pub name: String,
    /// The event.
    pub key: EventKey,
    /// How many came in; repeated ones are not counted.
    pub arrived: u64,
    /// How many its filters let through.
    pub passed: u64,
    /// Where the others stopped, the most frequent first.
    pub stopped: Vec<Stopped>,
}

/// A filter that stopped events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stopped {
    /// The filter's field.
    pub field: String,
    /// How many.
    pub count: u64,
    /// The latest of them.
    pub latest: Position,
    /// Why that one was stopped.
    pub cause: Cause,
}

/// What a trigger did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// Its name.
    pub name: String,
    /// How often an event was held since its condition was half met.
    pub waited: u64,
    /// Dependencies whose events are held now.
    pub holds: Vec<String>,
    /// How often its condition held.
    pub fired: u64,
    /// Its actions by what became of them: `succeeded`, `open`, `dropped`, or the cause of the
    /// dead letter.
    pub actions: BTreeMap<String, u64>,
}

impl Context<'_> {
    /// How far the events of a sensor got since `since`. The counts are those of the
    /// evaluator, made again under the plans that were in force.
    ///
    /// # Errors
    /// There is no such sensor; the bus cannot be read.
    pub async fn progress(&self, sensor: &str, since: Timestamp) -> Result<Progress, ExplainError> {
        let plan = self.newest_plan().await?;
        let mut found = plan.sensors.iter().filter(|(name, _)| names(Some(sensor), name));
        let Some((name, hash)) = found.next() else {
            let known: Vec<_> = plan.sensors.iter().map(|(name, _)| name.to_string()).collect();
            return Err(ExplainError::NotFound(not_there(sensor, &known)));
        };
        if let Some((other, _)) = found.next() {
            let text = format!("there are several sensors {sensor}: {name}, {other}; say which");
            return Err(ExplainError::Invalid(text));
        }
        let sensor = self.definitions.load(self.bus, name, hash).await?;
        let end = match &self.live {
            Some(live) => live.evaluated.next(),
            None => extent(self.bus, Log::Events).await?.next,
        };
        let begin = first_not_before(self.bus, Log::Events, since).await;
        let begin = begin.map_err(crate::query::QueryError::from)?;
        let first = Position { sequence: end.sequence.saturating_sub(MAX_RECORDS), ..end };
        let mut counts = Counts::new(&sensor.sensor, since);
        let mut past = Past::before(self, begin.max(first), std::slice::from_ref(name)).await?;
        past.run(end, |applied: &Applied<'_, Account>| {
            counts.add(applied);
            true
        })
        .await?;
        let mut progress = counts.progress;
        progress.truncated = first > begin;
        for done in &mut progress.triggers {
            let held = past.evaluator().state().held(name, &done.name).into_iter().flatten();
            done.holds = held.map(|(of, _)| of.as_ref().to_owned()).collect();
        }
        for reached in &mut progress.dependencies {
            reached.stopped.sort_by_key(|stopped| std::cmp::Reverse(stopped.count));
        }
        self.outcomes(&mut progress).await?;
        Ok(progress)
    }

    /// Counts the actions of the time by what became of them.
    async fn outcomes(&self, progress: &mut Progress) -> Result<(), ExplainError> {
        let handles = vec![Handle::sensor(&progress.sensor)];
        let mut open: HashSet<ActionId> = HashSet::new();
        let mut reader = self.reader(Log::Actions, &handles, progress.since).await?;
        while let Some(page) = reader.page(self.bus).await? {
            let Page::Records(records) = page else { continue };
            for action in records.iter().filter_map(|it| Action::decode(&it.record).ok()) {
                let is_its = action.trigger.sensor_name() == progress.sensor;
                if is_its && action.decided_at >= progress.since && action.round == 0 {
                    if let Some(done) = progress.done(&action.trigger.trigger) {
                        done.fired += 1;
                        *done.actions.entry(OPEN.to_owned()).or_default() += 1;
                    }
                    if open.len() < MAX_ACTIONS {
                        open.insert(action.id);
                    }
                }
            }
        }
        let mut reader = self.reader(Log::Outcomes, &handles, progress.since).await?;
        while let Some(page) = reader.page(self.bus).await? {
            let Page::Records(records) = page else { continue };
            for outcome in records.iter().filter_map(|it| Outcome::decode(&it.record).ok()) {
                if outcome.kind.closes().is_some_and(|(id, _)| open.remove(id)) {
                    progress.close(&outcome.kind);
                }
            }
        }
        Ok(())
    }

    async fn reader(
        &self,
        log: Log,
        handles: &[Handle],
        since: Timestamp,
    ) -> Result<Reader, ExplainError> {
        let from = first_not_before(self.bus, log, since).await;
        let from = from.map_err(crate::query::QueryError::from)?;
        Ok(Reader::new(self.bus, log, handles.to_vec()).await?.from(from))
    }
}

/// Actions that nothing has closed.
const OPEN: &str = "open";

impl Progress {
    fn done(&mut self, trigger: &str) -> Option<&mut Done> {
        self.triggers.iter_mut().find(|done| done.name == trigger)
    }

    fn close(&mut self, kind: &OutcomeKind) {
        let (trigger, word) = match kind {
            OutcomeKind::Succeeded { trigger, .. } => (Some(trigger), "succeeded".to_owned()),
            OutcomeKind::DeadLettered(letter) => {
                (letter.trigger.as_ref(), letter.cause.as_str().to_owned())
            }
            OutcomeKind::Dropped { trigger, cause, .. } => {
                let cause = cause.map_or("dropped", |cause| cause.as_str());
                (Some(trigger), cause.to_owned())
            }
            _ => return,
        };
        let Some(done) = trigger.and_then(|trigger| self.done(&trigger.trigger)) else { return };
        if let Some(open) = done.actions.get_mut(OPEN) {
            *open = open.saturating_sub(1);
        }
        done.actions.retain(|word, count| word != OPEN || *count > 0);
        *done.actions.entry(word).or_default() += 1;
    }
}

fn not_there(sensor: &str, known: &[String]) -> String {
    let alike = |name: &&String| {
        let name = name.rsplit('/').next().unwrap_or(name);
        let sensor = sensor.rsplit('/').next().unwrap_or(sensor);
        strsim::normalized_damerau_levenshtein(name, sensor) >= 0.6
    };
    let near: Vec<&str> = known.iter().filter(alike).map(String::as_str).take(3).collect();
    let near = match near.as_slice() {
        [] => String::new(),
        near => format!("; did you mean {}?", near.join(", ")),
    };
    format!("there is no sensor {sensor} among the {} that are in force{near}", known.len())
}

/// Counts as the log is evaluated again.
struct Counts {
    progress: Progress,
    /// Where in `stopped` of a dependency a reason stands.
    known: HashMap<(usize, String, String), usize>,
}

impl Counts {
    fn new(sensor: &Sensor, since: Timestamp) -> Self {
        let dependencies = sensor.dependencies.iter().map(|of| Reached {
            name: of.name.as_ref().to_owned(),
            key: of.key.clone(),
            arrived: 0,
            passed: 0,
            stopped: Vec::new(),
        });
        let triggers = sensor
            .triggers
            .iter()
            .map(|of| Done { name: of.name.trigger.clone(), ..Done::default() });
        let progress = Progress {
            sensor: sensor.name.clone(),
            since,
            truncated: false,
            dependencies: dependencies.collect(),
            triggers: triggers.collect(),
        };
        Self { progress, known: HashMap::new() }
    }

    fn add(&mut self, applied: &Applied<'_, Account>) {
        let EventsRecord::Event(event) = applied.record else { return };
        if event.time < self.progress.since {
            return;
        }
        for asked in &applied.told.asked {
            let mut all = self.progress.dependencies.iter_mut().enumerate();
            // A dependency that is not there any more has no place.
            let Some((at, of)) = all.find(|(_, of)| *of.name == *asked.dependency) else {
                continue;
            };
            of.arrived += 1;
            if asked.verdict.pass {
                of.passed += 1;
                continue;
            }
            let reason = reason(asked);
            let known = self.known.get(&(at, reason.0.clone(), reason.1.clone())).copied();
            let place = known.unwrap_or_else(|| {
                // Looking for what was meant takes long: once for each reason.
                let plan = applied.evaluator.plan();
                let sensor = plan.sensor(&self.progress.sensor);
                let dependency = sensor.and_then(|it| it.dependency(&asked.dependency));
                let cause = match dependency {
                    Some((_, dependency)) => filters::cause(dependency, asked, event),
                    None => Cause::new(Code::OtherValue, "its filter did not let it through"),
                };
                of.stopped.push(Stopped {
                    field: reason.0.clone(),
                    count: 0,
                    latest: applied.position,
                    cause,
                });
                self.known.insert((at, reason.0, reason.1), of.stopped.len() - 1);
                of.stopped.len() - 1
            });
            of.stopped[place].count += 1;
            of.stopped[place].latest = applied.position;
        }
        for waiting in &applied.told.waiting {
            if let Some(done) = self.progress.done(&waiting.trigger.trigger) {
                done.waited += 1;
            }
        }
    }
}

/// What events that stop at the same place for the same reason have in common: the filter, and
/// whether there was a value.
fn reason(asked: &Asked) -> (String, String) {
    let steps = &asked.trace.steps;
    let failed = steps.iter().find(|it| it.error.is_some());
    match failed.or_else(|| steps.iter().find(|step| !step.pass)) {
        Some(step) => {
            let found = step.found_type.unwrap_or("nothing");
            (step.field.clone(), format!("{found} {}", step.error.is_some()))
        }
        None => ("filters".to_owned(), asked.verdict.error.as_deref().unwrap_or("").to_owned()),
    }
}
