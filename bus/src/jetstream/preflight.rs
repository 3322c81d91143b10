//! What is wrong with a server, or should be known of it, before anything depends on it.

use serde::Deserialize;
use serde_json::Value;

use super::api::{Api, ApiError, StreamInfo, code};
use super::connection::Connection;
use super::names::Names;
use super::streams::limits;
use super::{OLDEST_SERVER, OpenError, OpenOptions};
use crate::Log;

/// A payload below this makes even ordinary events several messages.
const SMALL_PAYLOAD_BYTES: usize = 64 * 1024;
/// How many streams the bus needs.
const STREAMS: i64 = 4;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The bus cannot be used, or would lose what it has acknowledged.
    Wrong,
    /// It can be used; this should be known.
    Note,
}

/// Something about the server, in a sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The sentence.
    pub text: String,
}

impl Finding {
    pub(super) fn wrong(text: impl Into<String>) -> Self {
        Self { severity: Severity::Wrong, text: text.into() }
    }

    fn note(text: impl Into<String>) -> Self {
        Self { severity: Severity::Note, text: text.into() }
    }
}

/// Connects, and looks at the server and, where they are there, at the streams. Makes nothing.
pub async fn preflight(options: &OpenOptions) -> Vec<Finding> {
    let Some(names) = Names::new(&options.prefix) else {
        return vec![Finding::wrong(OpenError::Prefix(options.prefix.clone()).to_string())];
    };
    let opened = Connection::open(&options.url, "tripline doctor", &options.auth, &options.tls);
    let connection = match opened.await {
        Ok(connection) => connection,
        Err(error) => return vec![Finding::wrong(error.to_string())],
    };
    examine(&Api::new(connection, options.domain.as_deref()), &names).await
}

#[derive(Deserialize)]
struct Account {
    #[serde(default)]
    storage: i64,
    #[serde(default)]
    streams: i64,
    #[serde(default)]
    limits: AccountLimits,
}

#[derive(Default, Deserialize)]
struct AccountLimits {
    #[serde(default)]
    max_storage: i64,
    #[serde(default)]
    max_streams: i64,
    #[serde(default)]
    max_bytes_required: bool,
}

/// Looks at the server behind a connection.
pub(super) async fn examine(api: &Api, names: &Names) -> Vec<Finding> {
    let mut found = Vec::new();
    let server = api.connection.client.server_info();
    if let Err(error) = check_version(&api.connection) {
        found.push(Finding::wrong(error.to_string()));
    }
    if server.max_payload < SMALL_PAYLOAD_BYTES {
        found.push(Finding::note(format!(
            "max_payload is {} bytes: larger events become several messages; 1 MiB, the server's default, is better",
            server.max_payload
        )));
    }
    let account = match api.ask::<Account>("INFO", &Value::Null).await {
        Ok(account) => account,
        Err(error) => {
            found.push(without_account(api, error));
            return found;
        }
    };
    let (streams, is_new) = streams(api, names, &mut found).await;
    let left = account.limits.max_streams - account.streams;
    if is_new && account.limits.max_streams > 0 && left < STREAMS {
        found.push(Finding::wrong(format!(
            "the account may have {left} more streams, and {STREAMS} are needed: raise max_streams"
        )));
    }
    if is_new && account.limits.max_bytes_required {
        found.push(Finding::wrong(
            "the account wants a limit for each stream (max_bytes_required): make the streams by hand, or lift that",
        ));
    }
    if account.limits.max_storage > 0 {
        found.push(Finding::note(format!(
            "the account may store {} MiB and stores {}: at the limit new events are refused with 503",
            account.limits.max_storage >> 20,
            account.storage >> 20
        )));
    }
    durability(&streams, is_new, server.cluster.is_some(), &mut found);
    found
}

/// Looks at the streams that are there; whether any is missing.
async fn streams(api: &Api, names: &Names, found: &mut Vec<Finding>) -> (Vec<StreamInfo>, bool) {
    let wanted = Log::ALL.map(|log| names.stream(log)).into_iter().chain([names.state_stream()]);
    let (mut streams, mut is_new) = (Vec::new(), false);
    for stream in wanted {
        match api.stream_info(&stream).await {
            Ok(info) => {
                found.extend(limits(&stream, &info));
                streams.push(info);
            }
            Err(error) if error.is(code::STREAM_NOT_FOUND) => is_new = true,
            Err(error) => found.push(Finding::wrong(format!("stream {stream}: {error}"))),
        }
    }
    (streams, is_new)
}

fn durability(streams: &[StreamInfo], is_new: bool, clustered: bool, found: &mut Vec<Finding>) {
    let replicas =
        |info: &StreamInfo| info.config.get("num_replicas").and_then(Value::as_i64).unwrap_or(1);
    let single = streams.iter().any(|info| replicas(info) < 3);
    if clustered && single {
        found.push(Finding::note(
            "streams are kept on one server of the cluster: with replicas 3 the loss of one loses nothing (`nats stream edit NAME --replicas 3`)",
        ));
    }
    if single || (is_new && !clustered) {
        found.push(Finding::note(
            "a server that runs alone survives kill -9, but loses up to two minutes of acknowledged events with its power, unless it has `sync_interval: always` in its `jetstream` block; clients cannot see that setting: look at `config.sync_always` in http://SERVER:8222/jsz?config=true",
        ));
    }
}

fn without_account(api: &Api, error: ApiError) -> Finding {
    match super::streams::api_error(api, "", error) {
        error @ OpenError::NoJetStream { .. } => Finding::wrong(error.to_string()),
        OpenError::Unreachable { reason, .. } if reason.contains("ermission") => {
            Finding::wrong(format!(
                "the user may not use JetStream's API: allow it to publish to `$JS.API.>` and `PREFIX.>`, and to subscribe to `_INBOX.>` ({reason})"
            ))
        }
        error => Finding::wrong(error.to_string()),
    }
}

/// Refuses a server that is too old.
pub(super) fn check_version(connection: &Connection) -> Result<(), OpenError> {
    let info = connection.client.server_info();
    let numbers = |version: &str| -> Vec<u64> {
        let plain = version.split('-').next().unwrap_or_default();
        plain.split('.').map(|part| part.parse().unwrap_or(0)).collect()
    };
    if numbers(&info.version) < numbers(OLDEST_SERVER) {
        return Err(OpenError::TooOld { url: connection.url().to_owned(), found: info.version });
    }
    Ok(())
}
