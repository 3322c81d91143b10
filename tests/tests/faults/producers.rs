//! Who publishes: each message until upstream has taken it, on and on until it is enough.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::task::JoinHandle;
use tripline_tests::clients::Clients;
use tripline_tests::load::correlation_id;
use tripline_tests::set_checker::Sent;

use crate::source::Source;
use crate::systems::System;

/// Connections of producers to the webhook, and the pause of each.
const CONNECTIONS: usize = 4;
const PAUSE: Duration = Duration::from_millis(60);
/// How many messages are published at a time, and the pause after them.
const BATCH: usize = 10;
const BATCH_PAUSE: Duration = Duration::from_millis(250);
/// How many a producer publishes at a time, and no pause, where there must be many.
const LARGE_BATCH: usize = 500;
/// How long each of them may take for what it does until the next look: as long as the messages of
/// a broker that is away.
const PATIENCE: Duration = Duration::from_secs(240);

/// Producers, one for each source.
pub struct Producers {
    clients: Clients,
    pulled: Vec<Pulled>,
    stop: Arc<AtomicBool>,
    /// How many the webhook's publish at least.
    by_webhook: u64,
}

/// The producer of a message system.
struct Pulled {
    progress: Arc<Progress>,
    task: JoinHandle<anyhow::Result<Sent>>,
}

struct Progress {
    source: Source,
    /// How many it publishes at least.
    wanted: u64,
    published: AtomicU64,
    /// The first message that upstream has not lost.
    kept: AtomicU64,
}

/// What they have published.
pub struct Published {
    /// For each source.
    pub sent: Vec<(Source, Sent)>,
    /// Requests that were not answered.
    pub unanswered: u64,
    /// Requests that were answered 503: not now.
    pub put_off: u64,
}

impl Producers {
    /// Starts them. Each publishes at least so many messages as `each` for its source's weight.
    pub fn start(webhook: std::net::SocketAddr, systems: Vec<System>, each: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let pause = if each == 0 { PAUSE } else { Duration::ZERO };
        let pulled = systems
            .into_iter()
            .map(|system| {
                let progress = Arc::new(Progress {
                    source: system.source(),
                    wanted: each * system.source().weight(),
                    published: AtomicU64::new(0),
                    kept: AtomicU64::new(0),
                });
                let task = tokio::spawn(publish(system, Arc::clone(&progress), Arc::clone(&stop)));
                Pulled { progress, task }
            })
            .collect();
        Self {
            clients: Clients::start(webhook, CONNECTIONS, pause),
            pulled,
            stop,
            by_webhook: each * Source::Webhook.weight(),
        }
    }

    /// How many each has published, and how many it publishes at least.
    fn counts(&self) -> Vec<(u64, u64)> {
        let pulled = self.pulled.iter().map(|Pulled { progress, .. }| {
            (progress.published.load(Ordering::Relaxed), progress.wanted)
        });
        std::iter::once((self.clients.sent(), self.by_webhook)).chain(pulled).collect()
    }

    /// Waits until each has published so many more, and a quarter of what it publishes at least:
    /// then they are in the middle of it.
    pub async fn go_on(&mut self, more: u64) -> anyhow::Result<()> {
        let wanted = self.counts().iter().map(|(count, all)| (count + more).max(all / 4)).collect();
        self.reach(wanted).await
    }

    /// What upstream has lost is not waited for: what these sources have published up to now.
    pub fn lost(&self, forgets: impl Fn(Source) -> bool) {
        for Pulled { progress, .. } in &self.pulled {
            if forgets(progress.source) {
                // The batch that is under way may have begun before.
                let under_way = if progress.wanted == 0 { BATCH } else { LARGE_BATCH };
                let published = progress.published.load(Ordering::Relaxed);
                progress.kept.store(published + under_way as u64, Ordering::Relaxed);
            }
        }
    }

    async fn reach(&mut self, wanted: Vec<u64>) -> anyhow::Result<()> {
        let mut before = self.counts();
        let mut since = vec![Instant::now(); before.len()];
        loop {
            let now = self.counts();
            if now.iter().zip(&wanted).all(|((now, _), wanted)| now >= wanted) {
                return Ok(());
            }
            for Pulled { progress, task } in &mut self.pulled {
                if task.is_finished() {
                    let source = progress.source;
                    let ended = task.await?.err().context("it was not to stop");
                    return Err(ended?.context(format!("the producer of {source} has ended")));
                }
            }
            for (at, since) in since.iter_mut().enumerate() {
                if now[at] != before[at] || now[at].0 >= wanted[at] {
                    *since = Instant::now();
                }
                ensure!(
                    since.elapsed() < PATIENCE,
                    "a producer stands still: {before:?} of {wanted:?}"
                );
            }
            before = now;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Lets them come to what each publishes at least, and to the end of what they are at.
    pub async fn finish(mut self) -> anyhow::Result<Published> {
        self.reach(self.counts().into_iter().map(|(_, all)| all).collect()).await?;
        self.stop.store(true, Ordering::Relaxed);
        let mut sent = Vec::new();
        for Pulled { progress, task } in self.pulled {
            sent.push((progress.source, task.await??));
        }
        let sending = tokio::time::timeout(PATIENCE, self.clients.finish());
        let sending = sending.await.context("a producer's request is never acknowledged")??;
        let (unanswered, put_off) = (sending.unanswered, sending.put_off);
        sent.push((Source::Webhook, sending.sent));
        sent.sort_by_key(|(source, _)| *source);
        Ok(Published { sent, unanswered, put_off })
    }
}

async fn publish(
    system: System,
    progress: Arc<Progress>,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<Sent> {
    let (mut sent, mut acknowledged) = (Sent::default(), Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let first = progress.published.load(Ordering::Relaxed);
        let left = progress.wanted.saturating_sub(first);
        let (batch, pause) = match usize::try_from(left)? {
            0 => (BATCH, BATCH_PAUSE),
            left => (left.min(LARGE_BATCH), Duration::ZERO),
        };
        let next = first + batch as u64;
        let correlations: Vec<String> = (first..next).map(correlation_id).collect();
        let ids = system.publish(&correlations).await?;
        ensure!(ids.len() == batch, "{} ids for {batch} messages", ids.len());
        acknowledged.extend((first..next).zip(ids.iter().cloned()));
        sent.events.extend(ids.into_iter().zip(correlations));
        progress.published.store(next, Ordering::Relaxed);
        tokio::time::sleep(pause).await;
    }
    let kept = progress.kept.load(Ordering::Relaxed);
    let acknowledged = acknowledged.into_iter().filter(|(number, _)| *number >= kept);
    sent.acknowledged.extend(acknowledged.map(|(_, id)| id));
    Ok(sent)
}
