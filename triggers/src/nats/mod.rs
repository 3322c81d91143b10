//! `nats`: publishes a message.
//!
//! Core NATS: it is a success when the server has processed the message; whether anybody
//! listens is not known. With `jetStream` it is one when a stream has stored it, under the id of
//! the action: repeated within the stream's window it is one message.

mod config;
mod link;
mod publish;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_nats::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize as _;
use tripline_config::{FieldPath, SecretRef};
use tripline_event::outcome::TargetResult;
use tripline_event::{Action, Cause};

use crate::message_headers::{HeaderRules, headers};
use crate::pool::Pool;
use crate::{Attempt, BoxFuture, RenderedAction, SecretLookup, Trigger, TriggerError};

pub use config::{JetStream, NatsConfig, StreamConfig};
use link::{Key, Link};

/// The key under `template`.
pub const KIND: &str = "nats";

/// A complete sensor with such a trigger.
pub const EXAMPLE: &str = include_str!("example.yaml");

/// The kind `nats`.
pub struct NatsTrigger {
    secrets: Arc<dyn SecretLookup>,
    /// One connection for each distinct server, user and TLS.
    links: Pool<Key, Link>,
}

impl NatsTrigger {
    /// Takes credentials from `secrets`, anew at each attempt.
    pub fn new(secrets: Arc<dyn SecretLookup>) -> Self {
        Self { secrets, links: Pool::default() }
    }

    async fn send(&self, rendered: &RenderedAction) -> Result<TargetResult, TriggerError> {
        let config = NatsConfig::deserialize(&rendered.config)
            .map_err(|error| invalid(format!("`nats` is not valid: {error}")))?;
        if let Some(problem) = config.mistakes(&FieldPath::root()).into_iter().next() {
            return Err(invalid(format!("`nats.{}`: {}", problem.path, problem.message)));
        }
        let payload = rendered.payload.clone().unwrap_or_default();
        let key = self.key(&config, &rendered.action.trigger.namespace)?;
        let link = self.links.get(&key, async || Link::open(&key).await).await?;
        let sent = match &config.jet_stream {
            Some(jet_stream) if jet_stream.is_on() => {
                link.store(&config, jet_stream, header_map(&rendered.action), payload).await
            }
            _ => link.publish(&config, header_map(&rendered.action), payload).await,
        };
        if link.is_closed() {
            self.links.forget(&key);
        }
        match sent? {
            Some((to, id)) => Ok(TargetResult::Message { to, id }),
            None => Ok(TargetResult::Message {
                to: format!("subject {}", config.subject),
                id: rendered.action.id.as_str().to_owned(),
            }),
        }
    }

    fn key(&self, config: &NatsConfig, namespace: &str) -> Result<Key, TriggerError> {
        let lookup = |of: &SecretRef| {
            self.secrets.secret(namespace, of).map(|value| value.expose().to_vec())
        };
        // It may be made yet.
        let missing = |field: &str, reason: String| TriggerError::NotDone {
            reason: format!("`{field}`: {reason}"),
            after: None,
        };
        let auth = tripline_nats::auth(config.auth.as_ref(), &lookup);
        let tls = tripline_nats::tls(config.tls.as_ref(), &lookup);
        Ok(Key {
            url: config.url.clone(),
            auth: auth.map_err(|reason| missing("auth", reason))?,
            tls: tls.map_err(|reason| missing("tls", reason))?,
        })
    }

    /// Connects to the server that `config` names, as a sensor of `namespace` would. Nothing is
    /// sent.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub async fn probe(&self, config: &NatsConfig, namespace: &str) -> Result<String, String> {
        let key = self.key(config, namespace).map_err(|error| error.to_string())?;
        let link = Link::open(&key).await.map_err(|error| error.to_string())?;
        match config.jet_stream.as_ref().filter(|jet_stream| jet_stream.is_on()) {
            Some(jet_stream) => link.find_stream(config, jet_stream).await,
            None => Ok(format!("connected to {}", link.shown)),
        }
    }
}

impl Trigger for NatsTrigger {
    /// A stream recognises a message that it has; of core NATS there is nothing to look at.
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

/// What tells of the action, and the id by which a stream recognises a repetition.
fn header_map(action: &Action) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers(action, HeaderRules::NATS) {
        // Names and values are printable ASCII.
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            map.insert(name, value);
        }
    }
    map.insert(async_nats::header::NATS_MESSAGE_ID, action.id.as_str());
    map
}

/// What is configured will never work.
fn invalid(reason: String) -> TriggerError {
    TriggerError::Refused { cause: Cause::Render, reason }
}
