//! The fault matrix: what goes wrong × where events come from × where they are kept.
//!
//! A cell is one fault on one event bus. In each, one daemon takes events in from several sources
//! at once, submits a workflow into a real API server for each of them, and sends a request to an
//! HTTP server for each of the webhook's. The fault comes in the middle of it. At the end every
//! event that was acknowledged is exactly one workflow, and at least one request, of which the
//! repeated ones are counted.
//!
//! Webhook, Pub/Sub, SQS and cron are in every cell. Kafka, NATS and SNS are in those where they
//! are killed or cut off, the network is slow, or the daemon is killed. Of what upstream loses by
//! its own nature, every event that has reached the log is one workflow.
//!
//! `TRIPLINE_FAULT_EVENTS=1000000` spreads as many events over all cells and sources, each source
//! in each cell; one of twenty is a workflow, and all of them are requests. `TRIPLINE_FAULTS=clock`
//! runs the cells whose names contain that, each with as many events as it has among all of them.
//! `TRIPLINE_FAULT_TABLE` is a file into which the table is written.

mod brokers;
mod bus;
mod cell;
mod clock;
mod fault;
mod judge;
mod producers;
mod proxies;
mod report;
mod source;
mod systems;
mod yaml;

use std::sync::Arc;
use std::time::Instant;

use anyhow::ensure;
use futures_util::StreamExt as _;

use cell::Shared;
use fault::cells;
use report::Row;
use source::Source;

/// Cells that run at a time. Most of the time a cell waits for something to come back.
const SIDE_BY_SIDE: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_is_submitted_twice_whatever_goes_wrong() -> anyhow::Result<()>
{
    let begin = Instant::now();
    let wanted = std::env::var("TRIPLINE_FAULTS").unwrap_or_default();
    let events: u64 = match std::env::var("TRIPLINE_FAULT_EVENTS") {
        Ok(text) => text.parse()?,
        Err(_) => 0,
    };
    let all = cells(events > 0);
    let weights: u64 = Source::ALL.into_iter().map(Source::weight).sum();
    let each = events.div_ceil(all.len() as u64 * weights);
    let cells: Vec<_> = all.into_iter().filter(|cell| cell.to_string().contains(&wanted)).collect();
    ensure!(!cells.is_empty(), "no cell's name contains `{wanted}`");
    let shared = Arc::new(Shared::start()?);
    let rows: Vec<Row> = futures_util::stream::iter(cells.into_iter().enumerate())
        .map(|(number, cell)| {
            let shared = Arc::clone(&shared);
            async move {
                // A task of its own: one that waits for a server holds up no other.
                let ran = tokio::spawn(async move { cell::run(&shared, cell, number, each).await });
                let row = Row::of(cell, ran.await.unwrap_or_else(|error| Err(error.into())));
                println!("{row}");
                row
            }
        })
        .buffer_unordered(SIDE_BY_SIDE)
        .collect()
        .await;
    let (acknowledged, workflows) = report::events(&rows);
    let table = format!(
        "{}\n{acknowledged} events of upstreams acknowledged, {workflows} of them to become workflows; {:.0?} for all of it\n",
        report::table(&rows),
        begin.elapsed()
    );
    println!("\n{table}");
    if let Some(path) = std::env::var_os("TRIPLINE_FAULT_TABLE") {
        std::fs::write(path, &table)?;
    }
    let bad: Vec<String> = rows.iter().filter_map(Row::failure).collect();
    ensure!(bad.is_empty(), "{} of {} cells failed:\n{}", bad.len(), rows.len(), bad.join("\n"));
    ensure!(
        !wanted.is_empty() || acknowledged as u64 >= events,
        "{acknowledged} of {events} events were acknowledged"
    );
    Ok(())
}
