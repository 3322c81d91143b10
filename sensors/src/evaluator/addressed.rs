//! Events that are for certain triggers alone: those of a sensor that was taken over from
//! another program, which that program had not decided about, or held.
//!
//! They are the same events that others may have seen: the window of ids neither knows them
//! nor learns them, and nobody else is asked.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use tripline_event::{Addressee, Event, ObjectName, Position};

use super::plan::{Sensor, Trigger};
use super::recorder::Recorder;
use super::{Arrival, Decisions, Evaluator, Step};
use crate::filter::Trace;
use crate::view::EventView;

/// Whom alone the event is for; none: everybody.
pub(super) fn addressees(event: &Event) -> Option<&[Addressee]> {
    let to = &event.cloud_event.as_ref()?.transfer.as_ref()?.to;
    (!to.is_empty()).then_some(to)
}

impl Evaluator {
    /// Decides about an event for those that it is for. What the plan does not know is passed
    /// over: the sensor was changed or removed since.
    pub(super) fn decide_for<R: Recorder>(
        &mut self,
        position: Position,
        event: &Event,
        to: &[Addressee],
        recorder: &mut R,
    ) -> Decisions {
        let plan = std::sync::Arc::clone(&self.plan);
        let arrival = Arrival { event, position, held: OnceCell::new() };
        let mut decisions = Decisions::default();
        let sensors: BTreeSet<&str> = to.iter().map(|to| to.sensor.as_str()).collect();
        for name in sensors {
            let name = ObjectName::new(&event.key.namespace, name);
            let Some(sensor) = plan.sensor(&name) else { continue };
            let to = to.iter().filter(|to| to.sensor == name.name);
            let passed = passed(sensor, event, to.clone(), recorder);
            for trigger in &sensor.triggers {
                let mut step = Step { state: &mut self.state, sensor, trigger, arrival: &arrival };
                let of_it = to.clone().filter(|to| to.trigger == trigger.name.trigger);
                let places = of_it.filter_map(|to| Some((place(sensor, trigger, to)?, to.held)));
                let mut decided = Vec::new();
                for (dependency, held) in places {
                    if held {
                        step.hold(dependency);
                    } else if passed.contains(&dependency) {
                        decided.push(dependency);
                    }
                }
                step.run(&decided, recorder, &mut decisions.actions);
            }
        }
        decisions
    }
}

/// The dependency, where the condition of the trigger names it.
fn place(sensor: &Sensor, trigger: &Trigger, to: &Addressee) -> Option<usize> {
    let (place, _) = sensor.dependency(&to.dependency)?;
    trigger.condition.dependencies().contains(&place).then_some(place)
}

/// The dependencies whose filters let the event through, of those that are to decide.
fn passed<'a, R: Recorder>(
    sensor: &Sensor,
    event: &Event,
    to: impl Iterator<Item = &'a Addressee>,
    recorder: &mut R,
) -> Vec<usize> {
    let view = EventView::of(event);
    let asked: BTreeSet<usize> = to
        .filter(|to| !to.held)
        .filter_map(|to| sensor.dependency(&to.dependency).map(|(place, _)| place))
        .collect();
    let passes = |place: &usize| {
        let dependency = &sensor.dependencies[*place];
        if dependency.key != event.key {
            return false;
        }
        let mut trace = R::ON.then(Trace::default);
        let verdict = dependency.filter.evaluate(&view, trace.as_mut());
        let pass = verdict.pass;
        recorder.filtered(sensor, dependency, &verdict, trace);
        pass
    };
    asked.into_iter().filter(passes).collect()
}

impl Step<'_> {
    /// Holds the event, where the condition holds any.
    fn hold(&mut self, dependency: usize) {
        if self.trigger.condition.requires_and() {
            let arrived = self.held(dependency);
            self.state.hold(self.sensor, &self.trigger.name.trigger, arrived);
        }
    }
}
