//! What the doctor finds, with real ports, directories and processes.

use std::net::TcpListener;

use tripline_config::Input;

use super::{Report, Verdict, examine};
use crate::daemon::Options;
use crate::daemon::targets::TargetChoice;

struct Patient {
    folder: tempfile::TempDir,
    options: Options,
}

impl Patient {
    fn new(yaml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let inputs = vec![Input::text("all.yaml", yaml.as_bytes())];
        let options = Options::new(inputs, folder.path().join("data"));
        Self { folder, options }
    }

    async fn examined(&self) -> Report {
        let _already = rustls::crypto::ring::default_provider().install_default();
        examine(self.options.clone()).await.unwrap()
    }
}

/// What was said of whatever has `about` in its name, with its verdict.
fn said(report: &Report, about: &str) -> Vec<(Verdict, String)> {
    let of = report.answers.iter().filter(|a| format!("{} {}", a.about, a.subject).contains(about));
    of.map(|answer| (answer.finding.verdict, answer.finding.said.clone())).collect()
}

fn webhook(port: u16) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: EventSource\nmetadata: {{name: builds, namespace: ci}}\n\
         spec: {{webhook: {{done: {{endpoint: /done, port: \"{port}\"}}}}}}\n"
    )
}

#[tokio::test]
async fn a_port_that_another_program_has_is_told_and_a_free_one_is_good() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let patient = Patient::new(&webhook(port));
    let report = patient.examined().await;
    let found = said(&report, &format!("webhooks of port {port}"));
    assert_eq!(found[0].0, Verdict::Wrong, "{report:?}");
    assert!(found[0].1.contains("another program listens"), "{report:?}");
    assert!(!report.is_good());
    drop(taken);
    let report = patient.examined().await;
    assert!(report.is_good(), "{report:?}");
    assert!(!patient.folder.path().join("data").exists(), "nothing is made");
}

#[tokio::test]
async fn a_data_directory_that_is_a_file_cannot_be_used() {
    let mut patient = Patient::new(&webhook(1));
    patient.options.inputs.clear();
    let file = patient.folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    patient.options.data = file;
    let report = patient.examined().await;
    assert_eq!(said(&report, "data directory")[0].0, Verdict::Wrong, "{report:?}");
}

#[tokio::test]
async fn mistakes_in_files_are_counted() {
    let report =
        Patient::new("apiVersion: argoproj.io/v1alpha1\nkind: Sensor\nmetadata: {name: s}\n")
            .examined()
            .await;
    let found = said(&report, "files");
    assert_eq!(found[0].0, Verdict::Wrong);
    assert!(found[0].1.contains("1 mistakes") && found[0].1.contains("TL0502"), "{found:?}");
}

#[cfg(feature = "pubsub")]
#[tokio::test]
async fn an_upstream_is_asked_as_its_event_source_would() {
    let server = tripline_testbed::PubSub::start().unwrap();
    server.create_topic("builds").unwrap();
    server.create_subscription("there", "builds").unwrap();
    let event = |name: &str, subscription: &str| {
        format!(
            "    {name}: {{projectID: {}, subscriptionID: {subscription}, endpoint: \"http://{}\"}}\n",
            server.project(),
            server.host()
        )
    };
    let yaml = "apiVersion: tripline.dev/v1\nkind: EventSource\nmetadata: {name: builds, namespace: ci}\nspec:\n  pubSub:\n"
        .to_owned()
        + &event("good", "there")
        + &event("bad", "gone")
        + "    real: {projectID: p, subscriptionID: s, credentialSecret: {name: google, key: key.json}}\n";
    let mut patient = Patient::new(&yaml);
    let report = patient.examined().await;
    assert_eq!(said(&report, "ci/builds/good")[0].0, Verdict::Good, "{report:?}");
    let bad = said(&report, "ci/builds/bad").remove(0);
    assert!(bad.0 == Verdict::Wrong && bad.1.contains("does not exist: create it"), "{report:?}");
    let real = said(&report, "ci/builds/real");
    assert_eq!(real[0].0, Verdict::Wrong, "its secret is missing: {report:?}");
    assert_eq!(real[1].0, Verdict::Note, "{report:?}");
    assert!(real[1].1.contains("--target local"), "{report:?}");
    patient.options.targets =
        TargetChoice { default: Some("local".into()), ..TargetChoice::default() };
    let report = patient.examined().await;
    assert_eq!(said(&report, "ci/builds/real").len(), 1, "{report:?}");
}

#[cfg(feature = "jetstream")]
#[tokio::test]
async fn a_server_of_the_event_bus_is_asked() {
    let mut patient = Patient::new("");
    patient.options.inputs.clear();
    patient.options.bus.nats = Some("nats://user:hunter2@127.0.0.1:1".into());
    let report = patient.examined().await;
    let found = said(&report, "event bus JetStream at nats://127.0.0.1:1");
    assert_eq!(found[0].0, Verdict::Wrong, "{report:?}");
    assert!(!format!("{report:?}").contains("hunter2"), "{report:?}");
}

#[cfg(feature = "kubernetes")]
#[tokio::test]
async fn a_sensor_whose_cluster_nobody_describes_is_told() {
    let yaml = "\
apiVersion: tripline.dev/v1
kind: Sensor
metadata: {name: deploy, namespace: ci}
spec:
  dependencies: [{name: a, eventSourceName: builds, eventName: done}]
  triggers:
    - clusters: [prod]
      template:
        name: submit
        argoWorkflow:
          operation: submit
          source: {resource: {apiVersion: argoproj.io/v1alpha1, kind: Workflow, metadata: {generateName: d-}}}
";
    let report = Patient::new(yaml).examined().await;
    let found = said(&report, "sensor ci/deploy in cluster prod");
    assert_eq!(found[0].0, Verdict::Wrong, "{report:?}");
    assert!(found[0].1.contains("--context prod"), "{report:?}");
}
