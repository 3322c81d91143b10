//! What can be configured for a message to SNS.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tripline_cloud::aws::{Access, Fields};
use tripline_config::{FieldPath, Problem, SecretRef};

use crate::{amazon, codes, payload};

/// The longest subject, in characters.
const MAX_SUBJECT_CHARS: usize = 100;

/// Publishes a message on a topic of Amazon SNS.
///
/// It is a success when SNS has answered with the id of the message. Throttling, faults of the
/// service and timeouts are tried again, honouring `Retry-After`; no right, no such topic and a
/// message that is too large are a dead letter. Each message carries the attributes
/// `x-correlation-id`, `x-causation-id`, `x-tripline-hops`, `x-tripline-path` and `traceparent`,
/// and, where `attributes` has one at most, `ce-id`, `ce-source`, `ce-specversion` and `ce-type`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnsConfig {
    /// The ARN of the topic. One that ends in `.fifo` is a FIFO topic: the deduplication id is
    /// the action's, so that an attempt that is made again within five minutes is one message.
    pub topic_arn: String,
    /// The region, if it is not that of the ARN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Another address of SNS: of an emulator, or of a VPC endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The id of an access key, with `secretKey`. If not given: the role of the sensor's service
    /// account in a cluster, else the default chain (environment, profile, web identity, the
    /// machine's role). A changed secret is taken up at the next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key: Option<SecretRef>,
    /// The access key's secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<SecretRef>,
    /// The session token, where the keys are temporary ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<SecretRef>,
    /// A role that is assumed, with the keys if there are any, else with the default chain.
    #[serde(default, rename = "roleARN", skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// What of the events makes up the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Vec<Value>>,
    /// Values of the events that are put into this configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Vec<Value>>,
    /// The subject, for subscribers by e-mail: 100 characters at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Attributes of the message, five at most. One whose value is empty is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<BTreeMap<String, String>>,
    /// The message group in a FIFO topic. If not given: one for each trigger
    /// (`namespace/sensor/trigger`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_group_id: Option<String>,
}

impl SnsConfig {
    /// Where the topic is and with what it is called.
    pub(super) fn access(&self, at: &FieldPath) -> Result<Access, Vec<Problem>> {
        let of_arn = self.topic_arn.split(':').nth(3).map(str::to_owned);
        let given = self.region.clone().filter(|region| !region.is_empty());
        let region = given.or(of_arn);
        let fields = Fields {
            region: region.as_ref(),
            endpoint: self.endpoint.as_ref(),
            access_key: self.access_key.as_ref(),
            secret_key: self.secret_key.as_ref(),
            session_token: self.session_token.as_ref(),
            role_arn: self.role_arn.as_ref(),
        };
        amazon::access(fields, at)
    }

    /// Whether the topic keeps messages in order.
    pub(super) fn is_fifo(&self) -> bool {
        self.topic_arn.ends_with(".fifo")
    }

    /// What is wrong with what stands under the key.
    pub(crate) fn problems(&self, at: &FieldPath) -> Vec<Problem> {
        let payload = payload::missing(self.payload.as_ref(), at);
        self.mistakes(at).into_iter().chain(payload).collect()
    }

    /// What is wrong with what is left of it when the payload is rendered.
    pub(super) fn mistakes(&self, at: &FieldPath) -> Vec<Problem> {
        let mut problems = self.access(at).err().unwrap_or_default();
        let error = |field: &str, message: String| {
            Problem::error(codes::CLOUD_NAME, at.key(field), message)
        };
        let arn = self.topic_arn.as_str();
        if !is_topic_arn(arn) {
            let message =
                format!("topicArn is {arn:?}, expected `arn:aws:sns:REGION:ACCOUNT:NAME`");
            problems.push(error("topicArn", message));
        }
        problems.extend(amazon::check_attributes(self.attributes.as_ref(), &at.key("attributes")));
        let chars = self.subject.as_deref().map_or(0, |subject| subject.chars().count());
        if chars > MAX_SUBJECT_CHARS {
            let message = format!("subject has {chars} characters, expected 100 at most");
            problems.push(error("subject", message));
        }
        if self.message_group_id.is_some() && !self.is_fifo() {
            let message = "`messageGroupId` has no meaning for a topic that is no FIFO topic";
            problems.push(error("messageGroupId", message.to_owned()));
        }
        problems
    }
}

fn is_topic_arn(arn: &str) -> bool {
    let parts: Vec<&str> = arn.split(':').collect();
    matches!(parts[..], ["arn", partition, "sns", region, _, name]
        if partition.starts_with("aws") && !region.is_empty() && !name.is_empty())
}
