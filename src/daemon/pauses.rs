//! What is paused. A pause outlives a restart: it stands in the bus.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;
use tripline_bus::{Append, Bus, Log, Revision, WriteError};
use tripline_event::name::DEFAULT_NAMESPACE;
use tripline_event::{Clock, FORMAT, Outcome, OutcomeKind, Timestamp};
use tripline_triggers::executor::{Executor, Scope};

use crate::control::{Paused, scope};

const KEY: &str = "control/pauses";
/// The wait after the bus did not take the end of a pause.
const PAUSE: Duration = Duration::from_secs(1);

/// The pauses of this bus.
pub struct Pauses {
    bus: Arc<dyn Bus>,
    executor: Executor,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    revision: Revision,
    paused: BTreeMap<String, Paused>,
    /// A change was not answered: what stands in the bus is not known.
    in_doubt: bool,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    v: u32,
    paused: BTreeMap<String, Paused>,
}

/// What is paused, as it was read from the bus.
pub struct Loaded(State);

impl Loaded {
    /// Reads what is paused. It has to be known before anything is carried out.
    ///
    /// # Errors
    /// The bus cannot be read, or what it holds cannot.
    pub async fn from(bus: &dyn Bus) -> anyhow::Result<Self> {
        let Some(entry) = bus.get(KEY).await? else {
            return Ok(Self(State::of(Revision::ABSENT, BTreeMap::new())));
        };
        let stored: Stored = serde_json::from_slice(&entry.value)?;
        anyhow::ensure!(
            stored.v <= FORMAT,
            "{KEY} has format {}, this build knows {FORMAT}: run a newer Tripline",
            stored.v
        );
        Ok(Self(State::of(entry.revision, stored.paused)))
    }

    /// The scopes, each with its reason.
    pub fn scopes(&self) -> Vec<(Scope, String)> {
        let scope = |(text, paused): (&String, &Paused)| {
            let scope = scope::parse(text, DEFAULT_NAMESPACE).ok()?;
            Some((scope, reason(paused)))
        };
        self.0.paused.iter().filter_map(scope).collect()
    }
}

impl State {
    const fn of(revision: Revision, paused: BTreeMap<String, Paused>) -> Self {
        Self { revision, paused, in_doubt: false }
    }
}

impl Pauses {
    /// Goes on with what was paused in `executor` already.
    pub fn new(bus: Arc<dyn Bus>, executor: &Executor, loaded: Loaded) -> Self {
        let state = Mutex::new(loaded.0);
        Self { bus, executor: executor.clone(), state, changed: Notify::new() }
    }

    /// What is paused, by scope.
    pub async fn all(&self) -> Vec<Paused> {
        self.state.lock().await.paused.values().cloned().collect()
    }

    /// Pauses a scope; durable when it returns.
    ///
    /// # Errors
    /// The bus did not take it, or did not answer; whether it is paused then is known when this
    /// is asked again.
    pub async fn pause(&self, paused: Paused) -> Result<(), WriteError> {
        let change = |all: &mut BTreeMap<String, Paused>| {
            all.insert(paused.scope.clone(), paused);
            true
        };
        self.change(change).await?;
        self.changed.notify_one();
        Ok(())
    }

    /// Takes a pause back; false where there was none.
    ///
    /// # Errors
    /// The bus did not take it, or did not answer; whether it is paused then is known when this
    /// is asked again.
    pub async fn resume(&self, scope: &Scope) -> Result<bool, WriteError> {
        self.change(|all| all.remove(&scope::text(scope)).is_some()).await
    }

    /// Writes what `change` does, unless it answers false, and has it take effect.
    async fn change(
        &self,
        change: impl FnOnce(&mut BTreeMap<String, Paused>) -> bool,
    ) -> Result<bool, WriteError> {
        let mut state = self.state.lock().await;
        if state.in_doubt {
            self.look(&mut state).await?;
        }
        let mut paused = state.paused.clone();
        if !change(&mut paused) {
            return Ok(false);
        }
        let stored = Stored { v: FORMAT, paused };
        let unavailable =
            |error: &dyn std::fmt::Display| WriteError::Unavailable(error.to_string());
        let json = serde_json::to_vec(&stored).map_err(|error| unavailable(&error))?;
        match self.bus.put(KEY, Bytes::from(json), state.revision).await {
            Ok(revision) => self.take_effect(&mut state, revision, stored.paused),
            Err(error) => {
                state.in_doubt = true;
                // The answer may have been lost on the way.
                self.look(&mut state).await?;
                if state.paused != stored.paused {
                    return Err(error);
                }
            }
        }
        Ok(true)
    }

    /// What stands in the bus is what counts.
    async fn look(&self, state: &mut State) -> Result<(), WriteError> {
        let loaded = Loaded::from(&*self.bus).await;
        let State { revision, paused, .. } =
            loaded.map_err(|error| WriteError::Unavailable(error.to_string()))?.0;
        self.take_effect(state, revision, paused);
        Ok(())
    }

    fn take_effect(&self, state: &mut State, revision: Revision, paused: BTreeMap<String, Paused>) {
        let scope = |text: &String| scope::parse(text, DEFAULT_NAMESPACE).ok();
        for gone in state.paused.keys().filter(|text| !paused.contains_key(*text)) {
            scope(gone).map(|scope| self.executor.resume(&scope));
        }
        for (text, new) in paused.iter().filter(|(text, new)| state.paused.get(*text) != Some(new))
        {
            if let Some(scope) = scope(text) {
                self.executor.pause(scope, &reason(new));
            }
        }
        *state = State::of(revision, paused);
    }

    /// Takes back what was paused until a time, when that has come; until `stop`.
    pub async fn end_when_due(&self, clock: &dyn Clock, stop: &CancellationToken) {
        loop {
            let next =
                self.state.lock().await.paused.values().filter_map(|paused| paused.until).min();
            let wait = next.map_or(Duration::from_secs(60), |until| {
                let left =
                    Duration::try_from(until.duration_since(clock.now())).unwrap_or_default();
                left.min(Duration::from_secs(60))
            });
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.changed.notified() => {}
                () = tokio::time::sleep(wait) => self.end_due(clock.now()).await,
            }
        }
    }

    /// A pause that ended by itself is written down as one that somebody took back.
    async fn note_end(&self, scope: &str, at: Timestamp) {
        let kind = OutcomeKind::Operator {
            who: "tripline".to_owned(),
            did: "resume".to_owned(),
            subject: scope.to_owned(),
            reason: Some("the time of the pause is over".to_owned()),
            count: None,
        };
        let record = Outcome { at, correlation: None, kind }.encode();
        let append = Append { dedup: None, record };
        if let Err(error) = self.bus.append(Log::Outcomes, vec![append]).await {
            tracing::warn!(%error, scope, "the end of the pause could not be written down");
        }
    }

    async fn end_due(&self, now: Timestamp) {
        let due: Vec<String> = {
            let state = self.state.lock().await;
            let due = |paused: &&Paused| paused.until.is_some_and(|until| until <= now);
            state.paused.values().filter(due).map(|paused| paused.scope.clone()).collect()
        };
        for text in due {
            let Ok(scope) = scope::parse(&text, DEFAULT_NAMESPACE) else {
                continue;
            };
            match self.resume(&scope).await {
                Ok(_) => {
                    tracing::info!(scope = text, "the time of the pause is over: resumed");
                    self.note_end(&text, now).await;
                }
                Err(error) => {
                    tracing::warn!(%error, scope = text, "the pause could not be ended; it is tried again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

fn reason(paused: &Paused) -> String {
    match &paused.reason {
        Some(reason) => format!("paused by {}: {reason}", paused.who),
        None => format!("paused by {}", paused.who),
    }
}
