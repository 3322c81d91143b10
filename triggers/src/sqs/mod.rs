//! `sqs`: sends a message to a queue of Amazon SQS. Tripline's own.
//!
//! In a FIFO queue a repeated attempt is one message: the deduplication id is the action's. In
//! any other queue an attempt without an answer may have been received, and is made again.

mod config;
#[cfg(test)]
mod tests;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::MessageAttributeValue;
use tripline_cloud::Caller;
use tripline_cloud::aws::{Kind, Place, Purpose, Trouble, explain};
use tripline_config::{FieldPath, Problem};
use tripline_event::Action;
use tripline_event::outcome::TargetResult;

use crate::amazon::{CALL, Named, Sender, Service, attributes, group};
use crate::{Attempt, BoxFuture, Identities, Trigger, TriggerError};

pub use config::SqsConfig;

/// The key under `template`.
pub const KIND: &str = "sqs";

/// A complete sensor with such a trigger.
pub const EXAMPLE: &str = include_str!("example.yaml");

/// The kind `sqs`.
pub struct SqsTrigger(Sender<Queue>);

/// A queue that has been found.
struct Queue {
    client: Client,
    url: String,
    place: Place,
}

impl SqsTrigger {
    /// Takes credentials from `identities`.
    pub fn new(identities: Identities) -> Self {
        Self(Sender::new(identities))
    }

    /// Finds the queue that `config` names, as a sensor of `namespace` would. Nothing is sent.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub async fn probe(
        &self,
        config: &SqsConfig,
        namespace: &str,
        service_account: Option<&str>,
    ) -> Result<String, String> {
        let queue = self.0.open(config, namespace, service_account).await?;
        Ok(format!("{} is there", queue.place))
    }
}

impl Trigger for SqsTrigger {
    /// There is nothing to look at before: a queue does not show what is in it.
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

impl Service for Queue {
    const KIND: &'static str = KIND;
    type Config = SqsConfig;

    fn mistakes(config: &SqsConfig) -> Vec<Problem> {
        config.mistakes(&FieldPath::root())
    }

    fn named(config: &SqsConfig) -> Named {
        Named {
            access: config.access(&FieldPath::root()).unwrap_or_default(),
            name: config.queue.clone(),
            account: config.queue_account_id.clone().filter(|account| !account.is_empty()),
        }
    }

    async fn open(named: &Named, caller: &Caller) -> Result<Self, Trouble> {
        let config = named.access.config(caller, Purpose::Attempt, CALL).await?;
        let place = Place {
            what: format!("queue `{}`", named.name),
            region: config.region().map(ToString::to_string).unwrap_or_default(),
            endpoint: named.access.endpoint.clone(),
            fields: "`queue`, `region` and, if it belongs to another account, `queueAccountId`",
        };
        let client = Client::new(&config);
        let asked = client.get_queue_url().queue_name(&named.name);
        let found = asked
            .set_queue_owner_aws_account_id(named.account.clone())
            .send()
            .await
            .map_err(|error| not_sent(explain("sqs:GetQueueUrl", &place, &error)))?;
        Ok(Self { client, url: found.queue_url.unwrap_or_default(), place })
    }

    fn place(&self) -> &Place {
        &self.place
    }

    async fn send(
        &self,
        config: &SqsConfig,
        action: &Action,
        body: &str,
    ) -> Result<Option<String>, Trouble> {
        let mut request = self.client.send_message().queue_url(&self.url).message_body(body);
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
        let answer = answer.map_err(|error| explain("sqs:SendMessage", &self.place, &error))?;
        Ok(answer.message_id)
    }
}

/// Whatever went wrong before the message: it was not sent.
fn not_sent(mut trouble: Trouble) -> Trouble {
    if trouble.kind == Kind::Unknown {
        trouble.kind = Kind::NotDone;
    }
    trouble
}
