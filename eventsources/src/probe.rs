//! Whether an event's upstream can be used, asked without taking anything from it.

use std::sync::Arc;

use tripline_cloud::Accounts;

use crate::SecretLookup;
use crate::definition::{EventDefinition, SourceConfig};

impl EventDefinition {
    /// Reaches its upstream with its credentials, as the event source would, and says in a few
    /// words what was found. Nothing is taken in, and nothing is created. `None`: it has no
    /// upstream that could be asked (a webhook, a calendar).
    ///
    /// # Errors
    /// What is wrong, and what to do.
    #[cfg_attr(
        not(any(
            feature = "kafka",
            feature = "nats",
            feature = "pubsub",
            feature = "sns",
            feature = "sqs"
        )),
        expect(unused_variables, clippy::unused_async)
    )]
    pub async fn probe(
        &self,
        secrets: &Arc<dyn SecretLookup>,
        accounts: Option<&Arc<dyn Accounts>>,
    ) -> Option<Result<String, String>> {
        let account = self.service_account.as_deref();
        let caller = crate::identity::caller(&self.key.namespace, account, secrets, accounts);
        match &self.config {
            SourceConfig::Webhook(_) | SourceConfig::Calendar(_) => None,
            #[cfg(feature = "kafka")]
            SourceConfig::Kafka(config) => {
                Some(crate::kafka::probe(config, &self.key, &**secrets).await)
            }
            #[cfg(feature = "nats")]
            SourceConfig::Nats(config) => {
                Some(crate::nats::probe(config, &self.key, &**secrets).await)
            }
            #[cfg(feature = "pubsub")]
            SourceConfig::PubSub(config) => {
                Some(crate::pubsub::probe(config, &self.key.name, &caller).await)
            }
            #[cfg(feature = "sns")]
            SourceConfig::Sns(config) => Some(crate::sns::probe(config, &caller).await),
            #[cfg(feature = "sqs")]
            SourceConfig::Sqs(config) => Some(crate::sqs::probe(config, &caller).await),
        }
    }
}
