//! `sns`: publishes a message on a topic of Amazon SNS. Tripline's own.
//!
//! In a FIFO topic a repeated attempt is one message: the deduplication id is the action's. In
//! any other topic an attempt without an answer may have been published, and is made again.

mod config;
#[cfg(test)]
mod tests;

use aws_sdk_sns::Client;
use aws_sdk_sns::types::MessageAttributeValue;
use serde::Deserialize as _;
use tripline_cloud::Caller;
use tripline_cloud::aws::{Access, Kind, Place, Purpose, Trouble, explain};
use tripline_config::FieldPath;
use tripline_event::outcome::TargetResult;

use crate::amazon::{CALL, attributes, body, error, group, invalid, is_of_client};
use crate::pool::Pool;
use crate::{Attempt, BoxFuture, Identities, RenderedAction, Trigger, TriggerError};

pub use config::SnsConfig;

/// The key under `template`.
pub const KIND: &str = "sns";

/// A complete sensor with such a trigger.
pub const EXAMPLE: &str = include_str!("example.yaml");

/// The kind `sns`.
pub struct SnsTrigger {
    identities: Identities,
    topics: Pool<Key, Topic>,
}

/// What makes one client differ from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    namespace: String,
    service_account: Option<String>,
    access: Access,
    topic: String,
}

/// A topic, with a client for it.
struct Topic {
    client: Client,
    arn: String,
    place: Place,
}

impl SnsTrigger {
    /// Takes credentials from `identities`.
    pub fn new(identities: Identities) -> Self {
        Self { identities, topics: Pool::default() }
    }

    async fn send(&self, rendered: &RenderedAction) -> Result<TargetResult, TriggerError> {
        let config = SnsConfig::deserialize(&rendered.config)
            .map_err(|error| invalid(format!("`sns` is not valid: {error}")))?;
        let body = body(rendered)?;
        let namespace = &rendered.action.trigger.namespace;
        let (key, caller) = self.caller(&config, namespace, rendered.service_account.as_deref())?;
        let sent = async {
            let topic = self.topics.get(&key, async || Topic::new(&key, &caller).await).await?;
            topic.publish(&config, rendered, body).await
        };
        sent.await.map_err(|trouble: Trouble| {
            if is_of_client(&trouble) {
                self.topics.forget(&key);
            }
            error(&trouble)
        })
    }

    fn caller(
        &self,
        config: &SnsConfig,
        namespace: &str,
        service_account: Option<&str>,
    ) -> Result<(Key, Caller), TriggerError> {
        if let Some(problem) = config.mistakes(&FieldPath::root()).into_iter().next() {
            return Err(invalid(format!("`sns`: {}", problem.message)));
        }
        let access = config.access(&FieldPath::root()).unwrap_or_default();
        let key = Key {
            namespace: namespace.to_owned(),
            service_account: service_account.map(str::to_owned),
            access,
            topic: config.topic_arn.clone(),
        };
        Ok((key, self.identities.caller(namespace, service_account)))
    }

    /// Looks at the topic that `config` names, as a sensor of `namespace` would. Nothing is
    /// published.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub async fn probe(
        &self,
        config: &SnsConfig,
        namespace: &str,
        service_account: Option<&str>,
    ) -> Result<String, String> {
        let (key, caller) =
            self.caller(config, namespace, service_account).map_err(|error| error.to_string())?;
        let topic = Topic::new(&key, &caller).await.map_err(|trouble| trouble.to_string())?;
        let asked = topic.client.get_topic_attributes().topic_arn(&topic.arn).send().await;
        match asked.map_err(|error| explain("sns:GetTopicAttributes", &topic.place, &error)) {
            Ok(_) => Ok(format!("{} is there", topic.place)),
            // Publishing needs no such right.
            Err(trouble) if trouble.is_denied() => {
                Ok(format!("{}: the credentials are good, and may not look at it", topic.place))
            }
            Err(trouble) => Err(trouble.to_string()),
        }
    }
}

impl Trigger for SnsTrigger {
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

impl Topic {
    async fn new(key: &Key, caller: &Caller) -> Result<Self, Trouble> {
        let config = key.access.config(caller, Purpose::Attempt, CALL).await?;
        let name = key.topic.rsplit(':').next().unwrap_or_default();
        let place = Place {
            what: format!("topic `{name}`"),
            region: config.region().map(ToString::to_string).unwrap_or_default(),
            endpoint: key.access.endpoint.clone(),
            fields: "`topicArn`",
        };
        Ok(Self { client: Client::new(&config), arn: key.topic.clone(), place })
    }

    async fn publish(
        &self,
        config: &SnsConfig,
        rendered: &RenderedAction,
        body: &str,
    ) -> Result<TargetResult, Trouble> {
        let action = &rendered.action;
        let subject = config.subject.clone().filter(|subject| !subject.is_empty());
        let request = self.client.publish().topic_arn(&self.arn).message(body);
        let mut request = request.set_subject(subject);
        for (name, value) in attributes(action, config.attributes.as_ref()) {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value);
            let value = value.build().map_err(|e| Trouble::new(Kind::Refused, e.to_string()))?;
            request = request.message_attributes(name, value);
        }
        if config.is_fifo() {
            request = request
                .message_group_id(group(config.message_group_id.as_ref(), action))
                .message_deduplication_id(action.id.as_str());
        }
        let answer = request.send().await;
        let answer = answer.map_err(|error| explain("sns:Publish", &self.place, &error))?;
        match answer.message_id.filter(|id| !id.is_empty()) {
            Some(id) => Ok(TargetResult::Message { to: self.place.what.clone(), id }),
            None => {
                let text = format!("{} has answered without the id of a message", self.place);
                Err(Trouble::new(Kind::Unknown, text))
            }
        }
    }
}
