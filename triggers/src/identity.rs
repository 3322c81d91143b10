//! Who an action is to the service that it calls.

use std::sync::Arc;

use tripline_cloud::{Accounts, Caller, ServiceAccount};
use tripline_config::SecretRef;

use crate::SecretLookup;

/// Where identities come from.
#[derive(Clone)]
pub struct Identities {
    /// The values of secrets.
    pub secrets: Arc<dyn SecretLookup>,
    /// The cluster that Tripline runs against, as whose service accounts sensors act; none: as
    /// Tripline itself.
    pub accounts: Option<Arc<dyn Accounts>>,
}

impl Identities {
    /// A sensor of `namespace` whose template names `service_account`.
    pub(crate) fn caller(&self, namespace: &str, service_account: Option<&str>) -> Caller {
        let (secrets, of) = (Arc::clone(&self.secrets), namespace.to_owned());
        let lookup = move |secret: &SecretRef| secrets.secret(&of, secret);
        let account = service_account.zip(self.accounts.as_ref());
        let account = account.map(|(name, accounts)| ServiceAccount {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            accounts: Arc::clone(accounts),
        });
        Caller::new(Arc::new(lookup)).acting_as(account)
    }
}
