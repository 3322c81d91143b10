//! Follows the workflows of one namespace of one cluster.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use kube::core::WatchEvent;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tripline_bus::{Append, Bus, Log, Revision, WriteError};
use tripline_event::{ActionId, Clock, FORMAT, Timestamp};

use super::seen::{List, Seen, Told};
use super::{Place, Submitted};
use crate::cluster::call::{Call, Failure};
use crate::cluster::link::failure;
use crate::cluster::rbac::Rule;
use crate::cluster::refusal::Doing;
use crate::cluster::resource::Resource;
use crate::cluster::{Cluster, Clusters};
use crate::workflow::submission::ACTION_ID;

/// How many workflows are listed at once: each may be a megabyte.
const LISTED: u32 = 20;
/// After this time the server ends a watch, and it is begun again where it was.
const WATCH_SECONDS: u64 = 280;
/// A watch that says nothing for this long is dead: the server sends a bookmark each minute.
const SILENCE: Duration = Duration::from_secs(150);
/// How often it is kept how far the watch is.
const KEEP_EVERY: Duration = Duration::from_secs(5);
/// The wait after a failure; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Workflows whose latest phase is remembered. Of others a phase may be offered to the bus
/// twice, which stores it once.
const REMEMBERED: usize = 16_384;
/// What a first look back tells of: workflows that were created this long before it.
const FIRST_LOOK: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);
/// How far clocks may differ.
const SKEW: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);

/// How far a watch is, as it is kept in the bus.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mark {
    v: u32,
    /// All phases up to here are outcomes.
    resource_version: String,
    /// When that was so.
    at: Timestamp,
}

/// Why a watch has ended.
enum Ended {
    /// The server has ended it, or the connection was lost.
    Again(String),
    /// What is asked for is too old: everything is to be listed.
    Expired,
    /// It is not allowed.
    Forbidden(String),
}

pub(super) struct Follower {
    place: Place,
    clusters: Arc<Clusters>,
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    submitted: mpsc::Receiver<Submitted>,
    mark: Option<Mark>,
    revision: Revision,
    kept_at: Option<Instant>,
    told: HashMap<ActionId, &'static str>,
    /// Why workflows cannot be watched, where that is so.
    forbidden: Option<String>,
}

impl Follower {
    pub(super) fn new(
        place: Place,
        clusters: Arc<Clusters>,
        bus: Arc<dyn Bus>,
        clock: Arc<dyn Clock>,
        submitted: mpsc::Receiver<Submitted>,
    ) -> Self {
        Self {
            place,
            clusters,
            bus,
            clock,
            submitted,
            mark: None,
            revision: Revision::ABSENT,
            kept_at: None,
            told: HashMap::new(),
            forbidden: None,
        }
    }

    /// Follows until the cluster is not known any more.
    pub(super) async fn run(mut self) {
        self.read_mark().await;
        let mut wait = FIRST_WAIT;
        while let Some(cluster) = self.clusters.get(&self.place.cluster) {
            let begun = Instant::now();
            match self.follow(&cluster).await {
                Ended::Expired => self.mark_expired(),
                Ended::Again(why) => tracing::debug!(
                    target: "tripline::clusters", cluster = %self.place.cluster,
                    namespace = %self.place.namespace, why, "the watch begins again"
                ),
                Ended::Forbidden(why) => self.forbid(why).await,
            }
            if begun.elapsed() > LONGEST_WAIT && self.forbidden.is_none() {
                wait = FIRST_WAIT;
            }
            self.pause(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Waits; who is submitted meanwhile, where nothing can be watched, is told of.
    async fn pause(&mut self, wait: Duration) {
        let until = Instant::now() + wait;
        loop {
            let submitted = tokio::select! {
                biased;
                () = tokio::time::sleep_until(until) => return,
                submitted = self.submitted.recv(), if self.forbidden.is_some() => submitted,
            };
            match submitted {
                Some(submitted) => self.unknown(submitted).await,
                None => return,
            }
        }
    }

    async fn forbid(&mut self, why: String) {
        if self.forbidden.as_ref() != Some(&why) {
            tracing::warn!(target: "tripline::clusters", "{why}; what becomes of workflows there is not known");
        }
        self.forbidden = Some(why);
        while let Ok(submitted) = self.submitted.try_recv() {
            self.unknown(submitted).await;
        }
    }

    async fn unknown(&mut self, submitted: Submitted) {
        let told = Told {
            target: &self.place.cluster,
            namespace: &self.place.namespace,
            name: &submitted.name,
            action: &submitted.action,
            correlation: &submitted.correlation,
        };
        let append = told.outcome("Unknown", self.clock.now(), self.forbidden.clone());
        self.append(vec![append]).await;
    }

    /// Lists if need be, and watches until that ends.
    async fn follow(&mut self, cluster: &Cluster) -> Ended {
        let from = match &self.mark {
            Some(mark) if !mark.resource_version.is_empty() => mark.resource_version.clone(),
            _ => match self.list(cluster).await {
                Ok(version) => version,
                Err(failure) => return self.ended(cluster, "list", &failure),
            },
        };
        match self.watch(cluster, from).await {
            Ok(ended) => ended,
            Err(failure) => self.ended(cluster, "watch", &failure),
        }
    }

    fn ended(&self, cluster: &Cluster, verb: &str, failure: &Failure) -> Ended {
        match failure.code() {
            Some(410) => Ended::Expired,
            Some(403) => {
                let resource = Resource::workflows();
                let doing = Doing {
                    cluster: cluster.name(),
                    verb,
                    resource: &resource,
                    namespace: Some(&self.place.namespace),
                    user: None,
                };
                let rule = Rule::new(&resource.group, &resource.plural, &["list", "watch"]).line();
                let because = doing.because(&failure.to_string());
                let namespace = &self.place.namespace;
                Ended::Forbidden(format!(
                    "{because}. Add {rule} to a Role in namespace `{namespace}` that is bound to \
                     Tripline's account"
                ))
            }
            _ => Ended::Again(failure.to_string()),
        }
    }

    /// Tells of all that is there; returns where a watch is to begin.
    async fn list(&mut self, cluster: &Cluster) -> Result<String, Failure> {
        let now = self.clock.now();
        let first = self.mark.is_none();
        // What was over before this has been told, or was never ours to tell.
        let since = match &self.mark {
            Some(mark) => mark.at.saturating_sub(SKEW),
            None => now.saturating_sub(FIRST_LOOK),
        }
        .unwrap_or(Timestamp::MIN);
        let path = Resource::workflows().path(Some(&self.place.namespace));
        let mut next = String::new();
        loop {
            let query = format!("?labelSelector={ACTION_ID}&limit={LISTED}&continue={next}");
            let list: List = cluster.call(&Call::get(path.clone() + &query)).await?.read()?;
            let told = |seen: &&Seen| !(seen.was_over(since) || first && seen.is_older(since));
            let outcomes: Vec<Append> =
                list.items.iter().filter(told).filter_map(|seen| self.tell(seen)).collect();
            self.append(outcomes).await;
            if list.metadata.r#continue.is_empty() {
                self.allowed();
                self.mark(list.metadata.resource_version.clone(), true).await;
                return Ok(list.metadata.resource_version);
            }
            next = list.metadata.r#continue;
        }
    }

    async fn watch(&mut self, cluster: &Cluster, from: String) -> Result<Ended, Failure> {
        let path = Resource::workflows().path(Some(&self.place.namespace));
        let query = format!(
            "?watch=true&allowWatchBookmarks=true&labelSelector={ACTION_ID}\
             &timeoutSeconds={WATCH_SECONDS}&resourceVersion={from}"
        );
        let client = cluster.client().await.map_err(Failure::NotSent)?;
        let request = http::Request::get(path + &query).body(Vec::new());
        let request = request.map_err(|error| Failure::NotSent(error.to_string()))?;
        let begun = client.request_events::<Seen>(request);
        let silent = || Failure::NoAnswer("the API server says nothing".to_owned());
        let begun = tokio::time::timeout(SILENCE, begun).await.map_err(|_| silent())?;
        let mut events = std::pin::pin!(begun.map_err(failure)?);
        self.allowed();
        loop {
            let event = tokio::select! {
                biased;
                // They can be followed: their phases will come.
                Some(_) = self.submitted.recv() => continue,
                event = tokio::time::timeout(SILENCE, events.next()) => event,
            };
            let event = match event {
                Err(_) => return Err(silent()),
                Ok(None) => return Ok(Ended::Again("its time is over".to_owned())),
                Ok(Some(event)) => event.map_err(failure)?,
            };
            let now = self.clock.now();
            let (append, version) = match event {
                WatchEvent::Added(seen) | WatchEvent::Modified(seen) => {
                    (self.tell(&seen), seen.metadata.resource_version)
                }
                WatchEvent::Deleted(seen) => {
                    if let Some(action) = seen.action() {
                        self.told.remove(&action);
                    }
                    (seen.removed(&self.place.cluster, now), seen.metadata.resource_version)
                }
                WatchEvent::Bookmark(bookmark) => (None, bookmark.metadata.resource_version),
                WatchEvent::Error(status) if status.code == 410 => return Ok(Ended::Expired),
                WatchEvent::Error(status) => return Ok(Ended::Again(status.message.clone())),
            };
            if let Some(append) = append {
                self.append(vec![append]).await;
            }
            self.mark(version, false).await;
        }
    }

    fn allowed(&mut self) {
        self.forbidden = None;
        // They can be followed: their phases come, or were listed.
        while self.submitted.try_recv().is_ok() {}
    }

    /// What is to be said of a workflow, unless it was said just before.
    fn tell(&mut self, seen: &Seen) -> Option<Append> {
        let (phase, append) = seen.reached(&self.place.cluster, self.clock.now())?;
        let action = seen.action()?;
        if self.told.get(&action) == Some(&phase) {
            return None;
        }
        if self.told.len() >= REMEMBERED {
            self.told.clear();
        }
        self.told.insert(action, phase);
        Some(append)
    }

    /// Appends until the bus has it: phases are marked as told after this.
    async fn append(&self, outcomes: Vec<Append>) {
        if outcomes.is_empty() {
            return;
        }
        let mut wait = FIRST_WAIT;
        while let Err(error) = self.bus.append(Log::Outcomes, outcomes.clone()).await {
            tracing::debug!(target: "tripline::clusters", %error, "outcomes of workflows wait");
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    fn mark_expired(&mut self) {
        if let Some(mark) = &mut self.mark {
            mark.resource_version.clear();
        }
    }

    async fn read_mark(&mut self) {
        let key = self.place.key();
        let mut wait = FIRST_WAIT;
        loop {
            match self.bus.get(&key).await {
                Ok(Some(entry)) => {
                    self.revision = entry.revision;
                    // One that cannot be read is as none: everything is listed.
                    let mark: Option<Mark> = serde_json::from_slice(&entry.value).ok();
                    self.mark = mark.filter(|mark| mark.v <= FORMAT);
                    return;
                }
                Ok(None) => return,
                Err(_) => tokio::time::sleep(wait).await,
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Notes how far the watch is, now and then in the bus.
    async fn mark(&mut self, resource_version: String, at_once: bool) {
        let mark = Mark { v: FORMAT, resource_version, at: self.clock.now() };
        let due = self.kept_at.is_none_or(|at| at.elapsed() >= KEEP_EVERY);
        if at_once || due {
            self.kept_at = Some(Instant::now());
            let value = Bytes::from(serde_json::to_vec(&mark).unwrap_or_default());
            match self.bus.put(&self.place.key(), value, self.revision).await {
                Ok(revision) => self.revision = revision,
                // Somebody else follows too, or an answer was lost: phases are stored once
                // all the same.
                Err(WriteError::Conflict { found, .. }) => self.revision = found,
                Err(error) => {
                    tracing::debug!(target: "tripline::clusters", %error, "a mark was not kept");
                }
            }
        }
        self.mark = Some(mark);
    }
}
