//! The released programs of Argo Events, as plain processes.

use std::process::Command;

use anyhow::Context;
use serde_json::Value;

use crate::folder::Folder;
use crate::install::installed;
use crate::process::Process;
use crate::{KubeApi, Nats};

/// Gives the program a `/tmp` of its own, the folder `$1`, and becomes it.
const OWN_TMP: &str = r#"mount --bind "$1" /tmp && shift && exec "$@""#;

/// An event source or a sensor of Argo Events, on a [`Nats`] that speaks TLS
/// ([`crate::NatsConfig::tls`]): its clients speak nothing else.
///
/// Building them takes 400 seconds of CPU, so `install all` leaves them out.
pub struct ArgoEvents {
    process: Process,
    _folder: Folder,
}

impl ArgoEvents {
    /// An event source, which makes the stream where it is not there. Returns when it is
    /// connected to the server, and all ports of its webhooks take connections.
    ///
    /// # Errors
    /// It does not get ready.
    pub fn event_source(nats: &Nats, object: &Value) -> anyhow::Result<Self> {
        let mut started = Self::start("eventsource", nats, object, None)?;
        let webhooks = object.pointer("/spec/webhook").and_then(Value::as_object);
        let ports = webhooks.into_iter().flatten().filter_map(|(_, one)| {
            let port = one.get("port")?;
            port.as_str().map_or_else(|| port.as_u64()?.try_into().ok(), |text| text.parse().ok())
        });
        let ports: Vec<u16> = ports.collect();
        let listens = |port: &u16| std::net::TcpStream::connect(("127.0.0.1", *port)).is_ok();
        started.process.ready(|| ports.iter().all(listens))?;
        Ok(started)
    }

    /// A sensor, which creates objects in `kube` as its administrator. Returns when it has
    /// `consumers` consumers more than there were: one for each event that one of its triggers
    /// depends on, and none where it had been started before. Only what is published after
    /// its consumers were made is an event for it.
    ///
    /// # Errors
    /// It does not get ready.
    pub fn sensor(
        nats: &Nats,
        kube: &KubeApi,
        object: &Value,
        consumers: usize,
    ) -> anyhow::Result<Self> {
        let wanted = count_of_consumers(nats)? + consumers;
        let mut started = Self::start("sensor", nats, object, Some(kube))?;
        let listens = || count_of_consumers(nats).is_ok_and(|count| count >= wanted);
        started.process.ready(listens)?;
        Ok(started)
    }

    fn start(
        role: &str,
        nats: &Nats,
        object: &Value,
        kube: Option<&KubeApi>,
    ) -> anyhow::Result<Self> {
        let program = installed("argo-events")?.join("argo-events");
        let folder = Folder::new("argo-events")?;
        // What is in this folder is what the program finds in `/tmp`.
        let temporary = folder.path().join("tmp");
        std::fs::create_dir(&temporary)?;
        std::fs::write(temporary.join("object.json"), object.to_string())?;
        if let Some(kube) = kube {
            kube.admin().write(&temporary.join("kubeconfig"))?;
        }
        let mut command = Command::new("unshare");
        command.arg("--mount");
        if !rustix::process::getuid().is_root() {
            command.arg("--map-root-user");
        }
        command.args(["sh", "-c", OWN_TMP, "sh"]).arg(&temporary).arg(program);
        command.args([role, "-nats", &nats.url(), "-object", "/tmp/object.json"]);
        command.args(["-kubeconfig", "/tmp/kubeconfig"]);
        let log = folder.path().join("log");
        let process = Process::spawn("argo-events", command, &log)?;
        Ok(Self { process, _folder: folder })
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        self.process.tail()
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// It had ended by itself.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()
    }

    /// Tells it to stop, and waits until it has.
    ///
    /// # Errors
    /// It had ended by itself, or does not end.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.process.stop().map(drop)
    }
}

/// How many consumers there are, of all streams.
fn count_of_consumers(nats: &Nats) -> anyhow::Result<usize> {
    let answer = nats.monitor("/jsz")?.success()?.json()?;
    let count = answer.get("consumers").and_then(Value::as_u64);
    Ok(count.context("the server does not say how many consumers it has")?.try_into()?)
}
