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
    /// How long each batch took.
    each: Vec<Duration>,
}

/// The processor time that all threads of this process have used.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

fn cost(measure: impl FnOnce() -> Vec<Duration>) -> Cost {
    let (wall_before, cpu_before) = (Instant::now(), cpu());
    let mut each = measure();
    each.sort();
    Cost { wall: wall_before.elapsed(), cpu: cpu() - cpu_before, each }
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn record(number: usize) -> Bytes {
    number.to_be_bytes().repeat(RECORD_BYTES / 8).into()
}

fn file(directory: &std::path::Path, size: usize, batches: usize) -> Cost {
    let mut file = File::create(directory.join("plain")).unwrap();
    let records: Vec<_> = (0..size).map(record).collect();
    let write = |_| {
        timed(|| {
            file.write_all(&records.concat()).unwrap();
            file.sync_data().unwrap();
        })
    };
    cost(|| (0..batches).map(write).collect())
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
    let append = |number| {
        let batch = batch(number);
        timed(|| drop(runtime.block_on(bus.append(Log::Events, batch)).unwrap()))
    };
    cost(|| (0..batches).map(append).collect())
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
                    let mut durations = Vec::with_capacity(each);
                    for number in 0..each {
                        let number = task * each + number;
                        let id = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                        let dedup = Some(id.to_be_bytes().repeat(4).into());
                        let append = Append { dedup, record: record(number) };
                        let begun = Instant::now();
                        bus.append(Log::Events, vec![append]).await.unwrap();
                        durations.push(begun.elapsed());
                    }
                    durations
                });
            }
            running.join_all().await.concat()
        })
    })
}

fn line(what: &str, size: usize, cost: &Cost) {
    let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
    let at = |share: f64| micros(cost.each[(cost.each.len() as f64 * share) as usize]);
    let records = (size * cost.each.len()) as f64;
    let (cpu, rate) = (micros(cost.cpu) / records, records / cost.wall.as_secs_f64());
    println!("{what:<20} {size:>5} {:>8.0} {:>8.0} {cpu:>14.2} {rate:>12.0}", at(0.5), at(0.99));
}

fn main() {
    let parent = std::env::args_os().nth(1).unwrap_or_else(|| ".".into());
    let directory = tempfile::tempdir_in(parent).unwrap();
    let path = directory.path();
    println!(
        "{:<20} {:>5} {:>8} {:>8} {:>14} {:>12}",
        "", "batch", "p50 µs", "p99 µs", "CPU µs/record", "records/s"
    );
    for (size, batches) in PLAN {
        line("file, fdatasync", size, &file(path, size, batches));
        line("bus", size, &bus(path, size, batches, false));
        line("bus, dedup ids", size, &bus(path, size, batches, true));
    }
    for tasks in [8, 64, 512] {
        let each = 40_000 / tasks;
        line(&format!("bus, {tasks} tasks"), 1, &group(path, tasks, each));
    }
}
