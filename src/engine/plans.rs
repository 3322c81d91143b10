//! Plans and definitions in the bus.
//!
//! A definition is kept under its hash and never changes. A plan is a numbered list of
//! definitions and never changes either. `plan/head` names the newest plan, and moves by
//! compare-and-swap. From which record on a plan is in force stands in the EVENTS log.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use tripline_bus::{Bus, ReadError, Revision, WriteError};
use tripline_event::{DefinitionHash, FORMAT, ObjectName};

const HEAD: &str = "plan/head";
/// So many definitions are put at the same time.
const AT_ONCE: usize = 512;

/// The sensors of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The format of this record.
    pub v: u32,
    /// The number of the plan; 0 is the plan of no sensors.
    pub number: u64,
    /// Its sensors and their definitions, in the order of the names.
    pub sensors: Vec<(ObjectName, DefinitionHash)>,
}

/// How a plan is stored: whole, or as what is other than in the plan before it. With ten
/// thousand sensors a plan is a megabyte, and most changes are of one.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Whole(Listing),
    Change(Change),
}

/// What is other than in the plan before.
#[derive(Serialize, Deserialize)]
struct Change {
    v: u32,
    number: u64,
    /// Sensors that are new or have another definition.
    changed: Vec<(ObjectName, DefinitionHash)>,
    /// Sensors that are gone.
    removed: Vec<ObjectName>,
}

impl Stored {
    /// Each so many plans one is whole: what bounds how many are read for one.
    const WHOLE_EVERY: u64 = 64;

    fn new(before: &Listing, next: &Listing) -> Self {
        let old: BTreeMap<_, _> = before.sensors.iter().map(|(name, hash)| (name, hash)).collect();
        let new: BTreeMap<_, _> = next.sensors.iter().map(|(name, hash)| (name, hash)).collect();
        let changed: Vec<_> = next
            .sensors
            .iter()
            .filter(|(name, hash)| old.get(name) != Some(&hash))
            .cloned()
            .collect();
        let removed: Vec<_> = old
            .keys()
            .filter(|name| !new.contains_key(*name))
            .map(|name| (*name).clone())
            .collect();
        let small = (changed.len() + removed.len()) * 2 < next.sensors.len();
        if next.number % Self::WHOLE_EVERY == 1 || !small {
            return Self::Whole(next.clone());
        }
        Self::Change(Change { v: FORMAT, number: next.number, changed, removed })
    }
}

impl Change {
    fn apply(&self, listing: &mut Listing) {
        let all = std::mem::take(&mut listing.sensors);
        let mut all: BTreeMap<_, _> = all.into_iter().collect();
        self.removed.iter().for_each(|name| drop(all.remove(name)));
        all.extend(self.changed.iter().cloned());
        listing.number = self.number;
        listing.sensors = all.into_iter().collect();
    }
}

/// A definition to be kept.
#[derive(Clone, Debug)]
pub struct Definition {
    /// The sensor.
    pub name: ObjectName,
    /// The hash of `json`.
    pub hash: DefinitionHash,
    /// The object, as canonical JSON. Secrets are references.
    pub json: Arc<str>,
}

/// Why a plan could not be stored or loaded.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The bus did not take it.
    #[error("plan cannot be stored")]
    Write(#[from] WriteError),
    /// The bus did not give it.
    #[error("plan cannot be loaded")]
    Read(#[from] ReadError),
    /// Something that a record names is not there.
    #[error("`{0}` is not in the bus, but a record names it")]
    Missing(String),
    /// It is no plan.
    #[error("plan cannot be read")]
    Malformed(#[from] serde_json::Error),
}

/// The newest plan that was published; [`Listing::default`] where there is none.
pub async fn newest(bus: &dyn Bus) -> Result<Listing, PlanError> {
    Ok(head(bus).await?.1)
}

async fn head(bus: &dyn Bus) -> Result<(Revision, Listing), PlanError> {
    match bus.get(HEAD).await? {
        Some(entry) => Ok((entry.revision, serde_json::from_slice(&entry.value)?)),
        None => Ok((Revision::ABSENT, Listing::default())),
    }
}

/// Publishes these definitions as the next plan, unless they are those of the newest:
/// then that one is returned. Everything that the plan names is durable before it is.
pub async fn publish(bus: &dyn Bus, definitions: &[Definition]) -> Result<Listing, PlanError> {
    let mut sensors: Vec<_> = definitions
        .iter()
        .map(|definition| (definition.name.clone(), definition.hash.clone()))
        .collect();
    sensors.sort();
    loop {
        let (revision, newest) = head(bus).await?;
        if newest.sensors == sensors {
            return Ok(newest);
        }
        let known: std::collections::HashSet<_> =
            newest.sensors.iter().map(|(_, hash)| hash).collect();
        let unknown: Vec<_> =
            definitions.iter().filter(|definition| !known.contains(&definition.hash)).collect();
        // At the same time: the bus makes few commits of them.
        for some in unknown.chunks(AT_ONCE) {
            try_join_all(some.iter().map(|definition| async move {
                keep(bus, &format!("definition/{}", definition.hash), &definition.json).await
            }))
            .await?;
        }
        let next = Listing { v: FORMAT, number: newest.number + 1, sensors: sensors.clone() };
        // A crash may have left a plan of this number that nothing names.
        let stored = serde_json::to_string(&Stored::new(&newest, &next))?;
        overwrite(bus, &plan_key(next.number), &stored).await?;
        match bus.put(HEAD, Bytes::from(serde_json::to_string(&next)?), revision).await {
            Ok(_) => return Ok(next),
            Err(WriteError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The plan of that number.
pub async fn load(bus: &dyn Bus, number: u64) -> Result<Listing, PlanError> {
    if number == 0 {
        return Ok(Listing::default());
    }
    let (mut next, mut changes) = (number, Vec::new());
    loop {
        let key = plan_key(next);
        let entry = bus.get(&key).await?.ok_or(PlanError::Missing(key))?;
        match serde_json::from_slice(&entry.value)? {
            Stored::Change(change) => {
                next = change.number.saturating_sub(1);
                changes.push(change);
            }
            Stored::Whole(mut listing) => {
                changes.iter().rev().for_each(|change| change.apply(&mut listing));
                return Ok(listing);
            }
        }
    }
}

/// The definition of that hash.
pub async fn definition(bus: &dyn Bus, hash: &DefinitionHash) -> Result<String, PlanError> {
    let key = format!("definition/{hash}");
    let entry = bus.get(&key).await?.ok_or_else(|| PlanError::Missing(key.clone()))?;
    String::from_utf8(entry.value.to_vec()).map_err(|_| PlanError::Missing(key))
}

fn plan_key(number: u64) -> String {
    format!("plan/{number:020}")
}

/// Puts what is the same whoever puts it.
async fn keep(bus: &dyn Bus, key: &str, value: &str) -> Result<(), WriteError> {
    match bus.put(key, Bytes::copy_from_slice(value.as_bytes()), Revision::ABSENT).await {
        Ok(_) | Err(WriteError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn overwrite(bus: &dyn Bus, key: &str, value: &str) -> Result<(), PlanError> {
    let revision = bus.get(key).await?.map_or(Revision::ABSENT, |entry| entry.revision);
    match bus.put(key, Bytes::copy_from_slice(value.as_bytes()), revision).await {
        Ok(_) | Err(WriteError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use tripline_bus::memory::{MemoryBus, MemoryStore};

    use super::*;

    fn definitions(versions: &[(usize, usize)]) -> Vec<Definition> {
        let definition = |(n, version): &(usize, usize)| {
            let json = format!(r#"{{"sensor":{n},"version":{version}}}"#);
            Definition {
                name: ObjectName::new("ci", format!("s-{n:03}")),
                hash: DefinitionHash::of(&json),
                json: json.into(),
            }
        };
        versions.iter().map(definition).collect()
    }

    /// Sensors come, change and go, one at a time, over many plans.
    #[tokio::test]
    async fn each_plan_reads_back_as_it_was_published() {
        let bus = MemoryBus::new(MemoryStore::new(1));
        let mut published = vec![Listing::default()];
        let mut versions: Vec<(usize, usize)> = (0..50).map(|n| (n, 0)).collect();
        for step in 0..150 {
            match step % 3 {
                0 => versions[step % 40].1 += step + 1,
                1 => drop(versions.remove(step % 40)),
                _ => versions.push((100 + step, 0)),
            }
            published.push(publish(&bus, &definitions(&versions)).await.unwrap());
        }
        for listing in &published {
            assert_eq!(&load(&bus, listing.number).await.unwrap(), listing);
        }
        assert_eq!(&newest(&bus).await.unwrap(), published.last().unwrap());
        let bytes = |number| {
            let (bus, key) = (&bus, plan_key(number));
            async move { bus.get(&key).await.unwrap().unwrap().value.len() }
        };
        assert!(bytes(1).await > 2_000, "whole");
        assert!(bytes(2).await < 300, "what is other");
        assert!(bytes(65).await > 2_000, "whole again");
        let same = publish(&bus, &definitions(&versions)).await.unwrap();
        assert_eq!(same.number, 150, "nothing changes, and there is no new plan");
    }
}
