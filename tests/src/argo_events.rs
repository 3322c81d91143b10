//! A story that the released programs of Argo Events play, a recording of what they left on their
//! bus and in the cluster, and how that is put back into other servers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::{self, kv, stream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tripline_testbed::{ArgoEvents, Authority, KubeApi, Nats, NatsConfig};

use crate::daemon::SOON;
use crate::docs::root;
use crate::load::post;

/// The namespace of everything.
pub const NAMESPACE: &str = "argo";
/// The label with the time at which a trigger of Argo Events acted.
pub const ACTED_AT: &str = "events.argoproj.io/action-timestamp";
/// How often it is looked whether something has come about.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How many events of the first sensor there are besides the special ones.
const BUILDS: usize = 30;

/// The workflow that a trigger creates.
fn trigger(name: &str, conditions: &str, parameters: &Value) -> Value {
    json!({
        "template": {
            "name": name,
            "conditions": conditions,
            "k8s": {
                "operation": "create",
                "source": {"resource": {
                    "apiVersion": "argoproj.io/v1alpha1",
                    "kind": "Workflow",
                    "metadata": {"generateName": format!("{name}-")},
                    "spec": {
                        "entrypoint": "main",
                        "arguments": {"parameters": [
                            {"name": "sha", "value": "none"}, {"name": "by", "value": "nobody"},
                        ]},
                        "templates": [{"name": "main", "container": {"image": "deployer:1"}}],
                    },
                }},
                "parameters": parameters,
            },
        },
        "atLeastOnce": true,
    })
}

fn parameter(dependency: &str, key: &str, place: usize) -> Value {
    json!({
        "src": {"dependencyName": dependency, "dataKey": key},
        "dest": format!("spec.arguments.parameters.{place}.value"),
    })
}

fn dependency(name: &str, event: &str, path: &str, value: &str) -> Value {
    json!({
        "name": name, "eventSourceName": "builds", "eventName": event,
        "filters": {"data": [{"path": path, "type": "string", "value": [value]}]},
    })
}

fn sensor(name: &str, dependencies: Value, triggers: Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Sensor",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"dependencies": dependencies, "triggers": triggers},
    })
}

/// The sensors: `deploy` with a filter, and a trigger beside that creates no workflow; `release`
/// with a condition of two; and `nightly` with one that is half met. With each, how many
/// consumers it has.
pub fn sensors() -> [(Value, usize); 3] {
    let build = |action: &str| dependency("build", "completed", "body.action", action);
    let approval = |by: &str| dependency("approval", "approved", "body.by", by);
    let both = "build && approval";
    let sha = || parameter("build", "body.sha", 0);
    let by = || parameter("approval", "body.by", 1);
    let note = json!({"template": {"name": "note", "log": {}}});
    [
        (
            sensor(
                "deploy",
                json!([build("completed")]),
                json!([trigger("submit", "build", &json!([sha()])), note]),
            ),
            2,
        ),
        (
            sensor(
                "release",
                json!([build("release"), approval("alice|bob")]),
                json!([trigger("promote", both, &json!([sha(), by()]))]),
            ),
            2,
        ),
        (
            sensor(
                "nightly",
                json!([build("nightly"), approval("owl")]),
                json!([trigger("nightly", both, &json!([sha(), by()]))]),
            ),
            2,
        ),
    ]
}

/// The sensors as a file that Tripline reads.
pub fn sensors_yaml() -> String {
    sensors().iter().map(|(sensor, _)| format!("---\n{sensor}\n")).collect()
}

fn event_source(port: u16) -> Value {
    let webhook =
        |endpoint: &str| json!({"port": port.to_string(), "endpoint": endpoint, "method": "POST"});
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "EventSource",
        "metadata": {"name": "builds", "namespace": NAMESPACE},
        "spec": {"webhook": {"completed": webhook("/completed"), "approved": webhook("/approved")}},
    })
}

/// Argo Events' bus: a nats-server that speaks TLS, with a certificate that nobody knows.
pub struct Bus {
    /// The server.
    pub nats: Nats,
    /// Who has signed its certificate, in PEM.
    pub ca: String,
}

impl Bus {
    /// A new one, without a stream.
    ///
    /// # Errors
    /// It does not get ready.
    pub fn start() -> anyhow::Result<Self> {
        let authority = Authority::new("argo-events")?;
        let nats = Nats::with(NatsConfig::default().tls(&authority, false)?)?;
        Ok(Self { nats, ca: authority.certificate() })
    }

    /// A client of it.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn client(&self) -> anyhow::Result<jetstream::Context> {
        let folder = tempfile::tempdir()?;
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, &self.ca)?;
        let options = async_nats::ConnectOptions::new().add_root_certificates(ca);
        Ok(jetstream::new(options.connect(self.nats.url()).await?))
    }

    /// All streams and consumers, with what is in them: what may not change by being looked at.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn everything(&self) -> anyhow::Result<Value> {
        let path = "/jsz?accounts=true&streams=true&consumers=true&config=true";
        let mut all = self.nats.monitor(path)?.success()?.json()?;
        let accounts = all.get_mut("account_details").map(Value::take);
        let mut streams = Vec::new();
        for account in accounts.iter().filter_map(Value::as_array).flatten() {
            let of = account.get("stream_detail").and_then(Value::as_array);
            streams.extend(of.into_iter().flatten().cloned());
        }
        let name = |of: &Value| of["name"].as_str().unwrap_or_default().to_owned();
        for stream in &mut streams {
            without_times(stream);
            // The server lists them in any order.
            if let Some(consumers) = stream["consumer_detail"].as_array_mut() {
                consumers.sort_by_key(name);
            }
        }
        streams.sort_by_key(name);
        ensure!(!streams.is_empty(), "the server shows no stream: {all}");
        Ok(Value::Array(streams))
    }

    /// Whether every consumer has got, and acknowledged, all that there is for it.
    fn is_idle(&self) -> anyhow::Result<bool> {
        let streams = self.everything()?;
        let streams = streams.as_array().into_iter().flatten();
        let consumers = streams.filter_map(|stream| stream.get("consumer_detail")?.as_array());
        let number = |of: &Value, name: &str| of.get(name).and_then(Value::as_u64);
        Ok(consumers.flatten().all(|of| {
            number(of, "num_pending") == Some(0) && number(of, "num_ack_pending") == Some(0)
        }))
    }

    async fn settles(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + SOON;
        while !self.is_idle()? {
            ensure!(Instant::now() < deadline, "the sensors do not come to an end");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}

/// What the server says of now, which is another time at each look.
fn without_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            // Pulls of a sensor end and begin again each second.
            fields.retain(|name, _| !["ts", "num_waiting", "last_active"].contains(&name.as_str()));
            fields.values_mut().for_each(without_times);
        }
        Value::Array(items) => items.iter_mut().for_each(without_times),
        _ => {}
    }
}

/// The programs of Argo Events, while they run.
pub struct Running {
    /// Their bus.
    pub bus: Bus,
    _programs: Vec<ArgoEvents>,
}

/// Starts the programs, and plays the story. Returns when the sensors have seen everything.
///
/// # Errors
/// A program does not start or does not answer.
pub async fn play(kube: &KubeApi) -> anyhow::Result<Running> {
    kube.create_namespace(NAMESPACE)?;
    let bus = Bus::start()?;
    let port = crate::ports::free_port();
    let mut programs = vec![ArgoEvents::event_source(&bus.nats, &event_source(port))?];
    let send = async |endpoint: &str, body: Value| -> anyhow::Result<()> {
        let address = (std::net::Ipv4Addr::LOCALHOST, port).into();
        let answer = post(address, endpoint, &[], body.to_string().as_bytes()).await?;
        ensure!(answer.status == 200, "{body} was answered {answer:?}");
        Ok(())
    };
    let built = |sha: String| json!({"action": "completed", "sha": sha});
    for number in 0..2 {
        send("/completed", built(format!("early-{number}"))).await?;
    }
    for (sensor, consumers) in sensors() {
        programs.push(ArgoEvents::sensor(&bus.nats, kube, &sensor, consumers)?);
    }
    for number in 0..BUILDS {
        send("/completed", built(format!("sha-{number}"))).await?;
    }
    // Two that are alike, some that no filter lets through, and one without the parameter.
    send("/completed", built("twice".to_owned())).await?;
    send("/completed", built("twice".to_owned())).await?;
    for _ in 0..4 {
        send("/completed", json!({"action": "failed", "sha": "none"})).await?;
    }
    send("/completed", json!({"action": "completed"})).await?;
    // Its sensor has a consumer for each half, and takes whichever comes first.
    for (number, by) in ["alice", "bob", "alice"].into_iter().enumerate() {
        for half in 0..2 {
            let sha = format!("release-{number}-{half}");
            send("/completed", json!({"action": "release", "sha": sha})).await?;
            bus.settles().await?;
        }
        send("/approved", json!({"by": by})).await?;
        bus.settles().await?;
    }
    send("/approved", json!({"by": "mallory"})).await?;
    send("/completed", json!({"action": "nightly", "sha": "half"})).await?;
    bus.settles().await?;
    Ok(Running { bus, _programs: programs })
}

/// What the story leaves behind.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recording {
    /// The messages of the stream, in their order.
    pub messages: Vec<RecordedMessage>,
    /// How many of them came before the sensors.
    pub before_sensors: usize,
    /// The sensors' consumers: name and subject.
    pub consumers: BTreeMap<String, String>,
    /// The sensors' buckets.
    pub buckets: BTreeMap<String, BTreeMap<String, String>>,
    /// The workflows, as they stand in the cluster.
    pub workflows: Vec<Value>,
}

/// A message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecordedMessage {
    /// Its subject.
    pub subject: String,
    /// When the server stored it.
    pub time: String,
    /// Its headers.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: String,
}

impl Recording {
    fn path() -> PathBuf {
        root().join("tests/tests/shadow/recording.json")
    }

    /// The one that is kept.
    ///
    /// # Errors
    /// It is not there.
    pub fn kept() -> anyhow::Result<Self> {
        let path = Self::path();
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Keeps it in the place of the one before.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self) -> anyhow::Result<()> {
        let path = Self::path();
        std::fs::create_dir_all(path.parent().context("a folder")?)?;
        Ok(std::fs::write(path, serde_json::to_string_pretty(self)? + "\n")?)
    }

    /// What there is on the bus and in the cluster.
    ///
    /// # Errors
    /// They do not answer.
    pub async fn of(bus: &Bus, kube: &KubeApi) -> anyhow::Result<Self> {
        let client = bus.client().await?;
        let stream = client.get_stream("default").await?;
        let last = stream.cached_info().state.last_sequence;
        let mut messages = Vec::new();
        for sequence in 1..=last {
            let message = stream.get_raw_message(sequence).await?;
            let headers = message.headers.iter().filter_map(|(name, values)| {
                Some((name.to_string(), values.first()?.as_str().to_owned()))
            });
            messages.push(RecordedMessage {
                subject: message.subject.to_string(),
                time: message.time.to_string(),
                headers: headers.collect(),
                body: String::from_utf8(message.payload.to_vec())?,
            });
        }
        let mut consumers = BTreeMap::new();
        let mut infos = stream.consumers();
        while let Some(info) = infos.try_next().await? {
            consumers.insert(info.name.clone(), info.config.filter_subject.clone());
        }
        let mut buckets = BTreeMap::new();
        for (sensor, _) in sensors() {
            let name = sensor["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            let bucket = client.get_key_value(&name).await?;
            let mut entries = BTreeMap::new();
            let keys: Vec<String> = bucket.keys().await?.try_collect().await?;
            for key in keys {
                let value = bucket.get(&key).await?.context("a key without a value")?;
                entries.insert(key, String::from_utf8(value.to_vec())?);
            }
            buckets.insert(name, entries);
        }
        let mut workflows = kube.workflows(NAMESPACE)?;
        for workflow in &mut workflows {
            if let Some(metadata) = workflow["metadata"].as_object_mut() {
                metadata.remove("managedFields");
            }
        }
        workflows.sort_by_key(|workflow| acted_at(workflow).unwrap_or_default());
        Ok(Self { messages, before_sensors: 2, consumers, buckets, workflows })
    }

    /// Puts it into a new bus: the same sequences and bodies, at other times. Its sensors have
    /// acknowledged everything but the last `waiting` messages of each of their consumers.
    ///
    /// # Errors
    /// The server refuses it.
    pub async fn put_back(&self, bus: &Bus, waiting: usize) -> anyhow::Result<()> {
        let client = bus.client().await?;
        let config = stream::Config {
            name: "default".to_owned(),
            subjects: vec!["default.*.*".to_owned()],
            max_messages: 50_000,
            max_age: Duration::from_secs(168 * 3600),
            duplicate_window: Duration::from_secs(300),
            ..stream::Config::default()
        };
        let stream = client.create_stream(config).await?;
        let (before, after) = self.messages.split_at(self.before_sensors);
        publish(&client, before).await?;
        let mut consumers = Vec::new();
        for (name, subject) in &self.consumers {
            let config = pull::Config {
                durable_name: Some(name.clone()),
                filter_subject: subject.clone(),
                ack_policy: AckPolicy::Explicit,
                deliver_policy: DeliverPolicy::New,
                ..pull::Config::default()
            };
            let count = after.iter().filter(|message| message.subject == *subject).count();
            consumers.push((stream.create_consumer(config).await?, count));
        }
        publish(&client, after).await?;
        for (consumer, count) in consumers {
            let taken = count.saturating_sub(waiting);
            if taken == 0 {
                continue;
            }
            let mut messages = consumer.batch().max_messages(taken).messages().await?;
            for number in 0..taken {
                let Some(message) = messages.next().await else {
                    bail!("message {number} of {taken} does not come");
                };
                let message = message.map_err(anyhow::Error::from_boxed)?;
                message.double_ack().await.map_err(anyhow::Error::from_boxed)?;
            }
        }
        for (name, entries) in &self.buckets {
            let config = kv::Config { bucket: name.clone(), ..kv::Config::default() };
            let bucket = client.create_key_value(config).await?;
            for (key, value) in entries {
                bucket.put(key, value.clone().into()).await?;
            }
        }
        Ok(())
    }

    /// The workflows, as many milliseconds later as the first message of the sensors comes later
    /// on `bus`.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn workflows_now(&self, bus: &Bus) -> anyhow::Result<Vec<Value>> {
        let client = bus.client().await?;
        let first = client.get_stream("default").await?;
        let first = first.get_raw_message(self.before_sensors as u64 + 1).await?;
        let now = i64::try_from(first.time.unix_timestamp_nanos() / 1_000_000)?;
        let oldest = self.workflows.first().and_then(acted_at).context("there is no workflow")?;
        let later = |workflow: &Value| -> anyhow::Result<Value> {
            let mut workflow = workflow.clone();
            let at = acted_at(&workflow).context("a workflow without a time")? - oldest + now;
            workflow["metadata"]["labels"][ACTED_AT] = at.to_string().into();
            Ok(workflow)
        };
        self.workflows.iter().map(later).collect()
    }
}

/// When the trigger of a workflow acted, in milliseconds.
pub fn acted_at(workflow: &Value) -> Option<i64> {
    workflow.pointer("/metadata/labels")?.get(ACTED_AT)?.as_str()?.parse().ok()
}

async fn publish(client: &jetstream::Context, messages: &[RecordedMessage]) -> anyhow::Result<()> {
    for message in messages {
        let mut headers = HeaderMap::new();
        for (name, value) in &message.headers {
            headers.insert(name.as_str(), value.as_str());
        }
        let (subject, body) = (message.subject.clone(), message.body.clone().into());
        client.publish_with_headers(subject, headers, body).await?.await?;
    }
    Ok(())
}
