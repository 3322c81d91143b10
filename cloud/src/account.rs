//! Service accounts of a cluster, as whom an object acts towards a cloud.
//!
//! Argo Events runs each event source and sensor in a pod of its own, and the pod's service
//! account is who it is. Here one process stands for all of them: it asks the cluster for a
//! token of that account (a TokenRequest), and shows the token to the cloud.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::BoxFuture;

/// A token of a service account.
#[derive(Clone)]
pub struct Token {
    /// The token: a JWT.
    pub text: String,
    /// When it ends.
    pub expires: SystemTime,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// Why Google believes what a cluster says of its service accounts: workload identity. On GKE
/// nothing needs to be given: which cluster it is stands in its tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GoogleIdentity {
    /// Who believes it, as `audience` of a credential configuration of `gcloud` has it:
    /// `//iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`,
    /// or, for a cluster of a fleet, `identitynamespace:PROJECT.svc.id.goog:PROVIDER`. If not
    /// given: GKE, with the pool of the cluster's own project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Where tokens are exchanged: `https://sts.googleapis.com/v1/token` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_url: Option<String>,
    /// Where tokens of Google's service accounts are made:
    /// `https://iamcredentials.googleapis.com` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impersonation_url: Option<String>,
}

impl GoogleIdentity {
    /// What is wrong with it: the field, and what was expected there.
    pub fn mistakes(&self) -> Vec<(&'static str, String)> {
        let addresses =
            [("tokenUrl", &self.token_url), ("impersonationUrl", &self.impersonation_url)];
        let mut found: Vec<_> = addresses
            .into_iter()
            .filter(|(_, url)| url.as_ref().is_some_and(|url| !may_be_told(url)))
            .map(|(field, _)| (field, "expected `https://…`: a token is sent there".to_owned()))
            .collect();
        let begins =
            |text: &String| ["//", "identitynamespace:"].iter().any(|b| text.starts_with(b));
        if self.audience.as_ref().is_some_and(|audience| !begins(audience)) {
            let message =
                "expected `//iam.googleapis.com/projects/…/providers/…` or `identitynamespace:…`";
            found.push(("audience", message.to_owned()));
        }
        found
    }
}

/// Whether a token may be sent to `url`: encrypted, or on this machine.
fn may_be_told(url: &str) -> bool {
    url.parse::<http::Uri>().is_ok_and(|url| match (url.scheme_str(), url.host()) {
        (Some("https"), Some(_)) => true,
        (Some("http"), Some(host)) => ["127.0.0.1", "[::1]", "localhost"].contains(&host),
        _ => false,
    })
}

/// A cluster that knows service accounts.
pub trait Accounts: Send + Sync + 'static {
    /// The annotations of the account `namespace`/`name`. An error is for the operator.
    fn annotations<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<BTreeMap<String, String>, String>>;

    /// A new token of the account for `audience`. An error is for the operator.
    fn token<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        audience: &'a str,
    ) -> BoxFuture<'a, Result<Token, String>>;

    /// Why Google believes the cluster, where that is said of it.
    fn google(&self) -> Option<GoogleIdentity>;
}

/// A service account that an object names.
#[derive(Clone)]
pub struct ServiceAccount {
    /// Its namespace: that of the object.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Who knows it.
    pub accounts: Arc<dyn Accounts>,
}

impl ServiceAccount {
    /// The value of one of its annotations.
    ///
    /// # Errors
    /// The cluster cannot be asked, or knows no such account.
    pub async fn annotation(&self, key: &str) -> Result<Option<String>, String> {
        let all = self.accounts.annotations(&self.namespace, &self.name).await?;
        Ok(all.get(key).filter(|value| !value.is_empty()).cloned())
    }

    /// A new token for `audience`.
    ///
    /// # Errors
    /// The cluster cannot be asked, or does not give one.
    pub async fn token(&self, audience: &str) -> Result<Token, String> {
        self.accounts.token(&self.namespace, &self.name, audience).await
    }
}

impl fmt::Display for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "service account {}/{}", self.namespace, self.name)
    }
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_told_to_nobody_who_could_be_listened_to() {
        for (url, expected) in [
            ("https://sts.example.com/v1/token", true),
            ("http://127.0.0.1:8080", true),
            ("http://localhost:8080/token", true),
            ("http://sts.example.com", false),
            ("http://localhost.example.com", false),
            ("sts.example.com", false),
            ("", false),
        ] {
            let identity = GoogleIdentity { token_url: Some(url.into()), ..Default::default() };
            assert_eq!(identity.mistakes().is_empty(), expected, "{url}");
        }
        let identity = GoogleIdentity { audience: Some("pool".into()), ..Default::default() };
        assert_eq!(identity.mistakes()[0].0, "audience");
    }
}
