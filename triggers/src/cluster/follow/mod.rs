//! Follows workflows in clusters to their end: their phases become outcomes.
//!
//! One watch for each cluster and namespace, over Tripline's own label. Where it stands is
//! kept in the bus, so that a restart goes on there.
//!
//! Promises: a phase is an outcome once, whatever is restarted; where workflows may be
//! created but not watched, each says once that its end is not known, and why.

mod follower;
mod seen;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tripline_bus::{Bus, ReadError};
use tripline_event::{ActionId, Clock, CorrelationId};

use super::Clusters;
use crate::workflow::Submission;
use follower::Follower;

/// The most namespaces that are followed, over all clusters.
const MOST_FOLLOWED: usize = 512;
/// The most submissions that wait until it is known whether they can be followed. Of further
/// ones only phases are told.
const MOST_WAITING: usize = 4096;
/// How many keys are read at once.
const KEYS: usize = 256;
const PREFIX: &str = "follow/";

/// Follows workflows in all namespaces into which they are submitted.
pub struct Followers {
    clusters: Arc<Clusters>,
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    tasks: TaskTracker,
    followed: Mutex<BTreeMap<Place, mpsc::Sender<Submitted>>>,
}

/// A namespace of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    cluster: String,
    namespace: String,
}

/// A workflow that was submitted.
#[derive(Clone, Debug)]
struct Submitted {
    name: String,
    action: ActionId,
    correlation: CorrelationId,
}

impl Followers {
    /// Follows nothing yet.
    pub fn new(clusters: Arc<Clusters>, bus: Arc<dyn Bus>, clock: Arc<dyn Clock>) -> Self {
        Self {
            clusters,
            bus,
            clock,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            followed: Mutex::default(),
        }
    }

    /// Goes on with what was followed before a restart, in the clusters that are known.
    ///
    /// # Errors
    /// The bus cannot be read.
    pub async fn resume(&self) -> Result<(), ReadError> {
        let mut after: Option<String> = None;
        loop {
            let keys = self.bus.keys(PREFIX, after.as_deref(), KEYS).await?;
            let Some(last) = keys.last() else { return Ok(()) };
            after = Some(last.clone());
            for place in keys.iter().filter_map(|key| Place::of_key(key)) {
                if self.clusters.get(&place.cluster).is_some() {
                    self.follow(place);
                }
            }
        }
    }

    /// A workflow is in a cluster.
    pub fn submitted(&self, cluster: &str, submission: &Submission) {
        let place = Place { cluster: cluster.to_owned(), namespace: submission.namespace.clone() };
        let Some(follower) = self.follow(place) else { return };
        // Where too many wait, its phases are told all the same.
        let _ = follower.try_send(Submitted {
            name: submission.name.clone(),
            action: submission.action.clone(),
            correlation: submission.correlation.clone(),
        });
    }

    fn follow(&self, place: Place) -> Option<mpsc::Sender<Submitted>> {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = followed.get(&place).filter(|sender| !sender.is_closed()) {
            return Some(sender.clone());
        }
        followed.retain(|_, sender| !sender.is_closed());
        if followed.len() >= MOST_FOLLOWED || self.stop.is_cancelled() {
            return None;
        }
        let (sender, submitted) = mpsc::channel(MOST_WAITING);
        followed.insert(place.clone(), sender.clone());
        let follower = Follower::new(
            place,
            Arc::clone(&self.clusters),
            Arc::clone(&self.bus),
            Arc::clone(&self.clock),
            submitted,
        );
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = follower.run() => {}
            }
        });
        Some(sender)
    }

    /// Ends all watches. What they have not told is told after the next start.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Followers {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Place {
    /// Where it is kept how far the watch is. Names of contexts have any characters.
    fn key(&self) -> String {
        let mut key = PREFIX.to_owned();
        for byte in self.cluster.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
                key.push(char::from(byte));
            } else {
                // Writing to a text cannot fail.
                let _ = write!(key, "={byte:02x}");
            }
        }
        key.push('/');
        key + &self.namespace
    }

    fn of_key(key: &str) -> Option<Self> {
        let (cluster, namespace) = key.strip_prefix(PREFIX)?.split_once('/')?;
        let mut parts = cluster.split('=');
        let mut bytes = parts.next()?.as_bytes().to_vec();
        for part in parts {
            bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
            bytes.extend(part.get(2..)?.bytes());
        }
        Some(Self { cluster: String::from_utf8(bytes).ok()?, namespace: namespace.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back_from_its_key() {
        for cluster in ["prod", "arn:aws:eks:eu-1:1:cluster/a=b", "ü"] {
            let place = Place { cluster: cluster.into(), namespace: "ci".into() };
            assert_eq!(Place::of_key(&place.key()), Some(place.clone()), "{}", place.key());
        }
        let place = Place { cluster: "a:b".into(), namespace: "ci".into() };
        assert_eq!(place.key(), "follow/a=3ab/ci");
    }
}
