//! Clusters: which there are, how they are reached, and whom Tripline acts as there.
//!
//! Promises: a cluster is used only where somebody has named it; an action acts as the
//! service account of its sensor unless somebody has said otherwise; credentials that have
//! changed are taken up; a cluster that hangs holds up nothing but its own actions.
//!
//! Not here: what is created ([`crate::workflow`], [`crate::k8s`]), and which cluster an
//! action goes to, which is decided with the action.

pub mod accounts;
pub(crate) mod call;
pub(crate) mod discovery;
mod exec;
pub mod follow;
mod history;
mod kubeconfig;
mod link;
pub(crate) mod live;
mod objects;
pub(crate) mod once;
pub(crate) mod policy;
pub mod rbac;
pub(crate) mod refusal;
pub(crate) mod resource;
pub mod review;
mod settings;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use tripline_bus::Bus;
use tripline_event::{Clock, Position};

pub use settings::{ClusterDefinition, ClusterSpec, For, IN_CLUSTER, KubeconfigSource};

use crate::{RenderedAction, SecretLookup, TriggerError};
use call::{Answer, Call, Failure, Writes};
use discovery::{Discovery, NoKind};
use history::{History, Was};
use link::Link;
use resource::Resource;

/// One cluster.
pub struct Cluster {
    link: Link,
    discovery: Discovery,
    history: History,
    bus: Option<Arc<dyn Bus>>,
    impersonate: bool,
}

impl Cluster {
    /// By what actions name it.
    pub fn name(&self) -> &str {
        &self.definition().name
    }

    /// How it is reached, and how it is treated.
    pub fn definition(&self) -> &ClusterDefinition {
        self.link.definition()
    }

    /// Whom the actions of a sensor of `namespace` act as; none is Tripline itself.
    pub fn account(&self, namespace: &str, service_account: Option<&str>) -> Option<String> {
        let account = service_account.unwrap_or("default");
        self.impersonate.then(|| format!("system:serviceaccount:{namespace}:{account}"))
    }

    pub(crate) fn account_of(&self, rendered: &RenderedAction) -> Option<String> {
        let namespace = &rendered.action.trigger.namespace;
        self.account(namespace, rendered.service_account.as_deref())
    }

    /// Whether objects may be created in `namespace`; in the whole cluster, where there is none.
    pub(crate) fn allows(&self, namespace: Option<&str>) -> Result<(), TriggerError> {
        let Some(allowed) = &self.definition().spec.namespaces else { return Ok(()) };
        let refused = |what: String| {
            let cause = tripline_event::Cause::Forbidden;
            let name = self.name();
            let allowed = allowed.join(", ");
            let reason = format!(
                "cluster `{name}`: {what} `namespaces` of the Cluster, which are: {allowed}"
            );
            Err(TriggerError::Refused { cause, reason })
        };
        match namespace {
            Some(namespace) if allowed.iter().any(|one| one == namespace) => Ok(()),
            Some(namespace) => refused(format!("namespace `{namespace}` is not among the")),
            None => refused("an object outside of namespaces is not in one of the".to_owned()),
        }
    }

    /// The kind `kind` of `api_version`, as this cluster has it.
    pub(crate) async fn resource(&self, api_version: &str, kind: &str) -> Result<Resource, NoKind> {
        self.discovery.resource(&self.link, api_version, kind).await
    }

    /// To be called before an object is created at `path`.
    pub(crate) async fn note(&self, path: &str) -> Result<(), Failure> {
        match &self.bus {
            Some(bus) => self.history.note(self, bus, path).await,
            None => Ok(()),
        }
    }

    /// Whether the object `name`, which is not there, has been at `path` since the event at
    /// `cause`.
    async fn was(&self, path: &str, name: &str, cause: Position) -> Result<Was, Failure> {
        match &self.bus {
            Some(bus) => self.history.was(self, bus, path, name, cause).await,
            None => Ok(Was::Unknown("its past is not kept".to_owned())),
        }
    }

    /// Whether the API server has loaded what it decides by. One that has just started refuses
    /// what it will allow in a moment.
    pub(crate) async fn is_ready(&self) -> bool {
        match self.call(&Call::get("/readyz")).await {
            Ok(_) => true,
            Err(failure) => matches!(failure.code(), Some(403 | 404)),
        }
    }

    pub(crate) async fn call(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        self.link.call(call).await
    }

    /// A client with credentials that are good now, for what takes longer than a call.
    ///
    /// # Errors
    /// Why there is none, for the operator.
    pub(crate) async fn client(&self) -> Result<kube::Client, String> {
        self.link.client().await
    }

    /// Makes one request that needs no rights, to see whether the cluster can be reached with
    /// these credentials.
    ///
    /// # Errors
    /// Why it cannot, for the operator.
    pub async fn reach(&self) -> Result<String, String> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            git_version: String,
        }
        let place = || format!("cluster `{}` ({})", self.name(), self.definition().whence());
        let answer = self.call(&Call::get("/version")).await;
        let version = answer.and_then(|answer| answer.read::<Version>());
        version.map(|version| version.git_version).map_err(|error| format!("{}: {error}", place()))
    }
}

/// The clusters that are named, by name.
pub struct Clusters {
    secrets: Arc<dyn SecretLookup>,
    clock: Arc<dyn Clock>,
    bus: Option<Arc<dyn Bus>>,
    impersonate: bool,
    writes: Writes,
    /// Those that no object names: of `--context`, or the one that this process runs in.
    fixed: Vec<ClusterDefinition>,
    named: RwLock<BTreeMap<String, Arc<Cluster>>>,
}

impl Clusters {
    /// The clusters `fixed`, and no objects yet. What is to be known after a restart is kept in
    /// `bus`; without one more is not known then. With `impersonate`, actions act as the
    /// service accounts of their sensors, but where a cluster says otherwise.
    pub fn new(
        secrets: Arc<dyn SecretLookup>,
        clock: Arc<dyn Clock>,
        bus: Option<Arc<dyn Bus>>,
        impersonate: bool,
        fixed: Vec<ClusterDefinition>,
    ) -> Self {
        Self::with(secrets, clock, bus, impersonate, fixed, Writes::Stored)
    }

    /// The same, where nothing is ever stored: what actions would write is sent with
    /// `dryRun=All`, so that the API server says what would come of it. Its errors are kept in
    /// full.
    pub fn dry_run(
        secrets: Arc<dyn SecretLookup>,
        clock: Arc<dyn Clock>,
        impersonate: bool,
        fixed: Vec<ClusterDefinition>,
    ) -> Self {
        Self::with(secrets, clock, None, impersonate, fixed, Writes::Tried)
    }

    fn with(
        secrets: Arc<dyn SecretLookup>,
        clock: Arc<dyn Clock>,
        bus: Option<Arc<dyn Bus>>,
        impersonate: bool,
        fixed: Vec<ClusterDefinition>,
        writes: Writes,
    ) -> Self {
        let named = RwLock::default();
        let clusters = Self { secrets, clock, bus, impersonate, writes, fixed, named };
        clusters.apply(Vec::new());
        clusters
    }

    /// From now on these are the clusters, besides the fixed ones, which go before them. The
    /// connections of those that have not changed stay.
    pub fn apply(&self, definitions: Vec<ClusterDefinition>) {
        let mut named = self.named.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = BTreeMap::new();
        for definition in definitions.into_iter().chain(self.fixed.iter().cloned()) {
            let same = named.get(&definition.name).filter(|old| *old.definition() == definition);
            let cluster = same.cloned().unwrap_or_else(|| Arc::new(self.cluster(definition)));
            next.insert(cluster.name().to_owned(), cluster);
        }
        *named = next;
    }

    fn cluster(&self, definition: ClusterDefinition) -> Cluster {
        let impersonate = self.impersonate && definition.spec.impersonate.unwrap_or(true);
        let (secrets, clock) = (Arc::clone(&self.secrets), Arc::clone(&self.clock));
        let link = Link::new(definition, secrets, clock, self.writes);
        let (discovery, history) = (Discovery::default(), History::default());
        Cluster { link, discovery, history, bus: self.bus.clone(), impersonate }
    }

    /// The cluster of that name.
    pub fn get(&self, name: &str) -> Option<Arc<Cluster>> {
        self.named.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// All of them, in the order of their names.
    pub fn all(&self) -> Vec<Arc<Cluster>> {
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
        named.values().cloned().collect()
    }

    /// The cluster that an action is bound to.
    ///
    /// # Errors
    /// It is not there, now: the action waits until it is, or expires.
    pub fn bound(&self, name: &str) -> Result<Arc<Cluster>, TriggerError> {
        self.get(name).ok_or_else(|| {
            let there: Vec<String> =
                self.all().iter().map(|cluster| format!("`{}`", cluster.name())).collect();
            let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
            let reason = format!(
                "cluster `{name}`, to which this action was bound when it was decided, is not \
                 known: add a Cluster of that name, or run with --context {name}; known: {there}"
            );
            TriggerError::NotDone { reason, after: None }
        })
    }
}
