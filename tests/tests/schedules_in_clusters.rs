//! CronWorkflows and Schedules whose workflows are in a real cluster: those that are to make
//! room are stopped there, those that have ended and are beyond the limits are removed, and a
//! daemon that is killed between a tick and its workflow makes no tick twice and loses none.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tripline_testbed::{KubeApi, Nats, NatsConfig, Subject};
use tripline_tests::daemon::{Daemon, Place, SOON};
use tripline_tests::tenant::{Tenant, sensor};

/// How often it is looked whether something has come about.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long it may take on a machine that is busy otherwise.
const WITHIN: Duration = Duration::from_secs(60);
/// How long a tick of every minute may be waited for.
const A_MINUTE: Duration = Duration::from_secs(60 + 60);

/// A daemon whose schedules submit into a namespace of a cluster.
struct World {
    tenant: Tenant<'static>,
    place: Place,
    daemon: Option<Daemon>,
}

impl World {
    async fn new(namespace: &str, yaml: &str, bus: Option<&Nats>) -> anyhow::Result<Self> {
        let tenant = Tenant::new(KubeApi::shared()?, namespace)?;
        // What a schedule names no account for acts as the namespace's own.
        let all = json!([{
            "apiGroups": ["argoproj.io"],
            "resources": ["workflows"],
            "verbs": ["create", "get", "list", "watch", "update", "delete"],
        }]);
        tenant.kube.grant(namespace, Subject::ServiceAccount(namespace, "default"), &all)?;
        let mut place = Place::new()?;
        if let Some(nats) = bus {
            place.arguments.extend(["--nats".to_owned(), nats.url()]);
        }
        let mapped = format!("for: [{{ namespace: {namespace} }}]");
        let cluster = tenant.cluster("build", tenant.kube.address(), &[&mapped])?;
        place.write("cluster.yaml", &cluster)?;
        place.write("schedules.yaml", &yaml.replace("NAMESPACE", namespace))?;
        let daemon = Some(place.start().await?);
        Ok(Self { tenant, place, daemon })
    }

    /// The workflows of a sensor: what `cronworkflow.x` or `schedule.x` has submitted.
    async fn workflows_when(
        &self,
        sensor: &str,
        what: &str,
        holds: impl Fn(&[Value]) -> bool,
    ) -> anyhow::Result<Vec<Value>> {
        let deadline = Instant::now() + WITHIN;
        loop {
            let workflows = self.tenant.workflows(sensor)?;
            if holds(&workflows) {
                return Ok(workflows);
            }
            let said = self.daemon.as_ref().map(Daemon::stderr).unwrap_or_default();
            ensure!(Instant::now() < deadline, "{sensor}: not {what}: {workflows:#?}\n{said}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// A run now; returns when so many workflows are there.
    async fn trigger(&self, name: &str, sensor: &str, count: usize) -> anyhow::Result<Vec<Value>> {
        let namespace = &self.tenant.namespace;
        self.place.text(&["schedule", "trigger", &format!("{namespace}/{name}")])?;
        self.workflows_when(sensor, &format!("{count} there"), |all| all.len() == count).await
    }

    fn ends(&self, workflow: &Value, phase: &str) -> anyhow::Result<()> {
        self.tenant.kube.set_phase(&self.tenant.namespace, &name_of(workflow)?, phase)
    }
}

fn name_of(workflow: &Value) -> anyhow::Result<String> {
    let name = workflow.pointer("/metadata/name").and_then(Value::as_str);
    name.map(str::to_owned).context("a workflow without a name")
}

fn names(workflows: &[Value]) -> anyhow::Result<BTreeSet<String>> {
    workflows.iter().map(name_of).collect()
}

fn shutdown(workflow: &Value) -> &str {
    workflow.pointer("/spec/shutdown").and_then(Value::as_str).unwrap_or_default()
}

const WORKFLOW: &str = "{entrypoint: main, templates: [{name: main, suspend: {}}]}";

fn cron_workflow(name: &str, more: &str) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: CronWorkflow\nmetadata: {{name: {name}, namespace: NAMESPACE}}\n\
         spec:\n  schedules: [\"0 0 1 1 *\"]\n{more}  workflowSpec: {WORKFLOW}\n---\n"
    )
}

fn schedule(name: &str, overlap: &str) -> String {
    format!(
        "apiVersion: tripline.dev/v1\nkind: Schedule\nmetadata: {{name: {name}, namespace: NAMESPACE}}\n\
         spec:\n  specs: [{{cronString: [\"0 0 1 1 *\"]}}]\n  policies: {{overlap: {overlap}}}\n  action:\n    argoWorkflow:\n      \
         source:\n        resource:\n          apiVersion: argoproj.io/v1alpha1\n          kind: Workflow\n          \
         metadata: {{generateName: {name}-}}\n          spec: {WORKFLOW}\n---\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replace_terminates_the_workflow_before_and_submits_the_next() -> anyhow::Result<()> {
    let yaml = cron_workflow("ingest", "  concurrencyPolicy: Replace\n");
    let world = World::new("schedules-replace", &yaml, None).await?;
    let sensor = "cronworkflow.ingest";
    let first = world.trigger("ingest", sensor, 1).await?;
    let both = world.trigger("ingest", sensor, 2).await?;
    let first = name_of(&first[0])?;
    world
        .workflows_when(sensor, "terminated", |all| {
            all.iter().all(|workflow| {
                let was_first = name_of(workflow).is_ok_and(|name| name == first);
                shutdown(workflow) == if was_first { "Terminate" } else { "" }
            })
        })
        .await?;
    ensure!(names(&both)?.len() == 2);
    Ok(())
}

/// The run is asked to stop, or stopped at once; the next one starts when it has ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_makes_room_is_stopped_in_the_cluster() -> anyhow::Result<()> {
    let yaml = schedule("gently", "CancelOther") + &schedule("atonce", "TerminateOther");
    let world = World::new("schedules-stop", &yaml, None).await?;
    for (name, expected) in [("gently", "Stop"), ("atonce", "Terminate")] {
        let sensor = format!("schedule.{name}");
        let first = world.trigger(name, &sensor, 1).await?;
        // It waits, so there is still one.
        world.trigger(name, &sensor, 1).await?;
        let stopped = |all: &[Value]| all.iter().all(|workflow| shutdown(workflow) == expected);
        world.workflows_when(&sensor, expected, stopped).await?;
        world.ends(&first[0], "Failed")?;
        let both = world.workflows_when(&sensor, "followed", |all| all.len() == 2).await?;
        let of_next =
            both.iter().find(|workflow| name_of(workflow).ok() != name_of(&first[0]).ok());
        ensure!(of_next.is_some_and(|workflow| shutdown(workflow).is_empty()), "{both:#?}");
    }
    let letters = world.place.lines(&["dlq", "list"])?;
    ensure!(letters.is_empty(), "{letters:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workflows_beyond_the_history_limits_are_removed_and_no_others() -> anyhow::Result<()> {
    let limits = "  successfulJobsHistoryLimit: 2\n  failedJobsHistoryLimit: 1\n";
    let yaml = cron_workflow("nightly", limits) + &cron_workflow("other", "");
    let world = World::new("schedules-history", &yaml, None).await?;
    let (kube, namespace) = (world.tenant.kube, &world.tenant.namespace);
    // One that Argo Workflows' own controller made of the same CronWorkflow, and one that
    // somebody made by hand and gave all labels but the action's.
    for (name, sensor) in [("of-the-controller", ""), ("by-hand", "cronworkflow.nightly")] {
        let mut labels = json!({"workflows.argoproj.io/cron-workflow": "nightly"});
        if !sensor.is_empty() {
            labels["events.argoproj.io/sensor"] = json!(sensor);
        }
        let object = json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"name": name, "labels": labels},
            "spec": {"entrypoint": "main"},
        });
        kube.create(&KubeApi::workflows_path(namespace), &object)?;
        kube.set_phase(namespace, name, "Succeeded")?;
    }
    let other = world.trigger("other", "cronworkflow.other", 1).await?;
    world.ends(&other[0], "Succeeded")?;

    let sensor = "cronworkflow.nightly";
    let count =
        |all: &[Value]| all.iter().filter(|it| name_of(it).is_ok_and(|it| it != "by-hand")).count();
    let mut run = Vec::new();
    for phase in ["Succeeded", "Failed", "Succeeded", "Succeeded", "Error", ""] {
        let namespaced = format!("{namespace}/nightly");
        world.place.text(&["schedule", "trigger", &namespaced])?;
        let known = run.clone();
        let is_new =
            |it: &Value| name_of(it).is_ok_and(|it| it != "by-hand" && !known.contains(&it));
        let all = world.workflows_when(sensor, "submitted", |all| all.iter().any(is_new)).await?;
        let workflow = all.iter().find(|it| is_new(it)).context("it was there")?;
        run.push(name_of(workflow)?);
        if !phase.is_empty() {
            world.ends(workflow, phase)?;
        }
    }
    // Two that succeeded, one that failed, and the one that runs.
    let kept = world.workflows_when(sensor, "only what is kept", |all| count(all) == 4).await?;
    let expected: BTreeSet<String> = [2, 3, 4, 5].iter().map(|at| run[*at].clone()).collect();
    let mut found = names(&kept)?;
    ensure!(found.remove("by-hand"), "{found:?}");
    ensure!(found == expected, "{found:?} of {run:?}");
    let there: BTreeSet<String> = names(&kube.workflows(namespace)?)?;
    ensure!(
        there.contains("of-the-controller") && there.contains(&name_of(&other[0])?),
        "{there:?}"
    );
    Ok(())
}

/// What a team has: an event source `calendar` with a cron expression, whose tick is a workflow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tick_of_a_cron_expression_is_a_workflow_in_the_cluster() -> anyhow::Result<()> {
    let source = "apiVersion: argoproj.io/v1alpha1\nkind: EventSource\nmetadata: {name: minutely, namespace: NAMESPACE}\n\
                  spec:\n  calendar:\n    completed: {schedule: \"* * * * *\", timezone: Europe/Zurich}\n---\n";
    let namespace = "schedules-calendar";
    let on_tick = sensor(namespace, "ticks", "minutely", "dataKey: eventTime");
    let world = World::new(namespace, &(source.to_owned() + &on_tick), None).await?;
    let deadline = Instant::now() + A_MINUTE;
    let ticks = loop {
        let ticks = world.tenant.deliveries("ticks")?;
        if !ticks.is_empty() {
            break ticks;
        }
        ensure!(Instant::now() < deadline, "no tick came");
        tokio::time::sleep(LOOK_EVERY).await;
    };
    // Of a full minute, by the nominal time that is its id.
    ensure!(ticks[0].event.contains(":00"), "{ticks:?}");
    ensure!(ticks[0].correlation.contains(":00 "), "{ticks:?}");
    Ok(())
}

/// Killed again and again, while a schedule of every second submits: each tick is one
/// workflow, whatever was cut off between its decision and its submission.
async fn no_tick_is_doubled_or_lost(namespace: &str, bus: Option<Nats>) -> anyhow::Result<()> {
    let yaml = "apiVersion: tripline.dev/v1\nkind: Schedule\nmetadata: {name: often, namespace: NAMESPACE}\n\
        spec:\n  specs: [{interval: [{interval: 1s}]}]\n  policies: {overlap: AllowAll, catchUp: all, catchUpWindow: 10m, max: 1000}\n  \
        action:\n    argoWorkflow:\n      source:\n        resource:\n          apiVersion: argoproj.io/v1alpha1\n          kind: Workflow\n          \
        metadata: {generateName: often-}\n          spec: {entrypoint: main, arguments: {parameters: [{name: at, value: \"\"}]}}\n      \
        parameters: [{src: {dependencyName: tick, dataKey: scheduledTime}, dest: spec.arguments.parameters.0.value}]\n";
    let mut world = World::new(namespace, yaml, bus.as_ref()).await?;
    let sensor = "schedule.often";
    for round in 1..=4 {
        world.workflows_when(sensor, "more", |all| all.len() >= round * 2).await?;
        if let Some(daemon) = world.daemon.take() {
            daemon.kill()?;
        }
        world.daemon = Some(world.place.start().await?);
    }
    let before = world.tenant.workflows(sensor)?.len();
    world.workflows_when(sensor, "going on", |all| all.len() > before + 2).await?;
    let name = format!("{namespace}/often");
    world.place.text(&["schedule", "pause", &name, "--note", "enough"])?;
    if let Some(daemon) = &world.daemon {
        daemon.settled(SOON).await?;
    }
    let workflows = world.tenant.workflows(sensor)?;
    let mut seconds = Vec::new();
    for workflow in &workflows {
        let at = tripline_tests::tenant::first_parameter(workflow)?;
        seconds.push(at.parse::<jiff::Timestamp>().with_context(|| at.clone())?.as_second());
    }
    seconds.sort_unstable();
    let (first, last) = (seconds[0], seconds[seconds.len() - 1]);
    let expected: Vec<i64> = (first..=last).collect();
    ensure!(seconds == expected, "not each second once: {seconds:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_double_and_lose_no_tick_on_the_embedded_bus() -> anyhow::Result<()> {
    no_tick_is_doubled_or_lost("schedules-kill", None).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_double_and_lose_no_tick_on_jetstream() -> anyhow::Result<()> {
    let config = NatsConfig::default().jetstream("sync_interval: always");
    no_tick_is_doubled_or_lost("schedules-kill-jetstream", Some(Nats::with(config)?)).await
}
