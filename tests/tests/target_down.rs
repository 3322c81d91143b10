//! One target is down for a while under the load of a webhook: no producer and no other trigger
//! notices, and when it is back it is caught up with as its triggers want it.
//!
//! `TRIPLINE_TARGET_DOWN=120` keeps it down for as many seconds.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;
use tripline::control::Status;
use tripline_testbed::Toxiproxy;
use tripline_tests::daemon::{Daemon, Place, SOON};
use tripline_tests::load::Connection;
use tripline_tests::resources::{event_source, http_sensor};
use tripline_tests::target::{Request, Target};

/// Events a second, and services that they are about in turn.
const EVENTS_PER_SECOND: u32 = 40;
const SERVICES: u32 = 5;
/// What the rate of one trigger lets through in a second.
const RATE: usize = 60;
/// How long the target is there at first.
const WARM: Duration = Duration::from_secs(2);
/// How long the target is down, if it is not said.
const DOWN_SECONDS: u64 = 8;
/// The longest that a producer waits for an answer, and a trigger whose target is there for its
/// request.
const AT_ONCE: Duration = Duration::from_secs(2);
/// Requests that a busy machine may see in a second beside those of the rate, which counts their
/// beginnings.
const JITTER: usize = RATE / 10;

/// A sensor that asks `url`, with these `rules` for its trigger.
fn sensor(name: &str, url: &str, rules: &str) -> String {
    http_sensor(name, url, 8).replace("      maxInFlight: 8\n", rules)
}

/// When each event was sent.
struct Sent(Vec<Instant>);

impl Sent {
    /// Sends events until `until`, one after the other, at a steady rate. Each must be taken,
    /// and soon.
    async fn send(&mut self, place: &Place, until: Instant) -> anyhow::Result<()> {
        let mut pace = tokio::time::interval(Duration::from_secs(1) / EVENTS_PER_SECOND);
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut connection = Connection::open(place.webhook()).await?;
        while Instant::now() < until {
            pace.tick().await;
            let number = self.0.len();
            let body = json!({
                "action": "completed",
                "correlation_id": correlation(number),
                "service": format!("s-{}", number % SERVICES as usize),
            })
            .to_string();
            let request = format!(
                "POST /builds HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nwebhook-id: e-{number}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let begin = Instant::now();
            self.0.push(begin);
            let answer = connection.exchange(request.as_bytes()).await?;
            ensure!(answer.status == 200, "event {number} was answered {answer:?}");
            ensure!(begin.elapsed() < AT_ONCE, "event {number} waited {:?}", begin.elapsed());
        }
        Ok(())
    }
}

fn correlation(number: usize) -> String {
    format!("b-{number:06}")
}

fn to<'a>(requests: &'a [Request], path: &'a str) -> impl Iterator<Item = &'a Request> {
    requests.iter().filter(move |request| request.path == path)
}

/// Waits until so many requests have come to a path.
async fn came(
    target: &Target,
    path: &str,
    count: usize,
    daemon: &Daemon,
) -> anyhow::Result<Vec<Request>> {
    let (mut last, mut since) = (0, Instant::now());
    loop {
        let requests = target.done();
        let found = to(&requests, path).count();
        if found >= count {
            return Ok(requests);
        }
        if found > last {
            (last, since) = (found, Instant::now());
        }
        ensure!(
            since.elapsed() < SOON,
            "{found} of {count} requests to {path}:\n{}",
            daemon.stderr()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_down_is_noticed_by_nobody_else_and_caught_up_with() -> anyhow::Result<()>
{
    let down = match std::env::var("TRIPLINE_TARGET_DOWN") {
        Ok(text) => text.parse()?,
        Err(_) => DOWN_SECONDS,
    };
    let toxiproxy = Toxiproxy::start()?;
    let (broken, address) = Target::start().await?;
    let (well, well_address) = Target::start().await?;
    let proxy = toxiproxy.proxy(address)?;
    let place = Place::new()?;
    place.write("event-source.yaml", &event_source(place.port))?;
    let retries = "      retryStrategy: {duration: 200ms, steps: 100000, cap: 1s}\n";
    let at = |path: &str| format!("http://{}/{path}", proxy.address());
    for (name, url, rules) in [
        ("well", format!("http://{well_address}/well"), String::new()),
        (
            "ordered",
            at("ordered"),
            format!(
                "      ordering: strict\n      rateLimit: {{unit: Second, requestsPerUnit: {RATE}}}\n{retries}"
            ),
        ),
        (
            "latest",
            at("latest"),
            format!("      key: body.service\n      whenQueued: latest\n{retries}"),
        ),
    ] {
        place.write(&format!("{name}.yaml"), &sensor(name, &url, &rules))?;
    }
    let daemon = place.start().await?;

    let mut sent = Sent(Vec::new());
    sent.send(&place, Instant::now() + WARM).await?;
    let before = sent.0.len();
    // Everybody is well.
    daemon.settled(SOON).await?;
    let requests = came(&broken, "ordered", before, &daemon).await?;
    // Of two that wait at once, only the newer one goes.
    let latest = to(&requests, "latest").count();
    ensure!(latest > before / 2, "{latest} of {before} requests to a target that is well");
    proxy.cut()?;
    sent.send(&place, Instant::now() + Duration::from_secs(down)).await?;
    let all = sent.0.len();
    let one = |status: &Status| status.circuits.len() == 1;
    daemon.status_when("one circuit is open", SOON, one).await?;
    unaffected(&came(&well, "well", all, &daemon).await?, &sent)?;
    ensure!(broken.done().len() == before + latest, "requests came to a target that is down");

    let back = Instant::now();
    proxy.restore()?;
    daemon.settled(SOON + Duration::from_secs(all as u64 / RATE as u64)).await?;
    let requests = came(&broken, "ordered", all, &daemon).await?;
    in_order(&requests, all, back)?;
    the_newest_of_each(&requests, latest, all)?;
    let status = daemon.status().await?;
    ensure!(status.circuits.is_empty() && status.dead_letters.is_empty(), "{status:?}");
    println!(
        "target down: {down} s, {} events meanwhile, caught up with in {:.1?}",
        all - before,
        to(&requests, "ordered").map(|request| request.at).max().context("none")? - back
    );
    ensure!(daemon.stop().await?.status.success());
    Ok(())
}

/// Each event was a request soon after it was sent.
fn unaffected(requests: &[Request], sent: &Sent) -> anyhow::Result<()> {
    let at: BTreeMap<&str, Instant> =
        requests.iter().map(|request| (&*request.correlation, request.at)).collect();
    for (number, sent) in sent.0.iter().enumerate() {
        let at = at.get(&*correlation(number)).with_context(|| format!("{number} is missing"))?;
        let took = at.saturating_duration_since(*sent);
        ensure!(took < AT_ONCE, "event {number} took {took:?} to a target that is well");
    }
    Ok(())
}

/// Each once, in the order of the events, and in no second more than the rate.
fn in_order(requests: &[Request], all: usize, back: Instant) -> anyhow::Result<()> {
    let ordered: Vec<&Request> = to(requests, "ordered").collect();
    let came: Vec<&str> = ordered.iter().map(|request| &*request.correlation).collect();
    let expected: Vec<String> = (0..all).map(correlation).collect();
    ensure!(came == expected, "not in order: {came:?}");
    let after: Vec<Instant> =
        ordered.iter().map(|request| request.at).filter(|at| *at >= back).collect();
    for (first, at) in after.iter().enumerate() {
        let second = after[first..].iter().take_while(|next| **next - *at < Duration::from_secs(1));
        let count = second.count();
        ensure!(count <= RATE + JITTER, "{count} requests in a second, {RATE} are let through");
    }
    Ok(())
}

/// While it was down, of each service only the newest was kept.
fn the_newest_of_each(requests: &[Request], before: usize, all: usize) -> anyhow::Result<()> {
    let mut came: Vec<&str> =
        to(requests, "latest").skip(before).map(|request| &*request.correlation).collect();
    came.sort_unstable();
    let expected: Vec<String> = (all - SERVICES as usize..all).map(correlation).collect();
    ensure!(came == expected, "of each service the newest is wanted: {came:?}");
    Ok(())
}
