//! How the source is: told to its health, and each change to the log, once.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;
use tripline_event::EventKey;

use crate::Health;

/// What can be wrong; the order is that in which it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Messages cannot be received.
    Receiving,
    /// Messages cannot be deleted: they come again.
    Deleting,
    /// The event bus does not take events.
    Bus,
}

/// How the source is.
pub struct Condition {
    key: EventKey,
    health: Health,
    /// What to say when nothing is wrong.
    well: String,
    wrong: Mutex<BTreeMap<Part, String>>,
    /// Messages that the event bus has not taken, and that wait.
    waiting: watch::Sender<usize>,
}

impl Condition {
    /// Nothing is known yet.
    pub fn new(key: EventKey, health: Health, well: String) -> Self {
        let waiting = watch::Sender::new(0);
        Self { key, health, well, wrong: Mutex::default(), waiting }
    }

    /// This part works.
    pub fn well(&self, part: Part) {
        self.change(part, None);
    }

    /// This part does not work, and why.
    pub fn wrong(&self, part: Part, why: String) {
        self.change(part, Some(why));
    }

    fn change(&self, part: Part, why: Option<String>) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match &why {
            Some(why) => wrong.insert(part, why.clone()),
            None => wrong.remove(&part),
        };
        match wrong.values().next() {
            Some(first) => self.health.failing(first.clone()),
            None => self.health.ready(self.well.clone()),
        }
        drop(wrong);
        // The daemon says by itself that the bus does not take events.
        if part == Part::Bus || before == why {
            return;
        }
        match why {
            Some(why) => tracing::warn!(event_source = %self.key, "{why}"),
            None => tracing::info!(event_source = %self.key, "{} again", self.well),
        }
    }

    /// A message waits for the event bus, until what is returned is dropped.
    pub fn waits(&self, why: String) -> Waiting<'_> {
        self.waiting.send_modify(|waiting| *waiting += 1);
        self.wrong(Part::Bus, why);
        Waiting(self)
    }

    /// Returns when no message waits for the event bus.
    pub async fn nothing_waits(&self) {
        // The sender is here: it cannot fail.
        let mut waiting = self.waiting.subscribe();
        let _closed = waiting.wait_for(|waiting| *waiting == 0).await;
    }
}

/// A message waits for the event bus.
pub struct Waiting<'a>(&'a Condition);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut none_left = false;
        self.0.waiting.send_modify(|waiting| {
            *waiting -= 1;
            none_left = *waiting == 0;
        });
        if none_left {
            self.0.well(Part::Bus);
        }
    }
}
