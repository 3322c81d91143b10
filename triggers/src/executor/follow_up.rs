//! What follows from a dead letter: the action of its trigger's `dlqTrigger`.
//!
//! It is durable before the dead letter is, so that no crash loses it. One that was appended
//! before a crash is known from the log and is not appended again.

use std::sync::Arc;
use std::time::Duration;

use tripline_bus::{Append, Bus, Log, ReadError};
use tripline_event::{Action, ActionId, DeadLetter, Position};

use super::Decided;
use super::core::Core;

/// The wait after an append or read that failed; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait between two of them.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How many records are read at once.
const PAGE: usize = 256;

impl Core {
    /// Appends what follows from the dead letter of `action` and takes it over. Returns when
    /// it is durable.
    pub(super) async fn follow_up(&self, action: &Action, letter: &DeadLetter) {
        let now = self.parts.clock.now();
        let Some(next) = self.parts.renderer.follow_up(action, letter, now) else { return };
        if self.state().knows_follow_up(&next.id) {
            return;
        }
        let _in_order = self.parts.appending.lock().await;
        let position = append_once(self.parts.bus.as_ref(), &next).await;
        self.parts.observer.on_follow_up(position, &next);
        let action = Arc::new(next);
        self.state().offer(Decided { position, action, events: None, recovered: None });
        self.changed.notify_one();
    }
}

/// Appends an action until the bus has it, and finds it there where the answer was lost.
async fn append_once(bus: &dyn Bus, action: &Action) -> Position {
    let mut wait = FIRST_WAIT;
    let from = loop {
        match bus.extent(Log::Actions).await {
            Ok(extent) => break extent.next,
            Err(error) => pause(&mut wait, &error.to_string()).await,
        }
    };
    loop {
        let dedup = Some(format!("{}/{}", action.id, action.round).into());
        let append = Append { dedup, record: action.encode() };
        match bus.append(Log::Actions, vec![append]).await {
            Ok(appended) => {
                if let Some(appended) = appended.first() {
                    return appended.position;
                }
            }
            Err(error) => pause(&mut wait, &error.to_string()).await,
        }
        loop {
            match find(bus, &action.id, from).await {
                Ok(Some(position)) => return position,
                Ok(None) => break,
                Err(error) => pause(&mut wait, &error.to_string()).await,
            }
        }
    }
}

async fn pause(wait: &mut Duration, error: &str) {
    tracing::warn!(target: "tripline::executor", error, "the action of a dlqTrigger cannot be appended; it is tried again");
    tokio::time::sleep(*wait).await;
    *wait = (*wait * 2).min(LONGEST_WAIT);
}

async fn find(
    bus: &dyn Bus,
    id: &ActionId,
    mut from: Position,
) -> Result<Option<Position>, ReadError> {
    loop {
        let page = match bus.read(Log::Actions, from, PAGE).await {
            Err(ReadError::Trimmed { first, .. }) => bus.read(Log::Actions, first, PAGE).await?,
            other => other?,
        };
        let Some(last) = page.last() else { return Ok(None) };
        from = last.position.next();
        let is_it = |record| Action::decode(record).is_ok_and(|action| action.id == *id);
        if let Some(stored) = page.iter().find(|stored| is_it(&stored.record)) {
            return Ok(Some(stored.position));
        }
    }
}
