//! The fields that are used of the messages of `google/pubsub/v1/pubsub.proto` and
//! `google/iam/v1/iam_policy.proto`.

use std::collections::HashMap;

#[derive(Clone, PartialEq, prost::Message)]
pub struct Publish {
    #[prost(string, tag = "1")]
    pub topic: String,
    #[prost(message, repeated, tag = "2")]
    pub messages: Vec<PubsubMessage>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct PubsubMessage {
    #[prost(bytes = "vec", tag = "1")]
    pub data: Vec<u8>,
    #[prost(map = "string, string", tag = "2")]
    pub attributes: HashMap<String, String>,
    #[prost(string, tag = "5")]
    pub ordering_key: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Published {
    #[prost(string, repeated, tag = "1")]
    pub message_ids: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct GetTopic {
    #[prost(string, tag = "1")]
    pub topic: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Topic {
    #[prost(string, tag = "1")]
    pub name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TestPermissions {
    #[prost(string, tag = "1")]
    pub resource: String,
    #[prost(string, repeated, tag = "2")]
    pub permissions: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Permissions {
    #[prost(string, repeated, tag = "1")]
    pub permissions: Vec<String>,
}
