//! Real servers on loopback for tests: each test has its own, started for it and ended with it.
//!
//! | server | what it is |
//! | --- | --- |
//! | [`Nats`], [`NatsCluster`] | nats-server with JetStream on disk, alone or three of them |
//! | [`PubSub`] | Google's emulator of Pub/Sub, in memory |
//! | [`Moto`] | SQS, SNS and STS, in memory |
//! | [`Kafka`] | Apache Kafka, one broker, on disk |
//! | [`ElasticMq`] | another SQS, in memory |
//! | [`ArgoEvents`] | event sources and sensors of Argo Events |
//! | [`KubeApi`] | kube-apiserver on etcd, with RBAC and the custom resources of Argo Workflows |
//! | [`Toxiproxy`] | a TCP proxy that is slow, or cuts connections, when told so |
//!
//! Calls block, and return when the server answers; they may be made on any thread, one of an
//! asynchronous runtime too. A server listens on 127.0.0.1, on ports and in a folder of its
//! own. It is killed when its handle is dropped, and when the process of the test ends in any
//! way. One that does not get ready is an error that shows the end of its log.
//!
//! What is not installed is installed first, by the script `install` beside this crate.
//!
//! A server that was killed or stopped comes back with `restart`, on the same ports and with
//! what it has kept on disk; the ones in memory come back empty.

mod argo_events;
mod certificates;
mod elasticmq;
mod folder;
mod http;
mod install;
mod kafka;
mod kafka_tls;
mod kube_api;
mod kubeconfig;
mod moto;
mod nats;
mod nats_cluster;
pub mod ports;
mod process;
mod pubsub;
mod sns_signer;
mod toxiproxy;

pub use argo_events::ArgoEvents;
pub use certificates::{Authority, Certificate};
pub use elasticmq::ElasticMq;
pub use http::Answer;
pub use install::installed;
pub use kafka::{KAFKA_PASSWORD, KAFKA_USER, Kafka};
pub use kube_api::{Grant, KubeApi, Subject};
pub use kubeconfig::{Credentials, Kubeconfig};
pub use moto::{AWS_ACCESS_KEY_ID, AWS_REGION, AWS_SECRET_ACCESS_KEY, Moto};
pub use nats::{Nats, NatsConfig};
pub use nats_cluster::NatsCluster;
pub use pubsub::{Message, PubSub};
pub use sns_signer::SnsSigner;
pub use toxiproxy::{Proxy, Toxiproxy};
