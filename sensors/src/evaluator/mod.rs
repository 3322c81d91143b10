//! Decides which actions follow from the records of the EVENTS log.
//!
//! The evaluator is shown each record once, in log order, and returns the actions that
//! it completes. It reads the log for all sensors at once: an index leads from an event,
//! and from values in it, to the dependencies that may let it through.
//!
//! Promises: the same records in the same order give the same actions with the same
//! ids, wherever in the log it was restarted from a checkpoint; a record that was applied
//! already changes nothing; an event whose identity was seen within the window is not
//! decided upon again, and is reported.
//!
//! Not here: reading the log, writing checkpoints, carrying actions out, any clock.

pub mod account;
mod addressed;
pub mod compile;
pub mod conditions;
mod index;
mod key;
pub mod plan;
pub mod recorder;
pub mod state;
pub mod tally;
pub mod targets;
pub mod window;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use tripline_event::{Action, ActionId, Event, EventId, EventKey, EventsRecord, Position};

pub use account::{Account, Asked, Waiting};
pub use compile::Calendar;
pub use conditions::{Conditions, Part, part_of};
pub use key::Key;
pub use plan::{Dependency, Plan, Recurrence, Sensor, StartFrom, Trigger};
pub use recorder::{Off, Recorder, Shared};
pub use state::{Held, HeldEvent, SensorState, State, TriggerState};
pub use tally::{Tally, Verdicts};
pub use targets::Targets;

use self::index::DependencyId;
use crate::filter::Trace;
use crate::view::EventView;

/// The version of the rules by which is decided, and of the state that they make. A
/// checkpoint names it. 2: conditions are written in parts, and an operator may clear them.
pub const VERSION: u32 = 2;

/// The state of all sensors at a place in the log, and the plan that is in force there.
#[derive(Debug)]
pub struct Evaluator {
    plan: Arc<Plan>,
    state: State,
    resets: Resets,
    tally: Arc<Tally>,
}

/// What follows from one record.
#[derive(Debug, Default)]
pub struct Decisions {
    /// Triggers to carry out.
    pub actions: Vec<Action>,
    /// The event's identity had been seen.
    pub duplicate: Option<Duplicate>,
}

/// An event that repeats another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// Its key.
    pub key: EventKey,
    /// Its id.
    pub id: EventId,
    /// Where it stands.
    pub position: Position,
    /// Where the first one stands.
    pub first: Position,
}

/// When the next reset of a trigger is due.
type Resets = BTreeMap<(Timestamp, usize, usize), ()>;

impl Evaluator {
    /// The evaluator at the place of `state`, under the plan that is in force there.
    pub fn new(plan: Arc<Plan>, state: State) -> Self {
        let tally = Arc::new(Tally::new(Arc::clone(&plan)));
        let mut evaluator = Self { plan, state, resets: Resets::new(), tally };
        evaluator.schedule_resets();
        evaluator
    }

    /// The plan in force.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// What is remembered.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What became of events at each dependency since this evaluator was made. It counts
    /// for the plan in force: after a [`Self::switch`] there is another one.
    pub fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// What is remembered, to write it down.
    pub fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    /// When something is due next without an event: the driver is to append a `Time`
    /// record of this time, when it has come.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.resets.first_key_value().map(|((at, _, _), ())| *at)
    }

    /// Puts another plan in force from the record at `position` on. A plan whose number
    /// is not greater changes nothing.
    pub fn switch(&mut self, position: Position, at: Timestamp, plan: Arc<Plan>) {
        if position <= self.state.watermark {
            return;
        }
        self.pass_time(at);
        self.state.watermark = position;
        if plan.number > self.plan.number {
            self.state.adapt(&plan);
            self.tally = Arc::new(self.tally.next(Arc::clone(&plan)));
            self.plan = plan;
            self.schedule_resets();
        }
    }

    /// Applies the record at `position`. A [`EventsRecord::Plan`] is for [`Self::switch`];
    /// here it only lets time pass.
    pub fn apply<R: Recorder>(
        &mut self,
        position: Position,
        record: &EventsRecord,
        recorder: &mut R,
    ) -> Decisions {
        if position <= self.state.watermark {
            return Decisions::default();
        }
        self.pass_time(record.time());
        self.state.watermark = position;
        match record {
            EventsRecord::Event(event) => self.decide(position, event, recorder),
            EventsRecord::Clear { sensor, dependency, through, .. } => {
                self.state.clear(sensor, dependency.as_deref(), *through);
                Decisions::default()
            }
            EventsRecord::Time(_) | EventsRecord::Plan { .. } => Decisions::default(),
        }
    }

    fn decide<R: Recorder>(
        &mut self,
        position: Position,
        event: &Event,
        recorder: &mut R,
    ) -> Decisions {
        if let Some(to) = addressed::addressees(event) {
            return self.decide_for(position, event, to, recorder);
        }
        let now = self.state.log_time;
        if let Some(first) = self.state.window.insert(&event.key, &event.id, position.sequence, now)
        {
            let duplicate = Duplicate {
                key: event.key.clone(),
                id: event.id.clone(),
                position,
                first: Position { sequence: first, ..position },
            };
            return Decisions { duplicate: Some(duplicate), ..Decisions::default() };
        }
        let mut decisions = Decisions::default();
        let plan = Arc::clone(&self.plan);
        let arrival = Arrival { event, position, held: OnceCell::new() };
        for (sensor, passed) in self.passed(&plan, event, recorder) {
            for trigger in &sensor.triggers {
                let mut step = Step { state: &mut self.state, sensor, trigger, arrival: &arrival };
                step.run(&passed, recorder, &mut decisions.actions);
            }
        }
        decisions
    }

    /// The sensors with dependencies whose filters let the event through, in their order,
    /// with the places of these dependencies.
    fn passed<'p, R: Recorder>(
        &self,
        plan: &'p Plan,
        event: &Event,
        recorder: &mut R,
    ) -> Vec<(&'p Sensor, Vec<usize>)> {
        let Some(routes) = plan.routes(&event.key) else { return Vec::new() };
        let view = EventView::of(event);
        let reached = if R::ON {
            // Each filter is to say itself what it saw.
            routes.all().to_vec()
        } else {
            routes.reached(&view, |group| {
                self.tally.count(group.slot);
                let (sensor, dependency) = plan.owner(group.first);
                let dependency = &sensor.dependencies[dependency];
                let (error, count) = (&group.error, group.count);
                recorder.shared(&Shared { error, count, sensor, dependency });
            })
        };
        let mut passed: Vec<(&Sensor, Vec<usize>)> = Vec::new();
        for place in reached {
            let (sensor, dependency) = plan.owner(place);
            if !self.asked(place, sensor, dependency, &view, recorder) {
                continue;
            }
            match passed.last_mut().filter(|(last, _)| std::ptr::eq(*last, sensor)) {
                Some((_, dependencies)) => dependencies.push(dependency),
                None => passed.push((sensor, vec![dependency])),
            }
        }
        self.tally.count(routes.evaluated);
        passed
    }

    /// Whether the filter of a dependency lets the event through.
    fn asked<R: Recorder>(
        &self,
        place: DependencyId,
        sensor: &Sensor,
        dependency: usize,
        view: &EventView<'_>,
        recorder: &mut R,
    ) -> bool {
        let dependency = &sensor.dependencies[dependency];
        let mut trace = R::ON.then(Trace::default);
        let verdict = dependency.filter.evaluate(view, trace.as_mut());
        let passed = verdict.pass;
        self.tally.asked(place, &verdict);
        recorder.filtered(sensor, dependency, &verdict, trace);
        passed
    }

    /// Everything that is due by `at` happens, in the order of its time.
    fn pass_time(&mut self, at: Timestamp) {
        self.state.advance(at);
        while let Some((&(due, sensor, trigger), ())) = self.resets.first_key_value() {
            if due > self.state.log_time {
                return;
            }
            self.resets.pop_first();
            let plan = Arc::clone(&self.plan);
            let sensor_ref = &plan.sensors()[sensor];
            let trigger_ref = &sensor_ref.triggers[trigger];
            self.state.release(&sensor_ref.name, &trigger_ref.name.trigger);
            if let Some(next) = next_reset(trigger_ref, due) {
                self.resets.insert((next, sensor, trigger), ());
            }
        }
    }

    /// The resets of a plan count from log time, which stands in the log and in each
    /// checkpoint: wherever one restarts, the same are due.
    fn schedule_resets(&mut self) {
        self.resets.clear();
        for (place, sensor) in self.plan.sensors().iter().enumerate() {
            for (index, trigger) in sensor.triggers.iter().enumerate() {
                if let Some(next) = next_reset(trigger, self.state.log_time) {
                    self.resets.insert((next, place, index), ());
                }
            }
        }
    }
}

fn next_reset(trigger: &Trigger, after: Timestamp) -> Option<Timestamp> {
    trigger.resets.iter().filter_map(|reset| reset.next_after(after)).min()
}

/// An event that is being decided upon.
struct Arrival<'a> {
    event: &'a Event,
    position: Position,
    /// What is remembered of it, made when it is first needed.
    held: OnceCell<Arc<HeldEvent>>,
}

impl Arrival<'_> {
    fn held(&self) -> Arc<HeldEvent> {
        let made = || {
            Arc::new(HeldEvent {
                key: self.event.key.clone(),
                id: self.event.id.clone(),
                position: self.position,
                correlation: self.event.links.correlation.clone(),
                links: self.event.links.clone(),
            })
        };
        Arc::clone(self.held.get_or_init(made))
    }
}

/// One event at one trigger.
struct Step<'a> {
    state: &'a mut State,
    sensor: &'a Sensor,
    trigger: &'a Trigger,
    arrival: &'a Arrival<'a>,
}

impl Step<'_> {
    /// Handles each dependency that let the event through, in the order in which the
    /// condition names them, as Argo Events does.
    fn run<R: Recorder>(&mut self, passed: &[usize], recorder: &mut R, actions: &mut Vec<Action>) {
        for &dependency in self.trigger.condition.dependencies() {
            if !passed.contains(&dependency) {
                continue;
            }
            actions.extend(self.satisfy(dependency, recorder));
        }
    }

    fn satisfy<R: Recorder>(&mut self, dependency: usize, recorder: &mut R) -> Vec<Action> {
        let (sensor, trigger) = (self.sensor, self.trigger);
        let arrived = self.held(dependency);
        let name = &sensor.dependencies[dependency].name;
        if !trigger.condition.requires_and() {
            return self.fire(&BTreeMap::from([(Arc::clone(name), arrived)]), recorder);
        }
        let held = self.state.held(&sensor.name, &trigger.name.trigger);
        let is_there = |other: usize| {
            other == dependency
                || held.is_some_and(|held| held.contains_key(&sensor.dependencies[other].name))
        };
        if !trigger.condition.holds(is_there) {
            recorder.waits(sensor, trigger, name, held);
            self.state.hold(sensor, &trigger.name.trigger, arrived);
            return Vec::new();
        }
        let mut events = self.state.release(&sensor.name, &trigger.name.trigger);
        events.insert(Arc::clone(name), arrived);
        self.fire(&events, recorder)
    }

    fn held(&self, dependency: usize) -> Held {
        let dependency = &self.sensor.dependencies[dependency];
        Held {
            name: Arc::clone(&dependency.name),
            event: self.arrival.held(),
            dependency: dependency.fingerprint,
            since: self.state.log_time,
        }
    }

    /// One action, or one for each target that the trigger names.
    fn fire<R: Recorder>(
        &self,
        events: &BTreeMap<Arc<str>, Held>,
        recorder: &mut R,
    ) -> Vec<Action> {
        let (trigger, event) = (self.trigger, self.arrival.event);
        let identities = events.values().map(|held| (&*held.name, &held.event.key, &held.event.id));
        let id = ActionId::new(&trigger.name, identities, 0);
        let hops = events.values().map(|held| held.event.links.hops).max().unwrap_or_default();
        let mut links = event.links.clone();
        links.hops = hops.saturating_add(1);
        links.causation = Some(event.id.to_string());
        let now = self.state.log_time;
        let action = Action {
            id,
            trigger: trigger.name.clone(),
            definition: self.sensor.definition.clone(),
            events: events.values().map(Held::action_event).collect(),
            cause: self.arrival.position,
            links,
            decided_at: now,
            expires_at: now.saturating_add(trigger.expires_after).unwrap_or(Timestamp::MAX),
            generation: 0,
            round: 0,
            attempted: false,
            target: None,
            key: trigger.key.as_ref().and_then(|key| key.of(event)),
            origin: tripline_event::Origin::default(),
            copies: Vec::new(),
        };
        recorder.fired(self.sensor, trigger, &action);
        let at = |target: String| Action { target: Some(target), ..action.clone() };
        match &trigger.targets {
            Targets::Unnamed => vec![action],
            Targets::FromEvent(path) => vec![at(Targets::named_by(path, event))],
            Targets::Named(names) => match names.as_slice() {
                [only] => vec![at(only.clone())],
                // Each has an id of its own.
                several => several
                    .iter()
                    .map(|name| Action { id: action.id.at(name), ..at(name.clone()) })
                    .collect(),
            },
        }
    }
}
