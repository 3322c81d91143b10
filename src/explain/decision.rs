//! What a sensor made of an event, from what the evaluator told while it decided.

use std::collections::BTreeMap;
use std::sync::Arc;

use tripline_event::{Action, Event};
use tripline_sensors::evaluator::{Account, Asked, Dependency, Held, Sensor, Trigger, Waiting};
use tripline_sensors::filter::TraceStep;

use super::filters;
use super::model::{Cause, Code, DependencyView, FilterView, HeldView, SensorView, TriggerView};
use crate::engine::definitions::CompiledSensor;

/// What the sensor made of the event; actions are not known yet.
pub(super) fn sensor(compiled: &CompiledSensor, event: &Event, account: &Account) -> SensorView {
    let sensor = &compiled.sensor;
    let asked = account.asked.iter().filter(|asked| asked.sensor == sensor.name);
    let dependencies: Vec<DependencyView> = asked
        .filter_map(|asked| {
            let (_, dependency) = sensor.dependency(&asked.dependency)?;
            Some(self::dependency(dependency, asked, event))
        })
        .collect();
    let triggers: Vec<TriggerView> = sensor
        .triggers
        .iter()
        .map(|of| trigger(sensor, of, event, account, &dependencies))
        .collect();
    let mut view = SensorView {
        name: sensor.name.clone(),
        definition: sensor.definition.clone(),
        dependencies,
        triggers,
        cause: Cause::new(Code::NotNamed, "it has no trigger"),
    };
    view.conclude();
    view
}

impl SensorView {
    /// The cause of the whole: that of the first trigger that did not do what it was to do.
    pub(super) fn conclude(&mut self) {
        let worst = self.triggers.iter().find(|trigger| !trigger.cause.code.is_good());
        if let Some(trigger) = worst.or_else(|| self.triggers.first()) {
            self.cause = trigger.cause.clone();
        }
    }
}

fn dependency(dependency: &Dependency, asked: &Asked, event: &Event) -> DependencyView {
    let cause = (!asked.verdict.pass).then(|| filters::cause(dependency, asked, event));
    DependencyView {
        name: dependency.name.as_ref().to_owned(),
        pass: asked.verdict.pass,
        error: asked.verdict.error.as_ref().map(ToString::to_string),
        filters: asked.trace.steps.iter().map(FilterView::from).collect(),
        cause,
    }
}

impl From<&TraceStep> for FilterView {
    fn from(step: &TraceStep) -> Self {
        Self {
            field: step.field.clone(),
            path: step.path.clone(),
            found: step.found.clone(),
            found_type: step.found_type.map(str::to_owned),
            wanted: step.wanted.clone(),
            pass: step.pass,
            error: step.error.clone(),
        }
    }
}

fn trigger(
    sensor: &Sensor,
    trigger: &Trigger,
    event: &Event,
    account: &Account,
    dependencies: &[DependencyView],
) -> TriggerView {
    let action = account.fired.iter().find(|action| action.trigger == trigger.name);
    let fired = action.is_some();
    let waiting: Vec<&Waiting> =
        account.waiting.iter().filter(|waiting| waiting.trigger == trigger.name).collect();
    let held = waiting.first().map(|waiting| waiting.held.clone()).unwrap_or_default();
    let missing = match waiting.last() {
        Some(last) => missing(sensor, trigger, last, &waiting),
        None => Vec::new(),
    };
    let cause = if fired {
        Cause::new(Code::WouldFire, format!("trigger {} fires", trigger.name.trigger))
    } else if let Some(last) = waiting.last() {
        half_met(sensor, trigger, last, &missing)
    } else {
        not_reached(sensor, trigger, dependencies)
    };
    TriggerView {
        name: trigger.name.clone(),
        condition: trigger.conditions.to_string(),
        fired,
        held: match action {
            None => held.values().map(view).collect(),
            Some(action) => joined(action, event),
        },
        missing,
        actions: Vec::new(),
        cause,
    }
}

fn view(held: &Held) -> HeldView {
    HeldView {
        dependency: held.name.as_ref().to_owned(),
        id: held.event.id.clone(),
        position: held.event.position,
        since: Some(held.since),
    }
}

/// What an action joined to the event that completed its condition.
fn joined(action: &Action, event: &Event) -> Vec<HeldView> {
    let others = action.events.iter().filter(|of| of.key != event.key || of.id != event.id);
    others
        .map(|of| HeldView {
            dependency: of.dependency.clone(),
            id: of.id.clone(),
            position: of.position,
            since: None,
        })
        .collect()
}

/// What would complete the condition: the dependencies any one of which is enough; where
/// none alone is, all that are not there.
fn missing(sensor: &Sensor, trigger: &Trigger, last: &Waiting, all: &[&Waiting]) -> Vec<String> {
    let name = |index: usize| &sensor.dependencies[index].name;
    let mut there: BTreeMap<&Arc<str>, ()> = last.held.keys().map(|name| (name, ())).collect();
    there.extend(all.iter().map(|waiting| (&waiting.dependency, ())));
    let absent: Vec<usize> = trigger
        .condition
        .dependencies()
        .iter()
        .copied()
        .filter(|index| !there.contains_key(name(*index)))
        .collect();
    let completes = |one: usize| {
        trigger.condition.holds(|index| index == one || there.contains_key(name(index)))
    };
    let enough: Vec<usize> = absent.iter().copied().filter(|one| completes(*one)).collect();
    let wanted = if enough.is_empty() { absent } else { enough };
    wanted.into_iter().map(|index| name(index).as_ref().to_owned()).collect()
}

fn half_met(sensor: &Sensor, trigger: &Trigger, last: &Waiting, missing: &[String]) -> Cause {
    let condition = condition(sensor, trigger);
    let named: Vec<String> = missing
        .iter()
        .map(|name| match sensor.dependency(name) {
            Some((_, of)) => format!("`{name}` ({}/{})", of.key.source, of.key.name),
            None => format!("`{name}`"),
        })
        .collect();
    let sentence = format!(
        "the condition `{condition}` was half met: it had `{}` and waited for {}; send that event, or \
         change `conditions`",
        last.dependency,
        match named.as_slice() {
            [] => "nothing that can come".to_owned(),
            names => names.join(" or "),
        }
    );
    Cause::new(Code::HalfMet, sentence)
}

/// The condition as text: where none is written, all dependencies.
pub(super) fn condition(sensor: &Sensor, trigger: &Trigger) -> String {
    if !trigger.conditions.is_empty() {
        return trigger.conditions.to_string();
    }
    let names = trigger.condition.dependencies().iter();
    let names: Vec<&str> = names.map(|index| &*sensor.dependencies[*index].name).collect();
    names.join(" && ")
}

/// The event did not come as far as the trigger's condition.
fn not_reached(sensor: &Sensor, trigger: &Trigger, dependencies: &[DependencyView]) -> Cause {
    let named = |view: &&DependencyView| {
        sensor
            .dependency(&view.name)
            .is_some_and(|(index, _)| trigger.condition.dependencies().contains(&index))
    };
    if let Some(cause) = dependencies.iter().filter(named).find_map(|view| view.cause.clone()) {
        return cause;
    }
    let names: Vec<&str> = dependencies.iter().map(|view| view.name.as_str()).collect();
    let sentence = format!(
        "the condition `{}` of trigger {} does not name `{}`; name it in `conditions` if it is to fire",
        condition(sensor, trigger),
        trigger.name.trigger,
        names.join("`, `"),
    );
    Cause::new(Code::NotNamed, sentence)
}
