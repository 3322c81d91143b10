//! Bad input gets a clear answer and harms nothing else.
//!
//! Each test has a real daemon, and ends with an event that becomes a workflow.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tripline::control::{InvalidObject, Status};
use tripline::query::workflow::Workflow;
use tripline_event::OutcomeKind;
use tripline_tests::daemon::{Daemon, Place, SOON};
use tripline_tests::load::{self, Connection, post};
use tripline_tests::resources::{event_source, workflow_sensor, workflow_sensor_for};
use tripline_tests::store::Store;

/// A daemon with a sensor that works.
async fn well() -> anyhow::Result<(Place, Daemon)> {
    let place = Place::new()?;
    place.write("event-source.yaml", &event_source(place.port))?;
    place.write("sensor.yaml", &workflow_sensor("deploy"))?;
    let daemon = place.start().await?;
    Ok((place, daemon))
}

fn completed(correlation: &str) -> Vec<u8> {
    json!({"action": "completed", "correlation_id": correlation}).to_string().into_bytes()
}

async fn workflows(daemon: &Daemon) -> anyhow::Result<Vec<Workflow>> {
    Ok(daemon.client()?.get("/v1/workflows", &[]).await?)
}

fn object(workflow: &Workflow) -> &serde_json::Value {
    workflow.object.as_ref().unwrap_or(&serde_json::Value::Null)
}

fn parameter(workflow: &Workflow) -> &str {
    object(workflow)["spec"]["arguments"]["parameters"][0]["value"].as_str().unwrap_or_default()
}

/// A good event becomes one workflow more, with its correlation id.
async fn goes_on(place: &Place, daemon: &Daemon, correlation: &str) -> anyhow::Result<()> {
    let answer = post(place.webhook(), "/builds", &[], &completed(correlation)).await?;
    ensure!(answer.status == 200, "a good event was answered {answer:?}\n{}", daemon.stderr());
    daemon.settled(SOON).await?;
    let found = workflows(daemon).await?;
    let count = found.iter().filter(|workflow| parameter(workflow) == correlation).count();
    ensure!(count == 1, "{count} workflows of {correlation}: {found:#?}\n{}", daemon.stderr());
    Ok(())
}

fn invalid<'s>(status: &'s Status, name: &str) -> anyhow::Result<&'s InvalidObject> {
    let found = status
        .invalid
        .iter()
        .find(|object| object.name.ends_with(name) || object.place.contains(name));
    found.with_context(|| format!("{name} is not among the invalid objects: {:#?}", status.invalid))
}

fn contains_all(text: &str, parts: &[&str]) -> anyhow::Result<()> {
    for part in parts {
        ensure!(text.contains(part), "`{part}` is not in:\n{text}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_files_are_reported_with_their_places_and_the_others_are_used() -> anyhow::Result<()>
{
    let place = Place::new()?;
    place.write("event-source.yaml", &event_source(place.port))?;
    place.write("sensor.yaml", &workflow_sensor("deploy"))?;
    place.write("broken.yaml", "apiVersion: v1\nkind: [Secret\nmetadata: {name: x}\n")?;
    let misspelt = workflow_sensor("misspelt")
        .replace("argoproj.io/v1alpha1\nkind: Sensor", "tripline.dev/v1\nkind: Sensor")
        .replace("eventSourceName", "eventSourceNmae");
    place.write("misspelt.yaml", &misspelt)?;
    let undeclared = workflow_sensor("undeclared")
        .replace("dependencyName: build-completed", "dependencyName: build-complete");
    place.write("undeclared.yaml", &undeclared)?;
    let daemon = place.start().await?;

    contains_all(
        &daemon.stderr(),
        &[
            "broken.yaml:",
            "misspelt.yaml:9:7",
            "eventSourceNmae",
            "eventSourceName",
            "undeclared.yaml:",
            "build-complete",
        ],
    )?;
    let status = daemon.status().await?;
    ensure!(status.sensors == 1, "{} sensors are in force", status.sensors);
    invalid(&status, "ci/misspelt")?;
    invalid(&status, "ci/undeclared")?;
    goes_on(&place, &daemon, "good").await
}

const TOKEN: &str = "correct-horse-battery-staple";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_requests_are_refused_counted_and_recorded() -> anyhow::Result<()> {
    let place = Place::new()?;
    let with_token = event_source(place.port)
        + "      maxPayloadSize: 2048\n      authSecret: {name: token, key: t}\n---\n"
        + "apiVersion: v1\nkind: Secret\nmetadata: {name: token, namespace: ci}\n"
        + &format!("stringData: {{t: {TOKEN}}}\n");
    place.write("event-source.yaml", &with_token)?;
    place.write("sensor.yaml", &workflow_sensor("deploy"))?;
    let daemon = place.start().await?;
    let bearer = format!("Bearer {TOKEN}");
    let wrong = format!("Bearer {TOKEN}x");
    let large = vec![b'1'; 2049];
    let cases: [(&str, &[u8], u16, &str); 5] = [
        (&bearer, b"no JSON", 400, "body is not JSON"),
        (&bearer, b"{\"a\": 1", 400, "body is not JSON"),
        (&bearer, &large, 400, "body too large"),
        (&wrong, b"{}", 401, "unauthorized"),
        ("", b"{}", 401, "unauthorized"),
    ];
    for (authorization, body, status, reason) in cases {
        let headers = [("authorization", authorization)];
        let answer = post(place.webhook(), "/builds", &headers, body).await?;
        ensure!(answer.status == status, "{reason}: answered {answer:?}");
    }
    ensure!(daemon.metric("argo_events_events_processing_failed_total").await? == 5.0);
    let headers = [("authorization", bearer.as_str())];
    let answer = post(place.webhook(), "/builds", &headers, &completed("good")).await?;
    ensure!(answer.status == 200, "{answer:?}");
    daemon.settled(SOON).await?;
    ensure!(workflows(&daemon).await?.len() == 1);

    let ended = daemon.stop().await?;
    ensure!(!ended.stderr.contains(TOKEN), "the token is in the log:\n{}", ended.stderr);
    let store = Store::open(&place.data())?;
    let outcomes = store.outcomes().await?;
    for expected in ["body is not JSON", "body too large", "unauthorized"] {
        let recorded: u64 = outcomes
            .iter()
            .filter_map(|outcome| match outcome {
                OutcomeKind::Refused { reason, count, .. } if reason == expected => Some(count),
                _ => None,
            })
            .sum();
        let sent = cases.iter().filter(|(.., reason)| *reason == expected).count() as u64;
        ensure!(recorded == sent, "{expected}: {recorded} recorded of {sent}: {outcomes:#?}");
    }
    for log in tripline_bus::Log::ALL {
        for record in store.records(log).await? {
            let text = String::from_utf8_lossy(&record);
            ensure!(!text.contains(TOKEN), "the token is in the {} log: {text}", log.as_str());
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_is_empty_for_a_moment_removes_nothing() -> anyhow::Result<()> {
    let (place, daemon) = well().await?;
    goes_on(&place, &daemon, "before").await?;
    for file in ["event-source.yaml", "sensor.yaml"] {
        std::fs::remove_file(place.yaml().join(file))?;
    }
    let held = daemon.status_when("the reload is held", SOON, |s| s.held_reload.is_some()).await?;
    contains_all(&held.held_reload.unwrap_or_default(), &["2 of 2"])?;
    goes_on(&place, &daemon, "meanwhile").await?;
    place.write("event-source.yaml", &event_source(place.port))?;
    place.write("sensor.yaml", &workflow_sensor("deploy"))?;
    daemon.status_when("no reload is held", SOON, |s| s.held_reload.is_none()).await?;
    goes_on(&place, &daemon, "after").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_correlation_id_ends_in_a_workflow_that_carries_it() -> anyhow::Result<()> {
    let (place, daemon) = well().await?;
    let long = "x".repeat(5 * 1024);
    let ids = [
        "build-4711",
        "arn:aws:sns:eu-central-1:123456789012:builds:5f0c1d1e",
        &long,
        "🚀",
        "line\r\nbreak: injected",
        "-begins-and-ends-with-a-dash-",
        "h-looks-like-a-hash",
        "../../etc/passwd",
        "{{workflow.name}}",
        " ",
    ];
    for id in ids {
        let answer = post(place.webhook(), "/builds", &[], &completed(id)).await?;
        ensure!(answer.status == 200, "{id:?}: {answer:?}");
    }
    // The same where it comes in a header, percent-encoded; the body has none.
    let encoded = [("x-correlation-id", "head%0D%0Aer%F0%9F%9A%80")];
    let body = br#"{"action": "completed", "correlation_id": ""}"#;
    ensure!(post(place.webhook(), "/builds", &encoded, body).await?.status == 200);
    daemon.settled(SOON).await?;

    let found = workflows(&daemon).await?;
    ensure!(found.len() == ids.len() + 1, "{} workflows\n{}", found.len(), daemon.stderr());
    for id in ids.into_iter().chain(["head\r\ner🚀"]) {
        let annotation = &id[..id.len().min(1024)];
        let of_id = found.iter().filter(|workflow| {
            object(workflow)["metadata"]["annotations"]["tripline.dev/correlation-id"] == annotation
        });
        let [workflow] = of_id.collect::<Vec<_>>()[..] else {
            anyhow::bail!("{annotation:?} is not the annotation of one workflow: {found:#?}");
        };
        ensure!(workflow.correlation.as_str() == id);
        if !id.starts_with("head") {
            ensure!(parameter(workflow) == id, "{id:?} arrived as {:?}", parameter(workflow));
        }
        let labels = object(workflow)["metadata"]["labels"].as_object().context("no labels")?;
        for (label, value) in labels {
            ensure!(value.as_str().is_some_and(is_label_value), "{id:?}: {label} is {value}");
        }
    }
    goes_on(&place, &daemon, "good").await
}

/// What Kubernetes takes as the value of a label.
fn is_label_value(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let end = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && text.chars().all(inner)
        && end(text.chars().next())
        && end(text.chars().last())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_rendered_is_a_dead_letter_and_the_next_event_is_not() -> anyhow::Result<()>
{
    let place = Place::new()?;
    place.write("event-source.yaml", &event_source(place.port))?;
    let named = workflow_sensor("deploy")
        + "            - src:\n                dependencyName: build-completed\n"
        + "                dataKey: body.name\n              dest: metadata.name\n";
    place.write("sensor.yaml", &named)?;
    let daemon = place.start().await?;
    let event = |name: Value| {
        json!({"action": "completed", "correlation_id": "c", "name": name}).to_string().into_bytes()
    };
    for name in [json!("Not A Name!"), json!("x".repeat(100)), json!("good-name")] {
        let answer = post(place.webhook(), "/builds", &[], &event(name)).await?;
        ensure!(answer.status == 200, "{answer:?}");
    }
    let status = daemon.settled(SOON).await?;
    let found = workflows(&daemon).await?;
    let names: Vec<&str> = found.iter().map(|workflow| workflow.name.as_str()).collect();
    ensure!(names == ["good-name"], "{names:?}\n{}", daemon.stderr());
    let letters: u64 = status.dead_letters.values().sum();
    ensure!(letters == 2, "{:?}", status.dead_letters);
    contains_all(&daemon.stderr(), &["Not A Name!", "no valid name of a workflow"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_daemon_on_the_same_data_is_refused_and_the_first_goes_on() -> anyhow::Result<()> {
    let (place, daemon) = well().await?;
    let mut second = place.spawn()?;
    let ended = second.wait().await?;
    ensure!(!ended.status.success(), "it ended well:\n{}", ended.stderr);
    let pid = daemon.pid().to_string();
    contains_all(&ended.stderr, &["in use", &pid, &place.data().display().to_string()])?;
    goes_on(&place, &daemon, "good").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_filter_is_taken_up_while_a_request_is_on_its_way() -> anyhow::Result<()> {
    let (place, daemon) = well().await?;
    goes_on(&place, &daemon, "before").await?;
    let plan = daemon.status().await?.plan;

    let body = br#"{"action": "released", "correlation_id": "on-its-way"}"#;
    let head =
        format!("POST /builds HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n", body.len());
    let mut connection = Connection::open(place.webhook()).await?;
    connection.send(head.as_bytes()).await?;
    connection.send(&body[..10]).await?;
    place.write("sensor.yaml", &workflow_sensor_for("deploy", "released"))?;
    daemon.status_when("there is a new plan", SOON, |status| status.plan > plan).await?;
    connection.send(&body[10..]).await?;
    let answer = connection.answer().await?;
    ensure!(answer.status == 200, "{answer:?}");

    // By the new filter this one is nothing, and the one before was something.
    let old = post(place.webhook(), "/builds", &[], &completed("too-late")).await?;
    ensure!(old.status == 200, "{old:?}");
    daemon.settled(SOON).await?;
    let found = workflows(&daemon).await?;
    let correlations: Vec<&str> = found.iter().map(parameter).collect();
    ensure!(correlations == ["before", "on-its-way"], "{correlations:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_is_broken_leaves_the_last_good_version_in_force() -> anyhow::Result<()> {
    let (place, daemon) = well().await?;
    let broken = workflow_sensor_for("deploy", "released").replace("type: string", "type: strong");
    place.write("sensor.yaml", &broken)?;
    let status = daemon
        .status_when("the sensor is invalid", SOON, |status| !status.invalid.is_empty())
        .await?;
    ensure!(invalid(&status, "ci/deploy")?.older_in_force);
    contains_all(&daemon.stderr(), &["sensor.yaml:", "strong"])?;
    goes_on(&place, &daemon, "good").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_http_disturbs_nobody() -> anyhow::Result<()> {
    let (place, daemon) = well().await?;
    let garbage: [&[u8]; 3] = [b"\x16\x03\x01\x02\x00\x01\x00\x01", b"GARBAGE\r\n\r\n", b"POST"];
    for bytes in garbage {
        let mut connection = Connection::open(place.webhook()).await?;
        connection.send(bytes).await?;
    }
    let nowhere = post(place.webhook(), "/nowhere", &[], b"{}").await?;
    ensure!(nowhere.status == 404, "{nowhere:?}");
    let (status, _) = load::get(place.webhook(), "/builds").await?;
    ensure!(status == 400, "GET was answered {status}");
    tokio::time::timeout(Duration::from_secs(60), goes_on(&place, &daemon, "good")).await?
}
