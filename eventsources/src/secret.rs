//! Who resolves references to secrets.

use bytes::Bytes;
use tripline_config::SecretRef;

/// Where event sources get the values of secrets from.
pub trait SecretLookup: Send + Sync + 'static {
    /// The present value. Asked again at each use (a webhook's token: for each request),
    /// so that a changed secret is taken up: it must be cheap and must not block for long.
    ///
    /// # Errors
    ///
    /// Says where the secret was looked for, and never what a secret holds.
    fn secret(&self, namespace: &str, secret: &SecretRef) -> Result<Bytes, String>;
}
