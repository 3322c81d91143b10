//! Kafka in and out in the daemon, with a real broker: messages become workflows and messages,
//! and nothing is lost or doubled whoever is killed or cut off, or joins the group.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;
use tripline::control::api::Status;
use tripline_testbed::{Kafka, Nats, Toxiproxy};
use tripline_tests::daemon::{Daemon, Place, SOON};
use tripline_tests::docs::Page;
use tripline_tests::kafka::{Read, Topic};
use tripline_tests::resources::workflow_sensor;
use tripline_tests::set_checker::{Delivery, Sent, Times, check};
use tripline_tests::tenant::recorded;

/// How long the last daemon may take for what is left.
const SETTLE: Duration = Duration::from_secs(60);
/// How many messages are sent with each fault: half of them before it has come about.
const BATCH: usize = 120;
const PARTITIONS: i32 = 4;

/// An event source `builds` with the event `completed` of the topic `builds`. The group notices
/// soon that a daemon was killed.
fn source(brokers: &str) -> String {
    format!(
        r#"apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {{ name: builds, namespace: ci }}
spec:
  kafka:
    completed:
      url: {brokers}
      topic: builds
      consumerGroup: {{ groupName: tripline, oldest: true }}
      jsonBody: true
      config: "consumer: {{group: {{session: {{timeout: 3s}}}}}}"
"#
    )
}

/// A sensor that sends each build on to the topic `out`.
fn sends_on(brokers: &str) -> String {
    format!(
        r#"apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {{ name: sends-on, namespace: ci }}
spec:
  dependencies:
    - {{ name: build, eventSourceName: builds, eventName: completed }}
  triggers:
    - template:
        name: send
        kafka:
          url: {brokers}
          topic: out
          partitioningKey: shop
          payload:
            - src: {{ dependencyName: build, dataKey: body.correlation_id }}
              dest: build
      retryStrategy: {{ duration: 200ms, factor: 2, steps: 20 }}
"#
    )
}

fn event_bus(url: &str) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: EventBus\nmetadata: {{ name: default, namespace: ci }}\nspec:\n  jetstreamExotic:\n    url: {url}\n"
    )
}

/// What was produced: the correlation id of each message, by the id of its event.
#[derive(Default)]
struct Produced(BTreeMap<String, String>);

impl Produced {
    /// Sends messages with these numbers. `broker` is the first one of the event source.
    async fn send(
        &mut self,
        topic: &Topic,
        broker: &str,
        numbers: std::ops::Range<usize>,
    ) -> anyhow::Result<()> {
        let written = topic.send(numbers.clone().map(body)).await?;
        for (number, (partition, offset)) in numbers.zip(written) {
            let id = format!("builds:completed:{broker}:builds:{partition}:{offset}");
            self.0.insert(id, format!("b-{number}"));
        }
        Ok(())
    }

    fn check(&self, deliveries: &[Delivery], times: Times) -> anyhow::Result<()> {
        let acknowledged = self.0.keys().cloned().collect();
        let findings = check(&Sent { acknowledged, events: self.0.clone() }, deliveries, times);
        ensure!(findings.is_empty(), "{findings}");
        Ok(())
    }

    /// What was sent on: each at least once, each time with the same action.
    fn check_sent_on(&self, read: &[Read]) -> anyhow::Result<()> {
        let events: BTreeMap<&String, &String> = self.0.iter().map(|(id, c)| (c, id)).collect();
        let delivery = |read: &Read| {
            let correlation = read.header("x-correlation-id")?.to_owned();
            ensure!(read.value == format!(r#"{{"build":"{correlation}"}}"#), "{read:?}");
            for name in ["ce_id", "ce_type", "ce_source", "x-tripline-path"] {
                read.header(name)?;
            }
            let event = events.get(&correlation).context("it was never sent")?;
            let action = read.header("x-causation-id")?.to_owned();
            Ok(Delivery { event: (*event).clone(), action, correlation })
        };
        let deliveries = read.iter().map(delivery).collect::<anyhow::Result<Vec<_>>>()?;
        self.check(&deliveries, Times::AtLeastOnce).context("sent on")
    }
}

fn body(number: usize) -> String {
    json!({"action": "completed", "correlation_id": format!("b-{number}")}).to_string()
}

/// Waits until there are so many workflows, of all places together.
async fn workflows(places: &[(&Place, &Daemon)], count: usize) -> anyhow::Result<Vec<Delivery>> {
    let deadline = Instant::now() + SETTLE;
    loop {
        let mut found = Vec::new();
        for (place, _) in places {
            found.extend(recorded(place)?);
        }
        if found.len() >= count {
            return Ok(found);
        }
        let said: String = places.iter().map(|(_, daemon)| daemon.stderr()).collect();
        ensure!(Instant::now() < deadline, "{} of {count} workflows\n{said}", found.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The event source, the only one, is down.
fn is_down(status: &Status) -> bool {
    status.sources.iter().any(|source| !source.ready)
}

/// Messages keep coming while the broker is killed, the network is cut and slowed, and the
/// daemon is killed: each of them is one workflow, and is sent on.
async fn through_faults(place: &Place) -> anyhow::Result<()> {
    let toxiproxy = Toxiproxy::start()?;
    let (mut kafka, proxy) = Kafka::start_behind(&toxiproxy)?;
    let proxied = proxy.address().to_string();
    let builds = Topic::create(&kafka.brokers(), "builds", PARTITIONS).await?;
    let out = Topic::create(&kafka.brokers(), "out", PARTITIONS).await?;
    place.write("source.yaml", &source(&proxied))?;
    place.write("stored.yaml", &workflow_sensor("stored"))?;
    place.write("sends-on.yaml", &sends_on(&proxied))?;
    let mut daemon = place.start().await?;
    let mut produced = Produced::default();
    let mut sent = 0;
    for fault in ["broker", "cut", "slow", "daemon", "both"] {
        daemon.ready().await.context(fault)?;
        produced.send(&builds, &proxied, sent..sent + BATCH / 2).await.context(fault)?;
        // In the middle of the stream.
        workflows(&[(place, &daemon)], sent + 5).await.context(fault)?;
        let rest = sent + BATCH / 2..sent + BATCH;
        sent += BATCH;
        match fault {
            "broker" => {
                kafka.kill()?;
                daemon.status_when("the source is down", SOON, is_down).await.context(fault)?;
                kafka.restart()?;
            }
            "cut" => {
                proxy.cut()?;
                produced.send(&builds, &proxied, rest.clone()).await.context(fault)?;
                daemon.status_when("the source is down", SOON, is_down).await.context(fault)?;
                proxy.restore()?;
                continue;
            }
            "slow" => {
                proxy.delay(Duration::from_millis(200))?;
                produced.send(&builds, &proxied, rest.clone()).await.context(fault)?;
                workflows(&[(place, &daemon)], sent).await.context(fault)?;
                proxy.restore()?;
                continue;
            }
            "daemon" => {
                daemon.kill()?;
                daemon = place.spawn()?;
            }
            _ => {
                kafka.kill()?;
                daemon.kill()?;
                kafka.restart()?;
                daemon = place.spawn()?;
            }
        }
        produced.send(&builds, &proxied, rest).await.context(fault)?;
    }
    daemon.ready().await?;
    let found = workflows(&[(place, &daemon)], sent).await?;
    daemon.settled(SETTLE).await?;
    produced.check(&found, Times::Once).with_context(|| daemon.stderr())?;
    produced.check_sent_on(&out.read()?).with_context(|| daemon.stderr())?;
    let timeline = place.text(&["trace", "b-7"])?;
    ensure!(timeline.contains("topic out"), "{timeline}");
    let letters = daemon.status().await?.dead_letters;
    ensure!(letters.values().sum::<u64>() == 0, "{letters:?}");
    ensure!(daemon.stop().await?.status.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_ends_in_its_action_once_over_the_embedded_bus() -> anyhow::Result<()> {
    through_faults(&Place::new()?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_ends_in_its_action_once_over_jetstream() -> anyhow::Result<()> {
    let (nats, place) = (Nats::start()?, Place::new()?);
    place.write("bus.yaml", &event_bus(&nats.url()))?;
    through_faults(&place).await
}

/// Two daemons with data of their own, so that neither could recognise what the other has taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_daemon_in_the_group_takes_its_part_and_nothing_twice() -> anyhow::Result<()> {
    let kafka = Kafka::start()?;
    let brokers = kafka.brokers();
    let builds = Topic::create(&brokers, "builds", PARTITIONS).await?;
    let places = [Place::new()?, Place::new()?];
    for place in &places {
        place.write("source.yaml", &source(&brokers))?;
        place.write("stored.yaml", &workflow_sensor("stored"))?;
    }
    let mut produced = Produced::default();
    produced.send(&builds, &brokers, 0..1000).await?;
    let first = places[0].start().await?;
    workflows(&[(&places[0], &first)], 50).await?;
    let second = places[1].spawn()?;
    // Until the other has its part: in the middle of what keeps coming.
    let (mut sent, deadline) = (1000, Instant::now() + SETTLE);
    while second.metric("argo_events_events_sent_total").await.unwrap_or(0.0) < 50.0 {
        ensure!(Instant::now() < deadline, "no part of it:\n{}", second.stderr());
        produced.send(&builds, &brokers, sent..sent + 100).await?;
        sent += 100;
    }
    // One goes while more comes: the other takes all.
    let more = sent..sent + 1000;
    let sending = async {
        produced.send(&builds, &brokers, more.clone()).await?;
        anyhow::Ok(())
    };
    let (ended, sending) = tokio::join!(first.stop(), sending);
    sending?;
    ensure!(ended?.status.success());
    let left = places[0].start().await?;
    let both = [(&places[0], &left), (&places[1], &second)];
    let found = workflows(&both, more.end).await?;
    left.settled(SETTLE).await?;
    second.settled(SETTLE).await?;
    produced.check(&found, Times::Once)?;
    Ok(())
}

/// The event source and the sensor of the page, as they stand there but for the brokers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_page_shows_takes_messages_in_and_sends_them_on() -> anyhow::Result<()> {
    let kafka = Kafka::start()?;
    let brokers = kafka.brokers();
    let builds = Topic::create(&brokers, "builds", 1).await?;
    let deployments = Topic::create(&brokers, "deployments", 3).await?;
    let place = Place::new()?;
    let page = Page::read(Path::new("docs/kafka.md"))?;
    let blocks = page.blocks();
    let shown = |what: &str| {
        let mut all = blocks.iter().filter(|block| block.language == "yaml");
        let found = all.find(|block| block.text.contains(what));
        let text = found.with_context(|| format!("the page shows no {what}"))?.text.clone();
        anyhow::Ok(text.replace("kafka-0:9092,kafka-1:9092", &brokers))
    };
    place.write("source.yaml", &shown("oldest: true")?)?;
    place.write("sensor.yaml", &shown("kind: Sensor")?)?;
    let daemon = place.start().await?;
    builds.send([body(4711)].into_iter()).await?;
    let deadline = Instant::now() + SOON;
    let read = loop {
        if let Some(read) = deployments.read()?.pop() {
            break read;
        }
        ensure!(Instant::now() < deadline, "nothing is sent on:\n{}", daemon.stderr());
    };
    ensure!(read.value == r#"{"build":"b-4711"}"#, "{read:?}");
    ensure!(read.header("x-correlation-id")? == "b-4711" && read.header("team")? == "platform");
    let doctor = place.text(&["doctor", &place.yaml().display().to_string()])?;
    for said in ["topic `builds` is there with 1 partitions", "topic `deployments` is there"] {
        ensure!(doctor.contains(said), "{doctor}");
    }
    ensure!(daemon.stop().await?.status.success());
    Ok(())
}
