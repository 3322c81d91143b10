//! What can be configured for a message to SQS.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tripline_cloud::aws::{Access, Fields};
use tripline_config::{FieldPath, Problem, SecretRef};

use crate::{amazon, codes, payload};

/// Sends a message to a queue of Amazon SQS.
///
/// It is a success when SQS has answered with the id of the message. Throttling, faults of the
/// service and timeouts are tried again, honouring `Retry-After`; no right, no such queue and a
/// message that is too large are a dead letter. Each message carries the attributes
/// `x-correlation-id`, `x-causation-id`, `x-tripline-hops`, `x-tripline-path` and `traceparent`,
/// and, where `attributes` has one at most, `ce-id`, `ce-source`, `ce-specversion` and `ce-type`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SqsConfig {
    /// The name of the queue, neither its URL nor its ARN. One that ends in `.fifo` is a FIFO
    /// queue: the deduplication id is the action's, so that an attempt that is made again within
    /// five minutes is one message.
    pub queue: String,
    /// The region of the queue, such as `eu-central-1`. If not given: what the environment, the
    /// profile or the machine says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The account that the queue belongs to, if it is another one than that of the
    /// credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_account_id: Option<String>,
    /// Another address of SQS: of an emulator, or of a VPC endpoint.
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
    /// What of the events makes up the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Vec<Value>>,
    /// Values of the events that are put into this configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Vec<Value>>,
    /// Attributes of the message, five at most. One whose value is empty is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<BTreeMap<String, String>>,
    /// The message group in a FIFO queue. If not given: one for each trigger
    /// (`namespace/sensor/trigger`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_group_id: Option<String>,
}

impl SqsConfig {
    /// Where the queue is and with what it is called.
    pub(super) fn access(&self, at: &FieldPath) -> Result<Access, Vec<Problem>> {
        let fields = Fields {
            region: self.region.as_ref(),
            endpoint: self.endpoint.as_ref(),
            access_key: self.access_key.as_ref(),
            secret_key: self.secret_key.as_ref(),
            session_token: self.session_token.as_ref(),
            role_arn: self.role_arn.as_ref(),
        };
        amazon::access(fields, at)
    }

    /// Whether the queue keeps messages in order.
    pub(super) fn is_fifo(&self) -> bool {
        self.queue.ends_with(".fifo")
    }

    /// What is wrong with what stands under the key.
    pub(crate) fn problems(&self, at: &FieldPath) -> Vec<Problem> {
        let payload = payload::missing(self.payload.as_ref(), at);
        self.mistakes(at).into_iter().chain(payload).collect()
    }

    /// What is wrong with what is left of it when the payload is rendered.
    pub(super) fn mistakes(&self, at: &FieldPath) -> Vec<Problem> {
        let mut problems = self.access(at).err().unwrap_or_default();
        problems.extend(self.queue(&at.key("queue")));
        problems.extend(amazon::check_attributes(self.attributes.as_ref(), &at.key("attributes")));
        if self.message_group_id.is_some() && !self.is_fifo() {
            let message = "`messageGroupId` has no meaning for a queue that is no FIFO queue";
            problems.push(Problem::error(codes::CLOUD_NAME, at.key("messageGroupId"), message));
        }
        problems
    }

    fn queue(&self, at: &FieldPath) -> Option<Problem> {
        let name = self.queue.as_str();
        let error = |message| Problem::error(codes::CLOUD_NAME, at.clone(), message);
        if let Some(last) = name.rsplit(['/', ':']).next().filter(|last| *last != name) {
            let message = format!("queue is {name:?}, expected a name, no URL and no ARN");
            return Some(error(message).help(format!("only its last part: `{last}`")));
        }
        let bad = name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control());
        bad.then(|| error(format!("queue is {name:?}, expected the name of a queue")))
    }
}
