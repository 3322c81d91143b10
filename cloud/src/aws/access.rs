//! Region, address and credentials of one caller.

use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;

use super::explain::{Kind, Trouble};
use super::http::http_client;
use super::keys::{Keys, SecretKeys};
use super::web_identity::{ROLE_ANNOTATION, WebIdentity};
use crate::Caller;

/// The region of an emulator that was given none: any will do.
const REGION_OF_AN_EMULATOR: &str = "us-east-1";
/// What roles are assumed as: it stands in the account's audit log.
pub(super) const SESSION: &str = "tripline";
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Where a service is, and with what it is called, as configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Access {
    /// The region; none: what the environment, the profile or the machine says.
    pub region: Option<String>,
    /// Another address than Amazon's usual one.
    pub endpoint: Option<String>,
    /// Access keys; none: the service account's role, or else the default chain.
    pub keys: Option<Keys>,
    /// The ARN of a role that is assumed with these.
    pub role: Option<String>,
}

/// What calls are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An event source, which tries again by itself: the library may, too.
    Source,
    /// One attempt of an action: whoever asked tries again.
    Attempt,
}

impl Access {
    /// What a client of the service is made of. A call may take `longest`.
    ///
    /// # Errors
    /// No region is known, or the service account cannot be asked for.
    pub async fn config(
        &self,
        caller: &Caller,
        purpose: Purpose,
        longest: Duration,
    ) -> Result<SdkConfig, Trouble> {
        let timeouts =
            TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(longest);
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http_client(self.endpoint.as_deref()))
            .timeout_config(timeouts.build())
            // It would take a call that waits for one that hangs.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if purpose == Purpose::Attempt {
            loader = loader.retry_config(RetryConfig::disabled());
        }
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(keys) = &self.keys {
            let secrets = caller.secrets.clone();
            let keys = SecretKeys { keys: keys.clone(), secrets };
            loader = loader.credentials_provider(keys).identity_cache(IdentityCache::no_cache());
        }
        let shared = with_region(loader.load().await, self.endpoint.as_deref())?;
        let shared = match self.keys {
            Some(_) => shared,
            None => with_account(shared, caller).await?,
        };
        let mut builder = shared.clone().into_builder();
        if let Some(role) = &self.role {
            let role = AssumeRoleProvider::builder(role).session_name(SESSION).configure(&shared);
            builder
                .set_credentials_provider(Some(SharedCredentialsProvider::new(role.build().await)));
            builder.set_identity_cache(Some(IdentityCache::lazy().build()));
        }
        builder.set_endpoint_url(self.endpoint.clone());
        Ok(builder.build())
    }
}

fn with_region(shared: SdkConfig, endpoint: Option<&str>) -> Result<SdkConfig, Trouble> {
    match (shared.region(), endpoint) {
        (Some(_), _) => Ok(shared),
        (None, Some(_)) => {
            Ok(shared.into_builder().region(Region::from_static(REGION_OF_AN_EMULATOR)).build())
        }
        (None, None) => {
            let text = "no region is known: add `region: eu-central-1`";
            Err(Trouble::new(Kind::Refused, text))
        }
    }
}

/// With the role of the caller's service account, if that has one.
async fn with_account(shared: SdkConfig, caller: &Caller) -> Result<SdkConfig, Trouble> {
    let Some(account) = &caller.account else { return Ok(shared) };
    let role = account.annotation(ROLE_ANNOTATION).await;
    let Some(role) = role.map_err(|why| Trouble::new(Kind::NotDone, why))? else {
        return Ok(shared);
    };
    let identity = WebIdentity::new(account.clone(), role, &shared);
    let mut builder = shared.into_builder();
    builder.set_credentials_provider(Some(SharedCredentialsProvider::new(identity)));
    builder.set_identity_cache(Some(IdentityCache::lazy().build()));
    Ok(builder.build())
}
