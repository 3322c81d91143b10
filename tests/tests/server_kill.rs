//! `kill -9` of servers and of the daemon beside them, again and again under load: of
//! nats-server where it is the bus, and of Pub/Sub and SQS where they are upstream. Workflows go
//! into a real cluster.
//!
//! `TRIPLINE_SERVER_KILLS=200` kills as often, in each of the tests; `TRIPLINE_SEED=17` chooses
//! other moments and victims.
//!
//! What nobody can tell after a kill is a dead letter, and not a second submit. At the end those
//! are sent again; then everything must be there, once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tripline_testbed::{KubeApi, Nats};
use tripline_tests::clients::Clients;
use tripline_tests::daemon::{Daemon, Place};
use tripline_tests::letters::resolve_unknown;
use tripline_tests::resources::event_source;
use tripline_tests::set_checker::{Delivery, Sent, Times, check};
use tripline_tests::tenant::{Tenant, sensor};
use tripline_tests::upstreams::{Upstream, Upstreams};

/// The producers, and the pause of each after an acknowledgement: some 300 events a second.
const CONNECTIONS: usize = 8;
const PAUSE: Duration = Duration::from_millis(25);
/// How many messages are sent to each upstream before each kill.
const BATCH: usize = 20;
/// How long after all is well somebody is killed, in milliseconds.
const WELL_TO_KILL: std::ops::Range<u64> = 20..400;
/// How long a server is away, in milliseconds.
const AWAY: std::ops::Range<u64> = 0..300;
/// How long the last daemon may take for what is left. A message of SQS that a dead daemon had
/// is given to the next one after two minutes.
const SETTLE: Duration = Duration::from_secs(180);

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

async fn wait(random: &mut SmallRng, milliseconds: std::ops::Range<u64>) {
    tokio::time::sleep(Duration::from_millis(random.random_range(milliseconds))).await;
}

/// A place for daemons that send the workflows of the tenant's sensors into its cluster.
fn place_in(tenant: &Tenant<'_>) -> anyhow::Result<Place> {
    let place = Place::new()?;
    let mapped = format!("for: [{{ namespace: {} }}]", tenant.namespace);
    place.write("cluster.yaml", &tenant.cluster("build", tenant.kube.address(), &[&mapped])?)?;
    Ok(place)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_when_nats_and_the_daemon_are_killed() -> anyhow::Result<()> {
    let begin = Instant::now();
    let (kills, seed) = (number("TRIPLINE_SERVER_KILLS", 4), number("TRIPLINE_SEED", 1));
    let mut random = SmallRng::seed_from_u64(seed);
    let mut nats = Nats::start()?;
    let tenant = Tenant::new(KubeApi::shared()?, "kill-nats")?;
    let namespace = tenant.namespace.as_str();
    let mut place = place_in(&tenant)?;
    let source =
        event_source(place.port).replace("namespace: ci", &format!("namespace: {namespace}"));
    place.write("event-source.yaml", &source)?;
    place.write(
        "sensor.yaml",
        &sensor(namespace, "deploy", "builds", "dataKey: body.correlation_id"),
    )?;
    place.arguments = vec!["--nats".into(), nats.url()];
    place.write(
        "bus.yaml",
        &format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: EventBus\nmetadata: {{ name: default, namespace: {namespace} }}\nspec:\n  jetstream: {{ version: latest }}\n"
        ),
    )?;

    let mut daemon = place.start().await?;
    let clients = Clients::start(place.webhook(), CONNECTIONS, PAUSE);
    let mut killed = BTreeMap::from([("nats", 0), ("daemon", 0)]);
    for kill in 0..kills {
        let context = || format!("seed {seed}, kill {kill}, {killed:?}");
        daemon.ready().await.with_context(context)?;
        wait(&mut random, WELL_TO_KILL).await;
        let (server, program) = match random.random_range(0..6) {
            0..3 => (true, false),
            3..5 => (false, true),
            _ => (true, true),
        };
        if server {
            nats.kill().with_context(context)?;
        }
        daemon = if program {
            daemon.kill().with_context(context)?;
            wait(&mut random, AWAY).await;
            if server {
                nats.restart().with_context(context)?;
            }
            place.spawn()?
        } else {
            wait(&mut random, AWAY).await;
            nats.restart().with_context(context)?;
            daemon
        };
        *killed.entry("nats").or_default() += u64::from(server);
        *killed.entry("daemon").or_default() += u64::from(program);
    }
    daemon.ready().await?;
    let sending = clients.finish().await?;
    daemon.settled(SETTLE).await?;
    let unknown = resolve_unknown(&place, &daemon, SETTLE).await?;

    let deliveries = tenant.deliveries("deploy")?;
    let summary = format!(
        "{kills} kills {killed:?} in {:.1?}, {} events acknowledged, {} requests not answered, {} workflows, {unknown} sent again",
        begin.elapsed(),
        sending.sent.acknowledged.len(),
        sending.unanswered,
        deliveries.len(),
    );
    println!("server kill, bus: {summary}");
    let findings = check(&sending.sent, &deliveries, Times::Once);
    ensure!(findings.is_empty(), "{summary}: {findings}\n{}", daemon.stderr());
    Ok(())
}

/// What the emulators were sent.
#[derive(Default)]
struct Produced {
    /// The correlation ids, each of which must come out: more than once, where a message was
    /// sent again because an emulator had forgotten it.
    correlations: BTreeMap<&'static str, Vec<String>>,
    /// The correlation id of each message.
    messages: BTreeMap<String, String>,
}

impl Produced {
    async fn send(
        &mut self,
        upstreams: &Upstreams,
        upstream: Upstream,
        place: &Place,
        correlations: &[String],
    ) -> anyhow::Result<()> {
        let ids = upstreams.send(upstream, place, correlations).await?;
        ensure!(ids.len() == correlations.len(), "{ids:?} for {correlations:?}");
        self.messages.extend(ids.into_iter().zip(correlations.iter().cloned()));
        Ok(())
    }

    /// Sends new ones.
    async fn more(
        &mut self,
        upstreams: &Upstreams,
        upstream: Upstream,
        place: &Place,
    ) -> anyhow::Result<()> {
        let all = self.correlations.entry(upstream.source()).or_default();
        let new: Vec<String> =
            (all.len()..all.len() + BATCH).map(|number| format!("c-{number}")).collect();
        all.extend(new.iter().cloned());
        self.send(upstreams, upstream, place, &new).await
    }

    /// Those for which there is no workflow.
    fn missing(&self, tenant: &Tenant<'_>, upstream: Upstream) -> anyhow::Result<Vec<String>> {
        let there: BTreeSet<String> = tenant
            .deliveries(upstream.source())?
            .into_iter()
            .map(|delivery| delivery.correlation)
            .collect();
        let all = self.correlations.get(upstream.source()).into_iter().flatten();
        Ok(all.filter(|correlation| !there.contains(*correlation)).cloned().collect())
    }
}

/// The emulators hold messages in memory alone: what the daemon has not taken is lost with
/// them, and so it is sent again by the producer when they are back. What the daemon has taken
/// must not be lost: that is what its log says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_taken_is_lost_or_doubled_when_upstreams_and_the_daemon_are_killed()
-> anyhow::Result<()> {
    let begin = Instant::now();
    let (kills, seed) = (number("TRIPLINE_SERVER_KILLS", 4), number("TRIPLINE_SEED", 1));
    let mut random = SmallRng::seed_from_u64(seed);
    let mut upstreams = Upstreams::start()?;
    let tenant = Tenant::new(KubeApi::shared()?, "kill-upstreams")?;
    let namespace = tenant.namespace.as_str();
    let mut place = place_in(&tenant)?;
    upstreams.write(&mut place, namespace)?;
    let pulled = [Upstream::PubSub, Upstream::Sqs];
    for source in pulled.map(Upstream::source) {
        let sensor = sensor(namespace, source, source, "dataKey: body.correlation_id");
        place.write(&format!("{source}.yaml"), &sensor)?;
    }

    let mut daemon = place.start().await?;
    let mut produced = Produced::default();
    let mut killed = BTreeMap::new();
    for kill in 0..kills {
        let context = || format!("seed {seed}, kill {kill}, {killed:?}");
        daemon.ready().await.with_context(context)?;
        for upstream in pulled {
            produced.more(&upstreams, upstream, &place).await.with_context(context)?;
        }
        wait(&mut random, WELL_TO_KILL).await;
        let victim = match random.random_range(0..3) {
            0 => {
                upstreams.pubsub.kill().with_context(context)?;
                wait(&mut random, AWAY).await;
                upstreams.pubsub.restart().with_context(context)?;
                upstreams.furnish_pubsub().with_context(context)?;
                Some(Upstream::PubSub)
            }
            1 => {
                upstreams.moto.kill().with_context(context)?;
                wait(&mut random, AWAY).await;
                upstreams.moto.restart().with_context(context)?;
                upstreams.furnish_sqs().with_context(context)?;
                Some(Upstream::Sqs)
            }
            _ => {
                daemon.kill().with_context(context)?;
                daemon = place.spawn()?;
                None
            }
        };
        if let Some(upstream) = victim {
            let missing = produced.missing(&tenant, upstream)?;
            produced.send(&upstreams, upstream, &place, &missing).await.with_context(context)?;
        }
        *killed.entry(victim.map_or("daemon", Upstream::source)).or_insert(0) += 1;
    }
    daemon.ready().await?;
    let unknown = all_come_out(&produced, &tenant, &place, &daemon, &pulled).await?;

    let taken: BTreeSet<String> = place
        .lines(&["events", "--limit", "1000000"])?
        .iter()
        .filter_map(|event| Some(event.get("id")?.as_str()?.to_owned()))
        .collect();
    let deliveries: Vec<Delivery> = pulled
        .iter()
        .map(|upstream| tenant.deliveries(upstream.source()))
        .collect::<anyhow::Result<Vec<_>>>()?
        .concat();
    let summary = format!(
        "{kills} kills {killed:?} in {:.1?}, {} messages, {} taken, {} workflows, {unknown} sent again",
        begin.elapsed(),
        produced.messages.len(),
        taken.len(),
        deliveries.len(),
    );
    println!("server kill, upstreams: {summary}");
    ensure!(!taken.is_empty(), "{summary}");
    let sent = Sent { events: produced.messages, acknowledged: taken };
    let findings = check(&sent, &deliveries, Times::Once);
    ensure!(findings.is_empty(), "{summary}: {findings}\n{}", daemon.stderr());
    Ok(())
}

/// Waits until every correlation id has come out. Returns how many dead letters were sent again.
async fn all_come_out(
    produced: &Produced,
    tenant: &Tenant<'_>,
    place: &Place,
    daemon: &Daemon,
    pulled: &[Upstream],
) -> anyhow::Result<u64> {
    let deadline = Instant::now() + SETTLE;
    let mut unknown = 0;
    loop {
        daemon.settled(SETTLE).await?;
        unknown += resolve_unknown(place, daemon, SETTLE).await?;
        let mut missing = Vec::new();
        for upstream in pulled {
            missing.extend(produced.missing(tenant, *upstream)?);
        }
        if missing.is_empty() {
            return Ok(unknown);
        }
        ensure!(Instant::now() < deadline, "never came out: {missing:?}\n{}", daemon.stderr());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
