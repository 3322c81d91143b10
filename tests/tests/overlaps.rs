//! `overlap` of triggers that events fire: what runs in a real cluster makes room for what is
//! newer, over a kill of the daemon too; in the local target there is nothing to be stopped.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tripline_testbed::{KubeApi, Subject};
use tripline_tests::daemon::{Daemon, Place, SOON};
use tripline_tests::load::post;
use tripline_tests::resources::event_source;
use tripline_tests::tenant::{SERVICE_ACCOUNT, Tenant, first_parameter, sensor};

/// How often it is looked whether something has come about.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long it may take on a machine that is busy otherwise.
const WITHIN: Duration = Duration::from_secs(60);

/// The sensor of a tenant, with this policy for the events of a service.
fn with_overlap(namespace: &str, name: &str, overlap: &str) -> String {
    let unchanged = sensor(namespace, name, "builds", "dataKey: body.build");
    let fields = format!(
        "    - overlap: {overlap}\n      key: body.service\n      template:\n        name: deploy-workflow"
    );
    unchanged
        .replace("apiVersion: argoproj.io/v1alpha1\nkind: Sensor", "apiVersion: tripline.dev/v1\nkind: Sensor")
        .replace("    - template:\n        name: deploy-workflow", &fields)
        .replace(
            "eventName: completed\n",
            &format!("eventName: completed\n      filters: {{data: [{{path: body.to, type: string, value: [{name}]}}]}}\n"),
        )
}

/// A build of a service, which is for one sensor.
async fn build(place: &Place, to: &str, service: &str, build: &str) -> anyhow::Result<()> {
    let body = json!({"to": to, "service": service, "build": build}).to_string();
    let headers = [("content-type", "application/json")];
    let answer = post(place.webhook(), "/builds", &headers, body.as_bytes()).await?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(())
}

/// A daemon whose sensors submit into a namespace of a cluster.
struct World {
    tenant: Tenant<'static>,
    place: Place,
    daemon: Option<Daemon>,
}

impl World {
    async fn new(namespace: &str, sensors: &str) -> anyhow::Result<Self> {
        let tenant = Tenant::new(KubeApi::shared()?, namespace)?;
        let changes = json!([{
            "apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["get", "update"],
        }]);
        let account = Subject::ServiceAccount(namespace, SERVICE_ACCOUNT);
        tenant.kube.grant(namespace, account, &changes)?;
        let place = Place::new()?;
        let mapped = format!("for: [{{ namespace: {namespace} }}]");
        place
            .write("cluster.yaml", &tenant.cluster("build", tenant.kube.address(), &[&mapped])?)?;
        let source =
            event_source(place.port).replace("namespace: ci", &format!("namespace: {namespace}"));
        place.write("source.yaml", &source)?;
        place.write("sensors.yaml", sensors)?;
        let daemon = Some(place.start().await?);
        Ok(Self { tenant, place, daemon })
    }

    /// Waits for what holds of a sensor's workflows: for each its build, and how it is to end.
    async fn workflows(&self, sensor: &str, expected: &[(&str, &str)]) -> anyhow::Result<()> {
        let deadline = Instant::now() + WITHIN;
        loop {
            let workflows = self.tenant.workflows(sensor)?;
            let found = workflows.iter().map(|one| {
                let shutdown = one.pointer("/spec/shutdown").and_then(Value::as_str);
                Ok((first_parameter(one)?, shutdown.unwrap_or_default().to_owned()))
            });
            let mut found: Vec<(String, String)> = found.collect::<anyhow::Result<_>>()?;
            found.sort();
            if found.iter().map(|(a, b)| (a.as_str(), b.as_str())).eq(expected.iter().copied()) {
                return Ok(());
            }
            let said = self.daemon.as_ref().map(Daemon::stderr).unwrap_or_default();
            ensure!(Instant::now() < deadline, "{sensor}: {found:?}, not {expected:?}\n{said}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn ends(&self, sensor: &str, build: &str) -> anyhow::Result<()> {
        let workflows = self.tenant.workflows(sensor)?;
        let of = |one: &&Value| first_parameter(one).is_ok_and(|parameter| parameter == build);
        let workflow = workflows.iter().find(of).context("it was there")?;
        let name = workflow.pointer("/metadata/name").and_then(Value::as_str).context("a name")?;
        self.tenant.kube.set_phase(&self.tenant.namespace, name, "Failed")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_workflow_before_is_stopped_and_the_newest_follows_its_end_over_a_kill_too()
-> anyhow::Result<()> {
    let namespace = "overlaps";
    let sensors = with_overlap(namespace, "gently", "CancelOther")
        + "---\n"
        + &with_overlap(namespace, "atonce", "TerminateOther");
    let mut world = World::new(namespace, &sensors).await?;
    for (sensor, how) in [("gently", "Stop"), ("atonce", "Terminate")] {
        build(&world.place, sensor, "shop", "b-1").await?;
        world.workflows(sensor, &[("b-1", "")]).await?;
        build(&world.place, sensor, "shop", "b-2").await?;
        world.workflows(sensor, &[("b-1", how)]).await?;
        // Another service is another lane; of those that wait the newest follows.
        for (service, number) in [("mail", "a-1"), ("shop", "b-3")] {
            build(&world.place, sensor, service, number).await?;
        }
        world.workflows(sensor, &[("a-1", ""), ("b-1", how)]).await?;
        world.daemon.take().context("it runs")?.kill()?;
        world.daemon = Some(world.place.start().await?);
        world.ends(sensor, "b-1")?;
        world.workflows(sensor, &[("a-1", ""), ("b-1", how), ("b-3", "")]).await?;
    }
    world.daemon.as_ref().context("it runs")?.settled(SOON).await?;
    let letters = world.place.lines(&["dlq", "list"])?;
    ensure!(letters.is_empty(), "{letters:#?}");
    Ok(())
}

/// What is recorded there counts as over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_local_target_one_follows_the_other() -> anyhow::Result<()> {
    let place = Place::new()?;
    place.write("source.yaml", &event_source(place.port))?;
    place.write("sensor.yaml", &with_overlap("ci", "gently", "CancelOther"))?;
    let daemon = place.start().await?;
    let builds = ["b-1", "b-2", "b-3"];
    for one in builds {
        build(&place, "gently", "shop", one).await?;
        daemon.settled(SOON).await?;
    }
    let mut found = Vec::new();
    for workflow in place.lines(&["workflows", "list"])? {
        found.push(first_parameter(&workflow["object"])?);
    }
    found.sort();
    ensure!(found == builds, "{found:?}");
    Ok(())
}
