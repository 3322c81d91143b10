//! The request that an action sends.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Request;
use tripline_config::{Secret, SecretRef};
use tripline_event::{Action, Cause};

use super::config::{HttpConfig, Kept, SecureHeader, header};
use super::tls::{Material, TlsConfig};
use crate::{RenderedAction, SecretLookup, TriggerError, message_headers};

/// The most bytes of a header that tells of the chain. Servers take 8 KiB of all headers.
const VALUE_BYTES: usize = 4 * 1024;

/// A request, and what of it must not be told.
pub(super) struct Prepared {
    pub(super) request: Request,
    pub(super) timeout: Duration,
    /// It has secure headers, which must not leave the host.
    pub(super) guarded: bool,
    pub(super) secrets: Vec<Secret>,
    /// Where the configuration has `tls`.
    pub(super) tls: Option<Material>,
}

impl Prepared {
    pub(super) fn new(
        rendered: &RenderedAction,
        config: &HttpConfig,
        lookup: &dyn SecretLookup,
    ) -> Result<Self, TriggerError> {
        let url = config.url().map_err(refused)?;
        let timeout = config.timeout().map_err(refused)?;
        let mut request = Request::new(config.method().map_err(refused)?, url);
        let action = &rendered.action;
        let namespace = &action.trigger.namespace;
        let mut secrets = Vec::new();
        let headers = request.headers_mut();
        for (name, value) in config.headers.iter().flatten() {
            let (name, value) = header(name, value).map_err(refused)?;
            headers.insert(name, value);
        }
        if let Some(host) = config.host.as_deref().filter(|host| !host.is_empty()) {
            headers.insert(HOST, header("host", host).map_err(refused)?.1);
        }
        for secure in config.secure_headers.iter().flatten() {
            insert_secure(headers, secure, namespace, lookup, &mut secrets)?;
        }
        if let Some(basic) = &config.basic_auth {
            let mut part = |of: &Option<SecretRef>| match of {
                Some(of) => secret(lookup, namespace, of, &mut secrets),
                None => Ok(None),
            };
            let (user, password) = (part(&basic.username)?, part(&basic.password)?);
            headers.insert(AUTHORIZATION, basic_auth(user.as_ref(), password.as_ref())?);
        }
        if rendered.payload.is_some() {
            let json = HeaderValue::from_static(tripline_event::event::JSON);
            headers.entry(CONTENT_TYPE).or_insert(json);
        }
        insert_own(headers, action);
        if let Some(payload) = &rendered.payload {
            *request.body_mut() = Some(payload.clone().into());
        }
        let guarded = !secrets.is_empty();
        let tls = match &config.tls {
            Some(tls) => Some(material(tls, namespace, lookup)?),
            None => None,
        };
        Ok(Self { request, timeout, guarded, secrets, tls })
    }
}

/// Secrets of TLS do not stand in the request: no server can repeat them.
fn material(
    tls: &TlsConfig,
    namespace: &str,
    lookup: &dyn SecretLookup,
) -> Result<Material, TriggerError> {
    if let Some(problem) = tls.problem() {
        return Err(refused(format!("`tls`: {problem}")));
    }
    let value = |of: &Option<SecretRef>| match of {
        Some(of) => secret(lookup, namespace, of, &mut Vec::new()),
        None => Ok(None),
    };
    Ok(Material {
        authorities: value(&tls.ca_cert_secret)?,
        certificate: value(&tls.client_cert_secret)?,
        key: value(&tls.client_key_secret)?,
        skip_verify: tls.insecure_skip_verify == Some(true),
    })
}

/// What tells the receiver of the action and its chain, unless the sensor says otherwise.
fn insert_own(headers: &mut HeaderMap, action: &Action) {
    let key = [("idempotency-key", action.id.as_str().to_owned())];
    for (name, value) in key.into_iter().chain(message_headers::chain(action, VALUE_BYTES)) {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.entry(HeaderName::from_static(name)).or_insert(value);
        }
    }
}

fn insert_secure(
    headers: &mut HeaderMap,
    secure: &SecureHeader,
    namespace: &str,
    lookup: &dyn SecretLookup,
    secrets: &mut Vec<Secret>,
) -> Result<(), TriggerError> {
    let (name, _) = header(&secure.name, "").map_err(refused)?;
    let value = match secure.kept() {
        Some(Kept::Secret(of)) => secret(lookup, namespace, of, secrets)?,
        Some(Kept::ConfigMap(of)) => match lookup.config_map(namespace, of) {
            Ok(text) => Some(Secret::new(text.as_bytes())),
            Err(_) if of.optional == Some(true) => None,
            Err(reason) => return Err(retry(reason)),
        },
        None => return Err(refused(format!("secure header `{name}` names no secret"))),
    };
    if let Some(value) = value {
        let invalid =
            |_| refused(format!("the value of secure header `{name}` is not a valid one"));
        let mut value = HeaderValue::from_bytes(value.expose()).map_err(invalid)?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(())
}

/// The secret; none where it is optional and missing.
fn secret(
    lookup: &dyn SecretLookup,
    namespace: &str,
    of: &SecretRef,
    secrets: &mut Vec<Secret>,
) -> Result<Option<Secret>, TriggerError> {
    match lookup.secret(namespace, of) {
        Ok(secret) => {
            secrets.push(secret.clone());
            Ok(Some(secret))
        }
        Err(_) if of.optional == Some(true) => Ok(None),
        // It may be made yet.
        Err(reason) => Err(retry(reason)),
    }
}

fn basic_auth(
    user: Option<&Secret>,
    password: Option<&Secret>,
) -> Result<HeaderValue, TriggerError> {
    let part = |secret: Option<&Secret>| secret.map_or_else(Vec::new, |s| s.expose().to_vec());
    let both = [part(user), b":".to_vec(), part(password)].concat();
    let text = format!("Basic {}", BASE64.encode(both));
    let invalid = |_| refused("user and password make no valid header");
    let mut value = HeaderValue::try_from(text).map_err(invalid)?;
    value.set_sensitive(true);
    Ok(value)
}

fn refused(reason: impl Into<String>) -> TriggerError {
    TriggerError::Refused { cause: Cause::Render, reason: reason.into() }
}

fn retry(reason: String) -> TriggerError {
    TriggerError::Retry { reason, after: None }
}
