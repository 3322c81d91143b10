//! What can be configured for a subscription.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tripline_config::{Dialect, FieldPath, Problem};

use super::limits::{BYTES, MAX_BYTES, MAX_MESSAGES, MESSAGES, PATIENCE, PROBE_EVERY};
use super::names::{self, Name};
use crate::fields::{Correlation, EventFilter, data_end, take};
use crate::unwrap::Unwrap;
use crate::{SecretRef, codes};

/// The messages of a subscription of Google Cloud Pub/Sub.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PubSubConfig {
    /// The project of the subscription. If not given: the one that the metadata server of
    /// Google Cloud names, on a machine there.
    #[serde(default, rename = "projectID", skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// The project of the topic, if it is another one. It needs `topic`.
    #[serde(default, rename = "topicProjectID", skip_serializing_if = "Option::is_none")]
    pub topic_project_id: Option<String>,
    /// The topic to which the subscription must belong, and on which it is created where it is
    /// missing. `topic`, `subscriptionID`, or both are needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The subscription, without `projects/…/subscriptions/`. If not given: the name of the
    /// event, and a hash of its configuration, as Argo Events forms it. A change of the
    /// configuration is then another subscription.
    #[serde(default, rename = "subscriptionID", skip_serializing_if = "Option::is_none")]
    pub subscription_id: Option<String>,
    /// The key of a service account (JSON). A changed secret is taken up. If not given: the
    /// application default credentials (`GOOGLE_APPLICATION_CREDENTIALS`, those of `gcloud
    /// auth application-default login`, or workload identity).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_secret: Option<SecretRef>,
    /// Delete the subscription when the event source stops, with all that it still holds; also
    /// when the daemon stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_subscription_on_finish: Option<bool>,
    /// Messages are JSON and stand in the data as they are. A message that is not becomes a
    /// dead letter. Otherwise the data has them in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_body: Option<bool>,
    /// Copied into each event's data, under `metadata`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    /// Not supported yet, and refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<EventFilter>,
    /// Create the subscription, and the topic, where they are missing. Under
    /// `argoproj.io/v1alpha1` that is always done where `topic` is given; here only if this is
    /// `true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub create: Option<bool>,
    /// Another address of the service: `https://…`, such as that of a region, or `http://…` of
    /// an emulator, which is given no credentials. It wins over `PUBSUB_EMULATOR_HOST`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub endpoint: Option<String>,
    /// How many messages are held at a time: received, and not yet on the event bus; 1000 if
    /// not given, at most 10000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub max_outstanding_messages: Option<i64>,
    /// How many bytes of messages are held at a time; 67108864 (64 MiB) if not given, at most
    /// 1073741824.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub max_outstanding_bytes: Option<i64>,
    /// What is inside of the messages: `gcs`, notifications of Google Cloud Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub unwrap: Option<Unwrap>,
    /// Where an event has its correlation id, if not in one of the usual places (attributes
    /// and body).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub correlation: Option<Correlation>,
}

/// A subscription whose configuration is right.
#[derive(Clone, Debug)]
pub struct PubSub {
    /// As it was written, for the hash of a subscription's default name.
    pub(super) config: PubSubConfig,
    pub(super) names: names::Configured,
    pub(super) credential: Option<SecretRef>,
    pub(super) endpoint: Option<String>,
    pub(super) create: bool,
    pub(super) delete_on_finish: bool,
    pub(super) json_body: bool,
    /// Messages are notifications of Cloud Storage.
    pub(super) unwrap: Option<Unwrap>,
    /// Whether the data names the ordering key; Argo Events leaves it out.
    pub(super) shows_ordering_key: bool,
    /// The end of each event's data: `,"metadata":{…}}` or `}`.
    pub(super) data_end: String,
    pub(super) max_messages: usize,
    pub(super) max_bytes: usize,
    pub(super) patience: Duration,
    pub(super) probe_every: Duration,
}

impl PubSubConfig {
    /// The subscription, or what is wrong with its configuration, which is at `at`.
    pub fn resolve(&self, at: &FieldPath, dialect: Dialect) -> (Option<PubSub>, Vec<Problem>) {
        let mut problems = Vec::new();
        let found = &mut problems;
        let names = self.names(at, found);
        let endpoint = take(self.endpoint(at), found);
        let field = at.key("maxOutstandingMessages");
        let max_messages = (self.max_outstanding_messages, MESSAGES, MAX_MESSAGES);
        let max_messages = take(within(max_messages, field), found);
        let max_bytes = (self.max_outstanding_bytes, BYTES, MAX_BYTES);
        let max_bytes = take(within(max_bytes, at.key("maxOutstandingBytes")), found);
        let unwrap = self.unwrap.map(|unwrap| unwrap.among(&[Unwrap::Gcs])).transpose();
        let wrong = |message| Problem::error(codes::UNWRAP, at.key("unwrap"), message);
        let unwrap = take(unwrap.map_err(wrong), found);
        let create = match dialect {
            Dialect::Argo => self.topic.as_deref().is_some_and(|topic| !topic.is_empty()),
            Dialect::Tripline => self.create == Some(true),
        };
        if create && names.as_ref().is_some_and(|names| names.topic.is_none()) {
            let problem = Problem::error(
                codes::PUBSUB_NAMES,
                at.key("create"),
                "`create` is given without `topic`",
            );
            found.push(problem.help("a subscription is created on a topic: add `topic`"));
        }
        let resolved = (|| {
            Some(PubSub {
                config: self.clone(),
                names: names?,
                credential: self.credential_secret.clone(),
                endpoint: endpoint?,
                create,
                delete_on_finish: self.delete_subscription_on_finish == Some(true),
                json_body: self.json_body == Some(true),
                unwrap: unwrap?,
                shows_ordering_key: dialect == Dialect::Tripline,
                data_end: data_end(self.metadata.as_ref()),
                max_messages: max_messages?,
                max_bytes: max_bytes?,
                patience: PATIENCE,
                probe_every: PROBE_EVERY,
            })
        })();
        (resolved.filter(|_| problems.is_empty()), problems)
    }

    fn names(&self, at: &FieldPath, found: &mut Vec<Problem>) -> Option<names::Configured> {
        let before = found.len();
        let mut name = |text: &Option<String>, field: &str, is: Name| {
            let text = text.as_deref().filter(|text| !text.is_empty())?;
            if let Err(message) = is.check(text) {
                let problem = Problem::error(codes::PUBSUB_NAMES, at.key(field), message);
                found.push(match text.rsplit_once('/') {
                    Some((_, last)) => problem.help(format!("only its last part: `{last}`")),
                    None => problem,
                });
            }
            Some(text.to_owned())
        };
        let names = names::Configured {
            project: name(&self.project_id, "projectID", Name::Project),
            topic_project: name(&self.topic_project_id, "topicProjectID", Name::Project),
            topic: name(&self.topic, "topic", Name::Resource),
            subscription: name(&self.subscription_id, "subscriptionID", Name::Resource),
        };
        let error = |at, message| Problem::error(codes::PUBSUB_NAMES, at, message);
        if names.topic.is_none() && names.subscription.is_none() {
            let problem = error(at.clone(), "neither `subscriptionID` nor `topic` is given");
            found.push(problem.help("name the subscription: `subscriptionID: builds`"));
        }
        if names.topic.is_none() && names.topic_project.is_some() {
            let problem =
                error(at.key("topicProjectID"), "`topicProjectID` is given without `topic`");
            found.push(problem.help("add `topic`, or remove `topicProjectID`"));
        }
        (found.len() == before).then_some(names)
    }

    fn endpoint(&self, at: &FieldPath) -> Result<Option<String>, Problem> {
        let Some(text) = self.endpoint.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let uri = text.parse::<http::Uri>().ok().filter(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
                && uri.path_and_query().is_none_or(|path| path.as_str() == "/")
        });
        match uri {
            Some(_) => Ok(Some(text.trim_end_matches('/').to_owned())),
            None => Err(Problem::error(
                codes::PUBSUB_ENDPOINT,
                at.key("endpoint"),
                format!("endpoint is {text:?}, expected `http://HOST:PORT` or `https://HOST`"),
            )),
        }
    }
}

fn within(
    (given, default, most): (Option<i64>, i64, i64),
    at: FieldPath,
) -> Result<usize, Problem> {
    let value = given.unwrap_or(default);
    usize::try_from(value).ok().filter(|_| (1..=most).contains(&value)).ok_or_else(|| {
        let message = format!("is {value}, expected a number from 1 to {most}");
        Problem::error(codes::PUBSUB_OUTSTANDING, at, message)
    })
}
