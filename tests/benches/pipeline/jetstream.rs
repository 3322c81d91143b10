//! The daemon with its logs on JetStream.

use tripline_bus::jetstream::{JetStreamBus, OpenOptions};
use tripline_bus::{Bus, Log};
use tripline_testbed::{Nats, NatsCluster, NatsConfig};

/// The group of rows.
const GROUP: [&str; 3] = ["jetstream-one", "jetstream-synced", "jetstream-three"];

/// The rows that a row stands for: itself, or those of the group.
pub fn rows(row: &str) -> Vec<&str> {
    if row == "jetstream" { GROUP.to_vec() } else { vec![row] }
}

/// The servers that the logs are on.
pub enum Servers {
    /// One, as it is by default.
    One(Nats),
    /// One that syncs before it answers.
    Synced(Nats),
    /// A cluster.
    Three(NatsCluster),
}

impl Servers {
    /// Starts those of a row; none where it is no row of this group.
    pub fn start(row: &str) -> anyhow::Result<Option<Self>> {
        let synced = NatsConfig::default().jetstream("sync_interval: always");
        Ok(Some(match row {
            "jetstream-one" => Self::One(Nats::start()?),
            "jetstream-synced" => Self::Synced(Nats::with(synced)?),
            "jetstream-three" => Self::Three(NatsCluster::start()?),
            _ => return Ok(None),
        }))
    }

    /// What the row is called.
    pub fn title(&self) -> &'static str {
        match self {
            Self::One(_) => "webhook → HTTP trigger, JetStream",
            Self::Synced(_) => "webhook → HTTP trigger, JetStream with sync_interval: always",
            Self::Three(_) => "webhook → HTTP trigger, JetStream on three servers",
        }
    }

    /// Where they are.
    pub fn url(&self) -> String {
        match self {
            Self::One(nats) | Self::Synced(nats) => nats.url(),
            Self::Three(cluster) => cluster.url(),
        }
    }

    /// How many records a log was given.
    pub async fn appended(&self, log: Log) -> anyhow::Result<u64> {
        let bus = JetStreamBus::open(&OpenOptions::new(self.url())).await?;
        Ok(bus.extent(log).await?.next.sequence - 1)
    }
}
