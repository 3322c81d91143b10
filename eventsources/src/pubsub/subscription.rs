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

use super::config::PubSub;
use super::connection::Connection;
use super::trouble::Answer;

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
        let get = connection.subscriptions.get_subscription().set_subscription(name);
        connection.call(get.send()).await.map(|_| Found::Usable)
    } else {
        let test = connection.permissions.test_iam_permissions().set_resource(name);
        let test = test.set_permissions([CONSUME]);
        let answer = connection.call(test.send()).await;
        answer.map(|answer| match answer.permissions.is_empty() {
            false => Found::Usable,
            true => Found::Denied,
        })
    };
    match found {
        Err(Some(error)) if Answer::of(&error) == Answer::NotFound => Ok(Found::Missing),
        Err(error) => Err(connection.explain(doing, error.as_ref())),
        Ok(found) => Ok(found),
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
    let get = connection.subscriptions.get_subscription().set_subscription(&name);
    let found = match connection.call(get.send()).await {
        Ok(found) => found.topic,
        Err(Some(error)) if Answer::of(&error) == Answer::Denied => {
            tracing::debug!(subscription = name, "its topic may not be seen, and is not compared");
            return Ok(());
        }
        Err(error) => {
            return Err(connection.explain("reading the subscription", error.as_ref()));
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
    match create_subscription(connection, &name, &topic).await {
        Ok(()) => return Ok(()),
        Err(Some(error)) if Answer::of(&error) == Answer::NotFound => {}
        Err(error) => {
            return Err(connection.explain("creating the subscription", error.as_ref()));
        }
    }
    let create = connection.topics.create_topic().set_name(&topic);
    match connection.call(create.send()).await {
        Ok(_) => tracing::info!(topic, "topic created"),
        Err(Some(error)) if Answer::of(&error) == Answer::AlreadyExists => {}
        Err(error) => return Err(connection.explain("creating the topic", error.as_ref())),
    }
    create_subscription(connection, &name, &topic)
        .await
        .map_err(|error| connection.explain("creating the subscription", error.as_ref()))
}

/// One that somebody else has created meanwhile is as good.
async fn create_subscription(
    connection: &Connection,
    name: &str,
    topic: &str,
) -> Result<(), Option<google_cloud_pubsub::Error>> {
    let create = connection.subscriptions.create_subscription();
    let create = create.set_name(name).set_topic(topic);
    match connection.call(create.send()).await {
        Ok(_) => {
            tracing::info!(subscription = name, topic, "subscription created");
            Ok(())
        }
        Err(Some(error)) if Answer::of(&error) == Answer::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Deletes the subscription.
///
/// # Errors
/// What keeps it.
pub async fn delete(connection: &Connection) -> Result<(), String> {
    let name = connection.names.subscription();
    let delete = connection.subscriptions.delete_subscription().set_subscription(name);
    let deleted = connection.call(delete.send()).await;
    deleted.map_err(|error| connection.explain("deleting the subscription", error.as_ref()))
}
