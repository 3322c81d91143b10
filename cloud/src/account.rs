//! Service accounts of a cluster, as whom an object acts towards a cloud.
//!
//! Argo Events runs each event source and sensor in a pod of its own, and the pod's service
//! account is who it is. Here one process stands for all of them: it asks the cluster for a
//! token of that account (a TokenRequest), and shows the token to the cloud.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

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
