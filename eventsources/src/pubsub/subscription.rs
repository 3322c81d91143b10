//! Finds the subscription, and creates it where it is to be created, as Argo Events does.
//!
//! | subscription | `topic` | what happens | permissions beside `subscriptions.consume` |
//! | --- | --- | --- | --- |
//! | exists | not given | nothing | none |
//! | exists | given | its topic is compared | `subscriptions.get`; without it nothing is compared |
//! | missing | not given | an error | none |
//! | missing | given | it is created, and its topic if that is missing | `subscriptions.create` and `topics.attachSubscription`; `topics.create` |
//!
//! Under `tripline.dev/v1` the last line needs `create: true`.

use tripline_cloud::google::Trouble;

use super::config::PubSub;
use super::connection::Connection;

/// The permission that taking messages needs.
const CONSUME: &str = "pubsub.subscriptions.consume";
/// What a subscription says whose topic is gone.
const DELETED_TOPIC: &str = "_deleted-topic_";

/// What is known of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is there, and messages may be taken from it.
    Usable,
    /// It is there, and messages may not be taken from it.
    Denied,
    /// It is not there.
    Missing,
}

/// Whether the subscription is there and may be used. It needs no permission: asking for one's
/// own permissions is free to everybody. An emulator knows none and is asked for the
/// subscription itself.
///
/// # Errors
/// The service cannot be asked.
pub async fn find(connection: &Connection) -> Result<Found, String> {
    let doing = "looking for the subscription";
    let name = connection.names.subscription();
    let found = if connection.is_emulator() {
        connection.admin.topic_of(&name).await.map(|_| Found::Usable)
    } else {
        let permissions = connection.admin.permissions(&name, &[CONSUME]).await;
        permissions.map(|has| if has.is_empty() { Found::Denied } else { Found::Usable })
    };
    match found {
        Err(Trouble::NotFound(_)) => Ok(Found::Missing),
        found => found.map_err(|trouble| connection.explain(doing, &trouble)),
    }
}

/// Finds the subscription, or creates it.
///
/// # Errors
/// It is not there and is not to be created, belongs to another topic, or may not be used.
pub async fn prepare(config: &PubSub, connection: &Connection) -> Result<(), String> {
    match find(connection).await? {
        Found::Usable => check_topic(connection).await,
        Found::Denied => Err(connection.speaker().may_not_consume()),
        Found::Missing if config.create => create(connection).await,
        Found::Missing => Err(connection.speaker().no_subscription()),
    }
}

/// Whether the subscription is the configured topic's, as far as that can be seen.
///
/// # Errors
/// It is another one's, or its own is gone.
pub async fn check_topic(connection: &Connection) -> Result<(), String> {
    let Some(topic) = connection.names.topic() else { return Ok(()) };
    let name = connection.names.subscription();
    let found = match connection.admin.topic_of(&name).await {
        Err(Trouble::Denied(_)) => {
            tracing::debug!(subscription = name, "its topic may not be seen, and is not compared");
            return Ok(());
        }
        found => {
            found.map_err(|trouble| connection.explain("reading the subscription", &trouble))?
        }
    };
    match found {
        found if found == topic => Ok(()),
        found if found == DELETED_TOPIC => Err(format!(
            "the topic of subscription `{name}` has been deleted: delete the subscription too, \
             or name another one"
        )),
        found => Err(format!(
            "subscription `{name}` belongs to topic `{found}`, not to `{topic}`: change `topic`, \
             or `subscriptionID`"
        )),
    }
}

/// The subscription is tried first: with a topic that exists, no rights over topics are needed.
async fn create(connection: &Connection) -> Result<(), String> {
    let name = connection.names.subscription();
    let topic = connection.names.topic().ok_or_else(|| connection.speaker().no_subscription())?;
    let creating = "creating the subscription";
    match create_subscription(connection, &name, &topic).await {
        Err(Trouble::NotFound(_)) => {}
        created => return created.map_err(|trouble| connection.explain(creating, &trouble)),
    }
    match connection.admin.create_topic(&topic).await {
        Ok(()) => tracing::info!(topic, "topic created"),
        Err(Trouble::AlreadyExists) => {}
        Err(trouble) => return Err(connection.explain("creating the topic", &trouble)),
    }
    let created = create_subscription(connection, &name, &topic).await;
    created.map_err(|trouble| connection.explain(creating, &trouble))
}

/// One that somebody else has created meanwhile is as good.
async fn create_subscription(
    connection: &Connection,
    name: &str,
    topic: &str,
) -> Result<(), Trouble> {
    match connection.admin.create_subscription(name, topic).await {
        Ok(()) => tracing::info!(subscription = name, topic, "subscription created"),
        Err(Trouble::AlreadyExists) => {}
        Err(trouble) => return Err(trouble),
    }
    Ok(())
}

/// Deletes the subscription.
///
/// # Errors
/// What keeps it.
pub async fn delete(connection: &Connection) -> Result<(), String> {
    let deleted = connection.admin.delete_subscription(&connection.names.subscription()).await;
    deleted.map_err(|trouble| connection.explain("deleting the subscription", &trouble))
}
