//! `tripline shadow` as it is typed: on a recording of what the released programs of Argo Events
//! left on their bus and in a cluster, put back into a real nats-server and a real API server.

use std::path::Path;
use std::process::Output;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tripline_testbed::KubeApi;
use tripline_tests::argo_events::{ACTED_AT, Bus, NAMESPACE, Recording, acted_at, sensors_yaml};
use tripline_tests::daemon::Place;
use tripline_tests::docs::{Page, steady};

/// A bus and a namespace with what the recording has.
struct World {
    bus: Bus,
    kube: &'static KubeApi,
    namespace: String,
    place: Place,
}

/// The recording, as if everything had been in this namespace.
fn moved(namespace: &str) -> anyhow::Result<Recording> {
    let mut recording = Recording::kept()?;
    for workflow in &mut recording.workflows {
        workflow["metadata"]["namespace"] = namespace.into();
        for set_by_server in ["uid", "resourceVersion", "creationTimestamp", "generation"] {
            workflow["metadata"].as_object_mut().context("no metadata")?.remove(set_by_server);
        }
    }
    Ok(recording)
}

impl World {
    /// As it was recorded, but for what `change` does to the workflows; `waiting` messages of
    /// each consumer are not acknowledged yet.
    async fn new(
        namespace: &str,
        waiting: usize,
        change: impl FnOnce(&mut Vec<Value>),
    ) -> anyhow::Result<Self> {
        let (bus, kube, place) = (Bus::start()?, KubeApi::shared()?, Place::new()?);
        let recording = moved(namespace)?;
        recording.put_back(&bus, waiting).await?;
        let mut workflows = recording.workflows_now(&bus).await?;
        change(&mut workflows);
        kube.create_namespace(namespace)?;
        for workflow in &workflows {
            kube.create(&KubeApi::workflows_path(namespace), workflow)?;
        }
        let here = format!("\"namespace\":\"{namespace}\"");
        let sensors = sensors_yaml().replace(&format!("\"namespace\":\"{NAMESPACE}\""), &here);
        place.write("sensors.yaml", &sensors)?;
        std::fs::write(place.yaml().join(".kubeconfig"), kube.admin().text())?;
        std::fs::write(place.yaml().join(".ca.pem"), &bus.ca)?;
        Ok(Self { bus, kube, namespace: namespace.to_owned(), place })
    }

    fn shadow(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let file = |name: &str| self.place.yaml().join(name).display().to_string();
        let (sensors, ca, url) = (file("sensors.yaml"), file(".ca.pem"), self.bus.nats.url());
        let mut command = self.place.command(&["shadow", &sensors, "--nats", &url])?;
        command.args(["-n", &self.namespace, "--settle", "0s", "--nats-ca", &ca]).args(arguments);
        Ok(command.env("KUBECONFIG", file(".kubeconfig")).output()?)
    }

    /// The report, and the exit code.
    fn report(&self, arguments: &[&str]) -> anyhow::Result<(Value, i32)> {
        let output = self.shadow(&[&["--output", "json"], arguments].concat())?;
        let text = String::from_utf8([output.stdout, output.stderr].concat())?;
        let report = serde_json::from_str(&text).with_context(|| text.clone())?;
        Ok((report, output.status.code().context("killed")?))
    }
}

fn of_trigger<'r>(report: &'r Value, name: &str) -> &'r Value {
    let sensors = report["sensors"].as_array().into_iter().flatten();
    let mut triggers = sensors.flat_map(|of| of["triggers"].as_array().into_iter().flatten());
    triggers.find(|of| of["trigger"] == name).unwrap_or(&Value::Null)
}

/// Equal, lost, different, only Argo.
fn counts(trigger: &Value) -> [Option<u64>; 4] {
    ["equal", "lost", "different", "onlyArgo"].map(|name| trigger[name].as_u64())
}

fn sha(workflow: &Value) -> &str {
    let value = workflow.pointer("/spec/arguments/parameters/0/value");
    value.and_then(Value::as_str).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_argo_events_has_done_is_what_tripline_would_do() -> anyhow::Result<()> {
    let world = World::new("shadow-equal", 0, |_| ()).await?;
    let before = world.bus.everything()?;
    let (report, code) = world.report(&[])?;
    ensure!(code == 0, "{report:#}");
    ensure!(counts(of_trigger(&report, "submit")) == [32, 0, 0, 0].map(Some), "{report:#}");
    ensure!(counts(of_trigger(&report, "promote")) == [3, 0, 0, 0].map(Some), "{report:#}");
    ensure!(counts(of_trigger(&report, "nightly")) == [0, 0, 0, 0].map(Some), "{report:#}");

    // What cannot be compared is counted with its reason.
    let reasons = &of_trigger(&report, "submit")["notCompared"];
    let early = "with an event from before Argo Events' sensor listened";
    let fails = "that would be dead letters here, and Argo Events has no workflow of either";
    ensure!(*reasons == json!({early: 2, fails: 1}), "{report:#}");
    let none = "that create no workflow: Argo Events' labels are looked for on workflows";
    ensure!(of_trigger(&report, "note")["notCompared"] == json!({none: 35}), "{report:#}");

    // What is half met is so on both sides, by the same event.
    let sensors = report["sensors"].as_array().context("no sensors")?;
    let nightly = sensors.iter().find(|of| of["sensor"]["name"] == "nightly");
    let held = &nightly.context("no sensor nightly")?["held"][0];
    ensure!(held["dependency"] == "build" && held["tripline"].is_string(), "{held}");
    ensure!(held["argoEvents"] == held["tripline"], "{held}");

    // The stream's range is said, and nothing of theirs is other than before.
    let last = report["stream"]["last"].as_u64();
    let messages = Recording::kept()?.messages.len() as u64;
    ensure!(last == Some(messages) && report["stream"]["first"] == 1, "{report:#}");
    ensure!(report["stream"]["messages"].as_u64() == last, "{report:#}");
    let after = world.bus.everything()?;
    ensure!(after == before, "before {before:#}\nafter {after:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_difference_is_found() -> anyhow::Result<()> {
    let world = World::new("shadow-differs", 0, |workflows| {
        let place = |workflows: &[Value], wanted: &str| {
            workflows.iter().position(|one| sha(one) == wanted).unwrap_or(usize::MAX)
        };
        // One is lost, one has another parameter, one is there twice, one is of no event.
        workflows.remove(place(workflows, "sha-7"));
        let other = place(workflows, "sha-11");
        workflows[other]["spec"]["arguments"]["parameters"][0]["value"] = "sha-12345".into();
        // The one that is there twice acted again a while later.
        for (from, name, sha, later) in
            [("sha-15", "submit-again", "sha-15", 500), ("sha-20", "submit-more", "nobody's", 0)]
        {
            let mut copy = workflows[place(workflows, from)].clone();
            copy["metadata"]["name"] = name.into();
            let at = acted_at(&copy).unwrap_or_default() + later;
            copy["metadata"]["labels"][ACTED_AT] = at.to_string().into();
            copy["spec"]["arguments"]["parameters"][0]["value"] = sha.into();
            workflows.push(copy);
        }
        // One by hand, without the labels of Argo Events, is none of its own.
        let mut by_hand = workflows[0].clone();
        by_hand["metadata"]["name"] = "by-hand".into();
        by_hand["metadata"]["labels"] = json!({});
        workflows.push(by_hand);
    })
    .await?;
    let (report, code) = world.report(&[])?;
    let submit = of_trigger(&report, "submit");
    ensure!(code == 1 && counts(submit) == [30, 1, 1, 2].map(Some), "{report:#}");
    ensure!(counts(of_trigger(&report, "promote")) == [3, 0, 0, 0].map(Some), "{report:#}");

    let lost = &submit["examplesLost"][0];
    let sequence = lost["sequence"].as_u64().context("no sequence")? as usize;
    let recording = Recording::kept()?;
    let message = &recording.messages[sequence - 1];
    ensure!(lost["events"][0]["id"] == message.headers["Nats-Msg-Id"].as_str(), "{lost}");
    let different = &submit["examplesDifferent"][0];
    let expected = json!([{
        "path": "spec.arguments.parameters.0.value",
        "argoEvents": "\"sha-12345\"", "tripline": "\"sha-11\"",
    }]);
    ensure!(different["differences"] == expected, "{different}");
    let mut only: Vec<_> = submit["examplesOnlyArgo"].as_array().context("none")?.clone();
    only.sort_by_key(|one| one["workflow"].to_string());
    ensure!(only[0]["workflow"] == "submit-again", "{only:?}");
    ensure!(
        only[0]["because"].as_str().is_some_and(|text| text.contains("acted twice")),
        "{only:?}"
    );
    ensure!(only[1]["workflow"] == "submit-more", "{only:?}");
    let because = only[1]["because"].as_str().context("no reason")?;
    ensure!(because.contains("no event of the stream fires it"), "{because}");

    // Text for people says the same; the page shows it.
    let output = world.shadow(&["--sensor", "deploy"])?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(output.status.code() == Some(1), "{text}");
    let page = Page::read(Path::new("docs/moving-over.md"))?;
    let shown = format!("```text\n{}```\n", text.replace(&world.namespace, "ci"));
    page.is_up_to_date("shadow", &shown, steady)?;

    // Of what was before the range, and of workflows that somebody deletes, nothing is said.
    let (report, code) = world.report(&["--since", "0s"])?;
    ensure!(code == 0 && counts(of_trigger(&report, "submit")) == [0; 4].map(Some), "{report:#}");
    let (report, _) = world.report(&["--kept", "0s"])?;
    ensure!(counts(of_trigger(&report, "submit")) == [30, 0, 1, 2].map(Some), "{report:#}");
    ensure!(world.kube.workflows(&world.namespace)?.len() == 37, "nothing was carried out");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_argo_events_has_not_come_to_is_not_lost() -> anyhow::Result<()> {
    let world = World::new("shadow-late", 8, |workflows| {
        workflows.retain(|one| sha(one) != "twice" && acted_at(one).is_some());
    })
    .await?;
    let (report, code) = world.report(&["--sensor", "deploy"])?;
    let submit = of_trigger(&report, "submit");
    ensure!(submit["lost"] == 2 && code == 1, "acknowledged before the last eight: {submit:#}");
    let world = World::new("shadow-later", 40, |workflows| {
        workflows.retain(|one| sha(one) != "twice");
    })
    .await?;
    let (report, code) = world.report(&["--sensor", "deploy"])?;
    let submit = of_trigger(&report, "submit");
    let late = "that Argo Events' sensor has not come to yet";
    ensure!(submit["notCompared"][late] == 3 && code == 0, "{submit:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_said() -> anyhow::Result<()> {
    let world = World::new("shadow-none", 0, |workflows| workflows.clear()).await?;
    let says = |arguments: &[&str], code: i32, wanted: &str| -> anyhow::Result<()> {
        let output = world.shadow(arguments)?;
        let text = String::from_utf8([output.stdout, output.stderr].concat())?;
        ensure!(output.status.code() == Some(code), "{arguments:?} {}: {text}", output.status);
        ensure!(text.contains(wanted), "{arguments:?}: {text}");
        Ok(())
    };
    says(&["--sensor", "other"], 4, "there is no sensor `other`")?;
    says(&["--context", "nowhere"], 3, "nowhere")?;
    // A server that nobody vouches for is refused, unless that is asked for.
    let (url, sensors) =
        (world.bus.nats.url(), world.place.yaml().join("sensors.yaml").display().to_string());
    let mut command = world.place.command(&["shadow", &sensors, "--nats", &url])?;
    command.args(["-n", &world.namespace]);
    let output = command.env("KUBECONFIG", world.place.yaml().join(".kubeconfig")).output()?;
    ensure!(output.status.code() == Some(3), "{output:?}");
    // A bus that is not Argo Events'.
    let empty = Bus::start()?;
    let url = empty.nats.url();
    let mut command = world.place.command(&["shadow", &sensors, "--nats", &url])?;
    command.args(["-n", &world.namespace, "--nats-any-server"]);
    let output = command.env("KUBECONFIG", world.place.yaml().join(".kubeconfig")).output()?;
    let text = String::from_utf8([output.stdout, output.stderr].concat())?;
    ensure!(output.status.code() == Some(4), "{text}");
    ensure!(text.contains("has no stream `default`"), "{text}");
    Ok(())
}
