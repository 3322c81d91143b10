//! Three nats-servers that are one cluster.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::nats::{Nats, NatsConfig};
use crate::ports::free_address;
use crate::process::LOOK_EVERY;

/// How long a cluster may take to agree on something: an election takes 4 to 9 s.
const AGREEMENT: Duration = Duration::from_secs(60);

/// How long the answer to one question may take before it is asked again.
const ANSWER: Duration = Duration::from_millis(500);

/// A cluster of three.
pub struct NatsCluster {
    /// The nodes, called `n0`, `n1` and `n2`. Each can be killed, restarted, paused by itself.
    pub nodes: Vec<Nats>,
}

impl NatsCluster {
    /// One with the default configuration.
    ///
    /// # Errors
    /// It does not get ready.
    pub fn start() -> anyhow::Result<Self> {
        Self::with(&NatsConfig::default())
    }

    /// One whose nodes are all configured like this; a port is not taken from it.
    ///
    /// # Errors
    /// It does not get ready.
    pub fn with(config: &NatsConfig) -> anyhow::Result<Self> {
        let routes: Vec<_> = (0..3).map(|_| free_address()).collect();
        let all: Vec<String> = routes.iter().map(|route| format!("nats://{route}")).collect();
        let all = all.join(", ");
        let mut nodes = Vec::new();
        for (number, route) in routes.iter().enumerate() {
            let config = config.clone().also(&format!("server_name: n{number}")).also(&format!(
                "cluster {{ name: testbed, listen: \"{route}\", routes: [{all}] }}"
            ));
            nodes.push(Nats::launch(config)?);
        }
        let mut cluster = Self { nodes };
        for node in &mut cluster.nodes {
            node.ready()?;
        }
        cluster.has_leader()?;
        Ok(cluster)
    }

    /// The URLs of all nodes, with commas between them.
    pub fn url(&self) -> String {
        let urls: Vec<String> = self.nodes.iter().map(Nats::url).collect();
        urls.join(",")
    }

    /// Starts a node again that was killed or stopped, and waits until the cluster has taken it
    /// in and there is a leader.
    ///
    /// # Errors
    /// It does not get ready.
    pub fn restart(&mut self, node: usize) -> anyhow::Result<()> {
        let nats = self.nodes.get_mut(node).context("there are three nodes")?;
        nats.restart()?;
        self.has_leader()
    }

    /// Which node leads a stream of the default account.
    ///
    /// # Errors
    /// No node says so.
    pub fn leader(&self, stream: &str) -> anyhow::Result<usize> {
        self.agreed(&format!("the leader of the stream {stream}"), |nodes| {
            nodes.iter().find_map(|node| leader_of(node, stream))
        })
    }

    /// Waits until each node knows of a leader and of three nodes, and its clients are answered
    /// by the leader.
    fn has_leader(&self) -> anyhow::Result<()> {
        self.agreed("the leader of all", |nodes| {
            let knows = |node: &Nats| {
                let meta = node.monitor("/jsz").ok()?.json().ok()?;
                let meta = meta.get("meta_cluster")?;
                let leader = meta.get("leader")?.as_str().is_some_and(|name| !name.is_empty());
                (leader && meta.get("cluster_size")?.as_u64() == Some(3)).then_some(())
            };
            let is_ready = |node| knows(node).is_some() && is_answered(node.address());
            nodes.iter().all(is_ready).then_some(())
        })
    }

    fn agreed<T>(
        &self,
        what: &str,
        mut look: impl FnMut(&[Nats]) -> Option<T>,
    ) -> anyhow::Result<T> {
        let deadline = Instant::now() + AGREEMENT;
        loop {
            if let Some(found) = look(&self.nodes) {
                return Ok(found);
            }
            if Instant::now() > deadline {
                let logs: Vec<String> = self.nodes.iter().map(Nats::log).collect();
                bail!("{what}: not known after {AGREEMENT:?}:\n{}", logs.join("\n"));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// Whether JetStream answers a client of this node. At first it may not: nodes tell each other
/// who is interested in what a moment after they have agreed on a leader.
fn is_answered(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.write_all(
            b"CONNECT {\"verbose\":false}\r\nSUB ready 1\r\nPUB $JS.API.INFO ready 0\r\n\r\n",
        )?;
        for line in BufReader::new(stream).lines() {
            let line = line?;
            // One that wants a password or TLS cannot be asked like this, and listens at least.
            let refuses = line.starts_with("-ERR") || line.contains("\"tls_required\":true");
            if line.starts_with("MSG ") || refuses {
                return Ok(true);
            }
        }
        Ok(false)
    };
    ask().unwrap_or(false)
}

/// The number of the node that leads a stream, as this one knows it.
fn leader_of(node: &Nats, stream: &str) -> Option<usize> {
    let streams = node.monitor("/jsz?accounts=true&streams=true").ok()?.json().ok()?;
    streams.get("account_details")?.as_array()?.iter().find_map(|account| {
        let details = account.get("stream_detail")?.as_array()?;
        let found = details.iter().find(|detail| detail["name"] == stream)?;
        found.pointer("/cluster/leader")?.as_str()?.strip_prefix('n')?.parse().ok()
    })
}
