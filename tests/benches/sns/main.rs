//! The benchmark of the source on SNS: `cargo bench -p tripline-tests --bench sns`, with options
//! after `--`.
//!
//! The same signed notifications are posted, in the same run and over as many connections: to a bare
//! endpoint, which reads and answers and does nothing else; to the daemon, which checks each signature
//! and makes the message a durable event before it answers; and to the daemon with a sensor whose HTTP
//! trigger sends each on. The bare endpoint does less than any consumer of SNS must: it checks no
//! signature and parses nothing, so no part of its rate is asked for.
//! Generator, sink and what is measured share the machine.

mod amazon;
mod notifications;

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::ensure;
use clap::Parser;
use tripline_tests::bare::{self, Server};
use tripline_tests::daemon::Place;
use tripline_tests::intake::{QUIET, Took};
use tripline_tests::proc::cpu;
use tripline_tests::resources::http_sensor;
use tripline_tests::sink::Sink;

use crate::amazon::Amazon;
use crate::notifications::{Notifications, TOPIC};

/// The sensor's `maxInFlight`.
const MAX_IN_FLIGHT: u32 = 64;

/// Measures how fast notifications of SNS are taken.
#[derive(Parser)]
struct Arguments {
    /// How many messages. Each is signed beforehand, which takes about a millisecond.
    #[arg(long, default_value_t = 20_000)]
    messages: u64,
    /// How many connections.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
    /// This process is the bare endpoint.
    #[arg(long, hide = true)]
    listen: Option<SocketAddr>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Some(address) = arguments.listen {
        return runtime.block_on(bare::serve(address, bare::read));
    }
    if !arguments.bench {
        println!("this is a benchmark: run it with `cargo bench`");
        return Ok(());
    }
    runtime.block_on(run(&arguments))
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { messages, connections, .. } = *arguments;
    let amazon = Amazon::start()?;
    eprintln!("{messages} messages are signed");
    let notifications = Notifications::sign(&amazon, messages)?;
    eprintln!("for the bare endpoint");
    let server = Server::start(&[]).await?;
    let bare = posted(&notifications, server.address, server.pid(), connections).await?;
    drop(server);
    eprintln!("for the daemon, which makes them events");
    let events = taken(&amazon, &notifications, connections, None).await?;
    eprintln!("and for the daemon, which sends them on too");
    let sink = Sink::start()?;
    let sent_on = taken(&amazon, &notifications, connections, Some(&sink)).await?;

    let rate = |took: &Took| took.rate();
    let row = |what: &str, took: &Took| {
        let part = 100.0 * rate(took) / rate(&bare);
        let cpu = took.cpu_per_thousand();
        println!("| {what} | {:.0} | {part:.0} % | {cpu:.0} ms |", rate(took));
    };
    println!("| SNS | messages/s | of the bare endpoint | CPU per 1,000 |");
    println!("| --- | ---: | ---: | ---: |");
    row("bare endpoint: read, answer", &bare);
    row("SNS → signature checked, durable event, answered", &events);
    row("SNS → durable event, answered, and on through an HTTP trigger", &sent_on);
    Ok(())
}

/// How long the daemon takes for the notifications: to the last answer, or to the last request at the
/// sink.
async fn taken(
    amazon: &Amazon,
    notifications: &Notifications,
    connections: usize,
    sink: Option<&Sink>,
) -> anyhow::Result<Took> {
    let mut place = Place::below(env!("CARGO_TARGET_TMPDIR").as_ref())?;
    place.environment = amazon.environment();
    place.write("event-source.yaml", &event_source(place.port))?;
    if let Some(sink) = sink {
        place.write("sensor.yaml", &http_sensor("notify", &sink.url(), MAX_IN_FLIGHT))?;
    }
    let daemon = place.start().await?;
    let began = Instant::now();
    let mut took = posted(notifications, place.webhook(), daemon.pid(), connections).await?;
    if let Some(sink) = sink {
        let used = cpu(daemon.pid())?;
        // With the one of before the measurement, which is over by then.
        sink.has_received(notifications.len() + 1, QUIET).await?;
        took.time = began.elapsed();
        took.cpu += cpu(daemon.pid())?.saturating_sub(used);
    }
    let durable = daemon.metric("argo_events_events_sent_total").await?;
    ensure!(durable == (notifications.len() + 1) as f64, "{durable} events are durable");
    let ended = daemon.stop().await?;
    ensure!(ended.status.success(), "{}:\n{}", ended.status, ended.stderr);
    Ok(took)
}

/// How long it takes until all notifications are answered. One more is posted before, so that the
/// certificate is there.
async fn posted(
    notifications: &Notifications,
    address: SocketAddr,
    pid: u32,
    connections: usize,
) -> anyhow::Result<Took> {
    notifications.post_first(address).await?;
    let (began, used) = (Instant::now(), cpu(pid)?);
    notifications.post(address, connections).await?;
    let (time, cpu) = (began.elapsed(), cpu(pid)?.saturating_sub(used));
    Ok(Took { messages: notifications.len(), time, cpu })
}

fn event_source(port: u16) -> String {
    format!(
        r#"apiVersion: tripline.dev/v1
kind: EventSource
metadata:
  name: builds
  namespace: ci
spec:
  sns:
    completed:
      topicArn: {TOPIC}
      validateSignature: true
      unwrap: sns
      webhook: {{ endpoint: /builds, port: "{port}" }}
"#
    )
}
