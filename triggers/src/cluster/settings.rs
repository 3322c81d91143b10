//! What can be configured for a cluster.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tripline_cloud::GoogleIdentity;
use tripline_config::{FieldPath, Problem, SecretRef};
use tripline_event::ObjectName;

use crate::codes;
use crate::workflow::local;

/// The most requests to a cluster at once, where its definition does not say.
const MAX_IN_FLIGHT: u32 = 64;
/// The most that may be configured.
const MOST_IN_FLIGHT: u32 = 4096;
/// The longest timeout that may be configured.
const LONGEST_TIMEOUT_SECONDS: u64 = 3600;

/// A cluster that actions are carried out in, by the name of the object.
///
/// A cluster is reached by exactly one of: `kubeconfig.secret`, `kubeconfig.file` with
/// `context`, and `inCluster`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSpec {
    /// Where the kubeconfig is that leads to the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<KubeconfigSource>,
    /// The context of the kubeconfig. Needed for a file, so that a changed `current-context`
    /// changes nothing; in a Secret, the `current-context` where this is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The cluster that Tripline itself runs in, with the account of its pod.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_cluster: bool,
    /// The namespaces that objects may be created in. All, where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Vec<String>>,
    /// The most requests at once: 64 where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
    /// Whether actions act as the service account that their sensor names. True where it is
    /// not given; false lets all act with Tripline's own rights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impersonate: Option<bool>,
    /// How long a connection may take to come about, in seconds: 5 where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_timeout_seconds: Option<u64>,
    /// How long an answer may take, in seconds: 30 where it is not given. After that it is
    /// not known whether the object was created; it is looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_timeout_seconds: Option<u64>,
    /// How long a credential plugin of the kubeconfig may run, in seconds: 30 where it is not
    /// given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec_timeout_seconds: Option<u64>,
    /// That Google believes what the cluster says of its service accounts, and why. With it,
    /// objects that name a service account are that account to Google; without it, only those
    /// whose account has the annotation `iam.gke.io/gcp-service-account`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub google_identity: Option<GoogleIdentity>,
    /// Whose triggers act here, where they name no cluster themselves: so unchanged sensors
    /// of Argo Events are sent to a cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub r#for: Vec<For>,
}

/// Where a kubeconfig is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KubeconfigSource {
    /// A key of a Secret of the object's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretRef>,
    /// A file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// Sensors whose triggers act in a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct For {
    /// The sensors' namespace.
    pub namespace: String,
    /// One sensor of it; all, where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensor: Option<String>,
}

/// A cluster that actions can name.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterDefinition {
    /// By what actions name it.
    pub name: String,
    /// The namespace in which its Secret is.
    pub namespace: String,
    /// How it is reached, and how it is treated.
    pub spec: ClusterSpec,
    /// It came from `--context`: `spec.context` is one of the user's own kubeconfig.
    pub from_user: bool,
}

impl ClusterDefinition {
    /// The cluster of the object `name`.
    pub fn of_object(name: &ObjectName, spec: ClusterSpec) -> Self {
        let ObjectName { namespace, name } = name.clone();
        Self { name, namespace, spec, from_user: false }
    }

    /// The cluster of a context of the user's own kubeconfig, named after it.
    pub fn of_context(context: &str) -> Self {
        let spec = ClusterSpec { context: Some(context.to_owned()), ..ClusterSpec::default() };
        let namespace = tripline_event::name::DEFAULT_NAMESPACE.to_owned();
        Self { name: context.to_owned(), namespace, spec, from_user: true }
    }

    /// The cluster that this process runs in.
    pub fn in_cluster() -> Self {
        let spec = ClusterSpec { in_cluster: true, ..ClusterSpec::default() };
        let namespace = tripline_event::name::DEFAULT_NAMESPACE.to_owned();
        Self { name: IN_CLUSTER.to_owned(), namespace, spec, from_user: false }
    }

    /// Where it is to be found, for messages: no secret is in it.
    pub fn whence(&self) -> String {
        let context = self.spec.context.as_deref();
        if self.spec.in_cluster {
            return "the cluster that this process runs in".to_owned();
        }
        let of = context.map(|context| format!("context `{context}` of ")).unwrap_or_default();
        match &self.spec.kubeconfig {
            Some(KubeconfigSource { secret: Some(secret), .. }) => {
                format!("{of}the kubeconfig in Secret {}/{}", self.namespace, secret.name)
            }
            Some(KubeconfigSource { file: Some(file), .. }) => format!("{of}kubeconfig {file}"),
            _ => format!("{of}your kubeconfig"),
        }
    }
}

/// The name of the cluster that this process runs in, where no object names it.
pub const IN_CLUSTER: &str = "in-cluster";

impl ClusterSpec {
    /// What is wrong with it; `name` is that of the object.
    pub fn problems(&self, name: &str, at: &FieldPath) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut error = |at: FieldPath, message: String| {
            problems.push(Problem::error(codes::CLUSTER, at, message));
        };
        if name == local::NAME {
            let at = FieldPath::root().key("metadata").key("name");
            error(at, "`local` is the target in the data directory: choose another name".into());
        }
        let kubeconfig = self.kubeconfig.clone().unwrap_or_default();
        let ways = [kubeconfig.secret.is_some(), kubeconfig.file.is_some(), self.in_cluster];
        match ways.into_iter().filter(|way| *way).count() {
            1 => {}
            0 => error(
                at.clone(),
                "a cluster needs `kubeconfig.secret`, `kubeconfig.file` with `context`, or \
                 `inCluster: true`"
                    .to_owned(),
            ),
            _ => error(at.clone(), "there is more than one way to the cluster".to_owned()),
        }
        if kubeconfig.file.is_some() && self.context.as_deref().unwrap_or_default().is_empty() {
            let message = "a kubeconfig file needs `context`: what its `current-context` happens \
                           to be is not used";
            error(at.key("context"), message.to_owned());
        }
        if self.in_cluster && self.context.is_some() {
            error(at.key("context"), "`inCluster` has no contexts".to_owned());
        }
        if self.max_in_flight.is_some_and(|most| !(1..=MOST_IN_FLIGHT).contains(&most)) {
            let message = format!("a number from 1 to {MOST_IN_FLIGHT} is expected");
            error(at.key("maxInFlight"), message);
        }
        for (field, seconds) in [
            ("connectTimeoutSeconds", self.connect_timeout_seconds),
            ("requestTimeoutSeconds", self.request_timeout_seconds),
            ("execTimeoutSeconds", self.exec_timeout_seconds),
        ] {
            if seconds.is_some_and(|seconds| !(1..=LONGEST_TIMEOUT_SECONDS).contains(&seconds)) {
                let message =
                    format!("a number of seconds from 1 to {LONGEST_TIMEOUT_SECONDS} is expected");
                error(at.key(field), message);
            }
        }
        for (field, message) in self.google_identity.iter().flat_map(GoogleIdentity::mistakes) {
            error(at.key("googleIdentity").key(field), message);
        }
        problems
    }

    /// The most requests at once.
    pub fn in_flight(&self) -> u32 {
        self.max_in_flight.unwrap_or(MAX_IN_FLIGHT).clamp(1, MOST_IN_FLIGHT)
    }

    /// How long a connection may take to come about.
    pub fn connect_timeout(&self) -> Duration {
        seconds(self.connect_timeout_seconds, 5)
    }

    /// How long an answer may take.
    pub fn request_timeout(&self) -> Duration {
        seconds(self.request_timeout_seconds, 30)
    }

    /// How long a credential plugin may run.
    pub fn exec_timeout(&self) -> Duration {
        seconds(self.exec_timeout_seconds, 30)
    }
}

fn seconds(given: Option<u64>, default: u64) -> Duration {
    Duration::from_secs(given.unwrap_or(default).clamp(1, LONGEST_TIMEOUT_SECONDS))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn wrong(spec: Value) -> Vec<String> {
        let spec: ClusterSpec = serde_json::from_value(spec).unwrap();
        let problems = spec.problems("prod", &FieldPath::root().key("spec"));
        problems.iter().map(|problem| problem.path.to_string()).collect()
    }

    #[test]
    fn a_cluster_is_reached_in_exactly_one_way_and_never_by_whatever_is_current() {
        let secret = json!({"secret": {"name": "prod", "key": "config"}});
        for (spec, expected) in [
            (json!({"kubeconfig": secret}), vec![]),
            (json!({"kubeconfig": secret, "context": "a"}), vec![]),
            (json!({"kubeconfig": {"file": "/k"}, "context": "a"}), vec![]),
            (json!({"inCluster": true}), vec![]),
            (json!({}), vec!["spec"]),
            (json!({"context": "a"}), vec!["spec"]),
            (json!({"kubeconfig": {"file": "/k"}}), vec!["spec.context"]),
            (json!({"kubeconfig": secret, "inCluster": true}), vec!["spec"]),
            (json!({"inCluster": true, "context": "a"}), vec!["spec.context"]),
            (json!({"inCluster": true, "maxInFlight": 0}), vec!["spec.maxInFlight"]),
            (json!({"inCluster": true, "execTimeoutSeconds": 0}), vec!["spec.execTimeoutSeconds"]),
            (json!({"inCluster": true, "googleIdentity": {}}), vec![]),
            (
                json!({"inCluster": true, "googleIdentity": {"tokenUrl": "http://sts.example.com"}}),
                vec!["spec.googleIdentity.tokenUrl"],
            ),
        ] {
            assert_eq!(wrong(spec.clone()), expected, "{spec}");
        }
        let spec = ClusterSpec { in_cluster: true, ..ClusterSpec::default() };
        assert_eq!(spec.problems("local", &FieldPath::root()).len(), 1);
    }
}
