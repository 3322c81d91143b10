//! What can be configured for a queue.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tripline_cloud::aws::{Access, Fields, is_amazons};
use tripline_config::{FieldPath, Problem};

use super::limits::{DEFAULT_WAIT_SECONDS, HIDDEN, MAX_WAIT_SECONDS};
use crate::fields::{Correlation, EventFilter, data_end, take};
use crate::unwrap::Unwrap;
use crate::{SecretRef, codes};

/// The messages of a queue of Amazon SQS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SqsConfig {
    /// The name of the queue, not its URL. One that ends in `.fifo` is read in order.
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
    /// How many seconds a receive waits for a message, 1 to 20; 3 if not given or 0. Longer
    /// costs fewer requests; messages come at once in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_time_seconds: Option<i64>,
    /// The id of an access key, with `secretKey`. If not given: the default chain
    /// (environment, profile, web identity of a service account, the machine's role). A
    /// changed secret is taken up at the next request.
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
    /// Messages are JSON and stand in the data as they are; one that is not becomes a dead
    /// letter. Otherwise the data has them in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_body: Option<bool>,
    /// With `jsonBody`: what is not JSON is left in the queue, for its redrive policy to move
    /// into its dead-letter queue. Where the queue has no redrive policy this does nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dlq: Option<bool>,
    /// Copied into each event's data, under `metadata`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    /// What must be true of the event's data. A message for which it is not is deleted, and is
    /// no event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<EventFilter>,
    /// What is inside of the messages: `sns`, messages of SNS in their envelopes; `s3`,
    /// notifications of S3, also in such envelopes or from EventBridge: an event for each object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub unwrap: Option<Unwrap>,
    /// Where an event has its correlation id, if not in one of the usual places (message
    /// attributes and body).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub correlation: Option<Correlation>,
}

/// A queue whose configuration is right.
#[derive(Clone, Debug)]
pub struct Sqs {
    pub(super) queue: String,
    pub(super) account: Option<String>,
    pub(super) access: Access,
    pub(super) wait_seconds: i32,
    pub(super) json_body: bool,
    pub(super) unwrap: Option<Unwrap>,
    /// What is not JSON is left to the queue's redrive policy.
    pub(super) leaves_unreadable: bool,
    /// The end of each event's data: `,"metadata":{…}}` or `}`.
    pub(super) data_end: String,
    /// See [`HIDDEN`].
    pub(super) hidden: Duration,
}

impl Sqs {
    /// Whether its messages come from Amazon, and not from an address of one's own. A VPC
    /// endpoint is Amazon's.
    pub fn is_real(&self) -> bool {
        self.access.endpoint.as_deref().is_none_or(is_amazons)
    }
}

impl SqsConfig {
    /// The queue, or what is wrong with its configuration, which is at `at`.
    pub fn resolve(&self, at: &FieldPath) -> (Option<Sqs>, Vec<Problem>) {
        let mut problems = Vec::new();
        let found = &mut problems;
        let queue = take(self.queue(at), found);
        let access = self.access(at, found);
        let unwrap = take(self.unwrap(at), found);
        let wait_seconds = take(self.wait_seconds(at), found);
        let sqs = (|| {
            Some(Sqs {
                queue: queue?,
                account: given(self.queue_account_id.as_ref()).map(str::to_owned),
                access: access?,
                wait_seconds: wait_seconds?,
                json_body: self.json_body == Some(true),
                unwrap: unwrap?,
                leaves_unreadable: self.dlq == Some(true),
                data_end: data_end(self.metadata.as_ref()),
                hidden: HIDDEN,
            })
        })();
        (sqs, problems)
    }

    fn queue(&self, at: &FieldPath) -> Result<String, Problem> {
        let at = at.key("queue");
        let error = |message| Problem::error(codes::SQS_QUEUE, at.clone(), message);
        let name = self.queue.as_str();
        if let Some(last) = name.rsplit(['/', ':']).next().filter(|last| *last != name) {
            let message = format!("queue is {name:?}, expected a name, no URL and no ARN");
            return Err(error(message).help(format!("only its last part: `{last}`")));
        }
        if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(error(format!("queue is {name:?}, expected the name of a queue")));
        }
        Ok(name.to_owned())
    }

    fn access(&self, at: &FieldPath, found: &mut Vec<Problem>) -> Option<Access> {
        let fields = Fields {
            region: self.region.as_ref(),
            endpoint: self.endpoint.as_ref(),
            access_key: self.access_key.as_ref(),
            secret_key: self.secret_key.as_ref(),
            session_token: self.session_token.as_ref(),
            role_arn: self.role_arn.as_ref(),
        };
        crate::fields::access(fields, at, codes::SQS_ENDPOINT, codes::SQS_CREDENTIALS, found)
    }

    fn unwrap(&self, at: &FieldPath) -> Result<Option<Unwrap>, Problem> {
        let unwrap = self.unwrap.map(|unwrap| unwrap.among(&[Unwrap::Sns, Unwrap::S3]));
        let wrong = |message| Problem::error(codes::UNWRAP, at.key("unwrap"), message);
        unwrap.transpose().map_err(wrong)
    }

    fn wait_seconds(&self, at: &FieldPath) -> Result<i32, Problem> {
        // Argo Events takes 0 as "not given".
        let Some(seconds) = self.wait_time_seconds.filter(|seconds| *seconds != 0) else {
            return Ok(DEFAULT_WAIT_SECONDS);
        };
        let in_range = |seconds: &i32| (1..=MAX_WAIT_SECONDS).contains(seconds);
        i32::try_from(seconds).ok().filter(in_range).ok_or_else(|| {
            let message = format!("waitTimeSeconds is {seconds}, expected a number from 1 to 20");
            Problem::error(codes::SQS_WAIT, at.key("waitTimeSeconds"), message)
        })
    }
}

fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}
