//! Access keys out of secrets.

use std::fmt;

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future::ProvideCredentials as Provided;
use tripline_config::SecretRef;

use crate::Lookup;

/// Where an access key is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Keys {
    /// The secret of its id.
    pub access: SecretRef,
    /// The secret of its secret.
    pub secret: SecretRef,
    /// The secret of its session token, where it is a temporary one.
    pub token: Option<SecretRef>,
}

/// Looks the keys up for each request, so that rotated ones are taken up.
pub(super) struct SecretKeys {
    pub(super) keys: Keys,
    pub(super) secrets: Lookup,
}

impl fmt::Debug for SecretKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKeys").field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// Credentials cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoCredentials(pub(super) String);

impl SecretKeys {
    fn credentials(&self) -> Result<Credentials, NoCredentials> {
        let access = self.text("accessKey", &self.keys.access)?;
        let secret = self.text("secretKey", &self.keys.secret)?;
        let token = self.keys.token.as_ref().map(|token| self.text("sessionToken", token));
        Ok(Credentials::new(access, secret, token.transpose()?, None, "tripline secret"))
    }

    fn text(&self, field: &str, secret: &SecretRef) -> Result<String, NoCredentials> {
        let value = (self.secrets)(secret);
        let value = value.map_err(|error| NoCredentials(format!("`{field}`: {error}")))?;
        let text = value.expose_str().map(str::trim).unwrap_or_default();
        // A header cannot carry anything else, and the library's error would show it.
        if text.is_empty() || !text.bytes().all(|c| c.is_ascii_graphic()) {
            let SecretRef { name, key, .. } = secret;
            let what = format!("`{field}`: key {key} of secret {name} is empty or no plain text");
            return Err(NoCredentials(what));
        }
        Ok(text.to_owned())
    }
}

impl ProvideCredentials for SecretKeys {
    fn provide_credentials<'a>(&'a self) -> Provided<'a>
    where
        Self: 'a,
    {
        Provided::ready(self.credentials().map_err(CredentialsError::provider_error))
    }
}
