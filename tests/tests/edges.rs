//! From real upstreams into a real cluster, with the real daemon: messages of the vendors' own
//! clients and ticks of a schedule, over the embedded bus and over JetStream.

use std::time::Duration;

use anyhow::ensure;
use tripline_testbed::{KubeApi, Nats, NatsConfig};
use tripline_tests::daemon::{Daemon, Place, SOON};
use tripline_tests::load::post;
use tripline_tests::resources;
use tripline_tests::tenant::{Tenant, first_parameter, sensor};
use tripline_tests::upstreams::{Upstream, Upstreams, steps};

/// How long a message may take to become a workflow on a machine that is busy otherwise.
const SUBMITTED: Duration = Duration::from_secs(30);

/// The bus that a daemon is given.
enum Bus {
    Embedded,
    JetStream(Nats),
}

impl Bus {
    fn jetstream() -> anyhow::Result<Self> {
        let config = NatsConfig::default().jetstream("sync_interval: always");
        Ok(Self::JetStream(Nats::with(config)?))
    }

    fn write(&self, place: &mut Place, namespace: &str) -> anyhow::Result<()> {
        let Self::JetStream(nats) = self else { return Ok(()) };
        let url = nats.url();
        place.write(
            "bus.yaml",
            &format!(
                "apiVersion: argoproj.io/v1alpha1\nkind: EventBus\nmetadata: {{ name: default, namespace: {namespace} }}\nspec:\n  jetstreamExotic:\n    url: {url}\n"
            ),
        )
    }
}

/// A daemon with all upstreams, whose sensors submit into a namespace of a cluster.
struct World {
    _bus: Bus,
    upstreams: Upstreams,
    tenant: Tenant<'static>,
    place: Place,
    daemon: Daemon,
}

impl World {
    async fn new(bus: Bus, namespace: &str, more: &str) -> anyhow::Result<Self> {
        let upstreams = Upstreams::start()?;
        let tenant = Tenant::new(KubeApi::shared()?, namespace)?;
        let mut place = Place::new()?;
        bus.write(&mut place, namespace)?;
        upstreams.write(&mut place, namespace)?;
        // Sensors of Argo Events name no cluster: the namespace is mapped to one.
        let mapped = format!("for: [{{ namespace: {namespace} }}]");
        place
            .write("cluster.yaml", &tenant.cluster("build", tenant.kube.address(), &[&mapped])?)?;
        for upstream in Upstream::ALL {
            let source = upstream.source();
            let text = sensor(namespace, source, source, "dataKey: body.correlation_id");
            place.write(&format!("{source}.yaml"), &text)?;
        }
        place.write("more.yaml", more)?;
        let daemon = place.start().await?;
        Ok(Self { _bus: bus, upstreams, tenant, place, daemon })
    }

    /// Sends a message, and waits for its workflow.
    async fn round(&self, upstream: Upstream, correlation: &str) -> anyhow::Result<String> {
        self.upstreams.send(upstream, &self.place, &[correlation.to_owned()]).await?;
        let submitted = self.tenant.submitted(upstream.source(), correlation, SUBMITTED).await;
        submitted.map_err(|error| error.context(self.daemon.stderr()))
    }
}

async fn each_upstream_reaches_the_cluster(bus: Bus, namespace: &str) -> anyhow::Result<()> {
    let ticks = format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: EventSource\nmetadata: {{ name: ticks, namespace: {namespace} }}\nspec:\n  calendar:\n    completed:\n      interval: 1s\n---\n"
    );
    let on_tick = sensor(namespace, "ticks", "ticks", "contextKey: correlationid");
    let world = World::new(bus, namespace, &(ticks + &on_tick)).await?;
    for upstream in Upstream::ALL {
        // A sha, one that is no label, and one in another language.
        for correlation in ["4f2a9d1", "feature/login #12", "リリース-7"] {
            world.round(upstream, correlation).await?;
        }
        let workflows = world.tenant.workflows(upstream.source())?;
        ensure!(workflows.len() == 3, "{upstream:?}: {} workflows", workflows.len());
    }
    // The id of a tick begins its chain, and is handed on as any other.
    let mut ticks = Vec::new();
    while ticks.len() < 2 {
        ticks = world.tenant.deliveries("ticks")?;
    }
    for tick in ticks {
        ensure!(tick.correlation == tick.event && !tick.event.is_empty(), "{tick:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_upstream_reaches_a_cluster_over_the_embedded_bus() -> anyhow::Result<()> {
    each_upstream_reaches_the_cluster(Bus::Embedded, "edges-embedded").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_upstream_reaches_a_cluster_over_jetstream() -> anyhow::Result<()> {
    each_upstream_reaches_the_cluster(Bus::jetstream()?, "edges-jetstream").await
}

/// Each workflow, when it runs, sends a message with its own name as the correlation id: what
/// a job knows of itself.
async fn three_hops(bus: Bus, namespace: &str) -> anyhow::Result<()> {
    let world = World::new(bus, namespace, "").await?;
    let mut handles = vec!["build-4711".to_owned()];
    for upstream in [Upstream::PubSub, Upstream::Sqs, Upstream::Webhook] {
        let name = world.round(upstream, &handles[handles.len() - 1]).await?;
        handles.push(name);
        // A workflow's name is an alias once its outcome is there.
        world.daemon.settled(SOON).await?;
    }
    for handle in &handles {
        let timeline = &world.place.lines(&["trace", handle])?[0];
        let found = (steps(timeline, "received"), steps(timeline, "succeeded"));
        ensure!(found == (3, 3), "from {handle}: {found:?}\n{timeline}");
        let text = timeline.to_string();
        for other in &handles {
            ensure!(text.contains(other.as_str()), "from {handle}: no {other} in {text}");
        }
    }
    // The label names the whole chain; the parameter is what the message said.
    for (upstream, said) in Upstream::ALL.iter().zip(&handles) {
        for workflow in world.tenant.workflows(upstream.source())? {
            let root = workflow.pointer("/metadata/labels/tripline.dev~1correlation-id");
            ensure!(root.is_some_and(|root| root == "build-4711"), "{workflow}");
            ensure!(first_parameter(&workflow)? == *said, "{workflow}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hops_are_one_timeline_from_any_of_its_ids() -> anyhow::Result<()> {
    three_hops(Bus::Embedded, "hops-embedded").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hops_are_one_timeline_over_jetstream() -> anyhow::Result<()> {
    three_hops(Bus::jetstream()?, "hops-jetstream").await
}

/// What `tripline doctor` prints of a folder, with the exit code that it is to have.
fn doctor(place: &Place, exit: i32) -> anyhow::Result<String> {
    let mut command = place.command(&["doctor"])?;
    command.arg(place.yaml()).arg("--data").arg(place.data());
    command.envs(place.environment.iter().map(|(name, value)| (name, value)));
    let output = command.output()?;
    let text = String::from_utf8(output.stdout)?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(exit), "{}:\n{text}{stderr}", output.status);
    Ok(text)
}

/// A right that a sensor's account lacks is found before anything is submitted, with what
/// grants it.
#[test]
fn the_doctor_reviews_what_sensors_may_do_in_a_real_cluster() -> anyhow::Result<()> {
    let namespace = "edges-doctor";
    let mut tenant = Tenant::new(KubeApi::shared()?, namespace)?;
    let place = Place::new()?;
    let mapped = format!("for: [{{ namespace: {namespace} }}]");
    place.write("cluster.yaml", &tenant.cluster("build", tenant.kube.address(), &[&mapped])?)?;
    let source = resources::event_source(place.port);
    let source = source.replace("namespace: ci", &format!("namespace: {namespace}"));
    place.write("event-source.yaml", &source)?;
    let sensor = sensor(namespace, "deploy", "builds", "dataKey: body.correlation_id");
    place.write("sensor.yaml", &sensor)?;

    let well = doctor(&place, 0)?;
    for expected in [
        "ok     cluster build: v1.",
        &format!("ok     sensor {namespace}/deploy in cluster build: has the rights that it needs"),
        " 0 wrong",
    ] {
        ensure!(well.contains(expected), "no {expected:?} in\n{well}");
    }

    tenant.forbid()?;
    let lacking = doctor(&place, 1)?;
    let account = format!("system:serviceaccount:{namespace}:deployer");
    for expected in [
        &format!("wrong  sensor {namespace}/deploy in cluster build: {account} may not"),
        "kind: \"Role\"",
        "\"create\"",
        "kind: \"RoleBinding\"",
    ] {
        ensure!(lacking.contains(expected), "no {expected:?} in\n{lacking}");
    }

    // What is to be changed is changed, and then nothing is wrong.
    tenant.allow()?;
    doctor(&place, 0)?;

    // A server that is not there is said as well, whatever else is.
    let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    place.write("far.yaml", &tenant.cluster("far", nowhere, &[])?)?;
    let unreached = doctor(&place, 1)?;
    ensure!(unreached.contains("wrong  cluster far: "), "{unreached}");
    Ok(())
}

/// A `filter.expression` decides before a message is an event: what it leaves out is answered
/// as if it had been taken, is counted, and is nowhere in the logs. An expression that is
/// changed counts from then on.
#[tokio::test]
async fn what_the_expression_of_an_event_source_leaves_out_is_no_event() -> anyhow::Result<()> {
    let place = Place::new()?;
    let source = |expression: &str| {
        let filter = format!("      filter:\n        expression: {expression}\n");
        resources::event_source(place.port) + &filter
    };
    place.write(
        "event-source.yaml",
        &source("body.size > 10 && body.ref startsWith \"refs/heads/\""),
    )?;
    place.write("sensor.yaml", &resources::workflow_sensor("deploy"))?;
    let daemon = place.start().await?;
    let send = async |correlation: &str, size: u32, reference: &str| {
        let body = serde_json::json!({
            "action": "completed", "correlation_id": correlation, "size": size, "ref": reference,
        });
        let answer = post(place.webhook(), "/builds", &[], body.to_string().as_bytes()).await?;
        ensure!(answer.status == 200, "{answer:?}");
        anyhow::Ok(())
    };
    let correlations = || -> anyhow::Result<Vec<String>> {
        let events = place.lines(&["events"])?;
        let of = |event: &serde_json::Value| {
            let text = event.to_string();
            let at = text.find("chain-")?;
            Some(
                text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect(),
            )
        };
        Ok(events.iter().filter_map(of).collect())
    };
    send("chain-small", 10, "refs/heads/main").await?;
    send("chain-tag", 11, "refs/tags/v1").await?;
    send("chain-taken", 11, "refs/heads/main").await?;
    daemon.settled(SOON).await?;
    ensure!(correlations()? == ["chain-taken"], "{:?}", correlations());
    ensure!(daemon.metric("tripline_events_left_out_total").await? == 2.0);
    ensure!(place.lines(&["workflows", "list"])?.len() == 1);

    place.write("event-source.yaml", &source("body.ref startsWith \"refs/tags/\""))?;
    place.text(&["reload"])?;
    send("chain-branch", 11, "refs/heads/main").await?;
    send("chain-release", 1, "refs/tags/v2").await?;
    daemon.settled(SOON).await?;
    ensure!(correlations()? == ["chain-taken", "chain-release"], "{:?}", correlations());
    Ok(())
}
