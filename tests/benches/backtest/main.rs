//! The benchmark of backtests: `cargo bench -p tripline-tests --no-default-features --bench
//! backtest`, with options after `--`.
//!
//! A log of events of 1 KiB in a data directory at rest, and a sensor whose filter compares
//! one text, changed to another one. Measured is the comparison alone, on one thread: reading
//! the log, deciding twice, counting.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use tripline::backtest::{self, Changes};
use tripline::control::Backend;
use tripline::engine::definitions::Definitions;
use tripline::engine::plans::{self, Listing};
use tripline_bus::embedded::{EmbeddedBus, OpenOptions};
use tripline_bus::{Append, Bus as _, Log};
use tripline_config::Input;
use tripline_event::event::{JSON, Links};
use tripline_event::{CorrelationId, Event, EventId, EventKey, EventsRecord, Timestamp};
use tripline_tests::proc::cpu;

/// How many events are appended at once.
const BATCH: u64 = 1000;
/// The bytes of an event's data.
const DATA_BYTES: usize = 1024;

/// Measures how long a backtest takes.
#[derive(Parser)]
struct Arguments {
    /// How many events.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// One of so many events passes the filter.
    #[arg(long, default_value_t = 100)]
    one_in: u64,
    /// Where the data directory is made.
    #[arg(long, default_value = env!("CARGO_TARGET_TMPDIR"))]
    directory: PathBuf,
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(&arguments))
}

fn sensor(value: &str) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: Sensor\nmetadata: {{name: deploy, namespace: ci}}\nspec:\n  \
         dependencies:\n    - name: build\n      eventSourceName: builds\n      eventName: completed\n      \
         filters: {{data: [{{path: body.action, type: string, value: [{value}]}}]}}\n  \
         triggers: [{{template: {{name: submit, log: {{}}}}}}]\n"
    )
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(&arguments.directory)?;
    let bus = Arc::new(EmbeddedBus::open(folder.path(), &OpenOptions::default())?);
    let present = [Input::text("present.yaml", sensor("completed"))];
    let loaded = tripline::load::load(&present, &Definitions::default());
    plans::publish(bus.as_ref(), &loaded.definitions(), &mut Listing::default()).await?;
    let begin = Instant::now();
    for first in (0..arguments.events).step_by(usize::try_from(BATCH)?) {
        let last = (first + BATCH).min(arguments.events);
        let batch = (first..last).map(|number| append(number, arguments.one_in)).collect();
        bus.append(Log::Events, batch).await?;
    }
    eprintln!("{} events written in {:.1?}", arguments.events, begin.elapsed());

    let backend = Backend::Directory { path: folder.path().to_owned(), bus };
    let changed = [Input::text("new.yaml", sensor("done"))];
    let changes = Changes::load(&changed, None, &backend).await?;
    let changes = changes.map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    let (begin, before) = (Instant::now(), cpu(std::process::id())?);
    let events = backend.history(None).await?;
    let report = backtest::run(&changes, events, None, backtest::EXAMPLES).await?;
    let (took, used) = (begin.elapsed(), cpu(std::process::id())?.saturating_sub(before));
    let wanted = arguments.events.div_ceil(arguments.one_in);
    anyhow::ensure!(report.sensors[0].lost == wanted, "{:#?}", report.sensors);
    println!("| events | seconds | CPU seconds | events/s |\n| --- | --- | --- | --- |");
    println!(
        "| {} | {:.2} | {:.2} | {:.0} |",
        arguments.events,
        took.as_secs_f64(),
        used.as_secs_f64(),
        arguments.events as f64 / took.as_secs_f64()
    );
    Ok(())
}

fn append(number: u64, one_in: u64) -> Append {
    let action = if number.is_multiple_of(one_in) { "completed" } else { "started" };
    let head = format!(r#"{{"body":{{"action":"{action}","number":{number},"text":""#);
    let filler = "x".repeat(DATA_BYTES.saturating_sub(head.len() + 3));
    let id = EventId(format!("build-{number}"));
    let event = Event {
        key: EventKey::new("ci", "builds", "completed"),
        links: Links::first(CorrelationId(id.to_string())),
        id,
        kind: "webhook".to_owned(),
        time: Timestamp::from_millisecond(1_800_000_000_000 + i64::try_from(number).unwrap_or(0))
            .unwrap_or_default(),
        content_type: JSON.to_owned(),
        data: Some(format!("{head}{filler}\"}}}}").into()),
        cloud_event: None,
    };
    Append { dedup: None, record: EventsRecord::Event(event).encode() }
}
