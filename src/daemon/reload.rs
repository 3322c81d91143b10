//! Taking up changed files.
//!
//! An object that is refused stays at its last good version. A reload that would remove
//! all objects, or more than a fifth, is held until somebody confirms it: a folder that is
//! empty for a moment must not stop everything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio_util::sync::CancellationToken;
use tripline_event::ObjectName;

use super::{Shared, lock};
use crate::engine::plans::{self, Definition};
use crate::engine::retry::Retry;
use crate::load::{self, Configuration, LoadedSensor, LoadedSource};
use crate::memory;

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A reload that removes more than one in so many objects is held.
const REMOVABLE: usize = 5;

/// A reload that waits to be confirmed.
pub(crate) struct Held {
    pub(crate) configuration: Configuration,
    pub(crate) reason: String,
}

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reloaded {
    pub(crate) added: usize,
    pub(crate) changed: usize,
    pub(crate) removed: usize,
    pub(crate) held: Option<String>,
}

impl Shared {
    /// Looks at the files until `stop`, and takes up what changes.
    pub(crate) async fn watch(&self, stop: CancellationToken) {
        let fingerprint = || {
            let inputs = self.inputs.clone();
            async move {
                tokio::task::spawn_blocking(move || tripline_config::fingerprint(&inputs))
                    .await
                    .ok()
            }
        };
        let mut seen = Some(self.files_at_start);
        // What was needed to load is free when its sensors are in force: some time after.
        let mut loaded = true;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if std::mem::take(&mut loaded) {
                memory::give_back();
            }
            let now = fingerprint().await;
            // Secrets are looked up at each use; only what was loaded is compared here.
            if now == seen {
                continue;
            }
            match self.reload().await {
                Ok(done) => {
                    seen = now;
                    loaded = true;
                    self.log(&done);
                }
                Err(error) => tracing::warn!(
                    error = format!("{error:#}"),
                    "changed files could not be taken up; it is tried again"
                ),
            }
        }
    }

    fn log(&self, done: &Reloaded) {
        let Reloaded { added, changed, removed, held } = done;
        match held {
            Some(reason) => tracing::warn!(
                "changed files are not taken up: {reason}. `tripline reload --confirm` does it"
            ),
            None => tracing::info!(added, changed, removed, "changed files were taken up"),
        }
    }

    /// Reads the files again and puts them in force, or holds them.
    pub(crate) async fn reload(&self) -> anyhow::Result<Reloaded> {
        let _one_at_a_time = self.reloading.lock().await;
        let (inputs, definitions) = (self.inputs.clone(), Arc::clone(&self.engine.definitions));
        let mut loaded =
            tokio::task::spawn_blocking(move || load::load_without_texts(&inputs, &definitions))
                .await?;
        if self.targets.choice().is_local_unsaid() {
            loaded.refuse_real_upstreams();
        }
        for diagnostic in loaded.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()) {
            tracing::error!("{diagnostic}");
        }
        let configuration = self.with_last_good_versions(loaded).await?;
        let done = difference(&self.configuration.load(), &configuration);
        if let Some(reason) = reason_to_hold(&self.configuration.load(), &done) {
            *lock(&self.held) = Some(Held { configuration, reason: reason.clone() });
            return Ok(Reloaded { held: Some(reason), ..done });
        }
        self.put_in_force(configuration).await?;
        Ok(done)
    }

    /// Puts the reload that is held in force; none where none is.
    pub(crate) async fn confirm(&self) -> anyhow::Result<Option<Reloaded>> {
        let _one_at_a_time = self.reloading.lock().await;
        let Some(held) = lock(&self.held).take() else { return Ok(None) };
        let done = difference(&self.configuration.load(), &held.configuration);
        self.put_in_force(held.configuration).await?;
        Ok(Some(done))
    }

    /// Objects that are refused, or that may be in what could not be read, stay as they
    /// were. After a restart that is, for sensors, what the newest plan has.
    pub(crate) async fn with_last_good_versions(
        &self,
        mut loaded: Configuration,
    ) -> anyhow::Result<Configuration> {
        let before = self.configuration.load_full();
        let refused = |kind: &str, name: &ObjectName| {
            loaded.incomplete || loaded.invalid.contains_key(&(kind.to_owned(), name.clone()))
        };
        let of_newest_plan = match before.is_empty() {
            true => self.sensors_of_newest_plan(&loaded).await?,
            false => Vec::new(),
        };
        let kept: Vec<_> = of_newest_plan
            .iter()
            .chain(before.sensors.values())
            .filter(|sensor| !loaded.sensors.contains_key(&sensor.definition.name))
            .filter(|sensor| {
                let (kind, name) = sensor.identity();
                refused(&kind, &name)
            })
            .cloned()
            .collect();
        let sources: Vec<_> = before
            .sources
            .values()
            .filter(|source| !loaded.sources.contains_key(&source.name))
            .filter(|source| refused("EventSource", &source.name))
            .cloned()
            .collect();
        let buses: Vec<_> = before
            .interop
            .values()
            .filter(|bus| !loaded.interop.contains_key(&bus.object))
            .filter(|bus| refused("EventBus", &bus.object))
            .cloned()
            .collect();
        #[cfg(feature = "kubernetes")]
        let clusters: Vec<_> = before
            .clusters
            .values()
            .filter(|cluster| !loaded.clusters.contains_key(&cluster.name))
            .filter(|of| refused("Cluster", &ObjectName::new(&of.namespace, &of.name)))
            .cloned()
            .collect();
        loaded
            .sensors
            .extend(kept.into_iter().map(|sensor| (sensor.definition.name.clone(), sensor)));
        #[cfg(feature = "kubernetes")]
        loaded.clusters.extend(clusters.into_iter().map(|of| (of.name.clone(), of)));
        loaded.interop.extend(buses.into_iter().map(|bus| (bus.object.clone(), bus)));
        loaded.sources.extend(sources.into_iter().map(|source| (source.name.clone(), source)));
        Ok(loaded)
    }

    async fn sensors_of_newest_plan(
        &self,
        loaded: &Configuration,
    ) -> anyhow::Result<Vec<LoadedSensor>> {
        if loaded.invalid.is_empty() && !loaded.incomplete {
            return Ok(Vec::new());
        }
        let newest = plans::newest(&*self.bus).await?;
        let mut sensors = Vec::new();
        for (name, hash) in newest.sensors {
            let json = plans::definition(&*self.bus, &hash).await?.into();
            // One that this build refuses cannot stay.
            if let Ok(compiled) = self.engine.definitions.load(&*self.bus, &name, &hash).await {
                sensors
                    .push(LoadedSensor { definition: Definition { name, hash, json }, compiled });
            }
        }
        Ok(sensors)
    }

    /// Sensors first, durably; then event sources, so that no event is taken in that its
    /// sensors do not see.
    pub(crate) async fn put_in_force(&self, configuration: Configuration) -> anyhow::Result<()> {
        self.engine.definitions.set_routes(self.targets.apply(&configuration));
        let in_force = self.interop.in_force(&*self.bus, &configuration).await;
        let definitions = in_force.context("what is in force cannot be read")?;
        let mut tries = 0;
        while let Err(error) = self.engine.publisher.publish(&definitions).await {
            tries += 1;
            if tries > 20 || !error.is_transient() {
                return Err(error).context("the sensors could not be put in force");
            }
            tokio::time::sleep(Retry::FIRST * tries).await;
        }
        for diagnostic in self.secrets.replace_documents(&configuration.secrets) {
            tracing::warn!("{diagnostic}");
        }
        let events = configuration.events();
        self.engine.ingest.filter(&events);
        for (key, problem) in self.sources.apply(events) {
            tracing::error!(
                "event source {key}: {}; it is tried again until it works",
                problem.message
            );
        }
        self.engine.executor.policies_changed();
        self.configuration.store(Arc::new(configuration));
        self.interop.changed.notify_one();
        *lock(&self.held) = None;
        Ok(())
    }

    /// Puts the sensors in force again: more of them were taken over.
    #[cfg(feature = "jetstream")]
    pub(crate) async fn publish_sensors(&self) -> anyhow::Result<()> {
        let _one_at_a_time = self.reloading.lock().await;
        let configuration = self.configuration.load_full();
        let definitions = self.interop.in_force(&*self.bus, &configuration).await?;
        self.engine.publisher.publish(&definitions).await?;
        Ok(())
    }
}

/// Counts of what is new, other and gone.
pub(crate) fn difference(before: &Configuration, after: &Configuration) -> Reloaded {
    let mut done = Reloaded::default();
    compare(&before.sensors, &after.sensors, &mut done, |old, new| {
        old.definition.hash == new.definition.hash
    });
    compare(&before.sources, &after.sources, &mut done, |old, new| {
        let versions = |source: &LoadedSource| -> Vec<_> {
            source.events.iter().map(|event| (event.key.clone(), event.hash.clone())).collect()
        };
        versions(old) == versions(new)
    });
    done
}

fn compare<T>(
    before: &BTreeMap<ObjectName, T>,
    after: &BTreeMap<ObjectName, T>,
    done: &mut Reloaded,
    same: impl Fn(&T, &T) -> bool,
) {
    let mut stayed = 0;
    for (name, new) in after {
        match before.get(name) {
            Some(old) => {
                stayed += 1;
                done.changed += usize::from(!same(old, new));
            }
            None => done.added += 1,
        }
    }
    done.removed += before.len() - stayed;
}

fn reason_to_hold(before: &Configuration, done: &Reloaded) -> Option<String> {
    let (all, removed) = (before.len(), done.removed);
    let too_many = removed > 0 && (removed == all || removed * REMOVABLE > all);
    too_many.then(|| format!("they would remove {removed} of {all} objects"))
}
