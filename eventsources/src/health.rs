//! How an event source is.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tripline_event::{Clock, EventKey, Timestamp};

/// How one event of an event source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    /// The event.
    pub key: EventKey,
    /// The kind of its source.
    pub kind: &'static str,
    /// Whether events can come in.
    pub ready: bool,
    /// In a few words: where it listens, when the next tick is, what is wrong.
    pub detail: String,
    /// Since when `ready` is what it is.
    pub since: Timestamp,
    /// For an event source that listens: the address.
    pub address: Option<SocketAddr>,
}

/// Where a task says how it is.
#[derive(Clone)]
pub struct Health {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
}

/// What a task has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) ready: bool,
    pub(crate) detail: String,
    pub(crate) since: Timestamp,
}

impl Health {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State { ready: false, detail: "starting".into(), since: clock.now() };
        Self { clock, state: Arc::new(Mutex::new(state)) }
    }

    /// Events can come in.
    pub fn ready(&self, detail: impl Into<String>) {
        self.set(true, detail.into());
    }

    /// No events can come in, and why.
    pub fn failing(&self, detail: impl Into<String>) {
        self.set(false, detail.into());
    }

    pub(crate) fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, ready: bool, detail: String) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.ready != ready {
            state.since = self.clock.now();
        }
        state.ready = ready;
        state.detail = detail;
    }
}
