//! A namespace of a real API server, and what Tripline needs there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tripline_testbed::{Grant, KubeApi, Subject};

use crate::daemon::Place;
use crate::set_checker::Delivery;

/// The service account that sensors of a tenant name.
pub const SERVICE_ACCOUNT: &str = "deployer";
/// How often it is looked whether a workflow is there.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A namespace in which a service account may create workflows, and a user who may act as
/// that account and look at workflows, and nothing else: Tripline.
pub struct Tenant<'a> {
    /// The API server.
    pub kube: &'a KubeApi,
    /// The namespace, of the sensors too.
    pub namespace: String,
    submits: Option<Grant>,
}

fn rules(group: &str, resource: &str, verbs: &[&str]) -> Value {
    json!([{ "apiGroups": [group], "resources": [resource], "verbs": verbs }])
}

impl<'a> Tenant<'a> {
    /// A new one.
    ///
    /// # Errors
    /// The API server refuses it.
    pub fn new(kube: &'a KubeApi, namespace: &str) -> anyhow::Result<Self> {
        kube.create_namespace(namespace)?;
        kube.service_account(namespace, SERVICE_ACCOUNT)?;
        let mut tenant = Self { kube, namespace: namespace.to_owned(), submits: None };
        tenant.allow()?;
        let user = tenant.user();
        kube.grant(
            namespace,
            Subject::User(&user),
            &rules("", "serviceaccounts", &["impersonate"]),
        )?;
        let looks = rules("argoproj.io", "workflows", &["get", "list", "watch"]);
        kube.grant(namespace, Subject::User(&user), &looks)?;
        Ok(tenant)
    }

    /// Who Tripline is there.
    fn user(&self) -> String {
        format!("tripline-{}", self.namespace)
    }

    /// The service account may create workflows: so it is at first, and again after
    /// [`Self::forbid`].
    ///
    /// # Errors
    /// The API server refuses it.
    pub fn allow(&mut self) -> anyhow::Result<()> {
        let account = Subject::ServiceAccount(&self.namespace, SERVICE_ACCOUNT);
        let submits = rules("argoproj.io", "workflows", &["create", "get", "list", "watch"]);
        self.submits = Some(self.kube.grant(&self.namespace, account, &submits)?);
        Ok(())
    }

    /// The service account may do nothing.
    ///
    /// # Errors
    /// The API server refuses it.
    pub fn forbid(&mut self) -> anyhow::Result<()> {
        let grant = self.submits.take().context("nothing is granted")?;
        self.kube.revoke(grant)
    }

    /// The objects, as YAML, by which Tripline knows the cluster as `name`: at `address`, which
    /// may be that of a proxy. Each of `settings` is a line of the Cluster's `spec`.
    ///
    /// # Errors
    /// A certificate cannot be made.
    pub fn cluster(
        &self,
        name: &str,
        address: SocketAddr,
        settings: &[&str],
    ) -> anyhow::Result<String> {
        let kubeconfig = self.kube.user(&self.user())?.at(address).text();
        let kubeconfig: String = kubeconfig.lines().map(|line| format!("    {line}\n")).collect();
        let settings: String = settings.iter().map(|line| format!("  {line}\n")).collect();
        let namespace = &self.namespace;
        Ok(format!(
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}-kubeconfig\n  namespace: {namespace}\n\
             stringData:\n  config: |\n{kubeconfig}---\n\
             apiVersion: tripline.dev/v1\nkind: Cluster\nmetadata:\n  name: {name}\n  namespace: {namespace}\n\
             spec:\n  kubeconfig:\n    secret: {{ name: {name}-kubeconfig, key: config }}\n{settings}"
        ))
    }

    /// The workflows of a sensor, the oldest first.
    ///
    /// # Errors
    /// The API server does not answer.
    pub fn workflows(&self, sensor: &str) -> anyhow::Result<Vec<Value>> {
        let mut workflows = self.kube.workflows(&self.namespace)?;
        let of = |workflow: &Value| {
            workflow.pointer("/metadata/labels/events.argoproj.io~1sensor") == Some(&json!(sensor))
        };
        workflows.retain(of);
        let revision = |workflow: &Value| {
            let revision = workflow.pointer("/metadata/resourceVersion")?.as_str()?;
            revision.parse::<u64>().ok()
        };
        workflows.sort_by_key(revision);
        Ok(workflows)
    }

    /// The workflows of a sensor as the set checker sees them.
    ///
    /// # Errors
    /// The API server does not answer, or one names no event.
    pub fn deliveries(&self, sensor: &str) -> anyhow::Result<Vec<Delivery>> {
        self.workflows(sensor)?.iter().map(delivery).collect()
    }

    /// The workflows of all sensors, by sensor, as the set checker sees them: in one question,
    /// where there are many.
    ///
    /// # Errors
    /// The API server does not answer, or one names no event or no sensor.
    pub fn all_deliveries(&self) -> anyhow::Result<BTreeMap<String, Vec<Delivery>>> {
        let mut all: BTreeMap<String, Vec<Delivery>> = BTreeMap::new();
        for workflow in self.kube.workflows(&self.namespace)? {
            let sensor = text(&workflow, "/metadata/labels/events.argoproj.io~1sensor")?;
            all.entry(sensor).or_default().push(delivery(&workflow)?);
        }
        Ok(all)
    }

    /// Waits until a sensor has submitted a workflow with this first parameter; returns its
    /// name.
    ///
    /// # Errors
    /// It does not come within the time.
    pub async fn submitted(
        &self,
        sensor: &str,
        value: &str,
        within: Duration,
    ) -> anyhow::Result<String> {
        let deadline = Instant::now() + within;
        loop {
            for workflow in self.workflows(sensor)? {
                if first_parameter(&workflow)? == value {
                    return text(&workflow, "/metadata/name");
                }
            }
            ensure!(
                Instant::now() < deadline,
                "no workflow of {sensor} has the parameter {value:?}: {:?}",
                self.deliveries(sensor)
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// A sensor, unchanged YAML of Argo Events, that submits a workflow for each event
/// `completed` of an event source. The workflow's first parameter is what `parameter`
/// takes from the event: `dataKey: body.correlation_id`.
pub fn sensor(namespace: &str, name: &str, source: &str, parameter: &str) -> String {
    format!(
        r#"apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata:
  name: {name}
  namespace: {namespace}
spec:
  template:
    serviceAccountName: {SERVICE_ACCOUNT}
  dependencies:
    - name: message
      eventSourceName: {source}
      eventName: completed
  triggers:
    - template:
        name: deploy-workflow
        argoWorkflow:
          operation: submit
          source:
            resource:
              apiVersion: argoproj.io/v1alpha1
              kind: Workflow
              metadata:
                generateName: {name}-
              spec:
                entrypoint: deploy
                arguments:
                  parameters:
                    - name: correlation-id
                      value: ""
                templates:
                  - name: deploy
                    container:
                      image: registry.example.com/deployer:1
          parameters:
            - src:
                dependencyName: message
                {parameter}
              dest: spec.arguments.parameters.0.value
"#
    )
}

fn text(workflow: &Value, pointer: &str) -> anyhow::Result<String> {
    let found = workflow.pointer(pointer).and_then(Value::as_str);
    found.map(str::to_owned).with_context(|| format!("no {pointer} in {workflow}"))
}

/// The value of a workflow's first parameter.
///
/// # Errors
/// It has none.
pub fn first_parameter(workflow: &Value) -> anyhow::Result<String> {
    text(workflow, "/spec/arguments/parameters/0/value")
}

/// The workflows of the local target as the set checker sees them.
///
/// # Errors
/// They cannot be listed, or one names no event.
pub fn recorded(place: &Place) -> anyhow::Result<Vec<Delivery>> {
    let listed = place.lines(&["workflows", "list", "--limit", "100000"])?;
    listed.iter().map(|workflow| delivery(&workflow["object"])).collect()
}

fn delivery(workflow: &Value) -> anyhow::Result<Delivery> {
    Ok(Delivery {
        event: text(workflow, "/metadata/annotations/tripline.dev~1event-id")?,
        action: text(workflow, "/metadata/labels/tripline.dev~1action-id")?,
        correlation: first_parameter(workflow)?,
    })
}
