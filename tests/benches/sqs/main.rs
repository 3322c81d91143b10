//! The benchmark of the source on SQS: `cargo bench -p tripline-tests --bench sqs`, with
//! options after `--`.
//!
//! A queue with a backlog is emptied in the same run, on the same server: by a bare client,
//! which receives and deletes and does nothing else; by the daemon, which makes each message a
//! durable event before it deletes it; and by the daemon with a sensor whose HTTP trigger sends
//! each on.
//! Server, client and daemon share the machine.

mod backlog;
mod server;

use std::time::Instant;

use anyhow::ensure;
use clap::{Parser, ValueEnum};
use tripline_tests::intake::{PART, per_second, taken};
use tripline_tests::sink::Sink;

use crate::backlog::Backlog;
use crate::server::Server;

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

    eprintln!("for the daemon, which makes them events");
    let events = emptied(&server, "events", arguments.messages, None).await?;
    eprintln!("and for the daemon, which sends them on too");
    let sink = Sink::start()?;
    let sent_on = emptied(&server, "sent-on", arguments.messages, Some(&sink)).await?;

    let row = |what: &str, rate: f64| {
        println!("| {what} | {rate:.0} | {:.0} % |", 100.0 * rate / bare);
    };
    println!("| {:?} | messages/s | of the bare client |", arguments.server);
    println!("| --- | ---: | ---: |");
    row("bare client: receive, delete", bare);
    row("SQS → durable event, deleted", events);
    row("SQS → durable event, deleted, and on through an HTTP trigger", sent_on);
    ensure!(events >= PART * bare, "the source has less than {PART} of the bare client's rate");
    Ok(())
}

/// How many messages a second the daemon empties a queue of: to the last durable event, or to
/// the last request at the sink. What it has taken is deleted.
async fn emptied(
    server: &Server,
    name: &'static str,
    messages: u64,
    sink: Option<&Sink>,
) -> anyhow::Result<f64> {
    let backlog = Backlog::create(server.endpoint(), name).await?;
    backlog.fill(messages).await?;
    let folder = env!("CARGO_TARGET_TMPDIR").as_ref();
    let took = taken(folder, &event_source(&backlog), messages, sink).await?;
    backlog.is_empty().await?;
    Ok(took.rate())
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
