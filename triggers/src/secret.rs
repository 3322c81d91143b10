//! Who resolves references to secrets.

use tripline_config::{ConfigMapRef, Secret, SecretRef};

/// Where triggers get the values of secrets from. Asked again at each attempt, so that a
/// changed secret is taken up: it must be cheap and must not block.
pub trait SecretLookup: Send + Sync + 'static {
    /// The present value of a key of a Secret of `namespace`.
    ///
    /// # Errors
    /// Says where the secret was looked for, and never what a secret holds.
    fn secret(&self, namespace: &str, secret: &SecretRef) -> Result<Secret, String>;

    /// The present value of a key of a ConfigMap of `namespace`.
    ///
    /// # Errors
    /// Says where it was looked for.
    fn config_map(&self, namespace: &str, config_map: &ConfigMapRef) -> Result<String, String>;
}
