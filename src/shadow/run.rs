//! Reads both sides, and holds them against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;
use tripline_bus::argo::{Argo, ArgoError, Held, Start};
use tripline_event::{EventKey, ObjectName, Timestamp};
use tripline_sensors::evaluator::State;

use super::firings::{Firing, Firings, Other, Repeat, Wanted};
use super::listeners::{Listeners, Seen};
use super::matching::{Pairs, Side, pair};
use super::report::{Covered, Example, HeldReport, Report, SensorReport, TriggerReport};
use super::workflows::Made;
use super::{LATE, MAX_FIRINGS, SKEW};
use crate::engine::definitions::{CompiledSensor, Definitions};

/// The most messages that cannot be read and are shown.
const MAX_UNREADABLE: usize = 3;

const NO_WORKFLOW: &str =
    "that create no workflow: Argo Events' labels are looked for on workflows";
const NOT_IN_SENSOR: &str = "whose object does not stand in the sensor, but elsewhere";
const WOULD_FAIL: &str =
    "that would be dead letters here, and Argo Events has no workflow of either";
const NOT_YET_THERE: &str = "with an event from before Argo Events' sensor listened";
const NOT_REACHED: &str = "that Argo Events' sensor has not come to yet";
const MAY_BE_GONE: &str = "whose workflow may be deleted by now";
const NO_SUCH_TRIGGER: &str = "workflows of a trigger that the sensor does not have";
const BEFORE_STREAM: &str = "workflows whose event may be one that the stream no longer has";

/// Why the two cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum ShadowError {
    /// The bus cannot be read.
    #[error(transparent)]
    Bus(#[from] ArgoError),
    /// There is more than can be compared at a time.
    #[error(
        "the stream's messages fire more than {MAX_FIRINGS} times: name one sensor with --sensor"
    )]
    TooMany,
}

/// What is compared.
pub struct Order<'a> {
    /// What renders.
    pub definitions: &'a Definitions,
    /// The sensors, of one namespace.
    pub sensors: &'a BTreeMap<ObjectName, Arc<CompiledSensor>>,
    /// What was done since then.
    pub since: Timestamp,
    /// Now.
    pub now: Timestamp,
    /// How long Argo Events may take from an event that it has acknowledged to its workflow.
    pub settles: SignedDuration,
    /// For how long workflows are kept, where somebody deletes them.
    pub kept: Option<SignedDuration>,
    /// How many examples of each kind are kept of each trigger.
    pub examples: usize,
}

/// What stands on the bus.
pub(super) struct Past<'a> {
    pub(super) covered: Covered,
    pub(super) firings: Firings<'a>,
    pub(super) listeners: Listeners,
    pub(super) held: BTreeMap<ObjectName, Held>,
}

/// Reads the bus, asks for the workflows of the namespaces in which there may be some, and
/// compares. They are asked for last: an event that was acknowledged has its workflow by then.
///
/// # Errors
/// The bus cannot be read, the workflows cannot, or there are too many firings.
pub async fn run<E: From<ShadowError>>(
    order: &Order<'_>,
    argo: &Argo,
    namespace: &str,
    workflows: impl AsyncFnOnce(BTreeSet<String>) -> Result<Vec<Made>, E>,
) -> Result<Report, E> {
    let past = read(order, argo, namespace).await?;
    let mut namespaces = BTreeSet::from([namespace.to_owned()]);
    for firing in &past.firings.fired {
        if let Wanted::Workflow { object, .. } = &firing.wanted {
            let of = object.pointer("/metadata/namespace").and_then(Value::as_str);
            namespaces.extend(of.map(str::to_owned));
        }
    }
    let workflows = workflows(namespaces).await?;
    Ok(compare(order, &past, &workflows))
}

async fn read<'a>(
    order: &Order<'a>,
    argo: &Argo,
    namespace: &str,
) -> Result<Past<'a>, ShadowError> {
    let stream = argo.stream().await?;
    let mut covered = Covered {
        first: stream.first,
        last: stream.last,
        begins: stream.first_time,
        ends: stream.last_time,
        ..Covered::default()
    };
    let mut firings = Firings::new(order.definitions, order.sensors);
    let mut reader = argo.read(namespace, Start::First).await?;
    'stream: loop {
        let page = reader.page(Duration::ZERO).await?;
        if page.is_empty() {
            break;
        }
        for message in page {
            let sequence = message.as_ref().map_or_else(|of| of.sequence, |of| of.sequence);
            if sequence > stream.last {
                break 'stream;
            }
            covered.messages += 1;
            match message {
                Ok(message) => firings.apply(message),
                Err(undecodable) => {
                    covered.unreadable += 1;
                    if covered.examples_unreadable.len() < MAX_UNREADABLE {
                        covered.examples_unreadable.push(undecodable.to_string());
                    }
                }
            }
        }
        if firings.fired.len() > MAX_FIRINGS {
            return Err(ShadowError::TooMany);
        }
    }
    reader.close().await;
    let sensors = order.sensors.values().map(|of| Arc::clone(&of.sensor));
    let listeners = Listeners::read(argo, sensors).await?;
    let mut held = BTreeMap::new();
    for name in order.sensors.keys() {
        if let Some(of) = argo.held(namespace, &name.name).await? {
            held.insert(name.clone(), of);
        }
    }
    Ok(Past { covered, firings, listeners, held })
}

/// Holds what Tripline decides against what Argo Events has created.
pub(super) fn compare(order: &Order<'_>, past: &Past<'_>, workflows: &[Made]) -> Report {
    let mut report = Report {
        stream: past.covered.clone(),
        since: Some(order.since),
        workflows: workflows.len() as u64,
        ..Report::default()
    };
    report.remarks.extend(remarks(order, past, workflows));
    for (name, compiled) in order.sensors {
        let of_sensor: Vec<&Made> =
            workflows.iter().filter(|made| made.sensor == name.name).collect();
        let mut triggers = Vec::new();
        for trigger in &compiled.sensor.triggers {
            let keys = trigger.condition.dependencies().iter();
            let keys = keys.filter_map(|&place| compiled.sensor.dependencies.get(place));
            let fired = past.firings.fired.iter().filter(|of| of.trigger == trigger.name);
            let made = of_sensor.iter().filter(|of| of.trigger == trigger.name.trigger);
            let one = OneTrigger {
                order,
                past,
                keys: keys.map(|of| &of.key).collect(),
                holds: trigger.condition.requires_and(),
                firings: fired.collect(),
                made: made.copied().collect(),
                report: TriggerReport {
                    trigger: trigger.name.trigger.clone(),
                    ..TriggerReport::default()
                },
            };
            triggers.push(one.compare());
        }
        let known: BTreeSet<&str> = triggers.iter().map(|of| of.trigger.as_str()).collect();
        let unknown = of_sensor.iter().filter(|of| !known.contains(of.trigger.as_str()));
        let mut others: BTreeMap<&str, TriggerReport> = BTreeMap::new();
        for made in unknown.filter(|of| of.at >= order.since) {
            let of = others.entry(&made.trigger).or_default();
            *of.not_compared.entry(NO_SUCH_TRIGGER).or_default() += 1;
        }
        triggers.extend(
            others.into_iter().map(|(name, of)| TriggerReport { trigger: name.to_owned(), ..of }),
        );
        let held = held(name, past.held.get(name), past.firings.state());
        report.sensors.push(SensorReport { sensor: name.clone(), triggers, held });
    }
    report
}

fn remarks(order: &Order<'_>, past: &Past<'_>, workflows: &[Made]) -> Vec<String> {
    let mut remarks = Vec::new();
    match past.covered.begins {
        None => remarks.push("the stream is empty".to_owned()),
        Some(begins) if order.since < begins => remarks.push(format!(
            "since {:.0} was asked for, and the stream begins at {begins:.0}",
            order.since
        )),
        Some(_) => {}
    }
    let names: BTreeSet<&str> = order.sensors.keys().map(|name| name.name.as_str()).collect();
    let others = workflows.iter().filter(|made| !names.contains(made.sensor.as_str())).count();
    if others > 0 {
        remarks.push(format!("{others} workflows are of sensors that are not compared"));
    }
    remarks
}

/// What half-met conditions hold, on both sides.
fn held(name: &ObjectName, argo: Option<&Held>, state: &State) -> Vec<HeldReport> {
    let mut all: BTreeMap<(String, String), (Option<String>, Option<String>)> = BTreeMap::new();
    for event in argo.into_iter().flat_map(|held| &held.events) {
        let of = all.entry((event.trigger.clone(), event.dependency.clone())).or_default();
        of.0 = Some(event.event.id.to_string());
    }
    let ours = state.conditions.iter().filter(|(of, _)| **of == *name);
    for (trigger, held) in ours.flat_map(|(_, of)| &of.triggers) {
        for (dependency, held) in &held.held {
            let of = all.entry((trigger.clone(), dependency.to_string())).or_default();
            of.1 = Some(held.event.id.to_string());
        }
    }
    let report = |((trigger, dependency), (argo_events, tripline))| HeldReport {
        trigger,
        dependency,
        argo_events,
        tripline,
    };
    all.into_iter().map(report).collect()
}

/// One trigger of one sensor.
struct OneTrigger<'a> {
    order: &'a Order<'a>,
    past: &'a Past<'a>,
    /// The events that it depends on.
    keys: BTreeSet<&'a EventKey>,
    /// It holds events until others have come.
    holds: bool,
    firings: Vec<&'a Firing>,
    made: Vec<&'a Made>,
    report: TriggerReport,
}

impl OneTrigger<'_> {
    fn compare(mut self) -> TriggerReport {
        self.firings.retain(|firing| match firing.wanted {
            Wanted::Other(other) => {
                if firing.at >= self.order.since {
                    let reason = match other {
                        Other::Kind => NO_WORKFLOW,
                        Other::Source => NOT_IN_SENSOR,
                    };
                    *self.report.not_compared.entry(reason).or_default() += 1;
                }
                false
            }
            _ => true,
        });
        let firings = self.firings.iter().map(|firing| {
            let object = match &firing.wanted {
                Wanted::Workflow { object, .. } => Ok(object),
                Wanted::Fails(reason) => Err(reason.as_str()),
                Wanted::Other(_) => Err(""),
            };
            let may_differ = self.past.listeners.seen(firing) == Seen::All;
            Side { at: firing.at, object, may_differ }
        });
        let made = self.made.iter().map(|made| Side {
            at: made.at,
            object: Ok(&made.object),
            may_differ: true,
        });
        let pairs = pair(&firings.collect::<Vec<_>>(), &made.collect::<Vec<_>>());
        self.judge(pairs)
    }

    fn judge(mut self, pairs: Pairs) -> TriggerReport {
        let since = self.order.since;
        let equal = pairs.equal.iter().filter(|(firing, _)| self.firings[*firing].at >= since);
        self.report.equal = equal.count() as u64;
        for (place, workflow, differences) in pairs.different {
            let firing = self.firings[place];
            if firing.at < since {
                continue;
            }
            self.report.different += 1;
            if self.report.examples_different.len() < self.order.examples {
                let workflow = Some(self.made[workflow].name.clone());
                let example = Example { workflow, differences, ..example(firing) };
                self.report.examples_different.push(example);
            }
        }
        for place in pairs.missing {
            let firing = self.firings[place];
            if firing.at >= since {
                self.missing(firing);
            }
        }
        let twice: BTreeSet<String> = pairs
            .equal
            .iter()
            .map(|(_, workflow)| self.made[*workflow].object.to_string())
            .collect();
        for place in pairs.extra {
            let made = self.made[place];
            if made.at >= since {
                self.extra(made, &twice);
            }
        }
        self.report
    }

    /// Argo Events has no workflow of it.
    fn missing(&mut self, firing: &Firing) {
        if let Some(reason) = self.excuse(firing) {
            *self.report.not_compared.entry(reason).or_default() += 1;
            return;
        }
        self.report.lost += 1;
        if self.report.examples_lost.len() < self.order.examples {
            let oldest = self.made.iter().map(|made| made.at).min();
            let because = match oldest {
                Some(oldest) if firing.at < oldest => format!(
                    "it was acknowledged, and no workflow of it is there; the oldest of this trigger is of {oldest:.0}: where older ones are deleted, say --kept"
                ),
                Some(_) => "it was acknowledged, and no workflow of it is there".to_owned(),
                None => "it was acknowledged, and there is no workflow of this trigger at all"
                    .to_owned(),
            };
            self.report.examples_lost.push(Example { because, ..example(firing) });
        }
    }

    /// Why there need be no workflow.
    fn excuse(&self, firing: &Firing) -> Option<&'static str> {
        let now = self.order.now;
        let age = now.duration_since(firing.at);
        match self.past.listeners.seen(firing) {
            Seen::NotYetThere => return Some(NOT_YET_THERE),
            Seen::NotReached => return Some(NOT_REACHED),
            Seen::All if age < self.order.settles => return Some(NOT_REACHED),
            Seen::All => {}
        }
        let ttl = match &firing.wanted {
            Wanted::Workflow { kept, .. } => kept.and_then(|seconds| i64::try_from(seconds).ok()),
            Wanted::Fails(_) => return Some(WOULD_FAIL),
            Wanted::Other(_) => None,
        };
        let kept = ttl.map(SignedDuration::from_secs).into_iter().chain(self.order.kept).min();
        kept.filter(|kept| age > *kept).map(|_| MAY_BE_GONE)
    }

    /// No event of the stream is that of this workflow.
    fn extra(&mut self, made: &Made, twice: &BTreeSet<String>) {
        let Covered { begins, first, .. } = self.past.covered;
        let begins = begins.unwrap_or(Timestamp::MAX);
        let soon = |at: Timestamp| at.checked_add(LATE).unwrap_or(Timestamp::MAX);
        let before = |at: Timestamp| at.checked_sub(SKEW).unwrap_or(Timestamp::MIN);
        let was_first = first <= 1;
        let is_before = made.at < before(begins) || (!was_first && made.at < soon(begins));
        if is_before && !twice.contains(&made.object.to_string()) {
            *self.report.not_compared.entry(BEFORE_STREAM).or_default() += 1;
            return;
        }
        self.report.only_argo += 1;
        if self.report.examples_only_argo.len() >= self.order.examples {
            return;
        }
        let repeat = |of: &&Repeat| {
            self.keys.contains(&of.key) && (before(of.at)..=soon(of.at)).contains(&made.at)
        };
        let because = match self.past.firings.repeats.iter().find(repeat) {
            Some(Repeat { id, sequence, first, .. }) => format!(
                "message {sequence} repeats the event {id} of message {first}: here it would not be decided upon again"
            ),
            None if twice.contains(&made.object.to_string()) => {
                "there is another workflow just like it: Argo Events has acted twice, as it does after a crash".to_owned()
            }
            None if self.holds => {
                "no event of the stream completes it: an event that was held may be from before the stream begins, or the sensor was another one then".to_owned()
            }
            None => "no event of the stream fires it: the sensor was another one then".to_owned(),
        };
        let workflow = Some(made.name.clone());
        let example = Example { at: made.at, workflow, because, ..Example::default() };
        self.report.examples_only_argo.push(example);
    }
}

fn example(firing: &Firing) -> Example {
    let (at, sequence) = (firing.at, Some(firing.sequence));
    Example { at, sequence, events: firing.events.clone(), ..Example::default() }
}
