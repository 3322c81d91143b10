//! What can be configured for a webhook.

use std::collections::BTreeMap;

use http::{HeaderName, Method};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tripline_config::{FieldPath, Problem};

use super::endpoint::Endpoint;
use super::limits::{DEFAULT_PAYLOAD_BYTES, HEALTH, MAX_PAYLOAD_BYTES};
use crate::fields::{Correlation, EventFilter, data_end, take};
use crate::{SecretRef, codes};

/// An HTTP endpoint: each request to it is an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookConfig {
    /// The path, such as `/builds`; `/builds/{id}` takes any one segment in the place of
    /// `{id}`, `/builds/{id:[0-9]+}` what the pattern matches. `/health` is taken.
    pub endpoint: String,
    /// The port, as text. All event sources of all namespaces may use the same one; they
    /// are told apart by their paths. Where two have the same path, by the host name
    /// `<event source>-eventsource-svc[.<namespace>[.svc[.cluster.local]]]`, or by the path
    /// `/<namespace>/<event source>/<endpoint>`, which always works.
    pub port: String,
    /// `GET` or `POST`, compared as it is; `POST` if not given. Events with the same
    /// endpoint and different methods are different events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The URL at which the outside reaches the port. Nothing uses it for this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The certificate chain (PEM). With `serverKeySecret` it makes the port an HTTPS
    /// port; all webhooks of a port must name the same. A changed certificate is taken up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_cert_secret: Option<SecretRef>,
    /// The certificate's private key (PEM).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_key_secret: Option<SecretRef>,
    /// Copied into each event's data, under `metadata`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    /// A token that requests must bring: `Authorization: Bearer <token>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_secret: Option<SecretRef>,
    /// The largest body that is taken, in bytes; 1048576 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_payload_size: Option<i64>,
    /// Not supported yet, and refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<EventFilter>,
    /// Where a request has the id by which its repetition is recognized. Without it, or
    /// where a request has none: the delivery headers of GitHub, GitLab, Standard Webhooks
    /// and CloudEvents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub idempotency_key: Option<IdempotencyKeyConfig>,
    /// Requests are CloudEvents, in binary or structured mode, and keep what they say of
    /// themselves; one that is none is answered 400.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub cloud_events: Option<bool>,
    /// Where an event has its correlation id, if not in one of the usual places.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tripline" = true))]
    pub correlation: Option<Correlation>,
}

/// Where a request has its id: exactly one of the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdempotencyKeyConfig {
    /// The name of a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// A path into the body, with dots: `body.build.id`, `body.items.0.id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// A webhook whose configuration is right.
#[derive(Clone, Debug)]
pub struct Webhook {
    pub(super) endpoint: Endpoint,
    pub(super) port: u16,
    pub(super) method: Method,
    pub(super) tls: Option<TlsRefs>,
    pub(super) auth: Option<SecretRef>,
    pub(super) max_payload_bytes: usize,
    /// The end of each event's data: `,"metadata":{…}}` or `}`.
    pub(super) data_end: String,
    pub(super) idempotency_key: Option<IdempotencyKey>,
    pub(super) cloud_events: bool,
}

/// The secrets that hold a port's certificate and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TlsRefs {
    pub(super) certificate: SecretRef,
    pub(super) key: SecretRef,
}

/// Where a request has its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum IdempotencyKey {
    Header(HeaderName),
    /// The steps below the body.
    Path(Vec<String>),
}

impl Webhook {
    /// The port, as configured.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl WebhookConfig {
    /// The webhook, or what is wrong with its configuration, which is at `at`.
    pub fn resolve(&self, at: &FieldPath) -> (Option<Webhook>, Vec<Problem>) {
        let mut problems = Vec::new();
        let found = &mut problems;
        let endpoint = take(self.endpoint(at), found);
        let port = take(self.port(at), found);
        let tls = take(self.tls(at), found);
        let max_payload_bytes = take(self.max_payload_bytes(at), found);
        let idempotency_key = take(self.idempotency_key(at), found);
        let method = take(self.method(at, &mut problems), &mut problems);
        let webhook = (|| {
            Some(Webhook {
                endpoint: endpoint?,
                port: port?,
                method: method?,
                tls: tls?,
                auth: self.auth_secret.clone(),
                max_payload_bytes: max_payload_bytes?,
                data_end: data_end(self.metadata.as_ref()),
                idempotency_key: idempotency_key?,
                cloud_events: self.cloud_events == Some(true),
            })
        })();
        (webhook, problems)
    }

    fn endpoint(&self, at: &FieldPath) -> Result<Endpoint, Problem> {
        let at = at.key("endpoint");
        let endpoint = Endpoint::parse(&self.endpoint)
            .map_err(|message| Problem::error(codes::ENDPOINT, at.clone(), message))?;
        if endpoint.as_str() == HEALTH {
            return Err(Problem::error(
                codes::ENDPOINT,
                at,
                "endpoint `/health` answers health checks on every webhook port",
            )
            .help("choose another path"));
        }
        Ok(endpoint)
    }

    fn port(&self, at: &FieldPath) -> Result<u16, Problem> {
        self.port.parse().ok().filter(|port| *port > 0).ok_or_else(|| {
            let message = format!("port is {:?}, expected a number from 1 to 65535", self.port);
            Problem::error(codes::PORT, at.key("port"), message)
        })
    }

    fn method(&self, at: &FieldPath, found: &mut Vec<Problem>) -> Result<Method, Problem> {
        let at = at.key("method");
        let Some(text) = self.method.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(Method::POST);
        };
        let method = Method::from_bytes(text.as_bytes()).map_err(|_| {
            let message = format!("method is {text:?}, expected `GET` or `POST`");
            Problem::error(codes::METHOD, at.clone(), message)
        })?;
        if method != Method::GET && method != Method::POST {
            let message =
                format!("every request is answered 400: method `{text}` is not supported");
            let meant = text.to_ascii_uppercase();
            let meant = if meant == "GET" { "GET" } else { "POST" };
            found.push(
                Problem::warning(codes::METHOD, at, message).help(format!("write `{meant}`")),
            );
        }
        Ok(method)
    }

    fn tls(&self, at: &FieldPath) -> Result<Option<TlsRefs>, Problem> {
        let missing = |has: &str, lacks: &str| {
            let message = format!("`{has}` is given without `{lacks}`");
            Problem::error(codes::TLS, at.key(has), message)
                .help("give both for HTTPS, or neither for HTTP")
        };
        match (&self.server_cert_secret, &self.server_key_secret) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => {
                Ok(Some(TlsRefs { certificate: certificate.clone(), key: key.clone() }))
            }
            (Some(_), None) => Err(missing("serverCertSecret", "serverKeySecret")),
            (None, Some(_)) => Err(missing("serverKeySecret", "serverCertSecret")),
        }
    }

    fn max_payload_bytes(&self, at: &FieldPath) -> Result<usize, Problem> {
        // Argo Events takes 0 and less as "not given".
        let Some(bytes) = self.max_payload_size.filter(|bytes| *bytes > 0) else {
            return Ok(DEFAULT_PAYLOAD_BYTES);
        };
        usize::try_from(bytes).ok().filter(|bytes| *bytes <= MAX_PAYLOAD_BYTES).ok_or_else(|| {
            let message =
                format!("maxPayloadSize is {bytes} bytes, expected at most {MAX_PAYLOAD_BYTES}");
            Problem::error(codes::PAYLOAD_LIMIT, at.key("maxPayloadSize"), message)
        })
    }

    fn idempotency_key(&self, at: &FieldPath) -> Result<Option<IdempotencyKey>, Problem> {
        let Some(config) = &self.idempotency_key else { return Ok(None) };
        let at = at.key("idempotencyKey");
        let error = |at, message: String| Problem::error(codes::IDEMPOTENCY_KEY, at, message);
        match (&config.header, &config.path) {
            (Some(header), None) => {
                let name = HeaderName::try_from(header.as_str()).map_err(|_| {
                    error(at.key("header"), format!("{header:?} is no name of a header"))
                })?;
                Ok(Some(IdempotencyKey::Header(name)))
            }
            (None, Some(path)) => {
                let mut steps = path.split('.').map(str::to_owned);
                if steps.next().as_deref() != Some("body") || path == "body" {
                    let message =
                        format!("path is {path:?}, expected one that begins with `body.`");
                    return Err(error(at.key("path"), message));
                }
                Ok(Some(IdempotencyKey::Path(steps.collect())))
            }
            _ => Err(error(at, "expected either `header` or `path`".into())),
        }
    }
}
