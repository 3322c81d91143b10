//! The durable consumer of a stream: found, or made.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, Config, DeliverPolicy, pull};
use async_nats::jetstream::context::{ConsumerInfoErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::Stream;
use async_nats::jetstream::{self, Context, ErrorCode};
use tripline_event::EventKey;
use tripline_nats::chain;

use super::config::{JetStream, Nats};
use super::connection::Connection;
use super::limits::{CALL, HELD};
use super::names::default_consumer;

/// A consumer that messages can be taken from.
pub struct Consumer {
    pub stream: String,
    pub name: String,
    /// When the stream was made, in seconds since 1970: one that was made again counts anew.
    pub made: i64,
    pub ack_wait: Duration,
    /// The most messages that one request may ask for.
    pub most: Option<usize>,
    /// Messages that wait.
    pub waiting: u64,
}

/// JetStream over this connection.
pub fn context(connection: &Connection) -> Context {
    let mut context = jetstream::new(connection.client.clone());
    context.set_timeout(CALL);
    context
}

/// The consumer that `nats` names, made if it is not there and `make` says so.
///
/// # Errors
/// What is wrong, and what to do.
pub async fn find(
    context: &Context,
    nats: &Nats,
    jet_stream: &JetStream,
    key: &EventKey,
    make: bool,
) -> Result<Option<Consumer>, String> {
    let name = jet_stream.consumer.clone().unwrap_or_else(|| default_consumer(key));
    let stream = stream(context, nats, &jet_stream.stream).await?;
    let made = stream.cached_info().created.unix_timestamp();
    let (config, waiting) = match stream.consumer_info(&name).await {
        Ok(info) => (info.config, info.num_pending),
        Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => {
            if !make {
                return Ok(None);
            }
            create(&stream, nats, jet_stream, &name, made).await?
        }
        Err(error) => {
            let why = chain(&error);
            return Err(format!("consumer `{name}` of stream `{}`: {why}", jet_stream.stream));
        }
    };
    check(&config, nats, &name)?;
    Ok(Some(Consumer {
        stream: jet_stream.stream.clone(),
        name,
        made,
        ack_wait: if config.ack_wait.is_zero() { jet_stream.ack_wait } else { config.ack_wait },
        most: usize::try_from(config.max_batch).ok().filter(|most| *most > 0),
        waiting,
    }))
}

async fn stream(context: &Context, nats: &Nats, name: &str) -> Result<Stream, String> {
    context.get_stream(name).await.map_err(|error| match error.kind() {
        GetStreamErrorKind::JetStream(error)
            if error.error_code() == ErrorCode::STREAM_NOT_FOUND =>
        {
            format!(
                "stream `{name}` does not exist: create it (`nats stream add {name} --subjects \
                 '{}'`)",
                nats.subject
            )
        }
        GetStreamErrorKind::Request => format!(
            "stream `{name}`: JetStream does not answer: is it enabled for this account, and may \
             the user publish to `$JS.API.>`?"
        ),
        _ => format!("stream `{name}`: {}", chain(&error)),
    })
}

async fn create(
    stream: &Stream,
    nats: &Nats,
    jet_stream: &JetStream,
    name: &str,
    made: i64,
) -> Result<(Config, u64), String> {
    let done = *jet_stream.done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let deliver_policy = match done {
        // Somebody has removed it: what is on the event bus is not taken again.
        Some((of, sequence)) if of == made => {
            tracing::warn!(
                consumer = name,
                stream = jet_stream.stream,
                "the consumer was removed, and is made again behind message {sequence}"
            );
            DeliverPolicy::ByStartSequence { start_sequence: sequence + 1 }
        }
        _ => jet_stream.deliver_policy,
    };
    let config = pull::Config {
        durable_name: Some(name.to_owned()),
        description: Some("Tripline".to_owned()),
        deliver_policy,
        ack_policy: AckPolicy::Explicit,
        ack_wait: jet_stream.ack_wait,
        max_ack_pending: i64::try_from(2 * HELD).unwrap_or(i64::MAX),
        filter_subject: nats.subject.clone(),
        ..pull::Config::default()
    };
    let created = stream.create_consumer(config).await.map_err(|error| {
        format!(
            "consumer `{name}` of stream `{}` cannot be made: {}: grant the user \
             `$JS.API.CONSUMER.>`, or make it beforehand (`nats consumer add {} {name} --pull \
             --ack explicit --filter '{}'`)",
            jet_stream.stream,
            chain(&error),
            jet_stream.stream,
            nats.subject
        )
    })?;
    let info = created.cached_info();
    Ok((info.config.clone(), info.num_pending))
}

/// Whether messages can be taken from a consumer that is there, and are those of the subject.
fn check(config: &Config, nats: &Nats, name: &str) -> Result<(), String> {
    let pull = config.deliver_subject.is_none() && config.ack_policy == AckPolicy::Explicit;
    if !pull {
        return Err(format!(
            "consumer `{name}` is no pull consumer with explicit acknowledgement: name another \
             in `jetStream.consumer`"
        ));
    }
    let filters = std::iter::once(config.filter_subject.as_str())
        .chain(config.filter_subjects.iter().map(String::as_str));
    let filters: Vec<&str> = filters.filter(|filter| !filter.is_empty()).collect();
    // Without a filter all messages of the stream.
    if filters.is_empty() || filters.contains(&nats.subject.as_str()) {
        return Ok(());
    }
    Err(format!(
        "consumer `{name}` takes `{}`, and not `{}`: name another in `jetStream.consumer`, or \
         remove it (`nats consumer rm`)",
        filters.join("`, `"),
        nats.subject
    ))
}

#[cfg(test)]
mod tests {
    use async_nats::jetstream::consumer::IntoConsumerConfig as _;

    use super::*;

    #[test]
    fn a_consumer_that_is_there_must_fit() {
        let nats = super::super::tests::nats(&serde_json::json!({}));
        let config = |change: fn(&mut pull::Config)| {
            let mut config =
                pull::Config { filter_subject: "builds.>".into(), ..pull::Config::default() };
            change(&mut config);
            config.into_consumer_config()
        };
        for (config, reason) in [
            (config(|_| {}), None),
            (config(|config| config.filter_subject = String::new()), None),
            (config(|config| config.ack_policy = AckPolicy::None), Some("explicit")),
            (config(|config| config.filter_subject = "x".into()), Some("takes `x`")),
        ] {
            let found = check(&config, &nats, "c").err();
            assert_eq!(found.is_some(), reason.is_some(), "{found:?}");
            assert!(found.unwrap_or_default().contains(reason.unwrap_or_default()));
        }
    }
}
