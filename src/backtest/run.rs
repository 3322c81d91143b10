//! Shows both the same records, and holds what they fire against each other.

use std::collections::HashMap;
use std::sync::Arc;

use tripline_bus::Stored;
use tripline_event::{Action, Event, EventsRecord, ObjectName, Position, Timestamp};
use tripline_sensors::evaluator::{Evaluator, Plan, State};

use super::changes::{Change, Changes};
use super::decider::{Decided, Decider};
use super::history::Events;
use super::report::{Difference, Example, ExampleEvent, Report, SensorReport, differences};
use crate::control::ControlError;
use crate::query::scan::{Needles, escaped};
use crate::render::{Rendered, shown};
use crate::verdicts::Notes;

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

/// What both have fired by now.
pub(super) struct Comparison<'a> {
    by_name: HashMap<&'a ObjectName, (usize, &'a Change)>,
    decider: Decider<'a, 2>,
    /// As they are now, and as they would be.
    plans: [Arc<Plan>; 2],
    /// What stands in each record that matters; none where all do.
    needles: Option<Needles>,
    since: Option<Timestamp>,
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
        let plans = changes.plans();
        let before = Position::new(from.incarnation, from.sequence.saturating_sub(1));
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
            by_name: by_name.collect(),
            decider: Decider::new(&changes.definitions, &plans, before),
            plans,
            needles,
            since,
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
        let is_event = matches!(record, EventsRecord::Event(_));
        if !in_time && is_event {
            return;
        }
        self.report.events += u64::from(is_event);
        let Some(decided) = self.decider.apply(stored.position, record) else { return };
        let Decided { event, actions: [old, new], .. } = decided;
        self.compare(stored.position, &event, old, new);
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
            false => self.rendered_differences(&old, &new),
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
            true => (fired, examples_fired, &self.plans[0]),
            false => (lost, examples_lost, &self.plans[1]),
        };
        *count += 1;
        if examples.len() < self.examples {
            let because = reasons(plan, action, now.1);
            examples.push(Example { because, ..example(now, action) });
        }
    }

    fn rendered_differences(&self, old: &Action, new: &Action) -> Vec<Difference> {
        match (self.render(old), self.render(new)) {
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

    fn render(&self, action: &Action) -> Result<Rendered, String> {
        shown(&self.decider.render(action)?).map_err(|error| error.to_string())
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
