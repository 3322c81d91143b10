//! The calls beside the stream of messages: topics, subscriptions, permissions. Each is tried
//! once; whoever calls tries again.

use tripline_cloud::google::{Channel, Identity, Trouble};

use super::limits::CALL;

/// Where the service is for everybody.
const GOOGLE: &str = "https://pubsub.googleapis.com";

/// The client of these calls. It connects when it is first used.
#[derive(Clone)]
pub struct Admin {
    pub(super) channel: Channel,
}

impl Admin {
    /// One that speaks to `address`, or to Google.
    ///
    /// # Errors
    /// The address is none, or this machine has no certificates of authorities.
    pub fn new(address: Option<&str>, identity: &Identity) -> Result<Self, String> {
        let address = address.unwrap_or(GOOGLE);
        let channel = Channel::new(address, identity.credentials.clone(), CALL)?;
        Ok(Self { channel })
    }

    /// Which of `permissions` the account has over `resource`.
    pub async fn permissions(
        &self,
        resource: &str,
        permissions: &[&str],
    ) -> Result<Vec<String>, Trouble> {
        let permissions = permissions.iter().map(|&permission| permission.to_owned()).collect();
        let request = TestIamPermissionsRequest { resource: resource.to_owned(), permissions };
        let path = "/google.iam.v1.IAMPolicy/TestIamPermissions";
        let answer: TestIamPermissionsResponse =
            self.channel.call(path, ("resource", resource), request).await?;
        Ok(answer.permissions)
    }

    /// The topic of a subscription.
    pub async fn topic_of(&self, subscription: &str) -> Result<String, Trouble> {
        let request = SubscriptionRequest { subscription: subscription.to_owned() };
        let path = "/google.pubsub.v1.Subscriber/GetSubscription";
        let answer: Subscription =
            self.channel.call(path, ("subscription", subscription), request).await?;
        Ok(answer.topic)
    }

    /// Creates a subscription, with the settings that it has by default.
    pub async fn create_subscription(&self, name: &str, topic: &str) -> Result<(), Trouble> {
        let request = Subscription { name: name.to_owned(), topic: topic.to_owned() };
        let path = "/google.pubsub.v1.Subscriber/CreateSubscription";
        self.channel.call(path, ("name", name), request).await.map(|_: Subscription| ())
    }

    /// Creates a topic.
    pub async fn create_topic(&self, name: &str) -> Result<(), Trouble> {
        let path = "/google.pubsub.v1.Publisher/CreateTopic";
        let request = Topic { name: name.to_owned() };
        self.channel.call(path, ("name", name), request).await.map(|_: Topic| ())
    }

    /// Deletes a subscription.
    pub async fn delete_subscription(&self, name: &str) -> Result<(), Trouble> {
        let request = SubscriptionRequest { subscription: name.to_owned() };
        let path = "/google.pubsub.v1.Subscriber/DeleteSubscription";
        self.channel.call(path, ("subscription", name), request).await.map(|_: Empty| ())
    }
}

// The fields that are used of the messages of `google/pubsub/v1/pubsub.proto` and
// `google/iam/v1/iam_policy.proto`.

#[derive(Clone, PartialEq, prost::Message)]
struct Subscription {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    topic: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SubscriptionRequest {
    #[prost(string, tag = "1")]
    subscription: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Topic {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TestIamPermissionsRequest {
    #[prost(string, tag = "1")]
    resource: String,
    #[prost(string, repeated, tag = "2")]
    permissions: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TestIamPermissionsResponse {
    #[prost(string, repeated, tag = "1")]
    permissions: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Empty {}
