//! What kinds that are built on the webhook's server have below `webhook`.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tripline_config::{FieldPath, Problem};

use super::config::{Webhook, WebhookConfig};
use crate::{SecretRef, codes};

/// Where messages come in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookContext {
    /// The path, such as `/builds`, as that of a `webhook`.
    pub endpoint: String,
    /// The port, as text. All event sources of all namespaces may use the same one.
    pub port: String,
    /// `POST`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The URL at which the outside reaches the port, without the path. With it Tripline
    /// subscribes by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The certificate chain (PEM). With `serverKeySecret` it makes the port an HTTPS port; all
    /// webhooks of a port must name the same. A changed certificate is taken up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_cert_secret: Option<SecretRef>,
    /// The certificate's private key (PEM).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_key_secret: Option<SecretRef>,
    /// Without effect: `metadata` of the event is what stands in the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    /// A token that requests must bring. Services that sign their messages bring none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_secret: Option<SecretRef>,
    /// The largest body that is taken, in bytes; 1048576 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_payload_size: Option<i64>,
}

impl WebhookContext {
    /// The webhook, or what is wrong with it. It is at `at`.
    pub(crate) fn resolve(&self, at: &FieldPath) -> (Option<Arc<Webhook>>, Vec<Problem>) {
        // The fields have the same names.
        let config = serde_json::to_value(self).and_then(serde_json::from_value::<WebhookConfig>);
        let (webhook, mut problems) = match config {
            Ok(config) => config.resolve(at),
            Err(error) => {
                return (
                    None,
                    vec![Problem::error(codes::WRONG_SHAPE, at.clone(), error.to_string())],
                );
            }
        };
        if self.method.as_deref().is_some_and(|method| !matches!(method, "" | "POST")) {
            let message = "messages come by POST";
            problems.push(Problem::error(codes::METHOD, at.key("method"), message));
            return (None, problems);
        }
        (webhook.map(Arc::new), problems)
    }

    /// The URL that the outside posts to, if it is known.
    pub(crate) fn public_url(&self) -> Option<String> {
        let url = self.url.as_deref().filter(|url| !url.is_empty())?;
        let (url, endpoint) = (url.trim_end_matches('/'), self.endpoint.trim_start_matches('/'));
        Some(format!("{url}/{endpoint}"))
    }
}
