//! The latest tick of each calendar, in the bus.

use bytes::Bytes;
use tripline_bus::{Bus, Revision, WriteError};
use tripline_event::{DefinitionHash, EventKey, Timestamp};
use tripline_eventsources::SinkError;

/// Names of events may have letters that keys may not.
fn key_of(key: &EventKey) -> String {
    let parts = [&key.namespace, &key.source, &key.name];
    format!("calendar/{}", DefinitionHash::of(&serde_json::json!(parts).to_string()))
}

fn unavailable(error: impl std::fmt::Display) -> SinkError {
    SinkError::Unavailable(error.to_string())
}

/// The latest tick that was kept; none where none was, or what is there is none.
pub(super) async fn get(bus: &dyn Bus, key: &EventKey) -> Result<Option<Timestamp>, SinkError> {
    let entry = bus.get(&key_of(key)).await.map_err(unavailable)?;
    let text = entry.and_then(|entry| String::from_utf8(entry.value.to_vec()).ok());
    Ok(text.and_then(|text| text.parse().ok()))
}

/// Keeps the latest tick.
pub(super) async fn put(bus: &dyn Bus, key: &EventKey, tick: Timestamp) -> Result<(), SinkError> {
    let (key, value) = (key_of(key), Bytes::from(tick.to_string()));
    let entry = bus.get(&key).await.map_err(unavailable)?;
    let revision = entry.map_or(Revision::ABSENT, |entry| entry.revision);
    match bus.put(&key, value, revision).await {
        // Somebody else is as far.
        Ok(_) | Err(WriteError::Conflict { .. }) => Ok(()),
        Err(error) => Err(unavailable(error)),
    }
}
