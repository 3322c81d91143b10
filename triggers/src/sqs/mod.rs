//! `sqs`: sends a message to a queue of Amazon SQS. Tripline's own.
//!
//! In a FIFO queue a repeated attempt is one message: the deduplication id is the action's. In
//! any other queue an attempt without an answer may have been received, and is made again.

mod config;
#[cfg(test)]
mod tests;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::MessageAttributeValue;
use serde::Deserialize as _;
use tripline_cloud::Caller;
use tripline_cloud::aws::{Access, Kind, Place, Purpose, Trouble, explain};
use tripline_config::FieldPath;
use tripline_event::outcome::TargetResult;

use crate::amazon::{CALL, attributes, body, error, group, invalid, is_of_client};
use crate::pool::Pool;
use crate::{Attempt, BoxFuture, Identities, RenderedAction, Trigger, TriggerError};

pub use config::SqsConfig;

/// The key under `template`.
pub const KIND: &str = "sqs";

/// A complete sensor with such a trigger.
pub const EXAMPLE: &str = include_str!("example.yaml");

/// The kind `sqs`.
pub struct SqsTrigger {
    identities: Identities,
    queues: Pool<Key, Queue>,
}

/// What makes one client differ from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    namespace: String,
    service_account: Option<String>,
    access: Access,
    queue: String,
    account: Option<String>,
}

/// A queue that has been found.
struct Queue {
    client: Client,
    url: String,
    place: Place,
}

impl SqsTrigger {
    /// Takes credentials from `identities`.
    pub fn new(identities: Identities) -> Self {
        Self { identities, queues: Pool::default() }
    }

    async fn send(&self, rendered: &RenderedAction) -> Result<TargetResult, TriggerError> {
        let config = SqsConfig::deserialize(&rendered.config)
            .map_err(|error| invalid(format!("`sqs` is not valid: {error}")))?;
        let body = body(rendered)?;
        let namespace = &rendered.action.trigger.namespace;
        let (key, caller) = self.caller(&config, namespace, rendered.service_account.as_deref())?;
        let sent = async {
            let queue = self.queues.get(&key, async || Queue::find(&key, &caller).await).await?;
            queue.send(&config, rendered, body).await
        };
        sent.await.map_err(|trouble: Trouble| {
            if is_of_client(&trouble) {
                self.queues.forget(&key);
            }
            error(&trouble)
        })
    }

    fn caller(
        &self,
        config: &SqsConfig,
        namespace: &str,
        service_account: Option<&str>,
    ) -> Result<(Key, Caller), TriggerError> {
        if let Some(problem) = config.mistakes(&FieldPath::root()).into_iter().next() {
            return Err(invalid(format!("`sqs`: {}", problem.message)));
        }
        let access = config.access(&FieldPath::root()).unwrap_or_default();
        let key = Key {
            namespace: namespace.to_owned(),
            service_account: service_account.map(str::to_owned),
            access,
            queue: config.queue.clone(),
            account: config.queue_account_id.clone().filter(|account| !account.is_empty()),
        };
        Ok((key, self.identities.caller(namespace, service_account)))
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
        let (key, caller) =
            self.caller(config, namespace, service_account).map_err(|error| error.to_string())?;
        let queue = Queue::find(&key, &caller).await.map_err(|trouble| trouble.to_string())?;
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
        Box::pin(self.send(attempt.rendered))
    }
}

impl Queue {
    async fn find(key: &Key, caller: &Caller) -> Result<Self, Trouble> {
        let config = key.access.config(caller, Purpose::Attempt, CALL).await?;
        let place = Place {
            what: format!("queue `{}`", key.queue),
            region: config.region().map(ToString::to_string).unwrap_or_default(),
            endpoint: key.access.endpoint.clone(),
            fields: "`queue`, `region` and, if it belongs to another account, `queueAccountId`",
        };
        let client = Client::new(&config);
        let asked = client.get_queue_url().queue_name(&key.queue);
        let found = asked
            .set_queue_owner_aws_account_id(key.account.clone())
            .send()
            .await
            .map_err(|error| not_sent(explain("sqs:GetQueueUrl", &place, &error)))?;
        Ok(Self { client, url: found.queue_url.unwrap_or_default(), place })
    }

    async fn send(
        &self,
        config: &SqsConfig,
        rendered: &RenderedAction,
        body: &str,
    ) -> Result<TargetResult, Trouble> {
        let action = &rendered.action;
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
        match answer.message_id.filter(|id| !id.is_empty()) {
            Some(id) => Ok(TargetResult::Message { to: self.place.what.clone(), id }),
            None => {
                let text = format!("{} has answered without the id of a message", self.place);
                Err(Trouble::new(Kind::Unknown, text))
            }
        }
    }
}

/// Whatever went wrong before the message: it was not sent.
fn not_sent(mut trouble: Trouble) -> Trouble {
    if trouble.kind == Kind::Unknown {
        trouble.kind = Kind::NotDone;
    }
    trouble
}
