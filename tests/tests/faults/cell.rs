//! One cell: a daemon between its sources and two targets, and what happens to it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tokio::sync::RwLock;
use tokio::task::{block_in_place, spawn_blocking};
use tripline::control::api::Status;
use tripline_testbed::{
    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, ElasticMq, KubeApi, Proxy, PubSub, Toxiproxy,
};
use tripline_tests::aws;
use tripline_tests::daemon::{Daemon, Place, SOON, program};
use tripline_tests::tenant::Tenant;

use crate::brokers::Brokers;
use crate::bus::EventBus;
use crate::clock::Clock;
use crate::fault::{Cell, Fault};
use crate::producers::Producers;
use crate::proxies::Proxies;
use crate::report::Counts;
use crate::source::Source;
use crate::systems::{self, System, Topic};
use crate::yaml::{self, Share};
use tripline_tests::target::Target;

/// What each producer publishes before the fault, and after it.
const BEFORE: u64 = 20;
const AFTER: u64 = 20;
/// How long a fault lasts that ends by itself.
const FAULT: Duration = Duration::from_secs(2);
/// How late everything is on a slow network.
const SLOW: Duration = Duration::from_millis(250);
/// Later than the daemon waits for the API server, which is two seconds.
const TOO_LATE: Duration = Duration::from_millis(2500);
/// How far the clock is set: less than a minute, beyond which ticks are not made up.
const SECONDS_AHEAD: i64 = 40;
/// The size that no file may grow beyond on a full disk. The first two pages of the store, which are
/// there and only written over, are within it: on a disk that is full they can be written, too.
const FULL_AT_BYTES: u64 = 8192;

/// What all cells share.
pub struct Shared {
    pub kube: &'static KubeApi,
    pub pubsub: Arc<PubSub>,
    pub elasticmq: ElasticMq,
    pub toxiproxy: Toxiproxy,
    brokers: Arc<Brokers>,
}

impl Shared {
    /// Starts the servers.
    pub fn start() -> anyhow::Result<Self> {
        block_in_place(|| {
            let toxiproxy = Toxiproxy::start()?;
            Ok(Self {
                kube: KubeApi::shared()?,
                pubsub: Arc::new(PubSub::start()?),
                elasticmq: ElasticMq::start()?,
                brokers: Arc::new(Brokers::start(&toxiproxy)?),
                toxiproxy,
            })
        })
    }

    /// The brokers of a cell, where it has any: those of all, or where they are killed its own.
    fn brokers(&self, cell: Cell) -> anyhow::Result<Option<Arc<Brokers>>> {
        Ok(match cell.fault {
            Fault::BrokerKilled => Some(Arc::new(Brokers::start(&self.toxiproxy)?)),
            _ if cell.sources.contains(&Source::Kafka) => Some(Arc::clone(&self.brokers)),
            _ => None,
        })
    }
}

/// A cell that runs.
pub struct World<'a> {
    pub cell: Cell,
    pub share: Share,
    pub tenant: Tenant<'a>,
    pub place: Place,
    pub proxies: Proxies,
    pub target: Target,
    bus: EventBus,
    brokers: Option<Arc<Brokers>>,
    topic: Option<Arc<Topic>>,
    clock: Option<Clock>,
    daemon: Option<Daemon>,
}

/// Runs a cell, in which each producer publishes at least so many messages as `each` for its
/// source's weight.
pub async fn run(shared: &Shared, cell: Cell, number: usize, each: u64) -> anyhow::Result<Counts> {
    let begin = Instant::now();
    let share = if each == 0 { Share::All } else { Share::OneOfTwenty };
    let mut world = World::start(shared, cell, number, share).await?;
    let systems = world.systems(shared).await?;
    let mut daemon = world.place.spawn()?;
    daemon.ready().await?;
    world.daemon = Some(daemon);

    let mut producers = Producers::start(world.proxies.webhook.address(), systems, each);
    producers.go_on(BEFORE).await.with_context(|| world.said())?;
    world.suffer().await.with_context(|| world.said())?;
    // Until every source listens again.
    world.ready().await?;
    producers.lost(|source| source.forgets(cell.fault));
    producers.go_on(AFTER).await.with_context(|| world.said())?;
    let published = producers.finish().await.with_context(|| world.said())?;
    let mut counts = world.judge(published).await.with_context(|| world.said())?;
    world.was_hit(&counts).await.with_context(|| world.said())?;
    counts.took = begin.elapsed();
    Ok(counts)
}

impl<'a> World<'a> {
    async fn start(
        shared: &'a Shared,
        cell: Cell,
        number: usize,
        share: Share,
    ) -> anyhow::Result<Self> {
        let tenant = block_in_place(|| Tenant::new(shared.kube, &format!("fault-{number}")))?;
        let mut place = Place::new()?;
        let (target, http) = Target::start().await?;
        let brokers = block_in_place(|| shared.brokers(cell))?;
        let proxies = block_in_place(|| {
            let way = brokers.as_ref().map(|brokers| brokers.way(&shared.toxiproxy));
            Proxies::of(shared, place.webhook(), http, way.transpose()?)
        })?;
        let bus = EventBus::start(cell.bus, &shared.toxiproxy)?;
        let clock = match cell.fault {
            Fault::ClockSet => Some(Clock::of(&mut place)?),
            _ => None,
        };
        if cell.fault == Fault::DiskFull {
            place.program = Some(unharmed_by_a_full_disk(&place.yaml().with_file_name("program"))?);
        }
        let mut world = Self {
            cell,
            share,
            tenant,
            place,
            proxies,
            target,
            bus,
            brokers,
            topic: None,
            clock,
            daemon: None,
        };
        world.write(shared)?;
        Ok(world)
    }

    /// The message systems of the cell, with what its event sources read.
    async fn systems(&mut self, shared: &Shared) -> anyhow::Result<Vec<System>> {
        let name = self.tenant.namespace.as_str();
        let queue = aws::Queue::create(&shared.elasticmq.endpoint(), name).await?;
        let pubsub = block_in_place(|| System::pubsub(Arc::clone(&shared.pubsub), name))?;
        let mut all = vec![pubsub, System::Sqs(queue)];
        if let Some(brokers) = &self.brokers {
            let first = self.proxies.brokers()?.kafka()?.to_string();
            let client = systems::nats(brokers.nats_address).await?;
            let topic = aws::Topic::create(&brokers.moto_endpoint(), name).await?;
            let topic = Arc::new(Topic { topic, calm: RwLock::new(()) });
            all.extend([
                System::kafka(&brokers.kafka_address, &first, name).await?,
                System::nats(client.clone(), name).await?,
                System::CoreNats(client, format!("core.{name}")),
                System::Sns(Arc::clone(&topic)),
            ]);
            self.topic = Some(topic);
        }
        Ok(all)
    }

    fn write(&mut self, shared: &Shared) -> anyhow::Result<()> {
        let namespace = self.tenant.namespace.clone();
        let Self { place, proxies, share, .. } = self;
        let project = shared.pubsub.project();
        for source in self.cell.sources.iter().copied() {
            let name = source.name();
            let text = yaml::event_source(source, &namespace, place.port, project, proxies)?;
            place.write(&format!("source-{name}.yaml"), &text)?;
            place.write(&format!("{name}.yaml"), &yaml::submits(source, &namespace, *share))?;
            if share.asks_for(source) {
                let asks = yaml::asks(source, &namespace, proxies);
                place.write(&format!("{name}-requests.yaml"), &asks)?;
            }
        }
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

    /// Waits until the daemon is ready.
    async fn ready(&mut self) -> anyhow::Result<()> {
        self.daemon.as_mut().context("no daemon runs")?.ready().await
    }

    /// The daemon that runs.
    pub fn daemon(&self) -> anyhow::Result<&Daemon> {
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
            Fault::BrokerKilled => self.kill_brokers().await,
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

    /// Kafka stays away until that is noticed.
    async fn kill_brokers(&self) -> anyhow::Result<()> {
        let brokers = Arc::clone(self.brokers.as_ref().context("there are no brokers")?);
        let topic = self.topic.as_ref().context("there is no topic")?;
        let calm = topic.calm.write().await;
        let killed = Arc::clone(&brokers);
        spawn_blocking(move || killed.kill()).await??;
        topic.topic.furnish().await?;
        drop(calm);
        let is_down = |status: &Status| {
            status.sources.iter().any(|source| source.kind == "kafka" && !source.ready)
        };
        self.daemon()?.status_when("Kafka is down", SOON, is_down).await?;
        spawn_blocking(move || brokers.restart_kafka()).await?
    }

    async fn network(
        &self,
        trouble: impl Fn(&Proxy) -> anyhow::Result<()>,
        how_long: Duration,
    ) -> anyhow::Result<()> {
        block_in_place(|| self.proxies.all(self.bus.proxy()).try_for_each(&trouble))?;
        tokio::time::sleep(how_long).await;
        block_in_place(|| self.proxies.all(self.bus.proxy()).try_for_each(Proxy::restore))
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
}

/// The program, which is not ended where a file cannot grow any more.
fn unharmed_by_a_full_disk(path: &Path) -> anyhow::Result<std::path::PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let script = format!("#!/bin/sh\ntrap '' XFSZ\nexec '{}' \"$@\"\n", program()?.display());
    std::fs::write(path, script)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    Ok(path.to_owned())
}
