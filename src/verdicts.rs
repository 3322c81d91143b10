//! What filters and conditions said of an event, in words: for `render` and `test`.

use std::collections::BTreeMap;
use std::sync::Arc;

use tripline_event::Action;
use tripline_sensors::evaluator::{Dependency, Held, Recorder, Sensor, Trigger};
use tripline_sensors::filter::{Trace, TraceStep, Verdict};

/// Says why something does not fire.
#[derive(Debug, Default)]
pub struct Notes {
    /// What there is to say, a line each; what belongs to the line before is indented.
    pub lines: Vec<String>,
    /// Say whose dependency or trigger it is.
    pub names_sensors: bool,
}

impl Notes {
    fn of(&self, sensor: &Sensor) -> String {
        if self.names_sensors { format!("{}: ", sensor.name) } else { String::new() }
    }
}

/// One filter, the value that it saw, and what it wanted.
pub fn step_text(step: &TraceStep) -> String {
    let found = step.found.as_deref().unwrap_or("nothing");
    let verdict = if step.pass { "fits" } else { "does not fit" };
    let error = step.error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
    let TraceStep { field, path, wanted, .. } = step;
    format!("{field}: {path} is {found}, wanted {wanted}: {verdict}{error}")
}

impl Recorder for Notes {
    const ON: bool = true;

    fn filtered(
        &mut self,
        sensor: &Sensor,
        dependency: &Dependency,
        verdict: &Verdict,
        trace: Option<Trace>,
    ) {
        if verdict.pass {
            return;
        }
        let of = self.of(sensor);
        self.lines
            .push(format!("{of}dependency {}: the event is not let through", dependency.name));
        let steps = trace.into_iter().flat_map(|trace| trace.steps);
        let before = self.lines.len();
        self.lines.extend(steps.map(|step| format!("  {}", step_text(&step))));
        if self.lines.len() == before
            && let Some(error) = &verdict.error
        {
            self.lines.push(format!("  {error}"));
        }
    }

    fn waits(
        &mut self,
        sensor: &Sensor,
        trigger: &Trigger,
        dependency: &str,
        held: Option<&BTreeMap<Arc<str>, Held>>,
    ) {
        let is_there =
            |name: &str| name == dependency || held.is_some_and(|held| held.contains_key(name));
        let names = trigger.condition.dependencies().iter();
        let names = names.filter_map(|&place| sensor.dependencies.get(place)).map(|of| &*of.name);
        let missing: Vec<&str> = names.filter(|name| !is_there(name)).collect();
        let condition = match &*trigger.conditions {
            "" => String::new(),
            text => format!(" ({text})"),
        };
        let (of, missing) = (self.of(sensor), missing.join(", "));
        let trigger = &trigger.name.trigger;
        let text =
            format!("{of}trigger {trigger}: holds {dependency}, waits for {missing}{condition}");
        self.lines.push(text);
    }

    fn fired(&mut self, _: &Sensor, _: &Trigger, _: &Action) {}
}
