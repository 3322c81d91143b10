//! The kinds of triggers that send messages, and who they are to the services that take them.

use std::sync::Arc;

use tripline_triggers::executor::Kinds;
use tripline_triggers::{Accounts, Identities};

use super::secrets::SecretStore;

/// Where triggers take credentials from.
pub(crate) fn identities(
    secrets: &Arc<SecretStore>,
    accounts: Option<Arc<dyn Accounts>>,
) -> Identities {
    Identities { secrets: Arc::clone(secrets) as _, accounts }
}

/// Adds those that this program has.
#[cfg_attr(
    not(any(
        feature = "kafka",
        feature = "nats",
        feature = "sqs",
        feature = "sns",
        feature = "pubsub"
    )),
    expect(unused_variables, clippy::needless_pass_by_value)
)]
pub(super) fn add_kinds(kinds: &mut Kinds, identities: Identities) {
    #[cfg(feature = "kafka")]
    {
        let kafka = tripline_triggers::kafka::KafkaTrigger::new(Arc::clone(&identities.secrets));
        kinds.insert(tripline_triggers::kafka::KIND.to_owned(), Arc::new(kafka));
    }
    #[cfg(feature = "nats")]
    {
        let nats = tripline_triggers::nats::NatsTrigger::new(Arc::clone(&identities.secrets));
        kinds.insert(tripline_triggers::nats::KIND.to_owned(), Arc::new(nats));
    }
    #[cfg(feature = "sqs")]
    {
        let sqs = tripline_triggers::sqs::SqsTrigger::new(identities.clone());
        kinds.insert(tripline_triggers::sqs::KIND.to_owned(), Arc::new(sqs));
    }
    #[cfg(feature = "sns")]
    {
        let sns = tripline_triggers::sns::SnsTrigger::new(identities.clone());
        kinds.insert(tripline_triggers::sns::KIND.to_owned(), Arc::new(sns));
    }
    #[cfg(feature = "pubsub")]
    {
        let pubsub = tripline_triggers::pubsub::PubSubTrigger::new(identities);
        kinds.insert(tripline_triggers::pubsub::KIND.to_owned(), Arc::new(pubsub));
    }
}
