//! The checkpoints that are kept for the past's sake: what was in force and held at a place
//! of the log.

use tripline_bus::{Bus, Log};
use tripline_event::{ObjectName, Position};
use tripline_sensors::evaluator::{Part, part_of};

use super::checkpoint::{
    CheckpointError, HEAD, KEPT, Manifest, object_name, read, read_manifest, read_part,
};

/// How many keys are looked at in one go.
const PAGE: usize = 1024;

/// The latest checkpoint that is kept and holds nothing from `position` on; none where the
/// log was not that far then.
///
/// # Errors
/// The bus cannot be read, or what it holds cannot.
pub async fn before(
    bus: &dyn Bus,
    position: Position,
) -> Result<Option<Manifest>, CheckpointError> {
    if let Some(head) = newest(bus).await?
        && is_before(&head, position)
    {
        return Ok(Some(head));
    }
    let keys = all(bus).await?;
    // Later ones are further: the first that is too far is found by halving.
    let (mut low, mut high) = (0, keys.len());
    let mut found = None;
    while low < high {
        let middle = low + (high - low) / 2;
        match get(bus, &keys[middle]).await? {
            Some(manifest) if is_before(&manifest, position) => {
                low = middle + 1;
                found = Some(manifest);
            }
            // One of another incarnation is of a log that is gone, and older.
            Some(manifest) if manifest.watermark.incarnation != position.incarnation => {
                low = middle + 1;
            }
            _ => high = middle,
        }
    }
    Ok(found)
}

fn is_before(manifest: &Manifest, position: Position) -> bool {
    manifest.watermark.incarnation == position.incarnation && manifest.watermark < position
}

/// The newest checkpoint.
///
/// # Errors
/// The bus cannot be read, or what it holds cannot.
pub async fn newest(bus: &dyn Bus) -> Result<Option<Manifest>, CheckpointError> {
    get(bus, HEAD).await
}

async fn get(bus: &dyn Bus, key: &str) -> Result<Option<Manifest>, CheckpointError> {
    let entry = bus.get(key).await?;
    entry.map(|entry| read_manifest(&entry.value)).transpose()
}

/// The keys of all that are kept, the oldest first.
async fn all(bus: &dyn Bus) -> Result<Vec<String>, CheckpointError> {
    let mut keys: Vec<String> = Vec::new();
    loop {
        let page = bus.keys(KEPT, keys.last().map(String::as_str), PAGE).await?;
        if page.is_empty() {
            return Ok(keys);
        }
        keys.extend(page);
    }
}

/// What these sensors held at a checkpoint.
///
/// # Errors
/// The bus cannot be read, or what it holds cannot.
pub async fn held(
    bus: &dyn Bus,
    manifest: &Manifest,
    sensors: &[ObjectName],
) -> Result<Vec<Part>, CheckpointError> {
    let mut parts = Vec::new();
    for name in sensors {
        if let Some(key) = manifest.conditions.get(&part_of(name)) {
            let mut part = read_part(key, &chunk(bus, key).await?)?;
            part.retain(|other, _| other == name);
            parts.push(part);
        } else if let Some(key) = manifest.sensors.get(&name.to_string()) {
            let state = read(key, &chunk(bus, key).await?)?;
            parts.push(Part::from([(object_name(&name.to_string()), state)]));
        }
    }
    Ok(parts)
}

async fn chunk(bus: &dyn Bus, key: &str) -> Result<bytes::Bytes, CheckpointError> {
    let damaged = || CheckpointError::Damaged(key.to_owned(), "it is not there".to_owned());
    Ok(bus.get(key).await?.ok_or_else(damaged)?.value)
}

/// Removes what is kept of before the first record that EVENTS still has.
///
/// # Errors
/// Those of [`trim`].
pub async fn trim_with_log(bus: &dyn Bus) -> Result<(), CheckpointError> {
    trim(bus, bus.extent(Log::Events).await?.first).await
}

/// Removes what is kept of before `first`, the first record that the log still has: nobody can
/// ask about it any more. One from before it stays, from which the first record is explained.
///
/// # Errors
/// The bus cannot be read or written; what was removed until then stays removed.
pub async fn trim(bus: &dyn Bus, first: Position) -> Result<(), CheckpointError> {
    let keys = all(bus).await?;
    for pair in keys.windows(2) {
        let [old, next] = pair else { return Ok(()) };
        let Some(next) = get(bus, next).await? else { return Ok(()) };
        if next.watermark.incarnation == first.incarnation && next.watermark >= first {
            return Ok(());
        }
        let Some(entry) = bus.get(old).await? else { continue };
        let manifest = read_manifest(&entry.value)?;
        let used: std::collections::BTreeSet<&String> = next.chunks().collect();
        // What the next one does not refer to, none after it does.
        for chunk in manifest.chunks().filter(|chunk| !used.contains(chunk)) {
            super::checkpoint::forget(bus, chunk).await;
        }
        bus.delete(old, entry.revision).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tripline_bus::memory::{MemoryBus, MemoryStore};
    use tripline_event::Timestamp;
    use tripline_sensors::evaluator::State;

    use super::*;
    use crate::engine::checkpoint::{Checkpoints, Marks};
    use crate::engine::schedules::Schedules;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_795_000_000 + seconds).unwrap()
    }

    /// A checkpoint after each 60,000 records, a minute apart: nearly each is kept.
    async fn written(count: u64) -> (Arc<MemoryBus>, Position) {
        let bus = Arc::new(MemoryBus::new(MemoryStore::new(7)));
        let origin = bus.extent(Log::Events).await.unwrap().first.origin();
        let mut checkpoints = Checkpoints::open(Arc::clone(&bus) as _).await.unwrap();
        let schedules = Arc::new(Mutex::new(Schedules::default()));
        let marks = Marks { actions: origin, open_from: origin, outcomes_from: origin };
        let mut state = State::new(origin);
        for number in 1..=count {
            state.watermark = Position { sequence: number * 60_000, ..origin };
            let now = at(i64::try_from(number).unwrap() * 60);
            checkpoints.write(&mut state, &schedules, number, marks, now).await.unwrap();
        }
        (bus, origin)
    }

    #[tokio::test]
    async fn the_latest_from_before_a_place_is_found_and_what_the_log_has_no_more_goes() {
        let (bus, origin) = written(8).await;
        let place = |sequence| Position { sequence, ..origin };
        let plan = async |sequence| {
            before(&*bus, place(sequence)).await.unwrap().map(|manifest| manifest.plan)
        };
        for (sequence, expected) in [
            (1, None),
            (60_000, None),
            (60_001, Some(1)),
            (200_000, Some(3)),
            (479_999, Some(7)),
            (480_000, Some(7)),
            (480_001, Some(8)),
            (900_000, Some(8)),
        ] {
            assert_eq!(plan(sequence).await, expected, "before {sequence}");
        }
        let other = Position { incarnation: origin.incarnation ^ 1, sequence: 900_000 };
        assert!(before(&*bus, other).await.unwrap().is_none(), "another log");
        trim(&*bus, place(200_000)).await.unwrap();
        assert_eq!(plan(150_000).await, None, "nobody can ask about it");
        assert_eq!(plan(200_000).await, Some(3), "from this the first record is explained");
        assert_eq!(plan(300_000).await, Some(4));
        trim(&*bus, place(200_000)).await.unwrap();
        assert_eq!(all(&*bus).await.unwrap().len(), 5, "3 to 7; 8 is the newest");
    }
}
