//! Schedules as time goes by, in the order of the log.
//!
//! A tick is decided from the records of EVENTS alone: log time reaches the time at which it
//! is due, and the schedule's policies say what becomes of it. What is decided is an event
//! on the bus ([`events`]), whose id is the schedule and the nominal time. A schedule's action
//! is a sensor on that event ([`lowered`]), so that actions, attempts, dead letters and traces
//! are those of any other trigger.
//!
//! Which runs are still going follows from the log too: ends of runs come back as events
//! ([`ends`]), and so does what operators ask for.
//!
//! Promises: the same records in the same order give the same ticks with the same ids; no
//! tick is passed over without an event that says why; an event that was decided stays in
//! the state until it is seen in the log.
//!
//! Not here: reading and writing the logs, any clock.

pub mod compiled;
pub mod ends;
pub mod entry;
pub mod events;
pub mod lowered;
pub mod stored;
pub mod view;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tripline_event::{ActionId, Event, ObjectName, Position, Timestamp};
use tripline_schedules::policy::{Input, RunId};

pub use compiled::{CompiledSchedule, Kind};
use entry::{Effects, KEPT_AFTER_REMOVAL};
pub use entry::{Entry, Stored};

/// The most calls of one schedule's policies for one record. What is left is due at once.
const CALLS_MAX: usize = 100;

/// All schedules at a place in the log, shared by those who look at them.
pub type SharedSchedules = Arc<Mutex<Schedules>>;

/// All schedules at a place in the log.
#[derive(Debug, Default)]
pub struct Schedules {
    /// By the name of their events' source.
    entries: BTreeMap<Arc<ObjectName>, Entry>,
    /// Those whose definitions are gone.
    at_rest: BTreeMap<Arc<ObjectName>, Stored>,
    due: BTreeSet<(Timestamp, Arc<ObjectName>)>,
    /// The runs whose ends are waited for, by their actions.
    awaited: HashMap<ActionId, (Arc<ObjectName>, RunId)>,
    /// Events that were decided and not yet seen in the log, in the order of the decision.
    outbox: VecDeque<Event>,
    /// Of these, those that were appended; not a part of the state.
    sent: HashSet<[u8; 16]>,
    /// Actions to be given up, if they wait still; not a part of the state.
    unwanted: Vec<(ActionId, &'static str)>,
    /// The parts that changed since they were last written.
    changed: BTreeSet<u8>,
    outbox_changed: bool,
    log_time: Timestamp,
    /// Up to here the ends of runs in OUTCOMES are on the bus.
    pub relayed: Option<Position>,
}

/// Takes the lock; what a panic left behind is looked at as it is.
pub fn lock(schedules: &Mutex<Schedules>) -> MutexGuard<'_, Schedules> {
    schedules.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Schedules {
    /// Puts these schedules in force at log time `now`. One that was there goes on; of one
    /// whose times are others, ticks of before are not made up for.
    pub fn switch(&mut self, now: Timestamp, schedules: Vec<Arc<CompiledSchedule>>) {
        self.pass_time(now);
        let named: BTreeSet<&ObjectName> =
            schedules.iter().map(|schedule| &schedule.name).collect();
        let gone: Vec<Arc<ObjectName>> =
            self.entries.keys().filter(|name| !named.contains(&***name)).cloned().collect();
        for name in gone {
            self.put_to_rest(&name, now);
        }
        for schedule in schedules {
            let name = Arc::new(schedule.name.clone());
            if self.entries.get(&name).is_some_and(|entry| entry.is_in_force(&schedule)) {
                continue;
            }
            let mut effects = Effects::default();
            if let Some(entry) = self.entries.get_mut(&name) {
                entry.change(schedule, now, &mut effects);
                if !entry.waits_for_ends() {
                    self.awaited.retain(|_, (of, _)| *of != name);
                }
            } else {
                let entry = match self.at_rest.remove(&name) {
                    Some(stored) => Entry::back(schedule, stored, now, &mut effects),
                    None => Entry::new(schedule, now),
                };
                self.entries.insert(Arc::clone(&name), entry);
            }
            self.take_effect(&name, effects);
        }
        let too_old = |stored: &Stored| {
            stored.removed_at.is_none_or(|at| now.duration_since(at) > KEPT_AFTER_REMOVAL)
        };
        let old: Vec<Arc<ObjectName>> = self
            .at_rest
            .iter()
            .filter(|(_, stored)| too_old(stored))
            .map(|(name, _)| Arc::clone(name))
            .collect();
        for name in old {
            self.at_rest.remove(&name);
            self.touch(&name);
        }
    }

    /// The definition is gone: what is remembered is kept for a while, in case it comes back.
    fn put_to_rest(&mut self, name: &Arc<ObjectName>, now: Timestamp) {
        let Some(mut entry) = self.entries.remove(name) else { return };
        if let Some(due) = entry.due {
            self.due.remove(&(due, Arc::clone(name)));
        }
        self.awaited.retain(|_, (of, _)| of != name);
        entry.stored.removed_at = Some(now);
        self.at_rest.insert(Arc::clone(name), entry.stored);
        self.touch(name);
    }

    /// Everything that is due by `now` happens, in the order of its time.
    pub fn pass_time(&mut self, now: Timestamp) {
        self.log_time = self.log_time.max(now);
        let now = self.log_time;
        let ready: Vec<_> = self.due.iter().take_while(|(due, _)| *due <= now).cloned().collect();
        for (due, name) in ready {
            self.due.remove(&(due, Arc::clone(&name)));
            let Some(entry) = self.entries.get_mut(&name) else { continue };
            let mut effects = Effects::default();
            for _ in 0..CALLS_MAX {
                entry.apply(Input::Time(now), now, &mut effects);
                if entry.next_due().is_none_or(|due| due > now) {
                    break;
                }
            }
            self.take_effect(&name, effects);
        }
    }

    /// An event of the log, which was not seen before. Log time must have passed already.
    pub fn apply(&mut self, event: &Event) {
        if event.kind != events::KIND {
            return;
        }
        self.seen(event);
        let source = ObjectName::new(&event.key.namespace, &event.key.source);
        let Some((name, _)) = self.entries.get_key_value(&source) else { return };
        let name = Arc::clone(name);
        let mut effects = Effects::default();
        if let Some(entry) = self.entries.get_mut(&name) {
            entry.take(event, self.log_time, &mut effects);
        }
        self.take_effect(&name, effects);
    }

    /// The event stands in the log: it need not be remembered any more.
    pub fn seen(&mut self, event: &Event) {
        if event.kind != events::KIND || self.outbox.is_empty() {
            return;
        }
        let is_it = |waiting: &Event| waiting.id == event.id && waiting.key == event.key;
        // Nearly always the first.
        let Some(place) = self.outbox.iter().position(is_it) else { return };
        self.outbox.remove(place);
        self.sent.remove(&event.id.identity(&event.key));
        self.outbox_changed = true;
    }

    /// Brings everything else in line with what was decided for one schedule.
    fn take_effect(&mut self, name: &Arc<ObjectName>, effects: Effects) {
        self.touch(name);
        let Some(entry) = self.entries.get_mut(name) else { return };
        let due = entry.next_due();
        if entry.due != due {
            if let Some(before) = entry.due {
                self.due.remove(&(before, Arc::clone(name)));
            }
            entry.due = due;
        }
        if let Some(due) = due {
            self.due.insert((due, Arc::clone(name)));
        }
        for run in effects.awaited {
            let action = entry.compiled.action_of(run);
            self.awaited.insert(action, (Arc::clone(name), run));
        }
        for run in effects.over {
            self.awaited.remove(&entry.compiled.action_of(run));
        }
        for (run, why) in effects.unwanted {
            self.unwanted.push((entry.compiled.action_of(run), why));
        }
        self.outbox_changed |= !effects.events.is_empty();
        self.outbox.extend(effects.events);
    }

    fn touch(&mut self, name: &ObjectName) {
        self.changed.insert(stored::part_of(name));
    }

    /// When something is due next without an event.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Events that were decided and not yet appended, in the order of the decision.
    pub fn unsent(&self) -> Vec<Event> {
        self.unsent_of().cloned().collect()
    }

    fn unsent_of(&self) -> impl Iterator<Item = &Event> {
        self.outbox.iter().filter(|event| !self.sent.contains(&event.id.identity(&event.key)))
    }

    /// Whether there are any.
    pub fn has_unsent(&self) -> bool {
        self.outbox.len() > self.sent.len() && self.unsent_of().next().is_some()
    }

    /// These events were appended.
    pub fn sent(&mut self, events: &[Event]) {
        self.sent.extend(events.iter().map(|event| event.id.identity(&event.key)));
    }

    /// Actions that are to be given up if they wait still, each with the reason.
    pub fn take_unwanted(&mut self) -> Vec<(ActionId, &'static str)> {
        std::mem::take(&mut self.unwanted)
    }

    /// The schedule and the run of an action whose end is waited for.
    pub fn awaited(&self, action: &ActionId) -> Option<(&ObjectName, RunId)> {
        self.awaited.get(action).map(|(name, run)| (&**name, *run))
    }

    /// No run's end is waited for.
    pub fn awaits_nothing(&self) -> bool {
        self.awaited.is_empty()
    }

    /// The runs whose ends are waited for, in no order.
    pub fn all_awaited(&self) -> impl Iterator<Item = (&ObjectName, RunId, &ActionId)> {
        self.awaited.iter().map(|(action, (name, run))| (&**name, *run, action))
    }

    /// Everything there is, by the name of its events' source.
    pub fn entries(&self) -> impl Iterator<Item = (&ObjectName, &Entry)> {
        self.entries.iter().map(|(name, entry)| (&**name, entry))
    }

    /// The schedule of that name.
    pub fn entry(&self, name: &ObjectName) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// Log time.
    pub fn log_time(&self) -> Timestamp {
        self.log_time
    }
}

#[cfg(test)]
mod tests;
