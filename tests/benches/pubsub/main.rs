//! The benchmark of the source on Pub/Sub: `cargo bench -p tripline-tests --bench pubsub`, with
//! options after `--`.
//!
//! A topic has two subscriptions with the same backlog. In the same run, on the same emulator,
//! one is emptied by a bare client, which pulls and acknowledges and does nothing else, and one
//! by the daemon, which makes each message a durable event before it acknowledges it. The
//! emulator is what limits both. Emulator, client and daemon share the machine.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;
use google_cloud_auth::credentials::anonymous;
use google_cloud_pubsub::client::Subscriber;
use tripline_testbed::{Message, PubSub};
use tripline_tests::daemon::{Daemon, Place};
use tripline_tests::load::correlation_id;

/// How long nothing may arrive while something is left.
const QUIET: Duration = Duration::from_secs(20);
/// What the daemon is to reach of the bare client's rate.
const PART: f64 = 0.5;
/// The size of a message.
const BODY_BYTES: usize = 1024;

/// Measures how fast a subscription of Pub/Sub is emptied.
#[derive(Parser)]
struct Arguments {
    /// How many messages.
    #[arg(long, default_value_t = 5_000)]
    messages: u64,
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
    runtime.block_on(run(arguments.messages))
}

async fn run(messages: u64) -> anyhow::Result<()> {
    let server = PubSub::start()?;
    server.create_topic("builds")?;
    server.create_subscription("bare", "builds")?;
    let backlog: Vec<Message> = (0..messages).map(message).collect();
    eprintln!("{messages} messages for the bare client");
    server.publish("builds", &backlog)?;
    let bare = per_second(messages, bare(&server, messages).await?);

    eprintln!("and for the daemon, which makes them events");
    server.create_subscription("daemon", "builds")?;
    server.publish("builds", &backlog)?;
    let events = per_second(messages, emptied(&server, messages).await?);

    println!("| Pub/Sub's emulator | messages/s | of the bare client |");
    println!("| --- | ---: | ---: |");
    for (what, rate) in [
        ("bare client: pull, acknowledge", bare),
        ("Pub/Sub → durable event, acknowledged", events),
    ] {
        println!("| {what} | {rate:.0} | {:.0} % |", 100.0 * rate / bare);
    }
    ensure!(events >= PART * bare, "the source has less than {PART} of the bare client's rate");
    Ok(())
}

/// How long a client takes that acknowledges as soon as it has a message.
async fn bare(server: &PubSub, messages: u64) -> anyhow::Result<Duration> {
    // The library has a client that wants it.
    let _already = rustls::crypto::ring::default_provider().install_default();
    let builder = Subscriber::builder().with_endpoint(format!("http://{}", server.host()));
    let client = builder.with_credentials(anonymous::Builder::new().build()).build().await?;
    let name = format!("projects/{}/subscriptions/bare", server.project());
    let mut stream = client.subscribe(name).build();
    let mut began = None;
    for _ in 0..messages {
        let next = tokio::time::timeout(QUIET, stream.next()).await;
        let (_, handler) = next.context("nothing came")?.context("the stream has ended")??;
        handler.ack();
        began.get_or_insert_with(Instant::now);
    }
    let took = began.map(|began| began.elapsed()).unwrap_or_default();
    stream.shutdown_token().shutdown().await;
    Ok(took)
}

/// How long the daemon takes, to the last durable event.
async fn emptied(server: &PubSub, messages: u64) -> anyhow::Result<Duration> {
    let place = Place::below(env!("CARGO_TARGET_TMPDIR").as_ref())?;
    place.write("event-source.yaml", &event_source(server))?;
    let daemon = place.spawn()?;
    has_durable(&daemon, 1).await?;
    let began = Instant::now();
    has_durable(&daemon, messages).await?;
    let took = began.elapsed();
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

fn per_second(messages: u64, took: Duration) -> f64 {
    messages as f64 / took.as_secs_f64()
}

/// A message as a build system sends it.
fn message(number: u64) -> Message {
    let mut body =
        r#"{"action":"completed","repository":"shop","branch":"main","log":""#.to_owned();
    body.push_str(&".".repeat(BODY_BYTES - body.len() - 2));
    body.push_str("\"}");
    let attributes = vec![("correlation_id".to_owned(), correlation_id(number))];
    Message { attributes, ..Message::new(body) }
}

fn event_source(server: &PubSub) -> String {
    format!(
        r#"apiVersion: tripline.dev/v1
kind: EventSource
metadata:
  name: builds
  namespace: ci
spec:
  pubSub:
    completed:
      projectID: {project}
      subscriptionID: daemon
      endpoint: http://{host}
      jsonBody: true
"#,
        project = server.project(),
        host = server.host(),
    )
}
