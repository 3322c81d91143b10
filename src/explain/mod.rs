//! Why a trigger fired, why not, and whether it would.
//!
//! An explanation is the decision, made again: the plan that was in force at the event's
//! place in the log, what half-met conditions held there, and the evaluator with a recorder
//! that keeps what each filter saw. What became of the actions is read from the other two
//! logs. Nothing is changed.
//!
//! Not here: looking for records ([`crate::index`]), the command line.

mod arrival;
mod causes;
mod decision;
mod fate;
mod filters;
mod firings;
mod handle;
pub mod model;
pub mod offline;
mod past;
mod progress;
mod text;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use tripline_bus::{Bus, Log};
use tripline_event::{Action, Event, ObjectName, Position, Timestamp};

pub use arrival::Arrival;
pub use model::{
    ActionView, Answer, Cause, Code, DependencyView, EventView, Explanation, FilterView, HeldView,
    SensorView, Step, TriggerView,
};
pub use progress::{Progress, Stopped};

use crate::control::api::QueueStatus;
use crate::engine::checkpoint::CheckpointError;
use crate::engine::definitions::{DefinitionError, Definitions};
use crate::engine::kept;
use crate::engine::plans::PlanError;
use crate::engine::recovery::RecoveryError;
use crate::query::scan::Backwards;
use crate::query::{QueryError, Unknown, extents};

/// The most events that one explanation is about: of a longer chain, the newest.
pub const MAX_EVENTS: usize = 16;

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// A log cannot be read.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// What was held cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A plan of the past cannot be read.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A definition of the past cannot be used any more.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// What a new sensor saw of the log cannot be read.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The question itself makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
}

/// What is explained from.
pub struct Context<'a> {
    /// The logs and the state.
    pub bus: &'a dyn Bus,
    /// Sensors that are compiled.
    pub definitions: &'a Definitions,
    /// What only a running daemon knows; none at rest.
    pub live: Option<Live>,
    /// The time.
    pub now: Timestamp,
}

/// What only a running daemon knows.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// Everything up to here is evaluated.
    pub evaluated: Position,
    /// The queues of the triggers.
    pub queues: Vec<QueueStatus>,
}

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// Any id of the chain.
    pub handle: String,
    /// Only about this sensor: `name` or `namespace/name`.
    pub sensor: Option<String>,
}

impl Question {
    /// Whether the sensor is one that is asked about.
    fn is_about(&self, name: &ObjectName) -> bool {
        names(self.sensor.as_deref(), name)
    }
}

/// Whether `text`, a name with or without its namespace, is that of the sensor; nothing is
/// the name of each.
fn names(text: Option<&str>, name: &ObjectName) -> bool {
    text.is_none_or(|text| *text == name.name || *text == name.to_string())
}

impl Context<'_> {
    /// What is known of the handle, and why it went as it did.
    ///
    /// # Errors
    /// The bus cannot be read, or what it holds cannot be used.
    pub async fn explain(&self, question: &Question) -> Result<Answer, ExplainError> {
        let found = handle::find(self.bus, &question.handle).await?;
        if found.is_empty() {
            let looked = extents(self.bus).await?;
            let similar = crate::query::trace::similar(self.bus, &question.handle).await?;
            let handle = question.handle.clone();
            return Ok(Answer::Unknown(Unknown { handle, looked, similar }));
        }
        let mut explanation =
            Explanation { handle: question.handle.clone(), ..Explanation::default() };
        explanation.omitted = found.events.len().saturating_sub(MAX_EVENTS);
        for (position, event) in found.events.iter().skip(explanation.omitted) {
            let event = self.event(question, *position, event, &found).await?;
            explanation.events.push(event);
        }
        explanation.refused = found.refused();
        if let Some(sensor) = &question.sensor {
            explanation.never = self.never_arrived(question, sensor, &explanation).await?;
        }
        Ok(Answer::Found(explanation))
    }

    /// Everything about one event of the log.
    async fn event(
        &self,
        question: &Question,
        position: Position,
        event: &Arc<Event>,
        found: &handle::Found,
    ) -> Result<EventView, ExplainError> {
        let mut view = EventView::new(position, event);
        if let Some(first) = found.repeats(event, position) {
            view.cause = Some(Cause::duplicate(position, first));
            return Ok(view);
        }
        if let Some(cause) = self.not_evaluated(position).await? {
            view.cause = Some(cause);
            return Ok(view);
        }
        let plan = past::plan_at(self.bus, position).await?;
        view.plan = plan.number;
        let sensors = past::sensors_of(self, &plan, &event.key).await?;
        let wanted: Vec<_> =
            sensors.iter().filter(|of| question.is_about(&of.sensor.name)).cloned().collect();
        if wanted.is_empty() {
            view.cause = Some(self.nobody(question, event, &plan, sensors.len()).await?);
            return Ok(view);
        }
        let names: Vec<ObjectName> = wanted.iter().map(|of| of.sensor.name.clone()).collect();
        let stateful = wanted
            .iter()
            .any(|of| of.sensor.triggers.iter().any(|trigger| trigger.condition.requires_and()));
        let mut past = match stateful {
            true => past::Past::before(self, position, &names).await?,
            false => past::Past::stateless(self, &plan, position, &names).await?,
        };
        view.complete = past.is_complete();
        let (account, _) = past.decide(position, event);
        for compiled in &wanted {
            let mut sensor = decision::sensor(compiled, event, &account);
            fate::follow(self, &mut sensor, position, found).await?;
            view.sensors.push(sensor);
        }
        let end = self.evaluated().await?.unwrap_or(position).next();
        fate::follow_held(&mut past, &mut view.sensors, &wanted, position, end).await?;
        Ok(view)
    }

    /// Why no sensor was asked.
    async fn nobody(
        &self,
        question: &Question,
        event: &Event,
        plan: &crate::engine::plans::Listing,
        others: usize,
    ) -> Result<Cause, ExplainError> {
        let Some(wanted) = &question.sensor else {
            let near = past::sensors_near(self, plan, &event.key).await?;
            return Ok(Cause::no_sensor(&event.key, &near));
        };
        let named = plan.sensors.iter().find(|(name, _)| names(Some(wanted), name));
        let Some((name, hash)) = named else {
            let later = self.newest_plan().await?.sensors;
            let later = later.iter().find(|(name, _)| names(Some(wanted), name));
            return Ok(Cause::not_in_force(wanted, later.map(|(name, _)| name), plan.number));
        };
        let compiled = self.definitions.load(self.bus, name, hash).await?;
        let keys: BTreeSet<String> =
            compiled.sensor.dependencies.iter().map(|of| of.key.to_string()).collect();
        Ok(Cause::other_event(name, &event.key, &keys, others))
    }

    async fn newest_plan(&self) -> Result<crate::engine::plans::Listing, ExplainError> {
        Ok(crate::engine::plans::newest(self.bus).await?)
    }

    /// The event was not evaluated yet.
    async fn not_evaluated(&self, position: Position) -> Result<Option<Cause>, ExplainError> {
        let evaluated = self.evaluated().await?.unwrap_or(position.origin());
        let behind = position.sequence.saturating_sub(evaluated.sequence);
        Ok((evaluated < position).then(|| Cause::lag(behind, self.live.is_some())))
    }

    /// Everything up to here is evaluated; at rest, for certain.
    async fn evaluated(&self) -> Result<Option<Position>, ExplainError> {
        if let Some(live) = &self.live {
            return Ok(Some(live.evaluated));
        }
        let checkpoint = kept::newest(self.bus).await?.map(|manifest| manifest.watermark);
        // What was decided behind the checkpoint stands in ACTIONS.
        let mut actions = Backwards::new(self.bus, Log::Actions).await?;
        let last = actions.page(self.bus).await?.and_then(|page| page.last().cloned());
        let decided = last.and_then(|last| Action::decode(&last.record).ok());
        let decided = decided.map(|action| action.cause);
        Ok(checkpoint.max(decided))
    }

    /// Of a chain, no event came that the sensor waits for: what was seen last.
    async fn never_arrived(
        &self,
        question: &Question,
        sensor: &str,
        explanation: &Explanation,
    ) -> Result<Option<Cause>, ExplainError> {
        let asked = explanation.events.iter().any(|event| !event.sensors.is_empty());
        let other = |event: &EventView| {
            event.cause.as_ref().is_some_and(|cause| cause.code != Code::OtherEvent)
        };
        if asked || explanation.events.iter().any(other) {
            return Ok(None);
        }
        let crate::query::Trace::Found(timeline) =
            crate::query::trace(self.bus, &question.handle).await?
        else {
            return Ok(None);
        };
        Ok(timeline.entries.last().map(|last| Cause::never_arrived(sensor, last)))
    }
}

/// The record at a position of EVENTS, where it is an event and can be read.
async fn event_at(bus: &dyn Bus, position: Position) -> Result<Option<Arc<Event>>, QueryError> {
    let Some(stored) = crate::query::trace::at(bus, Log::Events, position).await? else {
        return Ok(None);
    };
    Ok(match tripline_event::EventsRecord::decode(&stored.record) {
        Ok(tripline_event::EventsRecord::Event(event)) => Some(Arc::new(event)),
        _ => None,
    })
}
