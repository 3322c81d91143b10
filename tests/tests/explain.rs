//! Why a sensor fired and why not, from the commands of the real program: while a daemon runs,
//! of its data directory at rest, and from files alone.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tripline_tests::daemon::{Daemon, Place, SOON};
use tripline_tests::docs::{Page, steady};
use tripline_tests::load::post;
use tripline_tests::resources::{event_source, workflow_sensor};

async fn with_sensor(sensor: &str) -> anyhow::Result<(Place, Daemon)> {
    let place = Place::new()?;
    place.write("event-source.yaml", &event_source(place.port))?;
    place.write("sensor.yaml", sensor)?;
    let daemon = place.start().await?;
    Ok((place, daemon))
}

/// The path that the sensor of the story looks at is that of a body without its envelope.
fn wrong() -> String {
    workflow_sensor("deploy").replace("path: body.action", "path: action")
}

async fn send(place: &Place, body: &Value) -> anyhow::Result<()> {
    let answer = post(place.webhook(), "/builds", &[], body.to_string().as_bytes()).await?;
    ensure!(answer.status == 200, "{body} was answered {answer:?}");
    Ok(())
}

/// What is said of the only event that the handle names.
fn explained(place: &Place, arguments: &[&str]) -> anyhow::Result<Value> {
    let lines = place.lines(&[&["explain"], arguments].concat())?;
    let event = lines[0]["events"][0].clone();
    ensure!(lines.len() == 1 && event.is_object(), "{arguments:?}: {lines:?}");
    Ok(event)
}

fn code(event: &Value) -> &str {
    event["sensors"][0]["cause"]["code"].as_str().unwrap_or_default()
}

/// A command with something on its standard input: how it ended, and what it printed.
fn piped(place: &Place, arguments: &[&str], input: &str) -> anyhow::Result<(i32, String)> {
    let mut command = place.command(arguments)?;
    command.env("TRIPLINE_DATA", place.data()).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().context("no standard input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.code().context("killed")?, String::from_utf8(text)?))
}

/// The story of the page, run: what is shown is what is printed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_story_of_a_sensor_that_does_not_fire_is_as_the_page_tells_it() -> anyhow::Result<()> {
    let (place, daemon) = with_sensor(&wrong()).await?;
    let mut story = String::new();
    let mut run = |shown: &str, arguments: &[&str]| -> anyhow::Result<String> {
        let text = place.text(arguments)?;
        story.push_str(&format!("$ tripline {shown}\n{text}"));
        Ok(text)
    };
    let body = r#"{"action": "completed", "correlation_id": "build-4711"}"#;
    let publish = ["publish", "ci/builds/completed", "--id", "delivery-1", "--body", body];
    let shown = format!("publish ci/builds/completed --id delivery-1 --body '{body}'");
    run(&shown, &publish)?;
    daemon.settled(SOON).await?;
    let text = run("explain build-4711", &["explain", "build-4711"])?;
    ensure!(text.contains("wrongPath") && text.contains("write `path: body.action`"), "{text}");
    let text = run(
        "explain --sensor ci/deploy --since 1h",
        &["explain", "--sensor", "ci/deploy", "--since", "1h"],
    )?;
    ensure!(text.contains("1 arrived, 0 let through"), "{text}");
    place.write("sensor.yaml", &workflow_sensor("deploy"))?;
    let begun = Instant::now();
    while daemon.client()?.get::<tripline::control::Status>("/v1/status", &[]).await?.plan < 2 {
        ensure!(begun.elapsed() < SOON, "the changed sensor is not taken up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let body = body.replace("4711", "4712");
    let publish = ["publish", "ci/builds/completed", "--id", "delivery-2", "--body", &body];
    let shown = format!("publish ci/builds/completed --id delivery-2 --body '{body}'");
    run(&shown, &publish)?;
    daemon.settled(SOON).await?;
    let text = run("explain build-4712", &["explain", "build-4712"])?;
    ensure!(text.contains("succeeded: it was carried out"), "{text}");
    let before = place.text(&["explain", "build-4711"])?;
    ensure!(before.contains("wrongPath"), "the plan of then decides:\n{before}");
    let page = Page::read(Path::new("docs/explain.md"))?;
    page.is_up_to_date("story", &format!("```text\n{story}```\n"), steady)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_handle_is_explained_by_a_daemon_and_of_what_it_left_behind() -> anyhow::Result<()> {
    let (place, daemon) = with_sensor(&workflow_sensor("deploy")).await?;
    send(&place, &json!({"action": "completed", "correlation_id": "build-1"})).await?;
    send(&place, &json!({"action": "failed", "correlation_id": "build-2"})).await?;
    daemon.settled(SOON).await?;
    let event = explained(&place, &["build-1"])?;
    ensure!(code(&event) == "succeeded", "{event:#}");
    let action = event["sensors"][0]["triggers"][0]["actions"][0]["id"].as_str();
    let action = action.context("no action")?.to_owned();
    let workflow = place.lines(&["workflows", "list"])?[0]["object"]["metadata"]["name"].clone();
    let workflow = workflow.as_str().context("no workflow")?.to_owned();
    let handles = [
        event["id"].as_str().context("no id")?.to_owned(),
        event["position"].as_str().context("no position")?.to_owned(),
        action[..10].to_owned(),
        action,
        format!("ci/{workflow}"),
        workflow,
    ];
    let graph = place.text(&["graph"])?;
    ensure!(graph.contains("its workflows") || graph.contains("1 workflow"), "{graph}");
    let drawn = place.text(&["trace", "build-1", "--format", "dot"])?;
    ensure!(drawn.starts_with("digraph tripline {") && drawn.contains("workflow ci/"), "{drawn}");
    for at_rest in [false, true] {
        for handle in &handles {
            let again = explained(&place, &[handle])?;
            ensure!(again["id"] == event["id"], "{handle}: {again:#}");
            ensure!(code(&again) == "succeeded", "{handle}: {again:#}");
        }
        let other = explained(&place, &["build-2", "--sensor", "deploy"])?;
        ensure!(code(&other) == "otherValue", "{other:#}");
        let progress = place.lines(&["explain", "--sensor", "deploy"])?[0].clone();
        let build = &progress["dependencies"][0];
        ensure!((&build["arrived"], &build["passed"]) == (&json!(2), &json!(1)), "{progress:#}");
        ensure!(progress["triggers"][0]["actions"]["succeeded"] == 1, "{progress:#}");
        let (code, text) = piped(&place, &["explain", "build-3"], "")?;
        ensure!(
            code == 4 && text.contains("nothing is known") && text.contains("build-1"),
            "{text}"
        );
        let body = r#"{"action": "failed", "correlation_id": "build-2"}"#;
        let (code, text) = piped(&place, &["explain", "-"], body)?;
        ensure!(code == 0 && text.contains("otherValue"), "{text}");
        let as_if = ["explain", "-", "--source", "ci/builds", "--event-name", "completed"];
        let (code, text) = piped(&place, &as_if, r#"{"action": "completed"}"#)?;
        ensure!(code == 0 && text.contains("wouldFire"), "{text}");
        let (code, text) = piped(&place, &as_if, r#"{"state": "completed"}"#)?;
        ensure!(code == 1 && text.contains("missingKey"), "{text}");
        if at_rest {
            ensure!(place.lines(&["events"])?.len() == 2, "nothing was taken in");
            return Ok(());
        }
        ensure!(place.lines(&["events"])?.len() == 2, "nothing was taken in");
        // The rest of the questions is asked of the data directory.
        kill(&daemon).await?;
    }
    Ok(())
}

/// `SIGTERM`, and until it does not answer any more.
async fn kill(daemon: &Daemon) -> anyhow::Result<()> {
    let pid = i32::try_from(daemon.pid()).ok().and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(pid.context("no process")?, rustix::process::Signal::TERM)?;
    let begun = Instant::now();
    while daemon.client()?.get::<Value>("/v1/status", &[]).await.is_ok() {
        ensure!(begun.elapsed() < SOON, "the daemon does not stop");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[test]
fn files_are_explained_without_a_daemon() -> anyhow::Result<()> {
    let place = Place::new()?;
    place.write("sensor.yaml", &wrong())?;
    place.write("event.json", r#"{"body": {"action": "completed"}}"#)?;
    let (sensor, event) = (place.yaml().join("sensor.yaml"), place.yaml().join("event.json"));
    let path = |path: &Path| path.display().to_string();
    let arguments = ["explain", "--files", &path(&sensor), "--event", &path(&event)];
    let (code, text) = piped(&place, &arguments, "")?;
    ensure!(code == 1 && text.contains("write `path: body.action`"), "{code}: {text}");
    place.write("sensor.yaml", &workflow_sensor("deploy"))?;
    let (code, text) = piped(&place, &arguments, "")?;
    ensure!(code == 0 && text.contains("wouldFire"), "{code}: {text}");
    let (code, text) = piped(&place, &["explain", "--files", &path(&sensor)], "")?;
    ensure!(code == 2 && text.contains("--event"), "{code}: {text}");
    Ok(())
}
