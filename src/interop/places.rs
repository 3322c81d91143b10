//! What is kept in Tripline's bus about a bus of Argo Events: how far it was read and written,
//! which sensors were taken over, and by what its own messages are known there.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tripline_bus::{Bus, ReadError, Revision, WriteError};
use tripline_event::{DefinitionHash, ObjectName, Position, Timestamp};

/// Keys may not have all the letters that names have.
fn key(bus: &ObjectName, of: &str) -> String {
    format!("interop/{}/{of}", hash(bus))
}

fn hash(name: &ObjectName) -> String {
    let parts = [&name.namespace, &name.name];
    DefinitionHash::of(&serde_json::json!(parts).to_string()).to_string()
}

/// The name of Tripline's bus to itself: what it has sent is not taken in again.
const OWN: &str = "interop/own";

/// Up to where Argo Events' stream was taken over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// When the stream was made: one that was made again is another.
    pub created: Timestamp,
    /// The last sequence that is in EVENTS.
    pub sequence: u64,
}

/// Up to where EVENTS was sent to Argo Events' stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The next record to look at.
    pub next: Position,
}

/// How far a sensor is in being taken over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Taken {
    /// The sensor.
    pub sensor: ObjectName,
    /// What repeats of its records are recognised by.
    pub id: String,
    /// When the stream was made.
    pub created: Timestamp,
    /// The last sequence of the stream that everybody's events had reached: what comes after
    /// it the sensor sees as everybody does.
    pub through: u64,
    /// The first record of EVENTS that was not sent to Argo Events.
    pub sent: Position,
    /// The newest plan before the sensor's.
    pub plan: u64,
    /// From where it decides: the dependencies of its triggers.
    pub from: Vec<From>,
    /// What half-met conditions hold is taken over, too.
    pub held: bool,
}

/// From where a dependency of a trigger decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct From {
    /// The trigger.
    pub trigger: String,
    /// The dependency.
    pub dependency: String,
    /// The last sequence that Argo Events' trigger had decided about.
    pub after: u64,
}

/// The keys of one bus of Argo Events.
#[derive(Clone, Debug)]
pub struct Places {
    /// The object that describes it.
    pub of: ObjectName,
}

impl Places {
    /// How far the stream was read.
    pub async fn read(&self, bus: &dyn Bus) -> Result<Option<Read>, ReadError> {
        get(bus, &key(&self.of, "read")).await
    }

    /// Keeps how far it was read.
    pub async fn keep_read(&self, bus: &dyn Bus, read: &Read) -> Result<(), WriteError> {
        put(bus, &key(&self.of, "read"), read).await
    }

    /// How far EVENTS was sent.
    pub async fn sent(&self, bus: &dyn Bus) -> Result<Option<Sent>, ReadError> {
        get(bus, &key(&self.of, "sent")).await
    }

    /// Keeps how far it was sent.
    pub async fn keep_sent(&self, bus: &dyn Bus, sent: Sent) -> Result<(), WriteError> {
        put(bus, &key(&self.of, "sent"), &sent).await
    }

    /// The sensors that are being taken over.
    pub async fn taken(&self, bus: &dyn Bus) -> Result<Vec<Taken>, ReadError> {
        let prefix = key(&self.of, "sensor/");
        let (mut taken, mut after) = (Vec::new(), None::<String>);
        loop {
            let keys = bus.keys(&prefix, after.as_deref(), 512).await?;
            let Some(last) = keys.last().cloned() else { return Ok(taken) };
            for key in &keys {
                taken.extend(get::<Taken>(bus, key).await?);
            }
            after = Some(last);
        }
    }

    /// Keeps how far a sensor is.
    pub async fn keep_taken(&self, bus: &dyn Bus, taken: &Taken) -> Result<(), WriteError> {
        put(bus, &self.key_of(&taken.sensor), taken).await
    }

    /// A sensor was taken over.
    pub async fn forget(&self, bus: &dyn Bus, sensor: &ObjectName) -> Result<(), WriteError> {
        let key = self.key_of(sensor);
        let entry = bus.get(&key).await.map_err(unavailable)?;
        let Some(entry) = entry else { return Ok(()) };
        bus.delete(&key, entry.revision).await
    }

    fn key_of(&self, sensor: &ObjectName) -> String {
        key(&self.of, &format!("sensor/{}", hash(sensor)))
    }
}

/// The name of Tripline's bus to itself, which is made once.
pub async fn own(bus: &dyn Bus) -> Result<String, WriteError> {
    let fresh = uuid::Uuid::new_v4().simple().to_string();
    if let Some(own) = get(bus, OWN).await.map_err(unavailable)? {
        return Ok(own);
    }
    put(bus, OWN, &fresh).await?;
    Ok(get(bus, OWN).await.map_err(unavailable)?.unwrap_or(fresh))
}

fn unavailable(error: ReadError) -> WriteError {
    WriteError::Unavailable(error.to_string())
}

async fn get<T: DeserializeOwned>(bus: &dyn Bus, key: &str) -> Result<Option<T>, ReadError> {
    let Some(entry) = bus.get(key).await? else { return Ok(None) };
    let value = serde_json::from_slice(&entry.value);
    value.map(Some).map_err(|error| ReadError::Damaged(format!("key `{key}`: {error}")))
}

async fn put<T: Serialize>(bus: &dyn Bus, key: &str, value: &T) -> Result<(), WriteError> {
    let entry = bus.get(key).await.map_err(unavailable)?;
    let revision = entry.map_or(Revision::ABSENT, |entry| entry.revision);
    let value =
        serde_json::to_vec(value).map_err(|error| WriteError::Unavailable(error.to_string()))?;
    bus.put(key, Bytes::from(value), revision).await.map(drop)
}

#[cfg(test)]
mod tests {
    use tripline_bus::memory::{MemoryBus, MemoryStore};

    use super::*;

    #[tokio::test]
    async fn each_bus_and_each_sensor_has_a_place_of_its_own() {
        let bus = MemoryBus::new(MemoryStore::new(1));
        let [one, other] = ["a", "b"].map(|name| Places { of: ObjectName::new("ci", name) });
        let read = Read { created: Timestamp::UNIX_EPOCH, sequence: 7 };
        one.keep_read(&bus, &read).await.unwrap();
        assert_eq!(one.read(&bus).await.unwrap(), Some(read));
        assert_eq!(other.read(&bus).await.unwrap(), None);
        let taken = |name: &str, held| Taken {
            sensor: ObjectName::new("ci", name),
            id: "h".to_owned(),
            created: Timestamp::UNIX_EPOCH,
            through: 9,
            sent: Position::new(1, 2),
            plan: 3,
            from: vec![],
            held,
        };
        for (name, held) in [("x", false), ("y", true), ("x", true)] {
            one.keep_taken(&bus, &taken(name, held)).await.unwrap();
        }
        assert_eq!(one.taken(&bus).await.unwrap().len(), 2);
        assert!(one.taken(&bus).await.unwrap().iter().all(|taken| taken.held));
        one.forget(&bus, &ObjectName::new("ci", "x")).await.unwrap();
        assert_eq!(one.taken(&bus).await.unwrap(), [taken("y", true)]);
        assert_eq!(own(&bus).await.unwrap(), own(&bus).await.unwrap());
    }
}
