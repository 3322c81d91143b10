//! What became of each cell.

use std::fmt;
use std::time::Duration;

use tripline_tests::set_checker::Findings;

use crate::fault::Cell;

/// What came in from one source, and what came out.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// The source.
    pub source: &'static str,
    /// Events that were acknowledged.
    pub acknowledged: usize,
    /// What is wrong.
    pub findings: Findings,
}

/// What a cell has counted.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// For each source.
    pub sources: Vec<Counted>,
    /// Requests to the target that cannot recognise a repeated one: those that came more than
    /// once.
    pub repeated: usize,
    /// What is wrong with the requests: lost ones.
    pub requests: Findings,
    /// Dead letters of what nobody could tell, sent again at the end.
    pub unknown: u64,
    /// Requests of producers that were not answered.
    pub unanswered: u64,
    /// Requests of producers that were answered 503.
    pub put_off: u64,
    /// How long it took.
    pub took: Duration,
}

/// A cell and what became of it.
pub struct Row {
    cell: Cell,
    counts: Result<Counts, String>,
}

impl Row {
    /// The row of a cell.
    pub fn of(cell: Cell, counts: anyhow::Result<Counts>) -> Self {
        Self { cell, counts: counts.map_err(|error| format!("{error:#}")) }
    }

    /// What is wrong; none where nothing is.
    pub fn failure(&self) -> Option<String> {
        let counts = match &self.counts {
            Err(error) => return Some(format!("{}: {error}", self.cell)),
            Ok(counts) => counts,
        };
        let mut wrong: Vec<String> = counts
            .sources
            .iter()
            .filter(|counted| !counted.findings.is_empty())
            .map(|counted| format!("{}: {}", counted.source, counted.findings))
            .collect();
        if !counts.requests.is_empty() {
            wrong.push(format!("requests: {}", counts.requests));
        }
        (!wrong.is_empty()).then(|| format!("{}: {}", self.cell, wrong.join("; ")))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.counts {
            Err(error) => {
                let first = error.lines().next().unwrap_or_default();
                write!(f, "{:<28} FAILED: {first}", self.cell)
            }
            Ok(counts) => write!(f, "{:<28} done in {:.0?}", self.cell, counts.took),
        }
    }
}

/// A line for each cell.
pub fn table(rows: &[Row]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header([
        "fault, bus",
        "webhook",
        "pubSub",
        "sqs",
        "cron",
        "lost",
        "doubled",
        "repeated requests",
        "503",
        "unanswered",
        "unknown",
        "took",
    ]);
    for row in rows {
        let Ok(counts) = &row.counts else {
            table.add_row([row.cell.to_string(), "failed".to_owned()]);
            continue;
        };
        let mut cells = vec![row.cell.to_string()];
        cells.extend(counts.sources.iter().map(|counted| counted.acknowledged.to_string()));
        let all = || counts.sources.iter().map(|counted| &counted.findings);
        let lost = all().map(|found| found.lost.len()).sum::<usize>() + counts.requests.lost.len();
        let doubled: usize = all()
            .map(|found| found.doubled.len() + found.unknown.len() + found.mixed_up.len())
            .sum();
        cells.extend([
            lost.to_string(),
            doubled.to_string(),
            counts.repeated.to_string(),
            counts.put_off.to_string(),
            counts.unanswered.to_string(),
            counts.unknown.to_string(),
            format!("{:.0?}", counts.took),
        ]);
        table.add_row(cells);
    }
    table
}
