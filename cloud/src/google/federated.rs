//! Workload identity: who a service account of a cluster is to Google.
//!
//! A token of the account is exchanged for one of Google's. Where the account's annotation names
//! a service account of Google's, a token of that is asked for with it. It is what the metadata
//! server of GKE does for a pod.
//!
//! Not by the library: it knows one address alone for the second step, and tries no more once a
//! token was refused, though the right may be granted later.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use google_cloud_auth::credentials::{CacheableResource, CredentialsProvider, EntityTag};
use google_cloud_auth::errors::CredentialsError;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Extensions, HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::trouble::chain;
use crate::ServiceAccount;

/// The annotation of a service account that names the one of Google's that it acts as (GKE).
const ACCOUNT_ANNOTATION: &str = "iam.gke.io/gcp-service-account";
/// Where tokens are exchanged.
const TOKEN_URL: &str = "https://sts.googleapis.com/v1/token";
/// Where tokens of service accounts are made.
const IMPERSONATION_URL: &str = "https://iamcredentials.googleapis.com";
/// What tokens are for: everything that the account may do.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// The issuer of tokens of a cluster of GKE; its project follows.
const GKE: &str = "https://container.googleapis.com/v1/projects/";
/// For whom a token is that is only to show its issuer: nobody takes it.
const NOBODY: &str = "tripline";
/// How long a token of a service account lives.
const LIFETIME: Duration = Duration::from_secs(3600);
/// A token is made anew so long before its end, or after half of its life.
const EARLY: Duration = Duration::from_secs(300);
/// How long a request may take.
const CALL: Duration = Duration::from_secs(20);
/// The most bytes of an answer.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// A longer message is cut.
const MAX_CHARS: usize = 400;

/// A service account of a cluster whose tokens Google believes.
pub(super) struct Federated {
    account: ServiceAccount,
    /// The service account of Google's that it acts as.
    acts_as: Option<String>,
    /// Who believes the cluster.
    audience: String,
    token_url: String,
    impersonation_url: String,
    http: reqwest::Client,
    fresh: Mutex<Option<Fresh>>,
}

/// A token that is good still.
struct Fresh {
    headers: HeaderMap,
    until: Instant,
}

/// Why there is no token.
struct NoToken {
    why: String,
    /// It may be otherwise in a moment.
    passing: bool,
}

#[derive(Deserialize)]
struct Exchanged {
    access_token: String,
    expires_in: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Impersonated {
    access_token: String,
}

impl Federated {
    /// What `account` is to Google; none where neither an annotation of it nor its cluster says
    /// that it is anything.
    ///
    /// # Errors
    /// The cluster cannot be asked, or Google cannot know it.
    pub(super) async fn of(account: &ServiceAccount) -> Result<Option<Self>, String> {
        let acts_as = account.annotation(ACCOUNT_ANNOTATION).await?;
        let identity = account.accounts.google();
        if acts_as.is_none() && identity.is_none() {
            return Ok(None);
        }
        let identity = identity.unwrap_or_default();
        let audience = match identity.audience {
            Some(audience) => audience,
            None => gke(&account.token(NOBODY).await?.text).map_err(|why| {
                format!(
                    "{account}: {why}; say who believes it: `googleIdentity.audience` of its Cluster"
                )
            })?,
        };
        // Nobody else says where a token is sent.
        let http = reqwest::Client::builder().timeout(CALL);
        let http = http.redirect(reqwest::redirect::Policy::none()).build();
        Ok(Some(Self {
            account: account.clone(),
            acts_as,
            audience,
            token_url: identity.token_url.unwrap_or_else(|| TOKEN_URL.to_owned()),
            impersonation_url: identity
                .impersonation_url
                .unwrap_or_else(|| IMPERSONATION_URL.to_owned()),
            http: http.map_err(|error| format!("no client can be made: {error}"))?,
            fresh: Mutex::new(None),
        }))
    }

    /// Who it is, for messages.
    pub(super) fn name(&self) -> String {
        self.acts_as.clone().unwrap_or_else(|| self.account.to_string())
    }

    async fn authorization(&self) -> Result<HeaderMap, NoToken> {
        // Whoever asks meanwhile waits for the same token.
        let mut fresh = self.fresh.lock().await;
        if let Some(fresh) = fresh.as_ref().filter(|fresh| Instant::now() < fresh.until) {
            return Ok(fresh.headers.clone());
        }
        let asked = Instant::now();
        let Exchanged { access_token, expires_in } = self.exchange().await?;
        let (headers, lives) = match &self.acts_as {
            None => (bearer(&access_token)?, Duration::from_secs(expires_in)),
            Some(email) => {
                let token = self.impersonate(email, bearer(&access_token)?).await?;
                (bearer(&token)?, LIFETIME)
            }
        };
        let until = asked + lives.saturating_sub(EARLY).max(lives / 2).min(LIFETIME);
        *fresh = Some(Fresh { headers: headers.clone(), until });
        Ok(headers)
    }

    /// A token of the cluster's for one of Google's (RFC 8693).
    async fn exchange(&self) -> Result<Exchanged, NoToken> {
        let token = self.account.token(&token_audience(&self.audience)).await;
        let token = token.map_err(|why| NoToken { why, passing: true })?;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")
            .append_pair("audience", &self.audience)
            .append_pair("scope", SCOPE)
            .append_pair("requested_token_type", "urn:ietf:params:oauth:token-type:access_token")
            .append_pair("subject_token_type", "urn:ietf:params:oauth:token-type:jwt")
            .append_pair("subject_token", &token.text)
            .finish();
        let request = self.http.post(&self.token_url).body(form);
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let advice = format!(
            "{} does not believe a token of {} (is the cluster in that workload identity pool, and \
             its issuer trusted?)",
            self.audience, self.account
        );
        answer(request, &self.token_url, &advice).await
    }

    /// A token of a service account of Google's.
    async fn impersonate(&self, email: &str, headers: HeaderMap) -> Result<String, NoToken> {
        let base = self.impersonation_url.trim_end_matches('/');
        let url = format!("{base}/v1/projects/-/serviceAccounts/{email}:generateAccessToken");
        let lifetime = format!("{}s", LIFETIME.as_secs());
        let request = self.http.post(&url).headers(headers);
        let request = request.json(&json!({"scope": [SCOPE], "lifetime": lifetime}));
        let advice = format!(
            "{} may not act as {email} (grant it roles/iam.workloadIdentityUser on that service \
             account, which its annotation {ACCOUNT_ANNOTATION} names)",
            self.account
        );
        let answer: Impersonated = answer(request, &url, &advice).await?;
        Ok(answer.access_token)
    }
}

/// Makes a request. Where it is refused, `advice` stands before what was said.
async fn answer<T: DeserializeOwned>(
    request: reqwest::RequestBuilder,
    url: &str,
    advice: &str,
) -> Result<T, NoToken> {
    let passing = |why: String| NoToken { why, passing: true };
    let unreachable = |error: reqwest::Error| {
        passing(format!("{url} cannot be asked: {}", chain(&error.without_url())))
    };
    let mut response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if bytes.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(passing(format!("{url} answers more than {MAX_ANSWER_BYTES} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    if status.is_success() {
        // What was answered is a secret: errors would quote it.
        let read = serde_json::from_slice(&bytes);
        return read.map_err(|_| passing(format!("{url} has answered without a token")));
    }
    let said = format!("{status}: {}", said(&bytes));
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(passing(format!("{url} has answered {said}")));
    }
    Err(NoToken { why: format!("{advice}: {said}"), passing: false })
}

/// What an answer says is wrong: `error_description`, or `error.message`.
fn said(answer: &[u8]) -> String {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let places = ["/error_description", "/error/message", "/error"];
    let text = places.iter().find_map(|place| answer.pointer(place)?.as_str());
    text.unwrap_or("no reason is given").chars().take(MAX_CHARS).collect()
}

fn bearer(token: &str) -> Result<HeaderMap, NoToken> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| NoToken { why: "what was answered is no token".to_owned(), passing: false })?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}

/// Who believes the cluster of GKE that has issued `token`: the pool of its project.
fn gke(token: &str) -> Result<String, String> {
    let payload = token.split('.').nth(1).unwrap_or_default();
    let payload = URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
    let claims: Value = serde_json::from_slice(&payload).unwrap_or_default();
    let issuer = claims["iss"].as_str().unwrap_or_default();
    let project = issuer.strip_prefix(GKE).and_then(|rest| rest.split('/').next());
    match project.filter(|project| !project.is_empty()) {
        Some(project) => Ok(format!("identitynamespace:{project}.svc.id.goog:{issuer}")),
        None => Err(format!("its cluster, {issuer:?}, is none of GKE")),
    }
}

/// For whom a token of the cluster's must be, so that it is believed.
fn token_audience(audience: &str) -> String {
    match audience.strip_prefix("identitynamespace:") {
        Some(rest) => rest.split(':').next().unwrap_or_default().to_owned(),
        None => format!("https:{audience}"),
    }
}

impl fmt::Debug for Federated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, acts_as, audience, .. } = self;
        let mut shown = f.debug_struct("Federated");
        shown.field("account", account).field("acts_as", acts_as).field("audience", audience);
        shown.finish_non_exhaustive()
    }
}

impl CredentialsProvider for Federated {
    async fn headers(
        &self,
        _: Extensions,
    ) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        let headers = self.authorization().await;
        let headers = headers.map_err(|none| CredentialsError::from_msg(none.passing, none.why))?;
        Ok(CacheableResource::New { entity_tag: EntityTag::new(), data: headers })
    }

    async fn universe_domain(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_of_gke_is_known_by_its_tokens() {
        let token = |issuer: &str| {
            let claims = json!({"iss": issuer, "aud": ["tripline"]}).to_string();
            format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
        };
        let issuer = "https://container.googleapis.com/v1/projects/shop/locations/europe-west6/clusters/prod";
        let audience = gke(&token(issuer)).unwrap();
        assert_eq!(audience, format!("identitynamespace:shop.svc.id.goog:{issuer}"));
        assert_eq!(token_audience(&audience), "shop.svc.id.goog");
        for other in ["https://kubernetes.default.svc", GKE, ""] {
            let why = gke(&token(other)).unwrap_err();
            assert!(why.contains("none of GKE"), "{why}");
        }
        assert!(gke("no token").is_err());
        let pool =
            "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k";
        assert_eq!(token_audience(pool), format!("https:{pool}"));
    }

    #[test]
    fn what_a_service_says_of_an_error_is_found() {
        for (answer, expected) in [
            (r#"{"error": "invalid_target", "error_description": "no such pool"}"#, "no such pool"),
            (r#"{"error": {"code": 403, "message": "denied"}}"#, "denied"),
            (r#"{"error": "invalid_grant"}"#, "invalid_grant"),
            ("<html>", "no reason is given"),
        ] {
            assert_eq!(said(answer.as_bytes()), expected);
        }
    }
}
