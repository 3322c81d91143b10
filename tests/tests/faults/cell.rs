//! One cell: a daemon between four sources and two targets, and what happens to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tokio::task::block_in_place;
use tripline_testbed::{
    AWS_ACCESS_KEY_ID, AWS_REGION, AWS_SECRET_ACCESS_KEY, ElasticMq, KubeApi, Proxy, PubSub,
    Toxiproxy,
};
use tripline_tests::daemon::{Daemon, Place, program};
use tripline_tests::letters::resolve_unknown;
use tripline_tests::set_checker::{Delivery, Sent, Times, check};
use tripline_tests::tenant::{Tenant, sensor};

use crate::bus::EventBus;
use crate::clock::Clock;
use crate::fault::{Cell, Fault};
use crate::producers::{Messages, Producers, Published};
use crate::report::{Counted, Counts};
use crate::target::{TIMEOUT_SECONDS, Target};

/// What each producer publishes before the fault, and after it.
const BEFORE: u64 = 20;
const AFTER: u64 = 20;
/// How long a fault lasts that ends by itself.
const FAULT: Duration = Duration::from_secs(2);
/// How late everything is on a slow network.
const SLOW: Duration = Duration::from_millis(250);
/// Later than the daemon waits for the API server, which is two seconds.
const TOO_LATE: Duration = Duration::from_millis(2500);
/// How often it is looked whether everything has come out.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How far the clock is set: less than a minute, beyond which ticks are not made up.
const SECONDS_AHEAD: i64 = 40;
/// How long the daemon may take for what is left: SQS keeps messages that a dead daemon had for
/// two minutes.
const SETTLE: Duration = Duration::from_secs(240);
/// The size that no file may grow beyond on a full disk.
const FULL_AT_BYTES: u64 = 4096;

/// What all cells share.
pub struct Shared {
    kube: &'static KubeApi,
    pubsub: Arc<PubSub>,
    elasticmq: ElasticMq,
    toxiproxy: Toxiproxy,
}

impl Shared {
    /// Starts the servers.
    pub fn start() -> anyhow::Result<Self> {
        block_in_place(|| {
            Ok(Self {
                kube: KubeApi::shared()?,
                pubsub: Arc::new(PubSub::start()?),
                elasticmq: ElasticMq::start()?,
                toxiproxy: Toxiproxy::start()?,
            })
        })
    }

    fn sqs(&self) -> aws_sdk_sqs::Client {
        let credentials = aws_sdk_sqs::config::Credentials::new(
            AWS_ACCESS_KEY_ID,
            AWS_SECRET_ACCESS_KEY,
            None,
            None,
            "testbed",
        );
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(aws_sdk_sqs::config::BehaviorVersion::latest())
            .region(aws_sdk_sqs::config::Region::new(AWS_REGION))
            .endpoint_url(self.elasticmq.endpoint())
            .credentials_provider(credentials)
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        aws_sdk_sqs::Client::from_conf(config.build())
    }
}

/// What is in the way between the daemon and everything around it.
struct Proxies {
    webhook: Proxy,
    pubsub: Proxy,
    sqs: Proxy,
    kube: Proxy,
    http: Proxy,
}

impl Proxies {
    fn of(shared: &Shared, webhook: SocketAddr, http: SocketAddr) -> anyhow::Result<Self> {
        let to = |address| shared.toxiproxy.proxy(address);
        Ok(Self {
            webhook: to(webhook)?,
            pubsub: to(shared.pubsub.address())?,
            sqs: to(shared.elasticmq.address())?,
            kube: to(shared.kube.address())?,
            http: to(http)?,
        })
    }

    fn all<'a>(&'a self, bus: &'a EventBus) -> impl Iterator<Item = &'a Proxy> {
        [&self.webhook, &self.pubsub, &self.sqs, &self.kube, &self.http]
            .into_iter()
            .chain(bus.proxy())
    }
}

/// A cell that runs.
struct World<'a> {
    cell: Cell,
    tenant: Tenant<'a>,
    place: Place,
    proxies: Proxies,
    bus: EventBus,
    clock: Option<Clock>,
    target: Target,
    daemon: Option<Daemon>,
}

/// Runs a cell, in which each producer publishes `each` messages at least.
pub async fn run(shared: &Shared, cell: Cell, number: usize, each: u64) -> anyhow::Result<Counts> {
    let begin = Instant::now();
    let mut world = World::start(shared, cell, number).await?;
    let name = format!("fault-{number}");
    let sqs = shared.sqs();
    let queue = sqs.create_queue().queue_name(&name).send().await?;
    let queue = queue.queue_url.context("the queue has no URL")?;
    block_in_place(|| {
        shared.pubsub.create_topic(&name)?;
        shared.pubsub.create_subscription(&name, &name)
    })?;
    let mut daemon = world.place.spawn()?;
    daemon.ready().await?;
    world.daemon = Some(daemon);

    let systems =
        vec![Messages::PubSub(Arc::clone(&shared.pubsub), name), Messages::Sqs(sqs, queue)];
    let producers = Producers::start(world.proxies.webhook.address(), systems, each);
    producers.go_on(BEFORE).await?;
    world.suffer().await.with_context(|| world.said())?;
    producers.go_on(AFTER).await.with_context(|| world.said())?;
    let published = producers.finish().await.with_context(|| world.said())?;
    let mut counts = world.judge(published).await.with_context(|| world.said())?;
    world.was_hit(&counts).await.with_context(|| world.said())?;
    counts.took = begin.elapsed();
    Ok(counts)
}

impl<'a> World<'a> {
    async fn start(shared: &'a Shared, cell: Cell, number: usize) -> anyhow::Result<Self> {
        let tenant = block_in_place(|| Tenant::new(shared.kube, &format!("fault-{number}")))?;
        let mut place = Place::new()?;
        let (target, http) = Target::start().await?;
        let proxies = block_in_place(|| Proxies::of(shared, place.webhook(), http))?;
        let bus = EventBus::start(cell.bus, &shared.toxiproxy)?;
        let clock = match cell.fault {
            Fault::ClockSet => Some(Clock::of(&mut place)?),
            _ => None,
        };
        if cell.fault == Fault::DiskFull {
            place.program = Some(unharmed_by_a_full_disk(&place.yaml().with_file_name("program"))?);
        }
        let mut world = Self { cell, tenant, place, proxies, bus, clock, target, daemon: None };
        world.write(shared)?;
        Ok(world)
    }

    fn write(&mut self, shared: &Shared) -> anyhow::Result<()> {
        let namespace = self.tenant.namespace.clone();
        let Self { place, proxies, .. } = self;
        let (project, port) = (shared.pubsub.project(), place.port);
        let sqs = proxies.sqs.address();
        place.write("event-sources.yaml", &format!(
            r#"apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {{ name: of-webhook, namespace: {namespace} }}
spec:
  webhook:
    completed: {{ port: "{port}", endpoint: /builds, method: POST }}
---
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {{ name: of-pubsub, namespace: {namespace} }}
spec:
  pubSub:
    completed: {{ projectID: {project}, subscriptionID: {namespace}, jsonBody: true }}
---
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {{ name: of-sqs, namespace: {namespace} }}
spec:
  sqs:
    completed: {{ queue: {namespace}, region: {AWS_REGION}, endpoint: "http://{sqs}", jsonBody: true }}
---
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {{ name: of-cron, namespace: {namespace} }}
spec:
  calendar:
    completed: {{ interval: 1s }}
"#
        ))?;
        for source in ["of-webhook", "of-pubsub", "of-sqs", "of-cron"] {
            let parameter = match source {
                "of-cron" => "contextKey: id",
                _ => "dataKey: body.correlation_id",
            };
            let sensor = sensor(&namespace, source, source, parameter);
            place.write(&format!("{source}.yaml"), &tried_again_soon(&sensor))?;
        }
        place.write(
            "requests.yaml",
            &tried_again_soon(&format!(
                r"apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {{ name: requests, namespace: {namespace} }}
spec:
  dependencies:
    - {{ name: message, eventSourceName: of-webhook, eventName: completed }}
  triggers:
    - template:
        name: request
        http:
          url: http://{}/
          method: POST
          timeout: {TIMEOUT_SECONDS}
          payload:
            - src: {{ dependencyName: message, dataKey: body.correlation_id }}
              dest: id
",
                proxies.http.address()
            )),
        )?;
        let settings =
            [format!("for: [{{ namespace: {namespace} }}]"), "requestTimeoutSeconds: 2".into()];
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let cluster = self.tenant.cluster("build", proxies.kube.address(), &settings)?;
        place.write("cluster.yaml", &cluster)?;
        if let Some(url) = self.bus.url() {
            place.arguments = vec!["--nats".into(), url];
            place.write("event-bus.yaml", &format!(
                "apiVersion: argoproj.io/v1alpha1\nkind: EventBus\nmetadata: {{ name: default, namespace: {namespace} }}\nspec: {{ jetstream: {{ version: latest }} }}\n"
            ))?;
        }
        let environment = [
            ("PUBSUB_EMULATOR_HOST", proxies.pubsub.address().to_string()),
            ("AWS_ACCESS_KEY_ID", AWS_ACCESS_KEY_ID.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", AWS_SECRET_ACCESS_KEY.to_owned()),
        ];
        place.environment.extend(environment);
        Ok(())
    }

    /// Everything that is known when something goes wrong.
    fn said(&self) -> String {
        let stderr = self.daemon.as_ref().map(Daemon::stderr).unwrap_or_default();
        let lines: Vec<&str> = stderr.lines().collect();
        let last = lines.len().saturating_sub(30);
        format!("{}:\n{}", self.cell, lines[last..].join("\n"))
    }

    fn daemon(&self) -> anyhow::Result<&Daemon> {
        self.daemon.as_ref().context("no daemon runs")
    }

    fn pid(&self) -> anyhow::Result<Pid> {
        let pid = i32::try_from(self.daemon()?.pid())?;
        Pid::from_raw(pid).context("the daemon has no process id")
    }

    /// The fault, from its beginning to its end.
    async fn suffer(&mut self) -> anyhow::Result<()> {
        match self.cell.fault {
            Fault::DaemonKilled => {
                for _ in 0..2 {
                    self.daemon.take().context("no daemon runs")?.kill()?;
                    let daemon = self.daemon.insert(self.place.spawn()?);
                    daemon.ready().await?;
                }
                Ok(())
            }
            Fault::BusKilled => self.bus.kill(1).await,
            Fault::LeaderLost => self.bus.kill_leader().await,
            Fault::RollingRestart => self.bus.roll(),
            Fault::Frozen => {
                kill_process(self.pid()?, Signal::STOP)?;
                tokio::time::sleep(FAULT).await;
                kill_process(self.pid()?, Signal::CONT)?;
                self.bus.freeze(FAULT).await
            }
            Fault::NetworkCut => self.network(Proxy::cut, FAULT).await,
            Fault::NetworkSlow => self.network(|proxy| proxy.delay(SLOW), FAULT * 2).await,
            Fault::DiskFull => self.full_disk().await,
            Fault::ClockSet => {
                let clock = self.clock.as_ref().context("the clock cannot be set")?;
                clock.set(SECONDS_AHEAD)?;
                tokio::time::sleep(FAULT).await;
                clock.set(0)?;
                tokio::time::sleep(FAULT).await;
                Ok(())
            }
            Fault::TargetLate => {
                self.target.set_late(true);
                block_in_place(|| self.proxies.kube.delay(TOO_LATE))?;
                tokio::time::sleep(FAULT + TOO_LATE).await;
                self.target.set_late(false);
                block_in_place(|| self.proxies.kube.restore())
            }
            Fault::TargetFlaky => {
                self.target.set_flaky(true);
                for _ in 0..4 {
                    block_in_place(|| self.proxies.kube.cut())?;
                    tokio::time::sleep(FAULT / 8).await;
                    block_in_place(|| self.proxies.kube.restore())?;
                    tokio::time::sleep(FAULT / 8).await;
                }
                self.target.set_flaky(false);
                Ok(())
            }
        }
    }

    async fn network(
        &self,
        trouble: impl Fn(&Proxy) -> anyhow::Result<()>,
        how_long: Duration,
    ) -> anyhow::Result<()> {
        block_in_place(|| self.proxies.all(&self.bus).try_for_each(&trouble))?;
        tokio::time::sleep(how_long).await;
        block_in_place(|| self.proxies.all(&self.bus).try_for_each(Proxy::restore))
    }

    /// The disk of the logs takes nothing more: that of the daemon, or that of the servers.
    async fn full_disk(&self) -> anyhow::Result<()> {
        if self.bus.url().is_some() {
            self.bus.fill().await?;
            tokio::time::sleep(FAULT).await;
            return self.bus.make_room().await;
        }
        let pid = Some(self.pid()?);
        let full = Rlimit { current: Some(FULL_AT_BYTES), maximum: None };
        let room = prlimit(pid, Resource::Fsize, full)?;
        tokio::time::sleep(FAULT).await;
        prlimit(pid, Resource::Fsize, room)?;
        Ok(())
    }

    /// Waits until everything has come out, and compares it with what went in.
    async fn judge(&self, published: Published) -> anyhow::Result<Counts> {
        let Published { webhook, mut pulled, unanswered, put_off } = published;
        let daemon = self.daemon()?;
        let mut sent = vec![("of-webhook", webhook)];
        sent.extend(
            ["of-sqs", "of-pubsub"]
                .into_iter()
                .map(|name| (name, pulled.pop().unwrap_or_default())),
        );
        sent.swap(1, 2);
        let mut unknown = 0;
        let deadline = Instant::now() + SETTLE;
        let (ticks, came_out) = loop {
            daemon.settled(SETTLE).await?;
            unknown += resolve_unknown(&self.place, daemon, SETTLE).await?;
            // They go on: of these, the newest may not have come out yet.
            let ticks = self.ticks()?;
            let came_out = block_in_place(|| self.tenant.all_deliveries())?;
            let all = sent.iter().map(|(source, sent)| (*source, sent));
            let is_missing = all.chain([("of-cron", &ticks)]).any(|(source, sent)| {
                let deliveries = came_out.get(source).map(Vec::as_slice).unwrap_or_default();
                !check(sent, deliveries, Times::Once).lost.is_empty()
            });
            if !is_missing || Instant::now() > deadline {
                break (ticks, came_out);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        };
        let mut counts = Counts { unknown, unanswered, put_off, ..Counts::default() };
        for (source, sent) in &sent {
            counts.sources.push(counted(source, sent, &came_out)?);
        }
        counts.sources.push(counted("of-cron", &ticks, &came_out)?);
        let (_, webhook) = &sent[0];
        let requests = self.target.done();
        counts.requests = check(webhook, &requests, Times::AtLeastOnce);
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        requests.iter().for_each(|request| *times.entry(&request.action).or_default() += 1);
        counts.repeated = times.values().filter(|times| **times > 1).count();
        Ok(counts)
    }

    /// A fault that nobody has noticed would prove nothing.
    async fn was_hit(&self, counts: &Counts) -> anyhow::Result<()> {
        let failed = || async {
            let failed = self.daemon()?.metric("argo_events_action_failed_total").await;
            anyhow::Ok(failed.unwrap_or(0.0) > 0.0)
        };
        let hit = match self.cell.fault {
            Fault::DaemonKilled | Fault::NetworkCut => counts.unanswered > 0,
            // A request may also wait until there is room again.
            Fault::DiskFull => counts.put_off > 0 || self.daemon()?.stderr().contains("is full"),
            Fault::TargetLate => counts.repeated > 0 && failed().await?,
            Fault::TargetFlaky => failed().await?,
            // They last as long as they last, and what is slow is not an error.
            _ => true,
        };
        ensure!(hit, "the fault did not show: {counts:?}");
        Ok(())
    }

    /// The ticks that must have come out: every second between the first and the last.
    fn ticks(&self) -> anyhow::Result<Sent> {
        let of = ["events", "--source", "of-cron", "--limit", "1000000"];
        let mut seconds = Vec::new();
        for line in self.place.lines(&of)? {
            let id = line["id"].as_str().context("an event has no id")?;
            seconds.push(id.parse::<jiff::Timestamp>()?.as_second());
        }
        let (Some(first), Some(last)) = (seconds.iter().min(), seconds.iter().max()) else {
            return Ok(Sent::default());
        };
        let mut sent = Sent::default();
        for second in *first..=*last {
            let id = jiff::Timestamp::from_second(second)?.to_string();
            sent.events.insert(id.clone(), id.clone());
            sent.acknowledged.insert(id);
        }
        Ok(sent)
    }
}

/// Attempts follow each other soon, and there are enough of them.
fn tried_again_soon(sensor: &str) -> String {
    const STRATEGY: &str =
        "    - retryStrategy: { steps: 1000, duration: 300ms, factor: 1 }\n      template:\n";
    sensor.replace("    - template:\n", STRATEGY)
}

/// The program, which is not ended where a file cannot grow any more.
fn unharmed_by_a_full_disk(path: &Path) -> anyhow::Result<std::path::PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let script = format!("#!/bin/sh\ntrap '' XFSZ\nexec '{}' \"$@\"\n", program()?.display());
    std::fs::write(path, script)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    Ok(path.to_owned())
}

fn counted(
    source: &'static str,
    sent: &Sent,
    came_out: &BTreeMap<String, Vec<Delivery>>,
) -> anyhow::Result<Counted> {
    ensure!(!sent.acknowledged.is_empty(), "nothing came in from {source}");
    let mut deliveries = came_out.get(source).cloned().unwrap_or_default();
    if let Some(newest) = sent.events.keys().next_back().filter(|_| source == "of-cron") {
        // Ticks that came after it was looked which there are.
        deliveries.retain(|delivery| delivery.event <= *newest);
    }
    let (acknowledged, findings) = (sent.acknowledged.len(), check(sent, &deliveries, Times::Once));
    Ok(Counted { source, acknowledged, findings })
}
