//! The benchmark of the main path: `cargo bench -p tripline-tests --bench pipeline`, with
//! options after `--`.
//!
//! Generator, sink and what is measured share the machine. Beside the daemon are measured,
//! in the same run: a bare echo, which is what HTTP alone takes; the disk's sync; and the
//! bare path, which is the least that must be done for an event (a webhook, one synced
//! append, an HTTP call).
//!
//! `--only jetstream` measures webhook to HTTP trigger with the logs on JetStream: on one
//! nats-server, on one that syncs before it answers, and on a cluster of three. The processor
//! time of the servers is not in the table, and their share of the machine is.

mod baseline;
mod disk;
mod jetstream;
mod measure;
mod subject;
mod table;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use tripline_tests::sink::Sink;

use crate::measure::{Bounds, measure};
use crate::subject::Subject;
use crate::table::Table;

// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures webhook to HTTP trigger, and webhook to workflow.
#[derive(Parser)]
struct Arguments {
    /// How long each step may take, in seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How many events are sent as fast as they are answered, whatever time that takes;
    /// without it, as many as fit into `--seconds`.
    #[arg(long)]
    events: Option<u64>,
    /// How many connections.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// The rows: `echo`, `disk`, `bare`, `http`, `workflow`; `jetstream` is three of them.
    #[arg(long, value_delimiter = ',', default_value = "echo,disk,bare,http,workflow")]
    only: Vec<String>,
    /// Where data directories are made: the disk that is measured.
    #[arg(long, default_value = env!("CARGO_TARGET_TMPDIR"))]
    directory: PathBuf,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
    /// This process is a server that is measured: `echo` or `bare`.
    #[arg(long, hide = true, requires = "listen")]
    serve: Option<String>,
    #[arg(long, hide = true)]
    listen: Option<SocketAddr>,
    #[arg(long, hide = true)]
    sink: Option<String>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let (Some(what), Some(address)) = (&arguments.serve, arguments.listen) {
        return baseline::serve(what, address, &arguments.directory, arguments.sink.as_deref());
    }
    if !arguments.bench {
        println!("this is a benchmark: run it with `cargo bench`");
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(&arguments))
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let time = Duration::from_secs(arguments.seconds);
    let bounds = Bounds { time, events: arguments.events, connections: arguments.connections };
    let sink = Sink::start()?;
    let mut table = Table::default();
    for row in arguments.only.iter().flat_map(|row| jetstream::rows(row)) {
        eprintln!("measuring {row}");
        if row == "disk" {
            let disk = disk::measure(&arguments.directory, time.min(Duration::from_secs(3)))?;
            table.disk(&disk);
            continue;
        }
        let mut subject = Subject::start(row, &arguments.directory, &sink).await?;
        let measured = measure(&mut subject, &bounds).await?;
        let title = subject.title();
        let logs = subject.finish(measured.events).await?;
        table.row(title, &measured, &logs);
    }
    println!("{table}");
    Ok(())
}
