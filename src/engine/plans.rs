//! Plans and definitions in the bus.
//!
//! A definition is kept under its hash and never changes. A plan is a numbered list of
//! definitions and never changes either. `plan/head` names the newest plan, and moves by
//! compare-and-swap. From which record on a plan is in force stands in the EVENTS log.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use tripline_bus::{Bus, MAX_RECORD_BYTES, ReadError, Revision, WriteError};
use tripline_event::{DefinitionHash, FORMAT, ObjectName};

const HEAD: &str = "plan/head";
/// The most bytes of a plan that are one entry: half of what a bus takes. With a hundred
/// thousand sensors a plan is more than that.
const PART_BYTES: usize = MAX_RECORD_BYTES / 2;
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
    Parts(Parts),
}

/// A plan that is too large for one entry: its text is that of its parts, one after the other.
#[derive(Serialize, Deserialize)]
struct Parts {
    v: u32,
    number: u64,
    /// How many there are.
    parts: usize,
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

    fn new(change: Change, next: &Listing) -> Self {
        let small = (change.changed.len() + change.removed.len()) * 2 < next.sensors.len();
        if next.number % Self::WHOLE_EVERY == 1 || !small {
            return Self::Whole(next.clone());
        }
        Self::Change(change)
    }
}

impl Change {
    /// What leads from one plan to the next. Both are in the order of the names.
    fn between(before: &Listing, next: &Listing) -> Self {
        let (mut changed, mut removed) = (Vec::new(), Vec::new());
        let (mut old, mut new) = (before.sensors.iter().peekable(), next.sensors.iter().peekable());
        loop {
            let order = match (old.peek(), new.peek()) {
                (Some((before, _)), Some((next, _))) => before.cmp(next),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => break,
            };
            let before = old.next_if(|_| order.is_le());
            let next = new.next_if(|_| order.is_ge());
            match (before, next) {
                (Some((name, _)), None) => removed.push(name.clone()),
                (before, Some(next)) if before != Some(next) => changed.push(next.clone()),
                _ => {}
            }
        }
        Self { v: FORMAT, number: next.number, changed, removed }
    }

    fn apply(&self, all: &mut BTreeMap<ObjectName, DefinitionHash>) {
        self.removed.iter().for_each(|name| drop(all.remove(name)));
        all.extend(self.changed.iter().cloned());
    }
}

/// What stands in `plan/head`. Before, it was the newest plan itself, which has this field
/// too.
#[derive(Serialize, Deserialize)]
struct Head {
    v: u32,
    number: u64,
}

/// What a plan has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contents {
    /// All of it.
    Whole(Listing),
    /// What is other than in the plan that it was to be told from: sensors that are new or
    /// have another definition, and those that are gone.
    Since(BTreeMap<ObjectName, Option<DefinitionHash>>),
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
    let (_, number) = head(bus).await?;
    load(bus, number).await
}

async fn head(bus: &dyn Bus) -> Result<(Revision, u64), PlanError> {
    match bus.get(HEAD).await? {
        Some(entry) => Ok((entry.revision, serde_json::from_slice::<Head>(&entry.value)?.number)),
        None => Ok((Revision::ABSENT, 0)),
    }
}

/// Publishes these definitions as the next plan, unless they are those of the newest.
/// Everything that the plan names is durable before it is. `newest` is what was the newest
/// plan when it was last looked, and then what is: a plan never changes, so only one that
/// somebody else has published is read.
pub async fn publish(
    bus: &dyn Bus,
    definitions: &[Definition],
    newest: &mut Listing,
) -> Result<(), PlanError> {
    let mut sensors: Vec<_> = definitions
        .iter()
        .map(|definition| (definition.name.clone(), definition.hash.clone()))
        .collect();
    sensors.sort();
    let mut next = Listing { v: FORMAT, number: 0, sensors };
    loop {
        let (revision, number) = head(bus).await?;
        if newest.number != number {
            *newest = load(bus, number).await?;
        }
        if newest.sensors == next.sensors {
            return Ok(());
        }
        next.number = number + 1;
        let change = Change::between(newest, &next);
        let unknown: HashSet<_> = change.changed.iter().map(|(_, hash)| hash).collect();
        let unknown: Vec<_> =
            definitions.iter().filter(|definition| unknown.contains(&definition.hash)).collect();
        // At the same time: the bus makes few commits of them.
        for some in unknown.chunks(AT_ONCE) {
            try_join_all(some.iter().map(|definition| async move {
                keep(bus, &format!("definition/{}", definition.hash), &definition.json).await
            }))
            .await?;
        }
        // A crash may have left a plan of this number that nothing names.
        let stored = serde_json::to_string(&Stored::new(change, &next))?;
        store(bus, next.number, &stored).await?;
        let head = serde_json::to_string(&Head { v: FORMAT, number: next.number })?;
        match bus.put(HEAD, Bytes::from(head), revision).await {
            Ok(_) => {
                *newest = next;
                return Ok(());
            }
            Err(WriteError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The plan of that number.
pub async fn load(bus: &dyn Bus, number: u64) -> Result<Listing, PlanError> {
    match contents(bus, number, 0).await? {
        Contents::Whole(listing) => Ok(listing),
        // There is no plan before the first one, which is whole.
        Contents::Since(_) => Err(PlanError::Missing(plan_key(number))),
    }
}

/// The plan of that number, or how it differs from that of the number `known`, where that
/// can be told without reading more.
pub async fn contents(bus: &dyn Bus, number: u64, known: u64) -> Result<Contents, PlanError> {
    if number == 0 {
        return Ok(Contents::Whole(Listing::default()));
    }
    let (mut next, mut changes) = (number, Vec::new());
    while next != known {
        match stored(bus, next).await? {
            Stored::Parts(_) => return Err(PlanError::Missing(plan_key(next))),
            Stored::Change(change) => {
                next = change.number.saturating_sub(1);
                changes.push(change);
            }
            Stored::Whole(listing) => {
                let mut all: BTreeMap<_, _> = listing.sensors.into_iter().collect();
                changes.iter().rev().for_each(|change| change.apply(&mut all));
                let sensors = all.into_iter().collect();
                return Ok(Contents::Whole(Listing { v: listing.v, number, sensors }));
            }
        }
    }
    let mut since = BTreeMap::new();
    for change in changes.into_iter().rev() {
        since.extend(change.removed.into_iter().map(|name| (name, None)));
        since.extend(change.changed.into_iter().map(|(name, hash)| (name, Some(hash))));
    }
    Ok(Contents::Since(since))
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

fn part_key(number: u64, part: usize) -> String {
    format!("{}/{part}", plan_key(number))
}

/// Stores a plan's text, in parts where it is too large for one entry. The parts are there
/// before what names them is.
async fn store(bus: &dyn Bus, number: u64, text: &str) -> Result<(), PlanError> {
    if text.len() <= PART_BYTES {
        return overwrite(bus, &plan_key(number), text.as_bytes()).await;
    }
    let mut parts = 0;
    for part in text.as_bytes().chunks(PART_BYTES) {
        overwrite(bus, &part_key(number, parts), part).await?;
        parts += 1;
    }
    let whole = serde_json::to_vec(&Parts { v: FORMAT, number, parts })?;
    overwrite(bus, &plan_key(number), &whole).await
}

/// The plan of that number as it is stored, put together from its parts.
async fn stored(bus: &dyn Bus, number: u64) -> Result<Stored, PlanError> {
    let first = value(bus, plan_key(number)).await?;
    let parts = match serde_json::from_slice(&first)? {
        Stored::Parts(parts) => parts,
        small => return Ok(small),
    };
    let mut text = Vec::new();
    for part in 0..parts.parts {
        text.extend_from_slice(&value(bus, part_key(number, part)).await?);
    }
    Ok(serde_json::from_slice(&text)?)
}

async fn value(bus: &dyn Bus, key: String) -> Result<Bytes, PlanError> {
    Ok(bus.get(&key).await?.ok_or(PlanError::Missing(key))?.value)
}

/// Puts what is the same whoever puts it.
async fn keep(bus: &dyn Bus, key: &str, value: &str) -> Result<(), WriteError> {
    match bus.put(key, Bytes::copy_from_slice(value.as_bytes()), Revision::ABSENT).await {
        Ok(_) | Err(WriteError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn overwrite(bus: &dyn Bus, key: &str, value: &[u8]) -> Result<(), PlanError> {
    let revision = bus.get(key).await?.map_or(Revision::ABSENT, |entry| entry.revision);
    match bus.put(key, Bytes::copy_from_slice(value), revision).await {
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

    #[tokio::test]
    async fn a_plan_of_a_hundred_thousand_is_kept_in_parts() {
        let bus = MemoryBus::new(MemoryStore::new(1));
        let mut many: Vec<(usize, usize)> = (0..100_000).map(|n| (n, 0)).collect();
        let mut first = Listing::default();
        publish(&bus, &definitions(&many), &mut first).await.unwrap();
        assert!(bus.get(&part_key(1, 1)).await.unwrap().is_some(), "there is more than one part");
        many[99_999].1 += 1;
        let mut second = first.clone();
        publish(&bus, &definitions(&many), &mut second).await.unwrap();
        assert!(load(&bus, 1).await.unwrap() == first);
        assert!(newest(&bus).await.unwrap() == second);
        assert_ne!(first.sensors[99_999], second.sensors[99_999]);
    }

    /// Sensors come, change and go, one at a time, over many plans.
    #[tokio::test]
    async fn each_plan_reads_back_as_it_was_published() {
        let bus = MemoryBus::new(MemoryStore::new(1));
        let mut published = vec![Listing::default()];
        let mut last = Listing::default();
        let mut versions: Vec<(usize, usize)> = (0..50).map(|n| (n, 0)).collect();
        for step in 0..150 {
            match step % 3 {
                0 => versions[step % 40].1 += step + 1,
                1 => drop(versions.remove(step % 40)),
                _ => versions.push((100 + step, 0)),
            }
            publish(&bus, &definitions(&versions), &mut last).await.unwrap();
            published.push(last.clone());
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
        publish(&bus, &definitions(&versions), &mut last).await.unwrap();
        assert_eq!(last.number, 150, "nothing changes, and there is no new plan");
    }

    /// Whoever knows one plan need not read the next one whole.
    #[tokio::test]
    async fn a_plan_is_told_from_an_earlier_one() {
        let bus = MemoryBus::new(MemoryStore::new(1));
        let mut last = Listing::default();
        let mut versions: Vec<(usize, usize)> = (0..50).map(|n| (n, 0)).collect();
        for step in 0..3 {
            versions[7].1 = step;
            versions[20 + step].1 = 9;
            publish(&bus, &definitions(&versions), &mut last).await.unwrap();
        }
        versions.remove(8);
        publish(&bus, &definitions(&versions), &mut last).await.unwrap();
        let name = |n: usize| ObjectName::new("ci", format!("s-{n:03}"));
        let hash = |version: &(usize, usize)| Some(definitions(&[*version])[0].hash.clone());
        let expected = BTreeMap::from([
            (name(7), hash(&(7, 2))),
            (name(8), None),
            (name(21), hash(&(21, 9))),
            (name(22), hash(&(22, 9))),
        ]);
        let since = contents(&bus, 4, 1).await.unwrap();
        assert_eq!(since, Contents::Since(expected));
        assert_eq!(contents(&bus, 4, 4).await.unwrap(), Contents::Since(BTreeMap::new()));
        assert_eq!(contents(&bus, 4, 0).await.unwrap(), Contents::Whole(last));
        assert!(matches!(contents(&bus, 2, 4).await.unwrap(), Contents::Whole(_)), "none later");
    }

    /// Another process may publish, too, and before, the newest plan stood in `plan/head`.
    #[tokio::test]
    async fn a_plan_of_somebody_else_is_gone_on_from() {
        let bus = MemoryBus::new(MemoryStore::new(1));
        let (mut one, mut other) = (Listing::default(), Listing::default());
        publish(&bus, &definitions(&[(1, 0), (2, 0)]), &mut one).await.unwrap();
        publish(&bus, &definitions(&[(1, 0)]), &mut other).await.unwrap();
        publish(&bus, &definitions(&[(1, 0), (2, 0)]), &mut one).await.unwrap();
        assert_eq!(one.number, 3);
        assert_eq!(newest(&bus).await.unwrap(), one);

        overwrite(&bus, HEAD, &serde_json::to_vec(&other).unwrap()).await.unwrap();
        assert_eq!(newest(&bus).await.unwrap(), other);
        publish(&bus, &definitions(&[(3, 0)]), &mut one).await.unwrap();
        assert_eq!((one.number, one.sensors.len()), (3, 1));
    }
}
