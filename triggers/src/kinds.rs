//! The kinds of triggers: those of Argo Events. A kind that is not there yet is refused,
//! never ignored.

use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tripline_config::{Dialect, FieldPath, Problem, Severity};

use crate::http::HttpConfig;
use crate::k8s::K8sConfig;
#[cfg(feature = "kafka")]
use crate::kafka::{self, KafkaConfig};
use crate::label_policy::LabelPolicy;
use crate::log::LogConfig;
#[cfg(feature = "nats")]
use crate::nats::{self, NatsConfig};
#[cfg(feature = "pubsub")]
use crate::pubsub::{self, PubSubConfig};
#[cfg(feature = "sns")]
use crate::sns::{self, SnsConfig};
#[cfg(feature = "sqs")]
use crate::sqs::{self, SqsConfig};
use crate::workflow::WorkflowConfig;
use crate::{codes, http, k8s, log, workflow};

/// What a kind's `parameters` are applied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applies {
    /// The object that `source` names.
    Resource,
    /// What stands under the kind's key.
    Config,
}

/// A kind of trigger.
pub struct Kind {
    /// Its key in `template`.
    pub key: &'static str,
    /// What its `parameters` are applied to.
    pub applies_to: Applies,
    implementation: Option<Implementation>,
}

type Check = fn(&Value, &FieldPath, Dialect) -> Vec<Problem>;

struct Implementation {
    schema: fn() -> Schema,
    check: Check,
    example: &'static str,
}

/// All kinds, in the order in which Argo Events looks for them: the first one counts.
pub static KINDS: &[Kind] = &[
    here::<K8sConfig>(k8s::KIND, Applies::Resource, check_k8s, k8s::EXAMPLE),
    here::<WorkflowConfig>(
        workflow::KIND,
        Applies::Resource,
        |config, at, dialect| checked(config, at, dialect, |of: WorkflowConfig| of.problems(at)),
        workflow::EXAMPLE,
    ),
    here::<HttpConfig>(
        http::KIND,
        Applies::Config,
        |config, at, dialect| checked(config, at, dialect, |of: HttpConfig| of.problems(at)),
        http::EXAMPLE,
    ),
    not_yet("awsLambda", Applies::Config),
    not_yet("azureEventHubs", Applies::Config),
    not_yet("azureServiceBus", Applies::Config),
    #[cfg(feature = "kafka")]
    here::<KafkaConfig>(
        kafka::KIND,
        Applies::Config,
        |config, at, dialect| checked(config, at, dialect, |of: KafkaConfig| of.problems(at)),
        kafka::EXAMPLE,
    ),
    #[cfg(not(feature = "kafka"))]
    not_yet("kafka", Applies::Config),
    not_yet("pulsar", Applies::Config),
    #[cfg(feature = "nats")]
    here::<NatsConfig>(
        nats::KIND,
        Applies::Config,
        |config, at, dialect| checked(config, at, dialect, |of: NatsConfig| of.problems(at)),
        nats::EXAMPLE,
    ),
    #[cfg(not(feature = "nats"))]
    not_yet("nats", Applies::Config),
    not_yet("slack", Applies::Config),
    not_yet("openWhisk", Applies::Config),
    not_yet("custom", Applies::Config),
    here::<LogConfig>(
        log::KIND,
        Applies::Config,
        |config, at, dialect| checked(config, at, dialect, |_: LogConfig| Vec::new()),
        log::EXAMPLE,
    ),
    not_yet("email", Applies::Config),
    #[cfg(feature = "sqs")]
    here::<SqsConfig>(
        sqs::KIND,
        Applies::Config,
        |config, at, dialect| checked(config, at, dialect, |of: SqsConfig| of.problems(at)),
        sqs::EXAMPLE,
    ),
    #[cfg(not(feature = "sqs"))]
    not_yet("sqs", Applies::Config),
    #[cfg(feature = "sns")]
    here::<SnsConfig>(
        sns::KIND,
        Applies::Config,
        |config, at, dialect| checked(config, at, dialect, |of: SnsConfig| of.problems(at)),
        sns::EXAMPLE,
    ),
    #[cfg(not(feature = "sns"))]
    not_yet("sns", Applies::Config),
    #[cfg(feature = "pubsub")]
    here::<PubSubConfig>(
        pubsub::KIND,
        Applies::Config,
        |config, at, dialect| checked(config, at, dialect, |of: PubSubConfig| of.problems(at)),
        pubsub::EXAMPLE,
    ),
    #[cfg(not(feature = "pubsub"))]
    not_yet("pubSub", Applies::Config),
];

const fn here<C: JsonSchema>(
    key: &'static str,
    applies_to: Applies,
    check: Check,
    example: &'static str,
) -> Kind {
    let schema = || schemars::schema_for!(C);
    Kind { key, applies_to, implementation: Some(Implementation { schema, check, example }) }
}

fn check_k8s(config: &Value, at: &FieldPath, dialect: Dialect) -> Vec<Problem> {
    let mut problems = checked(config, at, dialect, |of: K8sConfig| of.problems(at));
    if cfg!(not(feature = "kubernetes")) {
        let message = "this build was made without the feature `kubernetes`";
        problems.push(Problem::error(codes::KIND_NOT_SUPPORTED, at.clone(), message));
    }
    problems
}

/// The cargo feature that brings a kind which is left out of a program without it.
fn feature(key: &str) -> Option<&'static str> {
    match key {
        "kafka" => Some("kafka"),
        "nats" => Some("nats"),
        "sqs" => Some("sqs"),
        "sns" => Some("sns"),
        "pubSub" => Some("pubsub"),
        _ => None,
    }
}

const fn not_yet(key: &'static str, applies_to: Applies) -> Kind {
    Kind { key, applies_to, implementation: None }
}

/// The kind with this key.
pub fn kind(key: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.key == key)
}

/// What the parameters of the kind `key` are applied to.
pub fn applies_to(key: &str) -> Applies {
    kind(key).map_or(Applies::Config, |kind| kind.applies_to)
}

/// Whether a trigger of the kind `key` acts in a cluster, or what stands for one.
pub fn has_targets(key: &str) -> bool {
    applies_to(key) == Applies::Resource
}

/// What is wrong with `config`, which stands at `at` under the key `key` of a template.
/// Parameters are not looked at.
pub fn check(key: &str, config: &Value, at: &FieldPath, dialect: Dialect) -> Vec<Problem> {
    match kind(key) {
        Some(kind) => kind.check(config, at, dialect),
        None => {
            let message = format!("`{key}` is no kind of trigger");
            vec![Problem::error(codes::UNKNOWN_KIND, at.clone(), message)]
        }
    }
}

/// What is wrong with the `policy` of a trigger of the kind `key`. A policy is obeyed or
/// refused.
pub fn check_policy(key: &str, policy: &Value, at: &FieldPath) -> Vec<Problem> {
    let mut problems = Vec::new();
    for name in ["k8s", "status"] {
        let Some(value) = policy.get(name).filter(|value| !value.is_null()) else { continue };
        if name == "status" && key == http::KIND {
            problems.extend(http::check_status_policy(value, &at.key(name)));
        } else if name == "k8s" && has_targets(key) {
            problems.extend(LabelPolicy::problems(value, &at.key(name)));
        } else {
            let message = format!("`policy.{name}` has no meaning for a trigger `{key}`");
            problems.push(Problem::error(codes::POLICY, at.key(name), message));
        }
    }
    problems
}

/// The object that `source` in `config` names; none for kinds without one.
///
/// # Errors
/// What is wrong with the source, as [`check`] reports it.
pub fn resource(key: &str, config: &Value, at: &FieldPath) -> Result<Option<Value>, Problem> {
    match kind(key).map(|kind| kind.applies_to) {
        Some(Applies::Resource) => {
            let source = config.get("source").unwrap_or(&Value::Null);
            crate::source::object(source, &at.key("source")).map(|object| Some(object.into_owned()))
        }
        _ => Ok(None),
    }
}

impl Kind {
    /// Whether Tripline has this kind.
    pub fn is_implemented(&self) -> bool {
        self.implementation.is_some()
    }

    /// The JSON schema of what stands under the key.
    pub fn schema(&self) -> Option<Schema> {
        self.implementation.as_ref().map(|implementation| (implementation.schema)())
    }

    /// A complete sensor in YAML.
    pub fn example(&self) -> Option<&'static str> {
        self.implementation.as_ref().map(|implementation| implementation.example)
    }

    fn check(&self, config: &Value, at: &FieldPath, dialect: Dialect) -> Vec<Problem> {
        match &self.implementation {
            Some(implementation) => (implementation.check)(config, at, dialect),
            None => vec![match feature(self.key) {
                Some(feature) => {
                    let message = format!("trigger kind `{}` is not in this program", self.key);
                    Problem::error(codes::KIND_NOT_SUPPORTED, at.clone(), message)
                        .help(format!("build it with the cargo feature `{feature}`"))
                }
                None => {
                    let message = format!("trigger kind `{}` is not supported yet", self.key);
                    Problem::error(codes::KIND_NOT_SUPPORTED, at.clone(), message)
                }
            }],
        }
    }
}

/// The problems of the shape, and, where that is right, those that `more` finds.
fn checked<T: DeserializeOwned + JsonSchema + 'static>(
    config: &Value,
    at: &FieldPath,
    dialect: Dialect,
    more: impl FnOnce(T) -> Vec<Problem>,
) -> Vec<Problem> {
    match tripline_config::decode(config, at, dialect) {
        Ok((config, mut problems)) => {
            problems.extend(more(config));
            problems
        }
        Err(problems) => problems,
    }
}

/// Whether there is an error among the problems.
pub fn has_errors(problems: &[Problem]) -> bool {
    problems.iter().any(|problem| problem.severity == Severity::Error)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The codes and places of what is wrong with `config`.
    fn wrong(key: &str, config: &Value) -> Vec<String> {
        let at = FieldPath::root().key(key);
        let problems = check(key, config, &at, Dialect::Argo);
        problems.iter().map(|problem| format!("{} {}", problem.code, problem.path)).collect()
    }

    #[test]
    fn every_kind_of_argo_events_is_known_and_none_is_ignored() {
        for key in [
            "k8s",
            "argoWorkflow",
            "http",
            "awsLambda",
            "azureEventHubs",
            "azureServiceBus",
            "kafka",
            "pulsar",
            "nats",
            "slack",
            "openWhisk",
            "custom",
            "log",
            "email",
        ] {
            let kind = kind(key).unwrap();
            assert_eq!(kind.schema().is_some(), kind.is_implemented());
            assert_eq!(kind.example().is_some(), kind.is_implemented());
            if !kind.is_implemented() {
                assert_eq!(wrong(key, &json!({})), [format!("TL0401 {key}")]);
            }
        }
        assert_eq!(wrong("carrierPigeon", &json!({})), ["TL0400 carrierPigeon"]);
    }

    #[test]
    fn what_is_wrong_with_a_trigger_is_found_at_its_place() {
        let workflow = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow"});
        let source = |more: Value| {
            let mut config = json!({"operation": "submit", "source": {"resource": workflow}});
            config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            config
        };
        for (key, config, expected) in [
            ("argoWorkflow", source(json!({})), vec![]),
            (
                "argoWorkflow",
                source(json!({"operation": "resubmit", "args": ["-p", "a=b"]})),
                vec!["TL0405 argoWorkflow.source.resource.metadata"],
            ),
            (
                "argoWorkflow",
                source(json!({"operation": "sumbit"})),
                vec!["TL0403 argoWorkflow.operation"],
            ),
            ("argoWorkflow", json!({}), vec!["TL0405 argoWorkflow.source"]),
            (
                "argoWorkflow",
                source(json!({"source": {"git": {}}})),
                vec!["TL0406 argoWorkflow.source.git"],
            ),
            (
                "argoWorkflow",
                source(json!({"source": {"resource": {"kind": "Pod"}}})),
                vec!["TL0405 argoWorkflow.source.resource.kind"],
            ),
            ("log", json!({"intervalSeconds": 5}), vec![]),
            ("log", json!({"intervalSeconds": "5"}), vec!["TL0112 log.intervalSeconds"]),
        ] {
            assert_eq!(wrong(key, &config), expected, "{config}");
        }
    }

    #[test]
    fn a_policy_is_obeyed_or_refused() {
        let at = FieldPath::root().key("policy");
        for (key, policy, expected) in [
            ("http", json!({"status": {"allow": [200, 409]}}), vec![]),
            ("http", json!({"status": {"allow": [0]}}), vec!["TL0408 policy.status.allow[0]"]),
            ("http", json!({"k8s": {"labels": {}}}), vec!["TL0407 policy.k8s"]),
            ("argoWorkflow", json!({"k8s": {"labels": {}}}), vec!["TL0407 policy.k8s.labels"]),
            ("k8s", json!({"k8s": {"labels": {"a": "b"}}}), vec![]),
            ("log", json!({"status": {"allow": [200]}}), vec!["TL0407 policy.status"]),
            ("log", json!({"status": null}), vec![]),
        ] {
            let problems = check_policy(key, &policy, &at);
            let found: Vec<_> = problems.iter().map(|p| format!("{} {}", p.code, p.path)).collect();
            assert_eq!(found, expected, "{key} {policy}");
        }
    }

    #[test]
    fn parameters_of_objects_are_applied_to_the_object_that_source_names() {
        let resource = json!({"kind": "Workflow"});
        let config = json!({"source": {"resource": resource}});
        let at = FieldPath::root();
        assert_eq!(super::resource("argoWorkflow", &config, &at), Ok(Some(resource)));
        assert_eq!(super::resource("http", &json!({"url": "http://a"}), &at), Ok(None));
        assert_eq!(kind("http").unwrap().applies_to, Applies::Config);
    }
}
