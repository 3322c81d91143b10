//! What an event source is to the rest of this crate.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tripline_cloud::{Accounts, Caller};
use tripline_event::{Clock, EventKey};

use crate::health::Health;
use crate::identity::caller;
use crate::{BoxFuture, EventSink, SecretLookup};

/// An event source that fetches or makes its events itself.
pub trait EventSource: Send + Sync + 'static {
    /// Takes events in until [`Running::stop`] is cancelled; what has been received by then
    /// is finished first. A source that returns before, or panics, is started again, with
    /// growing pauses.
    ///
    /// # Errors
    ///
    /// What keeps it from going on.
    fn run(self: Arc<Self>, running: Running) -> BoxFuture<'static, Result<(), SourceError>>;
}

/// What a running event source has to work with.
#[derive(Clone)]
pub struct Running {
    /// The event that it is.
    pub key: EventKey,
    /// The path of the correlation id, where the configuration names one.
    pub correlation_path: Option<String>,
    /// The service account that it acts as, where the event source names one.
    pub service_account: Option<String>,
    /// The world.
    pub context: Arc<SourceContext>,
    /// Cancelled when the source is to stop.
    pub stop: CancellationToken,
    /// Where it says how it is.
    pub health: Health,
}

impl Running {
    /// Who it is to its upstream.
    pub fn caller(&self) -> Caller {
        let SourceContext { secrets, accounts, .. } = &*self.context;
        let account = self.service_account.as_deref();
        caller(&self.key.namespace, account, secrets, accounts.as_ref())
    }
}

/// Why an event source cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);

/// What event sources are given by the daemon.
pub struct SourceContext {
    /// Where events go.
    pub sink: Arc<dyn EventSink>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The values of secrets.
    pub secrets: Arc<dyn SecretLookup>,
    /// The cluster that Tripline runs against, as whose service accounts event sources act;
    /// none: as Tripline itself.
    pub accounts: Option<Arc<dyn Accounts>>,
    /// The rest.
    pub settings: SourceSettings,
}

/// What the operator sets for all event sources.
#[derive(Clone, Copy, Debug)]
pub struct SourceSettings {
    /// The address that webhooks listen on.
    pub bind: IpAddr,
    /// The port that is listened on for a configured one: the same. A test maps to 0, any
    /// free port, and asks for the addresses.
    pub listen_port: fn(u16) -> u16,
}

impl Default for SourceSettings {
    /// Loopback, and the ports as configured.
    fn default() -> Self {
        Self { bind: IpAddr::V4(Ipv4Addr::LOCALHOST), listen_port: |port| port }
    }
}
