//! Access keys out of secrets.

use std::fmt;
use std::sync::Arc;

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future::ProvideCredentials as Provided;
use aws_sdk_sqs::config::{Credentials, ProvideCredentials};

use crate::{SecretLookup, SecretRef};

/// Where an access key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    pub(super) access: SecretRef,
    pub(super) secret: SecretRef,
    pub(super) token: Option<SecretRef>,
}

/// Looks the keys up for each request, so that rotated ones are taken up.
pub struct SecretKeys {
    pub keys: Keys,
    pub namespace: String,
    pub secrets: Arc<dyn SecretLookup>,
}

impl fmt::Debug for SecretKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKeys").field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// A secret cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NoSecret(String);

impl SecretKeys {
    fn credentials(&self) -> Result<Credentials, NoSecret> {
        let access = self.text("accessKey", &self.keys.access)?;
        let secret = self.text("secretKey", &self.keys.secret)?;
        let token = self.keys.token.as_ref().map(|token| self.text("sessionToken", token));
        Ok(Credentials::new(access, secret, token.transpose()?, None, "tripline secret"))
    }

    fn text(&self, field: &str, secret: &SecretRef) -> Result<String, NoSecret> {
        let value = self.secrets.secret(&self.namespace, secret);
        let value = value.map_err(|error| NoSecret(format!("`{field}`: {error}")))?;
        let text = std::str::from_utf8(&value).map(str::trim).unwrap_or_default();
        // A header cannot carry anything else, and the library's error would show it.
        if text.is_empty() || !text.bytes().all(|c| c.is_ascii_graphic()) {
            let SecretRef { name, key, .. } = secret;
            let what = format!("`{field}`: key {key} of secret {name} is empty or no plain text");
            return Err(NoSecret(what));
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
