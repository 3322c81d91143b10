//! When triggers fired last before a place of the log: right after that, they held nothing.
//!
//! What was held can be told from the latest checkpoint that is kept, however many events lie
//! between. Mostly a trigger has fired since: then it is told from there.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tripline_bus::{Bus, Log};
use tripline_event::{Action, ObjectName, Position, TriggerName};
use tripline_sensors::evaluator::{Plan, Sensor, StartFrom};

use crate::query::scan::{Backwards, Needles, extent, read};
use crate::query::{PAGE, QueryError};

/// So many pages of actions are looked back through.
const PAGES: usize = 4;

/// The latest firing of each trigger that holds events.
#[derive(Debug)]
pub(super) struct Firings {
    /// Triggers by the record that completed their conditions.
    pub by_cause: BTreeMap<Position, Vec<TriggerName>>,
    /// Log time at the first of these records.
    pub log_time: Timestamp,
}

impl Firings {
    /// The record from which on everything is known.
    pub fn first(&self) -> Option<Position> {
        self.by_cause.keys().next().copied()
    }
}

/// The latest firings before `position`; none where one of the triggers did not fire in the
/// actions that are looked back through, or may hold something right after it fired.
pub(super) async fn latest(
    bus: &dyn Bus,
    plan: &Plan,
    names: &[ObjectName],
    position: Position,
) -> Result<Option<Firings>, QueryError> {
    let sensors: Vec<&Sensor> =
        names.iter().filter_map(|name| plan.sensor(name)).map(AsRef::as_ref).collect();
    // One that has seen the log from before it came decides out of order.
    if sensors.len() < names.len() || sensors.iter().any(|it| it.start_from != StartFrom::Now) {
        return Ok(None);
    }
    let triggers = sensors.iter().flat_map(|sensor| &sensor.triggers);
    let mut wanted: BTreeMap<TriggerName, ()> = triggers
        .filter(|trigger| trigger.condition.requires_and())
        .map(|trigger| (trigger.name.clone(), ()))
        .collect();
    let end = behind(bus, position).await?;
    let needles = Needles::texts(names.iter().map(|name| name.name.as_str()))?;
    let mut firings = Firings { by_cause: BTreeMap::new(), log_time: Timestamp::MAX };
    let mut backwards = Backwards::before(bus, Log::Actions, end).await?;
    for _ in 0..PAGES {
        if wanted.is_empty() {
            break;
        }
        let Some(page) = backwards.page(bus).await? else { break };
        for stored in page.iter().rev().filter(|stored| needles.are_in(&stored.record)) {
            let Ok(action) = Action::decode(&stored.record) else { continue };
            let decided = action.round == 0 && action.origin.is_decided();
            if !decided || action.cause >= position || wanted.remove(&action.trigger).is_none() {
                continue;
            }
            if holds_at_once(&sensors, &action) {
                return Ok(None);
            }
            firings.log_time = firings.log_time.min(action.decided_at);
            firings.by_cause.entry(action.cause).or_default().push(action.trigger);
        }
    }
    Ok((wanted.is_empty() && !firings.by_cause.is_empty()).then_some(firings))
}

/// Whether the event that completed the condition may be held by it again at once, since it
/// satisfies several dependencies.
fn holds_at_once(sensors: &[&Sensor], action: &Action) -> bool {
    let name = action.trigger.sensor_name();
    let Some(sensor) = sensors.iter().find(|sensor| sensor.name == name) else { return true };
    let Some(trigger) = sensor.trigger(&action.trigger.trigger) else { return true };
    let completed = action.events.iter().find(|event| event.position == action.cause);
    let Some(completed) = completed else { return true };
    let dependencies = trigger.condition.dependencies().iter();
    dependencies.filter(|at| sensor.dependencies[**at].key == completed.key).count() != 1
}

/// The first action that was decided by a record from `position` on, by halving: actions are
/// appended in the order of the records that decide them. One that was appended again later
/// has an older record, and leads too far behind at most.
async fn behind(bus: &dyn Bus, position: Position) -> Result<Position, QueryError> {
    let extent = extent(bus, Log::Actions).await?;
    let (mut low, mut high) = (extent.first.sequence, extent.next.sequence);
    while low < high {
        let middle = low + (high - low) / 2;
        let page = read(bus, Log::Actions, Position { sequence: middle, ..extent.next }, 1).await?;
        let action = page.first().and_then(|stored| Action::decode(&stored.record).ok());
        if action.is_some_and(|action| action.cause >= position) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    // What was decided at once by one record stands together, and some may lie beside it.
    let near = low.saturating_add(PAGE as u64 / 4).min(extent.next.sequence);
    Ok(Position { sequence: near, ..extent.next })
}
