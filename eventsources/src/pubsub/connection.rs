//! The clients of a subscription.

use google_cloud_pubsub::client::Subscriber;
use tripline_cloud::Caller;
use tripline_cloud::google::{Identity, Trouble, is_google, pubsub_address};

use super::admin::Admin;
use super::argo;
use super::config::PubSub;
use super::metadata;
use super::names::Names;
use super::trouble::Speaker;

impl PubSub {
    /// Where the service is, if not at its usual place.
    pub(super) fn address(&self) -> Option<String> {
        pubsub_address(self.endpoint.as_deref())
    }

    /// Whether its messages come from the real service: from no emulator, and no address that
    /// is somebody else's.
    pub fn is_real(&self) -> bool {
        self.address().is_none_or(|address| is_google(&address))
    }
}

/// The clients of a subscription, with the names of what they are for.
pub struct Connection {
    pub names: Names,
    pub identity: Identity,
    pub subscriber: Subscriber,
    pub admin: Admin,
    address: Option<String>,
}

impl Connection {
    /// Makes the clients. Nothing is sent to the service yet.
    ///
    /// # Errors
    /// What is wrong with the credentials or the address.
    pub async fn open(config: &PubSub, event: &str, caller: &Caller) -> Result<Self, String> {
        let address = config.address();
        // An address without encryption is never sent credentials.
        let identity = if address.as_deref().is_some_and(|a| a.starts_with("http://")) {
            Identity::anonymous()
        } else if let Some(secret) = &config.credential {
            Identity::of_secret(secret, &caller.secrets)?
        } else {
            Identity::of_caller(caller).await?
        };
        let names = names(config, event).await?;
        let builder = Subscriber::builder().with_credentials(identity.credentials.clone());
        let builder = match &address {
            Some(address) => builder.with_endpoint(address),
            None => builder,
        };
        let subscriber =
            builder.build().await.map_err(|error| format!("no client can be made: {error}"))?;
        let admin = Admin::new(address.as_deref(), &identity)?;
        Ok(Self { names, identity, subscriber, admin, address })
    }

    /// For messages.
    pub fn speaker(&self) -> Speaker<'_> {
        Speaker {
            names: &self.names,
            address: self.address.as_deref(),
            account: self.identity.account.as_deref(),
        }
    }

    /// Whether what answers is an emulator, which knows no permissions.
    pub fn is_emulator(&self) -> bool {
        self.address.as_deref().is_some_and(|address| !is_google(address))
    }

    /// What went wrong while `doing` something, to somebody who reads it.
    pub fn explain(&self, doing: &str, trouble: &Trouble) -> String {
        self.speaker().explain(doing, trouble)
    }
}

async fn names(config: &PubSub, event: &str) -> Result<Names, String> {
    let configured = &config.names;
    let project = match &configured.project {
        Some(project) => project.clone(),
        None => metadata::project().await?,
    };
    let subscription_id = match &configured.subscription {
        Some(subscription) => subscription.clone(),
        None => argo::subscription_id(event, &config.config, &project),
    };
    Ok(Names {
        topic_project: configured.topic_project.clone().unwrap_or_else(|| project.clone()),
        topic_id: configured.topic.clone(),
        subscription_id,
        project,
    })
}
