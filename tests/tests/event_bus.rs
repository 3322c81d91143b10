//! The daemon with its logs on JetStream: chosen, shared, lost, moved.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tripline_testbed::Nats;
use tripline_tests::daemon::{Daemon, Place, SOON};
use tripline_tests::load::{get, post};
use tripline_tests::resources::{event_source, workflow_sensor};

fn place() -> anyhow::Result<Place> {
    let place = Place::new()?;
    place.write("event-source.yaml", &event_source(place.port))?;
    place.write("sensor.yaml", &workflow_sensor("deploy"))?;
    Ok(place)
}

fn event_bus(spec: &str) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: EventBus\nmetadata: {{ name: default, namespace: ci }}\nspec: {spec}\n"
    )
}

/// A place whose daemons keep their logs on this server.
fn on(nats: &Nats) -> anyhow::Result<Place> {
    let place = place()?;
    let spec = format!("{{ jetstreamExotic: {{ url: \"{}\" }} }}", nats.url());
    place.write("event-bus.yaml", &event_bus(&spec))?;
    Ok(place)
}

fn body(number: usize) -> String {
    json!({"action": "completed", "correlation_id": format!("build-{number}")}).to_string()
}

async fn send(place: &Place, numbers: std::ops::Range<usize>) -> anyhow::Result<()> {
    for number in numbers {
        let answer = post(place.webhook(), "/builds", &[], body(number).as_bytes()).await?;
        ensure!(answer.status == 200, "{answer:?}");
    }
    Ok(())
}

/// The correlation ids of the workflows.
fn submitted(place: &Place) -> anyhow::Result<Vec<String>> {
    let lines = place.lines(&["workflows", "list", "--limit", "1000"])?;
    let id = |line: &Value| {
        let parameters = &line["object"]["spec"]["arguments"]["parameters"];
        parameters[0]["value"].as_str().map(str::to_owned)
    };
    let mut ids: Vec<String> = lines
        .iter()
        .map(|line| id(line).with_context(|| line.to_string()))
        .collect::<Result<_, _>>()?;
    ids.sort_by_key(|id| (id.len(), id.clone()));
    Ok(ids)
}

fn builds(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("build-{number}")).collect()
}

/// A command that needs no daemon.
fn run(place: &Place, arguments: &[&str]) -> anyhow::Result<String> {
    let output = place.command(arguments)?.output()?;
    let (out, err) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    ensure!(output.status.success(), "{arguments:?}: {}\n{out}{err}", output.status);
    Ok(out)
}

/// Waits until so many workflows are submitted.
async fn until_submitted(place: &Place, daemon: &Daemon, count: usize) -> anyhow::Result<()> {
    let deadline = Instant::now() + SOON;
    while submitted(place)?.len() < count {
        ensure!(Instant::now() < deadline, "{:?}\n{}", submitted(place)?, daemon.stderr());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_over_jetstream_survives_the_daemon_and_the_server() -> anyhow::Result<()>
{
    let mut nats = Nats::start()?;
    let place = on(&nats)?;
    let daemon = place.start().await?;
    send(&place, 0..30).await?;
    daemon.kill()?;
    nats.kill()?;
    nats.restart()?;
    let daemon = place.start().await?;
    send(&place, 30..40).await?;
    until_submitted(&place, &daemon, 40).await?;
    daemon.settled(SOON).await?;
    ensure!(submitted(&place)? == builds(0..40), "{:?}", submitted(&place)?);
    let timeline = place.text(&["trace", "build-7"])?;
    ensure!(timeline.contains("build-7"), "{timeline}");
    let refused = place.command(&["backup", "backup", "--data"])?.arg(place.data()).output()?;
    let said = String::from_utf8(refused.stderr)?;
    ensure!(!refused.status.success() && said.contains("nats stream backup"), "{said}");
    ensure!(!place.data().join("data.mdb").exists(), "the logs are in the data directory");
    ensure!(daemon.stop().await?.status.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_publishes_onto_the_bus_whether_a_daemon_runs_or_not() -> anyhow::Result<()> {
    let nats = Nats::start()?;
    let place = on(&nats)?;
    let publish = |number: usize| {
        let (body, url, id) = (body(number), nats.url(), format!("id-{number}"));
        run(
            &place,
            &["publish", "ci/builds/completed", "--body", &body, "--id", &id, "--nats", &url],
        )
    };
    // Before there was a daemon, there is no sensor that it could be for.
    let daemon = place.start().await?;
    ensure!(daemon.stop().await?.status.success());
    ensure!(publish(0)?.contains("is durable"));
    ensure!(publish(0)?.contains("was there already"));
    let daemon = place.start().await?;
    until_submitted(&place, &daemon, 1).await?;
    publish(1)?;
    until_submitted(&place, &daemon, 2).await?;
    ensure!(submitted(&place)? == builds(0..2), "{:?}", submitted(&place)?);
    send(&place, 2..3).await?;
    until_submitted(&place, &daemon, 3).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_daemon_on_the_same_logs_is_refused() -> anyhow::Result<()> {
    let nats = Nats::start()?;
    let first = on(&nats)?;
    let daemon = first.start().await?;
    let second = on(&nats)?;
    let ended = second.spawn()?.wait().await?;
    ensure!(!ended.status.success());
    ensure!(ended.stderr.contains("is in use by process"), "{}", ended.stderr);
    // Another prefix is another bus.
    let mut third = place()?;
    third.arguments = ["--nats", &nats.url(), "--nats-prefix", "third"].map(str::to_owned).to_vec();
    let other = third.start().await?;
    send(&third, 0..1).await?;
    until_submitted(&third, &other, 1).await?;
    ensure!(submitted(&first)?.is_empty());
    ensure!(daemon.stop().await?.status.success());
    second.start().await?.kill()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_lost_the_logs_makes_the_daemon_unready_and_says_what_is_lost()
-> anyhow::Result<()> {
    let mut nats = Nats::start()?;
    let place = on(&nats)?;
    let daemon = place.start().await?;
    send(&place, 0..3).await?;
    daemon.settled(SOON).await?;
    nats.wipe()?;
    let deadline = Instant::now() + SOON;
    loop {
        let (status, text) = get(daemon.operations, "/readyz").await?;
        if status == 503 && text.contains("stream tripline-events is gone") {
            ensure!(text.contains(" to ") && text.contains("which is lost"), "{text}");
            break;
        }
        ensure!(Instant::now() < deadline, "{status} {text}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let answer = post(place.webhook(), "/builds", &[], body(4).as_bytes()).await?;
    ensure!(answer.status == 503, "{answer:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_moves_from_one_bus_to_the_other_and_back() -> anyhow::Result<()> {
    let nats = Nats::start()?;
    let mut home = place()?;
    let daemon = home.start().await?;
    send(&home, 0..5).await?;
    daemon.settled(SOON).await?;
    daemon.stop().await?;
    let data = home.data().display().to_string();
    let moved = run(&home, &["bus", "copy", "--from", &data, "--to", &nats.url()])?;
    ensure!(moved.contains("copied"), "{moved}");
    home.arguments = vec!["--nats".to_owned(), nats.url()];
    let daemon = home.start().await?;
    ensure!(submitted(&home)? == builds(0..5), "{:?}", submitted(&home)?);
    send(&home, 5..8).await?;
    until_submitted(&home, &daemon, 8).await?;
    daemon.settled(SOON).await?;
    daemon.stop().await?;
    let back = place()?;
    let target = back.data().display().to_string();
    let url = format!("{}/tripline", nats.url());
    run(&home, &["bus", "copy", "--from", &url, "--to", &target])?;
    let daemon = back.start().await?;
    send(&back, 8..9).await?;
    until_submitted(&back, &daemon, 9).await?;
    daemon.settled(SOON).await?;
    ensure!(submitted(&back)? == builds(0..9), "{:?}", submitted(&back)?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_bus_that_cannot_be_used_is_never_replaced_in_silence() -> anyhow::Result<()> {
    // What Argo Events would install: left out, and said, and the daemon runs.
    let place = place()?;
    place.write("event-bus.yaml", &event_bus("{ jetstream: { version: latest } }"))?;
    let daemon = place.start().await?;
    ensure!(daemon.stderr().contains("name the server with `--nats"), "{}", daemon.stderr());
    daemon.stop().await?;
    // One that names a server: nothing runs without it.
    for (spec, said) in [
        (
            "{ jetstreamExotic: { url: \"nats://127.0.0.1:1\", tls: { insecureSkipVerify: true } } }",
            "does not start on another bus",
        ),
        (
            "{ jetstreamExotic: { url: \"nats://127.0.0.1:1\", accessSecret: { name: a, key: b } } }",
            "Secret ci/a",
        ),
    ] {
        place.write("event-bus.yaml", &event_bus(spec))?;
        let ended = place.spawn()?.wait().await?;
        ensure!(!ended.status.success() && ended.stderr.contains(said), "{}", ended.stderr);
    }
    Ok(())
}
