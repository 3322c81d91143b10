//! How the source is: told to its health, and each change to the log, once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tripline_event::EventKey;

use crate::Health;

/// What can be wrong; the order is that in which it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// No broker can be reached, or none takes the client.
    Broker,
    /// The topic is not there, or may not be read.
    Topic,
    /// The group cannot be joined.
    Group,
    /// What is fetched cannot be read.
    Fetching,
    /// No partitions have been given yet. It is no mistake, and is not logged.
    Joining,
    /// The event bus does not take events. The daemon says so by itself.
    Bus,
}

/// How the source is.
pub struct Condition {
    key: EventKey,
    health: Health,
    /// What to say when nothing is wrong.
    well: String,
    wrong: Mutex<BTreeMap<Part, String>>,
    /// Whether something is wrong that a message would disprove.
    doubtful: AtomicBool,
    /// Whether the event bus does not take events.
    bus_is_wrong: AtomicBool,
}

impl Condition {
    /// Nothing is known yet.
    pub fn new(key: EventKey, health: Health, well: String, joining: String) -> Self {
        health.failing(joining.clone());
        let wrong = Mutex::new(BTreeMap::from([(Part::Joining, joining)]));
        Self {
            key,
            health,
            well,
            wrong,
            doubtful: AtomicBool::new(true),
            bus_is_wrong: AtomicBool::new(false),
        }
    }

    /// These parts work.
    pub fn well(&self, parts: &[Part]) {
        self.change(|wrong| {
            for part in parts {
                wrong.remove(part);
            }
        });
    }

    /// This part does not work, and why.
    pub fn wrong(&self, part: Part, why: String) {
        self.change(|wrong| {
            wrong.insert(part, why);
        });
    }

    /// A message has come: the broker is there, the topic too, and it can be read.
    pub fn received(&self) {
        if self.doubtful.load(Ordering::Relaxed) {
            self.well(&[Part::Broker, Part::Topic, Part::Fetching, Part::Joining]);
        }
    }

    /// The event bus has taken something.
    pub fn bus_takes(&self) {
        if self.bus_is_wrong.load(Ordering::Relaxed) {
            self.well(&[Part::Bus]);
        }
    }

    /// Whether the broker should be asked how it is.
    pub fn is_doubtful(&self) -> bool {
        self.doubtful.load(Ordering::Relaxed)
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<Part, String>)) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let before = first_logged(&wrong);
        let joined = !wrong.contains_key(&Part::Joining);
        change(&mut wrong);
        let after = first_logged(&wrong);
        let joins = !joined && !wrong.contains_key(&Part::Joining);
        match wrong.values().next() {
            Some(first) => self.health.failing(first.clone()),
            None => self.health.ready(self.well.clone()),
        }
        let doubtful = wrong.keys().any(|part| *part != Part::Bus);
        self.doubtful.store(doubtful, Ordering::Relaxed);
        self.bus_is_wrong.store(wrong.contains_key(&Part::Bus), Ordering::Relaxed);
        drop(wrong);
        match after {
            Some(why) if before.as_ref() != Some(&why) => {
                tracing::warn!(event_source = %self.key, "{why}");
            }
            None if before.is_some() && joined => {
                tracing::info!(event_source = %self.key, "{} again", self.well);
            }
            None if joins => tracing::info!(event_source = %self.key, "{}", self.well),
            _ => {}
        }
    }
}

/// What the log is told of.
fn first_logged(wrong: &BTreeMap<Part, String>) -> Option<String> {
    let (part, why) = wrong.first_key_value()?;
    (*part < Part::Joining).then(|| why.clone())
}
