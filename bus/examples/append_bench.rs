//! What an append to the embedded bus costs, against writing the same bytes to a file.
//!
//! `cargo run --release -p tripline-bus --example append_bench [DIRECTORY]`; the directory
//! should be on the disk that is to be measured.

#![expect(clippy::unwrap_used, reason = "a measurement that fails has nothing to say")]

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::time::{ClockId, clock_gettime};
use tripline_bus::embedded::{EmbeddedBus, OpenOptions};
use tripline_bus::{Append, Bus, Log};

const RECORD_BYTES: usize = 1024;
/// How many batches are measured, for each size of batch.
const PLAN: [(usize, usize); 3] = [(1, 2000), (32, 1000), (256, 400)];

struct Cost {
    wall: Duration,
    cpu: Duration,
}

/// The processor time that all threads of this process have used.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

fn cost(measure: impl FnOnce()) -> Cost {
    let (wall_before, cpu_before) = (Instant::now(), cpu());
    measure();
    Cost { wall: wall_before.elapsed(), cpu: cpu() - cpu_before }
}

fn record(number: usize) -> Bytes {
    number.to_be_bytes().repeat(RECORD_BYTES / 8).into()
}

fn file(directory: &std::path::Path, size: usize, batches: usize) -> Cost {
    let mut file = File::create(directory.join("plain")).unwrap();
    let records: Vec<_> = (0..size).map(record).collect();
    cost(|| {
        for _ in 0..batches {
            file.write_all(&records.concat()).unwrap();
            file.sync_data().unwrap();
        }
    })
}

/// Batches one after the other, each with or without dedup ids.
fn bus(directory: &std::path::Path, size: usize, batches: usize, dedup: bool) -> Cost {
    let name = format!("bus-{size}-{dedup}");
    let bus = EmbeddedBus::open(&directory.join(name), &OpenOptions::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let batch = |batch: usize| {
        let append = |number: usize| {
            let number = batch * size + number;
            // Scattered as the hashes that ids are.
            let id = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().repeat(4);
            Append { dedup: dedup.then(|| id.into()), record: record(number) }
        };
        (0..size).map(append).collect::<Vec<_>>()
    };
    cost(|| {
        for number in 0..batches {
            runtime.block_on(bus.append(Log::Events, batch(number))).unwrap();
        }
    })
}

/// Many tasks that append one record each, as webhooks do.
fn group(directory: &std::path::Path, tasks: usize, each: usize) -> Cost {
    let options = OpenOptions::default();
    let bus = EmbeddedBus::open(&directory.join(format!("group-{tasks}")), &options).unwrap();
    let bus = std::sync::Arc::new(bus);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    cost(|| {
        runtime.block_on(async {
            let mut running = tokio::task::JoinSet::new();
            for task in 0..tasks {
                let bus = std::sync::Arc::clone(&bus);
                running.spawn(async move {
                    for number in 0..each {
                        let number = task * each + number;
                        let id = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                        let dedup = Some(id.to_be_bytes().repeat(4).into());
                        let append = Append { dedup, record: record(number) };
                        bus.append(Log::Events, vec![append]).await.unwrap();
                    }
                });
            }
            running.join_all().await;
        });
    })
}

fn line(what: &str, size: usize, batches: usize, cost: &Cost) {
    let micros = |duration: Duration, count: usize| duration.as_secs_f64() * 1e6 / count as f64;
    let (latency, records) = (micros(cost.wall, batches), size * batches);
    let cpu = micros(cost.cpu, records);
    let rate = records as f64 / cost.wall.as_secs_f64();
    println!("{what:<28} {size:>5} {latency:>14.0} {cpu:>14.2} {rate:>12.0}");
}

fn main() {
    let parent = std::env::args_os().nth(1).unwrap_or_else(|| ".".into());
    let directory = tempfile::tempdir_in(parent).unwrap();
    let path = directory.path();
    println!(
        "{:<28} {:>5} {:>14} {:>14} {:>12}",
        "", "batch", "µs/batch", "CPU µs/record", "records/s"
    );
    for (size, batches) in PLAN {
        line("file, fdatasync", size, batches, &file(path, size, batches));
        line("bus", size, batches, &bus(path, size, batches, false));
        line("bus, dedup ids", size, batches, &bus(path, size, batches, true));
    }
    for tasks in [8, 64, 512] {
        let each = 40_000 / tasks;
        line(&format!("bus, {tasks} tasks"), 1, tasks * each, &group(path, tasks, each));
    }
}
