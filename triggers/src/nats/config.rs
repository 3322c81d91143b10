//! What can be configured for a message to NATS.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tripline_config::{FieldPath, Problem};
use tripline_nats::{AuthConfig, TlsConfig};

use crate::{codes, payload};

/// Publishes a message to a subject of NATS.
///
/// It is a success when the server has processed the message, or, with `jetStream`, when a
/// stream has stored it. Lost connections and timeouts are tried again; no right, no such
/// stream and a message that is too large are a dead letter. Each message carries the headers
/// `x-correlation-id`, `x-causation-id`, `x-tripline-hops`, `x-tripline-path` and `traceparent`,
/// those of a CloudEvent in binary mode (`ce-id`, `ce-source`, `ce-type`, …), and the action's id
/// as `Nats-Msg-Id`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NatsConfig {
    /// The servers: `nats://HOST:PORT`, `tls://HOST:PORT`, several with commas between them.
    pub url: String,
    /// The subject, without wildcards.
    pub subject: String,
    /// What of the events makes up the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Vec<Value>>,
    /// Values of the events that are put into this configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Vec<Value>>,
    /// TLS with other than the machine's root certificates, or with a certificate of the
    /// client's own. An address `tls://…` needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
    /// Who one is to the server. A changed secret is taken up at the next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<AuthConfig>,
    /// `true`, or the stream: it is a success only when a stream of JetStream has stored the
    /// message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub jet_stream: Option<JetStream>,
}

/// Whether a stream is to store the message, and which one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum JetStream {
    /// Whichever has the subject.
    Any(bool),
    /// This one.
    Stream(StreamConfig),
}

/// A stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StreamConfig {
    /// Its name: another one that has the subject is an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
}

impl JetStream {
    pub(super) fn is_on(&self) -> bool {
        *self != Self::Any(false)
    }

    pub(super) fn stream(&self) -> Option<&str> {
        match self {
            Self::Any(_) => None,
            Self::Stream(config) => config.stream.as_deref().filter(|name| !name.is_empty()),
        }
    }
}

impl NatsConfig {
    pub(crate) fn problems(&self, at: &FieldPath) -> Vec<Problem> {
        let mut problems = self.mistakes(at);
        problems.extend(payload::missing(self.payload.as_ref(), at));
        problems
    }

    /// What is wrong with where it goes.
    pub(super) fn mistakes(&self, at: &FieldPath) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut say = |code, at: FieldPath, message: Option<String>| {
            problems.extend(message.map(|message| Problem::error(code, at, message)));
        };
        say(codes::NATS_SUBJECT, at.key("url"), self.url_problem());
        if !is_subject(&self.subject) {
            let message = format!(
                "subject is {:?}, expected tokens with dots between them, without wildcards",
                self.subject
            );
            say(codes::NATS_SUBJECT, at.key("subject"), Some(message));
        }
        if let Some((field, message)) = self.auth.as_ref().and_then(AuthConfig::problem) {
            say(codes::NATS_AUTH, at.key("auth").key(field), Some(message.to_owned()));
        }
        let tls = self.tls.as_ref().and_then(TlsConfig::problem);
        say(codes::NATS_AUTH, at.key("tls"), tls.map(str::to_owned));
        problems
    }

    fn url_problem(&self) -> Option<String> {
        let servers = match tripline_nats::servers(&self.url) {
            Ok(servers) => servers,
            Err(message) => return Some(message),
        };
        let holds = |server: &async_nats::ServerAddr| {
            server.username().is_some() || server.password().is_some()
        };
        let message = "url holds a user, a password or a token: name them in `auth`, as secrets";
        servers.iter().any(holds).then(|| message.to_owned())
    }
}

/// Whether a message can be published to it. Subjects that begin with `$` are the server's own.
fn is_subject(subject: &str) -> bool {
    let legal = |c: char| !c.is_whitespace() && !c.is_control() && !"*>".contains(c);
    let token = |token: &str| !token.is_empty() && token.chars().all(legal);
    !subject.starts_with('$') && subject.split('.').all(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_to_publish_to_has_no_wildcards() {
        for good in ["a", "builds.done", "a-b.c_d"] {
            assert!(is_subject(good), "{good}");
        }
        for bad in ["", "a.", "a..b", "a b", "a.*", "a.>", "$JS.API.STREAM.DELETE.X", "a\r\nPUB"] {
            assert!(!is_subject(bad), "{bad:?}");
        }
    }
}
