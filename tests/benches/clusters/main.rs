//! The benchmark of workflows in a cluster: `cargo bench -p tripline-tests --bench clusters`,
//! with options after `--`.
//!
//! The same objects are created in the same API server in the same run, in turns: by a bare
//! client, which does nothing else; and by the daemon, which takes a webhook for each, makes
//! it a durable event, decides a durable action and creates the workflow, as the service
//! account of its sensor or as itself.
//! API server, its store, client and daemon share the machine.

use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Parser;
use futures_util::StreamExt as _;
use kube::api::{Api, DynamicObject, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::json;
use tripline_testbed::KubeApi;
use tripline_tests::daemon::{Daemon, Place};
use tripline_tests::load::{Load, Pace};
use tripline_tests::resources::{event_source, workflow_sensor};

/// How long nothing may be created while something is left.
const QUIET: Duration = Duration::from_secs(30);
/// What the daemon is to reach of the bare client's rate.
const PART: f64 = 0.8;

/// Measures how fast workflows are created in a cluster.
#[derive(Parser)]
struct Arguments {
    /// How many workflows in each turn.
    #[arg(long, default_value_t = 5_000)]
    workflows: u64,
    /// How many requests at once: `maxInFlight`.
    #[arg(long, default_value_t = 64)]
    in_flight: usize,
    /// How often each has its turn.
    #[arg(long, default_value_t = 2)]
    turns: u32,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if !arguments.bench {
        println!("this is a benchmark: run it with `cargo bench`");
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(&arguments))
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    drop(rustls::crypto::ring::default_provider().install_default());
    let kube = KubeApi::start()?;
    kube.create_namespace("ci")?;
    let (mut bare, mut own, mut account) = (0.0, 0.0, 0.0);
    for turn in 0..arguments.turns {
        eprintln!("turn {turn}: the bare client");
        bare += by_client(&kube, arguments, turn).await?;
        eprintln!("turn {turn}: the daemon as itself");
        own += by_daemon(&kube, arguments, &format!("own-{turn}"), false).await?;
        eprintln!("turn {turn}: the daemon as the sensor's account");
        account += by_daemon(&kube, arguments, &format!("account-{turn}"), true).await?;
    }
    let turns = f64::from(arguments.turns);
    let row = |what: &str, rate: f64| {
        println!("| {what} | {:.0} | {:.0} % |", rate / turns, 100.0 * rate / bare);
    };
    println!("| {} at once | workflows/s | of the bare client |", arguments.in_flight);
    println!("| --- | ---: | ---: |");
    row("bare client", bare);
    row("webhook → workflow, as Tripline", own);
    row("webhook → workflow, as the sensor's account", account);
    ensure!(account >= PART * bare, "the daemon has less than {PART} of the bare client's rate");
    Ok(())
}

async fn by_client(kube: &KubeApi, arguments: &Arguments, turn: u32) -> anyhow::Result<f64> {
    let kubeconfig = Kubeconfig::from_yaml(&kube.admin().text())?;
    let options = KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    // What the environment says is not for the loopback.
    config.proxy_url = None;
    let client = kube::Client::try_from(config)?;
    let kind = GroupVersionKind::gvk("argoproj.io", "v1alpha1", "Workflow");
    let kind = ApiResource::from_gvk(&kind);
    let api: Api<DynamicObject> = Api::namespaced_with(client, "ci", &kind);
    let began = Instant::now();
    let creates = (0..arguments.workflows).map(|number| {
        let (api, object) = (api.clone(), object(&format!("bare-{turn}-{number}")));
        async move {
            api.create(&PostParams::default(), &serde_json::from_value(object)?)
                .await
                .map_err(anyhow::Error::from)
        }
    });
    let mut creates = futures_util::stream::iter(creates).buffer_unordered(arguments.in_flight);
    while let Some(created) = creates.next().await {
        created?;
    }
    Ok(per_second(arguments.workflows, began.elapsed()))
}

/// The same as the daemon creates, labels and all.
fn object(name: &str) -> serde_json::Value {
    let id = format!("{:032x}", name.len());
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {
            "name": name,
            "namespace": "ci",
            "labels": {
                "events.argoproj.io/sensor": "deploy",
                "events.argoproj.io/trigger": "deploy-workflow",
                "events.argoproj.io/action-timestamp": "1795230000123",
                "tripline.dev/action-id": id,
                "tripline.dev/correlation-id": name,
                "tripline.dev/event-id": name,
            },
            "annotations": {
                "tripline.dev/correlation-id": name,
                "tripline.dev/event-id": name,
                "tripline.dev/source": "ci/builds/completed",
            },
        },
        "spec": {
            "entrypoint": "deploy",
            "arguments": {"parameters": [{"name": "correlation-id", "value": name}]},
            "templates": [{
                "name": "deploy",
                "container": {"image": "registry.example.com/deployer:1"},
            }],
        },
    })
}

async fn by_daemon(
    kube: &KubeApi,
    arguments: &Arguments,
    sensor: &str,
    impersonate: bool,
) -> anyhow::Result<f64> {
    if impersonate {
        let rules = json!([{
            "apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["create", "get"],
        }]);
        let account = tripline_testbed::Subject::ServiceAccount("ci", "default");
        kube.grant("ci", account, &rules)?;
    }
    let place = Place::below(env!("CARGO_TARGET_TMPDIR").as_ref())?;
    place.write("event-source.yaml", &event_source(place.port))?;
    let in_flight = arguments.in_flight;
    let unordered = format!("    - maxInFlight: {in_flight}\n      template:\n");
    let text = workflow_sensor(sensor)
        .replace("argoproj.io/v1alpha1\nkind: Sensor", "tripline.dev/v1\nkind: Sensor")
        .replacen("    - template:\n", &unordered, 1);
    place.write("sensor.yaml", &text)?;
    let kubeconfig = kube.admin().text();
    let kubeconfig: String = kubeconfig.lines().map(|line| format!("    {line}\n")).collect();
    let cluster = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: k, namespace: ci}}\nstringData:\n  config: |\n{kubeconfig}---\n\
         apiVersion: tripline.dev/v1\nkind: Cluster\nmetadata: {{name: bench, namespace: ci}}\nspec:\n\
         \x20 kubeconfig: {{secret: {{name: k, key: config}}}}\n  maxInFlight: {in_flight}\n\
         \x20 impersonate: {impersonate}\n  for: [{{namespace: ci}}]\n"
    );
    place.write("cluster.yaml", &cluster)?;
    let daemon = place.start().await?;
    let began = Instant::now();
    let load = Load {
        address: place.webhook(),
        path: "/builds".to_owned(),
        connections: 64,
        pace: Pace::AsFastAsAnswered,
        first: 0,
        events: arguments.workflows,
        time: Duration::from_secs(600),
    };
    load.run().await?;
    has_created(&daemon, arguments.workflows).await?;
    let took = began.elapsed();
    let ended = daemon.stop().await?;
    ensure!(ended.status.success(), "{}:\n{}", ended.status, ended.stderr);
    Ok(per_second(arguments.workflows, took))
}

async fn has_created(daemon: &Daemon, workflows: u64) -> anyhow::Result<()> {
    let (mut last, mut since) = (0, Instant::now());
    loop {
        let created =
            daemon.metric("argo_events_action_triggered_total").await.unwrap_or(0.0) as u64;
        if created >= workflows {
            return Ok(());
        }
        if created > last {
            (last, since) = (created, Instant::now());
        }
        ensure!(since.elapsed() < QUIET, "{created} of {workflows}:\n{}", daemon.stderr());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn per_second(workflows: u64, took: Duration) -> f64 {
    workflows as f64 / took.as_secs_f64()
}
