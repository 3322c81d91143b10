//! Notifications as SNS posts them, signed beforehand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tripline_event::{Clock as _, SystemClock};
use tripline_tests::intake::body;
use tripline_tests::load::Connection;

use crate::amazon::Amazon;

/// The topic that they are of.
pub const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:builds";
/// What is signed, in this order.
const SIGNED: [&str; 5] = ["Message", "MessageId", "Timestamp", "TopicArn", "Type"];

/// Requests, each with a notification.
pub struct Notifications {
    first: Vec<u8>,
    rest: Arc<Vec<Vec<u8>>>,
}

impl Notifications {
    /// Signs so many, and one more.
    pub fn sign(amazon: &Amazon, count: u64) -> anyhow::Result<Self> {
        let first = request(&notification(amazon, count)?);
        let rest = (0..count).map(|number| Ok(request(&notification(amazon, number)?)));
        Ok(Self { first, rest: Arc::new(rest.collect::<anyhow::Result<_>>()?) })
    }

    /// How many there are, besides the first.
    pub fn len(&self) -> u64 {
        self.rest.len() as u64
    }

    /// Posts the one more.
    pub async fn post_first(&self, address: SocketAddr) -> anyhow::Result<()> {
        post(&mut Connection::open(address).await?, &self.first).await
    }

    /// Posts the others, over so many connections, each as fast as it is answered.
    pub async fn post(&self, address: SocketAddr, connections: usize) -> anyhow::Result<()> {
        let next = Arc::new(AtomicUsize::new(0));
        let mut tasks: JoinSet<anyhow::Result<()>> = JoinSet::new();
        for _ in 0..connections {
            let (requests, next) = (Arc::clone(&self.rest), Arc::clone(&next));
            tasks.spawn(async move {
                let mut connection = Connection::open(address).await?;
                while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    post(&mut connection, request).await?;
                }
                Ok(())
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        Ok(())
    }
}

async fn post(connection: &mut Connection, request: &[u8]) -> anyhow::Result<()> {
    let answer = connection.exchange(request).await?;
    let body = String::from_utf8_lossy(&answer.body);
    ensure!(answer.status == 200, "answered {}: {body}", answer.status);
    ensure!(!answer.duplicate, "it was known");
    Ok(())
}

fn notification(amazon: &Amazon, number: u64) -> anyhow::Result<Value> {
    let mut message = json!({
        "Type": "Notification",
        "MessageId": format!("22b80b92-fdea-4c2c-8f9d-{number:012}"),
        "TopicArn": TOPIC,
        "Message": body(number),
        "Timestamp": SystemClock.now().to_string(),
        "SignatureVersion": "2",
        "SigningCertURL": amazon.certificate_url(),
        "UnsubscribeURL": "https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe",
    });
    let mut text = String::new();
    for name in SIGNED {
        let value = message[name].as_str().context("a text")?;
        text.extend([name, "\n", value, "\n"]);
    }
    message["Signature"] = json!(amazon.sign(&text)?);
    Ok(message)
}

fn request(notification: &Value) -> Vec<u8> {
    let body = notification.to_string();
    let length = body.len();
    format!(
        "POST /builds HTTP/1.1\r\nhost: localhost\r\nx-amz-sns-message-type: Notification\r\n\
         x-amz-sns-topic-arn: {TOPIC}\r\ncontent-type: text/plain; charset=UTF-8\r\n\
         content-length: {length}\r\nuser-agent: Amazon Simple Notification Service Agent\r\n\r\n{body}"
    )
    .into_bytes()
}
