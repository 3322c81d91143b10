//! The brokers of Kafka and NATS, and SNS: what cells share, or one has for itself.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use tripline_testbed::{Kafka, Moto, Nats, NatsConfig, Proxy, Toxiproxy};

use crate::SIDE_BY_SIDE;

/// How long they are away.
const AWAY: Duration = Duration::from_millis(700);

/// The servers. Kafka and NATS have on disk what they have acknowledged; moto, which has SNS and
/// the queues behind its topics, has it in memory.
pub struct Brokers {
    kafka: Mutex<Kafka>,
    nats: Mutex<Nats>,
    moto: Mutex<Moto>,
    /// Where producers find them.
    pub kafka_address: String,
    pub nats_address: SocketAddr,
    pub moto_address: SocketAddr,
    /// Proxies to Kafka that no cell has.
    free: Arc<Mutex<Vec<Proxy>>>,
}

impl Brokers {
    /// Starts them: Kafka needs to know its proxies, one for each cell that runs.
    pub fn start(toxiproxy: &Toxiproxy) -> anyhow::Result<Self> {
        let (kafka, proxies) = Kafka::start_behind_several::<SIDE_BY_SIDE>(toxiproxy)?;
        let nats = Nats::with(NatsConfig::default().jetstream("sync_interval: always"))?;
        let moto = Moto::start()?;
        Ok(Self {
            kafka_address: kafka.brokers(),
            nats_address: nats.address(),
            moto_address: moto.address(),
            kafka: Mutex::new(kafka),
            nats: Mutex::new(nats),
            moto: Mutex::new(moto),
            free: Arc::new(Mutex::new(proxies.into())),
        })
    }

    /// The way of a cell to them.
    pub fn way(&self, toxiproxy: &Toxiproxy) -> anyhow::Result<Way> {
        let kafka = lock(&self.free).pop().context("more cells run than Kafka has proxies")?;
        let kafka = Lent { proxy: Some(kafka), free: Arc::clone(&self.free) };
        let nats = toxiproxy.proxy(self.nats_address)?;
        let moto = toxiproxy.proxy(self.moto_address)?;
        Ok(Way { kafka, nats, moto })
    }

    /// The endpoint of SNS and of its queues, for producers.
    pub fn moto_endpoint(&self) -> String {
        format!("http://{}", self.moto_address)
    }

    /// `kill -9` of all, and a new start of those that start soon.
    pub fn kill(&self) -> anyhow::Result<()> {
        lock(&self.kafka).kill()?;
        lock(&self.nats).kill()?;
        lock(&self.moto).kill()?;
        std::thread::sleep(AWAY);
        lock(&self.nats).restart()?;
        lock(&self.moto).restart()
    }

    /// A new start of Kafka after [`Self::kill`].
    pub fn restart_kafka(&self) -> anyhow::Result<()> {
        lock(&self.kafka).restart()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is between a cell and the brokers.
pub struct Way {
    kafka: Lent,
    pub nats: Proxy,
    pub moto: Proxy,
}

/// A proxy that goes back where it is from.
struct Lent {
    proxy: Option<Proxy>,
    free: Arc<Mutex<Vec<Proxy>>>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(proxy) = self.proxy.take() else { return };
        // A cell that has failed may have left it cut; the server of proxies may have ended.
        if proxy.restore().is_ok() {
            lock(&self.free).push(proxy);
        }
    }
}

impl Way {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Proxy> {
        self.kafka.proxy.iter().chain([&self.nats, &self.moto])
    }

    /// Where the daemon finds Kafka.
    pub fn kafka(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.kafka.proxy.as_ref().context("the proxy is gone")?.address())
    }
}
