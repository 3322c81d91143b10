//! A store that is full refuses new events, and recovers by itself.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;
use tripline_bus::Log;
use tripline_tests::daemon::{Place, SOON};
use tripline_tests::load::{get, post};
use tripline_tests::resources::{event_source, workflow_sensor};
use tripline_tests::store::Store;

/// A checkpoint comes every 30 seconds; it lets what is not needed any more be trimmed.
const RECOVERED: Duration = Duration::from_secs(90);
/// The store is full of fewer.
const MOST_EVENTS: usize = 1500;

fn completed(number: usize) -> Vec<u8> {
    let correlation = format!("c-{number}");
    json!({"action": "completed", "correlation_id": correlation, "padding": "x".repeat(100_000)})
        .to_string()
        .into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_store_refuses_events_says_so_and_recovers_by_itself() -> anyhow::Result<()> {
    let mut place = Place::new()?;
    place.arguments = ["--quota", "64MiB"].map(str::to_owned).into();
    place.write("event-source.yaml", &event_source(place.port))?;
    place.write("sensor.yaml", &workflow_sensor("deploy"))?;
    let daemon = place.start().await?;
    let said = "the store may take 64.0 MiB of the volume /";
    ensure!(daemon.stderr().contains(said), "{}", daemon.stderr());

    let mut accepted = 0;
    let refused = loop {
        let answer = post(place.webhook(), "/builds", &[], &completed(accepted)).await?;
        if answer.status != 200 {
            break answer;
        }
        accepted += 1;
        ensure!(accepted < MOST_EVENTS, "the store is not full after {accepted} events of 100 KB");
    };
    ensure!(refused.status == 503 && accepted > 300, "{refused:?} after {accepted}");
    let since = Instant::now();
    loop {
        let (_, body) = get(daemon.operations, "/readyz").await?;
        if body.contains("% full") {
            break;
        }
        ensure!(since.elapsed() < RECOVERED, "it is not said how full the store is: {body}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let used = daemon.metric("tripline_bus_used_bytes").await?;
    let limit = daemon.metric("tripline_bus_limit_bytes").await?;
    ensure!(used > limit / 2.0 && used < limit * 1.2, "{used} of {limit}");

    let since = Instant::now();
    let text = loop {
        let answer = post(place.webhook(), "/builds", &[], &completed(accepted)).await?;
        if answer.status == 200 {
            break daemon.stderr();
        }
        ensure!(since.elapsed() < RECOVERED, "still {answer:?}\n{}", daemon.stderr());
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    accepted += 1;
    for part in ["the event bus is ", "they did not fit any more"] {
        ensure!(text.contains(part), "`{part}` was not said:\n{text}");
    }
    daemon.settled(SOON).await?;
    daemon.stop().await?;

    // Nothing that was accepted was trimmed before it was carried out.
    let store = Store::open(&place.data())?;
    let workflows = store.workflows().await?.len();
    ensure!(workflows == accepted, "{workflows} workflows of {accepted} events");
    let kept = store.records(Log::Events).await?.len() as u64;
    ensure!(kept < store.appended(Log::Events).await?, "something was trimmed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_that_cannot_be_is_refused_with_what_is_there() -> anyhow::Result<()> {
    for (quota, expected) in [
        ("900000TiB", "is more than the volume"),
        ("1MiB", "a quota of 1.0 MiB is too small: a store needs 64.0 MiB at least"),
        ("half", "`half` is no quota: expected one such as 50%, 20GiB or 500MiB"),
    ] {
        let mut place = Place::new()?;
        place.arguments = ["--quota", quota].map(str::to_owned).into();
        place.write("event-source.yaml", &event_source(place.port))?;
        let mut daemon = place.spawn()?;
        let ended = daemon.wait().await.context("it should end by itself")?;
        ensure!(!ended.status.success() && ended.stderr.contains(expected), "{}", ended.stderr);
    }
    Ok(())
}
