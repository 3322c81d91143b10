//! What can be configured for an HTTP trigger.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tripline_config::{ConfigMapRef, FieldPath, Problem, SecretRef};

use super::tls::TlsConfig;
use crate::codes;

/// The timeout, in seconds, where none is given.
const DEFAULT_TIMEOUT: i64 = 60;
/// The longest timeout, in seconds.
const LONGEST_TIMEOUT: i64 = 3600;

/// Sends an HTTP request.
///
/// Without `policy.status` any status below 400 is success; 408, 429, 5xx, timeouts and
/// lost connections are tried again, honouring `Retry-After`; any other status is a dead
/// letter. (Argo Events counts every status as success.) Each request carries, unless
/// `headers` say otherwise, `Idempotency-Key`, the same at each attempt, and
/// `x-correlation-id`, `x-causation-id`, `x-tripline-hops`, `x-tripline-path` and `traceparent`. Redirects are
/// followed; with `secureHeaders` only on the same host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpConfig {
    /// Where to, beginning with `http://` or `https://`.
    pub url: String,
    /// What of the events makes up the body; without it the body is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Vec<Value>>,
    /// `GET`, `DELETE`, `PATCH`, `POST` or `PUT`; `POST` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Values of the events that are put into this configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Vec<Value>>,
    /// Headers. With a body, `Content-Type` is `application/json` unless given here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<BTreeMap<String, String>>,
    /// Headers whose values are kept in Secrets or ConfigMaps; they replace `headers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure_headers: Option<Vec<SecureHeader>>,
    /// Headers whose values come from the events: `dest` is the header's name. They replace
    /// `headers`, and are set after `parameters`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dynamic_headers: Option<Vec<Value>>,
    /// User and password of basic authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
    /// How long the whole exchange may take, in seconds, from 1 to 3600; 60 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
    /// For HTTPS with other than the system's root certificates, or with a client's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
    /// The `Host` header, where it is not that of `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// A header whose value is kept elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecureHeader {
    /// The header's name.
    pub name: String,
    /// Where its value is: exactly one of the two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ValueFrom>,
}

/// Where a value is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValueFrom {
    /// In a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretRef>,
    /// In a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<ConfigMapRef>,
}

/// User and password, in Secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BasicAuth {
    /// The user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<SecretRef>,
    /// The password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretRef>,
}

/// Where a secure header's value is.
pub(crate) enum Kept<'c> {
    Secret(&'c SecretRef),
    ConfigMap(&'c ConfigMapRef),
}

impl SecureHeader {
    pub(crate) fn kept(&self) -> Option<Kept<'_>> {
        let from = self.value_from.as_ref()?;
        match (&from.secret_key_ref, &from.config_map_key_ref) {
            (Some(secret), None) => Some(Kept::Secret(secret)),
            (None, Some(config_map)) => Some(Kept::ConfigMap(config_map)),
            _ => None,
        }
    }
}

impl HttpConfig {
    pub(super) fn url(&self) -> Result<Url, String> {
        let url = Url::parse(&self.url).map_err(|error| format!("`url` is no URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("`url` begins with `{}:`, not with http: or https:", url.scheme()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("`url` holds a user or password: name them in `basicAuth`".to_owned());
        }
        Ok(url)
    }

    pub(super) fn method(&self) -> Result<Method, String> {
        match self.method.as_deref().unwrap_or_default() {
            "" | "POST" => Ok(Method::POST),
            "GET" => Ok(Method::GET),
            "DELETE" => Ok(Method::DELETE),
            "PATCH" => Ok(Method::PATCH),
            "PUT" => Ok(Method::PUT),
            other => {
                Err(format!("method `{other}` is not one of GET, DELETE, PATCH, POST and PUT"))
            }
        }
    }

    pub(super) fn timeout(&self) -> Result<Duration, String> {
        // Argo Events takes 0 for no timeout given.
        match self.timeout.filter(|seconds| *seconds != 0).unwrap_or(DEFAULT_TIMEOUT) {
            seconds @ 1..=LONGEST_TIMEOUT => Ok(Duration::from_secs(seconds.unsigned_abs())),
            other => Err(format!("timeout is {other} s, expected 1 to {LONGEST_TIMEOUT}")),
        }
    }

    pub(crate) fn problems(&self, at: &FieldPath) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut say = |code, at: FieldPath, found: Result<(), String>| {
            problems.extend(found.err().map(|message| Problem::error(code, at, message)));
        };
        say(codes::URL, at.key("url"), self.url().map(drop));
        say(codes::METHOD, at.key("method"), self.method().map(drop));
        say(codes::TIMEOUT, at.key("timeout"), self.timeout().map(drop));
        for (name, value) in self.headers.iter().flatten() {
            say(codes::HEADER, at.key("headers").key(name), header(name, value).map(drop));
        }
        for (index, secure) in self.secure_headers.iter().flatten().enumerate() {
            let at = at.key("secureHeaders").index(index);
            say(codes::HEADER, at.key("name"), header(&secure.name, "").map(drop));
            let kept = secure.kept().map(drop);
            let missing = "expected one of `secretKeyRef` and `configMapKeyRef`".to_owned();
            say(codes::SECURE_HEADER, at.key("valueFrom"), kept.ok_or(missing));
        }
        let tls = self.tls.as_ref().and_then(TlsConfig::problem);
        say(codes::TLS, at.key("tls"), tls.map_or(Ok(()), |message| Err(message.to_owned())));
        for (index, dynamic) in self.dynamic_headers.iter().flatten().enumerate() {
            let name = dynamic.get("dest").and_then(Value::as_str).unwrap_or_default();
            let at = at.key("dynamicHeaders").index(index).key("dest");
            say(codes::HEADER, at, header(name, "").map(drop));
        }
        problems
    }
}

/// A header whose value is no secret.
pub(super) fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let invalid = |what| format!("header `{name}` has no valid {what}");
    let name = HeaderName::try_from(name).map_err(|_| invalid("name"))?;
    let value = HeaderValue::try_from(value).map_err(|_| invalid("value"))?;
    Ok((name, value))
}
