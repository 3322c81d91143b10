//! Sensors that are shown records, one after the other: what they decide, and what that would
//! send.
//!
//! Several plans are shown the same records, each by an evaluator of its own.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use tripline_event::{Action, Event, EventsRecord, Position};
use tripline_sensors::evaluator::{
    Dependency, Evaluator, Held, Plan, Recorder, Sensor, State, Trigger,
};
use tripline_sensors::filter::{Trace, Verdict};
use tripline_triggers::RenderedAction;
use tripline_triggers::executor::Renderer as _;

use crate::engine::definitions::Definitions;

/// So many events of half-met conditions are kept before it is looked which are needed.
const KEPT: usize = 10_000;

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

/// What follows from an event.
pub struct Decided<const N: usize> {
    /// The event.
    pub event: Arc<Event>,
    /// What each plan fires.
    pub actions: [Vec<Action>; N],
    /// Where the event stands that this one repeats, so that nothing is fired.
    pub repeats: Option<Position>,
}

/// Sensors that are shown records. Memory is bounded by the events that half-met conditions
/// hold.
pub struct Decider<'d, const N: usize> {
    definitions: &'d Definitions,
    evaluators: [Evaluator; N],
    watch: Watch,
    latest: Option<(Position, Arc<Event>)>,
    kept: HashMap<Position, Arc<Event>>,
    keep_up_to: usize,
}

impl<'d, const N: usize> Decider<'d, N> {
    /// Sensors that have seen nothing `before` the first record that they are shown.
    pub fn new(definitions: &'d Definitions, plans: &[Arc<Plan>; N], before: Position) -> Self {
        let evaluator = |plan: &Arc<Plan>| Evaluator::new(Arc::clone(plan), State::new(before));
        Self {
            definitions,
            evaluators: plans.each_ref().map(evaluator),
            watch: Watch::default(),
            latest: None,
            kept: HashMap::new(),
            keep_up_to: KEPT,
        }
    }

    /// Shows the record at `position`; none where nothing fires, is held or repeats another.
    pub fn apply(&mut self, position: Position, record: EventsRecord) -> Option<Decided<N>> {
        self.watch.waits = false;
        let mut repeats = None;
        let actions = self.evaluators.each_mut().map(|evaluator| {
            let decisions = evaluator.apply(position, &record, &mut self.watch);
            repeats = repeats.or(decisions.duplicate.map(|duplicate| duplicate.first));
            decisions.actions
        });
        let EventsRecord::Event(event) = record else { return None };
        let fires = actions.iter().any(|actions| !actions.is_empty());
        if !fires && !self.watch.waits && repeats.is_none() {
            return None;
        }
        // A page of the log must not stay in memory because of one event.
        let data = event.data.as_deref().map(Bytes::copy_from_slice);
        let event = Arc::new(Event { data, ..event });
        if self.watch.waits {
            self.keep(position, &event);
        }
        self.latest = Some((position, Arc::clone(&event)));
        Some(Decided { event, actions, repeats })
    }

    fn keep(&mut self, position: Position, event: &Arc<Event>) {
        self.kept.insert(position, Arc::clone(event));
        if self.kept.len() <= self.keep_up_to {
            return;
        }
        let conditions = self.evaluators.iter().flat_map(|side| side.state().conditions.iter());
        let triggers = conditions.flat_map(|(_, held)| held.triggers.values());
        let held: HashSet<Position> =
            triggers.flat_map(|one| one.held.values()).map(|held| held.event.position).collect();
        self.kept.retain(|at, _| held.contains(at) || *at == position);
        self.keep_up_to = KEPT.max(2 * self.kept.len());
    }

    /// The events of an action that the latest record has completed.
    fn events(&self, action: &Action) -> Option<Vec<Arc<Event>>> {
        let of = |position: Position| match &self.latest {
            Some((at, event)) if *at == position => Some(Arc::clone(event)),
            _ => self.kept.get(&position).cloned(),
        };
        action.events.iter().map(|one| of(one.position)).collect()
    }

    /// What an action would create or send that the latest record has completed.
    ///
    /// # Errors
    /// Why it would be a dead letter.
    pub fn render(&self, action: &Action) -> Result<RenderedAction, String> {
        let events = self.events(action).ok_or("an event of it was before what is read")?;
        let rendered = self.definitions.render(&Arc::new(action.clone()), &events);
        rendered.map_err(|error| error.reason)
    }

    /// What half-met conditions hold by now, under each plan.
    pub fn states(&self) -> [&State; N] {
        self.evaluators.each_ref().map(Evaluator::state)
    }
}
