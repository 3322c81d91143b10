//! Reads events and actions back from the bus.

use std::sync::Arc;
use std::time::Duration;

use tripline_bus::{Bus, Log, ReadError, Stored};
use tripline_event::{Action, ActionEvent, Event, EventsRecord, Position, TriggerName};

/// The most records that are read at once.
pub(super) const READ_RECORDS: usize = 256;
/// The wait after a read that failed; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait between two reads.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The events of an action, in its order; the error says which one cannot be had, and why.
pub(super) async fn events(bus: &dyn Bus, action: &Action) -> Result<Vec<Arc<Event>>, String> {
    if action.has_copies() {
        let copies = action.copies.iter().map(|copy| {
            let event = copy.event().ok_or_else(|| {
                format!("the copy of event {} `{}` is not whole", copy.key, copy.id)
            })?;
            Ok(Arc::new(event))
        });
        return copies.collect();
    }
    let mut events: Vec<Arc<Event>> = Vec::with_capacity(action.events.len());
    for of in &action.events {
        let known =
            action.events.iter().zip(&events).find(|(known, _)| known.position == of.position);
        let event = match known {
            Some((_, event)) => Arc::clone(event),
            None => Arc::new(event(bus, of).await?),
        };
        events.push(event);
    }
    Ok(events)
}

async fn event(bus: &dyn Bus, of: &ActionEvent) -> Result<Event, String> {
    let gone = |why: String| format!("event {} `{}` cannot be read: {why}", of.key, of.id);
    let stored = read(bus, Log::Events, of.position, 1).await.map_err(|e| gone(e.to_string()))?;
    let stored = stored.into_iter().find(|stored| stored.position == of.position);
    let stored = stored.ok_or_else(|| gone(format!("there is no record {}", of.position)))?;
    match EventsRecord::decode(&stored.record) {
        Ok(EventsRecord::Event(event)) => Ok(event),
        Ok(_) => Err(gone(format!("record {} is no event", of.position))),
        Err(error) => Err(gone(error.to_string())),
    }
}

/// The next records of the ACTIONS log from `from` on, `max` at most, with the action in
/// each that is one of `trigger`.
pub(super) async fn actions(
    bus: &dyn Bus,
    mut from: Position,
    trigger: &TriggerName,
    max: usize,
) -> Vec<(Position, Option<Arc<Action>>)> {
    loop {
        match read(bus, Log::Actions, from, max).await {
            Ok(records) if !records.is_empty() => {
                return records.iter().map(|stored| action_of(stored, trigger)).collect();
            }
            Ok(_) => tracing::error!(
                target: "tripline::executor", %trigger, position = %from,
                "the log of actions ends before an action that was stored; reading again"
            ),
            Err(ReadError::Trimmed { asked, first }) => {
                tracing::error!(
                    target: "tripline::executor", %trigger, %asked, %first,
                    "open actions were trimmed from the log and are lost"
                );
                from = first;
                continue;
            }
            Err(error) => tracing::error!(
                target: "tripline::executor", %trigger, position = %from, %error,
                "waiting actions cannot be read; reading again"
            ),
        }
        tokio::time::sleep(LONGEST_WAIT).await;
    }
}

fn action_of(stored: &Stored, trigger: &TriggerName) -> (Position, Option<Arc<Action>>) {
    let action = match Action::decode(&stored.record) {
        Ok(action) => (action.trigger == *trigger).then(|| Arc::new(action)),
        Err(error) => {
            tracing::error!(
                target: "tripline::executor", position = %stored.position, %error,
                "an action cannot be read and is left out"
            );
            None
        }
    };
    (stored.position, action)
}

/// Reads as soon as the bus can be reached.
async fn read(
    bus: &dyn Bus,
    log: Log,
    from: Position,
    max: usize,
) -> Result<Vec<Stored>, ReadError> {
    let mut wait = FIRST_WAIT;
    loop {
        match bus.read(log, from, max).await {
            Err(ReadError::Unavailable(_)) => tokio::time::sleep(wait).await,
            answer => return answer,
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}
