//! `kill -9` of the real daemon, again and again, while it is given events.
//!
//! `TRIPLINE_KILLS=500` kills it as often, for each of the tests; `TRIPLINE_SEED=17` chooses
//! other moments.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tripline_tests::clients::{Clients, Sending};
use tripline_tests::daemon::{Daemon, Place};
use tripline_tests::load::event_id;
use tripline_tests::resources::{event_source, http_sensor, workflow_sensor};
use tripline_tests::set_checker::{Delivery, Times, check};
use tripline_tests::sink::Sink;
use tripline_tests::store::{self, Store};

/// Connections that send events, each the next one when the one before is acknowledged.
const CONNECTIONS: usize = 16;
/// How long after the daemon is ready it is killed, in milliseconds.
const READY_TO_KILL: std::ops::Range<u64> = 20..300;
/// How long after its start it is killed when nobody waits until it is ready.
const START_TO_KILL: std::ops::Range<u64> = 0..60;
/// One kill in so many comes while the daemon still starts.
const ONE_WHILE_STARTING: u32 = 5;
/// How long the last daemon may take for what is left.
const SETTLE: Duration = Duration::from_secs(120);

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// What was sent, and the last daemon, which has nothing left to do.
struct Survived {
    sending: Sending,
    kills: u64,
    took: Duration,
    daemon: Daemon,
}

/// Kills daemons at `place` while clients send events.
async fn kill_again_and_again(place: &Place) -> anyhow::Result<Survived> {
    let begin = Instant::now();
    let kills = number("TRIPLINE_KILLS").unwrap_or(10);
    let seed = number("TRIPLINE_SEED").unwrap_or(1);
    let mut random = SmallRng::seed_from_u64(seed);
    let mut daemon = place.start().await?;
    let clients = Clients::start(place.webhook(), CONNECTIONS, Duration::ZERO);
    for kill in 0..kills {
        let context = || format!("seed {seed}, kill {kill}");
        let milliseconds = if kill > 0 && random.random_ratio(1, ONE_WHILE_STARTING) {
            random.random_range(START_TO_KILL)
        } else {
            daemon.ready().await.with_context(context)?;
            random.random_range(READY_TO_KILL)
        };
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        daemon.kill().with_context(context)?;
        daemon = place.spawn()?;
    }
    daemon.ready().await?;
    let sending = clients.finish().await?;
    daemon.settled(SETTLE).await?;
    Ok(Survived { sending, kills, took: begin.elapsed(), daemon })
}

impl std::fmt::Display for Survived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { sending: Sending { sent, unanswered, duplicates, .. }, kills, took, .. } = self;
        let acknowledged = sent.acknowledged.len();
        write!(
            f,
            "{kills} kills in {took:.1?}, {acknowledged} events acknowledged, {unanswered} requests not answered, {duplicates} answered as duplicates"
        )
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_that_was_acknowledged_ends_in_exactly_one_workflow() -> anyhow::Result<()> {
    let place = Place::new()?;
    place.write("event-source.yaml", &event_source(place.port))?;
    place.write("sensor.yaml", &workflow_sensor("deploy"))?;
    let survived = kill_again_and_again(&place).await?;
    let summary = survived.to_string();
    let ended = survived.daemon.stop().await?;
    ensure!(ended.status.success(), "{}:\n{}", ended.status, ended.stderr);

    let store = Store::open(&place.data())?;
    let workflows = store.workflows().await?;
    let deliveries: Vec<Delivery> =
        workflows.iter().map(store::delivery).collect::<anyhow::Result<_>>()?;
    let actions = store.actions().await?;
    println!("kill, workflows: {summary}, {} workflows", workflows.len());
    let findings = check(&survived.sending.sent, &deliveries, Times::Once);
    ensure!(findings.is_empty(), "{summary}: {findings}\n{actions:?}");
    ensure!(
        actions.decided == actions.closed && actions.not_carried_out == 0,
        "{summary}: {actions:?}"
    );
    ensure!(survived.sending.unanswered > 0, "no kill met a request: {summary}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_that_was_acknowledged_is_sent_on_with_one_idempotency_key()
-> anyhow::Result<()> {
    let sink = Sink::start()?;
    let place = Place::new()?;
    place.write("event-source.yaml", &event_source(place.port))?;
    place.write("sensor.yaml", &http_sensor("notify", &sink.url(), 16))?;
    let survived = kill_again_and_again(&place).await?;
    let summary = survived.to_string();
    let ended = survived.daemon.stop().await?;
    ensure!(ended.status.success(), "{}:\n{}", ended.status, ended.stderr);

    let mut requests: BTreeMap<u64, usize> = BTreeMap::new();
    let mut deliveries = BTreeSet::new();
    for receipt in sink.take() {
        let number = receipt.number.with_context(|| format!("a stranger: {receipt:?}"))?;
        *requests.entry(number).or_default() += 1;
        deliveries.insert(Delivery {
            event: event_id(number),
            action: receipt.key.into(),
            correlation: receipt.correlation.into(),
        });
    }
    let repeats: usize = requests.values().map(|count| count - 1).sum();
    println!("kill, requests: {summary}, {} delivered, {repeats} repeated", requests.len());
    let deliveries: Vec<Delivery> = deliveries.into_iter().collect();
    let findings = check(&survived.sending.sent, &deliveries, Times::AtLeastOnce);
    let actions = Store::open(&place.data())?.actions().await?;
    ensure!(findings.is_empty(), "{summary}: {findings}\n{actions:?}");
    ensure!(
        actions.decided == actions.closed && actions.not_carried_out == 0,
        "{summary}: {actions:?}"
    );
    ensure!(survived.sending.unanswered > 0, "no kill met a request: {summary}");
    Ok(())
}
