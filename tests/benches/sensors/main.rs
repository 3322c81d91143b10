//! The benchmark of many sensors: `cargo bench -p tripline-tests --no-default-features --bench
//! sensors`, with options after `--`. It needs the program: `cargo build --release -p tripline`.
//!
//! All sensors listen to the same event and compare the same path, each with a value of its
//! own; every event that is sent matches one of them. Measured are the whole daemon, from
//! the webhook to the trigger `log`, and what it takes to load its sensors and to change one.
//! What an event costs without a bus is measured by `cargo bench -p tripline-sensors --bench
//! evaluator`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Parser;
use comfy_table::{Table, presets};
use tripline_tests::daemon::{Daemon, Place};
use tripline_tests::load::{Load, Pace};
use tripline_tests::proc::{anonymous_bytes, cpu};
use tripline_tests::resources::event_source;

/// How long the daemon may take for anything.
const SOON: Duration = Duration::from_secs(60);
/// How often it is looked whether all is evaluated; each look costs the daemon something.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How often one sensor is changed.
const CHANGES: u32 = 5;
/// So many looks after the last change, memory is what it stays.
const SETTLED_LOOKS: usize = 20;

/// Measures daemons with many sensors.
#[derive(Parser)]
struct Arguments {
    /// How long events are sent, in seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How many connections.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// How many sensors.
    #[arg(long, value_delimiter = ',', default_value = "1,100,10000")]
    sensors: Vec<usize>,
    /// Where data directories are made.
    #[arg(long, default_value = env!("CARGO_TARGET_TMPDIR"))]
    directory: PathBuf,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// How the sensors lie on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// All in one file.
    OneFile,
    /// Each in its own.
    OwnFiles,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if !arguments.bench {
        println!("this is a benchmark: run it with `cargo bench`");
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(&arguments))
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header([
        "sensors",
        "files",
        "start s",
        "start again s",
        "change live s, slowest",
        "MiB peak at start",
        "MiB ready",
        "MiB after changes",
        "events/s",
        "CPU us/event",
        "MiB at end",
    ]);
    for &sensors in &arguments.sensors {
        for layout in [Layout::OneFile, Layout::OwnFiles] {
            if sensors == 1 && layout == Layout::OwnFiles {
                continue;
            }
            eprintln!("measuring {sensors} sensors, {layout:?}");
            table.add_row(row(arguments, sensors, layout).await?);
        }
    }
    println!("{table}");
    Ok(())
}

async fn row(
    arguments: &Arguments,
    sensors: usize,
    layout: Layout,
) -> anyhow::Result<[String; 11]> {
    let mut place = Place::below(&arguments.directory)?;
    place.arguments = vec!["--log".into(), "warn".into()];
    place.write("event-source.yaml", &events(place.port))?;
    write(&place, sensors, layout)?;
    let (first, peak, daemon) = start(&place).await?;
    let ready = anonymous_bytes(daemon.pid())?;
    let mut slowest = Duration::ZERO;
    for version in 2..2 + CHANGES {
        slowest = slowest.max(change(&place, &daemon, sensors, layout, version).await?);
    }
    let changed = settled_bytes(daemon.pid()).await?;
    ensure!(daemon.stop().await?.status.success(), "it did not stop well");

    let (again, _, daemon) = start(&place).await?;
    let before = cpu(daemon.pid())?;
    let load = Load {
        address: place.webhook(),
        path: "/builds".to_owned(),
        connections: arguments.connections,
        pace: Pace::AsFastAsAnswered,
        first: 0,
        events: u64::MAX,
        time: Duration::from_secs(arguments.seconds),
    };
    let begin = Instant::now();
    let sent = load.run().await?.accepted;
    evaluated(&daemon, sent).await?;
    let took = begin.elapsed();
    let used = cpu(daemon.pid())?.saturating_sub(before);
    let end = anonymous_bytes(daemon.pid())?;
    let filtered = daemon.metric("tripline_events_filtered_total").await.unwrap_or_default();
    let others = sensors as u64 - 1;
    ensure!(filtered as u64 == sent * others, "{filtered} were filtered of {sent} * {others}");
    daemon.kill()?;

    let seconds = |time: Duration| format!("{:.2}", time.as_secs_f64());
    let mebibytes = |bytes: u64| format!("{:.1}", bytes as f64 / f64::from(1 << 20));
    Ok([
        sensors.to_string(),
        if layout == Layout::OneFile { 1 } else { sensors }.to_string(),
        seconds(first),
        seconds(again),
        seconds(slowest),
        mebibytes(peak),
        mebibytes(ready),
        mebibytes(changed),
        format!("{:.0}", sent as f64 / took.as_secs_f64()),
        format!("{:.1}", used.as_secs_f64() * 1e6 / sent as f64),
        mebibytes(end),
    ])
}

/// Starts a daemon; how long it takes to be ready, and the most memory that it had.
async fn start(place: &Place) -> anyhow::Result<(Duration, u64, Daemon)> {
    let begin = Instant::now();
    let mut daemon = place.spawn()?;
    let (pid, over) = (daemon.pid(), Arc::new(AtomicBool::new(false)));
    let most = Arc::new(AtomicU64::new(0));
    let watching = std::thread::spawn({
        let (over, most) = (Arc::clone(&over), Arc::clone(&most));
        move || {
            while !over.load(Ordering::Relaxed) {
                let now = anonymous_bytes(pid).unwrap_or_default();
                most.fetch_max(now, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    });
    let ready = daemon.ready().await;
    let took = begin.elapsed();
    over.store(true, Ordering::Relaxed);
    drop(watching.join());
    ready?;
    Ok((took, most.load(Ordering::Relaxed), daemon))
}

/// Changes one sensor; how long it takes until the change is in force.
async fn change(
    place: &Place,
    daemon: &Daemon,
    sensors: usize,
    layout: Layout,
    version: u32,
) -> anyhow::Result<Duration> {
    let before = daemon.status().await?.plan;
    let changed = sensor(0, "completed").replace("deployer:1", &format!("deployer:{version}"));
    let begin = Instant::now();
    match layout {
        Layout::OneFile => {
            let rest: Vec<_> = (1..sensors).map(|n| sensor(n, &action(n))).collect();
            place.write("sensors.yaml", &format!("{changed}{}", rest.concat()))?;
        }
        Layout::OwnFiles => place.write("sensor-00000.yaml", &changed)?,
    }
    daemon.status_when("the change is in force", SOON, |status| status.plan > before).await?;
    Ok(begin.elapsed())
}

/// The memory that is held when nothing has been given back for a while.
async fn settled_bytes(pid: u32) -> anyhow::Result<u64> {
    let mut least = u64::MAX;
    for _ in 0..SETTLED_LOOKS {
        tokio::time::sleep(LOOK_EVERY).await;
        least = least.min(anonymous_bytes(pid)?);
    }
    Ok(least)
}

async fn evaluated(daemon: &Daemon, events: u64) -> anyhow::Result<()> {
    let deadline = Instant::now() + SOON;
    loop {
        let evaluated = daemon.metric("tripline_events_evaluated_total").await? as u64;
        if evaluated >= events {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{evaluated} of {events} were evaluated");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn write(place: &Place, sensors: usize, layout: Layout) -> anyhow::Result<()> {
    let all = (0..sensors).map(|n| sensor(n, &action(n)));
    match layout {
        Layout::OneFile => place.write("sensors.yaml", &all.collect::<String>()),
        Layout::OwnFiles => {
            for (n, text) in all.enumerate() {
                place.write(&format!("sensor-{n:05}.yaml"), &text)?;
            }
            Ok(())
        }
    }
}

/// The event that is sent, and one that never comes.
fn events(port: u16) -> String {
    let approved = format!(
        "    approved:\n      port: \"{port}\"\n      endpoint: /approvals\n      method: POST\n"
    );
    event_source(port) + &approved
}

/// What sensor `n` waits for: the first one for what is sent.
fn action(n: usize) -> String {
    if n == 0 { "completed".to_owned() } else { format!("other-{n}") }
}

/// A sensor as a team writes it, with a workflow, in a document of its own.
fn sensor(n: usize, action: &str) -> String {
    format!(
        r#"---
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata:
  name: sensor-{n:05}
  namespace: ci
spec:
  dependencies:
    - name: build-completed
      eventSourceName: builds
      eventName: completed
      filters:
        data:
          - path: body.action
            type: string
            value: ["^{action}$"]
    - name: never
      eventSourceName: builds
      eventName: approved
  triggers:
    - template:
        name: note
        conditions: build-completed
        log:
          intervalSeconds: 3600
    - template:
        name: deploy-workflow
        conditions: build-completed && never
        argoWorkflow:
          operation: submit
          source:
            resource:
              apiVersion: argoproj.io/v1alpha1
              kind: Workflow
              metadata:
                generateName: deploy-{n:05}-
              spec:
                entrypoint: deploy
                arguments:
                  parameters:
                    - name: correlation-id
                      value: ""
                templates:
                  - name: deploy
                    container:
                      image: registry.example.com/deployer:1
          parameters:
            - src:
                dependencyName: build-completed
                dataKey: body.correlation_id
              dest: spec.arguments.parameters.0.value
"#
    )
}
