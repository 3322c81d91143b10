//! The table that is printed.

use std::fmt;

use comfy_table::{CellAlignment, presets};
use hdrhistogram::Histogram;
use tripline_bus::Log;

use crate::measure::{Latencies, Measured};

const HEAD: [&str; 10] = [
    "",
    "events/s",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "p50 ms at 50/s",
    "p99 ms at 80 %",
    "CPU s per 1,000",
    "MiB at start",
    "MiB at end",
];

/// The table, and what is said below it.
#[derive(Default)]
pub struct Table {
    rows: Vec<[String; 10]>,
    notes: Vec<String>,
}

impl Table {
    /// Adds what the disk takes for a sync.
    pub fn disk(&mut self, latencies: &Histogram<u64>) {
        let seconds = latencies.mean() * latencies.len() as f64 / 1e6;
        let mut row: [String; 10] = Default::default();
        row[0] = "disk: append 4 KiB, fdatasync".to_owned();
        row[1] = format!("{:.0}", latencies.len() as f64 / seconds);
        fill(&mut row, latencies);
        self.rows.push(row);
    }

    /// Adds a row; where there is a sink, one for the way to the answer and one for the way
    /// to the sink.
    pub fn row(&mut self, title: &str, measured: &Measured, logs: &[(Log, u64)]) {
        let mebibytes = |bytes: u64| format!("{:.1}", bytes as f64 / f64::from(1 << 20));
        let mut row =
            latencies(&format!("{title}: to the answer"), measured, |of| Some(&of.answer));
        row[1] = format!("{:.0}", measured.per_second);
        row[7] = format!("{:.4}", measured.cpu);
        row[8] = mebibytes(measured.bytes_at_start);
        row[9] = mebibytes(measured.bytes_at_end);
        self.rows.push(row);
        if measured.fast.sink.is_some() {
            self.rows.push(latencies("  … to the sink", measured, |of| of.sink.as_ref()));
        }
        let records = logs.iter().map(|(log, records)| format!("; {records} {}", log.as_str()));
        self.notes.push(format!(
            "{title}: {} sent in all{}; at most {:.0}/s answered; generator and sink took {:.4} s of CPU per 1,000",
            measured.events,
            records.collect::<String>(),
            measured.fast.answered_per_second,
            measured.own_cpu
        ));
    }
}

fn latencies<'m>(
    title: &str,
    measured: &'m Measured,
    which: impl Fn(&'m Latencies) -> Option<&'m Histogram<u64>>,
) -> [String; 10] {
    let mut row: [String; 10] = Default::default();
    row[0] = title.to_owned();
    if let Some(fast) = which(&measured.fast) {
        fill(&mut row, fast);
    }
    row[5] = which(&measured.slow).map(|of| quantile(of, 0.5)).unwrap_or_default();
    row[6] = which(&measured.loaded).map(|of| quantile(of, 0.99)).unwrap_or_default();
    row
}

fn fill(row: &mut [String; 10], latencies: &Histogram<u64>) {
    for (cell, of) in row[2..5].iter_mut().zip([0.5, 0.99, 0.999]) {
        *cell = quantile(latencies, of);
    }
}

fn quantile(latencies: &Histogram<u64>, of: f64) -> String {
    format!("{:.2}", latencies.value_at_quantile(of) as f64 / 1000.0)
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::ASCII_MARKDOWN).set_header(HEAD);
        table.add_rows(&self.rows);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(f, "{table}")?;
        writeln!(f, "p50, p99, p99.9: all connections send as fast as they are answered")?;
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        Ok(())
    }
}
