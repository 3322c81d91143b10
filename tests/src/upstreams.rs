//! Real upstreams, each with an event source on it and its vendor's own client.

use std::io::Write as _;
use std::process::Stdio;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tripline_testbed::{
    AWS_ACCESS_KEY_ID, AWS_REGION, AWS_SECRET_ACCESS_KEY, Message, Moto, PubSub,
};

use crate::daemon::Place;
use crate::load::post;

/// The topic, its subscription, and the queue.
const NAME: &str = "builds";

/// Where a message comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// A subscription of Pub/Sub.
    PubSub,
    /// A queue of SQS.
    Sqs,
    /// A webhook.
    Webhook,
}

impl Upstream {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::PubSub, Self::Sqs, Self::Webhook];

    /// The name of its event source. Its event is `completed`.
    pub fn source(self) -> &'static str {
        match self {
            Self::PubSub => "of-pubsub",
            Self::Sqs => "of-sqs",
            Self::Webhook => "of-webhook",
        }
    }
}

/// A Pub/Sub and an SQS.
pub struct Upstreams {
    /// Pub/Sub.
    pub pubsub: PubSub,
    /// SQS.
    pub moto: Moto,
}

impl Upstreams {
    /// Starts them, with a topic, a subscription and a queue.
    ///
    /// # Errors
    /// They do not get ready.
    pub fn start() -> anyhow::Result<Self> {
        let upstreams = Self { pubsub: PubSub::start()?, moto: Moto::start()? };
        upstreams.furnish_pubsub()?;
        upstreams.furnish_sqs()?;
        Ok(upstreams)
    }

    /// Creates the topic and the subscription: again, where the emulator has forgotten them.
    ///
    /// # Errors
    /// They are there.
    pub fn furnish_pubsub(&self) -> anyhow::Result<()> {
        self.pubsub.create_topic(NAME)?;
        self.pubsub.create_subscription(NAME, NAME)
    }

    /// Creates the queue: again, where the emulator has forgotten it.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn furnish_sqs(&self) -> anyhow::Result<()> {
        let create = format!("import boto3; boto3.client('sqs').create_queue(QueueName='{NAME}')");
        self.boto3(&create, "").map(drop)
    }

    /// Writes the event sources of all upstreams and what a daemon needs to reach them.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, place: &mut Place, namespace: &str) -> anyhow::Result<()> {
        let port = place.port;
        let endpoint = self.moto.endpoint();
        let project = self.pubsub.project();
        let head = |upstream: Upstream| {
            let name = upstream.source();
            format!(
                "apiVersion: argoproj.io/v1alpha1\nkind: EventSource\nmetadata: {{ name: {name}, namespace: {namespace} }}\nspec:\n"
            )
        };
        let text = [
            head(Upstream::PubSub),
            format!(
                "  pubSub:\n    completed:\n      projectID: {project}\n      subscriptionID: {NAME}\n      jsonBody: true\n---\n"
            ),
            head(Upstream::Sqs),
            format!(
                "  sqs:\n    completed:\n      queue: {NAME}\n      region: {AWS_REGION}\n      endpoint: {endpoint}\n      jsonBody: true\n---\n"
            ),
            head(Upstream::Webhook),
            format!(
                "  webhook:\n    completed:\n      port: \"{port}\"\n      endpoint: /builds\n      method: POST\n"
            ),
        ];
        place.write("upstreams.yaml", &text.concat())?;
        place.environment.push(("PUBSUB_EMULATOR_HOST", self.pubsub.host()));
        place.environment.push(("AWS_ACCESS_KEY_ID", AWS_ACCESS_KEY_ID.into()));
        place.environment.push(("AWS_SECRET_ACCESS_KEY", AWS_SECRET_ACCESS_KEY.into()));
        Ok(())
    }

    /// Sends messages with these correlation ids; returns the ids that upstream gave them,
    /// which are the ids of their events. A webhook's are given by the sender.
    ///
    /// # Errors
    /// Upstream does not take them.
    pub async fn send(
        &self,
        upstream: Upstream,
        place: &Place,
        correlations: &[String],
    ) -> anyhow::Result<Vec<String>> {
        let body = |correlation: &String| {
            json!({ "action": "completed", "correlation_id": correlation }).to_string()
        };
        match upstream {
            Upstream::PubSub => {
                let messages: Vec<_> = correlations
                    .iter()
                    .map(|correlation| Message::new(body(correlation)))
                    .collect();
                self.pubsub.publish(NAME, &messages)
            }
            Upstream::Sqs => {
                let bodies: Vec<String> = correlations.iter().map(body).collect();
                let answer = self.boto3(SEND, &serde_json::to_string(&bodies)?)?;
                Ok(serde_json::from_str(&answer)?)
            }
            Upstream::Webhook => {
                let mut ids = Vec::new();
                for correlation in correlations {
                    // An id is a header, and a header is ASCII.
                    let id: String =
                        correlation.bytes().map(|byte| format!("{byte:02x}")).collect();
                    let headers =
                        [("webhook-id", id.as_str()), ("content-type", "application/json")];
                    let text = body(correlation);
                    let answer =
                        post(place.webhook(), "/builds", &headers, text.as_bytes()).await?;
                    ensure!(answer.status == 200, "{text} was answered {answer:?}");
                    ids.push(id);
                }
                Ok(ids)
            }
        }
    }

    /// What a program with Amazon's client prints.
    fn boto3(&self, program: &str, input: &str) -> anyhow::Result<String> {
        let mut child = self
            .moto
            .boto3()
            .args(["-c", program])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().context("there is no standard input")?;
        stdin.write_all(input.as_bytes())?;
        drop(stdin);
        let output = child.wait_with_output()?;
        ensure!(
            output.status.success(),
            "boto3: {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// Sends the bodies of a JSON list, ten at a time, and prints the ids of the messages.
const SEND: &str = "\
import boto3, json, sys
sqs = boto3.client('sqs')
url = sqs.get_queue_url(QueueName='builds')['QueueUrl']
bodies = json.load(sys.stdin)
ids = []
for first in range(0, len(bodies), 10):
    entries = [dict(Id=str(n), MessageBody=body) for n, body in enumerate(bodies[first:first + 10])]
    answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
    assert not answer.get('Failed'), answer
    ids += [entry['MessageId'] for entry in sorted(answer['Successful'], key=lambda e: int(e['Id']))]
print(json.dumps(ids))
";

/// How often a step is in a timeline.
pub fn steps(timeline: &Value, step: &str) -> usize {
    timeline.to_string().matches(&format!(r#""step":"{step}""#)).count()
}
