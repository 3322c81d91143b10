//! A trigger with clusters, and what it leaves in them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::{Value, json};
use tripline_bus::memory::{MemoryBus, MemoryStore};
use tripline_bus::{Append, Bus as _, Log};
use tripline_config::{ConfigMapRef, Secret, SecretRef};
use tripline_event::event::Links;
use tripline_event::outcome::TargetResult;
use tripline_event::{
    Action, ActionEvent, ActionId, Cause, CorrelationId, DefinitionHash, EventId, EventKey,
    ObjectName, Position, SystemClock, TriggerName,
};
use tripline_testbed::{KubeApi, Kubeconfig, Subject};
use tripline_triggers::cluster::follow::Followers;
use tripline_triggers::cluster::{ClusterDefinition, ClusterSpec, Clusters};
use tripline_triggers::workflow::cluster::ClusterTarget;
use tripline_triggers::workflow::{WorkflowTarget, WorkflowTargets, WorkflowTrigger};
use tripline_triggers::{Attempt, RenderedAction, SecretLookup, Trigger, TriggerError};

/// How long anything may take that takes a moment.
pub const SOON: Duration = Duration::from_secs(60);

/// Secrets that can be changed.
#[derive(Default)]
pub struct Secrets(Mutex<BTreeMap<String, String>>);

impl Secrets {
    pub fn set(&self, name: &str, value: &str) {
        self.0.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }
}

impl SecretLookup for Secrets {
    fn secret(&self, _: &str, secret: &SecretRef) -> Result<Secret, String> {
        let secrets = self.0.lock().unwrap();
        let value = secrets.get(&secret.name).ok_or("there is no such secret")?;
        Ok(Secret::new(value.as_bytes()))
    }

    fn config_map(&self, _: &str, _: &ConfigMapRef) -> Result<String, String> {
        Err("there are no config maps".to_owned())
    }
}

struct Targets(Arc<Clusters>, Option<Arc<Followers>>);

impl WorkflowTargets for Targets {
    fn target(&self, name: &str) -> Result<Arc<dyn WorkflowTarget>, TriggerError> {
        let cluster = self.0.bound(name)?;
        Ok(match &self.1 {
            Some(followers) => Arc::new(ClusterTarget::followed(cluster, Arc::clone(followers))),
            None => Arc::new(ClusterTarget::new(cluster)),
        })
    }

    fn asks_for_earlier_attempts(&self) -> bool {
        true
    }
}

/// The cluster `prod`, and a namespace of the test's own.
pub struct World {
    pub kube: &'static KubeApi,
    pub namespace: String,
    pub secrets: Arc<Secrets>,
    pub bus: Arc<MemoryBus>,
    pub clusters: Arc<Clusters>,
    pub trigger: WorkflowTrigger,
}

/// Whom Tripline itself is in the namespace of a test.
pub fn tripline(namespace: &str) -> String {
    format!("tripline-{namespace}")
}

impl World {
    /// With what is in the usual installation: Tripline may act as the service account
    /// `default`, which may create workflows and look at them.
    pub fn new(namespace: &str) -> Self {
        let world = Self::bare(namespace, json!({}));
        let user = tripline(namespace);
        let act = json!([{
            "apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["impersonate"],
        }]);
        world.kube.grant(namespace, Subject::User(&user), &act).unwrap();
        world.allow_default(&["create", "get"]);
        world
    }

    /// Nobody may do anything. `more` is added to the cluster's definition.
    pub fn bare(namespace: &str, more: Value) -> Self {
        let kube = KubeApi::shared().unwrap();
        kube.create_namespace(namespace).unwrap();
        let kubeconfig = kube.user(&tripline(namespace)).unwrap();
        Self::of(kube, namespace, &kubeconfig, more)
    }

    pub fn of(
        kube: &'static KubeApi,
        namespace: &str,
        kubeconfig: &Kubeconfig,
        more: Value,
    ) -> Self {
        install_provider();
        let secrets = Arc::new(Secrets::default());
        secrets.set("prod", &kubeconfig.text());
        let bus = Arc::new(MemoryBus::new(MemoryStore::new(1)));
        let clusters = Arc::new(clusters(&secrets, &bus));
        let trigger = WorkflowTrigger::routed(Arc::new(Targets(Arc::clone(&clusters), None)));
        let namespace = namespace.to_owned();
        let world = Self { kube, namespace, secrets, bus, clusters, trigger };
        world.define(more);
        world
    }

    /// As after a restart: nothing is known but what is in the bus.
    pub fn restart(&mut self, more: Value) {
        self.clusters = Arc::new(clusters(&self.secrets, &self.bus));
        let targets = Targets(Arc::clone(&self.clusters), None);
        self.trigger = WorkflowTrigger::routed(Arc::new(targets));
        self.define(more);
    }

    /// From now on nothing is stored.
    pub fn only_try(&mut self, more: Value) {
        let secrets = Arc::clone(&self.secrets) as _;
        let clusters = Clusters::dry_run(secrets, Arc::new(SystemClock), true, Vec::new());
        self.clusters = Arc::new(clusters);
        let targets = Targets(Arc::clone(&self.clusters), None);
        self.trigger = WorkflowTrigger::routed(Arc::new(targets));
        self.define(more);
    }

    /// From now on workflows are followed.
    pub fn follow(&mut self, bus: &Arc<MemoryBus>) -> Arc<Followers> {
        let bus = Arc::clone(bus) as _;
        let followers = Followers::new(Arc::clone(&self.clusters), bus, Arc::new(SystemClock));
        let followers = Arc::new(followers);
        let targets = Targets(Arc::clone(&self.clusters), Some(Arc::clone(&followers)));
        self.trigger = WorkflowTrigger::routed(Arc::new(targets));
        followers
    }

    /// Defines the cluster again, with `more`.
    pub fn define(&self, more: Value) {
        let mut spec = json!({"kubeconfig": {"secret": {"name": "prod", "key": "config"}}});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let spec: ClusterSpec = serde_json::from_value(spec).unwrap();
        let name = ObjectName::new("ops", "prod");
        self.clusters.apply(vec![ClusterDefinition::of_object(&name, spec)]);
    }

    pub fn allow_default(&self, verbs: &[&str]) {
        let rules = json!([{
            "apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": verbs,
        }]);
        let account = Subject::ServiceAccount(&self.namespace, "default");
        self.kube.grant(&self.namespace, account, &rules).unwrap();
    }

    /// What Tripline itself may do with workflows in the namespace.
    pub fn allow_tripline(&self, verbs: &[&str]) {
        let rules = json!([{
            "apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": verbs,
        }]);
        let user = tripline(&self.namespace);
        self.kube.grant(&self.namespace, Subject::User(&user), &rules).unwrap();
    }

    /// Something else comes into the log of events.
    pub async fn event(&self) {
        let append = Append { dedup: None, record: "{}".into() };
        self.bus.append(Log::Events, vec![append]).await.unwrap();
    }

    /// Where the next event will stand.
    pub fn log(&self) -> Position {
        let extent = self.bus.extent(Log::Events).now_or_never();
        extent.expect("memory is at hand").unwrap().next
    }

    /// The action of an event, which submits the workflow of this metadata.
    pub fn rendered(&self, event: &str, metadata: Value) -> RenderedAction {
        let trigger = TriggerName::new(&ObjectName::new(&self.namespace, "deploy"), "submit");
        let key = EventKey::new(&self.namespace, "builds", "completed");
        let id = EventId(event.into());
        let correlation = CorrelationId(format!("build {event}"));
        let action = Action {
            id: ActionId::new(&trigger, [("build", &key, &id)], 0),
            trigger,
            definition: DefinitionHash::of("{}"),
            events: vec![ActionEvent {
                dependency: "build".into(),
                key,
                id,
                position: Position::new(1, 1),
                correlation: correlation.clone(),
            }],
            cause: self.log(),
            links: Links { hops: 1, ..Links::first(correlation) },
            decided_at: "2026-11-21T03:00:00.123Z".parse().unwrap(),
            expires_at: "2036-11-22T03:00:00Z".parse().unwrap(),
            generation: 0,
            round: 0,
            attempted: true,
            target: Some("prod".to_owned()),
            key: None,
            origin: tripline_event::Origin::default(),
            copies: Vec::new(),
        };
        RenderedAction {
            action: Arc::new(action),
            kind: "argoWorkflow".into(),
            config: json!({}),
            resource: Some(json!({
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Workflow",
                "metadata": metadata,
                "spec": {"entrypoint": "main", "serviceAccountName": "runner"},
            })),
            payload: None,
            policy: None,
            service_account: None,
            live: None,
        }
    }

    pub async fn attempt(
        &self,
        rendered: &RenderedAction,
        uncertain: bool,
    ) -> Result<TargetResult, TriggerError> {
        let attempt = Attempt { rendered, events: &[], number: 1, uncertain };
        self.trigger.carry_out(attempt).await
    }

    pub async fn submit(&self, rendered: &RenderedAction) -> Result<TargetResult, TriggerError> {
        self.attempt(rendered, false).await
    }

    /// The cause and the reason of a refusal.
    pub async fn refused(&self, rendered: &RenderedAction) -> (Cause, String) {
        match self.submit(rendered).await {
            Err(TriggerError::Refused { cause, reason }) => (cause, reason),
            other => panic!("{other:?}"),
        }
    }

    pub fn result(&self, name: &str, already: bool) -> TargetResult {
        TargetResult::Workflow {
            target: "prod".into(),
            namespace: self.namespace.clone(),
            name: name.into(),
            already,
        }
    }

    /// Creates a document whose values stand each on a line, as JSON.
    pub fn apply(&self, path: &str, document: &str) {
        let mut object = json!({});
        let mut key = "";
        for line in document.lines() {
            match line.strip_prefix("  - ") {
                Some(item) => {
                    let items = object.as_object_mut().unwrap().entry(key).or_insert(json!([]));
                    items.as_array_mut().unwrap().push(serde_json::from_str(item).unwrap());
                }
                None => {
                    let (field, value) = line.split_once(':').unwrap();
                    key = field;
                    if !value.is_empty() {
                        object[field] = serde_json::from_str(value).unwrap();
                    }
                }
            }
        }
        self.kube.create(path, &object).unwrap();
    }

    pub fn workflows(&self) -> Vec<Value> {
        self.kube.workflows(&self.namespace).unwrap()
    }

    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", KubeApi::workflows_path(&self.namespace))
    }
}

fn clusters(secrets: &Arc<Secrets>, bus: &Arc<MemoryBus>) -> Clusters {
    let (secrets, bus) = (Arc::clone(secrets) as _, Arc::clone(bus) as _);
    Clusters::new(secrets, Arc::new(SystemClock), Some(bus), true, Vec::new())
}

fn install_provider() {
    // Another test of this process may have done it.
    drop(rustls::crypto::ring::default_provider().install_default());
}
