//! The conformance suite, on one server and on three.

use tripline_bus::conformance::{self, Site};
use tripline_bus::jetstream::OpenOptions;
use tripline_bus::{BoxFuture, Bus};
use tripline_testbed::{Nats, NatsCluster};

use super::*;

struct JetStream(OpenOptions);

impl Site for JetStream {
    fn open(&mut self) -> BoxFuture<'_, Arc<dyn Bus>> {
        Box::pin(async { open(&self.0).await as Arc<dyn Bus> })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server() {
    let nats = Nats::start().unwrap();
    conformance::run(|| JetStream(options(&nats.url()))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_servers() {
    let cluster = NatsCluster::start().unwrap();
    let url = cluster.url();
    conformance::run(|| JetStream(options(&url))).await;
}
