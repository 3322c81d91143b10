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
use tripline_tests::intake::{PART, QUIET, body, per_second, taken};

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
    let backlog: Vec<Message> = (0..messages).map(|number| Message::new(body(number))).collect();
    eprintln!("{messages} messages for the bare client");
    server.publish("builds", &backlog)?;
    let bare = per_second(messages, bare(&server, messages).await?);

    eprintln!("and for the daemon, which makes them events");
    server.create_subscription("daemon", "builds")?;
    server.publish("builds", &backlog)?;
    let folder = env!("CARGO_TARGET_TMPDIR").as_ref();
    let events = taken(folder, &event_source(&server), messages, None).await?.rate();

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
