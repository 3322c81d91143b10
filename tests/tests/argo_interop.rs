//! Argo Events' own bus beside Tripline's, with the released programs of Argo Events on it.
//!
//! Their build takes 400 seconds of CPU: only `.ci/full` runs this.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::{Value, json};
use tripline_testbed::{ArgoEvents, KubeApi};
use tripline_tests::argo_events::{Bus, NAMESPACE, sensors};
use tripline_tests::daemon::{Place, SOON};
use tripline_tests::load::post;
use tripline_tests::ports::free_port;

fn source(name: &str, port: u16) -> Value {
    let webhook =
        |endpoint: &str| json!({"port": port.to_string(), "endpoint": endpoint, "method": "POST"});
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "EventSource",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"webhook": {"completed": webhook("/completed"), "approved": webhook("/approved")}},
    })
}

async fn send(port: u16, endpoint: &str, body: Value) -> anyhow::Result<()> {
    let address = (std::net::Ipv4Addr::LOCALHOST, port).into();
    let answer = post(address, endpoint, &[], body.to_string().as_bytes()).await?;
    ensure!(answer.status == 200, "{body} was answered {answer:?}");
    Ok(())
}

/// Waits until `found` says that it has come about.
async fn until(what: &str, mut found: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let deadline = Instant::now() + 2 * SOON;
    while !found()? {
        ensure!(Instant::now() < deadline, "{what} does not come about");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_sources_and_sensors_of_both_work_together_and_a_sensor_moves() -> anyhow::Result<()>
{
    let kube = KubeApi::shared()?;
    kube.create_namespace(NAMESPACE)?;
    let bus = Bus::start()?;
    let [(deploy, of_deploy), (release, of_release), _] = sensors();
    let _deploy = ArgoEvents::sensor(&bus.nats, kube, &deploy, of_deploy)?;
    let mut running = ArgoEvents::sensor(&bus.nats, kube, &release, of_release)?;

    // Tripline's event source feeds Argo Events' sensor, which creates a workflow.
    let place = Place::new()?;
    let url = bus.nats.url();
    place.write(
        "bus.yaml",
        &format!(
            "apiVersion: tripline.dev/v1\nkind: EventBus\nmetadata: {{ name: default, namespace: {NAMESPACE} }}\nspec:\n  interop: argoEvents\n  jetstreamExotic: {{ url: \"{url}\", tls: {{ insecureSkipVerify: true }} }}\n"
        ),
    )?;
    place.write("source.yaml", &source("builds", place.port).to_string())?;
    let daemon = place.start().await?;
    send(place.port, "/completed", json!({"action": "completed", "sha": "of-tripline"})).await?;
    until("a workflow of Argo Events' sensor", || {
        let workflows = kube.workflows(NAMESPACE)?;
        Ok(workflows.iter().any(|workflow| workflow.to_string().contains("of-tripline")))
    })
    .await?;

    // Argo Events' event source feeds Argo Events' sensor, until it holds one half.
    let port = free_port();
    let _source = ArgoEvents::event_source(&bus.nats, &source("builds", port))?;
    send(port, "/completed", json!({"action": "release", "sha": "before"})).await?;
    let client = bus.client().await?;
    let deadline = Instant::now() + SOON;
    loop {
        let bucket = client.get_key_value("release").await?;
        if bucket.get("promote/build").await?.is_some_and(|value| !value.is_empty()) {
            break;
        }
        ensure!(Instant::now() < deadline, "{}", running.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    // The sensor moves. While Argo Events' runs, Tripline's waits.
    // The local target has workflows, and no objects.
    let (creates, submits) =
        (r#""k8s":{"operation":"create""#, r#""argoWorkflow":{"operation":"submit""#);
    place.write("release.yaml", &release.to_string().replace(creates, submits))?;
    until("waiting", || Ok(daemon.stderr().contains("Argo Events' sensor still runs"))).await?;
    running.stop()?;
    until("taking over", || Ok(daemon.stderr().contains("sensor argo/release is taken over")))
        .await?;
    let held = place.text(&["sensor", "argo/release"])?;
    ensure!(held.contains("build "), "{held}");

    // Argo Events' event source feeds Tripline's sensor.
    send(port, "/approved", json!({"by": "alice"})).await?;
    let mut found = Vec::new();
    until("a workflow of Tripline's sensor", || {
        found = place.lines(&["workflows", "list"])?;
        Ok(!found.is_empty())
    })
    .await?;
    let text = found[0].to_string();
    ensure!(found.len() == 1 && text.contains("before") && text.contains("alice"), "{text}");
    let of_argo = kube.workflows(NAMESPACE)?;
    let promoted = of_argo.iter().any(|workflow| workflow.to_string().contains("\"before\""));
    ensure!(!promoted, "Argo Events has done it too: {of_argo:?}");
    Ok(())
}
