//! The role of a service account: IAM roles for service accounts (IRSA), without a pod.

use std::fmt;

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future::ProvideCredentials as Provided;
use aws_sdk_sts::Client;
use aws_sdk_sts::error::DisplayErrorContext;

use super::access::SESSION;
use super::keys::NoCredentials;
use crate::ServiceAccount;

/// The annotation of a service account that names its role (Amazon EKS).
pub(super) const ROLE_ANNOTATION: &str = "eks.amazonaws.com/role-arn";
/// For whom the token is: Amazon's STS takes no other, unless its provider is set up so.
const AUDIENCE: &str = "sts.amazonaws.com";

/// Assumes the role with a token of the account.
pub(super) struct WebIdentity {
    account: ServiceAccount,
    role: String,
    sts: Client,
}

impl WebIdentity {
    pub(super) fn new(account: ServiceAccount, role: String, shared: &SdkConfig) -> Self {
        // The call is not signed: the token is the proof.
        let sts = Client::new(&shared.clone().into_builder().build());
        Self { account, role, sts }
    }

    async fn credentials(&self) -> Result<Credentials, NoCredentials> {
        let Self { account, role, sts } = self;
        let token = account.token(AUDIENCE).await.map_err(NoCredentials)?;
        let call = sts.assume_role_with_web_identity().role_arn(role).role_session_name(SESSION);
        let answer = call.web_identity_token(token.text).send().await.map_err(|error| {
            let why = DisplayErrorContext(&error);
            NoCredentials(format!(
                "{account} may not assume {role}: {why} (does the role trust the cluster's OIDC \
                 provider, and this account?)"
            ))
        })?;
        let found = answer.credentials;
        let found = found
            .ok_or_else(|| NoCredentials(format!("{role} was assumed without credentials")))?;
        let expires = std::time::SystemTime::try_from(*found.expiration()).ok();
        Ok(Credentials::new(
            found.access_key_id(),
            found.secret_access_key(),
            Some(found.session_token().to_owned()),
            expires,
            "tripline service account",
        ))
    }
}

impl fmt::Debug for WebIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, role, .. } = self;
        f.debug_struct("WebIdentity").field("account", account).field("role", role).finish()
    }
}

impl ProvideCredentials for WebIdentity {
    fn provide_credentials<'a>(&'a self) -> Provided<'a>
    where
        Self: 'a,
    {
        Provided::new(async { self.credentials().await.map_err(CredentialsError::provider_error) })
    }
}
