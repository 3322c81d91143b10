//! A bus in memory, for simulation.
//!
//! It keeps the promises of every bus, with two differences: what is durable is what the
//! [`MemoryStore`] holds, which outlives its handles; and it breaks down as its [`Faults`]
//! say. Opening another handle on a store is a restart of the daemon. A handle that was
//! [killed](MemoryBus::kill) is the dead process: nothing it had begun takes effect any
//! more, and none of its calls ever returns.
//!
//! Promises: with the same seeds, and the same calls in the same order on a runtime with one
//! thread and paused time, everything happens in the same way. It reads no real clock.
//!
//! Not here: bounded memory. It holds what was appended until that is trimmed.

mod faults;
mod store;

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tripline_event::Position;

pub use self::faults::Faults;
use self::faults::{Course, Trouble};
pub use self::store::MemoryStore;
use self::store::State;
use crate::limits::{batch_bytes, check_key, check_value};
use crate::{
    Append, Appended, BoxFuture, Bus, Entry, Extent, Fill, Log, ReadError, Revision, Stored,
    WriteError,
};

/// A handle on a [`MemoryStore`].
pub struct MemoryBus {
    store: Arc<MemoryStore>,
    course: Mutex<Course>,
    killed: AtomicBool,
}

/// Whether a write needs room.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    Needed,
    NotNeeded,
}

impl MemoryBus {
    /// A handle with which nothing goes wrong.
    pub fn new(store: Arc<MemoryStore>) -> Self {
        Self::with_faults(store, Faults::none())
    }

    /// A handle with which goes wrong what `faults` says.
    pub fn with_faults(store: Arc<MemoryStore>, faults: Faults) -> Self {
        Self { store, course: Mutex::new(Course::new(faults)), killed: AtomicBool::new(false) }
    }

    /// From now on this goes wrong.
    pub fn set_faults(&self, faults: Faults) {
        *self.course() = Course::new(faults);
    }

    /// The process that has this handle is dead: nothing that it had begun takes effect any
    /// more, and no call returns, neither a new one nor one that had begun.
    pub fn kill(&self) {
        self.killed.store(true, Ordering::SeqCst);
    }

    fn course(&self) -> MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never returns in a dead process.
    async fn alive(&self) {
        if self.killed.load(Ordering::SeqCst) {
            pending::<()>().await;
        }
    }

    async fn pass(&self, delay: Duration) {
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        self.alive().await;
    }

    async fn read_with<T>(
        &self,
        look: impl FnOnce(&State) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        self.alive().await;
        let mishap = self.course().of_read();
        self.pass(mishap.delay_before).await;
        let result = match mishap.trouble {
            Trouble::None => self.store.read(look),
            _ => Err(ReadError::Unavailable("simulated: the read failed".to_owned())),
        };
        self.pass(mishap.delay_after).await;
        result
    }

    async fn write_with<T>(
        &self,
        room: Room,
        apply: impl FnOnce(&mut State) -> Result<T, WriteError>,
    ) -> Result<T, WriteError> {
        self.alive().await;
        let mishap = self.course().of_write();
        self.pass(mishap.delay_before).await;
        let result = if mishap.trouble == Trouble::Refused {
            Err(WriteError::Unavailable("simulated: the write was not stored".to_owned()))
        } else if room == Room::Needed && !self.course().has_room() {
            Err(WriteError::Full("simulated: there is no room for a while".to_owned()))
        } else {
            self.store.change(apply)
        };
        self.pass(mishap.delay_after).await;
        if result.is_ok() && mishap.trouble == Trouble::AcknowledgementLost {
            return Err(WriteError::Unavailable(
                "simulated: the acknowledgement was lost".to_owned(),
            ));
        }
        result
    }
}

impl Bus for MemoryBus {
    fn append(
        &self,
        log: Log,
        batch: Vec<Append>,
    ) -> BoxFuture<'_, Result<Vec<Appended>, WriteError>> {
        Box::pin(async move {
            batch_bytes(&batch)?;
            let window = self.course().dedup_window();
            self.write_with(Room::Needed, |state| Ok(state.append(log, batch, window))).await
        })
    }

    fn read(
        &self,
        log: Log,
        from: Position,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Stored>, ReadError>> {
        Box::pin(self.read_with(move |state| state.records(log, from, max)))
    }

    fn wait(&self, log: Log, from: Position) -> BoxFuture<'_, Result<(), ReadError>> {
        Box::pin(async move {
            let mut end = self.store.end_of(log);
            loop {
                end.borrow_and_update();
                if self.read_with(|state| state.reaches(log, from)).await? {
                    return Ok(());
                }
                // The store holds the sender, and this handle the store.
                if end.changed().await.is_err() {
                    return pending().await;
                }
            }
        })
    }

    fn extent(&self, log: Log) -> BoxFuture<'_, Result<Extent, ReadError>> {
        Box::pin(self.read_with(move |state| Ok(state.extent(log))))
    }

    fn fill(&self) -> Option<Fill> {
        self.store.fill()
    }

    fn trim(&self, log: Log, below: Position) -> BoxFuture<'_, Result<(), WriteError>> {
        Box::pin(self.write_with(Room::NotNeeded, move |state| {
            state.trim(log, below);
            Ok(())
        }))
    }

    fn get(&self, key: &str) -> BoxFuture<'_, Result<Option<Entry>, ReadError>> {
        let key = key.to_owned();
        Box::pin(self.read_with(move |state| Ok(state.get(&key))))
    }

    fn put(
        &self,
        key: &str,
        value: Bytes,
        expected: Revision,
    ) -> BoxFuture<'_, Result<Revision, WriteError>> {
        let key = key.to_owned();
        Box::pin(async move {
            check_key(&key)?;
            check_value(&value)?;
            self.write_with(Room::Needed, |state| state.put(&key, value, expected)).await
        })
    }

    fn delete(&self, key: &str, expected: Revision) -> BoxFuture<'_, Result<(), WriteError>> {
        let key = key.to_owned();
        Box::pin(self.write_with(Room::NotNeeded, move |state| state.delete(&key, expected)))
    }

    fn keys(
        &self,
        prefix: &str,
        after: Option<&str>,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<String>, ReadError>> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        Box::pin(self.read_with(move |state| Ok(state.keys(&prefix, after.as_deref(), max))))
    }
}

#[cfg(test)]
mod tests;
