//! The event bus of a cell, and what can happen to it.

use std::time::Duration;

use anyhow::Context;
use async_nats::jetstream;
use tokio::task::block_in_place;
use tripline_testbed::{Nats, NatsCluster, NatsConfig, Proxy, Toxiproxy};

use crate::fault::BusKind;

/// What a server may keep: little, so that it is full soon.
const STORE: &str = "max_file_store: 64MB";
/// Servers say goodbye to their clients at once.
const LAME_DUCK: &str = "lame_duck_grace_period: \"100ms\"\nlame_duck_duration: \"30s\"";
/// A message of what fills a disk.
const FILLING_BYTES: usize = 900_000;
const FILLING: &str = "filling";
/// The stream whose leader is killed.
const EVENTS: &str = "tripline-events";
/// How long a server is away.
const AWAY: Duration = Duration::from_millis(700);

/// Where the logs of a cell are.
pub enum EventBus {
    /// In the data directory.
    Embedded,
    /// On a server that is reached through a proxy.
    OneNode(Box<Nats>, Proxy),
    /// On three.
    ThreeNodes(NatsCluster),
}

impl EventBus {
    /// Starts what is needed.
    pub fn start(kind: BusKind, toxiproxy: &Toxiproxy) -> anyhow::Result<Self> {
        let config = NatsConfig::default().jetstream(STORE).also(LAME_DUCK);
        block_in_place(|| match kind {
            BusKind::Embedded => Ok(Self::Embedded),
            BusKind::OneNode => {
                // One server alone must sync before it answers, or a crash loses what it has
                // acknowledged: the daemon's preflight says so.
                let nats = Nats::with(config.jetstream("sync_interval: always"))?;
                let proxy = toxiproxy.proxy(nats.address())?;
                Ok(Self::OneNode(Box::new(nats), proxy))
            }
            BusKind::ThreeNodes => Ok(Self::ThreeNodes(NatsCluster::with(&config)?)),
        })
    }

    /// Where the daemon finds it.
    pub fn url(&self) -> Option<String> {
        match self {
            Self::Embedded => None,
            Self::OneNode(_, proxy) => Some(format!("nats://{}", proxy.address())),
            Self::ThreeNodes(cluster) => Some(cluster.url()),
        }
    }

    /// What is between the daemon and it.
    pub fn proxy(&self) -> Option<&Proxy> {
        match self {
            Self::OneNode(_, proxy) => Some(proxy),
            _ => None,
        }
    }

    /// `kill -9` of a server, and a new start.
    pub async fn kill(&mut self, node: usize) -> anyhow::Result<()> {
        match self {
            Self::Embedded => Ok(()),
            Self::OneNode(nats, _) => {
                nats.kill()?;
                tokio::time::sleep(AWAY).await;
                block_in_place(|| nats.restart())
            }
            Self::ThreeNodes(cluster) => {
                cluster.nodes[node].kill()?;
                tokio::time::sleep(AWAY).await;
                block_in_place(|| cluster.restart(node))
            }
        }
    }

    /// `kill -9` of whoever leads the stream of events, and a new start.
    pub async fn kill_leader(&mut self) -> anyhow::Result<()> {
        let Self::ThreeNodes(cluster) = &*self else { return Ok(()) };
        let leader = block_in_place(|| cluster.leader(EVENTS))?;
        self.kill(leader).await
    }

    /// A server stands still for a while.
    pub async fn freeze(&mut self, how_long: Duration) -> anyhow::Result<()> {
        let nats = match self {
            Self::Embedded => return Ok(()),
            Self::OneNode(nats, _) => nats,
            Self::ThreeNodes(cluster) => &mut cluster.nodes[0],
        };
        block_in_place(|| nats.pause())?;
        tokio::time::sleep(how_long).await;
        nats.unpause()
    }

    /// One server after the other sends its clients away, ends, and is started again.
    pub fn roll(&mut self) -> anyhow::Result<()> {
        block_in_place(|| match self {
            Self::Embedded => Ok(()),
            Self::OneNode(nats, _) => {
                nats.lame_duck()?;
                nats.restart()
            }
            Self::ThreeNodes(cluster) => {
                for node in 0..cluster.nodes.len() {
                    cluster.nodes[node].lame_duck()?;
                    cluster.restart(node)?;
                }
                Ok(())
            }
        })
    }

    fn address(&self) -> Option<String> {
        match self {
            Self::Embedded => None,
            Self::OneNode(nats, _) => Some(nats.url()),
            Self::ThreeNodes(cluster) => Some(cluster.url()),
        }
    }

    /// Fills its disk up to what a server may keep.
    pub async fn fill(&self) -> anyhow::Result<()> {
        let Some(context) = self.jetstream().await? else { return Ok(()) };
        let replicas = if matches!(self, Self::ThreeNodes(_)) { 3 } else { 1 };
        let config = jetstream::stream::Config {
            name: FILLING.into(),
            num_replicas: replicas,
            storage: jetstream::stream::StorageType::File,
            ..Default::default()
        };
        context.create_stream(config).await.context("what fills the disk")?;
        loop {
            let ack = context.publish(FILLING, vec![0; FILLING_BYTES].into()).await?;
            // The one that is refused was one too many.
            if ack.await.is_err() {
                return Ok(());
            }
        }
    }

    /// Makes room again.
    pub async fn make_room(&self) -> anyhow::Result<()> {
        let Some(context) = self.jetstream().await? else { return Ok(()) };
        context.delete_stream(FILLING).await.context("what fills the disk")?;
        Ok(())
    }

    async fn jetstream(&self) -> anyhow::Result<Option<jetstream::Context>> {
        let Some(url) = self.address() else { return Ok(None) };
        let servers = url.split(',').collect::<Vec<_>>();
        let client = async_nats::connect(servers).await?;
        Ok(Some(jetstream::new(client)))
    }
}
