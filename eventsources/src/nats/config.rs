//! What can be configured for a subject.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::jetstream::consumer::DeliverPolicy;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tripline_config::{FieldPath, Problem};
use tripline_nats::{AuthConfig, TlsConfig};
use tripline_schedules::duration;

use super::limits::{ACK_WAIT, MAX_ACK_WAIT, MAX_BACKOFF, MIN_ACK_WAIT};
use super::names::{is_name, is_subject};
use crate::codes;
use crate::fields::{Correlation, EventFilter, data_end, take};

/// The messages of a subject of NATS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NatsConfig {
    /// The servers: `nats://HOST:PORT`, `tls://HOST:PORT`, several with commas between them.
    pub url: String,
    /// The subject, with `*` for one token and `>` for all the rest.
    pub subject: String,
    /// A queue group: each message goes to one of its members alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// The pauses between the first attempts to connect; it is tried for ever in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_backoff: Option<Backoff>,
    /// Messages are JSON and stand in the data as they are; one that is not becomes a dead
    /// letter. Otherwise the data has them in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_body: Option<bool>,
    /// TLS with other than the machine's root certificates, or with a certificate of the
    /// client's own. An address `tls://…` needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
    /// Who one is to the server. A changed secret is taken up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<AuthConfig>,
    /// Copied into each event's data, under `metadata`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    /// What must be true of the event's data. A message for which it is not is no event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<EventFilter>,
    /// Messages are taken from a stream of JetStream, and acknowledged when their events are
    /// durable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub jet_stream: Option<JetStreamConfig>,
    /// Messages are CloudEvents, in binary or structured mode, and keep what they say of
    /// themselves; one that is none becomes a dead letter. `jsonBody` has no meaning then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub cloud_events: Option<bool>,
    /// Where an event has its correlation id, if not in one of the usual places (headers and
    /// body).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub correlation: Option<Correlation>,
}

/// A durable consumer of a stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JetStreamConfig {
    /// The stream's name.
    pub stream: String,
    /// The durable consumer's name. One that is not there is made; if not given,
    /// `tripline-NAMESPACE-SOURCE-EVENT-HASH`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// Where a consumer that is made begins: `all` (if not given), `new`, `last`,
    /// `lastPerSubject`, `byStartSequence` or `byStartTime`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver_policy: Option<String>,
    /// The first message of `byStartSequence`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_sequence: Option<u64>,
    /// The time of the first message of `byStartTime`, as in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<String>,
    /// After so long the server delivers a message again that a daemon held which was killed:
    /// `1s` to `1h`; `30s` if not given. It is extended for as long as a message is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ack_wait: Option<String>,
}

/// Pauses (Argo Events' `Backoff`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "NatsBackoff")]
pub struct Backoff {
    /// The first pause: `1s`, or a number of nanoseconds; one second if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Value>,
    /// By how much each pause is longer than the one before; 1 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<Value>,
    /// Pauses are spread in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Value>,
    /// After so many attempts pauses are those of any event source; 5 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<i64>,
}

/// A subject whose configuration is right.
#[derive(Clone, Debug)]
pub struct Nats {
    pub(super) url: String,
    pub(super) subject: String,
    pub(super) queue: Option<String>,
    /// The pauses between the first attempts to connect.
    pub(super) pauses: Vec<Duration>,
    pub(super) json_body: bool,
    pub(super) cloud_events: bool,
    pub(super) auth: Option<AuthConfig>,
    pub(super) tls: Option<TlsConfig>,
    /// The end of each event's data: `,"metadata":{…}}` or `}`.
    pub(super) data_end: String,
    pub(super) jet_stream: Option<JetStream>,
}

/// A consumer whose configuration is right.
#[derive(Clone, Debug)]
pub(super) struct JetStream {
    pub(super) stream: String,
    /// None: the default.
    pub(super) consumer: Option<String>,
    pub(super) deliver_policy: DeliverPolicy,
    pub(super) ack_wait: Duration,
    /// How far the messages of the stream are on the event bus: when it was made, and the
    /// sequence. A consumer that somebody removed is made again from there.
    pub(super) done: Arc<Mutex<Option<(i64, u64)>>>,
}

impl Nats {
    /// Whether its messages may be waited for by others, who do not get what this one takes: its
    /// servers are not on this machine, and a consumer or a queue group is shared.
    pub fn is_real(&self) -> bool {
        let servers = tripline_nats::servers(&self.url).unwrap_or_default();
        let is_elsewhere = |host: &str| {
            let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
            host != "localhost" && !address.is_ok_and(|address| address.is_loopback())
        };
        let shared = self.jet_stream.is_some() || self.queue.is_some();
        shared && servers.iter().any(|server| is_elsewhere(server.host()))
    }
}

impl NatsConfig {
    /// The subject, or what is wrong with its configuration, which is at `at`.
    pub fn resolve(&self, at: &FieldPath) -> (Option<Nats>, Vec<Problem>) {
        let mut problems = Vec::new();
        let found = &mut problems;
        let url = take(self.url(at), found);
        let subject = take(self.subject(at), found);
        let queue = take(self.queue(at), found);
        let pauses = take(self.pauses(&at.key("connectionBackoff")), found);
        let jet_stream = match &self.jet_stream {
            None => Some(None),
            Some(config) => take(config.resolve(&at.key("jetStream")), found).map(Some),
        };
        let access = take(self.access(at), found);
        let nats = (|| {
            access?;
            Some(Nats {
                url: url?,
                subject: subject?,
                queue: queue?,
                pauses: pauses?,
                json_body: self.json_body == Some(true),
                cloud_events: self.cloud_events == Some(true),
                auth: self.auth.clone(),
                tls: self.tls.clone(),
                data_end: data_end(self.metadata.as_ref()),
                jet_stream: jet_stream?,
            })
        })();
        (nats, problems)
    }

    fn url(&self, at: &FieldPath) -> Result<String, Problem> {
        let error = |message: String| Problem::error(codes::NATS_SUBJECT, at.key("url"), message);
        let servers = tripline_nats::servers(&self.url).map_err(error)?;
        if servers.iter().any(|server| server.username().is_some() || server.password().is_some()) {
            let message = "url holds a user, a password or a token".to_owned();
            return Err(error(message).help("name them in `auth`, as secrets"));
        }
        Ok(self.url.clone())
    }

    fn subject(&self, at: &FieldPath) -> Result<String, Problem> {
        if is_subject(&self.subject) {
            return Ok(self.subject.clone());
        }
        let message = format!(
            "subject is {:?}, expected tokens with dots between them: `builds.*.done`, `builds.>`",
            self.subject
        );
        Err(Problem::error(codes::NATS_SUBJECT, at.key("subject"), message))
    }

    fn queue(&self, at: &FieldPath) -> Result<Option<String>, Problem> {
        let Some(queue) = &self.queue else { return Ok(None) };
        let at = at.key("queue");
        if queue.is_empty() || queue.chars().any(|c| c.is_whitespace() || c.is_control()) {
            let message = format!("queue is {queue:?}, expected a name without white space");
            return Err(Problem::error(codes::NATS_SUBJECT, at, message));
        }
        if self.jet_stream.is_some() {
            let message = "a consumer of JetStream has no queue group".to_owned();
            return Err(Problem::error(codes::NATS_JETSTREAM, at, message)
                .help("event sources with the same `jetStream.consumer` share its messages"));
        }
        Ok(Some(queue.clone()))
    }

    fn access(&self, at: &FieldPath) -> Result<(), Problem> {
        let auth = self.auth.as_ref().and_then(AuthConfig::problem);
        let tls = self.tls.as_ref().and_then(TlsConfig::problem);
        let auth = auth.map(|(field, message)| (at.key("auth").key(field), message));
        match auth.or(tls.map(|message| (at.key("tls"), message))) {
            Some((at, message)) => Err(Problem::error(codes::NATS_AUTH, at, message)),
            None => Ok(()),
        }
    }

    fn pauses(&self, at: &FieldPath) -> Result<Vec<Duration>, Problem> {
        let Some(backoff) = &self.connection_backoff else { return Ok(Vec::new()) };
        let error = |field: &str, message: String| {
            Problem::error(codes::NATS_SUBJECT, at.key(field), message)
        };
        let first = backoff.first().map_err(|message| error("duration", message))?;
        let factor = backoff.factor().map_err(|message| error("factor", message))?;
        let steps = usize::try_from(backoff.steps.unwrap_or_default()).unwrap_or_default();
        let steps = if steps == 0 { 5 } else { steps.min(100) };
        let pause = |step: usize| {
            let times = factor.powi(i32::try_from(step).unwrap_or(i32::MAX));
            let seconds = (first.as_secs_f64() * times).clamp(0.0, MAX_BACKOFF.as_secs_f64());
            Duration::from_secs_f64(seconds)
        };
        Ok((0..steps - 1).map(pause).collect())
    }
}

impl Backoff {
    fn first(&self) -> Result<Duration, String> {
        let wrong = |value: &Value| {
            format!("duration is {value}, expected one such as `1s`, or a number of nanoseconds")
        };
        match &self.duration {
            None | Some(Value::Null) => Ok(Duration::from_secs(1)),
            Some(value @ Value::Number(number)) => {
                number.as_u64().map(Duration::from_nanos).ok_or_else(|| wrong(value))
            }
            Some(value) => {
                let text = value.as_str().unwrap_or_default();
                let parsed = duration::parse_go(text).ok().and_then(|d| Duration::try_from(d).ok());
                parsed.ok_or_else(|| wrong(value))
            }
        }
    }

    fn factor(&self) -> Result<f64, String> {
        let factor = match &self.factor {
            None | Some(Value::Null) => return Ok(1.0),
            Some(Value::String(text)) => text.parse().ok(),
            Some(value) => value.as_f64(),
        };
        let legal = factor.filter(|factor: &f64| factor.is_finite() && *factor >= 0.0);
        legal.ok_or_else(|| "factor is no number, expected one such as `2`".to_owned())
    }
}

impl JetStreamConfig {
    fn resolve(&self, at: &FieldPath) -> Result<JetStream, Problem> {
        let error = |field: &str, message: String| {
            Problem::error(codes::NATS_JETSTREAM, at.key(field), message)
        };
        for (field, name) in [("stream", Some(&self.stream)), ("consumer", self.consumer.as_ref())]
        {
            if let Some(name) = name.filter(|name| !is_name(name)) {
                let message = format!("{field} is {name:?}, expected a name without `.`, `*`, `>`");
                return Err(error(field, message));
            }
        }
        Ok(JetStream {
            stream: self.stream.clone(),
            consumer: self.consumer.clone(),
            deliver_policy: self.deliver_policy(&error)?,
            ack_wait: self.ack_wait().map_err(|message| error("ackWait", message))?,
            done: Arc::default(),
        })
    }

    fn deliver_policy(
        &self,
        error: &dyn Fn(&str, String) -> Problem,
    ) -> Result<DeliverPolicy, Problem> {
        let policy = self.deliver_policy.as_deref().unwrap_or("all");
        for (field, given, of) in [
            ("startSequence", self.start_sequence.is_some(), "byStartSequence"),
            ("startTime", self.start_time.is_some(), "byStartTime"),
        ] {
            if given != (policy == of) {
                let message = format!("`{field}` and `deliverPolicy: {of}` go together");
                return Err(error(field, message));
            }
        }
        Ok(match policy {
            "all" => DeliverPolicy::All,
            "new" => DeliverPolicy::New,
            "last" => DeliverPolicy::Last,
            "lastPerSubject" => DeliverPolicy::LastPerSubject,
            "byStartSequence" => {
                let start_sequence = self.start_sequence.unwrap_or_default().max(1);
                DeliverPolicy::ByStartSequence { start_sequence }
            }
            "byStartTime" => {
                let text = self.start_time.as_deref().unwrap_or_default();
                let wrong = |_| {
                    let message = format!(
                        "startTime is {text:?}, expected one as in RFC 3339: 2026-11-21T03:00:00Z"
                    );
                    error("startTime", message)
                };
                let start_time = async_nats::datetime::parse_rfc3339(text).map_err(wrong)?;
                DeliverPolicy::ByStartTime { start_time }
            }
            other => {
                let message = format!(
                    "deliverPolicy is {other:?}, expected all, new, last, lastPerSubject, \
                     byStartSequence or byStartTime"
                );
                return Err(error("deliverPolicy", message));
            }
        })
    }

    fn ack_wait(&self) -> Result<Duration, String> {
        let Some(text) = &self.ack_wait else { return Ok(ACK_WAIT) };
        let parsed = duration::parse_go(text).ok().and_then(|wait| Duration::try_from(wait).ok());
        let within = parsed.filter(|wait| (MIN_ACK_WAIT..=MAX_ACK_WAIT).contains(wait));
        within.ok_or_else(|| format!("ackWait is {text:?}, expected a duration from `1s` to `1h`"))
    }
}
