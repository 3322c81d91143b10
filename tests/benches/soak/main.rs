//! A soak: events come in at a steady rate for a long time, while sensors are changed now and
//! then. Memory must stay as it is, no file descriptor may be left open, and at the end nothing
//! may wait.
//!
//! What remembers the latest events is filled first: a million identities in the evaluator's
//! window, and less in the others. It grows until then, and is bounded.
//!
//! `cargo bench -p tripline-tests --bench soak [-- --minutes 20 --rate 300]`

use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Parser;
use comfy_table::Table;
use tripline_tests::daemon::{Daemon, Place, SOON};
use tripline_tests::load::{Load, Pace};
use tripline_tests::proc::{anonymous_bytes, open_files};
use tripline_tests::resources::{event_source, http_sensor, workflow_sensor};
use tripline_tests::sink::Sink;

const MIB: f64 = 1024.0 * 1024.0;
/// The part of the time after which nothing may grow any more.
const WARM: f64 = 0.2;
/// How many are sent at a time while the windows are filled.
const FILLING: u64 = 50_000;
/// How much more memory the end may take than what came before: what an allocator does.
const TOLERANCE: f64 = 1.10;
/// The same for little memory, in bytes.
const SLACK: f64 = 4.0 * MIB;
/// Connections to a target that are kept for the next request, and files of a checkpoint that is
/// being written.
const FEW_FILES: usize = 8;
const CONNECTIONS: usize = 16;
const HOUR: Duration = Duration::from_secs(3600);

/// A soak.
#[derive(Parser)]
struct Arguments {
    /// How long.
    #[arg(long, default_value_t = 20.0)]
    minutes: f64,
    /// Events a second.
    #[arg(long, default_value_t = 300.0)]
    rate: f64,
    /// How many events are sent before, as fast as they are answered.
    #[arg(long, default_value_t = 1_100_000)]
    fill: u64,
    /// What cargo says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

struct Sample {
    at: Duration,
    events: u64,
    anonymous: u64,
    files: usize,
    lag: u64,
    open: u64,
}

async fn sample(daemon: &Daemon, begin: Instant, events: u64) -> anyhow::Result<Sample> {
    let status = daemon.status().await?;
    let open = status.triggers.iter().map(|q| q.waiting + q.in_flight + q.retrying).sum();
    Ok(Sample {
        at: begin.elapsed(),
        events,
        anonymous: anonymous_bytes(daemon.pid())?,
        files: open_files(daemon.pid())?,
        lag: status.lag,
        open,
    })
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let whole = Duration::from_secs_f64(arguments.minutes * 60.0);
    let step = (whole / 40).clamp(Duration::from_secs(2), Duration::from_secs(30));
    let sink = Sink::start()?;
    let place = Place::new()?;
    place.write("event-source.yaml", &event_source(place.port))?;
    place.write("deploy.yaml", &workflow_sensor("deploy"))?;
    place.write("notify.yaml", &http_sensor("notify", &sink.url(), 16))?;
    let daemon = place.start().await?;
    let load = |pace, first, events, time| Load {
        address: place.webhook(),
        path: "/builds".into(),
        connections: CONNECTIONS,
        pace,
        first,
        events,
        time,
    };
    let (mut samples, mut events) = (Vec::new(), 0);
    while events < arguments.fill {
        let left = FILLING.min(arguments.fill - events);
        events += load(Pace::AsFastAsAnswered, events, left, HOUR).run().await?.accepted;
        daemon.settled(HOUR).await?;
        sink.take();
    }
    let begin = Instant::now();
    samples.push(sample(&daemon, begin, events).await?);
    while begin.elapsed() < whole {
        let pace = Pace::PerSecond(arguments.rate);
        events += load(pace, events, u64::MAX, step).run().await?.accepted;
        sink.take();
        // Another plan each time.
        let version = format!("deployer:{}", samples.len());
        place.write("deploy.yaml", &workflow_sensor("deploy").replace("deployer:1", &version))?;
        samples.push(sample(&daemon, begin, events).await?);
    }
    daemon.settled(SOON).await?;
    samples.push(sample(&daemon, begin, events).await?);
    println!("{}", table(&samples));
    judge(&samples)
}

fn table(samples: &[Sample]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header(["after", "events", "anonymous MiB", "open files", "lag", "open actions"]);
    for sample in samples {
        table.add_row([
            format!("{:.0?}", sample.at),
            sample.events.to_string(),
            format!("{:.1}", sample.anonymous as f64 / MIB),
            sample.files.to_string(),
            sample.lag.to_string(),
            sample.open.to_string(),
        ]);
    }
    table
}

/// The end is compared with the middle: at first everything grows.
fn judge(samples: &[Sample]) -> anyhow::Result<()> {
    let warm = (samples.len() as f64 * WARM) as usize;
    let turn = warm + (samples.len() - warm) / 2;
    let (middle, end) = (&samples[warm..turn], &samples[turn..]);
    let most = |of: &[Sample]| of.iter().map(|sample| sample.anonymous).max().unwrap_or(0) as f64;
    let files = |of: &[Sample]| of.iter().map(|sample| sample.files).max().unwrap_or(0);
    let (before, after) = (most(middle), most(end));
    ensure!(
        after <= (before * TOLERANCE).max(before + SLACK),
        "memory grows: {:.1} MiB, then {:.1} MiB",
        before / MIB,
        after / MIB
    );
    ensure!(
        files(end) <= files(middle) + FEW_FILES,
        "files stay open: {}, then {}",
        files(middle),
        files(end)
    );
    let last = end.last().map_or((1, 1), |last| (last.lag, last.open));
    ensure!(last == (0, 0), "at the end {} events and {} actions wait", last.0, last.1);
    println!("memory {:.1} MiB, then {:.1} MiB; nothing waits", before / MIB, after / MIB);
    Ok(())
}
