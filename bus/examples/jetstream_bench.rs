//! What JetStream takes for the records of many tasks that append one each, as webhooks do:
//! as blocks, which is what the bus does; as a message each; and as atomic batches of the
//! server's.
//!
//! `cargo run --release -p tripline-bus --example jetstream_bench -- nats://127.0.0.1:4222`,
//! on a nats-server of its own.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark panics when it fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::jetstream;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tripline_bus::jetstream::{JetStreamBus, OpenOptions};
use tripline_bus::{Append, Bus, Log};

const RECORD_BYTES: usize = 600;
const TIME: Duration = Duration::from_secs(5);
/// The most messages of one atomic batch.
const ATOMIC: usize = 1000;

fn record(number: u64) -> Bytes {
    number.to_be_bytes().repeat(RECORD_BYTES / 8).into()
}

/// Runs `append` in so many tasks at the same time; how many were answered in a second.
async fn rate<F>(tasks: usize, append: impl Fn(u64) -> F + Clone + Send + 'static) -> f64
where
    F: Future<Output = ()> + Send + 'static,
{
    let (number, begin) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..tasks {
        let (number, append) = (Arc::clone(&number), append.clone());
        running.spawn(async move {
            while begin.elapsed() < TIME {
                append(number.fetch_add(1, Ordering::Relaxed)).await;
            }
        });
    }
    running.join_all().await;
    number.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64()
}

async fn stream(context: &jetstream::Context, name: &str) {
    let config = jetstream::stream::Config {
        name: name.to_owned(),
        subjects: vec![name.to_owned()],
        allow_atomic_publish: true,
        ..Default::default()
    };
    context.delete_stream(name).await.ok();
    context.create_stream(config).await.unwrap();
}

/// A task that publishes what has gathered as one atomic batch and waits for its answer.
async fn atomic(
    context: jetstream::Context,
    mut queue: mpsc::Receiver<(Bytes, oneshot::Sender<()>)>,
) {
    let client = context.client();
    let mut group = Vec::new();
    for batch in 0_u64.. {
        if queue.recv_many(&mut group, ATOMIC).await == 0 {
            return;
        }
        let last = group.len();
        let mut answers = Vec::with_capacity(last);
        for (index, (record, answer)) in group.drain(..).enumerate() {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Batch-Id", format!("b{batch}"));
            headers.insert("Nats-Batch-Sequence", (index + 1).to_string());
            headers.insert("Nats-Msg-Id", format!("{batch}-{index}"));
            answers.push(answer);
            if index + 1 < last {
                client.publish_with_headers("bench-atomic", headers, record).await.unwrap();
            } else {
                headers.insert("Nats-Batch-Commit", "1");
                let stored = client.request_with_headers("bench-atomic", headers, record).await;
                let stored = stored.unwrap().payload;
                assert!(!stored.windows(7).any(|part| part == b"\"error\""), "{stored:?}");
            }
        }
        for answer in answers {
            answer.send(()).ok();
        }
    }
}

#[tokio::main]
async fn main() {
    let url = std::env::args().nth(1).expect("the URL of a nats-server of its own");
    let context = jetstream::new(async_nats::connect(&url).await.unwrap());
    println!("{:<34} {:>6} {:>12}", "records of 600 bytes, with ids", "tasks", "records/s");
    for tasks in [1, 64, 512] {
        let options = OpenOptions { prefix: format!("bench{tasks}"), ..OpenOptions::new(&url) };
        let bus = Arc::new(JetStreamBus::open(&options).await.unwrap());
        let blocks = rate(tasks, move |number| {
            let bus = Arc::clone(&bus);
            async move {
                let dedup = Some(Bytes::copy_from_slice(&number.to_be_bytes().repeat(4)));
                let append = Append { dedup, record: record(number) };
                bus.append(Log::Events, vec![append]).await.unwrap();
            }
        });
        println!("{:<34} {tasks:>6} {:>12.0}", "blocks (the bus)", blocks.await);
        stream(&context, "bench-message").await;
        let messages = context.clone();
        let messages = rate(tasks, move |number| {
            let context = messages.clone();
            async move {
                let mut headers = HeaderMap::new();
                headers.insert("Nats-Msg-Id", format!("{number:032x}"));
                let sent = context.publish_with_headers("bench-message", headers, record(number));
                sent.await.unwrap().await.unwrap();
            }
        });
        println!("{:<34} {tasks:>6} {:>12.0}", "a message each", messages.await);
        stream(&context, "bench-atomic").await;
        let (queue, receiver) = mpsc::channel(1024);
        tokio::spawn(atomic(context.clone(), receiver));
        let batches = rate(tasks, move |number| {
            let queue = queue.clone();
            async move {
                let (answer, answered) = oneshot::channel();
                queue.send((record(number), answer)).await.unwrap();
                answered.await.unwrap();
            }
        });
        println!(
            "{:<34} {tasks:>6} {:>12.0}",
            "atomic batches of what has gathered",
            batches.await
        );
    }
}
