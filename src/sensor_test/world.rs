//! Sensors and schedules on a virtual clock: what the driver of the engine does, without a bus.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tripline_event::event::Links;
use tripline_event::{
    Action, ActionId, CorrelationId, Event, EventId, EventsRecord, ObjectName, Position,
};
use tripline_eventsources::Message;
use tripline_schedules::policy::{RunEnd, RunId};
use tripline_sensors::evaluator::{Evaluator, Off, State};
use tripline_sensors::path::Path;
use tripline_triggers::executor::Renderer as _;

use super::MAX_MOMENTS;
use super::case::{Given, Passing};
use super::compile::Suite;
use crate::engine::correlation::Finder;
use crate::engine::definitions::Definitions;
use crate::engine::schedules::{Schedules, ends, events as schedule_events};
use crate::render::{Rendered, shown};
use crate::verdicts::Notes;

/// A trigger that fired.
#[derive(Debug)]
pub struct Fired {
    /// What was decided.
    pub action: Action,
    /// What would be created or sent; or why nothing is, and the action is a dead letter.
    pub rendered: Result<Rendered, String>,
}

/// A run of a schedule that has not ended.
#[derive(Clone, Debug)]
struct Run {
    source: ObjectName,
    run: RunId,
    action: ActionId,
}

/// Sensors and schedules on a virtual clock.
pub struct World<'a> {
    suite: &'a Suite,
    definitions: &'a Definitions,
    evaluator: Evaluator,
    schedules: Schedules,
    now: Timestamp,
    position: Position,
    /// What came in, for rendering.
    events: HashMap<Position, Arc<Event>>,
    /// How many events were given.
    given: u64,
    finder: Finder,
    body: Option<Path>,
    runs_take: SignedDuration,
    runs: BTreeMap<(Timestamp, u64), Run>,
    known_runs: HashSet<ActionId>,
    /// Whether filters are to say what they saw.
    explain: bool,
    notes: Notes,
    fired: Vec<Fired>,
}

impl<'a> World<'a> {
    /// Nothing has happened, and it is `start`.
    pub fn new(
        suite: &'a Suite,
        definitions: &'a Definitions,
        start: Timestamp,
        runs_take: SignedDuration,
        explain: bool,
    ) -> Self {
        let position = Position::new(1, 0);
        let state = State { log_time: start, ..State::new(position) };
        let mut schedules = Schedules::default();
        schedules.switch(start, suite.schedules.clone());
        let several = suite.plan.sensors().len() > 1;
        Self {
            suite,
            definitions,
            evaluator: Evaluator::new(Arc::clone(&suite.plan), state),
            schedules,
            now: start,
            position,
            events: HashMap::new(),
            given: 0,
            finder: Finder::default(),
            body: Path::compile("body").ok(),
            runs_take,
            runs: BTreeMap::new(),
            known_runs: HashSet::new(),
            explain,
            notes: Notes { lines: Vec::new(), names_sensors: several },
            fired: Vec::new(),
        }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// What has fired, and what was said, since this was asked last.
    pub fn take(&mut self) -> (Vec<Fired>, Vec<String>) {
        (std::mem::take(&mut self.fired), std::mem::take(&mut self.notes.lines))
    }

    /// Time goes forward. What is due on the way happens at its time.
    ///
    /// # Errors
    /// It would go back, or more is due than a case may have.
    pub fn pass(&mut self, passing: &Passing) -> Result<(), String> {
        let to = match passing {
            Passing::To(at) => *at,
            Passing::Atleast(at) => (*at).max(self.now),
            Passing::By(span) => self.now.checked_add(*span).map_err(|error| error.to_string())?,
            Passing::Clock(time, zone) => next_time(self.now, *time, zone)?,
        };
        if to < self.now {
            return Err(format!("time does not go back: it is {}", self.now));
        }
        for _ in 0..MAX_MOMENTS {
            let of_runs = self.runs.first_key_value().map(|((at, _), _)| *at);
            let due = [self.evaluator.next_deadline(), self.schedules.next_deadline(), of_runs];
            let Some(due) = due.into_iter().flatten().min().filter(|due| *due <= to) else {
                self.time(to);
                return Ok(());
            };
            self.time(due.max(self.now));
        }
        Err(format!("more than {MAX_MOMENTS} times something is due until {to}"))
    }

    fn time(&mut self, at: Timestamp) {
        self.now = at;
        self.apply(EventsRecord::Time(at));
        self.schedules.pass_time(at);
        self.settle();
    }

    /// A message comes in, as the event source of its event hands it on.
    pub fn take_in(&mut self, given: &Given) {
        self.given += 1;
        let id = given.id.clone().unwrap_or_else(|| format!("event-{}", self.given));
        let source = self.suite.sources.0.get(&given.key);
        let body = self.body.as_ref().and_then(|body| {
            let found = body.find(std::str::from_utf8(&given.data).ok()?)?;
            Some(bytes::Bytes::copy_from_slice(found.raw.as_bytes()))
        });
        let message = Message {
            key: given.key.clone(),
            kind: source.map_or("webhook", |source| source.kind),
            id: Some(EventId::from_upstream(&id)),
            time: self.now,
            data: given.data.clone(),
            headers: given.headers.clone(),
            body,
            correlation_path: source.and_then(|source| source.correlation.clone()),
            cloud_event: None,
        };
        if let Some(filter) = source.and_then(|source| source.filter.as_ref()) {
            let said = match std::str::from_utf8(&message.data) {
                Ok(data) => filter.passes(data, Some(self.now)),
                Err(_) => Err("the event's data is no text".to_owned()),
            };
            let text = match said {
                Ok(true) => None,
                Ok(false) => Some("filter.expression is false".to_owned()),
                Err(error) => Some(format!("filter.expression: {error}")),
            };
            if let Some(text) = text {
                let line = format!("event source {}: it is left out: {text}", given.key);
                self.notes.lines.push(line);
                return;
            }
        }
        let id = EventId::from_upstream(&id);
        let mut links = match &given.correlation {
            Some(correlation) => Links::first(CorrelationId(correlation.clone())),
            None => self.finder.find(&message).into_links(id.as_str()),
        };
        links.hops = given.hops.unwrap_or(links.hops);
        let event = Event {
            key: given.key.clone(),
            id,
            kind: given.kind.clone(),
            time: self.now,
            content_type: tripline_event::event::JSON.to_owned(),
            data: Some(given.data.clone()),
            links,
            cloud_event: None,
        };
        self.event(event);
        self.settle();
    }

    fn event(&mut self, event: Event) {
        let position = self.position.next();
        if event.kind == schedule_events::KIND && event.key.name == schedule_events::STOP {
            self.stop(&event);
        }
        self.events.insert(position, Arc::new(event.clone()));
        let duplicate = self.apply(EventsRecord::Event(event.clone()));
        self.schedules.pass_time(self.now);
        if duplicate {
            self.schedules.seen(&event);
            let line =
                format!("duplicate: an event {} with id {} was there before", event.key, event.id);
            self.notes.lines.push(line);
        } else {
            self.schedules.apply(&event);
        }
    }

    /// A run that is told to stop ends now.
    fn stop(&mut self, event: &Event) {
        let data = event.data.as_deref().unwrap_or_default();
        let Ok(stop) = serde_json::from_slice::<schedule_events::Stop>(data) else { return };
        let source = ObjectName::new(&event.key.namespace, &event.key.source);
        let is_it = |run: &Run| run.source == source && run.run.to_string() == stop.run;
        let found = self.runs.iter().find(|(_, run)| is_it(run)).map(|(at, _)| *at);
        if let Some(run) = found.and_then(|at| self.runs.remove(&at)) {
            self.runs.insert((self.now, self.position.sequence), run);
        }
    }

    /// The one place where the evaluator decides; true for a duplicate.
    fn apply(&mut self, record: EventsRecord) -> bool {
        self.position = self.position.next();
        let decisions = if self.explain {
            self.evaluator.apply(self.position, &record, &mut self.notes)
        } else {
            self.evaluator.apply(self.position, &record, &mut Off)
        };
        for mut action in decisions.actions {
            self.definitions.bind(&mut action);
            let rendered = self.render(&action);
            self.fired.push(Fired { action, rendered });
        }
        decisions.duplicate.is_some()
    }

    fn render(&self, action: &Action) -> Result<Rendered, String> {
        let events = action.events.iter().map(|of| self.events.get(&of.position).cloned());
        let events: Option<Vec<_>> = events.collect();
        let events = events.ok_or("an event of it is not known")?;
        let rendered = self.definitions.render(&Arc::new(action.clone()), &events);
        let rendered = rendered.map_err(|error| format!("{}: {}", error.cause, error.reason))?;
        shown(&rendered).map_err(|error| error.to_string())
    }

    /// What schedules decided comes in, and runs whose time is over end.
    fn settle(&mut self) {
        for _ in 0..MAX_MOMENTS {
            let unsent = self.schedules.unsent();
            self.schedules.sent(&unsent);
            let quiet = unsent.is_empty();
            unsent.into_iter().for_each(|event| self.event(event));
            self.note_runs();
            let due =
                self.runs.first_key_value().map(|(at, _)| *at).filter(|(at, _)| *at <= self.now);
            if let Some(run) = due.and_then(|at| self.runs.remove(&at)) {
                let event =
                    ends::event(&run.source, run.run, &run.action, RunEnd::Completed, self.now);
                self.event(event);
            } else if quiet {
                return;
            }
        }
    }

    fn note_runs(&mut self) {
        let new: Vec<Run> = self
            .schedules
            .all_awaited()
            .filter(|(.., action)| !self.known_runs.contains(*action))
            .map(|(source, run, action)| Run {
                source: source.clone(),
                run,
                action: action.clone(),
            })
            .collect();
        for run in new {
            self.known_runs.insert(run.action.clone());
            let end = self.now.saturating_add(self.runs_take).unwrap_or(Timestamp::MAX);
            self.runs.insert((end, self.known_runs.len() as u64), run);
        }
    }
}

/// The next time, now included, that clocks in `zone` show `time`.
fn next_time(now: Timestamp, time: Time, zone: &TimeZone) -> Result<Timestamp, String> {
    let today = now.to_zoned(zone.clone()).date();
    for date in [today, today.tomorrow().map_err(|error| error.to_string())?] {
        let at =
            date.to_datetime(time).to_zoned(zone.clone()).map_err(|error| error.to_string())?;
        if at.timestamp() >= now {
            return Ok(at.timestamp());
        }
    }
    Err(format!("clocks do not show {time}"))
}
