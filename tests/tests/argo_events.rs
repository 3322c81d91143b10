//! `tripline shadow` beside the released programs of Argo Events, while they run.
//!
//! Their build takes 400 seconds of CPU: only `.ci/full` runs this. With `TRIPLINE_BLESS` it writes
//! the recording anew that `shadow` puts back.

use anyhow::{Context, ensure};
use serde_json::Value;
use tripline_testbed::KubeApi;
use tripline_tests::argo_events::{NAMESPACE, Recording, play, sensors_yaml};
use tripline_tests::daemon::Place;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_tripline_would_do_is_what_argo_events_does() -> anyhow::Result<()> {
    let kube = KubeApi::shared()?;
    let running = play(kube).await?;
    let bus = &running.bus;
    let place = Place::new()?;
    place.write("sensors.yaml", &sensors_yaml())?;
    let kubeconfig = place.yaml().join(".kubeconfig");
    std::fs::write(&kubeconfig, kube.admin().text())?;
    let (yaml, url) = (place.yaml().display().to_string(), bus.nats.url());
    let before = bus.everything()?;
    let mut command = place.command(&["shadow", &yaml, "--nats", &url, "-n", NAMESPACE])?;
    command.args(["--nats-any-server", "--settle", "0s", "--output", "json"]);
    let output = command.env("KUBECONFIG", &kubeconfig).output()?;
    let text = String::from_utf8([output.stdout, output.stderr].concat())?;
    println!("argo events: {text}");
    ensure!(output.status.code() == Some(0), "it ended with {}: {text}", output.status);
    let after = bus.everything()?;
    ensure!(after == before, "before {before:#}\nafter {after:#}");

    let report: Value = serde_json::from_str(&text).context(text)?;
    let triggers = report["sensors"].as_array().into_iter().flatten();
    let triggers = triggers.flat_map(|sensor| sensor["triggers"].as_array().into_iter().flatten());
    let equal: Vec<(&str, u64)> =
        triggers.filter_map(|of| Some((of["trigger"].as_str()?, of["equal"].as_u64()?))).collect();
    let expected = [("submit", 32), ("note", 0), ("nightly", 0), ("promote", 3)];
    ensure!(equal == expected, "{report:#}");
    if std::env::var_os("TRIPLINE_BLESS").is_some() {
        Recording::of(bus, kube).await?.keep()?;
    }
    Ok(())
}
