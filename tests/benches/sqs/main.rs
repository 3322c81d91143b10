//! The benchmark of the source on SQS: `cargo bench -p tripline-tests --bench sqs`, with
//! options after `--`.
//!
//! A queue with a backlog is emptied twice in the same run, on the same server: by a bare
//! client, which receives and deletes and does nothing else; and by the daemon, which makes
//! each message a durable event before it deletes it, and sends it on through an HTTP trigger.
//! Server, client and daemon share the machine.

mod backlog;
mod server;

use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::{Parser, ValueEnum};
use tripline_tests::daemon::{Place, SOON};
use tripline_tests::resources::http_sensor;
use tripline_tests::sink::Sink;

use crate::backlog::Backlog;
use crate::server::Server;

/// The sensor's `maxInFlight`.
const MAX_IN_FLIGHT: u32 = 64;
/// How long nothing may arrive while something is left.
const QUIET: Duration = Duration::from_secs(20);
/// What the daemon is to reach of the bare client's rate.
const PART: f64 = 0.5;

/// Which server has the queue.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Which {
    /// ElasticMQ.
    Elasticmq,
    /// moto: slower by far.
    Moto,
}

/// Measures how fast a queue of SQS is emptied.
#[derive(Parser)]
struct Arguments {
    /// How many messages.
    #[arg(long, default_value_t = 10_000)]
    messages: u64,
    /// How many receives the bare client has at a time: as many as the daemon.
    #[arg(long, default_value_t = 8)]
    receives: usize,
    /// The server.
    #[arg(long, value_enum, default_value = "elasticmq")]
    server: Which,
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
    let server = Server::start(arguments.server)?;
    eprintln!("{:?}: {} messages for the bare client", arguments.server, arguments.messages);
    let backlog = Backlog::create(server.endpoint(), "bare").await?;
    backlog.fill(arguments.messages).await?;
    let began = Instant::now();
    backlog.empty(arguments.messages, arguments.receives).await?;
    let bare = per_second(arguments.messages, began.elapsed());

    eprintln!("and for the daemon");
    let backlog = Backlog::create(server.endpoint(), "builds").await?;
    backlog.fill(arguments.messages).await?;
    let sink = Sink::start()?;
    let place = Place::below(env!("CARGO_TARGET_TMPDIR").as_ref())?;
    place.write("event-source.yaml", &event_source(&backlog))?;
    place.write("sensor.yaml", &http_sensor("notify", &sink.url(), MAX_IN_FLIGHT))?;
    let daemon = place.spawn()?;
    sink.has_received(1, SOON).await?;
    let began = Instant::now();
    sink.has_received(arguments.messages, QUIET).await?;
    let took = began.elapsed();
    let durable = daemon.metric("argo_events_events_sent_total").await? as u64;
    ensure!(durable == arguments.messages, "{durable} events of {} messages", arguments.messages);
    backlog.is_empty().await?;
    let ended = daemon.stop().await?;
    ensure!(ended.status.success(), "{}:\n{}", ended.status, ended.stderr);
    let tripline = per_second(arguments.messages, took);

    println!("| {:?} | messages/s |", arguments.server);
    println!("| --- | ---: |");
    println!("| bare client: receive, delete | {bare:.0} |");
    println!("| SQS → durable event → HTTP trigger, deleted | {tripline:.0} |");
    let part = tripline / bare;
    println!(
        "{:.0} % of the bare client's rate, at least {:.0} % is asked for",
        part * 100.0,
        PART * 100.0
    );
    ensure!(part >= PART, "the source is too slow");
    Ok(())
}

fn per_second(messages: u64, took: Duration) -> f64 {
    messages as f64 / took.as_secs_f64()
}

fn event_source(backlog: &Backlog) -> String {
    let Backlog { name, endpoint, .. } = backlog;
    format!(
        r#"apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata:
  name: builds
  namespace: ci
spec:
  sqs:
    completed:
      queue: {name}
      region: {region}
      endpoint: {endpoint}
      jsonBody: true
      accessKey: {{ name: aws, key: access }}
      secretKey: {{ name: aws, key: secret }}
---
apiVersion: v1
kind: Secret
metadata:
  name: aws
  namespace: ci
stringData:
  access: {access}
  secret: {secret}
"#,
        region = tripline_testbed::AWS_REGION,
        access = tripline_testbed::AWS_ACCESS_KEY_ID,
        secret = tripline_testbed::AWS_SECRET_ACCESS_KEY,
    )
}
