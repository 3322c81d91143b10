//! The controls that a bad night needs, against the real daemon and its own commands: order,
//! circuits, the red button, replay, dead letters.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tripline_tests::daemon::{Daemon, Place, SOON};
use tripline_tests::load::post;
use tripline_tests::ports::free_port;
use tripline_tests::resources::{event_source, http_sensor};
use tripline_tests::sink::Sink;

/// `http_sensor`, with `rules` below its trigger.
fn sensor(name: &str, url: &str, rules: &str) -> String {
    http_sensor(name, url, 8).replace("      maxInFlight: 8\n", rules)
}

async fn with_sensors(sensors: &[(&str, String)]) -> anyhow::Result<(Place, Daemon)> {
    let place = Place::new()?;
    place.write("event-source.yaml", &event_source(place.port))?;
    for (name, text) in sensors {
        place.write(&format!("{name}.yaml"), text)?;
    }
    let daemon = place.start().await?;
    Ok((place, daemon))
}

async fn send(place: &Place, id: &str) -> anyhow::Result<()> {
    let body = json!({"action": "completed", "correlation_id": id, "team": &id[..1]});
    let headers = [("x-request-id", id)];
    let answer = post(place.webhook(), "/builds", &headers, body.to_string().as_bytes()).await?;
    ensure!(answer.status == 200, "{id} was answered {answer:?}");
    Ok(())
}

/// What a command says that fails.
fn refused(place: &Place, arguments: &[&str]) -> anyhow::Result<String> {
    let output = place.command(arguments)?.env("TRIPLINE_DATA", place.data()).output()?;
    ensure!(!output.status.success(), "{arguments:?} succeeded");
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

fn received(sink: &Sink) -> Vec<String> {
    sink.take().iter().map(|receipt| receipt.correlation.to_string()).collect()
}

async fn waiting(daemon: &Daemon, count: u64) -> anyhow::Result<()> {
    let waits = |status: &tripline::control::Status| {
        status.triggers.iter().map(|queue| queue.waiting).sum::<u64>() == count
    };
    daemon.status_when(&format!("{count} actions wait"), SOON, waits).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resuming_asks_what_becomes_of_more_than_twenty_and_writes_down_who_did_it()
-> anyhow::Result<()> {
    let sink = Sink::start()?;
    let rules = "      key: body.team\n";
    let (place, daemon) = with_sensors(&[("call", sensor("call", &sink.url(), rules))]).await?;
    place.text(&["pause", "--sensor", "ci/call", "--reason", "database upgrade"])?;
    for number in 0..15 {
        send(&place, &format!("a-{number}")).await?;
        send(&place, &format!("b-{number}")).await?;
    }
    waiting(&daemon, 30).await?;
    let said = refused(&place, &["resume", "--sensor", "ci/call"])?;
    ensure!(said.contains("30 actions wait") && said.contains("--waiting latest"), "{said}");
    let dry = place.text(&["actions", "drop", "--older", "1h", "--dry-run"])?;
    ensure!(dry.contains("0 would be dropped"), "{dry}");
    let said = place.text(&["resume", "--sensor", "ci/call", "--waiting", "latest"])?;
    ensure!(said.contains("30") && said.contains("goes on"), "{said}");
    daemon.settled(SOON).await?;
    sink.has_received(2, Duration::from_secs(10)).await?;
    let mut names = received(&sink);
    names.sort();
    ensure!(names == ["a-14", "b-14"], "{names:?}");
    let audit = place.lines(&["audit"])?;
    let did: Vec<&str> = audit.iter().filter_map(|entry| entry["did"].as_str()).collect();
    ensure!(did == ["pause", "resume latest"], "{audit:?}");
    ensure!(audit[0]["reason"] == "database upgrade" && audit[1]["count"] == 30, "{audit:?}");
    let outcomes = place.text(&["outcomes", "--limit", "100"])?;
    ensure!(outcomes.contains("a newer action of its key waits"), "{outcomes}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_down_opens_its_circuit_and_is_caught_up_with_in_order()
-> anyhow::Result<()> {
    let works = Sink::start()?;
    let port = free_port();
    let down = format!("http://127.0.0.1:{port}/builds");
    let rules =
        "      ordering: strict\n      retryStrategy: {duration: 200ms, steps: 1000, cap: 1s}\n";
    let (place, daemon) = with_sensors(&[
        ("down", sensor("down", &down, rules)),
        ("works", sensor("works", &works.url(), "")),
    ])
    .await?;
    for number in 0..200 {
        send(&place, &format!("b-{number:03}")).await?;
    }
    works.has_received(200, Duration::from_secs(20)).await?;
    let open = |status: &tripline::control::Status| status.circuits.len() == 1;
    let status = daemon.status_when("a circuit is open", SOON, open).await?;
    let target = format!("http://127.0.0.1:{port}");
    ensure!(status.circuits[0].target == target, "{:?}", status.circuits);
    ensure!(daemon.metric("tripline_circuit_open").await? == 1.0);
    // Somebody else's webhook stands there now.
    let other = Place::new()?;
    other.write("event-source.yaml", &event_source(port))?;
    let other_daemon = other.start().await?;
    daemon.settled(Duration::from_secs(60)).await?;
    let events = other.lines(&["events", "--limit", "300"])?;
    let order: Vec<String> = events
        .iter()
        .map(|event| event["data"]["body"]["correlationId"].to_string().replace('"', ""))
        .collect();
    let expected: Vec<String> = (0..200).map(|number| format!("b-{number:03}")).collect();
    ensure!(order == expected, "{order:?}");
    let status = daemon.status().await?;
    ensure!(status.circuits.is_empty(), "{:?}", status.circuits);
    drop(other_daemon);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn past_events_are_replayed_once_and_again_only_where_that_is_said() -> anyhow::Result<()> {
    let sink = Sink::start()?;
    let (place, daemon) = with_sensors(&[("call", sensor("call", &sink.url(), ""))]).await?;
    for number in 0..3 {
        send(&place, &format!("b-{number}")).await?;
    }
    daemon.settled(SOON).await?;
    sink.has_received(3, Duration::from_secs(10)).await?;
    let replay = ["replay", "--sensor", "ci/call", "--since", "1h"];
    let said = place.text(&replay)?;
    ensure!(said.contains("3 events, 3 actions, 0 of them"), "{said}");
    let dry = place.lines(&[&replay[..], &["--again", "--dry-run"]].concat())?;
    let generations: Vec<&Value> = dry[0]["actions"]
        .as_array()
        .context("no actions")?
        .iter()
        .map(|action| &action["generation"])
        .collect();
    ensure!(generations == [1, 1, 1], "{generations:?}");
    sink.has_received(3, Duration::from_millis(300)).await?;
    for _ in 0..2 {
        place.text(&[&replay[..], &["--again", "--reason", "rebuilt"]].concat())?;
    }
    daemon.settled(SOON).await?;
    sink.has_received(9, Duration::from_secs(10)).await?;
    let trace = place.text(&["trace", "b-1"])?;
    ensure!(trace.matches("; replay ").count() == 2, "{trace}");
    let audit = place.lines(&["audit"])?;
    ensure!(audit[2]["did"] == "replay again" && audit[2]["count"] == 3, "{audit:?}");
    let unknown = refused(&place, &["replay", "--sensor", "ci/none", "--since", "1h"])?;
    ensure!(unknown.contains("there is no sensor ci/none"), "{unknown}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dlq_trigger_reports_and_a_letter_is_sent_back_as_the_sensor_is_today()
-> anyhow::Result<()> {
    let (right, reports) = (Sink::start()?, Sink::start()?);
    let report = format!(
        "      dlqTrigger:\n        template:\n          name: report\n          http:\n            url: {}\n            method: POST\n            payload:\n              - src: {{dependencyName: build-completed, dataKey: body.correlation_id}}\n                dest: correlationId\n",
        reports.url()
    );
    // The webhook of this daemon itself has no such path.
    let place = Place::new()?;
    place.write("event-source.yaml", &event_source(place.port))?;
    let wrong = format!("http://127.0.0.1:{}/none", place.port);
    place.write("call.yaml", &sensor("call", &wrong, &report))?;
    let daemon = place.start().await?;
    send(&place, "b-1").await?;
    reports.has_received(1, Duration::from_secs(20)).await?;
    ensure!(received(&reports) == ["b-1"]);
    let one = |status: &tripline::control::Status| status.dead_letters.values().sum::<u64>() == 1;
    daemon.status_when("one dead letter", SOON, one).await?;
    place.write("call.yaml", &sensor("call", &right.url(), &report))?;
    place.text(&["reload"])?;
    place.text(&["dlq", "retry", "--all", "--current"])?;
    right.has_received(1, Duration::from_secs(20)).await?;
    let none = |status: &tripline::control::Status| status.dead_letters.is_empty();
    daemon.status_when("no dead letter", SOON, none).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_steered_by_the_files_as_they_are_now() -> anyhow::Result<()> {
    let sink = Sink::start()?;
    let frozen = "      freeze: [{name: release, from: 2020-01-01T00:00, to: 2120-01-01T00:00}]\n      expiresAfter: 999h\n";
    let (place, daemon) = with_sensors(&[("call", sensor("call", &sink.url(), frozen))]).await?;
    for number in 0..3 {
        send(&place, &format!("b-{number}")).await?;
    }
    waiting(&daemon, 3).await?;
    let status = place.text(&["status"])?;
    ensure!(status.contains("frozen: release"), "{status}");
    let outcomes = place.text(&["outcomes"])?;
    ensure!(outcomes.contains("frozen until 2120"), "{outcomes}");
    place.write("call.yaml", &sensor("call", &sink.url(), ""))?;
    place.text(&["reload"])?;
    daemon.settled(SOON).await?;
    sink.has_received(3, Duration::from_secs(10)).await?;
    Ok(())
}
