//! Argo Events' own bus beside Tripline's, on a real server: a stream, messages, consumers and
//! key-value buckets as Argo Events makes them; sensors and event sources that move.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::{self, kv, stream};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tripline_bus::jetstream::argo::{Message, consumer_name};
use tripline_testbed::Nats;
use tripline_tests::argo_events::{Bus, Recording, sensors_yaml};
use tripline_tests::daemon::{Daemon, Place, SOON};
use tripline_tests::docs::{Page, steady};
use tripline_tests::load::{get, post};
use tripline_tests::resources::event_source;

/// Argo Events' bus, as its pods lay it out.
struct Argo {
    nats: Nats,
    jetstream: jetstream::Context,
}

impl Argo {
    async fn start() -> anyhow::Result<Self> {
        let nats = Nats::start()?;
        let jetstream = jetstream::new(async_nats::connect(nats.url()).await?);
        let argo = Self { nats, jetstream };
        argo.make_stream().await?;
        Ok(argo)
    }

    /// With the `streamConfig` that Argo Events' controller has by default, on one server.
    async fn make_stream(&self) -> anyhow::Result<()> {
        let config = stream::Config {
            name: "default".to_owned(),
            subjects: vec!["default.*.*".to_owned()],
            max_messages: 50_000,
            max_age: Duration::from_secs(168 * 3600),
            duplicate_window: Duration::from_secs(300),
            ..stream::Config::default()
        };
        self.jetstream.create_stream(config).await?;
        Ok(())
    }

    /// What an event source of Argo Events publishes.
    async fn publish(&self, event: &str, id: &str, body: &Value) -> anyhow::Result<u64> {
        let message = cloud_event(event, id, body).to_string();
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", id);
        let subject = format!("default.builds.{event}");
        let sent = self.jetstream.publish_with_headers(subject, headers, message.into()).await?;
        Ok(sent.await?.sequence)
    }

    /// The consumer that a sensor of Argo Events makes for a dependency of a trigger.
    async fn consumer(
        &self,
        sensor: &str,
        trigger: &str,
        dependency: &str,
    ) -> anyhow::Result<PullConsumer> {
        let stream = self.jetstream.get_stream("default").await?;
        let config = pull::Config {
            durable_name: Some(consumer_name(sensor, trigger, dependency)),
            ack_policy: AckPolicy::Explicit,
            deliver_policy: DeliverPolicy::New,
            filter_subject: format!("default.builds.{dependency}"),
            ..pull::Config::default()
        };
        Ok(stream.create_consumer(config).await?)
    }

    /// What it holds for a half-met condition, in the bucket of the sensor.
    async fn hold(&self, sensor: &str, entries: &[(&str, Value)]) -> anyhow::Result<()> {
        let config = kv::Config { bucket: sensor.to_owned(), ..kv::Config::default() };
        let bucket = self.jetstream.create_key_value(config).await?;
        for (key, value) in entries {
            bucket.put(*key, value.to_string().into()).await?;
        }
        Ok(())
    }

    async fn messages(&self) -> anyhow::Result<u64> {
        let mut stream = self.jetstream.get_stream("default").await?;
        Ok(stream.info().await?.state.messages)
    }

    async fn message(&self, sequence: u64) -> anyhow::Result<(HeaderMap, String, Value)> {
        let stream = self.jetstream.get_stream("default").await?;
        let message = stream.get_raw_message(sequence).await?;
        let body = serde_json::from_slice(&message.payload)?;
        Ok((message.headers, message.subject.to_string(), body))
    }
}

fn cloud_event(event: &str, id: &str, body: &Value) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "builds", "type": "webhook",
        "subject": event, "datacontenttype": "application/json",
        "time": "2026-11-21T10:00:00.123456789Z",
        "data": {"header": {"X-Correlation-Id": [format!("c-{id}")]}, "body": body},
    })
}

/// The data of a CloudEvent, as a sensor sees it.
fn data(event: &Value) -> anyhow::Result<Value> {
    let subject = format!("default.builds.{}", event["subject"].as_str().unwrap_or_default());
    let (time, body) = (jiff::Timestamp::UNIX_EPOCH, event.to_string());
    let message = Message::decode("ci", 1, time, &subject, None, body.as_bytes())?;
    Ok(serde_json::from_slice(&message.event.data.context("no data")?)?)
}

/// Takes the next message of a consumer as Argo Events' sensor does, and acknowledges it.
async fn acknowledge(consumer: &PullConsumer) -> anyhow::Result<()> {
    let mut batch = consumer.fetch().max_messages(1).messages().await?;
    let message = batch.next().await.context("no message")?;
    let message = message.map_err(|error| anyhow::anyhow!("{error}"))?;
    message.double_ack().await.map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(())
}

fn event_bus(url: &str, more: &str) -> String {
    format!(
        "apiVersion: tripline.dev/v1\nkind: EventBus\nmetadata: {{ name: default, namespace: ci }}\nspec:\n  interop: argoEvents\n  jetstreamExotic: {{ url: \"{url}\" }}\n{more}"
    )
}

fn trigger(name: &str, conditions: &str, dependencies: &[&str]) -> String {
    let parameter = |dependency: &&str| {
        format!(
            "            - {{ src: {{ dependencyName: {dependency}, contextKey: id, value: none }}, dest: \"spec.arguments.parameters.-1.value\" }}\n            - {{ src: {{ dependencyName: {dependency}, dataKey: body.n, value: none }}, dest: \"spec.arguments.parameters.-1.value\" }}\n"
        )
    };
    let parameters: String = dependencies.iter().map(parameter).collect();
    format!(
        r#"    - template:
        name: {name}
        conditions: "{conditions}"
        argoWorkflow:
          operation: submit
          source:
            resource:
              apiVersion: argoproj.io/v1alpha1
              kind: Workflow
              metadata: {{ generateName: {name}- }}
              spec: {{ entrypoint: e, arguments: {{ parameters: [] }}, templates: [{{ name: e, container: {{ image: i }} }}] }}
          parameters:
{parameters}"#
    )
}

/// A sensor as Argo Events reads it, with a dependency for each event of `builds`.
fn sensor(name: &str, events: &[&str], triggers: &[(&str, &str, &[&str])]) -> String {
    let dependencies: String = events
        .iter()
        .map(|event| {
            format!("    - {{ name: {event}, eventSourceName: builds, eventName: {event} }}\n")
        })
        .collect();
    let triggers: String =
        triggers.iter().map(|(name, conditions, of)| trigger(name, conditions, of)).collect();
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: Sensor\nmetadata: {{ name: {name}, namespace: ci }}\nspec:\n  dependencies:\n{dependencies}  triggers:\n{triggers}"
    )
}

/// The parameters of each workflow, joined, by the trigger's name.
fn workflows(place: &Place) -> anyhow::Result<BTreeSet<String>> {
    let lines = place.lines(&["workflows", "list", "--limit", "10000"])?;
    let mut all = BTreeSet::new();
    for line in &lines {
        let object = &line["object"];
        let parameters = object["spec"]["arguments"]["parameters"].as_array();
        let values: Vec<&str> = parameters
            .into_iter()
            .flatten()
            .filter_map(|parameter| parameter["value"].as_str())
            .collect();
        let name = object["metadata"]["name"].as_str().context("no name")?;
        let trigger = name.rsplit_once('-').map_or(name, |(trigger, _)| trigger);
        let new = all.insert(format!("{trigger}: {}", values.join(" ")));
        ensure!(new, "twice: {line}");
    }
    Ok(all)
}

/// Waits until these are the workflows, and no others.
async fn until(place: &Place, daemon: &Daemon, expected: &[&str]) -> anyhow::Result<()> {
    let expected: BTreeSet<String> = expected.iter().map(|text| (*text).to_owned()).collect();
    let deadline = Instant::now() + SOON;
    loop {
        let found = workflows(place)?;
        if found == expected {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline && found.is_subset(&expected),
            "{found:#?} instead of {expected:#?}\n{}",
            daemon.stderr()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the daemon has said this.
async fn said(daemon: &Daemon, text: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + SOON;
    while !daemon.stderr().contains(text) {
        ensure!(Instant::now() < deadline, "`{text}` is not in\n{}", daemon.stderr());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

async fn metric(daemon: &Daemon, name: &str) -> anyhow::Result<u64> {
    let (_, text) = get(daemon.operations, "/metrics").await?;
    let line = text
        .lines()
        .find(|line| line.starts_with(name))
        .with_context(|| format!("{name}: {text}"))?;
    Ok(line.rsplit(' ').next().context("no value")?.parse()?)
}

const EACH: &[(&str, &str, &[&str])] = &[("each", "a", &["a"])];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sensor_runs_on_argo_events_event_sources_from_where_it_says() -> anyhow::Result<()> {
    let argo = Argo::start().await?;
    for n in 1..=3 {
        argo.publish("a", &format!("id-{n}"), &json!({"n": n})).await?;
    }
    let place = Place::new()?;
    let starts = "  startFrom: latest\n  sensors: { all: all, second: 2 }\n";
    place.write("bus.yaml", &event_bus(&argo.nats.url(), starts))?;
    for name in ["all", "second", "latest"] {
        let triggers: &[(&str, &str, &[&str])] = &[(name, "a", &["a"])];
        place.write(&format!("{name}.yaml"), &sensor(name, &["a"], triggers))?;
    }
    let daemon = place.start().await?;
    for name in ["all", "second", "latest"] {
        said(&daemon, &format!("sensor ci/{name} is taken over")).await?;
    }
    argo.publish("a", "id-4", &json!({"n": 4})).await?;
    let expected = [
        "all: id-1 1",
        "all: id-2 2",
        "all: id-3 3",
        "all: id-4 4",
        "second: id-2 2",
        "second: id-3 3",
        "second: id-4 4",
        "latest: id-4 4",
    ];
    until(&place, &daemon, &expected).await?;
    let timeline = place.text(&["trace", "c-id-4"])?;
    ensure!(timeline.contains("id-4") && timeline.contains("latest"), "{timeline}");
    let graph = place.text(&["graph"])?;
    ensure!(graph.contains("argoEvents"), "{graph}");
    let status = place.text(&["status"])?;
    ensure!(status.contains("reads and feeds Argo Events' stream"), "{status}");
    daemon.kill()?;
    let daemon = place.start().await?;
    argo.publish("a", "id-5", &json!({"n": 5})).await?;
    let more = ["all: id-5 5", "second: id-5 5", "latest: id-5 5"];
    until(&place, &daemon, &[&expected[..], &more[..]].concat()).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sensor_is_taken_over_in_the_middle_of_a_half_met_condition() -> anyhow::Result<()> {
    let argo = Argo::start().await?;
    let both = argo.consumer("deploy", "both", "a").await?;
    let other = argo.consumer("deploy", "both", "b").await?;
    let each = argo.consumer("deploy", "each", "a").await?;
    argo.publish("a", "id-1", &json!({"n": 1})).await?;
    argo.publish("a", "id-2", &json!({"n": 2})).await?;
    // Argo Events' trigger `both` has seen one, and holds it; `each` has carried out one.
    acknowledge(&both).await?;
    acknowledge(&each).await?;
    let held = json!({
        "StreamSeq": 1, "ConsumerSeq": 1, "Timestamp": "2026-11-21T10:00:01.5Z",
        "Event": cloud_event("a", "id-1", &json!({"n": 1})),
    });
    let entries = [
        ("Triggers", json!(["both", "each"])),
        ("Deps", json!({"a": 1, "b": 2})),
        ("both/a", held),
    ];
    argo.hold("deploy", &entries).await?;
    // It still runs: somebody asks for what comes.
    let running = tokio::spawn(async move {
        loop {
            drop(other.fetch().max_messages(1).expires(Duration::from_secs(1)).messages().await);
            let mut batch =
                other.batch().max_messages(1).expires(Duration::from_secs(1)).messages().await?;
            while batch.next().await.is_some() {}
        }
        #[expect(unreachable_code, reason = "names the type of the error")]
        anyhow::Ok(())
    });
    let place = Place::new()?;
    place.write("bus.yaml", &event_bus(&argo.nats.url(), ""))?;
    let triggers: &[(&str, &str, &[&str])] =
        &[("both", "a && b", &["a", "b"]), ("each", "a", &["a"])];
    place.write("sensor.yaml", &sensor("deploy", &["a", "b"], triggers))?;
    let daemon = place.start().await?;
    said(&daemon, "Argo Events' sensor still runs").await?;
    ensure!(workflows(&place)?.is_empty());
    ensure!(metric(&daemon, "tripline_interop_sensors_waiting{").await? == 1);
    running.abort();
    said(&daemon, "sensor ci/deploy is taken over").await?;
    // `each` had not decided about the second; `both` has it now in the place of the first.
    until(&place, &daemon, &["each: id-2 2"]).await?;
    let held = place.text(&["sensor", "ci/deploy"])?;
    ensure!(held.contains("id-2") && !held.contains("id-1"), "{held}");
    daemon.kill()?;
    let daemon = place.start().await?;
    argo.publish("b", "id-3", &json!({"n": 3})).await?;
    until(&place, &daemon, &["each: id-2 2", "both: id-2 2 id-3 3"]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_argo_events_holds_is_held_and_completed_here() -> anyhow::Result<()> {
    let argo = Argo::start().await?;
    let both = argo.consumer("deploy", "both", "a").await?;
    argo.consumer("deploy", "both", "b").await?;
    argo.publish("a", "id-1", &json!({"n": 1})).await?;
    acknowledge(&both).await?;
    let held = json!({
        "StreamSeq": 1, "ConsumerSeq": 1, "Timestamp": "2026-11-21T10:00:01.5Z",
        "Event": cloud_event("a", "id-1", &json!({"n": 1})),
    });
    argo.hold("deploy", &[("Triggers", json!(["both"])), ("both/a", held)]).await?;
    let place = Place::new()?;
    place.write("bus.yaml", &event_bus(&argo.nats.url(), ""))?;
    let triggers: &[(&str, &str, &[&str])] = &[("both", "a && b", &["a", "b"])];
    place.write("sensor.yaml", &sensor("deploy", &["a", "b"], triggers))?;
    let daemon = place.start().await?;
    said(&daemon, "sensor ci/deploy is taken over").await?;
    let shown = place.text(&["sensor", "ci/deploy"])?;
    ensure!(shown.contains("id-1"), "{shown}");
    // Over a crash it is held still, and not taken over again.
    daemon.kill()?;
    let daemon = place.start().await?;
    let shown = place.lines(&["sensor", "ci/deploy"])?;
    ensure!(shown[0]["triggers"][0]["held"].as_array().map(Vec::len) == Some(1), "{shown:?}");
    argo.publish("b", "id-2", &json!({"n": 2})).await?;
    until(&place, &daemon, &["both: id-1 1 id-2 2"]).await?;
    ensure!(!daemon.stderr().contains("is taken over"), "{}", daemon.stderr());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_in_the_middle_of_the_stream_lose_and_double_nothing() -> anyhow::Result<()> {
    const ALL: usize = 240;
    let argo = Argo::start().await?;
    let place = Place::new()?;
    place.write("bus.yaml", &event_bus(&argo.nats.url(), "  startFrom: all\n"))?;
    place.write("sensor.yaml", &sensor("deploy", &["a"], EACH))?;
    let mut expected = Vec::new();
    for n in 0..ALL {
        argo.publish("a", &format!("id-{n}"), &json!({"n": n})).await?;
        expected.push(format!("each: id-{n} {n}"));
        if n % 60 == 30 {
            // Killed while it takes over, or takes in.
            let daemon = place.start().await?;
            daemon.kill()?;
        }
    }
    let daemon = place.start().await?;
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    until(&place, &daemon, &expected).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_was_made_again_or_trimmed_is_recognised_and_gone_on_with()
-> anyhow::Result<()> {
    let argo = Argo::start().await?;
    let place = Place::new()?;
    place.write("bus.yaml", &event_bus(&argo.nats.url(), "  startFrom: all\n"))?;
    place.write("sensor.yaml", &sensor("deploy", &["a"], EACH))?;
    argo.publish("a", "id-1", &json!({"n": 1})).await?;
    let daemon = place.start().await?;
    until(&place, &daemon, &["each: id-1 1"]).await?;
    daemon.stop().await?;
    // While nobody read it, the stream has dropped some.
    for n in 2..=5 {
        argo.publish("a", &format!("id-{n}"), &json!({"n": n})).await?;
    }
    argo.jetstream.get_stream("default").await?.purge().sequence(4).await?;
    let daemon = place.spawn()?;
    said(&daemon, "messages 2 to 3 of Argo Events' stream `default` are gone").await?;
    until(&place, &daemon, &["each: id-1 1", "each: id-4 4", "each: id-5 5"]).await?;
    ensure!(metric(&daemon, "tripline_interop_lost_total{").await? == 2);
    let (status, text) = get(daemon.operations, "/readyz").await?;
    ensure!(status == 503 && text.contains("messages 2 to 3"), "{status} {text}");
    // Made again underneath, with as many messages as the other one had.
    argo.jetstream.delete_stream("default").await?;
    argo.make_stream().await?;
    for n in 11..=16 {
        argo.publish("a", &format!("id-{n}"), &json!({"n": n})).await?;
    }
    said(&daemon, "was made again").await?;
    let after: Vec<String> = (11..=16).map(|n| format!("each: id-{n} {n}")).collect();
    let mut all = vec!["each: id-1 1", "each: id-4 4", "each: id-5 5"];
    all.extend(after.iter().map(String::as_str));
    until(&place, &daemon, &all).await?;
    let letters = place.text(&["dlq", "list"])?;
    ensure!(letters.contains("eventbus-default"), "{letters}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_tripline_s_own_event_sources_are_sent_once_and_do_not_come_back()
-> anyhow::Result<()> {
    let argo = Argo::start().await?;
    let place = Place::new()?;
    place.write("bus.yaml", &event_bus(&argo.nats.url(), ""))?;
    place.write("source.yaml", &event_source(place.port))?;
    let triggers: &[(&str, &str, &[&str])] = &[("own", "completed", &["completed"])];
    place.write("sensor.yaml", &sensor("deploy", &["completed"], triggers))?;
    let daemon = place.start().await?;
    said(&daemon, "sensor ci/deploy is taken over").await?;
    // Of Argo Events, for the same sensor: the event source runs in both places for a while.
    argo.publish("completed", "id-1", &json!({"n": 1})).await?;
    until(&place, &daemon, &["own: id-1 1"]).await?;
    let headers = [("X-Tripline-Event-Id", "ignored"), ("X-Correlation-Id", "build 7")];
    let answer = post(place.webhook(), "/builds", &headers, br#"{"n": 2}"#).await?;
    ensure!(answer.status == 200, "{answer:?}");
    let deadline = Instant::now() + SOON;
    while argo.messages().await? < 2 {
        ensure!(Instant::now() < deadline, "{}", daemon.stderr());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (headers, subject, body) = argo.message(2).await?;
    let id = body["id"].as_str().context("no id")?.to_owned();
    until(&place, &daemon, &["own: id-1 1", &format!("own: {id} 2")]).await?;
    ensure!(subject == "default.builds.completed", "{subject}");
    ensure!(headers.get("Nats-Msg-Id").map(|id| id.as_str()) == Some(&id), "{headers:?} {id}");
    let (_, _, of_argo) = argo.message(1).await?;
    for field in ["specversion", "source", "type", "subject", "datacontenttype"] {
        ensure!(body[field] == of_argo[field], "{field}: {body}");
    }
    let data = data(&body)?;
    ensure!(data["body"] == json!({"n": 2}) && data["header"].is_object(), "{data}");
    // Neither comes back, over a restart either.
    daemon.kill()?;
    let daemon = place.start().await?;
    argo.publish("completed", "id-3", &json!({"n": 3})).await?;
    until(&place, &daemon, &["own: id-1 1", &format!("own: {id} 2"), "own: id-3 3"]).await?;
    daemon.settled(SOON).await?;
    ensure!(argo.messages().await? == 3, "{} messages", argo.messages().await?);
    ensure!(metric(&daemon, "tripline_interop_taken_total{").await? == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sensor_that_comes_later_sees_what_its_argo_events_had_not() -> anyhow::Result<()> {
    let argo = Argo::start().await?;
    let place = Place::new()?;
    place.write("bus.yaml", &event_bus(&argo.nats.url(), ""))?;
    place.write("first.yaml", &sensor("first", &["a"], &[("first", "a", &["a"])]))?;
    let consumer = argo.consumer("second", "second", "a").await?;
    let daemon = place.start().await?;
    said(&daemon, "sensor ci/first is taken over").await?;
    for n in 1..=3 {
        argo.publish("a", &format!("id-{n}"), &json!({"n": n})).await?;
    }
    acknowledge(&consumer).await?;
    until(&place, &daemon, &["first: id-1 1", "first: id-2 2", "first: id-3 3"]).await?;
    place.write("second.yaml", &sensor("second", &["a"], &[("second", "a", &["a"])]))?;
    said(&daemon, "sensor ci/second is taken over").await?;
    argo.publish("a", "id-4", &json!({"n": 4})).await?;
    let expected = [
        "first: id-1 1",
        "first: id-2 2",
        "first: id-3 3",
        "first: id-4 4",
        "second: id-2 2",
        "second: id-3 3",
        "second: id-4 4",
    ];
    until(&place, &daemon, &expected).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_asks_argo_events_bus() -> anyhow::Result<()> {
    let argo = Argo::start().await?;
    let place = Place::new()?;
    place.write("bus.yaml", &event_bus(&argo.nats.url(), ""))?;
    let doctor = |place: &Place| -> anyhow::Result<String> {
        let mut command = place.command(&["doctor"])?;
        let output = command.arg(place.yaml()).arg("--data").arg(place.data()).output()?;
        Ok(String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?)
    };
    let said = doctor(&place)?;
    ensure!(said.contains("stream `default`") && said.contains("can be read"), "{said}");
    argo.jetstream.delete_stream("default").await?;
    let said = doctor(&place)?;
    ensure!(said.contains("has no stream `default`"), "{said}");
    Ok(())
}

/// A bus as the released programs of Argo Events left it.
async fn recorded(waiting: usize) -> anyhow::Result<(Recording, Bus)> {
    let (recording, bus) = (Recording::kept()?, Bus::start()?);
    recording.put_back(&bus, waiting).await?;
    Ok((recording, bus))
}

fn argo_bus(bus: &Bus) -> String {
    let url = bus.nats.url();
    format!(
        "apiVersion: tripline.dev/v1\nkind: EventBus\nmetadata: {{ name: default, namespace: argo }}\nspec:\n  interop: argoEvents\n  jetstreamExotic: {{ url: \"{url}\", tls: {{ insecureSkipVerify: true }} }}\n"
    )
}

/// The local target has workflows, and no objects.
fn submits(sensors: &str) -> String {
    sensors.replace(r#""k8s":{"operation":"create""#, r#""argoWorkflow":{"operation":"submit""#)
}

/// Gives it another body. Argo Events' own event sources write data in base64, and its sensors read
/// both.
fn with_data(event: &mut Value, body: &Value) {
    if let Some(members) = event.as_object_mut() {
        members.remove("data_base64");
        members.insert("data".to_owned(), json!({"header": {}, "body": body}));
    }
}

/// The two parameters of each workflow.
fn submitted(place: &Place) -> anyhow::Result<Vec<String>> {
    let lines = place.lines(&["workflows", "list", "--limit", "1000"])?;
    let parameters = |line: &Value| {
        let values = line["object"]["spec"]["arguments"]["parameters"].as_array();
        let values = values.into_iter().flatten().filter_map(|one| one["value"].as_str());
        values.collect::<Vec<_>>().join(" ")
    };
    let mut all: Vec<String> = lines.iter().map(parameters).collect();
    all.sort();
    Ok(all)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_released_programs_left_is_gone_on_with() -> anyhow::Result<()> {
    let (recording, bus) = recorded(0).await?;
    let place = Place::new()?;
    place.write("bus.yaml", &argo_bus(&bus))?;
    place.write("sensors.yaml", &submits(&sensors_yaml()))?;
    let daemon = place.start().await?;
    for name in ["deploy", "release", "nightly"] {
        said(&daemon, &format!("sensor argo/{name} is taken over")).await?;
    }
    let held = place.text(&["sensor", "argo/nightly"])?;
    ensure!(held.contains("build "), "{held}");
    ensure!(submitted(&place)?.is_empty(), "Argo Events has done everything there was");
    // The other half, as Argo Events' event source writes it.
    let approved = recording.messages.iter().find(|of| of.subject.ends_with(".approved"));
    let approved = approved.context("no approval")?;
    let mut event: Value = serde_json::from_str(&approved.body)?;
    event["id"] = "the-other-half".into();
    with_data(&mut event, &json!({"by": "owl"}));
    let client = bus.client().await?;
    client.publish("default.builds.approved", event.to_string().into()).await?.await?;
    let deadline = Instant::now() + SOON;
    while submitted(&place)? != ["half owl"] {
        ensure!(Instant::now() < deadline, "{:?}\n{}", submitted(&place)?, daemon.stderr());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// The members of a JSON object of the first level, in the order in which they are written.
fn members(text: &str, names: &[&str]) -> Vec<String> {
    let mut places: Vec<(usize, &str)> = names
        .iter()
        .filter_map(|name| Some((text.find(&format!("\"{name}\":"))?, *name)))
        .collect();
    places.sort_unstable();
    places.into_iter().map(|(_, name)| name.to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_is_written_as_the_released_event_source_wrote_it() -> anyhow::Result<()> {
    let (recording, bus) = recorded(0).await?;
    let place = Place::new()?;
    place.write("bus.yaml", &argo_bus(&bus))?;
    let source = event_source(place.port).replace("namespace: ci", "namespace: argo");
    place.write("source.yaml", &source)?;
    let daemon = place.start().await?;
    let body = br#"{"action": "completed", "sha": "4f2a"}"#;
    let answer = post(place.webhook(), "/builds", &[], body).await?;
    ensure!(answer.status == 200, "{answer:?}");
    let client = bus.client().await?;
    let stream = client.get_stream("default").await?;
    let sequence = recording.messages.len() as u64 + 1;
    let deadline = Instant::now() + SOON;
    let sent = loop {
        if let Ok(sent) = stream.get_raw_message(sequence).await {
            break sent;
        }
        ensure!(Instant::now() < deadline, "{}", daemon.stderr());
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let theirs = &recording.messages[0];
    let ours = std::str::from_utf8(&sent.payload)?;
    ensure!(*theirs.subject == *sent.subject, "{} {}", theirs.subject, sent.subject);
    let names = [
        "specversion",
        "id",
        "source",
        "type",
        "subject",
        "datacontenttype",
        "time",
        "data_base64",
    ];
    ensure!(members(ours, &names) == members(&theirs.body, &names), "{ours}\n{}", theirs.body);
    let (ours, theirs): (Value, Value) =
        (serde_json::from_str(ours)?, serde_json::from_str(&theirs.body)?);
    let keys = |of: &Value| of.as_object().map(|of| of.keys().cloned().collect::<Vec<_>>());
    ensure!(keys(&ours) == keys(&theirs), "{ours} {theirs}");
    let [our_data, their_data] = [data(&ours)?, data(&theirs)?];
    ensure!(keys(&our_data) == keys(&their_data), "{our_data} {their_data}");
    ensure!(our_data["body"] == json!({"action": "completed", "sha": "4f2a"}), "{our_data}");
    for field in ["specversion", "source", "type", "subject", "datacontenttype"] {
        ensure!(ours[field] == theirs[field], "{field}: {ours} {theirs}");
    }
    let id = |of: &Value| of["id"].as_str().map(str::len);
    ensure!(id(&ours) == id(&theirs), "{ours} {theirs}");
    Ok(())
}

/// The story of the page, run: what is shown is what is printed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_story_of_a_namespace_that_moves_is_as_the_page_tells_it() -> anyhow::Result<()> {
    let (recording, bus) = recorded(0).await?;
    let place = Place::new()?;
    place.write("bus.yaml", &argo_bus(&bus))?;
    let all = submits(&sensors_yaml());
    let nightly = all.split("---\n").find(|text| text.contains(r#""name":"nightly","namespace""#));
    place.write("nightly.yaml", nightly.context("no sensor")?)?;
    let daemon = place.start().await?;
    said(&daemon, "sensor argo/nightly is taken over").await?;
    let mut story = String::new();
    let mut run = |shown: &str, arguments: &[&str]| -> anyhow::Result<()> {
        story.push_str(&format!("$ tripline {shown}\n{}", place.text(arguments)?));
        Ok(())
    };
    run("sensor argo/nightly", &["sensor", "argo/nightly"])?;
    let approved = recording.messages.iter().find(|of| of.subject.ends_with(".approved"));
    let mut event: Value = serde_json::from_str(&approved.context("no approval")?.body)?;
    event["id"] = "0123456789abcdef0123456789abcdef".into();
    with_data(&mut event, &json!({"by": "owl"}));
    let client = bus.client().await?;
    client.publish("default.builds.approved", event.to_string().into()).await?.await?;
    let deadline = Instant::now() + SOON;
    while submitted(&place)? != ["half owl"] {
        ensure!(Instant::now() < deadline, "{}", daemon.stderr());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    daemon.settled(SOON).await?;
    let trace = ["trace", "0123456789abcdef0123456789abcdef"];
    run("trace 0123456789abcdef0123456789abcdef", &trace)?;
    run("graph", &["graph"])?;
    // The port of the server is another one in each run.
    let story = story.replace(&bus.nats.address().to_string(), "nats.argo:4222");
    let page = Page::read(Path::new("docs/moving-over.md"))?;
    page.is_up_to_date("namespace", &format!("```text\n{story}```\n"), steady)
}
