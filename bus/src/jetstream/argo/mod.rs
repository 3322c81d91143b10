//! The bus of Argo Events (of its kinds the one on JetStream), as its event sources write it
//! and its sensors read it: read here, and left as it is.
//!
//! There is one stream, [`STREAM`]. A message's subject is `default.SOURCE.EVENT`, its body a
//! CloudEvent in JSON, its header `Nats-Msg-Id` the event's id. Each sensor has a key-value
//! bucket of its own name with what its half-met conditions hold ([`Held`]).
//!
//! Promises: no stream, bucket or message of theirs is changed or removed, and nothing is
//! acknowledged; only [`Argo::publish`] adds to the stream. A [`Reader`] has one consumer while it reads, which is ephemeral, in memory and
//! acknowledges nothing; it goes with [`Reader::close`], or by itself [`INACTIVE`] later.
//! A message that cannot be read is an [`Undecodable`] that names stream, sequence and
//! subject, and keeps nothing else from being read.
//!
//! Not here: what is decided about events.

mod consumers;
mod held;
mod message;
mod publish;
mod reader;

pub use consumers::{Consumer, consumer_name};
pub use held::{Held, HeldEvent};
pub use message::{Message, Undecodable};
pub use publish::{NotPublished, Outgoing, Published};
pub use reader::{INACTIVE, MAX_PAGE, Reader, Start};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use tripline_event::Timestamp;

use super::api::{Api, ApiError, code};
use super::connection::Connection;
use super::{Auth, OpenError, Tls};

/// The name of Argo Events' stream.
pub const STREAM: &str = "default";
/// What the subject of each of its messages begins with.
pub const SUBJECT_PREFIX: &str = "default.";
/// Its subjects.
pub const SUBJECTS: &str = "default.*.*";

/// Where Argo Events' bus is, and who one is there.
#[derive(Clone, Debug)]
pub struct Options {
    /// The servers: `nats://HOST:4222`, several separated by commas; `tls://` for TLS.
    pub url: String,
    /// Who one is. Argo Events' own secret (`…-js-client-auth`) has a user and a password.
    pub auth: Auth,
    /// Whom one trusts. The server that Argo Events makes has a certificate that nobody has
    /// signed: give it as [`Tls::ca`], or take any with [`Tls::any_server`].
    pub tls: Tls,
    /// What the server calls the connection.
    pub name: String,
}

/// Why Argo Events' bus cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArgoError {
    /// There is no connection.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The server has no such stream.
    #[error(
        "NATS at {url} has no stream `{STREAM}`: it is not the bus of Argo Events, or no event source of it has started there yet"
    )]
    NoStream {
        /// The servers.
        url: String,
    },
    /// Whoever reads the stream takes its messages away.
    #[error(
        "stream `{STREAM}` at {url} has the retention `workqueue`: who reads it takes messages away, so it is not read"
    )]
    WorkQueue {
        /// The servers.
        url: String,
    },
    /// The server does not answer, or says no.
    #[error("the bus of Argo Events cannot be read: {0}")]
    Unavailable(String),
    /// A bucket holds something that Argo Events does not write there.
    #[error(transparent)]
    Undecodable(#[from] Undecodable),
}

impl From<ApiError> for ArgoError {
    fn from(error: ApiError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// The stream, and how far it reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// When it was made, to the nanosecond: a stream that was made again has another time.
    pub created: Timestamp,
    /// How many messages are kept.
    pub messages: u64,
    /// The sequence of the first that is kept; one more than `last` where there is none.
    pub first: u64,
    /// The sequence of the last there ever was; 0 before the first.
    pub last: u64,
    /// When the first that is kept came; none where there is none.
    pub first_time: Option<Timestamp>,
    /// When the last that is kept came; none where there is none.
    pub last_time: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Info {
    created: Timestamp,
    config: Config,
    state: State,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    retention: String,
}

#[derive(Deserialize)]
struct State {
    messages: u64,
    first_seq: u64,
    last_seq: u64,
    #[serde(default)]
    first_ts: Option<Timestamp>,
    #[serde(default)]
    last_ts: Option<Timestamp>,
}

/// A connection to Argo Events' bus. It is made again by itself when it breaks.
#[derive(Clone)]
pub struct Argo {
    api: Api,
}

impl Argo {
    /// Connects.
    ///
    /// # Errors
    /// [`ArgoError::Open`]: there is no server, or it does not let one in.
    pub async fn connect(options: &Options) -> Result<Self, ArgoError> {
        let Options { url, auth, tls, name } = options;
        let connection = Connection::open(url, name, auth, tls).await?;
        Ok(Self { api: Api::new(connection, None) })
    }

    /// The connection, for what is not read.
    pub fn client(&self) -> &async_nats::Client {
        &self.api.connection.client
    }

    /// The servers, without what is secret.
    pub fn url(&self) -> &str {
        self.api.connection.url()
    }

    /// How far the stream reaches.
    ///
    /// # Errors
    /// [`ArgoError::NoStream`], [`ArgoError::WorkQueue`], or the server does not answer.
    pub async fn stream(&self) -> Result<StreamInfo, ArgoError> {
        let asked = self.api.ask::<Info>(&format!("STREAM.INFO.{STREAM}"), &Value::Null).await;
        let Info { created, config, state } = match asked {
            Err(error) if error.is(code::STREAM_NOT_FOUND) => {
                return Err(ArgoError::NoStream { url: self.url().to_owned() });
            }
            other => other?,
        };
        if config.retention == "workqueue" {
            return Err(ArgoError::WorkQueue { url: self.url().to_owned() });
        }
        let kept = |time: Option<Timestamp>| time.filter(|_| state.messages > 0);
        Ok(StreamInfo {
            created,
            messages: state.messages,
            first: state.first_seq.max(1),
            last: state.last_seq,
            first_time: kept(state.first_ts),
            last_time: kept(state.last_ts),
        })
    }

    /// Reads the stream from `start` on. `namespace` is that of the event sources: the stream
    /// does not say it.
    ///
    /// # Errors
    /// As [`Argo::stream`].
    pub async fn read(&self, namespace: &str, start: Start) -> Result<Reader, ArgoError> {
        let stream = self.stream().await?;
        Reader::open(self.api.clone(), namespace, start, &stream).await
    }

    /// The body of a message, as it is; none where it is not there.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn payload(&self, sequence: u64) -> Result<Option<Bytes>, ArgoError> {
        let found = self.api.leader_get(STREAM, &serde_json::json!({"seq": sequence})).await?;
        Ok(found.map(|found| found.message.payload))
    }

    /// What the bucket of a sensor holds; none where there is no such bucket. `namespace` is
    /// that of the sensor.
    ///
    /// # Errors
    /// The server does not answer, or an entry cannot be read.
    pub async fn held(&self, namespace: &str, sensor: &str) -> Result<Option<Held>, ArgoError> {
        held::read(&self.api, namespace, sensor).await
    }
}
