//! Whose secrets are looked up, and by whom.

use std::fmt;
use std::sync::Arc;

use tripline_config::{Secret, SecretRef};

use crate::ServiceAccount;

/// Gives the present value of a secret of one namespace. Asked again at each use, so that a
/// changed secret is taken up. An error says where it was looked for, and nothing of it.
pub type Lookup = Arc<dyn Fn(&SecretRef) -> Result<Secret, String> + Send + Sync>;

/// The object that calls a service: an event source, or a sensor.
#[derive(Clone)]
pub struct Caller {
    /// The secrets of its namespace.
    pub secrets: Lookup,
    /// The service account that it acts as, where Tripline runs against a cluster and the
    /// object names one.
    pub account: Option<ServiceAccount>,
}

impl Caller {
    /// One without a service account.
    pub fn new(secrets: Lookup) -> Self {
        Self { secrets, account: None }
    }

    /// The same one, acting as `account`.
    #[must_use]
    pub fn acting_as(mut self, account: Option<ServiceAccount>) -> Self {
        self.account = account;
        self
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("account", &self.account).finish_non_exhaustive()
    }
}
