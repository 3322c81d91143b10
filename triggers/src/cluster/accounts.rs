//! Service accounts of a cluster, as which event sources and sensors act towards a cloud.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::json;
use tripline_cloud::{Accounts, GoogleIdentity, Token};
use tripline_event::Timestamp;

use super::call::{Call, Failure};
use super::{Cluster, Clusters};
use crate::BoxFuture;

/// How long a token is to live, in seconds. It is used once, right away; ten minutes are the
/// least that the API server takes.
const TOKEN_SECONDS: u32 = 600;

/// The service accounts of one cluster.
pub struct ClusterAccounts {
    clusters: Arc<Clusters>,
    name: String,
}

impl ClusterAccounts {
    /// Those of the cluster `name`, as it is at each use.
    pub fn new(clusters: Arc<Clusters>, name: impl Into<String>) -> Self {
        Self { clusters, name: name.into() }
    }

    fn cluster(&self) -> Result<Arc<Cluster>, String> {
        let missing = || format!("no Cluster `{}` is described here", self.name);
        self.clusters.get(&self.name).ok_or_else(missing)
    }

    fn failed(&self, doing: &str, right: &str, failure: &Failure) -> String {
        let advice = match failure.code() {
            Some(403) => format!(": grant Tripline {right}"),
            Some(404) => ": create it, or correct `template.serviceAccountName`".to_owned(),
            _ => String::new(),
        };
        format!("{doing} in cluster `{}`: {failure}{advice}", self.name)
    }
}

#[derive(Deserialize)]
struct Account {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct TokenRequest {
    status: TokenStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenStatus {
    token: String,
    expiration_timestamp: Timestamp,
}

impl Accounts for ClusterAccounts {
    fn annotations<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<BTreeMap<String, String>, String>> {
        Box::pin(async move {
            let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}");
            let answer = self.cluster()?.call(&Call::get(path)).await;
            let account = answer.and_then(|answer| answer.read::<Account>());
            let doing = format!("looking at service account {namespace}/{name}");
            account
                .map(|account| account.metadata.annotations)
                .map_err(|failure| self.failed(&doing, "`get` of `serviceaccounts`", &failure))
        })
    }

    fn token<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        audience: &'a str,
    ) -> BoxFuture<'a, Result<Token, String>> {
        Box::pin(async move {
            let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
            let body = json!({
                "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                "spec": {"audiences": [audience], "expirationSeconds": TOKEN_SECONDS},
            });
            let answer = self.cluster()?.call(&Call::post(path, &body)).await;
            let request = answer.and_then(|answer| answer.read::<TokenRequest>());
            let doing = format!("asking for a token of service account {namespace}/{name}");
            let request = request.map_err(|failure| {
                self.failed(&doing, "`create` of `serviceaccounts/token`", &failure)
            })?;
            let TokenStatus { token, expiration_timestamp } = request.status;
            let expires = SystemTime::from(expiration_timestamp);
            Ok(Token { text: token, expires })
        })
    }

    fn google(&self) -> Option<GoogleIdentity> {
        self.clusters.get(&self.name)?.definition().spec.google_identity.clone()
    }
}
