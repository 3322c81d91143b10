//! The benchmark of explanations: `cargo bench -p tripline-tests --no-default-features --bench
//! explain`, with options after `--`.
//!
//! A store with so many events is made and evaluated by the engine, so that plans, checkpoints,
//! actions and outcomes are those of a daemon; then it is indexed, and explained from handles of
//! every kind, as by a command on a data directory at rest. What is measured is the answer,
//! without the start of a process.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use clap::Parser;
use comfy_table::{Table, presets};
use serde_json::{Value, json};
use tripline::engine::definitions::Definitions;
use tripline::engine::driver::CheckpointEvery;
use tripline::engine::ingest::RandomIds;
use tripline::engine::mistakes::Mistakes;
use tripline::engine::observer::EngineObserver;
use tripline::engine::plans::Definition;
use tripline::engine::{Engine, EngineParts};
use tripline::explain::{Answer, Context, Question};
use tripline::index::Indexer;
use tripline::query;
use tripline_bus::embedded::{EmbeddedBus, OpenOptions};
use tripline_bus::{Append, Bus, Log};
use tripline_event::event::{JSON, Links};
use tripline_event::{
    Action, Clock as _, CorrelationId, DefinitionHash, Event, EventId, EventKey, EventsRecord,
    ObjectName, Position, SystemClock, Timestamp,
};
use tripline_triggers::executor::{Kinds, Limits, Unobserved};
use tripline_triggers::log::LogTrigger;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many events are appended at once.
const BATCH: u64 = 512;
/// One of so many events is an approval, which completes a condition.
const APPROVALS: u64 = 1000;

/// Measures explanations.
#[derive(Parser)]
struct Arguments {
    /// How many events the log has.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// How many bytes an event's payload has, about.
    #[arg(long, default_value_t = 1024)]
    payload: usize,
    /// How often each question is asked.
    #[arg(long, default_value_t = 20)]
    times: u64,
    /// Where data directories are made.
    #[arg(long, default_value = env!("CARGO_TARGET_TMPDIR"))]
    directory: PathBuf,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

struct Nobody;

impl EngineObserver for Nobody {}

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
    let folder = tempfile::Builder::new().prefix("explain-").tempdir_in(&arguments.directory)?;
    let bus = EmbeddedBus::open(&folder.path().join("data"), &OpenOptions::default())?;
    let bus: Arc<dyn Bus> = Arc::new(bus);
    let begun = Instant::now();
    let last = fill(&bus, arguments).await?;
    eprintln!("{} events were appended in {:.1?}", arguments.events, begun.elapsed());
    let begun = Instant::now();
    evaluate(&bus, last).await?;
    eprintln!("they were evaluated and carried out in {:.1?}", begun.elapsed());
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header([
        "question",
        "index",
        "median ms",
        "slowest ms",
    ]);
    let some = Arguments { times: arguments.times.min(3), directory: PathBuf::new(), ..*arguments };
    questions(&bus, &some, "none", &mut table).await?;
    let begun = Instant::now();
    let made = Indexer::new(Arc::clone(&bus)).catch_up(0).await?;
    let bytes = index_bytes(&*bus).await?;
    eprintln!("{made} segments were indexed in {:.1?}; they take {bytes} bytes", begun.elapsed());
    questions(&bus, arguments, "yes", &mut table).await?;
    println!("{table}");
    Ok(())
}

/// The events, as event sources would have taken them in.
async fn fill(bus: &Arc<dyn Bus>, arguments: &Arguments) -> anyhow::Result<Position> {
    let padding = "x".repeat(arguments.payload.saturating_sub(80));
    let step = jiff::SignedDuration::from_millis(10);
    let count = i32::try_from(arguments.events).unwrap_or(i32::MAX);
    let mut at: Timestamp = SystemClock.now() - step * count;
    let mut last = Position::default();
    // The plan stands before all of them.
    publish(bus, at).await?;
    for begin in (0..arguments.events).step_by(usize::try_from(BATCH)?) {
        let mut batch = Vec::new();
        for number in begin..(begin + BATCH).min(arguments.events) {
            at += step;
            batch.push(append(&event(number, at, &padding)));
        }
        if let Some(appended) = bus.append(Log::Events, batch).await?.last() {
            last = appended.position;
        }
    }
    Ok(last)
}

fn append(event: &Event) -> Append {
    let record = EventsRecord::Event(event.clone()).encode();
    Append { dedup: Some(Bytes::copy_from_slice(&event.id.identity(&event.key))), record }
}

fn event(number: u64, time: Timestamp, padding: &str) -> Event {
    let (source, name) = match number % APPROVALS {
        0 => ("approvals", "given"),
        _ => ("builds", "completed"),
    };
    let data = json!({"body": {"action": "completed", "number": number, "text": padding}});
    Event {
        key: EventKey::new("ci", source, name),
        id: EventId(format!("e-{number}")),
        kind: "webhook".to_owned(),
        time,
        content_type: JSON.to_owned(),
        data: Some(Bytes::from(data.to_string())),
        links: Links::first(CorrelationId(format!("build-{number}"))),
        cloud_event: None,
    }
}

/// One that fires each time, one that joins, one whose filter looks at a wrong path.
fn sensors() -> Vec<Value> {
    let build = |path: &str| {
        json!({
            "name": "build", "eventSourceName": "builds", "eventName": "completed",
            "filters": {"data": [{"path": path, "type": "string", "value": ["^completed$"]}]},
        })
    };
    let sensor = |name: &str, dependencies: Value| {
        json!({
            "apiVersion": "tripline.dev/v1", "kind": "Sensor",
            "metadata": {"namespace": "ci", "name": name},
            "spec": {
                "dependencies": dependencies,
                "triggers": [{"template": {"name": "note", "log": {}}}],
            },
        })
    };
    let approval =
        json!({"name": "approval", "eventSourceName": "approvals", "eventName": "given"});
    vec![
        sensor("each", json!([build("body.action")])),
        sensor("joined", json!([build("body.action"), approval])),
        sensor("wrong", json!([build("action")])),
    ]
}

async fn publish(bus: &Arc<dyn Bus>, at: Timestamp) -> anyhow::Result<()> {
    let definitions = sensors().into_iter().map(|json| {
        let text = json.to_string();
        let name = json["metadata"]["name"].as_str().unwrap_or_default();
        let hash = DefinitionHash::of(&text);
        Definition { name: ObjectName::new("ci", name), hash, json: text.into() }
    });
    let definitions: Vec<Definition> = definitions.collect();
    let mut newest = tripline::engine::plans::Listing::default();
    tripline::engine::plans::publish(&**bus, &definitions, &mut newest).await?;
    let record = EventsRecord::Plan { number: newest.number, at }.encode();
    let dedup = Some(Bytes::from(format!("plan/{}", newest.number)));
    bus.append(Log::Events, vec![Append { dedup, record }]).await?;
    Ok(())
}

/// The engine decides about all of it, carries it out, and writes its checkpoints.
async fn evaluate(bus: &Arc<dyn Bus>, last: Position) -> anyhow::Result<()> {
    let clock = Arc::new(SystemClock);
    let log = LogTrigger::new(Arc::clone(&clock) as _);
    let kinds: Kinds = [("log".to_owned(), Arc::new(log) as _)].into_iter().collect();
    let engine = Engine::start(EngineParts {
        bus: Arc::clone(bus),
        clock: clock as _,
        ids: Arc::new(RandomIds),
        definitions: Arc::new(Definitions::default()),
        kinds,
        observer: Arc::new(Nobody),
        executor_observer: Arc::new(Unobserved),
        seed: 1,
        limits: Limits::default(),
        checkpoint_every: CheckpointEvery::default(),
        paused: Vec::new(),
        mistakes: Mistakes::default(),
    });
    let engine = engine.await?;
    ensure!(engine.evaluated(last).await, "the evaluator has ended");
    let actions = bus.extent(Log::Actions).await?.next;
    let end = Position { sequence: actions.sequence.saturating_sub(1), ..actions };
    let outcomes = bus.extent(Log::Outcomes).await?.next;
    bus.wait(Log::Outcomes, Position { sequence: end.sequence, ..outcomes }).await?;
    engine.stop(Duration::from_secs(600)).await?;
    Ok(())
}

async fn index_bytes(bus: &dyn Bus) -> anyhow::Result<usize> {
    let (mut bytes, mut after) = (0, None::<String>);
    loop {
        let keys = bus.keys("index/", after.as_deref(), 1024).await?;
        let Some(last) = keys.last() else { return Ok(bytes) };
        after = Some(last.clone());
        for key in &keys {
            bytes += bus.get(key).await?.map_or(0, |entry| entry.value.len());
        }
    }
}

/// Each question, of events all over the log.
async fn questions(
    bus: &Arc<dyn Bus>,
    arguments: &Arguments,
    index: &str,
    table: &mut Table,
) -> anyhow::Result<()> {
    let step = arguments.events / (arguments.times + 1);
    let numbers: Vec<u64> =
        (1..=arguments.times).map(|at| (at * step / APPROVALS) * APPROVALS + 7).collect();
    let mut actions = Vec::new();
    let first = bus.extent(Log::Actions).await?.first;
    for number in &numbers {
        let at = Position { sequence: first.sequence + number, ..first };
        let stored = bus.read(Log::Actions, at, 1).await?;
        let stored = stored.first().context("there are fewer actions than events")?;
        actions.push(Action::decode(&stored.record)?.id.to_string());
    }
    let ids = |prefix: &str| numbers.iter().map(|n| format!("{prefix}{n}")).collect::<Vec<_>>();
    for (what, handles, sensor) in [
        ("an event's id", ids("e-"), None),
        ("a correlation id", ids("build-"), None),
        ("an action's id", actions.clone(), None),
        (
            "the beginning of an action's id",
            actions.iter().map(|id| id[..12].to_owned()).collect(),
            None,
        ),
        ("an event at a filter that fails", ids("e-"), Some("ci/wrong")),
        ("an event that was held", ids("e-"), Some("ci/joined")),
        ("an unknown id", ids("nowhere-"), None),
    ] {
        let mut took = Vec::new();
        for handle in handles {
            // As a command that is started for it: nothing is compiled yet.
            let definitions = Definitions::default();
            let context = Context {
                bus: &**bus,
                definitions: &definitions,
                live: None,
                now: SystemClock.now(),
            };
            let question = Question { handle, sensor: sensor.map(str::to_owned) };
            let begun = Instant::now();
            let answer = context.explain(&question).await?;
            took.push(begun.elapsed());
            let known = matches!(&answer, Answer::Found(found) if found.events.len() == 1);
            ensure!(known != what.contains("unknown"), "{what}: {question:?} gave {answer:?}");
        }
        add(table, what, index, took);
    }
    let mut took = Vec::new();
    for number in &numbers {
        let begun = Instant::now();
        let trace = query::trace(&**bus, &format!("build-{number}")).await?;
        took.push(begun.elapsed());
        ensure!(matches!(trace, query::Trace::Found(_)), "build-{number} has no timeline");
    }
    add(table, "the timeline of a correlation id", index, took);
    Ok(())
}

fn add(table: &mut Table, what: &str, index: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let ms = |duration: Option<&Duration>| {
        format!("{:.1}", duration.map_or(0.0, |took| took.as_secs_f64() * 1000.0))
    };
    table.add_row([
        what.to_owned(),
        index.to_owned(),
        ms(took.get(took.len() / 2)),
        ms(took.last()),
    ]);
}
