//! Shows both the same records, and holds what they fire against each other.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use tripline_bus::Stored;
use tripline_event::{Action, Event, EventsRecord, ObjectName, Position, Timestamp};
use tripline_sensors::evaluator::{
    Dependency, Evaluator, Held, Plan, Recorder, Sensor, State, Trigger,
};
use tripline_sensors::filter::{Trace, Verdict};
use tripline_triggers::executor::Renderer as _;

use super::changes::{Change, Changes};
use super::history::Events;
use super::report::{Difference, Example, ExampleEvent, Report, SensorReport, differences};
use crate::control::ControlError;
use crate::query::scan::{Needles, escaped};
use crate::render::{Rendered, shown};
use crate::verdicts::Notes;

/// So many events of half-met conditions are kept before it is looked which are needed.
const KEPT: usize = 10_000;
/// The most lines of an explanation.
const MAX_LINES: usize = 20;

/// Compares on all records of `events`; of each kind of difference the first `examples`.
///
/// # Errors
/// The log cannot be read.
pub async fn run(
    changes: &Changes,
    mut events: Events,
    since: Option<Timestamp>,
    examples: usize,
) -> Result<Report, ControlError> {
    let mut comparison = Comparison::new(changes, events.covered().from, since, examples)?;
    comparison.report.covers(events.covered(), since);
    loop {
        let page = events.page().await?;
        if page.is_empty() {
            return Ok(comparison.report);
        }
        for stored in &page {
            comparison.apply(stored);
        }
    }
}

/// Tells whether something is held.
#[derive(Default)]
struct Watch {
    waits: bool,
}

impl Recorder for Watch {
    const ON: bool = false;

    fn filtered(&mut self, _: &Sensor, _: &Dependency, _: &Verdict, _: Option<Trace>) {}

    fn waits(&mut self, _: &Sensor, _: &Trigger, _: &str, _: Option<&BTreeMap<Arc<str>, Held>>) {
        self.waits = true;
    }

    fn fired(&mut self, _: &Sensor, _: &Trigger, _: &Action) {}
}

/// What both have fired by now.
pub(super) struct Comparison<'a> {
    changes: &'a Changes,
    by_name: HashMap<&'a ObjectName, (usize, &'a Change)>,
    old: Evaluator,
    new: Evaluator,
    plans: (Arc<Plan>, Arc<Plan>),
    /// What stands in each record that matters; none where all do.
    needles: Option<Needles>,
    since: Option<Timestamp>,
    watch: Watch,
    kept: HashMap<Position, Arc<Event>>,
    keep_up_to: usize,
    examples: usize,
    pub(super) report: Report,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(
        changes: &'a Changes,
        from: Position,
        since: Option<Timestamp>,
        examples: usize,
    ) -> Result<Self, ControlError> {
        let (old, new) = changes.plans();
        let before = Position::new(from.incarnation, from.sequence.saturating_sub(1));
        let evaluator = |plan: &Arc<Plan>| Evaluator::new(Arc::clone(plan), State::new(before));
        let needles = match changes.depend_on_time() {
            true => None,
            false => {
                let sources = changes.keys().into_iter().map(|key| &key.source);
                let sources = sources.map(|name| format!(r#""source":"{}""#, escaped(name)));
                Some(Needles::bytes(sources)?)
            }
        };
        let by_name = changes.sensors.iter().enumerate().map(|(i, of)| (&of.name, (i, of)));
        Ok(Self {
            changes,
            by_name: by_name.collect(),
            old: evaluator(&old),
            new: evaluator(&new),
            plans: (old, new),
            needles,
            since,
            watch: Watch::default(),
            kept: HashMap::new(),
            keep_up_to: KEPT,
            examples,
            report: Report::new(changes),
        })
    }

    /// One record.
    pub(super) fn apply(&mut self, stored: &Stored) {
        self.report.records += 1;
        if self.needles.as_ref().is_some_and(|needles| !needles.are_in(&stored.record)) {
            return;
        }
        let Ok(record) = EventsRecord::decode(&stored.record) else {
            self.report.unreadable += 1;
            return;
        };
        let in_time = self.since.is_none_or(|since| record.time() >= since);
        if !in_time && matches!(record, EventsRecord::Event(_)) {
            return;
        }
        self.watch.waits = false;
        let old = self.old.apply(stored.position, &record, &mut self.watch).actions;
        let new = self.new.apply(stored.position, &record, &mut self.watch).actions;
        let EventsRecord::Event(event) = record else { return };
        self.report.events += 1;
        if old.is_empty() && new.is_empty() && !self.watch.waits {
            return;
        }
        // A page of the log must not stay in memory because of one event.
        let data = event.data.as_deref().map(Bytes::copy_from_slice);
        let event = Arc::new(Event { data, ..event });
        if self.watch.waits {
            self.keep(stored.position, &event);
        }
        self.compare(stored.position, &event, old, new);
    }

    fn keep(&mut self, position: Position, event: &Arc<Event>) {
        self.kept.insert(position, Arc::clone(event));
        if self.kept.len() <= self.keep_up_to {
            return;
        }
        let sides = [&self.old, &self.new];
        let conditions = sides.into_iter().flat_map(|side| side.state().conditions.iter());
        let triggers = conditions.flat_map(|(_, held)| held.triggers.values());
        let held: HashSet<Position> =
            triggers.flat_map(|one| one.held.values()).map(|held| held.event.position).collect();
        self.kept.retain(|at, _| held.contains(at) || *at == position);
        self.keep_up_to = KEPT.max(2 * self.kept.len());
    }

    /// Firings of the same trigger by the same events are the same firing.
    fn compare(
        &mut self,
        position: Position,
        event: &Arc<Event>,
        old: Vec<Action>,
        mut new: Vec<Action>,
    ) {
        let same = |a: &Action, b: &Action| {
            let positions = |action: &Action| -> Vec<Position> {
                let mut all: Vec<_> = action.events.iter().map(|of| of.position).collect();
                all.sort_unstable();
                all
            };
            a.trigger == b.trigger && positions(a) == positions(b)
        };
        let now = (position, event);
        for action in old {
            // Of those in several clusters each has its own.
            let fits = |other: &Action| same(&action, other);
            let place = new.iter().position(|other| fits(other) && other.target == action.target);
            match place.or_else(|| new.iter().position(fits)) {
                Some(place) => {
                    let other = new.remove(place);
                    self.both(now, action, other);
                }
                None => self.one(now, &action, false),
            }
        }
        new.iter().for_each(|action| self.one(now, action, true));
    }

    fn change(&self, action: &Action) -> Option<(usize, &'a Change)> {
        let name = ObjectName::new(&action.trigger.namespace, &action.trigger.sensor);
        self.by_name.get(&name).copied()
    }

    fn both(&mut self, now: (Position, &Arc<Event>), old: Action, new: Action) {
        let Some((place, change)) = self.change(&new) else { return };
        let alike = change.same_rendering.contains(&new.trigger.trigger);
        let found = match alike && old.target == new.target {
            true => Vec::new(),
            false => self.rendered_differences(now, &old, &new),
        };
        if found.is_empty() {
            self.report.sensors[place].same += 1;
            return;
        }
        let sensor = &mut self.report.sensors[place];
        sensor.changed += 1;
        if sensor.examples_changed.len() < self.examples {
            let example = Example { differences: found, ..example(now, &new) };
            sensor.examples_changed.push(example);
        }
    }

    fn one(&mut self, now: (Position, &Arc<Event>), action: &Action, is_new: bool) {
        let Some((place, _)) = self.change(action) else { return };
        let SensorReport { fired, lost, examples_fired, examples_lost, .. } =
            &mut self.report.sensors[place];
        let (count, examples, plan) = match is_new {
            // What the other one says of the event is the reason.
            true => (fired, examples_fired, &self.plans.0),
            false => (lost, examples_lost, &self.plans.1),
        };
        *count += 1;
        if examples.len() < self.examples {
            let because = reasons(plan, action, now.1);
            examples.push(Example { because, ..example(now, action) });
        }
    }

    fn rendered_differences(
        &self,
        now: (Position, &Arc<Event>),
        old: &Action,
        new: &Action,
    ) -> Vec<Difference> {
        match (self.render(now, old), self.render(now, new)) {
            (Ok(before), Ok(after)) => {
                let ids_differ = old.id != new.id;
                differences(&before, &after, ids_differ)
            }
            (Err(before), Err(after)) if before == after => Vec::new(),
            (before, after) => {
                let text = |side: &Result<Rendered, String>| match side {
                    Ok(_) => "rendered".to_owned(),
                    Err(error) => format!("a dead letter: {error}"),
                };
                let (path, now, then) = (String::new(), text(&before), text(&after));
                vec![Difference { path, now, then }]
            }
        }
    }

    fn render(
        &self,
        (at, event): (Position, &Arc<Event>),
        action: &Action,
    ) -> Result<Rendered, String> {
        let of = |position: Position| {
            if position == at { Some(Arc::clone(event)) } else { self.kept.get(&position).cloned() }
        };
        let events: Option<Vec<_>> = action.events.iter().map(|one| of(one.position)).collect();
        let events = events.ok_or("an event of it was before what is read")?;
        let rendered = self.changes.definitions.render(&Arc::new(action.clone()), &events);
        shown(&rendered.map_err(|error| error.reason)?).map_err(|error| error.to_string())
    }
}

fn example((position, event): (Position, &Arc<Event>), action: &Action) -> Example {
    let events = action.events.iter().map(|of| ExampleEvent {
        dependency: of.dependency.clone(),
        key: of.key.to_string(),
        id: of.id.to_string(),
        correlation: of.correlation.to_string(),
    });
    Example {
        trigger: action.trigger.to_string(),
        at: event.time,
        position,
        events: events.collect(),
        because: Vec::new(),
        differences: Vec::new(),
    }
}

/// What the sensors of `plan` say of an event that they did not fire by.
fn reasons(plan: &Arc<Plan>, action: &Action, event: &Event) -> Vec<String> {
    let name = ObjectName::new(&action.trigger.namespace, &action.trigger.sensor);
    let Some(sensor) = plan.sensor(&name) else { return vec!["the sensor is new".to_owned()] };
    if sensor.trigger(&action.trigger.trigger).is_none() {
        return vec![format!("it has no trigger {}", action.trigger.trigger)];
    }
    let alone = Arc::new(Plan::new(1, vec![Arc::clone(sensor)]));
    let state = State { log_time: event.time, ..State::new(Position::new(1, 0)) };
    let mut notes = Notes::default();
    let record = EventsRecord::Event(event.clone());
    Evaluator::new(alone, state).apply(Position::new(1, 1), &record, &mut notes);
    if notes.lines.is_empty() {
        notes.lines.push("it does not wait for this event, or held others".to_owned());
    }
    notes.lines.truncate(MAX_LINES);
    notes.lines
}
