//! `sns`: publishes a message on a topic of Amazon SNS. Tripline's own.
//!
//! In a FIFO topic a repeated attempt is one message: the deduplication id is the action's. In
//! any other topic an attempt without an answer may have been published, and is made again.

mod config;
#[cfg(test)]
mod tests;

use aws_sdk_sns::Client;
use aws_sdk_sns::types::MessageAttributeValue;
use tripline_cloud::Caller;
use tripline_cloud::aws::{Kind, Place, Purpose, Trouble, explain};
use tripline_config::{FieldPath, Problem};
use tripline_event::Action;
use tripline_event::outcome::TargetResult;

use crate::amazon::{CALL, Named, Sender, Service, attributes, group};
use crate::{Attempt, BoxFuture, Identities, Trigger, TriggerError};

pub use config::SnsConfig;

/// The key under `template`.
pub const KIND: &str = "sns";

/// A complete sensor with such a trigger.
pub const EXAMPLE: &str = include_str!("example.yaml");

/// The kind `sns`.
pub struct SnsTrigger(Sender<Topic>);

/// A topic, with a client for it.
struct Topic {
    client: Client,
    arn: String,
    place: Place,
}

impl SnsTrigger {
    /// Takes credentials from `identities`.
    pub fn new(identities: Identities) -> Self {
        Self(Sender::new(identities))
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
        let topic = self.0.open(config, namespace, service_account).await?;
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
        Box::pin(self.0.send(attempt.rendered))
    }
}

impl Service for Topic {
    const KIND: &'static str = KIND;
    type Config = SnsConfig;

    fn mistakes(config: &SnsConfig) -> Vec<Problem> {
        config.mistakes(&FieldPath::root())
    }

    fn named(config: &SnsConfig) -> Named {
        let access = config.access(&FieldPath::root()).unwrap_or_default();
        Named { access, name: config.topic_arn.clone(), account: None }
    }

    async fn open(named: &Named, caller: &Caller) -> Result<Self, Trouble> {
        let config = named.access.config(caller, Purpose::Attempt, CALL).await?;
        let name = named.name.rsplit(':').next().unwrap_or_default();
        let place = Place {
            what: format!("topic `{name}`"),
            region: config.region().map(ToString::to_string).unwrap_or_default(),
            endpoint: named.access.endpoint.clone(),
            fields: "`topicArn`",
        };
        Ok(Self { client: Client::new(&config), arn: named.name.clone(), place })
    }

    fn place(&self) -> &Place {
        &self.place
    }

    async fn send(
        &self,
        config: &SnsConfig,
        action: &Action,
        body: &str,
    ) -> Result<Option<String>, Trouble> {
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
        Ok(answer.message_id)
    }
}
