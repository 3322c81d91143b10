//! The program is replaced while events come in, each on a connection of its own: nobody is
//! refused, nothing is lost.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, ensure};
use tokio::task::JoinSet;
use tripline_tests::daemon::{Place, SOON};
use tripline_tests::load::{Connection, Requests, correlation_id, event_id};
use tripline_tests::resources::{event_source, workflow_sensor};
use tripline_tests::set_checker::{Delivery, Sent, Times, check};
use tripline_tests::store::{self, Store};

/// Producers at a time.
const PRODUCERS: usize = 8;
/// Times that the program is replaced.
const UPGRADES: usize = 3;

/// Producers that connect, send one event, and leave; an error where anything of that fails.
struct Producers {
    address: SocketAddr,
    next: AtomicU64,
    stop: AtomicBool,
}

impl Producers {
    async fn produce(self: Arc<Self>) -> anyhow::Result<()> {
        let requests = Requests::new(self.address, "/builds");
        let mut request = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let mut connection =
                Connection::open(self.address).await.context("a connection was refused")?;
            requests.write(number, &mut request);
            let answer = connection.exchange(&request).await.context("a request was lost")?;
            ensure!(answer.status == 200, "event {number} was answered {}", answer.status);
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_refused_and_nothing_is_lost_while_the_program_is_replaced() -> anyhow::Result<()>
{
    let place = Place::new()?;
    place.write("event-source.yaml", &event_source(place.port))?;
    place.write("sensor.yaml", &workflow_sensor("deploy"))?;
    let mut daemon = place.start().await?;
    let producers = Arc::new(Producers {
        address: place.webhook(),
        next: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    });
    let mut tasks = JoinSet::new();
    for _ in 0..PRODUCERS {
        tasks.spawn(Arc::clone(&producers).produce());
    }
    for round in 1..=UPGRADES {
        let before = daemon.status().await?.started_at;
        let mut upgrade = place.command(&["upgrade", "--data"])?;
        upgrade.arg(place.data());
        let upgraded = tokio::task::spawn_blocking(move || upgrade.output()).await??;
        ensure!(upgraded.status.success(), "upgrade {round}: {upgraded:?}\n{}", daemon.stderr());
        daemon.ready().await?;
        ensure!(daemon.status().await?.started_at > before, "it is the same program");
        // Each program takes events in.
        let sent = producers.next.load(Ordering::Relaxed);
        let more = || producers.next.load(Ordering::Relaxed) > sent + 100;
        let deadline = tokio::time::Instant::now() + SOON;
        while !more() {
            ensure!(tokio::time::Instant::now() < deadline, "nothing is taken in any more");
            tokio::task::yield_now().await;
        }
    }
    producers.stop.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    daemon.settled(SOON).await?;
    let ended = daemon.stop().await?;
    ensure!(ended.status.success(), "{}:\n{}", ended.status, ended.stderr);

    let numbers = 0..producers.next.load(Ordering::Relaxed);
    let sent = Sent {
        events: numbers.clone().map(|n| (event_id(n), correlation_id(n))).collect(),
        acknowledged: numbers.clone().map(event_id).collect(),
    };
    let workflows = Store::open(&place.data())?.workflows().await?;
    let deliveries: Vec<Delivery> =
        workflows.iter().map(store::delivery).collect::<anyhow::Result<_>>()?;
    println!("upgrade: {UPGRADES} times, {} events, each on its own connection", numbers.end);
    let findings = check(&sent, &deliveries, Times::Once);
    ensure!(findings.is_empty(), "{findings}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_ends_at_its_start_is_told_of_at_once() -> anyhow::Result<()> {
    let mut place = Place::new()?;
    let copy = place.yaml().with_file_name("program");
    std::fs::copy(tripline_tests::daemon::program()?, &copy)?;
    place.program = Some(copy.clone());
    place.write("event-source.yaml", &event_source(place.port))?;
    let _daemon = place.start().await?;
    let other = copy.with_extension("other");
    std::fs::write(&other, "#!/bin/sh\n[ \"$1\" = version ] && echo tripline 9.9.9\n")?;
    std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o755))?;
    std::fs::rename(other, &copy)?;
    let mut upgrade = std::process::Command::new(tripline_tests::daemon::program()?);
    upgrade.args(["upgrade", "--data"]).arg(place.data());
    let failed = tokio::task::spawn_blocking(move || upgrade.output()).await??;
    let error = String::from_utf8_lossy(&failed.stderr);
    ensure!(failed.status.code() == Some(3), "{}: {error}", failed.status);
    ensure!(error.contains("the new program, 9.9.9, has ended at its start"), "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_not_tripline_is_refused_and_the_daemon_goes_on() -> anyhow::Result<()> {
    let mut place = Place::new()?;
    let copy = place.yaml().with_file_name("program");
    std::fs::copy(tripline_tests::daemon::program()?, &copy)?;
    place.program = Some(copy.clone());
    place.write("event-source.yaml", &event_source(place.port))?;
    let daemon = place.start().await?;
    let before = daemon.status().await?.started_at;
    let other = copy.with_extension("other");
    std::fs::copy("/bin/true", &other)?;
    std::fs::rename(other, &copy)?;
    let mut upgrade = std::process::Command::new(tripline_tests::daemon::program()?);
    upgrade.args(["upgrade", "--data"]).arg(place.data());
    let refused = tokio::task::spawn_blocking(move || upgrade.output()).await??;
    ensure!(!refused.status.success());
    let error = String::from_utf8_lossy(&refused.stderr);
    ensure!(error.contains("is not Tripline"), "{error}");
    ensure!(daemon.status().await?.started_at == before);
    Ok(())
}
