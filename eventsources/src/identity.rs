//! Who an event source is to the service that it takes messages from.

use std::sync::Arc;

use tripline_cloud::{Accounts, Caller, ServiceAccount};
use tripline_config::{Secret, SecretRef};

use crate::SecretLookup;

/// An event source of `namespace` that looks its secrets up in `secrets`; where there is a
/// cluster that knows `accounts`, as the service account that its template names.
pub(crate) fn caller(
    namespace: &str,
    service_account: Option<&str>,
    secrets: &Arc<dyn SecretLookup>,
    accounts: Option<&Arc<dyn Accounts>>,
) -> Caller {
    let (secrets, of) = (Arc::clone(secrets), namespace.to_owned());
    let lookup =
        move |secret: &SecretRef| secrets.secret(&of, secret).map(|value| Secret::new(&value));
    let account = service_account.zip(accounts).map(|(name, accounts)| ServiceAccount {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        accounts: Arc::clone(accounts),
    });
    Caller::new(Arc::new(lookup)).acting_as(account)
}
