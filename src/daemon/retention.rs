//! History limits of CronWorkflows: when a workflow of one has ended, those beyond its limits
//! are removed.
//!
//! What has ended while the daemon was away is removed with the next one that ends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tripline_bus::{Log, ReadError};
use tripline_event::outcome::TargetResult;
use tripline_event::{ObjectName, Outcome, OutcomeKind, Position};
use tripline_triggers::workflow::local;
use tripline_triggers::workflow::retention::Retention;

use super::Shared;
use super::trouble::Trouble;
use crate::engine::schedules::Kind;

/// How many outcomes are read at once.
const PAGE: usize = 512;
/// How long is waited where there is no CronWorkflow, or the bus does not answer.
const PAUSE: Duration = Duration::from_secs(2);

/// Where a workflow has ended: target, namespace, name.
type Place = (String, String, String);

impl Shared {
    /// Keeps the limits until `stop`.
    pub(crate) async fn keep_history(&self, stop: CancellationToken) {
        let (mut from, trouble) = (None, Trouble::new(Arc::clone(&self.clock)));
        loop {
            let waited = async {
                match self.keep_history_once(&mut from, &trouble).await {
                    Ok(true) => {}
                    Ok(false) | Err(_) => tokio::time::sleep(PAUSE).await,
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = waited => {}
            }
        }
    }

    /// False where nothing needs to be read.
    async fn keep_history_once(
        &self,
        from: &mut Option<Position>,
        trouble: &Trouble,
    ) -> Result<bool, ReadError> {
        let tell = |target: &str, error: &str| {
            trouble.tell(&format!("history limits, target {target}"), error);
        };
        let extent = self.bus.extent(Log::Outcomes).await?;
        if !self.has_cron_workflows() {
            *from = Some(extent.next);
            return Ok(false);
        }
        let at = from.get_or_insert(extent.next);
        *at = (*at).max(extent.first);
        let page = self.bus.read(Log::Outcomes, *at, PAGE).await?;
        let Some(last) = page.last() else {
            self.bus.wait(Log::Outcomes, *at).await?;
            return Ok(true);
        };
        *at = last.position.next();
        let ended: BTreeSet<Place> = page
            .iter()
            .filter_map(|stored| ended(&Outcome::decode(&stored.record).ok()?))
            .collect();
        let mut owners: BTreeSet<(String, ObjectName)> = BTreeSet::new();
        for (target, namespace, name) in ended {
            match self.owner(&target, &namespace, &name).await {
                Ok(Some(owner)) => {
                    owners.insert((target, ObjectName::new(namespace, owner)));
                }
                Ok(None) => {}
                Err(error) => tell(&target, &error),
            }
        }
        for (target, object) in owners {
            match self.apply_limits(&target, &object).await {
                Ok(removed) if removed.is_empty() => {}
                Ok(removed) => tracing::debug!(
                    cron_workflow = %object, target, ?removed, "beyond the history limits"
                ),
                Err(error) => tell(&target, &error),
            }
        }
        Ok(true)
    }

    fn has_cron_workflows(&self) -> bool {
        let configuration = self.configuration.load();
        let mut sensors = configuration.sensors.values();
        sensors.any(|sensor| {
            sensor.compiled.schedule.as_ref().is_some_and(|it| it.kind == Kind::CronWorkflow)
        })
    }

    async fn owner(
        &self,
        target: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<String>, String> {
        if target == local::NAME {
            let found = Retention::owner_in(self.targets.local(), namespace, name).await;
            return found.map_err(|error| error.to_string());
        }
        #[cfg(feature = "kubernetes")]
        if let Some(cluster) = self.targets.clusters().get(target) {
            return Retention::owner_in_cluster(&cluster, namespace, name).await;
        }
        Ok(None)
    }

    async fn apply_limits(&self, target: &str, object: &ObjectName) -> Result<Vec<String>, String> {
        let sensor = Kind::CronWorkflow.source_of(object);
        let configuration = self.configuration.load_full();
        // One that is gone has no limits any more: nothing is removed.
        let Some(loaded) = configuration.sensors.get(&sensor) else { return Ok(Vec::new()) };
        let json: Value = serde_json::from_str(&loaded.definition.json).unwrap_or_default();
        let Some(retention) = Retention::of(object.clone(), &sensor.name, &json) else {
            return Ok(Vec::new());
        };
        if target == local::NAME {
            let removed = retention.apply_in(self.targets.local()).await;
            return removed.map_err(|error| error.to_string());
        }
        #[cfg(feature = "kubernetes")]
        if let Some(cluster) = self.targets.clusters().get(target) {
            return retention.apply_in_cluster(&cluster, None).await;
        }
        Ok(Vec::new())
    }
}

/// The workflow that has ended by this outcome; in the local target, where nothing runs, one
/// that was recorded.
fn ended(outcome: &Outcome) -> Option<Place> {
    match &outcome.kind {
        OutcomeKind::Workflow { target, namespace, name, phase, .. }
            if ["Succeeded", "Failed", "Error"].contains(&phase.as_str()) =>
        {
            Some((target.clone(), namespace.clone(), name.clone()))
        }
        OutcomeKind::Succeeded {
            result: TargetResult::Workflow { target, namespace, name, .. },
            ..
        } if target == local::NAME => Some((target.clone(), namespace.clone(), name.clone())),
        _ => None,
    }
}
