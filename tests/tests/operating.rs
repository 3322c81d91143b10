//! What an operator meets, against the real daemon and its own commands: chains over
//! several workflows, loops, targets that fail, pauses, dead letters, backup and restore.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tripline_tests::daemon::{Daemon, Place, SOON};
use tripline_tests::load::post;
use tripline_tests::ports::free_port;
use tripline_tests::resources::{event_source, http_sensor, workflow_sensor};
use tripline_tests::sink::Sink;

/// A daemon on these sensors, beside the event source `builds`.
async fn with_sensors(sensors: &[(&str, String)]) -> anyhow::Result<(Place, Daemon)> {
    let place = Place::new()?;
    place.write("event-source.yaml", &event_source(place.port))?;
    for (name, text) in sensors {
        place.write(name, text)?;
    }
    let daemon = place.start().await?;
    Ok((place, daemon))
}

async fn send(place: &Place, body: &Value) -> anyhow::Result<()> {
    let answer = post(place.webhook(), "/builds", &[], body.to_string().as_bytes()).await?;
    ensure!(answer.status == 200, "{body} was answered {answer:?}");
    Ok(())
}

/// The names of the workflows, the oldest first.
fn workflows(place: &Place) -> anyhow::Result<Vec<String>> {
    let lines = place.lines(&["workflows", "list"])?;
    let name = |line: &Value| line["object"]["metadata"]["name"].as_str().map(str::to_owned);
    lines.iter().map(|line| name(line).with_context(|| line.to_string())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_over_three_workflows_is_one_timeline_from_any_of_its_ids() -> anyhow::Result<()> {
    let (place, daemon) = with_sensors(&[("sensor.yaml", workflow_sensor("deploy"))]).await?;
    let mut correlation = "build-4711".to_owned();
    let mut handles = vec![correlation.clone()];
    for _ in 0..3 {
        // Each workflow reports with its own name, as producers do that know no other.
        send(&place, &json!({"action": "completed", "correlation_id": correlation})).await?;
        daemon.settled(SOON).await?;
        correlation = workflows(&place)?.pop().context("no workflow")?;
        handles.push(correlation.clone());
    }
    ensure!(workflows(&place)?.len() == 3, "{:?}", workflows(&place)?);
    for handle in &handles {
        let lines = place.lines(&["trace", handle])?;
        let timeline = lines[0].to_string();
        let received = timeline.matches(r#""step":"received""#).count();
        let succeeded = timeline.matches(r#""step":"succeeded""#).count();
        ensure!(
            (received, succeeded) == (3, 3),
            "from {handle}: {received}, {succeeded}\n{timeline}"
        );
        ensure!(timeline.contains("build-4711"), "from {handle}: {timeline}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_ends_in_a_dead_letter_that_prints_the_cycle() -> anyhow::Result<()> {
    let place = Place::new()?;
    place.write("event-source.yaml", &event_source(place.port))?;
    // The trigger calls the webhook that sets it off.
    let sensor = http_sensor("echo", &format!("http://127.0.0.1:{}/builds", place.port), 4).replace(
        "          payload:\n",
        "          payload:\n            - src: {dependencyName: build-completed, dataKey: body.action}\n              dest: action\n",
    );
    let sensor = sensor.replace("dest: correlationId", "dest: correlation_id");
    place.write("sensor.yaml", &sensor)?;
    let daemon = place.start().await?;
    send(&place, &json!({"action": "completed", "correlation_id": "round-and-round"})).await?;
    let letter =
        |status: &tripline::control::Status| status.dead_letters.values().sum::<u64>() == 1;
    daemon.status_when("one dead letter", SOON, letter).await?;
    daemon.settled(SOON).await?;
    let letters = place.lines(&["dlq", "list"])?;
    let letter = letters[0].to_string();
    ensure!(letter.contains(r#""cause":"loop""#), "{letter}");
    ensure!(letter.contains("ci/echo/call -> ci/echo/call"), "{letter}");
    let succeeded = place.lines(&["outcomes", "--limit", "100"])?;
    let succeeded = succeeded
        .iter()
        .filter(|line| line.to_string().contains(r#""outcome":"succeeded""#))
        .count();
    ensure!(succeeded == 16, "{succeeded} rounds, 16 are allowed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_down_delays_only_its_own_trigger_and_never_the_webhook()
-> anyhow::Result<()> {
    let down = free_port();
    let (place, daemon) = with_sensors(&[
        ("deploy.yaml", workflow_sensor("deploy")),
        ("call.yaml", http_sensor("call", &format!("http://127.0.0.1:{down}/"), 1)),
    ])
    .await?;
    for number in 0..20 {
        send(&place, &json!({"action": "completed", "correlation_id": format!("b-{number}")}))
            .await?;
    }
    let all_but_one_trigger = |status: &tripline::control::Status| {
        let open = |name: &str| {
            let of = status.triggers.iter().find(|queue| queue.trigger.sensor == name);
            of.map(|queue| queue.waiting + queue.in_flight + queue.retrying)
        };
        open("deploy") == Some(0) && open("call") == Some(20)
    };
    let status = daemon.status_when("the other trigger is done", SOON, all_but_one_trigger).await?;
    ensure!(status.not_ready.is_empty(), "{:?}", status.not_ready);
    let queue = status.triggers.iter().find(|queue| queue.trigger.sensor == "call");
    ensure!(queue.is_some_and(|queue| queue.last_error.is_some()), "{queue:?}");
    ensure!(workflows(&place)?.len() == 20);
    // The red button: only with --yes, and written down.
    let dry = place.text(&["drop", "sensor/ci/call"])?;
    ensure!(dry.contains("ci/call/call") && dry.contains("--yes does it"), "{dry}");
    let open = |status: &tripline::control::Status| {
        let queues = status.triggers.iter();
        queues.map(|queue| queue.waiting + queue.in_flight + queue.retrying).sum::<u64>()
    };
    ensure!(open(&daemon.status().await?) == 20, "a dry run drops nothing");
    while open(&daemon.status().await?) > 0 {
        // An attempt that runs is not dropped; it is when it waits for the next one.
        place.text(&["drop", "sensor/ci/call", "--yes", "--reason", "the target is gone"])?;
    }
    let outcomes = place.text(&["outcomes", "--limit", "200"])?;
    ensure!(outcomes.contains("the target is gone"), "{outcomes}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_request_is_a_dead_letter_that_can_be_sent_again() -> anyhow::Result<()> {
    let port = free_port();
    let (place, daemon) = with_sensors(&[(
        "call.yaml",
        http_sensor("call", &format!("http://127.0.0.1:{port}/none"), 1),
    )])
    .await?;
    // Somebody else's webhook answers 404 there, at first.
    let other = Place::new()?;
    other.write("event-source.yaml", &event_source(port))?;
    let other_daemon = other.start().await?;
    send(&place, &json!({"action": "completed", "correlation_id": "b-1"})).await?;
    daemon
        .status_when("one dead letter", SOON, |status| {
            status.dead_letters.values().sum::<u64>() == 1
        })
        .await?;
    let letters = place.lines(&["dlq", "list"])?;
    ensure!(letters[0].to_string().contains(r#""cause":"refused""#), "{}", letters[0]);
    let id = letters[0]["id"].as_str().context("no id")?.to_owned();
    let shown = place.text(&["dlq", "show", &id])?;
    ensure!(shown.contains("404") && shown.contains("b-1"), "{shown}");
    // Now something is there.
    let found = event_source(port).replace("/builds", "/none");
    other.write("event-source.yaml", &found)?;
    other.text(&["reload"])?;
    place.text(&["dlq", "retry", &id])?;
    daemon.settled(SOON).await?;
    daemon
        .status_when("no dead letter", SOON, |status| {
            status.dead_letters.values().sum::<u64>() == 0
        })
        .await?;
    let events = other.lines(&["events"])?;
    ensure!(events.len() == 1 && events[0].to_string().contains("b-1"), "{events:?}");
    drop(other_daemon);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_outlives_a_restart_and_what_waited_is_carried_out_in_order() -> anyhow::Result<()>
{
    let sink = Sink::start()?;
    let (place, daemon) =
        with_sensors(&[("call.yaml", http_sensor("call", &sink.url(), 1))]).await?;
    place.text(&["pause", "sensor/ci/call", "--reason", "database upgrade"])?;
    for number in 0..10 {
        send(&place, &json!({"action": "completed", "correlation_id": format!("b-{number}")}))
            .await?;
    }
    daemon.stop().await?;
    let daemon = place.start().await?;
    let waits = |status: &tripline::control::Status| {
        status.triggers.iter().any(|queue| queue.waiting == 10 && queue.paused.is_some())
    };
    let status = daemon.status_when("ten actions wait", SOON, waits).await?;
    ensure!(status.paused[0].reason.as_deref() == Some("database upgrade"), "{:?}", status.paused);
    ensure!(sink.count() == 0, "{} came through the pause", sink.count());
    place.text(&["resume", "sensor/ci/call"])?;
    daemon.settled(SOON).await?;
    sink.has_received(10, Duration::from_secs(10)).await?;
    let order: Vec<String> =
        sink.take().iter().map(|receipt| receipt.correlation.to_string()).collect();
    let expected: Vec<String> = (0..10).map(|number| format!("b-{number}")).collect();
    ensure!(order == expected, "{order:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_the_running_store_goes_on_elsewhere() -> anyhow::Result<()> {
    let (place, daemon) = with_sensors(&[("sensor.yaml", workflow_sensor("deploy"))]).await?;
    for number in 0..5 {
        send(&place, &json!({"action": "completed", "correlation_id": format!("b-{number}")}))
            .await?;
    }
    daemon.settled(SOON).await?;
    let copy = place.data().with_file_name("monday");
    let copy = copy.to_str().context("path")?;
    place.text(&["backup", copy])?;
    daemon.kill()?;
    let elsewhere = Place::new()?;
    elsewhere.text(&["restore", copy])?;
    ensure!(workflows(&elsewhere)?.len() == 5, "{:?}", workflows(&elsewhere)?);
    elsewhere.write("event-source.yaml", &event_source(elsewhere.port))?;
    elsewhere.write("sensor.yaml", &workflow_sensor("deploy"))?;
    let daemon = elsewhere.start().await?;
    send(&elsewhere, &json!({"action": "completed", "correlation_id": "b-5"})).await?;
    daemon.settled(SOON).await?;
    ensure!(workflows(&elsewhere)?.len() == 6, "{:?}", workflows(&elsewhere)?);
    Ok(())
}
