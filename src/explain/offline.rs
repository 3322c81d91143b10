//! The same without a daemon and without a log: sensors in files, and events in files.

use std::sync::Arc;

use anyhow::ensure;
use tripline_config::Input;
use tripline_event::{Event, EventsRecord, Position};
use tripline_sensors::evaluator::{Account, Evaluator, Plan, State};

use super::model::{Cause, EventView, Explanation};
use super::{decision, names};
use crate::engine::definitions::{CompiledSensor, Definitions};
use crate::load;
use crate::render;

/// What is to be explained.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// Where the sensors are.
    pub inputs: Vec<Input>,
    /// Only this one: `name` or `namespace/name`.
    pub sensor: Option<String>,
    /// The events, in the order in which they come in: the dependency, which may be left out
    /// where there is one, and the file's text.
    pub events: Vec<(Option<String>, String)>,
}

/// What the sensors would make of the events, one after the other, beginning with nothing.
///
/// # Errors
/// There is no valid sensor, or an event cannot be read.
pub fn explain(order: &Order) -> anyhow::Result<Explanation> {
    ensure!(!order.events.is_empty(), "an event is needed: --event FILE");
    let definitions = Definitions::default();
    let loaded = load::load(&order.inputs, &definitions);
    let wanted = loaded.sensors.iter().filter(|(name, _)| names(order.sensor.as_deref(), name));
    let compiled: Vec<Arc<CompiledSensor>> =
        wanted.map(|(_, sensor)| Arc::clone(&sensor.compiled)).collect();
    if compiled.is_empty() {
        let errors = loaded.diagnostics.iter().filter(|diagnostic| diagnostic.is_error());
        let errors: Vec<String> = errors.map(|error| format!("\n{error}")).collect();
        anyhow::bail!("there is no valid sensor{}", errors.concat());
    }
    let events = order
        .events
        .iter()
        .map(|(dependency, text)| event(&compiled, dependency.as_deref(), text))
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(explained(&compiled, &events))
}

/// Bare data is of the only sensor; a record of the log says itself what it is.
fn event(
    compiled: &[Arc<CompiledSensor>],
    dependency: Option<&str>,
    text: &str,
) -> anyhow::Result<Arc<Event>> {
    let bytes = bytes::Bytes::copy_from_slice(text.trim().as_bytes());
    if let (None, Ok(EventsRecord::Event(event))) = (dependency, EventsRecord::decode(&bytes)) {
        return Ok(Arc::new(event));
    }
    let [only] = compiled else {
        anyhow::bail!(
            "there are several sensors, and the event does not say what it is: choose one with --sensor, or \
             give a line of `tripline events --output json`"
        );
    };
    render::event(&only.sensor, dependency, text)
}

fn explained(compiled: &[Arc<CompiledSensor>], events: &[Arc<Event>]) -> Explanation {
    let sensors = compiled.iter().map(|of| Arc::clone(&of.sensor)).collect();
    let start = Position::new(1, 0);
    let log_time = events.iter().map(|event| event.time).min().unwrap_or_default();
    let state = State { log_time, ..State::new(start) };
    let mut evaluator = Evaluator::new(Arc::new(Plan::new(1, sensors)), state);
    let mut explanation = Explanation { handle: "files".to_owned(), ..Explanation::default() };
    let mut position = start;
    for event in events {
        position = position.next();
        let mut account = Account::default();
        let record = EventsRecord::Event(Event::clone(event));
        let decisions = evaluator.apply(position, &record, &mut account);
        let mut view = EventView { position: None, plan: 1, ..EventView::new(position, event) };
        let asked: Vec<_> = compiled
            .iter()
            .filter(|of| of.sensor.dependencies.iter().any(|it| it.key == event.key))
            .collect();
        if let Some(duplicate) = decisions.duplicate {
            view.cause = Some(Cause::duplicate(duplicate.position, duplicate.first));
        } else if asked.is_empty() {
            let near: Vec<_> = compiled
                .iter()
                .flat_map(|of| of.sensor.dependencies.iter().map(move |it| (of, it)))
                .map(|(of, dependency)| (of.sensor.name.clone(), dependency.key.clone()))
                .take(3)
                .collect();
            view.cause = Some(Cause::no_sensor(&event.key, &near));
        }
        if view.cause.is_none() {
            view.sensors = asked.iter().map(|of| decision::sensor(of, event, &account)).collect();
        }
        explanation.events.push(view);
    }
    explanation
}
