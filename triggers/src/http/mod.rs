//! `http`: sends a request.
//!
//! One client, with its pool of connections, serves all triggers; each different `tls` has
//! one of its own. Proxies are taken from the environment, and root certificates from the
//! system where `tls` names none.

mod answer;
mod config;
mod request;
#[cfg(test)]
mod tests;
mod tls;

use std::sync::{Arc, OnceLock};

use reqwest::{Client, ClientBuilder, Response, redirect};
use serde::Deserialize as _;
use tripline_event::outcome::TargetResult;
use tripline_event::{Cause, Clock};

pub(crate) use answer::check_status_policy;
use answer::{Meaning, meaning, no_answer, retry_after};
pub(crate) use config::Kept;
pub use config::{BasicAuth, HttpConfig, SecureHeader, ValueFrom};
use request::Prepared;
use tls::TlsClients;
pub use tls::TlsConfig;

use crate::{Attempt, BoxFuture, SecretLookup, Trigger, TriggerError};

/// The key under `template`.
pub const KIND: &str = "http";

/// A complete sensor with such a trigger.
pub const EXAMPLE: &str = include_str!("example.yaml");

/// As much of a body is read, so that its connection can be used again; a longer one is
/// cut off, and the connection closed.
const BODY_BYTES: usize = 64 * 1024;
/// The most redirects that are followed, as in Go.
const REDIRECTS: usize = 10;

/// The kind `http`.
pub struct HttpTrigger {
    secrets: Arc<dyn SecretLookup>,
    clock: Arc<dyn Clock>,
    /// Made at the first use, so that a machine without root certificates troubles only
    /// those who send requests.
    client: OnceLock<Client>,
    /// Follows no redirect to another host.
    guarded: OnceLock<Client>,
    tls: TlsClients,
}

impl HttpTrigger {
    /// Takes secrets from `secrets`. A crypto provider must have been installed.
    pub fn new(secrets: Arc<dyn SecretLookup>, clock: Arc<dyn Clock>) -> Self {
        Self {
            secrets,
            clock,
            client: OnceLock::new(),
            guarded: OnceLock::new(),
            tls: TlsClients::default(),
        }
    }

    fn client(&self, guarded: bool) -> Result<&Client, TriggerError> {
        let cell = if guarded { &self.guarded } else { &self.client };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let client = client(guarded).map_err(|error| TriggerError::Retry {
            reason: format!("requests cannot be sent: {error}"),
            after: None,
        })?;
        Ok(cell.get_or_init(|| client))
    }

    async fn send(&self, attempt: Attempt<'_>) -> Result<TargetResult, TriggerError> {
        let config = HttpConfig::deserialize(&attempt.rendered.config).map_err(|error| {
            let reason = format!("`http` is not valid: {error}");
            TriggerError::Refused { cause: Cause::Render, reason }
        })?;
        let Prepared { mut request, timeout, guarded, secrets, tls } =
            Prepared::new(attempt.rendered, &config, self.secrets.as_ref())?;
        *request.timeout_mut() = Some(timeout);
        let client = match tls {
            None => self.client(guarded)?.clone(),
            // The secret may be put right yet.
            Some(tls) => self
                .tls
                .client(&tls, guarded, || builder(guarded))
                .map_err(|reason| TriggerError::Retry { reason, after: None })?,
        };
        let answer = client.execute(request).await;
        let mut response = answer.map_err(|error| no_answer(error, timeout))?;
        let status = response.status();
        let body = body(&mut response).await;
        match meaning(status, attempt.rendered.policy.as_ref()) {
            Meaning::Success => Ok(TargetResult::Http { status: status.as_u16() }),
            meaning => {
                let after = retry_after(response.headers(), self.clock.now());
                Err(answer::error(meaning, status, &body, after, &secrets))
            }
        }
    }
}

impl Trigger for HttpTrigger {
    /// It sends the same `Idempotency-Key` each time; there is nothing to look at before.
    fn asks_for_earlier_attempts(&self) -> bool {
        false
    }

    fn carry_out<'a>(
        &'a self,
        attempt: Attempt<'a>,
    ) -> BoxFuture<'a, Result<TargetResult, TriggerError>> {
        Box::pin(self.send(attempt))
    }
}

/// The beginning of a body. Where it breaks off, the status stands all the same.
async fn body(response: &mut Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > BODY_BYTES {
            break;
        }
    }
    body
}

fn builder(guarded: bool) -> ClientBuilder {
    let agent = concat!("tripline/", env!("CARGO_PKG_VERSION"));
    Client::builder().user_agent(agent).gzip(false).redirect(redirects(guarded))
}

fn client(guarded: bool) -> reqwest::Result<Client> {
    builder(guarded).build().or_else(|error| {
        tracing::warn!(
            target: "tripline::trigger::http", %error,
            "root certificates cannot be loaded: requests over HTTPS will fail"
        );
        builder(guarded).tls_certs_only([]).build()
    })
}

fn redirects(guarded: bool) -> redirect::Policy {
    if !guarded {
        return redirect::Policy::limited(REDIRECTS);
    }
    redirect::Policy::custom(|attempt| {
        let same = |url: &reqwest::Url| url.origin() == attempt.url().origin();
        if attempt.previous().len() > REDIRECTS {
            attempt.error("too many redirects")
        } else if attempt.previous().iter().all(same) {
            attempt.follow()
        } else {
            attempt.error("redirected to another host, where secrets must not be sent")
        }
    })
}
