//! The benchmark of the source on Kafka: `cargo bench -p tripline-tests --bench kafka`, with
//! options after `--`.
//!
//! A topic with a backlog is read in the same run, on the same broker: by a bare client, which
//! polls and stores offsets and does nothing else; by the daemon, which makes each message a
//! durable event before it stores its offset; and by the daemon with a sensor whose HTTP trigger
//! sends each on.
//! Broker, client and daemon share the machine.

use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Parser;
use rdkafka::consumer::Consumer as _;
use rdkafka::message::Message as _;
use tripline_testbed::Kafka;
use tripline_tests::daemon::{Daemon, Place};
use tripline_tests::kafka::Topic;
use tripline_tests::load::correlation_id;
use tripline_tests::proc::cpu;
use tripline_tests::resources::http_sensor;
use tripline_tests::sink::Sink;

/// The sensor's `maxInFlight`.
const MAX_IN_FLIGHT: u32 = 64;
/// How long nothing may arrive while something is left.
const QUIET: Duration = Duration::from_secs(20);
/// What the daemon is to reach of the bare client's rate.
const PART: f64 = 0.5;
/// The size of a message.
const BODY_BYTES: usize = 1024;
/// How many messages are sent at once.
const SENT_AT_ONCE: u64 = 10_000;

/// Measures how fast a topic of Kafka is read.
#[derive(Parser)]
struct Arguments {
    /// How many messages.
    #[arg(long, default_value_t = 200_000)]
    messages: u64,
    /// How many partitions the topic has.
    #[arg(long, default_value_t = 4)]
    partitions: i32,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if !arguments.bench {
        println!("this is a benchmark: run it with `cargo bench`");
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(&arguments))
}

/// How long it took, and what was used of the processors.
struct Took {
    time: Duration,
    cpu: Duration,
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { messages, partitions, .. } = *arguments;
    let kafka = Kafka::start()?;
    let brokers = kafka.brokers();
    eprintln!("{messages} messages in {partitions} partitions");
    let topic = Topic::create(&brokers, "builds", partitions).await?;
    let mut sent = 0;
    while sent < messages {
        let next = messages.min(sent + SENT_AT_ONCE);
        topic.send((sent..next).map(body)).await?;
        sent = next;
    }
    eprintln!("for the bare client");
    let bare = read(&topic, messages)?;
    eprintln!("for the daemon, which makes them events");
    let events = taken(&brokers, "events", messages, None).await?;
    eprintln!("and for the daemon, which sends them on too");
    let sink = Sink::start()?;
    let sent_on = taken(&brokers, "sent-on", messages, Some(&sink)).await?;

    let rate = |took: &Took| messages as f64 / took.time.as_secs_f64();
    let row = |what: &str, took: &Took| {
        let part = 100.0 * rate(took) / rate(&bare);
        let cpu = took.cpu.as_secs_f64() * 1e6 / messages as f64;
        println!("| {what} | {:.0} | {part:.0} % | {cpu:.1} ms |", rate(took));
    };
    println!("| Kafka | messages/s | of the bare client | CPU per 1,000 |");
    println!("| --- | ---: | ---: | ---: |");
    row("bare client: poll, store the offset", &bare);
    row("Kafka → durable event, offset stored", &events);
    row("Kafka → durable event, offset stored, and on through an HTTP trigger", &sent_on);
    ensure!(
        rate(&events) >= PART * rate(&bare),
        "the source has less than {PART} of the bare client's rate"
    );
    Ok(())
}

/// How long the bare client takes from the first message to the last.
fn read(topic: &Topic, messages: u64) -> anyhow::Result<Took> {
    let consumer = topic.consumer("bare")?;
    let (mut left, mut begun, mut last) = (messages, None, Instant::now());
    let pid = std::process::id();
    while left > 0 {
        let Some(message) = consumer.poll(Duration::from_millis(100)) else {
            ensure!(last.elapsed() < QUIET, "{left} messages do not come");
            continue;
        };
        let message = message?;
        begun.get_or_insert((Instant::now(), cpu(pid)?));
        ensure!(message.payload().is_some_and(|value| value.len() == BODY_BYTES));
        consumer.store_offset_from_message(&message)?;
        left -= 1;
        last = Instant::now();
    }
    let (began, used) = begun.unwrap_or((last, Duration::ZERO));
    Ok(Took { time: last - began, cpu: cpu(pid)?.saturating_sub(used) })
}

/// How long the daemon takes from the first durable event to the last, or to the last request at
/// the sink.
async fn taken(
    brokers: &str,
    group: &str,
    messages: u64,
    sink: Option<&Sink>,
) -> anyhow::Result<Took> {
    let place = Place::below(env!("CARGO_TARGET_TMPDIR").as_ref())?;
    place.write("event-source.yaml", &event_source(brokers, group))?;
    if let Some(sink) = sink {
        place.write("sensor.yaml", &http_sensor("notify", &sink.url(), MAX_IN_FLIGHT))?;
    }
    let daemon = place.spawn()?;
    has_durable(&daemon, 1).await?;
    let (began, used) = (Instant::now(), cpu(daemon.pid())?);
    match sink {
        Some(sink) => sink.has_received(messages, QUIET).await?,
        None => has_durable(&daemon, messages).await?,
    }
    let took = Took { time: began.elapsed(), cpu: cpu(daemon.pid())?.saturating_sub(used) };
    has_durable(&daemon, messages).await?;
    let ended = daemon.stop().await?;
    ensure!(ended.status.success(), "{}:\n{}", ended.status, ended.stderr);
    Ok(took)
}

/// Waits until so many events are durable.
async fn has_durable(daemon: &Daemon, events: u64) -> anyhow::Result<()> {
    let (mut last, mut since) = (0, Instant::now());
    loop {
        // Before it listens it does not answer, and before the first event there is no series.
        let durable = daemon.metric("argo_events_events_sent_total").await.unwrap_or(0.0) as u64;
        ensure!(durable <= events || events == 1, "{durable} events of {events} messages");
        if durable >= events {
            return Ok(());
        }
        if durable > last {
            (last, since) = (durable, Instant::now());
        }
        ensure!(since.elapsed() < QUIET, "{durable} of {events} are durable:\n{}", daemon.stderr());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A message as a build system sends it.
fn body(number: u64) -> String {
    let mut body = format!(
        r#"{{"action":"completed","repository":"shop","branch":"main","correlation_id":"{}","log":""#,
        correlation_id(number)
    );
    while body.len() < BODY_BYTES - 2 {
        body.push('.');
    }
    body.push_str("\"}");
    body
}

fn event_source(brokers: &str, group: &str) -> String {
    format!(
        r#"apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata:
  name: builds
  namespace: ci
spec:
  kafka:
    completed:
      url: {brokers}
      topic: builds
      consumerGroup: {{ groupName: {group}, oldest: true }}
      jsonBody: true
"#
    )
}
