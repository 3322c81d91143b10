//! What can be configured for a message to Pub/Sub.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tripline_cloud::google::Name;
use tripline_config::{FieldPath, Problem, SecretRef};

use crate::{codes, payload};

/// The most attributes of a message: the service's own bound is 100, and Tripline's need some.
const MAX_ATTRIBUTES: usize = 80;
/// The most bytes of an attribute's name, as the service has it.
const MAX_NAME_BYTES: usize = 256;
/// The most bytes of an attribute's value and of an ordering key, as the service has it.
pub(super) const MAX_VALUE_BYTES: usize = 1024;

/// Publishes a message on a topic of Google Cloud Pub/Sub.
///
/// It is a success when Pub/Sub has answered with the id of the message. Used up quotas, faults
/// of the service and timeouts are tried again; no right, no such topic and a message that is
/// not valid are a dead letter. Each message carries the attributes `x-correlation-id`,
/// `x-causation-id`, `x-tripline-hops`, `x-tripline-path` and `traceparent`, and those of a
/// CloudEvent in binary mode (`ce-id`, `ce-source`, …, `content-type`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PubSubConfig {
    /// The project of the topic.
    #[serde(rename = "projectID")]
    pub project_id: String,
    /// The topic, without `projects/…/topics/`.
    pub topic: String,
    /// The ordering key: messages of one key are delivered in the order in which they were
    /// published, to subscriptions with message ordering.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordering_key: Option<String>,
    /// Attributes of the message. One whose value is empty is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<BTreeMap<String, String>>,
    /// The key of a service account (JSON). A changed secret is taken up at the next attempt. If
    /// not given: the application default credentials (`GOOGLE_APPLICATION_CREDENTIALS`, those
    /// of `gcloud auth application-default login`, or workload identity).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_secret: Option<SecretRef>,
    /// Another address of the service: `https://…`, such as that of a region, or `http://…` of
    /// an emulator, which is given no credentials. It wins over `PUBSUB_EMULATOR_HOST`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// What of the events makes up the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Vec<Value>>,
    /// Values of the events that are put into this configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Vec<Value>>,
}

impl PubSubConfig {
    /// What is wrong with what stands under the key.
    pub(crate) fn problems(&self, at: &FieldPath) -> Vec<Problem> {
        let payload = payload::missing(self.payload.as_ref(), at);
        self.mistakes(at).into_iter().chain(payload).collect()
    }

    /// What is wrong with what is left of it when the payload is rendered.
    pub(super) fn mistakes(&self, at: &FieldPath) -> Vec<Problem> {
        let mut problems = Vec::new();
        let names = [
            ("projectID", &self.project_id, Name::Project),
            ("topic", &self.topic, Name::Resource),
        ];
        for (field, text, is) in names {
            let checked = if text.is_empty() { Err("is empty".to_owned()) } else { is.check(text) };
            let Err(message) = checked else { continue };
            let problem = Problem::error(codes::CLOUD_NAME, at.key(field), message);
            problems.push(match text.rsplit_once('/') {
                Some((_, last)) => problem.help(format!("only its last part: `{last}`")),
                None => problem,
            });
        }
        if let Some(text) = self.endpoint().filter(|text| !is_address(text)) {
            let message =
                format!("endpoint is {text:?}, expected `http://HOST:PORT` or `https://HOST`");
            problems.push(Problem::error(codes::CLOUD_ACCESS, at.key("endpoint"), message));
        }
        if self.ordering_key.as_ref().is_some_and(|key| key.len() > MAX_VALUE_BYTES) {
            let message = format!("orderingKey is longer than {MAX_VALUE_BYTES} bytes");
            problems.push(Problem::error(codes::CLOUD_NAME, at.key("orderingKey"), message));
        }
        problems.extend(self.attribute_problems(&at.key("attributes")));
        problems
    }

    fn attribute_problems(&self, at: &FieldPath) -> Vec<Problem> {
        let Some(attributes) = &self.attributes else { return Vec::new() };
        let error = |at, message: String| Problem::error(codes::ATTRIBUTES, at, message);
        let mut problems = Vec::new();
        if attributes.len() > MAX_ATTRIBUTES {
            let message = format!(
                "there are {} attributes, expected {MAX_ATTRIBUTES} at most",
                attributes.len()
            );
            problems.push(error(at.clone(), message));
        }
        for (name, value) in attributes {
            if name.is_empty() || name.len() > MAX_NAME_BYTES || name.starts_with("goog") {
                let message = format!(
                    "{name:?} is no name of an attribute: 1 to {MAX_NAME_BYTES} bytes, not \
                     beginning with `goog`"
                );
                problems.push(error(at.key(name), message));
            }
            if value.len() > MAX_VALUE_BYTES {
                let message = format!("the value is longer than {MAX_VALUE_BYTES} bytes");
                problems.push(error(at.key(name), message));
            }
        }
        problems
    }

    /// The configured address.
    pub(super) fn endpoint(&self) -> Option<&str> {
        let text = self.endpoint.as_deref().filter(|text| !text.is_empty());
        text.map(|text| text.trim_end_matches('/'))
    }
}

fn is_address(text: &str) -> bool {
    text.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.path_and_query().is_none_or(|path| path.as_str() == "/")
    })
}
