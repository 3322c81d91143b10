//! The fault matrix: what goes wrong × where events come from × where they are kept.
//!
//! A cell is one fault on one event bus. In each, one daemon takes events in from all sources at
//! once (webhook, Pub/Sub, SQS, cron), submits a workflow into a real API server for each of
//! them, and sends a request to an HTTP server for each of the webhook's. The fault comes in the
//! middle of it. At the end every event that was acknowledged is exactly one workflow, and at
//! least one request, of which the repeated ones are counted.
//!
//! `TRIPLINE_FAULT_EVENTS=1000000` spreads as many events over the cells; `TRIPLINE_FAULTS=clock`
//! runs the cells whose names contain that.

mod bus;
mod cell;
mod clock;
mod fault;
mod producers;
mod report;
mod target;

use std::time::Instant;

use anyhow::ensure;
use futures_util::StreamExt as _;

use cell::Shared;
use fault::cells;
use report::Row;

/// Cells that run at a time. Most of the time a cell waits for something to come back.
const SIDE_BY_SIDE: usize = 4;
/// Sources whose events are counted: webhook, Pub/Sub and SQS.
const COUNTED_SOURCES: u64 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_is_submitted_twice_whatever_goes_wrong() -> anyhow::Result<()>
{
    let begin = Instant::now();
    let wanted = std::env::var("TRIPLINE_FAULTS").unwrap_or_default();
    let cells: Vec<_> =
        cells().into_iter().filter(|cell| cell.to_string().contains(&wanted)).collect();
    ensure!(!cells.is_empty(), "no cell's name contains `{wanted}`");
    let events: u64 = match std::env::var("TRIPLINE_FAULT_EVENTS") {
        Ok(text) => text.parse()?,
        Err(_) => 0,
    };
    let each = events.div_ceil(cells.len() as u64 * COUNTED_SOURCES);
    let shared = Shared::start()?;
    let rows: Vec<Row> = futures_util::stream::iter(cells.into_iter().enumerate())
        .map(|(number, cell)| {
            let shared = &shared;
            async move {
                let row = Row::of(cell, cell::run(shared, cell, number, each).await);
                println!("{row}");
                row
            }
        })
        .buffer_unordered(SIDE_BY_SIDE)
        .collect()
        .await;
    println!("\n{}\n{:.0?} for all of it", report::table(&rows), begin.elapsed());
    let bad: Vec<String> = rows.iter().filter_map(Row::failure).collect();
    ensure!(bad.is_empty(), "{} of {} cells failed:\n{}", bad.len(), rows.len(), bad.join("\n"));
    Ok(())
}
