//! `pubSub`: publishes a message on a topic of Google Cloud Pub/Sub. Tripline's own.
//!
//! An attempt without an answer may have been published, and is made again: Pub/Sub does not
//! recognise a repeated message. Whoever receives both sees the same `x-causation-id`.

mod config;
mod protocol;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize as _;
use sha2::{Digest as _, Sha256};
use tripline_cloud::google::{Channel, Identity, Trouble, is_google, pubsub_address};
use tripline_cloud::{Caller, Lookup};
use tripline_config::{FieldPath, SecretRef};
use tripline_event::Cause;
use tripline_event::outcome::TargetResult;

use crate::message_headers::{HeaderRules, headers};
use crate::pool::Pool;
use crate::{Attempt, BoxFuture, Identities, RenderedAction, Trigger, TriggerError};

pub use config::PubSubConfig;
use protocol::{GetTopic, Permissions, Publish, Published, PubsubMessage, TestPermissions, Topic};

/// The key under `template`.
pub const KIND: &str = "pubSub";

/// A complete sensor with such a trigger.
pub const EXAMPLE: &str = include_str!("example.yaml");

/// Where the service is for everybody.
const GOOGLE: &str = "https://pubsub.googleapis.com";
/// How long one call may take.
const CALL: Duration = Duration::from_secs(30);
/// The right that publishing needs.
const PUBLISH: &str = "pubsub.topics.publish";

/// The kind `pubSub`.
pub struct PubSubTrigger {
    identities: Identities,
    connections: Pool<Key, Connection>,
}

/// What makes one connection differ from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    address: String,
    /// A hash of the secret: a rotated one is another key. None: the default credentials, or
    /// none at all for an address without encryption.
    secret: Option<[u8; 32]>,
    /// The service account that it acts as, by namespace and name.
    account: Option<(String, String)>,
}

impl Key {
    fn new(config: &PubSubConfig, caller: &Caller) -> Result<Self, String> {
        let address = pubsub_address(config.endpoint()).unwrap_or_else(|| GOOGLE.to_owned());
        let mut key = Self { address, secret: None, account: None };
        match (&config.credential_secret, &caller.account) {
            _ if key.is_open() => {}
            (Some(secret), _) => key.secret = Some(fingerprint(secret, &caller.secrets)?),
            (None, Some(of)) => key.account = Some((of.namespace.clone(), of.name.clone())),
            (None, None) => {}
        }
        Ok(key)
    }

    /// An address without encryption is never sent credentials.
    fn is_open(&self) -> bool {
        self.address.starts_with("http://")
    }
}

struct Connection {
    channel: Channel,
    account: Option<String>,
}

impl PubSubTrigger {
    /// Takes credentials from `identities`.
    pub fn new(identities: Identities) -> Self {
        Self { identities, connections: Pool::default() }
    }

    async fn send(&self, rendered: &RenderedAction) -> Result<TargetResult, TriggerError> {
        let invalid = |reason| TriggerError::Refused { cause: Cause::Render, reason };
        let config = PubSubConfig::deserialize(&rendered.config)
            .map_err(|error| invalid(format!("`pubSub` is not valid: {error}")))?;
        if let Some(problem) = config.mistakes(&FieldPath::root()).into_iter().next() {
            return Err(invalid(format!("`pubSub`: {}: {}", problem.path, problem.message)));
        }
        let namespace = &rendered.action.trigger.namespace;
        let caller = self.identities.caller(namespace, rendered.service_account.as_deref());
        let not_done = |reason| TriggerError::NotDone { reason, after: None };
        let key = Key::new(&config, &caller).map_err(not_done)?;
        let connection = self.connection(&key, &config, &caller).await.map_err(not_done)?;
        let topic = format!("projects/{}/topics/{}", config.project_id, config.topic);
        let request = Publish { topic: topic.clone(), messages: vec![message(&config, rendered)] };
        let path = "/google.pubsub.v1.Publisher/Publish";
        let answer = connection.channel.call(path, ("topic", &topic), request).await;
        let answer: Published = answer.map_err(|trouble| {
            // The service account may be another one of Google's by now.
            if matches!(trouble, Trouble::NoToken(_) | Trouble::Denied(_)) {
                self.connections.forget(&key);
            }
            error(&trouble, &topic, connection.account.as_deref())
        })?;
        match answer.message_ids.into_iter().next().filter(|id| !id.is_empty()) {
            Some(id) => Ok(TargetResult::Message { to: format!("topic {}", config.topic), id }),
            None => Err(TriggerError::Retry {
                reason: format!("`{topic}` was answered without the id of a message"),
                after: None,
            }),
        }
    }

    async fn connection(
        &self,
        key: &Key,
        config: &PubSubConfig,
        caller: &Caller,
    ) -> Result<Arc<Connection>, String> {
        self.connections
            .get(key, async || {
                let identity = match &config.credential_secret {
                    _ if key.is_open() => Identity::anonymous(),
                    Some(secret) => Identity::of_secret(secret, &caller.secrets)?,
                    None => Identity::of_caller(caller).await?,
                };
                let channel = Channel::new(&key.address, identity.credentials, CALL)?;
                Ok(Connection { channel, account: identity.account })
            })
            .await
    }

    /// Looks at the topic that `config` names, as a sensor of `namespace` would. Nothing is
    /// published.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub async fn probe(
        &self,
        config: &PubSubConfig,
        namespace: &str,
        service_account: Option<&str>,
    ) -> Result<String, String> {
        let caller = self.identities.caller(namespace, service_account);
        let connection = self.connection(&Key::new(config, &caller)?, config, &caller).await?;
        let topic = format!("projects/{}/topics/{}", config.project_id, config.topic);
        let said =
            |trouble: Trouble| error(&trouble, &topic, connection.account.as_deref()).to_string();
        let address = pubsub_address(config.endpoint());
        if address.is_some_and(|address| !is_google(&address)) {
            // An emulator knows no permissions.
            let request = GetTopic { topic: topic.clone() };
            let path = "/google.pubsub.v1.Publisher/GetTopic";
            let found = connection.channel.call(path, ("topic", &topic), request).await;
            let _: Topic = found.map_err(said)?;
            return Ok(format!("{topic} is there"));
        }
        let request =
            TestPermissions { resource: topic.clone(), permissions: vec![PUBLISH.to_owned()] };
        let path = "/google.iam.v1.IAMPolicy/TestIamPermissions";
        let found = connection.channel.call(path, ("resource", &topic), request).await;
        let has: Permissions = found.map_err(said)?;
        if has.permissions.is_empty() {
            return Err(may_not(&topic, connection.account.as_deref()));
        }
        Ok(format!("messages may be published on {topic}"))
    }
}

impl Trigger for PubSubTrigger {
    /// There is nothing to look at before: a topic does not show what was published.
    fn asks_for_earlier_attempts(&self) -> bool {
        false
    }

    fn carry_out<'a>(
        &'a self,
        attempt: Attempt<'a>,
    ) -> BoxFuture<'a, Result<TargetResult, TriggerError>> {
        Box::pin(self.send(attempt.rendered))
    }
}

fn fingerprint(secret: &SecretRef, secrets: &Lookup) -> Result<[u8; 32], String> {
    secrets(secret).map(|secret| Sha256::digest(secret.expose()).into())
}

fn message(config: &PubSubConfig, rendered: &RenderedAction) -> PubsubMessage {
    let own = config.attributes.iter().flatten().filter(|(_, value)| !value.is_empty());
    let mut attributes: HashMap<String, String> =
        own.map(|(name, value)| (name.clone(), value.clone())).collect();
    for (name, value) in headers(&rendered.action, HeaderRules::PUBSUB) {
        attributes.entry(name).or_insert(value);
    }
    PubsubMessage {
        data: rendered.payload.as_ref().map(|payload| payload.to_vec()).unwrap_or_default(),
        attributes,
        ordering_key: config.ordering_key.clone().unwrap_or_default(),
    }
}

fn may_not(topic: &str, account: Option<&str>) -> String {
    format!(
        "{} may not publish on `{topic}`: grant it roles/pubsub.publisher",
        account.unwrap_or("the account of this daemon")
    )
}

/// What the executor is to do about it.
fn error(trouble: &Trouble, topic: &str, account: Option<&str>) -> TriggerError {
    let refused = |cause, reason| TriggerError::Refused { cause, reason };
    let retry = |reason| TriggerError::Retry { reason, after: None };
    let not_done = |reason, after| TriggerError::NotDone { reason, after };
    let who = account.unwrap_or("the account of this daemon");
    match trouble {
        Trouble::NotFound(said) => refused(
            Cause::NotFound,
            format!(
                "`{topic}` does not exist: check `projectID` and `topic`, or create it ({said})"
            ),
        ),
        Trouble::Denied(said) => {
            refused(Cause::Forbidden, format!("{} ({said})", may_not(topic, account)))
        }
        // The secret may be put right.
        Trouble::NotAccepted(said) => not_done(
            format!("the credentials of {who} are not accepted: {said}: has the key been deleted?"),
            None,
        ),
        Trouble::NoToken(why) => {
            let advice = match account {
                Some(_) => "",
                None => ": set `credentialSecret`, or GOOGLE_APPLICATION_CREDENTIALS",
            };
            not_done(format!("there is no token for {who}: {why}{advice}"), None)
        }
        Trouble::Exhausted { said, after } => {
            not_done(format!("`{topic}`: a quota is used up: {said}"), *after)
        }
        Trouble::Unreachable(why) => retry(format!("`{topic}` cannot be reached: {why}")),
        Trouble::TimedOut => retry(format!("`{topic}`: no answer within {} s", CALL.as_secs())),
        Trouble::Refused { code, said, again: true } => {
            retry(format!("`{topic}` was answered {code}: {said}"))
        }
        Trouble::Refused { code, said, again: false } => {
            refused(Cause::Invalid, format!("`{topic}` was answered {code}: {said}"))
        }
        Trouble::AlreadyExists => refused(Cause::Refused, format!("`{topic}` is there already")),
    }
}
