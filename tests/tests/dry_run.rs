//! `tripline render --server-dry-run`: what a real API server says of each object that a firing
//! would create, and that none of them is created.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;
use tripline_testbed::KubeApi;
use tripline_tests::daemon::Place;
use tripline_tests::tenant::{SERVICE_ACCOUNT, Tenant};

const NAMESPACE: &str = "dry-run";
/// What the API server's own load takes until a definition is out of force.
const WITHIN: Duration = Duration::from_secs(30);

/// A sensor that does everything at once: what is good, and what goes wrong in one way each.
fn sensor() -> String {
    let workflow = |name: &str, metadata: &str| {
        format!(
            "    - template:
        name: {name}
        argoWorkflow:
          source:
            resource:
              apiVersion: argoproj.io/v1alpha1
              kind: Workflow
              metadata: {{ generateName: {name}-{metadata} }}
              spec: {{ entrypoint: main }}
"
        )
    };
    let object = |name: &str, version: &str, kind: &str| {
        format!(
            "    - template:
        name: {name}
        k8s:
          source:
            resource:
              apiVersion: {version}
              kind: {kind}
              metadata: {{ name: made }}
"
        )
    };
    format!(
        "apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {{ name: deploy, namespace: {NAMESPACE} }}
spec:
  template: {{ serviceAccountName: {SERVICE_ACCOUNT} }}
  dependencies:
    - {{ name: build, eventSourceName: builds, eventName: completed }}
  triggers:
{}{}{}{}{}    - template:
        name: tell
        http: {{ url: \"http://127.0.0.1:9/\" }}
",
        workflow("good", ""),
        workflow("invalid", ", labels: { team: \"no label\" }"),
        workflow("elsewhere", ", namespace: nowhere"),
        object("forbidden", "v1", "ConfigMap"),
        object("undefined", "example.com/v1", "Thing"),
    )
}

struct World {
    tenant: Tenant<'static>,
    place: Place,
}

impl World {
    fn new() -> anyhow::Result<Self> {
        let tenant = Tenant::new(KubeApi::shared()?, NAMESPACE)?;
        let place = Place::new()?;
        place.write("sensor.yaml", &sensor())?;
        let world = Self { tenant, place };
        std::fs::write(world.file("event.json"), r#"{"body": {}}"#)?;
        Ok(world)
    }

    /// A file beside the YAML.
    fn file(&self, name: &str) -> PathBuf {
        self.place.data().with_file_name(name)
    }

    /// `tripline render` of the files of the place, with these arguments.
    fn render(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = self.place.command(&["render"])?;
        command.arg(self.place.yaml()).arg("--event").arg(self.file("event.json"));
        command.args(arguments).env("KUBECONFIG", self.file("kubeconfig"));
        Ok(command.output()?)
    }

    /// What is said of each trigger: verdict, cause, and text.
    fn answers(&self, arguments: &[&str]) -> anyhow::Result<BTreeMap<String, [String; 3]>> {
        let output = self.render(&[arguments, &["--server-dry-run", "-o", "json"]].concat())?;
        let text = String::from_utf8(output.stdout)?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(1), "{}: {text}{stderr}", output.status);
        let answer = |line: &str| {
            let rendered: Value = serde_json::from_str(line)?;
            let trigger = rendered["trigger"].as_str().unwrap_or_default();
            let name = trigger.rsplit('/').next().unwrap_or_default().to_owned();
            let of = |field: &str| {
                rendered["serverDryRun"][field].as_str().unwrap_or_default().to_owned()
            };
            Ok((name, [of("verdict"), of("cause"), of("said")]))
        };
        text.lines().map(answer).collect::<anyhow::Result<_>>().context(text.clone())
    }

    /// Everything that could have been created.
    fn created(&self) -> anyhow::Result<Vec<Value>> {
        let kube = self.tenant.kube;
        let maps = kube.list(&format!("/api/v1/namespaces/{NAMESPACE}/configmaps"))?;
        let made = maps.into_iter().filter(|map| map["metadata"]["name"] == "made");
        Ok(made.chain(kube.workflows(NAMESPACE)?).collect())
    }
}

fn check(found: &BTreeMap<String, [String; 3]>, expected: &[(&str, [&str; 3])]) {
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (trigger, [verdict, cause, said]) in expected {
        let [was, why, text] = &found[*trigger];
        assert_eq!((was.as_str(), why.as_str()), (*verdict, *cause), "{trigger}: {text}");
        assert!(text.contains(said), "{trigger}: {text}");
    }
}

#[test]
fn each_object_is_shown_to_the_server_and_none_is_created() -> anyhow::Result<()> {
    let world = World::new()?;
    let kube = world.tenant.kube;
    let address = kube.address();

    // As the daemon would choose it, with the rights of the sensor's account.
    let mapped = format!("for: [{{ namespace: {NAMESPACE} }}]");
    let user = "system:serviceaccount:dry-run:deployer";
    let as_the_account = [
        ("good", ["accepted", "", "cluster `build`"]),
        ("invalid", ["refused", "invalid", "metadata.labels: Invalid value: \"no label\""]),
        ("elsewhere", ["refused", "forbidden", "to a Role in namespace `nowhere`"]),
        (
            "forbidden",
            [
                "refused",
                "forbidden",
                r#"Add {apiGroups: [""], resources: [configmaps], verbs: [create]} to a Role in namespace `dry-run` that is bound to `system:serviceaccount:dry-run:deployer`"#,
            ],
        ),
        ("undefined", ["refused", "notFound", "has no kind `Thing` of `example.com/v1`"]),
        ("tell", ["notTried", "", "`http` is no object of Kubernetes"]),
    ];
    // Without a cluster there is nobody to ask.
    let none = world.render(&["--server-dry-run"])?;
    let said = String::from_utf8(none.stderr)?;
    ensure!(none.status.code() == Some(1) && said.contains("--context NAME"), "{said}");
    world.place.write("cluster.yaml", &world.tenant.cluster("build", address, &[&mapped])?)?;
    let found = world.answers(&[])?;
    check(&found, &as_the_account);
    ensure!(found["forbidden"][2].contains(user), "{found:#?}");
    ensure!(world.created()?.is_empty(), "{:#?}", world.created()?);

    // A context, and whoever it is.
    kube.admin().write(&world.file("kubeconfig"))?;
    let itself = ["--context", "testbed", "--target", "testbed", "--no-impersonation"];
    world.place.write("cluster.yaml", "")?;
    let as_admin = [
        ("good", ["accepted", "", "cluster `testbed`"]),
        ("invalid", ["refused", "invalid", "metadata.labels: Invalid value"]),
        ("elsewhere", ["refused", "notFound", "Create the namespace"]),
        ("forbidden", ["accepted", "", ""]),
        ("undefined", ["refused", "notFound", "has no kind `Thing`"]),
        ("tell", ["notTried", "", ""]),
    ];
    check(&world.answers(&itself)?, &as_admin);
    ensure!(world.created()?.is_empty(), "{:#?}", world.created()?);
    ensure!(kube.get("/api/v1/namespaces/nowhere")?.is_none());

    // What is accepted is YAML with the answer as a comment, and the command succeeds.
    let one = world.render(&[&itself[..], &["--server-dry-run", "--trigger", "good"]].concat())?;
    let text = String::from_utf8(one.stdout)?;
    ensure!(one.status.success(), "{}: {text}", one.status);
    ensure!(text.contains("# server dry run: accepted: cluster `testbed`\napiVersion:"), "{text}");

    // Where Argo Workflows was never installed.
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/workflows.argoproj.io";
    kube.delete(path)?;
    let deadline = Instant::now() + WITHIN;
    while kube.get(&KubeApi::workflows_path(NAMESPACE))?.is_some() {
        ensure!(Instant::now() < deadline, "the definition is still in force");
        std::thread::sleep(Duration::from_millis(20));
    }
    let found = world.answers(&itself)?;
    let [verdict, cause, said] = &found["good"];
    ensure!((verdict.as_str(), cause.as_str()) == ("refused", "notFound"), "{found:#?}");
    ensure!(said.contains("install its CustomResourceDefinition"), "{said}");
    Ok(())
}
