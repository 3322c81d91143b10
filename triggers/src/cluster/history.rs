//! Whether an object that is not there has ever been there.
//!
//! An attempt whose answer is not known may have created an object that was removed since.
//! The API server remembers its latest changes: a watch from a version of before the attempt
//! shows whether there was one. Such versions are noted now and then, in the bus too, each
//! with how far the EVENTS log was then: an action whose event came later was attempted
//! later. No clock is asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use kube::core::WatchEvent;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use tripline_bus::{Bus, Log, Revision, WriteError};
use tripline_event::{FORMAT, Position};

use super::Cluster;
use super::call::{Call, Failure};
use super::link::failure;

/// How often a version is noted, while objects are created.
const NOTE_EVERY: Duration = Duration::from_secs(5);
/// After a failure it is tried again after this time.
const AGAIN: Duration = Duration::from_secs(60);
/// The most versions that are kept of one place; of the older ones each second is left out
/// then.
const MOST_NOTES: usize = 64;
/// The most places of one cluster that versions are kept of.
const MOST_PLACES: usize = 1024;
/// How long the API server has to show its latest changes, which it has in memory: what it
/// does at once.
const SHOWN_WITHIN: Duration = Duration::from_secs(3);
/// A server that ends a watch later than this after its time has stood still meanwhile.
const LATE: Duration = Duration::from_secs(2);

/// The history of one cluster, as far as it was noted.
#[derive(Default)]
pub(super) struct History {
    places: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<Place>>>>,
}

/// What is known of the objects of one kind in one namespace.
#[derive(Default)]
struct Place {
    kept: Kept,
    /// The revision of the key that keeps it.
    revision: Option<Revision>,
    loaded: bool,
    next: Option<Instant>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Kept {
    v: u32,
    notes: Vec<Note>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Note {
    /// Events from here on came after the note.
    events: Position,
    resource_version: String,
}

/// What the history says of an object that is not there.
#[derive(Debug)]
pub(super) enum Was {
    /// It never was.
    Never,
    /// It was, and was removed.
    Removed,
    /// Nobody can say any more, and why.
    Unknown(String),
}

#[derive(Deserialize)]
struct Listed {
    metadata: Version,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Version {
    resource_version: String,
}

/// An object of which nothing matters but that there is one.
#[derive(Clone, Debug, Default, Deserialize)]
struct Any {}

impl History {
    fn place(&self, path: &str) -> Option<Arc<tokio::sync::Mutex<Place>>> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if !places.contains_key(path) && places.len() >= MOST_PLACES {
            return None;
        }
        Some(Arc::clone(places.entry(path.to_owned()).or_default()))
    }

    /// Notes the present version of the objects at `path`, if that is due. To be called
    /// before an object is created there. What fails costs knowledge, and nothing else.
    ///
    /// # Errors
    /// There is no connection: the object cannot be created either.
    pub(super) async fn note(
        &self,
        cluster: &Cluster,
        bus: &Arc<dyn Bus>,
        path: &str,
    ) -> Result<(), Failure> {
        let Some(place) = self.place(path) else { return Ok(()) };
        // Somebody else notes it just now.
        let Ok(mut place) = place.try_lock() else { return Ok(()) };
        let now = Instant::now();
        if place.next.is_some_and(|next| now < next) {
            return Ok(());
        }
        let key = key(cluster.name(), path);
        if !place.load(&**bus, &key).await {
            return Ok(());
        }
        let list = Call::get(format!("{path}?limit=1")).list_metadata();
        let listed = match cluster.call(&list).await.and_then(|list| list.read::<Listed>()) {
            Ok(listed) => listed,
            Err(failure @ Failure::NotSent(_)) => return Err(failure),
            Err(_) => {
                place.next = Some(now + AGAIN);
                return Ok(());
            }
        };
        // After the list: what comes into the log from here on is later than it.
        let Ok(extent) = bus.extent(Log::Events).await else { return Ok(()) };
        let resource_version = listed.metadata.resource_version;
        place.add(Note { events: extent.next, resource_version });
        place.store(&**bus, &key).await;
        place.next = Some(now + NOTE_EVERY);
        Ok(())
    }

    /// Whether the object `name` has ever been at `path`, where it is not. `cause` is where
    /// the event of its action stands.
    pub(super) async fn was(
        &self,
        cluster: &Cluster,
        bus: &Arc<dyn Bus>,
        path: &str,
        name: &str,
        cause: Position,
    ) -> Result<Was, Failure> {
        let unknown = |why: &str| Ok(Was::Unknown(why.to_owned()));
        let Some(place) = self.place(path) else { return unknown("its past was not noted") };
        let version = {
            let mut place = place.lock().await;
            if !place.load(&**bus, &key(cluster.name(), path)).await {
                return unknown("its past cannot be read");
            }
            place.before(cause)
        };
        let Some(from) = version else {
            return unknown("nothing was noted of the time before the attempt");
        };
        let selector = format!(
            "fieldSelector=metadata.name%3D{}",
            utf8_percent_encode(name, NON_ALPHANUMERIC)
        );
        // What is true now; then that of what the server shows to watches, which may be behind.
        let now = format!("{path}?{selector}");
        let now = match cluster.call(&Call::get(now).list_metadata()).await {
            Ok(list) => list.read::<Listed>()?.metadata.resource_version,
            Err(failure) => return forbidden_or(failure),
        };
        let fresh =
            format!("{path}?{selector}&resourceVersion={now}&resourceVersionMatch=NotOlderThan");
        cluster.call(&Call::get(fresh).list_metadata()).await?;
        let query = format!(
            "{path}?watch=true&timeoutSeconds={}&resourceVersion={from}&{selector}",
            SHOWN_WITHIN.as_secs()
        );
        match shown(cluster, &query).await {
            Err(failure) => forbidden_or(failure),
            shown => shown,
        }
    }
}

/// What cannot be asked is not known; what was not answered may be asked again.
fn forbidden_or(failure: Failure) -> Result<Was, Failure> {
    match failure.code() {
        Some(403 | 410) => Ok(Was::Unknown(failure.to_string())),
        _ => Err(failure),
    }
}

/// What a watch shows until its time is over. Whatever has happened to the object since the
/// watch's version is an event of it.
async fn shown(cluster: &Cluster, query: &str) -> Result<Was, Failure> {
    let client = cluster.client().await.map_err(Failure::NotSent)?;
    let request = http::Request::get(query).body(Vec::new());
    let request = request.map_err(|error| Failure::NotSent(error.to_string()))?;
    let late = || Failure::NoAnswer("the API server did not show its latest changes".to_owned());
    let begun = Instant::now();
    let work = async {
        let events = client.request_events::<Any>(request).await.map_err(failure)?;
        let mut events = std::pin::pin!(events);
        match events.next().await {
            Some(Ok(WatchEvent::Error(status))) => {
                Ok(Was::Unknown(format!("{} ({})", status.message, status.code)))
            }
            Some(Ok(_)) => Ok(Was::Removed),
            Some(Err(error)) => Err(failure(error)),
            None if begun.elapsed() < SHOWN_WITHIN => Err(late()),
            None => Ok(Was::Never),
        }
    };
    tokio::time::timeout(SHOWN_WITHIN + LATE, work).await.unwrap_or_else(|_| Err(late()))
}

impl Place {
    /// What an earlier process has noted; false where that cannot be read.
    async fn load(&mut self, bus: &dyn Bus, key: &str) -> bool {
        if self.loaded {
            return true;
        }
        match bus.get(key).await {
            Ok(Some(entry)) => {
                let kept: Option<Kept> = serde_json::from_slice(&entry.value).ok();
                self.kept = kept.filter(|kept| kept.v <= FORMAT).unwrap_or_default();
                self.revision = Some(entry.revision);
            }
            Ok(None) => self.revision = Some(Revision::ABSENT),
            Err(_) => return false,
        }
        self.loaded = true;
        true
    }

    fn add(&mut self, note: Note) {
        let notes = &mut self.kept.notes;
        notes.push(note);
        if notes.len() > MOST_NOTES {
            let half = notes.len() / 2;
            let mut index = 0;
            notes.retain(|_| {
                index += 1;
                index > half || index % 2 == 1
            });
        }
    }

    async fn store(&mut self, bus: &dyn Bus, key: &str) {
        self.kept.v = FORMAT;
        let value = Bytes::from(serde_json::to_vec(&self.kept).unwrap_or_default());
        let revision = self.revision.unwrap_or(Revision::ABSENT);
        match bus.put(key, value, revision).await {
            Ok(revision) => self.revision = Some(revision),
            Err(WriteError::Conflict { found, .. }) => self.revision = Some(found),
            // It is kept with the next one.
            Err(_) => {}
        }
    }

    /// The latest version that is older than what the event at `cause` has led to.
    fn before(&self, cause: Position) -> Option<String> {
        let before =
            |note: &&Note| note.events.incarnation == cause.incarnation && note.events <= cause;
        self.kept.notes.iter().rev().find(before).map(|note| note.resource_version.clone())
    }
}

fn key(cluster: &str, path: &str) -> String {
    let hash = Sha256::digest(format!("{cluster}\n{path}"));
    let hex: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("history/{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_note_of_before_an_event_is_found_among_many() {
        let mut place = Place::default();
        for number in 1..=1000_u64 {
            let events = Position::new(7, number * 10);
            place.add(Note { events, resource_version: number.to_string() });
        }
        assert!(place.kept.notes.len() <= MOST_NOTES);
        let before = |sequence| place.before(Position::new(7, sequence));
        assert_eq!(before(9), None);
        assert_eq!(before(10).as_deref(), Some("1"), "the first one stays");
        assert_eq!(before(10_000).as_deref(), Some("1000"));
        assert_eq!(before(9_999).as_deref(), Some("999"));
        // Of older ones there is one that is older still.
        let older: u64 = before(5_000).unwrap().parse().unwrap();
        assert!(older <= 500, "{older}");
        assert_eq!(place.before(Position::new(8, 10_000)), None, "another log");
    }
}
