//! `tripline test`, `backtest` and `import`, as they are typed: against the real program, a
//! real daemon, and a real API server.

use std::process::Output;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tripline_testbed::KubeApi;
use tripline_tests::daemon::{Daemon, Place, SOON};
use tripline_tests::docs::{Page, root};
use tripline_tests::load::post;
use tripline_tests::resources::{event_source, workflow_sensor, workflow_sensor_for};

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

fn run(place: &Place, arguments: &[&str]) -> anyhow::Result<Ran> {
    let mut command = place.command(arguments)?;
    let Output { status, stdout, stderr } =
        command.env("TRIPLINE_DATA", place.data()).current_dir(place.yaml()).output()?;
    let (out, err) = (String::from_utf8(stdout)?, String::from_utf8(stderr)?);
    Ok(Ran { code: status.code(), out, err })
}

impl Ran {
    fn ends_with(self, code: i32) -> anyhow::Result<Self> {
        ensure!(self.code == Some(code), "{:?}, not {code}:\n{}{}", self.code, self.out, self.err);
        Ok(self)
    }

    fn says(&self, words: &str) -> anyhow::Result<()> {
        ensure!(
            self.out.contains(words) || self.err.contains(words),
            "no `{words}`:\n{}{}",
            self.out,
            self.err
        );
        Ok(())
    }

    fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&self.out).with_context(|| self.out.clone())
    }
}

/// A daemon with the event source `builds` and the sensor `deploy`.
async fn with_daemon() -> anyhow::Result<(Place, Daemon)> {
    let place = Place::new()?;
    place.write("event-source.yaml", &event_source(place.port))?;
    place.write("sensor.yaml", &workflow_sensor("deploy"))?;
    let daemon = place.start().await?;
    Ok((place, daemon))
}

async fn send(place: &Place, body: &Value) -> anyhow::Result<()> {
    let headers = [("Authorization", "Bearer s3cret-1"), ("X-Api-Key", "s3cret-2")];
    let answer = post(place.webhook(), "/builds", &headers, body.to_string().as_bytes()).await?;
    ensure!(answer.status == 200, "{body} was answered {answer:?}");
    Ok(())
}

/// A test of the sensor `deploy` that expects this of a build that completed.
fn test_of(expect: &str) -> String {
    format!(
        "apiVersion: tripline.dev/v1\nkind: SensorTest\nmetadata: {{name: deploy, namespace: ci}}\n\
         spec:\n  sensor: deploy\n  cases:\n    - name: a build\n      \
         given: [{{event: builds/completed, body: {{action: completed, correlation_id: b-1}}}}]\n      expect: {expect}\n"
    )
}

#[test]
fn a_test_ends_with_the_code_that_says_what_it_found() -> anyhow::Result<()> {
    let place = Place::new()?;
    place.write("sensor.yaml", &workflow_sensor("deploy"))?;
    place.write("test.yaml", &test_of("deploy-workflow"))?;
    let ran = run(&place, &["test", ".", "--junit", "report.xml"])?.ends_with(0)?;
    ran.says("1 case: 1 passed, 0 failed")?;
    let report = std::fs::read_to_string(place.yaml().join("report.xml"))?;
    ensure!(report.contains(r#"tests="1" failures="0""#), "{report}");

    place.write("test.yaml", &test_of("nothing"))?;
    let ran = run(&place, &["test", ".", "--junit", "report.xml"])?.ends_with(1)?;
    ran.says("got       deploy-workflow of deploy fires once")?;
    let report = std::fs::read_to_string(place.yaml().join("report.xml"))?;
    ensure!(report.contains("<failure message="), "{report}");
    let result = run(&place, &["test", ".", "--output", "json"])?.ends_with(1)?.json()?;
    ensure!(result["passed"] == false && result["case"] == "a build", "{result}");

    place.write("test.yaml", &test_of("deploy-werkflow"))?;
    run(&place, &["test", "."])?.ends_with(2)?.says("there is no trigger `deploy-werkflow`")?;
    run(&place, &["test", "sensor.yaml"])?.ends_with(2)?.says("no SensorTest")?;
    run(&place, &["check", "."])?.ends_with(1)?.says("TL0550")
}

#[test]
fn a_starter_has_a_test_that_passes() -> anyhow::Result<()> {
    let place = Place::new()?;
    run(&place, &["init"])?.ends_with(0)?.says("sensor-test.yaml")?;
    run(&place, &["check", "."])?.ends_with(0)?.says("3 cases to run with `tripline test`")?;
    run(&place, &["test", "."])?.ends_with(0)?.says("3 cases: 3 passed")
}

#[test]
fn the_page_of_tests_shows_the_test_of_the_example() {
    let file = root().join("examples/build-then-deploy/sensor-test.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    let page = Page::read(std::path::Path::new("docs/testing.md")).unwrap();
    let wanted = format!("<!-- test: refused TL0550 -->\n```yaml\n{text}```\n");
    page.is_up_to_date("example", &wanted, str::to_owned).unwrap();
}

/// What is written is a test that passes on the same sensors, and holds no secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_is_written_from_what_happened() -> anyhow::Result<()> {
    let (place, daemon) = with_daemon().await?;
    send(
        &place,
        &json!({"action": "completed", "correlation_id": "build-1", "password": "s3cret-3"}),
    )
    .await?;
    send(&place, &json!({"action": "failed", "correlation_id": "build-2"})).await?;
    daemon.settled(SOON).await?;
    let workflow = run(&place, &["workflows", "list", "--output", "json"])?.json()?;
    let workflow = workflow["object"]["metadata"]["name"].as_str().context("no name")?.to_owned();
    for (handle, expected) in [
        ("build-1", "trigger: deploy-workflow"),
        (workflow.as_str(), "trigger: deploy-workflow"),
        ("build-2", "expect: nothing"),
    ] {
        let ran = run(&place, &["test", "--record", handle])?.ends_with(0)?;
        ran.says(expected)?;
        ensure!(!ran.out.contains("s3cret"), "{}", ran.out);
        place.write("recorded.yaml", &ran.out)?;
        run(&place, &["test", "sensor.yaml", "recorded.yaml"])?.ends_with(0)?.says("1 passed")?;
        // And it would notice.
        place.write("other.yaml", &workflow_sensor_for("deploy", "failed"))?;
        run(&place, &["test", "other.yaml", "recorded.yaml"])?.ends_with(1)?;
        std::fs::remove_file(place.yaml().join("other.yaml"))?;
        std::fs::remove_file(place.yaml().join("recorded.yaml"))?;
    }
    run(&place, &["test", "--record", "build-3"])?
        .ends_with(4)?
        .says("no record holds `build-3`")?;
    ensure!(daemon.stop().await?.status.success());
    // The same from the data directory, when nobody runs on it.
    run(&place, &["test", "--record", "build-1"])?.ends_with(0)?.says("trigger: deploy-workflow")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backtest_asks_a_daemon_and_a_directory_alike() -> anyhow::Result<()> {
    let (place, daemon) = with_daemon().await?;
    for action in ["completed", "failed", "failed", "other"] {
        send(&place, &json!({"action": action})).await?;
    }
    daemon.settled(SOON).await?;
    let changed = place.yaml().join(".changed.yaml");
    std::fs::write(&changed, workflow_sensor_for("deploy", "failed"))?;
    let changed = changed.to_str().context("no path")?;
    let compare = |more: &[&str]| {
        let first = ["backtest", changed, "--output", "json"];
        run(&place, &[&first, more].concat())
    };
    let counts = |report: &Value| {
        let sensor = &report["sensors"][0];
        ["same", "fired", "lost", "changed"].map(|kind| sensor[kind].as_u64().unwrap_or(99))
    };
    let of_daemon = compare(&[])?.ends_with(0)?.json()?;
    ensure!(counts(&of_daemon) == [0, 2, 1, 0], "{of_daemon}");
    ensure!(of_daemon["events"] == 4, "{of_daemon}");
    compare(&["--budget", "fired=2,lost=1"])?.ends_with(0)?;
    compare(&["--budget", "2"])?.ends_with(1)?.says("over the budget: differences: 3")?;
    compare(&["--sensor", "other"])?.ends_with(4)?;
    compare(&["--since", "2001-01-01T00:00:00Z"])?.ends_with(0)?.says("the log begins at")?;
    let status = daemon.status().await?;
    ensure!(daemon.stop().await?.status.success());
    let of_directory = compare(&[])?.ends_with(0)?.json()?;
    ensure!(counts(&of_directory) == counts(&of_daemon), "{of_directory}");
    // Nothing was written: the same records as before the daemon stopped, but for its own.
    let actions = |logs: &[tripline::query::LogExtent]| {
        logs.iter().find(|log| log.log == "actions").map(|log| log.records)
    };
    ensure!(actions(&status.logs) == Some(1), "{:?}", status.logs);
    let read: tripline::control::Status =
        serde_json::from_value(run(&place, &["status", "--output", "json"])?.json()?)?;
    ensure!(actions(&read.logs) == Some(1), "{:?}", read.logs);
    Ok(())
}

/// A resource of Argo Events, as far as an API server must know it.
fn crd(plural: &str, kind: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.argoproj.io")},
        "spec": {
            "group": "argoproj.io",
            "names": {"kind": kind, "plural": plural},
            "scope": "Namespaced",
            "versions": [{"name": "v1alpha1", "served": true, "storage": true, "schema": {
                "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            }}],
        },
    })
}

/// Creates an object as soon as the API server serves its kind.
fn create(api: &KubeApi, plural: &str, object: &Value) -> anyhow::Result<()> {
    let path = format!("/apis/argoproj.io/v1alpha1/namespaces/argo-import/{plural}");
    let deadline = std::time::Instant::now() + SOON;
    loop {
        match api.create(&path, object) {
            Ok(_) => return Ok(()),
            Err(error) => ensure!(std::time::Instant::now() < deadline, "{plural}: {error:#}"),
        }
    }
}

#[test]
fn an_import_reads_the_objects_of_a_cluster() -> anyhow::Result<()> {
    let api = KubeApi::shared()?;
    let place = Place::new()?;
    let kubeconfig = place.yaml().join(".kubeconfig");
    std::fs::write(&kubeconfig, api.admin().text())?;
    let import = |namespace: &str| -> anyhow::Result<Ran> {
        let arguments = ["import", "--context", "testbed", "-n", namespace, "--output", "json"];
        let mut command = place.command(&arguments)?;
        let output = command.env("KUBECONFIG", &kubeconfig).output()?;
        let (out, err) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        Ok(Ran { code: output.status.code(), out, err })
    };
    // A cluster without Argo Events has none of its objects, and says so.
    api.create_namespace("argo-import")?;
    import("argo-import")?.ends_with(4)?;

    for (plural, kind) in
        [("eventsources", "EventSource"), ("sensors", "Sensor"), ("eventbus", "EventBus")]
    {
        api.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &crd(plural, kind))?;
    }
    let object = |kind: &str, spec: Value| json!({"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "metadata": {"name": "builds"}, "spec": spec});
    let webhook =
        json!({"webhook": {"completed": {"port": "12000", "endpoint": "/b", "method": "POST"}}});
    create(api, "eventsources", &object("EventSource", webhook))?;
    let sensor = json!({
        "template": {"serviceAccountName": "robot"},
        "dependencies": [{"name": "a", "eventSourceName": "builds", "eventName": "completed"}],
        "triggers": [{"template": {"name": "t", "log": {}}}],
    });
    create(api, "sensors", &object("Sensor", sensor))?;
    create(api, "eventbus", &object("EventBus", json!({"nats": {"native": {}}})))?;
    let report = import("argo-import")?.ends_with(1)?.json()?;
    let verdicts = json!({"unchanged": 1, "differs": 0, "toDo": 1, "unsupported": 1});
    ensure!(report["verdicts"] == verdicts, "{report:#}");
    let places: Vec<&str> = report["objects"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|object| object["place"].as_str())
        .collect();
    ensure!(places.iter().all(|place| place.starts_with("testbed/argo-import/")), "{places:?}");
    for (plural, _) in [("eventsources", 0), ("sensors", 0)] {
        let path = format!("/apis/argoproj.io/v1alpha1/namespaces/argo-import/{plural}");
        ensure!(api.list(&path)?.len() == 1, "it only reads");
    }
    Ok(())
}
