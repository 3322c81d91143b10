//! What is written of schedules into a checkpoint.
//!
//! Schedules are divided into parts by a hash of their names. Only the parts that changed
//! are written, so that a checkpoint has few chunks however many schedules there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tripline_event::{Event, EventsRecord, ObjectName, Timestamp};

use super::entry::{Entry, Stored};
use super::{CompiledSchedule, Schedules};

/// The part that a schedule is in.
pub(super) fn part_of(name: &ObjectName) -> u8 {
    // FNV-1a: it stands in checkpoints and must never change.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in name.namespace.bytes().chain([b'/']).chain(name.name.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    (hash >> 56) as u8
}

/// The state of a schedule that was read back.
#[derive(Debug, Default)]
pub struct Restored {
    states: BTreeMap<ObjectName, Stored>,
    outbox: Vec<Event>,
}

#[derive(Default, Serialize)]
struct Part<'s> {
    schedules: BTreeMap<String, &'s Stored>,
}

#[derive(Deserialize)]
struct ReadPart {
    schedules: BTreeMap<String, Stored>,
}

/// Why something that was stored cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("stored schedules are damaged: {0}")]
pub struct StoredError(String);

impl Restored {
    /// Reads back a part.
    ///
    /// # Errors
    /// It is damaged.
    pub fn read_part(&mut self, bytes: &[u8]) -> Result<(), StoredError> {
        let part: ReadPart =
            serde_json::from_slice(bytes).map_err(|error| StoredError(error.to_string()))?;
        for (name, stored) in part.schedules {
            let (namespace, name) = name.split_once('/').unwrap_or(("", &name));
            self.states.insert(ObjectName::new(namespace, name), stored);
        }
        Ok(())
    }

    /// Forgets the events that were decided and not yet seen in the log: a mistake, for
    /// simulation.
    pub fn forget_outbox(&mut self) {
        self.outbox.clear();
    }

    /// Reads back the events that were decided and not yet seen in the log.
    ///
    /// # Errors
    /// They are damaged.
    pub fn read_outbox(&mut self, bytes: &[u8]) -> Result<(), StoredError> {
        let damaged = |error: String| StoredError(error);
        let records: Vec<Box<RawValue>> =
            serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        for record in records {
            let bytes = Bytes::copy_from_slice(record.get().as_bytes());
            match EventsRecord::decode(&bytes) {
                Ok(EventsRecord::Event(event)) => self.outbox.push(event),
                Ok(_) => return Err(damaged("there is no event".to_owned())),
                Err(error) => return Err(damaged(error.to_string())),
            }
        }
        Ok(())
    }
}

impl Schedules {
    /// Schedules as they were stored at log time `now`, with the definitions that were in
    /// force.
    pub fn restore(
        restored: Restored,
        now: Timestamp,
        compiled: Vec<Arc<CompiledSchedule>>,
    ) -> Self {
        let Restored { mut states, outbox } = restored;
        let mut schedules = Self { log_time: now, outbox: outbox.into(), ..Self::default() };
        for compiled in compiled {
            let name = Arc::new(compiled.name.clone());
            let entry = match states.remove(&*name) {
                Some(stored) => Entry::restored(compiled, stored),
                None => Entry::new(compiled, now),
            };
            schedules.insert(name, entry);
        }
        let at_rest = states.into_iter().filter(|(_, stored)| stored.removed_at.is_some());
        schedules.at_rest = at_rest.map(|(name, stored)| (Arc::new(name), stored)).collect();
        schedules
    }

    fn insert(&mut self, name: Arc<ObjectName>, mut entry: Entry) {
        entry.due = entry.next_due();
        if let Some(due) = entry.due {
            self.due.insert((due, Arc::clone(&name)));
        }
        for run in entry.stored.state.running() {
            self.awaited.insert(entry.compiled.action_of(run), (Arc::clone(&name), run));
        }
        self.entries.insert(name, entry);
    }

    /// The parts that changed since they were last written, as bytes; `None` where nothing
    /// is left of one.
    pub fn changed_parts(&self) -> Vec<(u8, Option<Bytes>)> {
        let mut parts: BTreeMap<u8, Part<'_>> = BTreeMap::new();
        let there = self.entries.iter().map(|(name, entry)| (name, &entry.stored));
        for (name, stored) in there.chain(&self.at_rest) {
            let number = part_of(name);
            if self.changed.contains(&number) {
                parts.entry(number).or_default().schedules.insert(name.to_string(), stored);
            }
        }
        let bytes = |number: &u8| {
            let part = parts.get(number)?;
            // Keys are texts: it cannot fail.
            serde_json::to_vec(part).ok().map(Bytes::from)
        };
        self.changed.iter().map(|number| (*number, bytes(number))).collect()
    }

    /// The events that were decided and not yet seen in the log, as bytes; `None` where there
    /// are none.
    pub fn outbox_bytes(&self) -> Option<Bytes> {
        if self.outbox.is_empty() {
            return None;
        }
        let mut bytes = vec![b'['];
        for (index, event) in self.outbox.iter().enumerate() {
            if index > 0 {
                bytes.push(b',');
            }
            bytes.extend(EventsRecord::Event(event.clone()).encode());
        }
        bytes.push(b']');
        Some(Bytes::from(bytes))
    }

    /// What [`Self::changed_parts`] gave is written.
    pub fn written(&mut self) {
        self.changed.clear();
        self.outbox_changed = false;
    }
}
