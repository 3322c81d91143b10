//! The benchmark of the source on NATS: `cargo bench -p tripline-tests --bench nats`, with
//! options after `--`.
//!
//! A stream of JetStream with a backlog is emptied in the same run, on the same server: by a bare
//! client, which takes and acknowledges and does nothing else; by the daemon, which makes each
//! message a durable event before it acknowledges it; and by the daemon with a sensor whose HTTP
//! trigger sends each on. Core NATS has no backlog: messages are published at a rate, and what
//! the daemon does not hear is counted.
//! Server, client and daemon share the machine.

mod backlog;

use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Parser;
use tripline_testbed::Nats;
use tripline_tests::daemon::Place;
use tripline_tests::intake::{PART, Took, body, taken};
use tripline_tests::proc::cpu;
use tripline_tests::sink::Sink;

use crate::backlog::Backlog;

/// Measures how fast a stream of NATS is emptied.
#[derive(Parser)]
struct Arguments {
    /// How many messages.
    #[arg(long, default_value_t = 100_000)]
    messages: u64,
    /// How many messages a second are published to core NATS.
    #[arg(long, default_value_t = 10_000)]
    rate: u32,
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
    let messages = arguments.messages;
    let server = Nats::start()?;
    eprintln!("{messages} messages for the bare client");
    let backlog = Backlog::create(&server.url(), "BARE").await?;
    backlog.fill(messages).await?;
    let bare = backlog.empty(messages).await?;

    eprintln!("for the daemon, which makes them events");
    let events = emptied(&server, "EVENTS", messages, None).await?;
    eprintln!("and for the daemon, which sends them on too");
    let sink = Sink::start()?;
    let sent_on = emptied(&server, "SENTON", messages, Some(&sink)).await?;
    eprintln!("and of core NATS, {} a second", arguments.rate);
    let core = heard(&server, messages, arguments.rate).await?;

    let row = |what: &str, took: &Took| {
        let (rate, cpu) = (took.rate(), took.cpu_per_thousand());
        println!("| {what} | {rate:.0} | {:.0} % | {cpu:.1} ms |", 100.0 * rate / bare.rate());
    };
    println!("| NATS | messages/s | of the bare client | CPU per 1,000 |");
    println!("| --- | ---: | ---: | ---: |");
    row("bare client: take, acknowledge", &bare);
    row("JetStream → durable event, acknowledged", &events);
    row("JetStream → durable event, acknowledged, and on through an HTTP trigger", &sent_on);
    row(&format!("core → durable event ({} of {messages} heard)", core.messages), &core);
    let (rate, bare) = (events.rate(), bare.rate());
    ensure!(rate >= PART * bare, "the source has less than {PART} of the bare client's rate");
    Ok(())
}

/// How long the daemon takes for a stream: to the last durable event, or to the last request at
/// the sink. What it has taken is acknowledged.
async fn emptied(
    server: &Nats,
    name: &'static str,
    messages: u64,
    sink: Option<&Sink>,
) -> anyhow::Result<Took> {
    let backlog = Backlog::create(&server.url(), name).await?;
    backlog.fill(messages).await?;
    let jet_stream = format!("      jetStream: {{ stream: {name} }}\n");
    let source = event_source(server, &backlog.subject, &jet_stream);
    let took = taken(env!("CARGO_TARGET_TMPDIR").as_ref(), &source, messages, sink).await?;
    backlog.is_empty().await?;
    Ok(took)
}

/// How many messages that are published at this rate the daemon hears.
async fn heard(server: &Nats, messages: u64, rate: u32) -> anyhow::Result<Took> {
    let place = Place::below(env!("CARGO_TARGET_TMPDIR").as_ref())?;
    place.write("event-source.yaml", &event_source(server, "core", ""))?;
    let daemon = place.start().await?;
    let client = async_nats::connect(server.url()).await?;
    let (began, used) = (Instant::now(), cpu(daemon.pid())?);
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    let mut sent = 0;
    while sent < messages {
        pace.tick().await;
        for _ in 0..(rate / 100).max(1) {
            client.publish("core", body(sent).into()).await?;
            sent += 1;
        }
    }
    client.flush().await?;
    let (mut heard, mut since) = (0, Instant::now());
    while since.elapsed() < Duration::from_secs(2) && heard < sent {
        let now = daemon.metric("argo_events_events_sent_total").await.unwrap_or(0.0) as u64;
        if now > heard {
            (heard, since) = (now, Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let cpu = cpu(daemon.pid())?.saturating_sub(used);
    let took = Took { messages: heard, time: since - began, cpu };
    let ended = daemon.stop().await?;
    ensure!(ended.status.success(), "{}:\n{}", ended.status, ended.stderr);
    Ok(took)
}

fn event_source(server: &Nats, subject: &str, more: &str) -> String {
    format!(
        r#"apiVersion: tripline.dev/v1
kind: EventSource
metadata:
  name: builds
  namespace: ci
spec:
  nats:
    completed:
      url: {url}
      subject: {subject}
      jsonBody: true
{more}"#,
        url = server.url(),
    )
}
