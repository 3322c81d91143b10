//! Actions that are appended other than by the evaluator: of a replay, and of dead letters that
//! are sent back.
//!
//! Promises: an action that was appended is offered to the executor, whatever becomes of who
//! asked for it and of the answer of the bus; no checkpoint comes in between, which would take
//! it for closed. What was not appended when the answer came is never appended later.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tripline_bus::{Appended, BoxFuture, Bus, Log, ReadError, WriteError};
use tripline_event::{Action, ActionEvent, ActionId, Position};
use tripline_sensors::evaluator::Sensor;
use tripline_triggers::executor::{Decided, Executor};

use super::definitions::{DefinitionError, Definitions};
use super::driver::action_record;
use super::mistakes::Mistakes;
use super::observer::EngineObserver;
use super::plans::PlanError;
use super::recovery::RecoveryError;
use super::replay::{AsWhat, Decided as Shown, Following, Known, Wanted, decide};
use super::retry::Retry;
use crate::query::dead_letter::Taker;

/// How many records are read at once.
const PAGE: usize = 512;

/// Appends actions and hands them to the executor.
#[derive(Clone)]
pub struct Again {
    pub(super) bus: Arc<dyn Bus>,
    pub(super) definitions: Arc<Definitions>,
    pub(super) executor: Executor,
    pub(super) observer: Arc<dyn EngineObserver>,
    pub(super) appending: Arc<Mutex<()>>,
    pub(super) one_at_a_time: Arc<Mutex<()>>,
    /// Held by whoever trims the logs, from when it is looked what is needed; and here while the
    /// logs are looked at, and from when it is seen that what actions need is still there until
    /// they are appended. Who holds it waits for the bus alone: what makes room comes to its turn.
    pub(super) trimming: Arc<Mutex<()>>,
    pub(super) mistakes: Mistakes,
}

impl Again {
    /// To be held from before it is looked what was done already until that is appended: who
    /// asks for the same meanwhile sees it.
    pub async fn alone(&self) -> Alone {
        let nobody_else = Arc::new(Arc::clone(&self.one_at_a_time).lock_owned().await);
        Alone { again: self.clone(), nobody_else }
    }

    /// What a replay leads to, bound to the targets of now. Of more than `most` actions, `most`
    /// and one.
    ///
    /// # Errors
    /// A log cannot be read.
    pub async fn following(
        &self,
        sensor: &Arc<Sensor>,
        wanted: &Wanted,
        as_what: &AsWhat<'_>,
        most: usize,
    ) -> Result<Following, RecoveryError> {
        let _nothing_goes = self.trimming.lock().await;
        let Shown { events, actions } = decide(&*self.bus, sensor, wanted, most).await?;
        let known = match self.mistakes.repeat_replay() {
            true => Known::default(),
            false => Known::read(&*self.bus, sensor).await?,
        };
        let next = |decided: Action| {
            let mut next = known.next(&decided, as_what);
            if let Some(next) = &mut next {
                self.definitions.bind(next);
            }
            (decided, next)
        };
        Ok(Following { events, actions: actions.into_iter().map(next).collect() })
    }

    async fn append_and_offer(&self, actions: Vec<Action>) -> Result<Vec<Appended>, WriteError> {
        for action in &actions {
            let (sensor, hash) = (action.trigger.sensor_name(), &action.definition);
            // Without its definition it becomes a dead letter that says so.
            if let Err(DefinitionError::Plan(PlanError::Read(error))) =
                self.definitions.load(&*self.bus, &sensor, hash).await
            {
                return Err(WriteError::Unavailable(error.to_string()));
            }
        }
        let _in_order = self.appending.lock().await;
        let nothing_goes = self.trimming.lock().await;
        self.are_readable(&actions).await?;
        let appended = self.append(&actions).await?;
        drop(nothing_goes);
        for (action, appended) in actions.into_iter().zip(&appended) {
            if !appended.duplicate && !self.mistakes.not_offered() {
                self.executor.offer(Decided {
                    position: appended.position,
                    action: Arc::new(action),
                    events: None,
                    recovered: None,
                });
            }
        }
        Ok(appended)
    }

    /// Between the look at past events and this, they may have been trimmed.
    async fn are_readable(&self, actions: &[Action]) -> Result<(), WriteError> {
        let first = self.bus.extent(Log::Events).await;
        let first = first.map_err(|error| WriteError::Unavailable(error.to_string()))?.first;
        let is_gone = |event: &&ActionEvent| {
            event.position.incarnation == first.incarnation && event.position < first
        };
        let mut read_back = actions.iter().filter(|action| !action.has_copies());
        match read_back.find_map(|action| action.events.iter().find(is_gone)) {
            None => Ok(()),
            Some(event) => Err(WriteError::Unavailable(format!(
                "event {} `{}` was trimmed since it was looked at: ask again",
                event.key, event.id
            ))),
        }
    }

    /// Where the answer is lost, the log tells whether it has them.
    async fn append(&self, actions: &[Action]) -> Result<Vec<Appended>, WriteError> {
        let mut retry = Retry::new(&self.observer, "actions cannot be read");
        let from = self.bus.extent(Log::Actions).await;
        let from = from.map_err(|error| WriteError::Unavailable(error.to_string()))?.next;
        let batch = actions.iter().map(action_record).collect();
        let error = match self.bus.append(Log::Actions, batch).await {
            Err(error @ WriteError::Unavailable(_)) => error,
            answer => return answer,
        };
        let never = tokio_util::sync::CancellationToken::new();
        let found = loop {
            match self.from(from).await {
                Ok(found) => break found,
                Err(error) => {
                    retry.pause(&error, &never).await;
                }
            }
        };
        let position = |action: &Action| found.get(&(action.id.clone(), action.round)).copied();
        let positions: Vec<Option<Position>> = actions.iter().map(position).collect();
        if positions.iter().all(Option::is_none) {
            return Err(error);
        }
        // One that is not among them stood there before.
        let appended = |position: Option<Position>| Appended {
            position: position.unwrap_or_default(),
            duplicate: position.is_none(),
        };
        Ok(positions.into_iter().map(appended).collect())
    }

    /// The actions that stand in the log from there on.
    async fn from(
        &self,
        mut from: Position,
    ) -> Result<HashMap<(ActionId, u32), Position>, ReadError> {
        let mut found = HashMap::new();
        loop {
            let page = self.bus.read(Log::Actions, from, PAGE).await?;
            let Some(last) = page.last() else { return Ok(found) };
            from = last.position.next();
            for stored in &page {
                if let Ok(action) = Action::decode(&stored.record) {
                    found.entry((action.id, action.round)).or_insert(stored.position);
                }
            }
        }
    }
}

/// Nobody else looks what was done, or appends again.
pub struct Alone {
    again: Again,
    nobody_else: Arc<OwnedMutexGuard<()>>,
}

impl Alone {
    /// Appends the actions in one go, each as the next round or generation of its own, and has
    /// them carried out. Returns where they stand; those that stood there before are offered
    /// already.
    ///
    /// # Errors
    /// The bus did not take them: none of them will be carried out.
    pub async fn carry_out(&self, actions: Vec<Action>) -> Result<Vec<Appended>, WriteError> {
        let (again, nobody_else) = (self.again.clone(), Arc::clone(&self.nobody_else));
        // Who asked may leave: what was begun is brought to its end, and nobody begins before.
        let task = tokio::spawn(async move {
            let appended = again.append_and_offer(actions).await;
            drop(nobody_else);
            appended
        });
        task.await.map_err(|error| WriteError::Unavailable(error.to_string()))?
    }
}

impl Taker for Alone {
    fn take(&self, action: Action) -> BoxFuture<'_, Result<Position, WriteError>> {
        Box::pin(async move {
            let appended = self.carry_out(vec![action]).await?;
            Ok(appended.first().map(|appended| appended.position).unwrap_or_default())
        })
    }
}
