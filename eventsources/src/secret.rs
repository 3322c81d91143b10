//! References to secrets, and who resolves them.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A key of a Secret of the event source's own namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// The name of the Secret.
    pub name: String,
    /// The key in its data.
    pub key: String,
    /// Accepted as Kubernetes has it; what needs the secret fails without it all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// Where event sources get the values of secrets from.
pub trait SecretLookup: Send + Sync + 'static {
    /// The present value. Asked again at each use (a webhook's token: for each request),
    /// so that a changed secret is taken up: it must be cheap and must not block.
    ///
    /// # Errors
    ///
    /// Says where the secret was looked for, and never what a secret holds.
    fn secret(&self, namespace: &str, secret: &SecretRef) -> Result<Bytes, String>;
}
