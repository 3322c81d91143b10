//! Whether an event's upstream can be used, asked without taking anything from it.

use std::sync::Arc;

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
        not(any(feature = "pubsub", feature = "sqs")),
        expect(unused_variables, clippy::unused_async)
    )]
    pub async fn probe(&self, secrets: &Arc<dyn SecretLookup>) -> Option<Result<String, String>> {
        match &self.config {
            SourceConfig::Webhook(_) | SourceConfig::Calendar(_) => None,
            #[cfg(feature = "pubsub")]
            SourceConfig::PubSub(config) => {
                Some(crate::pubsub::probe(config, &self.key, &**secrets).await)
            }
            #[cfg(feature = "sqs")]
            SourceConfig::Sqs(config) => Some(crate::sqs::probe(config, &self.key, secrets).await),
        }
    }
}
