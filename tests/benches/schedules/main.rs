//! 100,000 schedules in one process: memory, time of the processor while nothing is due, and how
//! late the ticks are of a full minute at which 10,000 fall due; and how long the program takes to
//! write the ticks of ten years of 1,000 schedules (`tripline schedule next`).
//!
//! `cargo bench -p tripline-tests --bench schedules [-- COUNT DUE SIMULATED]`. It needs the program:
//! `cargo build --release -p tripline`.

use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use tripline::engine::definitions::Definitions;
use tripline::engine::driver::CheckpointEvery;
use tripline::engine::ingest::RandomIds;
use tripline::engine::mistakes::Mistakes;
use tripline::engine::observer::EngineObserver;
use tripline::engine::plans::Definition;
use tripline::engine::schedules::{Kind, events};
use tripline::engine::{Engine, EngineParts};
use tripline_bus::embedded::{EmbeddedBus, OpenOptions};
use tripline_event::{Clock, DefinitionHash, Event, ObjectName, SystemClock, Timestamp};
use tripline_triggers::executor::{Kinds, Limits, Unobserved};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How late each tick was when it was durable, in microseconds.
#[derive(Default)]
struct Lateness(Mutex<Vec<i64>>);

impl EngineObserver for Lateness {
    fn on_ticks(&self, events: &[Event]) {
        let now = SystemClock.now();
        let mut late = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events.iter().filter(|event| event.key.name == events::TICK) {
            if let Ok(nominal) = event.id.as_str().parse::<Timestamp>() {
                late.push(now.duration_since(nominal).as_micros() as i64);
            }
        }
    }
}

fn definition(number: usize, cron: &str) -> (Definition, Value) {
    let object = json!({
        "apiVersion": "tripline.dev/v1",
        "kind": "Schedule",
        "metadata": {"name": format!("s-{number}"), "namespace": "bench"},
        "spec": {
            "timezone": "Europe/Zurich",
            "specs": [{"cronString": [cron]}],
            "action": {"event": {}},
        },
    });
    let json = object.to_string();
    let name = Kind::Schedule.source_of(&ObjectName::new("bench", format!("s-{number}")));
    (Definition { name, hash: DefinitionHash::of(&json), json: json.into() }, object)
}

/// The ticks of ten years of so many schedules: one of twenty is hourly, the others daily.
fn next_of_ten_years(count: usize) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let yaml: Vec<String> = (0..count)
        .map(|number| {
            let cron = match number % 20 {
                0 => format!("{} * * * *", number % 60),
                _ => format!("{} {} * * *", number % 60, number % 24),
            };
            definition(number, &cron).1.to_string()
        })
        .collect();
    std::fs::write(folder.path().join("schedules.yaml"), yaml.join("\n---\n"))?;
    let began = std::time::Instant::now();
    let mut child = std::process::Command::new(tripline_tests::daemon::program()?)
        .args([
            "schedule",
            "next",
            "--from",
            "2026-01-01T00:00:00Z",
            "--to",
            "2036-01-01T00:00:00Z",
        ])
        .args(["--output", "json"])
        .arg(folder.path())
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    let mut stdout = child.stdout.take().context("no standard output")?;
    let (mut ticks, mut block) = (0, vec![0; 1 << 20]);
    loop {
        let read = stdout.read(&mut block)?;
        if read == 0 {
            break;
        }
        ticks += block[..read].iter().filter(|byte| **byte == b'\n').count();
    }
    let took = began.elapsed().as_secs_f64();
    anyhow::ensure!(child.wait()?.success(), "`schedule next` has failed");
    let days = 3652;
    let expected = (0..count).map(|number| if number % 20 == 0 { days * 24 } else { days });
    let expected: usize = expected.sum();
    anyhow::ensure!(ticks >= expected - count && ticks <= expected + 2 * count, "{ticks} ticks");
    println!("next: {ticks} ticks of ten years of {count} schedules written in {took:.2} s");
    Ok(())
}

/// Resident memory in MiB, and the time of the processor in milliseconds.
fn used() -> anyhow::Result<(f64, f64)> {
    let pages: f64 =
        std::fs::read_to_string("/proc/self/statm")?.split(' ').nth(1).context("statm")?.parse()?;
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(") ").next().context("stat")?.split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok((pages * 4096.0 / 1048576.0, ticks * 10.0))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<usize>().ok());
    let count = numbers.next().unwrap_or(100_000);
    let due = numbers.next().unwrap_or(count / 10);
    let simulated = numbers.next().unwrap_or(1_000);
    next_of_ten_years(simulated)?;
    let folder = tempfile::tempdir()?;
    let bus = Arc::new(EmbeddedBus::open(folder.path(), &OpenOptions::default())?);
    let (before, _) = used()?;
    let lateness = Arc::new(Lateness::default());
    let definitions = Arc::new(Definitions::default());
    let engine = Engine::start(EngineParts {
        bus,
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIds),
        definitions: Arc::clone(&definitions),
        kinds: Kinds::new(),
        observer: Arc::clone(&lateness) as _,
        executor_observer: Arc::new(Unobserved),
        seed: 1,
        limits: Limits::default(),
        checkpoint_every: CheckpointEvery::default(),
        paused: Vec::new(),
        mistakes: Mistakes::default(),
    })
    .await?;
    // Far enough that nothing else goes on by then.
    let minutes = 4;
    let full = SystemClock.now().as_second() / 60 * 60 + 60 * minutes;
    let minute = full / 60 % 60;
    let mut all = Vec::with_capacity(count);
    for number in 0..count {
        let cron = match number < due {
            true => format!("{minute} * * * *"),
            // Not within this hour.
            false => format!("{} 5 1 1 *", number % 60),
        };
        let (definition, object) = definition(number, &cron);
        let (compiled, problems) = definitions.compile(&definition.name, &definition.hash, &object);
        anyhow::ensure!(compiled.is_some(), "{problems:?}");
        all.push(definition);
    }
    let began = std::time::Instant::now();
    engine.publisher().publish(&all).await?;
    drop(all);
    println!("schedules: {count}, put in force in {:.1} s", began.elapsed().as_secs_f64());
    tokio::time::sleep(Duration::from_secs(20)).await;
    let (memory, busy) = used()?;
    println!(
        "memory: {memory:.0} MiB, {:.2} KiB for each schedule",
        (memory - before) * 1024.0 / count as f64
    );
    tokio::time::sleep(Duration::from_secs(30)).await;
    let (_, busy_then) = used()?;
    println!("idle: {:.2} % of one processor", (busy_then - busy) / 30_000.0 * 100.0);
    let wait = full + 30 - SystemClock.now().as_second();
    tokio::time::sleep(Duration::from_secs(wait.max(1).unsigned_abs())).await;
    let mut late = lateness.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    late.sort_unstable();
    anyhow::ensure!(late.len() == due, "{} ticks of {due}", late.len());
    let at = |share: f64| late[((late.len() - 1) as f64 * share) as usize] as f64 / 1000.0;
    println!(
        "due at a full minute: {due}; durable after: p50 {:.1} ms, p99 {:.1} ms, all {:.1} ms",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    engine.stop(Duration::from_secs(30)).await?;
    Ok(())
}
