//! Taken in beside one API server and submitted into another one, which is away, slow, answers
//! too late, refuses, or is asked by a daemon that is killed: nothing is lost and nothing is
//! submitted twice.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};
use tripline_testbed::{KubeApi, Proxy, Toxiproxy};
use tripline_tests::daemon::{Daemon, Place, SOON};
use tripline_tests::load::post;
use tripline_tests::resources;
use tripline_tests::set_checker::{Sent, Times, check};
use tripline_tests::tenant::{Tenant, sensor};

/// How long a cluster that is back may wait for the next attempt: pauses grow to a minute.
const AGAIN: Duration = Duration::from_secs(120);
/// The sensor.
const SENSOR: &str = "deploy";
/// How long the daemon waits for an answer of the far cluster.
const TIMEOUT: &str = "requestTimeoutSeconds: 2";
/// Later than that.
const TOO_LATE: Duration = Duration::from_secs(3);

/// The far cluster: one test has it at a time, since it is killed.
static FAR: Mutex<Option<&'static KubeApi>> = Mutex::const_new(None);

/// A daemon beside one cluster, `near`, with a sensor that submits into another one, `far`,
/// which it reaches through a proxy.
struct World {
    near: Tenant<'static>,
    far: Tenant<'static>,
    _toxiproxy: Toxiproxy,
    proxy: Proxy,
    place: Place,
    sent: Sent,
    _turn: MutexGuard<'static, Option<&'static KubeApi>>,
}

impl World {
    async fn new(namespace: &str) -> anyhow::Result<Self> {
        let mut turn = FAR.lock().await;
        let server = match *turn {
            Some(server) => server,
            // It lives until the process ends.
            None => Box::leak(Box::new(KubeApi::start()?)),
        };
        *turn = Some(server);
        let near = Tenant::new(KubeApi::shared()?, namespace)?;
        let far = Tenant::new(server, namespace)?;
        let toxiproxy = Toxiproxy::start()?;
        let proxy = toxiproxy.proxy(far.kube.address())?;
        let place = Place::new()?;
        place.write("near.yaml", &near.cluster("near", near.kube.address(), &[])?)?;
        // It would go beside itself, were the trigger not to name the other one.
        let far_yaml = far.cluster("far", proxy.address(), &[TIMEOUT])?;
        place.write("far.yaml", &far_yaml)?;
        let source = resources::event_source(place.port)
            .replace("namespace: ci", &format!("namespace: {namespace}"));
        place.write("event-source.yaml", &source)?;
        let sensor = sensor(namespace, SENSOR, "builds", "dataKey: body.correlation_id");
        let named = sensor
            .replace("argoproj.io/v1alpha1\nkind: Sensor", "tripline.dev/v1\nkind: Sensor")
            .replace(
                "    - template:\n        name: deploy",
                "    - clusters: [far]\n      template:\n        name: deploy",
            );
        ensure!(named.contains("clusters: [far]"), "{named}");
        place.write("sensor.yaml", &named)?;
        Ok(Self {
            near,
            far,
            _toxiproxy: toxiproxy,
            proxy,
            place,
            sent: Sent::default(),
            _turn: turn,
        })
    }

    /// Sends so many events; each is answered.
    async fn send(&mut self, count: usize) -> anyhow::Result<()> {
        let first = self.sent.events.len();
        for number in first..first + count {
            let (id, correlation) = (format!("e-{number}"), format!("c-{number}"));
            let body = json!({ "action": "completed", "correlation_id": correlation }).to_string();
            let headers = [("webhook-id", id.as_str())];
            let answer = post(self.place.webhook(), "/builds", &headers, body.as_bytes()).await?;
            ensure!(answer.status == 200, "{answer:?}");
            self.sent.events.insert(id.clone(), correlation);
            self.sent.acknowledged.insert(id);
        }
        Ok(())
    }

    /// Every event is one workflow in the far cluster, and none in the near one.
    fn nothing_is_lost_or_doubled(&self) -> anyhow::Result<()> {
        let findings = check(&self.sent, &self.far.deliveries(SENSOR)?, Times::Once);
        ensure!(findings.is_empty(), "{findings}");
        let near = self.near.workflows(SENSOR)?;
        ensure!(near.is_empty(), "submitted into the wrong cluster: {near:?}");
        Ok(())
    }

    /// Waits until all is done, where the cluster was away. What had been asked for just then may
    /// be there or not, and perhaps nobody can tell: that is a dead letter. So is what an API
    /// server has refused that was just started, and had not read who may do what. It is sent
    /// again, and then there is nothing lost and nothing doubled.
    async fn comes_to_rights(&self, daemon: &Daemon) -> anyhow::Result<()> {
        daemon.settled(AGAIN).await?;
        for (cause, count) in self.letters()? {
            ensure!(["unknown", "forbidden"].contains(&cause.as_str()), "{count} of {cause}");
            println!("clusters: {count} dead letters ({cause}) sent again");
            self.place.text(&["dlq", "retry", "--all", "--cause", &cause])?;
            daemon.settled(AGAIN).await?;
        }
        self.nothing_is_lost_or_doubled()
    }

    /// The dead letters, by cause.
    fn letters(&self) -> anyhow::Result<BTreeMap<String, usize>> {
        let mut causes = BTreeMap::new();
        for letter in self.place.lines(&["dlq", "list", "--limit", "1000"])? {
            let cause = find(&letter, "cause").with_context(|| letter.to_string())?;
            *causes.entry(cause).or_default() += 1;
        }
        Ok(causes)
    }

    async fn has_letters(&self, daemon: &Daemon, count: u64) -> anyhow::Result<()> {
        let what = format!("{count} dead letters");
        let all =
            |status: &tripline::control::Status| status.dead_letters.values().sum::<u64>() == count;
        daemon.status_when(&what, AGAIN, all).await.map(drop)
    }
}

/// The first text field of this name, wherever it is.
fn find(value: &Value, name: &str) -> Option<String> {
    match value {
        Value::Object(fields) => {
            let own = fields.get(name).and_then(Value::as_str).map(str::to_owned);
            own.or_else(|| fields.values().find_map(|value| find(value, name)))
        }
        Value::Array(items) => items.iter().find_map(|item| find(item, name)),
        _ => None,
    }
}

/// Waits until there are so many workflows in the far cluster.
async fn created(world: &World, daemon: &Daemon, count: usize) -> anyhow::Result<()> {
    let deadline = Instant::now() + SOON;
    while world.far.workflows(SENSOR)?.len() < count {
        ensure!(Instant::now() < deadline, "{count} workflows: not in time\n{}", daemon.stderr());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_away_or_slow_gets_each_workflow_once() -> anyhow::Result<()> {
    let mut world = World::new("away").await?;
    let daemon = world.place.start().await?;

    // Near enough.
    world.send(5).await?;
    daemon.settled(SOON).await?;
    world.nothing_is_lost_or_doubled()?;

    // Slow, but within the timeout.
    world.proxy.delay(Duration::from_millis(400))?;
    world.send(5).await?;
    daemon.settled(AGAIN).await?;
    world.nothing_is_lost_or_doubled()?;

    // Each answer comes after the timeout: what was asked for is done all the same.
    world.proxy.delay(TOO_LATE)?;
    world.send(5).await?;
    created(&world, &daemon, 15).await?;
    let open = daemon.status().await?;
    ensure!(open.triggers.iter().any(|queue| queue.in_flight + queue.retrying > 0), "{open:#?}");
    world.proxy.restore()?;
    daemon.settled(AGAIN).await?;
    world.nothing_is_lost_or_doubled()?;
    ensure!(world.letters()?.is_empty(), "{:?}", world.letters()?);

    // Connections end, and are refused.
    world.proxy.cut()?;
    world.send(5).await?;
    world.proxy.restore()?;
    world.comes_to_rights(&daemon).await?;

    // The API server is killed while nothing is asked of it.
    world.far.kube.kill()?;
    world.send(5).await?;
    world.far.kube.restart()?;
    world.comes_to_rights(&daemon).await?;

    // And while it is asked.
    world.send(20).await?;
    world.far.kube.kill()?;
    world.send(5).await?;
    world.far.kube.restart()?;
    world.comes_to_rights(&daemon).await?;
    ensure!(world.sent.events.len() == 50, "{}", world.sent.events.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_cluster_refuses_is_a_dead_letter_that_names_the_right_and_can_be_sent_again()
-> anyhow::Result<()> {
    let mut world = World::new("refuses").await?;
    let daemon = world.place.start().await?;
    world.send(3).await?;
    daemon.settled(SOON).await?;
    world.far.forbid()?;
    world.send(4).await?;
    world.has_letters(&daemon, 4).await?;
    ensure!(
        world.letters()? == BTreeMap::from([("forbidden".to_owned(), 4)]),
        "{:?}",
        world.letters()
    );
    let letters = world.place.text(&["dlq", "list", "--output", "json"])?;
    for named in ["far", "workflows", "create", "system:serviceaccount:refuses:deployer"] {
        ensure!(letters.contains(named), "no {named} in {letters}");
    }
    ensure!(world.far.workflows(SENSOR)?.len() == 3);

    world.far.allow()?;
    world.place.text(&["dlq", "retry", "--all", "--cause", "forbidden"])?;
    daemon.settled(SOON).await?;
    world.has_letters(&daemon, 0).await?;
    world.nothing_is_lost_or_doubled()
}

/// The create was done, its answer has not come, the daemon is killed; and while it is down
/// somebody removes the workflow, as its own time to live would.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workflow_that_is_removed_between_a_crash_and_the_restart_is_one_dead_letter()
-> anyhow::Result<()> {
    let mut world = World::new("removed").await?;
    let daemon = world.place.start().await?;
    // There are connections now that wait for the next request: on a new one nothing could be
    // asked for without answers. The first one is used for watching.
    for _ in 0..2 {
        world.send(5).await?;
        daemon.settled(SOON).await?;
    }
    world.proxy.swallow_answers()?;
    world.send(1).await?;
    created(&world, &daemon, 11).await?;
    daemon.kill()?;
    let newest = world.far.workflows(SENSOR)?.pop().context("a workflow")?;
    let removed = newest.pointer("/metadata/name").and_then(Value::as_str).context("a name")?;
    world.far.kube.delete(&format!("{}/{removed}", KubeApi::workflows_path("removed")))?;
    world.proxy.restore()?;

    let daemon = world.place.start().await?;
    daemon.settled(AGAIN).await?;
    world.has_letters(&daemon, 1).await?;
    ensure!(
        world.letters()? == BTreeMap::from([("unknown".to_owned(), 1)]),
        "{:?}",
        world.letters()
    );
    let letter = world.place.text(&["dlq", "list", "--output", "json"])?;
    ensure!(letter.contains(removed), "no {removed} in {letter}");
    let left = world.far.workflows(SENSOR)?;
    ensure!(left.len() == 10, "a second submit, or a lost one: {left:?}");

    // Whoever has looked into it says so.
    world.place.text(&["dlq", "retry", "--all", "--cause", "unknown"])?;
    daemon.settled(SOON).await?;
    world.nothing_is_lost_or_doubled()
}
