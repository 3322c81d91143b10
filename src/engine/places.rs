//! How far upstreams were read that do not remember it themselves, in the bus.

use bytes::Bytes;
use tripline_bus::{Bus, Revision, WriteError};
use tripline_event::{DefinitionHash, EventKey};
use tripline_eventsources::SinkError;

/// Names of events and upstreams may have letters that keys may not.
fn key_of(key: &EventKey, of: &str) -> String {
    let parts = [&key.namespace, &key.source, &key.name, of];
    format!("place/{}", DefinitionHash::of(&serde_json::json!(parts).to_string()))
}

fn unavailable(error: impl std::fmt::Display) -> SinkError {
    SinkError::Unavailable(error.to_string())
}

/// The place that was kept last; none where none was.
pub(super) async fn get(
    bus: &dyn Bus,
    key: &EventKey,
    of: &str,
) -> Result<Option<String>, SinkError> {
    let entry = bus.get(&key_of(key, of)).await.map_err(unavailable)?;
    Ok(entry.and_then(|entry| String::from_utf8(entry.value.to_vec()).ok()))
}

/// Keeps a place.
pub(super) async fn put(
    bus: &dyn Bus,
    key: &EventKey,
    of: &str,
    place: &str,
) -> Result<(), SinkError> {
    let (key, value) = (key_of(key, of), Bytes::copy_from_slice(place.as_bytes()));
    let entry = bus.get(&key).await.map_err(unavailable)?;
    let revision = entry.map_or(Revision::ABSENT, |entry| entry.revision);
    match bus.put(&key, value, revision).await {
        // Somebody else reads the same, and is as far.
        Ok(_) | Err(WriteError::Conflict { .. }) => Ok(()),
        Err(error) => Err(unavailable(error)),
    }
}

#[cfg(test)]
mod tests {
    use tripline_bus::memory::{MemoryBus, MemoryStore};

    use super::*;

    #[tokio::test]
    async fn each_part_of_each_event_s_upstream_has_a_place_of_its_own() {
        let bus = MemoryBus::new(MemoryStore::new(1));
        let [one, other] = ["a", "b"].map(|name| EventKey::new("ci", "builds", name));
        assert_eq!(get(&bus, &one, "t/0").await, Ok(None));
        for place in ["7", "12"] {
            put(&bus, &one, "t/0", place).await.unwrap();
            assert_eq!(get(&bus, &one, "t/0").await, Ok(Some(place.to_owned())));
        }
        assert_eq!(get(&bus, &one, "t/1").await, Ok(None));
        assert_eq!(get(&bus, &other, "t/0").await, Ok(None));
    }
}
