//! What is in the way between a daemon and everything around it.

use std::net::SocketAddr;

use anyhow::Context;
use tripline_testbed::{Proxy, Toxiproxy};

use crate::brokers::Way;
use crate::cell::Shared;

/// The proxies of a cell.
pub struct Proxies {
    /// From producers to the daemon.
    pub webhook: Proxy,
    pub pubsub: Proxy,
    pub sqs: Proxy,
    pub kube: Proxy,
    pub http: Proxy,
    brokers: Option<Way>,
}

impl Proxies {
    /// Makes them.
    pub fn of(
        shared: &Shared,
        webhook: SocketAddr,
        http: SocketAddr,
        brokers: Option<Way>,
    ) -> anyhow::Result<Self> {
        let toxiproxy: &Toxiproxy = &shared.toxiproxy;
        let to = |address| toxiproxy.proxy(address);
        Ok(Self {
            webhook: to(webhook)?,
            pubsub: to(shared.pubsub.address())?,
            sqs: to(shared.elasticmq.address())?,
            kube: to(shared.kube.address())?,
            http: to(http)?,
            brokers,
        })
    }

    /// The way to the brokers, in a cell that has one.
    pub fn brokers(&self) -> anyhow::Result<&Way> {
        self.brokers.as_ref().context("no brokers are in this cell")
    }

    /// All of them, and that of the bus.
    pub fn all<'a>(&'a self, bus: Option<&'a Proxy>) -> impl Iterator<Item = &'a Proxy> {
        [&self.webhook, &self.pubsub, &self.sqs, &self.kube, &self.http]
            .into_iter()
            .chain(self.brokers.iter().flat_map(Way::all))
            .chain(bus)
    }
}
