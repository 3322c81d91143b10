//! Amazon's own clients of the testbed's servers, and what they send.

use anyhow::{Context, ensure};
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use tripline_testbed::{AWS_ACCESS_KEY_ID, AWS_REGION, AWS_SECRET_ACCESS_KEY};

/// The most messages that SQS and SNS take in one call.
pub const BATCH: usize = 10;

/// A client of SQS at an endpoint without TLS.
pub fn sqs(endpoint: &str) -> aws_sdk_sqs::Client {
    use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
    let keys = Credentials::new(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, None, None, "testbed");
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(AWS_REGION))
        .endpoint_url(endpoint)
        .credentials_provider(keys)
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    aws_sdk_sqs::Client::from_conf(config.build())
}

/// A client of SNS at an endpoint without TLS.
pub fn sns(endpoint: &str) -> aws_sdk_sns::Client {
    use aws_sdk_sns::config::{BehaviorVersion, Credentials, Region};
    let keys = Credentials::new(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, None, None, "testbed");
    let config = aws_sdk_sns::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(AWS_REGION))
        .endpoint_url(endpoint)
        .credentials_provider(keys)
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    aws_sdk_sns::Client::from_conf(config.build())
}

/// A queue, and whom to ask.
#[derive(Clone)]
pub struct Queue {
    /// The client.
    pub client: aws_sdk_sqs::Client,
    /// Its URL.
    pub url: String,
}

impl Queue {
    /// Creates it.
    ///
    /// # Errors
    /// The server does not.
    pub async fn create(endpoint: &str, name: &str) -> anyhow::Result<Self> {
        let client = sqs(endpoint);
        let created = client.create_queue().queue_name(name).send().await?;
        let url = created.queue_url.context("the queue has no URL")?;
        Ok(Self { client, url })
    }

    /// Sends messages, [`BATCH`] at most; returns the ids that they are given.
    ///
    /// # Errors
    /// One is not taken.
    pub async fn send(&self, bodies: &[String]) -> anyhow::Result<Vec<String>> {
        let mut request = self.client.send_message_batch().queue_url(&self.url);
        for (number, body) in bodies.iter().enumerate() {
            let entry = SendMessageBatchRequestEntry::builder().id(number.to_string());
            request = request.entries(entry.message_body(body).build()?);
        }
        let answer = request.send().await?;
        ensure!(answer.failed.is_empty(), "{:?}", answer.failed);
        let mut ids = vec![String::new(); bodies.len()];
        for done in answer.successful {
            ids[done.id.parse::<usize>()?] = done.message_id;
        }
        Ok(ids)
    }
}

/// A topic that delivers to a queue of the same name.
#[derive(Clone)]
pub struct Topic {
    sns: aws_sdk_sns::Client,
    endpoint: String,
    name: String,
    arn: String,
}

impl Topic {
    /// Creates both.
    ///
    /// # Errors
    /// The server does not.
    pub async fn create(endpoint: &str, name: &str) -> anyhow::Result<Self> {
        let mut topic = Self {
            sns: sns(endpoint),
            endpoint: endpoint.to_owned(),
            name: name.to_owned(),
            arn: String::new(),
        };
        topic.arn = topic.furnish().await?;
        Ok(topic)
    }

    /// Creates both, which are there again after the server has forgotten them: by the same names.
    ///
    /// # Errors
    /// The server does not.
    pub async fn furnish(&self) -> anyhow::Result<String> {
        let queue = Queue::create(&self.endpoint, &self.name).await?;
        let arn = aws_sdk_sqs::types::QueueAttributeName::QueueArn;
        let attributes = queue.client.get_queue_attributes().queue_url(&queue.url);
        let attributes = attributes.attribute_names(arn.clone()).send().await?.attributes;
        let queue = attributes.and_then(|mut all| all.remove(&arn));
        let queue = queue.context("the queue has no ARN")?;
        let created = self.sns.create_topic().name(&self.name).send().await?;
        let topic = created.topic_arn.context("the topic has no ARN")?;
        let subscribe = self.sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(queue);
        subscribe.send().await?;
        Ok(topic)
    }

    /// Publishes messages, [`BATCH`] at most; returns the ids that they are given.
    ///
    /// # Errors
    /// One is not taken.
    pub async fn publish(&self, bodies: &[String]) -> anyhow::Result<Vec<String>> {
        let mut request = self.sns.publish_batch().topic_arn(&self.arn);
        for (number, body) in bodies.iter().enumerate() {
            let entry = aws_sdk_sns::types::PublishBatchRequestEntry::builder();
            let entry = entry.id(number.to_string()).message(body).build()?;
            request = request.publish_batch_request_entries(entry);
        }
        let answer = request.send().await?;
        let failed = answer.failed.unwrap_or_default();
        ensure!(failed.is_empty(), "{failed:?}");
        let mut ids = vec![String::new(); bodies.len()];
        for done in answer.successful.unwrap_or_default() {
            let number: usize = done.id.context("no id")?.parse()?;
            ids[number] = done.message_id.context("no message id")?;
        }
        Ok(ids)
    }
}
