//! The calls to SQS.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName,
};
use tripline_cloud::Caller;
use tripline_cloud::aws::{Kind, Place, Purpose, Trouble, explain};

use super::config::Sqs;
use super::limits::{BATCH, CALL};

/// A queue that has been found.
pub struct Queue {
    client: Client,
    url: String,
    wait_seconds: i32,
    /// In words: its name and where it is.
    pub place: Place,
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
    pub async fn connect(sqs: &Sqs, caller: &Caller) -> Result<Self, Trouble> {
        let longest = Duration::from_secs(u64::from(sqs.wait_seconds.unsigned_abs())) + CALL;
        let config = sqs.access.config(caller, Purpose::Source, longest).await?;
        let place = Place {
            what: format!("queue `{}`", sqs.queue),
            region: config.region().map(ToString::to_string).unwrap_or_default(),
            endpoint: sqs.access.endpoint.clone(),
            fields: "`queue`, `region` and, if it belongs to another account, `queueAccountId`",
        };
        let client = Client::new(&config);
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
            request = request.entries(entry.map_err(|error| unbuildable(&error))?);
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
            request = request.entries(entry.map_err(|error| unbuildable(&error))?);
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
                trouble if trouble.is_denied() => Err(trouble),
                _ => Ok(()),
            },
        }
    }
}

/// A request that lacks a field that it is always given.
fn unbuildable(error: &aws_sdk_sqs::error::BuildError) -> Trouble {
    Trouble::new(Kind::Refused, error.to_string())
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
