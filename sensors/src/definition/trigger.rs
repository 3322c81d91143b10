//! Triggers, as they are written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::steering::{FreezeWindow, Ordering, Overlap, WhenQueued};
use super::{NumberOrText, Suspend, is_false, nullable};

/// What is done when a condition holds, and how persistently.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Trigger {
    /// What is done, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TriggerTemplate>,
    /// Values of the events that are put into `template` before it is carried out.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<TriggerParameter>,
    /// What counts as success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<TriggerPolicy>,
    /// How failed attempts are repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_strategy: Option<Backoff>,
    /// How many actions are carried out in a span of time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// Argo Events carries a trigger out at most once unless this is set. Tripline always
    /// carries it out at least once.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "is_false")]
    pub at_least_once: bool,
    /// What is done with the same events when this trigger has failed for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dlq_trigger: Option<Box<Trigger>>,
    /// How many actions of this trigger may be carried out at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub max_in_flight: Option<u32>,
    /// How long after its event an action may still be started: `90s`, `24h`. After that
    /// it is a dead letter. 24 hours where it is not given.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    #[schemars(extend("x-tripline" = true))]
    pub expires_after: String,
    /// The clusters that the trigger is carried out in, by the names of `Cluster` objects:
    /// one action for each. `local` is the target that keeps workflows in the data directory.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-tripline" = true))]
    pub clusters: Vec<String>,
    /// The event says which cluster the trigger is carried out in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub cluster_from: Option<ClusterFrom>,
    /// A path in the data of the event that completes the condition. `ordering`, `whenQueued`
    /// and `overlap` are about actions of the same value there (and the same cluster). Without
    /// it, and for events that have nothing there, about all actions of the trigger.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    #[schemars(extend("x-tripline" = true))]
    pub key: String,
    /// `strict`: the next action starts after the one before it is closed, retries included.
    /// `none`, also where it is not given: an action that waits for its retry holds up none
    /// behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub ordering: Option<Ordering>,
    /// `latest`: of the actions that wait, only the newest is carried out, one at a time; the
    /// others are dropped, each with an outcome. `all`, also where it is not given: all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub when_queued: Option<WhenQueued>,
    /// What happens to an action while an earlier one still runs: `AllowAll` (also where it
    /// is not given), `Skip`, `BufferOne`, `BufferAll`, `CancelOther`, `TerminateOther`. A
    /// workflow in a cluster runs until it has ended; everything else, until it was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub overlap: Option<Overlap>,
    /// Suspends this trigger as long as it is given, as `suspend` of the sensor does with all
    /// of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub suspend: Option<Suspend>,
    /// Times at which no action of this trigger is started, beside those of the sensor.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-tripline" = true))]
    pub freeze: Vec<FreezeWindow>,
}

/// Which cluster an event names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterFrom {
    /// The path of the cluster's name in the data of the event that completes the condition.
    #[serde(default, deserialize_with = "nullable")]
    pub path: String,
    /// The clusters that may be named. An event that names another one, or none, makes a dead
    /// letter.
    #[serde(default, deserialize_with = "nullable")]
    pub allow: Vec<String>,
}

/// What a trigger does: a name, the condition, and one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TriggerTemplate {
    /// The trigger's name, unique in the sensor.
    #[serde(default, deserialize_with = "nullable")]
    pub name: String,
    /// Dependency names joined by `&&`, `||` and parentheses. Empty: all dependencies of
    /// the sensor, joined by `&&`.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub conditions: String,
    /// When half-met conditions are forgotten.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub conditions_reset: Vec<ConditionsReset>,
    /// Creates, updates, patches or deletes a Kubernetes object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k8s: Option<Value>,
    /// Submits an Argo Workflow, or acts on one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argo_workflow: Option<Value>,
    /// Sends an HTTP request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<Value>,
    /// Invokes an AWS Lambda function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_lambda: Option<Value>,
    /// Sends to Azure Event Hubs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure_event_hubs: Option<Value>,
    /// Sends to Azure Service Bus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure_service_bus: Option<Value>,
    /// Produces to a Kafka topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<Value>,
    /// Produces to a Pulsar topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulsar: Option<Value>,
    /// Publishes on a NATS subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nats: Option<Value>,
    /// Posts a Slack message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<Value>,
    /// Invokes an OpenWhisk action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_whisk: Option<Value>,
    /// Calls a gRPC server of one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<Value>,
    /// Writes the events to the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<Value>,
    /// Sends e-mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Value>,
    /// Sends a message to a queue of Amazon SQS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub sqs: Option<Value>,
    /// Publishes a message on a topic of Amazon SNS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub sns: Option<Value>,
    /// Publishes a message on a topic of Google Cloud Pub/Sub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub pub_sub: Option<Value>,
}

impl TriggerTemplate {
    /// The kinds that are given, with what stands under them. Argo Events carries out the
    /// first and ignores the others.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        [
            ("k8s", &self.k8s),
            ("argoWorkflow", &self.argo_workflow),
            ("http", &self.http),
            ("awsLambda", &self.aws_lambda),
            ("azureEventHubs", &self.azure_event_hubs),
            ("azureServiceBus", &self.azure_service_bus),
            ("kafka", &self.kafka),
            ("pulsar", &self.pulsar),
            ("nats", &self.nats),
            ("slack", &self.slack),
            ("openWhisk", &self.open_whisk),
            ("custom", &self.custom),
            ("log", &self.log),
            ("email", &self.email),
            ("sqs", &self.sqs),
            ("sns", &self.sns),
            ("pubSub", &self.pub_sub),
        ]
        .into_iter()
        .filter_map(|(kind, value)| value.as_ref().map(|value| (kind, value)))
    }

    /// The kind that is carried out.
    pub fn kind(&self) -> Option<(&'static str, &Value)> {
        self.kinds().next()
    }
}

/// When half-met conditions are forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConditionsReset {
    /// At these times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_time: Option<ConditionsResetByTime>,
}

/// Times, as a cron expression.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConditionsResetByTime {
    /// A cron expression of five fields.
    #[serde(default, deserialize_with = "nullable")]
    pub cron: String,
    /// The IANA time zone; UTC where it is empty.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub timezone: String,
}

/// A value of an event and where it is put.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TriggerParameter {
    /// Where the value comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src: Option<ParameterSource>,
    /// Where it is put: an sjson path (`spec.arguments.parameters.0.value`). Missing
    /// objects and arrays are made. In a payload, empty is the payload as a whole.
    #[serde(default, deserialize_with = "nullable")]
    pub dest: String,
    /// `overwrite` (also empty), `append` or `prepend` to the text that is there.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub operation: String,
}

/// Where a value comes from. Keys and templates of the data go before those of the
/// context, a template before a key. Without any of them it is `value`, else the whole
/// event as JSON text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParameterSource {
    /// The dependency whose event it is.
    #[serde(default, deserialize_with = "nullable")]
    pub dependency_name: String,
    /// A path in the event's context: `id`, `source`, `specversion`, `type`,
    /// `datacontenttype`, `subject`, `time`, and Tripline's `correlationid`.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub context_key: String,
    /// A Go template over the event's context.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub context_template: String,
    /// A path in the event's payload.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub data_key: String,
    /// A Go template over the event's payload.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub data_template: String,
    /// The value where there is none otherwise. An empty text is a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Numbers, booleans, objects and arrays of `dataKey` and `contextKey` stay what they
    /// are, and do not become texts.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "is_false")]
    pub use_raw_data: bool,
}

/// What counts as success.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TriggerPolicy {
    /// Labels that the created object must get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k8s: Option<K8sPolicy>,
    /// Status codes that the answer may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusPolicy>,
}

/// The created object is asked for until it has all of these labels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct K8sPolicy {
    /// The labels.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How often to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
    /// Whether it is a failure that the labels have not come in time.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "is_false")]
    pub error_on_backoff_timeout: bool,
}

/// Status codes that count as success.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusPolicy {
    /// The codes.
    #[serde(default, deserialize_with = "nullable")]
    pub allow: Vec<i32>,
}

/// How attempts are spaced.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Backoff {
    /// The first pause: a Go duration (`1s`), or a number of nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<NumberOrText>,
    /// By what the pause is multiplied each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<NumberOrText>,
    /// The largest share of the pause that is added to it at random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<NumberOrText>,
    /// How many attempts are made at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<i32>,
    /// The longest pause: a Go duration. There is none where it is not given.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    #[schemars(extend("x-tripline" = true))]
    pub cap: String,
}

/// At most so many actions in a span of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// The span.
    #[serde(default, deserialize_with = "nullable")]
    pub unit: RateLimitUnit,
    /// How many actions start in it at most.
    #[serde(default, deserialize_with = "nullable")]
    pub requests_per_unit: i32,
}

/// The span of a rate limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RateLimitUnit {
    /// A second.
    #[default]
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
}
