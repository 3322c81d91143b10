//! What can be configured for a topic.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tripline_cloud::aws::{Access, Fields, is_amazons};
use tripline_config::{FieldPath, Problem};

use super::certificates::Certificates;
use crate::fields::{Correlation, EventFilter, data_end, take};
use crate::unwrap::Unwrap;
use crate::webhook::{Webhook, WebhookContext};
use crate::{SecretRef, codes};

/// The messages of a topic of Amazon SNS, by HTTP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnsConfig {
    /// Where messages come in.
    pub webhook: WebhookContext,
    /// The ARN of the topic. Messages of other topics are refused.
    pub topic_arn: String,
    /// The region of the topic; that of the ARN if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The id of an access key, with `secretKey`, to subscribe and to confirm with. If not
    /// given: the role of the event source's service account in a cluster, else the default
    /// chain (environment, profile, web identity, the machine's role).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key: Option<SecretRef>,
    /// The access key's secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<SecretRef>,
    /// A role that is assumed, with the keys if there are any, else with the default chain.
    #[serde(default, rename = "roleARN", skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// Another address of SNS: of an emulator, or of a VPC endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Takes only messages with a good signature of SNS, versions 1 and 2, that were published
    /// within the last 12 hours. Without it anybody who reaches the port can send messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validate_signature: Option<bool>,
    /// Copied into each event's data, under `metadata`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    /// What must be true of the event's data. A message for which it is not is answered with
    /// success, and is no event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<EventFilter>,
    /// What of a message an event is: `sns`, the message without its envelope; `s3`, the
    /// records of a notification of S3: an event for each object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub unwrap: Option<Unwrap>,
    /// Where an event has its correlation id, if not in one of the usual places (message
    /// attributes, and the body of the message).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub correlation: Option<Correlation>,
}

/// A topic whose configuration is right.
#[derive(Clone, Debug)]
pub struct Sns {
    pub(crate) webhook: Arc<Webhook>,
    pub(super) topic_arn: String,
    pub(super) access: Access,
    /// What SNS posts to, where it is known: then the source subscribes by itself.
    pub(super) url: Option<String>,
    pub(super) unwrap: Option<Unwrap>,
    /// The end of each event's data: `,"metadata":{…}}` or `}`.
    pub(super) data_end: String,
    /// Where signatures are checked: the certificates that they are checked with.
    pub(super) certificates: Option<Arc<Certificates>>,
}

impl Sns {
    /// Whether it subscribes to a topic of Amazon's, and not of an emulator.
    pub fn is_real(&self) -> bool {
        self.subscribes() && self.access.endpoint.as_deref().is_none_or(is_amazons)
    }

    /// Whether it subscribes by itself.
    pub(crate) fn subscribes(&self) -> bool {
        self.url.is_some()
    }
}

impl SnsConfig {
    /// The topic, or what is wrong with its configuration, which is at `at`.
    pub fn resolve(&self, at: &FieldPath) -> (Option<Sns>, Vec<Problem>) {
        let (webhook, mut problems) = self.webhook.resolve(&at.key("webhook"));
        let found = &mut problems;
        let topic_arn = take(self.topic_arn(at), found);
        let access = self.access(at, found);
        let url = take(self.url(at), found);
        let unwrap = self.unwrap.map(|unwrap| unwrap.among(&[Unwrap::Sns, Unwrap::S3]));
        let wrong = |message| Problem::error(codes::UNWRAP, at.key("unwrap"), message);
        let unwrap = take(unwrap.transpose().map_err(wrong), found);
        let validates = self.validate_signature == Some(true);
        let sns = (|| {
            Some(Sns {
                webhook: webhook?,
                topic_arn: topic_arn?,
                access: access?,
                url: url?,
                unwrap: unwrap?,
                data_end: data_end(self.metadata.as_ref()),
                certificates: validates.then(Certificates::of_amazon),
            })
        })();
        (sns, problems)
    }

    fn topic_arn(&self, at: &FieldPath) -> Result<String, Problem> {
        let arn = &self.topic_arn;
        let parts: Vec<&str> = arn.split(':').collect();
        let good = matches!(parts[..], ["arn", _, "sns", region, _, name]
            if !region.is_empty() && !name.is_empty());
        if good {
            return Ok(arn.clone());
        }
        let message = format!("topicArn is {arn:?}, expected `arn:aws:sns:REGION:ACCOUNT:NAME`");
        Err(Problem::error(codes::SNS_TOPIC, at.key("topicArn"), message))
    }

    fn access(&self, at: &FieldPath, found: &mut Vec<Problem>) -> Option<Access> {
        let of_arn = self.topic_arn.split(':').nth(3).map(str::to_owned);
        let region = self.region.clone().filter(|region| !region.is_empty()).or(of_arn);
        let fields = Fields {
            region: region.as_ref(),
            endpoint: self.endpoint.as_ref(),
            access_key: self.access_key.as_ref(),
            secret_key: self.secret_key.as_ref(),
            session_token: None,
            role_arn: self.role_arn.as_ref(),
        };
        crate::fields::access(fields, at, codes::SNS_ACCESS, codes::SNS_ACCESS, found)
    }

    fn url(&self, at: &FieldPath) -> Result<Option<String>, Problem> {
        let Some(url) = self.webhook.public_url() else { return Ok(None) };
        let good = url.parse::<http::Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
        });
        if good && !url.contains('{') {
            return Ok(Some(url));
        }
        let message =
            format!("SNS cannot post to {url:?}, expected `https://HOST` and a fixed path");
        Err(Problem::error(codes::SNS_TOPIC, at.key("webhook").key("url"), message))
    }
}
