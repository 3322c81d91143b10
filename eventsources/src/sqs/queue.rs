//! The calls to SQS.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{IdentityCache, SharedHttpClient, StalledStreamProtectionConfig};
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName,
};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, Connector};

use super::config::Sqs;
use super::credentials::SecretKeys;
use super::explain::{Trouble, explain};
use super::limits::{BATCH, CALL, CONNECT};
use crate::SecretLookup;

/// The region of an emulator that was given none: any will do.
const REGION_OF_AN_EMULATOR: &str = "us-east-1";
/// What roles are assumed as: it stands in the account's audit log.
const SESSION: &str = "tripline";

/// A queue that has been found.
pub struct Queue {
    client: Client,
    url: String,
    wait_seconds: i32,
    /// In words: its name and where it is.
    pub place: Place,
}

/// Where a queue is, for errors.
#[derive(Clone, Debug)]
pub struct Place {
    pub queue: String,
    pub region: String,
    pub endpoint: Option<String>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.endpoint {
            Some(endpoint) => write!(f, "queue `{}` at {endpoint}", self.queue),
            None => write!(f, "queue `{}` in {}", self.queue, self.region),
        }
    }
}

/// A message that was received.
#[derive(Debug)]
pub struct Received {
    pub id: Option<String>,
    pub receipt: String,
    pub body: String,
    pub attributes: HashMap<String, MessageAttributeValue>,
    /// Of a FIFO queue: messages of one group are taken in order.
    pub group: Option<String>,
}

/// What a queue says about itself.
#[derive(Debug)]
pub struct Settings {
    /// Whether what is received too often is moved away.
    pub has_redrive_policy: bool,
    /// How many messages wait, about.
    pub waiting: Option<u64>,
}

/// What could not be done with some messages of a batch.
#[derive(Debug)]
pub struct Failed {
    /// The receipts of those for which it may work if it is tried again.
    pub again: Vec<String>,
    /// Why, of one of them.
    pub why: String,
}

impl Queue {
    /// Finds the queue.
    pub async fn connect(
        sqs: &Sqs,
        namespace: &str,
        secrets: &Arc<dyn SecretLookup>,
    ) -> Result<Self, Trouble> {
        let shared = shared_config(sqs, namespace, secrets).await?;
        let place = Place {
            queue: sqs.queue.clone(),
            region: shared.region().map(ToString::to_string).unwrap_or_default(),
            endpoint: sqs.endpoint.clone(),
        };
        let mut config = aws_sdk_sqs::config::Builder::from(&shared);
        config.set_endpoint_url(sqs.endpoint.clone());
        if let Some(role) = &sqs.role {
            let role = AssumeRoleProvider::builder(role).session_name(SESSION).configure(&shared);
            config = config
                .credentials_provider(role.build().await)
                .identity_cache(IdentityCache::lazy().build());
        }
        let client = Client::from_conf(config.build());
        let found = client
            .get_queue_url()
            .queue_name(&sqs.queue)
            .set_queue_owner_aws_account_id(sqs.account.clone())
            .send()
            .await
            .map_err(|error| explain("sqs:GetQueueUrl", &place, &error))?;
        let url = found.queue_url.unwrap_or_default();
        Ok(Self { client, url, wait_seconds: sqs.wait_seconds, place })
    }

    /// Waits for messages, up to the configured time.
    pub async fn receive(&self, hidden: Duration) -> Result<Vec<Received>, Trouble> {
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(BATCH)
            .wait_time_seconds(self.wait_seconds)
            .visibility_timeout(seconds(hidden))
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::MessageGroupId)
            .send()
            .await
            .map_err(|error| explain("sqs:ReceiveMessage", &self.place, &error))?;
        Ok(answer.messages.unwrap_or_default().into_iter().map(received).collect())
    }

    /// Deletes the messages of these receipts, [`BATCH`] at most.
    pub async fn delete(&self, receipts: &[String]) -> Result<Option<Failed>, Trouble> {
        let mut request = self.client.delete_message_batch().queue_url(&self.url);
        for (id, receipt) in receipts.iter().enumerate() {
            let entry = DeleteMessageBatchRequestEntry::builder();
            let entry = entry.id(id.to_string()).receipt_handle(receipt).build();
            request = request.entries(entry.map_err(|error| Trouble::new(error.to_string()))?);
        }
        let answer = request
            .send()
            .await
            .map_err(|error| explain("sqs:DeleteMessage", &self.place, &error))?;
        // One that SQS blames on the caller has expired: the message is delivered again.
        let failed: Vec<_> = answer.failed.iter().filter(|entry| !entry.sender_fault).collect();
        let Some(first) = failed.first() else { return Ok(None) };
        let why = format!("{}: {}", first.code, first.message.as_deref().unwrap_or_default());
        let receipt = |id: &String| receipts.get(id.parse::<usize>().ok()?).cloned();
        let again = failed.iter().filter_map(|entry| receipt(&entry.id)).collect();
        Ok(Some(Failed { again, why }))
    }

    /// Hides the messages of these receipts, [`BATCH`] at most, from now on for so long; zero
    /// shows them again. One whose receipt has expired is left as it is.
    pub async fn hide(&self, receipts: &[String], hidden: Duration) -> Result<(), Trouble> {
        let mut request = self.client.change_message_visibility_batch().queue_url(&self.url);
        for (id, receipt) in receipts.iter().enumerate() {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder();
            let entry = entry.id(id.to_string()).receipt_handle(receipt);
            let entry = entry.visibility_timeout(seconds(hidden)).build();
            request = request.entries(entry.map_err(|error| Trouble::new(error.to_string()))?);
        }
        let answer = request.send().await;
        answer.map_err(|error| explain("sqs:ChangeMessageVisibility", &self.place, &error))?;
        Ok(())
    }

    /// What the queue says about itself.
    pub async fn settings(&self) -> Result<Settings, Trouble> {
        let waiting = QueueAttributeName::ApproximateNumberOfMessages;
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(QueueAttributeName::RedrivePolicy)
            .attribute_names(waiting.clone())
            .send()
            .await
            .map_err(|error| explain("sqs:GetQueueAttributes", &self.place, &error))?;
        let attributes = answer.attributes.unwrap_or_default();
        let policy = attributes.get(&QueueAttributeName::RedrivePolicy);
        Ok(Settings {
            has_redrive_policy: policy.is_some_and(|policy| !policy.is_empty()),
            waiting: attributes.get(&waiting).and_then(|count| count.parse().ok()),
        })
    }

    /// Asks to delete a message that there is not: refused for lack of rights, if they lack.
    pub async fn may_delete(&self) -> Result<(), Trouble> {
        let request = self.client.delete_message().queue_url(&self.url);
        match request.receipt_handle("none").send().await {
            Ok(_) => Ok(()),
            Err(error) => match explain("sqs:DeleteMessage", &self.place, &error) {
                trouble if trouble.is_denied => Err(trouble),
                _ => Ok(()),
            },
        }
    }
}

/// Credentials, region and transport, for SQS and for assuming a role.
async fn shared_config(
    sqs: &Sqs,
    namespace: &str,
    secrets: &Arc<dyn SecretLookup>,
) -> Result<SdkConfig, Trouble> {
    let longest = Duration::from_secs(u64::from(sqs.wait_seconds.unsigned_abs())) + CALL;
    let timeouts =
        TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(longest);
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client(sqs.endpoint.as_deref()))
        .timeout_config(timeouts.build())
        // It would take a receive that waits for one that hangs.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(region) = &sqs.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(keys) = &sqs.keys {
        let (keys, namespace) = (keys.clone(), namespace.to_owned());
        let keys = SecretKeys { keys, namespace, secrets: Arc::clone(secrets) };
        loader = loader.credentials_provider(keys).identity_cache(IdentityCache::no_cache());
    }
    let shared = loader.load().await;
    match (shared.region(), &sqs.endpoint) {
        (Some(_), _) => Ok(shared),
        (None, Some(_)) => {
            Ok(shared.into_builder().region(Region::from_static(REGION_OF_AN_EMULATOR)).build())
        }
        (None, None) => Err(Trouble::new("no region is known: add `region: eu-central-1`".into())),
    }
}

/// One for all queues. A proxy is taken from the environment, as in Argo Events, but never to
/// this machine.
pub(super) fn http_client(endpoint: Option<&str>) -> SharedHttpClient {
    static DIRECT: OnceLock<SharedHttpClient> = OnceLock::new();
    static PROXIED: OnceLock<SharedHttpClient> = OnceLock::new();
    if endpoint.is_some_and(is_on_this_machine) {
        return DIRECT.get_or_init(|| client_by(ProxyConfig::disabled)).clone();
    }
    PROXIED.get_or_init(|| client_by(ProxyConfig::from_env)).clone()
}

fn client_by(proxy: fn() -> ProxyConfig) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder();
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector.set_proxy_config(Some(proxy()));
        connector.tls_provider(Provider::Rustls(CryptoMode::Ring)).build()
    })
}

fn is_on_this_machine(endpoint: &str) -> bool {
    let uri = endpoint.parse::<http::Uri>().ok();
    let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn received(message: Message) -> Received {
    let group = message.attributes.as_ref();
    let group = group.and_then(|all| all.get(&MessageSystemAttributeName::MessageGroupId));
    Received {
        group: group.cloned(),
        id: message.message_id,
        receipt: message.receipt_handle.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
        attributes: message.message_attributes.unwrap_or_default(),
    }
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::is_on_this_machine;

    #[test]
    fn a_proxy_is_never_asked_for_this_machine() {
        for (endpoint, expected) in [
            ("http://127.0.0.1:9324", true),
            ("http://localhost:4566/x", true),
            ("http://[::1]:1", true),
            ("https://sqs.eu-central-1.amazonaws.com", false),
            ("http://localhost.example", false),
        ] {
            assert_eq!(is_on_this_machine(endpoint), expected, "{endpoint}");
        }
    }
}
