//! Who a caller is to Google Cloud.

use google_cloud_auth::credentials::{
    self, Credentials, anonymous, external_account, service_account, user_account,
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tripline_config::SecretRef;

use super::federated::Federated;
use crate::{Caller, Lookup};

/// Credentials, and what they were made of: a secret that has changed is noticed.
pub struct Identity {
    /// What gives tokens.
    pub credentials: Credentials,
    /// The account, if the credentials name one: for messages.
    pub account: Option<String>,
    /// A hash of the secret: it is not kept here itself.
    read: Option<[u8; 32]>,
}

impl Identity {
    /// None, as emulators take it.
    pub fn anonymous() -> Self {
        Self { credentials: anonymous::Builder::new().build(), account: None, read: None }
    }

    /// Those of the caller's service account, where Google knows that; else the application
    /// default credentials.
    ///
    /// # Errors
    /// The service account cannot be asked for; or there are none.
    pub async fn of_caller(caller: &Caller) -> Result<Self, String> {
        if let Some(account) = &caller.account
            && let Some(federated) = Federated::of(account).await?
        {
            let name = federated.name();
            return Ok(Self { credentials: federated.into(), account: Some(name), read: None });
        }
        Self::default_credentials()
    }

    fn default_credentials() -> Result<Self, String> {
        let credentials = credentials::Builder::default().build().map_err(|error| {
            format!(
                "there are no application default credentials ({error}): set \
                 `credentialSecret`, or GOOGLE_APPLICATION_CREDENTIALS, or use workload identity"
            )
        })?;
        Ok(Self { credentials, account: None, read: None })
    }

    /// Those of a secret.
    ///
    /// # Errors
    /// It is missing, or is no key; never what it holds.
    pub fn of_secret(secret: &SecretRef, secrets: &Lookup) -> Result<Self, String> {
        let read = secrets(secret)?;
        let (credentials, account) = parse(read.expose())
            .map_err(|wrong| format!("key `{}` of secret `{}` {wrong}", secret.key, secret.name))?;
        Ok(Self { credentials, account, read: Some(fingerprint(read.expose())) })
    }

    /// Whether the secret holds something else now. One that cannot be read counts as
    /// unchanged: what was read goes on to work.
    pub fn has_changed(&self, secret: Option<&SecretRef>, secrets: &Lookup) -> bool {
        let (Some(secret), Some(before)) = (secret, self.read) else { return false };
        secrets(secret).is_ok_and(|now| fingerprint(now.expose()) != before)
    }
}

fn fingerprint(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// The errors of the library are not shown: they may quote what they could not read.
fn parse(json: &[u8]) -> Result<(Credentials, Option<String>), String> {
    const EXPECTED: &str = "expected the JSON key of a service account, as `gcloud iam \
                            service-accounts keys create` writes it";
    let value: Value = serde_json::from_slice(json).map_err(|error| {
        format!("is not JSON (line {}, column {}): {EXPECTED}", error.line(), error.column())
    })?;
    let text = |field: &str| value.get(field).and_then(Value::as_str).filter(|t| !t.is_empty());
    let unusable = |_| format!("holds a key that cannot be used: {EXPECTED}");
    match text("type") {
        Some("service_account") => {
            for field in ["client_email", "private_key", "private_key_id"] {
                if text(field).is_none() {
                    return Err(format!("has no `{field}`: {EXPECTED}"));
                }
            }
            let account = text("client_email").map(str::to_owned);
            let built = service_account::Builder::new(value).build();
            Ok((built.map_err(unusable)?, account))
        }
        Some("authorized_user") => {
            Ok((user_account::Builder::new(value).build().map_err(unusable)?, None))
        }
        Some("external_account") => {
            Ok((external_account::Builder::new(value).build().map_err(unusable)?, None))
        }
        Some(_) => Err(format!("holds credentials of a type that is not supported: {EXPECTED}")),
        None => Err(format!("has no `type`: {EXPECTED}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_is_told_and_not_shown() {
        for (json, says) in [
            ("hunter2", "is not JSON (line 1, column 1)"),
            ("{\"private_key\": \"hunter2\"}", "has no `type`"),
            (r#"{"type": "hunter2"}"#, "of a type that is not supported"),
            (r#"{"type": "service_account", "private_key": "hunter2"}"#, "no `client_email`"),
            (
                r#"{"type": "service_account", "client_email": "a@b", "private_key_id": "1",
                    "private_key": {"hunter2": "hunter2"}}"#,
                "no `private_key`",
            ),
            (
                r#"{"type": "authorized_user", "client_id": {"hunter2": 1}}"#,
                "holds a key that cannot be used",
            ),
        ] {
            let error = parse(json.as_bytes()).unwrap_err();
            assert!(error.contains(says), "{json}: {error}");
            assert!(!error.contains("hunter2"), "{json}: {error}");
        }
    }
}
