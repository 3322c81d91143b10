//! The calls beside the stream of messages: topics, subscriptions, permissions. They are made
//! here, since `google-cloud-pubsub` makes them by REST, and emulators have gRPC alone. Each is
//! tried once; whoever calls tries again.

use std::time::Duration;

use google_cloud_auth::credentials::{CacheableResource, Credentials};
use http::uri::PathAndQuery;
use tokio::time::timeout;
use tonic::client::Grpc;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic_prost::ProstCodec;

use super::limits::CALL;
use super::trouble::{Trouble, chain};

/// Where the service is for everybody.
const GOOGLE: &str = "https://pubsub.googleapis.com";
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// The client of these calls. It connects when it is first used.
#[derive(Clone)]
pub struct Admin {
    channel: Channel,
    credentials: Credentials,
}

impl Admin {
    /// One that speaks to `address`, or to Google.
    ///
    /// # Errors
    /// The address is none, or this machine has no certificates of authorities.
    pub fn new(address: Option<&str>, credentials: Credentials) -> Result<Self, String> {
        let address = address.unwrap_or(GOOGLE).to_owned();
        let unusable = |error| format!("{address} cannot be spoken to: {error}");
        let endpoint = Endpoint::from_shared(address.clone()).map_err(unusable)?;
        let endpoint = if address.starts_with("https://") {
            let tls = ClientTlsConfig::new().with_enabled_roots();
            endpoint.tls_config(tls).map_err(unusable)?
        } else {
            endpoint
        };
        let channel = endpoint.connect_timeout(CONNECT).connect_lazy();
        Ok(Self { channel, credentials })
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
            self.call(path, ("resource", resource), request).await?;
        Ok(answer.permissions)
    }

    /// The topic of a subscription.
    pub async fn topic_of(&self, subscription: &str) -> Result<String, Trouble> {
        let request = SubscriptionRequest { subscription: subscription.to_owned() };
        let path = "/google.pubsub.v1.Subscriber/GetSubscription";
        let answer: Subscription = self.call(path, ("subscription", subscription), request).await?;
        Ok(answer.topic)
    }

    /// Creates a subscription, with the settings that it has by default.
    pub async fn create_subscription(&self, name: &str, topic: &str) -> Result<(), Trouble> {
        let request = Subscription { name: name.to_owned(), topic: topic.to_owned() };
        let path = "/google.pubsub.v1.Subscriber/CreateSubscription";
        self.call(path, ("name", name), request).await.map(|_: Subscription| ())
    }

    /// Creates a topic.
    pub async fn create_topic(&self, name: &str) -> Result<(), Trouble> {
        let path = "/google.pubsub.v1.Publisher/CreateTopic";
        let request = Topic { name: name.to_owned() };
        self.call(path, ("name", name), request).await.map(|_: Topic| ())
    }

    /// Deletes a subscription.
    pub async fn delete_subscription(&self, name: &str) -> Result<(), Trouble> {
        let request = SubscriptionRequest { subscription: name.to_owned() };
        let path = "/google.pubsub.v1.Subscriber/DeleteSubscription";
        self.call(path, ("subscription", name), request).await.map(|_: Empty| ())
    }

    /// `about` is the field of the request by which the service finds its way.
    pub(super) async fn call<Q, A>(
        &self,
        path: &'static str,
        about: (&str, &str),
        request: Q,
    ) -> Result<A, Trouble>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let answer = async {
            let mut request = tonic::Request::new(request);
            *request.metadata_mut() = self.authorization().await?;
            let route = format!("{}={}", about.0, about.1.replace('/', "%2F"));
            if let Ok(route) = route.parse() {
                request.metadata_mut().insert("x-goog-request-params", route);
            }
            let mut grpc = Grpc::new(self.channel.clone());
            grpc.ready().await.map_err(|error| Trouble::Unreachable(error.to_string()))?;
            let codec = ProstCodec::<Q, A>::default();
            let answer = grpc.unary(request, PathAndQuery::from_static(path), codec).await?;
            Ok(answer.into_inner())
        };
        timeout(CALL, answer).await.unwrap_or(Err(Trouble::TimedOut))
    }

    async fn authorization(&self) -> Result<MetadataMap, Trouble> {
        let headers = self.credentials.headers(http::Extensions::new()).await;
        match headers.map_err(|error| Trouble::NoToken(chain(&error)))? {
            CacheableResource::New { data, .. } => Ok(MetadataMap::from_headers(data)),
            CacheableResource::NotModified => Ok(MetadataMap::new()),
        }
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
