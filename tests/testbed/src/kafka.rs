//! Apache Kafka: one broker that is its own controller, with its data on disk.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::certificates::Authority;
use crate::folder::Folder;
use crate::install::installed;
use crate::kafka_tls::{Secured, format};
use crate::ports::free_address;
use crate::process::Process;
use crate::toxiproxy::{Proxy, Toxiproxy};

/// A user that the broker knows by PLAIN, at [`Kafka::sasl_brokers`].
pub const KAFKA_USER: &str = "tripline";
/// The user's password.
pub const KAFKA_PASSWORD: &str = "testbed-kafka-password";

/// The id of the cluster, as its tool makes one.
const CLUSTER: &str = "MkU3OEVBNTcwNTJENDM2Qk";
/// How long the broker may take to say whether it is ready.
const ANSWER: Duration = Duration::from_secs(5);
/// The longest answer that is read.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// The broker. It takes 5 to 13 s to start, and 300 MB. Topics are not made by being asked for.
pub struct Kafka {
    process: Process,
    libraries: PathBuf,
    folder: Folder,
    address: SocketAddr,
    sasl: SocketAddr,
    secured: Option<Secured>,
}

/// Where the broker listens.
struct Listeners {
    plain: SocketAddr,
    controller: SocketAddr,
    sasl: SocketAddr,
    /// Where it listens for each proxy, and the proxy's address.
    proxied: Vec<(SocketAddr, SocketAddr)>,
    secured: Option<Secured>,
}

impl Kafka {
    /// Starts it.
    ///
    /// # Errors
    /// It does not get ready.
    pub fn start() -> anyhow::Result<Self> {
        Self::with(Folder::new("kafka")?, Vec::new(), None)
    }

    /// Starts one that speaks TLS, too, with a certificate of the authority's: at
    /// [`Self::tls_brokers`] and [`Self::tls_sasl_brokers`]. It takes 2 s longer.
    ///
    /// # Errors
    /// It does not get ready.
    pub fn start_secured(authority: &Authority) -> anyhow::Result<Self> {
        let folder = Folder::new("kafka")?;
        let secured = Secured::new(authority, folder.path())?;
        Self::with(folder, Vec::new(), Some(secured))
    }

    /// Starts it, and a proxy before it. A client that begins at the proxy stays with it: the
    /// broker tells it the proxy's address as its own.
    ///
    /// # Errors
    /// It does not get ready, or the proxy cannot be made.
    pub fn start_behind(toxiproxy: &Toxiproxy) -> anyhow::Result<(Self, Proxy)> {
        let (kafka, [proxy]) = Self::start_behind_several(toxiproxy)?;
        Ok((kafka, proxy))
    }

    /// Likewise, with so many proxies, each of which may be in trouble by itself.
    ///
    /// # Errors
    /// It does not get ready, or a proxy cannot be made.
    pub fn start_behind_several<const N: usize>(
        toxiproxy: &Toxiproxy,
    ) -> anyhow::Result<(Self, [Proxy; N])> {
        let upstreams = [(); N].map(|()| free_address());
        let mut proxies = Vec::with_capacity(N);
        for upstream in upstreams {
            proxies.push(toxiproxy.proxy(upstream)?);
        }
        let proxied = upstreams.into_iter().zip(proxies.iter().map(Proxy::address)).collect();
        let kafka = Self::with(Folder::new("kafka")?, proxied, None)?;
        let proxies = proxies.try_into().map_err(|_| anyhow::anyhow!("not {N} proxies"))?;
        Ok((kafka, proxies))
    }

    fn with(
        folder: Folder,
        proxied: Vec<(SocketAddr, SocketAddr)>,
        secured: Option<Secured>,
    ) -> anyhow::Result<Self> {
        let libraries = installed("kafka")?.join("libs");
        let (plain, controller, sasl) = (free_address(), free_address(), free_address());
        let listeners = Listeners { plain, controller, sasl, proxied, secured };
        let data = folder.path().join("data");
        std::fs::create_dir(&data)?;
        let mut text = properties(&listeners, &data);
        let Listeners { secured, .. } = listeners;
        let broker = folder.path().join("broker");
        if secured.is_some() {
            text += &Secured::properties(folder.path());
            std::fs::write(&broker, text)?;
            format(&libraries, &broker, CLUSTER)?;
        } else {
            std::fs::write(&broker, text)?;
            // What the broker's own tool writes into a folder that it formats.
            let formatted = format!("version=1\nnode.id=1\ncluster.id={CLUSTER}\n");
            std::fs::write(data.join("meta.properties"), formatted)?;
        }
        let process = spawn(&libraries, folder.path())?;
        let mut server = Self { process, libraries, folder, address: plain, sasl, secured };
        server.ready()?;
        Ok(server)
    }

    fn ready(&mut self) -> anyhow::Result<()> {
        let address = self.address;
        self.process.ready(|| serves(address).unwrap_or(false))
    }

    /// Where it listens, as clients take it.
    pub fn brokers(&self) -> String {
        self.address.to_string()
    }

    /// Where it asks for user and password: [`KAFKA_USER`] by PLAIN, without TLS.
    pub fn sasl_brokers(&self) -> String {
        self.sasl.to_string()
    }

    /// Where it speaks TLS and takes clients with a certificate of its authority's; none where
    /// it was not started with [`Self::start_secured`].
    pub fn tls_brokers(&self) -> Option<String> {
        self.secured.as_ref().map(|secured| secured.certificate.to_string())
    }

    /// Where it speaks TLS and asks for user and password: [`KAFKA_USER`] by PLAIN,
    /// SCRAM-SHA-256 or SCRAM-SHA-512; none likewise.
    pub fn tls_sasl_brokers(&self) -> Option<String> {
        self.secured.as_ref().map(|secured| secured.password.to_string())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        self.process.tail()
    }

    /// `kill -9`. What it had acknowledged stays on its disk.
    ///
    /// # Errors
    /// It had ended by itself.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()
    }

    /// Starts it again after [`Self::kill`]: on the same ports, with its topics.
    ///
    /// # Errors
    /// It does not get ready.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.process = spawn(&self.libraries, self.folder.path())?;
        self.ready()
    }

    /// SIGSTOP: it keeps its connections and says nothing.
    ///
    /// # Errors
    /// It had ended by itself.
    pub fn pause(&mut self) -> anyhow::Result<()> {
        self.process.pause()
    }

    /// It goes on after [`Self::pause`].
    ///
    /// # Errors
    /// It had ended by itself.
    pub fn unpause(&mut self) -> anyhow::Result<()> {
        self.process.unpause()
    }
}

/// One broker, for which every internal topic has one replica. A member of a group that is gone
/// is noticed as soon as its client asks for, and one that is new waits for nobody.
fn properties(listeners: &Listeners, data: &Path) -> String {
    let Listeners { plain, controller, sasl, proxied, secured } = listeners;
    let (mut listen, mut advertised, mut protocols) = (
        format!("PLAIN://{plain},SASL://{sasl},CONTROLLER://{controller}"),
        format!("PLAIN://{plain},SASL://{sasl}"),
        "PLAIN:PLAINTEXT,SASL:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned(),
    );
    for (number, (upstream, proxy)) in proxied.iter().enumerate() {
        listen += &format!(",PROXIED{number}://{upstream}");
        advertised += &format!(",PROXIED{number}://{proxy}");
        protocols += &format!(",PROXIED{number}:PLAINTEXT");
    }
    if let Some(secured) = secured {
        listen += &secured.listeners();
        advertised += &secured.listeners();
        protocols += Secured::PROTOCOLS;
    }
    let data = data.display();
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@{controller}\n\
         controller.listener.names=CONTROLLER\n\
         listeners={listen}\n\
         advertised.listeners={advertised}\n\
         listener.security.protocol.map={protocols}\n\
         inter.broker.listener.name=PLAIN\n\
         sasl.enabled.mechanisms=PLAIN\n\
         listener.name.sasl.plain.sasl.jaas.config=\
         org.apache.kafka.common.security.plain.PlainLoginModule required \
         user_{KAFKA_USER}=\"{KAFKA_PASSWORD}\";\n\
         log.dirs={data}\n\
         auto.create.topics.enable=false\n\
         broker.heartbeat.interval.ms=500\n\
         broker.session.timeout.ms=3000\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=4\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=4\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n\
         group.min.session.timeout.ms=1000\n"
    )
}

fn spawn(libraries: &Path, folder: &Path) -> anyhow::Result<Process> {
    let mut command = Command::new("java");
    // Compiled once and lightly: it starts in half the time.
    command.args(["-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    command.arg("-cp").arg(libraries.join("*")).arg("kafka.Kafka").arg(folder.join("broker"));
    Process::spawn("Kafka", command, &folder.join("log"))
}

/// Whether a broker serves. Its port opens long before: it is asked which brokers there are
/// (`Metadata`, version 1, without topics), and names itself when it is one of them.
fn serves(address: SocketAddr) -> std::io::Result<bool> {
    const METADATA: [u8; 14] = [0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0];
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(&(METADATA.len() as u32).to_be_bytes())?;
    stream.write_all(&METADATA)?;
    let mut four = [0; 4];
    stream.read_exact(&mut four)?;
    let length = u32::from_be_bytes(four) as usize;
    if length > MAX_ANSWER_BYTES {
        return Ok(false);
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    // The request's number, then how many brokers there are.
    Ok(answer.get(4..8).is_some_and(|brokers| brokers != [0; 4]))
}
