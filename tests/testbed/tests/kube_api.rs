//! The API server: who may do what, workflows, and its life.

use std::net::TcpStream;
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tripline_testbed::{Credentials, KubeApi, Kubeconfig, Subject};

/// Workflows may be created and read.
fn submits() -> Value {
    json!([{ "apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["create", "get"] }])
}

fn workflow(name: &str) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": { "name": name },
        "spec": { "entrypoint": "main", "arguments": { "parameters": [{ "name": "id", "value": "c" }] } },
    })
}

/// The status of a request that is made with a kubeconfig.
fn status(
    kube: &KubeApi,
    who: &Kubeconfig,
    method: &str,
    path: &str,
    body: &Value,
) -> anyhow::Result<u16> {
    Ok(kube.request_as(who, method, path, Some(body))?.status)
}

#[test]
fn a_user_may_do_what_was_granted_and_nothing_else() -> anyhow::Result<()> {
    let kube = KubeApi::shared()?;
    kube.create_namespace("users")?;
    let path = KubeApi::workflows_path("users");
    for (who, subject) in [
        (kube.user("submitter")?, Subject::User("submitter")),
        (kube.service_account("users", "robot")?, Subject::ServiceAccount("users", "robot")),
    ] {
        let name =
            format!("of-{}", if matches!(subject, Subject::User(_)) { "user" } else { "robot" });
        let create = || status(kube, &who, "POST", &path, &workflow(&name));
        ensure!(create()? == 403);
        let grant = kube.grant("users", subject, &submits())?;
        ensure!(create()? == 201);
        ensure!(create()? == 409);
        ensure!(status(kube, &who, "GET", &path, &Value::Null)? == 403, "listing was not granted");
        kube.revoke(grant)?;
        ensure!(create()? == 403);
    }
    let stranger = kube.admin().with(Credentials::Token("made-up".into()));
    ensure!(status(kube, &stranger, "GET", &path, &Value::Null)? == 401);
    Ok(())
}

#[test]
fn a_workflow_stays_as_it_was_created_until_its_phase_is_set() -> anyhow::Result<()> {
    let kube = KubeApi::shared()?;
    kube.create_namespace("phases")?;
    let path = KubeApi::workflows_path("phases");
    kube.create(&path, &workflow("one"))?;
    kube.set_phase("phases", "one", "Succeeded")?;
    let workflows = kube.workflows("phases")?;
    ensure!(workflows.len() == 1, "{workflows:?}");
    ensure!(workflows[0]["status"]["phase"] == "Succeeded", "{workflows:?}");
    ensure!(workflows[0]["spec"]["arguments"]["parameters"][0]["value"] == "c", "{workflows:?}");
    kube.delete(&format!("{path}/one"))?;
    ensure!(kube.get(&format!("{path}/one"))?.is_none());
    Ok(())
}

#[test]
fn another_server_is_another_cluster_and_keeps_its_objects_when_it_is_killed() -> anyhow::Result<()>
{
    let (kube, shared) = (KubeApi::start()?, KubeApi::shared()?);
    kube.create_namespace("lives")?;
    kube.create(&KubeApi::workflows_path("lives"), &workflow("one"))?;
    ensure!(shared.get("/api/v1/namespaces/lives")?.is_none());
    kube.kill()?;
    ensure!(TcpStream::connect(kube.address()).is_err());
    kube.restart()?;
    ensure!(kube.workflows("lives")?.len() == 1);
    let address = kube.address();
    drop(kube);
    ensure!(TcpStream::connect(address).is_err());
    Ok(())
}

/// The kubeconfig is one for real clients, where there is one.
#[test]
fn kubectl_reads_the_kubeconfig() -> anyhow::Result<()> {
    let kube = KubeApi::shared()?;
    let folder = std::env::temp_dir().join(format!("tripline-kubeconfig-{}", std::process::id()));
    kube.admin().write(&folder)?;
    let output =
        Command::new("kubectl").arg("--kubeconfig").arg(&folder).args(["get", "ns"]).output();
    std::fs::remove_file(&folder).context("the file was written")?;
    if let Ok(output) = output {
        ensure!(String::from_utf8_lossy(&output.stdout).contains("default"), "{output:?}");
    }
    Ok(())
}
