//! Where workflows and objects go: the local target, and the clusters that are named.
//!
//! Never whatever cluster a kubeconfig happens to point at: without `--context`, `--target`
//! or a `Cluster` everything stays in the data directory.

use std::collections::BTreeMap;
use std::sync::Arc;

use tripline_bus::Bus;
use tripline_event::Clock;
use tripline_triggers::executor::Kinds;
use tripline_triggers::workflow::local::{self, LocalTarget};
use tripline_triggers::workflow::{WorkflowTarget, WorkflowTargets, WorkflowTrigger};
use tripline_triggers::{SecretLookup, TriggerError};

use crate::engine::routes::Routes;
use crate::load::Configuration;

/// What the command line says about targets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetChoice {
    /// A context of the user's kubeconfig, which is a cluster of that name.
    pub context: Option<String>,
    /// Where actions go whose triggers name no cluster: `local`, `in-cluster`, or a cluster's
    /// name.
    pub default: Option<String>,
    /// Actions act with Tripline's own rights, and not as their sensors' service accounts.
    pub no_impersonation: bool,
}

impl TargetChoice {
    /// Where actions go whose triggers, and whose sensors' clusters, say nothing.
    pub fn default_target(&self) -> &str {
        self.default.as_deref().or(self.context.as_deref()).unwrap_or(local::NAME)
    }

    /// Whether workflows stay in the data directory and nobody has said that they should.
    pub fn is_local_unsaid(&self) -> bool {
        self.default.is_none() && self.context.is_none()
    }
}

/// All targets of a daemon.
pub struct Targets {
    local: Arc<LocalTarget>,
    choice: TargetChoice,
    #[cfg(feature = "kubernetes")]
    clusters: Arc<tripline_triggers::cluster::Clusters>,
    #[cfg(feature = "kubernetes")]
    followers: Arc<tripline_triggers::cluster::follow::Followers>,
}

impl Targets {
    /// The targets that `choice` names; those of `Cluster` objects follow with
    /// [`Self::apply`].
    ///
    /// # Errors
    /// A cluster is named, and this build knows none.
    pub fn new(
        choice: TargetChoice,
        bus: Arc<dyn Bus>,
        secrets: Arc<dyn SecretLookup>,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let local = Arc::new(LocalTarget::new(Arc::clone(&bus), Arc::clone(&clock)));
        #[cfg(feature = "kubernetes")]
        {
            use tripline_triggers::cluster::follow::Followers;
            let clusters = clusters(&choice, secrets, Arc::clone(&clock), Some(Arc::clone(&bus)));
            let followers = Arc::new(Followers::new(Arc::clone(&clusters), bus, clock));
            Ok(Self { local, choice, clusters, followers })
        }
        #[cfg(not(feature = "kubernetes"))]
        {
            drop(secrets);
            anyhow::ensure!(
                choice.default_target() == local::NAME && choice.context.is_none(),
                "this build knows no clusters: it was built without the feature `kubernetes`"
            );
            Ok(Self { local, choice })
        }
    }

    /// The target that keeps workflows in the data directory.
    pub fn local(&self) -> &LocalTarget {
        &self.local
    }

    /// What the command line says.
    pub fn choice(&self) -> &TargetChoice {
        &self.choice
    }

    /// From now on the clusters of `configuration` are those that actions can name. Returns
    /// where actions go whose triggers name none.
    pub fn apply(&self, configuration: &Configuration) -> Routes {
        #[cfg(feature = "kubernetes")]
        self.clusters.apply(configuration.clusters.values().cloned().collect());
        routes(&self.choice, configuration)
    }

    /// Each target, with where it is.
    pub fn described(&self) -> BTreeMap<String, String> {
        let text = "workflows are recorded in the data directory, and do not run";
        let mut targets = BTreeMap::from([(local::NAME.to_owned(), text.to_owned())]);
        #[cfg(feature = "kubernetes")]
        for cluster in self.clusters.all() {
            let definition = cluster.definition();
            targets.insert(definition.name.clone(), definition.whence());
        }
        // Named by nobody but the command line, and not there (yet).
        let default = self.choice.default_target();
        targets
            .entry(default.to_owned())
            .or_insert_with(|| "there is no Cluster of this name: actions wait".to_owned());
        targets
    }

    /// The clusters.
    #[cfg(feature = "kubernetes")]
    pub fn clusters(&self) -> &Arc<tripline_triggers::cluster::Clusters> {
        &self.clusters
    }

    /// Goes on with following the workflows that were submitted before.
    ///
    /// # Errors
    /// The bus cannot be read.
    pub async fn resume(&self) -> anyhow::Result<()> {
        #[cfg(feature = "kubernetes")]
        self.followers.resume().await?;
        Ok(())
    }

    /// Follows no workflow any more.
    pub async fn stop(&self) {
        #[cfg(feature = "kubernetes")]
        self.followers.stop().await;
    }

    /// Adds the kinds of triggers that act on targets.
    pub fn add_kinds(self: &Arc<Self>, kinds: &mut Kinds) {
        let workflow = WorkflowTrigger::routed(Arc::clone(self) as _);
        kinds.insert("argoWorkflow".to_owned(), Arc::new(workflow));
        #[cfg(feature = "kubernetes")]
        {
            let k8s = tripline_triggers::k8s::K8sTrigger::new(Arc::clone(&self.clusters));
            kinds.insert("k8s".to_owned(), Arc::new(k8s));
        }
    }
}

/// Where actions go whose triggers name no target.
pub(crate) fn routes(choice: &TargetChoice, configuration: &Configuration) -> Routes {
    let mut routes =
        Routes { default: Some(choice.default_target().to_owned()), ..Routes::default() };
    #[cfg(feature = "kubernetes")]
    for cluster in configuration.clusters.values() {
        for of in &cluster.spec.r#for {
            let name = cluster.name.clone();
            match &of.sensor {
                Some(sensor) => {
                    let sensor = tripline_event::ObjectName::new(&of.namespace, sensor.as_str());
                    routes.sensors.insert(sensor, name);
                }
                None => {
                    routes.namespaces.insert(of.namespace.clone(), name);
                }
            }
        }
    }
    #[cfg(not(feature = "kubernetes"))]
    let _ = (configuration, &mut routes);
    routes
}

/// The clusters that the command line names; those of objects are still to be applied.
#[cfg(feature = "kubernetes")]
pub(crate) fn clusters(
    choice: &TargetChoice,
    secrets: Arc<dyn SecretLookup>,
    clock: Arc<dyn Clock>,
    bus: Option<Arc<dyn Bus>>,
) -> Arc<tripline_triggers::cluster::Clusters> {
    use tripline_triggers::cluster::Clusters;
    Arc::new(Clusters::new(secrets, clock, bus, !choice.no_impersonation, fixed(choice)))
}

/// The same clusters, in which nothing is ever stored.
#[cfg(feature = "kubernetes")]
pub(crate) fn dry_run_clusters(
    choice: &TargetChoice,
    secrets: Arc<dyn SecretLookup>,
) -> Arc<tripline_triggers::cluster::Clusters> {
    use tripline_triggers::cluster::Clusters;
    let clock = Arc::new(tripline_event::SystemClock);
    Arc::new(Clusters::dry_run(secrets, clock, !choice.no_impersonation, fixed(choice)))
}

#[cfg(feature = "kubernetes")]
fn fixed(choice: &TargetChoice) -> Vec<tripline_triggers::cluster::ClusterDefinition> {
    use tripline_triggers::cluster::{ClusterDefinition, IN_CLUSTER};
    let context = choice.context.as_deref().map(ClusterDefinition::of_context);
    let in_cluster = choice.default.as_deref() == Some(IN_CLUSTER);
    let in_cluster = in_cluster.then(ClusterDefinition::in_cluster);
    context.into_iter().chain(in_cluster).collect()
}

impl WorkflowTargets for Targets {
    fn target(&self, name: &str) -> Result<Arc<dyn WorkflowTarget>, TriggerError> {
        if name == local::NAME {
            return Ok(Arc::clone(&self.local) as _);
        }
        #[cfg(feature = "kubernetes")]
        {
            use tripline_triggers::workflow::cluster::ClusterTarget;
            let cluster = self.clusters.bound(name)?;
            Ok(Arc::new(ClusterTarget::followed(cluster, Arc::clone(&self.followers))))
        }
        #[cfg(not(feature = "kubernetes"))]
        {
            let reason = format!(
                "the action is bound to the cluster `{name}`, and this build knows no clusters: \
                 it was built without the feature `kubernetes`"
            );
            Err(TriggerError::NotDone { reason, after: None })
        }
    }

    /// Whether any action may go into a cluster.
    fn asks_for_earlier_attempts(&self) -> bool {
        #[cfg(feature = "kubernetes")]
        {
            !self.clusters.all().is_empty()
        }
        #[cfg(not(feature = "kubernetes"))]
        {
            false
        }
    }
}
