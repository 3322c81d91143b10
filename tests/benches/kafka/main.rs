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
use tripline_tests::intake::{BODY_BYTES, PART, QUIET, Took, body, taken};
use tripline_tests::kafka::Topic;
use tripline_tests::proc::cpu;
use tripline_tests::sink::Sink;

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
    let folder = env!("CARGO_TARGET_TMPDIR").as_ref();
    let events = taken(folder, &event_source(&brokers, "events"), messages, None).await?;
    eprintln!("and for the daemon, which sends them on too");
    let sink = Sink::start()?;
    let sent_on = event_source(&brokers, "sent-on");
    let sent_on = taken(folder, &sent_on, messages, Some(&sink)).await?;

    let rate = |took: &Took| took.rate();
    let row = |what: &str, took: &Took| {
        let part = 100.0 * rate(took) / rate(&bare);
        let cpu = took.cpu_per_thousand();
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
    let cpu = cpu(pid)?.saturating_sub(used);
    Ok(Took { messages: messages - 1, time: last - began, cpu })
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
