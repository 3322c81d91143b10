//! Producers that send events to a webhook, each until it is acknowledged, whoever is killed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::ensure;
use tokio::task::JoinSet;

use crate::load::{Connection, Requests, correlation_id, event_id};
use crate::set_checker::Sent;

/// The pause of a client before it tries again.
const AGAIN: Duration = Duration::from_millis(5);

/// Clients, each of which sends the next event when the one before is acknowledged.
pub struct Clients {
    shared: Arc<Shared>,
    tasks: JoinSet<anyhow::Result<()>>,
}

/// What they have done.
pub struct Sending {
    /// The events, all of them acknowledged.
    pub sent: Sent,
    /// How many requests had no answer.
    pub unanswered: u64,
    /// How many were answered 503: not now.
    pub put_off: u64,
    /// How many were answered as duplicates.
    pub duplicates: u64,
}

struct Shared {
    address: SocketAddr,
    pause: Duration,
    next: AtomicU64,
    stop: AtomicBool,
    unanswered: AtomicU64,
    put_off: AtomicU64,
    duplicates: AtomicU64,
}

impl Clients {
    /// Starts so many. Each makes a pause after an acknowledgement.
    pub fn start(address: SocketAddr, connections: usize, pause: Duration) -> Self {
        let shared = Arc::new(Shared {
            address,
            pause,
            next: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            unanswered: AtomicU64::new(0),
            put_off: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
        });
        let mut tasks = JoinSet::new();
        for _ in 0..connections {
            tasks.spawn(Arc::clone(&shared).send());
        }
        Self { shared, tasks }
    }

    /// How many events they have begun to send.
    pub fn sent(&self) -> u64 {
        self.shared.next.load(Ordering::Relaxed)
    }

    /// Lets each come to its next acknowledgement, and ends.
    ///
    /// # Errors
    /// An event was answered with something else than success or "not now".
    pub async fn finish(mut self) -> anyhow::Result<Sending> {
        self.shared.stop.store(true, Ordering::Relaxed);
        while let Some(client) = self.tasks.join_next().await {
            client??;
        }
        let numbers = 0..self.shared.next.load(Ordering::Relaxed);
        let sent = Sent {
            events: numbers
                .clone()
                .map(|number| (event_id(number), correlation_id(number)))
                .collect(),
            // Each client stops after an acknowledgement.
            acknowledged: numbers.map(event_id).collect(),
        };
        Ok(Sending {
            sent,
            unanswered: self.shared.unanswered.load(Ordering::Relaxed),
            put_off: self.shared.put_off.load(Ordering::Relaxed),
            duplicates: self.shared.duplicates.load(Ordering::Relaxed),
        })
    }
}

impl Shared {
    /// Sends events, one after the other, each until it is acknowledged.
    async fn send(self: Arc<Self>) -> anyhow::Result<()> {
        let requests = Requests::new(self.address, "/builds");
        let mut request = Vec::new();
        let mut connection = None;
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            requests.write(number, &mut request);
            while !self.attempt(&mut connection, &request).await? {
                tokio::time::sleep(AGAIN).await;
            }
            if !self.pause.is_zero() {
                tokio::time::sleep(self.pause).await;
            }
        }
        Ok(())
    }

    /// Whether the event was acknowledged.
    async fn attempt(&self, kept: &mut Option<Connection>, request: &[u8]) -> anyhow::Result<bool> {
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => match Connection::open(self.address).await {
                Ok(connection) => connection,
                Err(_) => return Ok(false),
            },
        };
        let Ok(answer) = connection.exchange(request).await else {
            self.unanswered.fetch_add(1, Ordering::Relaxed);
            return Ok(false);
        };
        // 503: the daemon is up and cannot take it yet.
        ensure!(matches!(answer.status, 200 | 503), "an event was answered {answer:?}");
        self.put_off.fetch_add(u64::from(answer.status == 503), Ordering::Relaxed);
        self.duplicates.fetch_add(u64::from(answer.duplicate), Ordering::Relaxed);
        *kept = Some(connection);
        Ok(answer.status == 200)
    }
}
