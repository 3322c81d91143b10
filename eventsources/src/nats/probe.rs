//! Whether the subject can be used, asked without taking anything from it.

use tokio::time::timeout;
use tripline_event::EventKey;

use super::config::Nats;
use super::connection::Connection;
use super::consumer::{context, find};
use super::limits::CALL;
use crate::SecretLookup;

/// Connects, and asks for the stream and its consumer, if there is one. Of core NATS whether the
/// subject may be subscribed to; not where there is a queue group: that would take messages
/// from others.
///
/// # Errors
/// What is wrong, and what to do.
pub async fn probe(
    nats: &Nats,
    key: &EventKey,
    secrets: &dyn SecretLookup,
) -> Result<String, String> {
    let connection = Connection::open(nats, &key.namespace, "doctor", secrets).await?;
    let shown = &connection.shown;
    if let Some(jet_stream) = &nats.jet_stream {
        let found = find(&context(&connection), nats, jet_stream, key, false).await?;
        let stream = &jet_stream.stream;
        return Ok(match found {
            Some(consumer) => format!(
                "stream `{stream}` at {shown} is there; {} messages wait for consumer `{}`",
                consumer.waiting, consumer.name
            ),
            None => format!("stream `{stream}` at {shown} is there; the consumer will be made"),
        });
    }
    if nats.queue.is_none() {
        let subscribed = connection.client.subscribe(nats.subject.clone()).await;
        let mut subscribed = subscribed.map_err(|error| error.to_string())?;
        flush(&connection).await?;
        // A refusal comes before the answer to the flush, but by another way.
        tokio::task::yield_now().await;
        let trouble = connection.trouble();
        // The connection ends with this anyway.
        let _ended = subscribed.unsubscribe().await;
        if let Some(trouble) = trouble {
            return Err(trouble);
        }
    } else {
        flush(&connection).await?;
    }
    Ok(format!("connected to {shown}, `{}` can be subscribed to", nats.subject))
}

async fn flush(connection: &Connection) -> Result<(), String> {
    let silent = || format!("NATS at {} does not answer", connection.shown);
    let flushed = timeout(CALL, connection.client.flush()).await.map_err(|_| silent())?;
    flushed.map_err(|error| error.to_string())
}
