//! NATS in and out in the daemon, with the real server: messages become workflows, workflows'
//! events become messages, and nothing is lost or doubled whoever is killed or cut off. And
//! CloudEvents, which come in over NATS and over a webhook.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use async_nats::HeaderMap;
use async_nats::jetstream::{self, stream};
use futures_util::StreamExt as _;
use serde_json::json;
use tripline::control::api::Status;
use tripline_testbed::{Nats, NatsConfig, Toxiproxy};
use tripline_tests::daemon::{Daemon, Place, SOON};
use tripline_tests::load::post;
use tripline_tests::resources::workflow_sensor;
use tripline_tests::set_checker::{Delivery, Sent, Times, check};
use tripline_tests::tenant::recorded;

/// How long the last daemon may take for what is left.
const SETTLE: Duration = Duration::from_secs(60);
/// How many messages are sent before each fault, and after it.
const BATCH: usize = 50;

/// On disk at once, so that a server that is killed has what it has acknowledged.
fn server() -> anyhow::Result<Nats> {
    Nats::with(NatsConfig::default().jetstream("sync_interval: always"))
}

/// Streams `BUILDS` and `OUT`, on the subjects below their names in lower case.
async fn streams(url: &str) -> anyhow::Result<jetstream::Context> {
    let context = jetstream::new(async_nats::connect(url).await?);
    for name in ["BUILDS", "OUT"] {
        let subjects = vec![format!("{}.>", name.to_lowercase())];
        let config = stream::Config { name: name.to_owned(), subjects, ..Default::default() };
        context.create_stream(config).await?;
    }
    Ok(context)
}

/// An event source `builds` with the event `completed` of the stream at `url`.
fn source(url: &str, more: &str) -> String {
    format!(
        r#"apiVersion: tripline.dev/v1
kind: EventSource
metadata: {{ name: builds, namespace: ci }}
spec:
  nats:
    completed:
      url: {url}
      subject: builds.>
      jsonBody: true
      jetStream: {{ stream: BUILDS, ackWait: 2s }}
{more}"#
    )
}

/// A sensor that sends each build on to the stream `OUT`.
fn sends_on(url: &str) -> String {
    format!(
        r#"apiVersion: tripline.dev/v1
kind: Sensor
metadata: {{ name: sends-on, namespace: ci }}
spec:
  dependencies:
    - {{ name: build, eventSourceName: builds, eventName: completed }}
  triggers:
    - template:
        name: send
        nats:
          url: {url}
          subject: out.builds
          jetStream: true
          payload:
            - src: {{ dependencyName: build, dataKey: body.correlation_id }}
              dest: build
"#
    )
}

fn event_bus(url: &str) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: EventBus\nmetadata: {{ name: default, namespace: ci }}\nspec:\n  jetstreamExotic:\n    url: {url}\n"
    )
}

fn body(number: usize) -> String {
    json!({"action": "completed", "correlation_id": format!("b-{number}")}).to_string()
}

/// Publishes messages with these numbers: again, until the server has them.
async fn publish(
    context: &jetstream::Context,
    numbers: std::ops::Range<usize>,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + SETTLE;
    for number in numbers {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", format!("m-{number}"));
        loop {
            let sent =
                context.publish_with_headers("builds.done", headers.clone(), body(number).into());
            let stored = async { anyhow::Ok(sent.await?.await?) };
            match stored.await {
                Ok(_) => break,
                Err(error) => ensure!(Instant::now() < deadline, "{number}: {error}"),
            }
        }
    }
    Ok(())
}

/// Waits until there are so many workflows.
async fn workflows(place: &Place, daemon: &Daemon, count: usize) -> anyhow::Result<Vec<Delivery>> {
    let deadline = Instant::now() + SETTLE;
    loop {
        let found = recorded(place)?;
        if found.len() >= count {
            return Ok(found);
        }
        ensure!(
            Instant::now() < deadline,
            "{} of {count} workflows\n{}",
            found.len(),
            daemon.stderr()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What the stream `OUT` holds: the correlation id and the body of each message.
async fn sent_on(context: &jetstream::Context) -> anyhow::Result<Vec<(String, String)>> {
    let stream = context.get_stream("OUT").await?;
    let state = stream.cached_info().state.clone();
    let mut found = Vec::new();
    for sequence in state.first_sequence..=state.last_sequence {
        let message = stream.get_raw_message(sequence).await?;
        let correlation = message.headers.get("x-correlation-id").context("no correlation id")?;
        for name in ["x-causation-id", "Nats-Msg-Id", "ce-id", "ce-type", "ce-source"] {
            ensure!(message.headers.get(name).is_some(), "no {name}");
        }
        let payload = String::from_utf8(message.payload.to_vec())?;
        found.push((correlation.as_str().to_owned(), payload));
    }
    Ok(found)
}

async fn messages_go_through(place: &Place, nats: &Nats) -> anyhow::Result<()> {
    let context = streams(&nats.url()).await?;
    let more = format!(
        "    heard:\n      url: {}\n      subject: heard.*\n      jsonBody: true\n",
        nats.url()
    );
    place.write("source.yaml", &source(&nats.url(), &more))?;
    place.write("stored.yaml", &workflow_sensor("stored"))?;
    let heard = workflow_sensor("heard").replace("eventName: completed", "eventName: heard");
    place.write("heard.yaml", &heard)?;
    place.write("sends-on.yaml", &sends_on(&nats.url()))?;
    let daemon = place.start().await?;
    publish(&context, 0..BATCH).await?;
    let client = async_nats::connect(nats.url()).await?;
    for number in BATCH..2 * BATCH {
        client.publish("heard.it", body(number).into()).await?;
    }
    let mut found: Vec<String> = workflows(place, &daemon, 2 * BATCH)
        .await?
        .into_iter()
        .map(|delivery| delivery.correlation)
        .collect();
    found.sort_by_key(|id| (id.len(), id.clone()));
    let expected: Vec<String> = (0..2 * BATCH).map(|number| format!("b-{number}")).collect();
    ensure!(found == expected, "{found:?}");
    daemon.settled(SOON).await?;
    let mut sent = sent_on(&context).await?;
    sent.sort_by_key(|(id, _)| (id.len(), id.clone()));
    let expected: Vec<(String, String)> = (0..BATCH)
        .map(|number| (format!("b-{number}"), format!(r#"{{"build":"b-{number}"}}"#)))
        .collect();
    ensure!(sent == expected, "{sent:?}");
    let timeline = place.text(&["trace", "b-7"])?;
    ensure!(timeline.contains("stream OUT"), "{timeline}");
    ensure!(daemon.stop().await?.status.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_become_workflows_and_messages_over_the_embedded_bus() -> anyhow::Result<()> {
    messages_go_through(&Place::new()?, &server()?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_become_workflows_and_messages_over_jetstream() -> anyhow::Result<()> {
    let (nats, place) = (server()?, Place::new()?);
    place.write("bus.yaml", &event_bus(&nats.url()))?;
    messages_go_through(&place, &nats).await
}

/// The event source, the only one, is down.
fn is_down(status: &Status) -> bool {
    status.sources.iter().any(|source| !source.ready)
}

/// Messages keep coming while the server is killed, the network is cut and slowed, and the
/// daemon is killed: each of them is one workflow, and one message.
async fn through_faults(place: &Place) -> anyhow::Result<()> {
    let mut nats = server()?;
    let toxiproxy = Toxiproxy::start()?;
    let proxy = toxiproxy.proxy(nats.address())?;
    let proxied = format!("nats://{}", proxy.address());
    let context = streams(&nats.url()).await?;
    let made = context.get_stream("BUILDS").await?.cached_info().created.unix_timestamp();
    place.write("source.yaml", &source(&proxied, ""))?;
    place.write("stored.yaml", &workflow_sensor("stored"))?;
    place.write("sends-on.yaml", &sends_on(&proxied))?;
    let mut daemon = place.start().await?;
    let mut sent = 0;
    for fault in ["server", "cut", "slow", "swallow", "daemon", "both"] {
        daemon.ready().await.context(fault)?;
        let sending = {
            let (context, numbers) = (context.clone(), sent..sent + 2 * BATCH);
            tokio::spawn(async move { publish(&context, numbers).await })
        };
        sent += 2 * BATCH;
        // In the middle of the stream.
        workflows(place, &daemon, sent - 2 * BATCH + 5).await.context(fault)?;
        match fault {
            "server" => {
                nats.kill()?;
                nats.restart()?;
            }
            "cut" => {
                proxy.cut()?;
                daemon.status_when("the source is down", SOON, is_down).await.context(fault)?;
                proxy.restore()?;
            }
            "slow" => {
                proxy.delay(Duration::from_millis(300))?;
                workflows(place, &daemon, sent - BATCH).await.context(fault)?;
                proxy.restore()?;
            }
            "swallow" => {
                proxy.swallow_answers()?;
                daemon.status_when("the source is down", SETTLE, is_down).await.context(fault)?;
                proxy.restore()?;
            }
            "daemon" => {
                daemon.kill()?;
                daemon = place.spawn()?;
            }
            _ => {
                nats.kill()?;
                daemon.kill()?;
                nats.restart()?;
                daemon = place.spawn()?;
            }
        }
        sending.await?.context(fault)?;
    }
    daemon.ready().await?;
    workflows(place, &daemon, sent).await?;
    daemon.settled(SETTLE).await?;

    let events: BTreeMap<String, String> = (0..sent)
        .map(|number| (format!("BUILDS:{}:{made}", number + 1), format!("b-{number}")))
        .collect();
    let sent_events = Sent { acknowledged: events.keys().cloned().collect(), events };
    let found = recorded(place)?;
    let findings = check(&sent_events, &found, Times::Once);
    ensure!(findings.is_empty(), "{findings}\n{}", daemon.stderr());
    // The stream knows an action's message for two minutes.
    let mut on: Vec<String> = sent_on(&context).await?.into_iter().map(|(id, _)| id).collect();
    on.sort_by_key(|id| (id.len(), id.clone()));
    let expected: Vec<String> = (0..sent).map(|number| format!("b-{number}")).collect();
    ensure!(on == expected, "{} of {sent} sent on", on.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_ends_in_its_action_once_whoever_is_killed_over_the_embedded_bus()
-> anyhow::Result<()> {
    through_faults(&Place::new()?).await
}

/// The event bus is a server of its own, which stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_ends_in_its_action_once_whoever_is_killed_over_jetstream()
-> anyhow::Result<()> {
    let (bus, place) = (Nats::start()?, Place::new()?);
    place.write("bus.yaml", &event_bus(&bus.url()))?;
    through_faults(&place).await
}

/// A sensor that takes CloudEvents of one type, and says who sent them.
fn of_type() -> String {
    let sensor = workflow_sensor("stored")
        .replace("data:\n          - path: body.action\n            type: string\n            value: [completed]", "context: { type: dev.example.build }");
    sensor.replace("dataKey: body.correlation_id", "contextKey: source")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cloud_events_keep_what_they_say_of_themselves() -> anyhow::Result<()> {
    let nats = server()?;
    let context = streams(&nats.url()).await?;
    let place = Place::new()?;
    let webhook = format!(
        r#"apiVersion: tripline.dev/v1
kind: EventSource
metadata: {{ name: builds, namespace: ci }}
spec:
  webhook:
    completed: {{ endpoint: /builds, port: "{}", method: POST, cloudEvents: true }}
---
"#,
        place.port
    );
    let of_nats =
        source(&nats.url(), "      cloudEvents: true\n").replace("name: builds", "name: of-nats");
    place.write("source.yaml", &format!("{webhook}{of_nats}"))?;
    place.write("of-webhook.yaml", &of_type())?;
    let other = of_type().replace("name: stored", "name: of-nats");
    place.write(
        "of-nats.yaml",
        &other.replace("eventSourceName: builds", "eventSourceName: of-nats"),
    )?;
    let daemon = place.start().await?;

    let structured = |id: &str, source: &str, kind: &str| {
        json!({
            "specversion": "1.0", "id": id, "source": source, "type": kind,
            "correlationid": "b-7", "data": {"sha": "4f2a"},
        })
        .to_string()
    };
    let binary = |source: &'static str| {
        [
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", source),
            ("ce-type", "dev.example.build"),
            ("ce-correlationid", "b-7"),
            ("content-type", "application/json"),
        ]
    };
    let at = place.webhook();
    let mode = [("content-type", "application/cloudevents+json")];
    let build = "dev.example.build";
    for (headers, body, status) in [
        (&binary("/a")[..], r#"{"sha":"4f2a"}"#.to_owned(), 200),
        // The same again, and one of another source with the same id.
        (&binary("/a")[..], r#"{"sha":"4f2a"}"#.to_owned(), 200),
        (&mode[..], structured("1", "/b", build), 200),
        (&mode[..], structured("1", "/c", "dev.example.other"), 200),
        (&mode[..], "{}".to_owned(), 400),
    ] {
        let answer = post(at, "/builds", headers, body.as_bytes()).await?;
        ensure!(answer.status == status, "{answer:?}");
    }
    let mut headers = HeaderMap::new();
    binary("/d").into_iter().for_each(|(name, value)| headers.insert(name, value));
    context.publish_with_headers("builds.done", headers, "{\"sha\":1}".into()).await?.await?;
    context.publish("builds.done", structured("1", "/e", build).into()).await?.await?;
    let mut found: Vec<String> = workflows(&place, &daemon, 4)
        .await?
        .into_iter()
        .map(|delivery| delivery.correlation)
        .collect();
    found.sort();
    daemon.settled(SOON).await?;
    // The parameter is the source.
    ensure!(found == ["/a", "/b", "/d", "/e"], "{found:?}");
    ensure!(recorded(&place)?.len() == 4);
    let timeline = place.text(&["trace", "b-7"])?;
    for id in ["/a#1", "/b#1", "/c#1", "/d#1", "/e#1"] {
        ensure!(timeline.contains(id), "{id} is not in\n{timeline}");
    }
    ensure!(daemon.stop().await?.status.success());
    Ok(())
}

/// Core NATS has no memory: what nobody hears is gone, and whoever listens hears it once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_core_nats_is_published_to_whoever_listens() -> anyhow::Result<()> {
    let nats = server()?;
    let context = streams(&nats.url()).await?;
    let place = Place::new()?;
    place.write("source.yaml", &source(&nats.url(), ""))?;
    let core = sends_on(&nats.url())
        .replace("          jetStream: true\n", "")
        .replace("out.builds", "told.builds");
    place.write("sends-on.yaml", &core)?;
    let mut heard = async_nats::connect(nats.url()).await?.subscribe("told.>").await?;
    let daemon = place.start().await?;
    publish(&context, 0..1).await?;
    let message = tokio::time::timeout(SOON, heard.next()).await?.context("nothing was heard")?;
    ensure!(message.payload == r#"{"build":"b-0"}"#, "{message:?}");
    let correlation = message.headers.as_ref().and_then(|headers| headers.get("x-correlation-id"));
    ensure!(correlation.is_some_and(|id| id.as_str() == "b-0"), "{message:?}");
    ensure!(daemon.stop().await?.status.success());
    Ok(())
}
