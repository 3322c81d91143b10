//! Whether the subscription can be used, asked without taking anything from it.

use tripline_cloud::Caller;

use super::config::PubSub;
use super::connection::Connection;
use super::subscription::{Found, check_topic, find};

/// Reaches the service with the credentials of `caller` and asks for the subscription.
/// Nothing is created and no message is taken.
///
/// # Errors
/// What is wrong, and what to do.
pub async fn probe(config: &PubSub, event: &str, caller: &Caller) -> Result<String, String> {
    let connection = Connection::open(config, event, caller).await?;
    let name = connection.names.subscription();
    match find(&connection).await? {
        Found::Usable => {
            check_topic(&connection).await?;
            Ok(format!("messages may be taken from {name}"))
        }
        Found::Denied => Err(connection.speaker().may_not_consume()),
        Found::Missing if config.create => Ok(format!("{name} is not there and will be created")),
        Found::Missing => Err(connection.speaker().no_subscription()),
    }
}
